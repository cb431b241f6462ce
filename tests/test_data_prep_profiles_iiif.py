"""Profiles of libraries, replayed from records to shards: BnF, British Library, ÖNB, NLS, Bodleian, SBB, Rijksmuseum.

The very files of ``configs/prep`` are run; only `out`, contact, rates and limit are others.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers.iiif_library import Library, change
from servers.library_shapes import (
    akon,
    bodleian,
    bodleian_stream,
    british_library,
    nls_address,
    nls_collection,
    nls_manifest,
    rijksmuseum,
)
from servers.oai import OaiRecord, OaiRepository, write_dc
from servers.replay import draw_picture
from servers.runs import Play, playing, read_records

from data_prep.config import PrepConfig
from data_prep.ledger import read_rejected
from data_prep.parse.iiif import parse_manifest
from data_prep.parse.json import parse_json
from data_prep.permissions import permit, tightened
from data_prep.pipeline import run_prep
from data_prep.sources.web import PagesRule, WebSource
from data_prep.summary import PrepSummary
from iconoclip.config import read_data
from iconoclip.records import Record

PROFILES = Path(__file__).resolve().parents[1] / "configs" / "prep"
NAMES = ("bnf", "bnf_manifests", "british_library", "oenb", "nls", "bodleian", "sbb", "rijksmuseum")
PDM = "http://creativecommons.org/publicdomain/mark/1.0/"


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    """``play({host: answer})``: a world of these hosts."""
    with playing(tmp_path, monkeypatch) as play:
        yield play


def load(name: str, out: Path) -> PrepConfig:
    """The profile, asked as fast as answers come."""
    path = PROFILES / f"{name}.yaml"
    data: dict[str, Any] = read_data(path)
    data |= {"out": str(out), "workers": 1}
    for policy in data["fetch"]["hosts"].values():
        policy |= {"requests_per_s": None, "backoff_s": 0.01, "max_backoff_s": 0.02, "max_attempts": 2}
    data["fetch"]["contact"] = "curator@library.example"
    return PrepConfig.validate_data(data, where=str(path))


def prep(name: str, out: Path, *, limit: int | None = 100, update: bool = False) -> PrepSummary:
    return run_prep(load(name, out), limit=limit, update=update)


def captions(record: Record) -> list[tuple[str, str, str]]:
    return [(caption.text, caption.lang, caption.level) for caption in record.captions]


def find_manifest(shared_data: Path, part: str) -> Path:
    """The stored manifest whose file's name has this part."""
    folder = shared_data / "responses" / "iiif"
    (path,) = [path for path in folder.glob("presentation?/manifests/*.json") if part in path.name]
    return path


@pytest.mark.parametrize("name", NAMES)
def test_profile_says_what_a_library_and_a_user_want_to_know(name: str) -> None:
    text = (PROFILES / f"{name}.yaml").read_text()
    for word in ("Replayed on 2026-11-20", "not run live", "Terms", "ate: ", "Identifiers: ", "Quirks: ", "Expect: "):
        assert word in text or (name == "bnf_manifests" and word == "ate: ")
    config = PrepConfig.load(PROFILES / f"{name}.yaml")
    assert config.fetch.contact is None, "who harvests says so"
    for source in config.collections.values():
        assert isinstance(source, WebSource)
        assert source.terms is not None
    for policy in config.fetch.hosts.values():
        assert policy.requests_per_s is not None
        assert policy.requests_per_s <= 2


GALLICA = {
    "btv1b84546905": ("Vue du Pont-Neuf : [estampe] / Dupont", "domaine public"),
    "btv1b84546913": ("[Le lion et la souris] : [dessin]", "domaine public"),
    "btv1b84546921": ("Portrait de l'actrice : [photographie]", "conditions spécifiques d'utilisation"),
}  # fmt: skip


