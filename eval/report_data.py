"""What a report knows of evaluations: scores, comparisons, per-sample rows, small pictures.

A *question* is one benchmark and task. Models are those of the run's configuration, the first being the reference;
every other name in ``results.jsonl`` is a baseline that costs nothing. What is missing is noted, never guessed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
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
    subset: str = "all"


@dataclass(frozen=True)
class Overall:
    """One row of ``overall.jsonl``: the mean over questions of b less a (:mod:`eval.overall`)."""

    group: str
    a: str
    way_a: str
    b: str
    way_b: str
    delta: float
    ci_low: float
    ci_high: float
    p: float
    value_a: float
    value_b: float
    questions: tuple[tuple[str, str, str], ...]
    n: int
    n_clusters: int

    @property
    def key(self) -> tuple[str, ...]:
        """What is compared with what."""
        return self.group, self.a, self.way_a, self.b, self.way_b


@dataclass(frozen=True)
class Question:
    """One benchmark and task with the metric that stands for it; ``is_headline`` is False for side questions."""

    benchmark: str
    task: str
    primary: str
    is_headline: bool = True


@dataclass(frozen=True)
class Results:
    """Everything of one or several results folders; ``clean`` are the scores without what training saw, and
    ``clean_comparisons`` the comparisons, those of benchmarks of which it saw something.

    ``missing`` are (key of a text, folder, count) of what is not there; ``trust``, ``leaks`` and ``bias`` the rows of
    ``selective.jsonl``, ``contamination.jsonl`` and ``bias.jsonl``.
    """

    scores: tuple[Score, ...]
    comparisons: tuple[Comparison, ...]
    runs: tuple[dict[str, Any], ...]
    folders: tuple[Path, ...]
    missing: tuple[tuple[str, str, int], ...] = ()
    models: tuple[str, ...] = ()
    baselines: tuple[str, ...] = ()
    clean: tuple[Score, ...] = ()
    clean_comparisons: tuple[Comparison, ...] = ()
    overall: tuple[Overall, ...] = ()
    trust: tuple[dict[str, Any], ...] = ()
    leaks: tuple[dict[str, Any], ...] = ()
    bias: tuple[dict[str, Any], ...] = ()
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

    @cached_property
    def facts(self) -> dict[str, dict[str, Any]]:
        """What ``run.json`` says of each model by name: its history, its runs, how it was trained."""
        return {str(model.get("label")): model for run in self.runs for model in run.get("models") or []}

    @cached_property
    def leaked(self) -> frozenset[str]:
        """Benchmarks of which training saw pictures."""
        return frozenset(str(row["benchmark"]) for row in self.leaks if row["seen"])

    @cached_property
    def without_seen(self) -> "Results":
        """The same without the queries about pictures that training saw: scores and comparisons."""
        index = {(s.model, s.benchmark, s.task, s.metric, s.slice): s for s in self.clean}
        return replace(self, scores=self.clean, comparisons=self.clean_comparisons, leaks=(), _index=index)

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

    def has_several_labels(self, question: Question) -> bool:
        """Whether pictures of a question may have several right labels."""
        tasks = self.sheets.get(question.benchmark, {}).get("tasks") or []
        return any(task.get("name") == question.task and task.get("kind") == "multilabel" for task in tasks)

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
        """Name (``chance`` or ``largest_class``) and value of the best that costs nothing; None if none is stated."""
        free: list[tuple[str, float]] = []
        for model in self.baselines:
            score = self.find(model, question, metric, slice_)
            if score is not None and score.value is not None:
                free.append((model.removeprefix(BASELINE_PREFIX), score.value))
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

    def whole(self, group: str, a: str, b: str, *, way_a: str = "asked", way_b: str = "asked") -> Overall | None:
        """The mean over the questions of a group, b less a; of several folders that which rests on most questions."""
        key = (group, a, way_a, b, way_b)
        found = [row for row in self.overall if row.key == key]
        return max(found, key=lambda row: len(row.questions), default=None)

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


def _read_parquet(path: Path, **options: Any) -> pa.Table:
    try:
        return pq.read_table(path, **options)
    except (pa.ArrowInvalid, OSError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise EvaluationError(f"{path}: cannot be read ({first}); run `iconoclip eval` again") from None
