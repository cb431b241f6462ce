"""Whether two run folders hold the same run: samples of each batch, losses, weights and optimizer, to the last bit."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from iconoclip.models import state_sha256

from .journal import KEYS_NAME, METRICS_NAME

_COMPARED = ("loss", "grad_norm", "lr", "logit_scale")


def compare_runs(one: Path, other: Path) -> tuple[list[str], bool]:
    """Lines about what agrees and where what does not differs first, and whether all agrees."""
    found = [
        _compare_samples(one, other),
        _compare_figures(one, other),
        _compare_tensors("weights", one, other, "weights.safetensors"),
        _compare_tensors("optimizer", one, other, "optimizer.safetensors"),
    ]
    return [f"  {text}" for text, _ in found], all(agrees for _, agrees in found)


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Whole lines of a file of JSON lines; nothing where there is no file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            return  # being written


def _compare_samples(one: Path, other: Path) -> tuple[str, bool]:
    ours = {row["step"]: row["keys"] for row in read_rows(one / KEYS_NAME)}
    theirs = {row["step"]: row["keys"] for row in read_rows(other / KEYS_NAME)}
    for step in sorted(ours.keys() | theirs.keys()):
        mine, its = ours.get(step, []), theirs.get(step, [])
        if mine != its:
            place = next((n for n, pair in enumerate(zip(mine, its, strict=False)) if pair[0] != pair[1]), None)
            where = f"{len(mine)} and {len(its)} samples" if place is None else f"{mine[place]} and {its[place]}"
            return f"samples    DIFFER from step {step} on, first at position {place or 0}: {where}", False
    return f"samples    agree, in order, in all of {len(ours)} batches", bool(ours)


def _compare_figures(one: Path, other: Path) -> tuple[str, bool]:
    ours, theirs = (
        {row["step"]: {name: row[name] for name in _COMPARED} for row in read_rows(run / METRICS_NAME) if "loss" in row}
        for run in (one, other)
    )
    for step in sorted(ours.keys() | theirs.keys()):
        mine, its = ours.get(step, {}), theirs.get(step, {})
        for name in _COMPARED:
            if mine.get(name) != its.get(name):
                return f"figures    DIFFER from step {step} on: {name} {mine.get(name)} and {its.get(name)}", False
    return f"figures    agree: {', '.join(_COMPARED)} of all {len(ours)} steps", bool(ours)


def _compare_tensors(what: str, one: Path, other: Path, name: str) -> tuple[str, bool]:
    mine, its = (load_file(run / "latest" / "state" / name) for run in (one, other))
    sha256 = state_sha256(mine)
    if sha256 == state_sha256(its):
        return f"{what:<10} agree: sha256 {sha256[:16]}…", True
    differing = [key for key in mine if key not in its or not torch.equal(mine[key], its[key])]
    errors = {key: _error(mine[key], its[key]) for key in differing if key in its}
    worst = max(errors, key=lambda key: errors[key], default="")
    text = f", most in {worst}: {errors[worst]:.1e} of its norm" if worst else ""
    return f"{what:<10} DIFFER in {len(differing)} of {len(mine)} tensors{text}", False


def _error(tensor: torch.Tensor, other: torch.Tensor) -> float:
    if tensor.shape != other.shape:
        return float("inf")
    norm = tensor.double().norm().clamp_min(1e-30)
    return float((tensor.double() - other.double()).norm() / norm)
