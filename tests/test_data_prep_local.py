"""Institutions' own files by configuration alone: nested fields, several captions, joined tables, records of lists."""

import json
import re
import textwrap
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_prep.config import PrepConfig
from data_prep.local_files import LocalPicture
from data_prep.pipeline import run_prep
from data_prep.sources.base import Surroundings
from data_prep.sources.local import LocalSource
from iconoclip.errors import ConfigError, SourceError

OBJECTS = [
    {
        "inv": "131H26",
        "titles": [{"text": "Watervogels", "lang": "dut"}, {"text": "Water birds", "lang": "eng"}],
        "makers": [{"name": "Jacob Quina", "role": "draughtsman"}, {"name": "Salomon Savery", "role": "etcher"}],
        "made": {"from": 1661, "to": 1665, "text": "1661-1665"},
        "keywords": ["birds", "reeds", "birds"],
        "files": [{"name": "a.jpg", "side": "recto"}, {"name": "b.jpg", "side": "verso"}],
        "licence": {"uri": "http://creativecommons.org/publicdomain/zero/1.0/"},
    },
    {"inv": "131H27", "titles": [{"text": "Kaart", "lang": "dut"}], "makers": [], "made": None, "files": []},
]
NESTED = {
    "institution": "Our Library",
    "language": "en",
    "use": "evaluate",
    "each": "files",
    "id": "{inv}/{.side}",
    "image": "{.name}",
    "captions": [{"each": "titles", "value": "{.text}, {.side?}", "lang": "{.lang}", "cut": [",$"]}],
    "title": "{titles[lang=eng].text}",
    "creator": "{makers.name}",
    "creator_role": "{makers.role}",
    "date": "{made.text}",
    "year_min": "{made.from}",
    "subjects": "{keywords}",
    "rights": {"all": {"value": "{licence.uri}", "asserted_by": "Our Library", "source_url": "{licence.uri}"}},
}  # fmt: skip


def items(root, **options):
    data = {"institution": "Our Library", "language": "nl", "use": "evaluate", "captions": ["{title}"]} | options
    return list(LocalSource.model_validate(data).harvest("ours", Surroundings(root)).items)


def details(found):
    return [each.drop.detail if each.drop else "" for each in found]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.parquet"])
def test_nested_records_become_one_record_a_picture(tmp_path, name):
    if name == "a.parquet":
        pq.write_table(pa.Table.from_pylist(OBJECTS), tmp_path / name)
    else:
        lines = "\n".join(map(json.dumps, OBJECTS))
        (tmp_path / name).write_text(lines if name == "a.jsonl" else json.dumps({"objects": OBJECTS}))
    recto, verso, none = items(tmp_path, table=name, **NESTED)
    record = recto.record
    assert (record.id, verso.record.id) == ("131H26/recto", "131H26/verso")
    assert [each.picture for each in (recto, verso)] == [
        LocalPicture(str(tmp_path), str(tmp_path / file)) for file in ("a.jpg", "b.jpg")
    ]
    assert [(c.text, c.lang, c.source) for c in record.captions] == [
        ("Watervogels", "nl", "titles.text,titles.side"), ("Water birds", "en", "titles.text,titles.side"),
    ]  # fmt: skip
    assert (record.title, record.creator, record.creator_role) == (
        "Water birds", "Jacob Quina; Salomon Savery", "draughtsman; etcher",
    )  # fmt: skip
    assert (record.date_text, record.year_min, record.year_max) == ("1661-1665", 1661, 1665)
    assert record.subjects == ("birds", "reeds")
    assert {rights.uri for rights in record.rights} == {"http://creativecommons.org/publicdomain/zero/1.0/"}
    assert details([none]) == ["row 2 names no picture"]
    assert [c.text for c in none.record.captions] == ["Kaart"]


def test_a_list_of_captions_gives_several_and_a_rule_counts_them_one_by_one(tmp_path):
    rows = [
        {"file": "1.jpg", "c": ["A dog", "Untitled", "Seite"]},
        {"file": "2.jpg", "c": ["Seite"]},
        {"file": "3.jpg"},
    ]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    caption = {"value": "{c}", "repeated": "drop", "stop": ["^Unt"], "required": True}
    first, second, third = items(tmp_path, table="a.json", captions=[caption, {"value": "{file}"}])
    assert [c.text for c in first.record.captions] == ["A dog", "1.jpg"]
    assert [(each.drop.reason, each.drop.detail) for each in (second, third) if each.drop] == [
        ("caption_repeated", "c: 'Seite' stands at several pictures"), ("caption_empty", "c"),
    ]  # fmt: skip


def test_a_cell_is_cut_at_its_separator_into_captions(tmp_path):
    (tmp_path / "a.csv").write_text("file,title\n1.jpg,Kaart $ Plattegrond $\n")
    (found,) = items(tmp_path, table="a.csv", captions=[{"value": "{title}", "split": "$"}])
    assert [c.text for c in found.record.captions] == ["Kaart", "Plattegrond"]


