"""SRU from the first record to the shards: how servers page, where they stop, what they cannot give."""

from pathlib import Path
from typing import Any

import pytest
from servers.http import Response
from servers.replay import draw_picture, file_answer
from servers.runs import configure, played, playing, read_records, read_rejected
from servers.sru import DIAGNOSTIC, SruServer, write_record

from data_prep.pipeline import run_prep
from data_prep.sources.sru import SruSource
from data_prep.summary import PrepSummary
from iconoclip.errors import IconoclipError

HOST, PICTURES = "jsru.kb.nl", "resolver.kb.nl"


@pytest.fixture
def play(tmp_path, monkeypatch):
    with playing(tmp_path, monkeypatch) as play:
        yield lambda server: play({HOST: server, PICTURES: draw_picture})


def prep(
    out: Path, *, update: bool = False, limit: int | None = None, root: Path = Path(), **source: Any
) -> PrepSummary:
    collection = {
        "kind": "sru", "url": f"http://{HOST}/sru/sru", "query": "type = prent", "record_schema": "dcx", "page_size": 3,
        "params": {"x-collection": "GGC"}, "institution": "Koninklijke Bibliotheek", "language": "nl",
        "rights": {"text": {"value": "CC0", "asserted_by": "KB", "source_url": "https://www.kb.nl"}}, **source,
    }  # fmt: skip
    if "files" in source:
        collection |= {"url": "", "query": "", "params": {}}
    return run_prep(configure(out, {"kb": collection}, root=root), update=update, limit=limit)


def make_records(count: int, *, first: int = 1) -> list[str]:
    return [write_record(number) for number in range(first, first + count)]


def name(number: int) -> str:
    return f"http://resolver.kb.nl/resolve?urn=prent:{number:03d}"


def starts(server: SruServer) -> list[int]:
    return [int(given["startRecord"]) for given in server.asked]


@pytest.mark.parametrize(
    ("version", "says_next", "packing"), [("1.1", True, "xml"), ("1.2", False, "xml"), ("2.0", True, "string")]
)
def test_query_becomes_shards(play, tmp_path, version, says_next, packing):
    server = SruServer({"": make_records(7)}, version=version, says_next=says_next, packing=packing)
    play(server)
    summary = prep(tmp_path / "out", version=version)
    assert (summary.harvested, summary.kept_for_training) == (7, 7)
    assert starts(server) == [1, 4, 7]
    first = server.asked[0]
    assert (first["query"], first["x-collection"], first["recordSchema"]) == ("type = prent", "GGC", "dcx")
    assert first.get("version") == (None if version == "2.0" else version)
    assert first.get("operation") == (None if version == "2.0" else "searchRetrieve")
    record = read_records(tmp_path / "out")[name(2)]
    assert (record.captions[0].text, record.captions[0].lang) == ("Gezicht op het slot, blad 2", "nl")
    assert record.image_url == "http://resolver.kb.nl/resolve/prent-002.jpg"
    assert record.rights_class == "public_domain"


def test_page_that_the_server_cuts_shorter_is_followed_by_the_next_record(play, tmp_path):
    server = SruServer({"": make_records(5)}, most=2)
    play(server)
    assert prep(tmp_path / "out", page_size=100).harvested == 5
    assert starts(server) == [1, 3, 5]


def test_list_without_a_total_ends_with_a_short_page(play, tmp_path):
    server = SruServer({"": make_records(5)}, says_total=False)
    play(server)
    assert prep(tmp_path / "out").harvested == 5
    assert starts(server) == [1, 4]


@pytest.mark.parametrize("at_limit", ["diagnostic", "empty", "again", "400"])
def test_limit_of_the_server_stops_with_advice(play, tmp_path, at_limit):
    play(SruServer({"": make_records(12)}, limit=6, at_limit=at_limit))
    with pytest.raises(IconoclipError, match="cut it with `slices`"):
        prep(tmp_path / "out")


