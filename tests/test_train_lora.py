"""Adapters: every one learns, merged weights are the same model, frozen weights stay as they are to the last bit."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from iconoclip import models, plugins
from iconoclip.errors import ModelError
from train import checkpoint, layers, lora, optim, towers
from train.checkpoint import TrainerState
from train.config import FreezeConfig, LoraConfig, OptimConfig
from train.losses.base import Loss
from train.step import MicroBatch, backward

KINDS = ("clip", "siglip2", "xlm_roberta")
TEXTS = ["a lion", "une tour", "een schip", "an eagle"]
SMALL = LoraConfig(rank=4, alpha=8, dropout=0.1)


def _inputs(model: models.Model) -> tuple[torch.Tensor, torch.Tensor]:
    size = model.image_size
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (4, 3, size, size), generator=generator, dtype=torch.uint8)
    return images, model.tokenizer(TEXTS)


def _train(model: models.Model, num_steps: int, *, freeze: FreezeConfig | None = None) -> torch.optim.AdamW:
    wrapped = towers.Towers(model, freeze or FreezeConfig()).train()
    optimizer = optim.make_optimizer(model.module, OptimConfig(lr=1e-2))
    loss = plugins.load("train.losses", "softmax", Loss).model_validate({"kind": "softmax"})
    groups = torch.arange(12).reshape(4, 3)
    for step in range(num_steps):
        optimizer.zero_grad()
        backward(loss, wrapped, [MicroBatch(*_inputs(model))], groups_LC=groups, rank=0, seed=0, step=step)
        if step == 0:
            lora.check_reached(model.module)
        optimizer.step()
    model.module.eval()
    return optimizer


def _adapted(folder: Path, config: LoraConfig, *, seed: int = 0) -> models.Model:
    model = models.load(str(folder))
    towers.give_bias(model, uses_bias=False)
    lora.adapt(model, config, seed=seed)
    return model


def _embed(model: models.Model) -> torch.Tensor:
    with torch.no_grad():
        image, text, _, _ = towers.Towers(model, FreezeConfig()).eval()(*_inputs(model))
    return torch.cat([image, text])


def _state(config: LoraConfig) -> TrainerState:
    return TrainerState(
        step=3,
        samples_seen=12,
        num_corrupt=0,
        seconds=1.0,
        max_log_scale=4.6,
        best_score=None,
        best_step=None,
        config={"lora": config.to_json()},
        data_sha256="d",
        base_weights_sha256="w",
        num_processes=1,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_attention_written_as_linear_layers_is_the_same(kind: str, model_dirs: Callable[[str], Path]) -> None:
    plain, other = (models.load(str(model_dirs(kind))) for _ in range(2))
    lora._write_attention_as_linear(other.module, SMALL)
    attentions = [part for part in other.module.modules() if isinstance(part, lora.LinearAttention)]
    assert len(attentions) == {"clip": 4, "siglip2": 2, "xlm_roberta": 2}[kind]
    assert torch.allclose(_embed(other), _embed(plain), atol=1e-6)
    # In training mode nn.MultiheadAttention takes another path, with the same gradient.
    for model in (plain, other):
        torch.manual_seed(0)  # transformers' tower drops units
        image, text, _, _ = towers.Towers(model, FreezeConfig()).train()(*_inputs(model))
        (image @ text.T).sum().backward()
    for name, part in plain.module.named_modules():
        if isinstance(part, nn.MultiheadAttention):
            ours = other.module.get_submodule(name)
            assert torch.allclose(ours.in_proj.weight.grad, part.in_proj_weight.grad, atol=1e-6)
            assert torch.allclose(ours.out_proj.weight.grad, part.out_proj.weight.grad, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("targets", ["attn", "attn_mlp"])
def test_adapters_begin_as_the_base_and_all_of_them_learn(
    kind: str, targets: str, model_dirs: Callable[[str], Path]
) -> None:
    base = models.load(str(model_dirs(kind)))
    before = {name: tensor.clone() for name, tensor in base.module.state_dict().items()}
    config = LoraConfig(rank=4, alpha=8, dropout=0.1, targets=targets)  # type: ignore[arg-type]
    model = _adapted(model_dirs(kind), config)
    assert torch.allclose(_embed(model), _embed(base), atol=1e-6)
    adapters = {name for name, _ in model.module.named_parameters() if ".lora_" in name}
    trained = {name for name, parameter in model.module.named_parameters() if parameter.requires_grad}
    assert trained == adapters | {"logit_scale"}
    # Two blocks (timm's test_vit six) of packed and output projection, or query, key, value and output; two of the MLP.
    per_block = {"own": 2, "timm": 2, "hf": 4}
    image, text = {"clip": ("own", "own"), "siglip2": ("timm", "own"), "xlm_roberta": ("own", "hf")}[kind]
    depths = layers.depths(model.module)
    more = 2 if targets == "attn_mlp" else 0
    expected = depths["image"] * (per_block[image] + more) + depths["text"] * (per_block[text] + more)
    assert len(adapters) == 2 * expected

    _train(model, 2)
    for name, parameter in model.module.named_parameters():
        if ".lora_" in name:  # at the first step only B had one: it begins at zero
            assert parameter.grad is not None
            assert parameter.grad.abs().max() > 0, name
    after = lora.plain_state(model.module, config)
    assert after.keys() == before.keys()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert len(moved) >= expected
    # the frozen weights under the adapters are those of the base to the last bit, however often they were used
    live = model.module.state_dict()
    for name, tensor in before.items():
        if name not in moved:
            continue
        under = name.replace(".weight", ".base_layer.weight")
        packed = name.replace(".in_proj_weight", ".in_proj.base_layer.weight")
        if name not in ("logit_scale", "logit_bias"):
            assert torch.equal(live[packed if packed in live else under], tensor), name


@pytest.mark.parametrize("kind", KINDS)
def test_merged_weights_give_the_same_embeddings(kind: str, model_dirs: Callable[[str], Path], tmp_path: Path) -> None:
    model = _adapted(model_dirs(kind), SMALL)
    optimizer = _train(model, 3)
    folder = checkpoint.save(tmp_path, model, optimizer, _state(SMALL), is_best=False, keep=2, adapters=SMALL)
    merged = models.load(str(folder))
    assert not lora.is_adapted(merged.module)
    assert float((_embed(merged) - _embed(model)).abs().max()) < 1e-5
    assert float((_embed(merged) - _embed(models.load(str(model_dirs(kind))))).abs().max()) > 1e-3
    # From the files alone: base and adapters give what was exported.
    from safetensors.torch import load_file

    adapters = load_file(folder / "state/weights.safetensors")
    base = models.load(str(model_dirs(kind))).module.state_dict()
    again = lora.merge(base, adapters, SMALL)
    assert models.state_sha256(again) == merged.weights_sha256
    assert sum(t.numel() for n, t in adapters.items() if ".lora_" in n) < 0.5 * sum(t.numel() for t in base.values())


@pytest.mark.parametrize("kind", KINDS)
def test_adapters_are_restored_bit_for_bit(kind: str, model_dirs: Callable[[str], Path], tmp_path: Path) -> None:
    model = _adapted(model_dirs(kind), SMALL)
    optimizer = _train(model, 2)
    folder = checkpoint.save(tmp_path, model, optimizer, _state(SMALL), is_best=False, keep=2, adapters=SMALL)
    other = _adapted(model_dirs(kind), SMALL, seed=5)
    fresh = optim.make_optimizer(other.module, OptimConfig(lr=1e-2))
    checkpoint.restore(folder, other.module, fresh)
    assert models.state_sha256(other.module.state_dict()) == models.state_sha256(model.module.state_dict())
    assert torch.equal(_embed(other), _embed(model))
    with pytest.raises(ModelError, match="does not fit the model of this run"):
        checkpoint.restore(folder, models.load(str(model_dirs(kind))).module, fresh)


def test_one_tower_has_adapters_and_the_other_is_trained(model_dirs: Callable[[str], Path]) -> None:
    model = _adapted(model_dirs("clip"), LoraConfig(towers=["text"]))
    trained = {name for name, parameter in model.module.named_parameters() if parameter.requires_grad}
    assert {"visual.conv1.weight", "visual.proj", "logit_scale"} <= trained
    assert not {"text_projection", "token_embedding.weight", "ln_final.weight"} & trained
    assert all(".lora_" in name for name in trained if name.startswith("transformer."))
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    _train(model, 1)
    plain = lora.plain_state(model.module, LoraConfig(towers=["text"]))
    assert not torch.equal(plain["visual.conv1.weight"], before["visual.conv1.weight"])


def test_adapters_go_to_what_is_not_frozen(model_dirs: Callable[[str], Path]) -> None:
    model = models.load(str(model_dirs("siglip2")))
    towers.freeze_parts(model, FreezeConfig(image_blocks=4))
    lora.adapt(model, SMALL, seed=0)
    places = layers.places(model.module)
    adapted = {place.layer for name, place in places.items() if ".lora_" in name and place.tower == "image"}
    assert adapted == {5, 6}
    whole = models.load(str(model_dirs("siglip2")))
    towers.freeze_parts(whole, FreezeConfig(image=True))
    with pytest.raises(ModelError, match="no attn_mlp layer of the image tower is left to adapt"):
        lora.adapt(whole, SMALL, seed=0)


def test_adapters_depend_on_the_seed_alone(model_dirs: Callable[[str], Path]) -> None:
    def first(seed: int) -> torch.Tensor:
        model = _adapted(model_dirs("clip"), SMALL, seed=seed)
        return model.module.visual.transformer.resblocks[0].attn.in_proj.lora_A["default"].weight

    torch.manual_seed(3)
    one = first(0)
    expected = torch.rand(2)
    torch.manual_seed(3)
    assert torch.equal(first(0), one)
    assert torch.equal(torch.rand(2), expected)  # the global generator is left alone
    assert not torch.equal(first(1), one)


def test_a_layer_that_is_never_called_is_named(model_dirs: Callable[[str], Path]) -> None:
    # As in timm's EVA with a packed projection, which reads the weight of `qkv` instead of calling it.
    model = _adapted(model_dirs("siglip2"), SMALL)
    block = model.module.visual.trunk.blocks[2]
    block.mlp.fc1.forward = block.mlp.fc1.base_layer.forward
    with pytest.raises(ModelError, match=r"1 of \d+ adapted layers have no gradient, such as visual.trunk.blocks.2"):
        _train(model, 1)


def test_an_attention_of_bare_matrices_is_refused() -> None:
    from open_clip.model import CLIP

    vision = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16, "qk_norm": True}
    vision |= {"block_type": "custom"}
    module = CLIP(32, vision, {"context_length": 8, "vocab_size": 64, "width": 32, "heads": 2, "layers": 2})
    model = models.Model("tiny", module, lambda texts: torch.zeros(len(texts), 8, dtype=torch.int64), {})
    with pytest.raises(ModelError, match=r"in_proj_weight is no layer of its own; leave out lora.towers: image"):
        lora.adapt(model, SMALL, seed=0)
