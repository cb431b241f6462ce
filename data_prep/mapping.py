"""Rules that turn a row into text: templates, constants, regular expressions, values of lists.

``"{title}"`` is a column or a path (``{metadata.title[0].text}``, see :mod:`data_prep.paths`), ``"{title}, {date}"`` a
template, ``"Our Library"`` a constant. A rule makes several texts where its one path finds several values, where
``split`` cuts a cell, or one per value of ``each``; in a template, ``{.name}`` starts at that value and ``{.}`` is it.
Every text is then found, cut and replaced by regular expressions, in this order:
``{value: "{file}", find: 'poem-(.*?)-[0-9]+[.]jpg', cut: ['^the-'], replace: {'-': ' '}}``.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, field_validator

from iconoclip.config import Config
from iconoclip.errors import SourceError
from iconoclip.records import CaptionLevel

from .paths import LIST_SEPARATOR, FieldPath, XmlNode, exists, find, known_paths, parse_path, to_text

Cells = Mapping[str, object]

_FIELD = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")
_SHOWN = 20


def _check_pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


def _check_template(template: str) -> str:
    left = re.search(r"[{}]", _FIELD.sub("", template))
    if left:
        fault = "a '{' that is not closed" if left[0] == "{" else "a '}' that closes nothing"
        raise ValueError(f"{template!r} has {fault}, or names nothing in it; write {left[0] * 2!r} for the sign itself")
    return template


def _check_path(path: str) -> str:
    problem = parse_path(path).problem if path else ""
    if problem or "{" in path:
        raise ValueError(f"{path!r} {problem or 'is a path without braces: write it bare'}")
    return path


Pattern = Annotated[str, BeforeValidator(lambda value: _check_pattern(value) if isinstance(value, str) else value)]
Template = Annotated[str, AfterValidator(_check_template)]
PathText = Annotated[str, AfterValidator(_check_path)]


@lru_cache(maxsize=4096)
def _parse(template: str) -> tuple[str | FieldPath, ...]:
    """Text and fields of a template, in order."""
    parts: list[str | FieldPath] = []
    end = 0
    for match in _FIELD.finditer(template):
        parts.append(template[end : match.start()])
        parts.append(parse_path(match[1].strip()) if match[1] else match[0][0])
        end = match.end()
    return tuple(part for part in (*parts, template[end:]) if part != "")


def fields_of(template: str) -> tuple[FieldPath, ...]:
    """Paths that a template names, in order."""
    return tuple(part for part in _parse(template) if isinstance(part, FieldPath))


def fill(template: str, cells: Cells, here: object = None) -> str:
    """The template with its fields filled, several values joined by ``"; "``; ``""`` where all its fields are empty."""
    parts = [part if isinstance(part, str) else _join(find(cells, part, here)) for part in _parse(template)]
    filled = [text for text, part in zip(parts, _parse(template), strict=True) if isinstance(part, FieldPath)]
    return "" if filled and not any(filled) else "".join(parts).strip()


def _join(values: Sequence[object]) -> str:
    return LIST_SEPARATOR.join(dict.fromkeys(text for text in (to_text(value).strip() for value in values) if text))


class TextRule(Config):
    """Texts made from a row; ``joined`` makes one text of them all, with this between them."""

    value: Template
    each: PathText = ""
    split: str = ""
    joined: str = ""
    find: Pattern = ""
    cut: tuple[Pattern, ...] = ()
    replace: dict[Pattern, str] = {}

    def columns(self) -> list[str]:
        """Columns and paths that the rule names, in order; those that begin with a dot after the path of ``each``."""
        return [join_paths(self.each, path.text) for path in fields_of(self.value)]

    @property
    def scope(self) -> str:
        """Path of the values of which each makes a text of its own; ``""`` where the whole row makes one."""
        parts = _parse(self.value)
        is_bare = len(parts) == 1 and isinstance(parts[0], FieldPath) and not self.each
        return self.columns()[0] if is_bare else self.each

    def values(self, cells: Cells, here: object = None) -> Iterator[tuple[str, object]]:
        """(text, the value of a list that it was made from) in order, without empty texts."""
        found = self._edited(cells, here)
        if not self.joined:
            yield from found
        elif texts := dict.fromkeys(text for text, _ in found):
            yield self.joined.join(texts), here

    def _edited(self, cells: Cells, here: object) -> Iterator[tuple[str, object]]:
        for value, start in self._raw(cells, here):
            parts = value.split(self.split) if self.split else [value]
            for part in parts:
                # "a ; b ;" ends in a separator
                text = self._edit(part.strip().removesuffix(self.split.strip()).strip())
                if text:
                    yield text, start

    def texts(self, cells: Cells, here: object = None) -> tuple[str, ...]:
        """Texts of one row, in order, each once."""
        return tuple(dict.fromkeys(text for text, _ in self.values(cells, here)))

    def text(self, cells: Cells, here: object = None) -> str:
        """The texts joined by ``"; "``; ``""`` when every column named is empty or ``find`` is not in it."""
        return LIST_SEPARATOR.join(self.texts(cells, here))

    def _raw(self, cells: Cells, here: object) -> Iterator[tuple[str, object]]:
        parts = _parse(self.value)
        starts = find(cells, parse_path(self.each), here) if self.each else [here]
        for start in starts:
            if len(parts) == 1 and isinstance(parts[0], FieldPath):
                values = find(cells, parts[0], start)
                yield from ((to_text(value), start if self.each else value) for value in values)
            else:
                yield fill(self.value, cells, start), start

    def _edit(self, text: str) -> str:
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


class CaptionRule(TextRule):
    """Captions made from a row: one per text.

    ``lang`` may be a field, too; ``{.lang}`` starts at the value that the text was made from. ``repeated: drop`` drops
    a caption whose text the collection holds more than once ("One side of the vase"); ``required`` rejects a record
    that is left without this caption, whatever else it has.
    """

    lang: Template = ""
    source: str = ""
    level: CaptionLevel = "object"
    machine: bool = False
    repeated: Literal["keep", "drop"] = "keep"
    stop: tuple[Pattern, ...] = ()
    required: bool = False

    def is_stopped(self, text: str) -> bool:
        """Say whether the text is one of those that are no caption."""
        return any(re.search(pattern, text) for pattern in self.stop)

    @property
    def source_name(self) -> str:
        """Field the caption comes from, as the record states it."""
        return self.source or ",".join(column.removesuffix("?") for column in self.columns()) or self.each or "constant"


class RowRule(Config):
    """A claim about a row: ``match`` is found in ``value``."""

    value: Template
    match: Pattern

    def columns(self) -> list[str]:
        """Columns and paths that the rule names, in order."""
        return [path.text for path in fields_of(self.value)]

    def holds(self, cells: Cells, here: object = None) -> bool:
        """Say whether the row is meant."""
        return re.search(self.match, fill(self.value, cells, here)) is not None


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
CaptionText = Annotated[CaptionRule, BeforeValidator(expand)]


def join_paths(start: str, path: str) -> str:
    """The whole path of one that begins with a dot at the values of another (or of nothing: it stays as it is)."""
    if not start or not path.startswith("."):
        return path
    optional = "?" if "?" in (start[-1], path[-1]) else ""
    return start.removesuffix("?") + path.removesuffix("?").removesuffix(".") + optional


def check_columns(
    rules: Mapping[str, TextRule | RowRule],
    columns: Sequence[str],
    *,
    where: str,
    rows: Sequence[Cells] = (),
    each: str = "",
) -> None:
    """Check that every path a rule names is a column or is found in a row, and that no constant should be a column.

    ``columns`` are those of the header, which may be empty in every row. Paths that begin with a dot start at ``each``.

    Raises:
        SourceError: one line per mistake, with the nearest column or path.
    """
    problem = _path_problem(each, columns, rows, is_text=False) if each else ""
    problems = [f"each: {problem}"] if problem else []
    for name, rule in rules.items():
        if isinstance(rule, TextRule) and rule.each:
            problem = _path_problem(join_paths(each, rule.each), columns, rows, is_text=False)
            problems += [f"{name}.each: {problem}"] if problem else []
        for column in rule.columns():
            problem = _path_problem(join_paths(each, column), columns, rows)
            problems += [f"{name}: {problem}"] if problem else []
        if not rule.columns() and rule.value in columns:
            problems.append(f"{name}: {rule.value!r} is a constant here; write '{{{rule.value}}}' for the column")
    if problems:
        raise SourceError("\n  ".join([f"{where}: {len(problems)} of the rules do not fit the table", *problems]))


def _path_problem(column: str, columns: Sequence[str], rows: Sequence[Cells], *, is_text: bool = True) -> str:
    path = parse_path(column)
    if path.is_relative:
        return f"{column!r} begins with a dot, but there is no `each` for it to start at"
    if path.is_optional:
        return ""
    values = next((values for row in rows if (values := find(row, path))), [])
    if values:
        return _object_problem(column, values) if is_text else ""
    if column in columns or any(exists(row, path) for row in rows):
        return ""
    known = list(dict.fromkeys([*columns, *(found for row in rows[:200] for found in known_paths(row))]))
    if path.names in known and path.names != column:
        return f"no row has {column!r}, though {path.names!r} is there; look at what its brackets ask for"
    near = difflib.get_close_matches(path.names, known, n=1, cutoff=0.5)
    more = f" ... ({len(known) - _SHOWN} more)" if len(known) > _SHOWN else ""
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known[:_SHOWN])}{more}"
    return f"no column {column!r}; {hint}" + (f" ({column!r} {path.problem})" if path.problem else "")


def _object_problem(column: str, values: Sequence[object]) -> str:
    objects = [value for value in values if isinstance(value, dict) and not isinstance(value, XmlNode)]
    if len(objects) < len(values):
        return ""
    return f"{column!r} is an object, no text; write one of {', '.join(f'{column}.{name}' for name in objects[0])}"
