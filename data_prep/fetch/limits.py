"""One gate per host: concurrency, rate, ``Retry-After``, circuit breaker and budget, remembered between runs.

``async with gate.turn(): ...`` lets a request through when the host may be asked; the request then reports with
``succeeded``, ``throttled`` or ``failed``. Clock and sleep are given, so tests run in virtual time.
"""

import asyncio
import email.utils
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from .answers import FailReason, FetchError
from .policy import HostPolicy

log = logging.getLogger(__name__)

SIZE_BOUNDS_PX = (256, 512, 768, 1024, 1536, 2048, 4096, 10**9)  # pictures are counted by the first that holds them

_MAX_GAP_S = 60.0  # a longer silence does not count as time in which the host was asked
_MAX_REMEMBERED_S = 7 * 86400.0  # a clock that was wrong must not close a host for ever

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]


@dataclass
class HostState:
    """What is remembered of a host; times in Unix seconds, ``next_at`` when the rate allows the next request."""

    next_at: float = 0.0
    paused_until: float = 0.0
    throttle_streak: int = 0
    failures: int = 0
    trips: int = 0
    first_at: float = 0.0
    last_at: float = 0.0
    active_s: float = 0.0
    paused_s: float = 0.0
    requests: int = 0
    num_bytes: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    longer_sides_px: dict[str, int] = field(default_factory=dict)
    refusals: int = 0

    @classmethod
    def from_json(cls, data: dict, *, now: float) -> "HostState":
        """State as it was written; times too far in the future are cut."""
        state = cls(**{name: data[name] for name in cls.__dataclass_fields__ if name in data})
        state.next_at = min(state.next_at, now + _MAX_GAP_S)
        state.paused_until = min(state.paused_until, now + _MAX_REMEMBERED_S)
        return state


