"""Retrieval and classification figures as pure functions on arrays; no files, no models.

``hit_rate@k`` is what CLIP papers call R@k (is at least one right answer among the first k), ``recall@k`` is true
recall (share of the right answers among the first k). A query may have several right answers; ties always count
against the model. Training and evaluation use these same functions.
"""

import math
from collections.abc import Iterator, Sequence, Set
from functools import lru_cache

import numpy as np
from scipy import sparse

# So many passes over a row of the gallery cost as much as to sort it.
_FEW_RIGHT = 16
# Classes with fewer positives are taken many at a time, as one product of matrices of so many columns.
_FEW_POSITIVES = 120
_BLOCK_COLUMNS = 512


def first_positive_ranks(similarity_QG: np.ndarray, positive_QG: np.ndarray) -> np.ndarray:
    """Rank (1 is best) of each query's best right answer; ties count against the model.

    Args:
        similarity_QG: [num_queries, num_gallery], higher is nearer.
        positive_QG: bool, same shape. A row without a right answer gives rank ``num_gallery + 1``.

    Returns:
        int64 [num_queries].

    Example: similarity [[.9, .8, .8]] with the third picture right gives rank 3, not 2: the tie counts as lost.
    """
    best_Q = np.where(positive_QG, similarity_QG, -np.inf).max(axis=1)
    wrong_QG = np.where(positive_QG, -np.inf, similarity_QG)
    ranks_Q = 1 + (wrong_QG >= best_Q[:, None]).sum(axis=1)
    return np.where(np.isneginf(best_Q), similarity_QG.shape[1] + 1, ranks_Q)


def right_ranks(similarity_G: np.ndarray, columns: Sequence[int] | np.ndarray) -> np.ndarray:
    """Rank of each right answer of one query, best first; of equal similarities the wrong answers come first.

    Figures of one query follow from these alone: :func:`recall_at_k` is the share of them up to k, and so on.

    Args:
        similarity_G: [num_gallery], higher is nearer.
        columns: places of the right answers.

    Returns:
        int64 [len(columns)], strictly increasing.

    Example: similarity [.9, .8, .8, .7], right are the second and the last: ranks 3 and 4.
    """
    own_P = np.sort(similarity_G[np.asarray(columns, dtype=np.int64)])
    if len(own_P) <= _FEW_RIGHT:
        as_near_P = np.array([np.count_nonzero(similarity_G >= own) for own in own_P], dtype=np.int64)
    else:
        as_near_P = len(similarity_G) - np.searchsorted(np.sort(similarity_G), own_P)
    wrong_P = as_near_P - (len(own_P) - np.searchsorted(own_P, own_P))
    return np.arange(1, len(own_P) + 1) + wrong_P[::-1]


def hit_rate_at_k(ranks_Q: np.ndarray, k: int) -> float:
    """Share of queries whose best right answer is among the first ``k``; NaN without queries."""
    return float(np.mean(ranks_Q <= k)) if len(ranks_Q) else float("nan")


def recall_at_k(similarity_QG: np.ndarray, positive_QG: np.ndarray, k: int) -> np.ndarray:
    """Share of each query's right answers among its first ``k``; ties count against the model.

    Returns:
        float64 [num_queries], NaN where a query has no right answer.

    Example: similarity [[.9, .8, .7]], first and third right, k=2 gives 0.5.
    """
    first_Qk = _ranked(similarity_QG, positive_QG)[:, :k]
    num_positive_Q = positive_QG.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.where(num_positive_Q > 0, first_Qk.sum(axis=1) / np.maximum(num_positive_Q, 1), np.nan)


def reciprocal_ranks(ranks_Q: np.ndarray, num_gallery: int) -> np.ndarray:
    """1 / rank of each query's best right answer, 0 without one; their mean is MRR.

    ``ranks_Q`` are those of :func:`first_positive_ranks` over ``num_gallery`` answers.
    """
    return np.where(ranks_Q <= num_gallery, 1 / np.maximum(ranks_Q, 1), 0.0)


def r_precisions(similarity_QG: np.ndarray, positive_QG: np.ndarray) -> np.ndarray:
    """Share of right answers among each query's first R, R being how many right ones it has; NaN without any.

    Example: right answers at ranks 1 and 4: R is 2, one of the first two is right, 0.5.
    """
    right_QG = _ranked(similarity_QG, positive_QG)
    num_positive_Q = positive_QG.sum(axis=1)
    within_QG = np.arange(right_QG.shape[1]) < num_positive_Q[:, None]
    with np.errstate(invalid="ignore"):
        return np.where(num_positive_Q > 0, (right_QG & within_QG).sum(axis=1) / num_positive_Q, np.nan)


