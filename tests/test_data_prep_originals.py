"""Six collections from their institutions' own files, by configuration alone: sums, and records read by hand."""

from pathlib import Path

import pytest

from data_prep.config import PrepConfig
from data_prep.pipeline import run_prep
from data_prep.sources.base import Surroundings

pytestmark = pytest.mark.real

CONFIG = Path(__file__).resolve().parents[1] / "configs/prep/originals.yaml"
BNF_TERMS = "non-commercial reuse free, with the mention “Source gallica.bnf.fr / BnF”"


def load(shared_data: Path, out: str = "unused") -> PrepConfig:
    return PrepConfig.load(CONFIG, [f"root={shared_data}/images", f"out={out}", "workers=1"])


@pytest.fixture(scope="module")
def items(shared_data):
    config = load(shared_data)
    return {
        name: {item.record.id: item for item in source.harvest(name, Surroundings(config.root)).items}
        for name, source in config.collections.items()
    }


def captions(item) -> list[tuple[str, str]]:
    return [(caption.lang, caption.text) for caption in item.record.captions]


def test_the_sums_are_those_of_the_files(shared_data):
    summary = run_prep(load(shared_data), dry_run=True)
    # 49 + 192 pages of the album, 60 drawings, 80 photographs, 20 slides, 5 postcards, 14 prints
    assert (summary.harvested, summary.kept_for_training, summary.kept_for_evaluation) == (420, 199, 192)
    # 14 prints and 5 drawings of partners' libraries; 10 pages without a drawing
    assert summary.rejected == {"rights_unstated": 19, "not_selected": 10}
    outside = {name: count for name, count in summary.outside.items() if count}
    assert outside == {"kb_album": 192, "kb_album_pages": 49, "pamela": 36}


def test_every_picture_is_there(items):
    for name, found in items.items():
        missing = [item.picture.path for item in found.values() if not Path(item.picture.path).is_file()]
        assert not missing, name


@pytest.mark.parametrize(("name", "expected"), [
    ("KB 131 H 26, p. 008", {
        "captions": [
            ("nl", "Allegorie op de dichtkunst met de dichter op de voorgrond en de Parnassus met de negen Muzen, "
                   "Apollo en Pegasus op de achtergrond"),
            ("en", "Allegory on poetry with the poet in the foreground and the Parnassus with the nine Muses, "
                   "Apollo and Pegasus in the background"),
        ],
        "creator": "Salomon Saverij", "date_text": "3 mei 1661", "year_min": 1661, "technique": "Papier",
        "object_type": "Ets / Etching",
        "page_url": "http://resolver.kb.nl/resolve?urn=EuropeanaTravel:131H26:008",
    }),
    ("KB 131 H 26, p. 072", {  # references to other pages are cut
        "captions": [
            ("nl", "Heiende mannen, waarbij de goddelijke voorzienigheid de heipaal rechthoudt"),
            ("en", "Men pile ramming, divine providence keeps the pile upright"),
        ],
    }),
    ("KB 131 H 26, p. 155", {  # "hasillustration" is " YES", which metadata.csv overlooks
        "captions": [
            ("nl", "Albuminscriptie van Jan van Arenberg met later toegevoegde tekening van een landschap van "
                   "onbekende maker"),
            ("en", "Inscription with later added drawing of landscape by unknown maker"),
        ],
        "date_text": "[s.a]", "year_min": None,
    }),
    ("KB 131 H 26, p. 237", {  # two dates in the catalogue
        "date_text": "[tussen ca. 1640 en 1680]; 29 nov. 1645", "year_min": 1640, "year_max": 1680,
        "creator": "Jacob Cats and Joannes Cool",
    }),
])  # fmt: skip
def test_pages_of_the_album_from_sheet_and_catalogue(items, name, expected):
    item = items["kb_album"][name]
    assert {key: captions(item) if key == "captions" else getattr(item.record, key) for key in expected} == expected
    assert {(rights.part, rights.asserted_by) for rights in item.record.rights} == {
        ("image", "Koninklijke Bibliotheek, Den Haag"), ("metadata", "Koninklijke Bibliotheek, Den Haag"),
    }  # fmt: skip


def test_pages_without_a_picture(items):
    pages = items["kb_album_pages"]
    assert pages["KB 131 H 26, p. 024"].record.subjects == ("Martinus Lydius (1624-1651)",)
    assert pages["KB 131 H 26, p. 115"].record.title == (
        "Nederlands gedicht van Henrick Bruno in album amicorum van J. Heyblocq"  # so in the XML, not in the JSON
    )
    binding = pages["KB 131 H 26, p. voorplat"].record
    assert (binding.title, binding.object_type, binding.date_text) == (
        "Voorzijde van de boekband van Album amicorum Jacobus Heyblocq", "Boekband / Book binding", "1645",
    )  # fmt: skip
    unknown = pages["KB 131 H 26, p. 069"]  # the one page that the catalogue lacks
    assert (unknown.record.title, unknown.record.creator, unknown.drop) == ("", "Gerard van Midlum", None)


