"""Write figures the same way everywhere: one decimal for shares, a sign for differences, a thin space before units."""

import re

from iconoclip.pages import MINUS, THIN_SPACE

from .report_data import is_difference, is_share

NO_VALUE = "–"
_DIRECTIONS = {
    "text_to_image": "text → image",
    "image_to_text": "image → text",
    "image_to_image": "image → image",
}
_FIELDS = {"source": "collection", "novelty": "work"}
_VALUES = {"new_page": "new page of a known work", "new_work": "new work"}
_LANGUAGES = {
    "de": "German", "el": "Greek", "en": "English", "es": "Spanish", "fr": "French", "it": "Italian", "la": "Latin",
    "nl": "Dutch", "pl": "Polish", "pt": "Portuguese", "sv": "Swedish",
}  # fmt: skip


def show_value(metric: str, value: float | None) -> str:
    """``0.453`` -> ``45.3 %`` for a share, ``12.5`` for a rank, ``+3.1 points`` for a difference of shares."""
    if value is None:
        return NO_VALUE
    if is_difference(metric):
        return show_delta(metric, value)
    return f"{100 * value:.1f}{THIN_SPACE}%" if is_share(metric) else f"{value:,.1f}"


def show_delta(metric: str, delta: float | None) -> str:
    """Signed difference, in percentage points for shares: ``+7.2 points``, ``−0.5``."""
    if delta is None:
        return NO_VALUE
    return f"{_signed(metric, delta)}{THIN_SPACE}points" if is_share(metric) else _signed(metric, delta)


def show_interval(metric: str, low: float | None, high: float | None, *, delta: bool = False) -> str:
    """``38.1 – 52.6 %``; of a difference ``−1.2 to +8.9``."""
    if low is None or high is None:
        return NO_VALUE
    if delta or is_difference(metric):
        return f"{_signed(metric, low)} to {_signed(metric, high)}"
    if is_share(metric):
        return f"{100 * low:.1f}{THIN_SPACE}–{THIN_SPACE}{100 * high:.1f}{THIN_SPACE}%"
    return f"{low:,.1f}{THIN_SPACE}–{THIN_SPACE}{high:,.1f}"


def show_mdd(metric: str, mdd: float | None) -> str:
    """Smallest difference that this test set could show: ``± 6.1 points``."""
    if mdd is None:
        return NO_VALUE
    return f"{100 * mdd:.1f}{THIN_SPACE}points" if is_share(metric) else f"{mdd:,.1f}"


def show_count(count: int | None) -> str:
    """``1404`` -> ``1 404`` with a thin space."""
    return NO_VALUE if count is None else f"{count:,}".replace(",", THIN_SPACE)


def show_p(p: float | None) -> str:
    """``0.0123`` -> ``0.012``; below a thousandth ``< 0.001``."""
    if p is None:
        return NO_VALUE
    return f"<{THIN_SPACE}0.001" if p < 0.001 else f"{p:.3f}"


def metric_words(metric: str) -> str:
    """``text_to_image/hit_rate@1`` -> ``text → image, hit rate@1``."""
    direction, slash, name = metric.rpartition("/")
    words = re.sub(r"_([a-z]+)_minus_([a-z]+)$", rf", \1 {MINUS} \2", name).replace("_", " ")
    return f"{_DIRECTIONS.get(direction, direction.replace('_', ' '))}, {words}" if slash else words


def field_words(slice_: str) -> str:
    """``source=potter`` -> ``collection``."""
    field = slice_.partition("=")[0]
    return _FIELDS.get(field, field.replace("_", " "))


def slice_words(slice_: str) -> str:
    """``language=nl`` -> ``Dutch (nl)``; ``all`` stays."""
    field, equals, value = slice_.partition("=")
    if not equals:
        return slice_
    if field == "language" and value in _LANGUAGES:
        return f"{_LANGUAGES[value]} ({value})"
    return _VALUES.get(value, value)


def _signed(metric: str, value: float) -> str:
    shown = f"{100 * value if is_share(metric) else value:+.1f}"
    return "0.0" if float(shown) == 0 else shown.replace("-", MINUS)
