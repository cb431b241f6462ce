"""Whether a model serves some centuries or places worse, or shows them more often, than chance would have it.

Groups come from the catalogue and are permuted among works for the null: what is left is what the group has to do with
it. A group of fewer than 30 queries or 10 works is counted and not judged. There is no single score of fairness here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .statistics import MIN_QUERIES, MIN_WORKS

PERMUTATIONS = 500


@dataclass(frozen=True)
class Group:
    """One group: its size, and its figure (share right) or its share shown with the share that chance would show."""

    name: str
    n: int
    works: int
    value: float | None
    expected: float | None = None


@dataclass(frozen=True)
class Finding:
    """A statistic over groups, where 95 of 100 permutations of the groups lie below, and the permutation p-value."""

    statistic: float | None
    null_95: float | None
    p: float | None
    groups: tuple[Group, ...]
    why_not: str = ""


def gap(
    values_Q: np.ndarray,
    groups_Q: Sequence[str],
    works_Q: Sequence[str],
    *,
    seed: int,
    permutations: int = PERMUTATIONS,
) -> Finding:
    """Largest less smallest mean of ``values_Q`` over groups (``""`` is of none), against groups permuted among works.

    Example: three works right of group a, three wrong of group b: a gap of 1, which 2 of 20 permutations reach.
    """
    known = np.array([bool(group) for group in groups_Q])
    works, group_of, unit_of = _units([w for w, k in zip(works_Q, known, strict=True) if k], _known(groups_Q))
    sums_W, counts_W = np.bincount(unit_of, values_Q[known]), np.bincount(unit_of)
    names, code_W = np.unique(group_of, return_inverse=True) if works else (np.array([]), np.array([], dtype=int))
    sizes, num_works = np.bincount(code_W, counts_W, len(names)), np.bincount(code_W, minlength=len(names))
    judged = (sizes >= MIN_QUERIES) & (num_works >= MIN_WORKS)

    def means(code_W: np.ndarray) -> np.ndarray:
        return np.bincount(code_W, sums_W, len(names)) / np.maximum(np.bincount(code_W, counts_W, len(names)), 1)

    observed = means(code_W)
    groups = tuple(
        Group(str(name), int(sizes[i]), int(num_works[i]), float(observed[i]) if judged[i] else None)
        for i, name in enumerate(names)
    )
    if judged.sum() < 2:
        return Finding(None, None, None, groups, _too_few(int(judged.sum())))
    rng = np.random.default_rng([seed, len(code_W)])
    null = np.array([float(np.ptp(means(rng.permutation(code_W))[judged])) for _ in range(permutations)])
    return _finding(float(np.ptp(observed[judged])), null, groups)


def exposure(
    shown: Sequence[int], groups_N: Sequence[str], works_N: Sequence[str], strata_N: Sequence[str], *, seed: int,
    permutations: int = PERMUTATIONS,
) -> Finding:  # fmt: skip
    """Whether answers show groups more or less often than the galleries hold them: the largest |ln(share / expected)|.

    ``shown`` are places of the pictures that were shown, once for each time; groups are permuted among the works of one
    stratum (the pictures that one gallery holds), and their mean is what is expected. It is MaxSkew (Geyik and others
    2019, arXiv 1905.01989), in either direction, with its null.
    """
    places = [place for place, group in enumerate(groups_N) if group]
    index = {place: row for row, place in enumerate(places)}
    units, group_of, unit_of = _units([f"{strata_N[p]}\x1f{works_N[p]}" for p in places], [groups_N[p] for p in places])
    if not units:
        return Finding(None, None, None, (), _too_few(0))
    names, code_W = np.unique(group_of, return_inverse=True)
    slots = [unit_of[index[place]] for place in shown if place in index]
    slots_W = np.bincount(np.array(slots, dtype=np.int64), minlength=len(units))
    pictures_W = np.bincount(unit_of, minlength=len(units))
    sizes, num_works = np.bincount(code_W, pictures_W, len(names)), np.bincount(code_W, minlength=len(names))
    judged = (sizes >= MIN_QUERIES) & (num_works >= MIN_WORKS)
    strata = [np.flatnonzero(np.array([unit.startswith(f"{s}\x1f") for unit in units])) for s in sorted(set(strata_N))]
    rng = np.random.default_rng([seed, len(units)])
    drawn = np.empty((permutations, len(names)))
    for number in range(permutations):
        permuted = code_W.copy()
        for rows in strata:
            permuted[rows] = code_W[rng.permutation(rows)]
        drawn[number] = np.bincount(permuted, slots_W, len(names))
    total = max(1, int(slots_W.sum()))
    expected, observed = drawn.mean(axis=0) / total, np.bincount(code_W, slots_W, len(names)) / total
    groups = tuple(
        Group(str(name), int(sizes[i]), int(num_works[i]), float(observed[i]), float(expected[i]))
        for i, name in enumerate(names)
    )
    if judged.sum() < 2 or not slots:
        return Finding(None, None, None, groups, _too_few(int(judged.sum())))
    half = 0.5 / total  # a group that is never shown has no logarithm

    def skew(share: np.ndarray) -> np.ndarray:
        return np.abs(np.log((share[..., judged] + half) / (expected[judged] + half))).max(axis=-1)

    return _finding(float(skew(observed)), skew(drawn / total), groups)


def share_difference(
    first: Sequence[tuple[str, str]], second: Sequence[tuple[str, str]], *, seed: int, permutations: int = PERMUTATIONS
) -> Finding:
    """How differently two sets of (group, work) are made up: half the sum of |share - share|, 0 alike, 1 disjoint.

    The null deals the works anew to two sets of as many works. ``value`` of a group is its share of the first set,
    ``expected`` that of the second.
    """
    sides = [[(group, work) for group, work in side if group] for side in (first, second)]
    if not all(sides):
        return Finding(None, None, None, (), "one of the two sets has no stated group")
    both = [(group, f"{number}\x1f{work}", number) for number, side in enumerate(sides) for group, work in side]
    units, group_of, unit_of = _units([work for _, work, _ in both], [group for group, _, _ in both])
    names, code_W = np.unique(group_of, return_inverse=True)
    sizes_W = np.bincount(unit_of)
    is_first_W = np.array([unit.startswith("0\x1f") for unit in units])

    def shares(mask_W: np.ndarray) -> np.ndarray:
        counts = np.bincount(code_W[mask_W], sizes_W[mask_W], len(names))
        return counts / max(1.0, counts.sum())

    def distance(mask_W: np.ndarray) -> float:
        return float(np.abs(shares(mask_W) - shares(~mask_W)).sum() / 2)

    own, other = shares(is_first_W), shares(~is_first_W)
    sizes, num_works = np.bincount(code_W, sizes_W, len(names)), np.bincount(code_W, minlength=len(names))
    groups = tuple(
        Group(str(name), int(sizes[i]), int(num_works[i]), float(own[i]), float(other[i]))
        for i, name in enumerate(names)
    )
    rng = np.random.default_rng([seed, len(units)])
    null = np.array([distance(rng.permutation(is_first_W)) for _ in range(permutations)])
    return _finding(distance(is_first_W), null, groups)


def _known(groups: Sequence[str]) -> list[str]:
    return [group for group in groups if group]


def _units(works: Sequence[str], groups: Sequence[str]) -> tuple[list[str], list[str], np.ndarray]:
    """Works in order, the group of each (its first picture's), and the place of each picture's work."""
    place: dict[str, int] = {}
    group_of: list[str] = []
    for work, group in zip(works, groups, strict=True):
        if work not in place:
            place[work] = len(place)
            group_of.append(group)
    return list(place), group_of, np.array([place[work] for work in works], dtype=np.int64)


def _finding(statistic: float, null: np.ndarray, groups: tuple[Group, ...]) -> Finding:
    # Rounding must not make a permutation that changes nothing seem smaller.
    reached = int((null >= statistic - 1e-12).sum())
    return Finding(statistic, float(np.quantile(null, 0.95)), (reached + 1) / (len(null) + 1), groups)


def _too_few(judged: int) -> str:
    return f"{judged} groups of at least {MIN_QUERIES} queries and {MIN_WORKS} works; two are needed"
