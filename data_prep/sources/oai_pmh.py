"""OAI-PMH 2.0 (oai_dc, edm, mods, mets, marcxml, lido, didl, ...): lists of records by set and date, with deletions.

A token that has expired or comes back a second time is no loss: the list is asked for again from the last datestamp
seen or, where records do not come in the order of their datestamps, in halves of its span of time.
Source: https://www.openarchives.org/OAI/openarchivesprotocol.html
"""

import logging
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Literal, Self
from urllib.parse import quote, urlencode

from pydantic import field_validator, model_validator

from ..harvest.document import StoredDocument
from ..harvest.sweep import Ask, AskError, Sweep
from ..parse.oai import OaiPage, parse_oai
from ..parse.payload import read_oai_records
from .base import Document
from .web import Entry, WebSource, refused

log = logging.getLogger(__name__)

_BAD_TOKEN = "badResumptionToken"
# Servers that know no badResumptionToken answer so for a token they have forgotten.
_MAX_SAME = 3
_TOKEN_STATUSES = frozenset({400, 404, 410, 422})
_ACCEPT = "text/xml, application/xml;q=0.9"


class OaiPmhSource(WebSource):
    """Records of the repository at ``url`` in the format ``prefix``, of all ``sets`` (none: the whole repository).

    ``from_date`` and ``until_date`` (``2024-01-31``) bound the datestamps.
    """

    kind: Literal["oai_pmh"] = "oai_pmh"  # type: ignore[assignment]  # frozen, so narrowing is safe
    url: str = ""
    prefix: str = "oai_dc"
    sets: tuple[str, ...] = ()
    from_date: str = ""
    until_date: str = ""

    _request_fields: ClassVar[tuple[str, ...]] = ("url", "prefix", "sets", "from_date", "until_date")

    @field_validator("from_date", "until_date")
    @classmethod
    def _check_date(cls, text: str) -> str:
        if text:
            datetime.strptime(text, "%Y-%m-%d")
        return text

    @model_validator(mode="after")
    def _has_place(self) -> Self:
        if bool(self.url) == bool(self.files):
            raise ValueError("give either `url`, the base URL of the repository, or `files`, saved answers")
        return self

    async def walk(self, sweep: Sweep) -> AsyncGenerator[Document, None]:
        """Identify, then every page of every set."""
        identity, _ = await sweep.read(Ask(self._address(verb="Identify"), "identify", "xml", _ACCEPT), _parse)
        facts = dict(identity.facts)
        has_seconds = facts.get("granularity", "").lower().endswith("z")
        if sweep.since and facts.get("deletedRecord", "no") != "no":
            sweep.be_delta()
            begin = _back(sweep.since, has_seconds=has_seconds)
        else:
            begin = self.from_date  # without notice of deletions, only the whole list says what is gone
        for name in self.sets or ("",):
            spans = _Spans(
                (begin, self.until_date), earliest=facts.get("earliestDatestamp", ""), now=sweep.started_at,
                has_seconds=has_seconds,
            )  # fmt: skip
            while spans.left:
                async for page in self._list(sweep, name, spans):
                    yield page

    def read(self, document: Document) -> Iterator[Entry]:
        """Records of a page by their OAI identifiers; a deleted one says so."""
        page = _parse(document.read())
        for item in page.items:
            if page.verb == "ListIdentifiers" and not item.deleted:
                continue
            for found in read_oai_records(replace(page, items=(item,))):
                if isinstance(found, tuple):
                    yield refused(found[0] or document.url, found[1])
                else:
                    yield Entry(item.identifier or found.id, None if found.deleted else found, deleted=found.deleted)

    async def _list(self, sweep: Sweep, name: str, spans: "_Spans") -> AsyncGenerator[StoredDocument, None]:
        """Pages of the span that is due; where its list breaks off, the rest of it is due again."""
        span = spans.take()
        url, asked, seen = self._first_page(name, span), [], set[str]()
        while url:
            asked.append(Ask(url, "page", "xml", _ACCEPT))
            try:
                page, document = await sweep.read(asked[-1], _parse)
            except AskError as error:
                if not seen or not (error.status in _TOKEN_STATUSES or _BAD_TOKEN in str(error)):
                    raise
                problem = str(error)
                break
            yield document
            spans.note([item.datestamp for item in page.items])
            if page.token in seen:
                problem = f"{self.url}: the same resumption token came twice"
                break
            seen.add(page.token)
            url = self._address(verb="ListRecords", resumptionToken=page.token) if page.token else ""
        else:
            return
        if spans.restart(problem):
            sweep.forget(asked)

    def _first_page(self, name: str, span: tuple[str, str]) -> str:
        given = {"verb": "ListRecords", "metadataPrefix": self.prefix, "set": name, "from": span[0], "until": span[1]}
        return self._address(**{key: value for key, value in given.items() if value})

    def _address(self, **params: str) -> str:
        return f"{self.url}{'&' if '?' in self.url else '?'}{urlencode(params, quote_via=quote)}"


