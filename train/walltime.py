"""When the job that a run lives in will end."""

import os
import shutil
import subprocess
import time
from collections.abc import Mapping

from .config import LogConfig

_QUEUE_S = 10  # what Slurm's controller may take to answer


def wall_limit(config: LogConfig, env: Mapping[str, str] = os.environ) -> float | None:
    """Time (Unix, seconds) at which the job is ended; None where there is no limit or nothing says it.

    Slurm tells it in SLURM_JOB_END_TIME; versions before 23 are asked with squeue. Elsewhere `log.wall_hours` counts
    from now.
    """
    end = env.get("SLURM_JOB_END_TIME", "")
    if end.isdigit():
        return float(end)
    left = _ask_queue(env.get("SLURM_JOB_ID", ""))
    if left is None and config.wall_hours is not None:
        left = config.wall_hours * 3600
    return None if left is None else time.time() + left


def read_time_left(text: str) -> float | None:
    """Seconds from squeue's ``%L``. Examples: ``1-02:00:30`` -> 93,630; ``05:00`` -> 300; ``UNLIMITED`` -> None."""
    days, _, clock = text.strip().rpartition("-")
    parts = clock.split(":")
    if not all(part.isdigit() for part in parts) or not (days.isdigit() or not days):
        return None
    seconds = 0
    for part in parts:
        seconds = seconds * 60 + int(part)
    return float(int(days or 0) * 86_400 + seconds)


def _ask_queue(job: str) -> float | None:
    if not job or not shutil.which("squeue"):
        return None
    command = ["squeue", "--noheader", f"--job={job}", "--format=%L"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_QUEUE_S, check=True)
    except (subprocess.SubprocessError, OSError):
        return None
    return read_time_left(done.stdout)
