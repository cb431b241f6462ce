import numpy as np
import pytest

from eval.resampling import PooledFigure, centre, combine_values, resample, resample_pooled, spread_constant
from eval.statistics import (
    compare,
    detectable_difference,
    holm,
    interval,
    mcnemar_p,
    minimum_detectable_difference,
    permutation_p,
    proportion_interval,
    too_few,
)
from iconoclip.metrics import mean_average_precision


def test_interval_is_wider_when_pictures_of_a_work_agree():
    # 20 works of 10 pictures that are all right or all wrong together: 200 queries say no more than 20.
    rng = np.random.default_rng(0)
    hits = np.repeat(rng.random(20) < 0.5, 10).astype(float)[:, None]
    works = np.repeat([f"w{i}" for i in range(20)], 10)
    by_work = resample(hits, works, resamples=2000, seed=0)[:, 0]
    naive = resample(hits, np.arange(200).astype(str), resamples=2000, seed=0)[:, 0]
    # sqrt(.25/20) = 0.112 and sqrt(.25/200) = 0.035
    assert by_work.std() == pytest.approx(0.112, abs=0.012)
    assert naive.std() == pytest.approx(0.035, abs=0.004)


def test_resampling_is_repeatable_and_does_not_depend_on_names():
    values = np.random.default_rng(1).random((40, 1))
    a = resample(values, [f"a{i:02d}" for i in range(40)], resamples=300, seed=3)
    b = resample(values, [f"b{i:02d}" for i in range(40)], resamples=300, seed=3)
    assert (a == b).all()
    assert not (a == resample(values, [f"a{i:02d}" for i in range(40)], resamples=300, seed=4)).all()


def test_resampled_medians_are_those_of_the_drawn_queries():
    # One work of one query each: the draws' medians lie among values and midpoints, and spread around 3.
    values = np.array([[1.0], [2.0], [3.0], [4.0], [100.0]])
    drawn = resample(values, list("abcde"), resamples=500, seed=0, combine="median")[:, 0]
    assert set(drawn) <= {1, 2, 3, 4, 100}
    assert np.median(drawn) == 3
    assert combine_values(values, "median")[0] == 3


def test_strata_weigh_alike_and_none_vanishes():
    # Stratum a: 9 queries all 1, stratum b: 1 query 0: mean of means 0.5, though 9 of 10 are right.
    values, strata = np.array([[1.0]] * 9 + [[0.0]]), np.array(["a"] * 9 + ["b"])
    assert combine_values(values, "mean", strata)[0] == 0.5
    drawn = resample(values, [str(i) for i in range(10)], resamples=200, seed=0, strata_Q=strata)
    assert (drawn == 0.5).all()


def test_none_of_sixty_is_not_a_certain_zero():
    # Clopper-Pearson for 0 of 60: 1 - 0.025^(1/60) = 0.0596
    values = np.zeros((60, 2))
    drawn = spread_constant(np.zeros((20_000, 2)), values, num_works=60, seed=0)
    found = interval(drawn[:, 0], 0.0)
    assert found.low == 0
    assert found.high == pytest.approx(0.0596, abs=0.003)
    assert (drawn[:, 0] == drawn[:, 1]).all()
    ones = interval(spread_constant(np.ones((20_000, 1)), np.ones((60, 1)), num_works=60, seed=0)[:, 0], 1.0)
    assert ones.high == 1
    assert ones.low == pytest.approx(1 - 0.0596, abs=0.003)


def test_paired_comparison_sees_what_two_intervals_do_not():
    # b is right wherever a is and on 12 more of 100 works: the intervals overlap, that of the difference is clear.
    a = (np.arange(100) < 40).astype(float)
    b = (np.arange(100) < 52).astype(float)
    drawn = resample(np.stack([a, b], axis=1), [str(i) for i in range(100)], resamples=4000, seed=0)
    assert interval(drawn[:, 0], 0.40).high > interval(drawn[:, 1], 0.52).low
    found = compare(0.12, drawn[:, 0], drawn[:, 1])
    assert found.low > 0.05
    assert found.p == pytest.approx(2 / 4001)
    # standard error sqrt(.12 * .88 / 100)
    assert found.standard_error == pytest.approx(0.0325, abs=0.002)