def test_bnf_takes_records_from_oai_and_pictures_from_openapi(play: Play, tmp_path: Path) -> None:
    records = [
        OaiRecord(
            f"oai:bnf.fr:gallica/ark:/12148/{ark}",
            f"2026-01-0{day}T00:00:00Z",
            write_dc(
                title=title,
                creator="Dupont, Jean (1801-1870). Graveur",
                date="1850",
                type=["image fixe", "still image"],
                identifier=f"https://gallica.bnf.fr/ark:/12148/{ark}",
                rights=[rights, "public domain"][: 1 + (day < 3)],
                description=["Appartient à l'ensemble documentaire : Paris", "Numérisation d'un original"],
                source="Bibliothèque nationale de France, département Estampes et photographie, EST EF-23",
            ),
        )
        for day, (ark, (title, rights)) in enumerate(GALLICA.items(), 1)
    ]
    repository = OaiRepository(records)
    world = play({"oai.bnf.fr": repository, "openapi.bnf.fr": draw_picture})
    summary = prep("bnf", tmp_path / "out")
    assert summary.rejected == {"rights_restricted": 1}
    kept = read_records(tmp_path / "out")
    assert {captions(record)[0] for record in kept.values()} == {
        ("Vue du Pont-Neuf", "fr", "object"), ("[Le lion et la souris]", "fr", "object"),
    }  # fmt: skip
    table = tightened(load("bnf", tmp_path).rights.policy)
    assert {permit(record, table).redistribute for record in kept.values()} == {"non_commercial"}
    assert repository.asked[1]["set"] == "gallica:typedoc:images"
    assert repository.asked[1]["metadataPrefix"] == "oai_dc"
    pictures = world.pictures("openapi.bnf.fr")
    assert sorted(pictures) == [
        f"/iiif/image/v3/ark:/12148/{ark}/f1/full/!512,512/0/default.jpg" for ark in sorted(GALLICA)[:2]
    ]
    assert world.strays == []


@pytest.mark.real
def test_bnf_manifests_gives_pages_without_bindings(play: Play, shared_data: Path, tmp_path: Path) -> None:
    library = Library()
    arks = {
        "btv1b530951918": "btv1b530951918",
        "btv1b530952065": "btv1b530952065",
        "gallica_propvals_without_language": "btv1b7100627v",
        "IIIF__manifests__bpt6k9604118j.json": "bpt6k9604118j",
    }
    for part, ark in arks.items():
        path = find_manifest(shared_data, part)
        library.put(f"https://openapi.bnf.fr/iiif/presentation/v3/ark:/12148/{ark}/manifest.json", path)
    world = play({"openapi.bnf.fr": library})
    summary = prep("bnf_manifests", tmp_path / "out")
    assert summary.harvested == 82  # two maps, 40 pages of a manuscript, 40 of Vogue
    records = read_records(tmp_path / "out")
    assert len(records) == summary.kept_for_training + summary.kept_for_evaluation
    reims = next(record for record in records.values() if "Reims" in record.title)
    assert captions(reims) == [("Carte générale de la France. 079, [Reims]. N°79. Flle 39", "fr", "object")]
    assert reims.creator == "Cassini de Thury, César-François"
    assert reims.rights_class == "open_conditions"
    manuscript = [record for record in records.values() if record.title.startswith("Vincent de Beauvais")]
    assert manuscript
    assert all(record.canvas for record in manuscript)
    assert len({record.work_group for record in manuscript}) == 1
    assert len(world.pictures("openapi.bnf.fr")) == 82
    assert world.strays == []


def test_british_library_asks_the_newer_service_for_pages(play: Play, tmp_path: Path) -> None:
    library = Library()
    labels = ("Front cover", "f. 1r", "Portrait of St Matthew", "Colour chart", "blank page")
    arks = ("ark:/81055/vdc_100055984026.0x000001", "ark:/81055/man_10000006.0x000001")
    for ark, title in zip(arks, ("A collection of playbills", "The Lindisfarne Gospels"), strict=True):
        library.put(f"https://bl.digirati.io/iiif/{ark}", british_library(ark, title, labels))
    world = play({"bl.digirati.io": library, "dlcs.bl.digirati.io": library})
    summary = prep("british_library", tmp_path / "out")
    assert summary.harvested == 4
    records = read_records(tmp_path / "out")
    page = records[f"https://bl.digirati.io/iiif/{arks[1]}#3"]
    assert captions(page) == [
        ("Portrait of St Matthew", "en", "page"), ("The Lindisfarne Gospels", "en", "object"),
    ]  # fmt: skip
    assert page.institution == "The British Library"
    assert page.rights_class == "public_domain"
    assert len(world.pictures("dlcs.bl.digirati.io")) == 4
    assert world.pictures("bl.digirati.io") == world.strays == []


