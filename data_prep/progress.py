"""Say how far long work has come: one line that renews itself on a terminal, plain lines elsewhere, JSON in a file."""

import json
import logging
import sys
import time
from pathlib import Path

log = logging.getLogger(__name__)

_TERMINAL_S = 0.2
_PLAIN_S = 10.0


class Progress:
    """``with Progress("pictures", total=2111, unit="img", log_path=...) as progress: progress.add(64)``.

    ``total=None`` is work of which nobody knows the end.
    """

    def __init__(self, what: str, *, total: int | None, unit: str, log_path: Path | None = None) -> None:
        self.what, self.total, self.unit, self.log_path = what, total, unit, log_path
        self.done = 0
        self._fresh = 0
        self._started = self._said = time.monotonic()
        self._is_terminal = sys.stderr.isatty()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_terminal and self._is_any:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
        if self._is_any:
            log.info("%s", self.line())

    def add(self, count: int, *, from_state: bool = False, **facts: object) -> None:
        """Count ``count`` more; ``from_state`` is work that an earlier run did, which has no rate."""
        self.done += count
        self._fresh += 0 if from_state else count
        if self.log_path is not None:
            row = {"stage": self.what, "done": self.done, "total": self.total, "from_state": from_state, **facts}
            with self.log_path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        now = time.monotonic()
        if (self.total is None or self.done < self.total) and now - self._said >= (
            _TERMINAL_S if self._is_terminal else _PLAIN_S
        ):
            self._said = now
            if self._is_terminal:
                sys.stderr.write(f"\r\x1b[K{self.line()}")
                sys.stderr.flush()
            else:
                log.info("%s", self.line())

    @property
    def _is_any(self) -> bool:
        return bool(self.done if self.total is None else self.total)

    def line(self) -> str:
        """``pictures 512/2,111, 143 img/s, 11 s left``."""
        seconds = max(1e-6, time.monotonic() - self._started)
        rate = self._fresh / seconds
        text = f"{self.what} {self.done:,}" + ("" if self.total is None else f"/{self.total:,}")
        if rate:
            text += f", {rate:,.0f} {self.unit}/s" if rate >= 10 else f", {rate:.1f} {self.unit}/s"
            if self.total is not None and self.done < self.total:
                text += f", {(self.total - self.done) / rate:,.0f} s left"
        return text
