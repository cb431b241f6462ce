"""Read a curator's ``overrides.csv``: id, drop, caption, rights, text_rights or split, who, why (and lang)."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from iconoclip.errors import SourceError
from iconoclip.records import Caption, Record, RejectReason, Rights, RightsPart

from .rights import read_statement
from .sources.base import Drop
from .tables import read_table

SPLITS = ("train", "val", "test")

_TRUE = {"1", "true", "x", "yes", "drop"}
_FALSE = {"", "0", "false", "no"}
_COLUMNS = ("id", "drop", "caption", "lang", "rights", "text_rights", "split", "who", "why")


@dataclass(frozen=True, slots=True)
class Override:
    """One line; texts that are empty change nothing."""

    line: int
    id: str
    drop: bool
    caption: str
    lang: str
    rights: str
    text_rights: str
    split: str
    who: str
    why: str

    def apply(self, record: Record) -> Record | Drop:
        """The record as the curator wants it; the new caption goes first, rights replace those stated."""
        if self.drop:
            return Drop("override", RejectReason.OVERRIDE, f"{self.who}: {self.why}")
        if self.caption:
            lang = self.lang or (record.captions[0].lang if record.captions else "und")
            record = replace(record, captions=(Caption(self.caption, lang, "override", "page"), *record.captions))
        stated: list[tuple[RightsPart, str]] = [("image", self.rights), ("metadata", self.text_rights)]
        for part, text in stated:
            if text:
                uri = read_statement(text).uri
                new = Rights(part, uri, text, asserted_by=self.who, source_url=f"override: {self.why}")
                record = replace(record, rights=(*(each for each in record.rights if each.part != part), new))
        return record


def read_overrides(path: Path) -> list[Override]:
    """Lines of the file.

    Raises:
        SourceError: naming every line that cannot be used.
    """
    columns, rows = read_table(path)
    unknown = [column for column in columns if column not in _COLUMNS]
    missing = [column for column in ("id", "who", "why") if column not in columns]
    if unknown or missing:
        raise SourceError(f"{path}: columns are {', '.join(_COLUMNS)}; unknown: {unknown}, missing: {missing}")
    overrides, problems = [], []
    for row in rows:
        cells = {column: row.cells.get(column, "").strip() for column in _COLUMNS}
        line = row.number + 1
        problem = row.problem or _problem(cells)
        if problem:
            problems.append(f"line {line}: {problem}")
        else:
            drop = cells.pop("drop").lower() in _TRUE
            overrides.append(Override(line=line, drop=drop, **cells))
    double = {each.id for each in overrides if sum(other.id == each.id for other in overrides) > 1}
    problems += [f"id {each!r} stands twice" for each in sorted(double)]
    if problems:
        raise SourceError("\n  ".join([f"{path}: {len(problems)} problems", *problems]))
    return overrides


def _problem(cells: dict[str, str]) -> str:
    if not cells["id"]:
        return "no id"
    if not cells["who"] or not cells["why"]:
        return "say who overrides and why"
    if cells["drop"].lower() not in _TRUE | _FALSE:
        return f"drop is {cells['drop']!r}; write true or leave it empty"
    if cells["split"] and cells["split"] not in SPLITS:
        return f"split is {cells['split']!r}; write one of {', '.join(SPLITS)}"
    if not any(cells[column] for column in ("drop", "caption", "rights", "text_rights", "split")):
        return "changes nothing; fill drop, caption, rights, text_rights or split"
    return ""


def match_overrides(overrides: Sequence[Override], records: Sequence[Record], *, path: Path) -> dict[str, Override]:
    """Override by key of the record; an id may be a record's id or its key.

    Raises:
        SourceError: an id is not in the run (names the nearest) or is that of several records.
    """
    by_name: dict[str, set[str]] = {}
    for record in records:
        by_name.setdefault(record.id, set()).add(record.key)
        by_name.setdefault(record.key, set()).add(record.key)
    matched, problems = {}, []
    for override in overrides:
        keys = by_name.get(override.id, set())
        if len(keys) == 1:
            matched[next(iter(keys))] = override
        elif keys:
            problems.append(f"line {override.line}: {override.id!r} is the id of {len(keys)} records; write the key")
        else:
            near = difflib.get_close_matches(override.id, list(by_name), n=1, cutoff=0.4)
            hint = f"; the nearest is {near[0]!r}" if near else ""
            problems.append(f"line {override.line}: no record {override.id!r}{hint}")
    if problems:
        raise SourceError("\n  ".join([f"{path}: {len(problems)} ids do not fit", *problems]))
    return matched
