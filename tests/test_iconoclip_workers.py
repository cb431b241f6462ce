import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from iconoclip.errors import IconoclipError
from iconoclip.workers import Workers

_given: list[str] = []


def _take(word: str) -> None:
    _given[:] = [word]


def _answer(number: int) -> tuple[str, int, int]:
    return _given[0] if _given else "", number * number, os.getpid()


def _vanish(number: int) -> None:
    os._exit(9)


@pytest.mark.parametrize("count", [1, 2])
def test_every_task_is_answered_by_a_worker_that_was_told_what_all_share(count: int) -> None:
    with Workers(count, prepare=_take, given=("shared",)) as workers:
        found = dict(workers.run(_answer, range(7)))
    assert {position: answer[:2] for position, answer in found.items()} == {n: ("shared", n * n) for n in range(7)}
    assert (os.getpid() in {answer[2] for answer in found.values()}) == (count == 1)
    _given.clear()


def test_a_worker_that_is_killed_is_an_error_and_no_wait() -> None:
    with Workers(2) as workers, pytest.raises(IconoclipError, match="a worker was killed"):
        list(workers.run(_vanish, range(4)))


def test_a_script_without_a_guard_does_not_begin_anew_in_its_workers(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import math\n"
        "from iconoclip.workers import Workers\n"
        "print('begins')\n"
        "with Workers(2) as workers:\n"
        "    print(sorted(workers.run(math.factorial, [3, 4, 5])))\n"
    )
    env = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=True, env=env
    )
    assert done.stdout.splitlines() == ["begins", "[(0, 6), (1, 24), (2, 120)]"]


def test_workers_leave_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from iconoclip.workers import Workers\n"
        "with Workers(2) as workers:\n"
        "    for _, pid in workers.run(__import__('test_iconoclip_workers')._pid, range(2)):\n"
        "        print(pid, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    here = Path(__file__).resolve().parent
    env = os.environ | {"PYTHONPATH": f"{here.parent}{os.pathsep}{here}"}
    done = subprocess.run(
        [sys.executable, str(script), str(here)], capture_output=True, text=True, timeout=60, check=False, env=env
    )
    pids = [int(line) for line in done.stdout.split()]
    assert (done.returncode, len(pids)) == (-9, 2)
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline, "they are still there"
        time.sleep(0.05)


def _pid(number: int) -> int:
    time.sleep(0.2)  # the other one gets a task too
    return os.getpid()
