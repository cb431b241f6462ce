"""What is frozen is frozen, in each kind of architecture."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from iconoclip import models, plugins
from iconoclip.errors import ModelError
from train import layers, towers
from train.config import FreezeConfig
from train.losses.base import Loss
from train.step import MicroBatch, backward


def _trained(model: models.Model) -> set[str]:
    return {name for name, parameter in model.module.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("kind", ["clip", "siglip2", "xlm_roberta"])
@pytest.mark.parametrize("part", ["image", "text", "token_table"])
def test_a_part_is_frozen_and_the_rest_is_not(kind: str, part: str, model_dirs: Callable[[str], Path]) -> None:
    model = models.load(str(model_dirs(kind)))
    everything = _trained(model)
    towers.freeze_parts(model, FreezeConfig(**{part: True}))
    frozen = everything - _trained(model)
    is_image = {name for name in everything if name.startswith("visual.")}
    if part == "image":
        assert frozen == is_image
    elif part == "text":
        assert frozen == everything - is_image - {"logit_scale", "logit_bias"}
    else:
        assert len(frozen) == 1
        assert next(iter(frozen)).endswith(("token_embedding.weight", "word_embeddings.weight"))


@pytest.mark.parametrize("kind", ["clip", "siglip2", "xlm_roberta"])
@pytest.mark.parametrize("tower", ["image", "text"])
def test_the_first_blocks_are_frozen_with_all_below(kind: str, tower: str, model_dirs: Callable[[str], Path]) -> None:
    model = models.load(str(model_dirs(kind)))
    blocks = {name: p.layer for name, p in layers.places(model.module).items() if p.is_in_block and p.tower == tower}
    everything = _trained(model)
    towers.freeze_parts(model, FreezeConfig(**{f"{tower}_blocks": 1}))
    assert {name for name, layer in blocks.items() if layer > 1} <= _trained(model)
    assert not {name for name, layer in blocks.items() if layer == 1} & _trained(model)
    frozen = everything - _trained(model)
    below = ("conv1", "patch_embed", "positional_embedding", "pos_embed", "token_embedding", "word_embeddings")
    assert any(word in name for name in frozen for word in below)
    assert not any("logit" in name or name in ("text_projection", "visual.proj") for name in frozen)


def test_more_blocks_than_there_are_is_an_error(tiny_model_dir: Path) -> None:
    with pytest.raises(ModelError, match=r"got 2 of 2 blocks.*freeze.image: true"):
        towers.freeze_parts(models.load(str(tiny_model_dir)), FreezeConfig(image_blocks=2))


def test_a_pattern_freezes_what_it_fits_and_must_fit_something(tiny_model_dir: Path) -> None:
    model = models.load(str(tiny_model_dir))
    everything = _trained(model)
    towers.freeze_parts(model, FreezeConfig(names=["*.ln_*", "visual.conv1.*"], logits=True))
    frozen = everything - _trained(model)
    expected = {name for name in everything if ".ln_" in name or name.startswith("visual.conv1")} | {"logit_scale"}
    assert frozen == expected
    with pytest.raises(ModelError, match=r"'visual.conv2.weight' fits no weight; there are visual.conv1.weight"):
        towers.freeze_parts(model, FreezeConfig(names=["visual.conv2.weight"]))


def test_freezing_everything_is_an_error(tiny_model_dir: Path) -> None:
    with pytest.raises(ModelError, match="nothing is left to train"):
        towers.freeze_parts(models.load(str(tiny_model_dir)), FreezeConfig(names=["*"]))


def test_a_frozen_tower_stays_in_evaluation_mode(tiny_model_dir: Path) -> None:
    model = models.load(str(tiny_model_dir))
    towers.Towers(model, FreezeConfig(text=True)).train()
    assert model.module.visual.training
    assert not model.module.transformer.training


def test_the_bias_comes_with_the_loss_that_uses_it(model_dirs: Callable[[str], Path], tmp_path: Path) -> None:
    model = models.load(str(model_dirs("clip")))
    towers.give_bias(model, uses_bias=True)
    assert model.module.logit_bias.item() == -10.0
    models.save(model, tmp_path / "saved")
    assert models.load(str(tmp_path / "saved")).module.logit_bias.item() == -10.0
    siglip = models.load(str(model_dirs("siglip2")))
    towers.give_bias(siglip, uses_bias=False)
    assert not siglip.module.logit_bias.requires_grad


def test_batch_normalisation_is_refused_only_where_it_would_lie(tiny_model_dir: Path) -> None:
    model = models.load(str(tiny_model_dir))
    model.module.visual.extra = torch.nn.BatchNorm2d(3)
    towers.refuse_batch_norm(model, num_parts=1)
    with pytest.raises(ModelError, match=r"visual\.extra is a batch normalisation"):
        towers.refuse_batch_norm(model, num_parts=2)
    model.module.visual.requires_grad_(False)
    towers.refuse_batch_norm(model, num_parts=2)


def test_pixels_are_normalised_as_in_evaluation(tiny_model_dir: Path, make_jpeg: Callable[..., bytes]) -> None:
    import io

    import numpy as np
    from PIL import Image

    model = models.load(str(tiny_model_dir))
    image = Image.open(io.BytesIO(make_jpeg(3, size_px=(32, 32))))
    pixels = torch.from_numpy(np.asarray(image).transpose(2, 0, 1).copy())[None]
    tokens = model.tokenizer(["a lion"])
    ours = towers.Towers(model, FreezeConfig()).eval()(pixels, tokens)
    with torch.no_grad():
        theirs = model.module.encode_image(model.preprocess(image)[None], normalize=True)
    assert torch.allclose(ours[0], theirs, atol=1e-5)


@pytest.mark.parametrize("kind", ["clip", "siglip2", "xlm_roberta"])
@pytest.mark.parametrize("freeze", [{}, {"image": True}, {"text": True}, {"token_table": True, "text_blocks": 1}])
def test_every_trained_weight_gets_a_gradient(kind: str, freeze: dict, model_dirs: Callable[[str], Path]) -> None:
    # DistributedDataParallel waits for the gradient of every weight that asks for one.
    model = models.load(str(model_dirs(kind)))
    frozen = FreezeConfig(**freeze)
    loss = plugins.load("train.losses", "sigmoid" if kind == "siglip2" else "softmax", Loss)
    towers.give_bias(model, uses_bias=loss.uses_bias)
    towers.freeze_parts(model, frozen)
    wrapped = towers.Towers(model, frozen).train()
    size = model.image_size
    images = torch.arange(4 * 3 * size * size).reshape(4, 3, size, size).to(torch.uint8)
    tokens = model.tokenizer(["a lion", "a ship", "a tower", "an eagle"])
    groups = torch.arange(12).reshape(4, 3)
    chosen = loss.model_validate({"kind": "sigmoid" if kind == "siglip2" else "softmax"})
    backward(chosen, wrapped, [MicroBatch(images, tokens)], groups_LC=groups, rank=0, seed=0, step=0)
    without = [name for name, p in model.module.named_parameters() if p.requires_grad and p.grad is None]
    assert not without
