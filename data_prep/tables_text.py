"""Read CSV, TSV and other delimited text, and say what is wrong with an encoding."""

import csv
import io
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from iconoclip.errors import SourceError

from .tables import Reading, Row, TableRules

_MAX_CELL_CHARS = 10_000_000
_DELIMITERS = (",", ";", "\t", "|")
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_UTF8_CHAR = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
# What Western European cataloguers write beside ASCII; damaged files decode to other signs, or to these in odd places.
_LETTERS = frozenset("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜßàáâãäåæçèéêëìíîïñòóôõöøùúûüŒœŠšŽž")
_SIGNS = frozenset("«»“”„‘’‚–—…•°§·©®€£ªº¿¡½¼²³\xa0")
_OTHER_ENCODINGS = ("cp1252", "mac_roman")


def read_delimited(path: Path, rules: TableRules) -> Reading:
    """Rows of a delimited text; without ``delimiter`` it is the sign that the header holds most of."""
    text = decode_file(path, rules.encoding)
    header = next(itertools.islice(io.StringIO(text), max(rules.header, 1) - 1, None), "")
    standard = "\t" if path.suffix.lower() == ".tsv" else max(_DELIMITERS, key=header.count)
    csv.field_size_limit(_MAX_CELL_CHARS)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=rules.delimiter or standard, strict=False)
    try:
        above = list(itertools.islice(reader, rules.header))
        first = [] if rules.header else next(reader, [])
    except csv.Error as error:
        raise SourceError(f"{path}: line 1: {error}") from None
    names = above[-1] if len(above) == rules.header > 0 else []
    columns = name_columns(path, names, rules, width=len(first))
    return columns, _rows(path, columns, itertools.chain([first] if first else [], reader), reader)


def _rows(path: Path, columns: list[str], lines: Iterator[list[str]], reader: object) -> Iterator[Row]:
    number = 0
    while True:
        try:
            values = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            raise SourceError(f"{path}: line {getattr(reader, 'line_num', '?')}: {error}") from None
        if not any(value.strip() for value in values):
            continue
        number += 1
        problem = "" if len(values) == len(columns) else f"{len(values)} cells under {len(columns)} columns"
        padded = [*values, *[""] * (len(columns) - len(values))]
        yield Row(number, dict(zip(columns, padded, strict=False)), problem)


def name_columns(path: Path, names: Sequence[str], rules: TableRules, *, width: int = 0) -> list[str]:
    """Names of the columns: those of the configuration, else of the header; empty ones are called ``column 4``.

    Raises:
        SourceError: two are the same, or there is none.
    """
    if rules.columns:
        return list(rules.columns)
    columns = [name.strip() for name in names] if rules.header else [""] * width
    double = sorted({name for name in columns if name and columns.count(name) > 1})
    if double:
        raise SourceError(
            f"{path}: two columns are called {', '.join(double)}; rename one, or name all: `columns: [...]`"
        )
    if rules.header and not any(columns):
        raise SourceError(f"{path}: row {rules.header} holds no column names; say `header:` (the row that does)")
    return [name or f"column {position}" for position, name in enumerate(columns, 1)]


def decode_file(path: Path, encoding: str) -> str:
    """The text of a file; without ``encoding`` it is UTF-8 or what a byte-order mark says.

    Raises:
        SourceError: with the line, and an encoding only where the file reads like one.
    """
    data = path.read_bytes()
    name = encoding or next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(name)
    except LookupError:
        raise SourceError(f"{path}: no encoding {name!r}; common ones are utf-8, cp1252, latin-1, utf-16") from None
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        where = f"{path}: line {line}: byte {data[error.start]:#04x} is not {name}"
        raise SourceError(f"{where}; {_advise(data, name)}") from None


def _advise(data: bytes, name: str) -> str:
    if b"\0" in data and not name.startswith("utf-16"):
        wide = "utf-16-le" if data[1::2].count(0) > data[::2].count(0) else "utf-16-be"
        share = max(data[::2].count(0), data[1::2].count(0)) / len(data)
        return f"add `encoding: {wide}` to the table" if share > 0.2 else "it is no text; export the table again"
    num_chars = len(_UTF8_CHAR.findall(data))
    num_stray = len(re.findall(rb"[\x80-\xff]", _UTF8_CHAR.sub(b"", data)))
    if num_chars >= num_stray:
        return "the rest of the file is UTF-8, so this line is damaged: mend it, or export the table again"
    for other in _OTHER_ENCODINGS:
        if other != name and _reads_like(data, other):
            return f"add `encoding: {other}` to the table: so it reads like text"
    return "it is damaged, or of an encoding that only its maker knows: export the table again as UTF-8"


def _reads_like(data: bytes, encoding: str) -> bool:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return False
    pairs = itertools.pairwise(" " + text)
    special = [(before, char) for before, char in pairs if char > "~" or (char < " " and char not in "\t\r\n")]
    letters = [(before, char) for before, char in special if char in _LETTERS]
    signs = sum(char in _SIGNS for _, char in special)
    odd = sum(before in _LETTERS or (char.isupper() and before.islower()) for before, char in letters)
    return len(letters) + signs >= 0.95 * len(special) and len(letters) >= signs and 5 * odd <= len(letters)
