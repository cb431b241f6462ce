"""What a run tells: ``metrics.jsonl``, the line on the terminal or in the log, and wandb as a mirror."""

import json
import logging
import math
import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from iconoclip.files import write_text

from .config import LogConfig
from .processes import Processes, quiet_wandb

log = logging.getLogger(__name__)

_RUN_ID_FILE = "wandb-id.txt"


class Journal:
    """Rank 0 writes; in the others every method does nothing. Use as a context manager."""

    def __init__(self, out: Path, processes: Processes, config: LogConfig, *, total_steps: int) -> None:
        self._out, self._processes, self._config = out, processes, config
        self._total_steps = total_steps
        self._speaks = processes.is_main
        self._live = _LiveLine(total_steps) if self._speaks and sys.stderr.isatty() else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()
        for tracker in self._processes.accelerator.trackers if self._config.wandb != "off" else []:
            tracker.finish()

    def open_wandb(self, run_name: str, run_config: Mapping[str, object]) -> None:
        """Start the mirror; a continued run goes on in the same wandb run."""
        if self._config.wandb == "off":
            return
        quiet_wandb()
        path = self._out / _RUN_ID_FILE
        if self._speaks and not path.is_file():
            write_text(path, secrets.token_hex(4))
        options = {"mode": self._config.wandb, "dir": str(self._out), "name": run_name, "resume": "allow"}
        if self._speaks:
            options["id"] = path.read_text(encoding="utf-8").strip()
        self._processes.accelerator.init_trackers(
            self._config.project, config=dict(run_config), init_kwargs={"wandb": options}
        )

    def cut_back(self, step: int) -> None:
        """Forget lines of steps after ``step``, and a half-written last line: the run goes on from there."""
        path = self._out / "metrics.jsonl"
        if not self._speaks or not path.is_file():
            return
        kept = []
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line)
            except (ValueError, KeyError, TypeError):
                continue  # the line that was being written when the run died
        write_text(path, "".join(f"{line}\n" for line in kept))

    def write(self, row: Mapping[str, float | int | str | None]) -> None:
        """Append one line to metrics.jsonl; a figure that does not exist is null."""
        if not self._speaks:
            return
        clean = {key: (None if isinstance(v, float) and not math.isfinite(v) else v) for key, v in row.items()}
        with (self._out / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(clean) + "\n")
        if self._config.wandb != "off":
            self._processes.accelerator.log(dict(clean), step=int(row["step"] or 0))

    def show(self, text: str, *, step: int) -> None:
        """Show where the run stands: the live line on a terminal, a line in a log."""
        if self._live:
            self._live.update(text, step)
        elif self._speaks:
            log.info("step %s/%s  %s", f"{step:,}", f"{self._total_steps:,}", text)

    def say(self, text: str) -> None:
        """Say something that stays."""
        if self._live:
            self._live.say(text)
        elif self._speaks:
            log.info("%s", text)


class Stopwatch:
    """Speed, share of the time spent waiting for data, and time left, over the steps since the last reading."""

    def __init__(self, *, batch_size: int) -> None:
        self._batch_size = batch_size
        self._started = self._since = time.monotonic()
        self._wait_s = 0.0
        self._steps = 0

    @property
    def seconds(self) -> float:
        """Since this process began to train."""
        return time.monotonic() - self._started

    def waited(self, seconds: float) -> None:
        """Count one step and the time that its data took to come."""
        self._wait_s += seconds
        self._steps += 1

    def read(self, steps_left: int) -> dict[str, float]:
        """Return pairs_per_s, data_wait_share and seconds_left, and begin a new stretch."""
        now = time.monotonic()
        elapsed = max(now - self._since, 1e-9)
        figures = {
            "pairs_per_s": round(self._steps * self._batch_size / elapsed, 2),
            "data_wait_share": round(min(self._wait_s / elapsed, 1.0), 4),
            "seconds_left": round(steps_left * elapsed / max(self._steps, 1), 1),
        }
        self._since, self._wait_s, self._steps = now, 0.0, 0
        return figures

    def pause(self) -> None:
        """Begin a new stretch without reading: what came before was no training (a validation, a save)."""
        self._since, self._wait_s, self._steps = time.monotonic(), 0.0, 0


class _LiveLine:
    """One line at the bottom of a terminal."""

    def __init__(self, total_steps: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self._progress = Progress(
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
            console=Console(stderr=True),
            transient=True,
            refresh_per_second=2,
        )
        self._task = self._progress.add_task("", total=total_steps, text="first batch …")

    def start(self) -> None:
        self._progress.start()

    def stop(self) -> None:
        self._progress.stop()

    def update(self, text: str, step: int) -> None:
        self._progress.update(self._task, completed=step, text=text)

    def say(self, text: str) -> None:
        self._progress.console.print(f"{time.strftime('%H:%M:%S')} {text}", highlight=False, markup=False)
