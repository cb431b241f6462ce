"""What a run tells: metrics.jsonl through kills and restarts, and wandb, offline, as one run with our steps."""

import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from iconoclip.errors import IconoclipError
from train.config import TrainConfig
from train.journal import Stopwatch
from train.loop import run_training


def _rows(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_a_row_has_everything_a_person_wants_to_see(
    write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_END_TIME", "4000000000")
    row = _rows(run_training(TrainConfig.load(write_config(samples=8, peak_tflops=0.001))))[0]
    wanted = {"pairs_per_s", "mfu", "hfu", "data_wait_share", "loss", "logit_scale", "grad_norm", "lr"}
    assert wanted | {"seconds_left", "wall_seconds_left", "kwh"} <= row.keys()
    assert 0 < row["mfu"] == row["hfu"]
    assert row["wall_seconds_left"] > 1e9
    assert row["kwh"] > 0


def test_a_figure_that_does_not_exist_is_null(write_config: Callable[..., Path]) -> None:
    row = _rows(run_training(TrainConfig.load(write_config(samples=8))))[0]
    assert (row["mfu"], row["hfu"], row["wall_seconds_left"], row["logit_bias"]) == (None, None, None, None)


def test_the_run_says_what_it_read(write_config: Callable[..., Path]) -> None:
    run = run_training(TrainConfig.load(write_config(samples=48, log={"every": 4, "keys": True})))
    rows = [json.loads(line) for line in (run / "keys.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]  # every step, though a line is logged every fourth
    keys = [key for row in rows for key in row["keys"]]
    assert len(keys) == 48
    assert len(set(keys[:24])) == len(set(keys[24:])) == 24  # 24 records, each once an epoch


def test_lines_after_the_checkpoint_are_forgotten(write_config: Callable[..., Path]) -> None:
    path = write_config(samples=64, log={"every": 1, "keys": True})
    run = run_training(TrainConfig.load(path, ["stop_after=4"]))
    kept = {name: (run / name).read_text() for name in ("metrics.jsonl", "keys.jsonl")}
    for name, text in kept.items():
        (run / name).write_text(text + '{"step": 5, "loss": 9}\n{"step": 6, "lo')  # a run that was killed in step 6
    run_training(TrainConfig.load(path, ["stop_after=5"]))
    for name, text in kept.items():
        assert (run / name).read_text().startswith(text)
        steps = [json.loads(line)["step"] for line in (run / name).read_text().splitlines()]
        assert steps == [1, 2, 3, 4, 5]


def test_time_left_counts_what_lies_between_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    watch, spent = Stopwatch(batch_size=8), {"saving": 0.0}
    for _ in range(4):
        now[0] += 2.0
        watch.waited(0.5)
    with watch.paused(spent, "saving"):
        now[0] += 4.0
    # 4 steps of 2 s; a quarter of it waiting; each step comes with a second of saving: 10 more take 10 x (2 + 1) s.
    assert watch.read(10) == {"pairs_per_s": 4.0, "data_wait_share": 0.25, "seconds_left": 30.0}
    assert spent == {"saving": 4.0}
    assert watch.seconds == 12.0


def test_a_job_that_is_too_short_is_said_once(
    write_config: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    # 10,000 steps in 3.6 seconds
    with caplog.at_level("INFO"):
        config = write_config(samples=80_000, log={"every": 1, "wall_hours": 0.001})
        run_training(TrainConfig.load(config, ["stop_after=4"]))
    said = [text for text in caplog.messages if "it will be stopped with a checkpoint" in text]
    assert len(said) == 1
    assert said[0].startswith("the run wants ")


def _records(path: Path) -> Iterator[Any]:
    """Records of a .wandb file: protobufs in LevelDB's log format, blocks of 32 KiB after a header of 7 bytes."""
    from wandb.proto import wandb_internal_pb2

    data, place, parts = path.read_bytes(), 7, b""
    while place + 7 <= len(data):
        room = 32768 - place % 32768
        if room < 7:
            place += room
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        parts += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield wandb_internal_pb2.Record.FromString(parts)
            parts = b""


def _written(path: Path) -> list[Any]:
    """All records; wandb's own process may still be writing the last ones when `finish` comes back."""
    deadline = time.monotonic() + 60
    while True:
        found = list(_records(path))
        if any(record.HasField("exit") for record in found):
            return found
        assert time.monotonic() < deadline, f"{path} has no end"
        time.sleep(0.05)


def _history(run: Path) -> list[tuple[str, list[dict[str, Any]]]]:
    """Run id and logged rows of each time that wandb was started, in order."""
    found = []
    for folder in sorted((run / "wandb").glob("offline-run-*"), key=lambda path: path.stat().st_mtime_ns):
        rows, identifier = [], ""
        for record in _written(next(folder.glob("*.wandb"))):
            if record.HasField("run"):
                identifier = record.run.run_id
            if record.HasField("history"):
                items = record.history.item
                rows.append({item.key or item.nested_key[0]: json.loads(item.value_json) for item in items})
        found.append((identifier, rows))
    return found


@pytest.mark.filterwarnings("ignore::DeprecationWarning:wandb")
@pytest.mark.parametrize(("configured", "variable"), [("offline", None), ("online", "offline")])
def test_wandb_is_one_run_through_requeues_and_carries_our_steps(
    configured: str, variable: str | None, write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_MODE")
    if variable:  # a cluster's module sets it for all its users
        monkeypatch.setenv("WANDB_MODE", variable)
    path = write_config(log={"every": 2, "wandb": configured}, samples=64, checkpoint={"every": 100})
    run_training(TrainConfig.load(path, ["stop_after=4"]))
    run = run_training(TrainConfig.load(path))
    identifier = (run / "wandb-id.txt").read_text()
    (first, before), (second, after) = _history(run)
    assert first == second == identifier
    assert [row["_step"] for row in before] == [row["step"] for row in before] == [2, 4]
    assert [row["_step"] for row in after] == [row["step"] for row in after] == [6, 8]
    ours = [(row["step"], row["loss"], row["lr"]) for row in _rows(run)]
    assert [(row["step"], row["loss"], row["lr"]) for row in before + after] == ours
    assert all(math.isfinite(loss) for _, loss, _ in ours)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:wandb")
def test_a_wandb_that_cannot_start_is_one_line(
    write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "sideways")
    config = TrainConfig.load(write_config(log={"wandb": "offline"}, samples=8))
    with pytest.raises(IconoclipError, match=r"^wandb: .*; try WANDB_MODE=offline, or log\.wandb: off$"):
        run_training(config)
