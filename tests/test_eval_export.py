"""Benchmarks leave in other programs' layouts and come back whole; CLIP_benchmark runs on them and agrees."""

import csv
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from eval.benchmark_files import BenchmarkFile, write_benchmark_file, write_table
from eval.benchmark_open import open_benchmark
from eval.benchmark_read import read_items
from eval.benchmark_validate import validate_benchmark
from eval.config import EvalConfig
from eval.export_clip_benchmark import export_clip_benchmark
from eval.export_hf import export_hf
from eval.run import run_evaluation
from iconoclip import models
from iconoclip.errors import EvaluationError

CLASSES = {
    "ship": {"en": "a ship", "fr": "un navire {à voiles}"},
    "lion": {"en": "a lion\u2028rampant", "fr": "un lion"},
    "tower": {"en": "a tower", "fr": "une tour"},
}
TEMPLATES = {"en": ["a print of {}.", "{}"], "fr": ["une estampe : {}"]}


@pytest.fixture
def museum(tmp_path: Path, make_jpeg):
    """``museum(task, number)`` -> (file, home): pictures of several kinds, two broken, some in train/."""

    def make(task: str, number: int = 30) -> tuple[BenchmarkFile, Path]:
        root = tmp_path / task
        (root / "img").mkdir(parents=True)
        rows = []
        for i in range(number):
            name = f"img/NL-Hs.1 rec.{i:04d}.{'png' if i % 7 == 3 else 'jpg'}"
            data = make_jpeg(i)
            if i % 7 == 3:
                buffer = io.BytesIO()
                Image.open(io.BytesIO(data)).convert("P").save(buffer, "PNG")
                data = buffer.getvalue()
            (root / name).write_bytes(data[:200] if i in (5, 12) else data)
            label = list(CLASSES)[i % 3] + ("; ship" if task == "multilabel" and i % 2 else "")
            split, year = "train" if i % 5 == 0 else "test", f"ca. {1600 + i}" if i % 2 else ""
            rows.append((name, label, f"Title {i},\u2028second line", f"w{i // 2}", split, year))
        write_table(root / "items.csv", ("image", "label", "title", "work", "split", "year"), rows)
        values = {
            "verb": "benchmark", "name": f"museum_{task}", "title": "Museum", "licence": "CC0 1.0", "task": task,
            "table": "items.csv", "columns": {"id": "image", "work": "work", "split": "split", "date": "year"},
        }  # fmt: skip
        if task == "retrieval":
            values["columns"]["captions"] = {"title": "en"}
        else:
            values |= {"classes": CLASSES, "templates": TEMPLATES, "separator": ";" if task == "multilabel" else ""}
            values["columns"]["label"] = "label"
        return BenchmarkFile.validate_data(values, where="test"), root

    return make


@pytest.mark.parametrize("task", ["classification", "multilabel", "retrieval"])
def test_what_is_exported_comes_back(museum, tmp_path: Path, task: str):
    file, home = museum(task)
    items = read_items(file, home)
    out = tmp_path / "out"
    written = export_clip_benchmark(file, items, out)
    assert written.samples == {"test": 23, "train": 5}
    assert written.left_out["cannot be decoded"] == 2
    back, root = open_benchmark(out)
    assert (back.name, back.task, back.layout, back.licence) == (file.name, task, "clip_benchmark", "CC0 1.0")
    found = read_items(back, root)
    original = {item.id: item for item in items.items}
    assert len(found.items) == 28
    for item in found.items:
        before = original[item.id]
        assert (item.work, item.split, item.about) == (before.work, before.split, before.about)
        assert item.captions == before.captions
        texts = [" ".join(CLASSES[label]["en"].split()) for label in before.labels]
        assert sorted(back.classes[label]["en"].split() for label in item.labels) == sorted(t.split() for t in texts)
    assert validate_benchmark(out / "benchmark.yaml").facts


