"""How sure a classifier may be taken to be: calibration, risk and coverage, and thresholds that keep a promise.

Pictures are dealt by work to a fitting part and a measuring part. On the first the temperature is fitted and candidate
thresholds are put in order: the most promising one, then lower and lower ones. On the second everything is measured,
and the thresholds are tested in that order until one fails (fixed-sequence testing with an order from other data;
Angelopoulos and others 2021, arXiv 2110.01052, section 2). The last one that passed keeps its promise in 95 of 100 such
measurements, however many were tried. Pictures of one work are no independent evidence, so the tests count one picture
of each work, drawn by a hash.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import integrate, optimize, special

from iconoclip import iconclass
from iconoclip.records import unit_hash

CONFIDENCE = 0.95
NUM_BINS = 15
_FIT_SHARE = 0.4
_NUM_THRESHOLDS = 200
_SCALES = (1e-2, 1e4)


@dataclass(frozen=True)
class LabelTree:
    """Labels that may be given: the classes, and with Iconclass notations what is above them.

    ``is_under_CK``: whether class c is node k or lies below it; ``depths_K`` is the level, 1 everywhere without a
    hierarchy. What is above all classes says nothing about a picture and is no node.
    """

    nodes: tuple[str, ...]
    depths_K: np.ndarray  # noqa: N815 (the shape)
    is_under_CK: np.ndarray  # noqa: N815


@dataclass(frozen=True)
class Promise:
    """A threshold on the calibrated probability above which at least ``precision`` of the labels are right.

    ``threshold`` None: none could be certified, for the reason in ``why_not``. ``works`` and ``works_right`` are what
    was counted, ``lower_bound`` Clopper and Pearson's of their precision; ``coverage`` is the share of the measuring
    part's pictures that get a label, ``coverage_by_depth`` the same by level of the label.
    """

    precision: float
    confidence: float
    threshold: float | None
    works: int = 0
    works_right: int = 0
    lower_bound: float | None = None
    coverage: float = 0.0
    coverage_by_depth: dict[int, float] | None = None
    why_not: str = ""


def label_tree(classes: Sequence[str]) -> LabelTree:
    """Classes with what is above them where all are Iconclass notations, else the classes alone.

    Example: 11H(JEROME), 11H(PETER) and 25F23 have the nodes 11H(JEROME), 11H(PETER), 11H, 11, 1, 25F23, ... 2.
    """
    paths = _paths(classes)
    above_all = set.intersection(*(set(path) for path in paths)) if len(paths) > 1 else set()
    nodes = dict.fromkeys(node for path in paths for node in path if node not in above_all)
    depths = {node: level for path in paths for level, node in enumerate(path, start=1)}
    return LabelTree(
        nodes=tuple(nodes),
        depths_K=np.array([depths[node] for node in nodes]),
        is_under_CK=np.array([[node in path for node in nodes] for path in paths]),
    )


def _paths(classes: Sequence[str]) -> list[tuple[str, ...]]:
    try:
        # 11H(...), a place for a name, is no label that anybody would give.
        return [tuple(node for node in iconclass.parse(name).path if "(...)" not in node) for name in classes]
    except iconclass.InvalidNotationError:
        return [(name,) for name in classes]


def fitting_part(works: Sequence[str], *, salt: str = "calibration") -> np.ndarray:
    """Whether each picture belongs to the fitting part, bool [N]; a work is never on both sides."""
    share_of = {work: unit_hash(work, salt) for work in set(works)}
    return np.array([share_of[work] < _FIT_SHARE for work in works], dtype=bool)


def one_per_work(works: Sequence[str], keys: Sequence[str]) -> np.ndarray:
    """Positions of one picture of each work, the one whose key has the lowest hash; sorted."""
    best: dict[str, tuple[float, int]] = {}
    for position, (work, key) in enumerate(zip(works, keys, strict=True)):
        best[work] = min(best.get(work, (2.0, -1)), (unit_hash(key, "one-per-work"), position))
    return np.array(sorted(position for _, position in best.values()), dtype=np.int64)


def probabilities(cosine_NC: np.ndarray, scale: float) -> np.ndarray:
    """Softmax over classes of ``scale`` x cosine, float64 [N, C]."""
    return special.softmax(scale * np.asarray(cosine_NC, dtype=np.float64), axis=1)


def fit_scale(cosine_NC: np.ndarray, labels_N: np.ndarray) -> float:
    """Scale of the cosines (1 / temperature) with the least negative log-likelihood (Guo and others 2017, 1706.04599).

    Bounded to 0.01 .. 10,000: where every picture is right, likelihood grows without end.
    """
    cosine_NC = np.asarray(cosine_NC, dtype=np.float64)

    def loss(log_scale: float) -> float:
        logits_NC = math.exp(log_scale) * cosine_NC
        own_N = logits_NC[np.arange(len(labels_N)), labels_N]
        return float((special.logsumexp(logits_NC, axis=1) - own_N).mean())

    low, high = (math.log(bound) for bound in _SCALES)
    # The loss is convex in the scale, hence has one valley in its logarithm too.
    found = optimize.minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-4})
    return math.exp(float(found.x))


def mass_bins(confidence_N: np.ndarray, num_bins: int = NUM_BINS) -> np.ndarray:
    """Bin of each picture, int [N], with as near as can be the same number of pictures in each; ties share a bin."""
    num_bins = max(1, min(num_bins, len(confidence_N)))
    edges = np.quantile(confidence_N, np.arange(1, num_bins) / num_bins)
    return np.searchsorted(np.unique(edges), confidence_N, side="right")


def calibration_errors(
    confidence_N: np.ndarray, correct_N: np.ndarray, bins_N: np.ndarray, weights_RN: np.ndarray | None = None
) -> np.ndarray:
    """Expected calibration error, [R]: the mean over pictures of |share right - mean confidence| of their bin.

    ``weights_RN`` says how often each picture counts, a row a figure. Example: two pictures in one bin with confidence
    0.9 and 0.7, one right: |0.5 - 0.8| = 0.3.
    """
    weights_RN = np.ones((1, len(confidence_N))) if weights_RN is None else weights_RN
    one_hot_NB = bins_N[:, None] == np.unique(bins_N)
    gaps_RB = weights_RN @ ((correct_N - confidence_N)[:, None] * one_hot_NB)
    return np.abs(gaps_RB).sum(axis=1) / np.maximum(weights_RN.sum(axis=1), 1e-300)


def risk_coverage(confidence_N: np.ndarray, correct_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share accepted and share wrong among the accepted at each distinct confidence, the surest first."""
    ends, errors = _accepted(confidence_N, correct_N)
    return ends / len(confidence_N), errors / ends


