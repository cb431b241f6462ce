"""The one object through which everything asks the network: polite, resumable, answering each request exactly once.

    async with Fetcher(config, folder) as fetcher:
        async for answer in fetcher.fetch_all(requests):
            ...  # Fetched, with its body on disk, or FetchFailed, with its reason

What was fetched before is not asked for again; it can be stopped, cancelled or killed at any moment.
"""

import asyncio
import inspect
import logging
import ssl
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from iconoclip.provenance import utc_now

from .answers import Answer, FailReason, Fetched, FetchFailed, FetchRequest, Refused, Signals
from .exchange import Exchange, Reply
from .guard import check_url, host_of, join_redirect, refuse_local_name
from .limits import HostGate
from .policy import FetchConfig
from .redaction import redact
from .report import HostReport, report_hosts
from .robots import MAX_FILE_BYTES, ROBOTS_PATH, TDM_PATH, HostFile, obey, read_signals, with_headers
from .state import State
from .store import Store

log = logging.getLogger(__name__)

_MAX_CONTENT_TRIES = 3  # for answers that are whole but not what was asked for
_PASSING_CONTENT = frozenset({FailReason.UNEXPECTED_CONTENT, FailReason.EMPTY, FailReason.BAD_ENCODING})
# Answers by which a host shows that it is well, though the answer is not what we wanted.
_WELL = frozenset({
    FailReason.HTTP_401, FailReason.HTTP_403, FailReason.HTTP_404, FailReason.HTTP_410, FailReason.HTTP_4XX,
    FailReason.REDIRECT, FailReason.TOO_LARGE, FailReason.UNEXPECTED_CONTENT, FailReason.EMPTY, FailReason.BAD_ENCODING,
})  # fmt: skip
_NOT_ASKED = frozenset({FailReason.BUDGET, FailReason.HOST_DOWN, FailReason.HOST_PAUSED})

Wanted = TypeVar("Wanted")
Given = TypeVar("Given")


