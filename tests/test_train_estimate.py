"""``iconoclip train CONFIG --estimate``: sums by hand, and a real one that leaves nothing behind."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ranks import Crew

from train.config import TrainConfig
from train.estimate import NUM_TIMED, Measured, describe, estimate_run, size_of

SESSION = {"num_nodes": 2, "num_processes": 8, "device": "NVIDIA H200"}


@pytest.fixture
def measured() -> Measured:
    return Measured(
        step_s=[1.0] * 10 + [1.2] * 10 + [9.0],  # an odd one out does not count
        wait_share=0.02,
        step_kwh=0.0012,
        start_s=60.0,
        validating_s=30.0,
        saving_s=10.0,
        checkpoint_bytes=4_500_000_000,
        session=SESSION | {"energy_method": "measured", "energy_detail": "codecarbon"},
    )


def test_the_sums_are_those_by_hand(write_config: Callable[..., Path], tmp_path: Path, measured: Measured) -> None:
    changes = {"samples": 24_000, "validation": {"path": str(tmp_path / "shards"), "every": 1000}}
    config = TrainConfig.load(write_config(**changes, checkpoint={"every": 500}, log={"wall_hours": 0.5}))
    size = size_of(config)
    # 24,000 pairs in batches of 8 are 3,000 steps; a validation every 1,000; a checkpoint every 500.
    assert (size.steps, size.validations, size.saves, size.kept_checkpoints) == (3000, 3, 6, 4)
    text = describe(config, size, measured)
    # 3,000 x 1.2 s + 3 x 30 s + 6 x 10 s + 60 s = 3,810 s = 1.058 h, on two nodes of 8 devices in all;
    # energy goes with time: 0.0012 kWh each 1.2 s are 3.81 kWh.
    assert "a step      1.2 s, median of 21 (1 to 9): 7 pairs/s, 2% of the time waiting" in text
    assert "together 1 h 03 min" in text
    assert "node-hours  2.12, device-hours 8.47" in text
    assert "energy      3.81 kWh, measured (codecarbon)" in text
    assert "checkpoint  4,500,000,000 bytes; at most 4 at once: 18 GB" in text
    assert "jobs        3 of 0.5 h" in text
    assert "8 x NVIDIA H200, nodes: 2" in text
    assert "up to 500 steps done again after a kill" in text


def test_folds_are_counted(write_config: Callable[..., Path], measured: Measured) -> None:
    config = TrainConfig.load(write_config(fold="all", samples=8000))
    size = size_of(config)
    assert size.folds == 5
    text = describe(config, size, measured)
    # five times (1,000 x 1.2 s + 250 x 10 s + 60 s) = 5.222 h
    assert "node-hours  10.4" in text
    assert "folds       5 runs" in text


def test_a_last_validation_comes_on_top(write_config: Callable[..., Path], tmp_path: Path) -> None:
    validation = {"path": str(tmp_path / "shards")}
    sizes = [
        size_of(TrainConfig.load(write_config(samples=80, validation=validation | {"every": every}))).validations
        for every in (None, 3, 5, 100)
    ]
    assert sizes == [1, 4, 2, 1]  # of 10 steps: the last; 3, 6, 9 and the last; 5 and 10; the last


def test_twenty_steps_are_timed_and_nothing_is_left(
    write_config: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = TrainConfig.load(write_config(samples=80_000, validation=str(tmp_path / "shards"), micro_batch=4))
    before = sorted(tmp_path.iterdir())
    with caplog.at_level("INFO"):
        text = estimate_run(config)
    assert sorted(tmp_path.iterdir()) == before
    assert not [record for record in caplog.records if record.name.startswith("train")]
    assert f"median of {NUM_TIMED} " in text
    assert re.search(r"10,000 steps of 8 pairs, .*; 1 validations of [\d.e-]+ s; 2500 checkpoints of [\d.]+ s", text)
    assert re.search(r"node-hours +[\d.e-]+, device-hours [\d.e-]+\n", text)
    assert re.search(r"energy +[\d.e-]+ kWh, estimated \(core-seconds|measured", text)
    # weights and two moments of 1.6 M trained numbers, and a tokenizer that needs no file
    (found,) = re.findall(r"checkpoint +([\d,]+) bytes", text)
    assert 19e6 < int(found.replace(",", "")) < 21e6
    assert "assumed:" in text


def estimates(path: Path) -> str:
    """In one of the processes: what it says."""
    return estimate_run(TrainConfig.load(path))


def test_one_of_two_processes_says_it(write_config: Callable[..., Path], crew: Crew) -> None:
    first, second = crew.run(2, estimates, write_config())
    assert "on 2 x cpu, nodes: 1" in first
    assert second == ""


def test_staging_and_estimating_are_two_commands(write_config: Callable[..., Path], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "iconoclip.cli", "train", str(write_config()), "--estimate", "--stage", "there"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (2, "error: --stage and --estimate are two commands; give one of them\n")
