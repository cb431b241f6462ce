"""The processes of a run: who am I, on which device, and how all of them come to one decision.

accelerate makes the process group, chooses the device, wraps the model and holds the trackers. One task per device
under srun needs no launcher; torchrun and `accelerate launch` work as well.
"""

import contextlib
import logging
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs
from accelerate.state import AcceleratorState, GradientState

from iconoclip.errors import ConfigError, IconoclipError
from iconoclip.models import best_device

from .config import TrainConfig

log = logging.getLogger(__name__)

T = TypeVar("T")

_TIMEOUT = timedelta(minutes=10)
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


@dataclass
class Processes:
    """This process among all of them; every method that talks must be called by all."""

    accelerator: Accelerator
    _stop: threading.Event = field(default_factory=threading.Event)

    @property
    def rank(self) -> int:
        """Number of this process among all."""
        return self.accelerator.process_index

    @property
    def world(self) -> int:
        """Number of processes."""
        return self.accelerator.num_processes

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0, which writes."""
        return self.rank == 0

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return self.accelerator.device

    @property
    def stop_requested(self) -> bool:
        """Whether this process was told to stop; the others may not know yet."""
        return self._stop.is_set()

    def sum(self, *values: float) -> list[float]:
        """Sum each value over all processes."""
        if self.world == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return total.tolist()

    def on_main(self, do: Callable[[], T]) -> T:
        """Let rank 0 do something and give everybody its result, or its error if it is one of ours."""
        result: list = [None, None]
        if self.is_main:
            try:
                result[0] = do()
            except IconoclipError as error:
                if self.world == 1:
                    raise
                result[1] = error
        if self.world > 1:
            dist.broadcast_object_list(result, src=0)
        if result[1] is not None:
            raise result[1]
        return result[0]

    @contextmanager
    def only_main(self, context: Callable[[], contextlib.AbstractContextManager[None]]) -> Iterator[None]:
        """Enter a context (such as a lock) in rank 0 only; the others enter when it is held, or share its error."""
        stack = contextlib.ExitStack()
        with stack:
            self.on_main(lambda: stack.enter_context(context()))
            yield


@contextmanager
def start(config: TrainConfig) -> Iterator[Processes]:
    """Join the other processes and listen for SIGTERM and SIGUSR1 until the end.

    Raises:
        ConfigError: fewer processes than expected, or a batch that cannot be shared among them.
    """
    _read_slurm()
    device = best_device() if config.devices == "auto" else torch.device(config.devices)
    if device.type != "cpu" and not torch.accelerator.is_available():
        raise ConfigError(f"devices: got {config.devices}, this machine has none; write cpu or auto")
    _set_threads(device)
    accelerator = Accelerator(
        cpu=device.type == "cpu",
        mixed_precision="bf16" if config.precision == "bf16" else "no",
        log_with=None if config.log.wandb == "off" else ["wandb"],
        project_dir=str(config.out),
        kwargs_handlers=[
            InitProcessGroupKwargs(timeout=_TIMEOUT),
            DistributedDataParallelKwargs(gradient_as_bucket_view=True),
        ],
    )
    processes = Processes(accelerator)
    before = _listen(processes)
    try:
        _check_world(config, processes)
        yield processes
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        # accelerate's state is global: the next run in this Python may want another device or precision.
        if dist.is_available() and dist.is_initialized():
            dist.destroy_process_group()
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()


def _listen(processes: Processes) -> dict[int, Any]:
    """Only set a flag in the handler: the loop saves between two steps."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, lambda *_: processes._stop.set()) for number in _STOP_SIGNALS}


def _check_world(config: TrainConfig, processes: Processes) -> None:
    if config.expect_processes is not None and processes.world < config.expect_processes:
        raise ConfigError(
            f"expect_processes: got {processes.world} of {config.expect_processes}; "
            "start one task per device (srun), torchrun, or lower the number"
        )
    if config.batch_size % processes.world:
        raise ConfigError(f"batch_size {config.batch_size} cannot be shared evenly by {processes.world} processes")
    local = config.batch_size // processes.world
    if config.micro_batch is not None and local % min(config.micro_batch, local):
        raise ConfigError(
            f"micro_batch {config.micro_batch} does not divide the {local} pairs of each of {processes.world} processes"
        )


def _read_slurm() -> None:
    """One task per device under srun: give torch what its own launcher would have set."""
    env = os.environ
    num_tasks = int(env.get("SLURM_STEP_NUM_TASKS") or env.get("SLURM_NTASKS") or 1)
    if "RANK" in env or "SLURM_STEP_ID" not in env or num_tasks == 1:
        return
    env["RANK"], env["WORLD_SIZE"] = env["SLURM_PROCID"], str(num_tasks)
    env["LOCAL_RANK"] = env["SLURM_LOCALID"]
    tasks_per_node = (env.get("SLURM_STEP_TASKS_PER_NODE") or env.get("SLURM_TASKS_PER_NODE") or "1").split("(")[0]
    env.setdefault("LOCAL_WORLD_SIZE", tasks_per_node.split(",")[0])
    if "MASTER_ADDR" not in env:
        if env.get("SLURM_STEP_NUM_NODES", env.get("SLURM_NNODES", "1")) != "1":
            raise IconoclipError("several nodes, but MASTER_ADDR is not set; see slurm/train.sbatch for how to")
        env["MASTER_ADDR"] = "127.0.0.1"
    env.setdefault("MASTER_PORT", str(10000 + int(env.get("SLURM_JOB_ID", "0")) % 50000))


def _set_threads(device: torch.device) -> None:
    """Share the cores among the processes of this machine, unless OMP_NUM_THREADS says how many."""
    if device.type != "cpu" or os.environ.get("OMP_NUM_THREADS"):
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    threads = max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", os.environ.get("WORLD_SIZE", "1"))))
    torch.set_num_threads(threads)
    if "WORLD_SIZE" in os.environ:
        os.environ["OMP_NUM_THREADS"] = str(threads)  # or accelerate counts again, with a warning


def quiet_wandb() -> None:
    """Stop wandb from writing to the terminal; its own file has it all."""
    os.environ.setdefault("WANDB_SILENT", "true")
    warnings.filterwarnings("ignore", module="wandb")
