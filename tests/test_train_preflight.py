"""The preflight: it finds what would fail later, and the run does not notice that it was there."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from iconoclip import models
from iconoclip.errors import ConfigError, IconoclipError, ModelError
from train import loop, preflight
from train.best import is_better, score_of
from train.config import TrainConfig
from train.keep import unchanged
from train.loop import run_training
from train.vocabulary import check_vocabulary


def _rows(run: Path) -> list[dict[str, Any]]:
    """Rows of a run without what a clock or a meter had to say."""
    timed = {"seconds", "pairs_per_s", "data_wait_share", "seconds_left", "kwh"}
    text = (run / "metrics.jsonl").read_text()
    return [{key: value for key, value in json.loads(line).items() if key not in timed} for line in text.splitlines()]


@pytest.mark.parametrize("changes", [{}, {"micro_batch": 2, "lora": {"rank": 2}}])
def test_a_run_is_the_same_with_and_without_it(
    changes: dict[str, Any], write_config: Callable[..., Path], tmp_path: Path
) -> None:
    changes = changes | {
        "validation": {"path": str(tmp_path / "shards"), "every": 4},
        "log": {"every": 1, "keys": True},
    }
    changes |= {"samples": 48, "patch_dropout": 0.25}  # random numbers are drawn in every forward pass
    with_it = run_training(TrainConfig.load(write_config("with", **changes)))
    without = run_training(TrainConfig.load(write_config("without", preflight=False, **changes)))
    assert _rows(with_it) == _rows(without)
    assert (with_it / "keys.jsonl").read_bytes() == (without / "keys.jsonl").read_bytes()
    for name in ("weights.safetensors", "optimizer.safetensors"):
        path = Path("latest/state") / name
        assert (with_it / path).read_bytes() == (without / path).read_bytes()
    assert not (with_it / preflight.FOLDER_NAME).exists()


def test_it_leaves_everything_as_it_was(write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, ...]] = []

    def state(run: Any) -> tuple[Any, ...]:
        names, order = run.wrapped.named_parameters(), [part.training for part in run.wrapped.modules()]
        weights = {name: (p.detach().clone(), p.grad) for name, p in names}
        noise = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
        moments = [dict(values) for values in run.optimizer.state.values()]
        return weights, order, noise, moments, run.state, [buffer.clone() for buffer in run.wrapped.buffers()]

    real = loop._preflight

    def look(run: Any, journal: Any, batches: Any) -> Any:
        seen.append(state(run))
        found = real(run, journal, batches)
        seen.append(state(run))
        return found

    monkeypatch.setattr(loop, "_preflight", look)
    run_training(TrainConfig.load(write_config(samples=8)))
    (weights, modes, noise, moments, where, buffers), after = seen
    assert weights.keys() == after[0].keys()
    for name, (tensor, grad) in weights.items():
        assert torch.equal(tensor, after[0][name][0]), name
        assert grad is None
        assert after[0][name][1] is None
    assert (modes, noise[1:], moments, where) == (after[1], after[2][1:], after[3], after[4])
    assert torch.equal(noise[0], after[2][0])
    assert all(torch.equal(*pair) for pair in zip(buffers, after[5], strict=True))


def test_statistics_of_a_batch_are_put_back() -> None:
    module = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5)).eval()
    before, state = module.state_dict()["0.running_mean"].clone(), torch.get_rng_state()
    with unchanged(module):
        module.train()
        module(torch.randn(8, 3) + 5).sum().backward()
        random.random()
        np.random.random()  # noqa: NPY002
    assert torch.equal(module.state_dict()["0.running_mean"], before)
    assert torch.equal(torch.get_rng_state(), state)
    assert not module[0].training
    assert module[0].weight.grad is None


def test_it_says_what_it_did(
    write_config: Callable[..., Path], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    path = write_config(samples=32, validation=str(tmp_path / "shards"))
    with caplog.at_level("INFO"):
        run_training(TrainConfig.load(path, ["stop_after=1"]))
    assert "evaluation (score 0." in caplog.text
    assert "checkpoint written and read back" in caplog.text
    caplog.clear()
    with caplog.at_level("INFO"):
        run_training(TrainConfig.load(path))
    assert "preflight: forward and backward" in caplog.text
    assert "read back" not in caplog.text  # it has saved before


def test_too_little_memory_is_one_line_with_what_helps(
    write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")

    monkeypatch.setattr(loop, "backward", full)
    with pytest.raises(IconoclipError, match=r"^preflight: CUDA out of memory.*2.00 GiB\. Lower micro_batch \(now 4;"):
        run_training(TrainConfig.load(write_config(micro_batch=4)))


def test_a_checkpoint_that_cannot_be_written_is_noticed_before_the_first_step(
    write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("train.checkpoint.save_file", full)
    config = TrainConfig.load(write_config())
    with pytest.raises(IconoclipError, match=r"the checkpoint could not be written .*No space left"):
        run_training(config)
    assert not (config.out / "metrics.jsonl").exists()
    assert not (config.out / preflight.FOLDER_NAME).exists()


def test_weights_that_come_back_changed_are_noticed(
    write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = models.load

    def damaged(name: str, **options: Any) -> models.Model:
        model = real(name, **options)
        if preflight.FOLDER_NAME in name:
            model.module.logit_scale.data += 1
        return model

    monkeypatch.setattr(models, "load", damaged)
    with pytest.raises(IconoclipError, match="holds other weights when it is read back"):
        run_training(TrainConfig.load(write_config()))


@pytest.mark.parametrize("kind", ["clip", "siglip2", "xlm_roberta"])
def test_tokenizers_that_fit_are_found_to_fit(kind: str, model_dirs: Callable[[str], Path]) -> None:
    check_vocabulary(models.load(str(model_dirs(kind))))


def test_a_tokenizer_of_another_model_is_refused(model_dirs: Callable[[str], Path]) -> None:
    small, large = models.load(str(model_dirs("siglip2"))), models.load(str(model_dirs("clip")))
    mixed = models.Model("mixed", small.module, large.tokenizer, small.config)
    with pytest.raises(ModelError, match=r"gives ids up to 49,407, the text tower has rows for 64"):
        check_vocabulary(mixed)
    longer = models.Model("longer", large.module, lambda texts: large.tokenizer(texts, context_length=30), large.config)
    with pytest.raises(ModelError, match=r"makes 30 tokens of a text, the configuration says 24 .* 24 positions"):
        check_vocabulary(longer)


def test_the_best_checkpoint_is_the_one_of_the_rule(write_config: Callable[..., Path], tmp_path: Path) -> None:
    validation = {"path": str(tmp_path / "shards"), "every": 2}
    rule = {"metric": "image_to_text/hit_rate@5", "higher_is_better": False}
    run = run_training(TrainConfig.load(write_config(validation=validation | {"best": rule})))
    text = (run / "metrics.jsonl").read_text()
    scores = [
        (row["val/image_to_text/hit_rate@5"], row["step"])
        for row in map(json.loads, text.splitlines())
        if "val/score" in row
    ]
    lowest = min(score for score, _ in scores)
    last = max(step for score, step in scores if score == lowest)
    record = json.loads((run / "run.json").read_text())
    assert (record["best_score"], record["best_step"]) == (lowest, last)
    assert (run / "best").resolve().name == f"step-{last:08d}"


def test_a_rule_about_a_figure_that_does_not_exist_is_refused_before_the_first_step(
    write_config: Callable[..., Path], tmp_path: Path
) -> None:
    validation = {"path": str(tmp_path / "shards"), "best": {"metric": "hit_rate"}}
    config = TrainConfig.load(write_config(validation=validation))
    with pytest.raises(ConfigError, match=r"got 'hit_rate'; the validation gives image_to_text/hit_rate@1, "):
        run_training(config)
    assert not (config.out / "metrics.jsonl").exists()


def test_ties_go_to_the_later_checkpoint() -> None:
    def config(higher: bool) -> Any:
        best = SimpleNamespace(metric="score", higher_is_better=higher)
        return SimpleNamespace(validation=SimpleNamespace(best=best))

    assert [is_better(0.5, before, config(True)) for before in (None, 0.4, 0.5, 0.6)] == [True, True, True, False]
    assert [is_better(0.5, before, config(False)) for before in (None, 0.4, 0.5, 0.6)] == [True, False, True, True]
    assert score_of({"score": 0.25}, config(True)) == 0.25