class _Spans:
    """Spans of time that are still to be listed; cuts one where its list breaks off."""

    def __init__(self, span: tuple[str, str], *, earliest: str, now: str, has_seconds: bool) -> None:
        self.left = [span]
        self._earliest, self._now, self._has_seconds = earliest, now, has_seconds
        self._span = span
        self._last, self._is_ordered = "", True
        self._num_same: Counter[tuple[str, str]] = Counter()

    def take(self) -> tuple[str, str]:
        """The next span."""
        self._span = self.left.pop(0)
        self._last, self._is_ordered = "", True
        return self._span

    def note(self, datestamps: list[str]) -> None:
        """Watch whether records come in the order of their datestamps."""
        for stamp in filter(None, datestamps):
            self._is_ordered &= stamp >= self._last
            self._last = max(self._last, stamp)

    def restart(self, problem: str) -> bool:
        """Put the rest of the span, in smaller pieces, before what is left; True where it is the same span again.

        Raises:
            AskError: it broke off too often and cannot be cut any smaller.
        """
        begin, end = self._span
        resume = _cut(self._last, has_seconds=self._has_seconds)
        if self._is_ordered and resume > begin:
            pieces = [(resume, end)]  # the last stamp itself again: its records may lie on both sides of the break
        else:
            pieces = self._halve(begin or self._earliest, end or self._now)
        is_same = not pieces
        if is_same:
            pieces = [self._span]
            self._num_same[self._span] += 1
            if self._num_same[self._span] > _MAX_SAME:
                raise AskError(problem, f"and the records of {begin or 'all times'} cannot be listed in smaller parts")
        log.info(
            "%s; going on with %s", problem, " and ".join(f"{a or 'the start'} to {b or 'now'}" for a, b in pieces)
        )
        self.left[:0] = pieces
        return is_same

    def _halve(self, begin: str, end: str) -> list[tuple[str, str]]:
        first, last = _read_time(begin), _read_time(end)
        if first is None or last is None:
            return []
        step = timedelta(seconds=1) if self._has_seconds else timedelta(days=1)
        half = first + (last - first) / 2
        middle = half.replace(microsecond=0) if self._has_seconds else half.replace(hour=0, minute=0, second=0)
        middle = middle.replace(microsecond=0)
        if last - first < step or middle + step > last:
            return []
        stamps = [time.strftime("%Y-%m-%dT%H:%M:%SZ") for time in (first, middle, middle + step, last)]
        a, b, c, d = (_cut(stamp, has_seconds=self._has_seconds) for stamp in stamps)
        return [(a, b), (c, d)]


def _parse(data: bytes) -> OaiPage:
    page = parse_oai(data)
    page.raise_error()
    return page


def _cut(stamp: str, *, has_seconds: bool) -> str:
    return stamp if has_seconds else stamp[:10]


def _back(stamp: str, *, has_seconds: bool) -> str:
    """A little before ``stamp``: servers' clocks differ, and records of one moment may come late."""
    time = _read_time(stamp)
    assert time is not None  # our own
    time -= timedelta(minutes=10) if has_seconds else timedelta(days=1)
    return _cut(time.strftime("%Y-%m-%dT%H:%M:%SZ"), has_seconds=has_seconds)


def _read_time(stamp: str) -> datetime | None:
    try:
        return datetime.fromisoformat(stamp.replace("Z", "+00:00")).replace(tzinfo=UTC)
    except ValueError:
        return None
