"""Intervals, paired comparisons and what a test set of this size can show; the unit of chance is the work.

Pictures of one work are no independent evidence: works are drawn with replacement, never pictures
(cluster bootstrap; Miller 2024, arXiv 2411.00640, on why naive errors come out up to three times too small).
Percentiles of few works are too narrow, so they are taken further out (expanded percentile interval, Hesterberg 2015,
doi 10.1080/00031305.2015.1089789): of ten works' 95 % intervals 93 % then hold the truth, and 88 % would otherwise.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeVar

import numpy as np
from scipy import special

MIN_QUERIES = 30
MIN_WORKS = 10
CONFIDENCE = 0.95

_Z = 1.959964
# Two-sided 5 % test with 80 % power: the normal quantiles 1.96 and 0.84.
_POWER_FACTOR = _Z + 0.841621
# So many numbers stay in the processor's cache.
_BLOCK_CELLS = 1_000_000
_FEW_CELLS = 65_536
_KEPT_CELLS = 64_000_000
_THREADS = 4
# From so many works a kind on, drawing kinds is faster than drawing works.
_WORKS_A_KIND = 32

Combine = Literal["mean", "median"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Interval:
    """95 % interval of a figure and its standard error."""

    low: float
    high: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class Difference:
    """Figure of b less figure of a, on the same queries."""

    delta: float
    low: float
    high: float
    standard_error: float
    p: float


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
    """

    figure: Callable[..., np.ndarray]
    per_query: tuple[np.ndarray, ...]

    def __call__(self, weights_RQ: np.ndarray) -> np.ndarray:
        """One figure a draw, [R]."""
        return self.figure(*self.per_query, weights_RQ)

    def of(self, chosen: np.ndarray) -> "PooledFigure":
        """The figure over some queries alone, given by a mask or by their places."""
        return PooledFigure(self.figure, tuple(array[chosen] for array in self.per_query))


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


def interval(figures_R: np.ndarray, figure: float, *, num_works: int | None = None) -> Interval:
    """95 % percentile interval of resampled figures, widened to hold the figure itself and for few works."""
    tail = _tail(num_works)
    low, high = (float(value) for value in np.quantile(figures_R, [tail, 1 - tail]))
    return Interval(min(low, figure), max(high, figure), float(figures_R.std(ddof=1)))


def proportion_interval(num_right: int, num_queries: int) -> Interval:
    """Wilson's 95 % interval (1927) of a share of independent queries, and its standard error.

    Example: 7 of 10 gives [39.7 %, 89.2 %]; 0 of 60 gives [0, 6.0 %].
    """
    n, z = num_queries, _Z
    share = num_right / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Interval(max(0.0, middle - reach), min(1.0, middle + reach), math.sqrt(share * (1 - share) / n))


def never_differed(num_works: int) -> Difference:
    """Difference of two models that agreed on every query: zero, give or take what so few works could have hidden.

    The bounds are Clopper and Pearson's for none of so many works; agreement on 60 works is [-6.0 %, +6.0 %].
    """
    reach = 1 - ((1 - CONFIDENCE) / 2) ** (1 / num_works)
    return Difference(0.0, -reach, reach, reach / _Z, 1.0)


def compare(
    delta: float, figures_a_R: np.ndarray, figures_b_R: np.ndarray, *, num_works: int | None = None
) -> Difference:
    """Paired cluster bootstrap of b less a: both saw the same draws of works.

    The two-sided p-value is twice the smaller share of draws on the other side of zero, never below 2/(R+1); with
    ``num_works`` it is widened as the interval is.
    """
    deltas_R = figures_b_R - figures_a_R
    tail = _tail(num_works)
    low, high = (float(value) for value in np.quantile(deltas_R, [tail, 1 - tail]))
    low, high = min(low, delta), max(high, delta)
    fewer = min(int((deltas_R <= 0).sum()), int((deltas_R >= 0).sum()))
    p = min(1.0, 2 * (fewer + 1) / (len(deltas_R) + 1))
    if num_works and num_works > 1:
        shrink = math.sqrt((num_works - 1) / num_works)
        p = min(1.0, float(2 * special.stdtr(num_works - 1, shrink * special.ndtri(p / 2))))
    return Difference(delta, low, high, float(deltas_R.std(ddof=1)), p)


