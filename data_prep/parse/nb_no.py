"""Read the catalogue API of the National Library of Norway (``api.nb.no/catalog/v1``): items, pages, access.

Shapes from client code, values unseen (data_prep notes 1.7), so every key may be missing. A search over all media
nests one level deeper. What may be shown is in ``accessInfo``: it is stated as the right in the picture together with
the reach.
"""

import re
from dataclasses import dataclass
from typing import Any

from .json import Object, as_list, as_object, as_text, objects, strings
from .parsed import Parsed, ParseError, ParseReason, Statement, Text, View, unique, unique_texts
from .text import plain_text, split_name
from .urls import image_url, service_url, web_url
from .xml import read_language

_SIZE = re.compile(r"/full/[^/]*(?:\{width\}|\d|full|max)[^/]*/0/\w+\.jpg$")


@dataclass(frozen=True, slots=True)
class NbPage:
    """One page of a search; ``next_page`` is ``""`` on the last."""

    records: tuple[Parsed, ...]
    total: int | None
    next_page: str


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
    total = as_object(page.get("page")).get("totalElements")
    next_page = web_url(as_text(as_object(as_object(page.get("_links")).get("next")).get("href")))
    return NbPage(tuple(map(_read_item, items)), total if isinstance(total, int) else None, next_page)


def _read_item(item: Object) -> Parsed:
    metadata = as_object(item.get("metadata"))
    identifiers = as_object(metadata.get("identifiers"))
    urn = as_text(identifiers.get("urn"))
    origin = as_object(metadata.get("originInfo"))
    links = as_object(item.get("_links"))
    languages = [
        read_language(as_text(as_object(each).get("code")) or as_text(each))
        for each in as_list(metadata.get("languages"))
    ]
    presentation = web_url(_href(links, "presentation"))
    return Parsed(
        id=urn or as_text(item.get("id")),
        format="nb_no",
        titles=unique_texts([Text(plain_text(text), "", "metadata.title") for text in _titles(metadata)]),
        descriptions=unique_texts(
            [
                Text(plain_text(text), "", f"metadata.{name}")
                for name in ("summary", "abstract", "description", "notes")
                for text in strings(metadata.get(name))
            ]
        ),
        creators=tuple(dict.fromkeys(split_name(text) for text in _names(metadata.get("creators")))),
        contributors=tuple(
            dict.fromkeys(
                split_name(text) for name in ("contributors", "people") for text in _names(metadata.get(name))
            )
        ),
        dates=unique(strings(origin.get("issued")) + strings(origin.get("created"))),
        places=unique(
            [
                plain_text(text)
                for text in _names(as_object(metadata.get("geographic")).get("placeString") or metadata.get("places"))
            ]
        ),
        types=unique(
            [
                plain_text(text)
                for name in ("mediaTypes", "typeOfResource", "genres")
                for text in strings(metadata.get(name))
            ]
        ),
        techniques=unique(strings(as_object(metadata.get("physicalDescription")).get("form"))),
        subjects=unique([plain_text(text) for text in _topics(metadata)]),
        rights=_rights(as_object(item.get("accessInfo")), metadata),
        institution="Nasjonalbiblioteket",
        languages=unique(languages),
        metadata_language="no",
        landing_page=web_url(f"https://www.nb.no/items/{urn}") if urn else "",
        manifest=presentation,
        identifiers=unique(
            [urn, as_text(item.get("id")), *strings(identifiers.get("sesamid")), *strings(identifiers.get("oaiId"))]
        ),
        views=_views(links),
    )


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
        return [text for name in ("topics", "places", "persons", "genres") for text in _names(subject.get(name))]
    return _names(subject)


def _href(links: Object, name: str) -> str:
    return next((as_text(each.get("href")) for each in objects(links.get(name))), "")


def _rights(access: Object, metadata: Object) -> tuple[Statement, ...]:
    """Public domain or not, and from where it may be seen: both are kept in words."""
    reach = as_text(access.get("accessAllowedFrom"))
    found = []
    if isinstance(access.get("isPublicDomain"), bool):
        words = "public domain" if access["isPublicDomain"] else "not in the public domain"
        reach_words = f"; accessAllowedFrom {reach}" if reach else ""
        limit = "" if reach in ("", "EVERYWHERE") else " (restricted)"
        found.append(Statement(f"{words}{reach_words}{limit}", "", "image", "record", "accessInfo"))
    licence = as_text(access.get("license")) or as_text(metadata.get("license"))
    if licence:
        found.append(Statement(licence, "", "image", "record", "license"))
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
