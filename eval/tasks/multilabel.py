"""Zero-shot labelling with several right labels a picture, flat and by the levels of a hierarchy.

Every label is the renormalised mean of its prompts; all of them are ranked for each picture. Figures over labels leave
out those without a positive and say so; ``map_clip_benchmark`` counts them with 0, as clip_benchmark does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from iconoclip import metrics

from ..data import Pictures
from ..resampling import PooledFigure
from ._labelled import chance_map, pooled_measure
from ._slices import picture_slices
from .base import NUM_TOP, Embedder, Measure, Need, Queries, Scores, masks, round_similarity, sample_row
from .classification import class_weights

_CLOSURE_SIZES = (1, 5)
_MAX_LEVELS = 8
_MAP_LEVELS = (1, 2, 3, 4)
# Figures over more labels than this are drawn for all pictures only: a slice of them would cost minutes.
_MANY_LABELS = 100


@dataclass(frozen=True)
class MultiLabel:
    """Rank labels for pictures that no run has trained on.

    ``labels[i]`` are places in ``classes`` of the right labels of picture i; ``paths[c]`` goes from the top of the
    hierarchy down to class c (empty for a flat list); ``truths[i]`` holds all true labels of picture i with all that is
    above them, also those that are no class. ``queries_are`` names what is asked: pictures, or texts about them.
    """

    name: str
    pictures: Pictures
    positions: tuple[int, ...]
    labels: tuple[tuple[int, ...], ...]
    classes: tuple[str, ...]
    class_prompts: tuple[tuple[str, ...], ...]
    language: str
    paths: tuple[tuple[str, ...], ...] = ()
    truths: tuple[frozenset[str], ...] = ()
    ks: tuple[int, ...] = (1, 10)
    primary: str = "map_macro"
    texts: tuple[str, ...] = ()
    texts_language: str = ""

    @property
    def prompts(self) -> tuple[str, ...]:
        """All prompts, label by label, and the texts that are asked about where pictures are not."""
        return (*(prompt for prompts in self.class_prompts for prompt in prompts), *self.texts)

    @property
    def zero_shot_prompts(self) -> dict[str, tuple[str, ...]]:
        """The prompts by their language."""
        return {self.language: tuple(prompt for prompts in self.class_prompts for prompt in prompts)}

    @property
    def texts_by_language(self) -> dict[str, tuple[str, ...]]:
        """Prompts, and the texts that are asked about."""
        found = self.zero_shot_prompts
        if self.texts:
            found[self.texts_language] = (*found.get(self.texts_language, ()), *self.texts)
        return found

    def needs(self) -> list[Need]:
        """Prompts, and pictures or texts."""
        return [Need(None, () if self.texts else self.positions, self.prompts)]

    def score(self, embedder: Embedder) -> Scores:
        """Rank all labels for each picture."""
        prompts_PD = embedder.texts(None, self.zero_shot_prompts[self.language])
        weights_CD = class_weights(prompts_PD, [len(prompts) for prompts in self.class_prompts])
        asked_QD = embedder.texts(None, self.texts) if self.texts else embedder.images(None, self.positions)
        return self._score(round_similarity(asked_QD @ weights_CD.T))

    def baselines(self) -> dict[str, Scores]:
        """Labels by how often they are right among these pictures, the same order for every picture."""
        order = np.broadcast_to(self._positive.mean(axis=0), self._positive.shape)
        return {"most_frequent_labels": Scores(self._score(order).measures)}

    @cached_property
    def _positive(self) -> np.ndarray:
        positive = np.zeros((len(self.positions), len(self.classes)), dtype=bool)
        for query, labels in enumerate(self.labels):
            positive[query, list(labels)] = True
        return positive

    @cached_property
    def _queries(self) -> Queries:
        works = np.array([self.pictures.works[position] for position in self.positions])
        return Queries(works, masks(**picture_slices(self.pictures, self.positions)))

    def _score(self, similarity_QC: np.ndarray) -> Scores:
        measures = [*self._over_labels(similarity_QC), *self._per_picture(similarity_QC)]
        if self.paths:
            measures += self._by_level(similarity_QC)
        return Scores(tuple(measures), self._rows(similarity_QC))

    def _over_labels(self, similarity_QC: np.ndarray) -> list[Measure]:
        positive_QC = self._positive
        empty = int((~positive_QC.any(axis=0)).sum())
        queries = self._queries
        if len(self.classes) > _MANY_LABELS:
            queries = Queries(queries.works, {"all": queries.slices["all"]})
        pooled = PooledFigure(metrics.mean_average_precision, (similarity_QC, positive_QC), chance_map)
        count = len(self.classes)
        found = [pooled_measure("map_macro", queries, pooled, count, primary=self.primary)]
        if empty:
            of_all = PooledFigure(partial(_share_of_map, 1 - empty / count), pooled.per_query)
            found.append(pooled_measure("map_clip_benchmark", queries, of_all, count))
        for level in _MAP_LEVELS if self.paths else ():
            score_QN, right_QN = self._at_level(similarity_QC, level)
            if right_QN.shape[1] > 1:
                figures = PooledFigure(metrics.mean_average_precision, (score_QN, right_QN), chance_map)
                found.append(pooled_measure(f"map_macro_level_{level}", queries, figures, right_QN.shape[1]))
        return found

    def _at_level(self, similarity_QC: np.ndarray, level: int) -> tuple[np.ndarray, np.ndarray]:
        """Scores and truth of the labels of one level [Q, N]: a label scores as the best class at or below it."""
        nodes = [path[level - 1] if len(path) >= level else "" for path in self.paths]
        names = sorted(set(nodes) - {""})
        score_QN = np.full((len(similarity_QC), len(names)), -np.inf)
        for number, name in enumerate(names):
            score_QN[:, number] = similarity_QC[:, [c for c, node in enumerate(nodes) if node == name]].max(axis=1)
        right_QN = np.array([[name in truth for name in names] for truth in self.truths], dtype=bool)
        return score_QN, right_QN.reshape(len(self.truths), len(names))

    def _per_picture(self, similarity_QC: np.ndarray) -> list[Measure]:
        positive_QC = self._positive
        right = positive_QC.sum(axis=1)
        count = len(self.classes)
        ranks = metrics.first_positive_ranks(similarity_QC, positive_QC)

        def measure(name: str, values: np.ndarray, chance: np.ndarray, *, is_share: bool = True) -> Measure:
            values = np.where(right > 0, values, np.nan)
            return Measure(name, self._queries, values, chance, is_share=is_share, is_primary=name == self.primary)

        found = [measure("r_precision", metrics.r_precisions(similarity_QC, positive_QC), right / count)]
        for k in (k for k in self.ks if k == 1 or k < count):
            guess = np.array([metrics.chance_hit_rate(count, int(r), k) for r in right])
            found.append(measure(f"hit_rate@{k}", (ranks <= k).astype(np.float64), guess))
        guess = np.array([metrics.chance_average_precision(count, int(r), int(r)) for r in right])
        found.append(measure("map@r", metrics.average_precisions_at_r(similarity_QC, positive_QC), guess))
        mean_ranks = self._mean_ranks(similarity_QC)
        found.append(measure("mean_label_rank", mean_ranks, np.full(len(right), (count + 1) / 2), is_share=False))
        return found

    def _mean_ranks(self, similarity_QC: np.ndarray) -> np.ndarray:
        """Mean rank of each picture's right labels (EUFCC-340K's average rank position); ties count against."""
        found = np.full(len(similarity_QC), np.nan)
        for query, labels in enumerate(self.labels):
            if labels:
                own = similarity_QC[query, list(labels)]
                wrong = np.sort(similarity_QC[query, ~self._positive[query]])
                before = len(wrong) - np.searchsorted(wrong, own, side="left")
                among = (own[None] > own[:, None]).sum(axis=1)
                # Right labels that tie with each other share the places that they take together.
                shared = ((own[None] == own[:, None]).sum(axis=1) - 1) / 2
                found[query] = (1 + before + among + shared).mean()
        return found

    def _by_level(self, similarity_QC: np.ndarray) -> list[Measure]:
        """Hierarchical precision, recall and F of the first k labels, and how deep the first one is right."""
        # Of labels that tie the wrong ones are taken first.
        order_QC = np.lexsort((self._positive, -similarity_QC), axis=1)
        unknown = np.full(len(self.truths), np.nan)
        found = []
        for k in (k for k in _CLOSURE_SIZES if k <= len(self.classes)):
            closed = [frozenset(level for c in row[:k] for level in self.paths[c]) for row in order_QC]
            scores = metrics.hierarchical_scores(closed, self.truths)
            for name, values in zip(("precision", "recall", "f1"), scores, strict=True):
                metric = f"hierarchical_{name}@{k}"
                found.append(Measure(metric, self._queries, values, unknown, is_primary=metric == self.primary))
        first = [self.paths[row[0]] for row in order_QC]
        shared = np.array(
            [sum(level in truth for level in path) for path, truth in zip(first, self.truths, strict=True)]
        )
        depths = np.array([self._depth(query) for query in range(len(self.truths))])
        ratio = np.where(depths > 0, np.minimum(shared, depths) / np.maximum(depths, 1), np.nan)
        found.append(Measure("mean_lca_depth_ratio", self._queries, ratio, unknown))
        for level in range(1, min(_MAX_LEVELS, int(depths.max(initial=0))) + 1):
            values = np.where(depths >= level, (shared >= level).astype(np.float64), np.nan)
            if np.isfinite(values).any():
                found.append(Measure(f"accuracy_level_{level}", self._queries, values, unknown))
        return found

    def _depth(self, query: int) -> int:
        """Depth of the deepest right class of a picture; 0 without one."""
        return max((len(self.paths[c]) for c in self.labels[query]), default=0)

    def _rows(self, similarity_QC: np.ndarray) -> list[dict[str, Any]]:
        ranks = metrics.first_positive_ranks(similarity_QC, self._positive)
        order_Qk = np.argsort(-similarity_QC, axis=1, kind="stable")[:, :NUM_TOP]
        rows = []
        for query, position in enumerate(self.positions):
            if not self.labels[query]:
                continue
            record, first = self.pictures.records[position], int(order_Qk[query, 0])
            rows.append(
                sample_row(
                    key=self.pictures.keys[position],
                    work_group=self.pictures.works[position],
                    source=record.source,
                    language=self.texts_language or self.language,
                    query=self.texts[query] if self.texts else "",
                    query_kind="text" if self.texts else "image",
                    rank=int(ranks[query]),
                    num_gallery=len(self.classes),
                    y_true="; ".join(self.classes[c] for c in self.labels[query]),
                    y_pred=self.classes[first],
                    correct=bool(ranks[query] == 1),
                    score=float(similarity_QC[query, first]),
                )
            )
        return rows


def _share_of_map(share: float, score_QC: np.ndarray, positive_QC: np.ndarray, weights_RQ: np.ndarray) -> np.ndarray:
    """CLIP_benchmark's mean, in which classes without a positive count as 0."""
    return share * metrics.mean_average_precision(score_QC, positive_QC, weights_RQ)


def group_labels(
    paths_of: Sequence[Sequence[tuple[str, ...]]], members: Sequence[Sequence[tuple[str, ...]]]
) -> tuple[tuple[tuple[int, ...], ...], tuple[frozenset[str], ...]]:
    """(labels, truths) of pictures whose true labels have these paths; ``members[c]`` are the paths of class c.

    A true label that is no class counts for the deepest class above it: a cataloguer's ``25F23(LION)(+12)`` is right
    when ``25F23(LION)`` is asked for.
    """
    place = {path[-1]: number for number, paths in enumerate(members) for path in paths}
    labels, truths = [], []
    for paths in paths_of:
        deepest = (next((place[level] for level in reversed(path) if level in place), None) for path in paths)
        labels.append(tuple(sorted({c for c in deepest if c is not None})))
        truths.append(frozenset(level for path in paths for level in path))
    return tuple(labels), tuple(truths)
