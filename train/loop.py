"""The training loop: ``run_training(TrainConfig.load(path))`` trains, or goes on where the same run stopped."""

import contextlib
import functools
import logging
import math
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from iconoclip import models, provenance
from iconoclip.errors import IconoclipError, ShardError

from . import checkpoint, data, optim, record, towers, validation
from .checkpoint import TrainerState
from .config import TrainConfig
from .energy import EnergyMeter
from .journal import Journal, Stopwatch
from .pictures import PictureReader
from .pool import Pool, num_folds, open_pool
from .processes import Processes, start
from .step import MicroBatch, backward

log = logging.getLogger(__name__)

_CORRUPT_GRACE = 10  # broken samples that no share is taken of
_SHOWN_PROBLEMS = 5


def run_training(config: TrainConfig) -> Path:
    """Train as ``config`` says and return the run folder; ``fold: all`` trains every fold into ``out/fold-K``.

    Raises:
        IconoclipError: something a person can mend; checkpoints written before stay good.
    """
    with start(config) as processes:
        if config.fold != "all":
            return _train(config, processes)
        for fold in range(num_folds(config)):
            update = {"fold": fold, "out": config.out / f"fold-{fold}"}
            _train(config.model_copy(update=update), processes)
            if processes.stop_requested:
                break
        return config.out


@dataclass
class _Run:
    """What the loop holds while it goes round."""

    config: TrainConfig
    processes: Processes
    pool: Pool
    model: models.Model
    wrapped: nn.Module
    optimizer: torch.optim.AdamW
    state: TrainerState
    total_steps: int

    @property
    def towers(self) -> towers.Towers:
        return self.processes.accelerator.unwrap_model(self.wrapped)

    @property
    def epoch(self) -> float:
        return self.state.samples_seen / self.pool.num_samples


def _train(config: TrainConfig, processes: Processes) -> Path:
    """One run in one folder."""
    lock = functools.partial(provenance.lock_folder, config.out)
    with processes.only_main(lock), contextlib.closing(EnergyMeter()) as energy:
        run = _prepare(config, processes)
        if run.state.step >= run.total_steps:
            log.info("%s: finished already, %s steps; nothing to do", config.out, f"{run.total_steps:,}")
            return config.out
        held_out = processes.on_main(lambda: validation.open_held_out(config))
        run_json = _open_record(run) if processes.is_main else None
        with Journal(config.out, processes, config.log, total_steps=run.total_steps) as journal:
            journal.open_wandb(config.out.name, config.to_json())
            journal.cut_back(run.state.step)
            journal.say(_describe(run))
            try:
                _loop(run, journal, held_out)
            finally:
                if run_json is not None:
                    run_json.close(run.state, energy)
            journal.say(f"{config.out}: {_ending(run)}")
    return config.out


def _prepare(config: TrainConfig, processes: Processes) -> _Run:
    """Open the data, build or restore the model, wrap it; the same on every process."""
    pool = open_pool(config)
    total = config.samples if config.samples is not None else math.ceil((config.epochs or 0) * pool.num_samples)
    total_steps = math.ceil(total / config.batch_size)
    with processes.accelerator.local_main_process_first():  # one download per machine
        model = models.load(config.model.name, weights=config.model.weights, seed=config.seed)
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
    towers.give_bias(model, uses_bias=config.loss.uses_bias)
    towers.freeze_parts(model, config.freeze)
    towers.refuse_batch_norm(model, num_parts=processes.world * _num_micro_batches(config, processes.world))
    model.module.to(processes.device)
    optimizer = optim.make_optimizer(model.module, config.optim)
    processes.on_main(lambda: _check_disk(config, model))
    state = processes.on_main(lambda: record.resume_state(config, fresh))
    if state.step:
        folder = checkpoint.latest(config.out)
        assert folder is not None
        checkpoint.restore(folder, model.module, optimizer)
    wrapped = processes.accelerator.prepare_model(towers.Towers(model, config.freeze))
    return _Run(config, processes, pool, model, wrapped, optimizer, state, total_steps)


