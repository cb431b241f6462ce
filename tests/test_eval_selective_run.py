"""Trust in zero-shot labels, measured on a task; the certificate; and what apply does with it."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from eval import selective_run
from eval.apply import apply_model
from eval.apply_annotations import Annotated, annotation_page, target_of
from eval.config import EvalConfig
from eval.run import run_evaluation
from eval.selective import Promise
from eval.selective_certificate import Certificate, find_certificate, read_certificate, write_certificate
from eval.tasks.classification import Classification
from iconoclip import models, shards
from iconoclip.errors import EvaluationError
from iconoclip.records import Caption, Record

CLASSES = ("11H(JEROME)", "11H(PETER)", "25F23")


class _Embeddings:
    """Embeddings in which picture i lies at a known angle to the prompts."""

    def __init__(self, image_ND: np.ndarray, text_CD: np.ndarray, prompts: tuple[str, ...]) -> None:
        self._image_ND, self._texts = image_ND, dict(zip(prompts, text_CD, strict=True))

    def images(self, fold, positions):
        return self._image_ND[list(positions)]

    def texts(self, fold, texts):
        return np.stack([self._texts[text] for text in texts])


def test_a_promise_that_the_largest_class_keeps_is_not_given(task_and_embeddings):
    task, embeddings = task_and_embeddings
    mostly = replace(task, labels=tuple(0 if i % 20 else label for i, label in enumerate(task.labels)))
    row = selective_run.measure_trust(mostly, embeddings, learnt_scale=100.0, resamples=100, seed=0)
    by_precision = {promise["precision"]: promise for promise in row["promises"]}
    assert "are of one class: calling everything so would keep it" in by_precision[0.8]["why_not"]
    assert "are of one class" not in by_precision[max(by_precision)]["why_not"]


@pytest.fixture
def task_and_embeddings():
    """600 pictures of 600 works in three classes; the model is right in 90 of 100 and its logits are far too large."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 600)
    image_ND = np.eye(3)[labels] + rng.normal(0, 0.45, (600, 3))
    image_ND /= np.linalg.norm(image_ND, axis=1, keepdims=True)
    pictures = SimpleNamespace(
        works=tuple(f"w{i}" for i in range(600)), keys=tuple(f"k{i}" for i in range(600)), revision="0" * 12
    )
    task = Classification(
        name="saints",
        pictures=pictures,  # type: ignore[arg-type]
        positions=tuple(range(600)),
        labels=tuple(int(label) for label in labels),
        classes=CLASSES,
        class_prompts=(("jerome",), ("peter",), ("lion",)),
        language="en",
    )
    return task, _Embeddings(image_ND, np.eye(3), task.prompts)


def test_trust_is_measured_on_the_part_that_nothing_was_fitted_on(task_and_embeddings):
    task, embeddings = task_and_embeddings
    row = selective_run.measure_trust(task, embeddings, learnt_scale=100.0, resamples=200, seed=0)
    assert row["n"] + row["n_fitted"] == 600
    assert row["n"] == row["works"]
    assert row["scale"] < 20  # 100 makes every answer sure
    assert row["ece"]["value"] < 0.5 * row["ece_learnt"]["value"]
    for name in ("accuracy", "ece", "augrc"):
        assert row[name]["ci_low"] <= row[name]["value"] <= row[name]["ci_high"]
    assert sum(part["n"] for part in row["reliability"]) == row["n"]
    assert row["risk_coverage"][-1][1] == pytest.approx(1 - row["accuracy"]["value"], abs=1e-4)
    promises = {promise["precision"]: promise for promise in row["promises"]}
    assert promises[0.9]["threshold"] < promises[0.95]["threshold"]
    assert promises[0.9]["coverage"] > promises[0.95]["coverage"]
    assert promises[0.9]["lower_bound"] >= 0.9
    assert promises[0.99]["threshold"] is None
    assert row["has_levels"]
    json.dumps(row, allow_nan=False)
    again = selective_run.measure_trust(task, embeddings, learnt_scale=100.0, resamples=200, seed=0)
    assert again == row