def test_equal_models_do_not_differ():
    a = np.random.default_rng(0).random((50, 1))
    drawn = resample(np.hstack([a, a]), [str(i) for i in range(50)], resamples=500, seed=0)
    found = compare(0.0, drawn[:, 0], drawn[:, 1])
    assert (found.low, found.high, found.p) == (0, 0, 1)


def test_models_that_differ_by_chance_alone_are_told_apart_in_about_one_test_of_twenty():
    rng = np.random.default_rng(2)
    p_values = []
    for seed in range(200):
        values = (rng.random((60, 2)) < 0.5).astype(float)
        drawn = resample(values, [str(i) for i in range(60)], resamples=400, seed=seed)
        p_values.append(compare(float(values[:, 1].mean() - values[:, 0].mean()), drawn[:, 0], drawn[:, 1]).p)
    assert 0.01 <= np.mean(np.array(p_values) < 0.05) <= 0.10


def _simulate(num_works: int, *, vary: bool, runs: int = 1000) -> tuple[np.ndarray, np.ndarray, float]:
    """Hits [Q, runs] whose works are easy or hard (share right 0.6, sd 0.15), works [Q], and the true share."""
    rng = np.random.default_rng(num_works)
    sizes = rng.integers(1, 6, num_works) if vary else np.full(num_works, 3)
    works = np.repeat(np.arange(num_works), sizes)
    share_of_work = np.clip(rng.normal(0.6, 0.15, (num_works, runs)), 0, 1)
    return (rng.random((len(works), runs)) < share_of_work[works]).astype(float), works, 0.6


@pytest.mark.parametrize(("num_works", "vary"), [(20, False), (40, True), (60, False), (60, True), (200, False)])
def test_the_cluster_bootstrap_holds_the_truth_in_95_of_100_runs(num_works: int, vary: bool):
    # One column a run, all from the same draws: a thousand runs take a second.
    hits, works, truth = _simulate(num_works, vary=vary)
    drawn = resample(hits, works.astype(str), resamples=1000, seed=1)
    figures = hits.mean(axis=0)
    found = [interval(drawn[:, run], figures[run], num_works=num_works) for run in range(1000)]
    held = np.mean([row.low <= truth <= row.high for row in found])
    assert 0.93 <= held <= 0.97, held


def _rank_rare_classes(rng: np.random.Generator) -> tuple[PooledFigure, np.ndarray]:
    """mAP [1] of a model that half knows sixty classes, most of which have one or two of 200 pictures."""
    share_C = 1 / np.arange(1, 61)
    labels = rng.choice(60, 200, p=share_C / share_C.sum())
    score_QC = rng.normal(size=(200, 60))
    score_QC[np.arange(200), labels] += 1.0
    pooled = PooledFigure(mean_average_precision, (score_QC, labels[:, None] == np.arange(60)))
    return pooled, pooled(np.ones((1, 200)))


def test_the_interval_of_a_figure_over_rare_classes_lies_round_the_truth():
    rng = np.random.default_rng(0)
    truth = np.mean([_rank_rare_classes(rng)[1] for _ in range(2000)])
    held, low = [], []
    for seed in range(300):
        pooled, figure_1 = _rank_rare_classes(rng)
        drawn = resample_pooled([pooled], np.arange(200).astype(str), resamples=300, seed=seed)
        row = interval(centre(drawn, figure_1)[:, 0], float(figure_1[0]), num_works=200)
        held.append(row.low <= truth <= row.high)
        low.append(row.low < figure_1[0] < row.high)
    assert np.mean(held) >= 0.9, np.mean(held)  # two in three where draws are not shifted
    assert all(low)


