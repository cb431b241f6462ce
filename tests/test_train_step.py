"""The gradient of a global batch, cut into K micro-batches on each of W processes, against one backward pass over all.

The model is a real one with dropout after every norm and dropped patches. The reference embeds each of the K x W
micro-batches under its own random numbers, takes one loss of all rows, and goes back once.
"""

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from iconoclip import models, plugins
from train import optim, sharding, speedups, towers
from train.config import FreezeConfig, OptimConfig, TrainConfig
from train.loop import run_training
from train.losses.base import Loss
from train.step import MicroBatch, _seed, backward

BATCH = 16
LARGEST_ERROR = {torch.float32: 1e-5, torch.float64: 1e-11}  # of a weight's gradient, relative to its norm


@dataclass(frozen=True)
class Case:
    """One way to come to the gradient."""

    loss: str = "softmax"
    dtype: torch.dtype = torch.float64
    num_micro: int = 1
    distributed: str = "ddp"
    recomputes: bool = False
    backend: str | None = None
    patch_dropout: float = 0.3
    seed: int = 0


@dataclass(frozen=True)
class Found:
    """What came out in one process."""

    errors: dict[str, float]  # of each weight's gradient
    value_error: float
    num_scattered: int  # exchanges of FSDP2
    num_reduced: int  # numbers in the exchanges of DDP
    num_weights: int
    num_blocks: int
    first_layer: Tensor  # gradient of the first layer of pixels


@pytest.mark.parametrize("world", [1, 2, 4])
def test_cached_accumulation_is_the_gradient_of_the_big_batch(world: int, tiny_model_dir: Path, crew) -> None:
    grid = [
        Case(loss, dtype, num_micro)
        for loss in ("softmax", "sigmoid")
        for dtype in (torch.float32, torch.float64)
        for num_micro in (1, 2, 4)
    ]
    found = crew.run(world, find_all, tiny_model_dir, grid)
    for number, case in enumerate(grid):
        _check(case, [per_rank[number] for per_rank in found], world)


def test_shares_of_the_weights_give_the_same_gradient(tiny_model_dir: Path, crew) -> None:
    grid = [
        Case(loss, dtype, num_micro, distributed="fsdp2")
        for loss in ("softmax", "sigmoid")
        for dtype in (torch.float32, torch.float64)
        for num_micro in (1, 4)
    ]
    found = crew.run(2, find_all, tiny_model_dir, grid)
    for number, case in enumerate(grid):
        _check(case, [per_rank[number] for per_rank in found], 2)


def trains_and_counts(path: Path) -> tuple[int, int]:
    """In one of the processes: numbers exchanged by DDP in a whole run, and numbers trained."""
    counted: list[_Counted] = []
    real = sharding.distribute

    def distribute(*arguments: Any, **options: Any) -> sharding.Trained:
        trained = real(*arguments, **options)
        counted.append(_Counted(trained))
        return trained

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharding, "distribute", distribute)
        out = run_training(TrainConfig.load(path))
    return sum(counted[0].sizes), json.loads((out / "run.json").read_text())["model"]["num_trained"]


@pytest.mark.parametrize("micro_batch", [2, 4])
def test_a_run_exchanges_each_gradient_once_a_step(micro_batch: int, write_config: Callable[..., Path], crew) -> None:
    # 3 steps of 8 pairs, cut in two processes into 2 or 1 micro-batches each; losses and figures are exchanged besides.
    path = write_config(loss="sigmoid", samples=24, micro_batch=micro_batch, preflight=False)
    for exchanged, trained in crew.run(2, trains_and_counts, path):
        assert exchanged == 3 * trained


@pytest.mark.parametrize("kind", ["clip", "siglip2", "xlm_roberta"])
def test_recomputed_activations_give_the_same_gradient(kind: str, model_dirs: Callable[[str], Path]) -> None:
    for num_micro in (1, 4):
        case = Case(num_micro=num_micro, recomputes=True)
        with _alone():
            _check(case, [find(model_dirs(kind), case)], 1)


def test_recomputed_activations_of_shares_too(tiny_model_dir: Path, crew) -> None:
    case = Case(num_micro=2, recomputes=True, distributed="fsdp2")
    _check(case, [found[0] for found in crew.run(2, find_all, tiny_model_dir, [case])], 2)


def test_recomputing_keeps_less_in_memory(tiny_model_dir: Path) -> None:
    kept = []
    for recomputes in (False, True):
        wrapped = _trained(tiny_model_dir, Case(recomputes=recomputes)).wrapped
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, into=sizes: into.append(t.numel()) or t, lambda t: t):
            wrapped(*_batch()[:2])
        kept.append(sum(sizes))
    assert kept[1] < 0.6 * kept[0]


@pytest.mark.filterwarnings("ignore")  # the compiler looks at everything that a tensor has
def test_compiled_blocks_draw_the_same_numbers_in_both_passes(tiny_model_dir: Path) -> None:
    case = Case(num_micro=2, dtype=torch.float32, backend="inductor")
    with _alone():
        _check(case, [find(tiny_model_dir, case)], 1)


