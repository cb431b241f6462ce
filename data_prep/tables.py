"""Read tables of every kind as rows: CSV, TSV, JSON, JSON Lines, Parquet, XLSX, XML, or many such files at once.

``open_table(root, TableRules(table="dump/*.xml", records="oai_dc:dc"))`` gives rows with nested cells, for rules with
paths; ``read_table(Path("metadata.csv"))`` gives columns and rows of texts. Nothing is guessed into numbers or dates:
``00123`` stays.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import Field, field_validator

from iconoclip.config import Config
from iconoclip.errors import SourceError

from .paths import flatten

# Suffix of a file -> what can be said about reading it.
_TEXT = ("encoding", "delimiter", "header", "columns")
_OPTIONS = {
    ".csv": _TEXT, ".tsv": _TEXT, ".txt": _TEXT, ".json": ("encoding", "records"), ".jsonl": ("encoding",),
    ".ndjson": ("encoding",), ".parquet": (), ".xlsx": ("sheet", "header", "columns"), ".xml": ("records",),
    ".rdf": ("records",),
}  # fmt: skip


class TableRules(Config):
    """A table (a file, or a pattern such as ``dump/*.xml``) and how it is read.

    ``records`` is the element of an XML file that is a row, or the path to the list in a JSON file (``.`` is the whole
    file). ``header`` is the row with the names of the columns (0: none); ``columns`` names them instead.
    """

    table: str = ""
    records: str = ""
    header: int = Field(default=1, ge=0)
    columns: tuple[str, ...] = ()
    encoding: str = ""
    delimiter: str = Field(default="", max_length=1)
    sheet: str = ""

    def reading_options(self) -> list[str]:
        """Names of the fields that say how the table is read and that are not left at their defaults."""
        fields = TableRules.model_fields
        return [name for name in fields if name != "table" and getattr(self, name) != fields[name].default]

    @field_validator("columns")
    @classmethod
    def _check_columns(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        double = sorted({name for name in columns if columns.count(name) > 1 or not name.strip()})
        if double:
            raise ValueError(f"each column needs a name of its own; see {', '.join(map(repr, double))}")
        return columns


@dataclass(frozen=True, slots=True)
class Row:
    """One row: where it stands (from 1, the header not counted), its cells, and what is wrong with it.

    ``here`` is the value at which paths with a leading dot start; ``unjoined`` says why a row of another table is
    missing.
    """

    number: int
    cells: dict[str, object]
    problem: str = ""
    file: str = ""
    here: object = None
    unjoined: str = ""

    @property
    def place(self) -> str:
        """``row 3``, or ``a.xml, row 3`` where the table is many files."""
        return f"{self.file}, row {self.number}" if self.file else f"row {self.number}"


Reading = tuple[list[str], Iterator[Row]]


@dataclass(frozen=True, slots=True)
class Table:
    """A table in memory: its name in messages, the columns of its header or schema, its rows."""

    name: str
    columns: list[str]
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class TextRow:
    """One row as texts."""

    number: int
    cells: dict[str, str]
    problem: str = ""


def open_table(root: Path, rules: TableRules) -> Table:
    """All rows of a table; where it is many files, they have the columns ``file`` and ``stem``, too.

    A file of several that cannot be read is one row with its problem.

    Raises:
        SourceError: it is missing, of a kind not known, or not what its name says.
    """
    path = root / rules.table
    if path.exists() or not any(sign in rules.table for sign in "*?["):
        columns, rows = _read_file(path, rules)
        return Table(str(path), columns, list(rows))
    paths = sorted(each for each in root.glob(rules.table) if each.is_file())
    if not paths:
        raise SourceError(f"{path}: no file fits this pattern; is `root` right?")
    return _open_files(root, paths, rules)


def _open_files(root: Path, paths: list[Path], rules: TableRules) -> Table:
    columns: dict[str, None] = {}
    rows: list[Row] = []
    failed: list[SourceError] = []
    for path in paths:
        file = path.relative_to(root).as_posix()
        facts: dict[str, object] = {"file": path.name, "stem": path.stem}
        try:
            found, read = _read_file(path, rules)
            read = list(read)
        except SourceError as error:
            failed.append(error)
            rows.append(Row(1, facts, str(error), file))
            continue
        columns |= dict.fromkeys(found)
        for row in read:
            rows.append(replace(row, file=file))
            for name in facts.keys() - row.cells.keys():
                row.cells[name] = facts[name]
    if len(failed) == len(paths):
        raise failed[0]
    return Table(str(root / rules.table), [*columns, *(name for name in ("file", "stem") if name not in columns)], rows)


def read_table(
    path: Path, *, encoding: str = "", delimiter: str = "", sheet: str = ""
) -> tuple[list[str], Iterator[TextRow]]:
    """Columns and rows of one file as texts: objects are columns ``a.b``, lists are ``"x; y"``.

    Raises:
        SourceError: it is missing, of a kind not known, or not what its name says.
    """
    rules = TableRules(table=str(path), encoding=encoding, delimiter=delimiter, sheet=sheet)
    columns, rows = _read_file(path, rules)
    if _suffix(path) not in (".json", ".jsonl", ".ndjson", ".parquet"):
        return columns, (TextRow(row.number, flatten(row.cells), row.problem) for row in rows)
    flat = [TextRow(row.number, flatten(row.cells), row.problem) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row.cells)) or columns
    padded = (TextRow(row.number, {name: row.cells.get(name, "") for name in names}, row.problem) for row in flat)
    return names, padded


def _read_file(path: Path, rules: TableRules) -> Reading:
    suffix = _suffix(path)
    if suffix not in _OPTIONS:
        raise SourceError(f"{path}: tables end in {', '.join(_OPTIONS)}; convert it to one of these")
    if not path.is_file():
        raise SourceError(f"{path}: no such file; is `root` right?")
    useless = [name for name in rules.reading_options() if name not in _OPTIONS[suffix]]
    if useless:
        raise SourceError(f"{path}: {', '.join(useless)} is not for {suffix} files; leave it out")
    if suffix in (".csv", ".tsv", ".txt"):
        from .tables_text import read_delimited

        return read_delimited(path, rules)
    if suffix in (".xml", ".rdf"):
        from .tables_xml import read_xml

        return read_xml(path, rules.records)
    if suffix == ".xlsx":
        from .tables_xlsx import read_xlsx

        return read_xlsx(path, rules)
    from .tables_objects import read_objects

    return read_objects(path, rules)


def _suffix(path: Path) -> str:
    return path.suffix.lower()
