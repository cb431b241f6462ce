"""The training loop: ``run_training(TrainConfig.load(path))`` trains, or goes on where the same run stopped.

What a run holds and how it is opened stands in `session.py`, what happens every so many steps in `milestones.py`.
"""

import contextlib
import functools
import itertools
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from iconoclip import provenance
from iconoclip.errors import IconoclipError, ShardError

from . import checkpoint, data, lora, milestones, mixture, optim, preflight, sharding, stage, validation, wise_ft
from .config import TrainConfig
from .embedding import Stopped
from .energy import EnergyMeter
from .journal import Journal, Stopwatch
from .keep import random_state_kept
from .kernels import deterministic_kernels
from .pool import num_folds
from .processes import Processes, start
from .session import (
    Run,
    close_record,
    describe_end,
    describe_start,
    num_micro_batches,
    open_record,
    open_run,
    read_stream,
)
from .step import MicroBatch, backward
from .walltime import wall_limit

log = logging.getLogger(__name__)

_CORRUPT_GRACE = 10  # broken samples that no share is taken of
_SHOWN_PROBLEMS = 5


def run_training(config: TrainConfig) -> Path:
    """Train as ``config`` says and return the run folder; ``fold: all`` trains every fold into ``out/fold-K``.

    Raises:
        IconoclipError: something a person can mend; checkpoints written before stay good.
    """
    stage.check_staged(config)
    with deterministic_kernels(config.deterministic), start(config) as processes:
        if config.fold != "all":
            return _train(config, processes)
        for fold in range(num_folds(config)):
            update = {"fold": fold, "out": config.out / f"fold-{fold}"}
            _train(config.model_copy(update=update), processes)
            if processes.stopping:
                break
        return config.out


def _train(config: TrainConfig, processes: Processes) -> Path:
    """One run in one folder."""
    lock = functools.partial(provenance.lock_folder, config.out)
    with processes.only_main(lock):
        while _go_on(config, processes):
            pass  # rolled back: the run goes on from an earlier checkpoint, as after any other stop
    return config.out


def _go_on(config: TrainConfig, processes: Processes) -> bool:
    """Train from the last checkpoint to the end or a stop; return True if the run was rolled back."""
    begun = time.monotonic()
    with contextlib.closing(EnergyMeter(processes)) as energy:
        run = open_run(config, processes)
        run.energy, run.begun = energy, begun
        run.wall_limit = processes.on_main(lambda: wall_limit(config.log))
        if run.is_over and not wise_ft.is_due(config, run.state):
            why = f" ({run.state.halted}; resume.allow=[retention] goes on)" if run.state.halted else ""
            log.info("%s: finished already%s; nothing to do", config.out, why)
            return False
        held_out = processes.on_main(lambda: validation.open_held_out(config))
        if config.wise_ft is not None and held_out is not None:
            wise_ft.check_figure(config.wise_ft, held_out)
        rolled_back = False
        run.run_json = open_record(run) if processes.is_main else None
        with Journal(config.out, processes, config.log, total_steps=run.total_steps) as journal:
            journal.open_wandb(config.out.name, config.to_json())
            journal.cut_back(run.state.step, will_look=run.state.unseen)
            journal.say(describe_start(run))
            journal.say(optim.describe_groups(run.optimizer, run.model.module, config.optim))
            num_epochs = run.total_steps * config.batch_size / run.pool.num_samples
            journal.say(mixture.describe(run.pool.shares, num_epochs=num_epochs))
            try:
                if not run.is_over:
                    milestones.open_guard(run, journal)
                    with contextlib.closing(read_stream(run)) as batches:
                        rolled_back = _loop(run, journal, held_out, batches)
                if run.is_over and not rolled_back:
                    milestones.average_with_base(run, journal, held_out)
            except Stopped:
                pass  # while the base was measured, or averaged with: what is saved is all there is to save
            except BaseException:
                with contextlib.suppress(IconoclipError):  # such as the same full disk: the first error is the cause
                    close_record(run)
                raise
            close_record(run)
            if not rolled_back:
                journal.say(f"{config.out}: {describe_end(run)}")
    return rolled_back


