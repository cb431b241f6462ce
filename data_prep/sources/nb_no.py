"""The catalogue of the National Library of Norway (``api.nb.no``): photographs, postcards, maps, books with pictures.

Without ``public_domain_only: false`` or another ``access``, what is not in the public domain or not open to the whole
world is rejected with that reason. Shapes of the answers: `parse/nb_no.py`.
"""

from collections.abc import AsyncGenerator, Iterator
from functools import partial
from typing import ClassVar, Literal, Self
from urllib.parse import quote, urlencode

from pydantic import Field, model_validator

from iconoclip.records import RejectReason

from ..harvest.sweep import Ask, AskError, Sweep
from ..parse.json import parse_json
from ..parse.nb_no import NbAccess, NbPage, parse_items
from ..parse.parsed import Parsed, ParseError, ParseReason
from ._slices import PLACE, check_slices, expand_slices
from .base import Document, Drop
from .web import Entry, WebSource

Reach = Literal["EVERYWHERE", "NORWAY", "LIBRARY", "NB", "UNIVERSALLY_RESTRICTED"]

_ACCEPT = "application/hal+json, application/json;q=0.9"
_ADVICE = "cut the query with `slices`, e.g. filter 'year:[{slice} TO {slice}]' and slices 1880..1920"


class NbNoSource(WebSource):
    """Items that answer ``q`` and every ``filter`` (``mediatype:bilder``), ``page_size`` (at most 50) at a time.

    ``digital_only`` leaves out what is only catalogued. ``access`` says from where a picture may be seen to be taken.
    ``slices`` takes the place of ``{slice}`` in ``q`` or a filter, one after the other; ``1880..1920`` is each year.
    """

    kind: Literal["nb_no"] = "nb_no"  # type: ignore[assignment]  # frozen, so narrowing is safe
    url: str = "https://api.nb.no/catalog/v1/items"
    q: str = ""
    filter: tuple[str, ...] = ()
    page_size: int = Field(default=50, ge=1, le=50)
    digital_only: bool = True
    slices: tuple[str, ...] = ()
    public_domain_only: bool = True
    access: tuple[Reach, ...] = Field(default=("EVERYWHERE",), min_length=1)
    institution: str = Field(default="Nasjonalbiblioteket", min_length=1)
    language: str = "no"

    _request_fields: ClassVar[tuple[str, ...]] = ("url", "q", "filter", "page_size", "digital_only", "slices")

    @model_validator(mode="after")
    def _has_query(self) -> Self:
        if not (self.q or self.filter or self.files):
            raise ValueError("give `q`, `filter` or both: the whole catalogue has tens of millions of items")
        check_slices(self.slices, [self.q, *self.filter], where="`q` or a `filter`")
        return self

    async def walk(self, sweep: Sweep) -> AsyncGenerator[Document, None]:
        """Every page of every slice; nothing tells what has changed, so an update lists all again."""
        for text in expand_slices(self.slices):
            number, num_given, before = 0, 0, frozenset[str]()
            while True:
                url = self._address(text, number)
                try:
                    page, document = await sweep.read(
                        Ask(url, "page", "json", _ACCEPT), partial(_parse, num_given=num_given, before=before)
                    )
                except AskError as error:
                    if number and error.status in (400, 404, 500):
                        raise AskError(url, f"HTTP {error.status} after {num_given:,} items; {_ADVICE}") from None
                    raise
                yield document
                number, num_given = number + 1, num_given + len(page.records)
                if not page.records or not (page.next_page or number < (page.num_pages or 0)):
                    break
                before = frozenset(parsed.id for parsed in page.records)

    def read(self, document: Document) -> Iterator[Entry]:
        """Items of a page; those that may not be used say why."""
        page = parse_items(parse_json(document.read()))
        for number, (parsed, access) in enumerate(zip(page.records, page.access, strict=True), 1):
            if parsed.id:
                yield Entry(parsed.id, parsed, drop=self._find_reason(access))
            else:
                yield Entry(f"{document.url} item {number}", problem=f"{document.url}: item {number} has no identifier")

    def rights_url(self, parsed: Parsed, document: Document) -> str:
        """The item's own address in the API."""
        return f"{self.url}/{quote(parsed.id, safe=':')}"

    def _find_reason(self, access: NbAccess) -> Drop | None:
        if not access.allowed_from or (access.is_public_domain is None and self.public_domain_only):
            missing = "accessAllowedFrom" if not access.allowed_from else "isPublicDomain"
            return Drop("source", RejectReason.RIGHTS_UNSTATED, f"accessInfo.{missing} is not there")
        if access.allowed_from not in self.access:
            detail = f"accessAllowedFrom is {access.allowed_from}, wanted {' or '.join(self.access)}"
            return Drop("source", RejectReason.RIGHTS_RESTRICTED, detail)
        if self.public_domain_only and not access.is_public_domain:
            detail = f"isPublicDomain is false{f', license {access.licence}' if access.licence else ''}"
            return Drop("source", RejectReason.RIGHTS_RESTRICTED, f"{detail} (see public_domain_only)")
        return None

    def _address(self, text: str, number: int) -> str:
        given = [("q", self.q.replace(PLACE, text))] if self.q else []
        given += [("filter", each.replace(PLACE, text)) for each in self.filter]
        given += [("digitalAccessibleOnly", "true")] if self.digital_only else []
        given += [("page", str(number)), ("size", str(self.page_size))]
        return f"{self.url}?{urlencode(given, quote_via=quote)}"


def _parse(data: bytes, *, num_given: int, before: frozenset[str]) -> NbPage:
    """Read a page after ``num_given`` items, of which ``before`` were on the page before it.

    Raises:
        ParseError: it is an error, empty though there should be more, or the page before it.
    """
    page = parse_items(parse_json(data))
    if page.records and {parsed.id for parsed in page.records} == before:
        raise ParseError(ParseReason.PROTOCOL_ERROR, f"the same items again after {num_given:,}; {_ADVICE}")
    if not page.records and page.total and num_given < page.total:
        detail = f"{page.total:,} items are announced and none is given after {num_given:,}; {_ADVICE}"
        raise ParseError(ParseReason.EMPTY, detail)
    return page
