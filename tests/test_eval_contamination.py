"""What training saw is found, and every score is given with and without it."""

import io
import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageOps

from eval.config import EvalConfig
from eval.contamination import Leak, Leaks, TrainingPictures, find_leaks, seen_works, training_sets
from eval.data import EvalData
from eval.run import run_evaluation
from iconoclip import shards
from iconoclip.errors import ConfigError, ShardError
from iconoclip.near_duplicates import near_between
from iconoclip.records import Caption


def _scene(number: int) -> Image.Image:
    from test_data_prep_dedup import scene

    return scene(number)


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@pytest.fixture
def write_set(tmp_path: Path, make_record):
    """``write_set(name, {split: [(number, image, changes)]})`` -> root of a shard set of these pictures."""

    def write(name: str, splits: dict[str, list], config: str = "") -> Path:
        root, infos = tmp_path / name, []
        for split, rows in splits.items():
            records = [
                replace(
                    make_record(number, split, collection=(name, name)),
                    **({"work_group": f"{name}:{number}"} | changes),
                )
                for number, _, changes in rows
            ]
            samples = [
                shards.Sample(_jpeg(image), record.captions[0].text, record)
                for (_, image, _), record in zip(rows, records, strict=True)
            ]
            info, placed = shards.write_shard(root, f"{split}/x-00000.tar", samples)
            shards.write_ledger(root, split, placed, records)
            infos.append(info)
        shards.Manifest(tuple(infos), config or name.ljust(64, "0"), {}, "now").write(root)
        return root

    return write


def test_pairs_between_two_sets_are_those_of_a_plain_search():
    rng = random.Random(0)
    known = [[rng.getrandbits(64) for _ in range(rng.randrange(1, 4))] for _ in range(200)]
    asked = [[value ^ sum(1 << bit for bit in rng.sample(range(64), rng.randrange(10)))] for (value, *_) in known[:60]]
    asked.append([])
    for limit in (0, 3, 6, 7):
        expected = {
            (a, b): min(bin(x ^ y).count("1") for x in one for y in other)
            for a, one in enumerate(asked)
            for b, other in enumerate(known)
            if one and min(bin(x ^ y).count("1") for x in one for y in other) <= limit
        }
        assert {(a, b): bits for a, b, bits in near_between(asked, known, limit)} == expected
    with pytest.raises(ValueError, match="from 0 to 7"):
        near_between(asked, known, 8)


def test_files_and_near_duplicates_are_found_across_sets(write_set):
    train = [(number, _scene(number), {"sha256": f"{number:064d}"}) for number in range(20)]
    test = [
        (100, _scene(500), {"sha256": f"{3:064d}"}),  # the same file, scanned again for the shards
        (101, ImageOps.expand(_scene(4), border=10, fill=(250, 250, 250)), {}),
        (102, _scene(5).resize((90, 70)), {}),
        (103, ImageOps.grayscale(_scene(6)), {}),
        (104, _scene(501), {}),
    ]
    trained, tested = write_set("trained", {"train": train}), write_set("tested", {"test": test})
    data = EvalData(tested)
    pictures = data.pictures("test")
    training = training_sets(tested, [trained], ())
    assert [each.name.split("/")[-1] for each in training] == ["trained"]
    leaks = find_leaks(pictures, training, data, by=["file", "near_duplicate"], max_distance=6)
    ids = {record.key: record.id for record in pictures.records}
    trained_ids = {record.key: record.id for record in training[0].records}
    found = {(ids[leak.key], leak.how, trained_ids[leak.train_key]) for leak in leaks.leaks}
    assert found == {
        ("tested-0100", "file", "trained-0003"),
        ("tested-0101", "near_duplicate", "trained-0004"),
        ("tested-0102", "near_duplicate", "trained-0005"),
        ("tested-0103", "near_duplicate", "trained-0006"),
    }
    assert all(leak.value <= 6 for leak in leaks.leaks)
    assert (leaks.num_train, leaks.compared) == (20, ("file", "near_duplicate"))
    only = find_leaks(pictures, training, data, by=["file"], max_distance=6)
    assert [leak.how for leak in only.leaks] == ["file"]


