"""How a command begins and ends."""

import gc
import importlib
import subprocess
import sys

import pytest

from iconoclip.process import large_imports

_ENDING = """
import atexit, sys
from iconoclip.process import End

class Cycle:
    def __init__(self): self.own = self
    def __del__(self): print("taken apart")

end = End()
atexit.register(print, "registered later")
kept = Cycle()
print("said", end="")
"""


def _end(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", _ENDING + code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("code", [0, 2])
def test_the_end_is_at_once_after_all_else_is_done(code: int) -> None:
    found = _end(f"end.with_code({code}); sys.exit({code})")
    assert (found.returncode, found.stdout, found.stderr) == (code, "saidregistered later\n", "")


def test_an_end_that_nobody_named_is_pythons_own() -> None:
    found = _end("raise ValueError('a bug')")
    assert found.returncode == 1
    assert found.stderr.endswith("ValueError: a bug\n")
    assert found.stdout == "saidregistered later\ntaken apart\n"


def test_large_imports_keep_the_collector_away_and_bring_it_back() -> None:
    frozen = gc.get_freeze_count()
    try:
        with large_imports():
            assert not gc.isenabled()
        assert gc.isenabled()
        assert gc.get_freeze_count() > frozen
    finally:
        gc.unfreeze()


def test_the_collector_is_back_where_a_library_is_missing() -> None:
    try:
        with pytest.raises(ModuleNotFoundError), large_imports():
            importlib.import_module("no_such_library")
        assert gc.isenabled()
    finally:
        gc.unfreeze()


def test_libraries_say_nothing_at_the_end_of_a_program() -> None:
    code = (
        "import gc; from iconoclip.process import import_libraries; import_libraries(); kept = gc.get_freeze_count(); "
        "import_libraries(); print('done', kept > 100_000, gc.get_freeze_count() == kept)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (0, "done True True\n", "")
