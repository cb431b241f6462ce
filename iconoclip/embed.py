"""Encode pictures and texts to unit-norm float32 rows, the same whoever does the work.

Batches are fixed by position: batch b is rows [b*B, (b+1)*B), the last one padded to B, so that a figure depends
neither on how many processes shared the encoding nor on what else was in the last batch. Several processes share them
with :func:`own_batches` and :func:`join_batches`.
"""

import io
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from .errors import ModelError, ShardError
from .models import Model

BATCH_SIZE = 64
_MOST_THREADS = 16
_BATCHES_AHEAD = 3


def embed_texts(
    model: Model,
    texts: Sequence[str],
    *,
    batch_size: int = BATCH_SIZE,
    device: torch.device | None = None,
    batches: Sequence[int] | None = None,
    after_batch: Callable[[], None] | None = None,
) -> np.ndarray:
    """Return float32 [len(texts), D], rows of length 1.

    With ``batches`` only those are encoded, and their rows returned in that order. ``after_batch`` is called after
    each; what it raises ends the work.
    """
    place = device or _device(model)

    def encode(positions: list[int]) -> torch.Tensor:
        tokens = model.tokenizer([texts[position] for position in positions])
        return model.module.encode_text(tokens.to(place))

    plan = _plan(len(texts), batch_size, batches)
    encoded = ((size, lambda positions=positions: encode(positions)) for size, positions in plan)
    return _embed(model, encoded, place, after_batch)


def embed_images(
    model: Model,
    read_image: Callable[[int], bytes],
    num_images: int,
    *,
    batch_size: int = BATCH_SIZE,
    device: torch.device | None = None,
    num_threads: int | None = None,
    batches: Sequence[int] | None = None,
    after_batch: Callable[[], None] | None = None,
) -> np.ndarray:
    """Return float32 [num_images, D], rows of length 1.

    ``read_image(position)`` gives the encoded picture, e.g. ``shard_set.image_bytes``. The next batches are decoded
    by ``num_threads`` threads (the cores that this process may use) while the model works on this one. ``batches`` and
    ``after_batch`` as in :func:`embed_texts`.

    Raises:
        ShardError: a picture cannot be decoded; names its position.
    """
    preprocess = _Preprocess.of(model)
    place = device or _device(model)

    def load(position: int) -> np.ndarray | torch.Tensor:
        return preprocess.shape(decode_image(read_image(position), name=f"picture {position}"))

    with ThreadPoolExecutor(num_threads or _num_threads()) as pool:

        def encode(futures: list[Future[Any]], size: int) -> torch.Tensor:
            images = [future.result() for future in futures]
            images += images[-1:] * (size - len(images))
            return model.module.encode_image(preprocess.scale(images, place))

        def encoded() -> Iterator[tuple[int, Callable[[], torch.Tensor]]]:
            ahead: list[tuple[int, list[Future[Any]]]] = []
            for size, positions in _plan(num_images, batch_size, batches):
                ahead.append((size, [pool.submit(load, position) for position in positions[:size]]))
                if len(ahead) == _BATCHES_AHEAD:
                    done, futures = ahead.pop(0)
                    yield done, lambda futures=futures: encode(futures, batch_size)
            for done, futures in ahead:
                yield done, lambda futures=futures: encode(futures, batch_size)

        return _embed(model, encoded(), place, after_batch)


