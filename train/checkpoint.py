"""Checkpoints that are there whole or not at all: written beside, flushed to disk, renamed, then pointed at.

``out/checkpoints/step-00000500/`` holds a model folder that open_clip opens, and ``state/`` with what training needs
to go on. ``out/latest`` and ``out/best`` are relative symlinks, moved last.
"""

import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from iconoclip import models
from iconoclip.errors import IconoclipError, ModelError
from iconoclip.files import write_json

from . import lora
from .config import LoraConfig

log = logging.getLogger(__name__)

_STATE, _WEIGHTS, _OPTIMIZER, _TRAINER = "state", "weights.safetensors", "optimizer.safetensors", "trainer.json"


@dataclass(frozen=True)
class TrainerState:
    """What a run must know to go on, besides weights and optimizer: one position, and who it is.

    ``lr_factor`` halves with each of ``rollbacks``; ``retention_base`` is the base's figure on the general set;
    ``halted`` says why the run ended before its last step, for good; ``unseen`` is True where it stopped before the
    validation that is due after its last step.
    """

    step: int
    samples_seen: int
    num_corrupt: int
    seconds: float
    max_log_scale: float
    best_score: float | None
    best_step: int | None
    config: dict[str, Any]
    data_sha256: str
    base_weights_sha256: str
    num_processes: int
    lr_factor: float = 1.0
    rollbacks: list[dict[str, Any]] = field(default_factory=list)
    retention_base: float | None = None
    halted: str = ""
    unseen: bool = False


