"""From shards to batches: how a sample is read, cropped, captioned and tokenised.

Which sample stands at which position is the business of `pool.py` and `order.py`; processes and workers only share out
the reading.
"""

import hashlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from iconoclip.errors import ShardError
from iconoclip.records import Record

from .captions import draw, usable
from .config import CaptionConfig
from .losses.base import MAX_NOTATIONS
from .order import generator
from .pictures import PictureReader
from .pool import Pool

CHUNK_SAMPLES = 64  # what one worker reads at a time
_MAX_REPLACEMENTS = 16


class Batch(NamedTuple):
    """Some samples, in order: uint8 [n, 3, S, S], int64 [n, context], int64 [n, 11] (`losses.base.GROUP_COLUMNS`)."""

    images: Tensor
    tokens: Tensor
    groups: Tensor
    keys: list[str]
    problems: list[str]
    failure: str = ""

    @classmethod
    def unreadable(cls, failure: str, problems: list[str] | None = None) -> "Batch":
        """Stand for a batch that cannot be read."""
        empty = torch.empty(0)
        return cls(empty, empty, empty, [], problems or [], failure)


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
    _facts: dict[int, "_Facts"] = field(default_factory=dict, repr=False)
    _pixels: dict[tuple[int, int], np.ndarray] = field(default_factory=dict, repr=False)
    _cached_bytes: int = 0

    def __getitem__(self, positions: range) -> Batch:
        images, texts, groups, keys = [], [], [], []
        problems: list[str] = []
        for position in positions:
            try:
                pixels, text, record = self._read(position, problems)
            except ShardError as error:
                return Batch.unreadable(str(error), problems)
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
                facts = self._learn(sample)
                pixels = self._crop(sample, facts, generator(self.seed, "crop", place.epoch, facts.record.key))
            except ShardError as caught:
                error = caught
                problems.append(str(caught))
                continue
            text, record = facts.default, facts.record
            if self.captions.draw != "default":
                admitted = usable(record.captions, self.captions)
                text = draw(admitted, self.captions, seed=self.seed, epoch=place.epoch, key=record.key).text
            return pixels, text, record
        raise ShardError(f"{_MAX_REPLACEMENTS} samples one after the other cannot be read; the last: {error}")

    def _learn(self, sample: int) -> "_Facts":
        """What a sample says of itself."""
        if sample in self._facts:
            return self._facts[sample]
        shard_set, position = self.pool.sets[self.pool.set_of[sample]], int(self.pool.position_of[sample])
        key = shard_set.keys[position]
        data = shard_set.image_bytes(position)
        size = self.pictures.measure(data, name=key)
        try:
            record = shard_set.record(position)
        except (ValueError, TypeError, KeyError) as error:
            raise ShardError(f"{key}.json: not a record ({error})") from None
        default = shard_set.text(position) if self.captions.draw == "default" else ""
        if not (default.strip() or usable(record.captions, self.captions)):
            raise ShardError(f"{key}: no usable caption")
        return _Facts(record, default, size, data)

    def _crop(self, sample: int, facts: "_Facts", rng: np.random.Generator) -> np.ndarray:
        """Draw a crop, decode as much as it needs and cut it out."""
        crop = self.pictures.draw(facts.size, rng)
        pixels = self._pixels.get((sample, crop.factor))
        if pixels is None:
            data = facts.data or self._bytes(sample)
            pixels = self.pictures.decode(data, factor=crop.factor, name=facts.record.key)
            self._keep(sample, crop.factor, pixels, facts)
        return self.pictures.crop(pixels, facts.size, crop)

    def _bytes(self, sample: int) -> bytes:
        shard_set = self.pool.sets[self.pool.set_of[sample]]
        return shard_set.image_bytes(int(self.pool.position_of[sample]))

    def _keep(self, sample: int, factor: int, pixels: np.ndarray, facts: "_Facts") -> None:
        if self._cached_bytes + pixels.nbytes <= self.cache_bytes:
            self._pixels[sample, factor] = pixels
            self._facts[sample] = replace(facts, data=b"")
            self._cached_bytes += pixels.nbytes


@dataclass(frozen=True)
class _Facts:
    """Record, default caption and size (pixels) of a sample; ``data`` is its file, empty once it has been decoded."""

    record: Record
    default: str
    size: tuple[int, int]
    data: bytes


def _groups(record: Record, text: str) -> list[int]:
    """Numbers of what a sample shares with others; see `losses.base.GROUP_COLUMNS`."""
    caption = " ".join(text.casefold().split())
    picture = f"{record.source}\0{record.dup_group}" if record.dup_group else record.key
    work = f"{record.source}\0{record.work_group}" if record.work_group else record.key
    notations = [_number(notation) for notation in record.iconclass[:MAX_NOTATIONS]]
    return [_number(picture), _number(caption), _number(work), *notations, *[0] * (MAX_NOTATIONS - len(notations))]


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


def read_batches(reader: SampleReader, chunks: Chunks, *, workers: int, pin_memory: bool) -> Generator[Batch]:
    """Yield this process's part of each global batch, in order.

    Raises:
        ShardError: too many samples in a row cannot be read, or a worker was killed.
    """
    loader = DataLoader(
        reader,
        batch_size=None,
        sampler=chunks,
        num_workers=workers,
        # Never fork: by now torch and the tokenizer have threads, whose locks a fork would copy.
        multiprocessing_context="forkserver" if workers else None,
        worker_init_fn=_end_with_parent,
        pin_memory=pin_memory,
    )
    iterator = iter(loader)
    parts: list[Batch] = []
    try:
        while (part := _next_part(iterator)) is not None:
            if part.failure:
                raise ShardError(part.failure)
            parts.append(part)
            if len(parts) == chunks.per_step:
                yield parts[0] if len(parts) == 1 else _join(parts)
                parts = []
    finally:
        # Workers have our signals blocked (see stop.py), so they are asked to end, not left to be terminated at exit.
        if isinstance(iterator, _MultiProcessingDataLoaderIter):
            iterator._shutdown_workers()


def _next_part(iterator: Iterator[Batch]) -> Batch | None:
    try:
        return next(iterator, None)
    except (RuntimeError, ConnectionError, EOFError) as error:  # the last two: tensors are fetched from the worker
        if isinstance(error, RuntimeError) and not str(error).startswith("DataLoader worker"):
            raise
        raise ShardError(
            f"a loader worker has died ({error}); was it killed for want of memory? "
            "lower `workers` or `cache_mb`, or ask for more memory"
        ) from None


def _end_with_parent(_: int) -> None:
    """In a worker: end when the process that reads from it was killed; Ctrl-C is for that process to answer.

    torch watches the process that a worker was forked from, which here is the fork server, and that one lives as long
    as one of its workers: both would stay for ever.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()


def _join(parts: list[Batch]) -> Batch:
    return Batch(
        torch.cat([part.images for part in parts]),
        torch.cat([part.tokens for part in parts]),
        torch.cat([part.groups for part in parts]),
        [key for part in parts for key in part.keys],
        [problem for part in parts for problem in part.problems],
    )
