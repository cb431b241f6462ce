"""What captions come out of manifests: labels that count, call numbers, repeated labels, names, languages."""

from pathlib import Path
from typing import Any

import pytest

from data_prep.parse.iiif import parse_manifest
from data_prep.parse.json import parse_json
from data_prep.parse.labels import is_code, is_shelfmark, without_file_name, without_folio
from data_prep.parse.parsed import Parsed, View
from data_prep.parse.text import is_page_label, is_procedural, names_of
from data_prep.parse.to_records import to_records
from iconoclip.records import Record


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("f. 033v-034r [Chilpéric Ier tue Galswinthe]", "Chilpéric Ier tue Galswinthe"),
        ("fol. 12r: St Jerome in his study", "St Jerome in his study"),
        ("12v - The lion", "The lion"),
        ("1914 - 1918: la guerre", "1914 - 1918: la guerre"),
        ("Page of a bestiary", "Page of a bestiary"),
    ],
)
def test_folio_is_cut_off_what_the_page_shows(label: str, text: str) -> None:
    assert without_folio(label) == text


@pytest.mark.parametrize("text", ["BU29", "O.0219", "C1685/98", "6b/2/2 OM E467.S53", "GE FF-18595 (79)", "X.010r_VIS"])
def test_call_number_is_no_caption(text: str) -> None:
    assert is_code(text)


@pytest.mark.parametrize("text", ["Le 14 juillet", "Paris1900", "琴棋書画図 5", "Vogue", "The USS Maine, 1898"])
def test_words_with_numbers_are_captions(text: str) -> None:
    assert not is_code(text)


@pytest.mark.parametrize(
    "label",
    [
        "BnF, département Cartes et plans, GE FF-18595 (79)",
        "New Haven, Beinecke Rare Book and Manuscript Library, Yale University, Osborn fa1",
        "Bodleian Library MS. Canon. Ital. 108",
        "Paris, BnF, MSS Français 5",
    ],
)
def test_holder_and_number_are_a_call_number(label: str) -> None:
    assert is_shelfmark(label)


@pytest.mark.parametrize(
    "label",
    [
        "View of the British Museum, 1855",
        "Stadtbibliothek Trier, Hs. 2206/847: Sammelhandschrift",
        "The Library, Oxford",
    ],
)
def test_titles_that_name_a_library_stay(label: str) -> None:
    assert not is_shelfmark(label)


@pytest.mark.parametrize(
    "label",
    ["2ar (222r)", "Foldout, folded (recto)", "Page spread 1", "quatrième de couverture", "Vorblatt Ir",
     "mire et échelle", "raking light, unframed, verso", "Whole page", "front cover with color bar"],
)  # fmt: skip
def test_label_that_names_a_part_of_the_book_says_nothing(label: str) -> None:
    assert is_page_label(label)


@pytest.mark.parametrize("label", ["Lion before a tower", "Garde nationale, 1848", "Bookplate", "Front of Bronze"])
def test_label_that_names_what_is_shown_stays(label: str) -> None:
    assert not is_page_label(label)


@pytest.mark.parametrize("note", ["In Arabic.", "Binding: brown calf.", "1 beeldaffiche.", "This manifest is partial."])
def test_note_on_the_copy_is_no_description(note: str) -> None:
    assert is_procedural(note)
    assert not is_procedural("In winter, the canal is frozen")


@pytest.mark.parametrize(
    ("text", "name", "role"),
    [
        ("Artist: Vincent van Gogh, Dutch, 1853 - 1890", "Vincent van Gogh", "Artist"),
        ("Incledon, Charles Benjamin, 1763-1826 [performer]", "Incledon, Charles Benjamin", "performer"),
        ("Chaucer, Geoffrey, -1400", "Chaucer, Geoffrey", ""),
        ("Bolle, Fritz.", "Bolle, Fritz", ""),
        ("Thackara, A. M.", "Thackara, A. M.", ""),
    ],
)
def test_names_lose_dates_nation_and_full_stop(text: str, name: str, role: str) -> None:
    assert [(each.name, each.role) for each in names_of([text])] == [(name, role)]


