from dataclasses import replace

import numpy as np
import pytest

from eval.resampling import PooledFigure
from eval.results import BASELINE, MCNEMAR, PERMUTATION, TEST, ComparisonRow, Context, Evaluated, evaluate_task
from eval.statistics import proportion_interval
from eval.tasks._labelled import chance_map, pooled_measure
from eval.tasks.base import Measure, Queries, Scores
from iconoclip.metrics import macro_f1, mean_average_precision

CONTEXT = Context("bench", "rev", "task", None, "en", {"a": "1" * 64, "b": "2" * 64}, 0, 400, "iconoclip", "now")


def _scores(values, *, works=None, slices=None, metric="accuracy@1", **more) -> Scores:
    values = np.asarray(values, dtype=float)
    works = np.array(works or [f"w{i}" for i in range(len(values))])
    queries = Queries(works, {"all": np.ones(len(values), dtype=bool)} | (slices or {}))
    return Scores((Measure(metric, queries, values, np.full(len(values), 0.25), **more),))


def _evaluate(scores, **more) -> Evaluated:
    found = Evaluated()
    evaluate_task(scores, CONTEXT, found, **more)
    return found


def test_a_slice_under_the_minimum_has_its_count_a_reason_and_no_score():
    few = np.arange(60) < 20
    found = _evaluate({"a": _scores([1.0, 0.0] * 30, slices={"source=small": few})})
    by_slice = {row.slice: row for row in found.results}
    assert by_slice["all"].value == 0.5
    small = by_slice["source=small"]
    assert (small.value, small.ci_low, small.ci_high, small.n, small.n_clusters) == (None, None, None, 20, 20)
    assert [(note.slice, note.model) for note in found.notes] == [("source=small", "")]
    assert "20 queries of 20 works" in found.notes[0].note


def test_many_pictures_of_few_works_are_not_scored():
    found = _evaluate({"a": _scores([1.0] * 300, works=[f"w{i % 9}" for i in range(300)])})
    assert found.results[0].value is None
    assert (found.results[0].n, found.results[0].n_clusters) == (300, 9)


def test_every_model_is_compared_with_the_first_and_with_every_baseline():
    found = _evaluate(
        {
            "a": _scores([0.0] * 40 + [1.0] * 20, is_primary=True),
            "b": _scores([1.0] * 60),
            f"{BASELINE}free": _scores([0.0] * 30 + [1.0] * 30),
        }
    )
    pairs = {(row.model_a, row.model_b): row for row in found.comparisons}
    assert set(pairs) == {("a", "b"), (f"{BASELINE}free", "a"), (f"{BASELINE}free", "b")}
    assert pairs["a", "b"].delta == pytest.approx(40 / 60)
    assert pairs["a", "b"].ci_low > 0.5
    weights = {row.model: row.weights_sha256 for row in found.results}
    assert weights == {"a": "1" * 64, "b": "2" * 64, f"{BASELINE}free": None}


def test_detectable_difference_is_that_of_the_paired_comparison():
    values = (np.arange(100) < 50).astype(float)
    alone = _evaluate({"a": _scores(values)}).results[0]
    twins = _evaluate({"a": _scores(values), "b": _scores(values)}).results
    # Alone: 2.8 * sqrt(.25 / 100) = 0.14. Twins never differ on 100 works: (1 - .025^(1/100)) / 1.96 * 2.8.
    assert alone.mdd == pytest.approx(0.14, abs=0.01)
    assert [row.mdd for row in twins] == [pytest.approx(0.0518, abs=0.001)] * 2


def test_models_that_agree_on_every_query_may_differ_on_other_works():
    values = [1.0, 0.0] * 30
    row = _evaluate({"a": _scores(values), "b": _scores(values)}).comparisons[0]
    assert (row.delta, row.p) == (0, 1)
    assert row.ci_high == -row.ci_low == pytest.approx(0.0596, abs=0.0005)


def test_a_refused_model_gets_a_count_and_the_others_a_score():
    found = _evaluate({"a": _scores([1.0, 0.0] * 30), "b": _scores([1.0] * 60)}, refused={"a": "no pretrained weights"})
    rows = {row.model: row for row in found.results}
    assert rows["a"].value is None
    assert rows["a"].n == 60
    assert rows["b"].value == 1
    assert [(note.model, note.note) for note in found.notes] == [("a", "no pretrained weights")]
    assert found.comparisons == []


def test_queries_that_one_model_could_not_be_asked_are_left_out_for_all():
    a = [1.0, 0.0] * 30
    b = [np.nan] * 20 + [1.0] * 40
    rows = {row.model: row for row in _evaluate({"a": _scores(a), "b": _scores(b)}).results}
    assert rows["a"].n == rows["b"].n == 40
    assert rows["b"].value == 1


