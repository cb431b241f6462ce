"""What a launcher leaves to be told: torch's variables under srun, and how many threads a process may use."""

import os
import re
from collections.abc import Mapping, MutableMapping

import torch

from iconoclip.errors import IconoclipError
from iconoclip.workers import num_cores

_FIRST_PORT, _NUM_PORTS = 10_000, 50_000


def read_slurm(env: MutableMapping[str, str]) -> None:
    """Under srun with one task per device, set what torchrun would have set; what is there already stays.

    Raises:
        IconoclipError: several nodes, and nothing says where they meet.
    """
    num_tasks = int(env.get("SLURM_STEP_NUM_TASKS") or env.get("SLURM_NTASKS") or 1)
    if "RANK" in env or "SLURM_STEP_ID" not in env or num_tasks == 1:
        return
    per_node = tasks_per_node(env.get("SLURM_STEP_TASKS_PER_NODE") or env.get("SLURM_TASKS_PER_NODE") or "1")
    env["RANK"], env["WORLD_SIZE"], env["LOCAL_RANK"] = env["SLURM_PROCID"], str(num_tasks), env["SLURM_LOCALID"]
    env.setdefault("LOCAL_WORLD_SIZE", str(per_node[int(env.get("SLURM_NODEID", "0")) % len(per_node)]))
    if not env.get("MASTER_ADDR"):
        if len(per_node) > 1:
            raise IconoclipError("several nodes, but MASTER_ADDR is not set; see slurm/train.sbatch for how to")
        env["MASTER_ADDR"] = "127.0.0.1"
    env.setdefault("MASTER_PORT", str(_FIRST_PORT + int(env.get("SLURM_JOB_ID", "0")) % _NUM_PORTS))


def is_first_process(env: Mapping[str, str] = os.environ) -> bool:
    """Whether this is rank 0, before the processes have met."""
    return int(env.get("RANK") or env.get("SLURM_PROCID") or 0) == 0


def tasks_per_node(text: str) -> list[int]:
    """Read Slurm's short form. Example: ``4(x2),1`` is 4, 4, 1."""
    found = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part)
        if match is None:
            raise IconoclipError(f"SLURM_STEP_TASKS_PER_NODE: got {text!r}, expected something like 4(x2),1")
        found += [int(match[1])] * int(match[2] or 1)
    return found


def share_threads(device: torch.device) -> None:
    """Share the cores among the processes of this machine, unless OMP_NUM_THREADS says how many."""
    if device.type != "cpu" or os.environ.get("OMP_NUM_THREADS"):
        return
    cores = num_cores()
    threads = max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", os.environ.get("WORLD_SIZE", "1"))))
    torch.set_num_threads(threads)
    if "WORLD_SIZE" in os.environ:
        os.environ["OMP_NUM_THREADS"] = str(threads)  # or accelerate counts again, with a warning
