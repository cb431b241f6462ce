"""Read Dublin Core: oai_dc, KB's dcx and SRU records, BnF's and Gallica's conventions, and a few neighbours.

``parse_dc(element)`` takes the element that holds the ``dc:`` fields. Gallica (data_prep notes 1.2): the ark in
``dc:identifier`` gives picture and manifest at openapi.bnf.fr; ``dc:creator`` is "Nom, Prénom (dates). Rôle";
sentences about the digitisation in ``dc:description`` are no captions; "Nombre total de vues" in ``dc:format`` is
neither a technique nor a reliable count. KB (1.4): ``dcx:illustration`` and resolver addresses are pictures.
"""

import re

from .parsed import Parsed, ParseError, ParseReason, Statement, Text, View, number_views, unique, unique_texts
from .statements import statement
from .text import (
    iconclass_of,
    is_credit_line,
    is_media_type,
    is_notation,
    is_procedural,
    names_of,
    plain_text,
)
from .urls import gallica_ark, gallica_page, image_service_of, image_url, is_picture, service_url, web_url
from .xml import Element, attribute, children, language_of, local_name, read_language, text_of

_ADDRESS = re.compile(r"https?://[^\s<>\"\]]+")
_TIMESTAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d")
# Fields that Dublin Core, its terms and KB's extension share a name for; others are read by these names too.
_ADDRESS_FIELDS = (
    "identifier", "relation", "source", "hasFormat", "hasVersion", "URI", "recordIdentifier", "seeOnline",
    "URL_gvn", "ppn",
)  # fmt: skip
_PICTURE_FIELDS = ("illustration", "thumbnail", "isShownBy", "object", "image")


class Fields:
    """The fields of a record by local name, each value with its language and attributes."""

    def __init__(self, element: Element) -> None:
        self.elements: dict[str, list[Element]] = {}
        for each in children(element):
            self.elements.setdefault(local_name(each), []).append(each)

    def texts(self, *names: str, source: str = "dc:") -> list[Text]:
        """Texts of the fields as they are written, without markup."""
        return [
            Text(text, language_of(each), f"{source}{name}")
            for name in names
            for each in self.elements.get(name, ())
            if (text := plain_text(text_of(each)))
        ]

    def values(self, *names: str) -> list[str]:
        """The same without languages."""
        return [text.text for text in self.texts(*names)]

    def addresses(self, *names: str) -> list[str]:
        """Addresses in the fields: alone, inside a sentence, or as ``rdf:resource``."""
        found = []
        for name in names:
            for each in self.elements.get(name, ()):
                found += [attribute(each, "resource"), *_ADDRESS.findall(text_of(each))]
        return [url for each in found if (url := web_url(each.rstrip(".,;")))]


def parse_dc(element: Element, *, identifier: str = "", format_name: str = "oai_dc") -> Parsed:
    """Read one record; ``identifier`` is the one of its envelope, which outranks ``dc:identifier``.

    Raises:
        ParseError: not one of its fields is known.
    """
    fields = Fields(element)
    if not fields.elements.keys() & {"title", "identifier", "description", "creator", "subject", "type", "date"}:
        names = ", ".join(sorted(fields.elements)[:6]) or "nothing"
        raise ParseError(ParseReason.NO_RECORD, f"no Dublin Core field in <{local_name(element)}>: {names}")
    addresses = fields.addresses(*_ADDRESS_FIELDS)
    ark = next((ark for url in addresses if (ark := gallica_ark(url))), "")
    views = _views(fields, addresses, ark)
    descriptions = fields.texts("description", "abstract", "annotation")
    return Parsed(
        id=identifier or _identifier(fields, addresses),
        format=format_name,
        titles=unique_texts(fields.texts("title", "alternative")),
        descriptions=unique_texts([text for text in descriptions if not is_procedural(text.text)]),
        creators=names_of(fields.values("creator")),
        contributors=names_of(fields.values("contributor", "publisher")),
        dates=_dates(fields),
        places=unique(fields.values("spatial", "depictedLocation")),
        types=unique(fields.values("type")),
        techniques=_techniques(fields),
        subjects=unique([text for text in fields.values("subject") if not text.startswith(("http://", "https://"))]),
        iconclass=_iconclass(fields),
        series=unique_texts([Text(t.text, t.lang, t.source, "series") for t in fields.texts("isPartOf", "collection")]),
        rights=_rights(fields),
        institution=next(iter(fields.values("dataProvider", "Institution", "provenance")), ""),
        languages=unique([read_language(text) for text in fields.values("language")]),
        landing_page=_landing_page(addresses, views),
        manifest=gallica_page(ark)[2] if ark else _manifest(addresses),
        identifiers=unique(fields.values("identifier", "shelfMark", "PPN", "ppn")),
        views=views,
    )


