"""From shards to batches: how a sample is read, cropped, captioned and tokenised.

Which sample stands at which position is the business of `pool.py` and `order.py`; processes and workers only share out
the reading.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from iconoclip.errors import ShardError
from iconoclip.records import Record

from .captions import draw, usable
from .config import CaptionConfig
from .order import generator
from .pictures import PictureReader
from .pool import Pool

CHUNK_SAMPLES = 64  # what one worker reads at a time
_MAX_REPLACEMENTS = 16


class Batch(NamedTuple):
    """Some samples, in order: uint8 [n, 3, S, S], int64 [n, context], int64 [n, 3] (`losses.base.GROUP_COLUMNS`)."""

    images: Tensor
    tokens: Tensor
    groups: Tensor
    keys: list[str]
    problems: list[str]
    failure: str = ""


@dataclass
class SampleReader(Dataset):
    """Map a range of positions of the run to a :class:`Batch`; a broken sample is replaced and named in ``problems``.

    Each process that reads keeps up to ``cache_bytes`` of decoded pictures and records; what is read does not depend
    on it.
    """

    pool: Pool
    pictures: PictureReader
    tokenizer: Callable[[list[str]], Tensor]
    captions: CaptionConfig
    seed: int
    cache_bytes: int
    _cache: dict[int, tuple[Image.Image, Record, str]] = field(default_factory=dict, repr=False)
    _cached_bytes: int = 0

    def __getitem__(self, positions: range) -> Batch:
        images, texts, groups, keys = [], [], [], []
        problems: list[str] = []
        for position in positions:
            try:
                pixels, text, record = self._read(position, problems)
            except ShardError as error:
                empty = torch.empty(0)
                return Batch(empty, empty, empty, [], problems, failure=str(error))
            images.append(pixels)
            texts.append(text)
            groups.append(_groups(record, text))
            keys.append(record.key)
        return Batch(
            torch.from_numpy(np.stack(images)),
            self.tokenizer(texts),
            torch.tensor(groups, dtype=torch.int64),
            keys,
            problems,
        )

    def _read(self, position: int, problems: list[str]) -> tuple[np.ndarray, str, Record]:
        error: ShardError | None = None
        for skip in range(_MAX_REPLACEMENTS):
            place = self.pool.mixture.place(position, skip=skip)
            sample = int(self.pool.sources[place.source][place.sample])
            try:
                image, record, default = self._load(sample)
            except ShardError as caught:
                error = caught
                problems.append(str(caught))
                continue
            rng = generator(self.seed, "crop", place.epoch, record.key)
            if self.captions.draw == "default":
                text = default
            else:
                admitted = usable(record.captions, self.captions)
                text = draw(admitted, self.captions, seed=self.seed, epoch=place.epoch, key=record.key).text
            return self.pictures.crop(image, rng), text, record
        raise ShardError(f"{_MAX_REPLACEMENTS} samples one after the other cannot be read; the last: {error}")

    def _load(self, sample: int) -> tuple[Image.Image, Record, str]:
        """Return picture, record and default caption of a sample."""
        if sample in self._cache:
            return self._cache[sample]
        shard_set, position = self.pool.sets[self.pool.set_of[sample]], int(self.pool.position_of[sample])
        key = shard_set.keys[position]
        image = self.pictures.decode(shard_set.image_bytes(position), name=key)
        try:
            record = shard_set.record(position)
        except (ValueError, TypeError, KeyError) as error:
            raise ShardError(f"{key}.json: not a record ({error})") from None
        default = shard_set.text(position) if self.captions.draw == "default" else ""
        if not (default.strip() or usable(record.captions, self.captions)):
            raise ShardError(f"{key}: no usable caption")
        num_bytes = image.width * image.height * 3
        if self._cached_bytes + num_bytes <= self.cache_bytes:
            self._cache[sample] = (image, record, default)
            self._cached_bytes += num_bytes
        return image, record, default


def _groups(record: Record, text: str) -> tuple[int, int, int]:
    caption = " ".join(text.casefold().split())
    picture = f"{record.source}\0{record.dup_group}" if record.dup_group else record.key
    work = f"{record.source}\0{record.work_group}" if record.work_group else record.key
    return _number(picture), _number(caption), _number(work)


def _number(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


class Chunks(Sampler):
    """Ranges of positions that one process reads: its part of every global batch from ``first_step`` on."""

    def __init__(self, first_step: int, last_step: int, *, batch_size: int, rank: int, world: int) -> None:
        self._steps = range(first_step, last_step)
        self._batch_size, self._rank, self._num_local = batch_size, rank, batch_size // world
        self.per_step = -(-self._num_local // CHUNK_SAMPLES)

    def __len__(self) -> int:
        return len(self._steps) * self.per_step

    def __iter__(self) -> Iterator[range]:
        for step in self._steps:
            start = step * self._batch_size + self._rank * self._num_local
            stop = start + self._num_local
            for first in range(start, stop, CHUNK_SAMPLES):
                yield range(first, min(first + CHUNK_SAMPLES, stop))


def read_batches(reader: SampleReader, chunks: Chunks, *, workers: int, pin_memory: bool) -> Iterator[Batch]:
    """Yield this process's part of each global batch, in order.

    Raises:
        ShardError: too many samples in a row cannot be read.
    """
    loader = DataLoader(
        reader,
        batch_size=None,
        sampler=chunks,
        num_workers=workers,
        # Never fork: by now torch and the tokenizer have threads, whose locks a fork would copy.
        multiprocessing_context="forkserver" if workers else None,
        pin_memory=pin_memory,
    )
    parts: list[Batch] = []
    for part in loader:
        if part.failure:
            raise ShardError(part.failure)
        parts.append(part)
        if len(parts) == chunks.per_step:
            yield parts[0] if len(parts) == 1 else _join(parts)
            parts = []


def _join(parts: list[Batch]) -> Batch:
    return Batch(
        torch.cat([part.images for part in parts]),
        torch.cat([part.tokens for part in parts]),
        torch.cat([part.groups for part in parts]),
        [key for part in parts for key in part.keys],
        [problem for part in parts for problem in part.problems],
    )
