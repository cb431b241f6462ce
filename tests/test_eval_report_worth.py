"""Whether fine-tuning is worth it: a row for each way, told apart by its record, and the rules one by one."""

import json
import re
from dataclasses import replace

import pytest

from eval import report_opening
from eval.report import write_report
from eval.report_data import Overall, Results, Score
from eval.report_opening import pareto_parts, worth_parts
from eval.report_words import open_words
from eval.report_worth import best, missing_ways, verdict, ways

EN, FR = open_words("en"), open_words("fr")
QUESTIONS = (("b", "t", "accuracy@1"),)


def row(b, delta, *, reach=0.02, a="base", way_a="asked", way_b="asked", group="heritage", p=0.001):
    ends = (delta - reach, delta + reach)
    return Overall(group, a, way_a, b, way_b, delta, *ends, p, 0.4, 0.4 + delta, QUESTIONS, 100, 40)


def results(*rows, trainings=None, base="a" * 64):
    trainings = {"tuned": {"method": "full"}} if trainings is None else trainings
    models = ("base", *trainings)
    facts = [{"label": "base"}, *({"label": name, "training": facts} for name, facts in trainings.items())]
    scores = (Score("base", "b", "t", "all", "accuracy@1", 0.4, weights_sha256=base),)
    return Results(scores, (), ({"models": facts},), (), models=models, overall=rows)


def fate(*rows, **more):
    way = best(ways(results(*rows, **more)))
    return way.fate if way else None


GAIN = row("tuned", 0.1)
SMALL_CHANGE = row("tuned", -0.002, reach=0.005, group="general")


def test_a_gain_without_a_loss_is_worth_it():
    assert fate(GAIN, SMALL_CHANGE) == "worth"
    said = verdict(EN, results(GAIN, SMALL_CHANGE))
    assert said.startswith("Fine-tuning is worth it here: tuned (full fine-tuning) gains +10.0\u202fpoints")
    assert "(+8.0 to +12.0)" in said


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row("tuned", 0.01), SMALL_CHANGE], "no_gain"),  # −1 to +3 points
        ([row("tuned", 0.1, p=0.06), SMALL_CHANGE], "no_gain"),
        ([row("tuned", -0.1), SMALL_CHANGE], "worse"),
        ([GAIN, SMALL_CHANGE, row("tuned", 0.01, a="free")], "free"),
        ([GAIN, SMALL_CHANGE, row("tuned", 0.01, way_a="probe")], "probe"),
        ([GAIN, SMALL_CHANGE, row("tuned", 0.05, way_a="probe"), row("tuned", 0.05, a="free")], "worth"),
        ([GAIN], "unmeasured"),
        ([GAIN, row("tuned", -0.05, group="general")], "dear"),  # −7 to −3 points
        ([GAIN, row("tuned", -0.01, group="general")], "unsettled"),  # −3 to +1 points
        ([], None),
    ],
)
def test_each_rule_by_itself(rows, expected):
    assert fate(*rows) == expected


def test_a_probe_costs_the_time_of_its_fitting():
    probe = Overall("heritage", "base", "asked", "base", "probe", 0.1, 0.05, 0.15, 0.01, 0.4, 0.5, QUESTIONS, 100, 40)
    tasks = [{"name": "a", "kind": "probe", "seconds": {"base": 36.0, "tuned": 99.0}}]
    tasks += [{"name": "b", "kind": "classification", "seconds": {"base": 500.0}}]
    found = results(GAIN, probe)
    for sheets, hours in (
        ([{"name": "x", "tasks": tasks}, {"name": "y", "tasks": tasks, "is_control": True}], 0.01),
        ([{"name": "x", "tasks": [{"name": "a", "kind": "probe"}]}], None),  # results of an earlier version
    ):
        found.runs[0]["benchmarks"] = sheets
        way = ways(replace(found))[1]
        assert (way.kind, way.hours) == ("probe", hours)
        assert way.kwh == (hours and pytest.approx(0.002))
        assert ("0.002" in "".join(worth_parts(EN, replace(found)))) == (hours is not None)


def test_it_may_say_that_it_is_not_worth_it():
    for rows in ([row("tuned", 0.01)], [GAIN, row("tuned", 0.01, way_a="probe")], [row("tuned", -0.1)]):
        assert verdict(EN, results(*rows)).startswith("Fine-tuning is not worth it here: ")
        assert verdict(FR, results(*rows)).startswith("L’affinage n’en vaut pas la peine ici\u00a0: ")


def test_gains_are_corrected_for_the_number_of_tuned_models():
    trainings = {name: {"method": "lora"} for name in ("a", "b", "c")}
    rows = [row(name, 0.1, p=0.03) for name in trainings]
    assert fate(*rows, trainings=trainings) == "no_gain"  # 3 x 0.03
    assert fate(rows[0], trainings={"a": {"method": "lora"}}) == "unmeasured"


