"""A tenth of the pictures of each fault: what can be had arrives, everything else has its reason, the limit holds."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from servers.clients import loopback_config
from servers.faults import FAULTS, FaultyPictures, fault_of, is_recoverable
from servers.http import LocalServer
from servers.iiif import draw

from data_prep.fetch.answers import FailReason, Fetched, FetchFailed, FetchRequest
from data_prep.fetch.fetcher import Fetcher
from iconoclip.records import RejectReason

NUM_PICTURES = 200
PICTURES = [draw((40 + number, 30)) for number in range(20)]

REASONS = {
    "throttled": {FailReason.HTTP_429},
    "unavailable": {FailReason.HTTP_5XX},
    "error": {FailReason.HTTP_5XX},
    "timeout": {FailReason.TIMEOUT},
    "truncated": {FailReason.TRUNCATED},
    "html": {FailReason.UNEXPECTED_CONTENT},
    "redirect": {FailReason.REDIRECT},
    "drip": {FailReason.TIMEOUT},
    "reset": {FailReason.RESET},
}


@pytest.mark.parametrize("max_concurrent", [2, 12])
def test_every_recoverable_picture_arrives_and_every_other_has_its_reason(tmp_path: Path, max_concurrent: int) -> None:
    async def work() -> tuple[list[Fetched | FetchFailed], LocalServer, Counter[str]]:
        num_pictures = NUM_PICTURES if max_concurrent > 2 else NUM_PICTURES // 4
        config = loopback_config(policy={"max_concurrent": max_concurrent})
        async with (
            LocalServer(FaultyPictures(PICTURES, time_scale_s=0.02)) as server,
            Fetcher(config, tmp_path) as fetcher,
        ):
            urls = (f"{server.url}/picture/{number}.jpg" for number in range(num_pictures))
            requests = (FetchRequest(url, expect="picture", tag=str(n)) for n, url in enumerate(urls))
            answers = [answer async for answer in fetcher.fetch_all(requests)]
            assert sorted(int(answer.request.tag) for answer in answers) == list(range(num_pictures))
            return answers, server, Counter(fetcher.report()[0].outcomes)

    answers, server, outcomes = asyncio.run(work())
    assert server.max_in_flight <= max_concurrent
    for answer in answers:
        number = int(answer.request.tag)
        if isinstance(answer, Fetched):
            assert is_recoverable(number), f"picture {number} cannot be had"
            assert answer.read() == PICTURES[number % len(PICTURES)]
        else:
            assert not is_recoverable(number), f"picture {number} is lost: {answer.text}"
            # A busy machine may be late with any answer.
            assert answer.reason in REASONS[fault_of(number)] | {FailReason.TIMEOUT}
            assert answer.reject_reason is RejectReason.FETCH_FAILED
            assert f"/picture/{number}.jpg" in answer.detail
    assert sum(outcomes.values()) >= len(answers)
    if max_concurrent > 2:
        assert {fault_of(int(answer.request.tag)) for answer in answers if isinstance(answer, FetchFailed)} == set(
            FAULTS
        ) - {"wrong_type"}
