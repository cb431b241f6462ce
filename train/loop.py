"""The training loop: ``run_training(TrainConfig.load(path))`` trains, or goes on where the same run stopped."""

import contextlib
import functools
import itertools
import logging
import math
import shutil
import time
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from torch import nn

from iconoclip import models, provenance
from iconoclip.errors import IconoclipError, ShardError

from . import (
    base_model,
    best,
    checkpoint,
    data,
    flops,
    lora,
    mixture,
    optim,
    preflight,
    record,
    retention,
    sharding,
    speedups,
    stage,
    towers,
    validation,
    wise_ft,
)
from .checkpoint import TrainerState
from .config import TrainConfig
from .embedding import Stopped
from .energy import EnergyMeter
from .journal import Journal, Stopwatch
from .keep import random_state_kept
from .kernels import deterministic_kernels
from .pictures import PictureReader
from .pool import Pool, num_folds, open_pool
from .processes import Processes, start
from .screen import duration
from .step import MicroBatch, backward
from .vocabulary import check_vocabulary
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


@dataclass
class _Run:
    """What the loop holds while it goes round."""

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
        return self.trained.wrapped

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        return self.trained.optimizer

    @property
    def towers(self) -> towers.Towers:
        return self.trained.towers

    @property
    def epoch(self) -> float:
        return self.state.samples_seen / self.pool.num_samples

    @property
    def is_over(self) -> bool:
        """Whether it took its last step, or was ended for good before, and all that is due was done."""
        return (self.state.step >= self.total_steps or bool(self.state.halted)) and not self.state.unseen


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
        run = _prepare(config, processes)
        run.energy, run.begun = energy, begun
        run.wall_limit = processes.on_main(lambda: wall_limit(config.log))
        if run.is_over and not wise_ft.is_due(config, run.state):
            log.info(
                "%s: finished already%s; nothing to do", config.out, f" ({run.state.halted})" * bool(run.state.halted)
            )
            return False
        held_out = processes.on_main(lambda: validation.open_held_out(config))
        if config.wise_ft is not None and held_out is not None:
            wise_ft.check_figure(config.wise_ft, held_out)
        rolled_back = False
        run.run_json = run_json = _open_record(run) if processes.is_main else None
        with Journal(config.out, processes, config.log, total_steps=run.total_steps) as journal:
            journal.open_wandb(config.out.name, config.to_json())
            journal.cut_back(run.state.step, will_look=run.state.unseen)
            journal.say(_describe(run))
            journal.say(optim.describe_groups(run.optimizer, run.model.module, config.optim))
            num_epochs = run.total_steps * config.batch_size / run.pool.num_samples
            journal.say(mixture.describe(run.pool.shares, num_epochs=num_epochs))
            try:
                if not run.is_over:
                    _open_guard(run, journal)
                    with contextlib.closing(_batches(run)) as batches:
                        rolled_back = _loop(run, journal, held_out, batches)
                if run.is_over and not rolled_back:
                    _average_with_base(run, journal, held_out, run_json)
            except Stopped:
                pass  # while the base was measured, or averaged with: what is saved is all there is to save
            except BaseException:
                with contextlib.suppress(IconoclipError):  # such as the same full disk: the first error is the cause
                    _close_record(run)
                raise
            _close_record(run)
            if not rolled_back:
                journal.say(f"{config.out}: {_ending(run)}")
    return rolled_back


def _close_record(run: _Run) -> None:
    if run.run_json is not None and run.energy is not None:
        run.run_json.close(run.state, run.energy, run.spent)


def _prepare(config: TrainConfig, processes: Processes) -> _Run:
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
    towers.refuse_batch_norm(model, num_parts=processes.world * _num_micro_batches(config, processes.world))
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
    parts = _num_micro_batches(config, processes.world)
    utilisation = flops.Utilisation(
        flops.count_work(model, tower_pair, config, num_micro_batches=parts),
        flops.peak_tflops(config, processes.device),
        processes.world,
    )
    trained = sharding.distribute(tower_pair, model, optimizer, processes, kind=config.distributed)
    return _Run(config, processes, pool, model, trained, state, total_steps, utilisation)