def test_a_fold_is_no_leak_to_the_run_that_left_it_out(make_shards, tmp_path: Path):
    root = make_shards(tmp_path / "shards", num_records=60)
    data = EvalData(root)
    pictures = data.heldout(["prints"])
    training = training_sets(root, [], ())
    leaks = find_leaks(pictures, training, data, by=["file", "near_duplicate"], max_distance=0)
    fold_of = dict(zip(pictures.keys, pictures.folds, strict=True))
    assert not [leak for leak in leaks.leaks if leak.key == leak.train_key]
    records = {record.key: place for place, record in enumerate(training[0].records)}
    assert all(training[0].folds[records[leak.train_key]] != fold_of[leak.key] for leak in leaks.leaks)


def test_hashes_of_training_pictures_are_kept(write_set, monkeypatch: pytest.MonkeyPatch):
    root = write_set("kept", {"train": [(number, _scene(number), {}) for number in range(5)]})
    first = TrainingPictures(root).views

    def refuse(*_):
        raise AssertionError("hashed again")

    monkeypatch.setattr("eval.contamination.hash_views", refuse)
    assert TrainingPictures(root).views == first
    assert all(first)


def test_collections_that_hash_alike_are_compared_by_file_alone(write_set, tmp_path: Path):
    rows = [(number, _scene(number), {}) for number in range(5)]
    root = write_set("shields", {"train": rows, "test": [(100 + n, image, {}) for n, image, _ in rows]})
    data = EvalData(root)
    both = ["file", "near_duplicate"]
    assert len(find_leaks(data.pictures("test"), training_sets(root, [], ()), data, by=both, max_distance=6).keys) == 5
    config = {"collections": {"shields": {"kind": "armorial", "near_duplicates": False}}}
    replace(shards.Manifest.read(root), config=config).write(root)
    data = EvalData(root)
    assert not find_leaks(data.pictures("test"), training_sets(root, [], ()), data, by=both, max_distance=6).leaks


def test_sets_are_compared_once_and_must_be_there(write_set, tmp_path: Path):
    root = write_set("one", {"train": [(0, _scene(0), {})]})
    (tmp_path / "link").symlink_to(root)
    again = training_sets(root, [tmp_path / "link"], [str(root), str(tmp_path / "gone"), "0" * 64])
    assert len(again) == 1
    with pytest.raises(ShardError):
        training_sets(root, [tmp_path / "gone"], ())


def test_works_that_share_a_caption_with_a_seen_one_are_left_out_too(make_shards, tmp_path: Path):
    pictures = EvalData(make_shards(tmp_path / "shards", num_records=40)).pictures("test")
    text = Caption("the same words", "en", "title")
    records = [replace(r, captions=(text,)) if i in (0, 5) else r for i, r in enumerate(pictures.records)]
    pictures = replace(pictures, records=tuple(records))
    leak = Leak(pictures.keys[0], pictures.works[0], "file", "t", "k", 0.0)
    assert seen_works(pictures, Leaks((leak,), ("file",), 1)) == {pictures.works[0], pictures.works[5]}


@pytest.fixture
def evaluate(tmp_path: Path, tiny_model_dir: Path):
    def run(root: Path, benchmark: dict, **contamination):
        data = {
            "verb": "eval", "out": str(tmp_path / "out"), "shards": str(root), "resamples": 200, "device": "cpu",
            "models": [{"name": str(tiny_model_dir), "label": "a"},
                       {"name": str(tiny_model_dir), "weights": "random", "label": "b"}],
            "benchmarks": [benchmark], "contamination": contamination,
        }  # fmt: skip
        run_evaluation(EvalConfig.validate_data(data, where="test"))
        rows = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
        leaks = [json.loads(line) for line in (tmp_path / "out" / "contamination.jsonl").read_text().splitlines()]
        return rows, leaks[0], (tmp_path / "out" / "report.html").read_text()

    return run


def _value(rows, metric: str, subset: str, model: str = "a"):
    return next(
        row
        for row in rows
        if (row["model"], row["metric"], row["slice"], row["subset"]) == (model, metric, "all", subset)
    )


def test_every_score_is_given_for_all_and_for_clean_queries(write_set, evaluate):
    train = [(number, _scene(number), {}) for number in range(30)]
    test = [(100 + number, _scene(number if number < 6 else 300 + number), {}) for number in range(60)]
    root = write_set("museum", {"train": train, "test": test})
    rows, row, page = evaluate(root, {"kind": "shard_retrieval", "name": "pooled"})
    assert (row["n"], row["seen"], row["seen_works"]) == (60, 6, 6)
    assert row["by"] == {"file": 0, "near_duplicate": 6}
    keys = {
        subset: {(r["model"], r["task"], r["metric"]) for r in rows if (r["subset"], r["slice"]) == (subset, "all")}
        for subset in ("all", "clean")
    }
    assert keys["all"] == keys["clean"]
    whole, clean = (_value(rows, "text_to_image/mean_percentile_rank", subset) for subset in ("all", "clean"))
    assert (whole["n"], clean["n"]) == (60, 54)
    assert clean["ci_low"] <= clean["value"] <= clean["ci_high"]
    assert "6 of 60 pictures" in page
    assert "Figures without them stand beside those of all" in page


