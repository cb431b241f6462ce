"""Profiles of partners who are reached through Europeana, from the very YAML files to the shards."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from servers.europeana import HOST, ROOT, EuropeanaApi, make_item
from servers.http import Response
from servers.replay import ReplayWorld, draw_picture
from servers.runs import all_bytes, load_profile, played, read_records, read_rejected

from data_prep.pipeline import run_prep
from data_prep.summary import PrepSummary

KEY = "S3CRETkey"
PDM = "http://creativecommons.org/publicdomain/mark/1.0/"


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("EUROPEANA_API_KEY", KEY)


@pytest.fixture
def replay(tmp_path, monkeypatch):
    """Run a profile against an API and the hosts of its pictures; give the summary and the world."""

    def run(name: str, api: EuropeanaApi) -> tuple[PrepSummary, ReplayWorld]:
        urls = [url for item in api.items for url in item.get("edmIsShownBy", [])]
        hosts = {urlsplit(url).hostname or "": draw_picture for url in urls}
        with played({**hosts, HOST: api}, tmp_path / "world", monkeypatch) as world:
            return run_prep(load_profile(name, tmp_path / "out"), limit=100), world

    return run


def filters(api: EuropeanaApi) -> list[str]:
    return [unquote(part[3:]) for part in api.asked[0].partition("?")[2].split("&") if part.startswith("qf=")]


def make_belgian(number: int, title: dict[str, list[str]], *, rights: str = PDM) -> dict[str, Any]:
    """An object of KBR as The European Library delivers it (recorded shape; the values are made up)."""
    return make_item(
        number,
        id=f"/9200309/BibliographicResource_300009375{number:04d}_source",
        dataProvider=["Royal Library of Belgium"],
        country=["Belgium"],
        language=["mul"],
        title=[text for several in title.values() for text in several],
        dcTitleLangAware=title | {"en": ["a translation"]},
        rights=[rights],
        edmIsShownBy=[f"https://uurl.kbr.be/{number}/thumbs/l"],
        edmIsShownAt=[f"https://uurl.kbr.be/{number}"],
    )


def test_kbr(replay, tmp_path):
    items = [
        make_belgian(1, {"fr": ["Vue de Gand"], "nl": ["Zicht op Gent"]}),
        make_belgian(2, {"def": ["Vue du port d'Anvers / Zicht op de haven van Antwerpen"]}),
        make_belgian(3, {"fr": ["Affiche de guerre"]}, rights="http://rightsstatements.org/vocab/InC/1.0/"),
        make_belgian(4, {"nl": ["De Grote Markt te Brussel"]}),
    ]
    api = EuropeanaApi(items)
    summary, world = replay("kbr", api)
    assert filters(api) == ['DATA_PROVIDER:"Royal Library of Belgium"', "TYPE:IMAGE"]
    assert (summary.harvested, summary.kept_for_training, summary.rejected) == (4, 3, {"rights_restricted": 1})
    records = read_records(tmp_path / "out")
    first = records[items[0]["id"]]
    titles = {(each.lang, each.text) for each in first.captions}
    assert {("fr", "Vue de Gand"), ("nl", "Zicht op Gent")} <= titles
    assert (first.institution, first.page_url) == ("Royal Library of Belgium", "https://uurl.kbr.be/1")
    assert records[items[1]["id"]].captions[0].lang == "fr", "the profile's language, where the record states none"
    assert ("terms", "www.kbr.be") in {(each.part, each.asserted_by) for each in first.rights}
    assert summary.permissions["redistribute"] == {"no": 3}
    assert world.strays == []


def make_spanish(number: int, picture: str) -> dict[str, Any]:
    """An object of BNE as Hispana delivers it (recorded shape; the values are made up)."""
    page = f"http://bdh-rd.bne.es/viewer.vm?id=00000{number:05d}&page=1"
    title = {"es": [f"Retrato del caballero número {number}"]}
    return make_item(
        number,
        id=f"/9200110/BibliographicResource_100000{number}",
        dataProvider=["National Library of Spain"],
        country=["Spain"],
        language=["es"],
        title=title["es"],
        dcTitleLangAware=title | {"en": ["a translation"]},
        rights=["http://creativecommons.org/licenses/by/4.0/"],
        edmIsShownBy=[picture],
        edmIsShownAt=[page],
    )


def test_bne(replay, tmp_path):
    items = [make_spanish(n, f"https://bdh-rd.bne.es/low.raw?id={n}&name=00000001.jpg") for n in (1, 2, 3)]
    items.append(make_spanish(4, "http://bdh-rd.bne.es/pdf.raw/4.pdf"))
    api = EuropeanaApi(items)
    summary, _ = replay("bne", api)
    assert filters(api) == ['DATA_PROVIDER:"National Library of Spain"', "TYPE:IMAGE"]
    assert (summary.kept_for_training, summary.rejected) == (3, {"image_missing": 1})
    record = read_records(tmp_path / "out")[items[1]["id"]]
    assert (record.captions[0].text, record.captions[0].lang) == ("Retrato del caballero número 2", "es")
    assert record.rights_class == "open"
    assert summary.permissions["redistribute"] == {"yes": 3}


def test_europeana(replay, tmp_path):
    api = EuropeanaApi([make_item(n) for n in range(1, 6)])
    summary, world = replay("europeana", api)
    assert (summary.harvested, summary.kept_for_training) == (5, 5)
    assert "reusability=open&media=true&profile=rich&rows=100" in api.asked[0]
    record = read_records(tmp_path / "out")["/90402/RP_P_001"]
    assert [each.machine for each in record.captions] == [False, False]
    assert {each.lang for each in record.captions} == {"nl"}
    assert all(len(target) < 80 for target in world.asked("images.museum.example"))
    assert not any(KEY.encode() in data for _, data in all_bytes(tmp_path / "out"))


@pytest.mark.real
def test_europeana_with_real_records(shared_data, tmp_path, monkeypatch):
    """Four real answers of the Record API, found by a search over their identifiers."""
    folder = shared_data / "responses" / "europeana" / "record_api"
    answers, views = {}, []
    for path in sorted(folder.iterdir()):
        data = json.loads(path.read_bytes())
        record = data.get("object", data)
        name = next(each["about"] for each in record["providedCHOs"]).removeprefix("/item")
        answers[f"{ROOT}{name}.json"] = path.read_bytes()
        views += [each["about"] for each in record["aggregations"][0].get("webResources", [])]
        views += [record["aggregations"][0].get("edmIsShownBy", "")]
    api = EuropeanaApi([make_item(9, id=name.removeprefix(ROOT).removesuffix(".json")) for name in answers])

    def answer(request):
        return Response(body=answers[request.path]) if request.path in answers else api(request)

    hosts = {urlsplit(url).hostname: draw_picture for url in views if url.startswith("http")}
    with played({**hosts, HOST: answer}, tmp_path / "world", monkeypatch) as world:
        summary = run_prep(load_profile("europeana", tmp_path / "out"), limit=100)
    records = read_records(tmp_path / "out")
    piano = [record for name, record in records.items() if name.startswith("/09102/_GNM_693983")]
    assert len(piano) > 1, "all pictures of the object"
    assert all("Hammerflügel" in {each.text for each in record.captions} for record in piano)
    assert {record.rights_class for record in piano} == {"open_conditions"}
    assert {record.institution for record in piano} == {"Germanisches Nationalmuseum"}
    rejected = read_rejected(tmp_path / "out")
    assert rejected["/91949/9A7023F9DEFFEDBC5AA376AAA8F4484E12FE6904"][1] == "1 thumbnails only (see `previews`)"
    assert summary.harvested == len(records) + len(rejected)
    assert world.strays == []
    assert b"api2demo" not in b"".join(data for _, data in all_bytes(Path(tmp_path / "out")))