def _loop(run: _Run, journal: Journal, held_out: validation.HeldOut | None, batches: Iterator[data.Batch]) -> bool:
    """Read, step, log, validate, save; until the last sample, a request to stop or ``stop_after``.

    Return True if the guard rolled the run back: another state is on disk now than in memory.
    """
    config, processes = run.config, run.processes
    last_step = min(run.total_steps, config.stop_after or run.total_steps)
    saved = run.state.step
    if run.state.unseen and _catch_up(run, journal, held_out):
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
            _log_step(run, journal, watch, lr=lr, loss=loss, grad_norm=grad_norm)
        with watch.paused(run.spent, "validating"):
            seen = _look(run, journal, held_out)
        if seen.rolled_back:
            return True
        is_last = is_last or bool(run.state.halted)
        if is_last or seen.is_best or seen.is_good or processes.stopping or step % config.checkpoint.every == 0:
            with watch.paused(run.spent, "saving"):
                _save(run, journal, is_best=seen.is_best, is_good=seen.is_good)
            saved = step
        if is_last or processes.stopping:
            break
    if saved != run.state.step:  # the data ended at a checkpoint, or there was none to read
        _save(run, journal, is_best=False)
    return False


def _open_guard(run: _Run, journal: Journal) -> None:
    """Measure the base; a guard that acts needs a checkpoint to go back to, before the first step at the latest."""
    config, processes = run.config, run.processes
    if config.retention is None:
        return
    journal.say(retention.describe(config.retention))
    run.guard, run.state = retention.open_guard(
        config, run.state, live=run.model, processes=processes, measure=functools.partial(_measure, run)
    )
    if run.guard.acts and processes.on_main(lambda: checkpoint.pointed(config.out, "good")) is None:
        _save(run, journal, is_best=False, is_good=True)


@dataclass(frozen=True)
class _Seen:
    """What guard and validation found after a step."""

    looked: bool = False
    is_best: bool = False
    is_good: bool = False
    rolled_back: bool = False


def _look(run: _Run, journal: Journal, held_out: validation.HeldOut | None) -> _Seen:
    """Do what is due after a step: the guard, then the validation. Broken off by a stop, both stay due."""
    config, guard = run.config, run.guard
    validates = held_out_due(config, run.state.step, run.total_steps)
    guards = guard is not None and retention.is_due(config, run.state.step, validates=validates)
    run.state = replace(run.state, unseen=validates or guards)
    if not run.state.unseen:
        return _Seen()
    is_best = is_good = False
    try:
        if guard is not None and guards:
            verdict = _look_back(run, guard, journal)
            if verdict == "rollback":
                return _Seen(rolled_back=True)
            is_good = verdict == "good" and guard.acts
        if validates:
            is_best = _validate(run, journal, held_out, may_be_best=not run.state.halted)
    except Stopped:
        return _Seen(looked=True)
    finally:
        run.wrapped.train()
    run.state = replace(run.state, unseen=False)
    return _Seen(True, is_best, is_good)


def _catch_up(run: _Run, journal: Journal, held_out: validation.HeldOut | None) -> bool:
    """Do what was due after the last step of the session before; return True if that rolled the run back."""
    seen = _look(run, journal, held_out)
    if seen.rolled_back:
        return True

    def write() -> None:
        folder = checkpoint.latest(run.config.out)
        assert folder is not None
        for name, is_meant in (("best", seen.is_best), ("good", seen.is_good)):
            if is_meant:
                checkpoint.point(run.config.out / name, folder)
        checkpoint.amend(folder, run.state)  # last: it says that the rest is done

    if not run.state.unseen:
        run.processes.on_main(write)
    return False


def _look_back(run: _Run, guard: retention.Guard, journal: Journal) -> retention.Verdict:
    """Let the guard look, and roll back on disk or mark the run's end if it wants that."""
    verdict, drop = guard.check(run.model, run.state, journal)
    if verdict == "rollback":
        run.processes.on_main(lambda: retention.roll_back(run.config.out, run.state, drop=drop))
    if verdict == "stop":
        run.state = replace(run.state, halted=f"retention fell by {drop:.3f}")
    return verdict


def _average_with_base(
    run: _Run, journal: Journal, held_out: validation.HeldOut | None, run_json: record.RunRecord | None
) -> None:
    if not wise_ft.is_due(run.config, run.state):
        return
    assert held_out is not None
    content = wise_ft.average_with_base(
        run.config,
        run.state,
        held_out,
        processes=run.processes,
        journal=journal,
        measure=functools.partial(_measure, run),
    )
    if run_json is not None and content is not None:
        run_json.note(wise_ft=content)


