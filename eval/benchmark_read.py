"""Read the items of a benchmark from its data, whatever the layout: pictures with labels or captions, by split.

``read_items(file, home)`` gives :class:`Items`; every item says where it stands, so that a mistake is named by its row.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from iconoclip.errors import EvaluationError

from .benchmark_files import ABOUT, BenchmarkFile
from .data import Store

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".tif", ".tiff", ".webp", ".gif", ".bmp", ".jp2", ".avif"})
_DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class Item:
    """One picture of a benchmark; ``place`` is its position in the store, ``where`` names it in messages.

    ``about`` has what is known of the columns in ``ABOUT``.
    """

    id: str
    place: int
    where: str
    split: str = ""
    labels: tuple[str, ...] = ()
    captions: tuple[tuple[str, str], ...] = ()
    work: str = ""
    about: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Items:
    """All items of all splits, where their pictures lie, and why rows or files are no items."""

    items: tuple[Item, ...]
    store: Store
    problems: tuple[str, ...] = ()

    def of_split(self, split: str) -> list[Item]:
        """Items of one split; of a benchmark without splits all."""
        has_splits = any(item.split for item in self.items)
        return [item for item in self.items if not has_splits or item.split == split]


class FileStore:
    """Pictures as files under a folder."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)

    def image_bytes(self, position: int) -> bytes:
        """Content of the file.

        Raises:
            FileNotFoundError: it is not there.
        """
        return self.paths[position].read_bytes()

    def text(self, position: int) -> str:
        """None: captions lie in the items."""
        return ""


def read_items(file: BenchmarkFile, home: Path) -> Items:
    """Items of a benchmark whose data lies in ``home``.

    Raises:
        EvaluationError: the folder, the table or a column is not there.
    """
    if not home.is_dir():
        raise EvaluationError(f"{home}: no such folder; `root` is where the pictures of {file.name} lie")
    if file.layout == "folders":
        return read_folders(home)
    if file.layout == "clip_benchmark":
        from .benchmark_wds import read_wds

        return read_wds(home)
    if file.layout == "parquet":
        from .benchmark_parquet import read_parquet

        return read_parquet(file, home)
    return _read_table(file, home)


