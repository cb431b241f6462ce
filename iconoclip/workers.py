"""Worker processes: started afresh, so that they inherit neither threads nor locks, and gone when their parent is."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from types import ModuleType
from typing import Any, TypeVar

from .errors import IconoclipError

Task = TypeVar("Task")
Result = TypeVar("Result")


class Workers:
    """``count`` worker processes, started when they are first needed; one worker means this process.

    Each process begins with ``prepare(*given)``, which tells it what all its tasks share.
    """

    def __init__(self, count: int, *, prepare: Callable[..., None] | None = None, given: tuple[Any, ...] = ()) -> None:
        self._count = count
        self._prepare, self._given = prepare, given
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def begin(self, function: Callable[[Task], object], task: Task) -> None:
        """Let a worker do ahead of time what will be asked for later; nothing where there is but this process."""
        if self._count > 1:
            self._submit(function, task)

    def run(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[tuple[int, Result]]:
        """Yield (position of the task, result) as they are done."""
        if self._count == 1 or len(tasks) <= 1:
            if self._prepare is not None:
                self._prepare(*self._given)
            for position, task in enumerate(tasks):
                yield position, function(task)
            return
        futures: dict[Future[Result], int] = {}
        left = iter(enumerate(tasks))
        try:
            while True:
                while len(futures) < 2 * self._count and (following := next(left, None)) is not None:
                    futures[self._submit(function, following[1])] = following[0]
                if not futures:
                    return
                for future in wait(futures, return_when=FIRST_COMPLETED).done:
                    yield futures.pop(future), future.result()
        except BrokenProcessPool:
            raise _killed() from None
        finally:
            for future in futures:
                future.cancel()

    def start(self) -> None:
        """Start the processes ahead of their first task, where there is more than this one."""
        if self._count > 1:
            for _ in range(self._count):  # the pool starts one with each task while none is idle
                self._submit(_nothing, None)

    def _submit(self, function: Callable[[Task], Result], task: Task) -> "Future[Result]":
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(
                self._count, mp_context=context, initializer=_begin, initargs=(self._prepare, self._given)
            )
        try:
            with _nameless_main():
                return self._pool.submit(function, task)
        except BrokenProcessPool:
            raise _killed() from None


@contextmanager
def _nameless_main() -> Iterator[None]:
    """Let a process that starts in here not import the program that started it, for it does not need it.

    A script without ``if __name__ == "__main__":`` would else begin anew in each process, and wait for ever.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _die_with_parent() -> None:
    """A worker waits for tasks for ever when its parent is killed: leave as soon as it is gone.

    Ctrl-C reaches workers too; the parent alone answers it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _begin(prepare: Callable[..., None] | None, given: tuple[Any, ...]) -> None:
    _die_with_parent()
    if prepare is not None:
        prepare(*given)


def _nothing(task: None) -> None:
    """Let a worker import what it will need."""


def _killed() -> IconoclipError:
    return IconoclipError(
        "a worker was killed, most likely for want of memory; run again with fewer (`workers`, or the cores that are "
        "given): what is done is kept"
    )


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
