"""``iconoclip verify-resume CONFIG``: does a run that was killed come to the same as one that was not, on this machine?

Real processes train: one is killed (SIGKILL) some steps after a checkpoint, started again and let run some steps
further; another one trains as many steps in one go. Then the samples of each batch, the losses, the weights and the
optimizer are compared. Under srun or torchrun every process starts children of its own.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from iconoclip.errors import IconoclipError
from iconoclip.files import write_json, write_text

from . import compare
from .config import TrainConfig
from .journal import KEYS_NAME
from .launch import is_first_process

SAVE_EVERY = 3
LOST_STEPS = 2  # trained after the last checkpoint when the kill comes
MORE_STEPS = 4  # trained after the place where it came
_MIN_STEPS = 1000  # of the run that is to be killed: it must not end before
_POLL_S = 0.01
_GRACE_S = 10.0  # for a file that another process has written to be seen here
_PATIENCE_S = 3600.0  # a model of billions of weights loads slowly
_PLAN, _KILLED, _WHOLE = "plan.json", "killed", "whole"


def verify_resume(config: TrainConfig) -> tuple[str, bool]:
    """Return what to print ("" in all processes but one) and whether everything agrees.

    Raises:
        IconoclipError: the run does not work at all.
    """
    folder = _scratch(config)
    try:
        end = _kill_once(config, folder)
        for turn, name in ((1, _KILLED), (2, _WHOLE)):
            _train(config, folder, name, turn=turn, stop_after=end)
        if not is_first_process():
            return "", True
        plan = json.loads((folder / _PLAN).read_text(encoding="utf-8"))
        head = (
            f"verify-resume: {config.model.name}, {plan['num_processes']} process(es) with {config.workers} workers; "
            f"killed after step {plan['killed_at']}, went on after step {plan['saved']}, compared after step {end}"
        )
        lines, agree = compare.compare_runs(folder / _WHOLE, folder / _KILLED)
        if not agree and not config.deterministic:
            lines.append("  if only weights differ, on a GPU: try again with deterministic=true")
        return "\n".join([head, *lines]) + "\n", agree
    finally:
        if is_first_process():
            shutil.rmtree(folder, ignore_errors=True)


def _scratch(config: TrainConfig) -> Path:
    """Folder beside `out` that all processes know by the same name."""
    parent = config.out.parent
    parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{config.out.name}.verify-"
    env = os.environ
    meeting = env.get("SLURM_JOB_ID") if "SLURM_STEP_ID" in env else env.get("MASTER_PORT")
    if not meeting:
        return Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    folder = parent / f"{prefix}{meeting}"
    folder.mkdir(exist_ok=True)
    # What one that was killed left behind. Another process may be here already, but has written nothing of what is
    # removed: its child joins ours first.
    if is_first_process():
        for name in (_KILLED, _WHOLE):
            shutil.rmtree(folder / name, ignore_errors=True)
    (folder / _PLAN).unlink(missing_ok=True)
    (folder / f"log-{_rank()}.txt").unlink(missing_ok=True)
    return folder


def _kill_once(config: TrainConfig, folder: Path) -> int:
    """Start the run, kill it some steps after a checkpoint; return the step at which both runs are to be compared."""
    child = _start(config, folder, _KILLED, turn=0)
    plan = folder / _PLAN
    if not is_first_process():
        _wait_for(plan, child)
        child.kill()  # or it would end by itself, some time after it misses the one that was killed
        child.wait()
        return int(json.loads(plan.read_text(encoding="utf-8"))["last_step"])
    out = folder / _KILLED
    deadline = time.monotonic() + _PATIENCE_S
    while (saved := _saved_step(out)) is None or last_step(out) < saved + LOST_STEPS:
        if child.poll() is not None or time.monotonic() > deadline:
            child.kill()
            raise IconoclipError(f"verify-resume: the run did not come to its {SAVE_EVERY}rd step: {_said(folder)}")
        time.sleep(_POLL_S)
    child.send_signal(signal.SIGKILL)
    child.wait()
    saved, killed_at = _saved_step(out), last_step(out)
    count = int(os.environ.get("WORLD_SIZE") or os.environ.get("SLURM_NTASKS") or 1)
    facts = {"saved": saved, "killed_at": killed_at, "last_step": killed_at + MORE_STEPS, "num_processes": count}
    write_json(plan, facts)
    return killed_at + MORE_STEPS


def _train(config: TrainConfig, folder: Path, name: str, *, turn: int, stop_after: int) -> None:
    child = _start(config, folder, name, turn=turn, stop_after=stop_after)
    if child.wait() != 0:
        raise IconoclipError(f"verify-resume: the run failed where it should not: {_said(folder)}")


def _start(
    config: TrainConfig, folder: Path, name: str, *, turn: int, stop_after: int | None = None
) -> subprocess.Popen[bytes]:
    """Train in a process of its own, into ``folder/name``; ``turn`` counts the runs of this process."""
    path = folder / f"{name}-{_rank()}.yaml"
    write_text(path, json.dumps(_short(config, folder / name).to_json()))  # JSON is YAML
    command = [sys.executable, "-m", "iconoclip.cli", "train", str(path)]
    command += [f"stop_after={stop_after}"] if stop_after else []
    with (folder / f"log-{_rank()}.txt").open("ab") as log:
        return subprocess.Popen(command, env=_environment(turn), stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def _environment(turn: int) -> dict[str, str]:
    """The children meet by themselves, each time at another port: torchrun's own store remembers the time before."""
    env = {name: value for name, value in os.environ.items() if name != "TORCHELASTIC_USE_AGENT_STORE"}
    if "MASTER_PORT" in env:
        env["MASTER_PORT"] = str(int(env["MASTER_PORT"]) + 1 + turn)
    return env


