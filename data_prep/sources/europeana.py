"""Europeana: objects that answer a search, from the Search API, the Record API or the dumps on its FTP server.

The key stands in the environment and goes out as a header: ``fetch: {hosts: {api.europeana.eu: {headers_from_env:
{X-Api-Key: EUROPEANA_API_KEY}}}}``. Europeana's answers repeat it (``apikey``, ``guid``, ``link``, redirects in
``edmIsShownAt``). None of these is read into a record, but the store holds answers as they came: keep it to yourself.
The institution of an object is its data provider. Sources: data_prep notes 1.3.
"""

import logging
from collections.abc import AsyncGenerator, Iterator
from datetime import datetime, timedelta
from typing import ClassVar, Literal, Self
from urllib.parse import quote, urlencode, urlsplit

from pydantic import Field, model_validator

from ..harvest.document import StoredDocument
from ..harvest.sweep import Ask, AskError, Sweep
from ..parse.answer import parse_answer
from ..parse.europeana import SearchPage, item_page, parse_record, parse_search
from ..parse.json import parse_json
from ..parse.parsed import Parsed, ParseError, ParseReason
from .base import Document
from .web import Entry, WebSource, refused

log = logging.getLogger(__name__)

_ACCEPT = "application/json"
_FIRST = "*"
# New objects appear some hours after the moment that their timestamp says.
_OVERLAP = timedelta(days=2)


class EuropeanaSource(WebSource):
    """Objects that answer ``query`` and every filter ``qf`` (``TYPE:IMAGE``, ``DATA_PROVIDER:"Rijksmuseum"``).

    ``reusability``, ``media``, ``thumbnail`` and ``theme`` are the API's. ``records`` reads each object in full from
    the Record API, one request per object: all pictures with their own rights, and nothing that Europeana translated;
    otherwise an English text beside one in the catalogue's language counts as made by a machine. ``updates: all``
    lets ``--update`` list everything again, which alone tells what was withdrawn (Europeana wants it every six months).
    ``files`` reads dumps (``edm/*.zip``: XML, Turtle or JSON-LD) or saved answers instead.
    """

    kind: Literal["europeana"] = "europeana"  # type: ignore[assignment]  # frozen, so narrowing is safe
    url: str = "https://api.europeana.eu/record/v2"
    query: str = ""
    qf: tuple[str, ...] = ()
    reusability: Literal["open", "restricted", "permission"] | None = None
    media: bool | None = None
    thumbnail: bool | None = None
    theme: str = ""
    profile: Literal["minimal", "standard", "rich"] = "rich"
    rows: int = Field(default=100, ge=1, le=100)
    records: bool = False
    updates: Literal["changed", "all"] = "changed"
    institution: str = Field(default="Europeana", min_length=1)

    _request_fields: ClassVar[tuple[str, ...]] = (
        "url", "query", "qf", "reusability", "media", "thumbnail", "theme", "profile", "rows", "records",
    )  # fmt: skip

    @model_validator(mode="after")
    def _has_query(self) -> Self:
        if bool(self.query) == bool(self.files):
            raise ValueError("give either `query` ('*' finds everything that `qf` leaves) or `files`, a dump")
        return self

    async def walk(self, sweep: Sweep) -> AsyncGenerator[Document, None]:
        """Every page of the search and, with ``records``, every object on it."""
        since = ""
        if sweep.since and self.updates == "changed":
            sweep.be_delta()
            since = _back(sweep.since)
        listing = _Listing()
        while listing.cursor:
            url = self._search_url(listing.cursor, since)
            page, document = await self._ask_page(sweep, url, listing)
            yield document
            if self.records:
                named = [each for each in page.records if item_page(each.id)]
                asks = [Ask(self._record_url(each.id), "record", "json", _ACCEPT) for each in named]
                async for record in sweep.ask_all(asks):
                    yield record
            listing.go_on(page)
        if listing.total is not None and listing.num_seen < listing.total:
            log.warning("%s: %d of %d objects were listed", self.url, listing.num_seen, listing.total)

    def read(self, document: Document) -> Iterator[Entry]:
        """Objects by Europeana's identifier; those of the Record API by their address, answered or not."""
        if document.kind == "record":
            for parsed in parse_record(parse_json(document.read())):
                yield Entry(document.url, parsed)
        elif document.kind == "page":
            yield from self._read_page(document)
        else:
            yield from _read_file(document)

    def rights_url(self, parsed: Parsed, document: Document) -> str:
        """Europeana's page of the object: the address of a search means nothing a week later."""
        return item_page(parsed.id) or document.url

    def _read_page(self, document: Document) -> Iterator[Entry]:
        page = parse_search(parse_json(document.read()))
        for number, parsed in enumerate(page.records, 1):
            if not item_page(parsed.id):
                problem = f"{document.url}: object {number} has no identifier of Europeana's ({parsed.id!r})"
                yield Entry(f"{document.url} {number}", problem=problem)
            elif not self.records:
                yield Entry(parsed.id, parsed)

    async def _ask_page(self, sweep: Sweep, url: str, listing: "_Listing") -> tuple[SearchPage, StoredDocument]:
        try:
            return await sweep.read(Ask(url, "page", "json", _ACCEPT), listing.parse)
        except AskError as error:
            if error.status not in (400, 401, 403):
                raise
            host = urlsplit(self.url).netloc
            text = (
                f"HTTP {error.status}: Europeana refuses the key or the query; look at `query` and `qf`, and at "
                f"fetch.hosts: {{{host}: {{headers_from_env: {{X-Api-Key: EUROPEANA_API_KEY}}}}}} with a valid key in "
                "that environment variable (https://apis.europeana.eu)"
            )
            raise AskError(url, text, error.status) from None

    def _search_url(self, cursor: str, since: str) -> str:
        given = [("query", self.query), *(("qf", each) for each in self.qf)]
        given += [("qf", f"timestamp_update:[{since} TO *]")] if since else []
        given += [("reusability", self.reusability or ""), ("media", _flag(self.media))]
        given += [("thumbnail", _flag(self.thumbnail)), ("theme", self.theme), ("profile", self.profile)]
        given += [("rows", str(self.rows)), ("sort", "europeana_id asc"), ("cursor", cursor)]
        return f"{self.url}/search.json?{urlencode([pair for pair in given if pair[1]], quote_via=quote)}"

    def _record_url(self, identifier: str) -> str:
        return f"{self.url}{quote(identifier)}.json"


