"""Configurations for the loopback, with compressed times, and a clock that jumps instead of waiting."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from data_prep.fetch.policy import FetchConfig, HostPolicy

Result = TypeVar("Result")

_FAST = {
    "max_concurrent": 8,
    "requests_per_s": None,
    "backoff_s": 0.01,
    "max_backoff_s": 0.1,
    "breaker_failures": 50,
    "breaker_rest_s": 0.05,
    "connect_timeout_s": 0.5,
    "read_timeout_s": 0.5,
    "total_timeout_s": 0.9,
    "max_attempts": 4,
}


def fast_policy(**policy: Any) -> HostPolicy:
    """Policy with hundredths of the usual times."""
    return HostPolicy.model_validate(_FAST | policy)


def loopback_config(*, policy: dict[str, Any] | None = None, **config: Any) -> FetchConfig:
    """Configuration that may ask 127.0.0.1."""
    known = {"contact": "curator@library.example", "allow_private": ("127.0.0.1",)}
    return FetchConfig.model_validate(known | {"default": fast_policy(**(policy or {}))} | config)


class _JumpingSelector(selectors.DefaultSelector):
    """Where the loop would wait for a time, the time passes at once."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "every task waits for another one"
        self.now_s += max(0.0, timeout)
        return super().select(0)


class _JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s


def run_in_virtual_time(work: Coroutine[Any, Any, Result]) -> Result:
    """Result of ``work``, whose sleeps take no time; ``asyncio.get_running_loop().time()`` is its clock, from 0 s."""
    with asyncio.Runner(loop_factory=_JumpingLoop) as runner:
        return runner.run(work)
