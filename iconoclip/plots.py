"""Plain plots for notebooks: bars, intervals, a matrix; each function returns a :class:`Plot` that a cell shows.

Needs matplotlib (``pip install 'iconoclip[notebooks]'``). ``bars({"en": 12, "fr": 3}).savefig("languages.pdf")`` keeps
one for an article.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

from .errors import IconoclipError

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter
except ImportError:
    raise IconoclipError("matplotlib is not there; pip install 'iconoclip[notebooks]'") from None

COLOURS = ("#1f5fa8", "#c4621b", "#2a8f4d", "#8a4fa3", "#6b6b6b")  # told apart by colour-blind readers, and in print
_WIDTH_IN = 7.0
_ROW_IN = 0.3
_MARGIN_IN = 0.9
_DPI = 144
_TITLE_CHARS = 95
_LABEL_CHARS = 42
_MOST_NUMBERS = 20  # a matrix of more classes has no room for counts


class Plot(Figure):
    """A figure of matplotlib that shows itself in a notebook without pyplot's global state."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=_DPI)
        return buffer.getvalue(), {"width": round(self.get_figwidth() * _DPI / 2)}


@dataclass(frozen=True, slots=True)
class Estimate:
    """One figure with its 95 % interval; ``series`` is its colour's name in the legend, None where there is no score.

    Example: ``Estimate("Dutch", 0.42, 0.31, 0.55, "trained")``.
    """

    label: str
    value: float | None
    low: float | None
    high: float | None
    series: str = ""


def bars(counts: Mapping[str, float], *, title: str = "", unit: str = "pictures") -> Plot:
    """Horizontal bars in the order given, each with its number."""
    plot, axes = _empty(len(counts), title)
    drawn = axes.barh(range(len(counts)), list(counts.values()), color=COLOURS[0], height=0.65)
    axes.bar_label(drawn, labels=[f"{value:,g}" for value in counts.values()], padding=3, fontsize=8)
    axes.set_yticks(range(len(counts)), [_short(name) for name in counts])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel(unit)
    return plot


def intervals(
    estimates: Sequence[Estimate],
    *,
    title: str = "",
    unit: str = "",
    reference: float | None = None,
    reference_name: str = "chance",
    is_share: bool = True,
) -> Plot:
    """Dots with 95 % intervals, a row per label and a colour per series; ``reference`` is a dashed upright.

    Rows without a value say "no score". Shares between 0 and 1 are shown in per cent.
    """
    labels = list(dict.fromkeys(each.label for each in estimates))
    series = list(dict.fromkeys(each.series for each in estimates))
    plot, axes = _empty(max(len(labels) * (1 + 0.35 * (len(series) - 1)), 2), title)
    for each in estimates:
        number = series.index(each.series)
        place = labels.index(each.label) + 0.22 * (number - (len(series) - 1) / 2)
        colour = COLOURS[number % len(COLOURS)]
        if each.value is None:
            axes.annotate("no score", (0.01, place), xycoords=("axes fraction", "data"), fontsize=8, color=colour)
            continue
        if each.low is not None and each.high is not None:
            axes.plot([each.low, each.high], [place, place], color=colour, linewidth=2)
        axes.plot([each.value], [place], "o", color=colour, markersize=6)
    for number, name in enumerate(series):
        if name:
            axes.plot([], [], "o-", color=COLOURS[number % len(COLOURS)], label=name)
    if reference is not None:
        axes.axvline(reference, linestyle="--", color="#555555", linewidth=1, label=reference_name)
    axes.set_yticks(range(len(labels)), [_short(name) for name in labels])
    axes.set_ylim(max(len(labels), 1) - 0.5, -0.5)
    axes.set_xlabel(unit)
    axes.grid(axis="x", alpha=0.3)
    if is_share:
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    if any(series) or reference is not None:
        axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    return plot


def matrix(counts: Sequence[Sequence[int]], rows: Sequence[str], columns: Sequence[str], *, title: str = "") -> Plot:
    """Counts [R, C] of what pictures are (rows) and were called (columns); the shade is the share of the row."""
    plot, axes = _empty(max(len(rows), 4) * 1.25, title)
    shares = [[count / max(sum(row), 1) for count in row] for row in counts]
    if rows:
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    if max(len(rows), len(columns)) <= _MOST_NUMBERS:
        for y, row in enumerate(counts):
            for x, count in enumerate(row):
                colour = "white" if shares[y][x] > 0.55 else "black"
                axes.text(x, y, f"{count:,}", ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(len(columns)), [_short(name) for name in columns], rotation=40, ha="right")
    axes.set_yticks(range(len(rows)), [_short(name) for name in rows])
    axes.set_xlabel("called")
    axes.set_ylabel("is")
    return plot


def histogram(values: Sequence[float], *, title: str = "", unit: str = "", bins: int = 30) -> Plot:
    """How many values lie where."""
    plot, axes = _empty(6, title)
    axes.hist(values, bins=bins, color=COLOURS[0])
    axes.set_xlabel(unit)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return plot


def _empty(num_rows: float, title: str) -> tuple[Plot, Axes]:
    plot = Plot(figsize=(_WIDTH_IN, _MARGIN_IN + _ROW_IN * max(num_rows, 1)), layout="constrained")
    axes: Axes = plot.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    if title:
        plot.suptitle("\n".join(wrap(_plain(title), _TITLE_CHARS)), fontsize=10, x=0.01, ha="left")
    return plot, axes


def _short(name: str) -> str:
    """A label that leaves room for the plot: the middle of a long one goes, since ends tell names apart."""
    plain = " ".join(name.split())
    half = _LABEL_CHARS // 2
    return _plain(plain if len(plain) <= _LABEL_CHARS else f"{plain[:half]}…{plain[1 - half :]}")


def _plain(text: str) -> str:
    """Text as it stands: ``$`` would start a formula."""
    return text.replace("$", r"\$")
