"""A report shows the figures of results.jsonl and no others, claims no more than they carry, and is one safe file."""

import base64
import hashlib
import html
import json
import re
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from eval import report_html, report_reading, report_verdict
from eval.report import write_report
from eval.report_figures import confusion_matrix, upper_bound, whisker
from eval.report_words import Words, open_words, read_catalogue
from iconoclip import pages
from iconoclip.errors import EvaluationError
from iconoclip.pages import MINUS, TEMPLATES, THIN_SPACE

HOSTILE = '<script>alert("x")</script><img src=http://evil.example/a.png>'
HIT = "text_to_image/hit_rate@1"
RECALL = "mean_per_class_recall"
WORDS = open_words("en")
SHA = {"untrained": "a" * 64, "trained": "b" * 64}
SAMPLE_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("key", "work_group", "source", "language", "query", "query_kind")]
    + [("rank", pa.int64()), ("num_gallery", pa.int64()), ("percentile", pa.float64())]
    + [("y_true", pa.string()), ("y_pred", pa.string()), ("correct", pa.bool_()), ("score", pa.float64())]
    + [("top_keys", pa.list_(pa.string())), ("top_scores", pa.list_(pa.float64()))]
    + [("positive_keys", pa.list_(pa.string()))]
)


def score(model, benchmark, task, metric, value, *, slice_="all", ci=None, n=64, works=40, chance=0.0156):
    low, high = ci or ((value - 0.05, value + 0.05) if value is not None else (None, None))
    return {
        "model": model, "weights_sha256": SHA.get(model), "benchmark": benchmark, "benchmark_revision": "r1a2b3c4d5e6",
        "task": task, "slice": slice_, "metric": metric, "value": value, "ci_low": low, "ci_high": high, "n": n,
        "chance": chance if value is not None else None, "prompts_sha256": None, "subset": "all", "language": "en",
        "n_clusters": works, "mdd": 0.061 if model in SHA and value is not None else None, "seed": 0,
        "software": "iconoclip 0.1.0", "created": "2026-11-20T08:00:00Z",
    }  # fmt: skip


def comparison(a, b, benchmark, task, metric, delta, ci, *, slice_="all", p_holm=0.01):
    return {
        "model_a": a, "model_b": b, "benchmark": benchmark, "task": task, "slice": slice_, "metric": metric,
        "delta": delta, "ci_low": ci[0], "ci_high": ci[1], "test": "paired cluster bootstrap", "p": 0.004,
        "p_holm": p_holm, "n": 64,
    }  # fmt: skip


def sample(**values):
    row = dict.fromkeys(SAMPLE_SCHEMA.names)
    return row | {"language": "en", "query": "", "top_keys": [], "top_scores": [], "positive_keys": []} | values


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_samples(folder, model, benchmark, task, rows):
    (folder / "samples").mkdir(exist_ok=True)
    table = pa.Table.from_pylist(rows, schema=SAMPLE_SCHEMA)
    pq.write_table(table, folder / "samples" / f"{model}--{benchmark}--{task}.parquet")


