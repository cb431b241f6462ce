"""IIIF collections from manifests, collections, searches and streams to the shards: news, breaks, bad answers."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers.http import Response
from servers.iiif_library import Library, change, make_collection, make_manifest, make_stream
from servers.replay import ReplayWorld
from servers.runs import played, playing, read_records

from data_prep.config import PrepConfig
from data_prep.ledger import read_rejected
from data_prep.pipeline import run_prep
from data_prep.summary import PrepSummary
from iconoclip.errors import IconoclipError

BASE = "https://iiif.example.org"
Start = Callable[..., ReplayWorld]


@pytest.fixture
def library() -> Library:
    return Library()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: Library) -> Iterator[ReplayWorld]:
    hosts = ("iiif.example.org", "images.example.org", "openapi.bnf.fr", "images.bnf.fr")
    with played(dict.fromkeys(hosts, library), tmp_path / "world", monkeypatch) as here:
        yield here


def configure(out: Path, **source: Any) -> PrepConfig:
    policy = {"requests_per_s": None, "backoff_s": 0.01, "max_backoff_s": 0.02, "max_attempts": 2}
    collection = {
        "kind": "iiif", "institution": "Example Library", "language": "en",
        "rights": {"text": {"value": "CC0 1.0", "asserted_by": "Example Library", "source_url": BASE}},
    }  # fmt: skip
    return PrepConfig.model_validate(
        {
            "verb": "prep", "name": "set", "out": out, "workers": 1, "root": out.parent,
            "fetch": {"contact": "curator@library.example", "default": policy},
            "split": {"val": 0, "test": 0.3, "allow_one_sided": ["example", "en", "fr", "und"]},
            "image": {"max_px": 64}, "dedup": {"max_distance": 0}, "collections": {"example": collection | source},
        }
    )  # fmt: skip


def prep(out: Path, *, update: bool = False, limit: int | None = None, **source: Any) -> PrepSummary:
    return run_prep(configure(out, **source), update=update, limit=limit)


def manifest_url(number: int) -> str:
    return f"{BASE}/{number}/manifest.json"


def put_manifests(library: Library, *numbers: int, **more: Any) -> list[str]:
    for number in numbers:
        library.put(manifest_url(number), make_manifest(manifest_url(number), f"The lion of house {number}", **more))
    return [manifest_url(number) for number in numbers]


def read_reasons(out: Path) -> dict[str, str]:
    return {each.id: f"{each.reason}: {each.detail}" for each in read_rejected(out)}


def test_list_of_manifests_becomes_shards(world: ReplayWorld, library: Library, tmp_path: Path) -> None:
    urls = put_manifests(library, 1, labels=("Lion rampant", "12v"))
    urls += put_manifests(library, 2, version=3)
    summary = prep(tmp_path / "out", manifests=urls)
    assert (summary.harvested, summary.kept_for_training) == (3, 3)
    records = read_records(tmp_path / "out")
    assert set(records) == {urls[0], f"{urls[0]}#2", urls[1]}
    first, second, third = records[urls[0]], records[f"{urls[0]}#2"], records[urls[1]]
    assert [(caption.text, caption.level) for caption in first.captions] == [
        ("Lion rampant", "page"), ("The lion of house 1", "object"),
    ]  # fmt: skip
    assert [caption.text for caption in second.captions] == ["The lion of house 1"]
    assert first.work_group == second.work_group != third.work_group
    assert (third.width, third.height, third.orig_width) == (64, 48, 1600)
    assert first.rights_class == "public_domain"
    assert all("/full/!64,64/" in target for target in world.pictures("images.example.org"))
    assert world.strays == []


def test_text_file_of_identifiers_is_a_list(world: ReplayWorld, library: Library, tmp_path: Path) -> None:
    put_manifests(library, 1, 2, 3)
    source: dict[str, Any] = {"manifests": "ids.txt", "template": f"{BASE}/{{id}}/manifest.json"}
    (tmp_path / "ids.txt").write_text("# postcards\n1\n2 # the second\n\n1\n")
    assert prep(tmp_path / "out", **source).kept_for_training == 2
    sent = len(library.sent)
    (tmp_path / "ids.txt").write_text("1\n2\n3\n")
    assert prep(tmp_path / "out", **source).kept_for_training == 3
    assert [place for place in library.sent[sent:] if place.endswith("json")] == ["iiif.example.org/3/manifest.json"]


def test_collection_of_three_levels_with_a_cycle_is_walked_once(
    world: ReplayWorld, library: Library, tmp_path: Path
) -> None:
    put_manifests(library, 1, 2, 3, 4)
    top, middle, bottom = (f"{BASE}/{name}.json" for name in ("top", "middle", "bottom"))
    library.put(top, make_collection(top, collections=[middle, top], manifests=[manifest_url(1)]))
    library.put(middle, make_collection(middle, collections=[bottom, top], members=[{"@id": manifest_url(2)}]))
    # As the National Library of Scotland serves some: a comma too many. The cycle goes by http.
    text = json.dumps(make_collection(bottom, manifests=[manifest_url(3), manifest_url(1)], collections=[middle]))
    library.put(
        bottom, text.replace("]}", ",]}").replace(f'"{middle}"', f'"{middle.replace("https", "http")}"').encode()
    )
    summary = prep(tmp_path / "out", collections=[top])
    assert set(read_records(tmp_path / "out")) == {manifest_url(number) for number in (1, 2, 3)}
    assert summary.rejected == {}
    asked = [place for place in library.sent if place.endswith(".json")]
    assert len(asked) == len(set(asked)) == 6


def test_pages_embedded_collections_and_bare_addresses_are_read(
    world: ReplayWorld, library: Library, tmp_path: Path
) -> None:
    put_manifests(library, *range(1, 8), version=3)
    top, pages, untyped = f"{BASE}/top", [f"{BASE}/top?page={number}" for number in (1, 2, 3)], f"{BASE}/untyped"
    library.put(top, {"type": "Collection", "id": top, "first": {"id": pages[0]}, "totalItems": 7})
    embedded = {"type": "Collection", "id": f"{BASE}/nowhere", "items": [{"type": "Manifest", "id": manifest_url(2)}]}
    library.put(pages[0], {"type": "Collection", "items": [manifest_url(1), embedded, untyped], "next": pages[1]})
    canvas = {"type": "Canvas", "id": f"{BASE}/canvas/1"}
    members = [{"type": "Manifest", "id": manifest_url(number)} for number in (3, 4)]
    library.put(pages[1], {"type": "Collection", "items": [*members, canvas], "next": {"id": pages[2]}, "first": top})
    # the last page names itself as the next one for ever
    last = {"type": "Collection", "items": [{"type": "Manifest", "id": manifest_url(5)}]}
    for number in range(3, 9):
        library.put(f"{BASE}/top?page={number}", last | {"next": f"{BASE}/top?page={number + 1}"})
    library.put(untyped, {"type": "Collection", "items": [{"type": "Manifest", "id": manifest_url(6)}]})
    summary = prep(tmp_path / "out", collections=[top])
    assert set(read_records(tmp_path / "out")) == {manifest_url(number) for number in range(1, 7)}
    assert summary.rejected == {}
    assert "iiif.example.org/top?page=4" in library.sent
    assert "iiif.example.org/top?page=5" not in library.sent


def test_skip_and_only_choose_before_anything_is_asked(world: ReplayWorld, library: Library, tmp_path: Path) -> None:
    put_manifests(library, 1, 2, 3)
    top, papers = f"{BASE}/top.json", f"{BASE}/newspapers.json"
    listed = [{"@id": manifest_url(number), "label": f"{kind} {number}"} for number, kind in
              ((1, "Map of Fife"), (2, "Portrait"), (3, "Map of Skye"))]  # fmt: skip
    library.put(top, make_collection(top, collections=[papers], members=listed))
    prep(tmp_path / "out", collections=[top], only="Map of", skip="newspapers|Skye")
    assert set(read_records(tmp_path / "out")) == {manifest_url(1)}
    assert [place for place in library.sent if place.endswith("json")] == [
        "iiif.example.org/top.json", "iiif.example.org/1/manifest.json",
    ]  # fmt: skip


def test_search_of_the_bodleian_is_read_page_by_page(world: ReplayWorld, library: Library, tmp_path: Path) -> None:
    put_manifests(library, 1, 2)
    pages = [f"{BASE}/search/?q=lion", f"{BASE}/search/?page=2&q=lion"]
    for number, url in enumerate(pages, 1):
        member = {"type": "Object", "id": f"{BASE}/objects/{number}/", "manifest": {"id": manifest_url(number)},
                  "displayFields": {"title": ["A <em>lion</em>"]}}  # fmt: skip
        view = {"type": "PartialCollectionView", "totalPages": 2} | ({"next": pages[1]} if number == 1 else {})
        library.put(url, {"totalItems": 2, "view": view, "member": [member]}, "application/ld+json")
    summary = prep(tmp_path / "out", search=pages[0])
    assert summary.kept_for_training == 2
    assert library.accepts["iiif.example.org/search/?q=lion"].startswith("application/ld+json")
    assert library.accepts["iiif.example.org/1/manifest.json"].startswith("application/json")


def test_accept_asks_for_one_version(world: ReplayWorld, library: Library, tmp_path: Path) -> None:
    profile = 'application/ld+json;profile="http://iiif.io/api/presentation/3/context.json"'
    prep(tmp_path / "out", manifests=put_manifests(library, 1), accept=profile)
    assert library.accepts["iiif.example.org/1/manifest.json"] == profile


def test_update_asks_whether_manifests_changed_and_forgets_what_vanished(
    world: ReplayWorld, library: Library, tmp_path: Path
) -> None:
    put_manifests(library, 1, 2, 3)
    top = f"{BASE}/top.json"
    library.put(top, make_collection(top, manifests=[manifest_url(number) for number in (1, 2, 3)]))
    assert prep(tmp_path / "out", collections=[top]).kept_for_training == 3
    sent, pictures = len(library.sent), len(world.pictures("images.example.org"))
    assert prep(tmp_path / "out", collections=[top]).kept_for_training == 3
    assert len(library.sent) == sent
    put_manifests(library, 4)
    library.put(manifest_url(2), make_manifest(manifest_url(2), "The unicorn of house 2"))
    library.put(top, make_collection(top, manifests=[manifest_url(number) for number in (1, 2, 4)]))
    summary = prep(tmp_path / "out", collections=[top], update=True)
    assert summary.harvested == 3
    records = read_records(tmp_path / "out")
    assert set(records) == {manifest_url(number) for number in (1, 2, 4)}
    assert records[manifest_url(2)].title == "The unicorn of house 2"
    assert library.sent[sent:] == [
        "iiif.example.org/top.json", "iiif.example.org/2/manifest.json", "iiif.example.org/4/manifest.json",
    ]  # fmt: skip
    assert library.unchanged == ["iiif.example.org/1/manifest.json"]
    assert len(world.pictures("images.example.org")) == pictures + 1


STREAM = f"{BASE}/activity/all-changes"


def put_stream(library: Library, *pages: list[dict[str, Any]]) -> None:
    for url, content in make_stream(STREAM, *pages).items():
        library.put(url, content)


def test_stream_is_read_backwards_and_its_last_word_counts(
    world: ReplayWorld, library: Library, tmp_path: Path
) -> None:
    put_manifests(library, 1, 2, 3, 4, 5, 6)
    put_stream(
        library,
        [change("Create", manifest_url(9), "2025-01-01T00:00:00Z")],  # before the refresh: of no interest
        [
            change("Refresh", time="2026-01-01T00:00:00Z"),
            change("Create", manifest_url(1), "2026-01-02T00:00:00Z"),
            change("Delete", manifest_url(2), "2026-01-03T00:00:00Z"),  # and published again below
            change("Create", manifest_url(3), "2026-01-04T00:00:00Z"),  # and deleted below
        ],
        [
            change("Add", manifest_url(4), "2026-02-01T00:00:00Z"),
            change("Create", f"{BASE}/collection", "2026-02-01T00:00:00Z", object_type="Collection"),
            change("Update", manifest_url(2), "2026-02-02T00:00:00Z"),
            change("Delete", manifest_url(3), "2026-02-03T00:00:00Z"),
            change("Move", manifest_url(5), "2026-02-04T00:00:00Z", target=manifest_url(6)),
        ],
    )
    summary = prep(tmp_path / "out", changes=STREAM)
    assert set(read_records(tmp_path / "out")) == {manifest_url(number) for number in (1, 2, 4, 6)}
    assert summary.rejected == {"deleted": 2}  # 3 and 5
    assert f"{STREAM}/page-0".removeprefix("https://") not in library.sent
    asked = {place for place in library.sent if "manifest" in place}
    assert asked == {f"iiif.example.org/{number}/manifest.json" for number in (6, 2, 4, 1)}


def test_update_reads_the_stream_back_to_the_last_run(world: ReplayWorld, library: Library, tmp_path: Path) -> None:
    put_manifests(library, 1, 2, 3, 4, 5)
    old = [change("Create", manifest_url(number), f"2026-01-0{number}T00:00:00Z") for number in (1, 2)]
    older = [change("Create", manifest_url(number), f"2025-01-0{number}T00:00:00Z") for number in (3, 4)]
    put_stream(library, older, old)
    assert prep(tmp_path / "out", changes=STREAM).kept_for_training == 4
    library.put(manifest_url(1), make_manifest(manifest_url(1), "The unicorn of house 1"))
    news = [
        change("Update", manifest_url(1), "2099-01-01T00:00:00Z"),
        change("Remove", manifest_url(2).replace("https", "http"), "2099-01-02T00:00:00Z"),
        change("Create", manifest_url(5), "2099-01-03T00:00:00Z"),
    ]
    put_stream(library, older, old, news)
    sent = len(library.sent)
    summary = prep(tmp_path / "out", changes=STREAM, update=True)
    records = read_records(tmp_path / "out")
    assert set(records) == {manifest_url(number) for number in (1, 3, 4, 5)}
    assert records[manifest_url(1)].title == "The unicorn of house 1"
    assert summary.rejected == {"deleted": 1}
    asked = {place.removeprefix("iiif.example.org/") for place in library.sent[sent:] if "images" not in place}
    assert asked == {"activity/all-changes", "activity/all-changes/page-2", "5/manifest.json", "1/manifest.json"}
    assert library.unchanged == ["iiif.example.org/activity/all-changes/page-1"]


def test_update_behind_a_refresh_still_honours_deletions(world: ReplayWorld, library: Library, tmp_path: Path) -> None:
    put_manifests(library, 1, 2, 3)
    first = [change("Create", manifest_url(number), f"2026-01-0{number}T00:00:00Z") for number in (1, 2)]
    put_stream(library, first)
    prep(tmp_path / "out", changes=STREAM)
    news = [
        change("Delete", manifest_url(2), "2099-01-01T00:00:00Z"),
        change("Update", manifest_url(3), "2099-01-02T00:00:00Z"),  # behind the refresh only deletions count
        change("Refresh", time="2099-02-01T00:00:00Z"),
        change("Update", manifest_url(1), "2099-02-02T00:00:00Z"),
    ]
    put_stream(library, first, news)
    prep(tmp_path / "out", changes=STREAM, update=True)
    assert set(read_records(tmp_path / "out")) == {manifest_url(1)}


def test_stream_without_times_is_read_as_a_whole(world: ReplayWorld, library: Library, tmp_path: Path) -> None:
    put_manifests(library, 1, 2, 3)
    put_stream(library, [change("Update", manifest_url(number)) for number in (1, 2)])
    prep(tmp_path / "out", changes=STREAM)
    put_stream(library, [change("Update", manifest_url(number)) for number in (2, 3)])
    prep(tmp_path / "out", changes=STREAM, update=True)
    assert set(read_records(tmp_path / "out")) == {manifest_url(2), manifest_url(3)}
    assert "iiif.example.org/2/manifest.json" in library.unchanged


def test_interrupted_walk_goes_on_where_it_was(world: ReplayWorld, library: Library, tmp_path: Path) -> None:
    put_manifests(library, 1, 2, 3)
    top, inner = f"{BASE}/top.json", f"{BASE}/inner.json"
    library.put(top, make_collection(top, manifests=[manifest_url(1), manifest_url(2)], collections=[inner]))
    library.put(inner, Response(503))
    with pytest.raises(IconoclipError, match=r"inner[.]json: http_5xx.*run the same command again"):
        prep(tmp_path / "out", collections=[top])
    sent = len(library.sent)
    library.put(inner, make_collection(inner, manifests=[manifest_url(3)]))
    assert prep(tmp_path / "out", collections=[top]).kept_for_training == 3
    assert [place for place in library.sent[sent:] if "images" not in place] == [
        "iiif.example.org/inner.json", "iiif.example.org/3/manifest.json",
    ]  # fmt: skip


def test_limit_takes_few_and_the_full_run_goes_on(world: ReplayWorld, library: Library, tmp_path: Path) -> None:
    numbers = range(1, 7)
    put_manifests(library, *numbers)
    top, parts = f"{BASE}/top.json", [f"{BASE}/part-{number}.json" for number in (1, 2, 3)]
    library.put(top, make_collection(top, collections=parts))
    for part, pair in zip(parts, ((1, 2), (3, 4), (5, 6)), strict=True):
        library.put(part, make_collection(part, manifests=[manifest_url(number) for number in pair]))
    assert prep(tmp_path / "out", collections=[top], limit=3).harvested == 3
    assert "iiif.example.org/part-3.json" not in library.sent
    assert prep(tmp_path / "out", collections=[top]).harvested == 6
    asked = [place for place in library.sent if place.endswith("json")]
    on_its_way = "iiif.example.org/4/manifest.json"  # when the limit was reached: it alone may be asked for twice
    assert {place for place in asked if asked.count(place) > 1} <= {on_its_way}


def test_bad_answers_become_records_with_their_reasons(world: ReplayWorld, library: Library, tmp_path: Path) -> None:
    put_manifests(library, 1)
    bad = {number: manifest_url(number) for number in range(2, 11)}
    library.put(bad[2], Response(404))
    library.put(bad[3], b"<!doctype html><title>Maintenance</title>", "text/html")
    library.put(bad[4], b'{"@type": "sc:Manifest", "label": "cut off')
    library.put(bad[5], make_manifest(bad[5], "Without canvases", labels=()))
    library.put(bad[6], {"@id": bad[6], "@type": "sc:Collection", "manifests": []})
    library.put(bad[7], {"some": "thing"})
    for number, address in ((8, "file:///etc/passwd"), (9, "http://192.168.0.7/scan.jpg")):
        value = make_manifest(bad[number], "The lion behind the wall")
        resource = {"@id": address, "@type": "dctypes:Image", "format": "image/jpeg"}
        value["sequences"][0]["canvases"][0]["images"][0]["resource"] = resource
        library.put(bad[number], value)
    value = make_manifest(bad[10], "A lion in a list")
    top, gone = f"{BASE}/top.json", f"{BASE}/gone.json"
    library.put(bad[10], value)
    library.put(top, make_collection(top, manifests=[bad[10], "file:///etc/passwd", "http://10.0.0.1/m.json"],
                                     collections=[gone, "https://gallica.bnf.fr/services/x"]))  # fmt: skip
    summary = prep(tmp_path / "out", manifests=[manifest_url(1), *(bad[number] for number in range(2, 10))],
                   collections=[top])  # fmt: skip
    assert set(read_records(tmp_path / "out")) == {manifest_url(1), bad[10]}
    reasons = read_reasons(tmp_path / "out")
    for name, text in {
        bad[2]: "fetch_failed: http_404",
        bad[3]: "fetch_failed: unexpected_content: JSON was asked for, html came",
        bad[4]: "row_invalid: https://iiif.example.org/4/manifest.json: broken_json",
        bad[5]: "image_missing: the record names no picture",
        bad[6]: "row_invalid: https://iiif.example.org/6/manifest.json: a collection; name it under",
        bad[7]: "row_invalid: https://iiif.example.org/7/manifest.json: unknown_format",
        bad[8]: "image_missing: file:///etc/passwd: only http and https",
        bad[9]: "fetch_failed: unsafe_url: 192.168.0.7 is a private address",
        gone: "fetch_failed: http_404",
        "http://10.0.0.1/m.json": "fetch_failed: unsafe_url: 10.0.0.1 is a private address",
        "file:///etc/passwd": "row_invalid: file:///etc/passwd: not an address that is ever asked for",
        "https://gallica.bnf.fr/services/x": "row_invalid: https://gallica.bnf.fr/services/x: not an address",
    }.items():
        assert reasons.pop(name).startswith(text)
    assert reasons == {}
    assert summary.harvested == 14
    assert world.strays == []


def test_gallica_is_never_asked(world: ReplayWorld, library: Library, tmp_path: Path) -> None:
    arks = [f"ark:/12148/btv1b{number:08d}" for number in range(1, 5)]
    for number, ark in enumerate(arks, 1):
        url = f"https://openapi.bnf.fr/iiif/presentation/v3/{ark}/manifest.json"
        value = make_manifest(
            f"https://gallica.bnf.fr/iiif/{ark}/manifest.json", f"Château {number}", version=number % 2 + 2
        )
        text = json.dumps(value).replace("https://images.bnf.fr/", f"https://gallica.bnf.fr/iiif/{ark}/f1?")
        text = text.replace(text[text.index("f1?") : text.index("f1?") + 15], "f1")
        library.put(url, text.encode())
    top = f"{BASE}/top.json"
    library.put(
        top, make_collection(top, manifests=[f"https://gallica.bnf.fr/iiif/{ark}/manifest.json" for ark in arks[:2]])
    )
    put_stream(
        library, [change("Create", f"http://gallica.bnf.fr/iiif/{arks[3]}/manifest.json", "2026-01-01T00:00:00Z")]
    )
    listed = [f"https://gallica.bnf.fr/iiif/{arks[2]}/manifest.json"]
    assert prep(tmp_path / "one", collections=[top], manifests=listed).kept_for_training == 3
    assert prep(tmp_path / "two", changes=STREAM).kept_for_training == 1
    pictures = world.pictures("openapi.bnf.fr")
    assert len(pictures) == 4
    assert all(target.startswith("/iiif/image/v3/ark:/12148/btv1b") for target in pictures)
    assert world.strays == []


def test_saved_manifests_are_read_from_a_folder(world: ReplayWorld, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    folder.mkdir()
    for number in (1, 2):
        value = make_manifest(manifest_url(number), f"The lion of house {number}")
        (folder / f"{number}.json").write_text(json.dumps(value))
    (folder / "collection.json").write_text(json.dumps(make_collection(f"{BASE}/top", manifests=[manifest_url(1)])))
    summary = prep(tmp_path / "out", files="saved")
    assert (summary.harvested, summary.kept_for_training) == (2, 2)
    assert world.asked("iiif.example.org") == []


def test_pages_that_show_nothing_are_skipped_by_their_labels(
    world: ReplayWorld, library: Library, tmp_path: Path
) -> None:
    labels = ("Einband", "Farbkarte", "1r", "blank", "2r", "plat inférieur")
    urls = put_manifests(library, 1, labels=labels)
    urls += put_manifests(library, 2, labels=("cover",))
    summary = prep(tmp_path / "out", manifests=urls, pages={"skip": "(?i)einband|plat|blank|cover|farbkarte"})
    assert set(read_records(tmp_path / "out")) == {f"{manifest_url(1)}#3", f"{manifest_url(1)}#5"}
    assert summary.rejected == {"not_selected": 1}
    assert summary.outside == {"example": 4}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({}, "give `manifests`, `collections` or `search`"),
        ({"manifests": [f"{BASE}/1"], "changes": STREAM}, "give `manifests`"),
        ({"collections": ["https://gallica.bnf.fr/iiif/collection"]}, "ask openapi.bnf.fr"),
        ({"manifests": ["btv1b84546905"]}, "template"),
        ({"manifests": ["1"], "template": f"{BASE}/manifest.json"}, "template makes addresses"),
        ({"changes": "ftp://example.org/changes"}, "no http"),
        ({"collections": [f"{BASE}/top"], "skip": "("}, "not a regular expression"),
    ],
)
def test_mistakes_in_the_configuration_say_what_to_do(tmp_path: Path, source: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        configure(tmp_path / "out", **source)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "No such file"), ("# nothing\n", "holds no address"), ("btv1b84546905\n", "no http")],
)
def test_list_that_cannot_be_read_says_so(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "list.txt").write_text(content)
    with pytest.raises(IconoclipError, match=message):
        prep(tmp_path / "out", manifests="list.txt")


def test_stream_that_is_none_stops_the_walk(world: ReplayWorld, library: Library, tmp_path: Path) -> None:
    library.put(STREAM, make_collection(STREAM, manifests=[]))
    with pytest.raises(IconoclipError, match="is no change stream"):
        prep(tmp_path / "out", changes=STREAM)
    library.put(STREAM, {"type": "OrderedCollection", "id": STREAM})
    with pytest.raises(IconoclipError, match="names no last page"):
        prep(tmp_path / "two", changes=STREAM)


@pytest.fixture
def real(shared_data: Path) -> Callable[[str], Path]:
    """The stored answer whose name holds a text."""
    folder = shared_data / "responses" / "iiif"

    def find(part: str) -> Path:
        (path,) = [path for path in folder.glob("presentation?/*/*.json") if part in path.name]
        return path

    return find


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: Library) -> Iterator[Start]:
    """``play(host, ...)``: a world in which the library plays these hosts."""
    with playing(tmp_path, monkeypatch) as play:
        yield lambda *hosts: play(dict.fromkeys(hosts, library))


FREE = {"value": "CC BY 4.0", "asserted_by": "the test", "source_url": BASE}


@pytest.mark.real
def test_real_collections_of_vogue_lead_to_pictures_at_openapi(
    play: Start, library: Library, real: Callable[[str], Path], tmp_path: Path
) -> None:
    world = play("raw.githubusercontent.com", "openapi.bnf.fr")
    place = "https://raw.githubusercontent.com/altomator/IIIF/main/collection/vogue-avec-ocr"
    for name in ("cb343833568", *(f"cb343833568-{year}" for year in (1920, 1921, 1928, 1936, 1938, 1940))):
        library.put(f"{place}/{name}.json", real(f"vogue-avec-ocr__{name}.json"))
    manifest = "https://openapi.bnf.fr/iiif/presentation/v3/ark:/12148/bpt6k9604118j/manifest.json"
    library.put(manifest, real("gallica.bnf.fr__altomator+IIIF__manifests__bpt6k9604118j"))
    source: dict[str, Any] = {"collections": [f"{place}/cb343833568.json"], "language": "fr", "institution": "BnF"}
    pages = {"skip": "(?i)plat|garde|^np$", "most": 3}
    summary = prep(tmp_path / "out", pages=pages, rights={"text": FREE}, **source)
    # 9 issues, of which the answer of one is there: three of its pages
    assert (summary.harvested, summary.kept_for_training) == (11, 3)
    assert summary.rejected == {"fetch_failed": 8}
    for record in read_records(tmp_path / "out").values():
        assert record.captions[0].text == record.title == "Vogue"
        assert record.captions[0].lang == "fr"
        assert record.date_text == "15 juin 1920"
        assert record.id.startswith("https://gallica.bnf.fr/iiif/ark:/12148/bpt6k9604118j/manifest.json#")
    assert len(world.pictures("openapi.bnf.fr")) == 3
    assert world.strays == []


@pytest.mark.real
def test_real_collection_of_version_3_becomes_shards(
    play: Start, library: Library, real: Callable[[str], Path], tmp_path: Path
) -> None:
    world = play("iiif.io")
    place = "https://iiif.io/api/cookbook/recipe/0318-navPlace-navDate"
    library.put(f"{place}/collection.json", real("cookbook__0318-navPlace-navDate-collection"))
    for number in range(1, 6):
        library.put(f"{place}/manifest-{number}.json", real(f"0318-navPlace-navDate__manifest-{number}"))
    source: dict[str, Any] = {"collections": [f"{place}/collection.json"], "rights": {"text": FREE, "image": FREE}}
    prep(tmp_path / "out", **source)
    records = read_records(tmp_path / "out")
    assert {record.title: record.date_text for record in records.values()} == {
        "Castel Sant'Angelo, Rome": "1776", "The Colosseum": "1776", "The Temple of Vesta, Rome, 1849": "1849",
        "The Arch of Titus from the Forum, Rome, ca. 1725": "1725", "A View of Trajan's Forum, Rome, 1821": "1821",
    }  # fmt: skip
    assert set(records) == {f"{place}/manifest-{number}.json" for number in range(1, 6)}
    assert world.strays == []


@pytest.mark.real
def test_real_highlights_are_captioned_page_by_page(
    play: Start, library: Library, real: Callable[[str], Path], tmp_path: Path
) -> None:
    play("media.nga.gov")
    url = "https://media.nga.gov/public/manifests/nga_highlights.json"
    library.put(url, real("media.nga.gov__IIIF-Commons+parser"))
    prep(tmp_path / "out", manifests=[url], rights={"text": FREE, "image": FREE}, work_from="{page}", captions=["page"])
    records = read_records(tmp_path / "out")
    assert len(records) == 26
    assert {caption.text for record in records.values() for caption in record.captions} >= {
        "Watson and the Shark", "Wivenhoe Park, Essex", "The Feast of the Gods",
    }  # fmt: skip


@pytest.mark.real
def test_real_collection_that_points_into_a_private_network_is_counted(
    play: Start, library: Library, real: Callable[[str], Path], tmp_path: Path
) -> None:
    world = play("digital.library.villanova.edu", "iiif.example.org", "images.example.org")
    top = "http://digital.library.villanova.edu/Collection/vudl:3/IIIF"
    library.put(top, real("fixtures__nested-top"))
    prep(tmp_path / "out", collections=[top], manifests=put_manifests(library, 1))
    (reason,) = read_reasons(tmp_path / "out").values()
    assert reason.startswith("fetch_failed: unsafe_url: localhost is a private address")
    assert world.strays == []