@pytest.mark.parametrize("patch_dropout", [0.0, 0.5])
def test_another_seed_drops_other_units_and_patches(patch_dropout: float, tiny_model_dir: Path) -> None:
    # Without dropped patches the units alone must make the difference; the first layer of pixels sees only patches.
    grads = [
        find(tiny_model_dir, Case(seed=seed, num_micro=2, patch_dropout=patch_dropout), drops_units=not patch_dropout)
        for seed in (0, 0, 1)
    ]
    assert torch.equal(grads[0].first_layer, grads[1].first_layer)
    assert _error(grads[2].first_layer, grads[0].first_layer) > 0.01


@pytest.mark.parametrize("kind", ["clip", "siglip2"])
def test_patches_are_dropped_in_training_only(kind: str, model_dirs: Callable[[str], Path]) -> None:
    model = models.load(str(model_dirs(kind)))
    first = next(iter(speedups.blocks(model.module.visual)))
    lengths: list[int] = []
    first.register_forward_pre_hook(lambda _, inputs: lengths.append(inputs[0].shape[1]))
    pixels = torch.zeros(1, 3, 32, 32)
    plain = model.module.encode_image(pixels)
    speedups.drop_patches(model, 0.5)
    assert torch.equal(model.module.eval().encode_image(pixels), plain)
    model.module.train().encode_image(pixels)
    num_prefix = lengths[0] % 4  # 16 or 4 patches, and a class token or none
    assert lengths[0] == lengths[1]
    assert lengths[2] - num_prefix == (lengths[0] - num_prefix) // 2


def test_a_frozen_image_tower_gets_no_gradient_in_either_way(tiny_model_dir: Path) -> None:
    freeze = FreezeConfig(image=True)
    for num_micro in (1, 4):
        trained = _trained(tiny_model_dir, Case(num_micro=num_micro, patch_dropout=0.0), freeze=freeze)
        before = copy.deepcopy(trained.model.module.visual.state_dict())
        _go_back(trained, Case(num_micro=num_micro))
        grads = _grads(trained.model.module)
        assert not any(name.startswith("visual.") for name in grads)
        assert "token_embedding.weight" in grads
        after = trained.model.module.visual.state_dict()
        assert all(torch.equal(before[name], value) for name, value in after.items())


def _check(case: Case, found: list[Found], world: int) -> None:
    for rank, one in enumerate(found):
        where = f"{case}, process {rank} of {world}"
        assert "logit_scale" in one.errors, where
        assert ("logit_bias" in one.errors) == (case.loss == "sigmoid"), where
        worst = max(one.errors, key=lambda name: one.errors[name])
        assert one.errors[worst] <= LARGEST_ERROR[case.dtype], f"{where}: {worst} is off by {one.errors[worst]:.1e}"
        assert one.value_error <= LARGEST_ERROR[case.dtype], where
        # Each gradient crosses once, however many micro-batches there are.
        if world > 1 and case.distributed == "ddp":
            assert one.num_reduced == one.num_weights, where
        elif world > 1:
            assert one.num_scattered == one.num_blocks + 1, where


def find_all(folder: Path, cases: list[Case]) -> list[Found]:
    """In one of the processes: all cases, one after the other, in one group."""
    with _group():
        return [find(folder, case) for case in cases]


def find(folder: Path, case: Case, *, drops_units: bool = True) -> Found:
    """Gradient of one case, held against the reference."""
    world = dist.get_world_size() if dist.is_initialized() else 1
    expected, expected_value = _reference(folder, case, world, drops_units)
    trained = _trained(folder, case, drops_units=drops_units)
    counted = _Counted(trained)
    with counted if trained.is_sharded else nullcontext():  # a mode keeps blocks from being compiled
        value = _go_back(trained, case)
    if world > 1:
        dist.all_reduce(value)
    got = _grads(trained.model.module)
    assert got.keys() == expected.keys()
    errors = {name: _error(got[name], grad) for name, grad in expected.items()}
    value_error = _error(value / world, expected_value)
    return Found(
        errors,
        value_error,
        counted.num_scattered,
        sum(counted.sizes),
        sum(grad.numel() for grad in got.values()),
        len(speedups.blocks(trained.model.module)),
        next(iter(grad for name, grad in got.items() if grad.ndim == 4)),
    )


def _error(got: Tensor, expected: Tensor) -> float:
    return float((got - expected).norm() / expected.norm().clamp_min(1e-9))


def _reference(folder: Path, case: Case, world: int, drops_units: bool) -> tuple[dict[str, Tensor], Tensor]:
    model, wrapped = _model(folder, case, FreezeConfig(), drops_units=drops_units)
    rows = []
    for number, part in enumerate(_parts(case.num_micro * world)):
        _seed(case.seed, 3, number)
        rows.append(wrapped(part.images, part.tokens))
    images, texts = (torch.cat([row[i] for row in rows]) for i in (0, 1))
    groups = _batch()[2]
    options = {"groups_LC": groups, "offset": 0, "gather": lambda values: values}
    value = _loss(case).compute(images, texts, scale=rows[0][2], bias=rows[0][3], **options)
    value.backward()
    return _grads(model.module), value.detach()