def permutation_p(
    values_a_Q: np.ndarray, values_b_Q: np.ndarray, works_Q: Sequence[str] | np.ndarray, *, resamples: int, seed: int
) -> float:
    """Two-sided p-value of the mean difference when the two models' answers are swapped work by work at random.

    The paired randomisation test (Smucker, Allan and Carterette 2007) with the work as unit; never below 1/(R+1).
    """
    _, cluster_Q = np.unique(np.asarray(works_Q), return_inverse=True)
    sums_C = np.bincount(cluster_Q, values_b_Q - values_a_Q)
    rng = np.random.default_rng([seed, len(sums_C)])
    rows, reached, observed = max(1, _BLOCK_CELLS // len(sums_C)), 0, abs(sums_C.sum())
    for start in range(0, resamples, rows):
        signs_RC = rng.integers(0, 2, (min(rows, resamples - start), len(sums_C))) * 2 - 1
        # A swap of everything gives the same figure again: rounding must not make it smaller.
        reached += int((np.abs(signs_RC @ sums_C) >= observed * (1 - 1e-12)).sum())
    return (reached + 1) / (resamples + 1)


def mcnemar_p(right_a_Q: np.ndarray, right_b_Q: np.ndarray) -> float:
    """Exact two-sided McNemar test (1947) on the independent queries that only one of two models answers rightly.

    Example: 1 only by a, 9 only by b: 2 (1 + 10) / 2^10 = 0.0215. Without any such query it is 1.
    """
    only_a = int((right_a_Q.astype(bool) & ~right_b_Q.astype(bool)).sum())
    only_b = int((right_b_Q.astype(bool) & ~right_a_Q.astype(bool)).sum())
    total = only_a + only_b
    return min(1.0, float(2 * special.bdtr(min(only_a, only_b), total, 0.5))) if total else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979) over a family: in the order given, monotone, at most 1.

    Example: [.01, .04, .03] becomes [.03, .06, .06].
    """
    order = np.argsort(p_values, kind="stable")
    corrected, worst = [0.0] * len(p_values), 0.0
    for position, index in enumerate(order):
        worst = max(worst, min(1.0, (len(p_values) - position) * p_values[index]))
        corrected[index] = worst
    return corrected


def minimum_detectable_difference(standard_error: float) -> float | None:
    """Smallest true difference that a two-sided 5 % test finds with 80 % power; None where no spread was seen."""
    return _POWER_FACTOR * standard_error if standard_error > 0 else None


def detectable_difference(num_queries: int, *, discordant: float, design_effect: float = 1.0) -> float:
    """Smallest true difference of two shares that a paired 5 % test finds with 80 % power, before any model is run.

    ``discordant`` is the share of queries that one of the two models answers rightly and the other does not;
    ``design_effect`` is by how much works that agree inflate the variance.
    Example: 718 queries, 20 % discordant: 2.80 sqrt(0.2 / 718) = 4.7 points.
    """
    return _POWER_FACTOR * math.sqrt(discordant * design_effect / num_queries)


def too_few(num_queries: int, num_works: int) -> str:
    """Why a slice gets a count and no score; ``""`` where it is large enough."""
    if num_queries < MIN_QUERIES or num_works < MIN_WORKS:
        return (
            f"{num_queries} queries of {num_works} works; "
            f"a score needs at least {MIN_QUERIES} queries and {MIN_WORKS} works"
        )
    return ""


def _tail(num_works: int | None) -> float:
    """Share of draws beyond each end of the interval: 2.5 %, less where few works were drawn (module docstring)."""
    tail = (1 - CONFIDENCE) / 2
    if num_works is None or num_works < 2:
        return tail
    reach = special.stdtrit(num_works - 1, tail) * math.sqrt(num_works / (num_works - 1))
    return float(special.ndtr(reach))
