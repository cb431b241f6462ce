"""The largest memory of a program and its children, and the time that they took."""

import math
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Used:
    """What a program used: wall-clock and CPU seconds, and the largest sum of proportional set sizes (PSS), or NaN."""

    seconds: float
    cpu_s: float
    peak_mb: float


def measure(
    name: str, command: list[str], log: Path, environment: dict[str, str], *, look_at_memory: bool = True
) -> Used:
    """Run a program to its end, its output in ``log``; a program that fails ends this one.

    To look at the memory takes 12 ms a process four times a second, in which it cannot take more: time it without.
    """
    started = time.monotonic()
    with log.open("w") as file:
        program = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
        peak = Peak(program.pid) if look_at_memory else None
        _, status, used = os.wait4(program.pid, 0)
        seconds = time.monotonic() - started
        program.returncode = os.waitstatus_to_exitcode(status)
    if program.returncode:
        sys.exit(f"{name} failed with {program.returncode}:\n{log.read_text()[-3000:]}")
    return Used(seconds, used.ru_utime + used.ru_stime, peak.stop() / 1e6 if peak else math.nan)


class Peak:
    """The largest memory of a process and its children, looked at four times a second."""

    def __init__(self, pid: int) -> None:
        self._pid, self._peak, self._stop = pid, 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """Largest sum of proportional set sizes in bytes."""
        self._stop.set()
        self._thread.join()
        return self._peak

    def _watch(self) -> None:
        while not self._stop.wait(0.25):
            self._peak = max(self._peak, sum(map(_pss_bytes, _family(self._pid))))


def _family(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        for path in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in path.read_text().split()]
            except OSError:
                continue
    return found


def _pss_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
