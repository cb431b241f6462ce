"""Several processes: together from the start or not at all, and none waits for one that will not come."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ranks import Crew, Failed

from iconoclip import models
from train import checkpoint, heartbeat, loop
from train.config import TrainConfig
from train.loop import run_training


def _at_step(patch: pytest.MonkeyPatch, wanted: int, do: Callable[[], object]) -> None:
    real = loop._step

    def step(run: Any, *arguments: Any) -> Any:
        if run.state.step == wanted - 1:
            do()
        return real(run, *arguments)

    patch.setattr(loop, "_step", step)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _freeze() -> None:
    subprocess.Popen(["sh", "-c", f"sleep 15; kill -KILL {os.getpid()}"])
    os.kill(os.getpid(), signal.SIGSTOP)


def _break() -> None:
    raise ZeroDivisionError("a bug")


def trains_until(path: Path, rank: int, step: int, do: Callable[[], None]) -> None:
    """In one of the processes: one of them does something bad at a step."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heartbeat, "_BEAT_S", 0.5)
        patch.setattr(heartbeat, "_GRACE_S", 2.0)
        if os.environ["RANK"] == str(rank):
            _at_step(patch, step, do)
        run_training(TrainConfig.load(path))


def _last_good(run: Path, step: int) -> None:
    folder = checkpoint.latest(run)
    assert folder is not None
    assert checkpoint.read_state(folder).step == step
    models.load(str(folder))


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_dies_is_named_by_the_others(
    rank: int, write_config: Callable[..., Path], tmp_path: Path, crew: Crew
) -> None:
    started = time.monotonic()
    found = crew.run(3, trains_until, write_config(batch_size=6), rank, 7, _die, fails=True, timeout_s=60)
    assert time.monotonic() - started < 60
    assert found[rank].kind == "died"
    for other, failed in enumerate(found):
        if other != rank:
            assert failed.kind == "IconoclipError"
            assert f"process {rank} " in failed.text
            assert "the last good checkpoint is" in failed.text
            assert "step-00000004" in failed.text
    _last_good(tmp_path / "run", 4)
    run_training(TrainConfig.load(write_config(batch_size=6)))
    _last_good(tmp_path / "run", 16)


def test_a_process_that_fails_is_quoted_by_the_others(
    write_config: Callable[..., Path], tmp_path: Path, crew: Crew
) -> None:
    first, second = crew.run(2, trains_until, write_config(), 1, 6, _break, fails=True, timeout_s=60)
    assert second.kind == "ZeroDivisionError"
    assert first.kind == "IconoclipError"
    assert "ZeroDivisionError: a bug; the last good checkpoint is" in first.text
    _last_good(tmp_path / "run", 4)


def test_nobody_waits_for_a_process_that_stands_still(
    write_config: Callable[..., Path], tmp_path: Path, crew: Crew
) -> None:
    # gloo notices nothing here, and the exchange in which the others wait cannot be interrupted.
    started = time.monotonic()
    path = write_config(heartbeat_s=5)
    found = crew.run(2, trains_until, path, 1, 6, _freeze, fails=True, timeout_s=50)
    assert found == [Failed("died", "ended with 2"), Failed("died", "ended with -9")]
    assert time.monotonic() - started < 60
    _last_good(tmp_path / "run", 4)


def joins(path: Path) -> None:
    """In one of the processes: begin a run."""
    run_training(TrainConfig.load(path))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"expect_processes": 4}, "got 2 of 4"),
        ({"batch_size": 9}, "batch_size 9 cannot be shared evenly by 2 processes"),
        ({"batch_size": 12, "micro_batch": 4}, "micro_batch 4 does not divide the 6 pairs of each of 2"),
    ],
)
def test_what_does_not_fit_the_processes_is_said_by_all_at_once(
    changes: dict[str, Any], words: str, write_config: Callable[..., Path], crew: Crew
) -> None:
    for failed in crew.run(2, joins, write_config(**changes), fails=True, timeout_s=30):
        assert failed.kind == "ConfigError"
        assert words in failed.text


def joins_late(path: Path) -> None:
    """In one of the processes: the second one never comes."""
    if os.environ["RANK"] == "0":
        run_training(TrainConfig.load(path, ["timeout_s=10"]))


def test_a_process_that_never_comes_is_missed(write_config: Callable[..., Path], crew: Crew) -> None:
    failed, _ = crew.run(2, joins_late, write_config(), fails=True, timeout_s=40)
    assert failed.kind == "IconoclipError"
    assert "the 2 processes could not be brought together at 127.0.0.1:" in failed.text


def _launch(*command: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    return subprocess.run([sys.executable, *command], env=env, capture_output=True, text=True, check=False, timeout=120)


def _steps(run: Path) -> list[tuple[int, float]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(row["step"], row["loss"]) for row in rows if "loss" in row]


def test_torchrun_starts_two_processes_that_train_as_one(write_config: Callable[..., Path], tmp_path: Path) -> None:
    whole = run_training(TrainConfig.load(write_config("whole", samples=40)))
    path = write_config("two", samples=40, expect_processes=2)
    command = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "iconoclip.cli", "train")
    done = _launch(*command, str(path))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("finished 5 steps") == 1  # only rank 0 speaks
    assert _steps(tmp_path / "two") == [(step, pytest.approx(loss, rel=1e-5)) for step, loss in _steps(whole)]
    assert json.loads((tmp_path / "two/run.json").read_text())["sessions"][0]["num_processes"] == 2


def test_accelerate_launch_trains_alone_on_a_cpu(write_config: Callable[..., Path], tmp_path: Path) -> None:
    # It starts one process on a CPU, whatever it is told; `expect_processes: 2` would stop here.
    command = ("-m", "accelerate.commands.launch", "--cpu", "--num_processes=2", "-m", "iconoclip.cli", "train")
    done = _launch(*command, str(write_config(samples=16)))
    assert done.returncode == 0, done.stderr
    assert len(_steps(tmp_path / "run")) == 2
    assert json.loads((tmp_path / "run/run.json").read_text())["sessions"][0]["num_processes"] == 1
