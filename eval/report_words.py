"""The words and figures of a report in one language: texts from ``report_texts.yaml``, numbers as it writes them.

``words = open_words("fr")``; ``words("losses.head", model="b")`` is a text, ``words.html(...)`` the same made safe for
a page, ``words.value("accuracy@1", 0.453)`` is ``45,3 %``. No other module of the report holds a text.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from iconoclip.dates import ordinal
from iconoclip.errors import EvaluationError
from iconoclip.pages import MINUS, THIN_SPACE, escape

from .report_data import is_difference, is_share

Language = Literal["en", "fr"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
CATALOGUE = Path(__file__).with_name("report_texts.yaml")

NO_VALUE = "–"
_NO_BREAK = "\u00a0"
_PLACE = re.compile(r"\{(\w+)\}")
_MARKS = {"mark": "<b>{}</b>", "mildly": "<em>{}</em>"}
_MARKED = re.compile(r"\*\*(?P<mark>.+?)\*\*|\*(?P<mildly>.+?)\*")


class Words:
    """Texts and numbers of one language; ``catalogue`` as :func:`read_catalogue` gives it."""

    def __init__(self, language: Language, catalogue: Mapping[str, Any]) -> None:
        self.language: Language = language
        self._texts: Mapping[str, Mapping[str, str]] = catalogue["texts"]
        self._counts: Mapping[str, Mapping[str, Mapping[str, str]]] = catalogue["counts"]
        self._found: Sequence[tuple[re.Pattern[str], str]] = [
            (_pattern(entry["en"]), entry[language]) for entry in catalogue["found"]
        ]

    # ---- texts ----

    def __call__(self, key: str, /, **values: object) -> str:
        """The text of a key with its places filled; plain text."""
        return _PLACE.sub(lambda match: str(values[match[1]]), self._text(key))

    def html(self, key: str, /, **values: object) -> str:
        """The text of a key, safe in a page: ``**strong**`` and ``*stressed*`` become tags, values are isolated."""
        text = _MARKED.sub(lambda m: _MARKS[str(m.lastgroup)].format(m[str(m.lastgroup)]), escape(self._text(key)))
        return _PLACE.sub(lambda match: _isolated(values[match[1]]), text)

    def has(self, key: str) -> bool:
        """Whether there is a text of that key."""
        return key in self._texts

    def counted(self, key: str, count: int) -> str:
        """``1 model``, ``3 models``: nought is singular in French and plural in English."""
        forms = self._counts[key][self.language]
        is_one = count == 1 or (self.language == "fr" and count == 0)
        return _spaced(forms["one" if is_one else "other"], self.language).replace("{count}", self.count(count))

    def found(self, text: str) -> str:
        """An English sentence that stands in the results, in this language if the catalogue has it; else as it is."""
        if self.language != "en":
            for pattern, there in self._found:
                if match := pattern.fullmatch(text.strip()):
                    filled = _PLACE.sub(lambda place, m=match: m[place[1]], there)
                    return _spaced(filled, self.language)
        return text

    def found_html(self, text: str) -> str:
        """The same for a page; what stays English says so to readers of the page's source and to screen readers."""
        there = self.found(text)
        is_foreign = self.language != "en" and there == text and bool(re.search(r"[a-z]{3}", text))
        return f'<bdi lang="en">{escape(there)}</bdi>' if is_foreign else f"<bdi>{escape(there)}</bdi>"

    def listed(self, names: Sequence[str]) -> str:
        """``a, b and c``; empty for none."""
        if len(names) < 2:
            return "".join(names)
        return self("list.and", first=", ".join(names[:-1]), last=names[-1])

    def missing_or(self, key: str, other: str) -> str:
        """The text of a key, or ``other`` where the catalogue has none (a name of the results)."""
        return self._text(key) if key in self._texts else other

    def _text(self, key: str) -> str:
        return _spaced(self._texts[key][self.language], self.language)

    # ---- numbers ----

    def number(self, value: float, digits: int = 1, *, signed: bool = False) -> str:
        """``1,234.5`` in English, ``1 234,5`` in French; with a true minus."""
        shown = f"{value:+,.{digits}f}" if signed else f"{value:,.{digits}f}"
        if not any(digit in shown for digit in "123456789"):
            shown = shown.lstrip("+-")
        if self.language == "fr":
            shown = shown.translate({ord(","): THIN_SPACE, ord("."): ","})
        return shown.replace("-", MINUS)

    def percent(self, share: float, digits: int = 0) -> str:
        """``0.95`` -> ``95 %``."""
        return f"{self.number(100 * share, digits)}{THIN_SPACE}%"

    def value(self, metric: str, value: float | None) -> str:
        """``0.453`` -> ``45.3 %`` for a share, ``12.5`` for a rank, ``+3.1 points`` for a difference of shares."""
        if value is None:
            return NO_VALUE
        if is_difference(metric):
            return self.delta(metric, value)
        return self.percent(value, 1) if is_share(metric) else self.number(value)

    def delta(self, metric: str, delta: float | None) -> str:
        """Signed difference, in percentage points for shares: ``+7.2 points``, ``−0.5``."""
        if delta is None:
            return NO_VALUE
        return self._points(self._signed(metric, delta)) if is_share(metric) else self._signed(metric, delta)

    def interval(self, metric: str, low: float | None, high: float | None, *, delta: bool = False) -> str:
        """``38.1 – 52.6 %``; of a difference ``−1.2 to +8.9``."""
        if low is None or high is None:
            return NO_VALUE
        if delta or is_difference(metric):
            return self("interval.delta", low=self._signed(metric, low), high=self._signed(metric, high))
        dash = f"{THIN_SPACE}–{THIN_SPACE}"
        if is_share(metric):
            return f"{self.number(100 * low)}{dash}{self.percent(high, 1)}"
        return f"{self.number(low)}{dash}{self.number(high)}"

    def mdd(self, metric: str, mdd: float | None) -> str:
        """Smallest difference that this test set could show: ``6.1 points``."""
        if mdd is None:
            return NO_VALUE
        return self._points(self.number(100 * mdd)) if is_share(metric) else self.number(mdd)

    def count(self, count: int | None) -> str:
        """``1404`` -> ``1 404`` with a thin space."""
        return NO_VALUE if count is None else f"{count:,}".replace(",", THIN_SPACE)

    def p(self, p: float | None) -> str:
        """``0.0123`` -> ``0.012``; below a thousandth ``< 0.001``."""
        if p is None:
            return NO_VALUE
        return f"<{THIN_SPACE}{self.number(0.001, 3)}" if p < 0.001 else self.number(p, 3)

    def _signed(self, metric: str, value: float) -> str:
        return self.number(100 * value if is_share(metric) else value, signed=True)

    def _points(self, shown: str) -> str:
        return f"{shown}{THIN_SPACE}{self('unit.points')}"

    # ---- names ----

    def metric(self, metric: str) -> str:
        """``text_to_image/hit_rate@1`` -> ``text → image, hit rate@1``."""
        direction, slash, name = metric.rpartition("/")
        difference = re.search(r"_([a-z]+)_minus_([a-z]+)$", name)
        if difference:
            name = name[: difference.start()]
        stem, at, k = name.partition("@")
        words = self.missing_or(f"metric.{stem}", re.sub(r"_", " ", stem)) + at + k
        if level := re.fullmatch(r"(.+)_level_(\w+)", stem):
            words = f"{self.missing_or(f'metric.{level[1]}', level[1])}, {self('metric.level', level=level[2])}"
        if difference:
            words += f", {difference[1]} {MINUS} {difference[2]}"
        return f"{self.missing_or(f'direction.{direction}', direction.replace('_', ' '))}, {words}" if slash else words

    def about(self, metric: str) -> str:
        """One sentence on a measure for readers who do not know it; empty where the catalogue has none."""
        if is_difference(metric):
            return ""
        stem, level, _ = metric.rpartition("/")[2].partition("@")[0].partition("_level_")
        of_any = self.missing_or(f"about.{stem}", "")
        return self.missing_or(f"about.{stem}_level", of_any) if level else of_any

    def task(self, task: str) -> str:
        """``zero_shot_8_en`` -> ``zero-shot, 8 classes, English``; names unknown to the catalogue as they are."""
        parts = task.split("_")
        known = [end for end in range(len(parts), 0, -1) if self.has(f"task_name.{'_'.join(parts[:end])}")]
        if not known:
            return task.replace("_", " ")
        shown = [self(f"task_name.{'_'.join(parts[: known[0]])}")]
        rest = "_".join(parts[known[0] :])
        return ", ".join([*shown, *([self._task_end(rest)] if rest else [])])

    def _task_end(self, rest: str) -> str:
        """What a task's name says behind its kind: number of classes, language, part of the data."""
        first, _, more = rest.partition("_")
        if self.has(f"task_part.{rest}"):
            return self(f"task_part.{rest}")
        shown = rest.replace("_", " ")
        if first.isdigit():
            shown = ", ".join([self.counted("classes", int(first)), *([self._task_end(more)] if more else [])])
        return self(f"language.{rest}") if self.has(f"language.{rest}") else shown

    def question(self, benchmark: str, task: str) -> str:
        """``richelieu · zero-shot, 8 classes, English``: the benchmark by the name that the configuration gave it."""
        return f"{benchmark.replace('_', ' ')} · {self.task(task)}"

    def field(self, slice_: str) -> str:
        """``source=potter`` -> ``collection``."""
        field = slice_.partition("=")[0]
        return self.missing_or(f"field.{field}", field.replace("_", " "))

    def slice(self, slice_: str) -> str:
        """``language=nl`` -> ``Dutch (nl)``; ``all`` in words."""
        field, equals, value = slice_.partition("=")
        if not equals:
            return self.missing_or(f"slice.{slice_}", slice_)
        if field == "language" and self.has(f"language.{value}"):
            return f"{self(f'language.{value}')} ({value})"
        if field == "century":
            return self._century(value)
        return self.missing_or(f"slice.{value}", value)

    def _century(self, value: str) -> str:
        """``5 BC`` -> ``5th century BC``, ``Ve siècle av. J.-C.``."""
        number, _, era = value.partition(" ")
        if not number.isdigit():
            return value
        shown = _roman(int(number)) if self.language == "fr" else ordinal(int(number))
        return self("century.before" if era else "century.after", ordinal=shown)

    def sliced(self, slice_: str) -> str:
        """``language=nl`` -> ``language: Dutch (nl)``; a century says itself what it is."""
        if slice_ == "all" or slice_.startswith("century="):
            return self.slice(slice_)
        return self("slice.of", field=self.field(slice_), value=self.slice(slice_))

    def free(self, model: str) -> str:
        """``baseline:largest_class`` -> ``largest class``; also of ``chance``."""
        name = model.removeprefix("baseline:")
        return self.missing_or(f"free.{name}", name.replace("_", " "))


