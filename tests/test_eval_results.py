import numpy as np
import pytest

from eval.results import BASELINE, Context, Evaluated, evaluate_task
from eval.tasks.base import Measure, Queries, Scores

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