@pytest.fixture
def folder(tmp_path, make_jpeg):
    """Results of two models on two benchmarks, in the form that `iconoclip eval` gives them."""
    root = tmp_path / "results"
    root.mkdir()
    write_lines(
        root / "results.jsonl",
        [
            score("untrained", "potter", "retrieval", HIT, 0.0313, ci=(0.0, 0.0938)),
            score("trained", "potter", "retrieval", HIT, 0.4531, ci=(0.3438, 0.5781)),
            score("baseline:collection_only", "potter", "retrieval", HIT, 0.0625),
            score("untrained", "potter", "retrieval", "text_to_image/median_rank", 31.5, ci=(20.0, 40.0), chance=32.0),
            score("trained", "potter", "retrieval", "text_to_image/median_rank", 2.0, ci=(1.0, 3.0), chance=32.0),
            score(
                "untrained", "potter", "retrieval", HIT, 0.0286, slice_="language=en", ci=(0.0, 0.0857), n=35, works=21
            ),
            score("trained", "potter", "retrieval", HIT, 0.5143, slice_="language=en", n=35, works=21),
            score("untrained", "potter", "retrieval", HIT, None, slice_="language=nl", n=29, works=19),
            score("trained", "potter", "retrieval", HIT, None, slice_="language=nl", n=29, works=19),
            score("untrained", "kinds", "zero_shot", RECALL, 0.3, chance=0.25),
            score("trained", "kinds", "zero_shot", RECALL, 0.35, chance=0.25),
            score("baseline:colour_and_shape", "kinds", "zero_shot", RECALL, 0.722, chance=0.25),
        ],
    )
    write_lines(
        root / "comparisons.jsonl",
        [
            comparison("untrained", "trained", "potter", "retrieval", HIT, 0.4218, (0.3125, 0.5469)),
            comparison("baseline:collection_only", "trained", "potter", "retrieval", HIT, 0.3906, (0.25, 0.5)),
            comparison(
                "untrained", "trained", "potter", "retrieval", "text_to_image/median_rank", -29.5, (-38.0, -18.0)
            ),
            comparison("untrained", "trained", "kinds", "zero_shot", RECALL, 0.05, (0.0123, 0.0877)),
            comparison("baseline:colour_and_shape", "trained", "kinds", "zero_shot", RECALL, -0.372, (-0.44, -0.3)),
        ],
    )
    write_lines(
        root / "notes.jsonl",
        [
            {"benchmark": "potter", "task": "retrieval", "slice": "language=nl", "metric": HIT, "model": "",
             "note": "29 queries of 19 works; a score needs at least 30 queries and 10 works"}
        ],
    )  # fmt: skip
    (root / "run.json").write_text(
        json.dumps(
            {
                "config": {
                    "models": [{"name": "tiny:random", "label": "untrained"}, {"name": "x", "label": "trained"}]
                },
                "config_sha256": "c" * 64,
                "primary": [["potter", "retrieval", HIT], ["kinds", "zero_shot", RECALL]],
                "benchmarks": [{"name": "potter", "title": "Potter & Lear", "tasks": []}],
            }
        )
    )
    for model, rank in (("untrained", 9), ("trained", 1)):
        rows = [
            sample(
                key=f"k{number}", query=f"{HOSTILE} {number}", query_kind="text", rank=rank + 2 * (number == 3),
                num_gallery=64, source="potter", top_keys=["k1", "k2", "k3", "k4", "k5"], positive_keys=[f"k{number}"],
            )
            for number in (1, 3)
        ]  # fmt: skip
        write_samples(root, model, "potter", "retrieval", rows)
        rows = [
            sample(key="k1", query_kind="image", y_true="Estampe", y_pred="Estampe", correct=True, score=0.31),
            sample(key="k2", query_kind="image", y_true="Estampe", y_pred="Photo", correct=False, score=0.29),
            sample(key="k3", query_kind="image", y_true="Photo", y_pred="Photo", correct=True, score=0.28),
        ]
        write_samples(root, model, "kinds", "zero_shot", rows)
    thumbs = [{"key": f"k{n}", "jpeg": make_jpeg(n), "caption": f"{HOSTILE} {n}"} for n in range(1, 5)]
    pq.write_table(pa.Table.from_pylist(thumbs), root / "thumbs.parquet")
    return root


class Cells(HTMLParser):
    """Text of all table cells, rows as lists; and all attributes that could fetch or run something."""

    def __init__(self):
        super().__init__()
        self.rows, self.resources, self.links, self.tags, self.handlers = [], [], [], [], []
        self._cell = None

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "poster", "data", "action") or (name == "href" and tag != "a"):
                self.resources.append(value)
            if name == "href" and tag == "a":
                self.links.append(value)
            if name.startswith("on"):
                self.handlers.append(name)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self._cell = ""

    def handle_data(self, data):
        if self._cell is not None:
            self._cell += data

    def handle_endtag(self, tag):
        if tag in ("td", "th") and self._cell is not None:
            self.rows[-1].append(" ".join(self._cell.replace(THIN_SPACE, " ").split()))
            self._cell = None


