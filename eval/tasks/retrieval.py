"""Zero-shot retrieval, text to image and image to text, with several captions and several right answers.

Each gallery is ranked by itself (a collection, a fold, a language); its queries are pooled afterwards. Equal captions
are one query whose right answers are all pictures that bear it. Galleries are ranked in chunks: no full matrix.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from iconoclip import metrics

from ..data import Pictures
from ..statistics import too_few
from .base import NUM_TOP, Embedder, Measure, Need, Queries, Scores, masks, round_similarity, sample_row

Positives = Literal["caption", "work"]
Direction = Literal["text_to_image", "image_to_text"]

_CHUNK_CELLS = 16_000_000


@dataclass(frozen=True)
class Gallery:
    """Pictures and texts that are ranked against each other.

    ``positions`` [G] are pictures of the benchmark, ``texts`` [T] are distinct, ``owners[t]`` are places in ``positions``
    of the pictures that bear text t. ``stratum`` names what headline figures are averaged over.
    """

    positions: tuple[int, ...]
    texts: tuple[str, ...]
    languages: tuple[str, ...]
    owners: tuple[tuple[int, ...], ...]
    fold: int | None = None
    stratum: str = ""


@dataclass(frozen=True)
class _Side:
    """Queries of one direction in one gallery: ``positives[q]`` are columns of the gallery side."""

    works: list[str]
    sources: list[str]
    languages: list[str]
    novelty: list[str]
    positives: list[np.ndarray]


@dataclass(frozen=True)
class Retrieval:
    """Retrieval over galleries; see the module.

    ``novelty`` says of a record whether it is a ``new_page`` or a ``new_work``. ``average_strata`` makes the figure over
    all the mean over strata; strata that are too small to be scored are left out of it and printed by their count.
    ``paired_languages`` (a, b) adds the difference a less b on the pictures that have a caption in both.
    """

    pictures: Pictures
    galleries: tuple[Gallery, ...]
    name: str = "retrieval"
    positives: Positives = "caption"
    ks: tuple[int, ...] = (1, 5, 10)
    primary: str = "text_to_image/hit_rate@1"
    average_strata: bool = False
    with_collection_baseline: bool = False
    novelty: Callable[[int], str] | None = None
    paired_languages: tuple[str, str] | None = None
    directions: tuple[Direction, ...] = ("text_to_image", "image_to_text")
    zero_shot_prompts: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def prompts(self) -> tuple[str, ...]:
        """All texts of all galleries, in order."""
        return tuple(text for gallery in self.galleries for text in gallery.texts)

    @cached_property
    def language(self) -> str:
        """Languages of the texts."""
        return ",".join(sorted({language for gallery in self.galleries for language in gallery.languages}))

    def needs(self) -> list[Need]:
        """Pictures and texts of each gallery, of the run that left its fold out."""
        return [Need(gallery.fold, gallery.positions, gallery.texts) for gallery in self.galleries]

    def score(self, embedder: Embedder) -> Scores:
        """Rank every gallery with the model's embeddings."""

        def similarities(gallery: Gallery, direction: Direction) -> tuple[np.ndarray, np.ndarray]:
            images = embedder.images(gallery.fold, gallery.positions)
            texts = embedder.texts(gallery.fold, gallery.texts)
            return (texts, images) if direction == "text_to_image" else (images, texts)

        measures, rows = [], []
        for direction in self.directions:
            parts = [
                _rank(*similarities(gallery, direction), side.positives, self.ks)
                for gallery, side in zip(self.galleries, self._sides[direction], strict=True)
            ]
            measures += self._measures(direction, parts)
            for gallery, side, part in zip(self.galleries, self._sides[direction], parts, strict=True):
                rows += self._rows(direction, gallery, side, part)
        return Scores(tuple(measures), rows)

    def baselines(self) -> dict[str, Scores]:
        """For pooled galleries the model that knows of a picture only which collection it is from, computed exactly."""
        if not self.with_collection_baseline:
            return {}
        measures = []
        for direction in self.directions:
            parts = [
                self._collection_only(direction, gallery, side)
                for gallery, side in zip(self.galleries, self._sides[direction], strict=True)
            ]
            kept = [m for m in self._measures(direction, parts) if "hit_rate" in m.metric]
            measures += kept
        return {"collection_only": Scores(tuple(measures))}

    @cached_property
    def _sides(self) -> dict[Direction, list[_Side]]:
        return {
            "text_to_image": [self._text_queries(gallery) for gallery in self.galleries],
            "image_to_text": [self._image_queries(gallery) for gallery in self.galleries],
        }

    def _text_queries(self, gallery: Gallery) -> _Side:
        works = [self.pictures.works[position] for position in gallery.positions]
        component = _components(works, gallery.owners)
        by_work: dict[str, list[int]] = {}
        for column, work in enumerate(works):
            by_work.setdefault(work, []).append(column)
        positives = []
        for owners in gallery.owners:
            wider = [c for owner in owners for c in by_work[works[owner]]] if self.positives == "work" else []
            positives.append(np.unique([*owners, *wider]))
        first = [gallery.positions[owners[0]] for owners in gallery.owners]
        return _Side(
            works=[component[works[owners[0]]] for owners in gallery.owners],
            sources=[self.pictures.records[position].source for position in first],
            languages=list(gallery.languages),
            novelty=[self._novelty(position) for position in first],
            positives=positives,
        )

    def _image_queries(self, gallery: Gallery) -> _Side:
        texts_of: dict[int, list[int]] = {}
        for column, positives in enumerate(self._text_queries(gallery).positives):
            for owner in positives:
                texts_of.setdefault(int(owner), []).append(column)
        works = [self.pictures.works[position] for position in gallery.positions]
        component = _components(works, gallery.owners)
        positives = [np.array(texts_of.get(place, []), dtype=np.int64) for place in range(len(works))]
        return _Side(
            works=[component[work] for work in works],
            sources=[self.pictures.records[position].source for position in gallery.positions],
            languages=[_shared({gallery.languages[column] for column in columns}) for columns in positives],
            novelty=[self._novelty(position) for position in gallery.positions],
            positives=positives,
        )

    def _novelty(self, position: int) -> str:
        return self.novelty(position) if self.novelty else ""

    def _measures(self, direction: Direction, parts: list["_Ranks"]) -> list[Measure]:
        sides = self._sides[direction]
        joined = {name: [v for side in sides for v in getattr(side, name)] for name in ("works", "sources", "languages")}
        strata = np.repeat([gallery.stratum for gallery in self.galleries], [len(side.works) for side in sides])
        slices = masks(
            source=joined["sources"],
            language=joined["languages"],
            novelty=[value for side in sides for value in side.novelty],
        )
        works = np.array(joined["works"])
        codes = None
        if self.average_strata:
            codes = np.unique(strata, return_inverse=True)[1]
            fit = [s for s in np.unique(strata) if not too_few(int((strata == s).sum()), len(set(works[strata == s])))]
            # Where no stratum is large enough the pooled count is shown, which is then too small as well or refused.
            slices["all"] = np.isin(strata, fit) if fit else slices["all"]
        queries = Queries(works, slices)
        ranks = np.concatenate([part.ranks for part in parts])
        wrong = np.concatenate([part.num_wrong for part in parts])
        right = np.concatenate([part.num_positive for part in parts])
        asked = right > 0

        def measure(name: str, values: np.ndarray, chance: np.ndarray, **more) -> Measure:
            metric = f"{direction}/{name}"
            valid = np.where(asked, values, np.nan)
            return Measure(metric, queries, valid, chance, strata=codes, is_primary=metric == self.primary, **more)

        largest = int((wrong + right).max()) if len(wrong) else 0
        found = []
        for k in (k for k in self.ks if k == 1 or k < largest):
            hits = np.concatenate([part.hits[k] for part in parts])
            chance = np.array([metrics.chance_hit_rate(int(w + r), int(r), k) for w, r in zip(wrong, right, strict=True)])
            found.append(measure(f"hit_rate@{k}", hits, chance))
        if (right > 1).any():
            for k in (k for k in self.ks if 1 < k < largest):
                recalls = np.concatenate([part.recalls[k] for part in parts])
                chance = np.minimum(1.0, k / np.maximum(wrong + right, 1))
                found.append(measure(f"recall@{k}", recalls, chance))
        percentiles = metrics.percentile_ranks(ranks, wrong)
        chance = np.where(wrong > 0, right / (right + 1), np.nan)
        found.append(measure("mean_percentile_rank", percentiles, chance))
        by_chance = np.array([metrics.chance_rank(int(w), int(r)) for w, r in zip(wrong, right, strict=True)])
        found.append(
            measure(
                "median_rank", ranks.astype(np.float64), by_chance,
                combine="median", is_share=False, higher_is_better=False,
            )
        )  # fmt: skip
        if self.paired_languages and direction == "text_to_image":
            found.append(self._language_difference(percentiles))
        return found

    def _language_difference(self, percentiles: np.ndarray) -> Measure:
        """Percentile rank in the first language less that in the second, per picture with a caption in both."""
        first, second = self.paired_languages or ("", "")
        mean: dict[tuple[int, str], list[float]] = {}
        offset = 0
        for gallery in self.galleries:
            for text, owners in enumerate(gallery.owners):
                for owner in owners:
                    key = (gallery.positions[owner], gallery.languages[text])
                    mean.setdefault(key, []).append(percentiles[offset + text])
            offset += len(gallery.texts)
        both = sorted({place for place, _ in mean if (place, first) in mean and (place, second) in mean})
        values = np.array([np.mean(mean[place, first]) - np.mean(mean[place, second]) for place in both])
        works = np.array([self.pictures.works[place] for place in both])
        return Measure(
            f"text_to_image/mean_percentile_rank_{first}_minus_{second}",
            Queries(works, {"all": np.ones(len(both), dtype=bool)}),
            values,
            np.zeros(len(both)),
            is_share=False,
        )

    def _collection_only(self, direction: Direction, gallery: Gallery, side: _Side) -> "_Ranks":
        """Expected hits of a model that puts the query's collection first, in random order within it."""
        if direction == "text_to_image":
            columns = [self.pictures.records[position].source for position in gallery.positions]
        else:
            first = [gallery.positions[owners[0]] for owners in gallery.owners]
            columns = [self.pictures.records[position].source for position in first]
        size = {source: columns.count(source) for source in set(columns)}
        inside = [sum(columns[c] == source for c in p) for source, p in zip(side.sources, side.positives, strict=True)]
        hits = {
            k: np.array(
                [metrics.chance_hit_rate(size[s], n, k) for s, n in zip(side.sources, inside, strict=True)],
                dtype=np.float64,
            )
            for k in self.ks
        }
        right = np.array([len(p) for p in side.positives])
        nothing = np.full(len(right), np.nan)
        return _Ranks(
            ranks=nothing, num_wrong=len(columns) - right, num_positive=right, hits=hits,
            recalls=dict.fromkeys(self.ks, nothing), top=[], top_scores=[], best=nothing,
        )  # fmt: skip

    def _rows(self, direction: Direction, gallery: Gallery, side: _Side, part: "_Ranks") -> Iterator[dict]:
        keys = [self.pictures.keys[position] for position in gallery.positions]
        from_text = direction == "text_to_image"
        columns = keys if from_text else [keys[owners[0]] for owners in gallery.owners]
        percentiles = metrics.percentile_ranks(part.ranks, part.num_wrong)
        for query in range(len(side.works)):
            if not part.num_positive[query]:
                continue
            owner = gallery.owners[query][0] if from_text else query
            text = gallery.texts[query] if from_text else gallery.texts[side.positives[query][0]]
            percentile = percentiles[query]
            yield sample_row(
                key=keys[owner],
                work_group=self.pictures.works[gallery.positions[owner]],
                source=side.sources[query],
                language=side.languages[query],
                query=text,
                query_kind="text" if from_text else "image",
                rank=int(part.ranks[query]),
                num_gallery=len(columns),
                percentile=None if np.isnan(percentile) else float(percentile),
                correct=bool(part.ranks[query] == 1),
                score=float(part.best[query]),
                top_keys=[columns[c] for c in part.top[query]],
                top_scores=[float(v) for v in part.top_scores[query]],
                positive_keys=list(dict.fromkeys(columns[c] for c in side.positives[query][:NUM_TOP])),
            )


