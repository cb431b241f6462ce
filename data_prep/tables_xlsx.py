"""Read a sheet of an XLSX file as rows; formula cells give the value that was stored with them."""

import io
import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iconoclip.errors import SourceError

from .parse.xml import attribute, descendants, parse_xml
from .paths import to_text
from .tables import Reading, Row, TableRules
from .tables_text import name_columns

_MAX_UNZIPPED_BYTES = 2 * 1024**3
# What zipfile, zlib and openpyxl raise, in no order, on files that are damaged.
_BROKEN = (zipfile.BadZipFile, zlib.error, OSError, EOFError, LookupError, ValueError, TypeError, AttributeError,
           SyntaxError, NotImplementedError, StopIteration)  # fmt: skip


def read_xlsx(path: Path, rules: TableRules) -> Reading:
    """Rows of a sheet (the first without ``sheet``); a cell merged over several rows holds for each of them.

    Raises:
        SourceError: it is no such file, its header is merged, or formulas were never calculated.
    """
    try:
        columns, rows = _read_book(path, io.BytesIO(path.read_bytes()), rules)
    except _BROKEN as error:
        raise SourceError(f"{path}: not an XLSX file, or a damaged one: {error}") from None
    return columns, iter(rows)


def _read_book(path: Path, data: io.BytesIO, rules: TableRules) -> tuple[list[str], list[Row]]:
    from openpyxl import load_workbook

    with zipfile.ZipFile(data) as archive:
        unzipped = sum(item.file_size for item in archive.infolist())
    if unzipped > _MAX_UNZIPPED_BYTES:
        raise SourceError(f"{path}: unpacks to {unzipped / 1e9:.1f} GB; export the sheet as CSV")
    book = load_workbook(data, read_only=True, data_only=True)
    if rules.sheet and rules.sheet not in book.sheetnames:
        raise SourceError(f"{path}: no sheet {rules.sheet!r}; there are: {', '.join(book.sheetnames)}")
    name = rules.sheet or book.sheetnames[0]
    facts = _scan_sheet(path, data, name)
    page = book[name]
    page.reset_dimensions()  # the size that a file states is often wrong
    lines = _lines(page, facts)
    header: list[str] = []
    for _ in range(rules.header):
        header = next(lines, [])
    while header and not header[-1].strip():
        header.pop()
    first = next(lines, []) if not rules.header else []
    if not rules.columns:
        facts.check_header(path, rules.header)
    columns = name_columns(path, header, rules, width=len(first))
    return columns, list(_rows(columns, first, lines))


@dataclass
class _Sheet:
    """Merged ranges as (first row, last row, first column, last column), from 1, and the first row's name of each."""

    merged: list[tuple[int, int, int, int]] = field(default_factory=list)
    names: dict[tuple[int, int, int, int], str] = field(default_factory=dict)

    def check_header(self, path: Path, header: int) -> None:
        for each in self.merged:
            first, last, left, right = each
            if first <= header <= last and left < right:
                raise SourceError(
                    f"{path}: cells {self.names[each]} of row {header} are merged, so that {right - left + 1} columns "
                    "share a name; name all columns (`columns: [...]`), or say `header:` where the names stand lower"
                )


def _scan_sheet(path: Path, data: io.BytesIO, name: str) -> _Sheet:
    """Merged cells, which the streaming reader does not tell, and formulas without a stored value."""
    from lxml import etree  # pyright: ignore[reportAttributeAccessIssue]  # compiled, without type stubs
    from openpyxl.utils.cell import range_boundaries

    sheet = _Sheet()
    with zipfile.ZipFile(data) as archive, archive.open(_part_of(archive, name)) as file:
        tags = ("{*}c", "{*}row", "{*}mergeCell")
        options: dict[str, Any] = {"resolve_entities": False, "no_network": True, "load_dtd": False}
        for _, element in etree.iterparse(file, events=("end",), tag=tags, **options):
            kind = element.tag.rsplit("}", 1)[-1]
            if kind == "mergeCell":
                left, first, right, last = (int(bound or 1) for bound in range_boundaries(element.get("ref")))
                sheet.merged.append((first, last, left, right))
                sheet.names[sheet.merged[-1]] = element.get("ref")
            elif kind == "row":
                element.clear()
            elif element.find("{*}f") is not None and not element.findtext("{*}v") and element.get("t") != "str":
                raise SourceError(
                    f"{path}: cell {element.get('r')} holds a formula that was never calculated; open and save the "
                    "file in a spreadsheet program, or export the sheet as CSV"
                )
    return sheet


def _part_of(archive: zipfile.ZipFile, name: str) -> str:
    book = parse_xml(archive.read("xl/workbook.xml")).root
    links = parse_xml(archive.read("xl/_rels/workbook.xml.rels")).root
    key = next(attribute(each, "id") for each in descendants(book, "sheet") if each.get("name") == name)
    target = next(attribute(each, "Target") for each in descendants(links, "Relationship") if each.get("Id") == key)
    return target.lstrip("/") if target.startswith("/") else posixpath.normpath(f"xl/{target}")


def _lines(page: Any, facts: _Sheet) -> Iterator[list[str]]:
    """Texts of every row, cells that are merged over several rows filled in."""
    waiting = sorted(each for each in facts.merged if each[0] < each[1])
    held: list[tuple[tuple[int, int, int, int], str]] = []
    for number, line in enumerate(page.iter_rows(values_only=True), 1):
        values = [to_text(value) for value in line]
        held = [each for each in held if each[0][1] >= number]
        for (_, _, left, _), text in held:
            values += [""] * (left - len(values))
            values[left - 1] = values[left - 1] or text
        while waiting and waiting[0][0] == number:
            left = waiting[0][2]
            held.append((waiting.pop(0), values[left - 1] if left <= len(values) else ""))
        yield values


def _rows(columns: list[str], first: list[str], lines: Iterator[list[str]]) -> Iterator[Row]:
    number = 0
    for values in (first, *lines):
        if any(value.strip() for value in values):
            number += 1
            extra = any(value.strip() for value in values[len(columns) :])
            padded = [*values, *[""] * len(columns)][: len(columns)]
            cells: dict[str, object] = dict(zip(columns, padded, strict=True))
            yield Row(number, cells, "cells beyond the last column" if extra else "")