@pytest.mark.parametrize("num_works", [20, 60, 200])
def test_the_interval_of_a_difference_holds_the_truth_in_95_of_100_runs(num_works: int):
    hits, works, _ = _simulate(num_works, vary=True)
    rng = np.random.default_rng(7)
    better = np.maximum(hits, rng.random(hits.shape) < 0.25)  # a quarter of the misses turn into hits: +0.1
    drawn_a, drawn_b = (resample(values, works.astype(str), resamples=1000, seed=1) for values in (hits, better))
    deltas = (better - hits).mean(axis=0)
    found = [compare(deltas[run], drawn_a[:, run], drawn_b[:, run], num_works=num_works) for run in range(1000)]
    held = np.mean([row.low <= 0.1 <= row.high for row in found])
    assert 0.93 <= held <= 0.97, held
    # Interval and test say the same.
    assert all((row.low > 0) == (row.p < 0.05) for row in found if abs(row.p - 0.05) > 0.01)


@pytest.mark.parametrize(("num_queries", "share"), [(50, 0.5), (100, 0.7), (300, 0.9), (1000, 0.05)])
def test_the_interval_of_a_proportion_holds_the_truth_in_95_of_100_runs(num_queries: int, share: float):
    right = np.random.default_rng(1).binomial(num_queries, share, 1000)
    found = [proportion_interval(int(count), num_queries) for count in right]
    held = np.mean([row.low <= share <= row.high for row in found])
    assert 0.93 <= held <= 0.97, held


def test_wilsons_interval_by_hand():
    # z^2 = 3.8415; 7 of 10: (0.7 + 0.19207) / 1.38415 = 0.64449, reach 0.24772
    found = proportion_interval(7, 10)
    assert (found.low, found.high) == (pytest.approx(0.3968, abs=1e-4), pytest.approx(0.8922, abs=1e-4))
    assert proportion_interval(0, 60).high == pytest.approx(3.8415 / 63.8415, abs=1e-4)
    assert proportion_interval(60, 60).low == pytest.approx(60 / 63.8415, abs=1e-4)


def test_few_works_widen_interval_and_test():
    rng = np.random.default_rng(0)
    values = rng.random((12, 2))
    drawn = resample(values, np.arange(12).astype(str), resamples=4000, seed=0)
    figure = float(values[:, 0].mean())
    plain, wide = interval(drawn[:, 0], figure), interval(drawn[:, 0], figure, num_works=12)
    # t(11) = 2.201, times sqrt(12 / 11), against 1.960: 1.173 times as wide for normal draws.
    assert (wide.high - wide.low) / (plain.high - plain.low) == pytest.approx(1.173, abs=0.05)
    delta = float(values[:, 1].mean() - figure)
    assert compare(delta, *drawn.T, num_works=12).p > compare(delta, *drawn.T).p


def test_pooled_figures_come_from_the_same_draws_as_means():
    values = np.random.default_rng(2).random((40, 1))
    works = [f"w{i // 2}" for i in range(40)]
    as_mean = resample(values, works, resamples=300, seed=5)[:, 0]

    figure = PooledFigure(_weighted_mean, (values[:, 0],))
    assert resample_pooled([figure], works, resamples=300, seed=5)[:, 0] == pytest.approx(as_mean)


def _weighted_mean(values_Q: np.ndarray, weights_RQ: np.ndarray) -> np.ndarray:
    return weights_RQ @ values_Q / weights_RQ.sum(axis=1)