class Fetcher:
    """Asks hosts as their policies allow; ``folder`` keeps answers and the hosts' moods between runs.

    Raises:
        IconoclipError: no contact is configured, a key is missing, or another fetcher uses the folder.
    """

    def __init__(self, config: FetchConfig, folder: Path, *, verify: ssl.SSLContext | None = None) -> None:
        for policy in (config.default, *config.hosts.values()):
            policy.secret_headers(), policy.secret_params()
        self.config, self.folder = config, folder
        _ = config.user_agent
        self.state = State(folder)
        self.store = Store(folder, self.state)
        self._exchange = Exchange(config, self.store, verify=verify)
        self._clock = _Clock()
        self._gates: dict[str, HostGate] = {}
        self._in_flight = asyncio.Semaphore(config.max_in_flight)
        self._locks: dict[str, _CountedLock] = {}
        self._files: dict[str, HostFile] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close connections and the state; what was answered stays."""
        try:
            await self._exchange.aclose()
        finally:
            self.state.close()

    async def fetch(self, request: FetchRequest) -> Answer:
        """The answer to one request: from the store where it lies there, else from the host."""
        async with self._alone(f"answer:{request.key}"):
            stored = self.store.find(request)
            if isinstance(stored, FetchFailed) and (self.config.retry_final or request.revalidate):
                stored = None
            if stored is not None and not request.revalidate:
                return stored
            answer = await self._ask(request, stored if isinstance(stored, Fetched) else None)
            if isinstance(answer, Fetched) or answer.is_final:
                self.store.keep(answer)
            return answer

    async def fetch_all(self, requests: Iterable[FetchRequest] | AsyncIterable[FetchRequest]) -> AsyncIterator[Answer]:
        """Answers in the order in which they come; each request is answered exactly once.

        At most ``config.lookahead`` requests are taken from ``requests`` ahead of what the caller has consumed; mix
        hosts in their order, so that a slow host does not fill it. Leaving the loop cancels what is under way.
        """
        async with aclosing(self.run_all(self.fetch, requests)) as answers:
            async for answer in answers:
                yield answer

    async def run_all(
        self, ask: Callable[[Wanted], Awaitable[Given]], requests: Iterable[Wanted] | AsyncIterable[Wanted]
    ) -> AsyncIterator[Given]:
        """``fetch_all`` for any coroutine that asks through this fetcher (a picture that takes several requests)."""
        done: asyncio.Queue[asyncio.Task[Given]] = asyncio.Queue()
        tasks: set[asyncio.Task[Given]] = set()
        following = _take(requests)
        is_open = True
        try:
            while is_open or tasks:
                while is_open and len(tasks) < self.config.lookahead:
                    try:
                        wanted = await anext(following)
                    except StopAsyncIteration:
                        is_open = False
                        break
                    task = asyncio.ensure_future(ask(wanted))
                    tasks.add(task)
                    task.add_done_callback(done.put_nowait)
                if tasks:
                    task = await done.get()
                    tasks.discard(task)
                    yield task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def read_signals(self, url: str) -> Signals:
        """What robots.txt and tdmrep.json of the host say about ``url``; asks for them if they are not known."""
        parts = check_url(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        files = [await self._host_file(f"{origin}{path}") for path in (ROBOTS_PATH, TDM_PATH)]
        return read_signals(url, *files)

    def report(self) -> list[HostReport]:
        """What was taken from each host, over all runs in this folder."""
        return report_hosts(self.state.hosts(), now=self._clock.now())

    async def _ask(self, request: FetchRequest, stored: Fetched | None) -> Answer:
        try:
            return await self._follow(request, stored)
        except Refused as refused:
            return FetchFailed(
                request,
                refused.reason,
                redact(refused.detail),
                status=refused.status,
                signals=refused.signals,
                num_attempts=refused.num_attempts,
            )

    async def _follow(self, request: FetchRequest, stored: Fetched | None) -> Fetched:
        """Follow redirects by hand: each hop is checked, has its own host's rules and its own place in the queue."""
        url, seen, num_attempts = request.url, set(), 0
        while True:
            signals = await self._permit(url, request)
            reply, tries = await self._insist(url, request, stored)
            num_attempts += tries
            if not reply.location:
                signals = with_headers(signals, reply.headers)
                signals = obey(signals, self.config.obedience, is_picture=request.expect == "picture")
                return self._answer(request, url, reply, stored, signals, num_attempts)
            seen.add(url)
            url = join_redirect(url, reply.location)
            if url in seen or len(seen) > self.config.max_redirects:
                kind = "goes round in a circle" if url in seen else f"has more than {self.config.max_redirects} hops"
                refused = Refused(FailReason.REDIRECT, f"the redirect {kind}, at {url}", status=reply.status)
                refused.num_attempts = num_attempts
                raise refused

    async def _permit(self, url: str, request: FetchRequest) -> Signals:
        parts = check_url(url)
        refuse_local_name(parts.hostname or "", self.config.allow_private)
        signals = await self.read_signals(url)
        gate = self._gate(host_of(parts))
        gate.crawl_delay_s = max(gate.crawl_delay_s, signals.crawl_delay_s or 0.0)
        return obey(signals, self.config.obedience, is_picture=request.expect == "picture")

    async def _insist(
        self, url: str, request: FetchRequest, stored: Fetched | None, *, max_bytes: int | None = None
    ) -> tuple[Reply, int]:
        """Ask one URL until it answers or its attempts are used up; returns the reply and the number of tries."""
        gate = self._gate(host_of(check_url(url)))
        tries = content_tries = 0
        while True:
            try:
                async with self._in_flight_turn(gate):
                    tries += 1
                    return await self._try(gate, url, request, stored, max_bytes), tries
            except Refused as refused:
                refused.num_attempts = tries
                content_tries += refused.reason in _PASSING_CONTENT
                is_over = tries >= gate.policy.max_attempts or content_tries >= _MAX_CONTENT_TRIES
                if refused.reason in _NOT_ASKED or not refused.retry or is_over:
                    raise
                pause_s = 0.0 if refused.reason is FailReason.HTTP_429 else gate.backoff_s(tries - 1)
            await asyncio.sleep(pause_s)  # outside the turn: others may ask meanwhile

    async def _try(
        self, gate: HostGate, url: str, request: FetchRequest, stored: Fetched | None, max_bytes: int | None
    ) -> Reply:
        """Ask once, inside a turn, and tell the gate how it went."""
        asked_at = self._clock.now()
        try:
            reply = await self._exchange.send(
                url,
                request,
                gate.policy,
                conditions=_conditions(stored),
                clock_now=asked_at,
                max_bytes=max_bytes,
            )
        except Refused as refused:
            if refused.status == 429 or (refused.status == 503 and refused.retry_after_s is not None):
                gate.throttled(refused.retry_after_s, asked_at=asked_at)
            elif refused.reason is FailReason.CHALLENGE:
                gate.challenged(refused.detail)
            elif refused.reason in _WELL:
                gate.succeeded()
            elif refused.reason is not FailReason.UNSAFE_URL:
                gate.failed()
            gate.count(refused.reason.value, num_bytes=refused.num_wire_bytes)
            raise
        gate.succeeded()
        gate.count("redirect" if reply.location else str(reply.status), num_bytes=reply.num_wire_bytes)
        return reply

    def _answer(
        self,
        request: FetchRequest,
        url: str,
        reply: Reply,
        stored: Fetched | None,
        signals: Signals,
        num_attempts: int,
    ) -> Fetched:
        if reply.status == 304 and stored is not None:
            return replace(
                stored, request=request, fetched_at=utc_now(), signals=signals, num_attempts=num_attempts,
                not_modified=True,
            )  # fmt: skip
        width, height = _picture_size(reply.path) if request.expect == "picture" else (None, None)
        if width and height:
            self._gate(host_of(check_url(url))).count_picture(max(width, height))
        return Fetched(
            request=request,
            url=redact(url),
            status=reply.status,
            path=reply.path,
            sha256=reply.sha256,
            num_bytes=reply.num_bytes,
            content_type=reply.headers.get("content-type", ""),
            etag=reply.headers.get("etag", ""),
            last_modified=reply.headers.get("last-modified", ""),
            fetched_at=utc_now(),
            signals=signals,
            width=width,
            height=height,
            num_attempts=num_attempts,
        )

    async def _host_file(self, url: str) -> HostFile:
        """A robots.txt or tdmrep.json, read once in ``obedience.max_age_h``; asked for once at a time."""
        if url in self._files:
            return self._files[url]
        async with self._alone(f"file:{url}"):
            if url not in self._files:
                oldest = self._clock.now() - self.config.obedience.max_age_h * 3600
                known = self.state.read_file(url, not_before=oldest)
                self._files[url] = HostFile(*known) if known else await self._read_host_file(url)
        return self._files[url]

    async def _read_host_file(self, url: str) -> HostFile:
        """RFC 9309, 2.3.1: 4xx means that there is no file; a host that fails to answer allows nothing (this run)."""
        target = url
        request = FetchRequest(url, accept="text/plain,application/json;q=0.9,*/*;q=0.1")
        try:
            for _ in range(self.config.max_redirects + 1):
                parts = check_url(target)
                refuse_local_name(parts.hostname or "", self.config.allow_private)
                reply, _ = await self._insist(target, request, None, max_bytes=4 * MAX_FILE_BYTES)
                if not reply.location:
                    text = reply.path.read_bytes()[:MAX_FILE_BYTES].decode("utf-8-sig", "replace")
                    return self._remember_file(url, HostFile("found", text))
                target = join_redirect(target, reply.location)
            return self._remember_file(url, HostFile("none"))
        except Refused as refused:
            if refused.status is not None and 400 <= refused.status < 500 and refused.status != 429:
                return self._remember_file(url, HostFile("none"))
            if refused.reason in (FailReason.TOO_LARGE, FailReason.UNSAFE_URL, FailReason.REDIRECT):
                return HostFile("none") if target != url or refused.reason is FailReason.TOO_LARGE else _raise(refused)
            if refused.reason in _NOT_ASKED or refused.reason is FailReason.DNS:
                raise
            log.warning("%s cannot be read: %s", url, refused.detail)
            return HostFile("unreachable")

    def _remember_file(self, url: str, file: HostFile) -> HostFile:
        self.state.write_file(url, file.state, file.text, read_at=self._clock.now())
        return file

    def _gate(self, host: str) -> HostGate:
        if host not in self._gates:
            self._gates[host] = HostGate(
                host,
                self.config.policy_of(host),
                saved=self.state.read_host(host),
                save=lambda state: self.state.write_host(host, state),
                clock=self._clock.now,
                seed=self.config.seed,
            )
        return self._gates[host]

    @asynccontextmanager
    async def _in_flight_turn(self, gate: HostGate) -> AsyncIterator[None]:
        # The host's turn first: a task that waits for a slow host must not hold a place that others could use.
        async with gate.turn(), self._in_flight:
            yield

    @asynccontextmanager
    async def _alone(self, name: str) -> AsyncIterator[None]:
        """One task at a time for a name, so that the same thing is never asked for twice at once."""
        lock = self._locks.setdefault(name, _CountedLock())
        lock.num_users += 1
        try:
            async with lock.lock:
                yield
        finally:
            lock.num_users -= 1
            if not lock.num_users:
                del self._locks[name]


class _CountedLock:
    def __init__(self) -> None:
        self.lock, self.num_users = asyncio.Lock(), 0


class _Clock:
    """Unix seconds that never go back while we run."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        return time.monotonic() + self._offset


async def _take(requests: Iterable[Wanted] | AsyncIterable[Wanted]) -> AsyncIterator[Wanted]:
    if isinstance(requests, AsyncIterable):
        async for each in requests:
            yield each
    else:
        for each in requests:
            yield each


def _conditions(stored: Fetched | None) -> dict[str, str]:
    """Headers that make an unchanged answer cost nothing (RFC 9110, 13.1): ETag first, date as well."""
    if stored is None:
        return {}
    headers = {"If-None-Match": stored.etag, "If-Modified-Since": stored.last_modified}
    return {name: value for name, value in headers.items() if value}


def _picture_size(path: Path) -> tuple[int, int] | tuple[None, None]:
    """Width and height from the header, in pixels, as stored (not turned); None where the header is damaged."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None, None


def _raise(refused: Refused) -> HostFile:
    raise refused
