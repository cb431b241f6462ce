"""One walk over a collection: asks for documents, each once, and remembers what came.

A walk is a plain loop (``page = await sweep.ask(url)``, then the next one). After an interruption it is run again from
its beginning: what the journal holds is answered from there, so the loop comes to where it was without a request.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar
from urllib.parse import urlsplit

from iconoclip.records import RejectReason

from ..fetch.answers import Expect, FailReason, Fetched, FetchFailed, FetchRequest
from ..fetch.fetcher import Fetcher
from ..fetch.redaction import redact, without_keys
from ..parse.parsed import ParseError, ParseReason
from .document import StoredDocument
from .journal import DocumentRow, Journal, SweepRow

log = logging.getLogger(__name__)

Read = TypeVar("Read")

_WINDOW = 64
_READ_TRIES = 4
# What a second try may mend: the answer was cut off or a page of the server's front came in its place.
_PASSING = frozenset(
    {ParseReason.EMPTY, ParseReason.TRUNCATED, ParseReason.BROKEN_XML, ParseReason.BROKEN_JSON, ParseReason.HTML_PAGE}
)
# The host, not the document: going on would give the same for every other one.
_HOST_TROUBLE = frozenset(
    {FailReason.HOST_DOWN, FailReason.HOST_PAUSED, FailReason.BUDGET, FailReason.DNS, FailReason.CONNECT,
     FailReason.HTTP_401, FailReason.CHALLENGE}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ask:
    """One document to ask for; ``kind`` is the source's word for it, the rest as in ``FetchRequest``."""

    url: str
    kind: str
    expect: Expect = "any"
    accept: str = ""
    roots: tuple[str, ...] = ()


class AskError(Exception):
    """There is no answer, or none that can be read; ``status`` is the HTTP status, None without an answer."""

    def __init__(self, url: str, text: str, status: int | None = None, secrets: Iterable[str] = ()) -> None:
        super().__init__(redact(f"{url}: {text}", secrets))
        self.status = status


