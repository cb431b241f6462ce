"""The one object through which everything asks the network: polite, resumable, answering each request exactly once.

    async with Fetcher(config, folder) as fetcher:
        async for answer in fetcher.fetch_all(requests):
            ...  # Fetched, with its body on disk, or FetchFailed, with its reason

What was fetched before is not asked for again; it can be stopped, cancelled or killed at any moment.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from iconoclip.provenance import utc_now

from .answers import Answer, FailReason, Fetched, FetchError, FetchFailed, FetchRequest, Signals
from .exchange import Reply
from .guard import join_redirect
from .host_files import HostFiles
from .hosts import Hosts
from .policy import FetchConfig
from .redaction import redact
from .report import HostReport, report_hosts
from .robots import obey, with_headers
from .state import State
from .store import Store

Wanted = TypeVar("Wanted")
Given = TypeVar("Given")


class Fetcher:
    """Asks hosts as their policies allow; ``folder`` keeps answers and the hosts' moods between runs.

    ``verify`` is another TLS context than the system's (an institution's own certificates). Make it inside the event
    loop in which it is used.

    Raises:
        IconoclipError: no contact is configured, a key is missing, or another fetcher uses the folder.
    """

    def __init__(self, config: FetchConfig, folder: Path, *, verify: ssl.SSLContext | None = None) -> None:
        policies = (config.default, *config.hosts.values())
        self.secrets = [value for policy in policies for value in policy.secrets()]
        self.config, self.folder = config, folder
        self.user_agent = config.user_agent
        self.state = State(folder)
        self.store = Store(folder, self.state)
        self._hosts = Hosts(config, self.state, self.store, verify=verify)
        self._files = HostFiles(config, self.state, self._hosts)
        self._locks: dict[str, _CountedLock] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close connections and the state; what was answered stays."""
        try:
            await self._hosts.aclose()
        finally:
            self.state.close()

    async def fetch(self, request: FetchRequest) -> Answer:
        """The answer to one request: from the store where it lies there, else from the host."""
        async with self._alone(request.key):
            stored = self.find(request)
            is_old = stored is not None and self.is_old(stored)
            if stored is not None and not request.revalidate and not is_old:
                return stored
            answer = await self._ask(request, stored if isinstance(stored, Fetched) else None)
            if stored is not None and is_old and isinstance(answer, FetchFailed) and not answer.is_final:
                return stored  # it could not be looked at again: what is here still counts
            if isinstance(answer, Fetched) or answer.is_final:
                self.store.keep(answer)
            return answer

    def find(self, request: FetchRequest) -> Answer | None:
        """The stored answer, if it still counts; nothing is asked.

        What was fetched against an opt-out is refused once the configuration obeys it.
        """
        stored = self.store.find(request)
        if isinstance(stored, Fetched):
            try:
                obey(stored.signals, self.config.obedience, is_picture=request.expect == "picture")
            except FetchError as error:
                return FetchFailed(request, error.reason, error.detail, signals=stored.signals, from_store=True)
        is_asked_again = isinstance(stored, FetchFailed) and (self.config.retry_final or request.revalidate)
        return None if is_asked_again else stored

    def is_old(self, stored: Answer) -> bool:
        """Whether a stored picture is to be looked at again, by ``recheck_pictures_after_days``."""
        days = self.config.recheck_pictures_after_days
        if days is None or not isinstance(stored, Fetched) or stored.request.expect != "picture":
            return False
        return self._hosts.now() - datetime.fromisoformat(stored.fetched_at).timestamp() > days * 86400

    async def fetch_all(
        self, requests: Iterable[FetchRequest] | AsyncIterable[FetchRequest]
    ) -> AsyncGenerator[Answer, None]:
        """Answers in the order in which they come; each request is answered exactly once.

        At most ``config.lookahead`` requests are taken from ``requests`` ahead of what the caller has consumed; mix
        hosts in their order, so that a slow host does not fill it. Leaving the loop cancels what is under way.
        """
        async with aclosing(self.run_all(self.fetch, requests)) as answers:
            async for answer in answers:
                yield answer

    async def run_all(
        self, ask: Callable[[Wanted], Awaitable[Given]], wanted: Iterable[Wanted] | AsyncIterable[Wanted]
    ) -> AsyncGenerator[Given, None]:
        """``fetch_all`` for any coroutine that asks through this fetcher (a picture that takes several requests)."""
        done: asyncio.Queue[asyncio.Future[Given]] = asyncio.Queue()
        tasks: set[asyncio.Future[Given]] = set()
        is_open = True
        async with aclosing(_take(wanted)) as following:
            try:
                while is_open or tasks:
                    while is_open and len(tasks) < self.config.lookahead:
                        try:
                            task = asyncio.ensure_future(ask(await anext(following)))
                        except StopAsyncIteration:
                            is_open = False
                            break
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
        """What robots.txt and tdmrep.json of the host say about ``url``; asks for them if they are not known.

        Raises:
            FetchError: the URL is not safe, or the host cannot be asked.
        """
        return await self._files.read_signals(url)

    def report(self) -> list[HostReport]:
        """What was taken from each host, over all runs in this folder."""
        self._hosts.remember()
        return report_hosts(self.state.hosts(), now=self._hosts.now())

    async def _ask(self, request: FetchRequest, stored: Fetched | None) -> Answer:
        try:
            return await self._follow(request, stored)
        except FetchError as error:
            return FetchFailed(
                request,
                error.reason,
                redact(error.detail, self.secrets),
                status=error.status,
                signals=error.signals,
                num_attempts=error.num_attempts,
            )

    async def _follow(self, request: FetchRequest, stored: Fetched | None) -> Fetched:
        """Follow redirects by hand: each hop is checked, has its own host's rules and its own place in the queue."""
        url, seen, num_attempts = request.url, {request.url}, 0
        while True:
            signals = await self._permit(url, request)
            hear = partial(self._hear, signals, request)
            reply, tries = await self._hosts.insist(url, request, stored, check=hear)
            num_attempts += tries
            if not reply.location:
                return self._answer(request, url, reply, stored, hear(reply.headers), num_attempts)
            target = join_redirect(url, reply.location)
            problem = self._find_redirect_problem(url, target, seen)
            if problem:
                error = FetchError(FailReason.REDIRECT, f"{problem} ({target})", status=reply.status)
                error.num_attempts = num_attempts
                raise error
            seen.add(target)
            url = target

    def _find_redirect_problem(self, url: str, target: str, seen: set[str]) -> str:
        if target in seen:
            return "the redirect goes round in a circle"
        if len(seen) > self.config.max_redirects:
            return f"more than {self.config.max_redirects} redirects"
        if url.startswith("https:") and target.startswith("http:") and self._hosts.gate(target).policy.has_secrets:
            return "the redirect would send a key unencrypted"
        return ""

    async def _permit(self, url: str, request: FetchRequest) -> Signals:
        gate = self._hosts.gate(url)
        signals = await self.read_signals(url)
        gate.crawl_delay_s = max(gate.crawl_delay_s, signals.crawl_delay_s or 0.0)
        if gate.crawl_delay_s > gate.policy.max_pause_s:
            raise FetchError(FailReason.ROBOTS, f"robots.txt wants {gate.crawl_delay_s:,.0f} s between two requests")
        return obey(signals, self.config.obedience, is_picture=request.expect == "picture")

    def _hear(self, signals: Signals, request: FetchRequest, headers: Mapping[str, str]) -> Signals:
        return obey(with_headers(signals, headers), self.config.obedience, is_picture=request.expect == "picture")

    def _answer(
        self,
        request: FetchRequest,
        url: str,
        reply: Reply,
        stored: Fetched | None,
        signals: Signals,
        num_attempts: int,
    ) -> Fetched:
        common = {"request": request, "fetched_at": utc_now(), "signals": signals, "num_attempts": num_attempts}
        if reply.status == 304 and stored is not None:
            return replace(stored, **common, not_modified=True)
        width, height = _picture_size(reply.path) if request.expect == "picture" else (None, None)
        if width and height:
            self._hosts.gate(url).count_picture(max(width, height))
        return Fetched(
            url=redact(url, self.secrets),
            status=reply.status,
            path=reply.path,
            sha256=reply.sha256,
            num_bytes=reply.num_bytes,
            content_type=reply.headers.get("content-type", ""),
            etag=reply.headers.get("etag", ""),
            last_modified=reply.headers.get("last-modified", ""),
            width=width,
            height=height,
            **common,
        )

    @asynccontextmanager
    async def _alone(self, key: str) -> AsyncIterator[None]:
        """One task at a time for a request, so that the same thing is never asked for twice at once."""
        lock = self._locks.setdefault(key, _CountedLock())
        lock.num_users += 1
        try:
            async with lock.lock:
                yield
        finally:
            lock.num_users -= 1
            if not lock.num_users:
                del self._locks[key]


class _CountedLock:
    def __init__(self) -> None:
        self.lock, self.num_users = asyncio.Lock(), 0


async def _take(wanted: Iterable[Wanted] | AsyncIterable[Wanted]) -> AsyncGenerator[Wanted, None]:
    if isinstance(wanted, AsyncIterable):
        async for each in wanted:
            yield each
    else:
        for each in wanted:
            yield each


def _picture_size(path: Path) -> tuple[int, int] | tuple[None, None]:
    """Width and height from the header, in pixels, as stored (not turned); None where the header is damaged."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None, None
