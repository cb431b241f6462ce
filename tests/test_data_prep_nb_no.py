"""Norway's catalogue from the first page to the shards: access, languages, pictures, limits, interruptions."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from servers.http import Response
from servers.nb_no import HOST, IMAGES, NorwegianCatalogue, make_item, resolve_picture, urn
from servers.runs import configure, playing, read_records, read_rejected

from data_prep.pipeline import run_prep
from data_prep.sources.nb_no import NbNoSource
from data_prep.summary import PrepSummary
from iconoclip.errors import IconoclipError


@pytest.fixture
def play(tmp_path, monkeypatch):
    with playing(tmp_path, monkeypatch) as play:
        yield lambda catalogue: play({HOST: catalogue, IMAGES: resolve_picture})


TEXT_RIGHTS = {"value": "CC0", "asserted_by": "Nasjonalbiblioteket", "source_url": "https://www.nb.no"}


def prep(
    out: Path, *, update: bool = False, limit: int | None = None, root: Path = Path(), **source: Any
) -> PrepSummary:
    collection = {"kind": "nb_no", "q": "hus", "filter": ["mediatype:bilder"], "page_size": 3,
                  "rights": {"text": TEXT_RIGHTS}, **source}  # fmt: skip
    return run_prep(configure(out, {"nb": collection}, root=root), update=update, limit=limit)


def make_items(count: int) -> list[dict[str, Any]]:
    return [make_item(number) for number in range(1, count + 1)]


def pages(catalogue: NorwegianCatalogue) -> list[str]:
    return [target.partition("page=")[2].partition("&")[0] for target in catalogue.asked]


@pytest.mark.parametrize("says", [{}, {"says_next": False}, {"says_pages": False}], ids=["both", "count", "link"])
def test_search_becomes_shards(play, tmp_path, says):
    catalogue = NorwegianCatalogue(make_items(7), **says)
    world = play(catalogue)
    summary = prep(tmp_path / "out")
    assert (summary.harvested, summary.kept_for_training) == (7, 7)
    assert pages(catalogue) == ["0", "1", "2"]
    assert catalogue.asked[0] == (
        "/catalog/v1/items?q=hus&filter=mediatype%3Abilder&digitalAccessibleOnly=true&page=0&size=3"
    )
    record = read_records(tmp_path / "out")[urn(3)]
    assert [(each.lang, each.text) for each in record.captions] == [("nb", "Huset på garden nummer 3")]
    assert (record.institution, record.creator, record.place) == ("Nasjonalbiblioteket", "Wilse, Anders Beer", "Bø")
    assert (record.date_text, record.year_min, record.object_type) == ("1903-06-15", 1903, "bilder")
    assert record.page_url == f"https://www.nb.no/items/{urn(3)}"
    assert record.manifest == f"https://api.nb.no/catalog/v1/iiif/{urn(3)}/manifest"
    assert record.rights[0].source_url == f"https://api.nb.no/catalog/v1/items/{urn(3)}"
    assert record.rights_class == "public_domain"
    assert (record.width, record.height) == (64, 43)
    assert world.strays == []


def test_pictures_are_asked_for_at_the_needed_size_in_the_words_of_image_api_1(play, tmp_path):
    world = play(NorwegianCatalogue(make_items(2)))
    prep(tmp_path / "out")
    assert len(world.pictures(IMAGES)) == 2
    assert all(
        target.endswith(("/full/!64,64/0/native.jpg", "/full/64,/0/native.jpg")) for target in world.pictures(IMAGES)
    )


def test_picture_comes_without_its_description_too(play, tmp_path):
    world = play(NorwegianCatalogue(make_items(2)))
    world.answers = world.answers | {IMAGES: lambda r: Response(404) if "info.json" in r.path else resolve_picture(r)}
    assert prep(tmp_path / "out").kept_for_training == 2


def test_languages_of_norway_are_kept_apart(play, tmp_path):
    codes = ["nob", "nno", "sme", "eng"]
    items = [make_item(n, languages=[{"code": code}]) for n, code in enumerate(codes, 1)]
    play(NorwegianCatalogue([*items, make_item(5, languages=[{"code": "nob"}, {"code": "nno"}])]))
    prep(tmp_path / "out")
    records = read_records(tmp_path / "out")
    assert [records[urn(n)].captions[0].lang for n in range(1, 6)] == ["nb", "nn", "se", "en", "no"]


NORWAY = {"isPublicDomain": True, "accessAllowedFrom": "NORWAY"}
LICENSED = {"isPublicDomain": False, "accessAllowedFrom": "EVERYWHERE", "license": "ccby"}


def test_what_may_not_be_used_is_rejected_with_the_reason(play, tmp_path):
    access = [
        None,
        NORWAY,
        LICENSED,
        {"isPublicDomain": False, "accessAllowedFrom": "EVERYWHERE"},
        {},
        {"isPublicDomain": True},
    ]
    play(NorwegianCatalogue([make_item(n, access=each) for n, each in enumerate(access, 1)]))
    assert prep(tmp_path / "out").rejected == {"rights_restricted": 3, "rights_unstated": 2}
    rejected = read_rejected(tmp_path / "out")
    assert rejected[urn(2)] == ("rights_restricted", "accessAllowedFrom is NORWAY, wanted EVERYWHERE")
    assert rejected[urn(3)][1] == "isPublicDomain is false, license ccby (see public_domain_only)"
    assert rejected[urn(4)][1] == "isPublicDomain is false (see public_domain_only)"
    assert rejected[urn(5)] == ("rights_unstated", "accessInfo.accessAllowedFrom is not there")


def test_licensed_pictures_are_taken_where_the_configuration_says_so(play, tmp_path):
    access = [None, NORWAY, LICENSED, {"isPublicDomain": False, "accessAllowedFrom": "EVERYWHERE"}]
    play(NorwegianCatalogue([make_item(n, access=each) for n, each in enumerate(access, 1)]))
    summary = prep(tmp_path / "out", public_domain_only=False, access=["EVERYWHERE", "NORWAY"])
    records = read_records(tmp_path / "out")
    assert {records[urn(n)].rights_class for n in (1, 3)} == {"public_domain", "open"}
    assert summary.rejected == {"rights_restricted": 2}, "the rights policy still wants a licence and no wall around"


def test_items_without_identifier_or_picture_are_accounted_for(play, tmp_path):
    bare = make_item(2) | {"_links": {}}
    small = make_item(3) | {"_links": {"thumbnail_large": {"href": "https://www.nb.no/small/3.jpg"}}}
    play(NorwegianCatalogue([make_item(1), bare, small, {"metadata": {"title": "x"}}]))
    assert prep(tmp_path / "out").rejected == {"image_missing": 2, "row_invalid": 1}
    assert read_rejected(tmp_path / "out")[urn(3)][1] == "1 thumbnails only (see `previews`)"


@pytest.mark.parametrize("status", [400, 500])
def test_limit_of_the_server_stops_with_advice(play, tmp_path, status):
    play(NorwegianCatalogue(make_items(9), limit=6, limit_status=status))
    with pytest.raises(IconoclipError, match=f"HTTP {status} after 6 items; cut the query with `slices`"):
        prep(tmp_path / "out")


def test_slices_ask_for_each_year(play, tmp_path):
    catalogue = NorwegianCatalogue(make_items(4))
    play(catalogue)
    assert prep(tmp_path / "out", filter=["year:[{slice} TO {slice}]"], slices=["1902..1904"]).harvested == 3
    years = [unquote(target.partition("filter=")[2].partition("&")[0]) for target in catalogue.asked]
    assert years == [f"year:[{year} TO {year}]" for year in (1902, 1903, 1904)]


def page_of(items: list[dict[str, Any]], **page: Any) -> bytes:
    return json.dumps({"page": page, "_embedded": {"items": items}}).encode()


@pytest.mark.parametrize(
    ("body", "want"),
    [
        (b'{"status": 500, "error": "Internal", "message": "search is down"}', "500 search is down"),
        (b"<html><title>Vedlikehold</title></html>", "JSON was asked for, html came"),
        (b'{"page": {"totalElements": 7}, "_links": {}}', "7 items are announced and none is given after 3"),
        (page_of(make_items(3), totalElements=7, totalPages=3), "the same items again after 3"),
        (b'{"items": []}', "no _embedded.items"),
        (b'{"page": {"totalElements"', "broken_json"),
    ],
)  # fmt: skip
def test_answers_that_are_none_stop_the_walk_and_are_asked_for_again(play, tmp_path, body, want):
    catalogue = NorwegianCatalogue(make_items(7))
    catalogue.answer = lambda number, given: Response(body=body) if number > 1 else None
    play(catalogue)
    with pytest.raises(IconoclipError, match=want):
        prep(tmp_path / "out")
    catalogue.answer = lambda number, given: None
    assert prep(tmp_path / "out").harvested == 7


def test_empty_result_says_so(play, tmp_path):
    play(NorwegianCatalogue([]))
    with pytest.raises(IconoclipError, match="yields no record"):
        prep(tmp_path / "out")


def test_interrupted_search_asks_only_for_the_rest(play, tmp_path):
    catalogue = NorwegianCatalogue(make_items(8))
    catalogue.answer = lambda number, given: Response(404) if number > 2 else None
    play(catalogue)
    with pytest.raises(IconoclipError, match="run the same command again"):
        prep(tmp_path / "out")
    catalogue.answer = lambda number, given: None
    asked = len(catalogue.asked)
    assert prep(tmp_path / "out").harvested == 8
    assert pages(catalogue)[asked:] == ["2"]


def test_limit_takes_few_and_the_full_run_goes_on(play, tmp_path):
    catalogue = NorwegianCatalogue(make_items(8))
    play(catalogue)
    assert prep(tmp_path / "out", limit=4).harvested == 4
    assert prep(tmp_path / "out").harvested == 8
    assert pages(catalogue) == ["0", "1", "2"]


def test_update_lists_all_again_and_notices_what_is_gone(play, tmp_path):
    catalogue = NorwegianCatalogue(make_items(4))
    play(catalogue)
    prep(tmp_path / "out")
    del catalogue.items[1]
    assert prep(tmp_path / "out", update=True).harvested == 3
    assert set(read_records(tmp_path / "out")) == {urn(1), urn(3), urn(4)}


def test_saved_answers_and_single_items_are_read_from_a_folder(play, tmp_path):
    world = play(NorwegianCatalogue([]))
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "page.json").write_bytes(page_of(make_items(2), totalElements=2))
    (tmp_path / "saved" / "single.json").write_text(json.dumps(make_item(9)))
    assert prep(tmp_path / "out", files="saved", root=tmp_path, q="", filter=[]).harvested == 3
    assert world.asked(HOST) == []


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        ({"page_size": 51}, "page_size: Input should be less than or equal to 50"),
        ({"page_size": 0}, "page_size: Input should be greater than or equal to 1"),
        ({"q": ""}, "give `q`, `filter` or both"),
        ({"access": []}, "access"),
        ({"access": ["SWEDEN"]}, "access"),
        ({"slices": ["1900"]}, "`slices` and {slice} go together"),
    ],
)
def test_configuration_mistakes_are_named(changes, want):
    with pytest.raises(IconoclipError, match=want):
        NbNoSource.validate_data({"kind": "nb_no", "q": "hus"} | changes, where="nb_no")
