import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


# One row by hand: order by similarity is wrong, right, right, wrong; the two .5 tie, so the wrong one goes first:
# .9 wrong, .5 wrong, .5 right, .3 right, .1 wrong; right answers at ranks 3 and 4 of 5.
_TIED = np.array([[0.9, 0.5, 0.5, 0.3, 0.1]])
_TIED_RIGHT = np.array([[False, True, False, True, False]])


def test_figures_of_one_ranking_with_ties_and_two_right_answers():
    assert metrics.first_positive_ranks(_TIED, _TIED_RIGHT).tolist() == [3]
    assert metrics.reciprocal_ranks(np.array([3, 6]), 5).tolist() == [1 / 3, 0]  # rank 6 of 5: no right answer
    assert metrics.r_precisions(_TIED, _TIED_RIGHT).tolist() == [0]
    assert metrics.average_precisions_at_r(_TIED, _TIED_RIGHT).tolist() == [0]
    # (1/3 + 2/4) / 2
    assert metrics.average_precisions(_TIED, _TIED_RIGHT) == pytest.approx([5 / 12])
    assert metrics.recall_at_k(_TIED, _TIED_RIGHT, 3) == pytest.approx([0.5])
    assert metrics.recall_at_k(_TIED, _TIED_RIGHT, 99) == pytest.approx([1])


def test_r_precision_and_map_at_r_by_hand():
    similarity = np.array([[4.0, 3, 2, 1]] * 4)
    right = np.array([[1, 0, 0, 1], [0, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0]], dtype=bool)
    assert metrics.r_precisions(similarity, right)[:3] == pytest.approx([0.5, 0.5, 1])
    # 1/1 of two; 1/2 at rank 2 of two; all four right
    assert metrics.average_precisions_at_r(similarity, right)[:3] == pytest.approx([0.5, 0.25, 1])
    assert np.isnan(metrics.r_precisions(similarity, right)[3])
    assert np.isnan(metrics.average_precisions_at_r(similarity, right)[3])
    assert np.isnan(metrics.average_precisions(similarity, right)[3])


def test_a_constant_model_gains_nothing_by_its_ties():
    right = np.array([[True, False, False, False]])
    flat = np.zeros((1, 4))
    assert metrics.average_precisions(flat, right) == pytest.approx([1 / 4])
    assert metrics.r_precisions(flat, right) == pytest.approx([0])


def test_macro_f1_by_hand():
    # Class 0: precision 1/1, recall 1/2, F1 2/3; class 1: 1/2, 1/1, 2/3; class 2: never right, F1 0.
    true, predicted = np.array([0, 0, 1, 2]), np.array([0, 1, 1, -1])
    assert metrics.macro_f1(true, predicted) == pytest.approx([(2 / 3 + 2 / 3 + 0) / 3])
    # A class that is predicted and never there counts with 0; weights of zero take a query out.
    assert metrics.macro_f1(np.array([0, 0]), np.array([0, 5])) == pytest.approx([(2 / 3 + 0) / 2])
    assert metrics.macro_f1(true, predicted, np.array([[1, 0, 1, 0], [0, 0, 0, 0]])) == pytest.approx([1, 0])


def test_mean_average_precision_leaves_empty_classes_out():
    score = np.array([[0.9, 0.1, 0.3], [0.8, 0.2, 0.3], [0.1, 0.9, 0.3]])
    positive = np.array([[0, 1, 0], [1, 0, 0], [0, 1, 0]], dtype=bool)
    # Class 0: its one positive is second, 1/2; class 1: ranks 1 and 3, (1 + 2/3)/2; class 2 has none.
    assert metrics.mean_average_precision(score, positive) == pytest.approx([(1 / 2 + 5 / 6) / 2])
    # Without the first sample class 0 is perfect, and so is class 1.
    assert metrics.mean_average_precision(score, positive, np.array([[0, 1, 1]])) == pytest.approx([1])
    assert np.isnan(metrics.mean_average_precision(score, np.zeros((3, 3), dtype=bool))[0])


def test_hierarchical_precision_and_recall_by_hand():
    levels = {"2", "25", "25F", "25F2", "25F23"}
    precision, recall, f = metrics.hierarchical_scores(
        [levels, set(), levels, levels], [{"2", "25", "25G"}, {"2"}, levels, set()]
    )
    assert precision[:3] == pytest.approx([2 / 5, 0, 1])
    assert recall[:3] == pytest.approx([2 / 3, 0, 1])
    assert f[:3] == pytest.approx([4 / 8, 0, 1])
    assert np.isnan([precision[3], recall[3], f[3]]).all()


@pytest.mark.parametrize(("wrong", "right"), [(1, 1), (9, 1), (8, 2), (3, 5)])
def test_chance_of_reciprocal_rank_and_precision_is_what_random_orders_give(wrong: int, right: int):
    rng = np.random.default_rng(0)
    similarity = rng.random((20_000, wrong + right))
    positive = np.zeros(similarity.shape, dtype=bool)
    positive[:, :right] = True
    size = wrong + right
    ranks = metrics.first_positive_ranks(similarity, positive)
    for got, expected in (
        (metrics.reciprocal_ranks(ranks, size), metrics.chance_reciprocal_rank(wrong, right)),
        (metrics.r_precisions(similarity, positive), right / size),
        (metrics.average_precisions(similarity, positive), metrics.chance_average_precision(size, right, size)),
        (metrics.average_precisions_at_r(similarity, positive), metrics.chance_average_precision(size, right, right)),
    ):
        assert got.mean() == pytest.approx(expected, abs=0.01)


