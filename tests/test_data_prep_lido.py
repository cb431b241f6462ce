"""LIDO from files, zips and addresses to the shards, and what is read in a record."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers.http import Request, Response
from servers.replay import ReplayWorld, draw_picture
from servers.runs import played, read_records, read_rejected

from data_prep.config import PrepConfig
from data_prep.parse.lido import parse_lido
from data_prep.parse.parsed import Creator, Parsed, ParseError
from data_prep.parse.to_records import to_records
from data_prep.parse.xml import parse_xml
from data_prep.pipeline import run_prep
from data_prep.summary import PrepSummary
from iconoclip.errors import IconoclipError

ROOT = Path(__file__).resolve().parents[1]
HOST, IMAGES = "lido.museum.example", "images.museum.example"
CC0, BY = "http://creativecommons.org/publicdomain/zero/1.0/", "http://creativecommons.org/licenses/by/4.0/"
XMLNS = 'xmlns="http://www.lido-schema.org" xmlns:skos="http://www.w3.org/2004/02/skos/core#"'
WRAP = f'<?xml version="1.0" encoding="UTF-8"?><lidoWrap {XMLNS}>{{}}</lidoWrap>'
NOTE = "objectDescriptionSet/descriptiveNoteValue"


def tag(path: str, content: str, **attributes: str) -> str:
    """Elements inside each other (``a/b``) around the content; the first has the attributes (``_`` for a colon)."""
    more = "".join(f" {name.replace('_', ':')}='{value}'" for name, value in attributes.items())
    first, *others = path.split("/")
    inner = tag("/".join(others), content) if others else content
    return f"<{first}{more}>{inner}</{first}>"


def write_lido(
    name: str, *, descriptive: str = "", resources: str | None = None, title: str = "", record_rights: str = CC0
) -> str:
    """A record; by default of a print with one picture under CC BY."""
    title = title or f"Ansicht der Stadt Wismar, {name}"
    descriptive = descriptive or (
        tag("objectClassificationWrap/objectWorkTypeWrap/objectWorkType/term", "Druckgrafik")
        + tag("objectIdentificationWrap/titleWrap/titleSet/appellationValue", title)
    )
    if resources is None:
        resources = resource(f"https://{IMAGES}/{name}.jpg")
    record = (
        tag("recordID", "1")
        + tag("recordSource/legalBodyName/appellationValue", "Stadtmuseum")
        + tag("recordRights/rightsType/conceptID", record_rights)
    )
    administrative = tag("recordWrap", record) + tag("resourceWrap", resources)
    return tag(
        "lido",
        tag("lidoRecID", name)
        + tag("descriptiveMetadata", descriptive, xml_lang="de")
        + tag("administrativeMetadata", administrative, xml_lang="de"),
    )


def resource(*links: str, rights: str = BY, more: str = "", order: str = "") -> str:
    """A resource set; each link is ``address`` or ``kind address`` or ``kind format address``."""
    representations = []
    for link in links:
        *before, url = link.split(" ")
        target = tag("linkResource", url, **({"formatResource": before[1]} if len(before) > 1 else {}))
        representations.append(tag("resourceRepresentation", target, **({"type": before[0]} if before else {})))
    held = tag("rightsResource", tag("rightsType/conceptID", rights) + tag("creditLine", "Foto: A. Muster"))
    return tag("resourceSet", "".join(representations) + more + held, **({"sortorder": order} if order else {}))


def read(record: str) -> Parsed:
    (parsed,) = parse_lido(parse_xml(WRAP.format(record).encode()).root)
    return parsed


def read_event(event: str) -> Parsed:
    return read(write_lido("a", descriptive=tag("eventWrap/eventSet/event", event)))


PRODUCTION = tag("eventType/conceptID", "http://terminology.lido-schema.org/lido00007")


def actor(name: str, role: str = "", more: str = "", dates: str = "") -> str:
    person = tag("actor", tag("nameActorSet/appellationValue", name) + dates)
    return tag("eventActor/actorInRole", person + tag("roleActor/term", role) + more)


# --- what is read


def test_person_in_two_languages_is_one_creator() -> None:
    def section(lang: str, kind: str, actors: str) -> str:
        return tag(
            "descriptiveMetadata", tag("eventWrap/eventSet/event", tag("eventType/term", kind) + actors), xml_lang=lang
        )

    german = actor("Botticelli, Sandro", "Maler") + actor("Lippi, Filippino", "Maler")
    english = section("en", "creation", actor("Botticelli, Sandro", "painter"))
    record = tag("lido", tag("lidoRecID", "a") + english + section("de", "Herstellung", german))
    assert read(record).creators == (Creator("Botticelli, Sandro", "painter"), Creator("Lippi, Filippino", "Maler"))


@pytest.mark.parametrize(
    ("event", "creators"),
    [
        (actor("Rembrandt", "Maler", tag("attributionQualifierActor", "zugeschrieben")),
         (Creator("Rembrandt (zugeschrieben)", "Maler"),)),
        (actor("Vertue, George", "Printmaker", tag("attributionQualifierActor", "Print made by")),
         (Creator("Vertue, George", "Printmaker"),)),
        (actor("Bernini", "Bildhauer", dates=tag("vitalDatesActor", tag("earliestDate", "1598-12-07")
         + tag("latestDate", "1680-11-28"))), (Creator("Bernini", "Bildhauer", "1598-1680"),)),
        (tag("eventActor/displayActorInRole", "Porzellanfabrik Weiden (1881 - heute)"),
         (Creator("Porzellanfabrik Weiden"),)),
        (actor("Büsum", "Münzstand") + actor("Clausen", "Drucker"), (Creator("Clausen", "Drucker"),)),
    ],
)  # fmt: skip
def test_creators_are_named_as_the_museum_is_sure_of_them(event: str, creators: tuple[Creator, ...]) -> None:
    assert read_event(PRODUCTION + event).creators == creators


def test_who_ordered_a_work_is_no_maker_but_is_kept() -> None:
    parsed = read_event(PRODUCTION + actor("Starke, Paul", "Auftraggeber") + actor("Rauer, H.", "Zeichner"))
    assert [each.name for each in parsed.creators] == ["Rauer, H."]
    assert [each.name for each in parsed.contributors] == ["Starke, Paul"]


@pytest.mark.parametrize(
    ("term", "is_making"),
    [("Gezeichnet", True), ("valmistus", True), ("Production", True), ("design", True), ("Aufgenommen", True),
     ("Ausstellung", False), ("Erwerbung", False), ("Beauftragt", False), ("Restaurierung", False)],
)  # fmt: skip
def test_making_is_told_from_other_events(term: str, is_making: bool) -> None:
    parsed = read_event(tag("eventType/term", term) + tag("eventDate/displayDate", "1902"))
    assert parsed.dates == (("1902",) if is_making else ())


@pytest.mark.parametrize(
    ("first", "last", "years"),
    [("1482", "1482", (1482, 1482)), ("1921-07-01", "1921-07-31", (1921, 1921)), ("-0044", "0012", (-44, 12)),
     ("01.07.1921", "31.12.1922", (1921, 1922)), ("0", "0", (None, None)), ("9999", "", (None, None)),
     ("um 1600", "", (None, None)), ("211", "244", (211, 244))],
)  # fmt: skip
def test_years_are_those_of_the_bounds(first: str, last: str, years: tuple[int | None, int | None]) -> None:
    date = tag("earliestDate", first) + tag("latestDate", last)
    parsed = read_event(PRODUCTION + tag("eventDate/date", date))
    assert (parsed.year_min, parsed.year_max) == years


def test_labels_are_those_of_the_record_s_language() -> None:
    concept = tag("prefLabel", "painting (visual work)", xml_lang="en") + tag("prefLabel", "Gemälde", xml_lang="de")
    terms = tag("term", "Steel") + tag("term", "Stahl", xml_lang="de") + tag("term", "Metall", addedSearchTerm="yes")
    materials = "objectMaterialsTechWrap/objectMaterialsTechSet/materialsTech/termMaterialsTech"
    parsed = read(
        write_lido(
            "a",
            descriptive=tag("objectClassificationWrap/objectWorkTypeWrap/objectWorkType/Concept", concept)
            + tag(f"objectIdentificationWrap/{materials}", terms),
        )
    )
    assert (parsed.types, parsed.techniques) == (("Gemälde",), ("Stahl",))


def test_materials_are_one_text_and_the_last_step_of_a_thesaurus() -> None:
    texts = ("Nichtmetalle &gt; Papier", "Autotypie")
    sets = "".join(tag("eventMaterialsTech/displayMaterialsTech", text) for text in texts)
    assert read_event(PRODUCTION + sets).techniques == ("Papier; Autotypie",)


def test_titles_of_a_series_and_alternatives_are_kept_apart() -> None:
    def titles(kind: str, pref: str, text: str) -> str:
        return tag("titleSet", tag("appellationValue", text, pref=pref), type=kind)

    sets = (
        titles("Serientitel", "alternate", "Dejeuner mit Watteauszenen")
        + titles("Titel", "alternate", "Kanne")
        + titles("Titel", "preferred", "Kaffeekanne mit Pärchen")
    )
    parsed = read(write_lido("a", descriptive=tag("objectIdentificationWrap/titleWrap", sets)))
    assert [text.text for text in parsed.titles] == ["Kaffeekanne mit Pärchen", "Kanne"]
    assert [(text.text, text.level) for text in parsed.series] == [("Dejeuner mit Watteauszenen", "series")]


def test_only_what_says_what_is_seen_is_a_description() -> None:
    several = (("Provenienz", "Erworben 1904"), ("Urheber / Quelle", "Heimatmuseum"), ("", "Ein Messer aus Eisen."))
    notes = "".join(tag(NOTE, text, type=kind) for kind, text in several)
    sentence = (
        "Rantamaisema, jonka matalassa vedessä näkyy maalauksen etuosassa punervanharmaita kiviä sekä rantakalliota "
        "harmaansinisen vaalean veden rannalla."
    )
    terms = (sentence, "maisema, luonto, ranta-alueet")
    subjects = "".join(tag("subjectSet/subject/subjectConcept/term", term) for term in terms)
    parsed = read(
        write_lido(
            "a",
            descriptive=tag("objectIdentificationWrap/objectDescriptionWrap", notes)
            + tag("objectRelationWrap/subjectWrap", subjects),
        )
    )
    assert [text.source for text in parsed.descriptions] == ["lido:objectDescription", "lido:subject"]
    assert parsed.descriptions[0].text == "Ein Messer aus Eisen."
    assert parsed.descriptions[1].text.startswith("Rantamaisema")
    assert parsed.subjects == ("maisema", "luonto", "ranta-alueet")


def coin(*, perspectives: bool, num_pictures: int = 2) -> Parsed:
    front, back = ("Büste des Men nach rechts", "Rückseite: Ruder über einem Füllhorn")
    notes = tag(NOTE, front, type="Vorderseite") + tag(NOTE, back)
    sides = [tag("resourcePerspective/term", side) if perspectives else "" for side in ("front", "Rückseite")]
    title = tag("titleWrap/titleSet/appellationValue", "Münze aus Sardeis")
    return read(
        write_lido(
            "a",
            descriptive=tag("objectIdentificationWrap", title + tag("objectDescriptionWrap", notes)),
            resources="".join(
                resource(f"https://x.org/{n}.jpg", more=side) for n, side in enumerate(sides[:num_pictures])
            ),
        )
    )


def test_sides_of_a_coin_are_captions_of_their_pictures() -> None:
    obverse, reverse = to_records(coin(perspectives=True), source="s", language="de")
    assert [(each.text, each.level) for each in obverse.captions] == [
        ("Büste des Men nach rechts", "page"), ("Münze aus Sardeis", "object"),
    ]  # fmt: skip
    assert [each.text for each in reverse.captions] == ["Ruder über einem Füllhorn", "Münze aus Sardeis"]


def test_side_that_is_not_shown_is_not_said_of_the_one_that_is() -> None:
    (obverse,) = to_records(coin(perspectives=True, num_pictures=1), source="s", language="de")
    assert [each.text for each in obverse.captions] == ["Büste des Men nach rechts", "Münze aus Sardeis"]


def test_sides_are_said_of_the_object_where_nobody_knows_which_picture_shows_which() -> None:
    for record in to_records(coin(perspectives=False), source="s", language="de"):
        assert [each.text for each in record.captions] == [
            "Münze aus Sardeis", "Büste des Men nach rechts", "Rückseite: Ruder über einem Füllhorn",
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("links", "chosen", "is_preview"),
    [
        (("image_thumb https://x.org/t.jpg", "image_master https://x.org/m.jpg"), "https://x.org/m.jpg", False),
        (("image_preview https://x.org/p.jpg",), "https://x.org/p.jpg", True),
        (("original tif https://x.org/o.tif", "large jpg https://x.org/l.jpg"), "https://x.org/l.jpg", False),
        (("image_master image/tiff https://x.org/o", "image_preview https://x.org/p.jpg"), "https://x.org/o", False),
        (("a https://x.org/a.jpg", "b https://x.org/iiif/1/full/max/0/default.jpg"),
         "https://x.org/iiif/1/full/max/0/default.jpg", False),
        (("http://terminology.lido-schema.org/lido00451 https://x.org/m/1",
          "http://terminology.lido-schema.org/lido00464 https://x.org/d/1"), "https://x.org/d/1", False),
        (("master html https://x.org/viewer", "master jpg https://x.org/1.jpg"), "https://x.org/1.jpg", False),
        (("large json https://x.org/iiif/1/info.json",), "https://x.org/iiif/1/full/max/0/default.jpg", False),
    ],
)  # fmt: skip
def test_representation_is_the_largest_that_can_be_used(links: tuple[str, ...], chosen: str, is_preview: bool) -> None:
    (view,) = read(write_lido("a", resources=resource(*links))).views
    assert (view.url, view.preview) == (chosen, is_preview)
    assert view.iiif_service == (chosen.partition("/full/")[0] if "/iiif/" in chosen else "")


def test_film_and_sound_are_no_pictures_and_pictures_come_in_their_sort_order() -> None:
    sets = (
        resource("provided mp4 https://x.org/film.mp4", order="1") + resource("https://x.org/3.jpg", order="10")
        + resource("https://x.org/2.jpg", order="2") + resource("provided audio/mpeg https://x.org/sound", order="3")
    )  # fmt: skip
    parsed = read(write_lido("a", resources=sets))
    assert [view.url for view in parsed.views] == ["https://x.org/2.jpg", "https://x.org/3.jpg"]


def test_angle_of_a_view_is_no_caption() -> None:
    for text in (
        "Gesamtansicht (von Bernini entworfen)",
        "overall view, from front",
        "Luftaufnahme von Nordosten",
        "download",
    ):
        more = tag("resourceDescription", text)
        (record,) = to_records(read(write_lido("a", resources=resource("https://x.org/1.jpg", more=more))), source="s")
        assert [each.level for each in record.captions] == ["object"], text


def test_rights_and_credit_of_picture_and_text_are_their_own() -> None:
    (record,) = to_records(read(write_lido("a")), source="s")
    assert [(each.part, each.uri) for each in record.rights] == [("image", BY), ("metadata", CC0)]
    assert record.attribution == "Foto: A. Muster"


def test_kinds_of_right_are_no_statement() -> None:
    work = tag("rightsWorkWrap/rightsWorkSet/rightsType/term", "Nutzungsrechte")
    record = write_lido("a").replace("<recordWrap>", f"{work}<recordWrap>")
    assert {each.part for each in read(record).rights} == {"metadata"}


def test_page_for_people_goes_before_xml() -> None:
    link = tag("recordInfoLink", "https://x.org/lido?id=1", formatResource="text/xml")
    record = write_lido("a").replace("</recordRights>", f"</recordRights>{tag('recordInfoSet', link)}")
    assert read(record).landing_page == "https://x.org/lido?id=1"
    identifier = tag("objectPublishedID", "https://x.org/id/1")
    named = record.replace("<descriptiveMetadata", f"{identifier}<descriptiveMetadata", 1)
    assert read(named).landing_page == "https://x.org/id/1"


def test_iconclass_and_what_it_is_called_are_both_read() -> None:
    concept = (
        tag("conceptID", "http://iconclass.org/61B2%28FALCONET%29")
        + tag("term", "61 B 2 (FALCONET)", pref="alternative")
        + tag("term", "Porträt einer historischen Person", pref="preferred")
    )
    place = "objectRelationWrap/subjectWrap/subjectSet/subject/subjectConcept"
    parsed = read(write_lido("a", descriptive=tag(place, concept)))
    assert (parsed.iconclass, parsed.subjects) == (("61B2(FALCONET)",), ("Porträt einer historischen Person",))


def test_former_owner_is_not_the_institution() -> None:
    def repository(kind: str, name: str) -> str:
        return tag("repositorySet/repositoryName/legalBodyName/appellationValue", name, type=kind)

    sets = repository("http://terminology.lido-schema.org/lido01019", "Palazzo Medici")
    sets += repository("current", "Uffizien")
    parsed = read(write_lido("a", descriptive=tag("objectIdentificationWrap/repositoryWrap", sets)))
    assert parsed.institution == "Uffizien"


def test_document_without_a_record_is_refused() -> None:
    with pytest.raises(ParseError, match="no lido:lido in <a>"):
        parse_lido(parse_xml(b"<a><b/></a>").root)


# --- to the shards


def configure(out: Path, *, root: Path = Path(), **source: Any) -> PrepConfig:
    policy = {"requests_per_s": None, "backoff_s": 0.01, "max_backoff_s": 0.02, "max_attempts": 2}
    return PrepConfig.model_validate(
        {
            "verb": "prep", "name": "set", "out": out, "root": root, "workers": 1,
            "fetch": {"contact": "curator@library.example", "default": policy},
            "split": {"val": 0, "test": 0, "allow_one_sided": ["museum", "de"]}, "image": {"max_px": 64},
            "collections": {"museum": {"kind": "lido", "institution": "Museumsverband", "language": "de"} | source},
        }
    )  # fmt: skip


def prep(out: Path, *, limit: int | None = None, update: bool = False, **source: Any) -> PrepSummary:
    return run_prep(configure(out, **source), limit=limit, update=update)


def rejected(out: Path) -> dict[str, str]:
    return {name: f"{reason}: {detail}" for name, (reason, detail) in read_rejected(out).items()}


class Museum:
    """Gives LIDO at ``/{name}.xml`` (ten records each) and a zip of two files; ``changed`` replaces bodies."""

    world: ReplayWorld

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.changed: dict[str, Response] = {}
        self.refuse_after: int | None = None

    def __call__(self, request: Request) -> Response:
        if request.path in ("/robots.txt", "/.well-known/tdmrep.json"):
            return Response(404)
        self.asked.append(request.path)
        if self.refuse_after is not None and len(self.asked) > self.refuse_after:
            return Response(401)
        if request.path in self.changed:
            return self.changed[request.path]
        if request.path.endswith(".zip"):
            return Response(
                body=zipped({"a.xml": body("z1"), "b.xml": body("z2"), "c.txt": b"no"}),
                headers={"Content-Type": "application/zip"},
            )
        return Response(body=body(request.path[1:-4]), headers={"Content-Type": "text/xml"})


def body(name: str, count: int = 10) -> bytes:
    return WRAP.format("".join(write_lido(f"{name}-{n}") for n in range(count))).encode()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.fixture
def museum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Museum]:
    museum = Museum()
    with played({HOST: museum, IMAGES: draw_picture}, tmp_path / "world", monkeypatch) as world:
        museum.world = world
        yield museum


def test_addresses_become_shards(museum: Museum, tmp_path: Path) -> None:
    summary = prep(tmp_path / "out", documents=[f"https://{HOST}/a.xml", f"https://{HOST}/all.zip"])
    assert (summary.harvested, summary.kept_for_training) == (30, 30)
    found = read_records(tmp_path / "out")
    assert {name.partition("-")[0] for name in found} == {"a", "z1", "z2"}
    record = found["z1-3"]
    assert (record.institution, record.title, record.rights_class) == (
        "Stadtmuseum",
        "Ansicht der Stadt Wismar, z1-3",
        "open",
    )
    assert record.rights[0].source_url == f"https://{HOST}/all.zip"
    assert museum.world.strays == []


def test_folder_and_zip_of_files_are_read(museum: Museum, tmp_path: Path) -> None:
    root = tmp_path / "delivery"
    (root / "2024").mkdir(parents=True)
    (root / "2024" / "a.xml").write_bytes(body("a", 3))
    (root / "b.zip").write_bytes(zipped({"x/b.xml": body("b", 2)}))
    assert prep(tmp_path / "out", root=root, files=".").kept_for_training == 5
    assert museum.asked == []


def test_example_configuration_runs_on_an_export(museum: Museum, tmp_path: Path) -> None:
    root = tmp_path / "export"
    root.mkdir()
    (root / "a.xml").write_bytes(body("a", 3))
    given = PrepConfig.load(ROOT / "configs/prep/lido.yaml").to_json()
    fetch = {"contact": "curator@museum.example", "default": {"requests_per_s": None}}
    split = {"val": 0, "test": 0, "allow_one_sided": ["prints", "de"]}
    given |= {"out": tmp_path / "out", "root": root, "workers": 1, "split": split, "fetch": fetch}
    assert run_prep(PrepConfig.model_validate(given)).kept_for_training == 3
    assert museum.asked == []


def test_what_cannot_be_used_is_counted(museum: Museum, tmp_path: Path) -> None:
    root = tmp_path / "delivery"
    root.mkdir()
    nameless = write_lido("x").replace("<lidoRecID>x</lidoRecID>", "").replace("<recordID>1</recordID>", "")
    restricted = write_lido(
        "r", resources=resource(f"https://{IMAGES}/r.jpg", rights="http://www.europeana.eu/rights/rr-f/")
    )
    several = [write_lido("good"), nameless, restricted, write_lido("bare", resources=""),
               write_lido("thumb", resources=resource(f"image_thumb https://{IMAGES}/t.jpg"))]  # fmt: skip
    (root / "a.xml").write_bytes(WRAP.format("".join(several)).encode())
    (root / "cut.xml").write_bytes(body("cut", 4)[:-900])
    (root / "page.xml").write_bytes(b"<html><head><title>Wartung</title></head></html>")
    (root / "bad.zip").write_bytes(zipped({"deep.xml": b"<a>" + b"0" * 40_000_000 + b"</a>"}))
    summary = prep(tmp_path / "out", root=root, files=".")
    assert set(read_records(tmp_path / "out")) == {"good", "cut-0", "cut-1", "cut-2"}
    reasons = rejected(tmp_path / "out")
    assert reasons["a.xml#2"].startswith("id_missing: a.xml: record 2 has no lidoRecID")
    assert reasons["r"].startswith("rights_restricted")
    assert reasons["bare"] == "image_missing: the record names no picture"
    assert "thumbnails only" in reasons["thumb"]
    assert "breaks off after 3 whole records" in reasons["cut.xml#4"]
    assert "html_page: Wartung" in reasons["page.xml"]
    assert "bomb" in reasons["bad.zip!deep.xml"]
    assert summary.harvested == 4 + len(reasons)


def test_documents_that_fail_are_counted_and_others_go_on(museum: Museum, tmp_path: Path) -> None:
    museum.changed = {
        "/b.xml": Response(404),
        "/c.xml": Response(body=b"<html><title>Wartung</title></html>", headers={"Content-Type": "text/html"}),
        "/d.zip": Response(body=b"PK\x03\x04 damaged", headers={"Content-Type": "application/zip"}),
    }
    names = [f"https://{HOST}/{name}" for name in ("a.xml", "b.xml", "c.xml", "d.zip")]
    assert prep(tmp_path / "out", documents=names).kept_for_training == 10
    reasons = rejected(tmp_path / "out")
    assert [reasons[name].split(":")[0] for name in names[1:]] == ["fetch_failed", "fetch_failed", "row_invalid"]


def test_interrupted_harvest_goes_on_and_gives_the_same_shards(museum: Museum, tmp_path: Path) -> None:
    names = [f"https://{HOST}/{name}.xml" for name in "abcd"]
    whole = tmp_path / "whole"
    prep(whole, documents=names)
    museum.asked.clear()
    museum.refuse_after = 2
    with pytest.raises(IconoclipError, match="what came so far is kept"):
        prep(tmp_path / "out", documents=names)
    museum.refuse_after = None
    answered, asked = set(museum.asked[:2]), len(museum.asked)
    prep(tmp_path / "out", documents=names)
    assert set(museum.asked[asked:]) == {"/a.xml", "/b.xml", "/c.xml", "/d.xml"} - answered
    tars = [{path.name: path.read_bytes() for path in folder.rglob("*.tar")} for folder in (whole, tmp_path / "out")]
    assert tars[0] == tars[1]


def test_limit_and_then_all(museum: Museum, tmp_path: Path) -> None:
    names = [f"https://{HOST}/{name}.xml" for name in "abcd"]
    assert prep(tmp_path / "out", documents=names, limit=12).harvested == 12
    assert prep(tmp_path / "out", documents=names).harvested == 40
    assert set(museum.asked) == {"/a.xml", "/b.xml", "/c.xml", "/d.xml"}
    assert museum.asked.count("/a.xml") == 1  # what was on its way when the limit was reached may be asked again


def test_update_asks_again_and_takes_what_is_said_now(museum: Museum, tmp_path: Path) -> None:
    names = [f"https://{HOST}/{name}.xml" for name in "ab"]
    prep(tmp_path / "out", documents=names)
    changed = WRAP.format(write_lido("a-0", title="Der Hafen von Wismar")).encode()
    museum.changed["/a.xml"] = Response(body=changed, headers={"Content-Type": "text/xml"})
    assert prep(tmp_path / "out", documents=names).harvested == 20
    assert prep(tmp_path / "out", documents=names, update=True).harvested == 11, "what is not listed any more is gone"
    assert read_records(tmp_path / "out")["a-0"].title == "Der Hafen von Wismar"