def test_slices_ask_for_each_year(play, tmp_path):
    years = {f"date = {year}": make_records(2, first=10 * number) for number, year in enumerate((1680, 1681, 1682), 1)}
    server = SruServer(years | {"date = zonder": make_records(1, first=90)}, limit=2)
    play(server)
    assert prep(tmp_path / "out", query="date = {slice}", slices=["1680..1682", "zonder"]).harvested == 7
    assert [given["query"] for given in server.asked] == [f"date = {each}" for each in (1680, 1681, 1682, "zonder")]


@pytest.mark.parametrize(
    ("says", "want"),
    [
        ({"says_next": True}, [1, 4, 7, 9]),
        ({}, [1, 4, 7, 9]),
        ({"says_positions": False}, [1, 3, 6, 9]),  # counted: record 3 comes again
    ],
    ids=["next", "positions", "counting"],
)
def test_records_that_are_counted_and_not_given_are_passed_over(play, tmp_path, caplog, says, want):
    server = SruServer({"": make_records(9)}, hidden=frozenset({2, 9}), **says)
    play(server)
    assert prep(tmp_path / "out").harvested == 7
    assert starts(server) == want
    assert set(read_records(tmp_path / "out")) == {name(n) for n in (1, 3, 4, 5, 6, 7, 8)}
    assert "7 of 9 records were given" in caplog.text


def test_last_record_may_come_twice(play, tmp_path):
    server = SruServer({"": make_records(9)}, hidden=frozenset({8}), says_positions=False)
    play(server)
    assert prep(tmp_path / "out").harvested == 8  # 7 and 9 make two, so 9 is asked for and comes again
    assert starts(server) == [1, 4, 7, 9]


def test_record_that_the_server_cannot_give_is_rejected_with_its_words(play, tmp_path):
    records = make_records(4)
    records[1] = DIAGNOSTIC.format(code=64, message="Record temporarily unavailable")
    play(SruServer({"": records}))
    assert prep(tmp_path / "out").rejected == {"row_invalid": 1}
    ((identifier, (_, detail)),) = read_rejected(tmp_path / "out").items()
    assert identifier.endswith("maximumRecords=3 record 2")
    assert "info:srw/diagnostic/1/64: Record temporarily unavailable" in detail


def test_picture_is_found_where_the_configuration_makes_its_address(play, tmp_path):
    """As for KB's newspapers, whose records name the object only: the resolver knows ``...:image``."""
    play(SruServer({"": [write_record(n, source="") for n in (1, 2, 3)]}))
    assert prep(tmp_path / "out", picture_from="{object_id}:image").kept_for_training == 3
    assert read_records(tmp_path / "out")[name(2)].image_url == f"{name(2)}:image"


def test_record_without_an_identifier_is_rejected(play, tmp_path):
    play(SruServer({"": [*make_records(3), "<dc><title>x</title></dc>"]}))
    assert prep(tmp_path / "out").rejected == {"row_invalid": 1}


def test_list_that_becomes_shorter_ends_where_it_ends(play, tmp_path, caplog):
    server = SruServer({"": make_records(8)})

    def answer(number: int, given: dict[str, str]) -> None:
        if number == 3:
            server.records[""] = server.records[""][:5]

    server.answer = answer
    play(server)
    assert prep(tmp_path / "out").harvested == 6
    assert "8 records before, 5 now" in caplog.text