def parse(path):
    cells = Cells()
    cells.feed(path.read_text(encoding="utf-8"))
    return cells


def read(path):
    """Text of a page without the marks that keep names from turning a line around."""
    return re.sub("</?bdi>", "", path.read_text(encoding="utf-8"))


def numbers(text):
    return re.findall(r"\d+\.\d+", text)


def test_every_decimal_in_the_tables_is_a_figure_of_the_results(folder, tmp_path):
    page = parse(write_report([folder], tmp_path / "report.html"))
    allowed = set()
    for name in ("results.jsonl", "comparisons.jsonl"):
        for line in (folder / name).read_text().splitlines():
            for value in json.loads(line).values():
                if isinstance(value, float):
                    allowed |= {f"{abs(100 * value):.1f}", f"{abs(value):,.1f}", f"{abs(value):.3f}"}
    allowed |= {"50.0", "100.0"}  # the confusion matrix: 1 of 2 and 1 of 1 pictures found
    shown = {number for row in page.rows for cell in row for number in numbers(cell)}
    assert shown <= allowed, shown - allowed
    assert {"45.3", "42.2", "3.1", "35.0", "6.1", "72.2"} <= shown


def test_rows_stand_where_they_belong(folder, tmp_path):
    page = parse(write_report([folder], tmp_path / "report.html"))
    assert [
        "trained",
        "45.3 %",
        "",
        "34.4 – 57.8 %",
        "64",
        "40",
        "1.6 %",
        "6.2 % collection only",
        "6.1 points",
    ] in page.rows
    assert [
        "trained less untrained",
        "+42.2 points",
        "",
        "+31.2 to +54.7",
        "64",
        "p 0.004, after Holm 0.010",
    ] in page.rows
    assert ["trained", "2.0", "", "1.0 – 3.0", "64", "40", "32.0", "32.0 chance", "0.1"] in page.rows


def test_a_small_slice_shows_its_count_and_no_score(folder, tmp_path):
    page = parse(write_report([folder], tmp_path / "report.html"))
    row = next(row for row in page.rows if row[0] == "language: Dutch (nl)")
    assert row[:4] == ["language: Dutch (nl)", "29", "19", "too few to score"]
    assert not any(row[4:])
    row = next(row for row in page.rows if row[0] == "language: English (en)")
    assert row[:5] == ["language: English (en)", "35", "21", "2.9 %", "0.0 – 8.6 %"]


def test_a_large_slice_without_a_score_is_not_called_too_small(folder, tmp_path):
    def enlarge(row):
        return row | {"n": 290, "n_clusters": 190} if row["slice"] == "language=nl" else row

    change(folder, "results.jsonl", enlarge)
    page = parse(write_report([folder], tmp_path / "report.html"))
    assert next(row for row in page.rows if row[0] == "language: Dutch (nl)")[:4] == [
        "language: Dutch (nl)", "290", "190", "not scored",
    ]  # fmt: skip


def test_pictures_of_several_classes_have_no_confusion_matrix(folder, tmp_path):
    assert "Which class was taken for which" in read(write_report([folder], tmp_path / "report.html"))
    run = json.loads((folder / "run.json").read_text())
    run["benchmarks"].append({"name": "kinds", "tasks": [{"name": "zero_shot", "kind": "multilabel"}]})
    (folder / "run.json").write_text(json.dumps(run))
    page = read(write_report([folder], tmp_path / "report.html"))
    assert "Which class was taken for which" not in page
    assert "Surest and wrong" in page


def test_hostile_captions_stay_text(folder, tmp_path):
    path = write_report([folder], tmp_path / "report.html")
    text, page = path.read_text(encoding="utf-8"), parse(path)
    assert "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;" in text
    assert page.tags.count("script") == 1  # our own, which sorts tables
    assert not page.handlers


