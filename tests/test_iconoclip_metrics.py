import numpy as np
import pytest

from iconoclip import metrics


def test_ties_count_against_the_model():
    similarity = np.array([[0.9, 0.8, 0.8]])
    assert metrics.first_positive_ranks(similarity, np.array([[False, False, True]])).tolist() == [3]
    assert metrics.first_positive_ranks(similarity, np.array([[True, False, False]])).tolist() == [1]


def test_rank_is_that_of_the_best_of_several_right_answers():
    # Best right answer .7; before it only the wrong .8: rank 2. The other right answer at .1 does not matter.
    similarity = np.array([[0.8, 0.7, 0.1, 0.3]])
    assert metrics.first_positive_ranks(similarity, np.array([[False, True, True, False]])).tolist() == [2]


def test_a_query_without_right_answer_ranks_behind_the_gallery():
    ranks = metrics.first_positive_ranks(np.array([[0.5, 0.4]]), np.zeros((1, 2), dtype=bool))
    assert ranks.tolist() == [3]
    assert metrics.hit_rate_at_k(ranks, 2) == 0


def test_right_answers_do_not_tie_with_each_other():
    similarity = np.array([[0.5, 0.5, 0.4]])
    assert metrics.first_positive_ranks(similarity, np.array([[True, True, False]])).tolist() == [1]


def test_hit_rate_is_not_recall():
    # Two right answers at places 1 and 3: hit rate@2 is 1, recall@2 is 1/2, recall@3 is 1.
    similarity = np.array([[0.9, 0.8, 0.7]])
    positive = np.array([[True, False, True]])
    assert metrics.hit_rate_at_k(metrics.first_positive_ranks(similarity, positive), 2) == 1
    assert metrics.recall_at_k(similarity, positive, 2).tolist() == [0.5]
    assert metrics.recall_at_k(similarity, positive, 3).tolist() == [1]
    assert metrics.recall_at_k(similarity, positive, 99).tolist() == [1]


def test_recall_loses_ties_and_is_undefined_without_right_answers():
    similarity = np.array([[0.5, 0.5], [0.5, 0.4]])
    recall = metrics.recall_at_k(similarity, np.array([[True, False], [False, False]]), 1)
    assert recall[0] == 0
    assert np.isnan(recall[1])


def test_percentile_rank_is_the_share_of_wrong_answers_beaten():
    # Rank 1 of 10 with 9 wrong beats all; rank 10 beats none; rank 4 beats 6 of 9.
    got = metrics.percentile_ranks(np.array([1, 10, 4, 1]), np.array([9, 9, 9, 0]))
    assert got[:3] == pytest.approx([1, 0, 6 / 9])
    assert np.isnan(got[3])


def test_chance_by_hand():
    assert metrics.chance_hit_rate(10, 2, 1) == pytest.approx(0.2)
    assert metrics.chance_hit_rate(10, 2, 2) == pytest.approx(17 / 45)
    assert metrics.chance_hit_rate(5, 1, 99) == 1
    assert metrics.chance_hit_rate(5, 0, 3) == 0


@pytest.mark.parametrize(("wrong", "right"), [(9, 1), (8, 2), (3, 5)])
def test_chance_of_percentile_and_rank_is_what_random_orders_give(wrong: int, right: int):
    rng = np.random.default_rng(0)
    similarity = rng.random((20_000, wrong + right))
    positive = np.zeros(similarity.shape, dtype=bool)
    positive[:, :right] = True
    ranks = metrics.first_positive_ranks(similarity, positive)
    percentiles = metrics.percentile_ranks(ranks, np.full(len(ranks), wrong))
    assert percentiles.mean() == pytest.approx(metrics.chance_percentile(right), abs=0.01)
    assert ranks.mean() == pytest.approx(metrics.chance_rank(wrong, right), abs=0.05)
    assert (ranks <= 2).mean() == pytest.approx(metrics.chance_hit_rate(wrong + right, right, 2), abs=0.02)


def test_a_class_is_predicted_only_if_it_beats_all_others():
    similarity = np.array([[0.5, 0.5, 0.1], [0.6, 0.5, 0.1], [0.1, 0.2, 0.3]])
    assert metrics.predict_classes(similarity, np.array([0, 0, 1])).tolist() == [1, 0, 2]


def test_mean_per_class_recall_weighs_classes_alike():
    # Class 0: 3 of 4, class 1: 0 of 1; mean 0.375 although 3 of 5 are right.
    true, correct = np.array([0, 0, 0, 0, 1]), np.array([1, 1, 1, 0, 0])
    assert metrics.mean_per_class_recall(true, correct) == pytest.approx(0.375)


def test_a_permutation_of_the_gallery_changes_nothing():
    rng = np.random.default_rng(1)
    similarity = rng.integers(0, 5, (50, 12)) / 5
    positive = rng.random((50, 12)) < 0.2
    order = rng.permutation(12)
    ranks = metrics.first_positive_ranks(similarity, positive)
    assert (metrics.first_positive_ranks(similarity[:, order], positive[:, order]) == ranks).all()
    for k in (1, 3, 12):
        a = metrics.recall_at_k(similarity, positive, k)
        b = metrics.recall_at_k(similarity[:, order], positive[:, order], k)
        assert np.array_equal(a, b, equal_nan=True)
