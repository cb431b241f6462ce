"""Try something on a module and leave no trace: random state, gradients, buffers and modes are as they were before."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn


@contextmanager
def unchanged(module: nn.Module) -> Iterator[None]:
    """Whatever runs in here may forward and go backward, but must not step; gradients are gone afterwards."""
    modes = {part: part.training for part in module.modules()}
    buffers = {name: buffer.detach().clone() for name, buffer in module.named_buffers()}
    with random_state_kept():
        try:
            yield
        finally:
            for part, mode in modes.items():
                part.training = mode
            with torch.no_grad():
                for name, buffer in module.named_buffers():
                    buffer.copy_(buffers[name])
            module.zero_grad(set_to_none=True)


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Random numbers of Python, numpy, torch and its devices go on as if nothing had been drawn."""
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002  # the global state is what is kept
    numbers = list(range(torch.accelerator.device_count())) if torch.accelerator.is_available() else []
    kind = torch.accelerator.current_accelerator() if numbers else None
    try:
        with torch.random.fork_rng(devices=numbers, device_type=kind.type if kind else "cuda"):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002
