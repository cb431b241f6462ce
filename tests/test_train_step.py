"""Cached accumulation against one backward pass over all micro-batches, on a real model with dropout."""

import copy

import pytest
import torch

from iconoclip import models, plugins
from train import towers
from train.config import FreezeConfig
from train.losses.base import Loss
from train.step import MicroBatch, _seed, backward


def _dropping(module: torch.nn.Module) -> torch.nn.Module:
    """Drop units after every layer norm of both towers; CLIP's own towers have no dropout to switch on."""
    for part in module.modules():
        if isinstance(part, torch.nn.LayerNorm):
            part.register_forward_hook(lambda own, _, out: torch.nn.functional.dropout(out, 0.1, own.training))
    return module


def _model(folder, kind: str, freeze: FreezeConfig) -> tuple[models.Model, towers.Towers]:
    model = models.load(str(folder))
    loss = plugins.load("train.losses", kind, Loss)
    towers.give_bias(model, uses_bias=loss.uses_bias)
    towers.freeze_parts(model, freeze)
    model.module.double()
    wrapped = towers.Towers(model, freeze).double()
    _dropping(model.module)
    return model, wrapped.train()


def _batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (12, 3, 32, 32), generator=generator, dtype=torch.uint8)
    tokens = torch.randint(1, 49000, (12, 24), generator=generator)
    return images, tokens, torch.arange(36).reshape(12, 3)


def _parts(count: int) -> list[MicroBatch]:
    images, tokens, _ = _batch()
    return [MicroBatch(i, t) for i, t in zip(images.chunk(count), tokens.chunk(count), strict=True)]


def _grads(model: models.Model) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in model.module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
@pytest.mark.parametrize("count", [2, 4])
def test_cached_accumulation_is_the_gradient_of_the_big_batch(kind: str, count: int, tiny_model_dir) -> None:
    model, wrapped = _model(tiny_model_dir, kind, FreezeConfig())
    groups = _batch()[2]
    loss = plugins.load("train.losses", kind, Loss).model_validate({"kind": kind})
    # The reference: each micro-batch under its own random numbers, one loss and one backward over all of them.
    rows = []
    for number, part in enumerate(_parts(count)):
        _seed(0, 3, number)
        rows.append(wrapped(part.images, part.tokens))
    image, text = torch.cat([row[0] for row in rows]), torch.cat([row[1] for row in rows])
    options = {"groups_LC": groups, "offset": 0, "gather": lambda values: values}
    reference = loss.compute(image, text, scale=rows[0][2], bias=rows[0][3], **options)
    reference.backward()
    expected = _grads(model)
    model.module.zero_grad()

    value = backward(loss, wrapped, _parts(count), groups_LC=groups, rank=0, seed=0, step=3)

    assert float(value) == pytest.approx(reference.item(), rel=1e-12)
    got = _grads(model)
    assert got.keys() == expected.keys()
    assert "logit_scale" in got
    for name, grad in expected.items():
        assert float((got[name] - grad).norm()) <= 1e-11 * float(grad.norm().clamp_min(1e-9)), name


def test_another_seed_drops_other_units(tiny_model_dir) -> None:
    model, wrapped = _model(tiny_model_dir, "softmax", FreezeConfig())
    loss = plugins.load("train.losses", "softmax", Loss).model_validate({"kind": "softmax"})
    grads = []
    for seed in (0, 0, 1):
        model.module.zero_grad()
        backward(loss, wrapped, _parts(2), groups_LC=_batch()[2], rank=0, seed=seed, step=0)
        grads.append(_grads(model)["text_projection"])
    assert torch.equal(grads[0], grads[1])
    assert not torch.allclose(grads[0], grads[2])


def test_a_frozen_image_tower_gets_no_gradient_in_either_way(tiny_model_dir) -> None:
    freeze = FreezeConfig(image=True)
    loss = plugins.load("train.losses", "softmax", Loss).model_validate({"kind": "softmax"})
    for count in (1, 3):
        model, wrapped = _model(tiny_model_dir, "softmax", freeze)
        before = copy.deepcopy(model.module.visual.state_dict())
        backward(loss, wrapped, _parts(count), groups_LC=_batch()[2], rank=0, seed=0, step=0)
        assert not any(name.startswith("visual.") for name in _grads(model))
        assert "token_embedding.weight" in _grads(model)
        assert all(torch.equal(before[name], value) for name, value in model.module.visual.state_dict().items())