def test_file_names_of_commons_become_titles() -> None:
    assert without_file_name("File:Courbet - A Burial at Ornans.jpg") == "Courbet - A Burial at Ornans"


def manifest(*labels: str, **more: Any) -> dict[str, Any]:
    canvases = [
        {"@id": f"https://iiif.example.org/canvas/{number}", "label": label,
         "images": [{"resource": {"@id": f"https://iiif.example.org/{number}.jpg", "@type": "dctypes:Image"}}]}
        for number, label in enumerate(labels, 1)
    ]  # fmt: skip
    return {"@id": "https://iiif.example.org/m", "@type": "sc:Manifest", "sequences": [{"canvases": canvases}]} | more


def captions(value: dict[str, Any], **more: Any) -> list[list[tuple[str, str]]]:
    records = to_records(parse_manifest(value), source="s", **more)
    return [[(caption.text, caption.level) for caption in record.captions] for record in records]


def test_label_of_most_canvases_is_the_object_s() -> None:
    got = captions(manifest("Urn, black-figure", "Urn, black-figure", "The foot", label="Urn"))
    assert got[0] == [("Urn", "object"), ("Urn, black-figure", "object")]
    assert got[2] == [("The foot", "page"), ("Urn", "object")]


def test_canvas_label_that_repeats_the_title_is_no_page_caption() -> None:
    assert captions(manifest("The Colosseum", label="The Colosseum")) == [[("The Colosseum", "object")]]
    assert captions(manifest("The Colosseum", label="The Colosseum"), captions=("page",)) == [
        [("The Colosseum", "page")]
    ]


def test_call_number_gives_way_to_the_title_and_alone_is_no_caption() -> None:
    pairs = [
        {"label": "Titre", "value": "Vogue"},
        {"label": "Cote", "value": "BnF, département Littérature, FOL-V-5554"},
    ]
    named = parse_manifest(manifest("NP", label="BnF, département Littérature, FOL-V-5554", metadata=pairs))
    assert [text.text for text in named.titles] == ["Vogue"]
    bare = to_records(parse_manifest(manifest("1r", label="BnF, Manuscrits, Allemand 305")), source="s")
    assert bare[0].title == "BnF, Manuscrits, Allemand 305"
    assert bare[0].captions == ()


def test_one_language_of_subjects_and_all_languages_of_titles_are_kept() -> None:
    pairs = [{"label": {"en": ["Subject"]}, "value": {"en": ["mother"], "fr": ["mère"]}}]
    parsed = parse_manifest(manifest("1", label={"en": ["The Mother"], "fr": ["La Mère"]}, metadata=pairs))
    assert parsed.subjects == ("mother",)
    assert [(text.text, text.lang) for text in parsed.titles] == [("The Mother", "en"), ("La Mère", "fr")]


def test_owner_beside_a_licence_in_one_pair_is_no_unknown_right() -> None:
    usage = {"label": "Attribution and usage", "value": ["Wellcome Collection", "CC BY-NC 4.0"]}
    assert [each.raw for each in parse_manifest(manifest("1", metadata=[usage])).rights] == ["CC BY-NC 4.0"]
    unclear = {"label": "Usage", "value": "Rights unassigned - staff access only"}
    assert [each.raw for each in parse_manifest(manifest("1", metadata=[unclear])).rights] == [unclear["value"]]


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("file:///etc/passwd", "only http and https"),
        ("pipe:cat /etc/passwd", "only http and https"),
        ("https://gallica.bnf.fr/services/engine/search/x.jpg", "refuses programs"),
    ],
)
def test_picture_at_an_address_that_is_never_opened_says_why(address: str, word: str) -> None:
    value = manifest("1")
    value["sequences"][0]["canvases"][0]["images"][0]["resource"]["@id"] = address
    (view,) = parse_manifest(value).views
    assert (view.url, view.iiif_service) == ("", "")
    assert word in view.problem


def test_picture_that_says_a_viewer_cannot_play_sound_is_no_page() -> None:
    value = manifest("Placeholder image")
    value["sequences"][0]["compatibilityHint"] = "displayIfContentUnsupported"
    assert parse_manifest(value).views == ()


