"""How a command begins and ends in little time, though torch and open_clip make some hundred thousand objects."""

import atexit
import gc
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Some libraries take what the collector is not shown at the end for a leak, and say so.
atexit.register(gc.unfreeze)


@contextmanager
def large_imports() -> Iterator[None]:
    """Import in here without looking for garbage, now and later, among objects that stay.

    torch and open_clip take half as long to import, and what comes after is not held up by them either.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def import_libraries() -> None:
    """Import what building a model takes, once: some seconds that can be spent beside other work, in a thread."""
    if "open_clip" in sys.modules:
        return  # what a notebook holds by now is not to be kept for good
    with large_imports():
        import open_clip  # noqa: F401 (known from here on)


class End:
    """The end of a command: when all is done and said, the system takes its memory back at once.

    To be made before anything else that has to be done at the end, for what is registered first is called last. The
    libraries would take a second to be taken apart object by object.
    """

    def __init__(self) -> None:
        self._code: int | None = None
        atexit.register(self._leave)

    def with_code(self, code: int) -> None:
        """Say that the command has come to its end with this exit code; an end nobody named is Python's own."""
        self._code = code

    def _leave(self) -> None:
        if self._code is None:
            return
        try:
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:
            return  # Python says that nobody listens
        os._exit(self._code)
