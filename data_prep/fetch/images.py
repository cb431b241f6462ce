"""Fetch pictures at the size that is needed: plain URLs as they are, IIIF services at the right size.

``PictureFetcher(fetcher).fetch_all(requests)``: each request is answered once. A picture is remembered by its service
and size, whatever URL finally gave it, so a second run asks nothing.
"""

import json
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from .answers import Answer, Fetched, FetchFailed, FetchRequest
from .fetcher import Fetcher
from .image_sizes import ImageService, SizeAsk, SizeForm, merge_services, note_size, plan_sizes, read_service

# What services answer when they cannot give a size: bad request, not there (static trees), not implemented.
_NO_SUCH_SIZE = frozenset({400, 404, 405, 422, 501})


@dataclass(frozen=True, slots=True)
class PictureRequest:
    """A picture whose longer side should be ``size_px``: of a IIIF ``service``, or at ``url`` as it is."""

    url: str = ""
    service: ImageService | None = None
    size_px: int = 1024
    tag: str = ""

    @property
    def name(self) -> str:
        """What decides the picture: the service and the size, or the URL."""
        return f"{self.service.id} !{self.size_px}" if self.service else self.url

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
    """Asks a :class:`Fetcher` for pictures; learns which forms of size a host refuses."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._refused_forms: dict[str, set[SizeForm]] = defaultdict(set)

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
        if stored is not None:
            return stored
        answer = await self._try_sizes(request.service, request)
        answer = replace(answer, request=wanted)
        if isinstance(answer, Fetched):
            self._fetcher.store.keep(answer)
        return answer

    async def _try_sizes(self, service: ImageService, request: PictureRequest) -> Answer:
        asked: list[SizeAsk] = []
        first_failure: FetchFailed | None = None
        is_info_wanted = not service.is_info
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
            asked.append(ask)
            if is_info_wanted:
                is_info_wanted = False
                service = await self._read_info(service)
                if not service.is_info and answer.status == 404:
                    return answer  # neither the picture nor its description is there

    async def _read_info(self, service: ImageService) -> ImageService:
        answer = await self._fetcher.fetch(FetchRequest(f"{service.id}/info.json", expect="json"))
        if isinstance(answer, FetchFailed):
            return service
        try:
            data = json.loads(answer.read())
        except (ValueError, RecursionError):
            return service
        info = read_service(data, is_info=True) if isinstance(data, dict) else None
        return merge_services(service, info) if info else service

    def _learn(self, host: str, *, refused: Iterable[SizeAsk], given: SizeAsk) -> None:
        # Only the same size in another form says something about forms: a size may be too large for the host.
        forms: set[SizeForm] = {ask.form for ask in refused if ask.longer_px == given.longer_px != 0}
        self._refused_forms[host].update(forms - {given.form})

    def _look_at(self, answer: Fetched, ask: SizeAsk, service: ImageService, request: PictureRequest) -> Answer:
        if not answer.width or not answer.height:
            return answer
        note = note_size(service, ask, (answer.width, answer.height), size_px=request.size_px)
        return replace(answer, note=note)


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