def held_out_due(config: TrainConfig, step: int, total_steps: int) -> bool:
    """Whether to validate after ``step``: every so many steps, and after the last one of the whole run."""
    if config.validation is None:
        return False
    every = config.validation.every
    return step == total_steps or (every is not None and step % every == 0)


def _step(run: _Run, batch: data.Batch) -> tuple[float, torch.Tensor, float]:
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


def _backward(run: _Run, batch: data.Batch) -> torch.Tensor:
    """Add the gradient of the global batch to the weights; return this process's part of the loss."""
    config, processes = run.config, run.processes
    count = _num_micro_batches(config, processes.world)
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


def _preflight(run: _Run, journal: Journal, batches: Iterator[data.Batch]) -> Iterator[data.Batch]:
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
            measure=functools.partial(_measure, run),
        )
        journal.say(said)
    return itertools.chain([first], batches)


def _batches(run: _Run) -> Generator[data.Batch]:
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
        try:
            batch = next(batches, None)
        except ShardError as error:  # not raised here: the others would wait for this process
            batch = data.Batch.unreadable(str(error))
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
    assert run.energy is not None
    told = run.processes.gather((float(loss), watch.wait_s, run.energy.read()))
    run.energy.hear([energy for _, _, energy in told])
    module, state = run.model.module, run.state
    speed = watch.read(run.total_steps - state.step, wait_s=max(wait_s for _, wait_s, _ in told))
    bias = getattr(module, "logit_bias", None)
    journal.report(
        {
            "step": state.step,
            "samples_seen": state.samples_seen,
            "epoch": round(run.epoch, 4),
            "loss": sum(part for part, _, _ in told) / run.processes.world,
            "lr": lr,
            "logit_scale": float(module.logit_scale.detach().exp()),
            "logit_bias": None if bias is None else float(bias.detach()),
            "grad_norm": grad_norm,
            "num_corrupt": state.num_corrupt,
            "seconds": round(state.seconds, 2),
            **speed,
            **run.utilisation.read(speed["pairs_per_s"]),
            "wall_seconds_left": None if run.wall_limit is None else round(run.wall_limit - time.time(), 1),
            "kwh": round(_earlier_kwh(run) + run.energy.total().kwh, 9),
        }
    )


def _earlier_kwh(run: _Run) -> float:
    """What the run took before it was requeued; only rank 0, which writes it, knows."""
    return run.run_json.earlier_kwh if run.run_json is not None else 0.0


def _measure(run: _Run, model: models.Model, held_out: validation.HeldOut) -> dict[str, float]:
    """Measure retrieval with all processes."""
    return validation.measure(model, held_out, run.processes)


def _validate(run: _Run, journal: Journal, held_out: validation.HeldOut | None, *, may_be_best: bool = True) -> bool:
    """Measure retrieval; return on all processes whether this is the best so far (the later one on a tie)."""
    assert held_out is not None
    figures = _measure(run, run.model, held_out)
    score = best.score_of(figures, run.config)
    is_best = may_be_best and best.is_better(score, run.state.best_score, run.config)
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


def _save(run: _Run, journal: Journal, *, is_best: bool, is_good: bool = False) -> None:
    model, optimizer = run.trained.collect()
    folder = run.processes.on_main(
        lambda: checkpoint.save(
            run.config.out,
            model,
            optimizer,
            run.state,
            is_best=is_best,
            is_good=is_good,
            keep=run.config.checkpoint.keep,
            adapters=run.config.lora,
        )
    )
    journal.say(f"saved {folder}")
    if run.run_json is not None and run.energy is not None:
        run.run_json.save_progress(run.state, run.energy, run.spent)


def _check_disk(config: TrainConfig, model: models.Model) -> None:
    beside = 2 + (config.retention is not None)  # the best one, the one being written, the last good one
    needed = (config.checkpoint.keep + beside) * checkpoint.num_bytes(model.module)
    free = shutil.disk_usage(config.out).free
    if free < needed:
        raise IconoclipError(
            f"{config.out}: {free / 1e9:.1f} GB free, the checkpoints need {needed / 1e9:.1f} GB; "
            "make room, keep fewer (checkpoint.keep) or choose another `out`"
        )


def _open_record(run: _Run) -> record.RunRecord:
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
    if state.halted:
        return f"ended after step {state.step:,} of {run.total_steps:,}: {state.halted}; `best` has what the base knew"
    if run.is_over:
        return f"finished {state.step:,} steps in {duration(state.seconds)}"
    return f"stopped after step {state.step:,} of {run.total_steps:,}; the same command goes on from there"
