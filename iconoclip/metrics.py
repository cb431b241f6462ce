"""Retrieval and classification figures as pure functions on arrays; no files, no models.

``hit_rate@k`` is what CLIP papers call R@k (is at least one right answer among the first k), ``recall@k`` is true
recall (share of the right answers among the first k). Training and evaluation use these same functions.
"""

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
