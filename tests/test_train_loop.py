"""Whole runs: interrupted and not, in one process and in two, with every kind of bad luck."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ranks import Crew, fork

from iconoclip import models
from iconoclip.errors import ConfigError, IconoclipError
from train import loop
from train.config import TrainConfig
from train.loop import run_training


def _rows(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def _steps(run: Path) -> list[tuple[int, float, float]]:
    """Step, loss and gradient norm of every line: equal to the last bit if the runs are."""
    return [(row["step"], row["loss"], row["grad_norm"]) for row in _rows(run) if "loss" in row]


def _sha(run: Path) -> str:
    return models.load(str(run)).weights_sha256


def trains(path: Path, overrides: list[str]) -> None:
    """In a process of its own, or in one of several: a whole run."""
    run_training(TrainConfig.load(path, overrides))


def test_a_run_learns_and_leaves_what_it_should(write_config: Callable[..., Path], tmp_path: Path) -> None:
    config = TrainConfig.load(
        write_config(epochs=8, samples=None, validation={"path": str(tmp_path / "shards"), "every": 10})
    )
    run = run_training(config)
    rows = [row for row in _rows(run) if "loss" in row]
    validations = [row for row in _rows(run) if "val/score" in row]
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert rows[-1]["step"] == len(rows) == 24  # 24 records in train, 8 epochs: 192 samples in batches of 8
    assert [row["step"] for row in validations] == [10, 20, 24]
    assert {"val/text_to_image/hit_rate@1", "val/image_to_text/hit_rate@5/fr"} <= validations[0].keys()
    keys = {"step", "samples_seen", "epoch", "loss", "lr", "logit_scale", "grad_norm", "pairs_per_s"}
    assert keys | {"data_wait_share", "seconds_left", "seconds", "num_corrupt"} <= rows[0].keys()
    record = json.loads((run / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["energy_method"] in ("measured", "estimated")
    assert record["kwh"] > 0
    assert record["data"][0]["by_language"].keys() == {"en", "fr", "nl"}
    assert record["data"][0]["by_rights_class"] == {"public_domain": 24}
    assert record["best_step"] in (10, 20, 24)
    assert TrainConfig.load(run / "run.json") == config
    before = (run / "metrics.jsonl").read_bytes()
    assert run_training(config) == run  # nothing left to do
    assert (run / "metrics.jsonl").read_bytes() == before


def test_open_clip_opens_a_checkpoint(write_config: Callable[..., Path]) -> None:
    import open_clip

    run = run_training(TrainConfig.load(write_config(samples=16, loss="sigmoid")))
    module, _, _ = open_clip.create_model_and_transforms(f"local-dir:{run / 'latest'}")
    assert module.logit_bias.item() == pytest.approx(-10, abs=0.1)
    assert models.state_sha256(module.state_dict()) == _sha(run)


def test_a_run_that_stopped_and_went_on_equals_one_that_did_not(write_config: Callable[..., Path]) -> None:
    whole = run_training(TrainConfig.load(write_config("whole")))
    parts = write_config("parts")
    for stop_after in (3, 5, None):
        overrides = [f"stop_after={stop_after}"] if stop_after else ["log.every=1", "checkpoint.every=100"]
        run = run_training(TrainConfig.load(parts, overrides))
    assert _steps(run) == _steps(whole)
    assert _sha(run) == _sha(whole)
    record = json.loads((run / "run.json").read_text())
    assert [session["last_step"] for session in record["sessions"]] == [3, 5, 12]


def test_a_killed_run_goes_on_bit_for_bit(write_config: Callable[..., Path], tmp_path: Path) -> None:
    whole = run_training(TrainConfig.load(write_config("whole", samples=4000, checkpoint={"every": 5}, stop_after=40)))
    path = write_config("killed", samples=4000, checkpoint={"every": 5})
    run = tmp_path / "killed"
    deadline = time.monotonic() + 100
    with fork(trains, path, []) as process:
        # Killed in the middle of a stretch: some lines of metrics.jsonl lie after the last checkpoint.
        while process.is_alive() and time.monotonic() < deadline:
            metrics = run / "metrics.jsonl"
            if (run / "latest").exists() and metrics.is_file() and metrics.read_text().count("\n") >= 7:
                break
            time.sleep(0.01)
        process.kill()
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 99, "lo')  # what a kill in the middle of a line leaves
    (run / "checkpoints/.step-00000099.tmp").mkdir()
    run_training(TrainConfig.load(path, ["stop_after=40"]))
    assert _steps(run) == _steps(whole)
    assert _sha(run) == _sha(whole)
    assert not list((run / "checkpoints").glob(".*"))


def test_two_processes_train_as_one(write_config: Callable[..., Path], tmp_path: Path, crew: Crew) -> None:
    options = {"loss": "sigmoid", "validation": {"path": str(tmp_path / "shards"), "every": 4}}
    one = run_training(TrainConfig.load(write_config("one", expect_processes=1, **options)))
    path = write_config("two", expect_processes=2, **options)
    crew.run(2, trains, path, [])
    ours, theirs = _steps(one), _steps(tmp_path / "two")
    assert len(theirs) == 12
    for (step, loss, norm), (other_step, other_loss, other_norm) in zip(ours, theirs, strict=True):
        assert step == other_step
        assert other_loss == pytest.approx(loss, rel=1e-5)
        assert other_norm == pytest.approx(norm, rel=1e-4)
    record = json.loads((tmp_path / "two/run.json").read_text())
    assert record["sessions"][0]["num_processes"] == 2
    # One process goes on where two stopped: the same stream, and the same weights but for rounding.
    longer = ["samples=128", "resume.allow=[samples]", "expect_processes=1"]
    run_training(TrainConfig.load(path, longer))
    assert [step for step, _, _ in _steps(tmp_path / "two")] == list(range(1, 17))


def test_micro_batches_do_not_change_a_run(write_config: Callable[..., Path]) -> None:
    whole = _steps(run_training(TrainConfig.load(write_config("whole"))))
    cut = _steps(run_training(TrainConfig.load(write_config("cut", micro_batch=2))))
    for (_, loss, norm), (_, other_loss, other_norm) in zip(whole, cut, strict=True):
        assert other_loss == pytest.approx(loss, rel=1e-4)
        assert other_norm == pytest.approx(norm, rel=1e-3)


def test_every_fold_has_a_run_of_its_own(write_config: Callable[..., Path]) -> None:
    out = run_training(TrainConfig.load(write_config(fold="all", samples=8)))
    runs = sorted(path.name for path in out.glob("fold-*"))
    assert runs == [f"fold-{fold}" for fold in range(5)]
    seen = [json.loads((out / name / "run.json").read_text()) for name in runs]
    assert [record["config"]["fold"] for record in seen] == [0, 1, 2, 3, 4]
    # 12 of the 24 training records are of the collection with folds; each is left out once.
    assert sum(24 - record["num_samples"] for record in seen) == 12


def test_frozen_weights_do_not_move(write_config: Callable[..., Path], tiny_model_dir: Path) -> None:
    freeze = {"image": True, "token_table": True, "text_blocks": 1}
    run = run_training(TrainConfig.load(write_config(samples=16, freeze=freeze, optim={"lr": 0.1})))
    before = models.load(f"{tiny_model_dir}:random").module.state_dict()
    after = models.load(str(run)).module.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert "text_projection" in moved
    assert any(name.startswith("transformer.resblocks.1.") for name in moved)
    assert not any(name.startswith(("visual.", "token_embedding", "transformer.resblocks.0.")) for name in moved)


def test_bf16_trains(write_config: Callable[..., Path]) -> None:
    full = _steps(run_training(TrainConfig.load(write_config("fp32", samples=16))))
    half = _steps(run_training(TrainConfig.load(write_config("bf16", samples=16, precision="bf16"))))
    assert half[0][1] == pytest.approx(full[0][1], rel=0.02)
    assert half[0][1] != full[0][1]


def test_another_run_in_the_same_folder_is_refused_with_the_difference(write_config: Callable[..., Path]) -> None:
    path = write_config()
    run_training(TrainConfig.load(path, ["stop_after=2"]))
    with pytest.raises(ConfigError) as caught:
        run_training(TrainConfig.load(path, ["optim.lr=2e-3", "seed=1"]))
    assert "optim.lr: was 0.001, is 0.002" in str(caught.value)
    assert "seed: was 0, is 1" in str(caught.value)
    run_training(TrainConfig.load(path, ["optim.lr=2e-3", "resume.allow=[optim.lr]", "stop_after=3"]))


def test_other_shards_are_refused(write_config: Callable[..., Path], make_shards: Callable[..., Path]) -> None:
    path = write_config()
    run_training(TrainConfig.load(path, ["stop_after=2"]))
    make_shards(num_records=42)
    with pytest.raises(ConfigError, match="the shards hold other samples"):
        run_training(TrainConfig.load(path))


def test_a_loss_that_is_no_number_stops_before_the_weights_are_spoilt(
    write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainConfig.load(write_config(checkpoint={"every": 2}))
    real, calls = loop.backward, []

    def spoilt(*arguments: Any, **options: Any) -> torch.Tensor:
        loss = real(*arguments, **options)
        calls.append(1)
        if len(calls) == 5:  # the first is the preflight's
            next(arguments[1].parameters()).grad.fill_(float("nan"))
            return loss * float("nan")
        return loss

    monkeypatch.setattr(loop, "backward", spoilt)
    with pytest.raises(IconoclipError, match=r"step 4: the gradient is not finite.*last good checkpoint is .*step-0+2"):
        run_training(config)
    assert json.loads((config.out / "run.json").read_text())["step"] == 3


def test_too_many_broken_pictures_stop_the_run(
    write_config: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainConfig.load(write_config(samples=800))
    tar = tmp_path / "shards/train/toy-00000.tar"
    data = tar.read_bytes()
    tar.write_bytes(data.replace(b"JFIF", b"XXXX").replace(b"\xff\xd8", b"\0\0", 12))
    with pytest.raises(IconoclipError, match=r"could not be read, max_corrupt is 1\.0%"):
        run_training(config)


def test_two_runs_do_not_share_a_folder(write_config: Callable[..., Path]) -> None:
    from iconoclip.provenance import lock_folder

    config = TrainConfig.load(write_config())
    with lock_folder(config.out), pytest.raises(IconoclipError, match="another run is writing there"):
        run_training(config)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"expect_processes": 2}, "got 1 of 2"),
        ({"devices": "cuda"}, "this machine has none"),
        ({"model": "nothing"}, "no run or model folder is there"),
        ({"data": "nowhere"}, "not there; has `iconoclip prep` finished"),
        ({"fold": "all", "data": "nowhere"}, "has `iconoclip prep` finished"),
    ],
)
def test_what_cannot_work_is_said_at_once(
    changes: dict[str, Any], words: str, write_config: Callable[..., Path]
) -> None:
    with pytest.raises(IconoclipError, match=words):
        run_training(TrainConfig.load(write_config(**changes)))


@pytest.mark.filterwarnings("ignore::DeprecationWarning:wandb")
def test_wandb_mirrors_offline_in_one_run(write_config: Callable[..., Path]) -> None:
    path = write_config(log={"every": 2, "wandb": "offline"}, samples=32)
    run_training(TrainConfig.load(path, ["stop_after=2"]))
    run = run_training(TrainConfig.load(path))
    identifier = (run / "wandb-id.txt").read_text()
    folders = list((run / "wandb").glob(f"offline-run-*-{identifier}"))
    assert folders
    assert [row["step"] for row in _rows(run)] == [2, 4]