@pytest.mark.parametrize(
    ("body", "want"),
    [
        (f"<r><diagnostics>{DIAGNOSTIC.format(code=10, message='Query syntax')}</diagnostics></r>", "10: Query syntax"),
        ("<!doctype html><title>Onderhoud</title>", "XML was asked for, .html. came"),
        ("<rss/>", "the root element is <rss>"),
        ("<r><numberOfRecords>9</numberOfRecords></r>", "9 records are announced and none is given"),
        ("<r><numberOfRecords>9</numberOfRecords><records><record><recordData><dc", "truncated"),
    ],
)  # fmt: skip
def test_answers_that_are_none_stop_the_walk_and_are_asked_for_again(play, tmp_path, body, want):
    text = body.replace("<r>", "<searchRetrieveResponse>").replace("</r>", "</searchRetrieveResponse>")
    server = SruServer({"": make_records(7)})
    server.answer = lambda number, given: Response(body=text.encode()) if number > 1 else None
    play(server)
    with pytest.raises(IconoclipError, match=want):
        prep(tmp_path / "out")
    server.answer = lambda number, given: None
    assert prep(tmp_path / "out").harvested == 7


def test_empty_result_says_so(play, tmp_path):
    server = SruServer({"": []})
    play(server)
    with pytest.raises(IconoclipError, match="yields no record"):
        prep(tmp_path / "out")


def test_announced_records_that_do_not_come_at_all_are_an_error(play, tmp_path):
    play(SruServer({"": make_records(2)}, hidden=frozenset({1, 2})))
    with pytest.raises(
        IconoclipError, match="2 records are announced and none is given at 1; try another record_schema"
    ):
        prep(tmp_path / "out")


def test_interrupted_list_asks_only_for_the_rest(play, tmp_path):
    server = SruServer({"": make_records(8)})
    server.answer = lambda number, given: Response(404) if number > 2 else None
    play(server)
    with pytest.raises(IconoclipError, match="run the same command again"):
        prep(tmp_path / "out")
    server.answer = lambda number, given: None
    asked = len(server.asked)
    assert prep(tmp_path / "out").harvested == 8
    assert starts(server)[asked:] == [7]


def test_limit_takes_few_and_the_full_run_goes_on(play, tmp_path):
    server = SruServer({"": make_records(8)})
    play(server)
    assert prep(tmp_path / "out", limit=4).harvested == 4
    assert starts(server) == [1, 4]
    assert prep(tmp_path / "out").harvested == 8
    assert starts(server) == [1, 4, 7]


def test_update_lists_all_again_and_notices_what_is_gone(play, tmp_path):
    server = SruServer({"": make_records(4)})
    play(server)
    prep(tmp_path / "out")
    server.records[""] = [*make_records(2), write_record(4, title="Het slot bij nacht")]
    assert prep(tmp_path / "out", update=True).harvested == 3
    records = read_records(tmp_path / "out")
    assert set(records) == {name(1), name(2), name(4)}
    assert records[name(4)].captions[0].text == "Het slot bij nacht"


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        ({"url": ""}, "give either `url`"),
        ({"files": "x.xml"}, "give either `url`"),
        ({"query": ""}, "`query` is missing"),
        ({"page_size": 0}, "page_size: Input should be greater than or equal to 1"),
        ({"page_size": 5000}, "page_size: Input should be less than or equal to 1000"),
        ({"version": "3.0"}, "version"),
        ({"params": {"query": "x"}}, "query is made from the other fields"),
        ({"params": {"accessToken": "x"}}, "accessToken looks like a key"),
        ({"slices": ["1800"]}, r"put \{slice\} into `query`"),
        ({"query": "date={slice}"}, "give `slices`"),
        ({"query": "date={slice}", "slices": ["1900..1800"]}, "runs backwards"),
        ({"query": "date={slice}", "slices": ["0..99999"]}, "more than 10,000 queries"),
        ({"schema": "dc"}, "unknown key"),
        ({"picture_from": "{nope}"}, "picture_from: no column 'nope'"),
    ],
)
def test_configuration_mistakes_are_named(changes, want):
    good = {"kind": "sru", "url": "http://x.org/sru", "query": "a", "institution": "X"}
    with pytest.raises(IconoclipError, match=want):
        SruSource.validate_data(good | changes, where="sru")


