"""A host's gate in virtual time: concurrency, rate, pauses, circuit breaker, budget, memory."""

import asyncio

import pytest
from servers.clients import fast_policy, run_in_virtual_time

from data_prep.fetch.answers import FailReason, FetchError
from data_prep.fetch.limits import HostGate, parse_retry_after


class Host:
    """A gate and what was seen behind it: start times of requests (seconds) and how many ran at once."""

    def __init__(self, *, saved: dict | None = None, start_s: float = 0.0, **policy) -> None:
        loop = asyncio.get_running_loop()
        self.saved: dict = saved or {}
        self.now = lambda: start_s + loop.time()
        self.gate = HostGate(
            "library.example", fast_policy(**policy), saved=self.saved, save=self.saved.update, clock=self.now
        )
        self.starts_s: list[float] = []
        self.running = self.most_running = 0

    async def ask(self, *, takes_s: float = 0.0, then=lambda gate: gate.succeeded()) -> None:
        async with self.gate.turn():
            self.starts_s.append(self.now())
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            await asyncio.sleep(takes_s)
            self.running -= 1
            then(self.gate)
            self.gate.count("200", num_bytes=1000)

    async def ask_many(self, number: int, **how) -> None:
        await asyncio.gather(*(self.ask(**how) for _ in range(number)))


def test_rate_and_concurrency_hold_for_a_thousand_requests() -> None:
    async def work() -> None:
        host = Host(max_concurrent=3, requests_per_s=2.0)
        await host.ask_many(1000, takes_s=0.9)
        gaps = [late - early for early, late in zip(host.starts_s, host.starts_s[1:], strict=False)]
        assert min(gaps) >= 0.5 - 1e-6
        assert host.most_running == 2  # 0.9 s each, one begins every 0.5 s
        assert host.starts_s[-1] == pytest.approx(999 * 0.5)

    run_in_virtual_time(work())


def test_concurrency_is_bounded_where_the_rate_is_not() -> None:
    async def work() -> None:
        host = Host(max_concurrent=3, requests_per_s=None)
        await host.ask_many(30, takes_s=1.0)
        assert host.most_running == 3
        assert host.now() == pytest.approx(10.0)

    run_in_virtual_time(work())


def test_burst_lets_some_through_at_once_and_then_keeps_the_rate() -> None:
    async def work() -> None:
        host = Host(max_concurrent=8, requests_per_s=1.0, burst=4)
        await host.ask_many(8)
        assert host.starts_s == pytest.approx([0, 0, 0, 0, 1, 2, 3, 4])

    run_in_virtual_time(work())


def test_crawl_delay_slows_down_but_never_speeds_up() -> None:
    async def work() -> None:
        host = Host(requests_per_s=1.0, burst=4)
        host.gate.crawl_delay_s = 10.0
        await host.ask_many(3)
        assert host.starts_s == pytest.approx([0, 10, 20])
        host.gate.crawl_delay_s = 0.1
        assert host.gate.interval_s == 1.0

    run_in_virtual_time(work())


def test_retry_after_pauses_everybody() -> None:
    async def work() -> None:
        host = Host(max_concurrent=1)
        await host.ask(then=lambda gate: gate.throttled(30.0, asked_at=0.0))
        await host.ask_many(3)
        assert host.starts_s == pytest.approx([0, 30, 30, 30])

    run_in_virtual_time(work())


def test_throttling_without_retry_after_doubles_the_pause_once_a_round() -> None:
    async def work() -> None:
        host = Host(max_concurrent=4, backoff_s=1.0, max_backoff_s=1000.0)

        def say_429(gate: HostGate) -> None:
            gate.throttled(None, asked_at=asked_at)

        pauses = []
        for _ in range(4):
            asked_at = max(host.now(), host.gate.state.paused_until)
            await host.ask_many(4, takes_s=0.01, then=say_429)  # four answers, one pause
            pauses.append(host.gate.state.paused_until - host.now())
        for number, pause_s in enumerate(pauses):
            assert 0.5 * 2**number <= pause_s <= 1.5 * 2**number

    run_in_virtual_time(work())


def test_a_failing_host_rests_is_probed_by_one_request_and_recovers() -> None:
    async def work() -> None:
        host = Host(max_concurrent=5, breaker_failures=5, breaker_rest_s=60.0, breaker_trips=3)
        await host.ask_many(5, then=lambda gate: gate.failed())
        assert host.gate.state.paused_until == pytest.approx(60.0)
        host.most_running = 0
        seen = len(host.starts_s)
        await host.ask_many(5, takes_s=1.0)  # the probe is well, so the others follow together
        assert host.starts_s[seen:] == pytest.approx([60, 61, 61, 61, 61])
        assert host.most_running == 4

    run_in_virtual_time(work())


