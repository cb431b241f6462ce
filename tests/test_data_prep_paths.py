"""Dotted paths find values in nested rows, and say when they are none."""

import pytest

from data_prep.paths import XmlNode, exists, find, flatten, known_paths, parse_path, to_text

ROW = {
    "id": "7",
    "a.b (%)": "exact",
    "metadata": {"title": [{"text": "Map", "lang": "en"}, {"text": "Kaart", "lang": "nl"}], "subject": [], "y": 1661.0},
    "zones": [{"label": ["drawing"], "meta": False}, {"label": ["stamp", "writing"], "meta": {"text": ["rotation90"]}}],
    "http://purl.org/dc/terms/title": [{"@value": "IRI"}],
    "nothing": None,
}  # fmt: skip
XML = XmlNode({
    "@xml:lang": "nl",
    "dc:title": ["Albuminscriptie", XmlNode({"@xml:lang": "en", "": "Inscription"})],
    "dcterms:title": ["Other"],
    "dc:identifier": [XmlNode({"@xsi:type": "OCLC", "": "902911736"}), XmlNode({"@xsi:type": "dcterms:URI", "": "http://x/7"})],
    "date": [""],
    "p": [XmlNode({"hi": ["b"], "": "a b c"}), XmlNode({"hi": ["d", "e"]})],
})  # fmt: skip


def texts(row, path, here=None):
    return [to_text(value) for value in find(row, parse_path(path), here)]


@pytest.mark.parametrize(("path", "found"), [
    ("id", ["7"]),
    ("a.b (%)", ["exact"]),  # a name that is there wins over the path
    ("metadata.title.text", ["Map", "Kaart"]),
    ("metadata.title[0].text", ["Map"]),
    ("metadata.title[-1].text", ["Kaart"]),
    ("metadata.title[2].text", []),
    ("metadata.title[-3].text", []),
    ("metadata.title[lang=nl].text", ["Kaart"]),
    ("metadata.title[lang=nl][0].text", ["Kaart"]),
    ("metadata.y", ["1661"]),
    ("metadata.subject", []),
    ("zones.label", ["drawing", "stamp", "writing"]),
    ("zones.label[0]", ["drawing", "stamp"]),  # the first of each zone
    ("zones[1].label", ["stamp", "writing"]),
    ("zones.meta.text", ["rotation90"]),  # false holds nothing
    ("'http://purl.org/dc/terms/title'.@value", ["IRI"]),
    ("nothing", []),
    ("id.more", []),
    ("metadata.title?", ['{"text": "Map", "lang": "en"}', '{"text": "Kaart", "lang": "nl"}']),
    ("absent?", []),
])  # fmt: skip
def test_paths_into_objects_and_lists(path, found):
    assert texts(ROW, path) == found


@pytest.mark.parametrize(("path", "found"), [
    ("dc:title", ["Albuminscriptie", "Inscription"]),
    ("title", ["Albuminscriptie", "Inscription", "Other"]),  # without prefix it fits every prefix
    ("dc:title[@lang=en]", ["Inscription"]),
    ("title[@xml:lang=en]", ["Inscription"]),
    ("dc:identifier[@type=dcterms:URI]", ["http://x/7"]),
    ("dc:identifier.@type", ["OCLC", "dcterms:URI"]),
    ("@lang", ["nl"]),
    ("date", [""]),
    ("p", ["a b c", "d e"]),  # all text inside
    ("p.hi", ["b", "d", "e"]),
    ("dcx:title", []),
])  # fmt: skip
def test_paths_into_xml(path, found):
    assert texts(XML, path) == found


def test_relative_paths_start_at_a_value():
    value = {"text": "Kaart", "lang": "nl"}
    assert texts(ROW, ".lang", value) == ["nl"]
    assert texts(ROW, ".", "x") == ["x"]
    assert texts(ROW, ".lang", None) == []


@pytest.mark.parametrize("path", ["a[", "a[x]", "a[x!=1]", "a..b", "a.", "a]b", "'a", "?", "a[0"])
def test_what_is_no_path_is_the_name_of_a_column_and_nothing_else(path):
    assert parse_path(path).problem
    assert texts({path: "here", "a": ["x"]}, path) == ["here"]
    assert texts({"a": ["x"]}, path) == []


def test_empty_places_exist_and_wrong_names_do_not():
    assert exists(ROW, parse_path("metadata.subject"))
    assert exists(ROW, parse_path("nothing"))
    assert exists(XML, parse_path("date"))
    assert not exists(ROW, parse_path("metadata.subjects"))
    assert not exists(ROW, parse_path("metadata.title[lang=fr]"))
    assert not exists(ROW, parse_path("a["))


def test_known_paths_quote_names_with_dots():
    paths = list(known_paths(ROW))
    assert {"metadata.title.text", "zones.meta.text", "'a.b (%)'", "'http://purl.org/dc/terms/title'.@value"} <= set(
        paths
    )


def test_flat_cells_are_texts():
    assert flatten({"a": {"b": [1, None, "x"]}, "c": [{"d": 1}]}) == {"a.b": "1; x", "c": '{"d": 1}'}