def own_batches(count: int, *, rank: int, world: int, batch_size: int = BATCH_SIZE) -> list[int]:
    """Batches that one of ``world`` processes encodes; all have equally many, so the last one may come twice.

    Example: 5 batches for 2 processes are 0, 2, 4 and 1, 3, 4.
    """
    last = -(-count // batch_size) - 1
    rounds = -(-(last + 1) // world)
    return [min(turn * world + rank, last) for turn in range(rounds)]


def join_batches(parts: Sequence[np.ndarray], count: int, *, batch_size: int = BATCH_SIZE) -> np.ndarray:
    """Rows of all batches in order, from what each process made of its :func:`own_batches`."""
    joined = np.zeros((count, parts[0].shape[1]), dtype=np.float32)
    for rank, rows in enumerate(parts):
        start = 0
        for batch in own_batches(count, rank=rank, world=len(parts), batch_size=batch_size):
            first, size = batch * batch_size, min(batch_size, count - batch * batch_size)
            joined[first : first + size] = rows[start : start + size]
            start += size
    return joined


def decode_image(data: bytes, *, name: str) -> Image.Image:
    """Decode a picture of a shard to RGB."""
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
        return image if image.mode == "RGB" else image.convert("RGB")  # which would copy it
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ShardError(f"{name}: cannot be decoded ({error})") from None


@dataclass(frozen=True)
class _Preprocess:
    """The model's evaluation transform in two steps: one picture to its size, then a batch to numbers at once.

    ``resize`` are the steps before the tensor. ``mean`` and ``std`` are None where the transform is not of open_clip's
    form: then ``resize`` is all of it. Dividing and normalising a whole batch gives the same bits as picture by
    picture, in a tenth of the time.
    """

    resize: tuple[Callable[[Any], Any], ...]
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None

    @classmethod
    def of(cls, model: Model) -> "_Preprocess":
        from torchvision.transforms import Normalize, ToTensor

        whole = model.preprocess
        match tuple(getattr(whole, "transforms", ())):
            case (*steps, ToTensor(), Normalize(mean=mean, std=std)):
                return cls(tuple(steps), tuple(mean), tuple(std))
        return cls((whole,), None, None)

    def shape(self, image: Image.Image) -> Any:
        """One picture at the model's size: uint8 [height, width, 3], or what another transform makes of it."""
        for step in self.resize:
            image = step(image)
        return image if self.mean is None else np.asarray(image)

    def scale(self, images: list[Any], device: torch.device) -> torch.Tensor:
        """A batch as the model takes it, float32 [batch, 3, height, width]."""
        if self.mean is None:
            return torch.stack(images).to(device)
        pixels = torch.from_numpy(np.stack(images)).to(device).permute(0, 3, 1, 2).float()
        mean, std = (torch.tensor(each, device=device).view(3, 1, 1) for each in (self.mean, self.std))
        return pixels.contiguous().div_(255).sub_(mean).div_(std)


def _num_threads() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MOST_THREADS)


def _device(model: Model) -> torch.device:
    return next(model.module.parameters()).device


def _plan(count: int, batch_size: int, batches: Sequence[int] | None) -> Iterator[tuple[int, list[int]]]:
    """Yield (rows that count, positions) of each batch; the last batch repeats its last row up to ``batch_size``."""
    for batch in range(-(-count // batch_size)) if batches is None else batches:
        start = batch * batch_size
        size = min(batch_size, count - start)
        positions = list(range(start, start + size))
        yield size, positions + positions[-1:] * (batch_size - size)


def _embed(
    model: Model,
    batches: Iterator[tuple[int, Callable[[], torch.Tensor]]],
    device: torch.device,
    after_batch: Callable[[], None] | None,
) -> np.ndarray:
    """Encode batch after batch in evaluation mode, in fp32.

    Raises:
        ModelError: an embedding is not a number; the weights are broken or overflow.
    """
    was_training = model.module.training
    model.module.eval()
    model.module.to(device)
    rows = []
    try:
        # Not inference_mode: FSDP2 keeps the tensors that it makes in here and writes into them in training.
        with torch.no_grad():
            for size, encode in batches:
                features = encode()[:size].float()
                rows.append(torch.nn.functional.normalize(features, dim=-1).cpu().numpy())
                if after_batch is not None:
                    after_batch()
    finally:
        model.module.train(was_training)
    embeddings_ND = np.concatenate(rows) if rows else np.zeros((0, 0), dtype=np.float32)
    if not np.isfinite(embeddings_ND).all():
        bad = int((~np.isfinite(embeddings_ND)).any(axis=1).sum())
        raise ModelError(
            f"{model.name}: {bad:,} of {len(embeddings_ND):,} embeddings are not numbers; its weights are broken"
        )
    return embeddings_ND