def _go_back(trained: sharding.Trained, case: Case) -> Tensor:
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    num_local = BATCH // world
    parts = _parts(case.num_micro * world)[rank * case.num_micro : (rank + 1) * case.num_micro]
    groups = _batch()[2][rank * num_local : (rank + 1) * num_local]
    return backward(_loss(case), trained.wrapped, parts, groups_LC=groups, rank=rank, seed=case.seed, step=3)


def _trained(
    folder: Path, case: Case, *, freeze: FreezeConfig | None = None, drops_units: bool = True
) -> sharding.Trained:
    freeze = freeze or FreezeConfig()
    model, wrapped = _model(folder, case, freeze, drops_units=drops_units)
    if case.recomputes:
        speedups.recompute_activations(model)
    if case.backend:
        # One tower shows it as well as two, in half the time.
        speedups.compile_blocks(replace(model, module=model.module.visual), backend=case.backend)
    optimizer = optim.make_optimizer(model.module, OptimConfig(lr=1e-3))
    processes = _TestProcesses()
    return sharding.distribute(wrapped, model, optimizer, processes, kind=case.distributed)  # type: ignore[arg-type]


class _TestAccelerator:
    def prepare_model(self, module: nn.Module, **_: Any) -> nn.Module:
        return module


class _TestProcesses:
    accelerator = _TestAccelerator()
    device = torch.device("cpu")

    @property
    def world(self) -> int:
        return dist.get_world_size() if dist.is_initialized() else 1

    @property
    def is_main(self) -> bool:
        return not dist.is_initialized() or dist.get_rank() == 0


@contextmanager
def _group() -> Iterator[None]:
    dist.init_process_group("gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


@contextmanager
def _alone() -> Iterator[None]:
    """Leave no trace of compilation for other tests."""
    try:
        yield
    finally:
        torch.compiler.reset()


class _Counted(TorchDispatchMode):
    """Counts the exchanges of gradients of weights; those of embeddings are not among them."""

    def __init__(self, trained: sharding.Trained) -> None:
        super().__init__()
        self.num_scattered = 0
        self.sizes: list[int] = []
        if isinstance(trained.wrapped, nn.parallel.DistributedDataParallel):
            trained.wrapped.register_comm_hook(None, self._reduce)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.num_scattered += "reduce_scatter" in str(func)
        return func(*args, **(kwargs or {}))

    def _reduce(self, _: object, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
        self.sizes.append(bucket.buffer().numel())
        work = dist.all_reduce(bucket.buffer().div_(dist.get_world_size()), async_op=True)
        return work.get_future().then(lambda done: done.value()[0])


def _loss(case: Case) -> Loss:
    masks = {"same_work": "ignore", "same_iconclass": "ignore"}
    return plugins.load("train.losses", case.loss, Loss).model_validate({"kind": case.loss, **masks})


def _model(folder: Path, case: Case, freeze: FreezeConfig, *, drops_units: bool) -> tuple[models.Model, towers.Towers]:
    model = models.load(str(folder))
    towers.give_bias(model, uses_bias=_loss(case).uses_bias)
    towers.freeze_parts(model, freeze)
    model.module.to(case.dtype)
    if case.patch_dropout:
        speedups.drop_patches(model, case.patch_dropout)
    if drops_units:
        _drop_units(model.module)
    wrapped = towers.Towers(model, freeze).to(case.dtype)
    return model, wrapped.train()


def _drop_units(module: nn.Module) -> None:
    """Drop units after every norm of both towers; CLIP's own towers have no dropout to switch on."""
    for part in module.modules():
        if isinstance(part, nn.LayerNorm):
            part.register_forward_hook(lambda own, _, out: nn.functional.dropout(out, 0.1, own.training))


def _batch() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (BATCH, 3, 32, 32), generator=generator, dtype=torch.uint8)
    tokens = torch.randint(4, 60, (BATCH, 24), generator=generator)
    groups = torch.arange(BATCH * 11).reshape(BATCH, 11)
    groups[13, 1] = groups[2, 1]  # one caption twice, in two processes: right for both pictures
    groups[9, 2] = groups[4, 2]  # two pages of one work, and two pictures with one notation: ignored
    groups[11, 3] = groups[1, 3]
    return images, tokens, groups


def _parts(count: int) -> list[MicroBatch]:
    images, tokens, _ = _batch()
    return [MicroBatch(i, t) for i, t in zip(images.chunk(count), tokens.chunk(count), strict=True)]


def _grads(module: nn.Module) -> dict[str, Tensor]:
    grads = {name: parameter.grad for name, parameter in module.named_parameters() if parameter.grad is not None}
    return {name: (g.full_tensor() if hasattr(g, "full_tensor") else g).clone() for name, g in grads.items()}
