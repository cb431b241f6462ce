"""Requests to stop a run: SIGTERM, SIGUSR1, Ctrl-C or a file; noticed at once, honoured between two steps.

The signals are blocked as well as caught. Slurm signals every process of a job step, and what this process starts
(loader workers, compilers, trackers) inherits the block instead of dying; and a signal that comes while Python is still
importing waits until somebody looks. Ctrl-C is honoured like the file, and the second one ends the run where it is.
"""

import logging
import os
import signal
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from iconoclip.errors import IconoclipError
from iconoclip.files import write_text

_log = logging.getLogger(__name__)

SIGNALS = frozenset({signal.SIGTERM, signal.SIGUSR1})
FILE_NAME = "STOP"
# A file that the batch script makes to ask for a stop; the run writes `stopped` into it if it did before its end.
JOB_FILE_VARIABLE = "ICONOCLIP_STOP_FILE"


def hold_signals() -> None:
    """Keep the signals waiting from here on; call it before slow imports, in the main thread."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


class StopRequests:
    """What this process was asked. Use as a context manager, in the main thread if signals shall count.

    ``reads_files``: only one process looks at the files, since a file system may show them to another one later.
    """

    def __init__(self, out: Path, *, reads_files: bool) -> None:
        self._file, self._reads_files = out / FILE_NAME, reads_files
        job_file = os.environ.get(JOB_FILE_VARIABLE)
        self._job_file = Path(job_file) if job_file else None
        self._was_signalled, self._was_interrupted = threading.Event(), threading.Event()
        self._before: dict[int, Any] = {}
        self._mask: set[int] = set()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            # Caught too: a thread that was there before us may not have them blocked, and would take the process down.
            self._before = {n: signal.signal(n, lambda *_: self._was_signalled.set()) for n in SIGNALS}
            self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._before:
            return
        if signal.getsignal(signal.SIGINT) == self._interrupt:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in SIGNALS:  # what is pending is dropped by this: it meant this run, which has ended
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _interrupt(self, *_: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._was_interrupted.set()
        _log.warning("stopping when this step is done and saved; Ctrl-C once more stops at once, without saving")

    @property
    def by_machine(self) -> bool:
        """Whether a signal or the batch script wants a stop: the run should go on later by itself."""
        if self._was_signalled.is_set() or signal.sigpending() & SIGNALS:
            return True
        return self._reads_files and self._job_file is not None and self._job_file.exists()

    @property
    def by_person(self) -> bool:
        """Whether somebody pressed Ctrl-C or put a file ``STOP`` into the run folder: it goes on when started again."""
        return self._was_interrupted.is_set() or (self._reads_files and self._file.exists())

    def settle(self, *, by_machine: bool) -> None:
        """The run stopped, unfinished and saved: take the file ``STOP`` away, or tell the batch script.

        Raises:
            IconoclipError: neither can be written; the checkpoint is good.
        """
        if not self._reads_files:
            return
        try:
            self._file.unlink(missing_ok=True)
        except OSError as error:
            raise IconoclipError(f"{self._file}: cannot be removed ({error.strerror}); remove it by hand") from None
        if by_machine and self._job_file is not None:
            write_text(self._job_file, "stopped\n")
