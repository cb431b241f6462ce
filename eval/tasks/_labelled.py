"""What tasks on labelled pictures share: their metrics, their rows and what costs nothing."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from iconoclip import metrics

from ..baselines import largest_class, nearest_looking
from ..data import Pictures
from ..resampling import PooledFigure
from ..statistics import MIN_WORKS
from ._slices import picture_slices
from .base import Measure, Queries, masks, sample_row

_TOP_K = 5


class Labelled(Protocol):
    """Pictures with one class each; ``labels[i]`` is an index into ``classes``."""

    @property
    def pictures(self) -> Pictures: ...
    @property
    def positions(self) -> tuple[int, ...]: ...
    @property
    def labels(self) -> tuple[int, ...]: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def language(self) -> str: ...
    @property
    def primary(self) -> str: ...


def works_of(task: Labelled) -> np.ndarray:
    """Work of each picture of the task."""
    return np.array([task.pictures.works[position] for position in task.positions])


def class_measures(task: Labelled, predicted: np.ndarray, score_QC: np.ndarray | None = None) -> tuple[Measure, ...]:
    """``accuracy@1``, the mean of recalls over classes (``balanced_accuracy`` for two classes) and ``macro_f1``.

    With scores of every class also ``accuracy@5`` and ``map_macro``. A prediction of -1 is wrong. Figures over classes
    are not scored when a class has fewer than ten works: its recall would rest on one or two documents and weigh as
    much as any other.
    """
    labels, works = np.array(task.labels), works_of(task)
    correct = (predicted == labels).astype(np.float64)
    chance = np.full(len(labels), 1 / len(task.classes))
    queries = Queries(works, masks(**picture_slices(task.pictures, task.positions)))
    why_not = few_works(task)
    by_class = "balanced_accuracy" if len(task.classes) == 2 else "mean_per_class_recall"
    found = [
        Measure("accuracy@1", queries, correct, chance, is_primary=task.primary == "accuracy@1", classes=labels),
        Measure(
            by_class, queries, correct, chance,
            strata=labels, is_primary=task.primary == by_class, why_not=why_not, classes=labels,
        ),
        pooled_measure(
            "macro_f1", queries, PooledFigure(metrics.macro_f1, (labels, predicted)), len(task.classes),
            primary=task.primary, why_not=why_not, classes=labels,
        ),
    ]  # fmt: skip
    if score_QC is None:
        return tuple(found)
    if len(task.classes) > _TOP_K:
        own_Q = score_QC[np.arange(len(labels)), labels]
        hits = ((score_QC >= own_Q[:, None]).sum(axis=1) <= _TOP_K).astype(np.float64)
        found.append(Measure(f"accuracy@{_TOP_K}", queries, hits, _TOP_K * chance, classes=labels))
    positive_QC = labels[:, None] == np.arange(len(task.classes))
    precision = PooledFigure(metrics.mean_average_precision, (score_QC, positive_QC), chance_map)
    found.append(
        pooled_measure(
            "map_macro", queries, precision, len(task.classes),
            primary=task.primary, why_not=why_not, classes=labels,
        )
    )  # fmt: skip
    return tuple(found)


def few_works(task: Labelled) -> str:
    """Which of the classes that occur have too few works for a figure; ``""`` if none."""
    labels, works = np.array(task.labels), works_of(task)
    few = [task.classes[c] for c in np.unique(labels) if len(set(works[labels == c])) < MIN_WORKS]
    return f"fewer than {MIN_WORKS} works in {', '.join(few)}" if few else ""


def pooled_measure(
    metric: str,
    queries: Queries,
    figure: PooledFigure,
    num_classes: int,
    *,
    primary: str = "",
    why_not: str = "",
    classes: np.ndarray | None = None,
) -> Measure:
    """A figure over classes that is no mean over queries."""
    count = len(queries.works)
    return Measure(
        metric, queries, np.zeros(count), np.full(count, figure.by_chance()),
        is_primary=metric == primary, why_not=why_not, pooled=figure, num_classes=num_classes, classes=classes,
    )  # fmt: skip


def chance_map(score_QC: np.ndarray, positive_QC: np.ndarray) -> float:
    """Mean over classes with a positive of the average precision that a random order reaches."""
    count = len(positive_QC)
    found = [metrics.chance_average_precision(count, int(n), count) for n in positive_QC.sum(axis=0) if n]
    return float(np.mean(found)) if found else float("nan")


def class_rows(
    task: Labelled,
    predicted: np.ndarray,
    scores: np.ndarray,
    top: Sequence[Sequence[int]] | None = None,
) -> list[dict[str, Any]]:
    """Per-sample rows; ``top[i]`` are places in ``task.positions`` of the pictures that decided, nearest first."""
    works, rows = works_of(task), []
    keys = [task.pictures.keys[position] for position in task.positions]
    for i, position in enumerate(task.positions):
        answer = int(predicted[i])
        rows.append(
            sample_row(
                key=keys[i],
                work_group=str(works[i]),
                source=task.pictures.records[position].source,
                language=task.language,
                query_kind="image",
                num_gallery=len(task.classes),
                y_true=task.classes[task.labels[i]],
                y_pred=task.classes[answer] if answer >= 0 else None,
                correct=bool(answer == task.labels[i]),
                score=float(scores[i]) if np.isfinite(scores[i]) else None,
                top_keys=[keys[j] for j in top[i]] if top is not None else [],
            )
        )
    return rows


def picture_baselines(task: Labelled) -> dict[str, np.ndarray]:
    """Predictions of the largest class and of the colour-and-shape neighbour outside the picture's document."""
    labels, near = np.array(task.labels), nearest_looking(task.pictures, task.positions)
    return {
        "largest_class": np.full(len(labels), largest_class(labels)),
        "colour_and_shape": np.where(near >= 0, labels[near], -1),
    }