def test_oenb_gives_postcards_with_their_places(play: Play, tmp_path: Path) -> None:
    library = Library()
    for name, place in (("AK005_427", "Trieste, Hafen"), ("AK089_486", "Muggia"), ("AK117_016", "Pressburg, Burg")):
        library.put(f"https://iiif.onb.ac.at/presentation/AKON/{name}/manifest/", akon(name, place))
    world = play({"iiif.onb.ac.at": library})
    summary = prep("oenb", tmp_path / "out")
    assert summary.harvested == 4
    assert summary.rejected == {"fetch_failed": 1}  # the fourth answers 404
    records = read_records(tmp_path / "out")
    assert {captions(record)[0] for record in records.values()} == {
        ("Trieste, Hafen", "de", "object"), ("Muggia", "de", "object"), ("Pressburg, Burg", "de", "object"),
    }  # fmt: skip
    assert {record.rights_class for record in records.values()} == {"open_conditions"}
    assert {(record.place, record.year_min) for record in records.values()} >= {("Pressburg", 1912)}
    assert all(
        re.search(r"/AK\w+/\d+/full/!512,512/0/native[.]jpg$", each) for each in world.pictures("iiif.onb.ac.at")
    )
    assert world.strays == []


def test_nls_is_walked_from_the_top(play: Play, tmp_path: Path) -> None:
    library = Library()
    maps, papers = "744666990", "133474867"
    library.put(nls_address("top", "Collection"), nls_collection("top", collections=[
        ("Collection", maps, "Maps of Fife"), ("Collection", papers, "Edinburgh Gazette"),
        ("Manifest", "119268387", "The art of thinking"),
    ]))  # fmt: skip
    library.put(nls_address(maps, "Collection"), nls_collection(maps, manifests=[("Manifest", "133475158", "Cupar")]))
    library.put(nls_address("119268387"), nls_manifest("119268387", "The art of thinking", "With 12 engraved plates."))
    library.put(nls_address("133475158"), nls_manifest("133475158", "Plan of Cupar", "Coloured by hand.", licence=PDM))
    world = play({"view.nls.uk": library})
    prep("nls", tmp_path / "out")
    records = read_records(tmp_path / "out")
    cupar = records[nls_address("133475158")]
    assert captions(cupar) == [("Plan of Cupar", "en", "object"), ("Coloured by hand.", "en", "object")]
    assert cupar.subjects == ("Maps", "Fife")
    thinking = records[nls_address("119268387")]
    assert {right.uri for right in thinking.rights if right.part == "image"} == {
        "http://creativecommons.org/licenses/by/4.0/"
    }
    assert (cupar.rights_class, thinking.rights_class) == ("open", "open")
    assert nls_address(papers, "Collection").removeprefix("https://") not in library.sent
    assert world.strays == []


