"""Benchmarks of labelled pictures: classes, prompts, refusals; and the data sheet that each one has."""

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from eval.benchmarks.base import Benchmark
from eval.config import ContestantConfig
from eval.contestants import Contestant
from eval.data import EvalData
from eval.prompts import cover_prompts
from eval.run import _unknown_words
from iconoclip import plugins, shards
from iconoclip.errors import EvaluationError
from iconoclip.records import Caption, Record


@pytest.fixture
def labelled(tmp_path: Path, make_jpeg, make_record) -> Callable[..., Path]:
    """``labelled("richelieu", labels)`` -> shard set with an evaluation collection of these labels."""

    def make(source: str, labels: list[str], notations: tuple[str, ...] = ()) -> Path:
        records = [
            replace(
                make_record(i, f"eval/{source}"),
                source=source,
                captions=(Caption(label, "fr", "label", "page"),),
                object_type=label,
                iconclass=(notations[i],) if notations else (),
                work_group=f"{source}:{i}",
            )
            for i, label in enumerate(labels)
        ]
        return _write(tmp_path / source, {f"eval/{source}": records}, make_jpeg)

    return make


def _write(root: Path, splits: dict[str, list[Record]], make_jpeg) -> Path:
    infos = []
    for split, records in splits.items():
        samples = [shards.Sample(make_jpeg(i), record.captions[0].text, record) for i, record in enumerate(records)]
        info, placed = shards.write_shard(root, f"{split}/x-00000.tar", samples)
        shards.write_ledger(root, split, placed, records)
        infos.append(info)
    shards.Manifest(tuple(infos), "0" * 64, {}, "now").write(root)
    return root


@pytest.mark.parametrize("kind", plugins.names("eval.benchmarks"))
def test_every_benchmark_has_a_data_sheet(kind: str):
    benchmark = plugins.load("eval.benchmarks", kind, Benchmark)
    for name in ("title", "description", "licence", "citation"):
        assert getattr(benchmark, name)
    assert importlib.import_module(f"eval.benchmarks.{kind}").__doc__
    assert benchmark.model_validate({"kind": kind}).shown_name == kind


def test_richelieu_asks_bnfs_prompts_in_two_languages_on_four_and_on_eight_classes(labelled):
    root = labelled("richelieu", ["Estampe", "Photo", "Plan", "Pub", "Blanc", "Recueil", "Texte", "Partition"] * 2)
    tasks = {
        task.name: task
        for task in plugins.load("eval.benchmarks", "richelieu", Benchmark)
        .model_validate({"kind": "richelieu"})
        .prepare(EvalData(root))
        .tasks
    }
    four = tasks["zero_shot_4_en"]
    assert four.classes == ("Estampe", "Photo", "Plan", "Pub")
    assert four.class_prompts[0] == ("an old engraving",)
    assert len(four.positions) == 8
    assert tasks["zero_shot_8_fr"].class_prompts[0] == ("une page blanche",)
    assert len(tasks["zero_shot_8_fr"].positions) == 16
    assert {"nearest_neighbour_8", "linear_probe_4"} <= set(tasks)


def test_a_picture_of_no_class_is_an_error_that_says_what_to_map(labelled):
    root = labelled("richelieu", ["Estampe", "Tableau"])
    benchmark = plugins.load("eval.benchmarks", "richelieu", Benchmark).model_validate({"kind": "richelieu"})
    with pytest.raises(EvaluationError, match="none of the classes Blanc, Estampe"):
        benchmark.prepare(EvalData(root))


def test_saints_refuse_models_that_never_saw_pretraining(labelled):
    notations = ("11H(JEROME)", "11HH(MARY MAGDALENE)", "11H(PETER)")
    root = labelled("saints", ["St. Jerome", "Mary Magdalene", "St. Peter"], notations)
    ready = (
        plugins.load("eval.benchmarks", "saints", Benchmark).model_validate({"kind": "saints"}).prepare(EvalData(root))
    )
    assert set(ready.refuses) == {"random", "trained_from_random"}
    assert "needs pretrained weights" in ready.refuses["random"]
    label, description, *swapped = ready.tasks
    assert [task.name for task in swapped] == ["swapped_en", "swapped_de", "swapped_fr"]
    assert [label.classes[c] for c in label.labels] == ["St. Jerome", "Mary Magdalene", "St. Peter"]
    assert any("lion" in prompt for prompt in description.class_prompts[description.classes.index("St. Jerome")])


def test_models_that_learnt_their_words_here_are_not_asked_words_they_never_met():
    def contestant(label: str, history) -> Contestant:
        return Contestant(ContestantConfig(name="x:y", label=label), {None: "x:y"}, history)

    models = [contestant("a", "random"), contestant("b", "trained_from_random"), contestant("c", "pretrained")]
    few = {"en": cover_prompts(["a vintage poster"], frozenset({"a"}))}
    assert set(_unknown_words(few, models, {}, 0.8)) == {"a", "b"}
    assert _unknown_words(few, models, {}, 0.3) == {}
    assert _unknown_words({"en": cover_prompts(["a lion"], frozenset({"a", "lion"}))}, models, {}, 0.8) == {}


def test_pages_with_a_picture_are_tested_by_fold_and_the_others_are_dealt(make_shards, tmp_path: Path):
    root = make_shards(tmp_path / "shards", num_records=60, eval_collections=("pages",))
    benchmark = plugins.load("eval.benchmarks", "page_has_picture", Benchmark)
    data = {"kind": "page_has_picture", "with_picture": "prints", "without_picture": "pages"}
    ready = benchmark.model_validate(data).prepare(EvalData(root))
    task = ready.tasks[0]
    assert task.folds == 5
    assert [need.fold for need in task.needs()] == [0, 1, 2, 3, 4]
    assert set(task.labels) == {0, 1}


def test_same_object_ranks_each_collection_by_itself(make_shards, tmp_path: Path):
    root = make_shards(tmp_path / "shards", num_records=120)
    benchmark = plugins.load("eval.benchmarks", "same_object", Benchmark)
    ready = benchmark.model_validate({"kind": "same_object", "sources": ["prints", "photos"]}).prepare(EvalData(root))
    for fold, positions in ready.tasks[0].groups:
        sources = {ready.pictures.records[position].source for position in positions}
        assert len(sources) == 1
        # prints lie in train/ and are tested by folds, photos in test/.
        assert (fold is None) == (sources == {"photos"})


def test_only_draughtsmen_of_other_folds_are_known(make_shards, tmp_path: Path):
    from eval.benchmarks.document_retrieval import _known_draughtsmen

    root = make_shards(tmp_path / "shards", num_records=60)
    pictures = EvalData(root).heldout(["prints"])
    folds = pictures.folds
    other = next(position for position, fold in enumerate(folds) if fold != folds[0])
    names = ["A", *[""] * (len(folds) - 1)]
    names[other] = "A"
    alone = next(position for position in range(1, len(folds)) if position != other)
    names[alone] = "B"
    records = tuple(replace(r, creator=name) for r, name in zip(pictures.records, names, strict=True))
    known = _known_draughtsmen(replace(pictures, records=records))
    # A is held in two folds and can be learnt; B occurs in the fold that is tested alone.
    assert (known[0], known[other], known[alone]) == ("A", "A", "")
