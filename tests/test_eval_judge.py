"""Blind sheets for experts: drawn by strata, read back row by row, and what follows from them."""

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from openpyxl import load_workbook
from sklearn.metrics import cohen_kappa_score

from eval import judge, judge_agreement, judge_pool, judge_sheet
from eval.benchmark_files import BenchmarkFile, write_benchmark_file
from eval.benchmark_validate import validate_benchmark
from eval.config import EvalConfig
from eval.judge_pool import Found, Pair
from eval.run import run_evaluation
from iconoclip.errors import EvaluationError


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, tiny_model_dir):
    """Results of two models on 96 held-out pictures with captions in three languages."""
    import conftest

    root = tmp_path_factory.mktemp("judge")
    conftest._write_set(root / "shards", 480, ("train", "val", "test"), (), 1000, "toy")
    data = {
        "verb": "eval", "out": str(root / "eval"), "shards": str(root / "shards"), "resamples": 200, "device": "cpu",
        "models": [{"name": str(tiny_model_dir), "label": "SECRET-A"},
                   {"name": str(tiny_model_dir), "weights": "random", "label": "SECRET-B"}],
        "benchmarks": [{"kind": "shard_retrieval", "name": "pooled"}],
    }  # fmt: skip
    run_evaluation(EvalConfig.validate_data(data, where="test"))
    return root / "eval"


@pytest.fixture
def results(evaluated: Path, tmp_path: Path) -> Path:
    """The same results with no sheet drawn yet."""
    root = tmp_path / "eval"
    root.mkdir()
    for path in evaluated.iterdir():
        (root / path.name).symlink_to(path)
    return root


def _fill(sheet: Path, out: Path, answer, *, change=None) -> Path:
    book = load_workbook(sheet)
    rows = book["judge"]
    for number in range(2, rows.max_row + 1):
        rows.cell(number, 5).value = answer(rows.cell(number, 7).value, rows.cell(number, 3).value)
    if change:
        change(rows)
    book.save(out)
    return out


def test_a_sheet_is_blind_shuffled_and_the_same_again(results: Path):
    text = judge.make_sheet(results, number=60, seed=3)
    assert "60 of" in text
    sheet = load_workbook(results / "judge" / "sheet.xlsx")["judge"]
    rows = list(sheet.iter_rows(min_row=2, values_only=True))
    assert len(rows) == 60
    assert len(sheet._images) == 60
    assert [row[0] for row in rows] == list(range(1, 61))
    content = (results / "judge" / "sheet.xlsx").read_bytes()
    assert b"SECRET" not in content
    strings = " ".join(str(cell) for row in rows for cell in row)
    assert "SECRET" not in strings
    languages = [row[3] for row in rows]
    assert set(languages) == {"en", "fr", "nl"}
    assert languages != sorted(languages)
    assert max(Counter(languages).values()) - min(Counter(languages).values()) <= 4
    first = [row[6] for row in rows]
    judge.make_sheet(results, number=60, seed=3)
    again = load_workbook(results / "judge" / "sheet.xlsx")["judge"]
    assert [row[6] for row in again.iter_rows(min_row=2, values_only=True)] == first
    with pytest.raises(EvaluationError, match="another sheet was drawn"):
        judge.make_sheet(results, number=60, seed=4)


def test_pairs_of_several_models_are_judged_once(results: Path):
    from eval.report_reading import read_results

    pairs = judge_pool.gather_pairs(read_results([results]))
    assert len({pair.id for pair in pairs}) == len(pairs)
    assert {found.model for pair in pairs for found in pair.found} == {"SECRET-A", "SECRET-B"}
    assert {found.rank for pair in pairs for found in pair.found} == {1, 2, 3, 4, 5}
    bands = Counter(pair.band for pair in pairs)
    assert set(bands) == {0, 1, 2, 3}
    assert max(bands.values()) < 1.2 * min(bands.values())


