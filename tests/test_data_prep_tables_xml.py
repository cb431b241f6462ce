"""XML dumps: repeated record elements as rows, whatever their prefixes; entities stay closed."""

import pytest

from data_prep.paths import find, parse_path, to_text
from data_prep.tables import TableRules, open_table
from iconoclip.errors import SourceError

# As KB's SRU dumps are: no prefix is declared.
UNDECLARED = """<?xml version="1.0" encoding="UTF-8"?>
<srw:records>
  <srw:record><srw_dc:dc>
    <dc:title xml:lang="nl">Watervogels  tussen
      het riet</dc:title><dc:title xml:lang="en">Water birds</dc:title>
    <dc:identifier xsi:type="dcterms:URI">http://x/056</dc:identifier><dc:date/>
  </srw_dc:dc></srw:record>
  <srw:record><srw_dc:dc><dc:title>Gedicht</dc:title><!-- no date --></srw_dc:dc></srw:record>
</srw:records>"""
DECLARED = UNDECLARED.replace(
    "<srw:records>",
    '<srw:records xmlns:srw="urn:srw" xmlns:srw_dc="urn:srw_dc" xmlns:dc="urn:dc" xmlns:xsi="urn:xsi">',
)


def read(tmp_path, text, records):
    (tmp_path / "a.xml").write_text(text, encoding="utf-8")
    return open_table(tmp_path, TableRules(table="a.xml", records=records)).rows


def texts(row, path):
    return [to_text(value) for value in find(row.cells, parse_path(path))]


@pytest.mark.parametrize("text", [UNDECLARED, DECLARED])
@pytest.mark.parametrize("records", ["srw_dc:dc", "dc"])
def test_records_are_rows_with_declared_prefixes_or_without(tmp_path, text, records):
    first, second = read(tmp_path, text, records)
    assert (first.problem, texts(first, "dc:title")) == ("", ["Watervogels tussen het riet", "Water birds"])
    assert texts(first, "title[@lang=en]") == ["Water birds"]
    assert texts(first, "dc:identifier[@xsi:type=dcterms:URI]") == ["http://x/056"]
    assert texts(first, "date") == [""]
    assert texts(second, "title") == ["Gedicht"]


def test_a_default_namespace_has_no_prefix(tmp_path):
    (row,) = read(tmp_path, '<r xmlns="urn:r"><m id="1"><t>a <i>b</i> c</t></m></r>', "m")
    assert (texts(row, "t"), texts(row, "t.i"), texts(row, "@id")) == (["a b c"], ["b"], ["1"])


def test_a_record_in_a_record_is_part_of_it(tmp_path):
    rows = read(tmp_path, "<r><o><t>1</t><o><t>2</t></o></o><o>3</o></r>", "o")
    assert [(texts(row, "t"), texts(row, "o.t")) for row in rows] == [(["1"], ["2"]), ([], [])]
    assert rows[1].cells == {"": "3"}


def test_the_root_may_be_the_record_of_each_of_many_files(tmp_path):
    for name in ("b1", "b2"):
        (tmp_path / f"{name}.xml").write_text(f"<dc><title>{name}</title></dc>")
    (tmp_path / "b3.xml").write_text("<error code='idDoesNotExist'/>")
    rows = open_table(tmp_path, TableRules(table="*.xml", records="dc")).rows
    assert [texts(row, "stem") + texts(row, "title") for row in rows[:2]] == [["b1", "b1"], ["b2", "b2"]]
    assert "no element 'dc'; there are: error (1)" in rows[2].problem


@pytest.mark.parametrize(("records", "message"), [
    ("srw:recrod", r"no element 'srw:recrod'; did you mean 'srw:record' \(2\)\?"),
    ("oai:record", r"no element 'oai:record'; did you mean 'srw:record' \(2\)"),
    ("xyz", r"no element 'xyz'; there are: dc:title \(3\), srw:record \(2\), srw_dc:dc \(2\)"),
    ("", r"say which element is a row: `records: NAME`; there are: dc:title \(3\)"),
])  # fmt: skip
def test_a_wrong_record_element_names_the_right_one(tmp_path, records, message):
    with pytest.raises(SourceError, match=message):
        read(tmp_path, UNDECLARED, records)


@pytest.mark.parametrize(("text", "message"), [
    (UNDECLARED.replace("</dc:title>", "</dc:titel>", 1), "line 5: mismatched tag, so that records may be lost"),
    (DECLARED.replace("Gedicht", "Gedicht & meer"), "line 8: not well-formed"),
    (DECLARED[:500], "so that records may be lost; get the file again or mend it"),
    (DECLARED.replace("Gedicht", "Po&eacute;sie"), "undefined entity"),
    ("<!DOCTYPE html><html><body>Just a moment</body></html>", "cannot be read as XML: html_page"),
    ("", "cannot be read as XML: empty"),
    ("no xml at all", "cannot be read as XML"),
])  # fmt: skip
def test_what_is_not_well_formed_is_an_error_with_its_line(tmp_path, text, message):
    with pytest.raises(SourceError, match=message):
        read(tmp_path, text, "dc")


def test_entities_are_not_resolved_and_not_lost_in_silence(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    doctype = f'<!DOCTYPE r [<!ENTITY name "Rembrandt"><!ENTITY file SYSTEM "file://{secret}">]>'
    rows = read(tmp_path, f"{doctype}<r><o><t>by &name;</t></o><o><t>&file;</t></o><o><t>&amp; &#233;</t></o></r>", "o")
    assert [row.problem for row in rows] == [
        "the entity &name; is not resolved; write the characters themselves",
        "the entity &file; is not resolved; write the characters themselves",
        "",
    ]
    assert texts(rows[2], "t") == ["& é"]
    assert not any("secret" in text for row in rows for text in texts(row, "t"))


@pytest.mark.parametrize("place", ["<t>&e9;</t>", '<t a="&e9;"/>'])
def test_an_exploding_entity_takes_no_memory(tmp_path, place):
    entities = '<!ENTITY e0 "ha">' + "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(9))
    text = f"<!DOCTYPE r [{entities}]><r><o>{place}</o></r>"
    with pytest.raises(SourceError, match=r"a\.xml: "):
        read(tmp_path, text, "o")
