"""How far experts agree, and what share of a model's answers they find right, both with intervals by work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .judge_pool import Pair
from .judge_sheet import JUDGEMENTS
from .resampling import PooledFigure, resample_pooled
from .statistics import CONFIDENCE, MIN_QUERIES, MIN_WORKS, interval

RESAMPLES = 10_000


@dataclass(frozen=True)
class Figure:
    """A figure with its 95 % interval; None with the reason where there are too few judgements."""

    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    n_works: int
    why_not: str = ""


def why_no_figure(num_pairs: int, num_works: int) -> str:
    """Why so many pairs that experts could tell give no figure; ``""`` where they do."""
    if num_pairs >= MIN_QUERIES and num_works >= MIN_WORKS:
        return ""
    return (
        f"{num_pairs} pairs of {num_works} works were told; a figure needs at least {MIN_QUERIES} pairs "
        f"of {MIN_WORKS} works"
    )


def kappas(first_N: np.ndarray, second_N: np.ndarray, weights_RN: np.ndarray | None = None) -> np.ndarray:
    """Cohen's kappa (1960) of two experts' judgements, [R]; NaN where both say the same of everything.

    ``weights_RN`` says how often each pair counts, a row a figure. Example: yes yes no no against yes no no no:
    agreement 3/4, by chance 1/2 x 1/4 + 1/2 x 3/4 = 1/2, kappa 1/2.
    """
    weights_RN = np.ones((1, len(first_N))) if weights_RN is None else weights_RN
    total_R = np.maximum(weights_RN.sum(axis=1), 1e-300)
    values = np.unique(np.concatenate([first_N, second_N]))
    agreed_R = weights_RN @ (first_N == second_N) / total_R
    by_chance_R = np.zeros(len(weights_RN))
    for value in values:
        by_chance_R += (weights_RN @ (first_N == value)) * (weights_RN @ (second_N == value)) / total_R**2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(by_chance_R < 1 - 1e-12, (agreed_R - by_chance_R) / (1 - by_chance_R), np.nan)


def kappa(first: Sequence[str], second: Sequence[str], works: Sequence[str], *, seed: int) -> Figure:
    """Kappa of two experts with its interval; pairs on which one of them cannot tell are left out."""
    told = [i for i, (a, b) in enumerate(zip(first, second, strict=True)) if "?" not in (a, b)]
    first_N = np.array([JUDGEMENTS.index(first[i]) for i in told])
    second_N = np.array([JUDGEMENTS.index(second[i]) for i in told])
    mine = [works[i] for i in told]
    counts = (len(told), len(set(mine)))
    why_not = why_no_figure(*counts)
    value = float("nan") if why_not else float(kappas(first_N, second_N)[0])
    if not np.isfinite(value):
        return Figure(
            None, None, None, *counts, why_not or "both say the same of every pair: there is nothing to chance"
        )
    figure = PooledFigure(kappas, (first_N, second_N))
    drawn = resample_pooled([figure], mine, resamples=RESAMPLES, seed=seed)[:, 0]
    seen = interval(np.where(np.isfinite(drawn), drawn, value), value, num_works=counts[1])
    return Figure(value, seen.low, seen.high, *counts)


def precision(
    pairs: Sequence[Pair],
    rightness: Mapping[str, float | None],
    weights: Mapping[str, float],
    *,
    model: str,
    depth: int,
    seed: int,
) -> Figure:
    """Share of a model's first ``depth`` answers that are right, estimated from the drawn pairs.

    ``rightness`` is 1, 0 or, where experts differ, between; None where it cannot be told, which leaves the pair out.
    Pairs count by their weights (Hajek's ratio estimator). Where all are right (or none), the interval is Clopper and
    Pearson's for so many works.
    """
    mine = [pair for pair in pairs if pair.is_of(model, depth) and rightness[pair.id] is not None]
    works = [pair.work for pair in mine]
    counts = (len(mine), len(set(works)))
    why_not = why_no_figure(*counts)
    if why_not:
        return Figure(None, None, None, *counts, why_not)
    right_N = np.array([rightness[pair.id] for pair in mine], dtype=np.float64)
    weight_N = np.array([weights[pair.id] for pair in mine])

    share = PooledFigure(_weighted_shares, (right_N, weight_N))
    value = float(share(np.ones((1, len(mine))))[0])
    if right_N.min() == right_N.max() and value in (0.0, 1.0):
        reach = _exact_reach(counts[1])
        return Figure(value, max(0.0, value - reach), min(1.0, value + reach), *counts)
    drawn = resample_pooled([share], works, resamples=RESAMPLES, seed=seed)[:, 0]
    seen = interval(drawn, value, num_works=counts[1])
    return Figure(value, max(0.0, seen.low), min(1.0, seen.high), *counts)


def _weighted_shares(right_N: np.ndarray, weight_N: np.ndarray, weights_RN: np.ndarray) -> np.ndarray:
    return weights_RN @ (weight_N * right_N) / np.maximum(weights_RN @ weight_N, 1e-300)


def _exact_reach(num_works: int) -> float:
    """Clopper and Pearson's bound for none of so many: 0 of 60 may be as much as 6.0 %."""
    return 1 - ((1 - CONFIDENCE) / 2) ** (1 / num_works)
