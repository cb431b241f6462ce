"""Whether the other processes of a run are alive, and what the one that failed had to say.

A thread in each process counts in torch's key-value store and watches the others' counts. Where a process dies, the
others would wait in an exchange until its timeout, without a word about who and why; here each of them ends within
seconds with one line.
"""

import contextlib
import os
import socket
import sys
import threading
import time
from datetime import timedelta

from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]  # public, but left out of __all__

_BEAT_S = 2.0
_MISSED_BEATS = 4  # after a connection broke, a process that misses so many is the one that died
_GRACE_S = 15.0  # for the main thread to end by itself once a process is known to be dead
_EXIT_CODE = 2


class Heartbeat:
    """Use between the making of the process group and its end; every process makes one, with the same ``name``.

    ``limit_s``: a process not heard of for so long counts as dead.
    """

    def __init__(self, *, rank: int, world: int, limit_s: float, name: str) -> None:
        self._rank, self._limit_s = rank, limit_s
        self._others = [other for other in range(world) if other != rank]
        self._dead: int | None = None
        self._beat_s = min(_BEAT_S, limit_s / 5)
        self._host = os.environ.get("SLURMD_NODENAME") or socket.gethostname()
        # A connection of our own: torch's would be held by an exchange that waits.
        store = TCPStore(
            os.environ["MASTER_ADDR"],
            int(os.environ["MASTER_PORT"]),
            is_master=False,
            timeout=timedelta(seconds=limit_s),
        )
        self._store = PrefixStore(f"iconoclip/{name}", store)
        self._verdict = ""
        self._count = 0
        self._known, self._suspicious, self._ended = threading.Event(), threading.Event(), threading.Event()
        self._say_alive()
        self._store.wait([f"alive/{other}" for other in self._others], timedelta(seconds=limit_s))
        self._thread = threading.Thread(target=self._watch, name="heartbeat", daemon=True)
        self._thread.start()

    def fail(self, message: str) -> None:
        """Tell the others that this process ends, and why; of several the first word counts."""
        with contextlib.suppress(RuntimeError):
            self._store.compare_set("failed", "", f"process {self._rank} on {self._host}: {message}")

    def verdict(self) -> str:
        """Say who failed and why, after an exchange broke; waits for it, ``""`` if it stays unknown."""
        self._suspicious.set()
        self._known.wait(self._limit_s + 2 * self._beat_s)
        return self._verdict

    def close(self) -> None:
        """End; process 0, which may hold the store, gives the others a moment to read it."""
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(RuntimeError):
            self._store.set(f"left/{self._rank}", "1")
            if self._rank == 0:
                keys = [f"left/{other}" for other in self._others if other != self._dead]
                self._store.wait(keys, timedelta(seconds=_MISSED_BEATS * self._beat_s))

    def _say_alive(self) -> None:
        self._count += 1
        self._store.set(f"alive/{self._rank}", f"{self._count} {self._host}")

    def _watch(self) -> None:
        heard: dict[int, tuple[bytes, float]] = {}
        while not self._ended.wait(self._beat_s):
            try:
                found = self._look(heard)
            except RuntimeError:  # the store does not answer
                found = "process 0 is gone, and with it the connection of all"
            if found is None:
                continue
            self._verdict = found
            self._known.set()
            with contextlib.suppress(RuntimeError):
                self._store.compare_set("failed", "", found)
            if not self._ended.wait(_GRACE_S):
                # The main thread hangs in an exchange that nothing can interrupt.
                sys.stderr.write(f"error: {found}; this process waited for it in vain\n")
                sys.stderr.flush()
                os._exit(_EXIT_CODE)
            return

    def _look(self, heard: dict[int, tuple[bytes, float]]) -> str | None:
        """Count once and look at the others' counts; return who failed and why, if somebody did."""
        self._say_alive()
        if self._store.check(["failed"]):
            return self._store.get("failed").decode()
        now = time.monotonic()
        limit_s = self._beat_s * _MISSED_BEATS if self._suspicious.is_set() else self._limit_s
        counts = self._store.multi_get([f"alive/{other}" for other in self._others])
        for other, count in zip(self._others, counts, strict=True):
            before, since = heard.get(other, (b"", now))
            if count != before:
                heard[other] = (count, now)
            elif now - since > limit_s and not self._store.check([f"left/{other}"]):
                self._dead = other
                host = count.decode().partition(" ")[2]
                return f"process {other} on {host} has not been heard of for {now - since:.0f} s; was it killed?"
        return None