@pytest.mark.real
def test_real_maps_of_kb_become_shards(shared_data, tmp_path, monkeypatch, caplog):
    """446 records that were stitched together; the server announces 580 and gives no next position."""
    (path,) = (shared_data / "responses" / "sru").glob("*446records*")
    server = SruServer({})
    server.answer = lambda number, given: file_answer(path)
    with played({HOST: server, PICTURES: draw_picture}, tmp_path / "world", monkeypatch) as world:
        summary = prep(tmp_path / "out", page_size=600, query="isPartOf=KONB01", params={"x-collection": "GVN"})
        again = prep(tmp_path / "again", files=path.name, root=path.parent, limit=20)
    assert (summary.harvested, summary.kept_for_training, again.kept_for_training) == (446, 446, 20)
    assert (len(server.asked), world.strays) == (1, [])  # the last position is 580
    assert "446 of 580 records were given" in caplog.text
    record = read_records(tmp_path / "out")["http://resolver.kb.nl/resolve?urn=urn:gvn:KONB01:237"]
    assert record.institution == "Koninklijke Bibliotheek"
    assert {caption.lang for caption in record.captions} == {"nl", "en"}
    assert (record.technique, record.rights_class) == ("kopergravure", "public_domain")


@pytest.mark.real
def test_real_pages_of_the_german_national_library_are_walked_in_order(shared_data, tmp_path, monkeypatch):
    """Two real pages of two records each (positions 1890 and 1892) stand for a list; its other pages are empty here."""
    folder = shared_data / "responses" / "sru"
    pages = [next(folder.glob(f"*{name}*")).read_bytes() for name in ("b0478aa7", "241be368")]
    pages = [page.replace(b">1910<", b">4<").replace(b">1892</next", b">3</next") for page in pages]
    pages[1] = pages[1].replace(b"<nextRecordPosition>1894</nextRecordPosition>", b"")
    asked: list[str] = []

    def answer(request):
        asked.append(request.target)
        return Response(body=pages[len(asked) - 1], headers={"Content-Type": "text/xml"})

    dnb = {
        "url": "https://services.dnb.de/sru/dnb", "query": "WVN=24A05", "page_size": 2, "version": "1.1", "params": {},
        "record_schema": "MARC21plus-xml", "institution": "Deutsche Nationalbibliothek", "language": "de",
    }  # fmt: skip
    played_host = played({"services.dnb.de": answer}, tmp_path / "world", monkeypatch)
    with played_host, pytest.raises(IconoclipError, match="no record is left"):
        prep(tmp_path / "out", **dnb)
    assert ["startRecord=1&" in asked[0], "startRecord=3&" in asked[1], len(asked)] == [True, True, 2]


@pytest.mark.real
def test_real_answer_of_gallica_has_pictures_at_the_open_api(shared_data, tmp_path, monkeypatch):
    """For use inside BnF, where gallica.bnf.fr answers programs; pictures come from openapi.bnf.fr."""
    (path,) = (shared_data / "responses" / "sru").glob("gleasonw*")
    answers = {"gallica.bnf.fr": lambda request: file_answer(path), "openapi.bnf.fr": draw_picture}
    with played(answers, tmp_path / "world", monkeypatch) as world:
        summary = prep(
            tmp_path / "out", url="https://gallica.bnf.fr/SRU", query='dc.type all "fascicule"', record_schema="",
            params={}, page_size=15, limit=15, institution="Bibliothèque nationale de France", language="fr",
            rights={"assume": [{"part": "image", "statement": "domaine public", "reason": "periodicals of 1914-1918"},
                               {"part": "text", "statement": "Licence Ouverte", "reason": "BnF's terms for metadata"}]},
        )  # fmt: skip
    assert (summary.harvested, summary.kept_for_training) == (15, 15)
    assert len(world.asked("gallica.bnf.fr")) == 1
    assert all("/full/!64,64/" in target for target in world.pictures("openapi.bnf.fr"))
