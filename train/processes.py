"""The processes of a run: who am I, on which device, and how all of them come to one decision.

accelerate makes the process group, chooses the device, sets the precision and holds the trackers. One task per device
under srun needs no launcher; torchrun and `accelerate launch` work as well. What the processes tell each other besides
gradients and embeddings goes over gloo, on CPUs: it waits for no device, and a lost connection is noticed at once.
"""

import contextlib
import faulthandler
import logging
import os
import secrets
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from accelerate import Accelerator, InitProcessGroupKwargs
from accelerate.state import AcceleratorState, GradientState

from iconoclip.errors import ConfigError, IconoclipError
from iconoclip.models import best_device

from . import checkpoint
from .config import TrainConfig
from .heartbeat import Heartbeat
from .launch import read_slurm, share_threads
from .stop import StopRequests

log = logging.getLogger(__name__)

T = TypeVar("T")

_LAST_RESORT_S = 30  # for a broken process group to be taken down


@dataclass
class Processes:
    """This process among all of them; every method that talks must be called by all.

    ``stopping``: whether all have agreed to stop, and ``stopped_by_machine`` whether the run should go on by itself.
    """

    accelerator: Accelerator
    requests: StopRequests
    group: Any = None  # gloo's, besides the devices'; None where there is one process
    stopping: bool = False
    stopped_by_machine: bool = False

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
        device = self.accelerator.device
        # accelerate says cpu:1, which is not where tensors say they are: `module.to` would copy every weight to the
        # same place, and the copies would no longer know of DistributedDataParallel.
        return torch.device("cpu") if device.type == "cpu" else device

    def sum(self, *values: float) -> list[float]:
        """Sum each value over all processes."""
        if self.world == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(total, group=self.group)
        return total.tolist()

    def gather(self, value: T) -> list[T]:
        """Everybody's value, in the order of the ranks."""
        if self.world == 1:
            return [value]
        values: list = [None] * self.world
        dist.all_gather_object(values, value, group=self.group)
        return values

    def meet(self, *counts: float, error: IconoclipError | None = None) -> list[float]:
        """Sum ``counts``, agree on whether to stop, and raise in all what one of them could not do.

        Raises:
            IconoclipError: ``error``, or that of the first process that had one.
        """
        failed, by_machine, by_person, *totals = self.sum(
            error is not None, self.requests.by_machine, self.requests.by_person, *counts
        )
        if failed:
            errors = self.gather(error)
            if error is not None:
                raise error
            rank = next(rank for rank, found in enumerate(errors) if found is not None)
            raise IconoclipError(f"process {rank}: {errors[rank]}")
        if (by_machine or by_person) and not self.stopping:
            self.stopping, self.stopped_by_machine = True, not by_person
        return totals

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
            dist.broadcast_object_list(result, src=0, group=self.group)
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
    """Join the other processes and listen for requests to stop until the end.

    Raises:
        ConfigError: fewer processes than expected, or a batch that cannot be shared among them.
        IconoclipError: they did not all come, or one of them failed; says which and why.
    """
    try:
        accelerator = _join(config)
        is_main = accelerator.process_index == 0
        with StopRequests(config.out, reads_files=is_main) as requests, _watched(config, accelerator) as group:
            processes = Processes(accelerator, requests, group)
            _check_world(config, processes)
            yield processes
            if processes.stopping:
                requests.settle(by_machine=processes.stopped_by_machine)
    finally:
        if dist.is_available() and dist.is_initialized():  # torchrun makes a group of one process, too
            dist.destroy_process_group()
        # accelerate's state is global: the next run in this Python may want another device or precision.
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()


def _join(config: TrainConfig) -> Accelerator:
    read_slurm(os.environ)
    device = best_device() if config.devices == "auto" else torch.device(config.devices)
    if device.type != "cpu" and not torch.accelerator.is_available():
        raise ConfigError(f"devices: got {config.devices}, this machine has none; write cpu or auto")
    share_threads(device)
    os.environ.setdefault("TORCH_NCCL_HEARTBEAT_TIMEOUT_SEC", str(config.timeout_s))
    try:
        return Accelerator(
            cpu=device.type == "cpu",
            mixed_precision="bf16" if config.precision == "bf16" else "no",
            log_with=None if config.log.wandb == "off" else ["wandb"],
            project_dir=str(config.out),
            kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(seconds=config.timeout_s))],
        )
    except (dist.DistError, ValueError) as error:
        raise IconoclipError(
            f"the {os.environ.get('WORLD_SIZE', '?')} processes could not be brought together at "
            f"{os.environ.get('MASTER_ADDR', '?')}:{os.environ.get('MASTER_PORT', '?')}: {_first_line(error)}; "
            "did all of them start, and can they reach each other there?"
        ) from None


@contextmanager
def _watched(config: TrainConfig, accelerator: Accelerator) -> Iterator[Any]:
    """Yield gloo's group, turn the death of another process into an error that says so, take all down at the end."""
    if accelerator.num_processes == 1:
        yield None
        return
    group: Any = dist.new_group(backend="gloo", timeout=timedelta(seconds=config.timeout_s))
    heartbeat = _start_heartbeat(config, accelerator, group)
    try:
        yield group
        dist.barrier(group=group)  # none leaves before all are done
    except BaseException as error:
        _blame(error, heartbeat, config.out)
        raise
    finally:
        heartbeat.close()
        # A broken group may wait for the dead for ever; then nothing but this ends the process.
        faulthandler.dump_traceback_later(_LAST_RESORT_S, exit=True)
        dist.destroy_process_group()
        faulthandler.cancel_dump_traceback_later()


def _start_heartbeat(config: TrainConfig, accelerator: Accelerator, group: Any) -> Heartbeat:
    name = [secrets.token_hex(4)]
    dist.broadcast_object_list(name, src=0, group=group)
    return Heartbeat(
        rank=accelerator.process_index, world=accelerator.num_processes, limit_s=config.heartbeat_s, name=name[0]
    )


def _blame(error: BaseException, heartbeat: Heartbeat, out: Path) -> None:
    """Tell the others of an error of this process; if it is only the echo of another's, raise one that names that."""
    if not _is_broken_exchange(error):
        kind = "" if isinstance(error, IconoclipError) else f"{type(error).__name__}: "
        heartbeat.fail(f"{kind}{_first_line(error)}")
        return
    verdict = heartbeat.verdict() or f"the exchange between the processes broke ({_first_line(error)})"
    raise IconoclipError(
        f"{verdict}; the last good checkpoint is {checkpoint.latest(out)}, and the same command goes on from there"
    ) from None


def _is_broken_exchange(error: BaseException) -> bool:
    """gloo raises a bare RuntimeError where a connection breaks or nobody answers."""
    if isinstance(error, dist.DistError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and any(word in text for word in ("gloo", "NCCL", "Connection closed"))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


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


def quiet_wandb() -> None:
    """Stop wandb from writing to the terminal; its own file has it all."""
    os.environ.setdefault("WANDB_SILENT", "true")
    warnings.filterwarnings("ignore", module="wandb")
