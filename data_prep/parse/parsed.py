"""What every reader makes of an answer: one shape for OAI-PMH, EDM, IIIF, METS, LIDO, MARC and the rest.

A :class:`Parsed` is an object as its institution describes it, with all its pictures; ``to_records`` makes the records.
Missing text is ``""``; a language is a BCP-47 code, ``""`` where none is stated.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from iconoclip.records import CaptionLevel, RightsPart

RightsPlace = Literal["web_resource", "canvas", "manifest", "aggregation", "record", "dataset"]
# Nearest to the picture first: a statement at a nearer place overrides the farther ones (EDM Mapping Guidelines 2.4).
RIGHTS_PLACES: tuple[RightsPlace, ...] = ("web_resource", "canvas", "manifest", "aggregation", "record", "dataset")


class ParseReason(StrEnum):
    """Why an answer, or a record in it, cannot be read."""

    EMPTY = "empty"
    TOO_LARGE = "too_large"
    TRUNCATED = "truncated"
    BROKEN_XML = "broken_xml"
    BROKEN_JSON = "broken_json"
    BROKEN_TURTLE = "broken_turtle"
    HTML_PAGE = "html_page"
    UNKNOWN_FORMAT = "unknown_format"
    UNSUPPORTED_FORMAT = "unsupported_format"
    PROTOCOL_ERROR = "protocol_error"
    NO_RECORD = "no_record"


class ParseError(Exception):
    """An answer that cannot be read: the reason, and what a person needs to mend it (never a key)."""

    def __init__(self, reason: ParseReason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason, self.detail = reason, detail

    def __reduce__(self) -> tuple[type["ParseError"], tuple[ParseReason, str]]:
        return type(self), (self.reason, self.detail)


@dataclass(frozen=True, slots=True)
class Text:
    """A text, its language and the field it comes from (``dc:title``, ``metadata:Titre``).

    ``machine`` is True where no person wrote it, or where nothing tells whether one did.
    """

    text: str
    lang: str = ""
    source: str = ""
    level: CaptionLevel = "object"
    machine: bool = False


@dataclass(frozen=True, slots=True)
class Creator:
    """A person or body with the role as stated (``Graveur``, ``art``) and the dates of life as stated."""

    name: str
    role: str = ""
    dates: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """One rights statement: ``raw`` as it stood, the URI it names, about what, and where it stood."""

    raw: str
    uri: str = ""
    part: RightsPart = "image"
    place: RightsPlace = "record"
    source: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """One picture of the object: a URL, a IIIF image service, or (METS folders) a path beside the document.

    ``number`` counts from 1 in the order of the document and stays what it is when views are left out. ``role`` is what
    the institution says the page is (``cover_front``, ``illustration``), ``preview`` marks a thumbnail that stands in
    for a missing picture. Sizes are pixels of the largest form, where stated.
    ``problem`` says why the picture that is named cannot be asked for (a ``file:`` address). ``credit`` is whom to name
    for this picture, where that differs. ``layout`` is where the layout of the page stands (ALTO): an address or a path
    like ``path``. ``box`` (left, top, width, height as shares of the upright picture) and ``part``, its name, make the
    view a part of the page.
    """

    number: int = 1
    url: str = ""
    iiif_service: str = ""
    path: str = ""
    width: int | None = None
    height: int | None = None
    mime: str = ""
    label: str = ""
    canvas: str = ""
    role: str = ""
    texts: tuple[Text, ...] = ()
    rights: tuple[Statement, ...] = ()
    preview: bool = False
    problem: str = ""
    credit: str = ""
    layout: str = ""
    part: str = ""
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """An object and its pictures.

    ``languages`` are those on the object; ``metadata_language`` is the cataloguer's, for texts that state none.
    ``identifiers`` are other names of the same object (arks, call numbers); ``links`` are documents that say more
    (seeAlso, child METS).
    """

    id: str
    format: str
    titles: tuple[Text, ...] = ()
    descriptions: tuple[Text, ...] = ()
    creators: tuple[Creator, ...] = ()
    contributors: tuple[Creator, ...] = ()
    dates: tuple[str, ...] = ()
    year_min: int | None = None
    year_max: int | None = None
    places: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    techniques: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    iconclass: tuple[str, ...] = ()
    series: tuple[Text, ...] = ()
    rights: tuple[Statement, ...] = ()
    attribution: str = ""
    institution: str = ""
    languages: tuple[str, ...] = ()
    metadata_language: str = ""
    landing_page: str = ""
    manifest: str = ""
    identifiers: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    views: tuple[View, ...] = ()
    datestamp: str = ""
    deleted: bool = False

    def is_empty(self) -> bool:
        """Say whether nothing but an identifier was found: no text, no picture, not deleted."""
        return not (self.deleted or self.titles or self.descriptions or self.views or self.subjects)


def number_views(views: list[View]) -> tuple[View, ...]:
    """Number the views from 1, each picture once."""
    seen: dict[str, View] = {}
    for view in views:
        seen.setdefault(view.canvas or view.iiif_service or view.url or view.path, view)
    return tuple(replace(view, number=number) for number, view in enumerate(seen.values(), 1))


def unique(items: list[str]) -> tuple[str, ...]:
    """Texts in order, each once, the empty ones left out."""
    return tuple(dict.fromkeys(item for item in items if item))


def unique_texts(texts: list[Text]) -> tuple[Text, ...]:
    """Texts in order; the same words in the same language are kept once, under their first field."""
    seen: dict[tuple[str, str], Text] = {}
    for text in texts:
        if text.text:
            seen.setdefault((text.lang, text.text), text)
    return tuple(seen.values())
