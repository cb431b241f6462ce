"""Ask one URL of one host until it answers: the host's turn, the exchange, what the host's gate learns, the retries."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .answers import FailReason, Fetched, FetchError, FetchRequest
from .exchange import Exchange, HeaderCheck, Reply
from .guard import check_url, host_of, refuse_local_name
from .limits import HostGate
from .policy import FetchConfig
from .state import State
from .store import Store

MAX_CONTENT_TRIES = 3  # for answers that are whole but not what was asked for
_PASSING_CONTENT = frozenset({FailReason.UNEXPECTED_CONTENT, FailReason.EMPTY, FailReason.BAD_ENCODING})
# Answers by which a host shows that it is well, though the answer is not what we wanted.
_WELL = _PASSING_CONTENT | {
    FailReason.HTTP_401, FailReason.HTTP_403, FailReason.HTTP_404, FailReason.HTTP_410, FailReason.HTTP_4XX,
    FailReason.REDIRECT, FailReason.TOO_LARGE, FailReason.TDM, FailReason.X_ROBOTS,
}  # fmt: skip
_REFUSALS = frozenset({FailReason.HTTP_401, FailReason.HTTP_403})
NOT_ASKED = frozenset({FailReason.BUDGET, FailReason.HOST_DOWN, FailReason.HOST_PAUSED})


class Hosts:
    """The gates of all hosts and the connection pool behind them."""

    def __init__(self, config: FetchConfig, state: State, store: Store, *, verify: ssl.SSLContext | None) -> None:
        self._config, self._state = config, state
        self._exchange = Exchange(config, store, verify=verify)
        self._gates: dict[str, HostGate] = {}
        self._in_flight = asyncio.Semaphore(config.max_in_flight)
        # Unix seconds that never go back while we run.
        self._clock_offset = time.time() - time.monotonic()

    async def aclose(self) -> None:
        """Close all connections and write down the state of all hosts."""
        self.remember()
        await self._exchange.aclose()

    def remember(self) -> None:
        """Write down the state of all hosts."""
        for gate in self._gates.values():
            gate.remember()

    def now(self) -> float:
        """Unix seconds."""
        return time.monotonic() + self._clock_offset

    def gate(self, url: str) -> HostGate:
        """Gate of the host of ``url``.

        Raises:
            FetchError: ``unsafe_url``.
        """
        parts = check_url(url)
        refuse_local_name(parts.hostname or "", self._config.allow_private)
        host = host_of(parts)
        if host not in self._gates:
            self._gates[host] = HostGate(
                host,
                self._config.policy_of(host),
                saved=self._state.read_host(host),
                save=lambda state: self._state.write_host(host, state),
                clock=self.now,
                seed=self._config.seed,
            )
        return self._gates[host]

    async def insist(
        self,
        url: str,
        request: FetchRequest,
        stored: Fetched | None = None,
        *,
        check: HeaderCheck = lambda headers: None,
        max_bytes: int | None = None,
        may_be_absent: bool = False,
    ) -> tuple[Reply, int]:
        """Ask ``url`` until it answers; the reply and the number of tries.

        ``stored`` makes the request conditional; ``check`` sees the headers before the body is taken; a 404 of what
        ``may_be_absent`` is no failure in the report.

        Raises:
            FetchError: the attempts are used up, or another one cannot help.
        """
        gate = self.gate(url)
        tries = content_tries = 0
        while True:
            try:
                async with self._turn(gate):
                    tries += 1
                    return await self._try(gate, url, request, stored, check, max_bytes, may_be_absent), tries
            except FetchError as error:
                error.num_attempts = tries
                content_tries += error.reason in _PASSING_CONTENT
                is_over = tries >= gate.policy.max_attempts or content_tries >= MAX_CONTENT_TRIES
                if error.reason in NOT_ASKED or not error.retry or is_over:
                    raise
                pause_s = 0.0 if _pauses_host(error) else gate.backoff_s(tries - 1)
            await asyncio.sleep(pause_s)  # outside the turn: others may ask meanwhile

    @asynccontextmanager
    async def _turn(self, gate: HostGate) -> AsyncIterator[None]:
        # The host's turn first: a task that waits for a slow host must not hold a place that others could use.
        async with gate.turn(), self._in_flight:
            yield

    async def _try(
        self,
        gate: HostGate,
        url: str,
        request: FetchRequest,
        stored: Fetched | None,
        check: HeaderCheck,
        max_bytes: int | None,
        may_be_absent: bool,
    ) -> Reply:
        """Ask once, inside a turn, and tell the gate how it went."""
        asked_at = self.now()
        try:
            reply = await self._exchange.send(
                url,
                request,
                gate.policy,
                conditions=_conditions(stored),
                clock_now=asked_at,
                check=check,
                max_bytes=max_bytes,
            )
        except FetchError as error:
            if _pauses_host(error):
                gate.throttled(error.retry_after_s, asked_at=asked_at)
            elif error.reason is FailReason.CHALLENGE:
                gate.challenged(error.detail)
            elif error.reason in _WELL:
                gate.succeeded(is_refusal=error.reason in _REFUSALS)
            elif error.reason is not FailReason.UNSAFE_URL:
                gate.failed()
            is_absent = may_be_absent and error.status in (404, 410)
            gate.count("absent" if is_absent else error.reason.value, num_bytes=error.num_wire_bytes)
            raise
        gate.succeeded()
        gate.count("redirect" if reply.location else str(reply.status), num_bytes=reply.num_wire_bytes)
        return reply


def _pauses_host(error: FetchError) -> bool:
    return error.status == 429 or (error.status == 503 and error.retry_after_s is not None)


def _conditions(stored: Fetched | None) -> dict[str, str]:
    """Headers that make an unchanged answer cost nothing (RFC 9110, 13.1)."""
    if stored is None:
        return {}
    headers = {"If-None-Match": stored.etag, "If-Modified-Since": stored.last_modified}
    return {name: value for name, value in headers.items() if value}