def test_the_layout_meets_every_trap(museum, tmp_path: Path):
    file, home = museum("classification")
    out = tmp_path / "out"
    export_clip_benchmark(file, read_items(file, home), out)
    assert (out / "test" / "nshards.txt").read_text() == "8\n"
    assert (out / "train" / "nshards.txt").read_text() == "5\n"
    assert (out / "classnames.txt").read_text() == "a ship\na lion rampant\na tower\n"
    assert (out / "zeroshot_classification_templates.txt").read_text() == "a print of {c}.\n{c}\n"
    assert [line.format(c="x {y}") for line in ("a print of {c}.", "{c}")] == ["a print of x {y}.", "x {y}"]
    assert not (out / "dataset_type.txt").exists()
    french = json.loads((out / "i18n" / "fr" / "classnames.json").read_text())
    assert french == {"wds/museum_classification": ["un navire {à voiles}", "un lion", "une tour"]}
    seen = []
    for path in sorted((out / "test").glob("*.tar")):
        with tarfile.open(path) as tar:
            members = tar.getmembers()
            assert all((m.mtime, m.uid, m.gid) == (0, 0, 0) for m in members)
            names = [m.name for m in members]
            assert len(names) % 3 == 0
            for label, picture, about in zip(names[::3], names[1::3], names[2::3], strict=True):
                stem = label.partition(".")[0]
                assert label == f"{stem}.cls"
                assert about == f"{stem}.json"
                assert picture in (f"{stem}.jpg", f"{stem}.png")
                assert int(tar.extractfile(label).read()) in (0, 1, 2)
                image = Image.open(io.BytesIO(tar.extractfile(picture).read()))
                image.load()
                assert image.mode == "RGB"
                seen.append(stem)
    assert seen == [f"s{number:07d}" for number in range(23)]
    readme = (out / "README.md").read_text()
    for command in ("--task zeroshot_classification", "--num_workers 4", "numpy<2.4", "--language fr", "--no_amp"):
        assert command in readme
    again = tmp_path / "again"
    export_clip_benchmark(file, read_items(file, home), again)
    assert all(
        path.read_bytes() == (again / path.relative_to(out)).read_bytes() for path in out.rglob("*") if path.is_file()
    )
    with pytest.raises(EvaluationError, match="is there and not empty"):
        export_clip_benchmark(file, read_items(file, home), out)


def test_several_labels_are_multi_hot_and_captions_one_line_each(museum, tmp_path: Path):
    file, home = museum("multilabel")
    file = file.model_copy(update={"classes": file.classes | {"unicorn": {"en": "a unicorn", "fr": "une licorne"}}})
    written = export_clip_benchmark(file, read_items(file, home), tmp_path / "labels")
    assert written.left_out["classes without a picture"] == 1
    assert (tmp_path / "labels" / "dataset_type.txt").read_text() == "multilabel\n"
    with tarfile.open(tmp_path / "labels" / "test" / "0.tar") as tar:
        hot = np.load(io.BytesIO(tar.extractfile("s0000000.npy").read()))
    assert hot.tolist() == [1, 1, 0]  # picture 1: lion; ship
    file, home = museum("retrieval")
    export_clip_benchmark(file, read_items(file, home), tmp_path / "texts")
    assert (tmp_path / "texts" / "dataset_type.txt").read_text() == "retrieval\n"
    with tarfile.open(tmp_path / "texts" / "test" / "0.tar") as tar:
        assert tar.extractfile("s0000000.txt").read().decode().splitlines() == ["Title 1, second line"]


