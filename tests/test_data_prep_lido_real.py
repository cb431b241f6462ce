"""Real LIDO: 29 files of 20 museums as a person reads them, and a delivery of twenty banknotes to the shards."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from servers.replay import draw_picture
from servers.runs import played, read_records

from data_prep.config import PrepConfig
from data_prep.parse.lido import parse_lido
from data_prep.parse.parsed import Parsed
from data_prep.parse.to_records import to_records
from data_prep.parse.xml import parse_xml
from data_prep.pipeline import run_prep
from iconoclip.records import Record

pytestmark = pytest.mark.real

CC = "http://creativecommons.org"
CC0, PDM = f"{CC}/publicdomain/zero/1.0/", f"{CC}/publicdomain/mark/1.0/"
DDB = "https://www.deutsche-digitale-bibliothek.de/content/lizenzen/rv-fz/"

# By the end of the file's name: what stands in the file, written down by reading it
EXPECTED: dict[str, dict[str, Any]] = {
    "LibreCat+Catmandu-LIDO__ex__LIDO-Example_FMobj00154983-LaPrimavera.xml": {  # a section per language
        "captions": [("en", "La Primavera / Spring"), ("de", "La Primavera / Der Frühling")],
        "creator": ("Botticelli, Sandro", "painter"),
        "technique": "tempera; poplar",
        "years": (1482, 1482),
        "iconclass": ("23D42", "57A9", "92C47", "92D3", "92E5421", "96A2351", "92D1521"),
        "image": "http://www.bildindex.de/bilder/t/fmc654591",
        "previews": 3,  # nothing but thumbnails
        "rights": {},
    },
    "nfdi4objects+lido-examples__LIDO-v1.1-Example_FMobj00154983-LaPrimavera.xml": {  # LIDO 1.1, labels side by side
        "captions": [
            ("it", "La Primavera"), ("en", "Spring"), ("de", "Der Frühling"), ("fr", "Allégorie du Printemps"),
            ("it", "allegoria della primavera"),
        ],
        "creator": ("Botticelli, Sandro", "Maler"),
        "technique": "Tempera auf Pappelholz",  # objectMaterialsTechWrap, new in 1.1
        "date": "um 1480 oder 1482/1485",
        "years": (1480, 1485),
        "type": "Gemälde",
        "institution": "Galleria degli Uffizi",  # not the Accademia, which had it before
        "subjects": "Frühling; Ripa: Ver; Primavera",
        "image": "http://www.bildindex.de/bilder/d/fmp_gkka1982_01929_2l",
        "width": 1200,
        "rights": {"work": "http://rightsstatements.org/vocab/NoC-OKLR/1.0/", "image": DDB, "metadata": CC0},
    },
    "LibreCat+Catmandu-LIDO__t__data__yale.xml": {
        "captions": [("en", "Bookplate: The Spalding Gentlemen's Society")],
        "creator": ("George Vertue", "Printmaker"),  # "Print made by" is no doubt about it
        "technique": "Mezzotint on moderately thick, slightly textured, cream, wove paper",
        "image": "http://deliver.odai.yale.edu/content/repository/YCBA/object/23195/type/2/format/3",  # not the TIFF
        "credit": "Yale Center for British Art, Paul Mellon Fund",
        "page": "http://collections.britishart.yale.edu/vufind/Record/3653052",
    },
    "record__lido_workkeys.xml": {  # Finna
        "creator": ("Halonen, Pekka", "taiteilija"),
        "technique": "maalaus; öljy kankaalle ja pahville",
        "years": (1930, 1930),  # not of the exhibitions of 2009 and 2010
        "iconclass": ("25H2(+1)", "25H112", "25H214", "25H2311", "25H133"),
        "subjects": "signeeraus",
        "image": "http://ndl.fng.fi/ndl/zoomview/muusa24/3D313279-45A5-469A-885E-766C66F0F6DC.jpg",
    },
    "record__vtm1.xml": {
        "captions": [("fi", "Venetsia")],
        "creator": ("Salokivi, Santeri", "taiteilija"),
        "technique": "öljy kankaalle, liimattu pahville",
        "credit": "KKA/Pirje Mykkänen",
        "institution": "Ateneumin taidemuseo",
    },
    "record__design1.xml": {
        "creator": ("Gardberg Bertel; Hackman Sorsakoski", "suunnittelija; valmistaja"),  # not the photographer
        "technique": "ruostumaton teräs",
    },
    "Datahub-Fixes__vkc_lido.xml": {
        "creator": ("Pierre Alechinsky", "creator"), "years": (1959, 1959), "image": "", "institution": "VKC",
    },
    "real-data__Bildarchiv_Foto_Marburg.xml": {
        # not "Luftaufnahme von Nordosten"
        "captions": [("de", "Kunsthistorisches Museum und Naturhistorisches Museum")],
        "creator": ("Semper, Gottfried; Hasenauer, Carl von (Freiherr)", "Entwerfer"),
        "years": (1872, 1881),
        "rights": {"image": "http://www.deutsche-digitale-bibliothek.de/lizenzen/rv-fz/", "metadata": CC0},
        "num_views": 6,
    },
    "real-data__DSM.xml": {
        "creator": ("Porzellanfabrik Weiden Gebr. Bauscher", ""),
        "technique": "Porzellan",  # in a second event of production
        "place": "Bremen",
        "service": "https://digitaldepot.dsm.museum/iiif/iiif/2//6eaebd9e-60f7-478a-a19d-7249fd926978",
        "credit": "",  # the line about who paid for the digitisation is that of the record
        "rights": {"image": f"{CC}/licenses/by-nc-sa/4.0/", "metadata": PDM},
        "num_views": 4,
    },
    "real-data__Deutsches_Museum.xml": {
        "captions": [("de", "Chiffriermaschine Enigma I")],
        "creator": ("Chiffriermaschinen AG; Scherbius, Arthur; Korn, Willi", "Hersteller; Erfinder/in"),
        "technique": "Metall; Kunststoff; Textil; Eiche; Glas",
        "credits": {1: "Deutsches Museum, CC BY-SA 4.0", 2: "Deutsches Museum / Christian Ferstl, CC BY-SA 4.0",
                    7: "Deutsches Museum / Gerhard Friedinger, CC BY-SA 4.0"},
        "service": "https://media.deutsches-museum.de/id/1993-522_%23_001",
    },
    "real-data__Ethnologisches_Museum.xml": {
        "captions": [("de", "Königliches Museum für Völkerkunde, Vestibül")],
        "creator": ("Fotograf unbekannt", "Fotograf*in"),
        "type": "Positiv, SW",
        "rights": {"image": f"{CC}/licenses/by-nc-sa/4.0/", "metadata": f"{CC}/licenses/by-sa/4.0/"},
    },
    "real-data__Kulturerbe_Niedersachsen_Herzberg.xml": {
        "technique": "Silber; geprägt (Metalltechnik)",
        "width": 1956,
        "institution": "Museum Schloss Herzberg",
        "rights": {"image": f"{CC}/licenses/by/4.0/", "metadata": CC0},  # beside "Verwertungsrecht", a kind of right
    },
    "real-data__Kulturerbe_Niedersachsen_Obernfeld.xml": {
        "descriptions": 1,  # not "Heimatmuseum Obernfeld", whose text it is
        "technique": "Holz; Eisen",
        "type": "Wiegemesser",
    },
    "real-data__LWL-Museum.xml": {
        "creator": ("Moitte, Pierre Etienne; Cochin, Charles-Nicolas (1715)", "Radierer; Zeichner"),
        "subjects": "Porträt einer historischen Person (Falconet, Camille) (allein)",
        "iconclass": ("61B(Falconet, Camille)11",),
        "years": (1762, 1780),
        "rights_class": "restricted",  # the text is CC0, the picture "rights reserved, free access"
    },
    "real-data__Münzkabinett.xml": {
        "type": "Marke/Zeichen (Token)",
        "technique": "Stahl; geprägt",
        "pages": {
            1: "BODE/MUSEUM - Stilisierte Darstellung des Bode-Museums auf der Monbijou-Brücke. "
            "Hinten links der Berliner Fernsehturm.",
            2: "DIE DUNKLE SEITE - DER NUMISMATIK -/ LANGE / FINGER / FALSCHE / MÜNZEN - Aufschrift in vier Zeilen. "
            "Links und rechts in der Umschrift die Jahreszahl 20-24.",
        },
        "rights": {"work": f"{CC}/licenses/by-sa/4.0/", "image": PDM, "metadata": f"{CC}/licenses/by-sa/4.0/"},
    },
    "real-data__Technik-Museum.xml": {  # museum-digital: "Gezeichnet", materials in an event of their own
        "creator": ("H. Rauer (Technischer Zeichner/Ingenieur)", ""),
        "date": "27.05.1902",
        "years": (1902, 1902),
        "place": "Lutherstadt Wittenberg",  # not Lucka, where it was ordered
        "technique": "Papier; Bleistift",
        "image": "https://www.museum-digital.de/data/berlin/images/import_17/201601/29173524067.jpg",
        "rights_class": "open",
    },
    "real-data__Uni_Köln.xml": {
        "date": "211-244 n. Chr.",
        "years": (211, 244),
        "place": "Sardeis (Münzstätte)",  # not "(mint)"
        "technique": "geprägt; Bronze",
        "rights": {"image": CC0},
    },
    "real-data__Wannseekonferenz.xml": {
        "captions": [("de", "Wieder im Dienst groß")],
        # "Nutzungsrechte" of the work says nothing
        "rights": {"image": f"{CC}/licenses/by/4.0/", "metadata": f"{CC}/licenses/by/4.0/"},
        "rights_class": "open",
        "years": (1950, 1950),
    },
    "real-data__digiCult.xml": {
        "years": (1915, 1916),
        "technique": "Nadelholz (teilweise farbig gefasst); Eisen (Nägel)",
        "image": "https://digicult-web-west.digicult-verbund.de/entity-resources/images/digicult-web-west/1/DISPLAY600_8078.jpg",
    },
    "real-data__dkult-Benrath.xml": {
        "captions": [("de", "Kaffeekanne mit Pärchen vor Gartenlandschaft")],
        "series": "Aus: Dejeuner mit Watteauszenen",
        "creator": ("Porzellanmanufaktur Frankenthal", "Hersteller*in"),
        "image": "https://emuseum.duesseldorf.de/internal/media/dispatcher/176380/full",
        "rights_class": "restricted",
    },
    "lido-examples__minimaldatensatz.xml": {
        "pages": {
            2: "Detailansicht eines Kabinettschranks mit gravierter Elfenbeinplakette mit Abbildung des Romulus in Rom",
        },
        "technique": "Palisander; Ebenholz; Elfenbein (Material); Gravierung",
        "subjects": "Geschichte von Hercules (Herakles)",
        "type": "Kabinettschrank",
    },
}  # fmt: skip


def got(parsed: Parsed, records: list[Record]) -> dict[str, Any]:
    first = records[0]
    page = {n: each.captions[0].text for n, each in enumerate(records, 1) if each.captions}
    return {
        "captions": [(each.lang, each.text) for each in first.captions if each.source != "lido:objectDescription"],
        "creator": (first.creator, first.creator_role),
        "technique": first.technique,
        "date": first.date_text,
        "years": (first.year_min, first.year_max),
        "place": first.place,
        "type": first.object_type,
        "institution": first.institution,
        "iconclass": first.iconclass,
        "subjects": next(iter(first.subjects), ""),
        "image": first.image_url,
        "service": first.iiif_service,
        "width": first.orig_width,
        "page": first.page_url,
        "credit": first.attribution,
        "credits": {n: each.attribution for n, each in enumerate(records, 1)},
        "pages": page,
        "rights": {each.part: each.uri for each in first.rights},
        "rights_class": first.rights_class,
        "previews": sum(view.preview for view in parsed.views),
        "num_views": len(parsed.views),
        "descriptions": len(parsed.descriptions),
        "series": next((text.text for text in parsed.series), ""),
    }


@pytest.fixture(scope="module")
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue("shared_data") / "responses" / "lido"


@pytest.fixture(scope="module")
def read(folder: Path) -> Callable[[str], list[Parsed]]:
    def read_file(end: str) -> list[Parsed]:
        (path,) = [path for path in folder.iterdir() if path.name.endswith(end)]
        return parse_lido(parse_xml(path.read_bytes()).root)

    return read_file


@pytest.mark.parametrize("end", EXPECTED)
def test_museum_s_record_is_what_a_person_reads_in_it(end: str, read: Callable[[str], list[Parsed]]) -> None:
    (parsed,) = read(end)
    want = EXPECTED[end]
    found = got(parsed, to_records(parsed, source="museum", previews=True))
    for name in ("credits", "pages"):
        found[name] = {n: text for n, text in found[name].items() if n in want.get(name, {})}
    assert {name: found[name] for name in want} == want


def test_parts_of_a_fountain_are_objects_of_their_own(read: Callable[[str], list[Parsed]]) -> None:
    fountain, basin, group = read("lido-examples__LIDO-v1.1-Example_FMobj20344012-Fontana_del_Moro.xml")
    assert [each.id.removeprefix("DE-Mb112/lido/") for each in (fountain, basin, group)] == [
        "obj20344012", "obj20344012,T,001", "obj20344012,T,002",
    ]  # fmt: skip
    assert [(each.name, each.role) for each in group.creators] == [
        ("Bernini, Gian Lorenzo", "Entwerfer"), ("Mari, Giovanni Antonio", "Bildhauer"),
    ]  # fmt: skip
    assert (group.techniques, group.iconclass) == (("Marmor",), ("34F11", "32B321", "25F27(dolphin)"))
    assert not fountain.creators
    old = read("LibreCat+Catmandu-LIDO__ex__LIDO-Example_FMobj20344012-Fontana_del_Moro.xml")[2]
    assert [(each.name, each.role) for each in old.creators] == [  # a section per language, an event of design
        ("Bernini, Giovanni Lorenzo", "sculptor"), ("Mari, Giovanni Antonio", "sculptor"),
    ]  # fmt: skip


def test_banknotes_show_on_each_side_what_is_said_of_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KENOM's delivery of twenty pieces of emergency money, from the file to the shards."""
    config = PrepConfig.model_validate(
        {
            "verb": "prep", "name": "kenom", "out": tmp_path / "out", "root": folder, "workers": 1,
            "fetch": {"contact": "curator@library.example", "default": {"requests_per_s": None}},
            "split": {"val": 0, "test": 0, "allow_one_sided": ["kenom", "de"]}, "image": {"max_px": 64},
            "collections": {"kenom": {"kind": "lido", "files": "*kenom_oai_chunk20.xml", "institution": "KENOM"}},
        }
    )  # fmt: skip
    with played({"www.kenom.de": draw_picture}, tmp_path / "world", monkeypatch) as world:
        summary = run_prep(config)
        assert world.strays == []
    # 20 notes, of which 12 are shown on both sides; NC for the picture, BY for the text
    assert (summary.harvested, summary.kept_for_training, summary.rejected) == (32, 32, {})
    records = read_records(config.out)
    front, back = records["record_DE-68_kenom_123644"], records["record_DE-68_kenom_123644#2"]
    assert front.captions[0].text == "Im Hintergrund, rot: Wappen des Kirchspiels Büsum."
    assert back.captions[0].text == "Drei liegende Seehundsjäger mit Flinten auf der Sandbank; im Hintergrund Segler."
    assert front.captions[1].text == back.captions[1].text == "Geldschein / Notgeld, 50 Pfennig, 7.1921"
    assert (front.creator, front.creator_role) == ("Druckerei W. Clausen (Büsum)", "Drucker")  # Büsum only issued it
    assert (front.page_url, front.technique) == (
        "https://www.kenom.de/id/record_DE-68_kenom_123644", "Papier; Autotypie; Buchdruck",
    )  # fmt: skip
    assert {each.rights_class for each in records.values()} == {"open_conditions"}