def test_newest_image_service_of_several_is_asked() -> None:
    value = manifest("1")
    value["sequences"][0]["canvases"][0]["images"][0]["resource"]["service"] = [
        {"@id": "https://bl.digirati.io/images/ark:/81055/vdc_1.0x000001", "@type": "ImageService2"},
        {"id": "https://dlcs.bl.digirati.io/iiif-img/v3/2/3/81055___vdc_1.0x000001", "type": "ImageService3"},
    ]
    assert parse_manifest(value).views[0].iiif_service.startswith("https://dlcs.bl.digirati.io/")


# Read from the files by eye: the captions of the first view (text, language, level), and of a view that says more.
EXPECTED: dict[str, list[tuple[str, str, str]]] = {
    "adore.ugent.be__IIIF-Commons+parser": [("Zoo stemt men voor de liberalen", "und", "object")],
    "gallica.bnf.fr__altomator+IIIF__manifests__bpt6k9604118j": [("Vogue", "und", "object")],
    "media.nga.gov__IIIF-Commons+parser": [
        ("Self-Portrait", "und", "page"),
        ("National Gallery of Art Collection Highlights", "und", "object"),
        ("A selection of highlights from the National Gallery of Art", "und", "object"),
        ("Highlights from the collection of the National Gallery of Art", "und", "object"),
    ],
    "www.omeka.ugent.be": [],
    "digital.library.villanova.edu__IIIF-Commons+parser": [
        ("Letter, To: Ellie From: A. M. Thackara, April 12, 1882.", "und", "object")
    ],
    "iiifmediawiki.herokuapp.com": [("Gustave Courbet - A Burial at Ornans - Google Art Project 2", "und", "object")],
    "recipe__0036-composition": [
        ("Chilpéric Ier tue Galswinthe, se remarie et est assassiné", "en", "page"),
        ("Folio from Grandes Chroniques de France, ca. 1460", "en", "object"),
    ],
    "recipe__0318-navPlace-navDate__manifest-1": [("Castel Sant'Angelo, Rome", "en", "object")],
    "raw.githubusercontent.com__altomator+IIIF__manifests__btv1b530952065": [
        ("Carte générale de la France. 010, [Bourges]. N°10. 48e Flle", "fr", "object")
    ],
    "vanda.github.io__altomator+IIIF__manifests__layerstack-rembrandt": [
        ("[La fuite en Egypte] ([3e état d'après le new Hollstein])", "fr", "page"),
        ("LayerStack demo with Rembrandt [La fuite en Egypte]", "fr", "object"),
    ],
    "www.wdl.org__IIIF-Commons+parser": [
        ("General History of the Things of New Spain by Fray Bernardino de Sahagún: The Florentine Codex",
         "und", "object"),
        ("Historia general de las cosas de nueva España", "es", "object"),
    ],
}  # fmt: skip


def read_real(shared_data: Path, part: str) -> Parsed:
    folder = shared_data / "responses" / "iiif"
    (path,) = [path for path in folder.glob("presentation?/manifests/*.json") if part in path.name]
    return parse_manifest(parse_json(path.read_bytes()), url=f"https://example.org/{path.name}")


@pytest.mark.real
@pytest.mark.parametrize("part", EXPECTED)
def test_real_manifest_gives_captions_a_curator_would_write(shared_data: Path, part: str) -> None:
    first = to_records(read_real(shared_data, part), source="s")[0]
    assert [(caption.text, caption.lang, caption.level) for caption in first.captions] == EXPECTED[part]


@pytest.mark.real
def test_no_real_manifest_gives_a_caption_that_only_counts(shared_data: Path) -> None:
    folder = shared_data / "responses" / "iiif"
    found: list[Record] = []
    for path in sorted(folder.glob("presentation?/manifests/*.json")):
        found += to_records(parse_manifest(parse_json(path.read_bytes()), url=f"https://x.org/{path.name}"), source="s")
    pages = {caption.text for record in found for caption in record.captions if caption.level == "page"}
    assert len(found) > 9000  # 174 manifests
    assert {text for text in pages if is_page_label(text) or is_code(text)} == set()
    assert not any("<" in caption.text for record in found for caption in record.captions)


def test_view_without_problem_has_none() -> None:
    assert View().problem == ""