def _loop(run: Run, journal: Journal, held_out: validation.HeldOut | None, batches: Iterator[data.Batch]) -> bool:
    """Read, step, log, validate, save; until the last sample, a request to stop or ``stop_after``.

    Return True if the guard rolled the run back: another state is on disk now than in memory.
    """
    config, processes = run.config, run.processes
    last_step = min(run.total_steps, config.stop_after or run.total_steps)
    saved = run.state.step
    if run.state.unseen and milestones.catch_up(run, journal, held_out):
        return True
    if run.is_over or processes.stopping:
        return False
    batches = _preflight(run, journal, batches)
    watch, seconds_before = Stopwatch(batch_size=config.batch_size), run.state.seconds
    run.spent["starting"] = time.monotonic() - run.begun
    run.wrapped.train()
    for batch, wait_s in _timed(batches):
        watch.waited(wait_s)
        (num_corrupt,) = processes.meet(len(batch.problems), error=ShardError(batch.failure) if batch.failure else None)
        if processes.stopping:
            break
        _count_problems(run, batch.problems, int(num_corrupt), journal)
        lr, loss, grad_norm = _step(run, batch)
        step = run.state.step + 1
        run.state = replace(
            run.state,
            step=step,
            samples_seen=run.state.samples_seen + config.batch_size,
            seconds=seconds_before + watch.seconds,
        )
        is_last = step >= last_step
        journal.write_keys(step, batch.keys)
        if step % config.log.every == 0 or is_last:
            milestones.report(run, journal, watch, lr=lr, loss=loss, grad_norm=grad_norm)
        with watch.paused(run.spent, "validating"):
            seen = milestones.look(run, journal, held_out)
        if seen.rolled_back:
            return True
        is_last = is_last or bool(run.state.halted)
        if is_last or seen.is_best or seen.is_good or processes.stopping or step % config.checkpoint.every == 0:
            with watch.paused(run.spent, "saving"):
                milestones.save(run, journal, is_best=seen.is_best, is_good=seen.is_good)
            saved = step
        if is_last or processes.stopping:
            break
    if saved != run.state.step:  # the data ended at a checkpoint, or there was none to read
        milestones.save(run, journal, is_best=False)
    return False


def _preflight(run: Run, journal: Journal, batches: Iterator[data.Batch]) -> Iterator[data.Batch]:
    """Try everything once on the first batch; return the batches, that one still among them."""
    if not run.config.preflight:
        return batches
    with random_state_kept():  # torch's loader draws a number when it starts
        first = next((batch for batch, _ in _timed(batches)), None)
    if first is None:
        return batches
    run.processes.meet(error=ShardError(first.failure) if first.failure else None)
    if not run.processes.stopping:
        said = preflight.check_run(
            run.config,
            run.trained,
            run.state,
            run.processes,
            gradient=lambda: _backward(run, first),
            measure=functools.partial(milestones.measure, run),
        )
        journal.say(said)
    return itertools.chain([first], batches)


def _timed(batches: Iterator[data.Batch]) -> Iterator[tuple[data.Batch, float]]:
    """Yield each batch with the seconds that one waited for it."""
    while True:
        started = time.monotonic()
        try:
            batch = next(batches, None)
        except ShardError as error:  # not raised here: the others would wait for this process
            batch = data.Batch.unreadable(str(error))
        if batch is None:
            return
        yield batch, time.monotonic() - started


def _count_problems(run: Run, problems: list[str], num_corrupt: int, journal: Journal) -> None:
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
            f"max_corrupt is {run.config.max_corrupt:.1%}; the last: {problems[-1] if problems else 'elsewhere'}; "
            "copy the shards again, or make them again with `iconoclip prep`"
        )


def _step(run: Run, batch: data.Batch) -> tuple[float, torch.Tensor, float]:
    """One optimizer step; return learning rate, this process's part of the loss, and the norm of the gradient."""
    config = run.config
    samples = run.state.samples_seen + config.batch_size
    total = run.total_steps * config.batch_size
    lr = config.optim.lr * optim.lr_share(samples, total, warmup=config.optim.warmup, min_share=config.optim.min_lr)
    lr *= run.state.lr_factor
    optim.set_lr(run.optimizer, lr)
    run.optimizer.zero_grad(set_to_none=True)
    loss = _backward(run, batch)
    if config.lora is not None and run.state.step == 0:
        lora.check_reached(run.model.module)
    trained = [parameter for group in run.optimizer.param_groups for parameter in group["params"]]
    grad_norm = sharding.clip_grad_norm(trained, config.optim.clip_grad_norm)
    if not math.isfinite(grad_norm):  # after the all-reduce: every process sees the same and stops
        raise IconoclipError(
            f"step {run.state.step + 1}: the gradient is not finite (loss {float(loss):.4g}); the weights are "
            f"untouched, the last good checkpoint is {checkpoint.latest(config.out)}; "
            f"lower optim.lr (now {config.optim.lr:g}), lengthen optim.warmup, or train in fp32"
        )
    run.optimizer.step()
    run.towers.clamp_temperature(run.state.max_log_scale)
    return lr, loss, grad_norm


def _backward(run: Run, batch: data.Batch) -> torch.Tensor:
    """Add the gradient of the global batch to the weights; return this process's part of the loss."""
    config, processes = run.config, run.processes
    count = num_micro_batches(config, processes.world)
    images = batch.images.to(processes.device, non_blocking=True).chunk(count)
    tokens = batch.tokens.to(processes.device, non_blocking=True).chunk(count)
    return backward(
        config.loss,
        run.wrapped,
        [MicroBatch(i, t) for i, t in zip(images, tokens, strict=True)],
        groups_LC=batch.groups.to(processes.device, non_blocking=True),
        rank=processes.rank,
        seed=config.seed,
        step=run.state.step,
    )
