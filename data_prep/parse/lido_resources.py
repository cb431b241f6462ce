"""Pictures and rights of a LIDO record: its resource sets, each with representations of several sizes."""

import mimetypes
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from .json import as_pixels
from .lido_terms import Side, side_of, without_side
from .parsed import RightsPart, RightsPlace, Statement, Text, View, number_views, unique
from .statements import meaning_of, statement
from .text import is_page_label, is_procedural, plain_text
from .urls import image_service_of, image_url, is_picture, service_url, web_url
from .xml import Element, all_of, attribute, children, descendants, first_text, language_of, text_of

# Kinds of right, which say that there may be one and not what is allowed
_KINDS = re.compile(
    r"^(?:urheberrechte?|verwertungsrechte?|nutzungsrechte?|leistungsschutzrechte?|copyright|publication right"
    r"|reproduction right|eigentumsrecht|tekijänoikeus|valokuvan oikeudet|auteursrecht"
    r"|droits? d.auteur|license|lizenz)$",
    re.I,
)
# lido00451 preview, lido00464 provided representation, lido00465 full-size master
_SMALL = re.compile(r"thumb|preview|lido00451|small|icon|list$", re.I)
_BEST = (re.compile(r"lido00464|provided|large|medium|zoom", re.I), re.compile(r"master|original|full|lido00465", re.I))
# What names the angle and not the thing: "Luftaufnahme von Nordosten", "overall view, from front"
_VAGUE = re.compile(
    r"^(?:(?:gesamtansicht|overall view|hauptansicht|main view)\b.{0,60}"
    r"|(?:vorderansicht|rückansicht|seitenansicht|innenansicht|außenansicht|luftaufnahme|luftbild|aerial view|exterior"
    r"|interior|detail(?:ansicht|aufnahme)?|ansicht|download|front|back)\b.{0,30})$",
    re.I,
)
_HEAVY = re.compile(r"image/(?:tiff|jp2|jpx|x-)|\.(?:tiff?|jp2|jpx|j2k|dng|psd)$", re.I)
_TYPES = mimetypes.MimeTypes(filenames=())  # the built-in table: the same on every machine


def read_views(administration: list[Element], sides: Mapping[Side, Sequence[Text]] | None = None) -> tuple[View, ...]:
    """One view per resource set, in their sort order: what is given for use, else a master, else a preview.

    ``sides`` says what is seen on the two sides of the object; a picture of one side has its texts.
    """
    found = [view for each in _resource_sets(administration) if (view := _view(each, sides or {}))]
    return number_views(found)


def has_sides(administration: list[Element]) -> bool:
    """Say whether a picture is said to show one side only."""
    return any(side_of(_perspective(each)) for each in _resource_sets(administration))


def manifest_of(administration: list[Element]) -> str:
    """Address of a IIIF manifest among the resources."""
    links = [text_of(link) for part in administration for link in descendants(part, "linkResource")]
    return next((web_url(link) for link in links if re.search(r"/manifest(?:\.json)?/?$", link) and web_url(link)), "")


def credit_of(administration: list[Element]) -> str:
    """Credit line of the work; those of pictures stand at the views, the record's is about the text."""
    return _credit([each for part in administration for each in all_of(part, "rightsWorkWrap/rightsWorkSet")])


def statements_of(administration: Element) -> list[Statement]:
    """Rights in the work and in the record (its text)."""
    work = list(all_of(administration, "rightsWorkWrap/rightsWorkSet"))
    record = list(all_of(administration, "recordWrap/recordRights"))
    return [
        *(found for each in work for found in _statements(each, "work", "record", "lido:rightsWorkSet")),
        *(found for each in record for found in _statements(each, "metadata", "record", "lido:recordRights")),
    ]


def _statements(element: Element, part: RightsPart, place: RightsPlace, source: str) -> list[Statement]:
    found = []
    for each in children(element, "rightsType"):
        addresses = [text_of(inner) for inner in descendants(each, "conceptID")]
        addresses += [attribute(inner, "about") for inner in descendants(each, "Concept")]
        terms = [plain_text(text_of(inner)) for name in ("term", "prefLabel") for inner in descendants(each, name)]
        uri = next((uri for text in addresses if (uri := meaning_of(text).uri)), "")
        if uri:
            found.append(statement(next(text for text in addresses if meaning_of(text).uri), part, place, source))
            continue
        words = unique([*(text for text in addresses if text.startswith("http")), *terms])
        raw = "; ".join(words) or text_of(each)
        if raw and not all(_KINDS.match(word) for word in words or (raw,)):
            found.append(statement(raw, part, place, source))
    return list(dict.fromkeys(found))


