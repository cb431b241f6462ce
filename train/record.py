"""Whether a run may go on where another stopped, and ``run.json``: what it is, what it read, what it took."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from iconoclip import models, provenance
from iconoclip.errors import ConfigError

from . import checkpoint
from .checkpoint import TrainerState
from .config import RESUME_FREE, TrainConfig
from .energy import EnergyMeter
from .pool import describe_sources

log = logging.getLogger(__name__)


def resume_state(config: TrainConfig, fresh: TrainerState) -> TrainerState:
    """State of the last checkpoint in the run folder, or ``fresh`` if there is none.

    Raises:
        ConfigError: the folder holds another run; lists every difference.
    """
    checkpoint.remove_partial(config.out)
    folder = checkpoint.latest(config.out)
    if folder is None:
        return fresh
    state = checkpoint.read_state(folder)
    allowed = (*RESUME_FREE, *config.resume.allow)
    lines = [
        f"  {name}: was {old!r}, is {new!r}"
        for name, old, new in _differences(state.config, fresh.config)
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
    return replace(state, config=fresh.config, data_sha256=fresh.data_sha256, num_processes=fresh.num_processes)


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
    ) -> None:
        parameters = list(model.module.parameters())
        self._out, self._total_steps = config.out, total_steps
        earlier = _earlier_sessions(config.out) if state.step else []
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
            "num_processes": state.num_processes,
            "device": str(device),
            "num_threads": torch.get_num_threads(),
        }
        self._record["sessions"] = [*earlier, session]
        self._record["started"] = self._record["sessions"][0]["started"]
        provenance.write_run(config.out, self._record)

    def close(self, state: TrainerState, energy: EnergyMeter) -> None:
        """Write how far the run came and what it took; energy is rank 0's own process, times the processes."""
        sessions = self._record["sessions"]
        used = energy.read()
        if used["energy_method"] == "estimated":
            used["kwh"] = round(used["kwh"] * state.num_processes, 9)
        sessions[-1] |= {"ended": provenance.utc_now(), "last_step": state.step, **used}
        methods = {session.get("energy_method") for session in sessions}
        self._record |= {
            "status": "finished" if state.step >= self._total_steps else "stopped",
            "ended": sessions[-1]["ended"],
            "seconds": round(state.seconds, 1),
            "step": state.step,
            "samples_seen": state.samples_seen,
            "num_corrupt": state.num_corrupt,
            "best_step": state.best_step,
            "best_score": state.best_score,
            "kwh": round(sum(session.get("kwh", 0.0) for session in sessions), 9),
            "energy_method": "measured" if methods == {"measured"} else "estimated",
        }
        provenance.write_run(self._out, self._record)


def _earlier_sessions(out: Path) -> list[dict[str, Any]]:
    """Sessions of a run that goes on; none if run.json is gone."""
    try:
        return list(json.loads((out / "run.json").read_text(encoding="utf-8"))["sessions"])
    except (OSError, ValueError, KeyError):
        return []
