"""Pictures and rights of a LIDO record: its resource sets, each with representations of several sizes."""

import re

from .json import as_pixels
from .parsed import RightsPart, RightsPlace, Statement, Text, View, number_views, unique
from .statements import meaning_of, statement
from .text import is_procedural, plain_text
from .urls import image_service_of, image_url, is_picture, service_url, web_url
from .xml import Element, all_of, attribute, children, descendants, first_text, language_of, text_of

# Kinds of right, which say that there may be one and not what is allowed
_KINDS = re.compile(
    r"^(?:urheberrecht|verwertungsrecht|nutzungsrecht|leistungsschutzrecht|copyright|publication right"
    r"|reproduction right|eigentumsrecht|tekijänoikeus|valokuvan oikeudet|auteursrecht"
    r"|droits? d.auteur|license|lizenz)$",
    re.I,
)
# lido00451 preview, lido00464 provided representation, lido00465 full-size master
_SMALL = re.compile(r"thumb|preview|lido00451|small|icon|list$", re.I)
_BEST = (re.compile(r"lido00464|provided|large|medium|zoom", re.I), re.compile(r"master|original|full|lido00465", re.I))
_VAGUE = re.compile(
    r"^(?:gesamtansicht|overall view|vorderansicht|rückansicht|detail(?:ansicht)?|ansicht|download"
    r"|front|back)\b.{0,20}$",
    re.I,
)


def read_views(administration: list[Element]) -> tuple[View, ...]:
    """One view per resource set: the representation that is given for use, a master, else a preview."""
    sets = [each for part in administration for each in descendants(part, "resourceSet")]
    return number_views([view for each in sets if (view := _view(each))])


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


def _view(resource_set: Element) -> View | None:
    """The best representation of one resource set."""
    found = []
    for each in all_of(resource_set, "resourceRepresentation"):
        kind = attribute(each, "type")
        for link in children(each, "linkResource"):
            url, mime = image_url(text_of(link)), _mime(attribute(link, "formatResource"))
            if url and is_picture(url, mime) is not False:
                found.append((_rank(kind), len(found), kind, url, text_of(link), mime, _sizes(each)))
    if not found:
        return None
    rank, _, _, url, original, mime, (width, height) = min(found)
    return View(
        url=url,
        iiif_service=service_url(image_service_of(web_url(original))),
        width=width,
        height=height,
        mime=mime,
        label=_label(resource_set),
        texts=_texts(resource_set),
        rights=tuple(
            found
            for each in all_of(resource_set, "rightsResource")
            for found in _statements(each, "image", "web_resource", "lido:rightsResource")
        ),
        preview=rank == len(_BEST) + 1,
    )


def _rank(kind: str) -> int:
    if _SMALL.search(kind):
        return len(_BEST) + 1
    return next((rank for rank, pattern in enumerate(_BEST) if pattern.search(kind)), len(_BEST))


def _mime(text: str) -> str:
    text = text.strip().lower()
    known = {
        "jpg": "image/jpeg",
        "jpeg": "image/jpeg",
        "tif": "image/tiff",
        "png": "image/png",
        "json": "application/json",
    }
    return text if "/" in text else known.get(text, "")


def _sizes(representation: Element) -> tuple[int | None, int | None]:
    found: dict[str, int | None] = {}
    for each in all_of(representation, "resourceMeasurementsSet"):
        kind = " ".join(text_of(inner) for inner in children(each, "measurementType")).lower()
        value = as_pixels(first_text(each, "measurementValue"))
        for name, words in (("width", ("width", "breite")), ("height", ("height", "höhe"))):
            if any(word in kind for word in words):
                found[name] = value
    return found.get("width"), found.get("height")


def _label(resource_set: Element) -> str:
    return plain_text(first_text(resource_set, "resourceDescription", "resourcePerspective/term"))


def _texts(resource_set: Element) -> tuple[Text, ...]:
    """What the picture shows, where the description says more than "overall view"."""
    found = [
        Text(text, language_of(each), "lido:resourceDescription", "page")
        for each in all_of(resource_set, "resourceDescription")
        if (text := plain_text(text_of(each))) and not _VAGUE.match(text) and not is_procedural(text)
    ]
    return tuple(dict.fromkeys(found))
