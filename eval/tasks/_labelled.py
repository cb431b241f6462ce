"""What tasks on labelled pictures share: their metrics, their rows and what costs nothing."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from ..baselines import colour_and_shape, descriptor_similarity, largest_class, nearest_allowed
from ..data import Pictures
from ..statistics import MIN_WORKS
from .base import Measure, Queries, sample_row


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


def class_measures(task: Labelled, predicted: np.ndarray) -> tuple[Measure, ...]:
    """``accuracy@1`` and the mean over classes (``balanced_accuracy`` for two classes).

    A prediction of -1 is wrong. The mean over classes is not scored when a class has fewer than ten works: its recall
    would rest on one or two documents and weigh as much as any other.
    """
    labels, works = np.array(task.labels), works_of(task)
    correct = (predicted == labels).astype(np.float64)
    chance = np.full(len(labels), 1 / len(task.classes))
    queries = Queries(works, {"all": np.ones(len(labels), dtype=bool)})
    few = [task.classes[c] for c in np.unique(labels) if len(set(works[labels == c])) < MIN_WORKS]
    why_not = f"fewer than {MIN_WORKS} works in {', '.join(few)}" if few else ""
    by_class = "balanced_accuracy" if len(task.classes) == 2 else "mean_per_class_recall"
    return (
        Measure("accuracy@1", queries, correct, chance, is_primary=task.primary == "accuracy@1"),
        Measure(
            by_class, queries, correct, chance,
            strata=labels, is_primary=task.primary == by_class, why_not=why_not,
        ),
    )  # fmt: skip


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
    labels, works = np.array(task.labels), works_of(task)
    descriptors = colour_and_shape(task.pictures, task.positions)
    near = nearest_allowed(descriptor_similarity(descriptors, descriptors), works[:, None] != works[None])
    return {
        "largest_class": np.full(len(labels), largest_class(labels)),
        "colour_and_shape": np.where(near >= 0, labels[near], -1),
    }
