"""Tables of every kind are read as strings, and what cannot be read says what to do."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl import Workbook

from data_prep.tables import TableRules, open_table, read_table
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


@pytest.mark.parametrize(("content", "advice"), [
    ("titre\nÉté à Nîmes, « vue »\n".encode("cp1252"), "add `encoding: cp1252` to the table"),
    ("titre\nÉté à Nîmes, « vue »\n".encode("mac_roman"), "add `encoding: mac_roman`"),
    ("titre\nété à Nîmes\n".encode("cp850"), "it is damaged, or of an encoding"),
    ("titre\nÉté à Nîmes\n".encode("utf-16-le"), "add `encoding: utf-16-le`"),
    ("titre\nÉté à Nîmes\nvué\n".encode().replace(b"vu\xc3", b"vu"), "the rest of the file is UTF-8, so this line"),
    (b"titre\nPa\xffmela\nPlate \x9d1\n", "it is damaged, or of an encoding"),
    (b"titre\nPa\xffmela\n", "it is damaged, or of an encoding"),
    (b"titre\n\x89PNG\r\n\x1a\n\x00\x00\xff\xfe\x80" + bytes(range(1, 256)) * 9, "it is no text"),
    ("titre\nВид города\n".encode("koi8-r"), "it is damaged, or of an encoding"),
])  # fmt: skip
def test_an_encoding_is_advised_only_where_the_file_reads_like_it(tmp_path, content, advice):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=advice):
        read_table(path)


def test_a_header_may_stand_lower_be_wrong_or_be_missing(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('"Inventory, 2020"\n\nid;title\n1;"a; b"\n')
    with pytest.raises(SourceError, match="no such file"):
        open_table(tmp_path, TableRules(table="b.csv"))
    table = open_table(tmp_path, TableRules(table="a.csv", header=3))
    assert (table.columns, table.rows[0].cells) == (["id", "title"], {"id": "1", "title": "a; b"})
    path.write_text("ARK,Title,View\nb1;Map;1;2,3\n")
    rules = TableRules(table="a.csv", delimiter=";", columns=("ark", "title", "view", "zones"))
    assert open_table(tmp_path, rules).rows[0].cells == {"ark": "b1", "title": "Map", "view": "1", "zones": "2,3"}
    path.write_text("b1\tMap\nb2\tPlan\n")
    rules = TableRules(table="a.csv", delimiter="\t", header=0)
    assert [row.cells for row in open_table(tmp_path, rules).rows] == [
        {"column 1": "b1", "column 2": "Map"}, {"column 1": "b2", "column 2": "Plan"},
    ]  # fmt: skip
    with pytest.raises(ValueError, match="each column needs a name of its own; see 'a'"):
        TableRules(columns=("a", "a"))


def test_options_of_another_kind_of_table_are_errors(tmp_path):
    (tmp_path / "a.csv").write_text("a\n1\n")
    with pytest.raises(SourceError, match=r"records, sheet is not for .csv files; leave it out"):
        open_table(tmp_path, TableRules(table="a.csv", records="x", sheet="y"))


def test_the_list_in_a_json_file_is_found_by_its_path(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"response": {"docs": [{"id": 1}, {"id": 2}]}, "images": [], "documents": [{"id": 3}]}))
    assert [
        row.cells["id"] for row in open_table(tmp_path, TableRules(table="a.json", records="response.docs")).rows
    ] == [1, 2]
    assert open_table(tmp_path, TableRules(table="a.json", records=".")).columns == ["response", "images", "documents"]
    with pytest.raises(SourceError, match=r"nothing at `records: document`; did you mean 'documents'"):
        open_table(tmp_path, TableRules(table="a.json", records="document"))
    with pytest.raises(SourceError, match=r"say which holds the rows: `records: images or documents`"):
        open_table(tmp_path, TableRules(table="a.json"))


def test_many_files_are_one_table_and_a_broken_one_is_one_bad_row(tmp_path):
    folder = tmp_path / "oai"
    folder.mkdir()
    for name, text in (("b", '{"t": 2}'), ("a", '{"t": 1, "stem": "own"}'), ("c", "{")):
        (folder / f"{name}.json").write_text(text)
    table = open_table(tmp_path, TableRules(table="oai/*.json", records="."))
    assert table.columns == ["t", "stem", "file"]
    assert [row.cells for row in table.rows[:2]] == [
        {"t": 1, "stem": "own", "file": "a.json"}, {"t": 2, "stem": "b", "file": "b.json"},
    ]  # fmt: skip
    assert [row.place for row in table.rows] == ["oai/a.json, row 1", "oai/b.json, row 1", "oai/c.json, row 1"]
    assert "not JSON" in table.rows[2].problem
    with pytest.raises(SourceError, match="no file fits this pattern"):
        open_table(tmp_path, TableRules(table="oai/*.csv"))
    with pytest.raises(SourceError, match=r"c.json: not JSON"):
        open_table(tmp_path, TableRules(table="oai/[c].json"))


def test_objects_too_deep_are_one_bad_row(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": ' + "[" * 500 + "]" * 500 + '}\n{"a": 1}\n')
    assert [bool(row.problem) for row in open_table(tmp_path, TableRules(table="a.jsonl")).rows] == [True, False]


def test_a_parquet_schema_names_what_is_empty_in_every_row(tmp_path):
    kind = pa.list_(pa.struct([("text", pa.string()), ("lang", pa.string())]))
    maps = pa.map_(pa.string(), pa.string())
    rows = {"titles": pa.array([None, []], kind), "m": pa.array([[("nl", "Kaart")], None], maps)}
    pq.write_table(pa.table(rows), tmp_path / "a.parquet")
    table = open_table(tmp_path, TableRules(table="a.parquet"))
    assert table.columns == ["titles", "titles.text", "titles.lang", "m"]
    assert table.rows[0].cells["m"] == {"nl": "Kaart"}


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
