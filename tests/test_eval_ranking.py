"""Ranking in chunks gives the figures of one whole matrix, and fits into memory."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from eval.tasks import _ranking
from eval.tasks._ranking import Ranks, nearest, rank_gallery
from eval.tasks.base import NUM_TOP, round_similarity
from iconoclip import metrics

KS = (1, 3, 10)


def rank_whole(query_QD: np.ndarray, gallery_GD: np.ndarray, positives: list[np.ndarray]) -> Iterator[tuple[str, Any]]:
    """The same figures from one matrix of queries x gallery, by the functions of ``iconoclip.metrics``."""
    similarity_QG = round_similarity(query_QD @ gallery_GD.T)
    positive_QG = np.zeros(similarity_QG.shape, dtype=bool)
    for query, columns in enumerate(positives):
        positive_QG[query, columns] = True
    yield "ranks", metrics.first_positive_ranks(similarity_QG, positive_QG)
    yield "r_precisions", metrics.r_precisions(similarity_QG, positive_QG)
    yield "map_at_r", metrics.average_precisions_at_r(similarity_QG, positive_QG)
    yield "best", np.where(positive_QG, similarity_QG, -np.inf).max(axis=1)
    yield "top", np.argsort(-similarity_QG, axis=1, kind="stable")[:, :NUM_TOP]
    for k in KS:
        yield f"recall@{k}", metrics.recall_at_k(similarity_QG, positive_QG, k)


def figures_of(found: Ranks) -> dict[str, Any]:
    own = {name: getattr(found, name) for name in ("ranks", "r_precisions", "map_at_r", "best", "top")}
    return own | {f"recall@{k}": found.recalls[k] for k in KS}


@pytest.mark.parametrize(("gallery", "most"), [(40, 5), (700, 1), (700, 3), (1500, 40)])
@pytest.mark.parametrize("levels", [0, 4])  # few values of each coordinate: nearly everything ties
def test_chunks_give_the_figures_of_the_whole_matrix(
    gallery: int, most: int, levels: int, monkeypatch: pytest.MonkeyPatch
):
    rng = np.random.default_rng(gallery + most + levels)
    query_QD, gallery_GD = (rng.normal(size=(n, 4)).astype(np.float32) for n in (61, gallery))
    if levels:
        query_QD, gallery_GD = (np.round(each * levels) / levels for each in (query_QD, gallery_GD))
    sizes = rng.integers(0, most + 1, size=len(query_QD)) if most > 1 else np.ones(len(query_QD), dtype=int)
    positives = [rng.choice(gallery, size=size, replace=False) for size in sizes]
    monkeypatch.setattr(_ranking, "_CHUNK_CELLS", 7 * gallery)
    found = figures_of(rank_gallery(query_QD, gallery_GD, positives, KS))
    for name, whole in rank_whole(query_QD, gallery_GD, positives):
        # Where nobody has several right answers these would be hit_rate@1 again.
        is_nothing_new = most == 1 and name in ("r_precisions", "map_at_r")
        expected = np.full(len(query_QD), np.nan) if is_nothing_new else whole
        assert np.asarray(found[name]) == pytest.approx(expected, rel=1e-14, nan_ok=True), name


def test_ranks_of_several_right_answers_by_hand():
    # Sorted: .9 wrong, .8 wrong (a tie goes to the wrong one), .8 right, .7 right, .7 right, .1 wrong.
    row = np.array([0.8, 0.9, 0.8, 0.7, 0.1, 0.7])
    assert metrics.right_ranks(row, [2, 3, 5]).tolist() == [3, 4, 5]
    assert metrics.right_ranks(row, []).tolist() == []
    assert metrics.right_ranks(row, [1]).tolist() == [1]
    many = np.repeat([0.5, 0.4], 20)  # twenty right ones behind twenty wrong ones that are as near
    assert metrics.right_ranks(np.concatenate([many, many]), range(20)).tolist() == list(range(21, 41))


def test_the_nearest_are_found_among_ties_at_the_border():
    rows = np.zeros((2, 1000))
    rows[0, [3, 990, 500, 7, 8, 9]] = (5, 4, 3, 1, 1, 1)
    rows[1, 999] = 1
    assert nearest(rows, 5).tolist() == [[3, 990, 500, 7, 8], [999, 0, 1, 2, 3]]