def _short(config: TrainConfig, out: Path) -> TrainConfig:
    """The same run, writing down what it reads, saving often, and without what has a state of its own."""
    changes: dict[str, Any] = {
        "out": out,
        "epochs": None,
        "samples": max(config.samples or 0, _MIN_STEPS * config.batch_size),
        "stop_after": None,
        "retention": None,
        "wise_ft": None,
        "log": config.log.model_copy(update={"every": 1, "wandb": "off", "keys": True}),
        "checkpoint": config.checkpoint.model_copy(update={"every": SAVE_EVERY}),
    }
    if config.fold == "all":
        changes["fold"] = 0
    return config.model_copy(update=changes)


def _saved_step(out: Path) -> int | None:
    try:
        return int((out / "latest").readlink().name.removeprefix("step-"))
    except (OSError, ValueError):
        return None


def last_step(out: Path) -> int:
    """Last step whose samples were written down; 0 before the first."""
    return max((row["step"] for row in compare.read_rows(out / KEYS_NAME)), default=0)


def _wait_for(path: Path, child: subprocess.Popen[bytes]) -> None:
    """Wait for what the first process writes when it has killed its child; ours ends some time after that."""
    ended: float | None = None
    while not path.is_file():
        if child.poll() is not None and ended is None:
            ended = time.monotonic()
        if ended is not None and time.monotonic() > ended + _GRACE_S:
            said = _said(path.parent, "see what the first process says")
            raise IconoclipError(f"verify-resume: the run did not come to its {SAVE_EVERY}rd step: {said}")
        time.sleep(_POLL_S)


def _said(folder: Path, otherwise: str = "it said nothing") -> str:
    """Last line that the children of this process wrote."""
    lines = [
        line for path in sorted(folder.glob("log-*.txt")) for line in path.read_text(errors="replace").splitlines()
    ]
    return lines[-1].removeprefix("error: ") if lines else otherwise


def _rank() -> str:
    return os.environ.get("RANK") or os.environ.get("SLURM_PROCID") or "0"