def read_folders(home: Path) -> Items:
    """Items of ``class/picture`` or ``split/class/picture``: the folder that holds the picture is its class."""
    paths = sorted(path for path in home.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    paths = [path for path in paths if not any(part.startswith(".") for part in path.relative_to(home).parts)]
    items, problems, kept = [], [], []
    for path in paths:
        parts = path.relative_to(home).parts
        name = "/".join(parts)
        if len(parts) not in (2, 3):
            problems.append(f"{name}: lies {len(parts) - 1} folders deep; put it into CLASS/ or SPLIT/CLASS/")
            continue
        split = parts[0] if len(parts) == 3 else ""
        items.append(Item(name, len(kept), name, split, labels=(parts[-2],)))
        kept.append(path)
    if not items:
        raise EvaluationError(f"{home}: no pictures in folders of classes there")
    return Items(tuple(items), FileStore(kept), tuple(problems))


def read_rows(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Columns and rows of a table, all cells as text: CSV or TSV (UTF-8), XLSX (first sheet), JSON Lines.

    Raises:
        EvaluationError: it is not there, of another kind, not UTF-8, or a row has more cells than the head.
    """
    if not path.is_file():
        raise EvaluationError(f"{path}: not there; `table` names the file with labels or captions")
    try:
        if path.suffix.lower() == ".xlsx":
            return _read_xlsx(path)
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise EvaluationError(f"{path}: not UTF-8; save it as UTF-8") from None
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return _read_json_lines(path, text)
    if path.suffix.lower() not in (".csv", ".tsv", ".txt"):
        raise EvaluationError(f"{path}: a table ends in .csv, .tsv, .xlsx or .jsonl")
    head = text.partition("\n")[0]
    delimiter = "\t" if path.suffix.lower() == ".tsv" else max(_DELIMITERS, key=head.count)
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    return _with_head(path, rows)


def _with_head(path: Path, rows: Sequence[Sequence[str]]) -> tuple[list[str], list[dict[str, str]]]:
    if not rows:
        raise EvaluationError(f"{path}: empty; the first row has the names of the columns")
    columns = [cell.strip() for cell in rows[0]]
    found = []
    for number, row in enumerate(rows[1:], start=2):
        if len(row) > len(columns) and any(cell.strip() for cell in row[len(columns) :]):
            raise EvaluationError(
                f"{path}, row {number}: {len(row)} cells, the head has {len(columns)}; quote the text?"
            )
        cells = dict(zip(columns, (cell.strip() for cell in row), strict=False))
        if any(cells.values()):
            found.append({name: cells.get(name, "") for name in columns} | {"": str(number)})
    return columns, found


def _read_xlsx(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    from zipfile import BadZipFile

    from openpyxl import load_workbook

    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except (OSError, BadZipFile, KeyError, ValueError) as error:
        raise EvaluationError(f"{path}: not a spreadsheet that can be read ({error})") from None
    rows = [
        ["" if cell is None else str(cell) for cell in row] for row in book.worksheets[0].iter_rows(values_only=True)
    ]
    book.close()
    return _with_head(path, rows)


def _read_json_lines(path: Path, text: str) -> tuple[list[str], list[dict[str, str]]]:
    columns, found = dict[str, None](), []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
        except ValueError as error:
            raise EvaluationError(f"{path}, row {number}: no JSON ({error})") from None
        if not isinstance(data, dict):
            raise EvaluationError(f"{path}, row {number}: got {type(data).__name__}; write an object a line")
        columns |= dict.fromkeys(data)
        found.append({name: _as_text(value) for name, value in data.items()} | {"": str(number)})
    return list(columns), [{name: row.get(name, "") for name in (*columns, "")} for row in found]


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _read_table(file: BenchmarkFile, home: Path) -> Items:
    path = home / file.table
    names, rows = read_rows(path)
    check_columns(file, names, str(path))
    inside, items, problems = home.resolve(), dict[tuple[str, str], Item](), []
    for row in rows:
        where = f"{file.table}, row {row['']}"
        name = row[file.columns.image].replace("\\", "/")
        if not name:
            problems.append(f"{where}: no picture named")
            continue
        if inside not in (home / name).resolve().parents:
            problems.append(f"{where}: {name!r} leads out of {home}")
            continue
        item = item_of(file, row, where, len(items))
        before = items.get((name, item.split))
        if before is None:
            items[name, item.split] = replace(item, id=row.get(file.columns.id, "") or name)
        else:
            items[name, item.split] = _joined(before, item)
    if not items:
        raise EvaluationError(f"{path}: no row names a picture")
    return Items(tuple(items.values()), FileStore([home / name for name, _ in items]), tuple(problems))


def _joined(item: Item, other: Item) -> Item:
    """A picture that stands in several rows has the labels and captions of all of them."""
    labels = tuple(dict.fromkeys((*item.labels, *other.labels)))
    captions = tuple(dict.fromkeys((*item.captions, *other.captions)))
    about = {**other.about, **item.about}
    return replace(item, labels=labels, captions=captions, work=item.work or other.work, about=about)


def check_columns(file: BenchmarkFile, names: Sequence[str], where: str) -> None:
    """Raise unless all columns that a benchmark names are there."""
    columns = file.columns
    wanted = [
        columns.image,
        columns.id,
        columns.label,
        *columns.captions,
        columns.language,
        columns.work,
        columns.split,
        *(getattr(columns, name) for name in ABOUT),
    ]
    missing = [name for name in wanted if name and name not in names]
    if missing:
        raise EvaluationError(f"{where}: no column {', '.join(missing)}; it has {', '.join(names)}")


def item_of(file: BenchmarkFile, row: dict[str, str], where: str, place: int) -> Item:
    """Item of a row of texts; its id is the place where the row has none."""
    columns = file.columns
    about = {name: _one_line(row.get(column, "")) for name in ABOUT if (column := getattr(columns, name))}
    captions = []
    for column, language in columns.captions.items():
        known = language or row.get(columns.language, "") or "und"
        captions += [(text, known) for text in _parts(row.get(column, ""), file.separator)]
    return Item(
        id=row.get(columns.id, "") or str(place),
        place=place,
        where=where,
        split=row.get(columns.split, "") if columns.split else "",
        labels=tuple(dict.fromkeys(_parts(row.get(columns.label, ""), file.separator))) if columns.label else (),
        captions=tuple(dict.fromkeys(captions)),
        work=row.get(columns.work, "") if columns.work else "",
        about={name: cell for name, cell in about.items() if cell},
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _parts(cell: str, separator: str) -> Iterator[str]:
    for part in cell.split(separator) if separator else [cell]:
        text = " ".join(part.split())
        if text:
            yield text
