"""Encode pictures and texts to unit-norm float32 rows, the same whoever does the work.

Batches are fixed by position: batch b is rows [b*B, (b+1)*B), the last one padded to B, so that a figure depends
neither on how many processes shared the encoding nor on what else was in the last batch.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from .errors import ModelError, ShardError
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
    place = device or _device(model)

    def encode(positions: list[int]) -> torch.Tensor:
        tokens = model.tokenizer([texts[position] for position in positions])
        return model.module.encode_text(tokens.to(place))

    batches = (
        (size, lambda positions=positions: encode(positions)) for size, positions in _plan(len(texts), batch_size)
    )
    return _embed(model, batches, place)


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

    ``read_image(position)`` gives the encoded picture, e.g. ``shard_set.image_bytes``. The next batch is decoded
    while the model works on this one.

    Raises:
        ShardError: a picture cannot be decoded; names its position.
    """
    preprocess = model.preprocess
    place = device or _device(model)

    def load(position: int) -> torch.Tensor:
        return preprocess(decode_image(read_image(position), name=f"picture {position}"))

    with ThreadPoolExecutor(num_threads) as pool:

        def encode(futures: list[Future[torch.Tensor]], size: int) -> torch.Tensor:
            images = [future.result() for future in futures]
            images += images[-1:] * (size - len(images))
            return model.module.encode_image(torch.stack(images).to(place))

        def batches() -> Iterator[tuple[int, Callable[[], torch.Tensor]]]:
            ahead: list[tuple[int, list[Future[torch.Tensor]]]] = []
            for size, positions in _plan(num_images, batch_size):
                ahead.append((size, [pool.submit(load, position) for position in positions[:size]]))
                if len(ahead) == 2:
                    done, futures = ahead.pop(0)
                    yield done, lambda futures=futures: encode(futures, batch_size)
            for done, futures in ahead:
                yield done, lambda futures=futures: encode(futures, batch_size)

        return _embed(model, batches(), place)


def decode_image(data: bytes, *, name: str) -> Image.Image:
    """Decode a picture of a shard to RGB."""
    try:
        return Image.open(io.BytesIO(data)).convert("RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ShardError(f"{name}: cannot be decoded ({error})") from None


def _device(model: Model) -> torch.device:
    return next(model.module.parameters()).device


def _plan(count: int, batch_size: int) -> Iterator[tuple[int, list[int]]]:
    """Yield (rows that count, positions) of each batch; the last batch repeats its last row up to ``batch_size``."""
    for start in range(0, count, batch_size):
        size = min(batch_size, count - start)
        positions = list(range(start, start + size))
        yield size, positions + positions[-1:] * (batch_size - size)


def _embed(model: Model, batches: Iterator[tuple[int, Callable[[], torch.Tensor]]], device: torch.device) -> np.ndarray:
    """Encode batch after batch in evaluation mode, in fp32.

    Raises:
        ModelError: an embedding is not a number; the weights are broken or overflow.
    """
    was_training = model.module.training
    model.module.eval()
    model.module.to(device)
    rows = []
    try:
        with torch.inference_mode():
            for size, encode in batches:
                features = encode()[:size].float()
                rows.append(torch.nn.functional.normalize(features, dim=-1).cpu().numpy())
    finally:
        model.module.train(was_training)
    embeddings_ND = np.concatenate(rows) if rows else np.zeros((0, 0), dtype=np.float32)
    if not np.isfinite(embeddings_ND).all():
        bad = int((~np.isfinite(embeddings_ND)).any(axis=1).sum())
        raise ModelError(
            f"{model.name}: {bad:,} of {len(embeddings_ND):,} embeddings are not numbers; its weights are broken"
        )
    return embeddings_ND
