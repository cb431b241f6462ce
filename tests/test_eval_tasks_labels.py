"""Several labels a picture, levels, votes of neighbours, swapped attributes, plates: worked by hand."""

from dataclasses import replace

import numpy as np
import pytest

from eval.data import Pictures
from eval.tasks._slices import century_of, picture_slices
from eval.tasks.base import SAMPLE_COLUMNS, masks
from eval.tasks.classification import Classification
from eval.tasks.composition import Composition, Pair
from eval.tasks.image_retrieval import ImageRetrieval
from eval.tasks.multilabel import MultiLabel, group_labels
from eval.tasks.probe import Probe
from iconoclip.metrics import average_precisions
from iconoclip.records import Record


class _Embedder:
    def __init__(self, images, texts) -> None:
        self.table, self.words = np.asarray(images, dtype=np.float32), texts

    def images(self, fold, positions):
        return self.table[list(positions)]

    def texts(self, fold, texts):
        return np.array([self.words[text] for text in texts], dtype=np.float32)


def _pictures(works, **fields) -> Pictures:
    records = tuple(
        Record(id=str(i), source="s", institution="Museum", work_group=work, **{k: v[i] for k, v in fields.items()})
        for i, work in enumerate(works)
    )
    return Pictures(records, (None,) * len(records), "rev", ())


def _by_metric(scores) -> dict:
    return {measure.metric: measure for measure in scores.measures}


LION = ("2", "25", "25F", "25F2", "25F23", "25F23(LION)")
BEASTS, FLOWERS, SAINTS = LION[:5], ("2", "25", "25G"), ("1", "11", "11H")
TEXTS = {"beasts": [1, 0, 0], "flowers": [0, 1, 0], "saints": [0, 0, 1]}


def _multilabel(**more) -> MultiLabel:
    # Picture 0 is a lion with wings (deeper than any class), 1 a flower and a saint, 2 has no label of these.
    labels, truths = group_labels([[LION], [FLOWERS, SAINTS], [("9", "92")]], [[BEASTS], [FLOWERS], [SAINTS]])
    return MultiLabel(
        "zero_shot", _pictures(["w0", "w1", "w2"]), (0, 1, 2), labels, ("25F23", "25G", "11H"),
        tuple((text,) for text in TEXTS), "en", (BEASTS, FLOWERS, SAINTS), truths, **more,
    )  # fmt: skip


def test_a_label_deeper_than_any_class_counts_for_the_class_above_it():
    task = _multilabel()
    assert task.labels == ((0,), (1, 2), ())
    assert task.truths[0] == set(LION)


def test_figures_of_several_labels_by_hand():
    # Picture 0 ranks saints, beasts, flowers; picture 1 flowers, beasts, saints; picture 2 is asked nothing.
    images = [[0.5, 0.1, 0.6], [0.5, 0.8, 0.1], [1, 0, 0]]
    task = _multilabel(ks=(1, 2))
    scores = task.score(_Embedder(images, TEXTS))
    found = _by_metric(scores)
    assert found["hit_rate@1"].values[:2].tolist() == [0, 1]
    assert found["hit_rate@2"].values[:2].tolist() == [1, 1]
    assert np.isnan(found["hit_rate@1"].values[2])
    assert found["hit_rate@1"].chance[:2] == pytest.approx([1 / 3, 2 / 3])
    # One right label, not first: 0; two right labels, one of the first two is right: 1/2, and (1/1 + 0)/2.
    assert found["r_precision"].values[:2].tolist() == [0, 0.5]
    assert found["map@r"].values[:2].tolist() == [0, 0.5]
    # Beasts is second; flowers first and saints third.
    assert found["mean_label_rank"].values[:2].tolist() == [2, 2]
    assert found["mean_label_rank"].is_share is False
    # First of picture 0 is saints: nothing of 1, 11, 11H is right. First of picture 1 is flowers: 3 of 3, of truth 6.
    assert found["hierarchical_precision@1"].values[:2].tolist() == [0, 1]
    assert found["hierarchical_recall@1"].values[:2].tolist() == [0, 0.5]
    assert found["hierarchical_f1@1"].values[:2] == pytest.approx([0, 6 / 9])
    assert len(scores.rows) == 2
    assert all(tuple(row) == SAMPLE_COLUMNS for row in scores.rows)
    assert scores.rows[1]["y_true"] == "25G; 11H"


