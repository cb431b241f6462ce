"""What a whole run will take, worked out from 20 steps of it: node-hours, kWh and bytes, as compute applications ask.

``iconoclip train CONFIG --estimate`` trains a little in a folder beside `out`, validates and saves once, and removes
the folder again. Start it as the run will be started: what is measured is this number of processes on these machines.
"""

import json
import logging
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from iconoclip.errors import IconoclipError

from .config import TrainConfig
from .journal import METRICS_NAME
from .launch import is_first_process
from .loop import run_training
from .pool import num_folds, open_pool
from .screen import duration

NUM_TIMED = 20
NUM_WARM_UP = 5  # compiling, filling caches and loader queues

_SECONDS_PER_HOUR = 3600


@dataclass(frozen=True)
class Measured:
    """What the few steps took: ``step_s`` of each timed step, energy in kWh, and the record of the session."""

    step_s: Sequence[float]
    wait_share: float
    step_kwh: float
    start_s: float
    validating_s: float
    saving_s: float
    checkpoint_bytes: int
    session: dict[str, Any]


@dataclass(frozen=True)
class Size:
    """How much the whole run does."""

    steps: int
    validations: int
    saves: int
    kept_checkpoints: int
    folds: int = 1


def estimate_run(config: TrainConfig) -> str:
    """Train ``NUM_WARM_UP`` + ``NUM_TIMED`` steps and say what the whole run will take; "" in all processes but one.

    Raises:
        IconoclipError: the run does not work, or was stopped.
    """
    folder = config.out.with_name(f".{config.out.name}.estimate")
    if is_first_process():
        shutil.rmtree(folder, ignore_errors=True)
    one = config if config.fold != "all" else config.model_copy(update={"fold": 0})
    log, level = logging.getLogger("train"), logging.getLogger("train").level
    log.setLevel(logging.WARNING)  # the steps' own lines are nobody's business
    try:
        run_training(_short(one, folder))
        if not is_first_process():
            return ""
        return describe(config, size_of(config), read_run(folder))
    finally:
        log.setLevel(level)
        if is_first_process():
            shutil.rmtree(folder, ignore_errors=True)


def size_of(config: TrainConfig) -> Size:
    """Steps, validations and checkpoints of a whole run that nothing interrupts."""
    folds = num_folds(config) if config.fold == "all" else 1
    pool = open_pool(config if config.fold != "all" else config.model_copy(update={"fold": 0}))
    pairs = config.samples if config.samples is not None else math.ceil((config.epochs or 0) * pool.num_samples)
    steps = math.ceil(pairs / config.batch_size)
    validations = 0
    if config.validation is not None:
        validations = math.ceil(steps / (config.validation.every or steps))
    return Size(
        steps=steps,
        validations=validations,
        saves=math.ceil(steps / config.checkpoint.every),
        kept_checkpoints=config.checkpoint.keep + 2 + (config.retention is not None),
        folds=folds,
    )


def read_run(folder: Path) -> Measured:
    """Read the figures of the few steps from their run folder."""
    text = (folder / METRICS_NAME).read_text(encoding="utf-8")
    steps = [row for row in map(json.loads, text.splitlines()) if "loss" in row]
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    if record["status"] != "finished":
        raise IconoclipError(f"the estimate was stopped after {len(steps)} steps; start it again")
    batch_size, session = record["config"]["batch_size"], record["sessions"][-1]
    timed = steps[NUM_WARM_UP:]
    checkpoint = (folder / "latest").resolve()
    return Measured(
        step_s=[batch_size / row["pairs_per_s"] for row in timed],
        wait_share=sum(row["data_wait_share"] for row in timed) / len(timed),
        step_kwh=(timed[-1]["kwh"] - steps[NUM_WARM_UP - 1]["kwh"]) / len(timed),
        start_s=session["spent_s"]["starting"],
        validating_s=session["spent_s"]["validating"],
        saving_s=session["spent_s"]["saving"],
        checkpoint_bytes=sum(path.stat().st_size for path in _distinct(checkpoint)),
        session={**session, "energy_method": record["energy_method"], "energy_detail": record["energy_detail"]},
    )