@pytest.mark.parametrize(("collection", "name", "expected"), [
    ("bnf_dessins", "ark:/12148/btv1b10024873x/f1", {
        "captions": [("fr", "Tête de jeune garçon penchée vers la droite")],
        "creator": "Dürer, Albrecht (1471-1528)", "creator_role": "Dessinateur", "date_text": "1506",
        "orig_width": 2679, "orig_height": 3061, "attribution": "Source gallica.bnf.fr / BnF",
        "iiif_service": "https://gallica.bnf.fr/iiif/ark:/12148/btv1b10024873x/f1",
        "page_url": "https://gallica.bnf.fr/ark:/12148/btv1b10024873x/f1.item",
    }),
    ("bnf_dessins", "ark:/12148/btv1b10302521b/f2", {  # a ";" within a subject cuts nothing
        "subjects": (
            "Paris (France) -- Palais du Louvre", "Paris (France) -- Palais du Louvre -- Tour de Nesle",
            "Paris (France) -- Pont-Neuf", "Seine (France ; cours d'eau)",
            "Paris (France) -- Porte de la Conférence", "Paysages -- 17e siècle",
        ),
        "technique": "Dessin à la plume et lavis à l'encre de Chine ; 29,8 x 52,4 cm",
        "year_min": 1600, "year_max": 1699,
    }),
    ("bnf_photographies", "ark:/12148/btv1b8432782s/f5", {
        "captions": [("fr", "Campagnes du général Mangin dans la Marne, sur l'Aisne et en Artois")],
        "creator": "Mangin, Charles (1866-1925); Manuel, Henri (1874-1947)",
        "creator_role": "Photographe présumé. Ancien possesseur; Photographe", "year_min": 1914, "year_max": 1915,
    }),
    ("bnf_photographies", "ark:/12148/btv1b8432385n/f19", {
        "captions": [("it", "Una visita al fronte italiano : Maggio 1916")], "creator": "",
        "subjects": ("Barrès, Maurice (1862-1923)", "Guerre mondiale (1914-1918) -- Opérations militaires -- Italie"),
    }),
    ("pestalozzianum", "Obj1", {
        "captions": [("de", "Ackerstiefmütterchen"), ("la", "Viola arvensis")], "date_text": "1925-1950",
        "manifest": "https://mariusstricker.github.io/leminbi/img/derivatives/iiif/obj1/manifest.json",
    }),
    ("frankfurt", "postcard-exhibit/img/post_01_f.jpg", {
        "captions": [
            ("de", "Frankfurt a. M. Kaiserstrasse mit Uhrtürmchen"),
            ("en", "Kaiser Street and Clock Tower Intersection"),
        ],
        "place": "Clock Tower, Frankfurt, Germany", "subjects": ("landmarks", "Frankfurt"), "date_text": "1911",
    }),
    ("pamela", "pamela/img/engr_12.jpg", {
        "subjects": ("Pamela", "Pamela's children", "Miss Goodwin"), "date_text": "25 June 1774", "creator": "",
    }),
])  # fmt: skip
def test_records_read_by_hand(items, collection, name, expected):
    item = items[collection][name]
    assert {key: captions(item) if key == "captions" else getattr(item.record, key) for key in expected} == expected


def test_the_ground_truth_turns_pages_and_leaves_out_those_without_a_drawing(items):
    drawings, photographs = items["bnf_dessins"], items["bnf_photographies"]
    turned = {
        name.split("12148/")[1]: item.picture.turn_deg for name, item in drawings.items() if item.picture.turn_deg
    }
    assert turned == {
        "btv1b8438681w/f13": 90, "btv1b8438692p/f130": 90, "btv1b8438692p/f6": 90, "btv1b8438692p/f92": 180,
        "btv1b8438692p/f94": 180, "btv1b8528986z/f1": 90, "btv1b8528996b/f1": 90,
    }  # fmt: skip
    assert sum(item.picture.turn_deg == 90 for item in photographs.values()) == 19
    assert drawings["ark:/12148/btv1b10024873x/f2"].drop.reason == "not_selected"  # its back


def test_partners_of_gallica_hold_what_they_lent(items):
    holders = {
        name.split("12148/")[1]: item.record.institution
        for name, item in items["bnf_dessins"].items()
        if item.record.institution != "Bibliothèque nationale de France"
    }
    assert holders == {
        "btv1b10050078p/f1": "Bibliothèque municipale de Rouen",
        "btv1b10051649h/f1": "Bibliothèque municipale de Rouen",
        "btv1b10052718j/f1": "Bibliothèque municipale de Rouen",
        "btv1b10053491x/f1": "Bibliothèque municipale de Rouen",
        "btv1b10220133s/f1": "Bibliothèque nationale et universitaire de Strasbourg",
    }  # fmt: skip
    own, lent = (items["bnf_dessins"][f"ark:/12148/{ark}/f1"].record for ark in ("btv1b10024873x", "btv1b10053491x"))
    assert [rights.raw for rights in own.rights if rights.part == "image"] == [BNF_TERMS]
    assert {rights.part for rights in lent.rights} == {"work", "metadata"}
    assert lent.attribution == "Source gallica.bnf.fr / Bibliothèque municipale de Rouen"


def test_nothing_is_poorer_than_from_the_table_that_was_made_of_these_files(shared_data, items):
    path = CONFIG.with_name("local_collections.yaml")
    config = PrepConfig.load(path, [f"root={shared_data}/images", "out=unused"])
    for name, found in items.items():
        table = {i.record.id: i for i in config.collections[name].harvest(name, Surroundings(config.root)).items}
        moved = {"KB 131 H 26, p. 155"}  # has a drawing
        assert found.keys() ^ table.keys() <= moved
        for key in found.keys() & table.keys():
            new, old = found[key].record, table[key].record
            texts = [[(lang, text.replace(" ;", ";")) for lang, text in captions(each[key])] for each in (found, table)]
            assert texts[0] == texts[1], key
            years = [(each.year_min, each.year_max) for each in (new, old)]
            assert years[0] == years[1] or name == "pamela", key
            turns = {item.picture.turn_deg for item in (found[key], table[key]) if item.picture}
            assert len(turns) == 1, key
            filled = {field for field in ("title", "creator", "page_url", "date_text") if getattr(old, field)}
            poorer = {field for field in filled if not getattr(new, field)}
            assert not poorer or old.creator == "Unknown contributor" or new.object_type == "Codex", (key, poorer)