def test_works_that_answer_alike_are_drawn_together_and_nothing_else_changes():
    # 600 works, a hundred of them of two pictures, each right or wrong with two models: 4 + 10 kinds are drawn.
    rng = np.random.default_rng(8)
    works = np.repeat(np.arange(600), 1 + (np.arange(600) < 100))
    hits = (rng.random((len(works), 2)) < [0.3, 0.4]).astype(float)
    marks = rng.integers(0, 10, (600, 1)).astype(float)
    for values, mine, combine in ((hits, works, "mean"), (marks, np.arange(600), "median")):
        together = resample(values, mine, resamples=20_000, seed=2, combine=combine)[:, 0]
        # Values that all differ in the last digits: every work is drawn by itself.
        blurred = values + rng.random(values.shape) * 1e-9
        alone = resample(blurred, mine, resamples=20_000, seed=2, combine=combine)[:, 0]
        assert not np.array_equal(together.round(6), alone.round(6))  # other draws of the same distribution
        assert together.mean() == pytest.approx(alone.mean(), abs=0.02 if combine == "median" else 0.001)
        assert together.std() == pytest.approx(alone.std(), rel=0.03)
        quantiles = [0.001, 0.025, 0.25, 0.5, 0.75, 0.975, 0.999]
        assert np.quantile(together, quantiles) == pytest.approx(np.quantile(alone, quantiles), abs=0.005)
    pooled = [PooledFigure(_weighted_mean, (column,)) for column in hits.T]
    drawn = resample_pooled(pooled, works, resamples=500, seed=2)
    assert drawn == pytest.approx(resample(hits, works, resamples=500, seed=2))


def test_mcnemar_by_hand():
    # 1 right only by a, 9 only by b: 2 (1 + 10) / 1024
    a = np.array([1] * 1 + [0] * 9 + [1] * 5)
    b = np.array([0] * 1 + [1] * 9 + [1] * 5)
    assert mcnemar_p(a, b) == pytest.approx(22 / 1024)
    assert mcnemar_p(a, a) == 1
    assert mcnemar_p(np.array([1, 0]), np.array([0, 1])) == 1


def test_permutations_by_hand_and_by_work():
    # Three works that all say +1: only "all" and "none" swapped reach 3, 2 of 8.
    a, b = np.zeros(3), np.ones(3)
    assert permutation_p(a, b, list("xyz"), resamples=20_000, seed=0) == pytest.approx(0.25, abs=0.01)
    # As pictures of one work they say nothing.
    assert permutation_p(a, b, ["x"] * 3, resamples=500, seed=0) == 1
    assert permutation_p(a, a, list("xyz"), resamples=500, seed=0) == 1


def test_permutation_test_is_wrong_in_one_run_of_twenty():
    rng = np.random.default_rng(3)
    works = np.repeat(np.arange(30), 3)
    p_values = []
    for seed in range(300):
        effect = rng.normal(0, 0.2, 30)[works]  # a work that suits one model suits all its pictures
        a, b = rng.random(90), rng.random(90) + effect
        p_values.append(permutation_p(a, b, works, resamples=300, seed=seed))
    assert 0.02 <= np.mean(np.array(p_values) < 0.05) <= 0.08


@pytest.mark.parametrize(
    ("num_queries", "discordant", "design_effect", "points"),
    [(718, 0.1, 1, 3.3), (718, 0.2, 1, 4.7), (1864, 0.2, 2, 4.1), (8774, 0.2, 2, 1.9)],
)
def test_detectable_difference_before_any_run(num_queries, discordant, design_effect, points):
    # 2.8016 sqrt(discordant x effect / n), as the power table of the evaluation notes has it
    found = detectable_difference(num_queries, discordant=discordant, design_effect=design_effect)
    assert 100 * found == pytest.approx(points, abs=0.05)


def test_holm_by_hand():
    # Sorted .01 .03 .04 times 3 2 1 = .03 .06 .04, made monotone .03 .06 .06
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


def test_minimum_detectable_difference_is_two_point_eight_standard_errors():
    assert minimum_detectable_difference(0.01) == pytest.approx(0.02802, abs=1e-4)
    assert minimum_detectable_difference(0.0) is None


@pytest.mark.parametrize(("queries", "works", "scored"), [(30, 10, True), (29, 20, False), (400, 9, False)])
def test_small_slices_get_a_count_and_no_score(queries: int, works: int, scored: bool):
    assert (too_few(queries, works) == "") is scored