def _credit(rights: list[Element]) -> str:
    return "; ".join(unique([plain_text(text_of(line)) for each in rights for line in children(each, "creditLine")]))


def _resource_sets(administration: list[Element]) -> list[Element]:
    sets = [each for part in administration for each in descendants(part, "resourceSet")]
    orders = [attribute(each, "sortorder") for each in sets]
    if not all(order.isascii() and order.isdigit() for order in orders):
        return sets
    return [each for _, each in sorted(zip(map(int, orders), sets, strict=True), key=lambda item: item[0])]


def _view(resource_set: Element, sides: Mapping[Side, Sequence[Text]]) -> View | None:
    """The best representation of one resource set."""
    found = []
    for each in all_of(resource_set, "resourceRepresentation"):
        width, height = _sizes(each)
        for link in children(each, "linkResource"):
            view = _picture(text_of(link), _mime(attribute(link, "formatResource")))
            if view is not None:
                small, kind = _rank(attribute(each, "type"))
                is_heavy = bool(_HEAVY.search(view.mime) or _HEAVY.search(view.url))
                order = (small, not view.iiif_service, is_heavy, kind, -(width or height or 0), len(found))
                found.append((order, replace(view, width=width, height=height, preview=small)))
    if not found:
        return None
    _, best = min(found, key=lambda item: item[0])
    side = side_of(_perspective(resource_set))
    return replace(
        best,
        label=_label(resource_set),
        credit=_credit(all_of(resource_set, "rightsResource")),
        texts=tuple(dict.fromkeys([*_texts(resource_set), *_side_texts(sides, side)])),
        rights=tuple(
            found
            for each in all_of(resource_set, "rightsResource")
            for found in _statements(each, "image", "web_resource", "lido:rightsResource")
        ),
    )


def _picture(link: str, mime: str) -> View | None:
    """A picture, or an image service by its description."""
    if re.search(r"/info\.json$", link):
        service = service_url(link)
        return View(url=f"{service}/full/max/0/default.jpg", iiif_service=service) if service else None
    url = image_url(link)
    if not url or is_picture(url, mime) is False:
        return None
    return View(url=url, iiif_service=service_url(image_service_of(web_url(link))), mime=mime)


def _rank(kind: str) -> tuple[bool, int]:
    """(whether it is a thumbnail, place among the others): lower is better."""
    best = next((rank for rank, pattern in enumerate(_BEST) if pattern.search(kind)), len(_BEST))
    return _SMALL.search(kind) is not None, best


def _mime(text: str) -> str:
    text = text.strip().lower()
    return text if "/" in text else _TYPES.guess_type(f"x.{text}")[0] or ""


def _perspective(resource_set: Element) -> str:
    return plain_text(first_text(resource_set, "resourcePerspective/term"))


def _label(resource_set: Element) -> str:
    """The description unless it names only the angle, which would be taken for a caption; else the perspective."""
    text = plain_text(first_text(resource_set, "resourceDescription"))
    return text if text and (is_page_label(text) or not _VAGUE.match(text)) else _perspective(resource_set)


def _side_texts(sides: Mapping[Side, Sequence[Text]], side: Side | None) -> list[Text]:
    return [replace(text, text=without_side(text.text), level="page") for text in sides.get(side, ())] if side else []


def _sizes(representation: Element) -> tuple[int | None, int | None]:
    found: dict[str, int | None] = {}
    for each in all_of(representation, "resourceMeasurementsSet"):
        kind = " ".join(text_of(inner) for inner in children(each, "measurementType")).lower()
        value = as_pixels(first_text(each, "measurementValue"))
        for name, words in (("width", ("width", "breite")), ("height", ("height", "höhe"))):
            if any(word in kind for word in words):
                found[name] = value
    return found.get("width"), found.get("height")


def _texts(resource_set: Element) -> tuple[Text, ...]:
    """What the picture shows, where the description says more than "overall view"."""
    found = [
        Text(text, language_of(each), "lido:resourceDescription", "page")
        for each in all_of(resource_set, "resourceDescription")
        if (text := plain_text(text_of(each))) and not _VAGUE.match(text) and not is_procedural(text)
    ]
    return tuple(dict.fromkeys(found))
