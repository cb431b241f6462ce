"""Everything a run will do, once, before its first step: what would fail after an hour fails in the first minute.

One forward and backward pass on the run's first batch, a checkpoint written and read back, a small evaluation. The run
does not notice: weights, optimizer, random state and the place in the data are afterwards what they were before.
"""

import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from iconoclip import models
from iconoclip.errors import IconoclipError
from iconoclip.models import Model

from . import best, checkpoint
from .checkpoint import TrainerState
from .config import TrainConfig
from .keep import unchanged
from .processes import Processes
from .sharding import Trained
from .validation import HeldOut, open_held_out

FOLDER_NAME = ".preflight"

_NUM_PICTURES = 16


def check_run(
    config: TrainConfig,
    trained: Trained,
    state: TrainerState,
    processes: Processes,
    *,
    gradient: Callable[[], Tensor],
    measure: Callable[[Model, HeldOut], dict[str, float]],
) -> str:
    """Try all of it, with all processes; return a line about it.

    ``gradient`` adds the first batch's gradient to the weights and returns the loss, ``measure`` is the validation. A
    run that goes on has saved before, so nothing is saved then.

    Raises:
        IconoclipError: something does not work; says what.
    """
    started = time.monotonic()
    with unchanged(trained.wrapped):
        trained.wrapped.train()
        value = _try_gradient(config, gradient)
        figures = _try_evaluation(config, trained.model, processes, measure)
    if state.step == 0:
        _try_saving(config, trained, state, processes)
    seconds = time.monotonic() - started
    score = "" if figures is None else f", evaluation (score {best.score_of(figures, config):.3f})"
    saved = ", checkpoint written and read back" if state.step == 0 else ""
    return f"preflight: forward and backward (loss {value:.3f}){score}{saved}, in {seconds:.1f} s"


def _try_gradient(config: TrainConfig, gradient: Callable[[], Tensor]) -> float:
    try:
        value = float(gradient())
    except torch.OutOfMemoryError as error:
        micro = config.micro_batch or "all pairs of a process"
        raise IconoclipError(
            f"preflight: {str(error).splitlines()[0]} Lower micro_batch (now {micro}; the result stays the same), "
            "or set gradient_checkpointing or precision: bf16"
        ) from None
    if not math.isfinite(value):
        raise IconoclipError(
            f"preflight: the loss of the first batch is {value}; are the weights damaged, or is the precision too low?"
        )
    return value


def _try_evaluation(
    config: TrainConfig, model: Model, processes: Processes, measure: Callable[[Model, HeldOut], dict[str, float]]
) -> dict[str, float] | None:
    if config.validation is None:
        return None
    few = config.validation.model_copy(update={"max_pictures": min(_NUM_PICTURES, config.validation.max_pictures)})
    small = config.model_copy(update={"validation": few})
    held_out = processes.on_main(lambda: open_held_out(small))
    assert held_out is not None
    figures = measure(model, held_out)
    best.score_of(figures, config)
    return figures


def _try_saving(config: TrainConfig, trained: Trained, state: TrainerState, processes: Processes) -> None:
    model, optimizer = trained.collect()
    scratch = config.out / FOLDER_NAME

    def save() -> None:
        shutil.rmtree(scratch, ignore_errors=True)
        try:
            folder = checkpoint.save(scratch, model, optimizer, state, is_best=False, keep=1, adapters=config.lora)
            _read_back(folder, model if config.lora is None else None)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    processes.on_main(save)


def _read_back(folder: Path, model: Model | None) -> None:
    """Open a checkpoint as evaluation does; without adapters its weights must be those of ``model``."""
    found = models.load(str(folder)).weights_sha256
    if model is not None and found != model.weights_sha256:
        raise IconoclipError(
            f"preflight: a checkpoint written to {folder.parents[2]} holds other weights when it is read back; "
            "is the file system sound?"
        )
    checkpoint.read_state(folder)