@pytest.fixture(scope="module")
def evaluated_classes(tmp_path_factory, tiny_model_dir) -> Path:
    """Results on 48 pictures in four folders, whose classes have texts in two languages; one text is in both."""
    import conftest

    root = tmp_path_factory.mktemp("judge_classes")
    for number in range(48):
        path = root / "scans" / f"class_{number % 4}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(conftest._jpeg(number))
    file = BenchmarkFile(
        verb="benchmark", name="scans", title="Scans", licence="CC BY 4.0", citation="Our Museum 2026",
        rights_class="open", task="classification", layout="folders", templates={"en": ["a {}", "{}"], "fr": ["{}"]},
        classes={f"class_{n}": {"en": f"vase {n}", "fr": f"vase {n}" if n == 3 else f"le vase {n}"} for n in range(4)},
    )  # fmt: skip
    write_benchmark_file(root / "scans" / "benchmark.yaml", file, comment="")
    data = {
        "verb": "eval", "out": str(root / "eval"), "models": [str(tiny_model_dir)], "resamples": 200, "device": "cpu",
        "benchmarks": [{"kind": "file", "path": str(root / "scans" / "benchmark.yaml")}],
    }  # fmt: skip
    run_evaluation(EvalConfig.validate_data(data, where="test"))
    return root / "eval"


def test_classes_are_shown_by_their_text_and_each_pair_once(evaluated_classes: Path, tmp_path: Path):
    from eval.report_reading import read_results

    pairs = judge_pool.gather_pairs(read_results([evaluated_classes]))
    assert {(pair.text, pair.language) for pair in pairs} <= {
        *((f"vase {n}", "en") for n in range(4)), *((f"le vase {n}", "fr") for n in range(3)),
    }  # fmt: skip
    assert {pair.language for pair in pairs} == {"en", "fr"}
    assert len({(pair.text, pair.key) for pair in pairs}) == len(pairs)
    tasks = {found.task for pair in pairs for found in pair.found}
    assert tasks == {"zero_shot_en", "zero_shot_fr", "nearest_neighbour", "linear_probe"}
    assert len(pairs) < sum(len(pair.found) for pair in pairs) == 4 * 48
    assert "class_" not in judge.make_sheet(evaluated_classes, number=500)
    sheet = evaluated_classes / "judge" / "sheet.xlsx"
    judge.take_back(evaluated_classes, [_fill(sheet, tmp_path / "a.xlsx", _always("yes"))])
    made = BenchmarkFile.load(evaluated_classes / "judge" / "benchmark" / "benchmark.yaml")
    assert (made.licence, made.citation) == ("CC BY 4.0", "Our Museum 2026")


def test_results_without_texts_of_classes_show_names_and_say_so(evaluated_classes: Path, tmp_path: Path):
    root = tmp_path / "old"
    root.mkdir()
    for path in evaluated_classes.iterdir():
        if path.name not in ("judge", "run.json"):
            (root / path.name).symlink_to(path)
    run = json.loads((evaluated_classes / "run.json").read_text())
    for task in run["benchmarks"][0]["tasks"]:
        task.pop("class_texts", None)
    (root / "run.json").write_text(json.dumps(run))
    assert "note      scans: run.json does not say by which texts" in judge.make_sheet(root, number=500)


def _pairs(sizes: dict[tuple[str, int], int]) -> list[Pair]:
    found = (Found("m", "b", "t", 1),)
    return [
        Pair(f"text {number}", language, f"k{language}{band}{number}", f"w{language}{band}{number}", band, found)
        for (language, band), size in sizes.items()
        for number in range(size)
    ]


def test_small_strata_are_taken_whole_and_weights_undo_the_draw():
    pairs = _pairs({("nl", 0): 5, ("en", 0): 100, ("en", 1): 200})
    drawn, weights = judge_pool.draw_pairs(pairs, 65, seed=0)
    counts = Counter(pair.stratum for pair in drawn)
    assert counts == {("nl", 0): 5, ("en", 0): 30, ("en", 1): 30}
    assert sum(weights[pair.id] for pair in drawn) == pytest.approx(305)
    everything, weights = judge_pool.draw_pairs(pairs, 1000, seed=0)
    assert len(everything) == 305
    assert set(weights.values()) == {1.0}


