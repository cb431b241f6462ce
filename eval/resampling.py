"""Draws of works with replacement and the figures of each draw: means, medians and figures over classes.

Pictures of one work are no independent evidence, so works are drawn and never pictures. The same seed draws the same
works for every model and metric: figures of one draw belong together. :mod:`eval.statistics` judges what was drawn.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeVar

import numpy as np

# So many numbers stay in the processor's cache.
_BLOCK_CELLS = 1_000_000
_FEW_CELLS = 65_536
_KEPT_CELLS = 64_000_000
_THREADS = 4
# From so many works a kind on, drawing kinds is faster than drawing works.
_WORKS_A_KIND = 32

Combine = Literal["mean", "median"]
T = TypeVar("T")


def combine_values(values_QM: np.ndarray, combine: Combine = "mean", strata_Q: np.ndarray | None = None) -> np.ndarray:
    """Put per-query values [Q, M] together to [M]: mean or median; with strata the mean of the strata's figures."""
    reduce = np.mean if combine == "mean" else np.median
    if strata_Q is None:
        return reduce(values_QM, axis=0)
    return np.mean([reduce(values_QM[strata_Q == stratum], axis=0) for stratum in np.unique(strata_Q)], axis=0)


@dataclass(frozen=True)
class PooledFigure:
    """A figure that is no mean over queries, such as macro-F1: ``figure(*per_query, weights_RQ)`` gives [R].

    ``per_query`` are arrays [Q, ...]; float64 ``weights_RQ`` says how often each query counts in each draw.
    ``chance(*per_query)`` is what a guess reaches, None where that is not known.
    """

    figure: Callable[..., np.ndarray]
    per_query: tuple[np.ndarray, ...]
    chance: Callable[..., float] | None = None

    def __call__(self, weights_RQ: np.ndarray) -> np.ndarray:
        """One figure a draw, [R]."""
        return self.figure(*self.per_query, weights_RQ)

    def of(self, chosen: np.ndarray) -> "PooledFigure":
        """The figure over some queries alone, given by a mask or by their places."""
        return PooledFigure(self.figure, tuple(array[chosen] for array in self.per_query), self.chance)

    def by_chance(self) -> float:
        """What a guess reaches, NaN where that is not known."""
        return self.chance(*self.per_query) if self.chance else float("nan")


def resample(
    values_QM: np.ndarray,
    works_Q: Sequence[str] | np.ndarray,
    *,
    resamples: int,
    seed: int,
    combine: Combine = "mean",
    strata_Q: np.ndarray | None = None,
) -> np.ndarray:
    """Figures [resamples, M] of samples of works drawn with replacement; all M columns see the same draws.

    With strata, works are drawn within each stratum, so that none vanishes.
    """
    works_Q = np.asarray(works_Q)
    strata_Q = np.zeros(len(works_Q), dtype=np.int64) if strata_Q is None else np.asarray(strata_Q)
    figures = np.zeros((resamples, values_QM.shape[1]))
    strata = np.unique(strata_Q)
    for number, stratum in enumerate(strata):
        mine = np.flatnonzero(strata_Q == stratum)
        kinds = _Kinds.of(works_Q[mine], [values_QM[mine]])
        values_qM = values_QM[mine[kinds.queries]]
        draw = _draw_means if combine == "mean" else _draw_medians
        start = 0
        for counts_RK in kinds.draw(resamples, (seed, number)):
            figures[start : start + len(counts_RK)] += draw(values_qM, kinds.kind_q, counts_RK.astype(np.float64))
            start += len(counts_RK)
    return figures / len(strata)