def test_the_verdict_is_that_of_the_model_that_fares_best():
    trainings = {"greedy": {"method": "full"}, "careful": {"method": "lora"}}
    rows = [row("greedy", 0.3), row("greedy", -0.2, group="general")]
    rows += [row("careful", 0.1), row("careful", 0.0, reach=0.005, group="general")]
    found = ways(results(*rows, trainings=trainings))
    assert best(found).model == "careful"
    assert [way.kind for way in found] == ["asked", "lora", "full"]


def test_a_model_trained_from_nothing_is_shown_and_not_judged():
    found = results(GAIN, trainings={"tuned": {"method": "from_random", "kwh": 1.0, "hours": 2.0}})
    assert best(ways(found)) is None
    assert verdict(EN, found).startswith("The question cannot be answered")
    assert "trained from random weights" in "".join(worth_parts(EN, found))


def test_ways_that_are_not_there_are_named():
    assert missing_ways(ways(results(GAIN))) == ["way.probe", "way.lora", "way.full_wise_ft"]
    averaged = {"tuned": {"method": "full", "wise_ft": {"alpha": 0.4}}}
    probe = row("base", 0.2, way_b="probe")
    assert missing_ways(ways(results(GAIN, probe, trainings=averaged))) == ["way.lora"]
    text = "".join(worth_parts(EN, results(GAIN, probe, trainings=averaged)))
    assert "full fine-tuning with WiSE-FT, α 0.4" in text
    assert "base with linear probe" in text


def test_a_model_tuned_from_other_weights_is_told():
    other = {"tuned": {"method": "full", "base": "b0", "base_weights_sha256": "f" * 64}}
    assert "was tuned from other weights" in "".join(worth_parts(EN, results(GAIN, trainings=other)))
    same = {"tuned": {"method": "full", "base": "b0", "base_weights_sha256": "a" * 64}}
    assert "was tuned from other weights" not in "".join(worth_parts(EN, results(GAIN, trainings=same)))


def test_energy_and_hours_stand_beside_the_gain():
    text = "".join(worth_parts(FR, results(GAIN, trainings={"tuned": {"method": "lora", "kwh": 0.0123, "hours": 1.5}})))
    assert "0,012" in text
    assert ">1,5<" in text
    assert report_opening.small_number(EN, 12.34) == "12"
    assert report_opening.small_number(EN, 0.00023) == "0.00023"


def test_of_several_folders_the_row_on_most_questions_counts():
    more = Overall(**{**GAIN.__dict__, "delta": 0.2, "questions": (*QUESTIONS, ("c", "t", "accuracy@1"))})
    found = results(GAIN, more)
    assert found.whole("heritage", "base", "tuned").delta == 0.2


def test_a_probe_that_gains_is_named_where_tuning_does_not():
    rows = [row("tuned", 0.01), row("base", 0.2, way_b="probe")]
    assert "while a linear probe on the base gains +20.0" in verdict(EN, results(*rows))
    assert "probe" not in verdict(EN, results(row("tuned", 0.01), row("base", 0.01, way_b="probe")))


# ---- gain against loss ----


def test_gain_against_loss_is_drawn_with_both_intervals():
    text = "".join(pareto_parts(EN, results(GAIN, row("tuned", -0.05, group="general"))))
    drawing = text[text.index("<svg") : text.index("</svg>")]
    assert drawing.count('class="cap"') == 2  # one arm each way
    assert ">tuned</text>" in drawing
    assert "Each dot is a model" in text
    assert "−7.0 to −3.0" in text


def test_models_that_another_beats_in_both_are_not_on_the_front():
    trainings = {"good": {"method": "full"}, "bad": {"method": "full"}}
    rows = [row("good", 0.1), row("good", -0.01, group="general"), row("bad", 0.05), row("bad", -0.02, group="general")]
    text = "".join(pareto_parts(EN, results(*rows, trainings=trainings)))
    ends = re.findall(r"<bdi>(\w+)</bdi>.*?<td>(yes|no)</td></tr>", text)
    assert ends == [("good", "yes"), ("bad", "no")]


def test_a_sweep_of_averages_is_drawn_from_the_run_s_own_record():
    points = [{"alpha": a, "heritage": 0.3 + a / 10, "general": 0.6 - a / 10} for a in (0, 0.5, 1)]
    trainings = {"tuned": {"method": "full", "wise_ft": {"alpha": 0.5, "points": points}}}
    text = "".join(pareto_parts(EN, results(GAIN, trainings=trainings)))
    assert text.count("<circle") == 3
    assert "without intervals; α 0.5 was chosen" in text
    assert "No control benchmark was evaluated" in text
    assert not pareto_parts(EN, results(GAIN))


def test_results_of_before_say_what_is_missing(tmp_path):
    score = {"model": "base", "weights_sha256": "a", "benchmark": "b", "task": "t", "slice": "all", "n": 40}
    line = json.dumps(score | {"metric": "accuracy@1", "value": 0.4, "ci_low": 0.3, "ci_high": 0.5})
    (tmp_path / "results.jsonl").write_text(line + "\n")
    text = write_report([tmp_path], tmp_path / "r.html", language="fr").read_text(encoding="utf-8")
    assert "pas d’overall.jsonl" in text
    assert '<html lang="fr">' in text
