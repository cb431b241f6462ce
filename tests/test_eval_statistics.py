import numpy as np
import pytest

from eval.statistics import (
    combine_values,
    compare,
    holm,
    interval,
    minimum_detectable_difference,
    resample,
    spread_constant,
    too_few,
)


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


def test_interval_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(5)
    held = 0
    for seed in range(300):
        works = np.repeat(np.arange(60), 3)
        chance_of_work = np.clip(rng.normal(0.6, 0.15, 60), 0, 1)
        hits = (rng.random(180) < chance_of_work[works]).astype(float)[:, None]
        found = interval(resample(hits, works.astype(str), resamples=400, seed=seed)[:, 0], float(hits.mean()))
        held += found.low <= 0.6 <= found.high
    assert 0.91 <= held / 300 <= 0.98


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