def test_bodleian_follows_the_stream_and_is_not_passed_on(play: Play, tmp_path: Path) -> None:
    library = Library()
    address = "https://iiif.bodleian.ox.ac.uk/iiif/manifest/{}.json".format
    titles = {"a1": "Handbill of Mr. Becket", "b2": "A map of Oxford", "c3": "Divine Comedy", "d4": "The dancing bear"}
    for name, title in titles.items():
        labels = ("Upper cover", "Whole Page", "fol. 2r: The wolf before Dante")
        library.put(address(name), bodleian(name, f"Bodleian Library MS. Canon. Ital. {ord(name[0])}", title, labels))
    old = [
        change("Create", address(name), f"2025-0{month}-01T00:00:00Z")
        for month, name in enumerate(("a1", "b2", "c3"), 1)
    ]
    group = change(
        "Create", "https://iiif.bodleian.ox.ac.uk/iiif/collection/x", "2025-04-01T00:00:00Z", object_type="Collection"
    )
    for url, content in bodleian_stream(old[:1], [*old[1:], group]).items():
        library.put(url, content)
    world = play({"iiif.bodleian.ox.ac.uk": library})
    assert prep("bodleian", tmp_path / "out").harvested == 6
    records = read_records(tmp_path / "out")
    assert set(records) == {f"{address(name)}#{number}" for name in ("a1", "b2", "c3") for number in (2, 3)}
    page = records[f"{address('c3')}#3"]
    assert captions(page) == [("The wolf before Dante", "en", "page"), ("Divine Comedy", "en", "object")]
    assert page.creator_role == "author"
    assert permit(page, tightened({})).redistribute == "no"
    assert permit(page, tightened({})).train == "non_commercial"
    news = [
        change("Delete", address("b2"), "2099-01-01T00:00:00Z"),
        change("Create", address("d4"), "2099-01-02T00:00:00Z"),
    ]
    for url, content in bodleian_stream(old[:1], [*old[1:], group], news).items():
        library.put(url, content)
    prep("bodleian", tmp_path / "out", update=True, limit=None)
    assert {each.partition("#")[0] for each in read_records(tmp_path / "out")} == {
        address(name) for name in ("a1", "c3", "d4")
    }
    assert world.strays == []