def augrc(confidence_N: np.ndarray, correct_N: np.ndarray, weights_RN: np.ndarray | None = None) -> np.ndarray:
    """Area under generalised risk (accepted and wrong, of all) over coverage, [R]; 0 is best.

    Traub and others 2024 (arXiv 2407.01032): (1 - AUROC) acc (1 - acc) + (1 - acc)^2 / 2.
    Example: right, wrong in this order of confidence: 0, then 1 of 2: (0 + 0) / 2 / 2 + (0 + 1/2) / 2 / 2 = 0.125.
    """
    weights_RN = np.ones((1, len(confidence_N))) if weights_RN is None else weights_RN
    order = np.argsort(-confidence_N, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(confidence_N[order]) != 0, True))
    wrong_N = 1.0 - correct_N
    total_R = np.maximum(weights_RN.sum(axis=1, keepdims=True), 1e-300)
    coverage = np.cumsum(weights_RN[:, order], axis=1)[:, ends] / total_R
    risk = np.cumsum((weights_RN * wrong_N)[:, order], axis=1)[:, ends] / total_R
    start = np.zeros((len(weights_RN), 1))
    return np.asarray(integrate.trapezoid(np.hstack([start, risk]), np.hstack([start, coverage]), axis=1))


def _accepted(confidence_N: np.ndarray, correct_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(-confidence_N, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(confidence_N[order]) != 0, True))
    return ends + 1, np.cumsum(1.0 - correct_N[order])[ends]


def lower_bound(right: int, total: int, *, confidence: float = CONFIDENCE) -> float:
    """One-sided lower bound of a share (Clopper and Pearson 1934); 0 without any right.

    Example: 59 of 59 gives 0.9505, 58 of 58 gives 0.9497.
    """
    return float(special.betaincinv(right, total - right + 1, 1 - confidence)) if right else 0.0


def fewest_works(precision: float, *, confidence: float = CONFIDENCE) -> int:
    """Works that must be accepted, all of them rightly, before a promise can be made: 59 for 95 %, 29 for 90 %."""
    return math.ceil(math.log(1 - confidence) / math.log(precision))


@dataclass(frozen=True)
class Rungs:
    """The likeliest node of each picture on each level and its probability; deeper levels to the right."""

    nodes_ND: np.ndarray  # noqa: N815
    mass_ND: np.ndarray  # noqa: N815


