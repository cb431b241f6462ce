"""Rank galleries in chunks, so that no full matrix of queries x gallery is ever held."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from iconoclip import metrics

from .base import NUM_TOP, round_similarity

_CHUNK_CELLS = 16_000_000
_FOLDS = 64
_NONE = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Ranks:
    """Per-query outcome of one gallery or of several put together; arrays [Q], ``hits`` and ``recalls`` by k.

    ``top`` are columns of the five nearest, best first; ``best`` is the similarity of the best right answer.
    ``r_precisions`` and ``map_at_r`` are NaN where no query has several right answers: they would be hit_rate@1 again.
    """

    ranks: np.ndarray
    num_wrong: np.ndarray
    num_positive: np.ndarray
    hits: dict[int, np.ndarray]
    recalls: dict[int, np.ndarray]
    r_precisions: np.ndarray
    map_at_r: np.ndarray
    best: np.ndarray
    top: list[np.ndarray]
    top_scores: list[np.ndarray]

    @property
    def percentiles(self) -> np.ndarray:
        """Share of wrong answers that the best right one beats."""
        return metrics.percentile_ranks(self.ranks, self.num_wrong)


def rank_gallery(
    query_QD: np.ndarray, gallery_GD: np.ndarray, positives: Sequence[np.ndarray], ks: Sequence[int]
) -> Ranks:
    """Rank the gallery for each query; ``positives[q]`` are the right columns, ties count against the model."""
    num_gallery = len(gallery_GD)
    right: list[np.ndarray] = []
    best, top, top_scores = [], [], []
    at_once = max(1, _CHUNK_CELLS // max(num_gallery, 1))
    for start in range(0, len(query_QD), at_once):
        similarity_qG = round_similarity(query_QD[start : start + at_once] @ gallery_GD.T)
        for row_G, columns in zip(similarity_qG, positives[start : start + at_once], strict=True):
            right.append(metrics.right_ranks(row_G, columns))
            best.append(row_G[columns].max(initial=-np.inf))
        order_qk = nearest(similarity_qG, NUM_TOP)
        top += list(order_qk)
        top_scores += list(np.take_along_axis(similarity_qG, order_qk, axis=1))
    ranks_Q = np.array([ranks[0] if len(ranks) else num_gallery + 1 for ranks in right], dtype=np.int64)
    num_positive = np.array([len(ranks) for ranks in right], dtype=np.int64)
    several = bool((num_positive > 1).any())
    hits = {k: (ranks_Q <= k).astype(np.float64) for k in ks}
    return Ranks(
        ranks=ranks_Q,
        num_wrong=num_gallery - num_positive,
        num_positive=num_positive,
        hits=hits,
        recalls={k: _per_query(right, lambda ranks, k=k: (ranks <= k).mean()) if several else hits[k] for k in ks},
        r_precisions=_per_query(right if several else [_NONE] * len(right), _r_precision),
        map_at_r=_per_query(right if several else [_NONE] * len(right), _average_precision_at_r),
        best=np.array(best, dtype=np.float64),
        top=top,
        top_scores=top_scores,
    )


def _per_query(right: Sequence[np.ndarray], figure: Callable[[np.ndarray], float]) -> np.ndarray:
    """A figure of each query's right ranks, NaN where it has none."""
    return np.array([figure(ranks) if len(ranks) else np.nan for ranks in right], dtype=np.float64)


def _r_precision(ranks: np.ndarray) -> float:
    return float((ranks <= len(ranks)).mean())


def _average_precision_at_r(ranks: np.ndarray) -> float:
    precisions = np.arange(1, len(ranks) + 1) / ranks
    return float(precisions[ranks <= len(ranks)].sum() / len(ranks))


def nearest(similarity_qG: np.ndarray, count: int) -> np.ndarray:
    """Columns of the ``count`` nearest of each row, best first; of equal ones the earlier."""
    num_queries, num_gallery = similarity_qG.shape
    if num_gallery > 2 * _FOLDS * count:
        # The nearest of some columns each are so many different columns: the count-th of them is as near as the
        # count-th of all, or less. Ties at the border are cut by position, not by chance.
        even = num_gallery - num_gallery % _FOLDS
        nearest_qF = similarity_qG[:, :even].reshape(num_queries, _FOLDS, -1).max(axis=1)
        border_q = np.partition(nearest_qF, -count, axis=1)[:, -count]
        rows = []
        for row, border in zip(similarity_qG, border_q, strict=True):
            near = np.flatnonzero(row >= border)
            rows.append(near[np.argsort(-row[near], kind="stable")[:count]])
        return np.stack(rows)
    return np.argsort(-similarity_qG, axis=1, kind="stable")[:, :count]


def group_only(
    query_groups: Sequence[str],
    column_groups: Sequence[str],
    positives: Sequence[np.ndarray],
    ks: Sequence[int],
) -> Ranks:
    """Expected hits and ranks of a model that knows groups alone: the query's group first, in random order.

    Example: a group (collection, draughtsman) of 5 pictures, one of them right, gives hit rate@1 of 1/5 and rank 3 on
    average, whatever else is in the gallery. Recalls are not computed.
    """
    size = Counter(column_groups)
    inside = [
        sum(column_groups[column] == group for column in columns)
        for group, columns in zip(query_groups, positives, strict=True)
    ]
    hits = {
        k: np.array(
            [metrics.chance_hit_rate(size[s], n, k) for s, n in zip(query_groups, inside, strict=True)],
            dtype=np.float64,
        )
        for k in ks
    }
    right = np.array([len(columns) for columns in positives], dtype=np.int64)
    wrong = len(column_groups) - right
    ranks = []
    for group, total, mine, all_wrong in zip(query_groups, right, inside, wrong, strict=True):
        wrong_inside = size[group] - mine
        behind = metrics.chance_rank(all_wrong - wrong_inside, total) - 1
        ranks.append(metrics.chance_rank(wrong_inside, mine) if mine else 1 + wrong_inside + behind)
    unknown = np.full(len(right), np.nan)
    return Ranks(
        ranks=np.array(ranks, dtype=np.float64),
        num_wrong=wrong,
        num_positive=right,
        hits=hits,
        recalls=dict.fromkeys(ks, unknown),
        r_precisions=unknown,
        map_at_r=unknown,
        best=unknown,
        top=[],
        top_scores=[],
    )


def join_ranks(parts: Sequence[Ranks]) -> Ranks:
    """The outcomes of several galleries as one, in order."""

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    ks = list(parts[0].hits)
    return Ranks(
        ranks=joined("ranks"),
        num_wrong=joined("num_wrong"),
        num_positive=joined("num_positive"),
        hits={k: np.concatenate([part.hits[k] for part in parts]) for k in ks},
        recalls={k: np.concatenate([part.recalls[k] for part in parts]) for k in ks},
        r_precisions=joined("r_precisions"),
        map_at_r=joined("map_at_r"),
        best=joined("best"),
        top=[row for part in parts for row in part.top],
        top_scores=[row for part in parts for row in part.top_scores],
    )