@pytest.mark.real
def test_sbb_takes_the_first_page_that_is_no_binding(play: Play, shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "responses" / "mets_mods"
    names = ("PPN1737752050", "PPN3348760607", "PPN1678618276", "PPN1727545451", "PPN773555676")
    records = []
    for day, name in enumerate(names, 1):
        (path,) = [path for path in folder.glob("*.xml") if name in path.name]
        text = re.sub(r"^<\?xml.*?\?>\s*", "", path.read_text("utf-8"))
        identifier = f"oai:digital.staatsbibliothek-berlin.de:{name}"
        records.append(OaiRecord(identifier, f"2026-01-0{day}T00:00:00Z", text))
    repository = OaiRepository(records, deleted="transient")
    world = play({"oai.sbb.berlin": repository, "content.staatsbibliothek-berlin.de": draw_picture})
    summary = prep("sbb", tmp_path / "out")
    assert repository.asked[1]["set"] == "illustrierte.liedflugschriften"
    assert summary.harvested == 5
    (song, letter) = sorted(read_records(tmp_path / "out").values(), key=lambda record: record.title, reverse=True)
    assert song.captions[0].text == "Vier Gedichte von Helene von Hülsen : für eine Singstimme und Pianoforte : Op. 61"
    assert (song.captions[0].lang, song.rights_class) == ("de", "public_domain")
    assert letter.rights_class == "open_conditions"
    reasons = {each.id.rpartition(":")[2]: each.reason for each in read_rejected(tmp_path / "out")}
    assert reasons == {
        "PPN3348760607": "rights_unstated",
        "PPN1727545451": "image_missing",  # a volume without pictures
        "PPN773555676#4": "image_missing",  # the first page is a binding; of the next the stored answer holds no file
    }
    assert world.asked("content.staatsbibliothek-berlin.de") == [
        "/dms/PPN1678618276/800/0/00000001.jpg",
        "/dc/PPN1737752050-00000001/info.json",
        "/dc/PPN1737752050-00000001/full/!512,512/0/default.jpg",
    ]
    assert world.strays == []


@pytest.mark.real
def test_rijksmuseum_gives_iconclass_and_two_languages(play: Play, shared_data: Path, tmp_path: Path) -> None:
    stored = (shared_data / "responses" / "oai_pmh" / "edm").glob("kintopp*.xml")
    (real,) = re.findall(r"<metadata>(.*)</metadata>", next(stored).read_text("utf-8"), re.S)
    in_copyright = "http://rightsstatements.org/vocab/InC/1.0/"
    made = [
        ("200107928", "De Nachtwacht", "The Night Watch", "PJEZO", PDM, "https://iconclass.org/45D12%28%2B3%29"),
        ("200107774", "Boom van Jesse", "The Tree of Jesse", "LcfFk", PDM, "https://iconclass.org/73A71"),
        ("300000001", "Nieuw werk", "A modern work", "zzzzz", in_copyright, "https://iconclass.org/0"),
    ]
    records = [
        OaiRecord(f"https://id.rijksmuseum.nl/{name}", "2026-01-01T00:00:00Z", rijksmuseum(name, *fields))
        for name, *fields in made
    ]
    records.append(OaiRecord("https://id.rijksmuseum.nl/SK-A-0001", "2026-01-02T00:00:00Z", real))
    repository = OaiRepository(records)
    world = play({"data.rijksmuseum.nl": repository, "iiif.micr.io": draw_picture})
    summary = prep("rijksmuseum", tmp_path / "out")
    assert (repository.asked[1]["metadataPrefix"], repository.asked[1]["set"]) == ("edm", "261208")
    assert summary.rejected == {"rights_restricted": 1, "image_missing": 1}
    watch = read_records(tmp_path / "out")["https://id.rijksmuseum.nl/200107928"]
    assert ("De Nachtwacht", "nl", "object") in captions(watch)
    assert ("The Night Watch", "en", "object") in captions(watch)
    assert watch.iconclass == ("45D12(+3)",)
    assert (watch.creator, watch.object_type, watch.year_min) == ("Rembrandt van Rijn", "schilderij", 1642)
    assert sorted(world.pictures("iiif.micr.io")) == [
        "/LcfFk/full/!512,512/0/default.jpg", "/PJEZO/full/!512,512/0/default.jpg",
    ]  # fmt: skip
    assert world.strays == []


def rule(name: str, collection: str) -> PagesRule:
    source = load(name, Path("out")).collections[collection]
    assert isinstance(source, WebSource)
    return PagesRule(skip=source.pages.skip)


@pytest.mark.real
@pytest.mark.parametrize(
    ("profile", "collection", "part", "skipped"),
    [
        ("bnf_manifests", "gallica", "gallica_propvals_without_language", {
            "plat supérieur", "contreplat sup.", "page de garde recto", "page de garde verso",
            "contreplat inf.", "plat inférieur.", "dos"}),
        ("bodleian", "digital_bodleian", "YaleCanterburyTales", {
            "[Front cover]", "[Front pastedown]", "[Back pastedown]", "[Back cover]"}),
    ],
)  # fmt: skip
def test_patterns_skip_what_shows_nothing_on_real_labels(
    shared_data: Path, profile: str, collection: str, part: str, skipped: set[str]
) -> None:
    views = parse_manifest(parse_json(find_manifest(shared_data, part).read_bytes())).views
    chosen = rule(profile, collection).choose(views)
    assert {view.label for view in views if view not in chosen} == skipped


@pytest.mark.parametrize(
    ("profile", "collection", "skipped", "kept"),
    [
        ("bnf_manifests", "gallica", ["dos", "plat inférieur", "tranche de tête", "page blanche", "mire", "couverture"],
         ["NP", "12v", "Garde nationale", "Le dos au mur", "planche 3"]),
        ("british_library", "manuscripts", ["Front cover", "Inside lower cover", "Spine", "blank page", "Colour chart"],
         ["f. 1r", "Edge of the wood", "Covered wagon", "Scale of justice"]),
        ("oenb", "akon", ["Rückseite", "Farbkarte", "Leerseite"], ["1", "Vorderseite"]),
        ("nls", "collections", ["Front cover", "[blank page]", "endpapers"], ["1", "Frontispiece"]),
    ],
)  # fmt: skip
def test_patterns_of_the_profiles(profile: str, collection: str, skipped: list[str], kept: list[str]) -> None:
    pattern = rule(profile, collection).skip
    assert [label for label in [*skipped, *kept] if re.search(pattern, label)] == skipped
