"""The mean over questions, worked by hand; one draw of works for all; how a model came about is read from its run."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from eval.contestant_training import training_facts
from eval.overall import FREE, Headline, overall_rows
from eval.resampling import PooledFigure
from iconoclip.metrics import mean_average_precision


def headline(
    benchmark, task, values, *, works=None, models=("base", "tuned"), chance=None, metric="accuracy@1", **more
):
    values = np.array(values, dtype=float)
    works = np.array(works if works is not None else [f"{benchmark}-{i}" for i in range(len(values))])
    return Headline(
        benchmark, task, metric, tuple(models), works, values, more.pop("strata", None), "mean",
        more.pop("pooled", ()), 1, more.pop("figures", values.mean(axis=0)), chance,
    )  # fmt: skip


def sheet(name, *, is_control=False, **tasks):
    return {"name": name, "is_control": is_control, "tasks": [{"name": t, "kind": k} for t, k in tasks.items()]}


def rows_of(headlines, sheets, *, models=("base", "tuned"), comparisons=(), resamples=2000):
    return overall_rows(
        headlines, models=models, sheets=sheets, comparisons=comparisons, resamples=resamples, seed=0
    )  # fmt: skip


def find(rows, **wanted):
    return next((row for row in rows if all(row[name] == value for name, value in wanted.items())), None)


# 40 pictures: the base is right in the first half; the tuned model in three quarters of them.
ASKED = [(i < 20, i < 30) for i in range(40)]
# 30 captions: right in 15 and in 12.
GENERAL = [(i < 15, i < 12) for i in range(30)]


def test_every_question_counts_once_whatever_its_size():
    small = [(i < 5, i < 10) for i in range(20)]  # 25 % and 50 %
    headlines = [headline("a", "ask", ASKED), headline("b", "ask", small)]
    row = find(rows_of(headlines, [sheet("a", ask="retrieval"), sheet("b", ask="retrieval")]), a="base", way_a="asked")
    assert row["delta"] == pytest.approx((0.25 + 0.25) / 2)
    assert (row["value_a"], row["value_b"]) == (pytest.approx((0.5 + 0.25) / 2), pytest.approx((0.75 + 0.5) / 2))
    assert row["ci_low"] < row["delta"] < row["ci_high"]
    assert (row["n"], row["n_clusters"]) == (60, 60)
    assert row["questions"] == [["a", "ask", "accuracy@1"], ["b", "ask", "accuracy@1"]]


def test_controls_are_a_group_of_their_own():
    sheets = [sheet("a", ask="retrieval"), sheet("g", is_control=True, ask="retrieval")]
    rows = rows_of([headline("a", "ask", ASKED), headline("g", "ask", GENERAL)], sheets)
    assert find(rows, group="heritage", a="base")["delta"] == pytest.approx(0.25)
    assert find(rows, group="general", a="base")["delta"] == pytest.approx(-0.1)


def test_a_question_asked_twice_is_no_more_evidence_than_once():
    once = [headline("a", "en", ASKED)]
    twice = [headline("a", "en", ASKED), headline("a", "fr", ASKED)]
    apart = [headline("a", "en", ASKED), headline("b", "en", ASKED)]
    wide, same, narrow = (
        find(rows_of(each, [sheet("a", en="retrieval", fr="retrieval"), sheet("b", en="retrieval")]), a="base")
        for each in (once, twice, apart)
    )
    assert (same["ci_low"], same["ci_high"]) == (pytest.approx(wide["ci_low"]), pytest.approx(wide["ci_high"]))
    assert narrow["ci_high"] - narrow["ci_low"] < 0.8 * (wide["ci_high"] - wide["ci_low"])


def test_works_are_drawn_and_not_pictures():
    by_work = headline("a", "ask", ASKED, works=[f"w{i // 4}" for i in range(40)])
    wide = find(rows_of([by_work], [sheet("a", ask="retrieval")]), a="base")
    narrow = find(rows_of([headline("a", "ask", ASKED)], [sheet("a", ask="retrieval")]), a="base")
    assert wide["n_clusters"] == 10
    assert wide["ci_high"] - wide["ci_low"] > 1.5 * (narrow["ci_high"] - narrow["ci_low"])


def test_a_probe_is_compared_on_the_pictures_and_the_measure_it_shares():
    probe = [(i < 28, i < 32) for i in range(40)]  # base 70 %, tuned 80 %
    works = [f"w{i}" for i in range(40)]
    headlines = [
        headline("a", "prompts", ASKED, works=works),
        headline("a", "linear", probe, works=works),
        headline("a", "by_class", ASKED, works=works, metric="mean_per_class_recall"),
    ]
    kinds = {"prompts": "classification", "linear": "probe", "by_class": "classification"}
    rows = rows_of(headlines, [sheet("a", **kinds)])
    assert find(rows, a="base", way_a="asked", way_b="probe")["delta"] == pytest.approx(0.70 - 0.50)
    over_probe = find(rows, a="base", way_a="probe", b="tuned")
    assert over_probe["delta"] == pytest.approx(0.75 - 0.70)
    assert over_probe["questions"] == [["a", "prompts", "accuracy@1"]]
    assert len(find(rows, a="base", way_a="asked", b="tuned")["questions"]) == 2  # the probe is another way


def test_free_is_the_best_baseline_or_chance_question_by_question():
    with_baseline = [(a, b, i < 28) for i, (a, b) in enumerate(ASKED)]  # the baseline has 70 %
    models = ("base", "tuned", "baseline:largest_class")
    headlines = [
        headline("a", "ask", with_baseline, models=models, chance=0.1),
        headline("b", "ask", ASKED, chance=0.25),
    ]
    row = find(rows_of(headlines, [sheet("a", ask="retrieval"), sheet("b", ask="retrieval")]), a=FREE)
    assert row["delta"] == pytest.approx(((0.75 - 0.70) + (0.75 - 0.25)) / 2)


def test_models_that_never_differ_have_an_interval_all_the_same():
    row = find(rows_of([headline("a", "ask", [(1, 1)] * 60)], [sheet("a", ask="retrieval")]), a="base")
    assert row["delta"] == 0
    assert row["ci_high"] == pytest.approx(0.0596, abs=1e-3)  # none of 60 works, Clopper-Pearson


def test_figures_over_classes_are_drawn_by_their_own_rule():
    values = np.zeros((40, 2))

    def share(column):
        right = np.array([float(pair[column]) for pair in ASKED])
        return lambda weights_RQ: weights_RQ @ right / weights_RQ.sum(axis=1)

    pooled = headline("a", "ask", values, pooled=(share(0), share(1)), figures=np.array([0.5, 0.75]))
    plain = headline("a", "ask", ASKED)
    by_rule, by_mean = (find(rows_of([each], [sheet("a", ask="multilabel")]), a="base") for each in (pooled, plain))
    assert by_rule["delta"] == pytest.approx(by_mean["delta"])
    for name in ("ci_low", "ci_high"):  # draws of figures over classes are shifted to their mean
        assert by_rule[name] == pytest.approx(by_mean[name], abs=0.005)


def test_the_interval_of_a_figure_over_rare_classes_lies_round_it():
    rng = np.random.default_rng(0)
    positive = np.arange(60)[:, None] // 2 == np.arange(30)
    scores = rng.normal(size=(60, 30)), rng.normal(size=(60, 30)) + positive
    pooled = tuple(PooledFigure(mean_average_precision, (score, positive)) for score in scores)
    figures = np.array([each(np.ones((1, 60)))[0] for each in pooled])
    asked = headline("a", "ask", np.zeros((60, 2)), pooled=pooled, figures=figures)
    row = find(rows_of([asked], [sheet("a", ask="multilabel")], resamples=300), a="base")
    below, above = row["delta"] - row["ci_low"], row["ci_high"] - row["delta"]
    assert 0.5 < below / above < 2


def test_one_question_repeats_the_figures_of_its_comparison():
    known = SimpleNamespace(
        benchmark="a", task="ask", metric="accuracy@1", model_a="base", model_b="tuned", slice="all",
        delta=0.25, ci_low=0.1, ci_high=0.4, p=0.002,
    )  # fmt: skip
    row = find(rows_of([headline("a", "ask", ASKED)], [sheet("a", ask="retrieval")], comparisons=[known]), a="base")
    assert (row["ci_low"], row["ci_high"], row["p"]) == (0.1, 0.4, 0.002)


def test_intervals_hold_the_truth():
    rng, held, runs = np.random.default_rng(5), 0, 300
    for _ in range(runs):
        works = [f"w{i}" for i in range(30)]
        hard = rng.normal(0, 0.1, 30)  # a work is as hard in both questions
        pairs = [(rng.random((30, 2)) < np.stack([0.4 + hard, 0.6 + hard], axis=1)) for _ in range(2)]
        headlines = [headline("a", f"t{number}", pair, works=works) for number, pair in enumerate(pairs)]
        row = find(rows_of(headlines, [sheet("a", t0="retrieval", t1="retrieval")], resamples=400), a="base")
        held += row["ci_low"] <= 0.2 <= row["ci_high"]
    assert 0.92 <= held / runs <= 0.98


# ---- how the weights came about ----


def write_run(folder, *, model="hf-hub:org/base", lora=None, trained=10, wise_ft=None, **more):
    folder.mkdir(parents=True)
    run = {
        "config": {"verb": "train", "model": {"name": model}, "lora": lora},
        "model": {"name": model, "weights_sha256": "b" * 64, "num_parameters": 10, "num_trained": trained},
        "kwh": 0.5, "seconds": 1800.0, "sessions": [{"num_processes": 2, "device": "cpu"}],
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(run | ({"wise_ft": wise_ft} if wise_ft else {}) | more))
    return folder


def test_the_method_is_read_from_the_run_and_not_from_its_name(tmp_path):
    lora = training_facts([write_run(tmp_path / "full_finetuning", lora={"rank": 4}, trained=2)])
    assert (lora["method"], lora["wise_ft"], lora["kwh"], lora["hours"]) == ("lora", None, 0.5, 0.5)
    sweep = {"chosen_alpha": 0.4, "rule": "r", "points": [{"alpha": 0, "heritage": 0.1, "general": 0.6}]}
    full = training_facts([write_run(tmp_path / "lora", wise_ft=sweep)])
    assert (full["method"], full["wise_ft"]["alpha"], full["base_weights_sha256"]) == ("full", 0.4, "b" * 64)
    assert training_facts([write_run(tmp_path / "c", trained=4)])["method"] == "partial"
    assert training_facts([write_run(tmp_path / "d", model="tiny:random")])["method"] == "from_random"
    assert training_facts([]) is None


def test_runs_by_fold_are_added_up_and_gaps_are_not_guessed(tmp_path):
    folds = [write_run(tmp_path / f"fold-{fold}") for fold in range(3)]
    facts = training_facts(folds)
    assert (facts["kwh"], facts["hours"], facts["num_runs"]) == (1.5, 1.5, 3)
    assert training_facts([*folds, write_run(tmp_path / "fold-3", kwh=None)])["kwh"] is None
