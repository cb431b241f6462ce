"""Intervals, paired comparisons and what a test set of this size can show; the unit of chance is the work.

Pictures of one work are no independent evidence: works are drawn with replacement (:mod:`eval.resampling`), never
pictures (cluster bootstrap; Miller 2024, arXiv 2411.00640, on why naive errors come out up to three times too small).
Percentiles of few works are too narrow, so they are taken further out (expanded percentile interval, Hesterberg 2015,
doi 10.1080/00031305.2015.1089789): of ten works' 95 % intervals 93 % then hold the truth, and 88 % would otherwise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

MIN_QUERIES = 30
MIN_WORKS = 10
CONFIDENCE = 0.95

_Z = 1.959964
# Two-sided 5 % test with 80 % power: the normal quantiles 1.96 and 0.84.
_POWER_FACTOR = _Z + 0.841621
_BLOCK_CELLS = 1_000_000  # of signs, so that they stay in the processor's cache


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
