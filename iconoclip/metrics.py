"""Retrieval and classification figures as pure functions on arrays; no files, no models.

``hit_rate@k`` is what CLIP papers call R@k (is at least one right answer among the first k), ``recall@k`` is true
recall (share of the right answers among the first k). Training and evaluation use these same functions.
"""

import math

import numpy as np


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


def hit_rate_at_k(ranks_Q: np.ndarray, k: int) -> float:
    """Share of queries whose best right answer is among the first ``k``; NaN without queries."""
    return float(np.mean(ranks_Q <= k)) if len(ranks_Q) else float("nan")


def recall_at_k(similarity_QG: np.ndarray, positive_QG: np.ndarray, k: int) -> np.ndarray:
    """Share of each query's right answers among its first ``k``; ties count against the model.

    Returns:
        float64 [num_queries], NaN where a query has no right answer.

    Example: similarity [[.9, .8, .7]], first and third right, k=2 gives 0.5.
    """
    # Right answers are sorted behind wrong ones of the same similarity.
    order_QG = np.lexsort((positive_QG, -similarity_QG), axis=1)
    first_Qk = np.take_along_axis(positive_QG, order_QG[:, :k], axis=1)
    num_positive_Q = positive_QG.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.where(num_positive_Q > 0, first_Qk.sum(axis=1) / np.maximum(num_positive_Q, 1), np.nan)


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