def test_how_deep_the_first_label_is_right():
    # Picture 0: flowers for a beast are right on two levels of five; picture 1: right down to its three.
    found = _by_metric(_multilabel().score(_Embedder([[0, 1, 0], [0, 1, 0], [0, 1, 0]], TEXTS)))
    assert found["mean_lca_depth_ratio"].values[:2] == pytest.approx([2 / 5, 1])
    by_level = {level: found[f"accuracy_level_{level}"].values[:2] for level in range(1, 6)}
    assert [by_level[level][0] for level in range(1, 6)] == [1, 1, 0, 0, 0]
    # Picture 1 has no label below level 3 and is not asked about deeper levels.
    assert by_level[3][1] == 1
    assert np.isnan(by_level[4][1])


def test_labels_without_a_picture_are_left_out_and_clip_benchmark_counts_them_with_nought():
    task = replace(_multilabel(), labels=((0,), (0,), ()), truths=(frozenset(BEASTS),) * 2 + (frozenset(),))
    images = [[0.9, 0, 0], [0.2, 0, 0], [0.5, 0, 0]]
    found = _by_metric(task.score(_Embedder(images, TEXTS)))
    # Beasts: pictures 0 and 1 at ranks 1 and 3: (1 + 2/3)/2; the other two classes are empty.
    everything = np.ones((1, 3))
    assert found["map_macro"].pooled(everything) == pytest.approx([5 / 6])
    assert found["map_clip_benchmark"].pooled(everything) == pytest.approx([5 / 18])


def test_figures_by_level_take_the_best_class_below():
    images = [[0.5, 0.1, 0.6], [0.5, 0.8, 0.1], [0.1, 0.2, 0.9]]
    task = replace(
        _multilabel(), labels=((0,), (1,), (2,)), truths=(frozenset(BEASTS), frozenset(FLOWERS), frozenset(SAINTS))
    )
    found = _by_metric(task.score(_Embedder(images, TEXTS)))
    # Level 1: division 2 scores .5 .8 .2, right for 0 and 1: 1; division 1 scores .6 .1 .9, right for 2: 1.
    assert found["map_macro_level_1"].pooled(np.ones((1, 3))) == pytest.approx([1])
    # Level 3: 25F .5 .5 .1 for 0: tied with 1, so second: 1/2; 25G .1 .8 .2: 1; 11H: 1.
    assert found["map_macro_level_3"].pooled(np.ones((1, 3))) == pytest.approx([(0.5 + 1 + 1) / 3])


def test_labels_that_cannot_be_told_apart_are_wrong_labels_first():
    found = _by_metric(_multilabel().score(_Embedder([[1, 1, 1]] * 3, TEXTS)))
    assert found["hit_rate@1"].values[:2].tolist() == [0, 0]
    assert found["hierarchical_f1@1"].values[0] < 1
    # One right of three equal ones is last; two right ones share places 2 and 3.
    assert found["mean_label_rank"].values[:2].tolist() == [3, 2.5]


def test_the_most_frequent_labels_are_free():
    task = replace(_multilabel(), labels=((0,), (0, 1), (1,)))
    found = _by_metric(task.baselines()["most_frequent_labels"])
    # Beasts and flowers are right twice each and tie: a lone right one is second, two right ones are first.
    assert found["hit_rate@1"].values.tolist() == [0, 1, 0]


def test_texts_can_be_asked_instead_of_pictures():
    task = _multilabel(texts=("a lion", "a rose", "x"), texts_language="nl")
    words = TEXTS | {"a lion": [1, 0, 0], "a rose": [0, 1, 0], "x": [0, 0, 1]}
    scores = task.score(_Embedder(np.zeros((0, 3)), words))
    assert _by_metric(scores)["hit_rate@1"].values[:2].tolist() == [1, 1]
    assert task.needs()[0].positions == ()
    assert task.texts_by_language == {"en": tuple(TEXTS), "nl": ("a lion", "a rose", "x")}
    assert scores.rows[0]["query"] == "a lion"


