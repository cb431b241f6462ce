"""Whether a run may go on where another stopped, and ``run.json``: what it is, what it read, what it took."""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from iconoclip import models, provenance
from iconoclip.errors import ConfigError
from iconoclip.files import sha256_json
from iconoclip.shards import MANIFEST_NAME

from . import checkpoint
from .checkpoint import TrainerState
from .config import RESUME_FREE, TrainConfig
from .energy import Energy, EnergyMeter
from .pool import describe_sources

log = logging.getLogger(__name__)


def resume_state(config: TrainConfig, fresh: TrainerState) -> TrainerState:
    """State of the last checkpoint in the run folder, or ``fresh`` if there is none.

    Raises:
        ConfigError: the folder holds another run; lists every difference.
    """
    _refuse_other_folders(config.out)
    checkpoint.remove_partial(config.out)
    folder = checkpoint.latest(config.out)
    if folder is None:
        return fresh
    state = checkpoint.read_state(folder)
    allowed = (*RESUME_FREE, *config.resume.allow)
    lines = [
        f"  {name}: was {old!r}, is {new!r}"
        for name, old, new in _differences(_with_defaults(state.config), fresh.config)
        if not any(name == free or name.startswith(f"{free}.") for free in allowed)
    ]
    if state.data_sha256 != fresh.data_sha256 and "data" not in allowed:
        lines.append("  data: the shards hold other samples than when the run began")
    if state.base_weights_sha256 != fresh.base_weights_sha256 and "model" not in allowed:
        lines.append("  model: the weights it starts from are others than when the run began")
    if lines:
        first = f"{config.out}: holds another run; give another `out`, or name in resume.allow what may differ"
        raise ConfigError("\n".join([first, *lines]))
    log.info("%s: going on after step %s", config.out, f"{state.step:,}")
    halted = "" if "retention" in config.resume.allow else state.halted
    return replace(
        state,
        config=fresh.config,
        data_sha256=fresh.data_sha256,
        num_processes=fresh.num_processes,
        halted=halted,
    )


def _refuse_other_folders(out: Path) -> None:
    """Say so where a run would be put into a shard set, or among the results of something else."""
    try:
        verb = json.loads((out / "run.json").read_text(encoding="utf-8"))["config"]["verb"]
    except (OSError, ValueError, KeyError, TypeError):
        verb = "train"
    if (out / MANIFEST_NAME).exists() or verb != "train":
        held = "a shard set" if (out / MANIFEST_NAME).exists() else f"what `iconoclip {verb}` wrote"
        raise ConfigError(f"{out}: holds {held}; give another `out`")


def _with_defaults(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration of before, with the fields that came since at their defaults: they change nothing."""
    try:
        return TrainConfig.model_validate(config).to_json()
    except ValidationError:
        return config


def _differences(old: dict[str, Any], new: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield (dotted name, old value, new value) wherever two configurations differ; what is not given is None."""
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from ((f"{key}.{name}", a, b) for name, a, b in _differences(before, after))
        elif before != after:
            yield key, before, after


class RunRecord:
    """``run.json``, written before work starts and again when it ends; one session per start of the command."""

    def __init__(
        self,
        config: TrainConfig,
        model: models.Model,
        state: TrainerState,
        *,
        num_samples: int,
        total_steps: int,
        device: torch.device,
        num_nodes: int,
    ) -> None:
        parameters = list(model.module.parameters())
        self._out, self._total_steps = config.out, total_steps
        earlier = _earlier_sessions(config, goes_on=state.step > 0)
        self._record = provenance.describe_run(
            config,
            status="running",
            model={
                "name": model.name,
                "weights_sha256": state.base_weights_sha256,
                "num_parameters": sum(p.numel() for p in parameters),
                "num_trained": sum(p.numel() for p in parameters if p.requires_grad),
            },
            data=describe_sources(config),
            data_sha256=state.data_sha256,
            num_samples=num_samples,
            total_steps=total_steps,
            total_samples=total_steps * config.batch_size,
        )
        session = {
            "started": self._record["started"],
            "first_step": state.step,
            "num_nodes": num_nodes,
            "num_processes": state.num_processes,
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "num_threads": torch.get_num_threads(),
        }
        self._record["sessions"] = [*earlier, session]
        self._record["started"] = self._record["sessions"][0]["started"]
        provenance.write_run(config.out, self._record)

    def note(self, **facts: Any) -> None:
        """Add what is found out while the run goes on."""
        self._record |= facts
        provenance.write_run(self._out, self._record)

    @property
    def earlier_kwh(self) -> float:
        """Energy of the sessions before this one."""
        return sum(session.get("kwh", 0.0) for session in self._record["sessions"][:-1])

    def save_progress(self, state: TrainerState, energy: EnergyMeter, spent: Mapping[str, float]) -> None:
        """Write what the session took so far: if it is killed, no more is lost than since the last checkpoint.

        ``spent``: seconds that were no training, by what they went into.
        """
        self._take_down(state, energy, spent)
        provenance.write_run(self._out, self._record)

    def close(self, state: TrainerState, energy: EnergyMeter, spent: Mapping[str, float]) -> None:
        """Write how far the run came and what it took, all processes and sessions together."""
        sessions = self._record["sessions"]
        sessions[-1]["ended"] = provenance.utc_now()
        self._take_down(state, energy, spent)
        self._record |= {
            "status": "finished" if state.step >= self._total_steps and not state.unseen else "stopped",
            "ended": sessions[-1]["ended"],
            "seconds": round(state.seconds, 1),
            "step": state.step,
            "samples_seen": state.samples_seen,
            "num_corrupt": state.num_corrupt,
            "best_step": state.best_step,
            "best_score": state.best_score,
            "halted": state.halted,
            "rollbacks": state.rollbacks,
        }
        provenance.write_run(self._out, self._record)

    def _take_down(self, state: TrainerState, energy: EnergyMeter, spent: Mapping[str, float]) -> None:
        seconds = {kind: round(value, 2) for kind, value in spent.items()}
        self._record["sessions"][-1] |= {"last_step": state.step, "spent_s": seconds, **energy.total().facts()}
        parts = [
            Energy(part.get("kwh", 0.0), part.get("kwh_metered", 0.0), part.get("energy_detail", ""))
            for part in self._record["sessions"]
        ]
        self._record |= sum(parts, start=Energy()).facts()


def _earlier_sessions(config: TrainConfig, *, goes_on: bool) -> list[dict[str, Any]]:
    """Sessions of the same run before this one; those that died before the first checkpoint took energy too."""
    try:
        record = json.loads((config.out / "run.json").read_text(encoding="utf-8"))
        same = goes_on or record["config_sha256"] == sha256_json(config.to_json())
        return list(record["sessions"]) if same else []
    except (OSError, ValueError, KeyError):
        return []