def test_filled_sheets_become_judgements_figures_and_a_benchmark(results: Path, tmp_path: Path):
    judge.make_sheet(results, number=120)
    sheet = results / "judge" / "sheet.xlsx"
    a = _fill(sheet, tmp_path / "first.xlsx", lambda id_, text: "yes" if int(id_[1:], 16) % 3 else "no")
    b = _fill(sheet, tmp_path / "second.xlsx", lambda id_, text: " Yes" if int(id_[1:], 16) % 4 else "partly")
    text = judge.take_back(results, [a, b])
    facts = json.loads((results / "judge" / "judge.json").read_text())
    key = json.loads((results / "judge" / "key.json").read_text())
    ids = [judge_pool.Pair(**(pair | {"found": ()})).id for pair in key["pairs"]]
    first = ["yes" if int(id_[1:], 16) % 3 else "no" for id_ in ids]
    second = ["yes" if int(id_[1:], 16) % 4 else "partly" for id_ in ids]
    assert facts["kappa"]["value"] == pytest.approx(cohen_kappa_score(first, second))
    assert facts["kappa"]["ci_low"] < facts["kappa"]["value"] < facts["kappa"]["ci_high"]
    assert facts["same"] == sum(x == y for x, y in zip(first, second, strict=True))
    assert facts["counts"]["first"] == dict(sorted(Counter(first).items()))
    rows = {(row["model"], row["metric"]): row for row in facts["precision"]}
    right = {id_: ((x == "yes") + (y == "yes")) / 2 for id_, x, y in zip(ids, first, second, strict=True)}
    mine = [
        (key["weights"][id_], right[id_])
        for id_, pair in zip(ids, key["pairs"], strict=True)
        if any(found["model"] == "SECRET-A" for found in pair["found"])
    ]
    expected = sum(weight * value for weight, value in mine) / sum(weight for weight, _ in mine)
    assert rows["SECRET-A", "precision@5"]["value"] == pytest.approx(expected)
    assert rows["SECRET-A", "precision_with_partly@5"]["value"] > expected
    assert f"Cohen's kappa {facts['kappa']['value']:.2f} [" in text
    with (results / "judge" / "judgements.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 120
    assert {row["first"] for row in table} == {"yes", "no"}
    file = BenchmarkFile.load(results / "judge" / "benchmark" / "benchmark.yaml")
    assert file.task == "retrieval"
    with (results / "judge" / "benchmark" / "items.csv").open(encoding="utf-8", newline="") as handle:
        items = list(csv.DictReader(handle))
    both = sum(x == y == "yes" for x, y in zip(first, second, strict=True))
    assert sum(bool(item["caption"]) for item in items) == both == facts["benchmark"]["pairs_right"]
    assert {item["image"] for item in items} == {f"images/{pair['key']}.jpg" for pair in key["pairs"]}
    assert all((results / "judge" / "benchmark" / item["image"]).is_file() for item in items)


def test_what_cannot_be_told_is_left_out(results: Path, tmp_path: Path):
    judge.make_sheet(results, number=120)
    one = _fill(
        results / "judge" / "sheet.xlsx", tmp_path / "a.xlsx",
        lambda id_, text: "?" if int(id_[1:], 16) % 2 else "yes",
    )  # fmt: skip
    judge.take_back(results, [one])
    facts = json.loads((results / "judge" / "judge.json").read_text())
    row = next(row for row in facts["precision"] if row["metric"] == "precision@5")
    assert row["value"] == 1.0
    assert row["ci_low"] < 0.97  # all right, and still no certainty
    assert row["n"] < 120
    assert "kappa" not in facts


def test_one_sheet_given_twice_is_not_two_experts(results: Path, tmp_path: Path):
    judge.make_sheet(results, number=40)
    filled = _fill(results / "judge" / "sheet.xlsx", tmp_path / "first.xlsx", _always("yes"))
    copy = tmp_path / "copy.xlsx"
    copy.write_bytes(filled.read_bytes())
    for second in (filled, copy):
        with pytest.raises(EvaluationError, match="the same file twice"):
            judge.take_back(results, [filled, second])


def test_too_few_pairs_are_said_when_drawn_and_in_words_when_back(results: Path, tmp_path: Path):
    text = judge.make_sheet(results, number=30)
    assert "a figure needs 30 pairs of 10 works that experts can tell" in text
    assert "draw more with -n" in text
    sheet = results / "judge" / "sheet.xlsx"
    first = _fill(sheet, tmp_path / "a.xlsx", lambda id_, text: "?" if int(id_[1:], 16) % 4 == 0 else "yes")
    text = judge.take_back(results, [first, _fill(sheet, tmp_path / "b.xlsx", _always("no"))])
    facts = json.loads((results / "judge" / "judge.json").read_text())
    told, works = facts["told"], facts["kappa"]["n_works"]
    assert told < 30
    needs = "works were told; a figure needs at least 30 pairs of 10 works"
    assert f"no Cohen's kappa: {told} pairs of {works} {needs}" in text
    assert f"no figure: {told} pairs of {works} {needs}" in text
    assert "note" not in judge.make_sheet(_fresh(results), number=200)


def _fresh(results: Path) -> Path:
    import shutil

    shutil.rmtree(results / "judge")
    return results


def test_bad_sheets_are_named_by_row(results: Path, tmp_path: Path):
    judge.make_sheet(results, number=20)
    sheet = results / "judge" / "sheet.xlsx"

    def spoil(rows):
        rows.cell(3, 5).value = "maybe"
        rows.cell(4, 5).value = None
        rows.cell(5, 7).value = "j000000000000"
        rows.cell(6, 3).value = "another text"
        rows.cell(8, 7).value = rows.cell(7, 7).value
        rows.delete_rows(10)

    bad = _fill(sheet, tmp_path / "bad.xlsx", lambda id_, text: "no", change=spoil)
    with pytest.raises(EvaluationError) as found:
        judge.take_back(results, [bad])
    message = str(found.value)
    assert "bad.xlsx: 8 problems" in message  # three rows' ids are no longer there
    for expected in (
        "row 3: the judgement is 'maybe'; write yes, partly, no or ?",
        "row 4: no judgement",
        "row 5: the id 'j000000000000' is not one of this sheet's",
        "row 6: the text was changed, from ",
        "row 8: the id j",
    ):
        assert expected in message
    assert message.count("no row with the id") == 3
    (tmp_path / "words.xlsx").write_text("not a spreadsheet")
    with pytest.raises(EvaluationError, match="not a spreadsheet that can be read"):
        judge.take_back(results, [tmp_path / "words.xlsx"])
    with pytest.raises(EvaluationError, match="one or two experts"):
        judge.take_back(results, [bad, bad, bad])


def test_a_sheet_must_be_drawn_before_one_comes_back(results: Path, tmp_path: Path):
    with pytest.raises(EvaluationError, match="draw a sheet first"):
        judge.take_back(results, [tmp_path / "a.xlsx"])
    with pytest.raises(EvaluationError, match="ask for at least one"):
        judge.make_sheet(results, number=0)
    with pytest.raises(EvaluationError, match="not there"):
        judge.make_sheet(tmp_path / "nowhere")


def test_texts_that_look_like_formulas_stay_texts(tmp_path: Path, make_jpeg):
    pair = Pair('=HYPERLINK("http://x")', "en", "k", "w", 0, ())
    judge_sheet.write_sheet(tmp_path / "s.xlsx", [pair], {"k": make_jpeg(1)})
    cell = load_workbook(tmp_path / "s.xlsx")["judge"].cell(2, 3)
    assert (cell.value, cell.data_type) == (pair.text, "s")
    _fill(tmp_path / "s.xlsx", tmp_path / "f.xlsx", lambda id_, text: "yes", change=_keep_text)
    assert judge_sheet.read_sheet(tmp_path / "f.xlsx", {pair.id: pair}) == {pair.id: ("yes", "")}


def _always(judgement: str):
    return lambda id_, text: judgement


def _keep_text(rows):
    rows.cell(2, 3).data_type = "s"


def test_kappa_by_hand_and_as_scikit_learn_has_it():
    # yes yes no no against yes no no no: agreement 3/4, by chance 1/2 x 1/4 + 1/2 x 3/4 = 1/2.
    first, second = np.array([0, 0, 2, 2]), np.array([0, 2, 2, 2])
    assert judge_agreement.kappas(first, second) == pytest.approx([0.5])
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 3, 200), rng.integers(0, 3, 200)
    b = np.where(rng.random(200) < 0.6, a, b)
    counts = rng.integers(0, 3, 200)
    expected = [cohen_kappa_score(a, b), cohen_kappa_score(a, b, sample_weight=counts)]
    assert judge_agreement.kappas(a, b, np.stack([np.ones(200), counts])) == pytest.approx(expected)
    assert np.isnan(judge_agreement.kappas(np.zeros(4), np.zeros(4))[0])
    same = judge_agreement.kappa(["yes"] * 40, ["yes"] * 40, [f"w{i}" for i in range(40)], seed=0)
    assert same.value is None
    assert "nothing to chance" in same.why_not


