"""The live screen and the plain line: all figures, no flicker, any width."""

import fcntl
import io
import logging
import math
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from train.config import LogConfig
from train.screen import Screen, duration, plain_line
from train.walltime import read_time_left, wall_limit

ROW = {
    "step": 1240,
    "samples_seen": 2539520,
    "epoch": 1.27,
    "loss": 2.1344,
    "lr": 9.8e-6,
    "logit_scale": 97.2,
    "grad_norm": 0.834,
    "num_corrupt": 0,
    "pairs_per_s": 1932.4,
    "data_wait_share": 0.012,
    "seconds_left": 11520.0,
    "mfu": 0.339,
    "hfu": 0.452,
    "wall_seconds_left": 20400.0,
    "kwh": 1.234,
}


def test_the_plain_line_has_every_figure() -> None:
    assert plain_line(ROW, 4883) == (
        "step 1,240/4,883  epoch 1.27  loss 2.134  pairs/s 1,932  MFU 33.9%  HFU 45.2%  data wait 1%  lr 9.80e-06  "
        "temperature 1/97.2  gradient 0.83  left 3 h 12 min  wall limit in 5 h 40 min  energy 1.23 kWh"
    )


def test_what_is_not_known_is_left_out() -> None:
    line = plain_line(ROW | {"mfu": None, "hfu": None, "wall_seconds_left": None, "num_corrupt": 3}, 4883)
    assert "FU" not in line
    assert "wall" not in line
    assert line.endswith("energy 1.23 kWh  replaced 3")


@pytest.mark.parametrize("width", [24, 60, 100, 200])
def test_the_screen_fits_any_terminal(width: int) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    screen = Screen("runs/heritage/a_rather_long_name_of_a_run", 4883, console)
    screen.update(ROW)
    screen.update({"step": 1240, "val/text_to_image/hit_rate@1": 0.412, "val/image_to_text/hit_rate@1": 0.439})
    with console.capture() as capture:
        console.print(screen.render())
    text = capture.get()
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    words = " ".join(text.split())
    for figure in ("loss 2.134", "pairs/s 1,932", "MFU 33.9%", "temperature 1/97.2", "left 3 h 12 min"):
        assert figure in words
    assert "text→image @1 41.2%" in words  # the last validation stays
    # Thirteen figures in cells of 26: as many beside each other as there is room for.
    assert len(lines) == 2 + math.ceil(13 / max(1, width // 26))
    assert lines[0].startswith("step 1,240/4,883")


def test_durations_read_as_people_say_them() -> None:
    assert [duration(seconds) for seconds in (12, 59.6, 4000, 0)] == ["12 s", "1 min 00 s", "1 h 06 min", "0 s"]


def _train_in_a_terminal(config: Path, *, columns: int, **env: str) -> str:
    """What a run writes to a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "iconoclip.cli", "train", str(config)],
        stderr=theirs,
        stdout=theirs,
        stdin=theirs,
        env={**os.environ, "TERM": "xterm-256color", **env},
    )
    os.close(theirs)
    parts = []
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux: the other end is closed
            break
        if not part:
            break
        parts.append(part)
    os.close(ours)
    assert process.wait() == 0, b"".join(parts).decode()
    return b"".join(parts).decode()


def test_a_terminal_gets_a_screen_in_place_and_messages_above_it(
    write_config: Callable[..., Path], tmp_path: Path
) -> None:
    config = write_config(
        samples=1600, validation={"path": str(tmp_path / "shards"), "every": 100}, checkpoint={"every": 500}
    )
    text = _train_in_a_terminal(config, columns=72)
    # Lines are erased one by one and written again; the terminal as a whole never is, nor is another screen taken.
    assert "\x1b[2J" not in text
    assert "\x1b[?1049h" not in text
    assert "\x1b[1A\x1b[2K" in text
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert "pairs/s" in plain
    assert re.search(r"step \d+/200 ", plain)
    words = " ".join(plain.split())  # a message is wrapped, too
    for message in ("preflight: forward and backward", "saved", "finished 200 steps"):
        assert re.search(rf"\d\d:\d\d:\d\d (\S+ )?{message}", words), message


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(write_config: Callable[..., Path]) -> None:
    text = _train_in_a_terminal(write_config(samples=16), columns=80, TERM="dumb")
    assert "\x1b[" not in text
    assert "step 2/2  epoch" in text


def test_slurm_says_when_the_job_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert wall_limit(LogConfig(), {"SLURM_JOB_END_TIME": "1900000000"}) == 1_900_000_000
    # Before version 23 the variable is not set; squeue knows.
    squeue = tmp_path / "squeue"
    squeue.write_text('#!/bin/sh\n[ "$2" = --job=17 ] && echo 1-02:00:30\n')
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    end = wall_limit(LogConfig(wall_hours=1), {"SLURM_JOB_ID": "17"})
    assert end == pytest.approx(time.time() + 93_630, abs=60)
    monkeypatch.setenv("PATH", "/nowhere")
    assert wall_limit(LogConfig(wall_hours=2), {"SLURM_JOB_ID": "17"}) == pytest.approx(time.time() + 7200, abs=60)
    assert wall_limit(LogConfig(), {}) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1-02:00:30", 93_630), ("05:00", 300), ("2:00:00", 7200), ("UNLIMITED", None), ("INVALID", None), ("", None)],
)
def test_time_left_is_read_as_squeue_writes_it(text: str, seconds: float | None) -> None:
    assert read_time_left(text) == seconds


def test_a_log_handler_is_given_back_its_stream() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(sys.stderr)
    logging.getLogger().addHandler(handler)
    try:
        before = handler.stream
        screen = Screen("run", 10, Console(file=stream, force_terminal=True, width=40))
        screen.start()
        screen.update(ROW | {"step": 5})
        screen.stop()
        assert handler.stream is before
    finally:
        logging.getLogger().removeHandler(handler)