def test_many_neighbours_vote_and_one_does_not_decide():
    # Nearest to picture 0 is one of class b; the next three are of class a.
    images = np.array([[1, 0], [0.99, 0.14], [0.97, 0.24], [0.97, -0.24], [0.96, 0.28], [0, 1]])
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    pictures = _pictures([f"w{i}" for i in range(6)])
    labels = (0, 1, 0, 0, 0, 1)
    task = Probe("knn", pictures, tuple(range(6)), labels, ("a", "b"), "knn")
    assert task.score(_Embedder(images, {})).rows[0]["y_pred"] == "a"
    nearest = replace(task, method="nearest").score(_Embedder(images, {}))
    assert nearest.rows[0]["y_pred"] == "b"
    # The vote's weights by hand: exp((cos - .99)/.07) for cosines .99, .97, .97, .96 and 0 gives class a its share.
    cosines = images[0] @ images[1:].T
    weights = np.exp((cosines - cosines.max()) / 0.07)
    share = weights[[1, 2, 3]].sum() / weights.sum()
    assert task.score(_Embedder(images, {})).rows[0]["score"] == pytest.approx(share, abs=1e-4)


def test_neighbours_of_the_same_work_have_no_vote():
    pictures = _pictures(["one", "one", "two"])
    found = Probe("knn", pictures, (0, 1, 2), (0, 0, 1), ("a", "b"), "knn").score(_Embedder(np.eye(3), {}))
    assert [row["y_pred"] for row in found.rows] == ["b", "b", "a"]
    alone = Probe("knn", _pictures(["one", "one"]), (0, 1), (0, 1), ("a", "b"), "knn").score(_Embedder(np.eye(2), {}))
    assert [row["y_pred"] for row in alone.rows] == [None, None]


def test_swapped_attributes_must_be_strictly_farther():
    pairs = (
        Pair(0, "Peter with keys", "Peter with a sword", "attribute"),
        Pair(0, "Peter with keys", "Paul with keys", "name"),
        Pair(1, "Paul with a sword", "Paul with keys", "attribute"),
    )
    task = Composition("swapped", _pictures(["w0", "w1"]), pairs, "en")
    texts = {
        "Peter with keys": [1, 0],
        "Peter with a sword": [0, 1],
        "Paul with keys": [1, 0],
        "Paul with a sword": [0.2, 1],
    }
    scores = task.score(_Embedder([[1, 0], [0, 1]], texts))
    measure = _by_metric(scores)["pair_accuracy"]
    # The second pair ties: lost.
    assert measure.values.tolist() == [1, 0, 1]
    assert measure.chance.tolist() == [0.5] * 3
    assert measure.queries.slices["swapped=name"].tolist() == [False, True, False]
    assert [row["y_pred"] for row in scores.rows] == ["Peter with keys", "Paul with keys", "Paul with a sword"]
    # Longer texts: 15 against 18 characters, 15 against 14, 17 against 14.
    assert _by_metric(task.baselines()["longer_text"])["pair_accuracy"].values.tolist() == [0, 1, 1]


def test_another_impression_of_the_plate_is_looked_for_although_it_is_a_near_duplicate():
    pictures = _pictures(["a", "b", "c", "d"], dup_group=["same", "same", "", ""])
    task = ImageRetrieval("plate", pictures, ((None, (0, 1, 2, 3)),), plates=("p", "p", "", "q"))
    found = task.score(_Embedder([[1, 0], [0.9, 0.1], [0.95, 0.05], [0, 1]], {}))
    # Pictures without a plate, or alone on it, are no queries; but they stand in the gallery.
    assert [row["key"] for row in found.rows] == list(pictures.keys[:2])
    assert [row["rank"] for row in found.rows] == [2, 1]  # .95 of picture 2 before .9; .9 before .86
    assert {row["num_gallery"] for row in found.rows} == {3}


def test_several_views_of_a_work_have_r_precision():
    pictures = _pictures(["v", "v", "v", "w", "w"])
    images = [[1, 0], [0.9, 0.1], [0, 1], [0.8, 0.2], [0.1, 0.9]]
    found = _by_metric(ImageRetrieval("i", pictures, ((None, (0, 1, 2, 3, 4)),)).score(_Embedder(images, {})))
    # Picture 0 ranks 1, 3, 4, 2: right at 1 and 4 of two: R-precision 1/2, mAP@R (1/1)/2, reciprocal rank 1.
    assert found["image_to_image/r_precision"].values[0] == 0.5
    assert found["image_to_image/map@r"].values[0] == 0.5
    assert found["image_to_image/mrr"].values[0] == 1


