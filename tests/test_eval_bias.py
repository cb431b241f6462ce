"""Contested words are flagged with what stands around them; gaps and skew are held against permuted groups."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from eval import bias, bias_terms
from eval.bias_terms import flag_terms, read_terms
from eval.config import EvalConfig
from eval.data import EvalData
from eval.run import run_evaluation
from iconoclip.errors import EvaluationError


def test_the_list_is_sound():
    terms = read_terms()
    assert {term.language for term in terms} == {"en", "nl"}
    assert len({(term.term, term.language) for term in terms}) == len(terms) > 80
    assert all(term.source.startswith("https://") for term in terms)
    forms = [(form.casefold(), term.language) for term in terms for form in (term.term, *term.forms)]
    assert len(set(forms)) == len(forms)


def test_words_are_found_whole_in_their_own_language_with_context():
    texts = [
        ("k1", "Portrait of a Gypsy woman, with a Dutch frame", "en"),
        ("k2", "Two gypsies; a gypsy camp", "en"),
        ("k3", "gypsum cast", "en"),
        ("k4", "Zigeuner met viool", "nl"),
        ("k5", "Zigeuner met viool", "fr"),
        ("k6", "a Bush Negro village", "en-GB"),
        ("k7", "een slaaf", "und"),
    ]
    found = {(flag.term.language, flag.term.term): flag for flag in flag_terms(texts, read_terms())}
    assert found["en", "gypsy"].count == 2  # once a text
    assert found["en", "gypsy"].examples[0] == ("k1", "Portrait of a Gypsy woman, with a Dutch frame")
    assert found["nl", "zigeuner"].count == 1  # the French text is not searched for Dutch words
    assert ("en", "bush negro") in found
    assert ("en", "negro") not in found
    assert found["nl", "slaaf"].count == 1
    long = [("k", "x " * 100 + "slave" + " y" * 100, "en")]
    [(_, around)] = flag_terms(long, read_terms())[0].examples
    assert around.startswith("…")
    assert "slave" in around
    assert len(around) < 140


def test_lists_of_ones_own_are_added_and_checked(tmp_path: Path):
    own = tmp_path / "own.csv"
    own.write_text("term,language,forms,ambiguous,source\nnègre,fr,nègres,no,https://example.org\n", encoding="utf-8")
    assert flag_terms([("k", "Les nègres", "fr")], read_terms([own]))[0].count == 1
    own.write_text("term,language\nx,fr\n")
    with pytest.raises(EvaluationError, match="no column forms, ambiguous, source"):
        read_terms([own])
    own.write_text("term,language,forms,ambiguous,source\nx,fr,,perhaps,s\n")
    with pytest.raises(EvaluationError, match="row 2: ambiguous is 'perhaps'; write yes or no"):
        read_terms([own])
    with pytest.raises(EvaluationError, match="names CSV files"):
        read_terms([tmp_path / "gone.csv"])


def _works(number: int, views: int = 1) -> list[str]:
    return [f"w{i // views}" for i in range(number)]


def test_a_gap_by_hand():
    values = np.array([1.0] * 40 + [0.5] * 40)
    found = bias.gap(values, ["17"] * 40 + ["19"] * 40, _works(80), seed=0)
    assert found.statistic == pytest.approx(0.5)
    assert found.p == pytest.approx(1 / 501)
    assert [(g.name, g.n, g.works, g.value) for g in found.groups] == [("17", 40, 40, 1.0), ("19", 40, 40, 0.5)]


def test_small_groups_are_counted_and_not_judged():
    groups = ["17"] * 40 + ["18"] * 29 + [""] * 31
    found = bias.gap(np.ones(100), groups, _works(100), seed=0)
    assert found.statistic is None
    assert "1 groups of at least 30 queries" in found.why_not
    assert [(g.name, g.n, g.value) for g in found.groups] == [("17", 40, 1.0), ("18", 29, None)]
    nobody = bias.gap(np.ones(3), ["", "", ""], _works(3), seed=0)
    assert nobody.groups == ()


def test_permutation_p_values_are_honest_where_nothing_is_there():
    rng = np.random.default_rng(0)
    small = {"gap": 0, "exposure": 0, "share": 0}
    for run in range(200):
        groups = [str(16 + g) for g in rng.integers(0, 3, 150)]
        works = _works(300, views=2)
        both = [group for group in groups for _ in range(2)]
        # Views of a work are right together: pictures permuted one by one would find gaps everywhere.
        values = np.repeat((rng.random(150) < 0.5).astype(float), 2)
        small["gap"] += bias.gap(values, both, works, seed=run, permutations=199).p <= 0.05
        shown = rng.choice(300, 400)
        small["exposure"] += bias.exposure(shown, both, works, ["f"] * 300, seed=run, permutations=199).p <= 0.05
        pairs = list(zip(both, works, strict=True))
        small["share"] += bias.share_difference(pairs[:150], pairs[150:], seed=run, permutations=199).p <= 0.05
    assert all(count <= 20 for count in small.values()), small
    assert sum(small.values()) > 5


def test_groups_that_are_shown_too_often_are_seen():
    groups = ["17"] * 100 + ["19"] * 100
    shown = [0 + i % 100 for i in range(300)] + [100 + i % 100 for i in range(100)]
    found = bias.exposure(shown, groups, _works(200), ["f"] * 200, seed=0)
    by_name = {group.name: group for group in found.groups}
    assert by_name["17"].value == 0.75
    assert by_name["17"].expected == pytest.approx(0.5, abs=0.01)
    assert found.statistic == pytest.approx(math.log(0.5 / 0.25), abs=0.05)  # the rarer one is off by more
    assert found.p == pytest.approx(1 / 501)
    # Within galleries that hold one group each there is nothing to choose from.
    apart = bias.exposure(shown, groups, _works(200), ["a"] * 100 + ["b"] * 100, seed=0)
    assert apart.statistic == pytest.approx(0)
    assert apart.p == 1


def test_sets_made_up_differently_are_told_apart():
    first = [("17", f"a{i}") for i in range(80)] + [("19", f"b{i}") for i in range(20)]
    second = [("17", f"c{i}") for i in range(50)] + [("19", f"d{i}") for i in range(50)] + [("", "x")]
    found = bias.share_difference(first, second, seed=0)
    assert found.statistic == pytest.approx(0.3)
    assert found.p < 0.01
    assert bias.share_difference([("", "a")], second, seed=0).statistic is None


def test_an_evaluation_flags_words_and_compares_groups(make_shards, tmp_path: Path, tiny_model_dir: Path):
    root = make_shards(tmp_path / "shards", num_records=480)
    own = tmp_path / "own.csv"
    with own.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [("term", "language", "forms", "ambiguous", "source"), ("leeuw", "nl", "", "no", "https://example.org/x")]
        )
    data = {
        "verb": "eval", "out": str(tmp_path / "out"), "shards": str(root), "models": [str(tiny_model_dir)],
        "benchmarks": [{"kind": "shard_retrieval", "split": "heldout"}], "resamples": 200, "device": "cpu",
        "contested_terms": [str(own)], "contamination": {"by": []},
    }  # fmt: skip
    run_evaluation(EvalConfig.validate_data(data, where="test"))
    rows = [json.loads(line) for line in (tmp_path / "out" / "bias.jsonl").read_text().splitlines()]
    terms = {(row["where"], row["term"]): row for row in rows if row["kind"] == "term"}
    train = EvalData(root).records("train")
    in_dutch = sum(caption.lang == "nl" for record in train for caption in record.captions)
    assert (
        0 < terms["captions of train/", "leeuw"]["count"] <= terms["captions of train/", "leeuw"]["texts"] == in_dutch
    )
    assert in_dutch < sum(len(record.captions) for record in train)
    assert terms["captions of shard_retrieval", "leeuw"]["examples"][0]["text"].startswith("een leeuw")
    kinds = {(row["kind"], row["field"]) for row in rows if row["kind"] != "term"}
    assert kinds == {("gap", "institution"), ("exposure", "institution")}
    tested = next(row for row in rows if row["kind"] == "exposure")
    assert tested["p"] is not None
    assert {group["name"] for group in tested["groups"]} == {"Museum One", "Library Two"}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Words and groups to look at before use" in page
    assert "leeuw" in page
    assert "permuted among works" in page


@pytest.mark.real
def test_real_captions_hold_contested_words_and_most_have_another_meaning(shared_data: Path):
    texts = []
    for path in sorted(shared_data.glob("images/*/metadata.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                language = row["language"] if len(row["language"]) == 2 else "und"
                texts += [(row["file"], row[name], language) for name in ("title", "caption") if row[name]]
    flags = flag_terms(texts, bias_terms.read_terms())
    assert any(flag.term.ambiguous for flag in flags)
    assert all(flag.examples for flag in flags)