def save(
    out: Path,
    model: models.Model,
    optimizer: torch.optim.Optimizer,
    state: TrainerState,
    *,
    is_best: bool,
    keep: int,
    adapters: LoraConfig | None = None,
    is_good: bool = False,
) -> Path:
    """Write a checkpoint, move ``latest`` (and ``best``, ``good``) to it, remove those that are no longer kept.

    A model with ``adapters`` is written merged, with the adapters alone in ``state/``.

    Raises:
        IconoclipError: the disk is full or refuses; what was there before is untouched.
    """
    folder = out / "checkpoints" / f"step-{state.step:08d}"
    partial = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        inner = partial / _STATE
        if adapters is None:
            models.save(model, partial)
            inner.mkdir()
            _link_or_copy(partial / models.WEIGHTS_NAME, inner / _WEIGHTS)
        else:
            models.save(model, partial, state=lora.plain_state(model.module, adapters))
            models.save_state(lora.adapter_state(model.module), inner / _WEIGHTS)
        save_file(_optimizer_tensors(model.module, optimizer), inner / _OPTIMIZER)
        write_json(inner / _TRAINER, asdict(state))
        for path in sorted(partial.rglob("*"), reverse=True):
            _flush(path)
        _flush(partial)
        if folder.exists():  # left by a run that died between the rename and `latest`
            shutil.rmtree(folder)
        partial.rename(folder)
        _flush(folder.parent)
        point(out / "latest", folder)
        for name, is_meant in (("best", is_best), ("good", is_good)):
            if is_meant:
                point(out / name, folder)
        if state.halted and not (out / "best").is_symlink() and (good := pointed(out, "good")):
            point(out / "best", good)
    except (OSError, SafetensorError, IconoclipError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise IconoclipError(
            f"{folder}: the checkpoint could not be written ({error}); the last good one is {latest(out) or 'none yet'}"
        ) from None
    _prune(out, keep)
    return folder


def latest(out: Path) -> Path | None:
    """Newest complete checkpoint of a run folder; None if there is none."""
    pointed = out / "latest"
    if (pointed / _STATE / _TRAINER).is_file():
        return pointed.resolve()
    found = sorted((out / "checkpoints").glob(f"step-*/{_STATE}/{_TRAINER}"))
    return found[-1].parents[1] if found else None


def read_state(folder: Path) -> TrainerState:
    """Read where the run stood.

    Raises:
        ModelError: it is not a checkpoint of ours, or of another version.
    """
    path = folder / _STATE / _TRAINER
    try:
        return TrainerState(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{path}: not the state of a training run ({error})") from None


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        folder = path.parents[1]
        raise ModelError(
            f"{path}: damaged ({error}); remove {folder}, and the same command goes on from the checkpoint before it"
        ) from None


def restore(folder: Path, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Load weights and optimizer, bit for bit.

    Raises:
        ModelError: the checkpoint is damaged, or belongs to another model.
    """
    weights, tensors = (_read_tensors(folder / _STATE / name) for name in (_WEIGHTS, _OPTIMIZER))
    try:
        _load_weights(module, weights)
        names = _optimizer_names(module, optimizer)
        state: dict[int, dict[str, torch.Tensor]] = {}
        for full_name, tensor in tensors.items():
            name, _, key = full_name.rpartition("/")
            state.setdefault(names.index(name), {})[key] = tensor
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"{folder}: does not fit the model of this run ({error})") from None
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _load_weights(module: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    wanted = lora.adapter_state(module).keys() if lora.is_adapted(module) else module.state_dict().keys()
    if tensors.keys() != wanted:
        wrong = sorted(tensors.keys() ^ wanted)
        raise ValueError(f"{len(wrong)} weights are only in one of them, such as {wrong[0]}")
    module.load_state_dict(tensors, strict=False)


def pointed(out: Path, name: str) -> Path | None:
    """Checkpoint that ``best`` or ``good`` points to; None if there is none."""
    folder = (out / name).resolve()
    return folder if (folder / _STATE / _TRAINER).is_file() else None


def amend(folder: Path, state: TrainerState) -> None:
    """Write another state beside the weights of a checkpoint."""
    write_json(folder / _STATE / _TRAINER, asdict(state))


def make_latest(out: Path, folder: Path) -> None:
    """Go on from an earlier checkpoint: ``latest`` points to it, and those after it are removed."""
    point(out / "latest", folder)
    for other in sorted((out / "checkpoints").glob("step-*")):
        if other.name > folder.name:
            shutil.rmtree(other)


def raw_weights(folder: Path, base: Mapping[str, torch.Tensor], adapters: LoraConfig | None) -> dict[str, torch.Tensor]:
    """Weights of a checkpoint as they were trained, in the architecture's own names, adapters merged into ``base``.

    Raises:
        ModelError: they cannot be read.
    """
    try:
        tensors = load_file(folder / _STATE / _WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{folder}: its weights cannot be read ({error})") from None
    return tensors if adapters is None else lora.merge(base, tensors, adapters)


def export(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    """Put other weights in the place of the exported ones; ``state/`` keeps the raw ones."""
    models.save_state(weights, folder / models.WEIGHTS_NAME)


def remove_partial(out: Path) -> None:
    """Clear what an interrupted save left behind."""
    for path in (out / "checkpoints").glob(".step-*.tmp"):
        shutil.rmtree(path, ignore_errors=True)


def num_bytes(module: nn.Module) -> int:
    """Size of one checkpoint on disk: weights once, two moments of what is trained."""
    weights = sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())
    trained = sum(p.numel() * p.element_size() for p in module.parameters() if p.requires_grad)
    return weights + 2 * trained


def _optimizer_names(module: nn.Module, optimizer: torch.optim.Optimizer) -> list[str]:
    """Name of each parameter, in the optimizer's numbering."""
    name_of = {id(parameter): name for name, parameter in module.named_parameters()}
    return [name_of[id(parameter)] for group in optimizer.param_groups for parameter in group["params"]]


def _optimizer_tensors(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    names = _optimizer_names(module, optimizer)
    return {
        f"{names[number]}/{key}": tensor.detach().cpu().contiguous().clone()
        for number, values in optimizer.state_dict()["state"].items()
        for key, tensor in values.items()
    }


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)  # the same bytes: the raw weights are the published ones
    except OSError:
        shutil.copyfile(source, target)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def point(link: Path, folder: Path) -> None:
    """Move a symlink in one step: a reader sees the old target or the new one."""
    temporary = link.with_name(f".{link.name}.tmp")
    temporary.unlink(missing_ok=True)
    # Both resolved: `out` may be relative to the working directory, and what a link pointed to never is.
    temporary.symlink_to(folder.resolve().relative_to(link.parent.resolve()))
    temporary.replace(link)


def _prune(out: Path, keep: int) -> None:
    folders = sorted((out / "checkpoints").glob("step-*"))
    pointed = {(out / name).resolve() for name in ("latest", "best", "good") if (out / name).is_symlink()}
    for folder in folders[:-keep]:
        if folder.resolve() not in pointed:
            shutil.rmtree(folder)
