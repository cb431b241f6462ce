"""Europeana from the first cursor to the shards: records, dumps, news, faults, and never the caller's key."""

import json
import logging
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from servers.europeana import HOST, PROVIDER_HOST, EuropeanaApi, make_item, make_object
from servers.http import Response
from servers.replay import draw_picture
from servers.runs import all_bytes, configure, played, playing, read_records, read_rejected

from data_prep.config import PrepConfig
from data_prep.pipeline import run_prep
from data_prep.sources.europeana import EuropeanaSource
from data_prep.summary import PrepSummary
from iconoclip.errors import IconoclipError

KEY = "S3CRETkey"
HEADER = {"headers_from_env": {"X-Api-Key": "EUROPEANA_API_KEY"}}


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("EUROPEANA_API_KEY", KEY)


@pytest.fixture
def play(tmp_path, monkeypatch):
    with playing(tmp_path, monkeypatch) as play:
        yield lambda api: play({HOST: api, PROVIDER_HOST: draw_picture})


TEXT_RIGHTS = {"value": "CC0", "asserted_by": "Europeana", "source_url": "https://www.europeana.eu/rights"}


def config_of(out: Path, *, host: dict[str, Any] = HEADER, root: Path = Path(), **source: Any) -> PrepConfig:
    collection = {"kind": "europeana", "query": "*", "qf": ["TYPE:IMAGE"], "rows": 3, "rights": {"text": TEXT_RIGHTS}}
    return configure(out, {"europeana": collection | source}, hosts={HOST: host}, root=root)


def prep(out: Path, *, update: bool = False, limit: int | None = None, **more: Any) -> PrepSummary:
    return run_prep(config_of(out, **more), update=update, limit=limit)