def draw_works(num_works: int, *, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield float64 [rows, num_works] how often each work is drawn, ``resamples`` rows in blocks that bound memory."""
    return (counts.astype(np.float64) for counts in _blocks(num_works, resamples, (seed, 0)))


@dataclass(frozen=True, slots=True)
class _Kinds:
    """Works to be drawn; those whose queries have the same values are of one kind, of which one work is kept.

    How often works of each kind are drawn is multinomial, so that a figure's draws are distributed as if every work
    were drawn by itself, in a time that does not grow with their number. Where kinds are many, each work is its own.

    ``queries`` [q] are the places of the queries of the works that are kept, ``kind_q`` the kind of each, ``works_K``
    how many works are of each kind.
    """

    queries: np.ndarray
    kind_q: np.ndarray
    works_K: np.ndarray  # noqa: N815 (the shape)

    @classmethod
    def of(cls, works_Q: Sequence[str] | np.ndarray, values: Sequence[np.ndarray]) -> "_Kinds":
        """Kinds of works by the values [Q, ...] of their queries."""
        _, work_Q = np.unique(np.asarray(works_Q), return_inverse=True)
        num_works = int(work_Q.max()) + 1
        kind_W = _alike(work_Q, values, most=num_works // _WORKS_A_KIND)
        if kind_W is None:
            return cls(np.arange(len(work_Q)), work_Q, np.ones(num_works, dtype=np.int64))
        _, kept_K, works_K = np.unique(kind_W, return_index=True, return_counts=True)
        queries = np.flatnonzero(np.isin(work_Q, kept_K))
        return cls(queries, kind_W[work_Q[queries]], works_K)

    def draw(self, resamples: int, seed: tuple[int, int]) -> Iterator[np.ndarray]:
        """Yield whole numbers [rows, K], how often works of each kind are drawn, in blocks that bound memory."""
        num_kinds, num_works = len(self.works_K), int(self.works_K.sum())
        if num_kinds == num_works:
            yield from _blocks(num_works, resamples, seed)
            return
        rng = np.random.default_rng([*seed, num_works])
        rows = max(1, _BLOCK_CELLS // num_kinds)
        for start in range(0, resamples, rows):
            yield rng.multinomial(num_works, self.works_K / num_works, min(rows, resamples - start))


def _alike(work_Q: np.ndarray, values: Sequence[np.ndarray], *, most: int) -> np.ndarray | None:
    """Kind [W] of each work, equal for works whose queries have the same values; None for more than ``most`` kinds."""
    kind_Q = np.zeros(len(work_Q), dtype=np.int64)
    for array in values:
        for column_Q in array.reshape(len(work_Q), -1).T:
            if kind_Q.max() >= most:
                return None
            _, found_Q = np.unique(column_Q, return_inverse=True)
            kind_Q = np.unique(kind_Q * (found_Q.max() + 1) + found_Q, return_inverse=True)[1]
    order = np.lexsort((kind_Q, work_Q))
    starts_W = np.flatnonzero(np.diff(work_Q[order], prepend=-1))
    seen: dict[bytes, int] = {}
    kind_W = np.array(
        [seen.setdefault(queries.tobytes(), len(seen)) for queries in np.split(kind_Q[order], starts_W[1:])]
    )
    return kind_W if len(seen) <= most else None


def _blocks(num_works: int, resamples: int, seed: tuple[int, int]) -> Iterator[np.ndarray]:
    """Yield whole numbers [rows, W], how often each work is drawn, in blocks that bound memory."""
    rows = max(1, _BLOCK_CELLS // num_works)
    if num_works * resamples <= _KEPT_CELLS:
        kept_RW = _kept_counts(num_works, resamples, seed)
        yield from (kept_RW[start : start + rows] for start in range(0, resamples, rows))
    else:
        yield from _draw_counts(num_works, resamples, seed)


@lru_cache(maxsize=2)
def _kept_counts(num_works: int, resamples: int, seed: tuple[int, int]) -> np.ndarray:
    """The same draws serve all metrics of a task, so they are kept."""
    return np.concatenate(list(_draw_counts(num_works, resamples, seed)))


def _draw_counts(num_works: int, resamples: int, seed: tuple[int, int]) -> Iterator[np.ndarray]:
    rng = np.random.default_rng([*seed, num_works])
    rows_at_once = max(1, _BLOCK_CELLS // num_works)
    few_rows = max(1, _FEW_CELLS // num_works)
    for start in range(0, resamples, rows_at_once):
        rows = min(rows_at_once, resamples - start)
        counts_RW = np.empty((rows, num_works), np.uint8 if num_works < 256 else np.uint16)
        for first in range(0, rows, few_rows):
            drawn_rW = rng.integers(0, num_works, (min(few_rows, rows - first), num_works))
            drawn_rW += num_works * np.arange(len(drawn_rW))[:, None]
            counts = np.bincount(drawn_rW.ravel(), minlength=drawn_rW.size)
            counts_RW[first : first + few_rows] = counts.reshape(drawn_rW.shape)
        yield counts_RW


def _draw_means(values_QM: np.ndarray, cluster_Q: np.ndarray, counts_RC: np.ndarray) -> np.ndarray:
    num_clusters = counts_RC.shape[1]
    sums_CM = np.stack([np.bincount(cluster_Q, column, num_clusters) for column in values_QM.T], axis=1)
    sizes_C = np.bincount(cluster_Q, minlength=num_clusters)
    return (counts_RC @ sums_CM) / (counts_RC @ sizes_C)[:, None]


def _draw_medians(values_QM: np.ndarray, cluster_Q: np.ndarray, counts_RC: np.ndarray) -> np.ndarray:
    medians_RM = np.empty((len(counts_RC), values_QM.shape[1]))
    order_QM = np.argsort(values_QM, axis=0, kind="stable")
    rows_at_once = max(1, _BLOCK_CELLS // len(cluster_Q))
    for start in range(0, len(counts_RC), rows_at_once):
        rows = slice(start, start + rows_at_once)
        for column, order_Q in enumerate(order_QM.T):
            reached_rQ = np.cumsum(counts_RC[rows][:, cluster_Q[order_Q]], axis=1)
            half_r = reached_rQ[:, -1:] / 2
            sorted_Q = values_QM[order_Q, column]
            low, high = (reached_rQ >= half_r).argmax(axis=1), (reached_rQ > half_r).argmax(axis=1)
            medians_RM[rows, column] = (sorted_Q[low] + sorted_Q[high]) / 2
    return medians_RM


def resample_pooled(
    figures: Sequence[PooledFigure],
    works_Q: Sequence[str] | np.ndarray,
    *,
    resamples: int,
    seed: int,
) -> np.ndarray:
    """Figures [resamples, M] that are no means over queries, such as macro-F1, drawn as :func:`resample` does."""
    kinds = _Kinds.of(works_Q, [array for figure in figures for array in figure.per_query])
    kept = [figure.of(kinds.queries) for figure in figures]
    rows = max(1, _BLOCK_CELLS // len(kinds.queries))

    def work(counts_RK: np.ndarray) -> list[np.ndarray]:
        parts = (counts_RK[start : start + rows] for start in range(0, len(counts_RK), rows))
        weights = (part[:, kinds.kind_q].astype(np.float64) for part in parts)
        return [np.stack([figure(weights_RQ) for figure in kept], axis=1) for weights_RQ in weights]

    return np.concatenate([drawn for found in _by_threads(work, kinds.draw(resamples, (seed, 0))) for drawn in found])


def centre(drawn_RM: np.ndarray, figures_M: np.ndarray) -> np.ndarray:
    """Shift draws of shares over classes [R, M] so that their mean is the figure itself, within 0 and 1.

    In a draw that holds the few pictures of a class twice they rank better than they do: drawn average precisions of
    rare classes lie above the figure, and so would the interval (of 60 classes among 200 pictures two in three 95 %
    intervals would hold the truth, of shifted draws nine in ten).
    """
    return np.clip(drawn_RM + (figures_M - drawn_RM.mean(axis=0)), 0.0, 1.0)


def _by_threads(work: Callable[[np.ndarray], T], blocks: Iterator[np.ndarray]) -> Iterator[T]:
    """Yield what ``work`` makes of each block, in order; few blocks are held at a time."""
    ahead: deque[Future[T]] = deque()
    with ThreadPoolExecutor(_THREADS) as pool:
        for block in blocks:
            ahead.append(pool.submit(work, block))
            if len(ahead) > _THREADS:
                yield ahead.popleft().result()
        yield from (future.result() for future in ahead)


def spread_constant(drawn_RM: np.ndarray, values_QM: np.ndarray, *, num_works: int, seed: int) -> np.ndarray:
    """Give columns whose every query is 0 (or 1) a spread, which resampling cannot see.

    Their draws follow Beta(1, works), whose 97.5 % point is the exact binomial bound (Clopper and Pearson 1934) for
    none of so many works: 0 of 60 is then [0, 6.0 %], not [0, 0]. Equal columns get equal draws.
    """
    drawn_RM = drawn_RM.copy()
    for value in (0.0, 1.0):
        constant_M = (values_QM == value).all(axis=0)
        if constant_M.any():
            beta_R = np.random.default_rng([seed, num_works]).beta(1, num_works, len(drawn_RM))
            drawn_RM[:, constant_M] = np.abs(value - beta_R)[:, None]
    return drawn_RM


def spread_one_answer(
    drawn_RM: np.ndarray, values_QM: np.ndarray, works_Q: np.ndarray, strata_Q: np.ndarray, *, seed: int
) -> np.ndarray:
    """Give columns whose strata are each all 0 or all 1 a spread: models that give every query the same answer.

    A model that calls everything a lion has all lions right and nothing else, in every draw. Each stratum is spread as
    :func:`spread_constant` does it, by its own works; equal columns get equal draws.
    """
    masks = [strata_Q == stratum for stratum in np.unique(strata_Q)]
    first_SM = np.stack([values_QM[mask][0] for mask in masks])
    alike_M = np.all([(values_QM[mask] == values_QM[mask][0]).all(axis=0) for mask in masks], axis=0)
    one_answer_M = alike_M & np.isin(first_SM, (0.0, 1.0)).all(axis=0) & (first_SM != first_SM[0]).any(axis=0)
    if not one_answer_M.any():
        return drawn_RM
    drawn_RM, spread_Rm = drawn_RM.copy(), np.zeros((len(drawn_RM), int(one_answer_M.sum())))
    for number, (mask, values_M) in enumerate(zip(masks, first_SM, strict=True)):
        num_works = len(np.unique(works_Q[mask]))
        beta_R = np.random.default_rng([seed, num_works, number]).beta(1, num_works, len(drawn_RM))
        spread_Rm += np.abs(values_M[one_answer_M] - beta_R[:, None])
    drawn_RM[:, one_answer_M] = spread_Rm / len(masks)
    return drawn_RM
