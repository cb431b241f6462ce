"""How the weights of a model came about: from its training run's own record, never from what the model is called."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from iconoclip.errors import EvaluationError
from iconoclip.run_facts import energy_method, start_model

_SECONDS_PER_HOUR = 3600


def run_home(folder: Path) -> Path | None:
    """The folder with the ``run.json`` of a run, one of its checkpoints, or a link to one; None for other models."""
    return next((home for home in (folder, *folder.resolve().parents[:2]) if (home / "run.json").is_file()), None)


def training_facts(homes: Sequence[Path]) -> dict[str, Any] | None:
    """Method, average, base, energy and hours of one run, or of a cross-fitted model's runs together.

    ``method`` is ``lora``, ``full``, ``partial`` (something was frozen) or ``from_random`` (nothing was there to be
    tuned); ``wise_ft`` has ``alpha`` and the points of the sweep where weights are averaged with the base's. ``kwh``
    and ``hours`` are None where a run did not record them. None for models that no run of ours made.
    """
    runs = [run for home in homes if (run := _read(home)) is not None]
    if not runs:
        return None
    first = runs[0]
    kwh, seconds = [run.get("kwh") for run in runs], [run.get("seconds") for run in runs]
    return {
        "method": _method(first),
        "wise_ft": _average(homes[0], first),
        "base": start_model(first)[0],
        "base_weights_sha256": (first.get("model") or {}).get("weights_sha256"),
        "kwh": _sum(kwh),
        "energy_method": energy_method(first),
        "hours": None if (total := _sum(seconds)) is None else total / _SECONDS_PER_HOUR,
        "num_runs": len(runs),
        "num_processes": max((s.get("num_processes") or 1 for s in first.get("sessions") or [{}]), default=1),
        "device": str((first.get("sessions") or [{}])[-1].get("device") or ""),
    }


def _read(home: Path) -> dict[str, Any] | None:
    path = home / "run.json"
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
        return run if run["config"].get("verb") == "train" else None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EvaluationError(f"{path}: not the run.json of a training run ({error!r})") from None


def _method(run: dict[str, Any]) -> str:
    model = run.get("model") or {}
    if not start_model(run)[2]:
        return "from_random"
    if run["config"].get("lora"):
        return "lora"
    trained, all_ = model.get("num_trained"), model.get("num_parameters")
    return "partial" if trained is not None and all_ is not None and trained < all_ else "full"


def _average(home: Path, run: dict[str, Any]) -> dict[str, Any] | None:
    """Chosen alpha and the sweep of a run whose weights are averaged with its base's."""
    found = run.get("wise_ft")
    if not isinstance(found, dict) or found.get("chosen_alpha") is None:
        try:
            found = json.loads((home / "wise_ft.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
    return {"alpha": found["chosen_alpha"], "rule": found.get("rule", ""), "points": found.get("points") or []}


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
