"""Read what evaluations wrote, for a report: scores, comparisons, per-sample rows, small pictures.

A *question* is one benchmark and task. Models are those of the run's configuration, the first being the reference;
every other name in ``results.jsonl`` is a baseline that costs nothing. What is missing is noted, never guessed.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from iconoclip.errors import EvaluationError

from .config import slug

BASELINE_PREFIX = "baseline:"


@dataclass(frozen=True)
class Score:
    """One row of ``results.jsonl``; ``reason`` says why there is no value."""

    model: str
    benchmark: str
    task: str
    slice: str
    metric: str
    value: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    n: int | None = None
    n_clusters: int | None = None
    chance: float | None = None
    mdd: float | None = None
    weights_sha256: str = ""
    benchmark_revision: str = ""
    prompts_sha256: str = ""
    subset: str = "all"
    language: str = ""
    seed: int | None = None
    software: str = ""
    created: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Comparison:
    """One row of ``comparisons.jsonl``: ``delta`` is model_b less model_a."""

    model_a: str
    model_b: str
    benchmark: str
    task: str
    slice: str
    metric: str
    delta: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    test: str = ""
    p: float | None = None
    p_holm: float | None = None
    n: int | None = None


@dataclass(frozen=True)
class Question:
    """One benchmark and task with the metric that stands for it; ``is_headline`` is False for side questions."""

    benchmark: str
    task: str
    primary: str
    is_headline: bool = True


@dataclass(frozen=True)
class Results:
    """Everything of one or several results folders."""

    scores: tuple[Score, ...]
    comparisons: tuple[Comparison, ...]
    runs: tuple[dict[str, Any], ...]
    folders: tuple[Path, ...]
    missing: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    baselines: tuple[str, ...] = ()
    _index: dict[tuple[str, ...], Score] = field(default_factory=dict, repr=False)

    @cached_property
    def questions(self) -> tuple[Question, ...]:
        """Questions in the order in which they were asked."""
        pairs = dict.fromkeys((score.benchmark, score.task) for score in self.scores)
        return tuple(self._question(benchmark, task) for benchmark, task in pairs)

    @cached_property
    def sheets(self) -> dict[str, dict[str, Any]]:
        """Data sheets of the benchmarks by name: title, description, licence, citation, tasks with their prompts."""
        return {str(sheet.get("name")): sheet for run in self.runs for sheet in run.get("benchmarks") or []}

    @property
    def reference(self) -> str:
        """The first model: what the others are compared with."""
        return self.models[0] if self.models else ""

    @property
    def candidates(self) -> tuple[str, ...]:
        """The models after the first."""
        return self.models[1:]

    def find(self, model: str, question: Question, metric: str, slice_: str = "all") -> Score | None:
        """The row of a model; None if there is none."""
        return self._index.get((model, question.benchmark, question.task, metric, slice_))

    def metrics(self, question: Question) -> list[str]:
        """Metrics of a question, the primary one first."""
        found = dict.fromkeys(score.metric for score in self.of(question) if score.model in self.models)
        return sorted(found, key=lambda metric: metric != question.primary)

    def slices(self, question: Question) -> list[str]:
        """Slices of a question other than ``all``, in the order of the file."""
        return [name for name in dict.fromkeys(score.slice for score in self.of(question)) if name != "all"]

    def of(self, question: Question) -> list[Score]:
        """All rows of a question."""
        return [s for s in self.scores if (s.benchmark, s.task) == (question.benchmark, question.task)]

    def compare(self, a: str, b: str, question: Question, metric: str, slice_: str = "all") -> Comparison | None:
        """The paired comparison of two models, b less a; None if it was not made."""
        return self._compared.get((a, b, question.benchmark, question.task, metric, slice_))

    @cached_property
    def _compared(self) -> dict[tuple[str, ...], Comparison]:
        return {(c.model_a, c.model_b, c.benchmark, c.task, c.metric, c.slice): c for c in self.comparisons}

    def best_free(self, question: Question, metric: str, slice_: str = "all") -> tuple[str, float] | None:
        """Name and value of the best that costs nothing (chance included); None if nothing is stated."""
        free: list[tuple[str, float]] = []
        for model in self.baselines:
            score = self.find(model, question, metric, slice_)
            if score is not None and score.value is not None:
                free.append((baseline_name(model), score.value))
        chances = [
            score.chance
            for model in self.models
            if (score := self.find(model, question, metric, slice_)) and score.chance is not None
        ]
        if chances:
            free.append(("chance", chances[0]))
        if not free:
            return None
        sign = 1 if higher_is_better(metric) else -1
        return max(free, key=lambda item: (sign * item[1], item[0] != "chance"))

    def samples(self, model: str, question: Question) -> list[dict[str, Any]] | None:
        """Per-sample rows of a model; None where the file is missing."""
        name = f"{slug(model)}--{question.benchmark}--{question.task}.parquet"
        for folder in self.folders:
            path = folder / "samples" / name
            if path.is_file():
                return _read_parquet(path).to_pylist()
        return None

    def thumbs(self, keys: Iterable[str]) -> dict[str, tuple[bytes, str]]:
        """Small pictures (JPEG bytes, caption) of some keys, as far as they are there."""
        wanted, found = sorted(set(keys)), {}
        for folder in self.folders:
            path = folder / "thumbs.parquet"
            if wanted and path.is_file():
                for row in _read_parquet(path, filters=[("key", "in", wanted)]).to_pylist():
                    found.setdefault(row["key"], (row["jpeg"], row.get("caption") or ""))
        return found

    def _question(self, benchmark: str, task: str) -> Question:
        present = [s.metric for s in self.scores if (s.benchmark, s.task) == (benchmark, task)]
        declared = [tuple(key) for run in self.runs for key in run.get("primary") or []]
        marked = [metric for metric in present if (benchmark, task, metric) in declared]
        if marked:
            return Question(benchmark, task, marked[0])
        return Question(benchmark, task, self._usual(present), is_headline=not declared)

    def _usual(self, present: Sequence[str]) -> str:
        """The metric that a question of this kind is usually judged by."""
        for wanted in (
            "text_to_image/hit_rate@1",
            "balanced_accuracy",
            "mean_per_class_recall",
            "accuracy@1",
            "image_to_image/hit_rate@1",
        ):
            if wanted in present:
                return wanted
        return present[0]


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
    missing: list[str] = []
    notes: list[dict[str, Any]] = []
    for folder in folders:
        rows = _read_lines(folder / "results.jsonl", needed=True)
        scores += [_score(row, folder / "results.jsonl", number) for number, row in enumerate(rows, start=1)]
        path = folder / "comparisons.jsonl"
        comparisons += [_build(Comparison, row, path, n) for n, row in enumerate(_read_lines(path), start=1)]
        notes += _read_lines(folder / "notes.jsonl")
        runs.append(_read_run(folder / "run.json"))
        if left_out := runs[-1].get("thumbs_left_out"):
            missing.append(
                f"{folder.name}: {left_out} pictures are not stored for display (their rights, or the limit)."
            )
        for name, sentence in _PARTS.items():
            if not (folder / name).exists():
                missing.append(f"{folder.name}: {sentence}")
    scores = _explain(scores, notes)
    models, baselines = _tell_apart(scores, runs)
    return Results(
        scores=tuple(scores),
        comparisons=tuple(comparisons),
        runs=tuple(runs),
        folders=tuple(folders),
        missing=tuple(missing),
        models=models,
        baselines=baselines,
        _index=_index(scores, folders),
    )


_PARTS = {
    "comparisons.jsonl": "no comparisons.jsonl, so nothing is said about differences between models.",
    "samples": "no per-sample rows (samples/), so there are no hits, misses and confusions to show.",
    "thumbs.parquet": "no small pictures (thumbs.parquet), so hits and misses are shown as text.",
    "run.json": "no run.json, so the configuration and the order of the models are not known.",
}


def is_share(metric: str) -> bool:
    """Whether a metric is a share between 0 and 1 (shown in per cent) and not a rank or another number."""
    name = metric.rsplit("/", 1)[-1]
    return "percentile" in name or not name.endswith(("_rank", "_count", "_loss"))


def is_difference(metric: str) -> bool:
    """Whether a metric is itself a difference, such as ``mean_percentile_rank_nl_minus_en``."""
    return "_minus_" in metric


def higher_is_better(metric: str) -> bool:
    """False for ranks and losses."""
    return is_share(metric)


def baseline_name(model: str) -> str:
    """``baseline:largest_class`` -> ``largest class``."""
    return model.removeprefix(BASELINE_PREFIX).replace("_", " ")


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
    from .config import ModelConfig

    models = run.get("config", {}).get("models", [])
    known = ("name", "weights", "label")
    return [
        model if isinstance(model, str) else ModelConfig(**{k: model[k] for k in known if k in model}).shown
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


def _read_parquet(path: Path, **options: Any) -> pa.Table:
    try:
        return pq.read_table(path, **options)
    except (pa.ArrowInvalid, OSError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise EvaluationError(f"{path}: cannot be read ({first}); run `iconoclip eval` again") from None