def make_items(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [make_item(number, **fields) for number in range(1, count + 1)]


def cursors(api: EuropeanaApi) -> list[str]:
    return [target.partition("cursor=")[2] for target in api.asked if "search.json" in target]


def test_search_becomes_shards(play, tmp_path):
    api = EuropeanaApi(make_items(8))
    world = play(api)
    summary = prep(tmp_path / "out", reusability="open", media=True, thumbnail=True, theme="art")
    assert (summary.harvested, summary.kept_for_training) == (8, 8)
    records = read_records(tmp_path / "out")
    assert set(records) == {f"/90402/RP_P_{number:03d}" for number in range(1, 9)}
    record = records["/90402/RP_P_003"]
    assert (record.institution, record.creator) == ("Museum Voorbeeld", "Visscher, Claes Jansz")
    assert [(each.lang, each.text, each.machine) for each in record.captions] == [
        ("nl", "Gezicht op toren 3", False),
        ("en", "View of tower 3", True),
    ]
    assert (record.year_min, record.year_max) == (1610, 1620)
    assert record.page_url == "https://museum.example/object/3"
    assert record.rights[0].uri == "http://creativecommons.org/publicdomain/mark/1.0/"
    assert record.rights[0].source_url == "https://www.europeana.eu/item/90402/RP_P_003"
    assert (record.width, record.height) == (64, 48)
    assert world.strays == []
    first = api.asked[0].partition("?")[2].split("&")
    assert {"query=%2A", "qf=TYPE%3AIMAGE", "reusability=open", "media=true", "thumbnail=true", "theme=art"} <= {*first}
    assert {"profile=rich", "rows=3", "sort=europeana_id%20asc", "cursor=%2A"} <= {*first}
    assert [cursor[:3] for cursor in cursors(api)] == ["%2A", "%2B", "%2B"], "a bare + in a cursor is refused with 400"


def test_second_run_asks_nothing(play, tmp_path):
    world = play(EuropeanaApi(make_items(4)))
    prep(tmp_path / "out")
    count = len(world.requests)
    assert "complete since" in prep(tmp_path / "out").notes[0]
    assert len(world.requests) == count


def test_records_are_read_in_full(play, tmp_path):
    api = EuropeanaApi(make_items(5))
    play(api)
    assert prep(tmp_path / "out", records=True).harvested == 5
    record = read_records(tmp_path / "out")["/90402/RP_P_002"]
    assert [(each.lang, each.text, each.machine) for each in record.captions] == [
        ("nl", "Gezicht op toren 2", False),
        ("nl", "Een toren aan het water.", False),
    ]
    assert (record.orig_width, record.institution) == (2000, "Museum Voorbeeld")
    assert sum("search.json" not in target for target in api.asked) == 5


def test_record_that_is_gone_is_accounted_for(play, tmp_path):
    api = EuropeanaApi(make_items(4))
    hidden = make_item(9, id="/90402/gone")

    def answer(number: int, given: dict[str, str]) -> Response | None:
        if number == 1:
            return Response(
                body=json.dumps({"success": True, "totalResults": 5, "items": [*api.items, hidden]}).encode()
            )
        return None

    api.answer = answer
    play(api)
    summary = prep(tmp_path / "out", records=True)
    assert (summary.harvested, summary.rejected) == (5, {"fetch_failed": 1})
    reason, detail = read_rejected(tmp_path / "out")["https://api.europeana.eu/record/v2/90402/gone.json"]
    assert (reason, detail.partition(":")[0]) == ("fetch_failed", "http_404")


def test_interrupted_search_asks_only_for_the_rest(play, tmp_path):
    api = EuropeanaApi(make_items(8))
    api.answer = lambda number, given: Response(404) if number > 2 else None
    play(api)
    with pytest.raises(IconoclipError, match="run the same command again"):
        prep(tmp_path / "out")
    api.answer = lambda number, given: None
    asked = cursors(api)
    assert prep(tmp_path / "out").harvested == 8
    assert cursors(api)[len(asked) :] == [asked[-1]]  # the page that failed is the last one


def test_interrupted_records_ask_only_for_the_rest(play, tmp_path):
    api = EuropeanaApi(make_items(6))
    api.answer = lambda number, given: Response(500) if "cursor" in given and number > 4 else None
    play(api)
    with pytest.raises(IconoclipError, match="run the same command again"):
        prep(tmp_path / "out", records=True)
    api.answer = lambda number, given: None
    asked = len(api.asked)
    assert prep(tmp_path / "out", records=True).harvested == 6
    assert len(api.asked) - asked == 4  # the second page and its three records


def test_limit_takes_few_and_the_full_run_goes_on(play, tmp_path):
    api = EuropeanaApi(make_items(8))
    play(api)
    assert prep(tmp_path / "out", limit=4).harvested == 4
    assert len(api.asked) == 2
    assert prep(tmp_path / "out").harvested == 8
    assert len(api.asked) == 3


def test_limit_counts_objects_where_records_are_read(play, tmp_path):
    api = EuropeanaApi(make_items(8))
    play(api)
    assert prep(tmp_path / "out", limit=2, records=True).harvested == 2
    assert sum("search.json" in target for target in api.asked) == 1


def test_update_asks_for_what_has_changed(play, tmp_path):
    api = EuropeanaApi(make_items(4))
    play(api)
    prep(tmp_path / "out")
    api.items[1] = make_item(2, dcTitleLangAware={"nl": ["De nieuwe toren"]}, timestamp_update="2099-01-01T00:00:00Z")
    api.items.append(make_item(5, timestamp_update="2099-01-01T00:00:00Z"))
    asked = len(api.asked)
    assert prep(tmp_path / "out", update=True).harvested == 5
    assert len(api.asked) == asked + 1
    assert "timestamp_update%3A%5B20" in api.asked[-1]
    assert read_records(tmp_path / "out")["/90402/RP_P_002"].captions[0].text == "De nieuwe toren"


def test_update_of_all_notices_what_was_withdrawn(play, tmp_path):
    api = EuropeanaApi(make_items(5))
    play(api)
    prep(tmp_path / "out", updates="all")
    del api.items[2]
    assert prep(tmp_path / "out", update=True).harvested == 5, "nobody tells a delta what is gone"
    assert prep(tmp_path / "out", update=True, updates="all").harvested == 4
    assert "/90402/RP_P_003" not in read_records(tmp_path / "out")


def test_empty_result_says_so(play, tmp_path):
    play(EuropeanaApi([]))
    with pytest.raises(IconoclipError, match="yields no record"):
        prep(tmp_path / "out")


def test_cursor_that_comes_twice_stops_the_walk(play, tmp_path):
    api = EuropeanaApi(make_items(9))
    first = []
    api.next_cursor = lambda cursor: first.append(cursor) or first[0]
    play(api)
    with pytest.raises(IconoclipError, match="the same cursor twice after 6 of 9 objects"):
        prep(tmp_path / "out")


def test_cursor_that_stays_at_the_end_is_the_end(play, tmp_path):
    api = EuropeanaApi(make_items(6))
    last = {"success": True, "totalResults": 6, "nextCursor": "", "items": []}

    def answer(number: int, given: dict[str, str]) -> Response | None:
        if number == 2:  # Solr's way: the cursor that was asked with comes back
            last["items"], last["nextCursor"] = api.items[3:], given["cursor"]
            return Response(body=json.dumps(last).encode())
        return None

    api.answer = answer
    play(api)
    assert prep(tmp_path / "out").harvested == 6


@pytest.mark.parametrize(
    ("body", "want"),
    [
        (b'{"success": false, "error": "Solr is asleep", "code": "500_solr"}', "500_solr: Solr is asleep"),
        (b'{"success": true, "totalResults": 9, "items": [], "nextCursor": "AoE="}', "a page without objects after"),
        (b"<!doctype html><title>Maintenance</title>", "JSON was asked for, html came"),
        (b'{"success": true, "items": [{"id": "/9', "broken_json|truncated"),
        (b'{"success": true, "facets": []}', "no list of items"),
    ],
)  # fmt: skip
def test_answers_that_are_none_stop_the_walk_and_are_asked_for_again(play, tmp_path, body, want):
    api = EuropeanaApi(make_items(7))
    api.answer = lambda number, given: Response(body=body) if number > 1 else None
    play(api)
    with pytest.raises(IconoclipError, match=want):
        prep(tmp_path / "out")
    api.answer = lambda number, given: None
    assert prep(tmp_path / "out").harvested == 7


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize("host", [{}, HEADER], ids=["no key", "wrong key"])
def test_key_that_is_refused_says_where_to_put_one(play, tmp_path, status, host, caplog):
    play(EuropeanaApi(make_items(2), key="another", refused_status=status))
    with pytest.raises(
        IconoclipError, match=f"HTTP {status}.*headers_from_env: .X-Api-Key: EUROPEANA_API_KEY"
    ) as caught:
        prep(tmp_path / "out", host=host)
    assert KEY not in f"{caught.value} {caplog.text}"


def test_missing_key_names_its_variable(play, tmp_path, monkeypatch):
    api = EuropeanaApi(make_items(2))
    play(api)
    monkeypatch.delenv("EUROPEANA_API_KEY")
    with pytest.raises(IconoclipError, match="environment variable EUROPEANA_API_KEY is not set"):
        prep(tmp_path / "out")
    assert api.asked == []


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        ({"rows": 0}, "rows: Input should be greater than or equal to 1"),
        ({"rows": 101}, "rows: Input should be less than or equal to 100"),
        ({"query": ""}, "give either `query`"),
        ({"files": "edm"}, "give either `query`"),
        ({"reusability": "free"}, "reusability"),
        ({"profile": "facets"}, "profile"),
    ],
)
def test_configuration_mistakes_are_named(changes, want):
    with pytest.raises(IconoclipError, match=want):
        EuropeanaSource.validate_data({"kind": "europeana", "query": "*"} | changes, where="europeana")


