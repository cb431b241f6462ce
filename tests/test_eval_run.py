"""The whole evaluation on small shards and very small models."""

import json
from dataclasses import fields
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from eval import cache
from eval.config import ContestantConfig, EvalConfig
from eval.contestants import open_contestant
from eval.data import EvalData
from eval.results import ResultRow
from eval.run import run_evaluation
from eval.tasks.base import SAMPLE_COLUMNS
from iconoclip import models
from iconoclip.embed import embed_images, embed_texts, stream_images
from iconoclip.errors import ConfigError, EvaluationError

RESULT_KEYS = [
    "model", "weights_sha256", "benchmark", "benchmark_revision", "task", "slice", "metric", "value", "ci_low",
    "ci_high", "n", "chance", "prompts_sha256", "subset", "language", "n_clusters", "mdd", "seed", "software",
    "created",
]  # fmt: skip
RETRIEVAL = {"kind": "shard_retrieval", "name": "pooled"}


@pytest.fixture
def shards(make_shards, tmp_path: Path) -> Path:
    return make_shards(tmp_path / "shards", num_records=240, eval_collections=("pages",))


@pytest.fixture
def evaluate(tmp_path: Path, shards: Path, tiny_model_dir: Path):
    def run(*benchmarks, names=None, out="eval", **more):
        names = names or [{"name": str(tiny_model_dir), "weights": "random", "label": "untrained"}]
        data = {
            "verb": "eval",
            "out": str(tmp_path / out),
            "shards": str(shards),
            "models": names,
            "benchmarks": list(benchmarks or [RETRIEVAL]),
            "resamples": 200,
            "device": "cpu",
            "batch_size": 16,
        }
        config = EvalConfig.validate_data(data | more, where="test")
        return run_evaluation(config), tmp_path / out

    return run


@pytest.fixture
def cross_fitted(tmp_path: Path, tiny_model_dir: Path, shards: Path) -> Path:
    """A folder as `fold: all` writes it, each run with weights of its own."""
    root = tmp_path / "train"
    for fold in range(5):
        _save_run(root / f"fold-{fold}", tiny_model_dir, shards, seed=fold + 1, fold=fold)
    return root


def _save_run(folder: Path, architecture: Path, shards: Path, *, seed: int, fold: int | None) -> None:
    step = folder / "checkpoints" / "step-000010"
    models.save(models.load(str(architecture), weights="random", seed=seed), step)
    (folder / "latest").symlink_to(step.relative_to(folder))
    model = {"name": str(architecture), "weights": "random"}
    config = {"verb": "train", "model": model, "data": [{"path": str(shards)}], "fold": fold}
    (folder / "run.json").write_text(json.dumps({"config": config}))


def _rows(out: Path, name: str = "results.jsonl") -> list[dict]:
    def refuse(constant: str):
        raise AssertionError(f"{name} holds {constant}")

    return [json.loads(line, parse_constant=refuse) for line in (out / name).read_text().splitlines()]


def test_results_have_exactly_the_keys_of_the_contract(evaluate):
    text, out = evaluate(RETRIEVAL, {"kind": "shard_retrieval", "gallery": "collection", "novelty": True})
    rows = _rows(out)
    assert [field.name for field in fields(ResultRow)] == RESULT_KEYS
    assert all(list(row) == RESULT_KEYS for row in rows)
    scored = [row for row in rows if row["value"] is not None]
    assert scored
    assert all(row["ci_low"] <= row["value"] <= row["ci_high"] for row in scored)
    assert {row["slice"] for row in rows} >= {"all", "source=photos", "language=en"}
    assert {row["model"] for row in rows} == {"untrained", "baseline:collection_only"}
    samples = pq.read_table(out / "samples" / "untrained--pooled--retrieval.parquet")
    assert tuple(samples.column_names) == SAMPLE_COLUMNS
    thumbs = pq.read_table(out / "thumbs.parquet")
    assert thumbs.column_names == ["key", "jpeg", "caption"]
    assert set(samples["key"].to_pylist()) <= set(thumbs["key"].to_pylist())
    assert (out / "report.html").is_file()
    run = json.loads((out / "run.json").read_text())
    assert run["primary"][0] == ["pooled", "retrieval", "text_to_image/hit_rate@1"]
    assert run["benchmarks"][0]["licence"]
    assert "pooled" in text