def test_scikit_learn_defines_the_same_classification_figures():
    from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score, recall_score

    rng = np.random.default_rng(3)
    true, predicted = rng.integers(0, 6, 300), rng.integers(0, 7, 300)
    seen = np.isin(np.arange(6), true)
    assert seen.all()
    assert metrics.macro_f1(true, predicted)[0] == pytest.approx(
        f1_score(true, predicted, average="macro", labels=np.arange(7), zero_division=0)
    )
    known = rng.integers(0, 6, 300)
    assert metrics.mean_per_class_recall(true, known == true) == pytest.approx(balanced_accuracy_score(true, known))
    assert metrics.mean_per_class_recall(true, known == true) == pytest.approx(
        recall_score(true, known, average="macro")
    )
    score, positive = rng.permutation(1800).reshape(300, 6).astype(float), rng.random((300, 6)) < 0.1
    assert metrics.average_precisions(score.T, positive.T) == pytest.approx(
        average_precision_score(positive, score, average=None)
    )
    weights = rng.integers(0, 4, (3, 300))
    expected = [average_precision_score(positive, score, average="macro", sample_weight=row) for row in weights]
    assert metrics.mean_average_precision(score, positive, weights) == pytest.approx(expected)


def test_trec_eval_defines_the_same_retrieval_figures():
    import pytrec_eval

    rng = np.random.default_rng(4)
    similarity = rng.permutation(40 * 30).reshape(40, 30).astype(float)
    positive = rng.random((40, 30)) < 0.15
    positive[:, 0] |= ~positive.any(axis=1)
    qrels = {f"q{q}": {f"d{g}": int(positive[q, g]) for g in range(30)} for q in range(40)}
    run = {f"q{q}": {f"d{g}": similarity[q, g] for g in range(30)} for q in range(40)}
    wanted = {"map", "Rprec", "recip_rank", "recall_5", "success_5"}
    found = pytrec_eval.RelevanceEvaluator(qrels, wanted).evaluate(run)
    ranks = metrics.first_positive_ranks(similarity, positive)
    ours = {
        "map": metrics.average_precisions(similarity, positive),
        "Rprec": metrics.r_precisions(similarity, positive),
        "recip_rank": metrics.reciprocal_ranks(ranks, 30),
        "recall_5": metrics.recall_at_k(similarity, positive, 5),
        "success_5": (ranks <= 5).astype(float),
    }
    for name, values in ours.items():
        assert values == pytest.approx([found[f"q{q}"][name] for q in range(40)]), name


_MATRIX = st.integers(0, 2**32 - 1).map(
    lambda seed: (
        np.random.default_rng(seed).integers(0, 4, (5, 9)) / 4,
        np.random.default_rng(seed + 1).random((5, 9)) < 0.3,
        np.random.default_rng(seed + 2).permutation(9),
        np.random.default_rng(seed + 3).permutation(5),
    )
)


def _figures(similarity: np.ndarray, positive: np.ndarray) -> list[np.ndarray]:
    ranks = metrics.first_positive_ranks(similarity, positive)
    return [
        ranks,
        metrics.reciprocal_ranks(ranks, similarity.shape[1]),
        metrics.recall_at_k(similarity, positive, 3),
        metrics.r_precisions(similarity, positive),
        metrics.average_precisions_at_r(similarity, positive),
        metrics.average_precisions(similarity, positive),
    ]


@given(_MATRIX)
def test_a_permutation_of_samples_changes_nothing(case):
    similarity, positive, columns, rows = case
    shuffled = _figures(similarity[rows][:, columns], positive[rows][:, columns])
    for before, after in zip(_figures(similarity, positive), shuffled, strict=True):
        assert np.allclose(before[rows], after, equal_nan=True)
    assert np.allclose(
        metrics.mean_average_precision(similarity, positive),
        metrics.mean_average_precision(similarity[rows], positive[rows]),
        equal_nan=True,
    )


@given(_MATRIX)
def test_duplicates_of_right_answers_are_no_misses(case):
    # Each query's right answers lie in the gallery twice (another impression, another caption): no figure falls.
    for similarity, positive in zip(*case[:2], strict=True):
        copies = np.where(positive, 2, 1)
        once = _figures(similarity[None], positive[None])
        twice = _figures(np.repeat(similarity, copies)[None], np.repeat(positive, copies)[None])
        if positive.any():
            assert twice[0] == once[0]
            for name, before, after in zip(
                ("reciprocal", "r", "ap"), *([f[i] for i in (1, 3, 5)] for f in (once, twice)), strict=True
            ):
                assert after >= before - 1e-12, name


@given(_MATRIX)
def test_every_figure_is_a_share_and_grows_with_a_better_ranking(case):
    similarity, positive, _, _ = case
    better = similarity + positive  # lifts every right answer above every wrong one
    has = positive.any(axis=1)
    for name, worse, best in zip(
        ("reciprocal", "recall", "r", "map@r", "ap"),
        _figures(similarity, positive)[1:],
        _figures(better + 0.5 * positive, positive)[1:],
        strict=True,
    ):
        assert ((worse[has] >= 0) & (worse[has] <= best[has] + 1e-12) & (best[has] <= 1)).all(), name


@pytest.mark.parametrize(("wrong", "right"), [(19, 1), (8, 2), (45, 5), (0, 3), (7, 1)])
def test_the_median_rank_by_chance_is_that_of_random_orders(wrong: int, right: int):
    later = [math.comb(wrong + right - rank, right) / math.comb(wrong + right, right) for rank in range(wrong + 2)]
    median = metrics.chance_median_rank(wrong, right)
    assert later[math.floor(median)] <= 0.5 <= later[math.ceil(median) - 1]
    assert metrics.chance_median_rank(19, 1) == 10.5
    assert metrics.chance_median_rank(8, 2) == 3
    assert metrics.chance_median_rank(5, 0) == 6