def _loop(run: _Run, journal: Journal, held_out: validation.HeldOut | None) -> None:
    """Read, step, log, validate, save; until the last sample, a signal or ``stop_after``."""
    config, processes = run.config, run.processes
    watch = Stopwatch(batch_size=config.batch_size)
    seconds_before = run.state.seconds
    last_step = min(run.total_steps, config.stop_after or run.total_steps)
    saved = run.state.step
    run.wrapped.train()
    for batch, wait_s in _timed(_batches(run)):
        watch.waited(wait_s)
        must_stop, num_corrupt = processes.sum(float(processes.stop_requested), len(batch.problems))
        _count_problems(run, batch.problems, int(num_corrupt), journal)
        lr, loss, grad_norm = _step(run, batch)
        step = run.state.step + 1
        run.state = replace(
            run.state,
            step=step,
            samples_seen=run.state.samples_seen + config.batch_size,
            seconds=seconds_before + watch.seconds,
        )
        is_last = step >= last_step or bool(must_stop)
        if step % config.log.every == 0 or is_last:
            _log_step(run, journal, watch, lr=lr, loss=loss, grad_norm=grad_norm)
        is_best = False
        if held_out_due(config, step, run.total_steps):
            is_best = _validate(run, journal, held_out)
            watch.pause()
        if is_last or is_best or step % config.checkpoint.every == 0:
            _save(run, journal, is_best=is_best)
            saved = step
            watch.pause()
        if is_last:
            break
    if saved != run.state.step:  # the data ended at a checkpoint, or there was none to read
        _save(run, journal, is_best=False)


def held_out_due(config: TrainConfig, step: int, total_steps: int) -> bool:
    """Whether to validate after ``step``: every so many steps, and after the last one of the whole run."""
    if config.validation is None:
        return False
    every = config.validation.every
    return step == total_steps or (every is not None and step % every == 0)


def _step(run: _Run, batch: data.Batch) -> tuple[float, torch.Tensor, float]:
    """One optimizer step; return learning rate, this process's part of the loss, and the norm of the gradient."""
    config, processes = run.config, run.processes
    samples = run.state.samples_seen + config.batch_size
    total = run.total_steps * config.batch_size
    lr = config.optim.lr * optim.lr_share(samples, total, warmup=config.optim.warmup, min_share=config.optim.min_lr)
    optim.set_lr(run.optimizer, lr)
    run.optimizer.zero_grad(set_to_none=True)
    count = _num_micro_batches(config, processes.world)
    images = batch.images.to(processes.device, non_blocking=True).chunk(count)
    tokens = batch.tokens.to(processes.device, non_blocking=True).chunk(count)
    loss = backward(
        config.loss,
        run.wrapped,
        [MicroBatch(i, t) for i, t in zip(images, tokens, strict=True)],
        groups_LC=batch.groups.to(processes.device, non_blocking=True),
        rank=processes.rank,
        seed=config.seed,
        step=run.state.step,
    )
    trained = [parameter for group in run.optimizer.param_groups for parameter in group["params"]]
    largest = config.optim.clip_grad_norm if config.optim.clip_grad_norm is not None else math.inf
    grad_norm = float(nn.utils.clip_grad_norm_(trained, largest))
    if not math.isfinite(grad_norm):  # after the all-reduce: every process sees the same and stops
        raise IconoclipError(
            f"step {run.state.step + 1}: the gradient is not finite (loss {float(loss):.4g}); the weights are "
            f"untouched, the last good checkpoint is {checkpoint.latest(config.out)}; "
            f"lower optim.lr (now {config.optim.lr:g}), lengthen optim.warmup, or train in fp32"
        )
    run.optimizer.step()
    run.towers.clamp_temperature(run.state.max_log_scale)
    return lr, loss, grad_norm


def _batches(run: _Run) -> Iterator[data.Batch]:
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


def _timed(batches: Iterator[data.Batch]) -> Iterator[tuple[data.Batch, float]]:
    """Yield each batch with the seconds that one waited for it."""
    while True:
        started = time.monotonic()
        batch = next(batches, None)
        if batch is None:
            return
        yield batch, time.monotonic() - started


def _num_micro_batches(config: TrainConfig, world: int) -> int:
    local = config.batch_size // world
    return local // min(config.micro_batch or local, local)


def _count_problems(run: _Run, problems: list[str], num_corrupt: int, journal: Journal) -> None:
    """Count replaced samples; stop when they are more than ``max_corrupt``."""
    if not num_corrupt:
        return
    total = run.state.num_corrupt + num_corrupt
    for problem in problems[:_SHOWN_PROBLEMS] if run.state.num_corrupt < _CORRUPT_GRACE else []:
        journal.say(f"replaced a sample: {problem}")
    run.state = replace(run.state, num_corrupt=total)
    allowed = _CORRUPT_GRACE + run.config.max_corrupt * run.state.samples_seen
    if total > allowed:
        raise ShardError(
            f"{total} of {run.state.samples_seen + run.config.batch_size:,} samples could not be read, "
            f"max_corrupt is {run.config.max_corrupt:.1%}; the last: {problems[-1] if problems else 'elsewhere'}"
        )