def _rights(fields: Fields) -> tuple[Statement, ...]:
    """Statements of the record. Which part they mean is not said in Dublin Core; they are taken for the picture's."""
    found = []
    for name in ("rights", "license", "accessRights", "rightsHolder", "permission"):
        for each in fields.elements.get(name, ()):
            raw = attribute(each, "resource") or text_of(each)
            if raw:
                found.append(statement(raw, "image", "record", f"dc:{name}"))
    return tuple(dict.fromkeys(found))


def _identifier(fields: Fields, addresses: list[str]) -> str:
    own = fields.addresses("identifier", "recordIdentifier") or addresses
    return next(iter(own), "") or next(iter(fields.values("identifier", "recordIdentifier", "shelfMark")), "")


def _dates(fields: Fields) -> tuple[str, ...]:
    # Repositories write when a file was uploaded into dc:date; that is a moment, no date of a work.
    dates = unique([*fields.values("created"), *fields.values("date"), *fields.values("issued", "temporal")])
    return tuple(date for date in dates if not _TIMESTAMP.match(date)) or dates[:1]


def _techniques(fields: Fields) -> tuple[str, ...]:
    values = fields.values("medium", "format", "technique")
    return unique(
        [text for text in values if not (is_media_type(text) or is_credit_line(text) or text.startswith("http"))]
    )


def _iconclass(fields: Fields) -> tuple[str, ...]:
    found = [iconclass_of(url) for url in fields.addresses("subject", "type", "iconclass")]
    for name in ("subject", "iconclass"):
        for each in fields.elements.get(name, ()):
            scheme = f"{attribute(each, 'type')} {attribute(each, 'scheme')} {attribute(each, 'authority')}".lower()
            text = text_of(each)
            if (name == "iconclass" or "iconclass" in scheme) and is_notation(text.split(" ")[0]):
                found.append(text.split(" ")[0])
    return unique(found)


def _views(fields: Fields, addresses: list[str], ark: str) -> tuple[View, ...]:
    if ark:
        page = next((url for url in addresses if gallica_ark(url) == ark), "")
        number = re.search(r"/f(\d+)", page)
        service, url, _ = gallica_page(ark, int(number[1][:6]) if number else 1)
        return (View(url=url, iiif_service=service),)
    linked = [
        web_url(text_of(each)) for each in fields.elements.get("identifier", ()) if _SAYS_PICTURE.match(_anchor(each))
    ]
    candidates = [url for name in _PICTURE_FIELDS if name != "thumbnail" for url in fields.addresses(name)]
    pictures = [*linked, *candidates, *(url for url in addresses if is_picture(url))]
    pictures += [url for url in fields.addresses("format", "description") if is_picture(url)]
    views = [
        View(url=image_url(url), iiif_service=service_url(image_service_of(url)))
        for url in pictures
        if url and is_picture(url) is not False
    ]
    if not views:
        views = [View(url=image_url(url), preview=True) for url in fields.addresses("thumbnail")]
    return number_views(views)


_SAYS_PICTURE = re.compile(r"(?:afbeelding|image|illustratie|bild|picture)\b", re.I)


def _anchor(element: Element) -> str:
    """What KB calls a link: ``dcx:anchorText="Afbeelding (115)"``."""
    return attribute(element, "anchorText")


def _landing_page(addresses: list[str], views: tuple[View, ...]) -> str:
    pictures = {view.url for view in views}
    pages = [
        url for url in addresses if image_url(url) not in pictures and not is_picture(url) and not _is_manifest(url)
    ]
    return next(iter(pages), "")


def _is_manifest(url: str) -> bool:
    return re.search(r"/manifest(?:\.json)?/?$", url) is not None


def _manifest(addresses: list[str]) -> str:
    return next((image_url(url) for url in addresses if _is_manifest(url)), "")
