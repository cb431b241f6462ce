"""Tables of every kind are read as strings, and what cannot be read says what to do."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl import Workbook

from data_prep.tables import read_table
from iconoclip.errors import SourceError

# Strings that careless readers turn into numbers, booleans or dates.
TRAPS = {"id": "00123", "notation": "71E11", "language": "no", "date": "1888-05-01", "title": "Ägäis, „Karte“"}


def rows(path, **options):
    columns, found = read_table(path, **options)
    return columns, [row.cells for row in found]


@pytest.mark.parametrize(("name", "delimiter"), [("a.csv", ","), ("b.csv", ";"), ("c.tsv", "\t"), ("d.csv", "|")])
def test_delimited_text_keeps_every_string(tmp_path, name, delimiter):
    path = tmp_path / name
    cells = [f'"{value}"' for value in TRAPS.values()]
    path.write_text(delimiter.join(TRAPS) + "\r\n" + delimiter.join(cells) + "\r\n\r\n", encoding="utf-8")
    assert rows(path) == ([*TRAPS], [TRAPS])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path, encoding):
    path = tmp_path / "a.csv"
    path.write_bytes("id,title\n1,Été\n".encode(encoding))
    assert rows(path) == (["id", "title"], [{"id": "1", "title": "Été"}])


def test_latin_1_is_refused_with_its_line_and_read_when_stated(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("id,title\n1,plain\n2,Été\n".encode("cp1252"))
    with pytest.raises(SourceError, match=r"line 3: byte 0xc9 is not utf-8; add `encoding: cp1252`"):
        read_table(path)
    assert rows(path, encoding="cp1252")[1][1] == {"id": "2", "title": "Été"}


def test_rows_with_too_few_or_too_many_cells_are_marked_not_lost(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1\n1,2,3\n1,2\n")
    _, found = read_table(path)
    assert [row.problem for row in found] == ["1 cells under 2 columns", "3 cells under 2 columns", ""]


def test_json_is_flattened_and_lists_are_joined(tmp_path):
    item = {"id": "7", "dc": {"title": "Map", "subject": ["a", "b"]}, "n": 3.0, "none": None, "yes": True}
    flat = {"id": "7", "dc.title": "Map", "dc.subject": "a; b", "n": "3", "none": "", "yes": "true"}
    for name, text in (
        ("a.json", json.dumps([item])),
        ("b.json", json.dumps({"total": 1, "items": [item]})),
        ("c.jsonl", json.dumps(item) + "\n"),
    ):
        (tmp_path / name).write_text(text)
        assert rows(tmp_path / name) == ([*flat], [flat])


def test_a_broken_line_of_json_lines_is_one_bad_row(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": "1"}\n{"id": \n')
    _, found = read_table(path)
    assert [bool(row.problem) for row in found] == [False, True]


def test_parquet_with_nested_columns(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist([{**TRAPS, "more": {"x": ["p", "q"]}, "year": 1661}]), path)
    assert rows(path)[1] == [{**TRAPS, "more.x": "p; q", "year": "1661"}]


def test_xlsx_reads_stored_values_of_formulas_and_whole_numbers(tmp_path):
    path = tmp_path / "a.xlsx"
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["id", "year", "text", None])
    sheet.append(["00123", 1661.0, "x"])
    sheet.append([None, None, None])
    sheet.append(["2", None, "y"])
    book.create_sheet("other").append(["z"])
    book.save(path)
    want = [{"id": "00123", "year": "1661", "text": "x"}, {"id": "2", "year": "", "text": "y"}]
    assert rows(path) == (["id", "year", "text"], want)
    with pytest.raises(SourceError, match=r"no sheet 'nope'; there are: Sheet, other"):
        read_table(path, sheet="nope")


@pytest.mark.parametrize(("name", "content", "message"), [
    ("a.csv", b"a,a\n1,2\n", "two columns are called a"),
    ("a.csv", b"", "holds no column names"),
    ("a.json", b"{", "not JSON"),
    ("a.json", b'{"a": 1}', "expected a list"),
    ("a.parquet", b"PAR1", "not a Parquet file"),
    ("a.xlsx", b"PK", "not an XLSX file"),
    ("a.doc", b"", "tables end in"),
    ("a.csv", b"\xff\xfea", "is not utf-16"),
])  # fmt: skip
def test_what_is_no_table_is_an_error_of_ours(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=message):
        read_table(tmp_path / name)


def test_a_missing_table_names_the_root(tmp_path):
    with pytest.raises(SourceError, match="no such file; is `root` right"):
        read_table(tmp_path / "a.csv")