def average_precisions_at_r(similarity_QG: np.ndarray, positive_QG: np.ndarray) -> np.ndarray:
    """Mean over the first R ranks of precision where the answer is right, else 0; their mean is mAP@R.

    Musgrave, Belongie and Lim 2020 (arXiv 2003.08505), section 4. NaN for a query without right answers.
    Example: right answers at ranks 1 and 4: (1/1 + 0) / 2 = 0.5; at 2 and 3: (0 + 1/2) / 2 = 0.25.
    """
    num_positive_Q = positive_QG.sum(axis=1)
    precision_QG = _precision_where_right(_ranked(similarity_QG, positive_QG))
    within_QG = np.arange(precision_QG.shape[1]) < num_positive_Q[:, None]
    with np.errstate(invalid="ignore"):
        return np.where(num_positive_Q > 0, (precision_QG * within_QG).sum(axis=1) / num_positive_Q, np.nan)


def average_precisions(similarity_QG: np.ndarray, positive_QG: np.ndarray) -> np.ndarray:
    """Non-interpolated average precision of each row's whole ranking, NaN without right answers.

    Rows are queries, or classes when the matrix is transposed: scikit-learn's and trec_eval's where nothing ties.
    Example: right answers at ranks 1 and 3: (1/1 + 2/3) / 2 = 5/6.
    """
    num_positive_Q = positive_QG.sum(axis=1)
    precision_QG = _precision_where_right(_ranked(similarity_QG, positive_QG))
    with np.errstate(invalid="ignore"):
        return np.where(num_positive_Q > 0, precision_QG.sum(axis=1) / num_positive_Q, np.nan)