@pytest.mark.parametrize("host", [HEADER, {"params_from_env": {"wskey": "EUROPEANA_API_KEY"}}], ids=["header", "query"])
@pytest.mark.parametrize("records", [False, True], ids=["search", "records"])
def test_key_is_nowhere_but_in_the_stored_answers(play, tmp_path, caplog, host, records):
    """Every byte of the set, of the journal and the fetcher's state, the summary, the logs and the errors."""
    caplog.set_level(logging.WARNING)
    for name in ("data_prep", "iconoclip"):
        caplog.set_level(logging.DEBUG, logger=name)
    items = make_items(6)
    items[4]["edmIsShownBy"] = [f"https://{PROVIDER_HOST}/gone"]  # a picture that fails: its URL goes into the ledger
    items[5]["edmIsShownAt"] = [f"https://{HOST}/x?wskey={KEY}"]
    api = EuropeanaApi(items)
    num_failures = iter([404])

    def answer(number: int, given: dict[str, str]) -> Response | None:
        status = next(num_failures, None) if given.get("cursor", "*") != "*" else None
        return Response(status) if status else None

    api.answer = answer
    world = play(api)
    world.answers = world.answers | {
        PROVIDER_HOST: lambda request: Response(404) if "gone" in request.path else draw_picture(request)
    }
    out = tmp_path / "out"
    with pytest.raises(IconoclipError) as caught:
        prep(out, host=host, records=records)
    summaries = [prep(out, host=host, records=records), prep(out, host=host, records=records, update=True)]
    said = f"{caught.value} {caplog.text} {' '.join(each.to_text() for each in summaries)}"
    assert KEY not in said
    found = [name for name, data in all_bytes(out) if KEY.encode() in data]
    kept = [name for name, data in all_bytes(tmp_path / "out.store") if KEY.encode() in data]
    assert found == []
    assert {name.partition("/")[0] for name in kept} == {"bodies"}, "answers as they came, and nothing else"
    assert len(read_records(out)) == 5


