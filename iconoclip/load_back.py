"""Load a written model folder with plain open_clip and compare it with the model it was written from.

``check_published(folder, model)`` returns the largest difference. open_clip falls back to random weights and to another
tokenizer with no more than a line in the log, so nothing less tells that a folder is right.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from .errors import ModelError
from .models import CONFIG_NAME, Model

MAX_DIFFERENCE = 1e-5

_PROBE_TEXTS = ["a lion rampant", "une tour d'argent", "ein Schiff mit drei Masten, 1888", "71E11 ΑΒΓ ж", ""]


def check_published(folder: Path, model: Model) -> float:
    """Compare ``folder`` as open_clip opens it with ``model``: token ids exactly, unit embeddings by value.

    Returns:
        The largest absolute difference of an embedding's value.

    Raises:
        ModelError: it does not open, token ids differ, or a value differs by more than :data:`MAX_DIFFERENCE`.
    """
    module, preprocess, tokenizer = _open(folder)
    tokens, want_tokens = tokenizer(_PROBE_TEXTS), model.tokenizer(_PROBE_TEXTS)
    if not torch.equal(tokens, want_tokens):
        shapes = f"{tuple(tokens.shape)} and {tuple(want_tokens.shape)}"
        raise ModelError(f"{folder}: its tokenizer gives other ids than the checkpoint's (shapes {shapes})")
    pictures = _probe_pictures()
    got = _encode(module.eval(), torch.stack([preprocess(picture) for picture in pictures]), tokens)
    want = _encode(model.module.eval(), torch.stack([model.preprocess(picture) for picture in pictures]), want_tokens)
    difference = float((got - want).abs().max())
    if not difference <= MAX_DIFFERENCE:  # so written that NaN does not pass
        raise ModelError(
            f"{folder}: embeddings differ by {difference:.2e} from the checkpoint's, over {MAX_DIFFERENCE}"
        )
    return difference


def _open(folder: Path) -> tuple[Any, Any, Any]:
    """Model, evaluation transform and tokenizer as anybody gets them from open_clip.

    A text tower from transformers takes its configuration from ``text/config.json``: no network is needed.
    """
    import open_clip

    overrides = {}
    if (folder / "text" / "config.json").is_file():
        text_cfg = json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))["model_cfg"]["text_cfg"]
        overrides["text_cfg"] = {**text_cfg, "hf_model_name": str(folder / "text"), "hf_model_pretrained": False}
    name = f"local-dir:{folder}"
    try:
        module, _, preprocess = open_clip.create_model_and_transforms(name, require_pretrained=True, **overrides)
        return module, preprocess, open_clip.get_tokenizer(name)
    except (RuntimeError, OSError, ValueError, TypeError) as error:
        raise ModelError(f"{folder}: open_clip cannot open what was written: {error}") from None


def _encode(module: Any, images: Tensor, tokens: Tensor) -> Tensor:
    """Unit embeddings of pictures, then of texts: float32 [num_pictures + num_texts, D]."""
    device = next(module.parameters()).device
    with torch.inference_mode():
        parts = (module.encode_image(images.to(device)), module.encode_text(tokens.to(device)))
        return torch.cat([nn.functional.normalize(part.float(), dim=-1).cpu() for part in parts])


def _probe_pictures() -> list[Image.Image]:
    """Three pictures that need every step of the preprocessing: tall, wide and noisy, grey."""
    ramp = np.linspace(0, 255, 400 * 150).reshape(400, 150).astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (90, 300, 3), dtype=np.uint8)
    return [
        Image.fromarray(np.stack([ramp, ramp[::-1], 255 - ramp], axis=-1)),
        Image.fromarray(noise),
        Image.new("RGB", (224, 224), (128, 128, 128)),
    ]