def test_figures_can_be_worked_out_again_from_the_per_sample_rows(evaluate):
    _, out = evaluate()
    samples = pq.read_table(out / "samples" / "untrained--pooled--retrieval.parquet").to_pylist()
    for kind, direction in (("text", "text_to_image"), ("image", "image_to_text")):
        mine = [row for row in samples if row["query_kind"] == kind]
        for metric, value in (
            ("hit_rate@5", sum(row["rank"] <= 5 for row in mine) / len(mine)),
            ("mean_percentile_rank", sum(row["percentile"] for row in mine) / len(mine)),
        ):
            row = next(r for r in _rows(out) if r["metric"] == f"{direction}/{metric}" and r["slice"] == "all")
            assert row["value"] == pytest.approx(value)
            assert row["n"] == len(mine)


def test_what_is_in_the_cache_is_not_encoded_again(evaluate, monkeypatch: pytest.MonkeyPatch):
    _, out = evaluate()
    first = _rows(out)

    def refuse(*_, **__):
        raise AssertionError("encoded again")

    monkeypatch.setattr("iconoclip.embed.stream_images", refuse)
    monkeypatch.setattr("iconoclip.embed.stream_texts", refuse)
    evaluate()
    same = [{k: v for k, v in row.items() if k != "created"} for row in _rows(out)]
    assert same == [{k: v for k, v in row.items() if k != "created"} for row in first]


