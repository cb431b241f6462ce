"""Find values in nested rows by dotted paths: ``metadata.title[0].text``, ``dc:title[@lang=nl]``, ``images.file``.

A path goes down through objects and through every item of the lists on its way, so it may find several values. A name
that is exactly there wins: the column ``a.b (%)`` needs no quotes. ``[0]`` takes one item (``[-1]`` the last),
``[key=value]`` those that say so, ``'a.b'`` is a name with dots. In XML, ``@name`` is an attribute, and a name without
prefix fits any prefix. A path that begins with a dot starts at a value found before; a ``?`` at its end says that it
may be missing.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache

LIST_SEPARATOR = "; "

_STEP = re.compile(r"(?:'([^']+)'|([^.\[\]']+))((?:\[[^\[\]]+\])*)")
_SELECTOR = re.compile(r"\[(?:(-?\d+)|([^=\[\]!<>~]+)=([^\[\]]*))\]")
_MAX_DEPTH = 12


class XmlNode(dict[str, object]):
    """An XML element: attributes as ``@name``, children as lists by the names as written, own text under ``""``."""

    def children(self, name: str) -> list[object]:
        """Attributes or children of a name; without prefix it fits every prefix."""
        if ":" in name or name == "":
            return spread(self.get(name))
        return [each for key, value in self.items() if key and _local(key) == name for each in spread(value)]


@dataclass(frozen=True, slots=True)
class Step:
    """A name, what is taken of it, and the text of the path from here on (which may be a name as it stands)."""

    name: str
    selectors: tuple[int | tuple[str, str], ...]
    rest: str


@dataclass(frozen=True, slots=True)
class FieldPath:
    """A path as written and its steps; ``problem`` says why it can only be a name."""

    text: str
    steps: tuple[Step, ...]
    is_relative: bool = False
    is_optional: bool = False
    problem: str = ""

    @property
    def names(self) -> str:
        """The path without what is taken of lists."""
        return ".".join(step.name for step in self.steps)


@lru_cache(maxsize=4096)
def parse_path(text: str) -> FieldPath:
    """Read a path; what is none is the name of a column, and nothing else."""
    bare = text.removesuffix("?")
    rest = bare.removeprefix(".")
    steps, position = [], 0
    while position < len(rest):
        match = _STEP.match(rest, position)
        parts = _SELECTOR.findall(match[3]) if match else []
        if match is None or "".join(_selector_text(part) for part in parts) != match[3]:
            return _name_only(text, rest[position:])
        selectors = tuple(int(number) if number else (key.strip(), value.strip()) for number, key, value in parts)
        steps.append(Step(match[1] or match[2].strip(), selectors, rest[position:]))
        position = match.end()
        if position < len(rest):
            if rest[position] != "." or position + 1 == len(rest):
                return _name_only(text, rest[position:])
            position += 1
    if not steps and not bare.startswith("."):
        return _name_only(text, text)
    return FieldPath(text, tuple(steps), bare.startswith("."), text.endswith("?"))


def _selector_text(part: tuple[str, str, str]) -> str:
    number, key, value = part
    return f"[{number}]" if number else f"[{key}={value}]"


def _name_only(text: str, rest: str) -> FieldPath:
    return FieldPath(text, (Step(text, (), text),), problem=f"cannot be read from {rest!r} on")


def find(cells: Mapping[str, object], path: FieldPath, here: object = None) -> list[object]:
    """Values at a path, in order, without nulls; ``here`` is where relative paths start."""
    if path.is_relative:
        return [found for each in spread(here) for found in _walk(each, path.steps)]
    if path.text in cells:
        return spread(cells[path.text])
    return _walk(cells, path.steps)


def _walk(node: object, steps: Sequence[Step]) -> list[object]:
    if not steps:
        return [node]
    if not isinstance(node, Mapping):
        return []
    step = steps[0]
    if step.rest != step.name and step.rest in node:
        return spread(node[step.rest])
    chosen = _select(_children(node, step.name), step.selectors)
    return [found for child in chosen for found in _walk(child, steps[1:])]


def _children(node: Mapping[str, object], name: str) -> list[object]:
    return node.children(name) if isinstance(node, XmlNode) else spread(node.get(name))


def _select(values: list[object], selectors: Sequence[int | tuple[str, str]]) -> list[object]:
    for selector in selectors:
        if isinstance(selector, int):
            values = values[selector:][:1] if selector + len(values) >= 0 else []
        else:
            key, wanted = parse_path(selector[0]), selector[1]
            values = [each for each in values if any(to_text(found) == wanted for found in _walk(each, key.steps))]
    return values


def spread(value: object) -> list[object]:
    """Items of a list (of lists), or the value itself; nulls are left out."""
    if isinstance(value, list | tuple):
        return [item for each in value for item in spread(each)]
    return [] if value is None else [value]


def exists(cells: Mapping[str, object], path: FieldPath) -> bool:
    """Say whether a row has the place that the path names, be it empty."""
    if path.text in cells or find(cells, path):
        return True
    *before, last = path.steps
    parents = [cells] if not before else _walk(cells, before)
    return not last.selectors and any(isinstance(each, Mapping) and last.name in each for each in parents)


def known_paths(node: object, prefix: str = "", depth: int = 0) -> Iterator[str]:
    """Every path into a row, objects before what they hold; for advice."""
    if depth > _MAX_DEPTH:
        return
    for each in spread(node):
        for name, value in each.items() if isinstance(each, Mapping) else ():
            if name:
                path = prefix + (f"'{name}'" if re.search(r"[.\[\]]", name) else name)
                yield path
                yield from known_paths(value, f"{path}.", depth + 1)


def flatten(cells: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Cells as texts: objects become columns ``a.b``, lists become ``"x; y"``."""
    flat: dict[str, str] = {}
    for name, value in cells.items():
        if isinstance(value, dict) and not isinstance(value, XmlNode):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = to_text(value)
    return flat


def to_text(value: object) -> str:
    """The text of a value; nothing is guessed, a list is joined by ``"; "``, an object in a list stays JSON."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bytes):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # spreadsheets store every number as a float: 1661 is not 1661.0
    if isinstance(value, datetime) and (value.hour, value.minute, value.second) == (0, 0, 0):
        return value.date().isoformat()
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return LIST_SEPARATOR.join(text for text in map(to_text, value) if text)
    if isinstance(value, XmlNode):
        return _xml_text(value)
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _xml_text(node: XmlNode) -> str:
    if "" in node:
        return str(node[""])
    parts = [to_text(each) for key, value in node.items() if not key.startswith("@") for each in spread(value)]
    return " ".join(part for part in parts if part)


def _local(name: str) -> str:
    mark = "@" if name.startswith("@") else ""
    return mark + name.removeprefix("@").rsplit(":", 1)[-1]