def test_the_page_fetches_nothing(folder, tmp_path):
    path = write_report([folder], tmp_path / "report.html")
    text, page = path.read_text(encoding="utf-8"), parse(path)
    assert page.resources
    assert all(value.startswith("data:image/jpeg;base64,") for value in page.resources)
    assert all(link.startswith("#") for link in page.links)
    assert not re.search(r"@import|url\(|<link", text)
    assert "default-src 'none'" in text


def test_links_in_the_page_lead_somewhere(folder, tmp_path):
    text = write_report([folder], tmp_path / "report.html").read_text(encoding="utf-8")
    targets = set(re.findall(r'id="([^"]+)"', text))
    assert {link.removeprefix("#") for link in re.findall(r'href="([^"]+)"', text)} <= targets


def test_pictures_mark_the_right_one_and_give_its_rank(folder, tmp_path):
    text = read(write_report([folder], tmp_path / "report.html"))
    assert "right answer at rank 1 of 64" in text
    assert "untrained: rank 9" in text
    assert "Right answer first: 1 of 1" in text
    assert "Right answer later: 1 of 1" in text
    assert text.count("tile is-right") == 2 + 2  # one right answer in each of two queries; two right labels
    assert "no picture stored" in text  # k5 has no thumbnail: its rights do not allow one


def test_a_cut_list_of_right_answers_is_completed_by_the_rank(folder, tmp_path):
    rows = [
        sample(
            key="k9", query="q", query_kind="text", rank=2, num_gallery=9,
            top_keys=["k1", "k2", "k3"], positive_keys=["k7", "k8"],
        )
    ]  # fmt: skip
    write_samples(folder, "trained", "potter", "retrieval", rows)
    text = write_report([folder], tmp_path / "report.html").read_text(encoding="utf-8")
    assert "2 · right" in text
    assert "apart" not in text.split("</style>")[1]


def test_confusion_matrix_counts_by_hand():
    text = confusion_matrix(WORDS, [[1, 1], [0, 1]], ["Estampe", "Photo"], ["Estampe", "Photo"])
    cells = Cells()
    cells.feed(text)
    assert cells.rows[1] == ["Estampe", "1", "1", "2", "50.0 %"]
    assert cells.rows[2] == ["Photo", "·", "1", "1", "100.0 %"]


def test_a_page_holds_no_words_but_those_of_the_catalogue_and_of_the_results(folder, tmp_path):
    """All texts are turned into marks: what is still to be read must come from the results."""
    found = [{"en": entry["en"], "fr": "@"} for entry in read_catalogue()["found"]]
    texts = {key: dict.fromkeys(("en", "fr"), "@") for key in read_catalogue()["texts"]}
    counts = {key: {lang: {"one": "@", "other": "@"} for lang in ("en", "fr")} for key in read_catalogue()["counts"]}
    marked = Words("fr", {"texts": texts, "counts": counts, "found": found})
    add_the_rest(folder)
    page = report_html.report_page(marked, report_reading.read_results([folder]))
    page = page.split("<body>")[1].split("<script>")[0]
    attributes = re.findall(r'(?:alt|title|aria-label)="([^"]*)"', page)
    shown = html.unescape(" ".join([re.sub(r"<[^>]*>", " ", page), *attributes]))
    known = " ".join(path.read_text(encoding="utf-8") for path in folder.glob("*.json*"))
    known += " ".join(str(pq.read_table(path).to_pylist()) for path in folder.rglob("*.parquet"))
    words = set(re.findall(r"[^\W\d_]{3,}", shown)) - set(re.findall(r"[^\W\d_]{3,}", known)) - {"iconoclip"}
    assert not words
    assert page.count("<svg") > 8  # every kind of figure was there


