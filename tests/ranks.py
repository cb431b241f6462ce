"""Some processes that play the ranks of a distributed run, forked once from one that has imported torch.

    crew.run(2, function, *arguments)  # -> what each of the two returned, in the order of the ranks

``function`` is a module's own; RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT are set when it is called. ``fork`` starts
one process that is no rank, to be signalled or killed.
"""

import multiprocessing
import os
import signal
import socket
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any


@dataclass(frozen=True)
class Failed:
    """What stands for the result of a rank that raised, or died (then ``text`` says how)."""

    kind: str
    text: str


@contextmanager
def fork(function: Callable[..., Any], *arguments: Any) -> Iterator[ForkServerProcess]:
    """Call ``function`` in a process that has a session of its own; what is left of its group is killed at the end."""
    process = multiprocessing.get_context("forkserver").Process(target=_call_in_a_session, args=(function, arguments))
    process.start()
    assert process.pid is not None
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.join()


def _call_in_a_session(function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    os.setsid()
    function(*arguments)


class Crew:
    """Up to ``size`` processes; after a run with a failure all are replaced before the next.

    A process that could not join the others keeps torch's count of groups, and would wait for ever in the next run.
    """

    def __init__(self, size: int = 4) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._members: list[tuple[ForkServerProcess, Connection] | None] = [None] * size

    def run(
        self, world: int, function: Callable[..., Any], *arguments: Any, timeout_s: float = 100, fails: bool = False
    ) -> list[Any]:
        """Call ``function`` in ``world`` processes at once.

        Raises:
            RuntimeError: one of them raised, died or took too long; with ``fails`` a :class:`Failed` is its result.
        """
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            port = server.getsockname()[1]
        for rank in range(world):
            env = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world}
            env |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            self._member(rank)[1].send(({name: str(value) for name, value in env.items()}, function, arguments))
        deadline = time.monotonic() + timeout_s
        results = [self._receive(rank, deadline) for rank in range(world)]
        if any(isinstance(found, Failed) for found in results):
            self.close()
        failed = [f"rank {rank}: {found.text}" for rank, found in enumerate(results) if isinstance(found, Failed)]
        if failed and not fails:
            raise RuntimeError("\n".join(failed))
        return results

    def close(self) -> None:
        """End all processes at once: one may wait for others that are gone."""
        members = [member for member in self._members if member is not None]
        self._members = [None] * len(self._members)
        for _, connection in members:
            connection.close()
        for process, _ in members:
            process.kill()
            process.join()

    def _member(self, rank: int) -> tuple[ForkServerProcess, Connection]:
        member = self._members[rank]
        if member is None:
            ours, theirs = self._context.Pipe()
            process = self._context.Process(target=_serve, args=(theirs,))
            process.start()
            theirs.close()
            member = self._members[rank] = (process, ours)
        return member

    def _receive(self, rank: int, deadline: float) -> Any:
        member = self._members[rank]
        assert member is not None
        process, connection = member
        try:
            if connection.poll(max(0.0, deadline - time.monotonic())):
                return connection.recv()
            process.kill()
            return Failed("timeout", "took too long and was killed")
        except (EOFError, ConnectionResetError):
            process.join()
            return Failed("died", f"ended with {process.exitcode}")


def _serve(connection: Connection) -> None:
    before = dict(os.environ)
    while True:
        try:
            env, function, arguments = connection.recv()
        except EOFError:
            return
        os.environ.clear()
        os.environ.update(before | env)
        try:
            result = function(*arguments)
        except Exception as error:  # noqa: BLE001  # whatever it was, the test is told
            result = Failed(type(error).__name__, f"{error}\n{traceback.format_exc()}")
        connection.send(result)
