"""What a run tells: ``metrics.jsonl``, the screen of a terminal or the lines of a log, and wandb as a mirror."""

import json
import logging
import math
import os
import secrets
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from iconoclip.errors import IconoclipError
from iconoclip.files import write_text

from .config import LogConfig
from .processes import Processes, quiet_wandb
from .screen import Screen, duration, plain_line

log = logging.getLogger(__name__)

METRICS_NAME, KEYS_NAME = "metrics.jsonl", "keys.jsonl"

_RUN_ID_FILE = "wandb-id.txt"


class Journal:
    """Rank 0 writes; in the others every method does nothing. Use as a context manager."""

    def __init__(self, out: Path, processes: Processes, config: LogConfig, *, total_steps: int) -> None:
        self._out, self._processes, self._config = out, processes, config
        self._total_steps = total_steps
        self._is_mirrored, self._num_reports = False, 0
        self._speaks = processes.is_main
        # A terminal that cannot move its cursor (TERM=dumb) gets lines too.
        draws = self._speaks and sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._screen = Screen(str(out), total_steps) if draws else None

    def __enter__(self) -> Self:
        if self._screen:
            self._screen.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._screen:
            self._screen.stop()
        for tracker in self._processes.accelerator.trackers if self._is_mirrored else []:
            tracker.finish()

    def open_wandb(self, run_name: str, run_config: Mapping[str, object]) -> None:
        """Start the mirror; a continued run goes on in the same wandb run.

        Rows carry our step. Those that a run repeats after it was killed are equal to what is there already, and wandb
        leaves them out.

        Raises:
            IconoclipError: wandb cannot start; says why.
        """
        if self._config.wandb == "off":
            return
        quiet_wandb()
        path = self._out / _RUN_ID_FILE
        if self._speaks and not path.is_file():
            write_text(path, secrets.token_hex(4))
        mode = os.environ.get("WANDB_MODE") or self._config.wandb
        options = {"mode": mode, "dir": str(self._out), "name": run_name, "resume": "allow"}
        if self._speaks:
            options["id"] = path.read_text(encoding="utf-8").strip()
            # wandb names its folders by the second, and a second start within one would write over the first.
            while any((self._out / "wandb").glob(f"*run-{time.strftime('%Y%m%d_%H%M%S')}-*")):
                time.sleep(0.05)
        try:
            self._processes.accelerator.init_trackers(
                self._config.project, config=dict(run_config), init_kwargs={"wandb": options}
            )
        except (_wandb_error(), OSError, ValueError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise IconoclipError(f"wandb: {reason}; try WANDB_MODE=offline, or log.wandb: off") from None
        self._is_mirrored = True

    def cut_back(self, step: int, *, will_look: bool = False) -> None:
        """Forget lines of steps after ``step``, and a half-written last line: the run goes on from there.

        ``will_look``: what was measured after ``step`` is forgotten, too, since it will be measured again.
        """
        for name in (METRICS_NAME, KEYS_NAME):
            path = self._out / name
            if self._speaks and path.is_file():
                lines = path.read_text(encoding="utf-8").splitlines()
                rows = [line for line in lines if _step_of(line) <= step]
                if will_look and name == METRICS_NAME:
                    rows = [line for line in rows if _step_of(line) < step or "loss" in json.loads(line)]
                write_text(path, "".join(f"{line}\n" for line in rows))

    def report(self, row: Mapping[str, float | int | str | None]) -> None:
        """Write a row and show it: on the screen, or as a line in the log."""
        self.write(row)
        if self._speaks and not self._screen:
            log.info("%s", plain_line(row, self._total_steps))
        self._num_reports += 1
        left, limit = row.get("seconds_left"), row.get("wall_seconds_left")
        # Once, and not from the first row, in which something was still compiled or read from a cold disk.
        if self._num_reports == 2 and left is not None and limit is not None and float(left) > float(limit):
            self.say(
                f"the run wants {duration(float(left))} more, the job ends in {duration(float(limit))}: it will be "
                "stopped with a checkpoint, and goes on when it is started again"
            )

    def write(self, row: Mapping[str, float | int | str | None]) -> None:
        """Append one line to metrics.jsonl; a figure that does not exist is null."""
        if not self._speaks:
            return
        clean = {key: (None if isinstance(v, float) and not math.isfinite(v) else v) for key, v in row.items()}
        self._append(METRICS_NAME, clean)
        if self._screen:
            self._screen.update(clean)
        if self._is_mirrored:
            self._processes.accelerator.log(dict(clean), step=int(row["step"] or 0))

    def write_keys(self, step: int, keys: Sequence[str]) -> None:
        """Append which samples this process and the others had in a global batch; called by all, if `log.keys`."""
        if not self._config.keys:
            return
        parts = self._processes.gather(list(keys))
        if self._speaks:
            self._append(KEYS_NAME, {"step": step, "keys": [key for part in parts for key in part]})

    def say(self, text: str) -> None:
        """Say something that stays."""
        if self._speaks:
            log.info("%s", text)

    def _append(self, name: str, row: Mapping[str, object]) -> None:
        path = self._out / name
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise IconoclipError(f"{path}: cannot be written ({error.strerror}); make room, and start again") from None


class Stopwatch:
    """Speed, share of the time spent waiting for data, and time left, over the steps since the last reading.

    Waiting is the longest of all processes, since the others wait for it.
    """

    def __init__(self, *, batch_size: int) -> None:
        self._batch_size = batch_size
        self._started = self._since = time.monotonic()
        self._wait_s = self._paused_s = 0.0
        self._steps = self._all_steps = 0

    @property
    def seconds(self) -> float:
        """Since this process began to train."""
        return time.monotonic() - self._started

    @property
    def wait_s(self) -> float:
        """Spent waiting for data since the last reading."""
        return self._wait_s

    def waited(self, seconds: float) -> None:
        """Count one step and the time that its data took to come."""
        self._wait_s += seconds
        self._steps += 1
        self._all_steps += 1

    @contextmanager
    def paused(self, spent: dict[str, float], kind: str) -> Iterator[None]:
        """Time in here is no training: it is added to ``spent[kind]`` and counts for the time left only."""
        started = time.monotonic()
        try:
            yield
        finally:
            seconds = time.monotonic() - started
            self._since += seconds
            self._paused_s += seconds
            spent[kind] += seconds

    def read(self, steps_left: int, *, wait_s: float | None = None) -> dict[str, float]:
        """Return pairs_per_s, data_wait_share and seconds_left, and begin a new stretch."""
        now = time.monotonic()
        elapsed = max(now - self._since, 1e-9)
        step_s = elapsed / max(self._steps, 1) + self._paused_s / max(self._all_steps, 1)
        figures = {
            "pairs_per_s": round(self._steps * self._batch_size / elapsed, 2),
            "data_wait_share": round(min((self._wait_s if wait_s is None else wait_s) / elapsed, 1.0), 4),
            "seconds_left": round(steps_left * step_s, 1),
        }
        self._since, self._wait_s, self._steps = now, 0.0, 0
        return figures


def _wandb_error() -> type[Exception]:
    from wandb.errors import Error

    return Error


def _step_of(line: str) -> float:
    """Step of a row; infinite for one that was being written when the run died."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf
