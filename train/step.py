"""The gradient of one global batch, whatever it is cut into.

With one micro-batch a process: forward, loss, backward. With K of them, the exact cached way of GradCache (Gao et al.
2021): embed all without gradient, take the one global loss of the embeddings, and run the towers again to carry its
gradient into the weights. Each micro-batch runs under random numbers of its own (seed, step, number), so both ways,
and every number of processes, drop the same units.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .gather import gather_rows
from .losses.base import Loss
from .order import generator
from .sharding import average_numbers, bare, gradients_kept_back


@dataclass(frozen=True)
class MicroBatch:
    """What one forward pass takes, on the device: uint8 [m, 3, S, S], int64 [m, T]."""

    images: Tensor
    tokens: Tensor


def backward(
    loss: Loss,
    towers: nn.Module,
    micro_batches: Sequence[MicroBatch],
    *,
    groups_LC: Tensor,
    rank: int,
    seed: int,
    step: int,
) -> Tensor:
    """Add the gradient of the global loss to the weights; return this process's part of the loss (their mean is it).

    ``towers`` is :class:`train.towers.Towers`, bare, wrapped or sharded by ``sharding.distribute``.
    """
    first = rank * len(micro_batches)
    offset = rank * len(groups_LC)
    if len(micro_batches) == 1:
        _seed(seed, step, first)
        image_LD, text_LD, scale, bias = towers(micro_batches[0].images, micro_batches[0].tokens)
        value = loss.compute(
            image_LD, text_LD, scale=scale, bias=bias, groups_LC=groups_LC, offset=offset, gather=gather_rows
        )
        value.backward()
        value = value.detach()
    else:
        value = _backward_cached(loss, towers, micro_batches, groups_LC, offset=offset, seeds=(seed, step, first))
    average_numbers(towers)
    return value


def _backward_cached(
    loss: Loss,
    towers: nn.Module,
    micro_batches: Sequence[MicroBatch],
    groups_LC: Tensor,
    *,
    offset: int,
    seeds: tuple[int, int, int],
) -> Tensor:
    seed, step, first = seeds
    embed = bare(towers)
    rows = []
    with torch.no_grad():
        for number, part in enumerate(micro_batches):
            _seed(seed, step, first + number)
            rows.append(embed(part.images, part.tokens))
    images, texts = (torch.cat([row[i] for row in rows]).requires_grad_() for i in (0, 1))
    scale, bias = (rows[0][i].clone().requires_grad_() for i in (2, 3))
    value = loss.compute(images, texts, scale=scale, bias=bias, groups_LC=groups_LC, offset=offset, gather=gather_rows)
    value.backward()
    start = 0
    for number, part in enumerate(micro_batches):
        last = number == len(micro_batches) - 1
        stop = start + len(part.images)
        # One all-reduce in all: forward and backward of the others stay local.
        with nullcontext() if last else gradients_kept_back(towers):
            _seed(seed, step, first + number)
            image_md, text_md, scale_out, bias_out = towers(part.images, part.tokens)
            carried = _carry(image_md, images, start, stop) + _carry(text_md, texts, start, stop)
            if last:  # temperature and bias count once
                for output, leaf in ((scale_out, scale), (bias_out, bias)):
                    if leaf.grad is not None and output.requires_grad:
                        carried = carried + (output * leaf.grad).sum()
            carried.backward()
        start = stop
    return value.detach()


def _carry(output_md: Tensor, cached_LD: Tensor, start: int, stop: int) -> Tensor:
    """A number whose gradient with respect to the tower's output is the cached one."""
    grad = cached_LD.grad
    assert grad is not None
    return (output_md * grad[start:stop]).sum()


def _seed(seed: int, step: int, micro_batch: int) -> None:
    torch.manual_seed(int(generator(seed, "dropout", step, micro_batch).integers(2**63)))