def climb(probability_NC: np.ndarray, tree: LabelTree) -> Rungs:
    """Sum the classes' probabilities upwards and keep the likeliest node of each level."""
    mass_NK = np.minimum(probability_NC @ tree.is_under_CK.astype(np.float64), 1.0)
    levels = [np.flatnonzero(tree.depths_K == depth) for depth in np.unique(tree.depths_K)]
    nodes_ND = np.stack([level[mass_NK[:, level].argmax(axis=1)] for level in levels], axis=1)
    return Rungs(nodes_ND, np.take_along_axis(mass_NK, nodes_ND, axis=1))


def give_labels(rungs: Rungs, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Label of each picture and its probability, ``(node_N, mass_N)``: the deepest that reaches the threshold.

    Where none does the node is -1 and the probability 0.
    """
    is_sure_ND = rungs.mass_ND >= threshold
    last = rungs.mass_ND.shape[1] - 1
    place_N = last - is_sure_ND[:, ::-1].argmax(axis=1)
    rows = np.arange(len(place_N))
    is_given_N = is_sure_ND[rows, place_N]
    return np.where(is_given_N, rungs.nodes_ND[rows, place_N], -1), np.where(
        is_given_N, rungs.mass_ND[rows, place_N], 0.0
    )


def lay_out_thresholds(
    rungs: Rungs, labels_N: np.ndarray, units: np.ndarray, tree: LabelTree, *, precision: float
) -> np.ndarray:
    """Candidate thresholds in the order in which they are to be tested, at most 200, from the fitting part alone.

    First the one whose labels there are the strongest evidence for ``precision`` (least binomial p-value), then all
    lower ones. The order is fixed before the measuring part is looked at: that is what makes the tests valid.
    """
    values = np.unique(rungs.mass_ND)[::-1]
    if len(values) > _NUM_THRESHOLDS:
        values = values[np.linspace(0, len(values) - 1, _NUM_THRESHOLDS).round().astype(int)]
    evidence = []
    for threshold in values:
        right, given = _count_right(rungs, labels_N, units, tree, threshold)
        evidence.append(special.bdtrc(right - 1, given, precision) if right else 1.0)
    return values[int(np.argmin(evidence)) :]


def _count_right(
    rungs: Rungs, labels_N: np.ndarray, units: np.ndarray, tree: LabelTree, threshold: float
) -> tuple[int, int]:
    """How many of the units' labels are right, and how many get one."""
    node_N, _ = give_labels(rungs, threshold)
    given = units[node_N[units] >= 0]
    return int(tree.is_under_CK[labels_N[given], node_N[given]].sum()), len(given)


@dataclass(frozen=True)
class Part:
    """Calibrated probabilities [N, C] of one part, the classes of its pictures, and its positions that count."""

    probability_NC: np.ndarray  # noqa: N815
    labels_N: np.ndarray  # noqa: N815
    units: np.ndarray


def certify(
    fitted: Part, measured: Part, tree: LabelTree, *, precision: float, confidence: float = CONFIDENCE
) -> Promise:
    """Find the lowest threshold that can be promised to give labels of which at least ``precision`` are right."""
    needed = fewest_works(precision, confidence=confidence)
    if len(measured.units) < needed:
        number = f"{len(measured.units)} works to measure on"
        why_not = f"{number}; a promise of {precision:.0%} needs at least {needed}, all of them right"
        return Promise(precision, confidence, None, why_not=why_not)
    order = lay_out_thresholds(
        climb(fitted.probability_NC, tree), fitted.labels_N, fitted.units, tree, precision=precision
    )
    rungs, passed = climb(measured.probability_NC, tree), None
    for threshold in order:
        right, given = _count_right(rungs, measured.labels_N, measured.units, tree, threshold)
        counts = (given, right, lower_bound(right, given, confidence=confidence))
        if counts[2] < precision:
            if passed is not None:
                break
            surest = f"{right} of the {given} surest labels are right, which may mean as little as {counts[2]:.1%}"
            why_not = surest if given else "on the fitting part not even the surest labels are right often enough"
            return Promise(precision, confidence, None, *counts, why_not=why_not)
        node_N, _ = give_labels(rungs, threshold)
        depths = tree.depths_K[node_N[node_N >= 0]]
        by_depth = {int(d): float((depths == d).sum() / len(node_N)) for d in np.unique(depths)}
        coverage = float((node_N >= 0).mean())
        passed = Promise(precision, confidence, float(threshold), *counts, coverage, by_depth)
    assert passed is not None  # there is at least one threshold
    return passed