def test_no_gain_is_claimed_that_rests_on_pictures_seen_in_training(write_set, evaluate, tmp_path: Path, monkeypatch):
    """A model that finds every picture it was trained on and no other gains over all queries, and not on clean ones."""
    from eval.report_reading import read_results
    from eval.report_text import report_markdown
    from eval.report_verdict import judge
    from eval.report_words import open_words
    from eval.summary import summarise
    from eval.tasks.retrieval import Retrieval

    train = [(number, _scene(number), {}) for number in range(45)]
    test = [(100 + number, _scene(number if number < 45 else 300 + number), {}) for number in range(90)]
    root = write_set("museum", {"train": train, "test": test})
    score, asked = Retrieval.score, []

    def memorised(self, embedder):
        found = score(self, embedder)
        asked.append(embedder)  # "a" first, then "b"
        knows = np.array([float(len(asked) == 2 and number < 45) for number in range(90)])
        return replace(found, measures=tuple(replace(m, values=knows) for m in found.measures))

    monkeypatch.setattr(Retrieval, "score", memorised)
    evaluate(root, {"kind": "shard_retrieval", "name": "pooled"})
    results = read_results([tmp_path / "out"])
    (question,) = results.questions
    whole = results.compare("a", "b", question, question.primary)
    clean = results.without_seen.compare("a", "b", question, question.primary)
    assert whole is not None
    assert clean is not None
    assert (whole.delta, clean.delta) == (0.5, 0.0)
    assert judge(results, question, "b").outcome == "seen"
    assert all(row.delta == 0 and row.n == 45 for row in results.overall if row.a == "a")
    assert "not seen in training" in report_markdown(open_words(), results)
    printed = summarise(tmp_path / "out", report=None)
    assert "not shown on pictures that training had not seen: +50.0" in printed
    assert "no gain shown" in printed


def test_clean_scores_can_be_worked_out_again_from_the_samples(write_set, evaluate, tmp_path: Path):
    train = [(number, _scene(number), {}) for number in range(10)]
    test = [(100 + number, _scene(number if number < 9 else 300 + number), {}) for number in range(50)]
    root = write_set("museum", {"train": train, "test": test})
    rows, row, _ = evaluate(root, {"kind": "shard_retrieval", "name": "pooled"})
    seen = {leak["key"] for leak in row["leaks"]}
    samples = pq.read_table(tmp_path / "out" / "samples" / "b--pooled--retrieval.parquet").to_pylist()
    for kind, direction in (("text", "text_to_image"), ("image", "image_to_text")):
        values = [s["percentile"] for s in samples if s["query_kind"] == kind and s["key"] not in seen]
        clean = _value(rows, f"{direction}/mean_percentile_rank", "clean", "b")
        assert clean["n"] == len(values) == 41
        assert clean["value"] == pytest.approx(np.mean(values))


def test_other_pictures_of_a_seen_work_stay(write_set, evaluate):
    train = [(number, _scene(number), {}) for number in range(10)]
    test = [(100 + n, _scene(n if n < 9 else 300 + n), {"work_group": f"book {n % 12}"}) for n in range(60)]
    root = write_set("books", {"train": train, "test": test})
    rows, row, _ = evaluate(root, {"kind": "shard_retrieval", "name": "pooled"})
    assert (row["seen"], row["seen_works"]) == (9, 9)
    clean = _value(rows, "text_to_image/mean_percentile_rank", "clean")
    assert (clean["n"], clean["n_clusters"]) == (51, 12)


