"""Read a table of any common kind as rows of strings: CSV, TSV, JSON, JSON Lines, Parquet, XLSX.

``columns, rows = read_table(Path("metadata.csv"))``. Nothing is guessed into numbers or dates: ``00123`` stays.
Nested JSON is flattened to ``a.b``; lists of plain values become ``"x; y"``.
"""

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from iconoclip.errors import SourceError

LIST_SEPARATOR = "; "

_MAX_UNZIPPED_BYTES = 2 * 1024**3
_MAX_CELL_CHARS = 10_000_000
_DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True, slots=True)
class Row:
    """One row: where it stands (from 1, the header not counted), its cells, and what is wrong with it."""

    number: int
    cells: dict[str, str]
    problem: str = ""


def read_table(
    path: Path, *, encoding: str = "", delimiter: str = "", sheet: str = ""
) -> tuple[list[str], Iterator[Row]]:
    """Columns and rows of a table; empty ``encoding`` means UTF-8 (or what a byte-order mark says).

    Raises:
        SourceError: it is missing, of a kind not known, or not what its name says.
    """
    readers = {
        ".csv": lambda: _read_csv(path, encoding, delimiter),
        ".tsv": lambda: _read_csv(path, encoding, delimiter or "\t"),
        ".txt": lambda: _read_csv(path, encoding, delimiter),
        ".json": lambda: _read_objects(path, _parse_json(path, encoding)),
        ".jsonl": lambda: _read_objects(path, _parse_jsonl(path, encoding)),
        ".ndjson": lambda: _read_objects(path, _parse_jsonl(path, encoding)),
        ".parquet": lambda: _read_parquet(path),
        ".xlsx": lambda: _read_xlsx(path, sheet),
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise SourceError(f"{path}: tables end in {', '.join(readers)}; convert it to one of these")
    if not path.is_file():
        raise SourceError(f"{path}: no such file; is `root` right?")
    return reader()


def _decode(path: Path, encoding: str) -> str:
    data = path.read_bytes()
    if not encoding:
        marks = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
        encoding = next((name for mark, name in marks if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except LookupError:
        raise SourceError(f"{path}: no encoding {encoding!r}; common ones are utf-8, cp1252, latin-1, utf-16") from None
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise SourceError(
            f"{path}: line {line}: byte {data[error.start]:#04x} is not {encoding}; "
            "add `encoding: cp1252` (Windows) or `encoding: latin-1` to the collection"
        ) from None


def _read_csv(path: Path, encoding: str, delimiter: str) -> tuple[list[str], Iterator[Row]]:
    text = _decode(path, encoding)
    header = text.split("\n", 1)[0]
    delimiter = delimiter or max(_DELIMITERS, key=header.count)
    csv.field_size_limit(_MAX_CELL_CHARS)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=False)
    try:
        columns = _check_header(path, next(reader, []))
    except csv.Error as error:
        raise SourceError(f"{path}: line 1: {error}") from None
    return columns, _csv_rows(path, columns, reader)


def _csv_rows(path: Path, columns: list[str], reader: Any) -> Iterator[Row]:
    number = 0
    while True:
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise SourceError(f"{path}: line {reader.line_num}: {error}") from None
        if not any(value.strip() for value in values):
            continue
        number += 1
        problem = "" if len(values) == len(columns) else f"{len(values)} cells under {len(columns)} columns"
        padded = [*values, *[""] * (len(columns) - len(values))]
        yield Row(number, dict(zip(columns, padded, strict=False)), problem)


def _check_header(path: Path, names: Sequence[str]) -> list[str]:
    columns = [name.strip() for name in names]
    double = sorted({name for name in columns if name and columns.count(name) > 1})
    if double:
        raise SourceError(f"{path}: two columns are called {', '.join(double)}; rename one")
    if not any(columns):
        raise SourceError(f"{path}: the first row holds no column names")
    return [name or f"column {position}" for position, name in enumerate(columns, 1)]


def _parse_json(path: Path, encoding: str) -> list[Any]:
    try:
        data = json.loads(_decode(path, encoding))
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path}: not JSON: {error}") from None
    if isinstance(data, dict):
        lists = [value for value in data.values() if isinstance(value, list)]
        data = lists[0] if len(lists) == 1 else data
    if not isinstance(data, list):
        raise SourceError(f"{path}: expected a list of objects, or an object with one list in it")
    return data


def _parse_jsonl(path: Path, encoding: str) -> Iterator[Any]:
    for number, line in enumerate(_decode(path, encoding).splitlines(), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError) as error:
                yield f"line {number} is not JSON: {error}"


def _read_objects(path: Path, objects: Iterable[Any]) -> tuple[list[str], Iterator[Row]]:
    flat = [_flatten(item) if isinstance(item, dict) else item for item in objects]
    columns = list(dict.fromkeys(name for item in flat if isinstance(item, dict) for name in item))
    if not columns:
        raise SourceError(f"{path}: holds no objects")

    def rows() -> Iterator[Row]:
        for number, item in enumerate(flat, 1):
            if isinstance(item, dict):
                yield Row(number, {name: item.get(name, "") for name in columns})
            else:
                problem = item if isinstance(item, str) else f"expected an object, got {type(item).__name__}"
                yield Row(number, dict.fromkeys(columns, ""), problem)

    return columns, rows()


def _flatten(item: dict[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in item.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = _to_text(value)
    return flat


def _to_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # spreadsheets store every number as a float: 1661 is not 1661.0
    if isinstance(value, datetime) and (value.hour, value.minute, value.second) == (0, 0, 0):
        return value.date().isoformat()
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return LIST_SEPARATOR.join(text for text in map(_to_text, value) if text)
    if isinstance(value, bytes):
        return ""
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _read_parquet(path: Path) -> tuple[list[str], Iterator[Row]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path}: not a Parquet file: {error}") from None
    first = [
        _flatten(row) for row in next(iter(file.iter_batches(batch_size=1)), pa.RecordBatch.from_pylist([])).to_pylist()
    ]
    columns = _check_header(path, list(first[0]) if first else file.schema_arrow.names)

    def rows() -> Iterator[Row]:
        number = 0
        for batch in file.iter_batches(batch_size=1024):
            for item in batch.to_pylist():
                number += 1
                flat = _flatten(item)
                yield Row(number, {name: flat.get(name, "") for name in columns})

    return columns, rows()


def _read_xlsx(path: Path, sheet: str) -> tuple[list[str], Iterator[Row]]:
    """Formula cells give the value that the spreadsheet program stored with them."""
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with zipfile.ZipFile(path) as archive:
            unzipped = sum(item.file_size for item in archive.infolist())
        if unzipped > _MAX_UNZIPPED_BYTES:
            raise SourceError(f"{path}: unpacks to {unzipped / 1e9:.1f} GB; export the sheet as CSV")
        book = load_workbook(path, read_only=True, data_only=True)
    except (zipfile.BadZipFile, InvalidFileException, KeyError, OSError) as error:
        raise SourceError(f"{path}: not an XLSX file: {error}") from None
    if sheet and sheet not in book.sheetnames:
        raise SourceError(f"{path}: no sheet {sheet!r}; there are: {', '.join(book.sheetnames)}")
    page = book[sheet or book.sheetnames[0]]
    lines = page.iter_rows(values_only=True)
    header = [_to_text(value) for value in next(lines, ())]
    while header and not header[-1].strip():
        header.pop()
    columns = _check_header(path, header)

    def rows() -> Iterator[Row]:
        number = 0
        for line in lines:
            values = [_to_text(value) for value in line]
            if not any(value.strip() for value in values):
                continue
            number += 1
            extra = any(value.strip() for value in values[len(columns) :])
            padded = [*values, *[""] * len(columns)][: len(columns)]
            yield Row(number, dict(zip(columns, padded, strict=True)), "cells beyond the last column" if extra else "")

    return columns, rows()
