"""Encode pictures and texts to unit-norm float32 rows, the same whoever does the work.

Batches are fixed by position (batch b is rows [b*B, (b+1)*B)), so a figure does not depend on how
many processes shared the encoding.
"""

import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from .errors import ShardError
from .models import Model

BATCH_SIZE = 64


def embed_texts(
    model: Model,
    texts: Sequence[str],
    *,
    batch_size: int = BATCH_SIZE,
    device: torch.device | None = None,
) -> np.ndarray:
    """Return float32 [len(texts), D], rows of length 1."""

    def encode(positions: range) -> torch.Tensor:
        tokens = model.tokenizer([texts[position] for position in positions])
        return model.module.encode_text(tokens.to(_device(model, device)))

    return _embed(model, len(texts), encode, batch_size, device)


def embed_images(
    model: Model,
    read_image: Callable[[int], bytes],
    num_images: int,
    *,
    batch_size: int = BATCH_SIZE,
    device: torch.device | None = None,
    num_threads: int = 2,
) -> np.ndarray:
    """Return float32 [num_images, D], rows of length 1.

    ``read_image(position)`` gives the encoded picture, e.g. ``shard_set.image_bytes``.

    Raises:
        ShardError: a picture cannot be decoded; names its position.
    """
    preprocess = model.preprocess
    with ThreadPoolExecutor(num_threads) as pool:

        def load(position: int) -> torch.Tensor:
            return preprocess(decode_image(read_image(position), name=f"picture {position}"))

        def encode(positions: range) -> torch.Tensor:
            images = torch.stack(list(pool.map(load, positions)))
            return model.module.encode_image(images.to(_device(model, device)))

        return _embed(model, num_images, encode, batch_size, device)


def decode_image(data: bytes, *, name: str) -> Image.Image:
    """Decode a picture of a shard to RGB."""
    try:
        return Image.open(io.BytesIO(data)).convert("RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ShardError(f"{name}: cannot be decoded ({error})") from None


def _device(model: Model, device: torch.device | None) -> torch.device:
    return device or next(model.module.parameters()).device


def _embed(
    model: Model,
    count: int,
    encode: Callable[[range], torch.Tensor],
    batch_size: int,
    device: torch.device | None,
) -> np.ndarray:
    """Run ``encode`` over fixed batches, in order."""
    was_training = model.module.training
    model.module.eval()
    if device is not None:
        model.module.to(device)
    rows = []
    with torch.inference_mode():
        for start in range(0, count, batch_size):
            positions = range(start, min(start + batch_size, count))
            features = encode(positions).float()
            rows.append(torch.nn.functional.normalize(features, dim=-1).cpu().numpy())
    model.module.train(was_training)
    return np.concatenate(rows) if rows else np.zeros((0, 0), dtype=np.float32)