def _log_step(
    run: _Run, journal: Journal, watch: Stopwatch, *, lr: float, loss: torch.Tensor, grad_norm: float
) -> None:
    mean_loss = run.processes.sum(float(loss))[0] / run.processes.world
    module, state = run.model.module, run.state
    speed = watch.read(run.total_steps - state.step)
    bias = getattr(module, "logit_bias", None)
    journal.write(
        {
            "step": state.step,
            "samples_seen": state.samples_seen,
            "epoch": round(run.epoch, 4),
            "loss": mean_loss,
            "lr": lr,
            "logit_scale": float(module.logit_scale.detach().exp()),
            "logit_bias": None if bias is None else float(bias.detach()),
            "grad_norm": grad_norm,
            "num_corrupt": state.num_corrupt,
            "seconds": round(state.seconds, 2),
            **speed,
        }
    )
    journal.show(
        f"epoch {run.epoch:.2f}  loss {mean_loss:.3f}  {speed['pairs_per_s']:,.0f} pairs/s  "
        f"data wait {speed['data_wait_share']:.0%}  {_duration(speed['seconds_left'])} left",
        step=state.step,
    )


def _validate(run: _Run, journal: Journal, held_out: validation.HeldOut | None) -> bool:
    """Measure retrieval on rank 0; return on all whether this is the best so far (the later one on a tie)."""
    processes = run.processes

    def measure() -> dict[str, float]:
        assert held_out is not None
        return validation.measure(run.model, held_out, device=processes.device)

    figures = processes.on_main(measure)
    run.wrapped.train()
    score = figures["score"]
    is_best = run.state.best_score is None or score >= run.state.best_score
    if is_best:
        run.state = replace(run.state, best_score=score, best_step=run.state.step)
    journal.write(
        {"step": run.state.step, "samples_seen": run.state.samples_seen}
        | {f"val/{name}": value for name, value in figures.items()}
    )
    journal.say(
        f"step {run.state.step:,}: hit rate@1 text->image {figures['text_to_image/hit_rate@1']:.1%}, "
        f"image->text {figures['image_to_text/hit_rate@1']:.1%}{' (best so far)' if is_best else ''}"
    )
    return is_best


def _save(run: _Run, journal: Journal, *, is_best: bool) -> None:
    folder = run.processes.on_main(
        lambda: checkpoint.save(
            run.config.out, run.model, run.optimizer, run.state, is_best=is_best, keep=run.config.checkpoint.keep
        )
    )
    journal.say(f"saved {folder}")


def _check_disk(config: TrainConfig, model: models.Model) -> None:
    needed = (config.checkpoint.keep + 2) * checkpoint.num_bytes(
        model.module
    )  # the best one, and the one being written
    free = shutil.disk_usage(config.out).free
    if free < needed:
        raise IconoclipError(
            f"{config.out}: {free / 1e9:.1f} GB free, the checkpoints need {needed / 1e9:.1f} GB; "
            "make room, keep fewer (checkpoint.keep) or choose another `out`"
        )


def _open_record(run: _Run) -> record.RunRecord:
    return record.RunRecord(
        run.config,
        run.model,
        run.state,
        num_samples=run.pool.num_samples,
        total_steps=run.total_steps,
        device=run.processes.device,
    )


def _describe(run: _Run) -> str:
    config, state = run.config, run.state
    trained = sum(p.numel() for p in run.model.module.parameters() if p.requires_grad)
    return (
        f"{config.out}: {run.model.name}, {trained / 1e6:.1f} M weights trained on {run.pool.num_samples:,} samples, "
        f"{run.total_steps - state.step:,} steps of {config.batch_size} pairs, "
        f"{run.processes.world} process{'es' if run.processes.world > 1 else ''} on {run.processes.device.type}"
    )


def _ending(run: _Run) -> str:
    state = run.state
    if state.step >= run.total_steps:
        return f"finished {state.step:,} steps in {_duration(state.seconds)}"
    return f"stopped after step {state.step:,} of {run.total_steps:,}; the same command goes on from there"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