class HostGate:
    """Lets requests to one host through, one by one, as its policy and its answers allow."""

    def __init__(
        self,
        host: str,
        policy: HostPolicy,
        *,
        saved: dict,
        save: Callable[[dict], None],
        clock: Clock,
        sleep: Sleep = asyncio.sleep,
        seed: int = 0,
    ) -> None:
        self.host, self.policy = host, policy
        self.state = HostState.from_json(saved, now=clock())
        self.crawl_delay_s = 0.0
        self._save, self._clock, self._sleep = save, clock, sleep
        self._random = random.Random(f"{seed}:{host}")
        self._slots = asyncio.Semaphore(policy.max_concurrent)
        self._changed = asyncio.Event()
        self._probing = False
        self._said_until = 0.0
        # Rests and streaks are remembered, being left alone is not: the next run may try once more.
        self._down = ""
        self.state.trips = min(self.state.trips, policy.breaker_trips - 1)

    @property
    def interval_s(self) -> float:
        """Seconds between two requests: the policy's, or ``Crawl-delay`` where that is longer."""
        wanted = 1.0 / self.policy.requests_per_s if self.policy.requests_per_s else 0.0
        return max(wanted, self.crawl_delay_s)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until the host may be asked, then hold one of its places.

        Raises:
            FetchError: ``budget``, ``host_down`` or ``host_paused``: not in this run.
        """
        async with self._slots:
            is_probe = await self._wait()
            try:
                yield
            finally:
                if is_probe:
                    self._probing = False
                self._wake()

    async def _wait(self) -> bool:
        """Return whether this request is the one that tries whether a resting host is back."""
        while True:
            self._check()
            now = self._clock()
            until = max(self.state.paused_until, self.state.next_at - self._burst_s)
            if until > now:
                self._say_pause(now)
                await self._sleep(until - now)
                continue
            is_half_open = self.state.failures >= self.policy.breaker_failures
            if is_half_open and self._probing:
                self._changed.clear()
                await self._changed.wait()
                continue
            self._take(now)
            self._probing = self._probing or is_half_open
            return is_half_open

    def _say_pause(self, now: float) -> None:
        """Say once that a host still rests from an earlier run; pauses of this one were said as they began."""
        until = self.state.paused_until
        if until > now and until != self._said_until:
            self._said_until = until
            log.info("%s: still rests, as remembered; next request at %s", self.host, _utc(until))

    @property
    def _burst_s(self) -> float:
        return 0.0 if self.crawl_delay_s else (self.policy.burst - 1) * self.interval_s

    def _take(self, now: float) -> None:
        state = self.state
        state.next_at = max(state.next_at, now) + self.interval_s  # GCRA: a leaky bucket in one number
        state.first_at = state.first_at or now
        state.active_s += min(now - state.last_at, _MAX_GAP_S) if state.last_at else 0.0
        state.last_at = now
        state.requests += 1

    def _check(self) -> None:
        budget, state = self.policy.budget, self.state
        if self._down:
            raise FetchError(FailReason.HOST_DOWN, self._down)
        for what, used, most in (
            ("requests", state.requests, budget.requests),
            ("gigabytes", state.num_bytes / 1e9, budget.gigabytes),
            ("hours", state.active_s / 3600, budget.hours),
        ):
            if most is not None and used >= most:
                raise FetchError(FailReason.BUDGET, f"{self.host}: the budget of {most:g} {what} is used up")
        left = state.paused_until - self._clock()
        if left > self.policy.max_pause_s:
            raise FetchError(
                FailReason.HOST_PAUSED,
                f"{self.host} wants no request before {_utc(state.paused_until)}; run again then",
            )

    def _wake(self) -> None:
        self._changed.set()

    def count(self, outcome: str, *, num_bytes: int = 0) -> None:
        """Count an answer (or its lack) for the report and the budget, and remember the host's state."""
        self.state.outcomes[outcome] = self.state.outcomes.get(outcome, 0) + 1
        self.state.num_bytes += num_bytes
        self.remember()

    def count_picture(self, longer_side_px: int) -> None:
        """Count the size of a picture, to tell the library that it was not asked for more than was needed."""
        bound = str(next(each for each in SIZE_BOUNDS_PX if longer_side_px <= each))
        self.state.longer_sides_px[bound] = self.state.longer_sides_px.get(bound, 0) + 1

    def succeeded(self, *, is_refusal: bool = False) -> None:
        """The host is well: it gave an answer, if only "not found". Too many refusals in a row look like a block."""
        state = self.state
        state.throttle_streak = state.failures = state.trips = 0
        state.refusals = state.refusals + 1 if is_refusal else 0
        if state.refusals >= self.policy.max_refusals:
            self._down = (
                f"{self.host} refused {state.refusals} requests in a row (401, 403 or 451) and is left alone for this "
                "run: it seems to keep us out; write to the library, then run again with fetch.retry_final: true"
            )
            state.refusals = 0
            log.warning("%s", self._down)

    def throttled(self, retry_after_s: float | None, *, asked_at: float) -> None:
        """The host said 429 (or 503 with ``Retry-After``): nobody asks it before its time is up.

        Answers to requests that were on their way before the pause began do not make it longer.
        """
        now, state = self._clock(), self.state
        if retry_after_s is None:
            if asked_at < state.paused_until and state.throttle_streak:
                return
            retry_after_s = self.backoff_s(state.throttle_streak)
        state.throttle_streak += 1
        self._pause(now + retry_after_s, f"asked for a pause of {retry_after_s:,.1f} s")

    def failed(self) -> None:
        """The host did not answer as a well host does; several times in a row and it rests."""
        state, policy = self.state, self.policy
        state.failures += 1
        if state.failures < policy.breaker_failures or state.paused_until > self._clock():
            return
        self._trip(f"{state.failures} failures in a row", policy.breaker_rest_s)

    def challenged(self, advice: str) -> None:
        """The host took us for a robot it does not want: it rests at once."""
        self.state.failures = max(self.state.failures, self.policy.breaker_failures)
        if self.state.paused_until <= self._clock():
            self._trip(f"a challenge page: {advice}", self.policy.breaker_rest_s)

    def _trip(self, why: str, rest_s: float) -> None:
        state = self.state
        state.trips += 1
        if state.trips >= self.policy.breaker_trips:
            self._down = f"{self.host} is left alone for this run: {why}; run again later"
            log.warning("%s", self._down)
        self._pause(self._clock() + rest_s * 2 ** (state.trips - 1), why)

    def _pause(self, until: float, why: str) -> None:
        now, state = self._clock(), self.state
        if until > state.paused_until:
            state.paused_s += until - max(now, state.paused_until)
            state.paused_until = self._said_until = until
            log.info("%s: %s; next request at %s", self.host, why, _utc(until))
        self.remember()

    def backoff_s(self, attempt: int) -> float:
        """Pause after the failed attempt number ``attempt`` (from 0): doubling, with seeded jitter of a half."""
        grown = self.policy.backoff_s * 2 ** min(attempt, 30)
        return min(grown, self.policy.max_backoff_s) * self._random.uniform(0.5, 1.5)

    def remember(self) -> None:
        """Write the host's state down."""
        self._save(dict(vars(self.state)))


def parse_retry_after(value: str, *, now: float) -> float | None:
    """Seconds to wait, from a number of seconds or an HTTP date (RFC 9110, 10.2.3); None where it says nothing."""
    value = value.strip()
    try:
        seconds = float(value)
        return max(0.0, seconds) if seconds == seconds else None  # NaN is no time
    except ValueError:
        pass
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - now)


def _utc(moment: float) -> str:
    return datetime.fromtimestamp(min(moment, 4e9), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