def test_an_interrupted_encoding_goes_on_after_its_last_part(evaluate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(cache, "_PART_BATCHES", 1)
    asked = []

    def stop_at_third(*args, batches, **more):
        asked.append(list(batches))
        stream = stream_images(*args, batches=batches, **more)
        yield next(stream)
        yield next(stream)
        raise KeyboardInterrupt

    monkeypatch.setattr("iconoclip.embed.stream_images", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        evaluate()
    monkeypatch.setattr(
        "iconoclip.embed.stream_images",
        lambda *args, batches, **more: asked.append(list(batches)) or stream_images(*args, batches=batches, **more),
    )
    _, out = evaluate()
    # 48 pictures in batches of 16: two parts were kept, the third was encoded again.
    assert asked == [[0, 1, 2], [2]]
    assert not list(out.rglob("*.part"))
    monkeypatch.undo()
    _, whole = evaluate(out="whole")
    values = [[(row["metric"], row["slice"], row["value"]) for row in _rows(folder)] for folder in (out, whole)]
    assert values[0] == values[1]


def test_a_damaged_cache_file_is_made_again(evaluate):
    _, out = evaluate()
    path = next(out.rglob("images.safetensors"))
    good = path.read_bytes()
    path.write_bytes(good[:100])
    evaluate()
    assert path.read_bytes() == good


def test_cross_fitted_records_are_scored_by_the_run_that_left_them_out(evaluate, cross_fitted: Path, shards: Path):
    benchmark = {"kind": "document_retrieval", "source": "prints", "languages": []}
    _, out = evaluate(benchmark, names=[{"name": str(cross_fitted), "label": "trained"}])
    data = EvalData(shards)
    pictures = data.heldout(["prints"])
    samples = pq.read_table(out / "samples" / "trained--document_retrieval--retrieval.parquet").to_pylist()
    asked = [row for row in samples if row["query_kind"] == "text"]
    assert len(set(pictures.folds)) == 5
    position_of = {key: position for position, key in enumerate(pictures.keys)}
    for row in asked[::7]:
        position = position_of[row["key"]]
        model = models.load(str(cross_fitted / f"fold-{pictures.folds[position]}"))
        texts = embed_texts(model, [row["query"]])
        best = [position_of[key] for key in row["positive_keys"]]
        images = embed_images(model, lambda i, best=best: pictures.read(best[i]), len(best))
        assert row["score"] == pytest.approx(float((images @ texts[0]).max()), abs=2e-6)
        assert all(pictures.folds[position_of[key]] == pictures.folds[position] for key in row["top_keys"])


def test_a_model_trained_on_the_fold_collections_is_refused_there(
    evaluate, tiny_model_dir: Path, shards, tmp_path: Path
):
    _save_run(tmp_path / "all", tiny_model_dir, shards, seed=1, fold=None)
    benchmark = {"kind": "document_retrieval", "source": "prints", "languages": []}
    text, out = evaluate(benchmark, RETRIEVAL, names=[{"name": str(tmp_path / "all"), "label": "trained"}])
    values = {
        row["benchmark"]: row["value"]
        for row in _rows(out)
        if (row["slice"], row["subset"], row["model"]) == ("all", "all", "trained")
    }
    assert values["document_retrieval"] is None
    assert values["pooled"] is not None
    assert "trained on these pictures" in text


def test_histories_of_weights(tiny_model_dir: Path, cross_fitted: Path, shards: Path, tmp_path: Path):
    def history(name: str, weights: str | None = None) -> str:
        return open_contestant(ContestantConfig(name=name, weights=weights)).history

    assert history("tiny:random") == "random"
    assert history(str(tiny_model_dir), "random") == "random"
    assert history("ViT-B-32:openai") == "pretrained"
    assert history(str(tiny_model_dir)) == "pretrained"
    assert history(str(cross_fitted)) == "trained_from_random"
    assert history(str(cross_fitted / "fold-1")) == "trained_from_random"
    assert history(str(cross_fitted / "fold-1" / "checkpoints" / "step-000010")) == "trained_from_random"
    # Fine-tuned from a run that was itself trained from random weights, and from a model of unknown origin.
    for name, start in (("again", cross_fitted / "fold-1"), ("tuned", tiny_model_dir)):
        (tmp_path / name).mkdir()
        config = {"verb": "train", "model": {"name": str(start)}, "data": [{"path": str(shards)}]}
        (tmp_path / name / "run.json").write_text(json.dumps({"config": config}))
    assert history(str(tmp_path / "again")) == "trained_from_random"
    assert history(str(tmp_path / "tuned")) == "pretrained"


def test_an_unfinished_cross_fitted_folder_is_named(cross_fitted: Path):
    (cross_fitted / "fold-3" / "latest").unlink()
    with pytest.raises(EvaluationError, match="fold-3 has no checkpoint"):
        open_contestant(ContestantConfig(name=str(cross_fitted)))


def test_all_benchmarks_that_cannot_run_are_named_at_once(evaluate):
    with pytest.raises(EvaluationError) as found:
        evaluate({"kind": "shard_retrieval", "split": "tets"}, {"kind": "saints", "source": "saints"}, RETRIEVAL)
    assert "2 of 3 benchmarks cannot run" in str(found.value)
    assert "no split 'tets'; it has train, val, test, eval/pages" in str(found.value)
    assert "no held-out pictures of 'saints'" in str(found.value)


def test_what_was_trained_on_is_no_test(evaluate):
    with pytest.raises(EvaluationError, match="photos in train/ is trained on"):
        evaluate({"kind": "shard_retrieval", "split": "train"})


def test_limit_chooses_the_same_pictures_every_time(shards: Path):
    from eval.benchmarks.shard_retrieval import ShardRetrieval

    def keys(seed: int) -> tuple[str, ...]:
        benchmark = ShardRetrieval(kind="shard_retrieval", limit=12, seed=seed)
        return benchmark.prepare(EvalData(shards)).pictures.keys

    assert len(keys(0)) == 12
    assert keys(0) == keys(0)
    assert keys(0) != keys(1)


def test_every_language_is_asked_among_the_same_pictures(shards: Path):
    from eval.benchmarks.shard_retrieval import ShardRetrieval

    galleries = ShardRetrieval(kind="shard_retrieval", captions="language").prepare(EvalData(shards)).tasks[0].galleries
    assert [gallery.languages[0] for gallery in galleries] == ["en", "fr", "nl"]
    assert all(gallery.positions == galleries[0].positions for gallery in galleries)
    assert all(len(gallery.texts) < len(gallery.positions) for gallery in galleries)


def test_new_pages_and_new_works_are_told_apart_by_the_train_ledger(shards: Path):
    from eval.benchmarks.shard_retrieval import ShardRetrieval

    task = ShardRetrieval(kind="shard_retrieval", novelty=True).prepare(EvalData(shards)).tasks[0]
    assert set(task.novelty) == {"new_work"}
    assert len(task.novelty) == len(task.pictures)


def test_mistakes_of_a_configuration_are_named(tmp_path: Path):
    data = {
        "verb": "eval",
        "out": "o",
        "shards": "s",
        "models": ["tiny:random", "tiny:random"],
        "benchmarks": [{"kind": "sains"}, {"kind": "saints", "soure": "x"}],
    }
    with pytest.raises(ConfigError) as found:
        EvalConfig.validate_data(data, where="eval.yaml")
    assert "did you mean 'saints'" in str(found.value)
    with pytest.raises(ConfigError, match="two are called tiny-random"):
        EvalConfig.validate_data(data | {"benchmarks": ["saints"]}, where="eval.yaml")


def test_a_run_json_is_a_configuration_that_repeats_the_evaluation(evaluate):
    _, out = evaluate()
    config = EvalConfig.load(out / "run.json")
    assert config.out == out
    assert config.benchmarks[0].shown_name == "pooled"
    assert EvalConfig.validate_data(config.to_json(), where="again") == config
