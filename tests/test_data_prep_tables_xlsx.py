"""Spreadsheets as people make them: merged and empty cells, headers that stand lower, formulas, wrong sizes."""

import zipfile

import pytest
from openpyxl import Workbook

from data_prep.tables import TableRules, open_table
from iconoclip.errors import SourceError


def save(tmp_path, rows, *, merge=(), title="Sheet"):
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = title
    for row in rows:
        sheet.append(row)
    for cells in merge:
        sheet.merge_cells(cells)
    book.create_sheet("other").merge_cells("A1:C1")
    book.save(tmp_path / "a.xlsx")


def read(tmp_path, **rules):
    table = open_table(tmp_path, TableRules(table="a.xlsx", **rules))
    return table.columns, [row.cells for row in table.rows]


def test_empty_header_cells_are_named_by_their_place_and_dropped_at_the_end(tmp_path):
    save(
        tmp_path, [["id", None, "title", None], ["1", "x", "Map", None], [None, None, None, None], ["2", None, "Plan"]]
    )
    assert read(tmp_path) == (
        ["id", "column 2", "title"],
        [{"id": "1", "column 2": "x", "title": "Map"}, {"id": "2", "column 2": "", "title": "Plan"}],
    )


def test_a_merged_header_says_what_to_do_and_can_be_named(tmp_path):
    save(tmp_path, [["id", "title", None], ["1", "Kaart", "Map"]], merge=["B1:C1"])
    with pytest.raises(SourceError, match=r"cells B1:C1 of row 1 are merged, so that 2 columns share a name; name all"):
        read(tmp_path)
    assert read(tmp_path, columns=("id", "nl", "en")) == (["id", "nl", "en"], [{"id": "1", "nl": "Kaart", "en": "Map"}])


def test_a_title_above_the_header_is_skipped(tmp_path):
    rows = [["Inventory 2020", None, None], ["id", "title", None], [None, "nl", "en"], ["1", "Kaart", "Map"]]
    save(tmp_path, rows, merge=["A1:C1", "A2:A3", "B2:C2"])
    with pytest.raises(SourceError, match=r"A1:C1 of row 1 .* or say `header:`"):
        read(tmp_path)
    # A2:A3 holds "id" for both rows of the header
    assert read(tmp_path, header=3) == (["id", "nl", "en"], [{"id": "1", "nl": "Kaart", "en": "Map"}])


def test_a_cell_merged_over_rows_holds_for_each_of_them(tmp_path):
    rows = [["title", "view", "note"], ["Vase", "a", "x"], [None, "b", None], [None, "c", None], ["Amber", "d", None]]
    save(tmp_path, rows, merge=["A2:A4", "C2:C3"])
    assert [tuple(cells.values()) for cells in read(tmp_path)[1]] == [
        ("Vase", "a", "x"), ("Vase", "b", "x"), ("Vase", "c", ""), ("Amber", "d", ""),
    ]  # fmt: skip


def test_formulas_that_were_never_calculated_are_an_error(tmp_path):
    save(tmp_path, [["id", "file"], ["1", '=CONCATENATE(A2,".jpg")']])
    with pytest.raises(SourceError, match="cell B2 holds a formula that was never calculated; open and save"):
        read(tmp_path)


def test_a_wrong_stated_size_hides_no_cell(tmp_path):
    save(tmp_path, [["id", "title"], ["1", "Map"]])
    with zipfile.ZipFile(tmp_path / "a.xlsx") as old, zipfile.ZipFile(tmp_path / "b.xlsx", "w") as new:
        for item in old.infolist():
            data = old.read(item)
            if item.filename.endswith("sheet1.xml"):
                assert b'<dimension ref="A1:B2"' in data
                data = data.replace(b'<dimension ref="A1:B2"', b'<dimension ref="A1"')
            new.writestr(item, data)
    (tmp_path / "b.xlsx").replace(tmp_path / "a.xlsx")
    assert read(tmp_path)[1] == [{"id": "1", "title": "Map"}]


@pytest.mark.parametrize(("columns", "header", "message"), [
    ((), 2, "row 2 holds no column names"),
    ((), 9, "row 9 holds no column names"),
    (("a",), 1, ""),
])  # fmt: skip
def test_headers_that_are_not_there(tmp_path, columns, header, message):
    save(tmp_path, [["a", "b"], [None, None], ["1", "2"]])
    if message:
        with pytest.raises(SourceError, match=message):
            read(tmp_path, header=header)
    else:
        table = open_table(tmp_path, TableRules(table="a.xlsx", columns=columns))
        assert [row.problem for row in table.rows] == ["cells beyond the last column"]


def test_a_file_that_only_looks_like_a_spreadsheet_is_an_error_of_ours(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as archive:
        archive.writestr("xl/workbook.xml", "<broken")
        archive.writestr("[Content_Types].xml", "<Types/>")
    with pytest.raises(SourceError, match="not an XLSX file"):
        read(tmp_path)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_damaged_file_is_an_error_of_ours(tmp_path, share):
    save(tmp_path, [["id", "title"], *([str(number), f"Kaart {number}"] for number in range(200))])
    data = bytearray((tmp_path / "a.xlsx").read_bytes())
    start = int(share * len(data))
    data[start : start + 40] = bytes(40)
    (tmp_path / "a.xlsx").write_bytes(data)
    with pytest.raises(SourceError, match="not an XLSX file, or a damaged one"):
        read(tmp_path)