def add_the_rest(folder):
    """Leaks, bias, trust and data sheets, so that every section of the page is there."""
    leak = {"key": "k1", "train_key": "t1", "work": "w", "how": "near_duplicate", "value": 3.0}
    leaks = {"benchmark": "potter", "n": 64, "seen": 1, "seen_works": 1, "by": {"near_duplicate": 1}, "leaks": [leak]}
    write_lines(folder / "contamination.jsonl", [leaks | {"train_pictures": 10, "train_sets": ["s1"], "notes": []}])
    term = {"kind": "term", "term": "w1", "language": "en", "where": "captions of potter", "count": 1, "texts": 9}
    term |= {"ambiguous": False, "examples": [], "source": "https://example.org"}
    gap = {"kind": "gap", "model": "trained", "benchmark": "potter", "task": "retrieval", "field": "century"}
    gap |= {"statistic": 0.2, "null_95": 0.1, "p": 0.01, "groups": [{"name": "g1", "value": 0.2, "n": 31}]}
    write_lines(folder / "bias.jsonl", [term, term | {"ambiguous": True}, gap])
    figure = {"value": 0.7, "ci_low": 0.6, "ci_high": 0.8}
    promise = {"precision": 0.95, "threshold": None, "coverage": 0.0, "why_not": "20 works to measure on; none"}
    trust = {"model": "trained", "benchmark": "kinds", "task": "zero_shot", "why_not": "", "n_fitted": 50, "n": 50}
    trust |= {"works_fitted": 20, "works": 20, "accuracy": figure, "ece": figure, "ece_learnt": figure, "ece_bins": 15}
    trust |= {"augrc": figure, "has_levels": True, "promises": [promise], "risk_coverage": [[0.1, 0.0], [1.0, 0.3]]}
    write_lines(folder / "selective.jsonl", [trust | {"reliability": [{"n": 9, "confidence": 0.6, "right": 0.5}]}])
    rows = [overall(a="untrained", b="trained"), overall(a="untrained", b="trained", group="general", delta=-0.02)]
    write_lines(folder / "overall.jsonl", rows)
    points = [{"alpha": a, "heritage": 0.3 + a / 10, "general": 0.6 - a / 10} for a in (0, 0.5, 1)]
    training = {"method": "full", "wise_ft": {"alpha": 0.5, "points": points}, "kwh": 1.2, "hours": 3.0, "base": "b0"}
    run = json.loads((folder / "run.json").read_text())
    spread = {"metric": RECALL, "by_prompt": {"p": 0.1, "q": 0.2}, "standard_deviation": 0.1, "sampling_error": 0.1}
    cut = {"trained": {"en": {"num_cut": 1, "num_texts": 9}}}
    prompts = {"en": {"prompts": ["p1"], "words_seen_in_training": 0.9, "words_never_seen": ["w9"]}}
    task = {"name": "zero_shot", "prompt_spread": {"trained": spread | {"is_lottery": True}}, "texts_cut": cut}
    known = {
        "model": "CLIP",
        "metric": RECALL,
        "value": 0.4,
        "source": "s",
        "slice": "all",
        "note": "no prompt ensemble",
    }
    kinds = {
        "name": "kinds", "is_control": True, "run_on_real_data": False, "pinned_revision": None, "title": "t1",
        "facts": {"pictures_left_out": {"missing": 2}}, "known_results": [known], "num_pictures": 9, "num_works": 3,
        "sources": ["s1"], "licence": "l1", "tasks": [task | {"prompts": prompts}],
    }  # fmt: skip
    models = [{"label": "untrained"}, {"label": "trained", "training": training}]
    (folder / "run.json").write_text(json.dumps(run | {"benchmarks": [kinds], "models": models, "thumbs_left_out": 3}))


def overall(*, a="base", b="tuned", way_a="asked", way_b="asked", group="heritage", delta=0.1, reach=0.05, p=0.001):
    return {
        "group": group, "a": a, "way_a": way_a, "b": b, "way_b": way_b, "delta": delta, "ci_low": delta - reach,
        "ci_high": delta + reach, "p": p, "value_a": 0.4, "value_b": 0.4 + delta, "n": 100, "n_clusters": 40,
        "questions": [["potter", "retrieval", HIT]],
    }  # fmt: skip


# ---- verdicts ----


def verdict(folder, benchmark="potter"):
    results = report_reading.read_results([folder])
    question = next(q for q in results.questions if q.benchmark == benchmark)
    return report_verdict.judge(results, question, "trained").outcome


def change(folder, name, change_row):
    path = folder / name
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    write_lines(path, [new for row in rows if (new := change_row(dict(row))) is not None])


