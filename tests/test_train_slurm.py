"""``slurm/train.sbatch`` on a real Slurm of two nodes: whatever stops a run, it goes on as if nothing had happened."""

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ranks import Crew
from servers.slurm import Slurm

from iconoclip import models
from train.config import TrainConfig
from train.loop import run_training

pytestmark = pytest.mark.services

SCRIPT = Path(__file__).resolve().parents[1] / "slurm" / "train.sbatch"
STEPS = 160


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory,
    slurm: Slurm,
    crew: Crew,
    tiny_model_dir: Path,
    write_shards: Callable[..., Path],
) -> "Site":
    """Folder from which jobs are submitted, with the settings of this site, and a run that was never stopped."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "slurm").mkdir()
    # Slurm's names of the two nodes are known to nobody else on this machine.
    (folder / "slurm" / "env.sh").write_text(
        f'export ICONOCLIP="{sys.executable} -m iconoclip.cli" MASTER_ADDR=127.0.0.1\n'
    )
    write_shards(folder / "shards", num_records=271)
    made = Site(slurm, folder, tiny_model_dir)
    crew.run(2, trains_there, folder, made.write_config("whole"))
    assert made.steps("whole")[-1][0] == STEPS
    # No epoch ends at a step before the last: wherever a run is stopped, it is in the middle of one.
    assert all(8 * step % made.record("whole")["num_samples"] for step in range(1, STEPS + 1))
    return made


def trains_there(folder: Path, path: Path) -> None:
    """In one of the processes: a whole run, from another working folder."""
    with contextlib.chdir(folder):
        run_training(TrainConfig.load(path))


class Site:
    def __init__(self, slurm: Slurm, folder: Path, model: Path) -> None:
        self.slurm, self.folder, self.model = slurm, folder, model

    def write_config(self, name: str) -> Path:
        path = self.folder / f"{name}.yaml"
        config = {
            "verb": "train",
            "out": name,
            "model": f"{self.model}:random",
            "data": "shards",
            "batch_size": 8,
            "samples": 8 * STEPS,
            "loss": "sigmoid",
            "optim": {"lr": 1e-4},
            "validation": {"path": "shards", "every": 60},
            "checkpoint": {"every": 40},
            "log": {"every": 1, "keys": True},
            "heartbeat_s": 10,
        }
        path.write_text(json.dumps(config))
        return path

    def submit(self, name: str, *, nodes: int = 2, options: tuple[str, ...] = ()) -> str:
        own = [f"--nodes={nodes}", "--ntasks-per-node=1", "--gres=none", "--cpus-per-task=1", *options]
        return self.slurm.submit(SCRIPT, self.write_config(name).name, folder=self.folder, options=own)

    def stream(self, name: str) -> bytes:
        """Which samples each global batch had."""
        return (self.folder / name / "keys.jsonl").read_bytes()

    def steps(self, name: str) -> list[tuple[int, float]]:
        """Step and loss of every line so far."""
        path = self.folder / name / "metrics.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.is_file() else []
        rows = [json.loads(line) for line in lines if line.endswith("\n")]
        return [(row["step"], row["loss"]) for row in rows if "loss" in row]

    def wait_for_step(self, name: str, step: int, timeout_s: float = 150) -> None:
        deadline = time.monotonic() + timeout_s
        while not any(found >= step for found, _ in self.steps(name)[-1:]):
            assert time.monotonic() < deadline, f"{name} did not come to step {step}"
            time.sleep(0.05)

    def sha256(self, name: str) -> str:
        return models.load(str(self.folder / name / "latest")).weights_sha256

    def log(self, job: str) -> str:
        return (self.folder / f"iconoclip-train-{job}.out").read_text()

    def record(self, name: str) -> dict[str, Any]:
        return json.loads((self.folder / name / "run.json").read_text())


def test_a_run_near_its_time_limit_and_preempted_is_requeued_and_ends_the_same(site: Site) -> None:
    slurm = site.slurm
    job = site.submit("requeued", options=("--exclusive",))
    site.wait_for_step("requeued", 30)
    slurm.run("scancel", "--signal=USR1", "--batch", job)  # what --signal=B:USR1@300 sends
    slurm.wait(job, "PENDING")
    slurm.wait(job, "RUNNING")
    stopped_at = site.steps("requeued")[-1][0]
    site.wait_for_step("requeued", stopped_at + 20)
    # Another job with the right to the nodes: Slurm sends the tasks TERM and gives them 30 s of grace.
    rival = slurm.submit(
        _sleeper(site.folder), folder=site.folder, options=["--partition=high", "--nodes=2", "--exclusive"]
    )
    slurm.wait(rival, "COMPLETED")
    slurm.wait(job, "COMPLETED")
    assert slurm.fact(job, "Restarts") == "2", site.log(job)
    assert site.log(job).count("requeue\n") == 2
    assert "the time limit is near" in site.log(job)
    sessions = site.record("requeued")["sessions"]
    assert [session["num_processes"] for session in sessions] == [2, 2, 2]
    assert 30 <= sessions[0]["last_step"] == sessions[1]["first_step"] < sessions[1]["last_step"] < STEPS
    assert site.stream("requeued") == site.stream("whole")
    assert site.steps("requeued") == site.steps("whole")
    assert site.sha256("requeued") == site.sha256("whole")
    assert not list(site.folder.glob(".stop-*"))


def test_a_killed_task_ends_the_job_and_the_next_one_goes_on(site: Site) -> None:
    slurm = site.slurm
    job = site.submit("killed")
    site.wait_for_step("killed", 50)
    killed_at = time.monotonic()
    os.kill(slurm.pids(job)["n2"][0], signal.SIGKILL)
    slurm.wait(job, "FAILED", timeout_s=60)
    assert time.monotonic() - killed_at < 60
    log = site.log(job)
    assert "error: process 1 on n2 has not been heard of" in log
    assert "checkpoints/step-00000" in log
    assert "srun left with" in log
    assert slurm.fact(job, "Restarts") == "0"
    again = site.submit("killed")
    slurm.wait(again, "COMPLETED", "FAILED")
    assert site.stream("killed") == site.stream("whole")
    assert site.steps("killed") == site.steps("whole")
    assert site.sha256("killed") == site.sha256("whole")


def test_cancelled_or_stopped_by_a_person_a_run_waits_and_goes_on_with_one_node(site: Site) -> None:
    slurm = site.slurm
    job = site.submit("cancelled")
    site.wait_for_step("cancelled", 30)
    slurm.run("scancel", job)
    slurm.wait(job, "CANCELLED")
    cancelled_at = site.steps("cancelled")[-1][0]
    assert (site.folder / "cancelled/latest").readlink().name == f"step-{cancelled_at:08d}"

    job = site.submit("cancelled")
    site.wait_for_step("cancelled", cancelled_at + 20)
    (site.folder / "cancelled/STOP").touch()
    slurm.wait(job, "COMPLETED", "FAILED")
    assert slurm.fact(job, "Restarts") == "0"
    assert "requeue\n" not in site.log(job)
    assert not (site.folder / "cancelled/STOP").exists()
    stopped_at = site.steps("cancelled")[-1][0]
    assert cancelled_at + 20 <= stopped_at < STEPS

    job = site.submit("cancelled", nodes=1)
    slurm.wait(job, "COMPLETED", "FAILED")
    sessions = site.record("cancelled")["sessions"]
    assert [session["num_processes"] for session in sessions] == [2, 2, 1]
    assert sessions[2]["first_step"] == stopped_at
    assert site.stream("cancelled") == site.stream("whole")
    ours, theirs = site.steps("cancelled"), site.steps("whole")
    assert ours[:stopped_at] == theirs[:stopped_at]
    for (step, loss), (other_step, other_loss) in zip(ours, theirs, strict=True):
        assert step == other_step
        assert loss == pytest.approx(other_loss, rel=1e-5), step


def _sleeper(folder: Path) -> Path:
    script = folder / "rival.sh"
    script.write_text("#!/bin/sh\n#SBATCH --output=/dev/null\nsleep 1\n")
    return script
