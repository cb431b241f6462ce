"""Pictures and texts that are ranked against each other, and the queries that follow from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..data import Pictures

Positives = Literal["caption", "work"]


@dataclass(frozen=True)
class Gallery:
    """One gallery of a retrieval task.

    ``positions`` [G] are pictures of the benchmark, ``texts`` [T] are distinct, ``owners[t]`` are places in
    ``positions`` of the pictures that bear text t. ``stratum`` names what headline figures are averaged over.
    """

    positions: tuple[int, ...]
    texts: tuple[str, ...]
    languages: tuple[str, ...]
    owners: tuple[tuple[int, ...], ...]
    fold: int | None = None
    stratum: str = ""


@dataclass(frozen=True)
class Side:
    """The queries of one direction in one gallery; ``positives[q]`` are columns of the side that is searched.

    ``positions[q]`` is a picture of the query, by which it is sliced.
    """

    works: list[str]
    positions: list[int]
    languages: list[str]
    novelty: list[str]
    positives: list[np.ndarray]


def text_queries(gallery: Gallery, pictures: Pictures, positives: Positives, novelty: Sequence[str] = ()) -> Side:
    """Each distinct text asks for the pictures that bear it, or for all pictures of their works."""
    works = [pictures.works[position] for position in gallery.positions]
    component = _components(works, gallery.owners)
    by_work: dict[str, list[int]] = {}
    for column, work in enumerate(works):
        by_work.setdefault(work, []).append(column)
    right = []
    for owners in gallery.owners:
        wider = [c for owner in owners for c in by_work[works[owner]]] if positives == "work" else []
        right.append(np.unique([*owners, *wider]))
    first = [gallery.positions[owners[0]] for owners in gallery.owners]
    return Side(
        works=[component[works[owners[0]]] for owners in gallery.owners],
        positions=first,
        languages=list(gallery.languages),
        novelty=[novelty[position] if novelty else "" for position in first],
        positives=right,
    )


def image_queries(gallery: Gallery, pictures: Pictures, positives: Positives, novelty: Sequence[str] = ()) -> Side:
    """Each picture asks for the texts of which it is a right answer; a picture without one is no query."""
    texts_of: dict[int, list[int]] = {}
    for text, owners in enumerate(text_queries(gallery, pictures, positives).positives):
        for owner in owners:
            texts_of.setdefault(int(owner), []).append(text)
    works = [pictures.works[position] for position in gallery.positions]
    component = _components(works, gallery.owners)
    right = [np.array(texts_of.get(place, []), dtype=np.int64) for place in range(len(works))]
    return Side(
        works=[component[work] for work in works],
        positions=list(gallery.positions),
        languages=[_shared({gallery.languages[text] for text in texts}) for texts in right],
        novelty=[novelty[position] if novelty else "" for position in gallery.positions],
        positives=right,
    )


def _components(works: Sequence[str], owners: Sequence[Sequence[int]]) -> dict[str, str]:
    """Name of each work's group: works that share a caption are one, since one query answers for all of them."""
    parent = {work: work for work in works}

    def root(work: str) -> str:
        while parent[work] != work:
            parent[work] = parent[parent[work]]
            work = parent[work]
        return work

    for group in owners:
        first = root(works[group[0]])
        for owner in group[1:]:
            parent[root(works[owner])] = first
    return {work: root(work) for work in parent}


def _shared(languages: set[str]) -> str:
    return languages.pop() if len(languages) == 1 else ""