def test_folders_of_others_are_read_without_a_file_of_ours(museum, tmp_path: Path, make_jpeg):
    root = tmp_path / "wds_theirs"
    (root / "test").mkdir(parents=True)
    (root / "classnames.txt").write_text("cat\ndog\ncat\n")
    (root / "zeroshot_classification_templates.txt").write_text("a photo of {c}.\n")
    (root / "test" / "nshards.txt").write_text("1")
    with tarfile.open(root / "test" / "0.tar", "w") as tar:
        for i in range(3):
            group = np.array([1, 2, 3])  # DataComp's group metadata is no label
            buffer = io.BytesIO()
            np.save(buffer, group)
            for name, data in (("cls", str(i).encode()), ("npy", buffer.getvalue()), ("jpg", make_jpeg(i))):
                member = tarfile.TarInfo(f"s{i:07d}.{name}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    file, home = open_benchmark(root)
    assert (file.name, file.task) == ("wds_theirs", "classification")
    assert list(file.classes) == ["cat #0", "dog", "cat #2"]
    assert file.templates == {"en": ["a photo of {}."]}
    assert [item.labels[0] for item in read_items(file, home).items] == ["cat #0", "dog", "cat #2"]
    (root / "test" / "nshards.txt").write_text("2")
    with pytest.raises(EvaluationError, match=r"says 2 shards, 1.tar missing"):
        read_items(file, home)
    (root / "test" / "nshards.txt").write_text("1")
    (root / "classnames.txt").write_text("cat\n\ndog\n")
    with pytest.raises(EvaluationError, match="line 2 is blank"):
        read_items(file, home)
    (root / "classnames.txt").write_text("cat\ndog\n")
    assert "class 2, classnames.txt has 0 to 1" in read_items(file, home).problems[0]
    (root / "zeroshot_classification_templates.txt").write_text("a {photo} of {c}.\n")
    with pytest.raises(EvaluationError, match="needs one {c} and no other braces".replace("{", r"\{")):
        open_benchmark(root)


@pytest.mark.parametrize("task", ["classification", "multilabel", "retrieval"])
def test_the_hub_layout_is_read_by_datasets_and_by_us(museum, tmp_path: Path, task: str):
    from datasets import load_dataset

    file, home = museum(task)
    items = read_items(file, home)
    assert export_hf(file, items, tmp_path / "hf") == {"test": 23, "train": 5}
    rows = load_dataset(str(tmp_path / "hf"), split="test", cache_dir=str(tmp_path / "cache"))
    assert len(rows) == 23
    assert rows[0]["image"].size == (48, 40)
    if task == "classification":
        assert rows.features["label"].names == list(CLASSES)
    back, root = open_benchmark(tmp_path / "hf")
    assert back.layout == "parquet"
    found = read_items(back, root)
    original = {item.id: item for item in items.items}
    assert len(found.items) == 28
    for item in found.items:
        before = original[item.id]
        assert (set(item.labels), item.captions, item.work) == (set(before.labels), before.captions, before.work)
        assert item.about == before.about


def test_parquet_of_others_becomes_a_benchmark(museum, tmp_path: Path):
    from eval.benchmark_new import new_benchmark

    file, home = museum("classification")
    export_hf(file, read_items(file, home), tmp_path / "hf")
    (tmp_path / "hf" / "benchmark.yaml").unlink()
    text = new_benchmark(tmp_path / "hf", language="nl")
    assert "23 pictures in test" in text
    made, root = open_benchmark(tmp_path / "hf")
    assert sorted(made.classes) == sorted(CLASSES)
    assert {item.labels for item in read_items(made, root).items} == {(label,) for label in CLASSES}


def _clip_benchmark(peers: Path, out: Path, name: str, task: str, model: Path, tmp_path: Path, *more: str) -> dict:
    command = [
        sys.executable, "-m", "clip_benchmark.cli", "eval", "--dataset", f"wds/{name}", "--dataset_root", str(out),
        "--task", task, "--recall_k", "1", "5", "10", "--model", f"local-dir:{model}", "--pretrained", "",
        "--batch_size", "16", "--no_amp", "--output", str(tmp_path / "theirs.json"), *more,
    ]  # fmt: skip
    code = "import sys; sys.argv = sys.argv[1:]; from clip_benchmark.cli import main; main()"
    command = [sys.executable, "-c", code, *command[2:]]
    env = {**os.environ, "PYTHONPATH": str(peers), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return json.loads((tmp_path / "theirs.json").read_text())["metrics"]


def _ours(path: Path, model: Path, tmp_path: Path, **more) -> dict[tuple[str, str], float]:
    benchmark = {"kind": "file", "path": str(path), "probes": False} | more
    data = {
        "verb": "eval", "out": str(tmp_path / "ours"), "models": [f"local-dir:{model}"], "benchmarks": [benchmark],
        "resamples": 200, "device": "cpu", "batch_size": 16,
    }  # fmt: skip
    run_evaluation(EvalConfig.validate_data(data, where="test"))
    rows = [json.loads(line) for line in (tmp_path / "ours" / "results.jsonl").read_text().splitlines()]
    return {
        (row["task"], row["metric"]): row["value"]
        for row in rows
        if row["slice"] == "all" and row["subset"] == "all" and not row["model"].startswith("baseline:")
    }


@pytest.mark.peers
def test_clip_benchmark_runs_on_an_export_in_two_languages(peers, museum, tmp_path: Path, tiny_model_dir: Path):
    file, home = museum("classification", 60)
    out = tmp_path / "out"
    export_clip_benchmark(file, read_items(file, home), out)
    ours = _ours(out, tiny_model_dir, tmp_path)
    # As it comes: four workers, which stop on fewer shards than that.
    english = _clip_benchmark(peers, out, file.name, "zeroshot_classification", tiny_model_dir, tmp_path)
    assert english["acc1"] == pytest.approx(ours["zero_shot_en", "accuracy@1"], abs=1e-6)
    french = _clip_benchmark(
        peers, out, file.name, "zeroshot_classification", tiny_model_dir, tmp_path,
        "--num_workers", "1", "--language", "fr",
        "--custom_classname_file", str(out / "i18n" / "fr" / "classnames.json"),
        "--custom_template_file", str(out / "i18n" / "fr" / "templates.json"),
    )  # fmt: skip
    assert french["acc1"] == pytest.approx(ours["zero_shot_fr", "accuracy@1"], abs=1e-6)


_ANIMALS = ("rabbit", "mouse", "cat", "duck", "fox", "squirrel", "hedgehog", "frog", "pig", "hen", "dog", "rat", "owl")


def _real(task: str, images: Path, tmp_path: Path) -> BenchmarkFile:
    """Richelieu's eight classes, animals named in Potter's captions, or Potter's captions themselves."""
    values = {"verb": "benchmark", "name": f"real_{task}", "title": "Real", "task": task}
    if task == "classification":
        labels = ("Blanc", "Estampe", "Partition", "Photo", "Plan", "Pub", "Recueil", "Texte")
        prompts = ("a blank page", "an old engraving", "a printed music score", "a glass plate negative",
                   "an architectural plan", "a vintage poster", "a photo on a book page", "a page of text")  # fmt: skip
        values |= {
            "root": str(images / "bnf_richelieu_zeroshot"), "table": "metadata.csv",
            "columns": {"image": "file", "id": "file", "label": "label"},
            "classes": {label: {"en": prompt} for label, prompt in zip(labels, prompts, strict=True)},
            "templates": {"en": ["{}", "a scan of {}", "{} in a library"]},
        }  # fmt: skip
        return BenchmarkFile.validate_data(values, where="real")
    root = images / "beatrix_potter_illustrations"
    with (root / "metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["file"], row["caption"]) for row in csv.DictReader(file)]
    seen = Counter(caption for _, caption in rows)
    if task == "retrieval":
        table = [(name, caption) for name, caption in rows if seen[caption] == 1]
        values["columns"] = {"id": "image", "captions": {"caption": "en"}}
    else:
        words = [(name, set(re.findall(r"[a-z]+", caption.lower()))) for name, caption in rows]
        table = [(name, ";".join(a for a in _ANIMALS if a in found or f"{a}s" in found)) for name, found in words]
        values |= {
            "columns": {"id": "image", "label": "caption"}, "separator": ";",
            "classes": {animal: {"en": animal} for animal in _ANIMALS},
            "templates": {"en": ["a drawing of a {}", "{}"]},
        }  # fmt: skip
    write_table(tmp_path / "items.csv", ("image", "caption"), [row for row in table if row[1]])
    return BenchmarkFile.validate_data(values | {"root": str(root), "table": str(tmp_path / "items.csv")}, where="real")


@pytest.fixture
def telling_model_dir(tmp_path: Path, tiny_model_dir: Path) -> Path:
    """The very small model with larger weights, to which pictures look different from each other.

    To a random one all pictures are nearly alike: cosines then tie at 1e-6, which we count against the model and
    clip_benchmark leaves to the order of the pictures.
    """
    model = models.load(f"{tiny_model_dir}:random", seed=1)
    with torch.no_grad():
        for name, weights in model.module.named_parameters():
            if weights.ndim > 1:
                weights.mul_(6.0 if name.startswith("visual") else 2.0)
    models.save(model, tmp_path / "telling")
    return tmp_path / "telling"


@pytest.mark.peers
@pytest.mark.real
@pytest.mark.parametrize("task", ["classification", "multilabel", "retrieval"])
def test_we_agree_with_clip_benchmark_on_real_pictures(
    peers, shared_data: Path, tmp_path: Path, telling_model_dir: Path, task: str
):
    file = _real(task, shared_data / "images", tmp_path)
    written = export_clip_benchmark(file, read_items(file, file.root), tmp_path / "out")
    assert written.samples["test"] > 150
    write_benchmark_file(tmp_path / "benchmark.yaml", file, comment="real")
    ours = _ours(tmp_path / "benchmark.yaml", telling_model_dir, tmp_path)
    kind = "zeroshot_retrieval" if task == "retrieval" else "zeroshot_classification"
    theirs = _clip_benchmark(
        peers, tmp_path / "out", file.name, kind, telling_model_dir, tmp_path, "--num_workers", "1"
    )
    pairs = {
        "classification": [
            ("acc1", "zero_shot_en", "accuracy@1"),
            ("acc5", "zero_shot_en", "accuracy@5"),
        ],
        "multilabel": [("mean_average_precision", "zero_shot_en", "map_macro")],
        "retrieval": [
            pair
            for k in (1, 5, 10)
            for pair in (
                (f"image_retrieval_recall@{k}", "retrieval", f"text_to_image/hit_rate@{k}"),
                (f"text_retrieval_recall@{k}", "retrieval", f"image_to_text/hit_rate@{k}"),
            )
        ],
    }[task]
    for name, our_task, metric in pairs:
        assert theirs[name] == pytest.approx(ours[our_task, metric], abs=1e-6), name
    if task == "classification":  # too few works of some classes for a score of ours: the mean is taken by hand
        samples = pq.read_table(next((tmp_path / "ours" / "samples").glob("*zero_shot_en.parquet"))).to_pylist()
        by_class: dict[str, list[bool]] = {}
        for row in samples:
            by_class.setdefault(row["y_true"], []).append(row["correct"])
        recall = np.mean([np.mean(found) for found in by_class.values()])
        assert theirs["mean_per_class_recall"] == pytest.approx(recall, abs=1e-6)