def test_what_training_saw_promises_nothing(task_and_embeddings):
    task, embeddings = task_and_embeddings
    known = [position for position in task.positions if position % 2]
    embeddings._image_ND[known] = np.eye(3)[np.array(task.labels)[known]]  # learnt by heart
    shared = {"learnt_scale": 100.0, "resamples": 100, "seed": 0}
    by_heart = selective_run.measure_trust(task, embeddings, **shared)
    works = {task.pictures.works[position] for position in known}
    row = selective_run.measure_trust(task, embeddings, **shared, seen_works=works)
    assert (by_heart["n_seen"], row["n_seen"], row["n"] + row["n_fitted"]) == (0, 300, 300)
    coverage, unseen = ({p["precision"]: p["coverage"] for p in each["promises"]} for each in (by_heart, row))
    assert coverage[0.95] > 2 * unseen[0.95]
    alone = replace(
        task,
        positions=tuple(p for p in task.positions if p % 2 == 0),
        labels=tuple(label for p, label in enumerate(task.labels) if p % 2 == 0),
    )
    assert row | {"n_seen": 0} == selective_run.measure_trust(alone, embeddings, **shared)
    row = selective_run.measure_trust(task, embeddings, **shared, seen_works=set(task.pictures.works))
    assert row["why_not"].startswith("of the works that training did not see, 0 works to fit on and 0 to measure on")


def test_too_few_works_are_said_and_not_measured(task_and_embeddings):
    task, embeddings = task_and_embeddings
    few = replace(task, positions=task.positions[:20], labels=task.labels[:20])
    row = selective_run.measure_trust(few, embeddings, learnt_scale=100.0, resamples=200, seed=0)
    assert "each part needs at least 10" in row["why_not"]
    assert "ece" not in row


def _certificate(weights_sha256: str = "a" * 64, *, threshold: float | None = 0.5, **changes) -> Certificate:
    promise = Promise(0.95, 0.95, threshold, 100, 99, 0.953, 0.6, {1: 0.2, 4: 0.4}, "" if threshold else "too few")
    prompts = (("Saint Jerome", "Jerome with a lion"), ("Saint Peter",), ("a lion",))
    certificate = Certificate(
        "m", weights_sha256, "saints", "0" * 12, "zero_shot", "en", CLASSES, prompts, 3.0, (promise,), "now"
    )
    return replace(certificate, **changes)


def test_a_certificate_comes_back_as_it_was_written(tmp_path: Path):
    certificate = _certificate()
    path = write_certificate(tmp_path, certificate)
    assert path.name == "m--saints--zero_shot.json"
    assert read_certificate(path) == certificate
    assert find_certificate(tmp_path, "a" * 64) == certificate
    assert find_certificate(path, "a" * 64) == certificate


def test_certificates_that_do_not_fit_are_refused(tmp_path: Path):
    with pytest.raises(EvaluationError, match="no certificates/ in it"):
        find_certificate(tmp_path, "a" * 64)
    path = write_certificate(tmp_path, _certificate())
    with pytest.raises(EvaluationError, match="1 certificates, none for weights bbbbbbbbbbbb"):
        find_certificate(tmp_path, "b" * 64)
    with pytest.raises(EvaluationError, match="a promise holds for the weights it was measured with"):
        find_certificate(path, "b" * 64)
    write_certificate(tmp_path, _certificate(task="other"))
    with pytest.raises(EvaluationError, match=r"several certificates fit this model \(m--saints--other.json, "):
        find_certificate(tmp_path, "a" * 64)
    path.write_text('{"version": 1}')
    with pytest.raises(EvaluationError, match="not a certificate of ours"):
        read_certificate(path)
    write_certificate(tmp_path, _certificate(version=99))
    with pytest.raises(EvaluationError, match="update iconoclip"):
        read_certificate(path)


def test_a_stricter_promise_also_keeps_a_lesser_one():
    certificate = _certificate()
    assert certificate.promise(0.9).precision == 0.95
    with pytest.raises(EvaluationError, match=r"no promise of 0.99 was tried, only 0.95"):
        certificate.promise(0.99)
    with pytest.raises(EvaluationError, match=r"0.95 cannot be promised \(too few\)"):
        _certificate(threshold=None).promise(0.95)


