"""The trained module as the loop sees it: both towers in one forward pass, what is frozen, the temperature's bounds."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from iconoclip.errors import ModelError
from iconoclip.models import Model

from .config import FreezeConfig

_INITIAL_BIAS = -10.0  # SigLIP, section 3.2: nearly all pairs are negative at the start
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class Towers(nn.Module):
    """Pixels and tokens to unit rows, with factor and bias of the logits.

    Temperature and bias go through this forward pass so that DistributedDataParallel averages their gradients too.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: Model, freeze: FreezeConfig) -> None:
        super().__init__()
        self.module = model.module
        self._frozen = [tower for tower, frozen in (("image", freeze.image), ("text", freeze.text)) if frozen]
        cfg = model.preprocess_cfg
        for name in ("mean", "std"):
            values = torch.tensor(cfg[name], dtype=torch.float32) * 255
            self.register_buffer(name, values[None, :, None, None], persistent=False)

    def forward(self, images: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """uint8 [L, 3, S, S] and int64 [L, T] -> image [L, D], text [L, D], factor, bias; fp32, rows of length 1."""
        scale = self.module.logit_scale
        pixels = ((images.to(self.mean.dtype) - self.mean) / self.std).to(scale.dtype)
        image_LD = _unit(self.module.encode_image(pixels))
        text_LD = _unit(self.module.encode_text(tokens))
        bias = getattr(self.module, "logit_bias", None)
        # `+ 0` and exp: outputs of the forward pass, never the parameters themselves
        return image_LD, text_LD, scale.exp(), (torch.zeros_like(scale) if bias is None else bias + 0)

    def train(self, mode: bool = True) -> "Towers":
        """Training mode, but a tower that is frozen as a whole stays in evaluation mode (no dropout)."""
        super().train(mode)
        if "image" in self._frozen:
            self.module.visual.eval()
        if "text" in self._frozen:
            for part in _text_parts(self.module):
                if isinstance(part, nn.Module):
                    part.eval()
        return self

    def clamp_temperature(self, largest: float) -> None:
        """Keep the log of the factor within [0, largest]."""
        with torch.no_grad():
            self.module.logit_scale.clamp_(0.0, largest)


def largest_log_scale(model: Model) -> float:
    """CLIP clamps at ln(100); a base that was trained above (SigLIP: 4.7215) keeps its own value as the bound."""
    return max(math.log(100), float(model.module.logit_scale.detach().max()))


def give_bias(model: Model, *, uses_bias: bool) -> None:
    """Add SigLIP's bias to a model without one, or freeze one that the loss does not use."""
    bias = getattr(model.module, "logit_bias", None)
    if uses_bias and bias is None:
        scale = model.module.logit_scale
        model.module.logit_bias = nn.Parameter(torch.full_like(scale, _INITIAL_BIAS))
        model.config["model_cfg"]["init_logit_bias"] = _INITIAL_BIAS
    elif bias is not None:
        bias.requires_grad_(uses_bias)


def freeze_parts(model: Model, freeze: FreezeConfig) -> None:
    """Switch gradients off for what ``freeze`` names.

    Raises:
        ModelError: the architecture has no such part, or fewer blocks.
    """
    module = model.module
    if freeze.image:
        module.visual.requires_grad_(False)
    if freeze.text:
        for part in _text_parts(module):
            part.requires_grad_(False)
    if freeze.token_table:
        _token_table(model).requires_grad_(False)
    for tower, count in (("image", freeze.image_blocks), ("text", freeze.text_blocks)):
        if count:
            _freeze_first(model, tower, count)


def refuse_batch_norm(model: Model, *, num_parts: int) -> None:
    """Batch statistics of a part of the batch are not those of the batch, so the promise of exactness would break."""
    if num_parts == 1:
        return
    for name, layer in model.module.named_modules():
        trained = any(parameter.requires_grad for parameter in layer.parameters(recurse=False))
        if isinstance(layer, _BATCH_NORMS) and trained:
            raise ModelError(
                f"{model.name}: {name} is a batch normalisation, which differs between one batch and {num_parts} parts "
                "of it; freeze the image tower, or train in one process without micro_batch"
            )


def _unit(rows_LD: Tensor) -> Tensor:
    return functional.normalize(rows_LD if rows_LD.dtype == torch.float64 else rows_LD.float(), dim=-1)


def _text_parts(module: nn.Module) -> list[nn.Module | nn.Parameter]:
    """Parts of the text tower: open_clip keeps it as ``text``, or, in its first class, spread over the model."""
    if hasattr(module, "text"):
        return [module.text]  # type: ignore[list-item]
    names = ("token_embedding", "positional_embedding", "transformer", "ln_final", "text_projection")
    parts = [getattr(module, name, None) for name in names]
    return [part for part in parts if isinstance(part, nn.Module | nn.Parameter)]


def _token_table(model: Model) -> nn.Module:
    text = getattr(model.module, "text", model.module)
    inner = getattr(text, "transformer", None)
    if hasattr(text, "token_embedding"):
        return text.token_embedding
    if inner is not None and hasattr(inner, "get_input_embeddings"):
        return inner.get_input_embeddings()
    raise ModelError(f"{model.name}: freeze.token_table: no token table found in {type(text).__name__}")


def _blocks(model: Model, tower: str) -> nn.ModuleList | nn.Sequential:
    root = model.module.visual if tower == "image" else getattr(model.module, "text", model.module)
    for path in ("transformer.resblocks", "trunk.blocks", "transformer.encoder.layer"):
        found: object = root
        for name in path.split("."):
            found = getattr(found, name, None)
        if isinstance(found, nn.ModuleList | nn.Sequential):
            return found
    raise ModelError(f"{model.name}: freeze.{tower}_blocks: no list of blocks found in {type(root).__name__}")


def _freeze_first(model: Model, tower: str, count: int) -> None:
    """Freeze everything of a tower but its blocks from ``count`` on and what comes after them."""
    blocks = _blocks(model, tower)
    if count >= len(blocks):
        raise ModelError(
            f"{model.name}: freeze.{tower}_blocks: got {count} of {len(blocks)} blocks; "
            f"freeze fewer, or the whole tower with freeze.{tower}: true"
        )
    for block in list(blocks)[:count]:
        block.requires_grad_(False)
    root = model.module.visual if tower == "image" else getattr(model.module, "text", model.module)
    below = (
        "conv1", "class_embedding", "positional_embedding", "ln_pre", "patch_embed", "pos_embed", "cls_token",
        "reg_token", "norm_pre", "token_embedding", "embeddings",
    )  # fmt: skip
    for holder in (root, getattr(root, "trunk", None), getattr(root, "transformer", None)):
        for name in below:
            part = getattr(holder, name, None)
            if isinstance(part, nn.Module | nn.Parameter):
                part.requires_grad_(False)
