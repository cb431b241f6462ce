"""Read the catalogue API of the National Library of Norway (``api.nb.no/catalog/v1``): items, pages, access.

Shapes from client code, values unseen (data_prep notes 1.7), so every key may be missing. A search over all media
nests one level deeper. What may be shown is in ``accessInfo``: it is stated as the right in the picture together with
the reach. The library's own service sets ``isPublicDomain`` from the class ``public`` of an item.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

from .json import Object, as_list, as_object, as_text, objects, strings
from .parsed import Creator, Parsed, ParseError, ParseReason, Statement, Text, View, unique, unique_texts
from .text import is_procedural, plain_text, split_name
from .urls import image_url, service_url, web_url
from .xml import read_language

_LICENCES = {"cc0": "CC0", **{f"ccby{parts.replace('-', '')}": f"CC BY{parts.upper()}"
             for parts in ("", "-sa", "-nd", "-nc", "-nc-sa", "-nc-nd")}}  # fmt: skip
_DAY = re.compile(r"(\d{4})(\d\d)(\d\d)")
_PHOTOGRAPHER = re.compile(r"^(?:ftg|fotograf\w*)$", re.I)
_SUMMARY = re.compile(r"^Sammendrag:\s*", re.I)
_SIZE = re.compile(r"/full/[^/]*(?:\{width\}|\d|full|max)[^/]*/0/\w+\.jpg$")


@dataclass(frozen=True, slots=True)
class NbAccess:
    """What an item says about its use; None and ``""`` where it says nothing.

    ``allowed_from`` is EVERYWHERE, NORWAY, LIBRARY, NB or UNIVERSALLY_RESTRICTED.
    """

    is_public_domain: bool | None = None
    allowed_from: str = ""
    licence: str = ""


@dataclass(frozen=True, slots=True)
class NbPage:
    """One page of a search and the access to each of its objects; ``next_page`` is ``""`` on the last.

    ``number`` counts pages from 0, ``num_pages`` says how many there are; None where the answer does not say.
    """

    records: tuple[Parsed, ...]
    total: int | None
    next_page: str
    number: int | None = None
    num_pages: int | None = None
    access: tuple[NbAccess, ...] = ()


def parse_items(data: Any) -> NbPage:
    """Read a list of items, or one item.

    Raises:
        ParseError: the answer is an error, or holds no items.
    """
    page = as_object(data)
    embedded = as_object(page.get("_embedded"))
    items = objects(embedded.get("items"))
    for result in objects(embedded.get("mediaTypeResults")):
        inner = as_object(result.get("result"))
        items += objects(as_object(inner.get("_embedded")).get("items"))
    if not items and page.get("metadata") and (page.get("id") or page.get("_links")):
        items = [page]
    if not items and "_embedded" not in page and "page" not in page:
        status = as_text(page.get("status")) or as_text(page.get("error"))
        if status:
            raise ParseError(ParseReason.PROTOCOL_ERROR, f"{status} {as_text(page.get('message'))}".strip()[:200])
        raise ParseError(ParseReason.UNKNOWN_FORMAT, "no _embedded.items in the answer")
    counts = as_object(page.get("page"))
    return NbPage(
        records=tuple(map(_read_item, items)),
        total=_count(counts, "totalElements"),
        next_page=web_url(as_text(as_object(as_object(page.get("_links")).get("next")).get("href"))),
        number=_count(counts, "number"),
        num_pages=_count(counts, "totalPages"),
        access=tuple(_read_access(item) for item in items),
    )


def _count(counts: Object, name: str) -> int | None:
    value = counts.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _read_access(item: Object) -> NbAccess:
    access = as_object(item.get("accessInfo"))
    public = access.get("isPublicDomain")
    licence = as_text(access.get("license")) or as_text(as_object(item.get("metadata")).get("license"))
    return NbAccess(public if isinstance(public, bool) else None, as_text(access.get("accessAllowedFrom")), licence)


def _read_item(item: Object) -> Parsed:
    metadata = as_object(item.get("metadata"))
    identifiers = as_object(metadata.get("identifiers"))
    urn = as_text(identifiers.get("urn"))
    links = as_object(item.get("_links"))
    languages = unique(
        [
            read_language(as_text(as_object(each).get("code")) or as_text(each))
            for each in as_list(metadata.get("languages"))
        ]
    )
    # Of several languages nobody says which one the title is in; the library catalogues in either Norwegian.
    spoken = languages[0] if len(languages) == 1 and languages[0] not in ("mul", "zxx") else ""
    people = [_person(each) for each in (*objects(metadata.get("people")), *objects(metadata.get("corporates")))]
    authors = [split_name(text) for text in _names(metadata.get("creators"))]
    makers = authors or [each for each in people if _PHOTOGRAPHER.match(each.role)]
    others = [split_name(text) for text in _names(metadata.get("contributors"))]
    known = {each.name for each in makers}
    return Parsed(
        id=urn or as_text(item.get("id")),
        format="nb_no",
        titles=unique_texts([Text(plain_text(text), spoken, "metadata.title") for text in _titles(metadata)]),
        descriptions=_descriptions(metadata),
        creators=tuple(dict.fromkeys(makers)),
        contributors=tuple(each for each in dict.fromkeys([*others, *people]) if each.name not in known),
        dates=_dates(metadata),
        places=_places(metadata),
        types=unique(
            [
                plain_text(text)
                for name in ("mediaTypes", "typeOfResource", "genres")
                for text in strings(metadata.get(name))
            ]
        ),
        techniques=unique(strings(as_object(metadata.get("physicalDescription")).get("form"))),
        subjects=unique([plain_text(text) for text in _topics(metadata)]),
        rights=_rights(_read_access(item)),
        institution="Nasjonalbiblioteket",
        languages=languages,
        metadata_language="no",
        landing_page=web_url(f"https://www.nb.no/items/{urn or as_text(item.get('id'))}"),
        manifest=web_url(_href(links, "presentation")).replace("https://api.nb.no:443/", "https://api.nb.no/"),
        identifiers=unique(
            [urn, as_text(item.get("id")), *strings(identifiers.get("sesamid")), *strings(identifiers.get("oaiId"))]
        ),
        views=_views(links),
    )


def _descriptions(metadata: Object) -> tuple[Text, ...]:
    found = [
        Text(_SUMMARY.sub("", plain_text(text)), "", f"metadata.{name}")
        for name in ("summary", "abstract", "description", "notes")
        for text in strings(metadata.get(name))
    ]
    return tuple(text for text in unique_texts(found) if not is_procedural(text.text))


def _person(person: Object) -> Creator:
    """A person with the first role: ``{"name": "Wilse, A.", "roles": [{"name": "ftg"}]}``."""
    role = as_object(person.get("roles"))
    name = split_name(as_text(person.get("name")))
    return replace(name, role=as_text(role.get("description")) or as_text(role.get("name")) or name.role)


def _dates(metadata: Object) -> tuple[str, ...]:
    origin = as_object(metadata.get("originInfo"))
    found = [*strings(origin.get("issued")), *strings(origin.get("created")), *strings(metadata.get("dateCreated"))]
    return unique([_date(text) for text in found])


def _date(text: str) -> str:
    match = _DAY.fullmatch(text)
    if not match:
        return text
    year, month, day = match.groups()
    return year if month == "00" else f"{year}-{month}" if day == "00" else f"{year}-{month}-{day}"


def _places(metadata: Object) -> tuple[str, ...]:
    """``"Norge;Telemark;Bø"``, or city and county; the narrowest place comes first."""
    geographic = as_object(metadata.get("geographic"))
    parts = [part for text in strings(geographic.get("placeString")) for part in reversed(text.split(";"))]
    parts = parts or [*strings(geographic.get("city")), *strings(geographic.get("county"))]
    return unique([plain_text(part) for part in parts or _names(metadata.get("places"))])


def _titles(metadata: Object) -> list[str]:
    info = [as_text(each.get("title")) for each in objects(metadata.get("titleInfos"))]
    return strings(metadata.get("title")) or [text for text in info if text]


def _names(value: Any) -> list[str]:
    found = []
    for each in as_list(value):
        found += [as_text(each.get("name")) or as_text(each.get("label"))] if isinstance(each, dict) else strings(each)
    return [text for text in found if text]


def _topics(metadata: Object) -> list[str]:
    subject = metadata.get("subject") if "subject" in metadata else metadata.get("subjects")
    if isinstance(subject, dict):
        return [
            text for name in ("topics", "names", "persons", "places", "genres") for text in _names(subject.get(name))
        ]
    return _names(subject) or strings(metadata.get("subjectName"))


def _href(links: Object, name: str) -> str:
    return next((as_text(each.get("href")) for each in objects(links.get(name))), "")


def _rights(access: NbAccess) -> tuple[Statement, ...]:
    """Public domain or not, and from where it may be seen: both in words. A licence says more than "not public"."""
    reach = f"; accessAllowedFrom {access.allowed_from}" if access.allowed_from else ""
    reach += "" if access.allowed_from in ("", "EVERYWHERE") else " (restricted)"
    found = []
    licence = _LICENCES.get(re.sub(r"[^a-z0-9]", "", access.licence.lower()))
    if access.is_public_domain or (access.is_public_domain is False and not licence):
        words = "public domain" if access.is_public_domain else "not in the public domain"
        found.append(Statement(f"{words}{reach}", "", "image", "record", "accessInfo"))
    elif licence:
        found.append(Statement(f"{licence}{reach}", "", "image", "record", "accessInfo.license"))
    if access.licence and not licence:
        found.append(Statement(access.licence, "", "image", "record", "accessInfo.license"))
    return tuple(found)


def _views(links: Object) -> tuple[View, ...]:
    """The image behind the templated thumbnail, whose address is one of an image service."""
    for name in ("thumbnail_custom", "thumbnail_large", "thumbnail_medium", "thumbnail_small"):
        href = _href(links, name)
        base = _SIZE.sub("", href)
        if base != href and "{" not in base:
            service = service_url(base)
            return (View(url=image_url(f"{base}/full/!1024,1024/0/native.jpg"), iiif_service=service),)
    href = next(
        (href for name in ("thumbnail_large", "thumbnail_medium") if (href := image_url(_href(links, name)))), ""
    )
    return (View(url=href, preview=True),) if href else ()
