"""Checkpoints: whole or not at all, the right ones kept, restored bit for bit."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from iconoclip import models
from iconoclip.errors import ConfigError, IconoclipError, ModelError
from train import checkpoint, optim
from train.checkpoint import TrainerState
from train.config import OptimConfig, TrainConfig
from train.loop import run_training


def _state(step: int) -> TrainerState:
    return TrainerState(
        step=step,
        samples_seen=8 * step,
        num_corrupt=0,
        seconds=1.5,
        max_log_scale=4.6,
        best_score=None,
        best_step=None,
        config={"seed": 0},
        data_sha256="d",
        base_weights_sha256="w",
        num_processes=1,
    )


def _stepped(folder: Path) -> tuple[models.Model, torch.optim.AdamW]:
    """A model after one optimizer step, so that the optimizer has something to keep."""
    model = models.load(str(folder))
    optimizer = optim.make_optimizer(model.module, OptimConfig(lr=1e-3))
    model.module.encode_text(model.tokenizer(["a lion"])).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    return model, optimizer


def test_what_is_restored_is_what_was_saved(tiny_model_dir: Path, tmp_path: Path) -> None:
    model, optimizer = _stepped(tiny_model_dir)
    folder = checkpoint.save(tmp_path, model, optimizer, _state(3), is_best=False, keep=2)
    assert checkpoint.read_state(folder) == _state(3)
    other = models.load(f"{tiny_model_dir}:random", seed=9)
    fresh = optim.make_optimizer(other.module, OptimConfig(lr=1e-3))
    checkpoint.restore(folder, other.module, fresh)
    assert models.state_sha256(other.module.state_dict()) == models.state_sha256(model.module.state_dict())
    before, after = optimizer.state_dict()["state"], fresh.state_dict()["state"]
    assert before.keys() == after.keys()
    assert len(before) > 0
    for number, values in before.items():
        assert all(torch.equal(after[number][key], value) for key, value in values.items())
    assert models.load(str(tmp_path)).weights_sha256 == model.weights_sha256


def test_the_last_two_and_the_best_are_kept(tiny_model_dir: Path, tmp_path: Path) -> None:
    model, optimizer = _stepped(tiny_model_dir)
    for step in (1, 2, 3, 4, 5):
        checkpoint.save(tmp_path, model, optimizer, _state(step), is_best=step == 2, keep=2)
    names = [path.name for path in sorted((tmp_path / "checkpoints").iterdir())]
    assert names == ["step-00000002", "step-00000004", "step-00000005"]
    assert str((tmp_path / "latest").readlink()) == "checkpoints/step-00000005"
    assert str((tmp_path / "best").readlink()) == "checkpoints/step-00000002"
    assert checkpoint.latest(tmp_path) == (tmp_path / "checkpoints/step-00000005").resolve()


def test_a_run_folder_may_be_moved(tiny_model_dir: Path, tmp_path: Path) -> None:
    model, optimizer = _stepped(tiny_model_dir)
    checkpoint.save(tmp_path / "a", model, optimizer, _state(1), is_best=True, keep=2)
    shutil.move(tmp_path / "a", tmp_path / "b")
    assert models.load(str(tmp_path / "b")).weights_sha256 == model.weights_sha256


def test_links_move_in_a_run_folder_that_is_relative_to_the_working_directory(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What `latest` and `good` point to comes back resolved: the guard goes back to it, and a catch-up marks it as best.
    monkeypatch.chdir(tmp_path)
    out = Path("runs/a")
    model, optimizer = _stepped(tiny_model_dir)
    checkpoint.save(out, model, optimizer, _state(1), is_best=False, is_good=True, keep=2)
    newest = checkpoint.save(out, model, optimizer, _state(2), is_best=False, keep=2)
    assert checkpoint.latest(out) == newest.resolve()
    checkpoint.point(out / "best", newest.resolve())
    assert str((out / "best").readlink()) == "checkpoints/step-00000002"
    good = checkpoint.pointed(out, "good")
    assert good is not None
    checkpoint.make_latest(out, good)
    assert str((out / "latest").readlink()) == "checkpoints/step-00000001"
    assert not newest.exists()


def test_a_failed_save_leaves_the_last_one_good(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, optimizer = _stepped(tiny_model_dir)
    checkpoint.save(tmp_path, model, optimizer, _state(1), is_best=False, keep=2)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "_flush", full)
    with pytest.raises(IconoclipError, match=r"No space left on device.*the last good one is .*step-00000001"):
        checkpoint.save(tmp_path, model, optimizer, _state(2), is_best=False, keep=2)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000001"]
    assert checkpoint.read_state(tmp_path / "latest").step == 1


def test_what_died_before_the_pointer_moved_is_written_again(tiny_model_dir: Path, tmp_path: Path) -> None:
    model, optimizer = _stepped(tiny_model_dir)
    checkpoint.save(tmp_path, model, optimizer, _state(1), is_best=False, keep=2)
    checkpoint.save(tmp_path, model, optimizer, _state(2), is_best=False, keep=2)
    checkpoint.point(tmp_path / "latest", tmp_path / "checkpoints/step-00000001")
    (tmp_path / "checkpoints/.step-00000002.tmp").mkdir()
    checkpoint.remove_partial(tmp_path)
    assert checkpoint.latest(tmp_path) == (tmp_path / "checkpoints/step-00000001").resolve()
    checkpoint.save(tmp_path, model, optimizer, _state(2), is_best=False, keep=2)
    assert checkpoint.read_state(tmp_path / "latest").step == 2
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


def test_a_checkpoint_of_another_model_is_refused(tiny_model_dir: Path, tmp_path: Path) -> None:
    model, optimizer = _stepped(tiny_model_dir)
    folder = checkpoint.save(tmp_path, model, optimizer, _state(1), is_best=False, keep=2)
    other = nn.Linear(2, 2)
    with pytest.raises(ModelError, match="does not fit the model of this run"):
        checkpoint.restore(folder, other, torch.optim.AdamW(other.parameters()))


def test_a_run_is_not_put_among_what_something_else_wrote(write_config: Callable[..., Path], tmp_path: Path) -> None:
    before = (tmp_path / "shards/manifest.json").read_bytes()
    with pytest.raises(ConfigError, match="shards: holds a shard set; give another `out`"):
        run_training(TrainConfig.load(write_config("shards")))
    assert (tmp_path / "shards/manifest.json").read_bytes() == before
    (tmp_path / "results").mkdir()
    (tmp_path / "results/run.json").write_text('{"config": {"verb": "eval"}}')
    with pytest.raises(ConfigError, match="results: holds what `iconoclip eval` wrote; give another `out`"):
        run_training(TrainConfig.load(write_config("results")))
    assert (tmp_path / "results/run.json").read_text() == '{"config": {"verb": "eval"}}'


def test_no_pickle_is_written(tiny_model_dir: Path, tmp_path: Path) -> None:
    model, optimizer = _stepped(tiny_model_dir)
    folder = checkpoint.save(tmp_path, model, optimizer, _state(1), is_best=False, keep=2)
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {path.rpartition(".")[2] for path in files} == {"json", "safetensors"}
    assert {"open_clip_config.json", "open_clip_model.safetensors", "state/trainer.json"} <= files
