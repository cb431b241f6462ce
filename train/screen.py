"""What a run looks like: a live screen on a terminal, a plain line in a log, both made of the rows of metrics.jsonl.

``Screen`` draws in place below the log lines (rich's live display, two refreshes a second), as wide as the terminal is.
``plain_line(row)`` is the same in one line.
"""

import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

Row = Mapping[str, Any]

_REFRESH_PER_S = 2


class Screen:
    """Figures of a run at the bottom of a terminal; log lines scroll above them."""

    def __init__(self, title: str, total_steps: int, console: Console | None = None) -> None:
        self._title, self._total_steps = title, total_steps
        self._console = console or Console(stderr=True)
        self._row: dict[str, Any] = {"step": 0}
        self._cell_width = 0
        self._live = Live(
            get_renderable=self.render,
            console=self._console,
            refresh_per_second=_REFRESH_PER_S,
            transient=True,
            vertical_overflow="crop",
        )
        self._handlers: list[tuple[logging.StreamHandler, Any]] = []

    def start(self) -> None:
        """Take the bottom of the terminal; what is logged goes above."""
        before = sys.stderr
        self._live.start()
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is before:
                self._handlers.append((handler, handler.setStream(sys.stderr)))

    def stop(self) -> None:
        """Give it back, empty."""
        for handler, stream in self._handlers:
            handler.setStream(stream)
        self._handlers.clear()
        self._live.stop()

    def update(self, row: Row) -> None:
        """Take over the figures of a row; others stay as they were."""
        self._row |= row

    def render(self) -> Group:
        """One line for where the run stands, a bar, and as many figures beside each other as there is room for."""
        step = int(self._row["step"])
        place = f"step {step:,}/{self._total_steps:,}"
        if "epoch" in self._row:
            place += f"  epoch {self._row['epoch']:.2f}"
        place += f"  {self._title}"
        cells = [Text.assemble((f"{name} ", "dim"), text) for name, text in _figures(self._row)]
        return Group(
            Text(place, style="bold", no_wrap=True, overflow="ellipsis"),
            self._bar(step),
            *(self._lines(cells) if cells else [Text("first batch …", style="dim")]),
        )

    def _bar(self, step: int) -> Text:
        width = self._console.width
        done = width * step // max(self._total_steps, 1)
        return Text.assemble(("━" * done, "green"), ("━" * (width - done), "dim"))

    def _lines(self, cells: list[Text]) -> list[Text]:
        """Cells of one width, which grows and never shrinks, so that no figure moves when another changes."""
        self._cell_width = max(self._cell_width, *(len(cell) + 2 for cell in cells))
        per_line = max(1, self._console.width // self._cell_width)
        lines = []
        for start in range(0, len(cells), per_line):
            line = Text(no_wrap=True, overflow="ellipsis")
            for cell in cells[start : start + per_line]:
                line.append_text(cell)
                line.pad_right(self._cell_width - len(cell))
            line.rstrip()
            lines.append(line)
        return lines


def plain_line(row: Row, total_steps: int) -> str:
    """All figures of a row in one line."""
    parts = [f"step {row['step']:,}/{total_steps:,}"]
    if "epoch" in row:
        parts.append(f"epoch {row['epoch']:.2f}")
    return "  ".join([*parts, *(f"{name} {text}" for name, text in _figures(row))])


def duration(seconds: float) -> str:
    """Example: 4,000 -> ``1 h 06 min``; 59.6 -> ``1 min 00 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _share(value: float) -> str:
    return f"{value:.1%}"


_FIGURES: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("loss", "loss", "{:.3f}".format),
    ("pairs_per_s", "pairs/s", "{:,.0f}".format),
    ("mfu", "MFU", _share),
    ("hfu", "HFU", _share),
    ("data_wait_share", "data wait", "{:.0%}".format),
    ("lr", "lr", "{:.2e}".format),
    ("logit_scale", "temperature", lambda scale: f"1/{scale:.1f}"),
    ("grad_norm", "gradient", "{:.2f}".format),
    ("val/text_to_image/hit_rate@1", "text→image @1", _share),
    ("val/image_to_text/hit_rate@1", "image→text @1", _share),
    ("seconds_left", "left", duration),
    ("wall_seconds_left", "wall limit in", duration),
    ("kwh", "energy", lambda kwh: f"{kwh:.3g} kWh"),
    ("num_corrupt", "replaced", "{:,}".format),
)


def _figures(row: Row) -> list[tuple[str, str]]:
    """Name and text of each figure that the row has; what does not exist, and none replaced, is left out."""
    found = []
    for key, name, write in _FIGURES:
        value = row.get(key)
        if value is None or (key == "num_corrupt" and not value):
            continue
        found.append((name, write(value)))
    return found