def test_precision_weighs_each_pair_by_what_it_stands_for():
    # 300 pairs in a stratum that is right, 100 in one that is wrong; 40 drawn of each: 300 / 400.
    pairs = _pairs({("en", 0): 300, ("en", 1): 100})
    drawn, weights = judge_pool.draw_pairs(pairs, 80, seed=0)
    rightness = {pair.id: float(pair.band == 0) for pair in drawn}
    figure = judge_agreement.precision(drawn, rightness, weights, model="m", depth=1, seed=0)
    assert figure.value == pytest.approx(0.75)
    assert figure.ci_low is not None
    assert figure.ci_low < 0.75 < figure.ci_high
    assert judge_agreement.precision(drawn, rightness, weights, model="other", depth=1, seed=0).value is None


def test_the_command_takes_one_sheet_or_two(results: Path, tmp_path: Path):
    from typer.testing import CliRunner

    from iconoclip.cli import app

    run = CliRunner().invoke
    drawn = run(app, ["judge", str(results), "--n", "40"])
    assert drawn.exit_code == 0, drawn.output
    sheet = results / "judge" / "sheet.xlsx"
    filled = [_fill(sheet, tmp_path / f"{name}.xlsx", _always(name)) for name in ("yes", "no")]
    both = run(app, ["judge", str(results), "--sheets", *map(str, filled)])
    assert both.exit_code == 0, both.output
    assert json.loads((results / "judge" / "judge.json").read_text())["experts"] == ["yes", "no"]
    assert run(app, ["judge", str(results), str(filled[0])]).exit_code != 0


