"""Read the folders that ``iconoclip eval`` wrote into :class:`~eval.report_data.Results`."""

import json
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from iconoclip.errors import EvaluationError

from .config import ContestantConfig
from .report_data import BASELINE_PREFIX, Comparison, Overall, Results, Score


def read_results(folders: Sequence[Path]) -> Results:
    """Read one or several folders that ``iconoclip eval`` wrote.

    Raises:
        EvaluationError: a folder has no ``results.jsonl``, it is damaged, or two folders give one row two values.
    """
    if not folders:
        raise EvaluationError("no results given; name the folders that `iconoclip eval` wrote")
    scores: list[Score] = []
    comparisons: list[Comparison] = []
    runs: list[dict[str, Any]] = []
    overall: list[Overall] = []
    missing: list[tuple[str, str, int]] = []
    notes: list[dict[str, Any]] = []
    further: dict[str, list[dict[str, Any]]] = {"selective": [], "contamination": [], "bias": []}
    for folder in folders:
        rows = _read_lines(folder / "results.jsonl", needed=True)
        scores += [_score(row, folder / "results.jsonl", number) for number, row in enumerate(rows, start=1)]
        path = folder / "comparisons.jsonl"
        comparisons += [_build(Comparison, row, path, n) for n, row in enumerate(_read_lines(path), start=1)]
        path = folder / "overall.jsonl"
        overall += [_build_overall(row, path, n) for n, row in enumerate(_read_lines(path), start=1)]
        notes += _read_lines(folder / "notes.jsonl")
        for name, several in further.items():
            several.extend(_read_lines(folder / f"{name}.jsonl"))
        runs.append(_read_run(folder / "run.json"))
        if left_out := runs[-1].get("thumbs_left_out"):
            missing.append(("missing.pictures", folder.name, left_out))
        missing += [(key, folder.name, 0) for name, key in _PARTS.items() if not (folder / name).exists()]
    clean = tuple(score for score in scores if score.subset != "all")
    scores = _explain([score for score in scores if score.subset == "all"], notes)
    models, baselines = _tell_apart(scores, runs)
    return Results(
        scores=tuple(scores),
        comparisons=tuple(row for row in comparisons if row.subset == "all"),
        runs=tuple(runs),
        folders=tuple(folders),
        missing=tuple(missing),
        models=models,
        baselines=baselines,
        clean=clean,
        clean_comparisons=tuple(row for row in comparisons if row.subset != "all"),
        overall=tuple(overall),
        trust=tuple(further["selective"]),
        leaks=tuple(further["contamination"]),
        bias=tuple(further["bias"]),
        _index=_index(scores, folders),
    )


_PARTS = {
    "comparisons.jsonl": "missing.comparisons",
    "overall.jsonl": "missing.overall",
    "samples": "missing.samples",
    "thumbs.parquet": "missing.thumbs",
    "run.json": "missing.run",
}


def _tell_apart(scores: Sequence[Score], runs: Sequence[dict[str, Any]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(models, baselines): the configuration's order first; a name without weights is a baseline."""
    named = [name for run in runs for name in _configured(run)]
    present = list(dict.fromkeys(score.model for score in scores))
    with_weights = {score.model for score in scores if score.weights_sha256}
    models = [name for name in dict.fromkeys(named) if name in present]
    models += [
        name for name in present if name not in models and not name.startswith(BASELINE_PREFIX) and name in with_weights
    ]
    return tuple(models), tuple(name for name in present if name not in models)


def _configured(run: dict[str, Any]) -> list[str]:
    models = run.get("config", {}).get("models", [])
    known = ("name", "weights", "label")
    return [
        model if isinstance(model, str) else ContestantConfig(**{k: model[k] for k in known if k in model}).shown
        for model in models
    ]


def _index(scores: Sequence[Score], folders: Sequence[Path]) -> dict[tuple[str, ...], Score]:
    index: dict[tuple[str, ...], Score] = {}
    for score in scores:
        key = (score.model, score.benchmark, score.task, score.metric, score.slice)
        before = index.setdefault(key, score)
        if (before.value, before.weights_sha256) != (score.value, score.weights_sha256):
            listed = ", ".join(map(str, folders))
            raise EvaluationError(
                f"{listed}: {' / '.join(key)} has two values ({before.value} and {score.value}); "
                "report these folders apart, or give the models different labels in the eval configuration"
            )
    return index


def _score(row: dict[str, Any], path: Path, number: int) -> Score:
    return _build(Score, row, path, number)


def _explain(scores: Sequence[Score], notes: Sequence[dict[str, Any]]) -> list[Score]:
    """Give scores without a value the reason from ``notes.jsonl``; a note with an empty model is for all."""
    reasons: dict[tuple[str, ...], str] = {}
    for note in notes:
        key = (note["benchmark"], note["task"], note["slice"], note["metric"], note["model"])
        reasons[key] = note["note"]
    explained = []
    for score in scores:
        key = (score.benchmark, score.task, score.slice, score.metric)
        reason = reasons.get((*key, "")) or reasons.get((*key, score.model)) or ""
        explained.append(replace(score, reason=reason) if score.value is None and reason else score)
    return explained


def _build(kind: Any, row: dict[str, Any], path: Path, number: int) -> Any:
    names = {item.name for item in fields(kind)}
    texts = {item.name for item in fields(kind) if item.type is str}
    known = {name: value for name, value in row.items() if name in names}
    known |= {name: "" for name in texts if known.get(name, "") is None}
    try:
        return kind(**known)
    except TypeError as error:
        what = str(error).partition("missing ")[2] or str(error)
        raise EvaluationError(f"{path}, line {number}: {what} missing; run `iconoclip eval` again") from None


def _build_overall(row: dict[str, Any], path: Path, number: int) -> Overall:
    questions = tuple((str(b), str(t), str(m)) for b, t, m in row.get("questions") or ())
    return _build(Overall, row | {"questions": questions}, path, number)


def _read_lines(path: Path, *, needed: bool = False) -> list[dict[str, Any]]:
    if not path.is_file():
        if needed:
            raise EvaluationError(f"{path}: not there; is {path.parent} the `out` of a finished `iconoclip eval`?")
        return []
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except ValueError as error:
                raise EvaluationError(f"{path}, line {number}: no JSON ({error}); run `iconoclip eval` again") from None
    if needed and not rows:
        raise EvaluationError(f"{path}: empty; run `iconoclip eval` again")
    return rows


def _read_run(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise EvaluationError(f"{path}: no JSON ({error}); run `iconoclip eval` again") from None