def _apply(folder, tmp_path, tiny_model_dir, *, threshold: float, precision: float = 0.95):
    sha256 = models.load(str(tiny_model_dir)).weights_sha256
    write_certificate(tmp_path / "results", _certificate(sha256, threshold=threshold))
    out = tmp_path / "out"
    text = apply_model(str(tiny_model_dir), folder, labels=tmp_path / "results", out=out, min_precision=precision)
    with (out / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return text, rows, json.loads((out / "annotations.json").read_text())


@pytest.fixture
def folder(tmp_path: Path, make_jpeg) -> Path:
    root = tmp_path / "pictures"
    root.mkdir()
    for number in range(8):
        (root / f"no {number}.jpg").write_bytes(make_jpeg(number))
    return root


def test_what_is_below_the_threshold_stays_blank(folder, tmp_path, tiny_model_dir):
    _, rows, _ = _apply(folder, tmp_path, tiny_model_dir, threshold=0.0001)
    threshold = sorted(float(row["best_guess_probability"]) for row in rows)[4]
    text, rows, page = _apply(folder, tmp_path, tiny_model_dir, threshold=threshold - 1e-6)
    labelled = [row for row in rows if row["label"]]
    leaves = [row for row in labelled if row["label"] in CLASSES]
    assert len(leaves) == 4
    assert all(float(row["best_guess_probability"]) >= threshold - 1e-6 for row in leaves)
    assert all(row["best_guess"] in CLASSES for row in rows)
    assert all(row["probability"] == "" for row in rows if not row["label"])
    assert {row["promised_precision"] for row in rows} == {"0.950000"}
    assert f"{len(labelled)} of 8 pictures labelled" in text
    assert "at least 95% of the labels are right" in text
    assert "99 of 100 works right" in text
    assert len(page["items"]) == len(labelled)
    assert {item["target"] for item in page["items"]} == {row["id"].replace(" ", "%20") for row in labelled}


def test_shards_with_canvases_are_annotated_there(tmp_path, make_jpeg, make_record, tiny_model_dir):
    records = [
        replace(make_record(i, "test"), canvas=f"https://example.org/iiif/{i}/canvas" if i else "", work_group=f"w{i}")
        for i in range(4)
    ]
    root = tmp_path / "shards"
    samples = [shards.Sample(make_jpeg(i), "x", record) for i, record in enumerate(records)]
    info, placed = shards.write_shard(root, "test/x-00000.tar", samples)
    shards.write_ledger(root, "test", placed, records)
    shards.Manifest((info,), "0" * 64, {}, "now").write(root)
    _, rows, page = _apply(root, tmp_path, tiny_model_dir, threshold=0.0001)
    assert [row["id"] for row in rows] == [record.id for record in records]
    targets = [item["target"] for item in page["items"]]
    assert targets == [records[0].page_url, *(f"https://example.org/iiif/{i}/canvas" for i in (1, 2, 3))]


def test_pictures_of_another_kind_are_said_to_be(folder, tmp_path, tiny_model_dir):
    text, rows, page = _apply(folder, tmp_path, tiny_model_dir, threshold=0.9999)
    assert not any(row["label"] for row in rows)
    assert "These pictures differ" not in text  # 0 of 8 where 60 % were labelled: once in 1,500 times, both ways less
    assert page["items"] == []
    from eval.apply_certified import _is_surprising

    assert _is_surprising(0, 30, 0.6)
    assert _is_surprising(30, 30, 0.6)
    assert not _is_surprising(17, 30, 0.6)


def test_a_promise_needs_a_certificate_and_a_certificate_a_promise(folder, tmp_path, tiny_model_dir):
    def run(**options):
        return apply_model(str(tiny_model_dir), folder, out=tmp_path, **options)

    (tmp_path / "labels.txt").write_text("a\nb\n")
    with pytest.raises(EvaluationError, match="give --min-precision too"):
        run(labels=tmp_path)
    with pytest.raises(EvaluationError, match="needs --labels RESULTS"):
        run(labels=tmp_path / "labels.txt", min_precision=0.95)
    with pytest.raises(EvaluationError, match="give a share between 0 and 1"):
        run(labels=tmp_path, min_precision=95)


def test_annotations_sit_on_canvases_where_they_are_known():
    record = Record(
        id="x", source="s", institution="i",
        canvas="https://example.org/iiif/1/canvas/p1", manifest="https://example.org/iiif/1/manifest",
        image_url="https://example.org/1.jpg", page_url="https://example.org/1",
    )  # fmt: skip
    assert target_of("a.jpg", record) == "https://example.org/iiif/1/canvas/p1"
    assert target_of("a.jpg", replace(record, canvas="")) == "https://example.org/1.jpg"
    assert target_of("a.jpg", replace(record, canvas="", image_url="")) == "https://example.org/1"
    assert target_of("my scans/a é.jpg", None) == "my%20scans/a%20%C3%A9.jpg"
    label = Annotated("a.jpg", record, "11H(JEROME)", 0.987)
    page = annotation_page([label], model="m", weights_sha256="a" * 64, created="2026-01-01T00:00:00Z", promise="p")
    assert page["@context"] == [
        "http://www.w3.org/ns/anno.jsonld",
        "http://iiif.io/api/presentation/3/context.json",
    ]
    [item] = page["items"]  # type: ignore[misc]
    assert (item["type"], item["motivation"]) == ("Annotation", "tagging")
    tag, notation, remark = item["body"]
    assert tag["value"].startswith("11H(JEROME) the monk and hermit Jerome")
    assert notation["source"] == "https://iconclass.org/11H%28JEROME%29"
    assert remark["purpose"] == "describing"
    assert "0.987" in remark["value"]
    assert page == annotation_page(
        [label], model="m", weights_sha256="a" * 64, created="2026-01-01T00:00:00Z", promise="p"
    )
    plain = annotation_page(
        [replace(label, label="a ship")], model="m", weights_sha256="a" * 64, created="now", promise="p"
    )
    assert [body["purpose"] for body in plain["items"][0]["body"]] == ["tagging", "describing"]  # type: ignore[index]


def test_an_evaluation_writes_trust_certificates_and_their_section(
    tmp_path: Path, make_jpeg, make_record, tiny_model_dir
):
    kinds = ("Estampe", "Photo", "Plan", "Pub")
    records = [
        replace(make_record(i, "eval/richelieu"), source="richelieu", object_type=kinds[i % 4], work_group=f"w{i}",
                captions=(Caption(kinds[i % 4], "fr", "label", "page"),))
        for i in range(240)
    ]  # fmt: skip
    samples = [shards.Sample(make_jpeg(i % 4), record.captions[0].text, record) for i, record in enumerate(records)]
    root = tmp_path / "shards"
    info, placed = shards.write_shard(root, "eval/richelieu/x-00000.tar", samples)
    shards.write_ledger(root, "eval/richelieu", placed, records)
    shards.Manifest((info,), "0" * 64, {}, "now").write(root)
    data = {
        "verb": "eval", "out": str(tmp_path / "out"), "shards": str(root), "models": [str(tiny_model_dir)],
        "benchmarks": ["richelieu"], "resamples": 200, "device": "cpu",
    }  # fmt: skip
    run_evaluation(EvalConfig.validate_data(data, where="test"))
    rows = [json.loads(line) for line in (tmp_path / "out" / "selective.jsonl").read_text().splitlines()]
    assert [row["task"] for row in rows] == [f"zero_shot_{n}_{lang}" for n in (4, 8) for lang in ("en", "fr")]
    assert all(row["n"] + row["n_fitted"] == 240 for row in rows)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "When the model says it is sure, is it right?" in page
    assert "promised with 95 % confidence" in page.replace("\u202f", " ")
    # One picture a class: with four classes the model gives each class one answer, and its certainty is no lie.
    certificate = find_certificate(
        tmp_path / "out" / "certificates" / next((tmp_path / "out" / "certificates").glob("*zero_shot_4_en.json")).name,
        rows[0]["weights_sha256"],
    )
    assert certificate.classes == kinds
    assert certificate.class_prompts[0] == ("an old engraving",)
    assert certificate.scale == rows[0]["scale"]
    # The same evaluation again, of a model that has seen all of it: no promise, and the earlier one is gone.
    seen = tmp_path / "seen"
    trained = [replace(record, id=f"seen-{record.id}") for record in records[:4]]
    samples = [shards.Sample(make_jpeg(i), "x", record) for i, record in enumerate(trained)]
    info, placed = shards.write_shard(seen, "train/x-00000.tar", samples)
    shards.write_ledger(seen, "train", placed, trained)
    shards.Manifest((info,), "0" * 64, {}, "now").write(seen)
    run_evaluation(EvalConfig.validate_data(data | {"contamination": {"train": [str(seen)]}}, where="test"))
    rows = [json.loads(line) for line in (tmp_path / "out" / "selective.jsonl").read_text().splitlines()]
    assert all(row["n_seen"] == 240 and "that training did not see" in row["why_not"] for row in rows)
    assert not list((tmp_path / "out" / "certificates").glob("*.json"))