def test_a_host_that_stays_down_is_left_alone_for_the_run_but_not_for_ever() -> None:
    async def work() -> dict:
        host = Host(max_concurrent=2, breaker_failures=2, breaker_rest_s=60.0, breaker_trips=3)
        outcomes = await asyncio.gather(
            *(host.ask(then=lambda gate: gate.failed()) for _ in range(20)), return_exceptions=True
        )
        refused = [each for each in outcomes if isinstance(each, FetchError)]
        assert {each.reason for each in refused} == {FailReason.HOST_DOWN}
        # two failures, rest 60 s, a probe, rest 120 s, a probe, down
        assert host.starts_s == pytest.approx([0, 0, 60, 180])
        return host.saved

    saved = run_in_virtual_time(work())

    async def work_again() -> None:
        host = Host(saved=saved, start_s=1e6, breaker_failures=2, breaker_rest_s=60.0, breaker_trips=3)
        await host.ask_many(3)
        assert len(host.starts_s) == 3

    run_in_virtual_time(work_again())


def test_a_challenge_page_stops_the_host_at_once() -> None:
    async def work() -> None:
        host = Host(max_concurrent=1, breaker_failures=50, breaker_rest_s=300.0, breaker_trips=3)
        await host.ask(then=lambda gate: gate.challenged("write to the library"))
        await host.ask()
        assert host.starts_s == pytest.approx([0, 300])

    run_in_virtual_time(work())


def test_a_pause_is_remembered_by_the_next_run(caplog: pytest.LogCaptureFixture) -> None:
    async def first() -> dict:
        host = Host(start_s=1000.0)
        await host.ask(then=lambda gate: gate.throttled(500.0, asked_at=1000.0))
        return host.saved

    saved = run_in_virtual_time(first())

    async def second() -> None:
        host = Host(saved=saved, start_s=1200.0)
        await host.ask()
        assert host.starts_s == pytest.approx([1500.0])

    with caplog.at_level("INFO", logger="data_prep"):
        run_in_virtual_time(second())
    assert [record.message.count("still rests, as remembered") for record in caplog.records] == [1]


def test_a_pause_longer_than_we_wait_is_said_and_not_slept() -> None:
    async def work() -> None:
        host = Host(max_pause_s=3600.0)
        await host.ask(then=lambda gate: gate.throttled(86_400.0, asked_at=0.0))
        with pytest.raises(FetchError, match="no request before 1970-01-02 00:00:00 UTC"):
            await host.ask()
        assert host.now() == 0.0

    run_in_virtual_time(work())


@pytest.mark.parametrize(
    ("budget", "fits"),
    [({"requests": 7}, 7), ({"gigabytes": 5e-6}, 5), ({"hours": 3 / 3600}, 4)],
)
def test_budget_ends_the_harvest_of_a_host(budget: dict, fits: int) -> None:
    # 1,000 bytes and one second a request: 5 kB are five requests; 3 s pass between the first and the fourth
    async def work() -> None:
        host = Host(start_s=1000.0, max_concurrent=1, requests_per_s=1.0, budget=budget)
        outcomes = await asyncio.gather(*(host.ask() for _ in range(10)), return_exceptions=True)
        assert len(host.starts_s) == fits
        assert {each.reason for each in outcomes if isinstance(each, FetchError)} == {FailReason.BUDGET}
        again = Host(saved=host.saved, start_s=2000.0, budget=budget)
        with pytest.raises(FetchError):
            await again.ask()

    run_in_virtual_time(work())


def test_a_cancelled_request_gives_its_place_back() -> None:
    async def work() -> None:
        host = Host(max_concurrent=1, breaker_failures=1, breaker_rest_s=1.0)
        await host.ask(then=lambda gate: gate.failed())
        probe = asyncio.create_task(host.ask(takes_s=1000.0))
        await asyncio.sleep(10)
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)
        host.running = 0
        await host.ask()
        assert host.now() == pytest.approx(10.0)

    run_in_virtual_time(work())


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("-5", 0.0),
        ("1.5", 1.5),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 60.0),
        ("Wednesday, 21-Oct-26 07:28:00 GMT", 60.0),
        ("Wed Oct 21 07:28:00 2026", 60.0),
        ("Wed, 21 Oct 2020 07:28:00 GMT", 0.0),
        ("soon", None),
        ("", None),
        ("nan", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    now = 1792567620.0  # 2026-10-21 07:27:00 UTC
    assert parse_retry_after(value, now=now) == seconds
