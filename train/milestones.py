"""What happens between two steps when it is due: figures, guard, validation, checkpoint; and the average at the end.

Every function is to be called by all processes after the same step.
"""

import functools
import time
from dataclasses import dataclass, replace

import torch

from iconoclip import models

from . import best, checkpoint, retention, validation, wise_ft
from .config import TrainConfig
from .embedding import Stopped
from .journal import Journal, Stopwatch
from .session import Run


def report(run: Run, journal: Journal, watch: Stopwatch, *, lr: float, loss: torch.Tensor, grad_norm: float) -> None:
    """Write the figures of the last step and of the stretch since the last report; called by all processes."""
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


def _earlier_kwh(run: Run) -> float:
    """What the run took before it was requeued; only rank 0, which writes it, knows."""
    return run.run_json.earlier_kwh if run.run_json is not None else 0.0


@dataclass(frozen=True)
class Seen:
    """What guard and validation found after a step."""

    looked: bool = False
    is_best: bool = False
    is_good: bool = False
    rolled_back: bool = False


def open_guard(run: Run, journal: Journal) -> None:
    """Measure the base; a guard that acts needs a checkpoint to go back to, before the first step at the latest."""
    config, processes = run.config, run.processes
    if config.retention is None:
        return
    journal.say(retention.describe(config.retention))
    run.guard, run.state = retention.open_guard(
        config, run.state, live=run.model, processes=processes, measure=functools.partial(measure, run)
    )
    if run.guard.acts and processes.on_main(lambda: checkpoint.pointed(config.out, "good")) is None:
        save(run, journal, is_best=False, is_good=True)


def look(run: Run, journal: Journal, held_out: validation.HeldOut | None) -> Seen:
    """Do what is due after a step: the guard, then the validation. Broken off by a stop, both stay due."""
    config, guard = run.config, run.guard
    validates = held_out_due(config, run.state.step, run.total_steps)
    guards = guard is not None and retention.is_due(config, run.state.step, validates=validates)
    run.state = replace(run.state, unseen=validates or guards)
    if not run.state.unseen:
        return Seen()
    is_best = is_good = False
    try:
        if guard is not None and guards:
            verdict = _look_back(run, guard, journal)
            if verdict == "rollback":
                return Seen(rolled_back=True)
            is_good = verdict == "good" and guard.acts
        if validates:
            is_best = _validate(run, journal, held_out, may_be_best=not run.state.halted)
    except Stopped:
        return Seen(looked=True)
    finally:
        run.wrapped.train()
    run.state = replace(run.state, unseen=False)
    return Seen(True, is_best, is_good)


def catch_up(run: Run, journal: Journal, held_out: validation.HeldOut | None) -> bool:
    """Do what was due after the last step of the session before; return True if that rolled the run back."""
    seen = look(run, journal, held_out)
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


def _look_back(run: Run, guard: retention.Guard, journal: Journal) -> retention.Verdict:
    """Let the guard look, and roll back on disk or mark the run's end if it wants that."""
    verdict, drop = guard.check(run.model, run.state, journal)
    if verdict == "rollback":
        run.processes.on_main(lambda: retention.roll_back(run.config.out, run.state, drop=drop))
    if verdict == "stop":
        run.state = replace(run.state, halted=f"retention fell by {drop:.3f}")
    return verdict


def held_out_due(config: TrainConfig, step: int, total_steps: int) -> bool:
    """Whether to validate after ``step``: every so many steps, and after the last one of the whole run."""
    if config.validation is None:
        return False
    every = config.validation.every
    return step == total_steps or (every is not None and step % every == 0)


def _validate(run: Run, journal: Journal, held_out: validation.HeldOut | None, *, may_be_best: bool = True) -> bool:
    """Measure retrieval; return on all processes whether this is the best so far (the later one on a tie)."""
    assert held_out is not None
    figures = measure(run, run.model, held_out)
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


def average_with_base(run: Run, journal: Journal, held_out: validation.HeldOut | None) -> None:
    """Export the average with the base that serves best (WiSE-FT), if it is wanted and not there yet."""
    if not wise_ft.is_due(run.config, run.state):
        return
    assert held_out is not None
    content = wise_ft.average_with_base(
        run.config,
        run.state,
        held_out,
        processes=run.processes,
        journal=journal,
        measure=functools.partial(measure, run),
    )
    if run.run_json is not None and content is not None:
        run.run_json.note(wise_ft=content)


def measure(run: Run, model: models.Model, held_out: validation.HeldOut) -> dict[str, float]:
    """Measure retrieval with all processes."""
    return validation.measure(model, held_out, run.processes)


def save(run: Run, journal: Journal, *, is_best: bool, is_good: bool = False) -> None:
    """Write a checkpoint of where the run stands, and what the session took so far.

    Raises:
        IconoclipError: in all processes, if it cannot be written; the last one is still there.
    """
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
