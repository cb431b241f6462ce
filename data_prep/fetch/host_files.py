"""Read each host's robots.txt and tdmrep.json before the host is asked for anything else, once a day."""

import asyncio
import logging

from .answers import FailReason, FetchError, FetchRequest, Signals
from .guard import check_url, join_redirect
from .hosts import NOT_ASKED, Hosts
from .policy import FetchConfig
from .robots import MAX_FILE_BYTES, ROBOTS_PATH, TDM_PATH, HostFile, read_signals
from .state import State

log = logging.getLogger(__name__)

_MAX_REDIRECTS = 5  # RFC 9309, 2.3.1.2
_MAX_TRANSFER_BYTES = 4 * MAX_FILE_BYTES


class HostFiles:
    """What hosts say to robots and miners, remembered for ``obedience.max_age_h``."""

    def __init__(self, config: FetchConfig, state: State, hosts: Hosts) -> None:
        self._config, self._state, self._hosts = config, state, hosts
        self._files: dict[str, HostFile] = {}
        self._lock_of: dict[str, asyncio.Lock] = {}

    async def read_signals(self, url: str) -> Signals:
        """What the host's two files say about ``url``.

        Raises:
            FetchError: the URL is not safe, or the host cannot be asked at all.
        """
        parts = check_url(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        robots = await self._file(f"{origin}{ROBOTS_PATH}")
        return read_signals(url, robots, await self._file(f"{origin}{TDM_PATH}"))

    async def _file(self, url: str) -> HostFile:
        if url not in self._files:
            async with self._lock_of.setdefault(url, asyncio.Lock()):
                if url not in self._files:
                    oldest = self._hosts.now() - self._config.obedience.max_age_h * 3600
                    known = self._state.read_file(url, not_before=oldest)
                    self._files[url] = HostFile(*known) if known else await self._read(url)
        return self._files[url]

    async def _read(self, url: str) -> HostFile:
        """RFC 9309, 2.3.1: with 4xx there is no file; a host that fails to answer allows nothing, in this run."""
        try:
            file = HostFile("found", await self._follow(url))
        except FetchError as error:
            if error.reason in NOT_ASKED or error.reason in (FailReason.DNS, FailReason.UNSAFE_URL):
                raise
            is_absent = error.status is not None and 400 <= error.status < 500 and error.status != 429
            if not is_absent and error.reason not in (FailReason.REDIRECT, FailReason.TOO_LARGE):
                log.warning("%s cannot be read: %s", url, error.detail)
                return HostFile("unreachable")
            file = HostFile("none")
        self._state.write_file(url, file.state, file.text, read_at=self._hosts.now())
        return file

    async def _follow(self, url: str) -> str:
        request = FetchRequest(url, accept="text/plain,application/json;q=0.9,*/*;q=0.1")
        for _ in range(_MAX_REDIRECTS + 1):
            reply, _ = await self._hosts.insist(url, request, max_bytes=_MAX_TRANSFER_BYTES, may_be_absent=True)
            if not reply.location:
                return reply.path.read_bytes()[:MAX_FILE_BYTES].decode("utf-8-sig", "replace")
            url = join_redirect(url, reply.location)
        raise FetchError(FailReason.REDIRECT, f"more than {_MAX_REDIRECTS} redirects")
