"""Small drawings for the report, as inline SVG without colours of their own: the page's style sheet sets them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from iconoclip.pages import escape

from .report_words import NO_VALUE, Words

_WIDTH, _HEIGHT, _PAD = 168, 18, 5
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 28, 44
_BOUNDS = (0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0)


def upper_bound(values: Sequence[float | None]) -> float:
    """Smallest round bound (2 % to 100 %) above all values; what the axis of a table ends at."""
    largest = max((abs(value) for value in values if value is not None), default=1.0)
    return next((bound for bound in _BOUNDS if largest <= bound), largest)


def whisker(
    value: float | None,
    low: float | None,
    high: float | None,
    *,
    axis: tuple[float, float],
    marks: Sequence[tuple[float, str]] = (),
    label: str = "",
) -> str:
    """Dot with its interval on an axis; ``marks`` are (value, css class) of thin uprights. Empty without a value."""
    if value is None:
        return ""
    parts = [f'<line class="axis" x1="{_PAD}" x2="{_WIDTH - _PAD}" y1="9" y2="9"/>']
    for at, css in marks:
        x = _place(at, axis)
        parts.append(f'<line class="{escape(css)}" x1="{x}" x2="{x}" y1="2" y2="16"/>')
    if low is not None and high is not None:
        left, right = _place(low, axis), _place(high, axis)
        parts.append(f'<line class="span" x1="{left}" x2="{right}" y1="9" y2="9"/>')
        parts += [f'<line class="cap" x1="{x}" x2="{x}" y1="6" y2="12"/>' for x in (left, right)]
    parts.append(f'<circle class="dot" cx="{_place(value, axis)}" cy="9" r="3.1"/>')
    return (
        f'<svg class="whisker" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def _place(value: float, axis: tuple[float, float]) -> str:
    """Where a value lies on the axis in units of the drawing; values beyond it stick to its ends."""
    start, end = axis
    share = (min(max(value, start), end) - start) / (end - start)
    return f"{_PAD + share * (_WIDTH - 2 * _PAD):.1f}"


def confusion_matrix(
    words: Words, counts: Sequence[Sequence[int]], truths: Sequence[str], guesses: Sequence[str]
) -> str:
    """Table of counts, rows are what a picture is, columns what the model said; shading is the share of the row."""
    head = "".join(f'<th scope="col" class="n"><bdi>{escape(name)}</bdi></th>' for name in guesses)
    rows = []
    for name, row in zip(truths, counts, strict=True):
        total = sum(row)
        cells = []
        for guess, count in zip(guesses, row, strict=True):
            share = count / total if total else 0.0
            css = "n right" if guess == name else "n"
            cells.append(f'<td class="{css}" style="--share:{share:.3f}">{count if count else "·"}</td>')
        right = row[guesses.index(name)] if name in guesses else 0
        recall = words.percent(right / total, 1) if total else NO_VALUE
        rows.append(
            f'<tr><th scope="row"><bdi>{escape(name)}</bdi></th>{"".join(cells)}'
            f'<td class="n sum">{total}</td><td class="n sum">{recall}</td></tr>'
        )
    return (
        f'<div class="scroll"><table class="confusion"><thead><tr><th scope="col">{words.html("confusion.corner")}</th>'
        f'{head}<th scope="col" class="n">{words.html("head.pictures")}</th>'
        f'<th scope="col" class="n">{words.html("head.found")}</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


@dataclass
class Plot:
    """A drawing with two axes as inline SVG: points with their intervals and lines, in the units of the axes.

    ``x`` and ``y`` are (start, end); ``tick`` writes a value beside an axis. What lies beyond one sticks to its end.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    x_label: str
    y_label: str
    tick: Callable[[float], str]
    label: str
    width: int = 320
    height: int = 270
    _parts: list[str] = field(default_factory=list)

    def line(self, points: Sequence[tuple[float, float]], *, css: str) -> None:
        """A line through points; ``css`` is ``span`` (a curve), ``chance`` (what would be ideal or nothing) or so."""
        path = " ".join(f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in points)
        self._parts.append(f'<polyline class="{escape(css)}" fill="none" points="{path}"/>')

    def point(
        self,
        x: float,
        y: float,
        *,
        x_ends: tuple[float, float] | None = None,
        y_ends: tuple[float, float] | None = None,
        name: str = "",
        css: str = "dot",
    ) -> None:
        """A dot with intervals along the axes, and its name beside it."""
        at_x, at_y = self._x(x), self._y(y)
        if x_ends:
            left, right = (self._x(end) for end in x_ends)
            self._parts.append(f'<line class="cap" x1="{left:.1f}" x2="{right:.1f}" y1="{at_y:.1f}" y2="{at_y:.1f}"/>')
        if y_ends:
            low, high = (self._y(end) for end in y_ends)
            self._parts.append(f'<line class="cap" x1="{at_x:.1f}" x2="{at_x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>')
        self._parts.append(f'<circle class="{escape(css)}" cx="{at_x:.1f}" cy="{at_y:.1f}" r="3.4"/>')
        if name:
            is_right = at_x > _LEFT + 0.62 * (self.width - _LEFT - _RIGHT)
            anchor, shift = ("end", -7) if is_right else ("start", 7)
            place = f'x="{at_x + shift:.1f}" y="{at_y - 6:.1f}" text-anchor="{anchor}"'
            self._parts.append(f'<text class="name" {place}>{escape(name)}</text>')

    def svg(self) -> str:
        """The drawing."""
        left, right, top, bottom = _LEFT, self.width - _RIGHT, _TOP, self.height - _BOTTOM
        frame = f'<polyline class="axis" fill="none" points="{left},{top} {left},{bottom} {right},{bottom}"/>'
        ticks = []
        for value in _ticks(*self.x):
            at = self._x(value)
            ticks.append(f'<line class="axis" x1="{at:.1f}" x2="{at:.1f}" y1="{bottom}" y2="{bottom + 4}"/>')
            ticks.append(f'<text x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{escape(self.tick(value))}</text>')
        for value in _ticks(*self.y):
            at = self._y(value)
            ticks.append(f'<line class="axis" x1="{left - 4}" x2="{left}" y1="{at:.1f}" y2="{at:.1f}"/>')
            ticks.append(f'<text x="{left - 7}" y="{at + 3.5:.1f}" text-anchor="end">{escape(self.tick(value))}</text>')
        middle = (left + right) / 2
        names = (
            f'<text x="{middle:.1f}" y="{self.height - 6}" text-anchor="middle">{escape(self.x_label)}</text>'
            f'<text x="{left - 40}" y="{top - 12}" text-anchor="start">{escape(self.y_label)}</text>'
        )
        return (
            f'<svg class="plot whisker" viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
            f'height="{self.height}" role="img" aria-label="{escape(self.label)}">'
            f"{frame}{''.join(ticks)}{names}{''.join(self._parts)}</svg>"
        )

    def _x(self, value: float) -> float:
        return _LEFT + self._share(value, self.x) * (self.width - _LEFT - _RIGHT)

    def _y(self, value: float) -> float:
        return self.height - _BOTTOM - self._share(value, self.y) * (self.height - _TOP - _BOTTOM)

    @staticmethod
    def _share(value: float, axis: tuple[float, float]) -> float:
        start, end = axis
        return (min(max(value, start), end) - start) / (end - start)


def _ticks(start: float, end: float) -> list[float]:
    """Three to six round values on an axis."""
    size = (end - start) / 5
    power = 10.0 ** math.floor(math.log10(size))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= size * 0.999)
    first = math.ceil(start / step - 1e-9)
    return [number * step for number in range(first, math.floor(end / step + 1e-9) + 1)]