def open_words(language: str = "en") -> Words:
    """Words of one language.

    Raises:
        EvaluationError: a language that the catalogue does not have.
    """
    if language not in LANGUAGES:
        raise EvaluationError(f"language: got {language!r}; reports are written in {', '.join(LANGUAGES)}")
    return Words(language, read_catalogue())


@lru_cache(maxsize=1)
def read_catalogue() -> dict[str, Any]:
    """``report_texts.yaml``: ``texts`` by key and language, ``counts`` with forms, ``found`` sentences of results."""
    return yaml.load(CATALOGUE.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _roman(number: int) -> str:
    """French centuries: ``Ier``, ``XIXe``."""
    units = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")[number % 10]
    return f"{'X' * (number // 10)}{units}{'er' if number == 1 else 'e'}"


def _isolated(value: object) -> str:
    """A value for a page; what has letters is kept from turning the text around it (Hebrew, Arabic)."""
    text = escape(value)
    return f"<bdi>{text}</bdi>" if any(letter.isalpha() for letter in str(value)) else text


def _spaced(text: str, language: str) -> str:
    """French spaces that do not break: before : ; ? ! and per cent, and inside « »."""
    if language != "fr":
        return text.replace(" %", f"{THIN_SPACE}%")
    text = re.sub(r" ([;?!%])", rf"{THIN_SPACE}\1", text)
    return re.sub(r" ([:»])", rf"{_NO_BREAK}\1", text).replace("« ", f"«{_NO_BREAK}")


def _pattern(text: str) -> re.Pattern[str]:
    """An English sentence of the results as a pattern that finds what stands in its places."""
    parts = re.split(r"\{(\w+)\}", text)
    return re.compile("".join(f"(?P<{p}>.+?)" if i % 2 else re.escape(p) for i, p in enumerate(parts)), re.DOTALL)
