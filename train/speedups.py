"""What makes a step smaller or faster: dropped patches, recomputed activations, compiled blocks.

None of it touches names or shapes of weights, so a checkpoint does not know of it. All of it keeps cached accumulation
exact: the same random numbers are drawn in both passes (see ``step.py``).
"""

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from iconoclip.errors import ModelError
from iconoclip.models import Model

from . import layers
from .config import TrainConfig


def apply_speedups(model: Model, config: TrainConfig) -> None:
    """Switch on what ``config`` asks for, in place.

    Raises:
        ModelError: the architecture cannot do it.
    """
    if config.patch_dropout:
        drop_patches(model, config.patch_dropout)
    if config.gradient_checkpointing:
        recompute_activations(model)
    if config.compile:
        compile_blocks(model)


def drop_patches(model: Model, share: float) -> None:
    """Leave out a random ``share`` of each picture's patches in training mode (Li et al. 2023, FLIP)."""
    from timm.layers.patch_dropout import PatchDropout

    visual = model.module.visual
    trunk = getattr(visual, "trunk", None)
    for owner, name, prefix in (
        (trunk, "patch_drop", getattr(trunk, "num_prefix_tokens", 0)),  # timm
        (visual, "patch_dropout", 1),  # open_clip's own has one class token
    ):
        old = getattr(owner, name, None)
        # Others (rotary positions) must be told which patches are left.
        if isinstance(old, nn.Identity | PatchDropout) or type(old).__name__ == "PatchDropout":
            setattr(owner, name, PatchDropout(share, num_prefix_tokens=prefix))
            return
    raise ModelError(f"{model.name}: patch_dropout: {type(trunk or visual).__name__} cannot leave out patches; drop it")


def recompute_activations(model: Model) -> None:
    """Keep a block's input only and run the block again in the backward pass: less memory, a third more time."""
    visual, text = model.module.visual, layers.text_root(model.module)
    visual.set_grad_checkpointing(True)
    trunk = getattr(visual, "trunk", None)
    if trunk is not None and not getattr(trunk, "grad_checkpointing", False):  # open_clip only logs it
        raise ModelError(f"{model.name}: gradient_checkpointing: {type(trunk).__name__} cannot; drop it")
    inner: Any = text.transformer
    for name in ("activation_checkpointing_enable", "gradient_checkpointing_enable"):  # transformers 5, and before
        if hasattr(inner, name):
            # Reentrant, the default of some versions, gives no gradient at all where the token table is frozen.
            getattr(inner, name)({"use_reentrant": False})
            return
    inner.grad_checkpointing = True


def compile_blocks(model: Model, *, backend: str | Callable = "inductor") -> None:
    """Compile the towers block by block: most of the gain of whole towers, at a fraction of the waiting.

    The gradients of a block are ready when its backward pass ends, so their exchange overlaps with the next one's.
    """
    # Compiled code draws random numbers in an order of its own, another one with gradient than without.
    options: dict[str, Any] = {"options": {"fallback_random": True}} if backend == "inductor" else {}
    for block in blocks(model.module):
        block.compile(backend=backend, dynamic=False, **options)


def uncompiled() -> contextlib.AbstractContextManager[None]:
    """In here blocks run as written: figures are those of ``iconoclip eval``, and no other shape is compiled."""
    return torch.compiler.set_stance("force_eager")


def blocks(module: nn.Module) -> list[nn.Module]:
    """Repeated blocks of the towers: the items of lists of like modules that have parts, outermost lists only."""
    found: dict[str, nn.Module] = {}
    for name, part in module.named_modules():
        inside = any(name.startswith(f"{other}.") for other in found)
        if inside or not isinstance(part, nn.ModuleList | nn.Sequential) or not len(part):
            continue
        items = list(part.named_children())
        if len({type(item) for _, item in items}) == 1 and any(items[0][1].children()):
            found |= {f"{name}.{key}": item for key, item in items}
    return list(found.values())