def test_a_gain_needs_an_interval_above_zero_and_more_than_what_is_free(folder):
    assert verdict(folder) == "gain"
    assert verdict(folder, "kinds") == "below_free"  # better than untrained, but colour and shape reach 72.2 %


def test_an_interval_that_holds_zero_is_no_gain(folder):
    change(folder, "comparisons.jsonl", lambda r: r | {"ci_low": 0.0} if r["model_a"] == "untrained" else r)
    assert verdict(folder) == "no_gain"


def test_a_gain_that_does_not_survive_holm_is_none(folder):
    change(folder, "comparisons.jsonl", lambda r: r | {"p_holm": 0.06})
    assert verdict(folder) == "no_gain"


def test_a_free_baseline_must_be_beaten_beyond_chance_variation(folder):
    change(folder, "comparisons.jsonl", lambda r: r | {"ci_low": -0.01} if r["model_a"].startswith("baseline") else r)
    assert verdict(folder) == "below_free"


def test_without_a_paired_comparison_the_model_s_own_interval_must_clear_the_baseline(folder):
    change(folder, "comparisons.jsonl", lambda r: None if r["model_a"].startswith("baseline") else r)
    assert verdict(folder) == "gain"  # 34.4 % at least, against 6.2 %
    change(folder, "results.jsonl", lambda r: r | {"value": 0.35} if r["model"].startswith("baseline") else r)
    assert verdict(folder) == "below_free"  # 34.4 % at least, against 35 %


def test_chance_is_free_too(folder):
    change(folder, "results.jsonl", lambda r: r | {"chance": 0.4} if r["benchmark"] == "potter" else r)
    assert verdict(folder) == "below_free"


def test_a_loss_is_named_first_and_needs_no_correction(folder, tmp_path):
    def lose(row):
        if row["model_a"] == "untrained" and row["metric"] == HIT:
            return row | {"delta": -0.04, "ci_low": -0.08, "ci_high": -0.01, "p_holm": 0.2}
        return row

    change(folder, "comparisons.jsonl", lose)
    assert verdict(folder) == "worse"
    text = write_report([folder], tmp_path / "report.html").read_text(encoding="utf-8")
    titles = ("Is fine-tuning", "What got worse", "The answers")
    worth, worse, rest = (text.index(f"<h2>{title}") for title in titles)
    assert worth < worse < rest
    row = next(
        row
        for row in parse(tmp_path / "report.html").rows
        if row and row[0] == "potter · retrieval" and "yes" not in row
    )
    assert row[-4:] == ["−4.0 points", "−8.0 to −1.0", "64", "no"]


def test_a_lower_rank_is_a_gain_and_a_higher_one_a_loss(folder):
    results = report_reading.read_results([folder])
    assert not report_verdict.losses(results, "trained")  # the median rank fell by 29.5
    rows = [replace(row, delta=5.0, ci_low=2.0, ci_high=8.0) for row in results.comparisons if "rank" in row.metric]
    lost = report_verdict.losses(replace(results, comparisons=tuple(rows)), "trained")
    assert [row.metric for row, _ in lost] == ["text_to_image/median_rank"]


def test_nothing_worse_means_no_such_section(folder, tmp_path):
    assert "What got worse" not in write_report([folder], tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_headline_counts_outcomes(folder):
    results = report_reading.read_results([folder])
    verdicts = [report_verdict.judge(results, question, "trained") for question in results.questions]
    assert report_verdict.headline(WORDS, results, verdicts) == (
        "Of 2 questions that can be answered, “trained” gains over “untrained” and over everything that costs nothing "
        "in 1 and gains over “untrained” but is not shown to beat what costs nothing in 1."
    )
    no_gain = [replace(v, outcome="no_gain") for v in verdicts]
    assert report_verdict.headline(WORDS, results, no_gain) == (
        "No gain can be claimed: of 2 questions that can be answered, “trained” shows no gain in all 2."
    )
    unscored = [replace(v, outcome="not_scored") for v in verdicts]
    assert report_verdict.headline(WORDS, results, unscored).startswith("No gain is claimed: none of the questions")


def test_side_questions_are_shown_and_not_counted(folder):
    run = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(run | {"primary": [["potter", "retrieval", HIT]]}))
    results = report_reading.read_results([folder])
    assert [question.is_headline for question in results.questions] == [True, False]
    verdicts = [report_verdict.judge(results, question, "trained") for question in results.questions]
    assert "Of 1 question that can be answered" in report_verdict.headline(WORDS, results, verdicts)


