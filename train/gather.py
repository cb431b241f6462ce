"""Collect rows from all processes so that the gradient finds its way back to the process that made them."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def gather_rows(rows_LD: Tensor) -> Tensor:
    """[L, ...] of each process -> [W*L, ...] in the order of the ranks; every process must have the same L.

    The backward pass sums what all processes want of a row, which is the gradient of the *sum* of their losses;
    DistributedDataParallel's mean over processes then makes it that of the mean.
    """
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return rows_LD
    if rows_LD.is_floating_point():
        return _GatherRows.apply(rows_LD)  # type: ignore[return-value]  # autograd.Function is untyped
    return _all_gather(rows_LD)


class _GatherRows(torch.autograd.Function):
    """all_gather forward; sum over processes and own slice backward."""

    @staticmethod
    def forward(ctx: Any, rows_LD: Tensor) -> Tensor:
        ctx.num_local = len(rows_LD)
        return _all_gather(rows_LD)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        # all_reduce and not reduce_scatter: gloo sums it in a fixed order and needs no second code path.
        grad_BD = grad_outputs[0].contiguous().clone()
        dist.all_reduce(grad_BD)
        start = dist.get_rank() * ctx.num_local
        return grad_BD[start : start + ctx.num_local]


def _all_gather(rows: Tensor) -> Tensor:
    parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, rows.contiguous())
    return torch.cat(parts)
