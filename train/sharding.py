"""How several processes hold the weights: a copy each (DDP) or a share each (FSDP2), behind the same few functions.

With FSDP2 every weight is a ``DTensor`` of which a process holds a slice of rows; the matrix is put together for the
time that it is used. Temperature and bias stay whole: a number has no rows. Rank 0 keeps a whole copy of the model in
main memory, which is brought up to date before it is saved, so that a checkpoint does not know who trained it.
"""

import copy
import inspect
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from iconoclip.errors import ConfigError
from iconoclip.models import Model

from .processes import Processes
from .speedups import blocks
from .towers import Towers


@dataclass
class Trained:
    """What is trained: ``wrapped`` is called in a step, ``model`` and ``optimizer`` hold the same weights.

    ``whole`` is rank 0's copy of a sharded model and its optimizer.
    """

    wrapped: nn.Module
    model: Model
    optimizer: torch.optim.Optimizer
    is_sharded: bool = False
    whole: tuple[Model, torch.optim.Optimizer] | None = None

    @property
    def towers(self) -> Towers:
        """The towers themselves."""
        towers = bare(self.wrapped)
        assert isinstance(towers, Towers)
        return towers

    def collect(self) -> tuple[Model, torch.optim.Optimizer]:
        """Model and optimizer with whole tensors, for rank 0; to be called by every process."""
        if not self.is_sharded:
            return self.model, self.optimizer
        model, optimizer = self.whole or (None, None)
        _copy_weights(self.model.module, model.module if model else None)
        _copy_moments(self.optimizer, optimizer)
        return self.whole or (self.model, self.optimizer)


def distribute(
    towers: Towers, model: Model, optimizer: torch.optim.Optimizer, processes: Processes, *, kind: str
) -> Trained:
    """Let the processes share the work on ``towers``; weights and optimizer must be the same in all of them."""
    wrapped = processes.accelerator.prepare_model(towers, evaluation_mode=True)  # places it and sets its precision
    if processes.world == 1:
        return Trained(wrapped, model, optimizer)
    if kind == "ddp":
        # No device_ids: where a task sees but its own device, that has another number than the task.
        return Trained(DistributedDataParallel(wrapped, gradient_as_bucket_view=True), model, optimizer)
    whole = None
    if processes.is_main:
        module, its_optimizer = copy.deepcopy((model.module, optimizer))
        whole = replace(model, module=module.cpu()), its_optimizer
    _shard(model.module, optimizer, processes)
    return Trained(wrapped, model, optimizer, is_sharded=True, whole=whole)


def bare(wrapped: nn.Module) -> nn.Module:
    """The towers themselves; a call of them exchanges no gradients."""
    return wrapped.module if isinstance(wrapped, DistributedDataParallel) else wrapped


@contextmanager
def gradients_kept_back(wrapped: nn.Module) -> Iterator[None]:
    """Forward and backward passes in here leave their gradients in this process; the next one outside exchanges all."""
    if isinstance(wrapped, DistributedDataParallel):
        with wrapped.no_sync():
            yield
        return
    sharded = _sharded_root(wrapped)
    if sharded is not None:
        sharded.set_requires_gradient_sync(False)
    try:
        yield
    finally:
        if sharded is not None:
            sharded.set_requires_gradient_sync(True)


def average_numbers(wrapped: nn.Module) -> None:
    """Average the gradients of the weights that are not sharded; does nothing without FSDP2."""
    if _sharded_root(wrapped) is None:
        return
    grads = [p.grad for p in wrapped.parameters() if p.grad is not None and not _is_dtensor(p)]
    if not grads:
        return
    joined = torch.stack([grad.reshape(()) for grad in grads])
    dist.all_reduce(joined)
    for grad, value in zip(grads, joined / dist.get_world_size(), strict=True):
        grad.copy_(value)


def clip_grad_norm(parameters: Sequence[nn.Parameter], largest: float | None) -> float:
    """Scale the gradients down to a norm of ``largest`` over all of them; return the norm before."""
    limit = math.inf if largest is None else largest
    if not any(_is_dtensor(parameter) for parameter in parameters):
        return float(nn.utils.clip_grad_norm_(parameters, limit))
    grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
    own = [grad.to_local() for grad in grads if _is_dtensor(grad)]  # type: ignore[operator]
    squares = torch.stack([grad.float().square().sum() for grad in own]).sum()
    dist.all_reduce(squares)
    rest = [grad for grad in grads if not _is_dtensor(grad)]
    norm = torch.sqrt(squares + sum(grad.float().square().sum() for grad in rest))
    factor = torch.clamp(limit / (norm + 1e-6), max=1.0)
    for grad in (*own, *rest):
        grad.mul_(factor.to(grad.dtype))
    return float(norm)


def _shard(module: nn.Module, optimizer: torch.optim.Optimizer, processes: Processes) -> None:
    """Shard the weights block by block, and give the optimizer its shares in place of the whole ones."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
    from torch.distributed.tensor import distribute_tensor

    if "ignored_params" not in inspect.signature(fully_shard).parameters:
        raise ConfigError("distributed: fsdp2 needs torch 2.7 or newer; update torch, or write ddp")
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    mesh = init_device_mesh(processes.device.type, (processes.world,))
    numbers = {parameter for parameter in module.parameters() if parameter.ndim == 0}
    for block in blocks(module):
        fully_shard(block, mesh=mesh)
    fully_shard(module, mesh=mesh, ignored_params=numbers)
    for method in ("encode_image", "encode_text"):
        register_fsdp_forward_method(module, method)
    shares = dict(module.named_parameters())
    moments = dict(optimizer.state)
    optimizer.state.clear()
    for group in optimizer.param_groups:
        for place, before in enumerate(group["params"]):
            share = group["params"][place] = shares[names[id(before)]]
            if before in moments:
                optimizer.state[share] = {
                    key: distribute_tensor(value, mesh, share.placements)  # type: ignore[attr-defined]
                    if _is_dtensor(share) and value.shape == share.shape
                    else value
                    for key, value in moments[before].items()
                }


def _sharded_root(wrapped: nn.Module):
    module = getattr(bare(wrapped), "module", None)
    return module if hasattr(module, "set_requires_gradient_sync") else None


def _is_dtensor(tensor: Tensor) -> bool:
    return hasattr(tensor, "full_tensor")


def _whole(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if _is_dtensor(tensor) else tensor  # type: ignore[operator]


@torch.no_grad()
def _copy_weights(module: nn.Module, target: nn.Module | None) -> None:
    into = dict(target.state_dict()) if target is not None else {}
    for name, tensor in module.state_dict().items():
        value = _whole(tensor)
        if name in into:
            into[name].copy_(value)


@torch.no_grad()
def _copy_moments(optimizer: torch.optim.Optimizer, target: torch.optim.Optimizer | None) -> None:
    for number, group in enumerate(optimizer.param_groups):
        for place, parameter in enumerate(group["params"]):
            state = {key: _whole(value) for key, value in optimizer.state.get(parameter, {}).items()}
            if target is not None and state:
                ours = target.param_groups[number]["params"][place]
                target.state[ours] = {key: value.cpu().clone() for key, value in state.items()}