# ---- other forms, missing parts, bad input ----


def test_markdown_has_the_same_figures_and_escapes(folder, tmp_path):
    text = write_report([folder], tmp_path / "report.md").read_text(encoding="utf-8").replace(THIN_SPACE, " ")
    assert (
        "| text → image, hit rate@1 | all | trained | 45.3 % | 34.4 – 57.8 % | 64 | 40 | 1.6 % | 6.1 points |" in text
    )
    assert "| potter · retrieval | text → image, hit rate@1 | trained | 3.1 % | 45.3 % | +42.2 points |" in text
    assert "too few to score" in text
    assert "<script" not in text


def test_latex_escapes_and_balances(folder, tmp_path):
    text = write_report([folder], tmp_path / "report.tex").read_text(encoding="utf-8")
    assert "45.3\\,\\%" in text
    assert text.count("\\begin{tabular}") == text.count("\\end{tabular}") == 4
    assert not re.search(r"(?<!\\)[_#]", text.replace("\\_", ""))
    assert THIN_SPACE not in text


@pytest.mark.parametrize("name", ["thumbs.parquet", "samples", "comparisons.jsonl", "run.json", "notes.jsonl"])
def test_a_missing_part_leaves_a_sentence(folder, tmp_path, name):
    path = folder / name
    path.rename(tmp_path / "aside")
    text = write_report([folder], tmp_path / "report.html").read_text(encoding="utf-8")
    assert "45.3" in text
    if name != "notes.jsonl":
        assert f"no {name.removesuffix('/')}" in text or f"({name}" in text


def test_one_model_alone_claims_nothing(folder, tmp_path):
    change(folder, "results.jsonl", lambda r: r if r["model"] != "untrained" else None)
    text = write_report([folder], tmp_path / "report.html").read_text(encoding="utf-8")
    assert "no gain is claimed" in text
    assert "Results of trained" in text


