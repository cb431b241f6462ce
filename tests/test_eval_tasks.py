"""Tasks on made-up embeddings whose answers can be worked out by hand."""

import io
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from eval.data import Pictures
from eval.tasks import _ranking
from eval.tasks._gallery import Gallery
from eval.tasks._ranking import group_only, rank_gallery
from eval.tasks.base import SAMPLE_COLUMNS
from eval.tasks.classification import Classification, class_weights
from eval.tasks.image_retrieval import ImageRetrieval
from eval.tasks.probe import Probe
from eval.tasks.retrieval import Retrieval
from iconoclip.records import Caption, Record


class _Set:
    """Stands for shards: pictures of one colour each."""

    def __init__(self, colours: Sequence[tuple[int, int, int]], texts: Sequence[str]) -> None:
        self.colours, self.texts = colours, texts

    def image_bytes(self, place: int) -> bytes:
        buffer = io.BytesIO()
        Image.new("RGB", (64, 64), self.colours[place]).save(buffer, "PNG")
        return buffer.getvalue()

    def text(self, place: int) -> str:
        return self.texts[place]


class _Embedder:
    """Embeddings by position and by text; ``by_fold`` has one table per fold."""

    def __init__(self, images, texts=None, by_fold=None) -> None:
        self.tables, self.words = by_fold or {None: np.asarray(images, dtype=np.float32)}, texts or {}
        self.asked: list[tuple[int | None, tuple[int, ...]]] = []

    def images(self, fold, positions):
        self.asked.append((fold, tuple(positions)))
        return self.tables[fold][list(positions)]

    def texts(self, fold, texts):
        return np.array([self.words[text] for text in texts], dtype=np.float32)


def _pictures(works, *, sources=None, texts=None, colours=None, folds=None, groups=None) -> Pictures:
    count = len(works)
    texts = texts or [f"text {i}" for i in range(count)]
    sources = sources or ["s"] * count
    records = tuple(
        Record(
            id=str(i),
            source=sources[i],
            institution="Museum",
            captions=(Caption(texts[i], "en", "title"),),
            work_group=works[i],
            dup_group=groups[i] if groups else "",
        )
        for i in range(count)
    )
    shards = _Set(colours or [(i, 0, 0) for i in range(count)], texts)
    return Pictures(records, tuple(folds or [None] * count), "rev", tuple((shards, i) for i in range(count)))


def _gallery(pictures: Pictures, positions=None, **more) -> Gallery:
    positions = tuple(range(len(pictures)) if positions is None else positions)
    owners: dict[str, list[int]] = {}
    for place, position in enumerate(positions):
        owners.setdefault(pictures.records[position].captions[0].text, []).append(place)
    return Gallery(positions, tuple(owners), ("en",) * len(owners), tuple(map(tuple, owners.values())), **more)


def _by_metric(scores):
    return {measure.metric: measure for measure in scores.measures}


def test_equal_captions_are_one_query_with_several_right_answers():
    pictures = _pictures(["w0", "w1", "w2"], texts=["a lion", "a lion", "a ship"])
    task = Retrieval(pictures, (_gallery(pictures),), ks=(1, 2))
    # "a lion" is nearest to picture 1: right, because picture 1 is a lion too. "a ship" is nearest to picture 0.
    images = [[0, 1, 0], [1, 0, 0], [0, 0, 1]]
    found = _by_metric(task.score(_Embedder(images, {"a lion": [1, 0.5, 0.1], "a ship": [0.2, 0.9, 0.3]})))
    assert found["text_to_image/hit_rate@1"].values.tolist() == [1, 0]
    # chance: 2 of 3 and 1 of 3
    assert found["text_to_image/hit_rate@1"].chance == pytest.approx([2 / 3, 1 / 3])
    assert found["text_to_image/median_rank"].chance.tolist() == [1, 2]  # 4/3 and 2 are expected
    # Among the first two of "a lion" are both lions; the ship is second, behind a lion.
    assert found["text_to_image/recall@2"].values.tolist() == [1, 1]
    assert found["text_to_image/mean_percentile_rank"].values.tolist() == [1, 0.5]
    # Works that share a caption are resampled as one.
    assert len(set(found["text_to_image/hit_rate@1"].queries.works)) == 2


