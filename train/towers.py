"""The trained module as the loop sees it: both towers in one forward pass, what is frozen, the temperature's bounds."""

import difflib
import math
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.nn import functional

from iconoclip.errors import ModelError
from iconoclip.models import Model

from . import layers
from .config import FreezeConfig
from .layers import Place

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
        pixels = normalize(images, self.mean, self.std).to(scale.dtype)
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


def normalize(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """uint8 [n, 3, S, S] to float of mean 0 and deviation 1; ``mean`` and ``std`` count in 255ths. One copy is made."""
    return images.to(mean.dtype, copy=True).sub_(mean).div_(std)


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
        ModelError: the architecture has no such part or fewer blocks, a pattern fits no weight, or nothing is left.
    """
    module = model.module
    places = layers.places(module)
    _check_blocks(model, freeze)
    table = _token_table(model) if freeze.token_table else None
    kept = {id(parameter) for parameter in table.parameters()} if table is not None else set()
    patterns = _fitting(model, freeze.names, list(places))
    for name, parameter in module.named_parameters():
        if id(parameter) in kept or _is_frozen(places[name], freeze) or any(fnmatchcase(name, p) for p in patterns):
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise ModelError(f"{model.name}: freeze: nothing is left to train")


def _is_frozen(place: Place, freeze: FreezeConfig) -> bool:
    if place.part == "logits":
        return freeze.logits
    whole, blocks = (freeze.image, freeze.image_blocks) if place.tower == "image" else (freeze.text, freeze.text_blocks)
    return whole or (blocks > 0 and place.layer <= blocks)


def _check_blocks(model: Model, freeze: FreezeConfig) -> None:
    depths = layers.depths(model.module)
    for tower in layers.TOWERS:
        count = freeze.image_blocks if tower == "image" else freeze.text_blocks
        if count and count >= depths[tower]:
            raise ModelError(
                f"{model.name}: freeze.{tower}_blocks: got {count} of {depths[tower]} blocks; "
                f"freeze fewer, or the whole tower with freeze.{tower}: true"
            )


def _fitting(model: Model, patterns: list[str], names: list[str]) -> list[str]:
    """Return the patterns; one that fits no weight is an error that names the nearest weights."""
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            near = difflib.get_close_matches(pattern, names, n=3, cutoff=0.3) or names[:3]
            raise ModelError(
                f"{model.name}: freeze.names: {pattern!r} fits no weight; there are {', '.join(near)}, ..."
            )
    return patterns


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