class Sweep:
    """Asks through ``fetcher`` and writes the journal; ``refuse`` says why an address must not be asked for, or ""."""

    def __init__(
        self,
        fetcher: Fetcher,
        journal: Journal,
        harvest: str,
        row: SweepRow,
        refuse: Callable[[str], str] = lambda url: "",
    ) -> None:
        self._fetcher, self._journal, self._harvest, self._row = fetcher, journal, harvest, row
        self._refuse = refuse

    @property
    def since(self) -> str:
        """When the last finished sweep began: what changed after it is news. Empty on the first."""
        return self._row.since

    @property
    def started_at(self) -> str:
        """When this sweep began, ISO 8601 UTC; the same after an interruption."""
        return self._row.started_at

    def be_delta(self) -> None:
        """Let this sweep add to the earlier ones; without it, what it does not find again is gone."""
        self._journal.set_full(self._harvest, self._row.number, is_full=False)

    async def ask(self, ask: Ask) -> StoredDocument:
        """The document.

        Raises:
            AskError: there is none; the journal keeps nothing of it.
        """
        row = self._find(ask)
        if row is None:
            row = await self._fetch_surely(ask)
            self._put(row)
        return self._document(row)

    async def read(self, ask: Ask, parse: Callable[[bytes], Read]) -> tuple[Read, StoredDocument]:
        """The document and what ``parse`` makes of it; one that was cut off or replaced is asked for again.

        Raises:
            AskError: there is none, or it cannot be read after several tries.
        """
        row = self._find(ask)
        for attempt in range(_READ_TRIES):
            row = row or await self._fetch_surely(ask)
            document = self._document(row)
            try:
                value = parse(document.read())
                if getattr(value, "truncated", False):
                    raise ParseError(ParseReason.TRUNCATED, "the end of the answer is missing")
            except ParseError as error:
                self._fetcher.state.forget_answer(_request(ask).key)
                row = None
                if error.reason not in _PASSING or attempt == _READ_TRIES - 1:
                    raise AskError(ask.url, str(error), secrets=self._fetcher.secrets) from None
                await asyncio.sleep(self._fetcher.config.policy_of(urlsplit(ask.url).netloc).backoff_s * 2**attempt)
                continue
            self._put(row)
            return value, document
        raise AssertionError

    async def ask_all(self, asks: Iterable[Ask]) -> AsyncGenerator[StoredDocument, None]:
        """Documents in the order of ``asks``, several on their way at once; one that fails has a ``problem``.

        Raises:
            AskError: the host is down, resting or shut to us; what came before is kept.
        """
        pending: deque[asyncio.Task[DocumentRow]] = deque()
        following = iter(asks)
        try:
            while True:
                while len(pending) < _WINDOW and (ask := next(following, None)) is not None:
                    pending.append(asyncio.ensure_future(self._find_or_fetch(ask)))
                if not pending:
                    return
                row = await pending.popleft()
                if row.reason in _HOST_TROUBLE:
                    raise AskError(row.url, f"{row.reason}: {row.detail}")
                self._put(row)
                yield self._document(row)
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    def forget(self, asks: Iterable[Ask]) -> None:
        """Let documents be asked for again in this sweep."""
        for ask in asks:
            self._fetcher.state.forget_answer(_request(ask).key)
            self._journal.forget(self._harvest, self._row.number, _name(ask))

    async def repair(self, row: DocumentRow) -> bool:
        """Ask again for what has no body; say whether it came."""
        fresh = await self._fetch(Ask(row.url, row.kind, row.expect, row.accept))
        if fresh.reason not in _HOST_TROUBLE:
            self._put(fresh)
        return not fresh.reason

    async def _find_or_fetch(self, ask: Ask) -> DocumentRow:
        return self._find(ask) or await self._fetch(ask)

    def _find(self, ask: Ask) -> DocumentRow | None:
        return self._journal.find(self._harvest, self._row.number, _name(ask))

    async def _fetch_surely(self, ask: Ask) -> DocumentRow:
        row = await self._fetch(ask)
        if row.reason:
            # Without this document the walk ends here: the next run must ask again, even after a 404.
            self._fetcher.state.forget_answer(_request(ask).key)
            raise AskError(ask.url, f"{row.reason}: {row.detail}", row.status)
        return row

    async def _fetch(self, ask: Ask) -> DocumentRow:
        refusal = self._refuse(ask.url)
        if refusal:
            return replace(_bare(ask), reason=RejectReason.OPTED_OUT.value, detail=refusal, is_final=False)
        answer = await self._fetcher.fetch(_request(ask, revalidate=self._row.number > 0))
        return _row(ask, answer)

    def _put(self, row: DocumentRow) -> None:
        self._journal.put(self._harvest, self._row.number, row)

    def _document(self, row: DocumentRow) -> StoredDocument:
        return self._journal.document(row, seen_on=self._row.started_at[:10])


def _request(ask: Ask, *, revalidate: bool = False) -> FetchRequest:
    return FetchRequest(ask.url, expect=ask.expect, accept=ask.accept, roots=ask.roots, revalidate=revalidate)


def _name(ask: Ask) -> str:
    # Not `expect`: a repaired document must come into the place it had.
    return f"{without_keys(ask.url)} {ask.accept}".strip()


def _bare(ask: Ask) -> DocumentRow:
    return DocumentRow(_name(ask), redact(without_keys(ask.url)), ask.kind, ask.accept, ask.expect)


def _row(ask: Ask, answer: Fetched | FetchFailed) -> DocumentRow:
    row = _bare(ask)
    if isinstance(answer, Fetched):
        return replace(row, sha256=answer.sha256, num_bytes=answer.num_bytes)
    return replace(
        row, reason=answer.reason.value, status=answer.status, detail=answer.detail, is_final=answer.is_final
    )
