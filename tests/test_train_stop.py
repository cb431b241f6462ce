"""Requests to stop: by signal, by the batch script, by a file; whenever they come, and whoever hears them."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
from ranks import Crew, fork

from train import checkpoint, loop, preflight
from train.config import TrainConfig
from train.loop import run_training
from train.stop import JOB_FILE_VARIABLE, StopRequests, hold_signals


@pytest.fixture
def job_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / ".stop-17"
    monkeypatch.setenv(JOB_FILE_VARIABLE, str(path))
    return path


def _step(run: Path) -> int:
    return json.loads((run / "latest/state/trainer.json").read_text())["step"]


def _at_step(monkeypatch: pytest.MonkeyPatch, wanted: int, do: Callable[[], object]) -> None:
    """Do something while step ``wanted`` is computed."""
    real = loop._step

    def step(run: Any, *arguments: Any) -> Any:
        if run.state.step == wanted - 1:
            do()
        return real(run, *arguments)

    monkeypatch.setattr(loop, "_step", step)


def test_ctrl_c_saves_after_the_step_and_twice_ends_at_once(
    write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, job_file: Path
) -> None:
    config = TrainConfig.load(write_config(checkpoint={"every": 100}, workers=1))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _at_step(monkeypatch, 3, lambda: os.kill(os.getpid(), signal.SIGINT))
        run = run_training(config)
        assert _step(run) == 3
        assert not job_file.exists()  # a person's wish is no reason to requeue
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        _at_step(monkeypatch, 5, lambda: (os.kill(os.getpid(), signal.SIGINT), os.kill(os.getpid(), signal.SIGINT)))
        with pytest.raises(KeyboardInterrupt):
            run_training(config)
        assert _step(run) == 3
    finally:
        signal.signal(signal.SIGINT, before)
    monkeypatch.undo()
    assert _step(run_training(config)) == 12


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_after_the_step_and_the_batch_script_is_told(
    number: signal.Signals, write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, job_file: Path
) -> None:
    config = TrainConfig.load(write_config(checkpoint={"every": 100}))
    _at_step(monkeypatch, 3, lambda: os.kill(os.getpid(), number))
    run = run_training(config)
    assert _step(run) == 3
    assert json.loads((run / "run.json").read_text())["status"] == "stopped"
    assert job_file.read_text() == "stopped\n"
    job_file.unlink()
    monkeypatch.undo()
    assert _step(run_training(config)) == 12


@pytest.mark.parametrize(("name", "stopped_at"), [("preflight.check_run", 0), ("checkpoint.save", 4)])
def test_a_signal_before_the_first_step_or_while_a_checkpoint_is_written_waits_for_the_next_step(
    name: str, stopped_at: int, write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainConfig.load(write_config(preflight=name == "preflight.check_run"))  # which saves, too
    module = {"preflight": preflight, "checkpoint": checkpoint}[name.partition(".")[0]]
    real = getattr(module, name.partition(".")[2])

    def signalled(*arguments: Any, **options: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module, real.__name__, signalled)
        run = run_training(config)
    record = json.loads((run / "run.json").read_text())
    assert (record["status"], record["step"]) == ("stopped", stopped_at)
    assert (run / "latest").exists() == bool(stopped_at)
    assert _step(run_training(config)) == 12


def test_a_signal_is_gone_with_the_run_it_was_meant_for(
    write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.pthread_sigmask(signal.SIG_BLOCK, ())
    _at_step(monkeypatch, 12, lambda: os.kill(os.getpid(), signal.SIGTERM))  # nothing is left to stop
    run = run_training(TrainConfig.load(write_config()))
    assert _step(run) == 12
    assert not signal.sigpending()
    assert (signal.getsignal(signal.SIGTERM), signal.pthread_sigmask(signal.SIG_BLOCK, ())) == before


def test_the_batch_script_asks_with_a_file_and_is_told(
    write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, job_file: Path
) -> None:
    _at_step(monkeypatch, 2, job_file.touch)
    assert _step(run_training(TrainConfig.load(write_config()))) == 2
    assert job_file.read_text() == "stopped\n"


def test_a_run_that_is_finished_does_not_ask_to_be_started_again(
    write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, job_file: Path
) -> None:
    _at_step(monkeypatch, 12, job_file.touch)
    config = TrainConfig.load(write_config())
    assert _step(run_training(config)) == 12
    assert job_file.read_text() == ""
    run_training(config)
    assert job_file.read_text() == ""


def test_a_person_stops_a_run_with_a_file_and_it_is_not_started_again(
    write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, job_file: Path
) -> None:
    config = TrainConfig.load(write_config())
    _at_step(monkeypatch, 5, (config.out / "STOP").touch)
    assert _step(run_training(config)) == 5
    assert not (config.out / "STOP").exists()
    assert not job_file.exists()
    monkeypatch.setattr(loop, "_step", loop._step)
    (config.out / "STOP").touch()  # found before the first step
    assert _step(run_training(config)) == 5
    assert not (config.out / "STOP").exists()


def test_a_stop_ends_all_folds(write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    _at_step(monkeypatch, 1, lambda: os.kill(os.getpid(), signal.SIGTERM))
    out = run_training(TrainConfig.load(write_config(fold="all", samples=16)))
    assert [path.name for path in out.glob("fold-*")] == ["fold-0"]


def test_held_signals_are_noticed_later(tmp_path: Path) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        hold_signals()
        # To this thread: one that another package started before, without the mask, would end the process.
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        with StopRequests(tmp_path, reads_files=True) as requests:
            assert requests.by_machine
            assert not requests.by_person
        assert not signal.sigpending()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def stops_when_one_is_told(path: Path) -> int:
    """In one of the processes: only the second one gets the signal."""
    with pytest.MonkeyPatch.context() as patch:
        if os.environ["RANK"] == "1":
            _at_step(patch, 4, lambda: os.kill(os.getpid(), signal.SIGUSR1))
        steps: list[int] = []
        real = loop._step
        patch.setattr(loop, "_step", lambda *arguments: steps.append(1) or real(*arguments))
        run_training(TrainConfig.load(path))
    return len(steps)


def test_all_processes_stop_after_the_same_step(write_config: Callable[..., Path], tmp_path: Path, crew: Crew) -> None:
    assert crew.run(2, stops_when_one_is_told, write_config()) == [4, 4]
    assert _step(tmp_path / "run") == 4


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """``start(config, *overrides)`` runs the command in a session of its own, as Slurm does."""
    started: list[subprocess.Popen[str]] = []

    def run(config: Path, *overrides: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "iconoclip.cli", "train", str(config), *overrides]
        started.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True))
        return started[-1]

    yield run
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def trains(path: Path) -> None:
    """In a process of its own: a whole run."""
    run_training(TrainConfig.load(path))


def _trains_on(metrics: Path, process: ForkServerProcess) -> None:
    """Wait until some steps are done."""
    deadline = time.monotonic() + 60
    while not (metrics.is_file() and metrics.read_text().count("\n") > 3):
        assert process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_signal_to_all_processes_of_a_task_does_not_hurt_its_workers(
    write_config: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_config(samples=80_000, workers=1, checkpoint={"every": 100_000})
    metrics = tmp_path / "run/metrics.jsonl"
    with fork(trains, path) as process:
        _trains_on(metrics, process)
        assert process.pid is not None
        os.killpg(process.pid, signal.SIGUSR1)
        process.join(60)
        assert process.exitcode == 0
    assert json.loads((tmp_path / "run/run.json").read_text())["status"] == "stopped"
    assert _step(tmp_path / "run") == json.loads(metrics.read_text().splitlines()[-1])["step"]


def test_workers_end_with_a_process_that_is_killed(write_config: Callable[..., Path], tmp_path: Path) -> None:
    with fork(trains, write_config(samples=80_000, workers=1)) as process:
        _trains_on(tmp_path / "run/metrics.jsonl", process)
        assert process.pid is not None
        process.kill()
        process.join()
        deadline = time.monotonic() + 30
        while _is_group_alive(process.pid):  # fork server and worker are of the same group
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_signal_while_python_imports_is_not_lost(
    write_config: Callable[..., Path], tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    process = start(write_config(samples=80_000))
    bit = 1 << (signal.SIGTERM - 1)

    def holds() -> bool:
        status = Path(f"/proc/{process.pid}/status").read_text()
        return bool(int(status.partition("SigBlk:\t")[2].split()[0], 16) & bit)

    _wait(holds, process)
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "stopped after step 0 of 10,000" in errors
    assert not (tmp_path / "run/latest").exists()


def _wait(is_true: Callable[[], bool], process: subprocess.Popen[str], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_true():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _is_group_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
