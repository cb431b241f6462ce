"""Encode pictures and texts to unit-norm float32 rows, the same whoever does the work.

Batches are fixed by position: batch b is rows [b*B, (b+1)*B), the last one padded to B, so that a figure depends
neither on how many processes shared the encoding nor on what else was in the last batch. Several processes share them
with :func:`own_batches` and :func:`join_batches`.
"""

import contextlib
import io
import itertools
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from .errors import ModelError, ShardError, pillow_reason
from .models import Model
from .workers import num_cores

BATCH_SIZE = 64
_MOST_THREADS = 16


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
    return _join(stream_texts(model, texts, batch_size=batch_size, device=device, batches=batches), after_batch)


def embed_images(
    model: Model,
    read_image: Callable[[int], bytes],
    num_images: int,
    *,
    batch_size: int = BATCH_SIZE,
    device: torch.device | None = None,
    batches: Sequence[int] | None = None,
    after_batch: Callable[[], None] | None = None,
) -> np.ndarray:
    """Return float32 [num_images, D], rows of length 1.

    ``read_image(position)`` gives the encoded picture, e.g. ``shard_set.image_bytes``; several threads call it.
    ``batches`` and ``after_batch`` as in :func:`embed_texts`.

    Raises:
        ShardError: a picture cannot be decoded; names its position.
    """
    stream = stream_images(model, read_image, num_images, batch_size=batch_size, device=device, batches=batches)
    return _join(stream, after_batch)


def stream_texts(
    model: Model,
    texts: Sequence[str],
    *,
    batch_size: int = BATCH_SIZE,
    device: torch.device | None = None,
    batches: Sequence[int] | None = None,
    at_once: bool = False,
) -> Generator[np.ndarray]:
    """Yield the rows of each batch, float32 [rows, D]; arguments as in :func:`embed_texts`.

    ``at_once`` lets each thread of a CPU encode batches of its own with its share of the cores, so that none waits for
    another. It is not for models whose processes talk while they encode.
    """
    place = device or _device(model)

    def load(positions: range) -> torch.Tensor:
        found = [texts[position] for position in positions]
        return model.tokenizer(found + found[-1:] * (batch_size - len(found)))

    def encode(tokens: torch.Tensor) -> torch.Tensor:
        return model.module.encode_text(tokens.to(place))

    plan = _plan(len(texts), batch_size, batches)
    yield from _stream(model, plan, load, encode, place, at_once=at_once)


def stream_images(
    model: Model,
    read_image: Callable[[int], bytes],
    num_images: int,
    *,
    batch_size: int = BATCH_SIZE,
    device: torch.device | None = None,
    batches: Sequence[int] | None = None,
    at_once: bool = False,
) -> Generator[np.ndarray]:
    """Yield the rows of each batch, float32 [rows, D]; arguments as in :func:`embed_images` and :func:`stream_texts`.

    Raises:
        ShardError: a picture cannot be decoded; names its position.
    """
    preprocess = _Preprocess.of(model)
    place = device or _device(model)

    def load(positions: range) -> Any:
        images = [
            preprocess.shape(decode_image(read_image(position), name=f"picture {position}")) for position in positions
        ]
        return preprocess.stack(images + images[-1:] * (batch_size - len(images)))

    def encode(images: Any) -> torch.Tensor:
        return model.module.encode_image(preprocess.scale(images, place))

    yield from _stream(model, _plan(num_images, batch_size, batches), load, encode, place, at_once=at_once)


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
        raise ShardError(f"{name}: cannot be decoded ({pillow_reason(error)})") from None


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

    def stack(self, images: list[Any]) -> torch.Tensor:
        """A batch of them, uint8 [batch, height, width, 3], or what another transform makes of them."""
        return torch.stack(images) if self.mean is None else torch.from_numpy(np.stack(images))

    def scale(self, images: torch.Tensor, device: torch.device) -> torch.Tensor:
        """A batch as the model takes it, float32 [batch, 3, height, width]."""
        images = images.to(device)
        if self.mean is None:
            return images
        mean, std = (torch.tensor(each, device=device).view(3, 1, 1) for each in (self.mean, self.std))
        return images.permute(0, 3, 1, 2).float().contiguous().div_(255).sub_(mean).div_(std)


def _num_threads() -> int:
    return min(num_cores(), _MOST_THREADS)


def _device(model: Model) -> torch.device:
    return next(model.module.parameters()).device


def _plan(count: int, batch_size: int, batches: Sequence[int] | None) -> list[range]:
    """Positions of each batch."""
    numbers = range(-(-count // batch_size)) if batches is None else batches
    return [range(number * batch_size, min((number + 1) * batch_size, count)) for number in numbers]


def _stream(
    model: Model,
    plan: Sequence[range],
    load: Callable[[range], Any],
    encode: Callable[[Any], torch.Tensor],
    device: torch.device,
    *,
    at_once: bool,
) -> Generator[np.ndarray]:
    """Yield the rows of each batch in order, in evaluation mode, in fp32; threads load the batches to come.

    Raises:
        ModelError: an embedding is not a number; the weights are broken or overflow.
    """
    by_threads = at_once and device.type == "cpu"
    # Batches that are left over when each core has had as many share all cores: none stands idle at the end.
    even = len(plan) - len(plan) % _num_threads() if by_threads else len(plan)
    for part in (plan[:even], plan[even:]):
        if part:
            yield from _stream_part(model, part, load, encode, device, by_threads=by_threads)


def _stream_part(
    model: Model,
    plan: Sequence[range],
    load: Callable[[range], Any],
    encode: Callable[[Any], torch.Tensor],
    device: torch.device,
    *,
    by_threads: bool,
) -> Generator[np.ndarray]:
    threads = min(_num_threads(), len(plan))
    before, was_training = torch.get_num_threads(), model.module.training
    own_threads = _num_threads() // threads if by_threads else before

    # Not inference_mode: FSDP2 keeps the tensors that it makes in here and writes into them in training.
    @torch.no_grad()
    def embed(batch: Any, size: int) -> np.ndarray:
        return torch.nn.functional.normalize(encode(batch)[:size].float(), dim=-1).cpu().numpy()

    def work(positions: range) -> Any:
        batch = load(positions)
        return embed(batch, len(positions)) if by_threads else batch

    model.module.eval()
    model.module.to(device)
    todo, ahead = iter(plan), deque[tuple[range, Future[Any]]]()
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(own_threads,))
    try:
        while True:
            for positions in itertools.islice(todo, threads + 1 - len(ahead)):
                ahead.append((positions, pool.submit(work, positions)))
            if not ahead:
                return
            positions, future = ahead.popleft()
            rows = future.result() if by_threads else embed(future.result(), len(positions))
            _check(model, rows)
            yield rows
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)
        model.module.train(was_training)


def _check(model: Model, rows_ND: np.ndarray) -> None:
    bad = int((~np.isfinite(rows_ND)).any(axis=1).sum())
    if bad:
        raise ModelError(
            f"{model.name}: {bad:,} of {len(rows_ND):,} embeddings are not numbers; its weights are broken"
        )


def _join(stream: Generator[np.ndarray], after_batch: Callable[[], None] | None) -> np.ndarray:
    rows = []
    with contextlib.closing(stream):
        for each in stream:
            rows.append(each)
            if after_batch is not None:
                after_batch()
    return np.concatenate(rows) if rows else np.zeros((0, 0), dtype=np.float32)