@dataclass(frozen=True)
class _Ranks:
    """Per-query outcome in one gallery; arrays [Q]."""

    ranks: np.ndarray
    num_wrong: np.ndarray
    num_positive: np.ndarray
    hits: dict[int, np.ndarray]
    recalls: dict[int, np.ndarray]
    top: list[np.ndarray]
    top_scores: list[np.ndarray]
    best: np.ndarray


def _rank(query_QD: np.ndarray, gallery_GD: np.ndarray, positives: list[np.ndarray], ks: Sequence[int]) -> _Ranks:
    """Rank a gallery for each query, some queries at a time so that memory stays bounded."""
    num_gallery = len(gallery_GD)
    num_positive = np.array([len(columns) for columns in positives], dtype=np.int64)
    ranks, best, top, top_scores = [], [], [], []
    recalls: dict[int, list[np.ndarray]] = {k: [] for k in ks}
    several = bool((num_positive > 1).any())
    at_once = max(1, _CHUNK_CELLS // max(num_gallery, 1))
    for start in range(0, len(query_QD), at_once):
        similarity_qG = round_similarity(query_QD[start : start + at_once] @ gallery_GD.T)
        positive_qG = np.zeros(similarity_qG.shape, dtype=bool)
        for row, columns in enumerate(positives[start : start + at_once]):
            positive_qG[row, columns] = True
        ranks.append(metrics.first_positive_ranks(similarity_qG, positive_qG))
        best.append(np.where(positive_qG, similarity_qG, -np.inf).max(axis=1))
        for k in ks if several else ():
            recalls[k].append(metrics.recall_at_k(similarity_qG, positive_qG, k))
        order_qk, scores_qk = _top(similarity_qG)
        top += list(order_qk)
        top_scores += list(scores_qk)
    ranks_Q = np.concatenate(ranks)
    hits = {k: (ranks_Q <= k).astype(np.float64) for k in ks}
    return _Ranks(
        ranks=ranks_Q,
        num_wrong=num_gallery - num_positive,
        num_positive=num_positive,
        hits=hits,
        recalls={k: np.concatenate(recalls[k]) if several else hits[k] for k in ks},
        top=top,
        top_scores=top_scores,
        best=np.concatenate(best),
    )


def _top(similarity_qG: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The five nearest of each query, best first; of equal ones the earlier."""
    count = min(NUM_TOP, similarity_qG.shape[1])
    order = np.argsort(-similarity_qG, axis=1, kind="stable")[:, :count]
    return order, np.take_along_axis(similarity_qG, order, axis=1)


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
