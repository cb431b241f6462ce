"""What experts are asked: pairs of a text and a picture that some model put together, drawn by strata.

A pair is what a model found for a text (its five nearest pictures) or called a picture (the text of the class). What
several models or questions put together is judged once, also where two languages have the same text. Pairs are drawn
within strata of language and score, the same number from each, so that rare languages and doubtful answers are seen;
their weights undo that.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from iconoclip.errors import EvaluationError
from iconoclip.files import sha256_json
from iconoclip.records import unit_hash

from .report_data import Question, Results

DEPTH = 5
NUM_BANDS = 4
_ASK_CLASSES = ("classification", "multilabel")


@dataclass(frozen=True)
class Found:
    """That a model put a pair together: at which rank of which question, 1 being the nearest."""

    model: str
    benchmark: str
    task: str
    rank: int


@dataclass(frozen=True)
class Pair:
    """A text and a picture to be judged; ``work`` is the unit of resampling, ``band`` 0 holds the least scores.

    ``language`` is the first of those in which the text was asked.
    """

    text: str
    language: str
    key: str
    work: str
    band: int
    found: tuple[Found, ...]

    @property
    def id(self) -> str:
        """Name in sheets; it tells nothing of models, scores or ranks."""
        return f"j{sha256_json([self.text, self.key])[:12]}"

    @property
    def stratum(self) -> tuple[str, int]:
        """Language and band of score."""
        return self.language, self.band

    def is_of(self, model: str, depth: int) -> bool:
        """Whether it is among the first ``depth`` answers of a model."""
        return any(found.model == model and found.rank <= depth for found in self.found)


@dataclass
class _Gathered:
    """A pair while it is gathered: its highest standing among the scores of a model and question, from 0 to 1."""

    language: str
    work: str
    standing: float = 0.0
    found: list[Found] = field(default_factory=list)


def gather_pairs(results: Results) -> list[Pair]:
    """All pairs of all models and questions, in a stable order.

    Raises:
        EvaluationError: the results have no per-sample rows of texts or classes.
    """
    gathered: dict[tuple[str, str], _Gathered] = {}
    for question in results.questions:
        classes = _texts_of_classes(results, question)
        for model in results.models:
            rows = list(_pairs_of(results.samples(model, question) or [], classes))
            for (text, language, key, work, rank, _), standing in zip(rows, _standings(rows), strict=True):
                pair = gathered.setdefault((text, key), _Gathered(language, work))
                pair.standing = max(pair.standing, standing)
                pair.found.append(_found(model, question, rank))
    if not gathered:
        folders = ", ".join(map(str, results.folders))
        raise EvaluationError(
            f"{folders}: nothing to judge: no per-sample rows of retrieval from texts or of classes in samples/"
        )
    order = sorted(gathered)
    bands = _bands([gathered[name].standing for name in order])
    return [
        Pair(text, found.language, key, found.work, band, tuple(found.found))
        for (text, key), found, band in zip(order, map(gathered.__getitem__, order), bands, strict=True)
    ]


def without_class_texts(results: Results) -> list[str]:
    """Benchmarks whose ``run.json`` is too old to say by which texts classes were asked: their names are shown."""
    tasks = {name: sheet.get("tasks") or [] for name, sheet in results.sheets.items()}
    return [
        name
        for name, mine in tasks.items()
        if any(task.get("kind") in _ASK_CLASSES for task in mine) and not any(task.get("class_texts") for task in mine)
    ]


def draw_pairs(pairs: Sequence[Pair], number: int, *, seed: int) -> tuple[list[Pair], dict[str, float]]:
    """Draw ``number`` pairs, as equally over the strata as they allow, shuffled; and each one's weight by its id.

    The weight is how many pairs of its stratum one drawn pair stands for.
    """
    strata: dict[tuple[str, int], list[Pair]] = {}
    for pair in pairs:
        strata.setdefault(pair.stratum, []).append(pair)
    quota = _share_out({name: len(found) for name, found in strata.items()}, number)
    drawn, weights = [], {}
    for name, found in sorted(strata.items()):
        chosen = sorted(found, key=lambda pair: unit_hash(pair.id, f"judge:{seed}"))[: quota[name]]
        drawn += chosen
        weights |= {pair.id: len(found) / len(chosen) for pair in chosen}
    return sorted(drawn, key=lambda pair: unit_hash(pair.id, f"order:{seed}")), weights


def _share_out(sizes: dict[tuple[str, int], int], number: int) -> dict[tuple[str, int], int]:
    """The same number for each stratum; what a small one leaves goes to the others. Sums to ``number`` or to all."""
    quota, left = dict.fromkeys(sizes, 0), min(number, sum(sizes.values()))
    while left:
        open_ = sorted(name for name, size in sizes.items() if quota[name] < size)
        for place, name in enumerate(open_):
            part = left // len(open_) + (place < left % len(open_))
            quota[name] += min(part, sizes[name] - quota[name])
        left = min(number, sum(sizes.values())) - sum(quota.values())
    return quota


_Row = tuple[str, str, str, str, int, float]


def _texts_of_classes(results: Results, question: Question) -> dict[str, tuple[str, str]]:
    """(text, language) of each class as the question asked it; for a probe, as its benchmark's first zero-shot task."""
    tasks = (results.sheets.get(question.benchmark) or {}).get("tasks") or []
    found: dict[str, tuple[str, str]] = {}
    for task in sorted(tasks, key=lambda task: task.get("name") != question.task):
        language = str(task.get("language") or "und").split(",")[0]
        for label, text in (task.get("class_texts") or {}).items():
            found.setdefault(label, (text, language))
    return found


def _pairs_of(rows: Iterable[dict[str, Any]], classes: Mapping[str, tuple[str, str]]) -> Iterable[_Row]:
    """(text, language, key, work, rank, score) of the per-sample rows that pair a text with a picture."""
    for row in rows:
        language, work = row["language"] or "und", row["work_group"] or row["key"]
        if row["query_kind"] == "text" and row["query"]:
            nearest = zip(row["top_keys"][:DEPTH], row["top_scores"][:DEPTH], strict=True)
            for rank, (key, score) in enumerate(nearest, start=1):
                yield row["query"], language, key, work, rank, score
        elif row["y_pred"] and row["score"] is not None:
            yield *classes.get(row["y_pred"], (row["y_pred"], language)), row["key"], work, 1, row["score"]


def _standings(rows: Sequence[_Row]) -> np.ndarray:
    """Where each score stands among those of its model and question, from 0 (least) to 1: scores compare no further."""
    scores = np.array([row[5] for row in rows])
    return np.searchsorted(np.sort(scores), scores) / max(len(rows) - 1, 1)


def _bands(standings: Sequence[float]) -> list[int]:
    edges = np.quantile(standings, np.arange(1, NUM_BANDS) / NUM_BANDS)
    return [int(band) for band in np.searchsorted(edges, standings, side="right")]


def _found(model: str, question: Question, rank: int) -> Found:
    return Found(model, question.benchmark, question.task, rank)