def test_a_dot_without_each_is_an_error_of_the_configuration(tmp_path):
    data = {
        "verb": "prep",
        "name": "a",
        "out": "x",
        "collections": {"ours": {"kind": "local", "table": "a.json", **NESTED}},
    }
    data["collections"]["ours"].pop("each")
    with pytest.raises(ConfigError, match=r"id: '\{.side\}' starts at a value of `each`, but there is no `each`"):
        PrepConfig.validate_data(data, where="a.yaml")


def test_a_folder_alone_is_read_in_one_way(tmp_path):
    with pytest.raises(ValueError, match="records, header say how a table is read, but there is no `table`"):
        items(tmp_path, folder="img", records="dc", header=2)


@pytest.mark.parametrize(("options", "message"), [
    ({"each": "fils"}, r"each: no column 'fils'; did you mean 'files'\?"),
    ({"image": "{.nam}"}, r"image: no column 'files.nam'; did you mean 'files.name'\?"),
    ({"title": "{titles.txt}"}, r"title: no column 'titles.txt'; did you mean 'titles.text'\?"),
    ({"date": "{made}"}, r"date: 'made' is an object, no text; write one of made.from, made.to, made.text"),
    ({"captions": [{"each": "titles", "value": "{.text}", "lang": "{.language}"}]},
     r"captions.0.lang: no column 'titles.language'; did you mean"),
    ({"rights": {"all": {"value": "{license.uri}", "asserted_by": "x", "source_url": "y"}}},
     r"rights.image.value: no column 'license.uri'; did you mean 'licence.uri'"),
    ({"where": [{"value": "{.sid}", "match": "x"}]}, r"where.0: no column 'files.sid'; did you mean 'files.side'"),
])  # fmt: skip
def test_paths_that_match_nothing_name_the_rule_and_the_nearest_path(tmp_path, options, message):
    (tmp_path / "a.json").write_text(json.dumps(OBJECTS))
    with pytest.raises(SourceError, match=message):
        items(tmp_path, table="a.json", **(NESTED | options))


DUMP = """<records>
  <record><dc><dc:identifier>urn:131H26:007</dc:identifier><dc:identifier>OCLC 1</dc:identifier>
    <dc:title>Dedicatie</dc:title></dc></record>
  <record><dc><dc:identifier>urn:131H26:008</dc:identifier><dc:title>Ets</dc:title></dc></record>
  <record><dc><dc:identifier>urn:131H26:008</dc:identifier><dc:title>Ets</dc:title></dc></record>
  <record><dc><dc:identifier>urn:131H26:009</dc:identifier><dc:title>Gedicht</dc:title></dc></record>
  <record><dc><dc:identifier>urn:131H26:009</dc:identifier><dc:title>Ander gedicht</dc:title></dc></record>
</records>"""
JOIN = {
    "table": "dump.xml",
    "records": "dc",
    "key": {"value": "{identifier}", "find": "131H26:(.*)"},
    "equals": "{page}",
}


def join_items(tmp_path, *, pages=("007", "008", "009", "010", ""), join=JOIN, **options):
    (tmp_path / "dump.xml").write_text(DUMP)
    rows = "".join(f"{page},{number}.jpg\n" for number, page in enumerate(pages, 1))
    (tmp_path / "pages.csv").write_text(f"page,file\n{rows}")
    return items(tmp_path, **({"table": "pages.csv", "join": {"sru": join}, "captions": ["{sru.dc:title}"]} | options))


def test_a_row_without_a_partner_or_with_several_is_rejected_with_its_reason(tmp_path):
    found = join_items(tmp_path)
    assert [[c.text for c in each.record.captions] for each in found] == [["Dedicatie"], ["Ets"], [], [], []]
    assert details(found) == [
        "",
        "",  # two rows that say the same are one
        "row 3: join sru: 2 different rows have the key '009' (row 4, row 5)",
        "row 4: join sru: no row has the key '010'",
        "row 5: join sru: this row has no key",
    ]
    assert {each.drop.reason for each in found if each.drop} == {"row_invalid"}


def test_a_configuration_may_want_rows_without_a_partner_and_all_of_several(tmp_path):
    join = {**JOIN, "missing": "empty", "several": "all"}
    captions = ["{sru.dc:title}", {"value": "{file}"}]
    found = join_items(tmp_path, join=join, captions=captions, title="{sru[0].title}")
    assert [each.drop for each in found] == [None] * 5
    assert [[c.text for c in each.record.captions][:-1] for each in found] == [
        ["Dedicatie"], ["Ets"], ["Gedicht", "Ander gedicht"], [], [],
    ]  # fmt: skip
    assert [each.record.title for each in found] == ["Dedicatie", "Ets", "Gedicht", "", ""]


def test_rows_that_where_leaves_to_others_are_not_rejected_for_their_join(tmp_path):
    found = join_items(tmp_path, where=[{"value": "{page}", "match": "00[78]"}])
    assert details(found) == ["", ""]