def test_each_template_alone_shows_what_the_wording_does():
    texts = {"a lion": [1, 0], "the lion": [0, 1], "a ship": [0, 1], "the ship": [1, 0]}
    task = Classification(
        "zero_shot", _pictures(["w0", "w1"]), (0, 1), (0, 1), ("lion", "ship"),
        (("a lion", "the lion"), ("a ship", "the ship")), "en,nl", prompt_languages=("en", "nl"),
    )  # fmt: skip
    scores = task.score(_Embedder([[1, 0], [0.1, 1]], texts))
    assert {prompt: values.tolist() for prompt, values in scores.by_prompt.items()} == {
        "a lion": [1, 1],
        "the lion": [0, 0],
    }
    assert task.zero_shot_prompts == {"en": ("a lion", "a ship"), "nl": ("the lion", "the ship")}


def test_zero_shot_figures_over_classes():
    classes = tuple("abcdef")
    texts = {name: np.eye(6)[i].tolist() for i, name in enumerate(classes)}
    pictures = _pictures([f"w{i}" for i in range(12)])
    labels = tuple(i % 6 for i in range(12))
    images = np.eye(6)[[0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 0]] + 0.1 * np.eye(6)[[1, 2, 3, 4, 5, 0] * 2]
    task = Classification("z", pictures, tuple(range(12)), labels, classes, tuple((c,) for c in classes), "en")
    found = _by_metric(task.score(_Embedder(images, texts)))
    assert found["accuracy@1"].values.sum() == 11
    # Picture 11 is f and seen as a, then (.1) as a again: f ties with the rest, so it is no hit among five either.
    assert found["accuracy@5"].values.tolist() == [1] * 11 + [0]
    everything = np.ones((1, 12))
    # a: 2/(2+... ) precision 2/3, recall 1: 0.8; f: precision 1, recall 1/2: 2/3; the others 1.
    assert found["macro_f1"].pooled(everything) == pytest.approx([(0.8 + 4 + 2 / 3) / 6])
    similarity = np.round(images.astype(np.float32) @ np.eye(6, dtype=np.float32), 6)
    positive = np.array(labels)[:, None] == np.arange(6)
    expected = average_precisions(similarity.T, positive.T).mean()
    assert found["map_macro"].pooled(everything) == pytest.approx([expected])


@pytest.mark.parametrize(
    ("first", "last", "century"),
    [
        (1601, 1700, "17"),
        (1700, 1701, ""),
        (1888, 1888, "19"),
        (-449, -401, "5 BC"),
        (-500, -480, "5 BC"),
        (-600, -501, "6 BC"),
        (None, 1700, ""),
        (1, 100, "1"),
    ],
)
def test_century_of_a_work_that_was_certainly_made_in_it(first, last, century):
    assert century_of(Record("i", "s", "m", year_min=first, year_max=last)) == century


def test_slices_by_what_is_known_of_the_picture():
    pictures = _pictures(
        ["w0", "w1", "w2"], technique=["Engraving; etching", "engraving", ""], object_type=["print"] * 3
    )
    found = picture_slices(pictures, (0, 1, 2))
    # One institution a collection: it says nothing more.
    assert "institution" not in found
    made = masks(**found)
    # One spelling, as most write it; of two alike the first in the alphabet.
    assert made["technique=Engraving"].tolist() == [True, True, False]
    assert not any(name.startswith("object_type") for name in made)
    many = masks(technique=[f"t{i % 50}" for i in range(100)])
    assert len(many) == 21


def test_a_slice_that_repeats_an_earlier_one_is_left_out():
    made = masks(source=["a", "a", "b"], technique=["x", "x", "y"], object_type=["p", "q", "q"])
    assert list(made) == ["all", "source=a", "source=b", "object_type=p", "object_type=q"]
    # Language and collection are asked for by name: both stand, though they say the same.
    assert "language=nl" in masks(source=["a", "b"], language=["nl", "en"])
