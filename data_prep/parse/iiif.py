"""Read IIIF Presentation manifests: 2.x, 3.0, mixtures of both, and what the drafts of 4 share with them.

``parse_manifest(value, url=...)`` gives one object, a view per canvas. A title is the pair ``Title`` of the metadata as
well as the label, which at the BnF is the shelfmark and then is no title. Rights stand at the image, the canvas or the
manifest, as URI, list of them, HTML anchor or sentence; all are kept with their place. A label that stands on most
canvases is the object's, not the page's. Sources:
https://iiif.io/api/presentation/2.1/, https://iiif.io/api/presentation/3.0/, data_prep notes 1.2, 1.9, 1.15.
"""

import re
from collections import Counter
from dataclasses import replace
from typing import Any

from ..captions import comparable
from .iiif_values import id_of, links_of, metadata_fields, page_of, raw_texts, texts_of, type_of
from .iiif_views import read_views
from .json import Object, as_list, as_object, as_text
from .labels import is_code, is_shelfmark, without_file_name
from .parsed import Parsed, ParseError, ParseReason, RightsPlace, Statement, Text, View, unique, unique_texts
from .statements import says_something, statement
from .text import iconclass_of, is_media_type, is_notation, is_procedural, names_of
from .urls import gallica_ark, gallica_page, open_gallica, web_url
from .xml import read_language


def parse_manifest(value: Any, *, url: str = "") -> Parsed:
    """Read a manifest; ``url`` is where it came from, and its identifier where it states none of its own.

    Raises:
        ParseError: it is neither a manifest nor has it canvases.
    """
    manifest = as_object(value)
    if type_of(manifest) != "Manifest" and not (manifest.get("sequences") or manifest.get("items")):
        raise ParseError(
            ParseReason.UNKNOWN_FORMAT, f"a {type_of(manifest) or 'value'} without a type is no IIIF manifest"
        )
    name = id_of(manifest)
    own = name if re.match(r"(?:https?|urn|ark|info):", name) and "{{" not in name else ""
    fields = metadata_fields(manifest.get("metadata"), "metadata")
    landing_page = _landing_page(manifest, fields)
    ark = next((ark for each in (own, landing_page) if (ark := gallica_ark(each))), "")
    parsed = Parsed(
        id=own or url or ("" if "{{" in name else name),  # "{{ id.url }}": a template that was never filled
        format=_version(manifest),
        titles=_titles(manifest, fields),
        descriptions=_descriptions(manifest, fields),
        creators=names_of(text.text for text in fields.get("creator", ())),
        contributors=names_of(text.text for text in fields.get("contributor", ())),
        dates=_dates(fields) or _nav_date(manifest),
        places=_places(fields),
        types=_words(fields, "type"),
        techniques=_techniques(fields),
        subjects=_words(fields, "subject"),
        iconclass=_iconclass(fields),
        rights=statements_of(manifest, fields, "manifest"),
        attribution=_attribution(manifest),
        institution=_institution(manifest, fields),
        languages=unique([read_language(text) for text in _words(fields, "language")]),
        landing_page="" if landing_page in (own, url) else landing_page,
        manifest=gallica_page(ark)[2] if ark else open_gallica(web_url(own or url)),
        identifiers=unique([*_words(fields, "shelfmark"), ark]),
        links=tuple(links_of(manifest.get("seeAlso"))),
        views=_with_levels(read_views(manifest)),
    )
    return replace(parsed, metadata_language=_metadata_language(parsed))


def _version(manifest: Object) -> str:
    contexts = " ".join(as_text(each) for each in as_list(manifest.get("@context")))
    for number in ("4", "3", "2", "1"):
        if f"presentation/{number}/" in contexts:
            return f"iiif_presentation_{number}"
    return "iiif_presentation_3" if "items" in manifest else "iiif_presentation_2"


def _words(fields: dict[str, list[Text]], name: str) -> tuple[str, ...]:
    """Values of a field, each once, without those that are addresses."""
    return unique([text.text for text in fields.get(name, ()) if not web_url(text.text)])


def _titles(manifest: Object, fields: dict[str, list[Text]]) -> tuple[Text, ...]:
    """The label and the titles among the pairs, without call numbers where there is anything else."""
    label = texts_of(manifest.get("label") or manifest.get("title"), "label")
    label = [replace(text, text=without_file_name(text.text)) for text in label]
    named = [text for text in fields.get("title", ()) if not _STANDARD.match(text.text)]
    shelfmarks = {text.text for text in fields.get("shelfmark", ())}
    words = [
        text
        for text in label
        if text.text not in shelfmarks and not (named and _is_call_number(text, named, shelfmarks))
    ]
    longer = [comparable(text.text) for text in words]
    named = [text for text in named if not any(each.startswith(f"{comparable(text.text)} ") for each in longer)]
    return unique_texts([*words, *named]) or tuple(label)


def _is_call_number(label: Text, named: list[Text], shelfmarks: set[str]) -> bool:
    text = label.text
    if _SHELFMARK.match(text) or is_shelfmark(text) or is_code(text):
        return True
    before = [text.removesuffix(each.text) for each in named if text.endswith(f" {each.text}")]
    marked = any(is_code(each) or each.strip(" ,:;-") in shelfmarks for each in before)
    return marked or any(text.endswith(f" {mark}") for mark in shelfmarks)