def test_the_benchmark_of_judgements_is_one_that_eval_reads(results: Path, tmp_path: Path, tiny_model_dir: Path):
    judge.make_sheet(results, number=150)
    sheet = results / "judge" / "sheet.xlsx"
    judge.take_back(results, [_fill(sheet, tmp_path / "a.xlsx", lambda id_, text: "yes" if id_[1] < "8" else "no")])
    path = results / "judge" / "benchmark" / "benchmark.yaml"
    assert validate_benchmark(path).is_right, validate_benchmark(path).to_text()
    data = {
        "verb": "eval", "out": str(tmp_path / "again"), "models": [str(tiny_model_dir)], "resamples": 200,
        "benchmarks": [{"kind": "file", "path": str(path), "name": "judged"}], "device": "cpu",
    }  # fmt: skip
    run_evaluation(EvalConfig.validate_data(data, where="test"))
    rows = [json.loads(line) for line in (tmp_path / "again" / "results.jsonl").read_text().splitlines()]
    figures = {row["metric"]: row for row in rows if (row["slice"], row["subset"]) == ("all", "all")}
    facts = json.loads((results / "judge" / "judge.json").read_text())["benchmark"]
    assert figures["text_to_image/hit_rate@1"]["n"] == facts["texts"]
    assert figures["text_to_image/hit_rate@1"]["value"] is not None
