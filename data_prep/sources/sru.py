"""SRU 1.1, 1.2 and 2.0 (KB.nl, DNB, ZDB, Gallica inside BnF): the records that answer a query, page by page.

Where the next page begins is the server's word, else counted. Many servers list 10,000 or 50,000 records of a query and
then give nothing, an error or the first page again: that stops with advice, ``slices`` cut the query into smaller ones.
Source: https://www.loc.gov/standards/sru/
"""

import logging
import re
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from functools import partial
from typing import ClassVar, Literal, Self
from urllib.parse import quote, urlencode

from pydantic import Field, field_validator, model_validator

from ..harvest.document import StoredDocument
from ..harvest.sweep import Ask, AskError, Sweep
from ..parse.parsed import ParseError, ParseReason
from ..parse.payload import read_sru_records
from ..parse.sru import SruPage, parse_sru
from ._slices import PLACE, check_slices, expand_slices
from .base import Document
from .web import Entry, WebSource, refused

log = logging.getLogger(__name__)

_ACCEPT = "text/xml, application/xml;q=0.9"
_OURS = ("version", "operation", "query", "recordSchema", "startRecord", "maximumRecords")
_SECRET = re.compile(r"key|token|secret|passw", re.I)
_OUT_OF_RANGE = "61:"  # info:srw/diagnostic/1/61, "First record position out of range"
_ADVICE = "servers list 10,000 or 50,000 records of a query at most: cut it with `slices`"


class SruSource(WebSource):
    """Records that answer ``query`` (CQL) at ``url``, in ``record_schema`` if the server knows several.

    ``params`` are added to every request (``{x-collection: GGC}``). ``slices`` takes the place of ``{slice}`` in the
    query, one after the other; ``1850..1899`` stands for each year.
    """

    kind: Literal["sru"] = "sru"  # type: ignore[assignment]  # frozen, so narrowing is safe
    url: str = ""
    query: str = ""
    record_schema: str = ""
    version: Literal["1.1", "1.2", "2.0"] = "1.2"
    page_size: int = Field(default=100, ge=1, le=1000)
    params: dict[str, str] = Field(default_factory=dict)
    slices: tuple[str, ...] = ()

    _request_fields: ClassVar[tuple[str, ...]] = (
        "url", "query", "record_schema", "version", "page_size", "params", "slices",
    )  # fmt: skip

    @field_validator("params")
    @classmethod
    def _check_params(cls, params: dict[str, str]) -> dict[str, str]:
        for name in params:
            if name in _OURS:
                raise ValueError(f"{name} is made from the other fields; leave it out")
            if _SECRET.search(name):
                raise ValueError(
                    f"{name} looks like a key: name its environment variable in fetch.hosts, params_from_env"
                )
        return params

    @model_validator(mode="after")
    def _has_place(self) -> Self:
        if bool(self.url) == bool(self.files):
            raise ValueError("give either `url`, the address before the question mark, or `files`, saved answers")
        if self.url and not self.query:
            raise ValueError("`query` is missing: SRU lists what answers one, e.g. 'dc.type = image'")
        check_slices(self.slices, [self.query], where="`query`")
        return self

    async def walk(self, sweep: Sweep) -> AsyncGenerator[Document, None]:
        """Every page of every slice; nothing tells what has changed, so an update lists all again."""
        for text in expand_slices(self.slices):
            async for document in self._list(sweep, self.query.replace(PLACE, text)):
                yield document

    def read(self, document: Document) -> Iterator[Entry]:
        """Records of a page by the identifiers of their envelopes, else by their own."""
        page = parse_sru(document.read())
        if document.kind == "file":
            page.raise_error()
        for number, item in enumerate(page.items, 1):
            place = f"{document.url} record {item.position or number}"
            for found in read_sru_records(replace(page, items=(item,))):
                if isinstance(found, tuple):
                    yield refused(item.identifier or place, found[1])
                elif found.id:
                    yield Entry(item.identifier or found.id, found)
                else:
                    yield Entry(place, problem=f"{place}: no identifier")

    async def _list(self, sweep: Sweep, query: str) -> AsyncGenerator[StoredDocument, None]:
        """Pages of one query."""
        start, total, seen = 1, None, set[bytes]()
        while True:
            url = self._address(query, start)
            try:
                page, document = await sweep.read(
                    Ask(url, "page", "xml", _ACCEPT),
                    partial(_parse, start=start, seen=seen, page_size=self.page_size),
                )
            except AskError as error:
                if start > 1 and error.status in (400, 404, 500):
                    raise AskError(url, f"HTTP {error.status} after {len(seen):,} records; {_ADVICE}") from None
                raise
            yield document
            if total is not None and page.total not in (None, total):
                log.warning("%s: %s records before, %s now: the list changes while it is read", url, total, page.total)
            total = page.total if page.total is not None else total
            seen |= page.fingerprints()
            following = _next_start(page, start, total, self.page_size)
            if following is None:
                break
            start = following
        if total is not None and len(seen) < total:
            log.warning("%s: %d of %d records were given; the others are counted only", url, len(seen), total)

    def _address(self, query: str, start: int) -> str:
        given = {"version": self.version, "operation": "searchRetrieve"} if self.version != "2.0" else {}
        given |= {**self.params, "query": query, "recordSchema": self.record_schema}
        given |= {"startRecord": str(start), "maximumRecords": str(self.page_size)}
        query_string = urlencode({name: value for name, value in given.items() if value}, quote_via=quote)
        return f"{self.url}{'&' if '?' in self.url else '?'}{query_string}"


def _parse(data: bytes, *, start: int, seen: set[bytes], page_size: int) -> SruPage:
    """Read a page that begins at ``start``; ``seen`` are the fingerprints of the records before it.

    Raises:
        ParseError: it is an error, empty though more than a page is left, or one that came before.
    """
    page = parse_sru(data)
    num_left = (page.total or 0) - start + 1
    is_last = start > 1 and page.total is not None and num_left < page_size
    if page.items and start > 1 and page.fingerprints() <= seen and not is_last:
        raise ParseError(ParseReason.PROTOCOL_ERROR, f"the same records again at {start:,}; {_ADVICE}")
    # A list that became shorter while it was read ends here, and so does one whose last records cannot be given.
    if page.items or (is_last and page.total and (num_left <= 0 or not page.diagnostics)):
        return page
    if start > 1 and any(text.startswith(_OUT_OF_RANGE) for text in page.diagnostics):
        raise ParseError(ParseReason.PROTOCOL_ERROR, f"{page.diagnostics[0]} at record {start:,}; {_ADVICE}")
    page.raise_error()
    if page.total:
        count = f"{page.total:,} records are announced and none is given at {start:,}"
        raise ParseError(ParseReason.EMPTY, f"{count}; {_ADVICE if start > 1 else 'try another record_schema'}")
    return page


def _next_start(page: SruPage, start: int, total: int | None, page_size: int) -> int | None:
    """Where the next page begins, None after the last one; the server may leave out records that it cannot give."""
    if not page.items:
        return None
    following = page.next_position or 0
    if following <= start:
        positions = [item.position for item in page.items if item.position]
        last = max((each for each in positions if start <= each < start + page_size), default=0)
        following = max(start + len(page.items), last + 1)
        if total is None and len(page.items) < page_size:
            return None
    return following if total is None or following <= total else None