def write_zip(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


RDF = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:ore="http://www.openarchives.org/ore/terms/"
 xmlns:edm="http://www.europeana.eu/schemas/edm/" xmlns:dc="http://purl.org/dc/elements/1.1/">
<edm:ProvidedCHO rdf:about="http://data.europeana.eu/item/12/a{n}"/>
<ore:Aggregation rdf:about="#a"><edm:aggregatedCHO rdf:resource="http://data.europeana.eu/item/12/a{n}"/>
 <edm:dataProvider>Museum</edm:dataProvider><edm:isShownBy rdf:resource="https://images.museum.example/{n}.jpg"/>
 <edm:rights rdf:resource="http://creativecommons.org/publicdomain/zero/1.0/"/></ore:Aggregation>
<ore:Proxy rdf:about="#p"><ore:proxyFor rdf:resource="http://data.europeana.eu/item/12/a{n}"/>
 <dc:title xml:lang="nl">Brug nummer {n}</dc:title><edm:type>IMAGE</edm:type></ore:Proxy></rdf:RDF>"""
TURTLE = """@prefix dc: <http://purl.org/dc/elements/1.1/> . @prefix edm: <http://www.europeana.eu/schemas/edm/> .
@prefix ore: <http://www.openarchives.org/ore/terms/> .
<http://data.europeana.eu/item/12/t1> a edm:ProvidedCHO ; dc:title "Een molen"@nl ; edm:type "IMAGE" .
<http://x/agg> a ore:Aggregation ; edm:aggregatedCHO <http://data.europeana.eu/item/12/t1> ;
 edm:dataProvider "Museum" ; edm:isShownBy <https://images.museum.example/t1.jpg> ;
 edm:rights <http://creativecommons.org/publicdomain/mark/1.0/> ."""


def test_dumps_are_read_out_of_zips_folders_and_all_serialisations(play, tmp_path):
    world = play(EuropeanaApi([]))
    dumps = tmp_path / "dumps"
    dumps.mkdir()
    write_zip(dumps / "12.zip", {f"a{n}.xml": RDF.format(n=n).encode() for n in (1, 2)} | {"broken.xml": b"<rdf:RDF"})
    (dumps / "t.ttl").write_text(TURTLE)
    item = make_item(7)
    (dumps / "record.json").write_text(json.dumps({"success": True, "object": make_object(item)}))
    (dumps / "notes.json").write_text(json.dumps({"@context": "http://iiif.io/api/image/2/context.json", "@id": "x"}))
    summary = prep(tmp_path / "out", query="", files="dumps/*", root=tmp_path)
    assert (summary.harvested, summary.rejected) == (6, {"row_invalid": 2})
    records = read_records(tmp_path / "out")
    assert set(records) == {"/12/a1", "/12/a2", "/12/t1", item["id"]}
    assert records["/12/a2"].captions[0].text == "Brug nummer 2"
    assert records["/12/a2"].rights[0].source_url == "https://www.europeana.eu/item/12/a2"
    assert set(read_rejected(tmp_path / "out")) == {"dumps/12.zip!broken.xml", "dumps/notes.json"}
    assert world.asked(HOST) == []


def test_damaged_zip_stops_with_its_name(tmp_path):
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(IconoclipError, match=r"bad\.zip: not a zip that can be read"):
        prep(tmp_path / "out", query="", files="bad.zip", root=tmp_path)


@pytest.mark.real
def test_real_search_answer_from_the_cursor_to_the_shards(shared_data, tmp_path, monkeypatch):
    """35 objects of twenty institutions; one personal key inside was replaced by `redactedkey` before it was stored."""
    (path,) = (shared_data / "responses" / "europeana" / "search_api").glob("*rijksmuseum_items*")
    items = json.loads(path.read_bytes())
    hosts = {urlsplit(url).hostname: draw_picture for item in items for url in item["edmIsShownBy"]}
    api = EuropeanaApi(items)
    with played(hosts | {HOST: api}, tmp_path / "world", monkeypatch) as world:
        summary = prep(tmp_path / "out", rows=20)
    assert world.strays == []
    assert (summary.harvested, summary.rejected) == (
        35,
        {"image_missing": 2},
    )  # two books whose address says no picture
    records = read_records(tmp_path / "out")
    skull = records["/206/item_W6Q6AQZGGNPLS5LERKYPU5I55AVL2RW5"]
    assert (skull.institution, skull.year_min) == ("Heidelberg University Library", 1831)
    assert {each.lang: (each.text, each.machine) for each in skull.captions} == {
        "de": ("Schädel", False), "en": ("Skull", True),
    }  # fmt: skip
    assert {record.rights_class for record in records.values()} == {"public_domain", "open"}
    everything = b"".join(data for _, data in all_bytes(tmp_path / "out"))
    assert b"redactedkey" not in everything
    assert KEY.encode() not in everything


@pytest.mark.real
def test_real_edm_records_are_read_out_of_a_zip_as_europeana_packs_them(shared_data, tmp_path):
    paths = [path for path in sorted((shared_data / "responses" / "edm").rglob("*")) if path.is_file()]
    write_zip(tmp_path / "edm.zip", {path.name: path.read_bytes() for path in paths})
    summary = run_prep(config_of(tmp_path / "out", query="", files="edm.zip", root=tmp_path), dry_run=True)
    assert len(paths) == 86
    assert summary.harvested > 86, "some files hold several objects, some objects several pictures"
    assert "row_invalid" not in summary.rejected, "each file is read"


OAI = """<?xml version="1.0" encoding="UTF-8"?><OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/">
<responseDate>2026-11-20T00:00:00Z</responseDate><request>https://api.europeana.eu/oai/record</request>{}</OAI-PMH>"""
IDENTIFY = """<Identify><repositoryName>Europeana</repositoryName><protocolVersion>2.0</protocolVersion>
<earliestDatestamp>2010-01-01T00:00:00Z</earliestDatestamp><deletedRecord>no</deletedRecord>
<granularity>YYYY-MM-DDThh:mm:ssZ</granularity></Identify>"""
LIST = """<ListRecords><record><header><identifier>http://data.europeana.eu/item/12/a1</identifier>
<datestamp>2026-01-01T00:00:00Z</datestamp><setSpec>12</setSpec></header><metadata>{}</metadata></record></ListRecords>"""


def test_oai_server_of_europeana_gives_edm_without_a_key(tmp_path, monkeypatch):
    def answer(request):
        body = IDENTIFY if "Identify" in request.target else LIST.format(RDF.format(n=1))
        return Response(body=OAI.format(body).encode(), headers={"Content-Type": "text/xml"})

    source = {"kind": "oai_pmh", "url": f"https://{HOST}/oai/record", "prefix": "edm", "sets": ["12"],
              "institution": "Europeana", "rights": {"text": TEXT_RIGHTS}}  # fmt: skip
    with played({HOST: answer, PROVIDER_HOST: draw_picture}, tmp_path / "world", monkeypatch) as world:
        summary = run_prep(configure(tmp_path / "out", {"oai": source}))
    assert summary.kept_for_training == 1
    record = read_records(tmp_path / "out")["/12/a1"]
    assert (record.institution, record.captions[0].text, record.captions[0].lang) == ("Museum", "Brug nummer 1", "nl")
    assert any("metadataPrefix=edm&set=12" in target for target in world.asked(HOST))
