"""Functions for notebooks give what the commands give: the same search, the same differences, the same rights."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from eval.apply import apply_model
from eval.data import EvalData
from eval.explore import (
    NOT_SHOWN,
    Found,
    ask_captions,
    draw,
    encode_set,
    open_set,
    search,
    share_in_common,
    show,
    show_found,
    write_class_folders,
)
from eval.explore_results import (
    compare_rows,
    count_confusions,
    got_worse,
    missed_words,
    most_confused,
    show_answer,
    show_labelled,
    show_rows,
    split_by,
    text_queries,
    worst,
)
from eval.report_data import Comparison, Question
from eval.report_reading import read_results
from eval.report_verdict import losses
from eval.tasks.base import sample_row
from iconoclip.errors import EvaluationError
from iconoclip.records import Caption, Rights
from iconoclip.shards import Placed, open_shards, write_ledger


@pytest.fixture(scope="session")
def index(small_evaluation: Path):
    """Test pictures of the small evaluation, encoded."""
    return encode_set(str(small_evaluation / "model"), open_set(small_evaluation / "shards", split="test"))


@pytest.fixture
def partly_shown(make_shards, tmp_path) -> Path:
    """The test split: the first picture is of a host that forbids copies, the second may not be passed on."""
    root = make_shards(tmp_path / "shards", num_records=40)
    rows = pq.read_table(root / "ledger" / "test-00000.parquet").to_pylist()
    placed = [Placed(**{name: row[name] for name in Placed.__dataclass_fields__}) for row in rows]
    records = open_shards(root, "test").records()
    terms = Rights("terms", raw="no copies elsewhere", asserted_by="example.org")
    records[0] = replace(records[0], rights=(*records[0].rights, terms))
    write_ledger(root, "test", placed, records, columns={"redistribute": ["yes", "no", *["yes"] * (len(rows) - 2)]})
    return root


def test_a_set_is_opened_whole_by_split_or_drawn_by_hash(make_shards):
    root = make_shards(num_records=40)
    everything, test = open_set(root), open_set(root, split="test")
    assert len(everything) == 40
    assert {record.split for record in test.records} == {"test"}
    few = open_set(root, limit=5)
    assert few.keys == open_set(root, limit=5).keys
    assert set(few.keys) == {everything.keys[place] for place in draw(everything, 5)}
    with pytest.raises(EvaluationError, match=r"no split 'tests'; it has train, val, test"):
        open_set(root, split="tests")


def test_pictures_that_may_not_be_shown_keep_their_place_without_the_picture(partly_shown, tiny_model_dir, tmp_path):
    pictures = open_set(partly_shown, split="test")
    assert [pictures.may_show(place) for place in range(3)] == [False, False, True]
    sheet = show(pictures, range(3))
    assert [bool(card.image) for card in sheet.cards] == [False, False, True]
    assert [NOT_SHOWN in card.lines for card in sheet.cards] == [True, True, False]
    found = search(encode_set(str(tiny_model_dir), pictures), "a lion", k=len(pictures))
    shown = show_found(encode_set(str(tiny_model_dir), pictures), found)
    assert sum(not card.image for card in shown.cards) == 2
    counts = write_class_folders(pictures, lambda record: record.source, tmp_path / "folders")
    assert sum(counts.values()) == len(pictures) - 2


def test_a_search_finds_what_apply_finds(small_evaluation, index, tmp_path):
    # One split alone, as a folder of tars, for `apply` takes all splits of a set.
    folder = small_evaluation / "shards" / "test"
    apply_model(str(small_evaluation / "model"), folder, query="Azure, a lion or", out=tmp_path, k=7)
    with (tmp_path / "query.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = search(index, "Azure, a lion or", k=7)
    assert [row["id"] for row in rows] == [index.pictures.records[each.position].id for each in found]
    assert [float(row["score"]) for row in rows] == pytest.approx([each.cosine for each in found], abs=1e-6)


def test_captions_are_asked_as_in_an_evaluation(small_evaluation, index):
    results = read_results([small_evaluation / "eval"])
    evaluated = text_queries(results.samples("one", results.questions[0]) or [])
    rows = ask_captions(index)
    columns = ("key", "language", "query", "rank", "num_gallery", "top_keys")
    assert [[row[c] for c in columns] for row in rows] == [[row[c] for c in columns] for row in evaluated]
    assert set(split_by(ask_captions(index, ["nl", "fr"]), "language")) == {"fr", "nl"}


def test_captions_that_training_saw_are_not_asked(small_evaluation, index):
    pictures = open_set(small_evaluation / "shards", split="train")
    with pytest.raises(EvaluationError, match="pictures of train/ are among these"):
        ask_captions(replace(index, pictures=pictures))
    with pytest.raises(EvaluationError, match="no captions in xx"):
        ask_captions(index, ["xx"])


def test_share_in_common():
    one, other = [Found(4, 0.3), Found(7, 0.2), Found(9, 0.1)], [Found(7, 0.9), Found(9, 0.8), Found(2, 0.7)]
    assert share_in_common(one, other) == pytest.approx(2 / 3)
    assert share_in_common([], other) == 0


def test_differences_are_those_of_the_evaluation(small_evaluation):
    results = read_results([small_evaluation / "eval"])
    question = results.questions[0]
    rows = {model: text_queries(results.samples(model, question) or []) for model in results.models}
    metrics = {"hit_rate@5": "text_to_image/hit_rate@5", "mean_percentile_rank": "text_to_image/mean_percentile_rank"}
    for metric, name in metrics.items():
        for row in compare_rows(rows, metric=metric, slices=("language",), resamples=1000):
            known = results.compare("one", "other", question, name, row["slice"])
            if known is None:
                assert row["note"].endswith("a score needs at least 30 queries and 10 works")
                continue
            assert (row["difference"], row["p"], row["n"]) == pytest.approx((known.delta, known.p, known.n))
            assert (row["low"], row["high"]) == pytest.approx((known.ci_low, known.ci_high))
            score = results.find("other", question, name, row["slice"])
            assert row["value_b"] == pytest.approx(score.value)
            assert row["detectable"] == pytest.approx(score.mdd)


def test_what_got_worse_has_its_whole_interval_on_that_side(small_evaluation):
    results = read_results([small_evaluation / "eval"])
    rank, share = "text_to_image/median_rank", "accuracy@1"
    known = Comparison("one", "other", "shields", "retrieval", "all", rank, n=40)
    other = replace(known, benchmark="colours", task="zero_shot_en", metric=share)
    made = (
        replace(known, delta=3.0, ci_low=1.0, ci_high=5.0),  # a higher rank is worse
        replace(known, delta=-3.0, ci_low=-5.0, ci_high=-1.0, slice="language=fr"),
        replace(other, delta=-0.2, ci_low=-0.3, ci_high=-0.1),
        replace(other, delta=-0.2, ci_low=-0.5, ci_high=0.1, slice="source=a"),
        replace(other, metric="accuracy@5", delta=-0.2, ci_low=-0.3, ci_high=-0.1),
        replace(other, model_a="other", model_b="one", delta=-0.2, ci_low=-0.3, ci_high=-0.1),
    )
    results = replace(results, comparisons=made)
    results.__dict__["questions"] = (Question("shields", "retrieval", rank), Question("colours", "zero_shot_en", share))
    found = [(row["benchmark"], row["figure"], row["difference"]) for row in got_worse(results, "one", "other")]
    assert found == [("shields", rank, 3.0), ("colours", share, -0.2), ("colours", "accuracy@5", -0.2)]
    assert [row["part"] for row in got_worse(results, "other", "one")] == ["all"]


def test_what_got_worse_is_what_the_report_lists(small_evaluation):
    results = read_results([small_evaluation / "eval"])
    for a, b in (results.models, results.models[::-1]):
        turned = replace(results, models=(a, b))
        listed = [(row.benchmark, row.task, row.slice, row.metric, stands) for row, stands in losses(turned, b)]
        found = [tuple(row[n] for n in ("benchmark", "task", "part", "figure", "after Holm"))
                 for row in got_worse(results, a, b)]  # fmt: skip
        assert found == listed


def test_examples_are_pictures_of_texts_and_of_classes(small_evaluation):
    results = read_results([small_evaluation / "eval"])
    classes = [sample_row(key=f"k{n}", y_true="lion", y_pred="ship", correct=False) for n in range(15)]
    assert len(show_rows(results, classes).cards) == 12
    question = next(q for q in results.questions if text_queries(results.samples("one", q) or []))
    rows = text_queries(results.samples("one", question))
    assert show_rows(results, rows) == show_answer(results, rows[0])
    assert show_rows(results, []) == "nothing to show"


def rows_of(ranks, *, language="en", works=None):
    return [
        sample_row(
            key=f"k{number}", work_group=works[number] if works else f"w{number}", language=language, source="prints",
            query=f"{language} {number}", query_kind="text", rank=rank, num_gallery=100, percentile=1 - (rank - 1) / 99,
            correct=rank == 1,
        )
        for number, rank in enumerate(ranks)
    ]  # fmt: skip


def test_languages_are_compared_on_the_same_pictures():
    nl, fr = rows_of([1] * 20 + [2] * 20, language="nl"), rows_of([1] * 30 + [2] * 40, language="fr")
    [row] = compare_rows({"nl": nl, "fr": fr}, match=("key",), resamples=500)
    # 40 pictures have both; of these 20 are hits in Dutch and 30 in French.
    assert (row["n"], row["value_a"], row["value_b"], row["difference"]) == (40, 0.5, 0.75, 0.25)
    assert row["low"] < 0.25 < row["high"]
    assert row["note"] == ""


def test_drawing_queries_instead_of_works_is_too_narrow():
    # Fifteen works of eight queries each that are all right or all wrong together.
    works = [f"w{number // 8}" for number in range(120)]
    a = rows_of([2] * 120, works=works)
    b = rows_of([1 if number // 8 % 2 else 2 for number in range(120)], works=works)
    [by_work] = compare_rows({"a": a, "b": b}, resamples=500)
    [by_query] = compare_rows({"a": a, "b": b}, resamples=500, unit="query")
    assert by_work["difference"] == by_query["difference"]
    assert by_work["high"] - by_work["low"] > 2 * (by_query["high"] - by_query["low"])
    assert (by_work["works"], by_query["works"]) == (15, 120)


def test_too_few_queries_get_a_note_and_no_figure():
    [row] = compare_rows({"a": rows_of([1] * 8), "b": rows_of([2] * 8)})
    assert (row["value_a"], row["difference"], row["p"]) == (None, None, None)
    assert row["note"] == "8 queries of 8 works; a score needs at least 30 queries and 10 works"


@pytest.mark.parametrize(
    ("samples", "metric", "message"),
    [
        ({"a": rows_of([1])}, "hit_rate@1", "1 sets of rows given; a comparison needs two"),
        ({"a": rows_of([1]), "b": rows_of([1], language="nl")}, "hit_rate@1", "no query is in all of a, b"),
        ({"a": rows_of([1]), "b": rows_of([1])}, "recall", "metric 'recall': write hit_rate@K"),
    ],
)
def test_comparisons_that_cannot_be_made_say_why(samples, metric, message):
    with pytest.raises(EvaluationError, match=message):
        compare_rows(samples, metric=metric)


def test_the_worst_queries_come_first_and_equal_ones_in_order():
    rows = rows_of([3, 9, 1, 9])
    assert [row["key"] for row in worst(rows, 3)] == ["k1", "k3", "k0"]


def test_an_answer_marks_the_right_ones_and_adds_one_that_came_later(small_evaluation):
    results = read_results([small_evaluation / "eval"])
    rows = text_queries(results.samples("one", results.questions[0]) or [])
    late = next(row for row in rows if row["rank"] > 5)
    sheet = show_answer(results, late)
    assert (len(sheet.cards), sheet.right) == (6, {5})
    assert sheet.cards[5].badge == f"right, at rank {late['rank']} of {late['num_gallery']}"
    early = late | {"rank": 2, "positive_keys": [late["top_keys"][1]]}
    assert (len(show_answer(results, early).cards), show_answer(results, early).right) == (5, {1})
    cut = late | {"rank": 2, "positive_keys": []}  # the list of right answers was cut; the rank proves the second
    assert show_answer(results, cut).right == {1}
    unknown = late | {"top_keys": ["not-stored"], "positive_keys": ["not-stored"], "rank": 1}
    assert show_answer(results, unknown).cards[0].image == b""


def labelled(*pairs):
    return [
        sample_row(key=f"k{number}", y_true=truth, y_pred=guess, correct=truth == guess, score=0.5)
        for number, (truth, guess) in enumerate(pairs)
    ]


def test_confusions_are_counted_by_class(small_evaluation):
    rows = labelled(("lion", "lion"), ("lion", "ship"), ("lion", "ship"), ("ship", "ship"), ("ship", None))
    assert count_confusions(rows) == ([[1, 2, 0], [0, 1, 1]], ["lion", "ship"], ["lion", "ship", "(none)"])
    assert [(row["is"], row["called"], row["pictures"]) for row in most_confused(rows)] == [
        ("lion", "ship", 2),
        ("ship", "(none)", 1),
    ]
    assert most_confused(rows)[0]["share"] == pytest.approx(2 / 3)
    assert count_confusions([]) == ([], [], [])
    sheet = show_labelled(read_results([small_evaluation / "eval"]), rows)
    assert sheet.right == {0, 3}
    assert sheet.cards[4].lines == ("is ship", "called nothing")


def test_words_are_missed_where_the_first_answers_caption_lacks_them(make_shards):
    pictures = EvalData(make_shards(num_records=20)).everything()
    texts = ("a lion", "a ship", "a ship and a rose")
    records = tuple(
        replace(record, captions=(Caption(text, "en", "title"),))
        for record, text in zip(pictures.records[:3], texts, strict=True)
    )
    few = replace(pictures, records=records, folds=pictures.folds[:3], places=pictures.places[:3])
    lion, ship, rose = few.keys

    def row(query, first, language="en"):
        return sample_row(query=query, query_kind="text", language=language, rank=1, top_keys=[first], key=first)

    rows = [row("a lion", ship), row("a lion", rose), row("a ship", ship), row("un lion", lion, "fr")]
    # "lion" is asked twice in English and missed twice; "a" and "ship" are there; the French row has no caption.
    found = missed_words(rows, few, least=2)
    assert [(each["word"], each["asked"], each["missed"], each["share"]) for each in found] == [("lion", 2, 2, 1.0)]
    # Instead: "ship" in 2 of 2 misses and 3 of 3 answers, "and" and "rose" in 1 of 2 and 1 of 3, above the usual.
    assert found[0]["instead"] == "and"
    assert missed_words(rows, few, least=3) == []
    asked = [row | {"positive_keys": [key]} for row, key in zip(rows, (lion, lion, ship, lion), strict=True)]
    # Without captions: the ship's is the text that asked for it, the rose has none, the French lion has its own.
    assert [(each["word"], each["missed"]) for each in missed_words(asked, least=1)] == [("lion", 1)]


def test_folders_hold_as_many_of_each_class_as_wanted(small_evaluation, tmp_path):
    pictures = open_set(small_evaluation / "shards", split="test")
    counts = write_class_folders(pictures, lambda record: record.institution[-5:].strip(), tmp_path, per_class=4)
    assert set(counts.values()) == {4}
    files = {path.stem: path for path in tmp_path.glob("*/*.jpg")}
    assert len(files) == sum(counts.values())
    place = next(place for place, key in enumerate(pictures.keys) if key in files)
    assert files[pictures.keys[place]].read_bytes() == pictures.read(place)
    assert np.isin(list(files), pictures.keys).all()