def test_two_folders_make_one_report_unless_they_contradict(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    write_lines(other / "results.jsonl", [score("third", "lear", "retrieval", HIT, 0.2) | {"weights_sha256": "c" * 64}])
    page = parse(write_report([folder, other], tmp_path / "report.html"))
    assert any(row[:2] == ["third", "20.0 %"] for row in page.rows)
    write_lines(other / "results.jsonl", [score("trained", "potter", "retrieval", HIT, 0.2)])
    with pytest.raises(EvaluationError, match="has two values"):
        write_report([folder, other], tmp_path / "report.html")


def test_bad_input_says_where_and_what_to_do(folder, tmp_path):
    with pytest.raises(EvaluationError, match=r"ends in \.html, \.md, \.tex or \.yaml"):
        write_report([folder], tmp_path / "report.pdf")
    with pytest.raises(EvaluationError, match="no results given"):
        write_report([], tmp_path / "report.html")
    with pytest.raises(EvaluationError, match=r"results\.jsonl: not there"):
        write_report([tmp_path / "nowhere"], tmp_path / "report.html")
    (folder / "results.jsonl").write_text('{"model": "x"}\n')
    with pytest.raises(EvaluationError, match=r"line 1: .*'benchmark'"):
        write_report([folder], tmp_path / "report.html")
    (folder / "results.jsonl").write_text("{broken\n")
    with pytest.raises(EvaluationError, match="line 1: no JSON"):
        write_report([folder], tmp_path / "report.html")
    (folder / "results.jsonl").write_text("")
    with pytest.raises(EvaluationError, match="empty"):
        write_report([folder], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_the_same_results_give_the_same_bytes(folder, tmp_path):
    first = write_report([folder], tmp_path / "a.html").read_bytes()
    assert first == write_report([folder], tmp_path / "b.html").read_bytes()


def test_whiskers_stay_on_their_axis():
    drawn = whisker(0.5, 0.0, 2.0, axis=(0.0, 1.0), label="x")
    # 168 wide, 5 of padding: the middle is 84, the ends 5 and 163; what is beyond the axis sticks to its end
    assert 'cx="84.0"' in drawn
    assert 'x1="5.0" x2="163.0"' in drawn
    assert whisker(None, None, None, axis=(0, 1)) == ""
    assert upper_bound([0.031, 0.094]) == 0.1
    assert upper_bound([]) == 1.0


@pytest.mark.browser
def test_the_page_opens_in_a_browser(folder, tmp_path, chromium):
    path = write_report([folder], tmp_path / "report.html")
    shot = tmp_path / "shot.png"
    command = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", f"--user-data-dir={tmp_path / 'profile'}",
        f"--screenshot={shot}", "--window-size=800,1200", path.as_uri(),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    with Image.open(shot) as image:
        assert len(set(image.convert("L").resize((64, 96)).tobytes())) > 8  # something is drawn


def test_samples_are_found_by_the_name_that_evaluation_gives(folder):
    results = report_reading.read_results([folder])
    question = results.questions[0]
    assert len(results.samples("trained", question) or []) == 2
    assert results.samples("nobody", question) is None


SORTED = """<!doctype html><html lang="{lang}"><body><table>
<thead><tr><th>name</th><th class="n">value</th></tr></thead>
<tbody><tr class="group"><td>group</td><td></td></tr><tr><td>b</td><td class="n">{minus}3{point}1 points</td></tr>
<tr><td>a</td><td class="n">1{thin}404{point}5</td></tr><tr><td>d</td><td class="n">–</td></tr>
<tr><td>c</td><td class="n">+12{point}0 %</td></tr></tbody></table><script>{script}
document.querySelectorAll("th")[{column}].click();</script></body></html>"""


@pytest.mark.browser
@pytest.mark.parametrize(("lang", "point"), [("en", "."), ("fr", ",")])
@pytest.mark.parametrize(("column", "expected"), [(0, "group a b c d"), (1, "group a c b d")])
def test_tables_sort_by_a_click(tmp_path, chromium, lang, point, column, expected):
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    page = tmp_path / "sorted.html"
    marks = {"thin": THIN_SPACE, "minus": MINUS, "lang": lang, "point": point, "column": column}
    page.write_text(SORTED.format(script=script, **marks), encoding="utf-8")
    command = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
        f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    dom = subprocess.run(command, check=True, capture_output=True, timeout=120, text=True).stdout
    assert " ".join(re.findall(r"<tr[^>]*><td>(\w+)", dom)) == expected  # numbers fall first, what is no number is last


@pytest.mark.browser
def test_long_labels_of_a_narrow_page_do_not_lie_on_the_next_row(tmp_path, chromium):
    css = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    page, label = tmp_path / "narrow.html", "variation sur les données générales de contrôle"
    page.write_text(
        f"<!doctype html><style>{css}</style><table class='cards'><tbody><tr><td>a</td>"
        f"<td data-label='{label}'>–</td><td data-label='n'>1</td></tr></tbody></table><p></p><script>"
        "const [, long, short] = [...document.querySelectorAll('td')].map((td) => td.offsetHeight);"
        "document.querySelector('p').textContent = long > 1.5 * short ? 'grows' : 'overlaps';</script>",
        encoding="utf-8",
    )
    command = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
        f"--user-data-dir={tmp_path / 'profile'}", "--window-size=500,800", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    dom = subprocess.run(command, check=True, capture_output=True, timeout=120, text=True).stdout
    assert "<p>grows</p>" in dom


def test_only_our_own_script_may_run(folder, tmp_path):
    text = write_report([folder], tmp_path / "report.html").read_text(encoding="utf-8")
    code = text.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text
    assert "script" not in pages.page("t", [])