def test_positives_by_work_take_every_page_of_the_document():
    pictures = _pictures(["d0", "d0", "d1"], texts=["title", "title", "other"])
    pages = replace(
        pictures, records=(*pictures.records[:1], replace(pictures.records[1], captions=()), pictures.records[2])
    )
    gallery = Gallery((0, 1, 2), ("title", "other"), ("fr", "fr"), ((0,), (2,)))
    images, texts = [[0, 1], [1, 0], [0.6, 0.6]], {"title": [1, 0], "other": [0, 1]}
    by_work = Retrieval(pages, (gallery,), positives="work", ks=(1,)).score(_Embedder(images, texts))
    by_caption = Retrieval(pages, (gallery,), positives="caption", ks=(1,)).score(_Embedder(images, texts))
    assert _by_metric(by_work)["text_to_image/hit_rate@1"].values.tolist() == [1, 0]
    assert _by_metric(by_caption)["text_to_image/hit_rate@1"].values.tolist() == [0, 0]
    # Asked by picture, page 1 has a right text only by its work.
    assert np.isnan(_by_metric(by_caption)["image_to_text/hit_rate@1"].values).tolist() == [False, True, False]
    assert not np.isnan(_by_metric(by_work)["image_to_text/hit_rate@1"].values).any()


def test_rows_have_every_column_and_name_what_was_found():
    pictures = _pictures(["w0", "w1"], texts=["a lion", "a ship"])
    rows = (
        Retrieval(pictures, (_gallery(pictures),))
        .score(_Embedder([[1, 0], [0, 1]], {"a lion": [0, 1], "a ship": [0.2, 0.9]}))
        .rows
    )
    assert all(tuple(row) == SAMPLE_COLUMNS for row in rows)
    assert [(r["query_kind"], r["rank"], r["num_gallery"]) for r in rows[:2]] == [("text", 2, 2), ("text", 1, 2)]
    assert rows[0]["top_keys"] == [pictures.keys[1], pictures.keys[0]]
    assert rows[0]["positive_keys"] == [pictures.keys[0]]
    assert rows[0]["percentile"] == 0


def test_rows_name_the_works_that_are_drawn_together_so_that_intervals_can_be_worked_out_from_them():
    # Works a and b share a caption: one query answers for both, so they are one unit of chance, as in the measures.
    pictures = _pictures(["a", "a", "b", "c"], texts=["one", "the same", "the same", "other"])
    words = {text: [1.0, 0.0] for text in ("one", "the same", "other")}
    scores = Retrieval(pictures, (_gallery(pictures),)).score(_Embedder([[1.0, 0.0]] * 4, words))
    for direction, kind in (("text_to_image", "text"), ("image_to_text", "image")):
        measure = next(m for m in scores.measures if m.metric == f"{direction}/hit_rate@1")
        drawn = [row["work_group"] for row in scores.rows if row["query_kind"] == kind]
        assert drawn == measure.queries.works.tolist()
        assert len(set(drawn)) == 2


