"""What a session of a run sets up before its first step, and writes down at both ends.

``open_run(config, processes)`` gives a :class:`Run`, from which everything else reads.
"""

import math
import shutil
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass, field

import torch
from torch import nn

from iconoclip import models
from iconoclip.errors import IconoclipError

from . import base_model, checkpoint, data, flops, lora, optim, record, retention, sharding, speedups, stage, towers
from .checkpoint import TrainerState
from .config import TrainConfig
from .energy import EnergyMeter
from .pictures import PictureReader
from .pool import Pool, open_pool
from .processes import Processes
from .screen import duration
from .vocabulary import check_vocabulary


@dataclass
class Run:
    """What the loop holds while it goes round; ``state`` is replaced, never changed."""

    config: TrainConfig
    processes: Processes
    pool: Pool
    model: models.Model
    trained: sharding.Trained
    state: TrainerState
    total_steps: int
    utilisation: flops.Utilisation
    guard: retention.Guard | None = None
    energy: EnergyMeter | None = None
    run_json: record.RunRecord | None = None
    wall_limit: float | None = None
    begun: float = field(default_factory=time.monotonic)
    spent: dict[str, float] = field(default_factory=lambda: {"starting": 0.0, "validating": 0.0, "saving": 0.0})

    @property
    def wrapped(self) -> nn.Module:
        """Towers as they are called in a step: bare, under DDP, or sharded."""
        return self.trained.wrapped

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """Of all weights that are trained."""
        return self.trained.optimizer

    @property
    def towers(self) -> towers.Towers:
        """The same towers, unwrapped."""
        return self.trained.towers

    @property
    def epoch(self) -> float:
        """Epochs seen so far, all sources together."""
        return self.state.samples_seen / self.pool.num_samples

    @property
    def is_over(self) -> bool:
        """Whether it took its last step, or was ended for good before, and all that is due was done."""
        return (self.state.step >= self.total_steps or bool(self.state.halted)) and not self.state.unseen


def open_run(config: TrainConfig, processes: Processes) -> Run:
    """Open the data, build or restore the model, wrap it; the same on every process."""
    pool = open_pool(config)
    total = config.samples if config.samples is not None else math.ceil((config.epochs or 0) * pool.num_samples)
    total_steps = math.ceil(total / config.batch_size)
    with processes.accelerator.local_main_process_first():  # one download per machine
        model = stage.load_model(config)
    check_vocabulary(model)
    fresh = TrainerState(
        step=0,
        samples_seen=0,
        num_corrupt=0,
        seconds=0.0,
        max_log_scale=towers.largest_log_scale(model),
        best_score=None,
        best_step=None,
        config=config.to_json(),
        data_sha256=pool.sha256(),
        base_weights_sha256=model.weights_sha256,
        num_processes=processes.world,
    )
    if config.wise_ft is not None or config.retention is not None:
        processes.on_main(lambda: base_model.keep_base(config, model, fresh.base_weights_sha256))
    towers.give_bias(model, uses_bias=config.loss.uses_bias)
    towers.freeze_parts(model, config.freeze)
    if config.lora is not None:
        lora.adapt(model, config.lora, seed=config.seed)
    towers.refuse_batch_norm(model, num_parts=processes.world * num_micro_batches(config, processes.world))
    model.module.to(processes.device)
    optimizer = optim.make_optimizer(model.module, config.optim)
    processes.on_main(lambda: _check_disk(config, model))
    state = processes.on_main(lambda: record.resume_state(config, fresh))
    if state.step:
        folder = checkpoint.latest(config.out)
        assert folder is not None
        checkpoint.restore(folder, model.module, optimizer)
    speedups.apply_speedups(model, config)
    tower_pair = towers.Towers(model, config.freeze).to(processes.device)
    parts = num_micro_batches(config, processes.world)
    utilisation = flops.Utilisation(
        flops.count_work(model, tower_pair, config, num_micro_batches=parts),
        flops.peak_tflops(config, processes.device),
        processes.world,
    )
    trained = sharding.distribute(tower_pair, model, optimizer, processes, kind=config.distributed)
    return Run(config, processes, pool, model, trained, state, total_steps, utilisation)


def num_micro_batches(config: TrainConfig, world: int) -> int:
    """Into how many parts each process cuts its part of a global batch."""
    local = config.batch_size // world
    return local // min(config.micro_batch or local, local)


def _check_disk(config: TrainConfig, model: models.Model) -> None:
    beside = 2 + (config.retention is not None)  # the best one, the one being written, the last good one
    needed = (config.checkpoint.keep + beside) * checkpoint.num_bytes(model.module)
    free = shutil.disk_usage(config.out).free
    if free < needed:
        raise IconoclipError(
            f"{config.out}: {free / 1e9:.1f} GB free, the checkpoints need {needed / 1e9:.1f} GB; "
            "make room, keep fewer (checkpoint.keep) or choose another `out`"
        )


def read_stream(run: Run) -> Generator[data.Batch]:
    """This process's part of every global batch from where the run stands."""
    config, processes = run.config, run.processes
    reader = data.SampleReader(
        pool=run.pool,
        pictures=PictureReader.for_model(run.model.image_size, run.model.preprocess_cfg, config.augment),
        tokenizer=run.model.tokenizer,
        captions=config.captions,
        seed=config.seed,
        cache_bytes=config.cache_mb * 1024 * 1024 // max(config.workers, 1),
    )
    chunks = data.Chunks(
        run.state.step,
        run.total_steps,
        batch_size=config.batch_size,
        rank=processes.rank,
        world=processes.world,
    )
    return data.read_batches(reader, chunks, workers=config.workers, pin_memory=processes.device.type == "cuda")


def open_record(run: Run) -> record.RunRecord:
    """Write ``run.json`` of a run that begins or goes on."""
    run_json = record.RunRecord(
        run.config,
        run.model,
        run.state,
        num_samples=run.pool.num_samples,
        total_steps=run.total_steps,
        device=run.processes.device,
        num_nodes=run.energy.num_nodes if run.energy is not None else 1,
    )
    run_json.note(
        mixture=[asdict(row) for row in run.pool.shares],
        flops_per_pair=asdict(run.utilisation.work),
        peak_tflops=run.utilisation.peak_tflops,
    )
    return run_json


def close_record(run: Run) -> None:
    """Write how far the run came; rank 0 alone has something to write."""
    if run.run_json is not None and run.energy is not None:
        run.run_json.close(run.state, run.energy, run.spent)


def describe_start(run: Run) -> str:
    """Line to print before the first step."""
    config, state = run.config, run.state
    trained = sum(p.numel() for p in run.model.module.parameters() if p.requires_grad)
    return (
        f"{config.out}: {run.model.name}, {trained:,} weights trained on {run.pool.num_samples:,} samples, "
        f"{run.total_steps - state.step:,} steps of {config.batch_size} pairs, "
        f"{run.processes.world} process{'es' if run.processes.world > 1 else ''} on {run.processes.device.type}"
    )


def describe_end(run: Run) -> str:
    """How the session ended, and what the same command would do."""
    state = run.state
    if state.halted:
        where = f"ended after step {state.step:,} of {run.total_steps:,}: {state.halted}"
        return f"{where}; `best` is the last state within bounds, or the base"
    if run.is_over:
        return f"finished {state.step:,} steps in {duration(state.seconds)}"
    return f"stopped after step {state.step:,} of {run.total_steps:,}; the same command goes on from there"
