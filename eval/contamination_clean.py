"""Ask every question a second time, without the queries about pictures that training saw: ``subset: clean``."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .contamination import Leaks, seen_works
from .data import Pictures
from .results import Context, Evaluated, evaluate_task
from .tasks.base import Measure, Queries, Scores, Task
from .tasks.composition import Composition
from .tasks.image_retrieval import ImageRetrieval
from .tasks.retrieval import Retrieval

CLEAN = "clean"


def evaluate_clean(
    task: Task,
    pictures: Pictures,
    leaks: Leaks,
    scores: Mapping[str, Scores],
    context: Context,
    whole: Evaluated,
    refused: dict[str, str],
) -> Evaluated:
    """What one task says on clean queries; ``whole`` is what it says on all, and the same where nothing was seen.

    The gallery stays whole: only what is asked is left out, so that the two figures differ by nothing else.
    """
    if not leaks.leaks:
        return _marked(whole)
    # Baselines have no rows of their own, and the queries of the models.
    asked = next((outcome.rows for outcome in scores.values() if outcome.rows), [])
    only: dict[str, Scores] = {}
    made: dict[int, Queries] = {}
    for model, outcome in scores.items():
        measures = []
        for measure in outcome.measures:
            key = id(measure.queries)
            if key not in made:
                made[key] = _without(measure, is_clean(task, pictures, leaks, measure, asked))
            measures.append(replace(measure, queries=made[key]))
        only[model] = replace(outcome, measures=tuple(measures), rows=[], by_prompt={})
    evaluated = Evaluated()
    evaluate_task(only, context, evaluated, refused=refused)
    return _marked(evaluated)


def _marked(evaluated: Evaluated) -> Evaluated:
    results = [replace(row, subset=CLEAN) for row in evaluated.results]
    return replace(evaluated, results=results, comparisons=[replace(c, subset=CLEAN) for c in evaluated.comparisons])


def is_clean(
    task: Task, pictures: Pictures, leaks: Leaks, measure: Measure, rows: Sequence[dict[str, Any]]
) -> np.ndarray:
    """Whether each query of a measure asks about pictures that training did not see, bool [Q].

    Where a task does not say which pictures its queries are about, whole works are left out.
    """
    about = _pictures_of_queries(task, measure, rows)
    if about is None or len(about) != len(measure.queries.works):
        return ~np.isin(measure.queries.works, sorted(seen_works(pictures, leaks)))
    return np.array([leaks.keys.isdisjoint(keys) for keys in about], dtype=bool)


def _pictures_of_queries(task: Task, measure: Measure, rows: Sequence[dict[str, Any]]) -> list[tuple[str, ...]] | None:
    """Keys of the pictures that each query is about: what is shown to the model, and what it should find."""
    if isinstance(task, Retrieval):
        return _of_retrieval(task, measure.metric)
    if isinstance(task, Composition):
        return [(task.pictures.keys[pair.position],) for pair in task.pairs]
    if isinstance(task, ImageRetrieval):
        return [(row["key"], *row["positive_keys"]) for row in rows]
    positions: Sequence[int] | None = getattr(task, "positions", None)
    own: Pictures | None = getattr(task, "pictures", None)
    return None if positions is None or own is None else [(own.keys[position],) for position in positions]


def _of_retrieval(task: Retrieval, metric: str) -> list[tuple[str, ...]]:
    keys, works = task.pictures.keys, task.pictures.works
    found: list[tuple[str, ...]] = []
    for gallery in task.galleries:
        if not metric.startswith("text_to_image/"):
            found += [(keys[position],) for position in gallery.positions]
            continue
        of_work: dict[str, list[str]] = {}
        for position in gallery.positions:
            of_work.setdefault(works[position], []).append(keys[position])
        for owners in gallery.owners:
            own = [gallery.positions[owner] for owner in owners]
            wider = [key for p in own for key in of_work[works[p]]] if task.positives == "work" else []
            found.append((*(keys[p] for p in own), *wider))
    return found


def _without(measure: Measure, clean_Q: np.ndarray) -> Queries:
    return replace(measure.queries, slices={name: mask & clean_Q for name, mask in measure.queries.slices.items()})