def test_chunks_of_queries_change_nothing(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(0)
    queries, gallery = (rng.standard_normal((n, 8)).astype(np.float32) for n in (50, 90))
    positives = [rng.choice(90, rng.integers(1, 4), replace=False) for _ in range(50)]
    whole = rank_gallery(queries, gallery, positives, (1, 5))
    monkeypatch.setattr(_ranking, "_CHUNK_CELLS", 7 * 90)
    parts = rank_gallery(queries, gallery, positives, (1, 5))
    assert (whole.ranks == parts.ranks).all()
    assert (whole.recalls[5] == parts.recalls[5]).all()
    assert np.array_equal(whole.top, parts.top)
    full = np.argsort(-np.round(queries @ gallery.T, 6), axis=1, kind="stable")[:, :5]
    assert np.array_equal(whole.top, full)


def test_pictures_that_cannot_be_told_apart_are_misses():
    pictures = _pictures([f"w{i}" for i in range(4)])
    texts = {f"text {i}": [1, 0] for i in range(4)}
    found = _by_metric(Retrieval(pictures, (_gallery(pictures),)).score(_Embedder([[1, 0]] * 4, texts)))
    assert found["text_to_image/hit_rate@1"].values.tolist() == [0, 0, 0, 0]
    assert found["text_to_image/mean_percentile_rank"].values.tolist() == [0, 0, 0, 0]


def test_collection_only_baseline_by_hand():
    # Collections of 4 and 2: hit rate@1 is 1/4 for four queries and 1/2 for two, together 2/6 = 2 collections / 6.
    sources = ["a"] * 4 + ["b"] * 2
    found = group_only(sources, sources, [np.array([i]) for i in range(6)], (1, 3))
    assert found.hits[1].tolist() == [0.25] * 4 + [0.5] * 2
    assert found.hits[1].mean() == pytest.approx(2 / 6)
    assert found.hits[3].tolist() == [0.75] * 4 + [1, 1]
    # 3 wrong in the collection, half of them before the right one: rank 2.5, so 1.5 of 5 wrong are not beaten.
    assert found.ranks.tolist() == [2.5] * 4 + [1.5] * 2
    assert found.percentiles[0] == pytest.approx(1 - 1.5 / 5)


def test_collection_only_baseline_of_the_pooled_real_test_is_six_and_thirty_eight_per_cent():
    # 15 % of the training-eligible pictures of each of the fourteen collections that COLLECTIONS.md lists.
    eligible = (448, 472, 137, 100, 21, 48, 50, 80, 13, 10, 20, 5)
    sources = [str(i) for i, count in enumerate(eligible) for _ in range(math.ceil(0.15 * count))]
    sources += ["12"] * 10 + ["13"] * 8
    found = group_only(sources, sources, [np.array([i]) for i in range(len(sources))], (1, 10))
    assert found.hits[1].mean() == pytest.approx(0.06, abs=0.01)
    assert found.hits[10].mean() == pytest.approx(0.38, abs=0.05)


def test_two_languages_are_compared_on_the_pages_that_have_both():
    pictures = _pictures(["p0", "p1", "p2"])
    nl = Gallery((0, 1, 2), ("leeuw", "schip", "toren"), ("nl",) * 3, ((0,), (1,), (2,)))
    en = Gallery((0, 1), ("lion", "ship"), ("en",) * 2, ((0,), (1,)))
    images = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    texts = {
        "leeuw": [0.1, 0.9, 0.5],  # rank 3: percentile 0
        "schip": [0, 1, 0],  # 1
        "toren": [0, 0, 1],
        "lion": [1, 0, 0],  # 1
        "ship": [0, 1, 0],  # 1
    }
    task = Retrieval(pictures, (en, nl), paired_languages=("nl", "en"))
    measure = _by_metric(task.score(_Embedder(images, texts)))["text_to_image/mean_percentile_rank_nl_minus_en"]
    assert measure.values.tolist() == [-1, 0]
    assert sorted(measure.queries.works) == ["p0", "p1"]


def test_prompt_ensemble_is_the_renormalised_mean():
    # Class 0: (1, 0) and (0, 1) give (1, 1)/sqrt(2); class 1 has one prompt.
    weights = class_weights(np.array([[1, 0], [0, 1], [0.6, 0.8]]), [2, 1])
    assert weights[0] == pytest.approx([math.sqrt(0.5)] * 2)
    assert weights[1] == pytest.approx([0.6, 0.8])


def test_zero_shot_predictions_by_hand():
    pictures = _pictures(["w0", "w1", "w2"])
    texts = {"a lion": [1, 0], "the lion": [0.8, 0.6], "a ship": [0, 1], "the ship": [0.6, 0.8]}
    task = Classification(
        "zero_shot", pictures, (0, 1, 2), (0, 1, 1), ("lion", "ship"),
        (("a lion", "the lion"), ("a ship", "the ship")), "en",
    )  # fmt: skip
    # Class vectors (.949, .316) and (.316, .949); (.7, .7) lies between: a tie, which is lost.
    found = task.score(_Embedder([[1, 0], [0, 1], [0.7, 0.7]], texts))
    assert [row["y_pred"] for row in found.rows] == ["lion", "ship", "lion"]
    assert _by_metric(found)["accuracy@1"].values.tolist() == [1, 1, 0]
    assert task.zero_shot_prompts == {"en": ("a lion", "the lion", "a ship", "the ship")}


def test_colour_neighbour_leaves_the_document_out():
    # Two documents of one colour each, their own class; a third has the first one's colour, the second one's class.
    colours = [(250, 0, 0), (250, 0, 2), (0, 0, 250), (0, 2, 250), (240, 0, 0)]
    pictures = _pictures(["d0", "d0", "d1", "d1", "d2"], colours=colours)
    task = Probe("nearest", pictures, (0, 1, 2, 3, 4), (0, 0, 1, 1, 1), ("x", "y"), "nearest")
    found = {name: _by_metric(scores)["accuracy@1"].values.tolist() for name, scores in task.baselines().items()}
    # Pictures 0 and 1 would find each other; without their document the nearest is picture 4, of the other class.
    assert found["colour_and_shape"][:2] == [0, 0]
    assert found["largest_class"] == [0, 0, 1, 1, 1]


def test_nearest_neighbour_probe_never_looks_at_its_own_work():
    pictures = _pictures(["d0", "d0", "d1", "d2"])
    task = Probe("nearest", pictures, (0, 1, 2, 3), (0, 0, 1, 0), ("x", "y"), "nearest")
    found = task.score(_Embedder([[1, 0], [1, 0.01], [0.9, 0.1], [0, 1]]))
    # Nearest to 0 outside d0 is 2, of the other class.
    assert [row["top_keys"] for row in found.rows][:2] == [[pictures.keys[2]]] * 2
    assert [row["correct"] for row in found.rows] == [False, False, False, False]


def test_linear_probe_keeps_works_together_and_learns_what_is_there():
    rng = np.random.default_rng(0)
    labels = tuple(int(i % 2) for i in range(80))
    images = rng.standard_normal((80, 6)) + np.array(labels)[:, None] * 3
    pictures = _pictures([f"w{i // 4}" for i in range(80)])
    learnt = Probe("linear", pictures, tuple(range(80)), labels, ("x", "y"), "linear").score(_Embedder(images))
    assert _by_metric(learnt)["balanced_accuracy"].values.mean() > 0.95
    # A work's own noise tells nothing of other works: memorising it must not help.
    noise = rng.standard_normal((20, 6)).repeat(4, axis=0)
    drawn = tuple(int(value) for value in (rng.random(20) < 0.5).repeat(4))
    memory = Probe("linear", pictures, tuple(range(80)), drawn, ("x", "y"), "linear").score(_Embedder(noise))
    assert _by_metric(memory)["balanced_accuracy"].values.mean() < 0.8


def test_cross_fitted_probe_tests_each_fold_with_the_run_that_left_it_out():
    folds = [0, 0, 1, 1, None, None, None, None]
    pictures = _pictures([f"w{i}" for i in range(8)], folds=folds)
    rng = np.random.default_rng(0)
    embedder = _Embedder(None, by_fold={fold: rng.standard_normal((8, 4)).astype(np.float32) for fold in (0, 1)})
    task = Probe("nearest", pictures, tuple(range(8)), (1, 1, 1, 1, 0, 0, 0, 0), ("no", "yes"), "nearest", folds=2)
    scores = task.score(embedder)
    assert {fold for fold, _ in embedder.asked} == {0, 1}
    assert all(row["y_pred"] is not None for row in scores.rows)
    # Picture 0 is held out in fold 0: its neighbour is looked for with run 0, among pictures of fold 1 only.
    table = embedder.tables[0] / 1
    allowed = np.flatnonzero(task._fold_of != 0)
    nearest = allowed[np.argmax(np.round(table[0] @ table[allowed].T, 6))]
    assert scores.rows[0]["top_keys"] == [pictures.keys[nearest]]


def test_another_view_of_the_same_work_is_found_but_never_the_picture_itself():
    pictures = _pictures(["v0", "v0", "v1", "v1", "v2"])
    task = ImageRetrieval("image_to_image", pictures, ((None, (0, 1, 2, 3, 4)),))
    images = [[1, 0], [0.9, 0.1], [0, 1], [0.95, 0.05], [0.5, 0.5]]
    found = task.score(_Embedder(images))
    # v2 has one picture and is no query. 0 finds 3 first (.95 against .9).
    assert len(found.rows) == 4
    assert found.rows[0]["top_keys"][:2] == [pictures.keys[3], pictures.keys[1]]
    assert [row["rank"] for row in found.rows] == [2, 1, 3, 4]  # 1: .9 to picture 0, .86 to picture 3
    assert all(row["key"] not in row["top_keys"] for row in found.rows)
    assert all(row["num_gallery"] == 4 for row in found.rows)


def test_a_copy_of_the_picture_is_no_other_view():
    pictures = _pictures(["v0", "v0", "v0", "v1"], groups=["same", "same", "", ""])
    found = ImageRetrieval("i", pictures, ((None, (0, 1, 2, 3)),)).score(
        _Embedder([[1, 0], [1, 0], [0, 1], [0.5, 0.5]])
    )
    assert found.rows[0]["num_gallery"] == 2
    assert found.rows[0]["rank"] == 2


def test_classes_of_few_works_are_not_averaged():
    pictures = _pictures([f"w{i}" for i in range(10)] + ["one"] * 5)
    task = Probe("nearest", pictures, tuple(range(15)), (0,) * 10 + (1,) * 5, ("many", "one document"), "nearest")
    measures = _by_metric(task.score(_Embedder(np.eye(15))))
    assert measures["accuracy@1"].why_not == ""
    assert "one document" in measures["balanced_accuracy"].why_not