def percentile_ranks(ranks_Q: np.ndarray, num_wrong_Q: np.ndarray) -> np.ndarray:
    """Share of the wrong answers that each query's best right answer beats: 1 is best, 0 is behind all of them.

    ``num_wrong_Q`` counts the wrong answers in the gallery; NaN where there is none. A guess reaches
    ``positives / (positives + 1)`` on average (:func:`chance_percentile`): 0.5 with one right answer.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(num_wrong_Q > 0, 1 - np.minimum(ranks_Q - 1, num_wrong_Q) / num_wrong_Q, np.nan)


def chance_hit_rate(num_gallery: int, num_positive: int, k: int) -> float:
    """Probability that ``k`` answers drawn at random without replacement hold one of the right ones.

    Example: 10 pictures, 2 right, k=1 gives 0.2; k=2 gives 1 - (8/10)(7/9) = 17/45.
    """
    if num_positive <= 0 or num_gallery <= 0:
        return 0.0
    k = min(k, num_gallery)
    return 1 - math.comb(num_gallery - num_positive, k) / math.comb(num_gallery, k)


def chance_percentile(num_positive: int) -> float:
    """Expected percentile rank of the best of ``num_positive`` right answers under a random order."""
    return num_positive / (num_positive + 1)


def chance_rank(num_wrong: int, num_positive: int) -> float:
    """Expected rank of the best right answer under a random order: each wrong one is before it with 1/(P+1)."""
    return 1 + num_wrong / (num_positive + 1)


@lru_cache(maxsize=4096)
def chance_median_rank(num_wrong: int, num_positive: int) -> float:
    """Median rank of the best right answer under a random order; between two ranks where either half is that likely.

    Several right answers make it smaller than the expected rank: of 45 wrong and 5 right 7, and 8.5 is expected.
    Example: 19 wrong, 1 right: 10.5. 8 wrong, 2 right: 3, since the best is later with (7 * 6) / (10 * 9) = 0.47.
    """
    if num_positive <= 1:
        return float(num_wrong + 1) if num_positive <= 0 else 1 + num_wrong / 2
    later, num_gallery, median = 1.0, num_wrong + num_positive, 0
    while later > 0.5 + 1e-12:
        later *= (num_wrong - median) / (num_gallery - median)
        median += 1
    return median + 0.5 if abs(later - 0.5) <= 1e-12 else float(median)


@lru_cache(maxsize=4096)
def chance_reciprocal_rank(num_wrong: int, num_positive: int) -> float:
    """Expected 1 / rank of the best right answer under a random order; 0 without right answers.

    Example: 1 wrong, 1 right: (1 + 1/2) / 2 = 0.75.
    """
    if num_positive <= 0:
        return 0.0
    ranks = np.arange(1, num_wrong + 2)
    all_wrong = np.cumprod((num_wrong - ranks + 1) / (num_wrong + num_positive - ranks + 1))
    return float(((np.concatenate([[1.0], all_wrong[:-1]]) - all_wrong) / ranks).sum())


@lru_cache(maxsize=4096)
def chance_average_precision(num_gallery: int, num_positive: int, depth: int) -> float:
    """Expected sum of precision where right, over the first ``depth`` random answers, divided by the right ones.

    ``depth`` is ``num_gallery`` for average precision and ``num_positive`` for its cut at R.
    """
    if num_positive <= 0 or num_gallery <= 0:
        return 0.0
    ranks = np.arange(1, min(depth, num_gallery) + 1)
    right = num_positive / num_gallery
    also_right = (num_positive - 1) / (num_gallery - 1) if num_gallery > 1 else 0.0
    return float((right * (1 + (ranks - 1) * also_right) / ranks).sum() / num_positive)


def predict_classes(similarity_QC: np.ndarray, true_Q: np.ndarray) -> np.ndarray:
    """Nearest class of each query; a tie with the true class counts as lost.

    Example: similarity [[.5, .5]] with class 0 true predicts class 1.
    """
    rows = np.arange(len(true_Q))
    others_QC = similarity_QC.copy()
    others_QC[rows, true_Q] = -np.inf
    rival_Q = others_QC.argmax(axis=1)
    return np.where(similarity_QC[rows, true_Q] > others_QC[rows, rival_Q], true_Q, rival_Q)


def mean_per_class_recall(true_Q: np.ndarray, correct_Q: np.ndarray) -> float:
    """Mean over the classes that occur in ``true_Q`` of the share found; for two classes the balanced accuracy."""
    return float(np.mean([correct_Q[true_Q == label].mean() for label in np.unique(true_Q)]))


def macro_f1(true_Q: np.ndarray, predicted_Q: np.ndarray, weights_RQ: np.ndarray | None = None) -> np.ndarray:
    """Mean over classes of F1, [R], over the classes that occur or are predicted; a prediction of -1 is of none.

    ``weights_RQ`` says how often each query counts, one row a figure; without it there is one figure, [1].
    Example: true 0 0 1, predicted 0 1 1: F1 is 2/3 for either class.
    """
    weights_RQ = np.ones((1, len(true_Q))) if weights_RQ is None else weights_RQ
    classes = np.unique(np.concatenate([true_Q, predicted_Q[predicted_Q >= 0]]))
    is_true_QC, is_predicted_QC = true_Q[:, None] == classes, predicted_Q[:, None] == classes
    both_QC = np.concatenate([is_true_QC & is_predicted_QC, is_true_QC.astype(np.int64) + is_predicted_QC], axis=1)
    found_RC, either_RC = np.split(weights_RQ @ both_QC.astype(np.float64), 2, axis=1)
    f1_RC = 2 * found_RC / np.maximum(either_RC, 1e-300)
    return f1_RC.sum(axis=1) / np.maximum((either_RC > 0).sum(axis=1), 1)


def mean_average_precision(
    score_QC: np.ndarray, positive_QC: np.ndarray, weights_RQ: np.ndarray | None = None
) -> np.ndarray:
    """Mean over classes of average precision, [R]; classes without a positive (in a draw) are left out, NaN if all.

    A sample that counts w times is w tied samples, as scikit-learn's ``sample_weight`` has it.
    """
    weights_RQ = np.ones((1, len(score_QC))) if weights_RQ is None else weights_RQ
    totals, counted = np.zeros(len(weights_RQ)), np.zeros(len(weights_RQ))
    num_positive_C = positive_QC.sum(axis=0)
    for found_RC in _precisions_of_large_classes(score_QC, positive_QC, weights_RQ):
        totals += np.nansum(found_RC, axis=1)
        counted += np.isfinite(found_RC).sum(axis=1)
    blocks: list[list[int]] = []
    width = _BLOCK_COLUMNS
    for c in np.flatnonzero((num_positive_C > 0) & (num_positive_C < _FEW_POSITIVES)):
        if width + num_positive_C[c] > _BLOCK_COLUMNS:
            blocks.append([])
            width = 0
        blocks[-1].append(int(c))
        width += num_positive_C[c]
    for block in blocks:
        found_RC = _weighted_precisions(score_QC[:, block], positive_QC[:, block], weights_RQ)
        totals += np.nansum(found_RC, axis=1)
        counted += np.isfinite(found_RC).sum(axis=1)
    return np.where(counted > 0, totals / np.maximum(counted, 1), np.nan)


def hierarchical_scores(
    predicted: Sequence[Set[str]], true: Sequence[Set[str]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hierarchical precision, recall and F of each sample, [Q]; sets hold labels with all that is above them.

    Kiritchenko, Matwin and Famili 2005; per sample. Nothing predicted has precision 0, nothing true is NaN.
    Example: 25F23 predicted for 25G: shared 2, 25 of 2 25 25F 25F2 25F23 and of 2 25 25G: 2/5, 2/3, F 1/2.
    """
    shared = np.array([len(p & t) for p, t in zip(predicted, true, strict=True)], dtype=np.float64)
    num_predicted = np.array([len(p) for p in predicted], dtype=np.float64)
    num_true = np.array([len(t) for t in true], dtype=np.float64)
    unknown = np.where(num_true > 0, 0.0, np.nan)
    precision = shared / np.maximum(num_predicted, 1) + unknown
    recall = shared / np.maximum(num_true, 1) + unknown
    return precision, recall, 2 * shared / np.maximum(num_predicted + num_true, 1) + unknown


