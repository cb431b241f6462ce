"""Fetch pictures at the size that is needed: plain URLs as they are, IIIF services at the right size.

``PictureFetcher(fetcher).fetch_all(requests)``: each request is answered once. A picture is remembered by its service
and size, whatever URL finally gave it, so a second run asks nothing.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from .answers import Answer, FailReason, Fetched, FetchFailed, FetchRequest
from .fetcher import Fetcher
from .image_sizes import (
    ImageService,
    SizeAsk,
    SizeForm,
    merge_services,
    narrow,
    needs_info,
    note_size,
    plan_sizes,
    read_service,
)

_NEVER_BLOWS_UP = 3  # version of the Image API from which a server refuses what is larger than the picture
# What services answer when they cannot give a size: bad request, not there (static trees), not implemented.
_NO_SUCH_SIZE = frozenset({400, 404, 405, 422, 501})
# The host did not answer, or may not be asked: the picture waits for another run rather than being asked for blindly.
_NOT_NOW = frozenset(
    {
        FailReason.UNSAFE_URL, FailReason.DNS, FailReason.CONNECT, FailReason.TLS, FailReason.TIMEOUT, FailReason.RESET,
        FailReason.TRUNCATED, FailReason.PROTOCOL, FailReason.HTTP_429, FailReason.CHALLENGE, FailReason.BUDGET,
        FailReason.HOST_DOWN, FailReason.HOST_PAUSED,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PictureRequest:
    """A picture whose longer side should be ``size_px``: of a IIIF ``service``, or at ``url`` as it is.

    ``box`` asks the service for a part: left, top, width and height as shares of the picture.
    """

    url: str = ""
    service: ImageService | None = None
    size_px: int = 1024
    tag: str = ""
    box: tuple[float, float, float, float] | None = None

    @property
    def name(self) -> str:
        """What decides the picture: the service, the part of it and the size, or the URL."""
        part = " " + ",".join(f"{share:.6f}" for share in self.box) if self.box else ""
        return f"{self.service.id}{part} !{self.size_px}" if self.service else self.url

    @property
    def host(self) -> str:
        """Host that will be asked first."""
        try:
            return urlsplit(self.service.id if self.service else self.url).netloc
        except ValueError:
            return ""

    def to_fetch_request(self) -> FetchRequest:
        """The request under which the store knows the picture."""
        url = self.service.id if self.service else self.url
        return FetchRequest(url, expect="picture", tag=self.tag, name=self.name)


class PictureFetcher:
    """Asks a :class:`Fetcher` for pictures; learns what services of a place speak and which forms of size they refuse.

    Once one info.json of a place says API 3, the others there are not read: API 3 blows nothing up.
    """

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._refused_forms: dict[str, set[SizeForm]] = defaultdict(set)
        self._versions: dict[str, int] = {}
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def fetch_all(
        self, requests: Iterable[PictureRequest] | AsyncIterable[PictureRequest]
    ) -> AsyncGenerator[Answer, None]:
        """Answers as they come, each request exactly once; see ``Fetcher.fetch_all``."""
        async with aclosing(self._fetcher.run_all(self.fetch, requests)) as answers:
            async for answer in answers:
                yield answer

    async def fetch(self, request: PictureRequest) -> Answer:
        """The picture, or why there is none."""
        wanted = request.to_fetch_request()
        if request.service is None:
            return await self._fetcher.fetch(wanted)
        stored = self._fetcher.find(wanted)
        if stored is not None and not self._fetcher.is_old(stored):
            return stored
        answer = await self._try_sizes(request.service, request)
        if isinstance(answer, FetchFailed) and not answer.is_final and stored is not None:
            return stored
        answer = replace(answer, request=wanted)
        if isinstance(answer, Fetched):
            self._fetcher.store.keep(answer)
        return answer

    async def _try_sizes(self, service: ImageService, request: PictureRequest) -> Answer:
        asked: list[SizeAsk] = []
        first_failure: FetchFailed | None = None
        service, failure = await self._get_to_know(service, request)
        if failure is not None and (failure.reason in _NOT_NOW or (request.box and not service.longer_px)):
            return failure
        is_info_read = service.is_info or failure is not None
        if request.box:
            if problem := _no_parts(service):
                return FetchFailed(
                    request.to_fetch_request(), FailReason.UNEXPECTED_CONTENT, f"{service.id}: {problem}"
                )
            service, is_info_read = narrow(service, request.box), True
        while True:
            asks = plan_sizes(service, request.size_px, avoid=self._refused_forms[request.host])
            ask = next((each for each in asks if each.url not in {before.url for before in asked}), None)
            if ask is None:
                assert first_failure is not None  # a plan is never empty
                return first_failure
            answer = await self._fetcher.fetch(FetchRequest(ask.url, expect="picture"))
            if isinstance(answer, Fetched):
                self._learn(request.host, refused=asked, given=ask)
                return self._look_at(answer, ask, service, request)
            first_failure = first_failure or answer
            if answer.status not in _NO_SUCH_SIZE:
                return answer
            if not is_info_read:
                is_info_read = True
                service, _ = await self._read_info(service)
            if not asked and not service.is_info and answer.status == 404:
                return answer  # neither the picture nor its description is there
            asked.append(ask)

    async def _get_to_know(
        self, service: ImageService, request: PictureRequest
    ) -> tuple[ImageService, FetchFailed | None]:
        """The service with what must be known before it is asked; and why that could not be had."""
        if request.box:  # a part is asked for in pixels of the picture, which a manifest may not know
            async with self._locks[service.id]:  # the store has it for the next part of the page
                return (service, None) if service.is_info else await self._read_info(service)
        if not needs_info(service, request.size_px):
            return service, None
        if service.version:
            return await self._read_info(service)
        place = _place_of(service)
        async with self._locks[place]:  # the first one asks for all
            if place not in self._versions:
                known, failure = await self._read_info(service)
                if known.is_info:
                    self._versions[place] = known.version
                return known, failure
        if self._versions[place] >= _NEVER_BLOWS_UP:
            return replace(service, version=self._versions[place]), None
        return await self._read_info(service)

    async def _read_info(self, service: ImageService) -> tuple[ImageService, FetchFailed | None]:
        """The service with what info.json adds, as far as there is one; and why there is none."""
        answer = await self._fetcher.fetch(FetchRequest(f"{service.id}/info.json", expect="json"))
        if isinstance(answer, FetchFailed):
            return service, answer
        try:
            data = json.loads(answer.read())
        except (ValueError, RecursionError):
            return service, None
        info = read_service(data, is_info=True) if isinstance(data, dict) else None
        return merge_services(service, info) if info else service, None

    def _learn(self, host: str, *, refused: Iterable[SizeAsk], given: SizeAsk) -> None:
        # Only the same size in another form says something about forms: a size may be too large for the host.
        forms: set[SizeForm] = {ask.form for ask in refused if ask.longer_px == given.longer_px != 0}
        self._refused_forms[host].update(forms - {given.form})

    def _look_at(self, answer: Fetched, ask: SizeAsk, service: ImageService, request: PictureRequest) -> Answer:
        if not answer.width or not answer.height:
            return answer
        note = note_size(service, ask, (answer.width, answer.height), size_px=request.size_px)
        return replace(answer, note=note)


def _no_parts(service: ImageService) -> str:
    """Why the service cannot be asked for a part; ``""`` where it can."""
    if service.level == 0:
        return "gives whole pictures only (level 0), no parts of them"
    return "" if service.width and service.height else "does not say how large the picture is, so no part can be named"


def _place_of(service: ImageService) -> str:
    """Host and the first two steps of the path: where services of one kind lie."""
    return "/".join(service.id.split("/", 5)[:5])


def mix_hosts(requests: Iterable[PictureRequest]) -> list[PictureRequest]:
    """The same requests, hosts taking turns: a slow host does not keep the others waiting."""
    by_host: dict[str, list[PictureRequest]] = defaultdict(list)
    for request in requests:
        by_host[request.host].append(request)
    mixed, queues = [], [iter(several) for several in by_host.values()]
    while queues:
        still = []
        for queue in queues:
            request = next(queue, None)
            if request is not None:
                mixed.append(request)
                still.append(queue)
        queues = still
    return mixed