@pytest.mark.parametrize(("options", "message"), [
    ({"join": {**JOIN, "key": "{identifer}"}}, r"dump.xml: .*\n  join.sru.key: .*; did you mean 'dc:identifier'"),
    ({"join": {**JOIN, "equals": "{pag}"}}, r"pages.csv .*\n  join.sru.equals: no column 'pag'; did you mean 'page'"),
    ({"join": {**JOIN, "key": "{dc:title}"}}, r"no row has a partner in .*: `equals` gives '007', `key` gives 'Dedi"),
    ({"join": {**JOIN, "records": "rekord"}}, r"no element 'rekord'; did you mean 'record' \(5\)"),
    ({"join": {**JOIN, "table": "no.xml"}}, "no such file"),
    ({"captions": ["{sru.dc:titel}"]}, r"captions.0: no column 'sru.dc:titel'; did you mean 'sru.dc:title'"),
    ({"captions": ["{sr.title}"]}, "did you mean"),
])  # fmt: skip
def test_joins_that_cannot_be_are_errors(tmp_path, options, message):
    with pytest.raises(SourceError, match=message):
        join_items(tmp_path, **options)


@pytest.mark.parametrize(("name", "message"), [("page", "there is a column of this name"), ("S R U", "a to z, 0 to 9")])
def test_names_of_joins(tmp_path, name, message):
    join_items(tmp_path)
    with pytest.raises(SourceError, match=message):
        items(tmp_path, table="pages.csv", join={name: JOIN}, captions=["{page}"])


def test_a_ground_truth_is_joined_to_pictures_and_to_a_folder_of_dublin_core(tmp_path):
    (tmp_path / "img").mkdir()
    for stem in ("b1-f1", "b1-f2", "e\u0301-f1"):  # é as a letter and an accent, as some file systems write it
        (tmp_path / "img" / f"{stem}.jpg").touch()
    (tmp_path / "GT.csv").write_text("ARK,Title\nb1;1;drawing,90\nb1;2;\né;1;map,0\n", encoding="utf-8")
    for ark, title in (("b1", "Plan de Rochefort"), ("é", "Carte"), ("b9", "Autre")):
        (tmp_path / f"{ark}.xml").write_text(f"<dc><dc:title>{title}</dc:title></dc>")
    join = {
        "truth": {"table": "GT.csv", "delimiter": ";", "columns": ["ark", "view", "zones"],
                  "key": "{ark}-f{view}", "equals": "{stem}"},
        "oai": {"table": "*.xml", "records": "dc", "key": "{stem}", "equals": "{truth.ark}"},
    }  # fmt: skip
    drop = [{"value": "{truth.zones}", "match": "^$", "why": "no zone on this page"}]
    turn = {"value": "{truth.zones}", "find": ",([0-9]+)$"}
    found = items(tmp_path, folder="img", join=join, drop=drop, turn=turn, captions=["{oai.dc:title}"])
    assert [each.record.captions[0].text for each in found] == ["Plan de Rochefort", "Plan de Rochefort", "Carte"]
    assert [each.picture.turn_deg for each in found if each.picture] == [90, 0, 0]
    assert details(found) == ["", "no zone on this page", ""]


def test_the_whole_of_prep_on_a_joined_dump(tmp_path, make_jpeg):
    join_items(tmp_path)
    for number in range(1, 6):
        (tmp_path / f"{number}.jpg").write_bytes(make_jpeg(number))
    rights = {"all": {"value": "CC0", "asserted_by": "Our Library", "source_url": "https://example.org"}}
    source = {
        "kind": "local", "table": "pages.csv", "join": {"sru": JOIN}, "captions": ["{sru.dc:title}"],
        "institution": "Our Library", "language": "nl", "use": "evaluate", "rights": rights,
    }  # fmt: skip
    data = {"verb": "prep", "name": "ours", "out": str(tmp_path / "out"), "root": str(tmp_path), "workers": 1}
    config = PrepConfig.validate_data(data | {"collections": {"ours": source}}, where="a.yaml")
    summary = run_prep(config)
    assert (summary.harvested, summary.kept_for_evaluation, summary.rejected) == (5, 2, {"row_invalid": 3})


def test_the_examples_of_the_documentation_are_right(tmp_path):
    text = (Path(__file__).resolve().parents[1] / "docs/configuration.md").read_text(encoding="utf-8")
    section = text.split("## Own files: the source `local`")[1].split("\n## ")[0]
    examples = re.findall(r"```yaml\n(.*?)```", section, flags=re.S)
    assert len(examples) == 3
    common = (
        "verb: prep\nname: a\nout: x\ncollections:\n  ours:\n    kind: local\n    institution: A\n    language: en\n"
    )
    for number, example in enumerate(examples):
        more = [] if "table: titles" in example or "folder:" in example else ["table: a.json"]
        more += [] if "captions:" in example else ['captions: ["{file}"]']
        path = tmp_path / f"{number}.yaml"
        path.write_text(
            common + textwrap.indent("\n".join(["use: evaluate", *more, example]), "    "), encoding="utf-8"
        )
        assert PrepConfig.load(path).collections["ours"].kind == "local"
