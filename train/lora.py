"""Low-rank adapters (LoRA, Hu et al. 2021) through peft: few trained weights beside frozen ones, merged for evaluation.

peft adapts linear layers. The attention of open_clip's own towers, ``nn.MultiheadAttention``, is none: adapters on its
``out_proj`` are never called, and peft's own wrapper for it (target ``attn``) adds them to the frozen weight and takes
them off again in every forward pass, which rounds and lets the frozen weights drift, and it drops no units. So that
attention is first written as two linear layers with the same weights (:class:`LinearAttention`).
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from iconoclip.errors import ModelError
from iconoclip.models import Model

from . import layers
from .config import LoraConfig
from .layers import Place

_A, _B, _ADAPTER = ".lora_A.", ".lora_B.", ".lora_"


class LinearAttention(nn.Module):
    """``nn.MultiheadAttention`` of a sequence with itself, its packed projection a linear layer."""

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        width = attention.embed_dim
        self.num_heads, self.dropout, self.batch_first = attention.num_heads, attention.dropout, attention.batch_first
        self.in_proj = nn.Linear(width, 3 * width, bias=attention.in_proj_bias is not None, device="meta")
        self.in_proj.weight, self.in_proj.bias = attention.in_proj_weight, attention.in_proj_bias  # type: ignore
        self.out_proj = nn.Linear(width, width, bias=attention.out_proj.bias is not None, device="meta")
        self.out_proj.weight, self.out_proj.bias = attention.out_proj.weight, attention.out_proj.bias

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, need_weights: bool = False, attn_mask: Tensor | None = None
    ) -> tuple[Tensor, None]:
        """[N, L, D] to [N, L, D]; ``attn_mask`` is added to the scores, [L, L] or [N * heads, L, L]."""
        assert key is query, "open_clip's blocks attend to themselves"
        assert value is query
        assert not need_weights
        rows_NLD = query if self.batch_first else query.transpose(0, 1)
        num, length, width = rows_NLD.shape
        packed = self.in_proj(rows_NLD).view(num, length, 3, self.num_heads, width // self.num_heads)
        q, k, v = packed.permute(2, 0, 3, 1, 4)
        if attn_mask is not None:
            attn_mask = attn_mask.to(q.dtype)
            if attn_mask.ndim == 3:
                attn_mask = attn_mask.view(num, self.num_heads, length, length)
        dropout = self.dropout if self.training else 0.0
        mixed = scaled_dot_product_attention(q, k, v, attn_mask=attn_mask, dropout_p=dropout)
        out_NLD = self.out_proj(mixed.transpose(1, 2).reshape(num, length, width))
        return (out_NLD if self.batch_first else out_NLD.transpose(0, 1)), None


def adapt(model: Model, config: LoraConfig, *, seed: int) -> None:
    """Freeze the towers of ``config`` and put adapters beside the linear layers of their blocks, in place.

    Layers that are frozen already get none, so ``freeze.image_blocks: 6`` leaves adapters from block 7 on.

    Raises:
        ModelError: a tower has no layer to adapt, or an attention that peft cannot.
    """
    import peft

    module = model.module
    _write_attention_as_linear(module, config)
    targets = _targets(model, config)
    places = layers.places(module)
    trained = {
        name for name, p in module.named_parameters() if p.requires_grad and places[name].tower not in config.towers
    }
    wanted = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,  # type: ignore[arg-type]  # said to be whole, used as a factor
        lora_dropout=config.dropout,
        # A list would fit every name that ends so: `transformer...` of the text tower also `visual.transformer...`.
        target_modules="|".join(re.escape(name) for name in targets),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        peft.inject_adapter_in_model(wanted, module)
    for name, parameter in module.named_parameters():  # peft freezes all that is not its own
        parameter.requires_grad_(name in trained or _ADAPTER in name)


def is_adapted(module: nn.Module) -> bool:
    """Whether there are adapters in it."""
    return any(_ADAPTER in name for name, _ in module.named_parameters())


def adapter_state(module: nn.Module) -> dict[str, Tensor]:
    """All that differs from the base: adapters, other trained weights, buffers; names as in the adapted module."""
    trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    frozen = {name for name, _ in module.named_parameters()} - trained
    return {name: tensor for name, tensor in module.state_dict().items() if name not in frozen}


def plain_state(module: nn.Module, config: LoraConfig) -> dict[str, Tensor]:
    """State dict of the architecture without adapters, as open_clip names it, adapters merged."""
    rewritten = {name for name, part in module.named_modules() if isinstance(part, LinearAttention)}
    base = {}
    for name, tensor in module.state_dict().items():
        if _ADAPTER not in name:
            owner, _, leaf = name.replace(".base_layer.", ".").rpartition(".in_proj.")
            base[f"{owner}.in_proj_{leaf}" if owner in rewritten else name.replace(".base_layer.", ".")] = tensor
    return merge(base, adapter_state(module), config)


def merge(base: Mapping[str, Tensor], adapters: Mapping[str, Tensor], config: LoraConfig) -> dict[str, Tensor]:
    """W + alpha / rank * B A for every adapted weight of a plain state dict; other weights of ``adapters`` replace."""
    merged = dict(base)
    for name, tensor in adapters.items():
        if _A in name:
            layer = name.partition(_A)[0]
            target = f"{layer}.weight" if f"{layer}.weight" in base else f"{layer}_weight"
            delta = adapters[name.replace(_A, _B)] @ tensor
            merged[target] = base[target] + (config.alpha / config.rank) * delta.to(base[target].device)
        elif _ADAPTER not in name:
            merged[name] = tensor
    return merged


def check_reached(module: nn.Module) -> None:
    """Look after the first backward pass whether every adapter has a gradient: what is never called cannot learn.

    Only B is looked at: A has no gradient in the first step, because B begins at zero.

    Raises:
        ModelError: some have none; names them.
    """
    adapters = [(name, parameter) for name, parameter in module.named_parameters() if _B in name]
    without = [
        name.partition(_B)[0] for name, parameter in adapters if parameter.grad is None or not parameter.grad.any()
    ]
    if without:
        raise ModelError(
            f"lora: {len(without)} of {len(adapters)} adapted layers have no gradient, such as {without[0]}: this "
            "architecture does not call them; choose other lora.targets or lora.towers, or train without lora"
        )


def _write_attention_as_linear(module: nn.Module, config: LoraConfig) -> None:
    places = layers.places(module)
    for name, part in list(module.named_modules()):
        if isinstance(part, nn.MultiheadAttention) and _is_wanted(places.get(f"{name}.in_proj_weight"), config):
            owner, _, leaf = name.rpartition(".")
            setattr(module.get_submodule(owner), leaf, LinearAttention(part))


def _is_wanted(place: Place | None, config: LoraConfig) -> bool:
    return place is not None and place.is_in_block and place.tower in config.towers


def _targets(model: Model, config: LoraConfig) -> list[str]:
    """Names of the linear layers to adapt."""
    places = layers.places(model.module)
    for name, place in places.items():
        if name.endswith("in_proj_weight") and _is_wanted(place, config):
            raise ModelError(f"{model.name}: lora: {name} is no layer of its own; leave out lora.towers: {place.tower}")
    found: dict[str, list[str]] = {tower: [] for tower in config.towers}
    for name, part in model.module.named_modules():
        place = places.get(f"{name}.weight")
        if not (isinstance(part, nn.Linear) and part.weight.requires_grad and _is_wanted(place, config)):
            continue
        is_attention = any("attn" in step or "attention" in step for step in name.lower().split("."))
        if is_attention or config.targets == "attn_mlp":
            assert place is not None
            found[str(place.tower)].append(name)
    for tower, names in found.items():
        if not names:
            raise ModelError(
                f"{model.name}: lora: no {config.targets} layer of the {tower} tower is left to adapt; "
                "see freeze, or leave the tower out of lora.towers"
            )
    return [name for names in found.values() for name in names]