def describe(config: TrainConfig, size: Size, found: Measured) -> str:
    """Text of the estimate, with what it assumes."""
    step_s, session = median(found.step_s), found.session
    training_s, validating_s = size.steps * step_s, size.validations * found.validating_s
    whole_s = training_s + validating_s + size.saves * found.saving_s + found.start_s
    hours, kwh = size.folds * whole_s / _SECONDS_PER_HOUR, size.folds * whole_s * found.step_kwh / step_s
    nodes, devices = session["num_nodes"], session["num_processes"]
    kept, redone = min(size.kept_checkpoints, size.saves), min(config.checkpoint.every, size.steps)
    room_gb = kept * found.checkpoint_bytes / 1e9
    rows = {
        "a step": f"{step_s:.3g} s, median of {len(found.step_s)} "
        f"({min(found.step_s):.3g} to {max(found.step_s):.3g}): "
        f"{config.batch_size / step_s:,.0f} pairs/s, {found.wait_share:.0%} of the time waiting for data",
        "a run": f"{size.steps:,} steps of {config.batch_size:,} pairs, {duration(training_s)}; {size.validations} "
        f"validations of {found.validating_s:.3g} s; {size.saves} checkpoints of {found.saving_s:.3g} s; "
        f"{found.start_s:.3g} s to start; together {duration(whole_s)}",
        "node-hours": f"{hours * nodes:.3g}, device-hours {hours * devices:.3g}",
        "energy": f"{kwh:.3g} kWh, {session['energy_method']} ({session['energy_detail']})",
        "checkpoint": f"{found.checkpoint_bytes:,} bytes; at most {kept} at once: {room_gb:.3g} GB",
    }
    if size.folds > 1:
        rows["folds"] = f"{size.folds} runs; node-hours and energy are those of all, bytes those of each"
    if config.log.wall_hours is not None:
        rows["jobs"] = f"{math.ceil(hours / config.log.wall_hours)} of {config.log.wall_hours:g} h"
    lines = [
        f"{config.out}: {config.model.name} in {config.precision} on {devices} x {session['device']}, nodes: {nodes}",
        *(f"  {name:<12}{text}" for name, text in rows.items()),
        "assumed: as many machines of this kind, with nobody else on them; data read as fast as in these steps (a cold",
        "file system is slower); validations, checkpoints and starting at the power of the steps",
        f"left out: up to {redone:,} steps done again after a kill, the queue{_left_out(config)}",
    ]
    return "\n".join(lines) + "\n"


def _left_out(config: TrainConfig) -> str:
    parts = [name for name, is_on in (("the retention guard", config.retention), ("WiSE-FT", config.wise_ft)) if is_on]
    return "".join(f", {part}" for part in parts)


def _short(config: TrainConfig, folder: Path) -> TrainConfig:
    """The same run, a few steps long, in another folder; it validates and saves at its end."""
    changes: dict[str, Any] = {
        "out": folder,
        "epochs": None,
        "samples": config.batch_size * (NUM_WARM_UP + NUM_TIMED),
        "stop_after": None,
        "retention": None,
        "wise_ft": None,
        "log": config.log.model_copy(update={"every": 1, "wandb": "off", "keys": False}),
        "checkpoint": config.checkpoint.model_copy(update={"every": 10**9}),
    }
    if config.validation is not None:
        changes["validation"] = config.validation.model_copy(update={"every": None})
    return config.model_copy(update=changes)


def _distinct(folder: Path) -> list[Path]:
    """Files of a folder; of those that share their content on disk, one."""
    found = {path.stat().st_ino: path for path in folder.rglob("*") if path.is_file()}
    return list(found.values())