def test_a_query_is_dirty_where_one_of_its_right_answers_was_seen(make_shards, tmp_path: Path):
    from eval.benchmarks._galleries import build_galleries
    from eval.contamination_clean import is_clean
    from eval.tasks.base import Measure, Queries
    from eval.tasks.retrieval import Retrieval

    pictures = EvalData(make_shards(tmp_path / "shards", num_records=40)).pictures("test")
    text = Caption("the same words", "en", "title", "page")
    records = [replace(r, captions=(text,)) if i in (0, 5) else r for i, r in enumerate(pictures.records)]
    pictures = replace(pictures, records=tuple(records))
    galleries = build_galleries(pictures, choice="all")
    leaks = Leaks((Leak(pictures.keys[5], pictures.works[5], "file", "t", "k", 0.0),), ("file",), 1)

    def dirty(direction: str, **options) -> list[int]:
        task = Retrieval(pictures, galleries, **options)
        number = len(galleries[0].texts) if direction == "text_to_image" else len(pictures)
        queries = Queries(np.array(["w"] * number), {})
        measure = Measure(f"{direction}/x", queries, np.zeros(number), np.zeros(number))
        return np.flatnonzero(~is_clean(task, pictures, leaks, measure, [])).tolist()

    shared = galleries[0].texts.index("the same words")
    assert dirty("text_to_image") == [shared]
    assert dirty("image_to_text") == [5]
    # Picture 4 is of the same work as 5: where all pictures of the work are right, its text finds a seen one.
    fourth = galleries[0].texts.index(pictures.records[4].captions[0].text)
    assert dirty("text_to_image", positives="work") == sorted({shared, fourth})


def test_without_leaks_both_are_the_same(write_set, evaluate):
    root = write_set(
        "clean", {"train": [(0, _scene(0), {})], "test": [(number, _scene(number), {}) for number in range(100, 140)]}
    )
    rows, row, page = evaluate(root, {"kind": "shard_retrieval", "name": "pooled"})
    assert row["seen"] == 0
    half = len(rows) // 2
    assert [r | {"subset": "all"} for r in rows[half:]] == rows[:half]
    assert "Seen in training: none of 40 pictures, compared with 1 training pictures" in page


def test_the_comparison_can_be_turned_off(write_set, evaluate):
    root = write_set("off", {"train": [(0, _scene(0), {})], "test": [(n, _scene(n), {}) for n in range(100, 140)]})
    rows, row, page = evaluate(root, {"kind": "shard_retrieval", "name": "pooled"}, by=[])
    assert {r["subset"] for r in rows} == {"all"}
    assert row["by"] == {}
    assert "Not compared with training pictures" in page


def test_a_model_that_tells_no_pictures_apart_is_no_judge(write_set, evaluate, tiny_model_dir: Path):
    train = [(number, _scene(number), {}) for number in range(40)]
    test = [(100 + number, _scene(300 + number), {}) for number in range(40)]
    root = write_set("judge", {"train": train, "test": test})
    _, row, page = evaluate(
        root, {"kind": "shard_retrieval", "name": "pooled"},
        by=["file", "embedding"], model=str(tiny_model_dir), min_cosine=0.01,
    )  # fmt: skip
    assert "of random pairs are as near as 0.01" in row["notes"][0]
    assert "embedding" not in row["by"]
    assert "it cannot say which pictures are the same" in page


def test_embeddings_find_what_hashes_miss(write_set, evaluate, tiny_model_dir: Path):
    # A page of one colour has no hash: it would be the hash of its noise.
    page = Image.new("RGB", (240, 180), (205, 190, 160))
    train = [(number, page if number == 7 else _scene(number), {}) for number in range(40)]
    test = [(100 + number, page if number == 3 else _scene(300 + number), {}) for number in range(40)]
    root = write_set("pages", {"train": train, "test": test})
    _, plain, _ = evaluate(root, {"kind": "shard_retrieval", "name": "pooled"})
    assert plain["seen"] == 0
    _, row, report = evaluate(
        root, {"kind": "shard_retrieval", "name": "pooled"},
        by=["embedding"], model=str(tiny_model_dir), min_cosine=0.9999,
    )  # fmt: skip
    assert row["by"] == {"embedding": 1}
    assert row["leaks"][0]["value"] == pytest.approx(1.0, abs=1e-4)
    assert "by embedding" in report


def test_embeddings_need_a_model_and_a_model_embeddings():
    data = {"verb": "eval", "out": "o", "shards": "s", "models": ["tiny:random"], "benchmarks": ["shard_retrieval"]}
    with pytest.raises(ConfigError, match="go together"):
        EvalConfig.validate_data(data | {"contamination": {"by": ["embedding"]}}, where="test")
    with pytest.raises(ConfigError, match="go together"):
        EvalConfig.validate_data(data | {"contamination": {"model": "a:b"}}, where="test")