_SHELFMARK = re.compile(
    r"^(?:BnF|Bibliothèque|Bibliotheque|British Library|Bodleian Library|Paris, B)[ ,.].*(?:\d|réserve)"
    r"|^[\w'’. ]+ (?:College|Library|Libraries)\b[^,]*\d",
    re.I,
)


def _with_levels(views: tuple[View, ...]) -> tuple[View, ...]:
    """Views whose texts are the object's where more than half of several canvases share them."""
    counts = Counter(text for view in views for text in {text.text for text in view.texts})
    shared = {text for text, count in counts.items() if count > 1 and 2 * count > len(views)}
    return tuple(
        replace(
            view, texts=tuple(replace(text, level="object") if text.text in shared else text for text in view.texts)
        )
        for view in views
    )


def _dates(fields: dict[str, list[Text]]) -> tuple[str, ...]:
    """Dates as stated; one with a time of day is the record's own."""
    return unique([text.text for text in fields.get("date", ()) if not re.search(r"\dT\d\d:", text.text)])


def _places(fields: dict[str, list[Text]]) -> tuple[str, ...]:
    """Places without the cataloguer's brackets and without MARC's codes of countries (``enk``)."""
    bare = [text.strip(" []:;,") for text in _words(fields, "place")]
    return unique([text for text in bare if not re.fullmatch(r"[a-z]{2,3}", text)])


def _techniques(fields: dict[str, list[Text]]) -> tuple[str, ...]:
    bare = [re.sub(r"^reformatted digital\s*", "", text) for text in _words(fields, "technique")]
    return unique([text for text in bare if not is_media_type(text)])


def _descriptions(manifest: Object, fields: dict[str, list[Text]]) -> tuple[Text, ...]:
    found = [
        *texts_of(manifest.get("summary"), "summary"),
        *texts_of(manifest.get("description"), "description"),
        *fields.get("description", ()),
    ]
    return unique_texts([text for text in found if not _says_nothing(text.text)])


def _says_nothing(text: str) -> bool:
    is_imprint = re.search(r"\bark:/\d+/\S+$", text)  # the British Library's "London, 1889, ark:/81055/..."
    return bool(is_procedural(text) or _STANDARD.match(text) or is_code(text) or is_shelfmark(text) or is_imprint)


_STANDARD = re.compile(
    r"^(?:item supplied by|provided by|created by|\[click|a collection of|manifest description)", re.I
)


def statements_of(resource: Object, fields: dict[str, list[Text]], place: RightsPlace) -> tuple[Statement, ...]:
    """Rights of a manifest, canvas or image; an attribution counts where it names a licence or says what is allowed."""
    found = []
    for name in ("rights", "license"):
        for raw, _ in raw_texts(resource.get(name)):
            found.append(statement(raw, "image", place, name))
    pairs = fields.get("rights", [])
    telling = {text.source for text in pairs if says_something(text.text)}
    for text in pairs:
        # "Attribution and usage": [owner, licence] is one pair; of one that is not understood, all is kept
        if text.source not in telling or says_something(text.text):
            found.append(statement(text.text, "image", place, text.source))
    required = as_object(resource.get("requiredStatement")).get("value")
    for name, value in (("attribution", resource.get("attribution")), ("requiredStatement", required)):
        for raw, _ in raw_texts(value):
            if says_something(raw):
                found.append(statement(raw, "image", place, name))
    return tuple(dict.fromkeys(each for each in found if each.raw))


def _attribution(manifest: Object) -> str:
    required = as_object(manifest.get("requiredStatement")).get("value")
    texts = texts_of(manifest.get("attribution")) or texts_of(required)
    return next((text.text for text in texts if not web_url(text.text)), "")


def _institution(manifest: Object, fields: dict[str, list[Text]]) -> str:
    if named := [text for text in _words(fields, "institution") if not _SENTENCE.match(text)]:
        return named[0]
    providers = [
        text.text for each in as_list(manifest.get("provider")) for text in texts_of(as_object(each).get("label"))
    ]
    return next(iter(providers), "")


_SENTENCE = re.compile(r"^(?:this|these|the original|.{120})", re.I)


def _landing_page(manifest: Object, fields: dict[str, list[Text]]) -> str:
    for name in ("homepage", "related"):
        if page := page_of(manifest.get(name)):
            return page
    if page := page_of(manifest.get("rendering"), only_html=True):
        return page
    links = [url for text in fields.get("link", ()) if (url := web_url(text.text))]
    return next((url for url in links if "OAIHandler" not in url and "oai" not in url.lower()), "")


def _nav_date(manifest: Object) -> tuple[str, ...]:
    match = re.match(r"-?\d{4}", as_text(manifest.get("navDate")))
    return (match[0],) if match else ()


def _iconclass(fields: dict[str, list[Text]]) -> tuple[str, ...]:
    subjects = [*fields.get("subject", ()), *fields.get("link", ())]
    stated = [
        word for text in fields.get("iconclass", ()) for word in re.split(r"[;\s]+", text.text) if is_notation(word)
    ]
    return unique([*stated, *(iconclass_of(text.text) for text in subjects)])


def _metadata_language(parsed: Parsed) -> str:
    """The one language of the first title and the descriptions; other titles may be in the object's language."""
    languages = {text.lang for text in (*parsed.titles[:1], *parsed.descriptions) if text.lang}
    return next(iter(languages)) if len(languages) == 1 else ""
