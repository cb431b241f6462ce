"""Every weight of every kind of architecture has one place, and the places are in the order of the forward pass."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from iconoclip import models
from iconoclip.errors import ModelError
from train import layers, optim, towers
from train.config import FreezeConfig, OptimConfig

TEXT = {"context_length": 8, "vocab_size": 64, "width": 32, "heads": 2, "layers": 3}
VIT = {"image_size": 32, "layers": 3, "width": 32, "head_width": 16, "patch_size": 16}
ROBERTA = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
ROBERTA |= {"intermediate_size": 64, "max_position_embeddings": 16, "pad_token_id": 1, "model_type": "xlm-roberta"}
MT5 = {"vocab_size": 64, "d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 3, "num_heads": 2, "model_type": "mt5"}
NLLB = {"vocab_size": 64, "d_model": 32, "encoder_layers": 3, "encoder_attention_heads": 2, "encoder_ffn_dim": 64}
NLLB |= {"decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 64, "model_type": "m2m_100"}


def _timm(name: str, **options: Any) -> dict[str, Any]:
    return {"image_size": 32, "timm_model_name": name, "timm_model_pretrained": False, **options}


# (vision_cfg, text_cfg or a configuration of transformers, blocks of the image tower, of the text tower)
KINDS: dict[str, tuple[dict, dict, int, int]] = {
    "openai": (VIT, TEXT, 3, 3),
    "resnet": ({"image_size": 32, "layers": [1, 2, 1, 1], "width": 8}, TEXT, 5, 3),
    "attentional_pool": (VIT | {"attentional_pool": True, "attn_pooler_heads": 2}, TEXT, 3, 3),
    "layer_scale": (VIT | {"ls_init_value": 0.1}, TEXT | {"ls_init_value": 0.1, "embed_cls": True}, 3, 3),
    "siglip2": (
        _timm("test_vit2", timm_pool="map", timm_proj="none"),
        TEXT | {"no_causal_mask": True, "proj_bias": True, "pool_type": "last", "width": 64},
        8,
        3,
    ),
    "convnext": (_timm("test_convnext", timm_pool="", timm_proj="linear"), TEXT, 9, 3),
    "eva": (_timm("vit_pe_core_tiny_patch16_384", timm_pool="map") | {"image_size": 384}, TEXT, 12, 3),
    "classifier": (_timm("test_vit", timm_pool="avg", timm_proj=None), TEXT, 6, 3),
    "xlm_roberta": (VIT, ROBERTA, 3, 3),
    "mt5": (VIT, MT5, 3, 3),
    "nllb": (VIT, NLLB, 3, 3),
}


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], nn.Module]:
    """``make(kind)`` -> a tiny module of that architecture with random weights."""
    from open_clip.model import CLIP, CustomTextCLIP

    def build(kind: str) -> nn.Module:
        vision, text, _, _ = KINDS[kind]
        if "model_type" in text:
            folder = tmp_path_factory.mktemp(kind)
            (folder / "config.json").write_text(json.dumps(text))
            text = {"hf_model_name": str(folder), "hf_model_pretrained": False, "hf_proj_type": "mlp"}
            text |= {"hf_pooler_type": "mean_pooler"}
        torch.manual_seed(0)
        own = kind == "openai"
        embed_dim = 64 if kind == "siglip2" else 32
        return (CLIP if own else CustomTextCLIP)(embed_dim, vision, text, init_logit_bias=None if own else -10.0)

    return build


def _model(module: nn.Module) -> models.Model:
    return models.Model("tiny", module, lambda texts: torch.zeros(len(texts), 8, dtype=torch.int64), {})


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_has_a_place_in_its_tower(kind: str, make: Callable[[str], nn.Module]) -> None:
    module = make(kind)
    found = layers.places(module)
    assert list(found) == [name for name, _ in module.named_parameters()]
    assert layers.depths(module) == {"image": KINDS[kind][2], "text": KINDS[kind][3]}
    for tower in layers.TOWERS:
        seen = {place.layer for place in found.values() if place.tower == tower}
        assert seen == set(range(KINDS[kind][2 if tower == "image" else 3] + 2)), tower
    logits = {name for name, place in found.items() if place.part == "logits"}
    assert logits == {name for name in ("logit_scale", "logit_bias") if getattr(module, name) is not None}


@pytest.mark.parametrize("kind", KINDS)
def test_layers_lie_in_the_order_of_the_forward_pass(kind: str, make: Callable[[str], nn.Module]) -> None:
    module = make(kind).eval()
    found = layers.places(module)
    size = module.visual.image_size
    size = size[0] if isinstance(size, tuple) else size
    inputs = {"image": torch.randn(2, 3, size, size), "text": torch.tensor([[3, 4, 5, 2, 1, 1, 1, 1]] * 2)}
    for tower in layers.TOWERS:
        order: list[int] = []
        for name, owner in module.named_modules():
            own = [found[f"{name}.{leaf}".lstrip(".")] for leaf, _ in owner.named_parameters(recurse=False)]
            numbers = {place.layer for place in own if place.tower == tower}
            # Other modules hold weights of several layers: a tower its class embedding and its projection.
            if len(numbers) == 1 and isinstance(owner, nn.Linear | nn.Conv2d | nn.LayerNorm | nn.Embedding):
                (layer,) = numbers
                owner.register_forward_hook(lambda *_, layer=layer, order=order: order.append(layer))
        (module.encode_image if tower == "image" else module.encode_text)(inputs[tower])
        assert order == sorted(order)
        assert len(set(order)) >= KINDS[kind][2 if tower == "image" else 3]


@pytest.mark.parametrize("kind", KINDS)
def test_every_trained_weight_is_in_exactly_one_group(kind: str, make: Callable[[str], nn.Module]) -> None:
    module = make(kind)
    config = OptimConfig.model_validate(
        {"lr": 1e-3, "image": {"lr": 2e-3, "layer_decay": 0.5}, "heads": {"lr": 3e-3}, "logits": {"lr": 4e-3}}
    )
    towers.freeze_parts(_model(module), FreezeConfig(token_table=True))
    optimizer = optim.make_optimizer(module, config)
    grouped = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    trained = {id(parameter) for parameter in module.parameters() if parameter.requires_grad}
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == trained
    name_of = {id(parameter): name for name, parameter in module.named_parameters()}
    found = layers.places(module)
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            name, place = name_of[id(parameter)], found[name_of[id(parameter)]]
            if place.part == "image":
                expected = 2 * 0.5 ** (place.depth + 1 - place.layer)
            else:
                expected = {"text": 1.0, "heads": 3.0, "logits": 4.0}[place.part]
            assert group["lr_share"] == pytest.approx(expected), name
            if parameter.ndim < 2 or "embed" in name.rpartition(".")[2] or "cls_token" in name or "latent" in name:
                assert group["weight_decay"] == 0, name
    table = optim.describe_groups(optimizer, module, config)
    cells = [cell.replace(",", "") for line in table.splitlines()[1:] for cell in line.split()[-2:]]
    counted = sum(int(cell) for cell in cells if cell.isdigit())
    assert counted == sum(parameter.numel() for parameter in module.parameters())


def test_what_lies_around_timms_blocks_goes_by_the_order_of_the_parts(make: Callable[[str], nn.Module]) -> None:
    def layer(kind: str, name: str) -> int:
        return layers.places(make(kind))[f"visual.trunk.{name}"].layer

    # timm itself counts `norm` to the last block, and a norm before the blocks to the last group.
    assert [layer("eva", name) for name in ("pos_embed", "patch_embed.proj.weight", "norm_pre.weight")] == [0, 0, 0]
    assert [layer("eva", f"blocks.{n}.norm1.weight") for n in (0, 11)] == [1, 12]
    assert [layer("eva", name) for name in ("norm.weight", "attn_pool.latent")] == [13, 13]
    assert layer("convnext", "stem.0.weight") == 0
    assert layer("convnext", "stages.0.blocks.0.conv_dw.weight") == 1


def test_heads_are_the_projections_into_the_common_space(make: Callable[[str], nn.Module]) -> None:
    def heads(kind: str) -> set[str]:
        return {name for name, place in layers.places(make(kind)).items() if place.part == "heads"}

    assert heads("openai") == {"visual.proj", "text_projection"}
    assert heads("siglip2") == {"text.text_projection.weight", "text.text_projection.bias"}
    assert heads("convnext") == {"visual.head.proj.weight", "text.text_projection"}
    assert heads("classifier") == {"visual.trunk.head.weight", "visual.trunk.head.bias", "text.text_projection"}
    assert heads("xlm_roberta") == {"visual.proj", "text.proj.0.weight", "text.proj.2.weight"}


def test_a_model_of_more_than_two_towers_is_refused(make: Callable[[str], nn.Module]) -> None:
    module = make("siglip2")
    module.add_module("text_decoder", nn.Linear(2, 2))
    with pytest.raises(ModelError, match=r"text_decoder.weight: belongs to neither tower"):
        layers.places(module)


def test_a_tower_of_unknown_structure_is_refused(make: Callable[[str], nn.Module]) -> None:
    module = make("mt5")
    module.text.transformer.block = nn.Identity()
    with pytest.raises(ModelError, match=r"the text tower is a HFTextEncoder whose blocks are not known"):
        layers.places(module)