class _Listing:
    """Where a search stands: the cursor to ask with (empty at the end), and how many objects came."""

    def __init__(self) -> None:
        self.cursor, self.num_seen = _FIRST, 0
        self.total: int | None = None
        self._cursors = {_FIRST}

    def parse(self, data: bytes) -> SearchPage:
        """Read the page that the cursor gave.

        Raises:
            ParseError: it is an error, or the list goes round in a circle or breaks off.
        """
        page = parse_search(parse_json(data))
        num_seen = self.num_seen + len(page.records)
        is_short = page.total is not None and num_seen < page.total
        if page.next_cursor in self._cursors and page.records and is_short:
            raise ParseError(
                ParseReason.PROTOCOL_ERROR, f"the same cursor twice after {num_seen:,} of {page.total:,} objects"
            )
        if not page.records and page.next_cursor and is_short:
            raise ParseError(ParseReason.EMPTY, f"a page without objects after {num_seen:,} of {page.total:,}")
        return page

    def go_on(self, page: SearchPage) -> None:
        """Move to the next page."""
        self.num_seen += len(page.records)
        self.total = page.total if page.total is not None else self.total
        is_end = not page.records or page.next_cursor in self._cursors
        self.cursor = "" if is_end else page.next_cursor
        self._cursors.add(page.next_cursor)


def _read_file(document: Document) -> Iterator[Entry]:
    answer = parse_answer(document.read(), url=document.url)
    if not (answer.records or answer.refused or answer.kind == "europeana_search"):
        yield Entry(document.url, problem=f"{document.url}: {answer.kind}, no object in it")
    for name, error in answer.refused:
        yield refused(f"{document.url} {name}", error)
    for number, parsed in enumerate(answer.records, 1):
        yield Entry(parsed.id or f"{document.url} {number}", parsed)


def _flag(value: bool | None) -> str:
    return "" if value is None else str(value).lower()


def _back(stamp: str) -> str:
    time = datetime.fromisoformat(stamp.replace("Z", "+00:00")) - _OVERLAP
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