def test_collections_too_small_to_score_are_left_out_of_the_average_and_named():
    # Large: 40 of 80 right. Small: 10 pictures, all right: it would lift the mean of collections to 75 %.
    strata = np.array(["large"] * 80 + ["small"] * 10)
    values = [1.0, 0.0] * 40 + [1.0] * 10
    found = _evaluate({"a": _scores(values, strata=strata, drop_small_strata=True)})
    assert found.results[0].value == 0.5
    assert found.results[0].n == 80
    assert "small (10 queries of 10 works)" in found.notes[0].note


def test_collections_weigh_alike_in_the_average():
    strata = np.array(["large"] * 80 + ["other"] * 40)
    values = [1.0, 0.0] * 40 + [1.0] * 40
    found = _evaluate({"a": _scores(values, strata=strata, drop_small_strata=True)})
    assert found.results[0].value == pytest.approx(0.75)
    assert found.results[0].n == 120


def test_holm_corrects_headlines_as_one_family_and_the_rest_as_another():
    found = Evaluated()
    pair = {"a": [0.0] * 40 + [1.0] * 20, "b": [1.0] * 60}
    evaluate_task({m: _scores(v, is_primary=True) for m, v in pair.items()}, CONTEXT, found)
    evaluate_task({m: _scores(v, metric="other") for m, v in pair.items()}, CONTEXT, found)
    evaluate_task({m: _scores(v, metric="third") for m, v in pair.items()}, CONTEXT, found)
    rows = {row.metric: row for row in found.corrected()}
    assert rows["accuracy@1"].p_holm == pytest.approx(rows["accuracy@1"].p)
    assert rows["other"].p_holm == pytest.approx(2 * rows["other"].p)


def test_none_right_is_no_certain_zero_and_no_certain_loss():
    # 0 of 60 against an expected 1 %: what a guess would often give. The difference is not significant.
    found = _evaluate({"a": _scores([0.0] * 60), f"{BASELINE}free": _scores([0.01] * 60, is_share=True)})
    row = found.results[0]
    assert (row.ci_low, row.value) == (0, 0)
    assert row.ci_high == pytest.approx(0.06, abs=0.012)
    assert found.comparisons[0].p > 0.3
    assert found.comparisons[0].ci_high > 0


def test_a_share_of_independent_queries_has_wilsons_interval():
    row = _evaluate({"a": _scores([1.0] * 45 + [0.0] * 15)}).results[0]
    wilson = proportion_interval(45, 60)
    assert (row.ci_low, row.ci_high) == (wilson.low, wilson.high)
    # Two pictures a work are no independent queries.
    by_work = _evaluate({"a": _scores([1.0] * 45 + [0.0] * 15, works=[f"w{i // 2}" for i in range(60)])}).results[0]
    assert by_work.ci_low != wilson.low


def test_the_test_that_is_asked_for_is_named_and_others_stand_in_where_it_is_not_defined():
    a, b = [1.0, 0.0] * 30, [1.0] * 55 + [0.0] * 5

    def found(test, **more) -> tuple[str, float]:
        into = Evaluated()
        scores = {"a": _scores(a, **more), "b": _scores(b, **more)}
        evaluate_task(scores, replace(CONTEXT, test=test), into)
        return into.comparisons[0].test, into.comparisons[0].p

    # 2 right only by a, 27 only by b: 2 (1 + 29 + 406) / 2^29.
    assert found("bootstrap")[0] == TEST
    assert found("mcnemar") == (MCNEMAR, pytest.approx(872 / 2**29))
    assert found("permutation")[0] == PERMUTATION
    # Works of two pictures are no independent queries: McNemar gives way to permuting works.
    assert found("mcnemar", works=[f"w{i // 2}" for i in range(60)])[0] == PERMUTATION
    assert found("permutation", combine="median")[0] == TEST


def test_figures_that_are_no_means_are_drawn_from_the_same_works():
    true = np.repeat([0, 1, 2], 20)
    good, bad = true.copy(), np.roll(true, 20)
    bad[:50] = true[:50]
    bad[50:] = 0

    def scores(predicted: np.ndarray) -> Scores:
        return _scores(
            np.zeros(60),
            metric="macro_f1",
            pooled=PooledFigure(macro_f1, (true, predicted)),
            num_classes=3,
            is_share=True,
        )

    found = _evaluate({"a": scores(bad), "b": scores(good)})
    rows = {row.model: row for row in found.results}
    assert rows["b"].value == 1
    # F1 of bad: class 0 2*20/(20+30), class 1 1, class 2 2*10/(20+10)
    assert rows["a"].value == pytest.approx((0.8 + 1 + 2 / 3) / 3)
    assert rows["a"].ci_low < rows["a"].value < rows["a"].ci_high < 1
    assert found.comparisons[0].ci_low > 0
    assert found.comparisons[0].p < 0.05


