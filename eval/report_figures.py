"""Small drawings for the report, as inline SVG without colours of their own: the page's style sheet sets them."""

from collections.abc import Sequence

from iconoclip.pages import escape

_WIDTH, _HEIGHT, _PAD = 168, 18, 5
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


def confusion_matrix(counts: Sequence[Sequence[int]], truths: Sequence[str], guesses: Sequence[str]) -> str:
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
        recall = f"{100 * right / total:.1f}\u202f%" if total else "–"
        rows.append(
            f'<tr><th scope="row"><bdi>{escape(name)}</bdi></th>{"".join(cells)}'
            f'<td class="n sum">{total}</td><td class="n sum">{recall}</td></tr>'
        )
    return (
        '<div class="scroll"><table class="confusion"><thead><tr><th scope="col">is ↓ &nbsp; called →</th>'
        f'{head}<th scope="col" class="n">pictures</th><th scope="col" class="n">found</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
