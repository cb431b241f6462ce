"""Rules that turn the cells of a row into text: templates, constants and regular expressions.

``"{title}"`` is a column, ``"{title}, {date}"`` a template, ``"Our Library"`` a constant. The long form adds regular
expressions, in this order: ``find`` (its first group, or the whole match), ``cut`` and ``replace``:
``{value: "{file}", find: 'poem-(.*?)-[0-9]+[.]jpg', cut: ['^the-'], replace: {'-': ' '}}``.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, field_validator

from iconoclip.config import Config
from iconoclip.errors import SourceError
from iconoclip.records import CaptionLevel

_FIELD = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")

Cells = Mapping[str, str]


def _check_pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


Pattern = Annotated[str, BeforeValidator(lambda value: _check_pattern(value) if isinstance(value, str) else value)]


class TextRule(Config):
    """One text made from a row."""

    value: str
    find: Pattern = ""
    cut: tuple[Pattern, ...] = ()
    replace: dict[Pattern, str] = {}

    def columns(self) -> list[str]:
        """Columns that the template names, in order."""
        return [match[1].strip() for match in _FIELD.finditer(self.value) if match[1]]

    def text(self, cells: Cells) -> str:
        """The text of one row; ``""`` when every column named is empty or ``find`` is not in it."""
        columns = self.columns()
        if columns and not any(cells[column].strip() for column in columns):
            return ""
        text = _FIELD.sub(lambda match: _fill(match, cells), self.value).strip()
        if self.find:
            match = re.search(self.find, text)
            if match is None:
                return ""
            text = (match[1] if match.re.groups else match[0]) or ""
        for pattern in self.cut:
            text = re.sub(pattern, "", text)
        for pattern, new in self.replace.items():
            text = re.sub(pattern, new, text)
        return text.strip()


def _fill(match: re.Match[str], cells: Cells) -> str:
    return cells[match[1].strip()] if match[1] else match[0][0]


class ListRule(TextRule):
    """Several texts from one cell, cut at the separator ``split``; empty ones are left out."""

    split: str = ""

    def texts(self, cells: Cells) -> tuple[str, ...]:
        """Texts of one row, in order, each once."""
        text = self.text(cells)
        parts = text.split(self.split) if self.split else [text]
        bare = [part.strip().removesuffix(self.split.strip()).strip() for part in parts]  # "a ; b ;" ends in one
        return tuple(dict.fromkeys(part for part in bare if part))


class CaptionRule(TextRule):
    """One caption made from a row.

    ``repeated: drop`` drops the caption where the collection holds the same text more than once ("One side of the
    vase"); ``required`` rejects a record that is left without this caption, whatever else it has.
    """

    lang: str = ""
    source: str = ""
    level: CaptionLevel = "object"
    machine: bool = False
    repeated: Literal["keep", "drop"] = "keep"
    stop: tuple[Pattern, ...] = ()
    required: bool = False

    @property
    def source_name(self) -> str:
        """Field the caption comes from, as the record states it."""
        return self.source or ",".join(self.columns()) or "constant"


class RowRule(Config):
    """A claim about a row: ``match`` is found in ``value``."""

    value: str
    match: Pattern

    def holds(self, cells: Cells) -> bool:
        """Say whether the row is meant."""
        return re.search(self.match, TextRule(value=self.value).text(cells)) is not None


class DropRule(RowRule):
    """Rows that are harvested but not kept; ``why`` goes into the ledger."""

    why: str

    @field_validator("why")
    @classmethod
    def _has_words(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("say why these rows are dropped; the ledger shows it")
        return value


def expand(value: Any) -> Any:
    """Give a rule's short form its long form: ``"{title}"`` or (YAML without quotes) ``{title}``."""
    if isinstance(value, str):
        return {"value": value}
    if isinstance(value, dict) and len(value) == 1 and None in value.values():
        return {"value": "{" + str(next(iter(value))) + "}"}
    return value


Text = Annotated[TextRule, BeforeValidator(expand)]
Texts = Annotated[ListRule, BeforeValidator(expand)]
CaptionText = Annotated[CaptionRule, BeforeValidator(expand)]


def check_columns(rules: Mapping[str, TextRule | RowRule], columns: Sequence[str], *, where: str) -> None:
    """Check that every column a rule names is there, and that no constant was meant to be a column.

    Raises:
        SourceError: one line per mistake, with the nearest column.
    """
    problems = []
    for name, rule in rules.items():
        template = TextRule(value=rule.value)
        for column in template.columns():
            if column not in columns:
                near = difflib.get_close_matches(column, columns, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(columns)}"
                problems.append(f"{name}: no column {column!r}; {hint}")
        if not template.columns() and rule.value in columns:
            problems.append(f"{name}: {rule.value!r} is a constant here; write '{{{rule.value}}}' for the column")
    if problems:
        raise SourceError("\n  ".join([f"{where}: {len(problems)} of the rules do not fit the table", *problems]))