def test_intervals_of_figures_over_rare_classes_lie_on_both_sides():
    positive = np.arange(60)[:, None] // 2 == np.arange(30)
    score = np.random.default_rng(0).normal(size=(60, 30)) + positive
    pooled = PooledFigure(mean_average_precision, (score, positive))
    row = _evaluate({"a": _scores(np.zeros(60), metric="map_macro", pooled=pooled, num_classes=30)}).results[0]
    assert row.value == pytest.approx(pooled(np.ones((1, 60)))[0])
    assert 0.5 < (row.value - row.ci_low) / (row.ci_high - row.value) < 2


def test_a_model_that_gives_all_pictures_one_answer_has_an_interval_all_the_same():
    labels = np.repeat([0, 1, 2], 20)
    always, other = (labels == 0).astype(float), (labels == 1).astype(float)
    scores = {name: _scores(values, strata=labels) for name, values in (("a", always), ("b", other))}
    found = _evaluate(scores | {f"{BASELINE}largest_class": _scores(always, strata=labels)})
    rows = {row.model: row for row in found.results}
    assert rows["a"].value == pytest.approx(1 / 3)
    # None of twenty works of a class may hide 1 - .025^(1/20) = 0.168.
    assert 0.005 < rows["a"].ci_high - rows["a"].ci_low < 0.168
    assert rows["a"].ci_low <= 1 / 3 <= rows["a"].ci_high
    free = rows[f"{BASELINE}largest_class"]
    assert free.ci_low == pytest.approx(free.ci_high)
    assert found.comparisons[0].ci_low < 0 < found.comparisons[0].ci_high


def test_a_slice_of_one_class_has_its_recall_and_no_mean_over_classes():
    labels = np.repeat([0, 1, 2], 20)
    slices = {"object_type=vase": labels == 0, "century=17": np.arange(60) >= 10}
    hits = (np.arange(60) % 3 > 0).astype(float)
    recall = _scores(hits, slices=slices, metric="recall", classes=labels, is_primary=True)
    f1 = _scores(
        hits, slices=slices, metric="macro_f1", classes=labels, pooled=PooledFigure(macro_f1, (labels, labels))
    )
    free = Scores(tuple(replace(measure, values=np.ones(60)) for measure in recall.measures))
    found = _evaluate({"a": Scores((*recall.measures, *f1.measures)), "baseline:largest_class": free})
    assert {(row.slice, row.metric, row.model) for row in found.results} == {
        ("all", "recall", "a"), ("all", "recall", "baseline:largest_class"), ("all", "macro_f1", "a"),
        ("century=17", "recall", "a"), ("century=17", "recall", "baseline:largest_class"),
        ("century=17", "macro_f1", "a"), ("object_type=vase", "recall", "a"),
    }  # fmt: skip


def test_a_question_is_not_corrected_for_what_was_asked_elsewhere():
    found = Evaluated(primary=[("b", "t", "m")])
    for benchmark, metric, other in (
        ("b", "m", "base"),
        ("b", "n", "base"),
        ("c", "n", "base"),
        ("b", "n", "baseline:x"),
    ):
        row = ComparisonRow(other, "tuned", benchmark, "t", "all", metric, 0.1, 0.0, 0.2, TEST, 0.01, None, 60)
        found.comparisons += [row, replace(row, slice="language=fr")]
    # The headline stands alone; then b's three other rows, c's two, and b's two with what is free.
    assert [row.p_holm for row in found.corrected()] == pytest.approx([0.01, 0.03, 0.03, 0.03, 0.02, 0.02, 0.02, 0.02])


def test_the_count_of_a_slice_too_small_stands_once():
    few = {"source=small": np.arange(60) < 20}
    first = _scores([1.0, 0.0] * 30, slices=few, is_primary=True)
    second = _scores([1.0] * 60, slices=few, metric="other")
    found = _evaluate({"a": Scores((*first.measures, *second.measures))})
    assert [(row.slice, row.metric) for row in found.results] == [
        ("all", "accuracy@1"), ("all", "other"), ("source=small", "accuracy@1"),
    ]  # fmt: skip


def test_the_chance_of_a_slice_is_that_of_its_own_queries():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [40, 40, 120])
    figure = PooledFigure(mean_average_precision, (rng.random((200, 3)), labels[:, None] == np.arange(3)), chance_map)
    queries = Queries(np.arange(200).astype(str), {"all": labels >= 0, "source=few": labels < 2})
    found = _evaluate({"a": Scores((pooled_measure("map_macro", queries, figure, 3),))})
    chance = {row.slice: row.chance for row in found.results}
    two_classes = labels[:80, None] == np.arange(2)
    ones = np.ones((1, 80))
    guesses = [mean_average_precision(rng.random((80, 2)), two_classes, ones)[0] for _ in range(400)]
    assert chance["source=few"] == pytest.approx(np.mean(guesses), abs=0.01)
    assert chance["all"] < chance["source=few"] - 0.1
