"""Which share of the embedding is this process's: its rank in a job, and its place in an array of jobs.

Parts of the work are numbered, the same way in every process, and dealt round: process i of n takes parts i, i + n and
so on. Processes need not meet; the file system tells what is done.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from iconoclip.errors import EvaluationError


@dataclass(frozen=True)
class Share:
    """Process ``index`` of ``count``; ``local`` is its place on its machine, which chooses a device."""

    index: int = 0
    count: int = 1
    local: int = 0

    def takes(self, part: int) -> bool:
        """Whether a part is this process's."""
        return part % self.count == self.index


def read_share(env: Mapping[str, str] = os.environ) -> Share:
    """What torchrun (``RANK``, ``WORLD_SIZE``), srun and Slurm's job arrays say; alone where none does.

    Raises:
        EvaluationError: the array's numbers do not follow each other.
    """
    rank, world, local = _read_rank(env)
    place, places = _read_array(env)
    return Share(place * world + rank, places * world, local)


def _read_rank(env: Mapping[str, str]) -> tuple[int, int, int]:
    if "RANK" in env and "WORLD_SIZE" in env:
        return int(env["RANK"]), int(env["WORLD_SIZE"]), int(env.get("LOCAL_RANK", "0"))
    num_tasks = int(env.get("SLURM_STEP_NUM_TASKS") or 1)
    if "SLURM_STEP_ID" not in env or num_tasks == 1:  # a batch script's own variables are those of the whole job
        return 0, 1, 0
    return int(env["SLURM_PROCID"]), num_tasks, int(env["SLURM_LOCALID"])


def _read_array(env: Mapping[str, str]) -> tuple[int, int]:
    if "SLURM_ARRAY_TASK_ID" not in env:
        return 0, 1
    names = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_COUNT")
    number, first, count = (int(env[name]) for name in names)
    place = (number - first) // int(env.get("SLURM_ARRAY_TASK_STEP") or 1)
    if place >= count:
        raise EvaluationError(f"job array of {count} with a number {number}: its numbers must be 0-{count - 1}")
    return place, count