def _ranked(similarity_QG: np.ndarray, positive_QG: np.ndarray) -> np.ndarray:
    """Whether each row's answers are right, best first; right ones stand behind wrong ones of the same similarity."""
    order_QG = np.lexsort((positive_QG, -similarity_QG), axis=1)
    return np.take_along_axis(positive_QG, order_QG, axis=1)


def _precision_where_right(right_QG: np.ndarray) -> np.ndarray:
    """Precision at each rank that holds a right answer, 0 at the others."""
    return np.cumsum(right_QG, axis=1) / np.arange(1, right_QG.shape[1] + 1) * right_QG


def _precisions_of_large_classes(
    score_QC: np.ndarray, positive_QC: np.ndarray, weights_RQ: np.ndarray
) -> Iterator[np.ndarray]:
    """Yield average precision in each draw, [R, 1], of each class with many positives, NaN where a draw has none."""
    large = np.flatnonzero(positive_QC.sum(axis=0) >= _FEW_POSITIVES)
    if not len(large):
        return
    weights_QR = np.ascontiguousarray(weights_RQ.T)
    for c in large:
        order_Q = np.lexsort((positive_QC[:, c], -score_QC[:, c]))
        places_K = np.flatnonzero(positive_QC[order_Q, c])
        # Row k sums the draws' weights from behind the positive before the k-th down to it.
        columns, ends = order_Q[: places_K[-1] + 1], np.concatenate([[0], places_K + 1])
        between_KQ = sparse.csr_array((np.ones(len(columns)), columns, ends), shape=(len(places_K), len(score_QC)))
        own_KR = weights_QR[order_Q[places_K]]
        right_KR, seen_KR = _accumulate(own_KR), _accumulate(between_KQ @ weights_QR)
        total_R = right_KR[-1]
        found_R = (own_KR * right_KR / np.maximum(seen_KR, 1e-300)).sum(axis=0)
        yield np.where(total_R > 0, found_R / np.maximum(total_R, 1e-300), np.nan)[:, None]


def _accumulate(rows_KR: np.ndarray) -> np.ndarray:
    """Running sums over the first axis, whole rows at a time: ``cumsum`` goes column by column, five times as long."""
    sums_KR = rows_KR.copy()
    for k in range(1, len(sums_KR)):
        sums_KR[k] += sums_KR[k - 1]
    return sums_KR


def _weighted_precisions(score_QC: np.ndarray, positive_QC: np.ndarray, weights_RQ: np.ndarray) -> np.ndarray:
    """Average precision of each class in each draw, [R, C], NaN where a draw has no positive; every class has some."""
    class_K, place_K = np.nonzero(positive_QC.T)
    own_K = score_QC[place_K, class_K]
    order = np.lexsort((-own_K, class_K))
    class_K, place_K, own_K = class_K[order], place_K[order], own_K[order]
    starts = np.searchsorted(class_K, np.arange(score_QC.shape[1]))
    weights_RK = weights_RQ[:, place_K]
    sums_RK = np.cumsum(weights_RK, axis=1)
    before_RC = np.concatenate([np.zeros((len(weights_RQ), 1)), sums_RK[:, starts[1:] - 1]], axis=1)
    right_RK = sums_RK - before_RC[:, class_K]
    wrong_QK = (score_QC[:, class_K] >= own_K) & ~positive_QC[:, class_K]
    seen_RK = weights_RQ @ wrong_QK.astype(weights_RQ.dtype) + right_RK
    found_RC = np.add.reduceat(weights_RK * right_RK / np.maximum(seen_RK, 1e-300), starts, axis=1)
    total_RC = np.add.reduceat(weights_RK, starts, axis=1)
    return np.where(total_RC > 0, found_RC / np.maximum(total_RC, 1e-300), np.nan)
