"""The order of samples in training, a pure function of (seed, epoch, position); numpy only, no files.

Within an epoch the shards are permuted, then windows of some shards are shuffled inside: every sample comes once, and
reading stays near a few tars. Position p of the whole run is looked up directly, so a run that goes on at sample
1,000,000 reads nothing of what came before.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Weights of a mixture are rounded to this many slots; a multiple of them is one turn of the schedule.
MIXTURE_SLOTS = 4096
_KEPT = 8  # windows and epoch orders remembered


def generator(*parts: int | str) -> np.random.Generator:
    """Random numbers that depend on nothing but ``parts`` (seed, epoch, key, ...): the same on every machine."""
    text = "\0".join(str(part) for part in parts)
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "big")))


@dataclass(frozen=True)
class Place:
    """One draw: which source, which sample of it, and in which of that source's epochs."""

    source: int
    sample: int
    epoch: int


class EpochOrder:
    """Order of the samples of one source, for every epoch.

    ``shard_of``: int [N], number of the shard of each sample; the samples of a shard need not lie together.
    """

    def __init__(self, shard_of: np.ndarray, *, seed: int, name: str, window_shards: int) -> None:
        self.num_samples = len(shard_of)
        self._seed, self._name, self._window_shards = seed, name, window_shards
        self._by_shard = np.argsort(shard_of, kind="stable")
        _, self._counts = np.unique(shard_of, return_counts=True)
        self._starts = np.concatenate([[0], np.cumsum(self._counts)])
        self._kept: dict[tuple[int, ...], tuple[np.ndarray, np.ndarray]] = {}

    def sample(self, epoch: int, index: int) -> int:
        """Sample number at ``index`` (0..N-1) of ``epoch``."""
        _, ends = self._bounds(epoch)
        window = int(np.searchsorted(ends, index, side="right"))
        start = int(ends[window - 1]) if window else 0
        return int(self._window(epoch, window)[index - start])

    def _bounds(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the shards in this epoch's order, and the index at which each window ends."""
        if (epoch,) in self._kept:
            return self._kept[(epoch,)]
        rng = generator(self._seed, self._name, epoch, "shards")
        shards = rng.permutation(len(self._counts))
        sizes = np.add.reduceat(self._counts[shards], np.arange(0, len(shards), self._window_shards))
        return self._keep((epoch,), (shards, np.cumsum(sizes)))

    def _window(self, epoch: int, window: int) -> np.ndarray:
        if (epoch, window) in self._kept:
            return self._kept[(epoch, window)][0]
        shards, _ = self._bounds(epoch)
        chosen = shards[window * self._window_shards : (window + 1) * self._window_shards]
        samples = np.concatenate([self._by_shard[self._starts[s] : self._starts[s + 1]] for s in chosen])
        shuffled = generator(self._seed, self._name, epoch, "window", window).permutation(samples)
        return self._keep((epoch, window), (shuffled, shuffled))[0]

    def _keep(self, key: tuple[int, ...], value: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        while len(self._kept) >= _KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = value
        return value


class Mixture:
    """Order of the samples of the whole run, over one or several sources with weights.

    With several sources a fixed schedule of 4,096 slots, spread as evenly as the weights allow, says whose turn it is;
    each source counts its own epochs. Weights are rounded to 1/4,096, and every source gets at least one slot.
    """

    def __init__(self, orders: Sequence[EpochOrder], weights: Sequence[float]) -> None:
        self._orders = tuple(orders)
        self._slots = _schedule(weights)
        ones = np.stack([self._slots == source for source in range(len(orders))])
        self._before = np.cumsum(ones, axis=1) - ones  # slots of a source before this one, in one turn
        self._per_turn = ones.sum(axis=1)

    def place(self, position: int, *, skip: int = 0) -> Place:
        """Look up the draw at ``position``; ``skip`` > 0 gives replacements, further on in the same epoch."""
        turn, slot = divmod(position, len(self._slots))
        source = int(self._slots[slot])
        number = turn * int(self._per_turn[source]) + int(self._before[source, slot])
        order = self._orders[source]
        epoch, index = divmod(number, order.num_samples)
        return Place(source, order.sample(epoch, (index + skip) % order.num_samples), epoch)


def _schedule(weights: Sequence[float]) -> np.ndarray:
    """Whose turn each slot is: the source that is furthest behind its share, the first one on a tie.

    Example: weights 2, 1, 1 in four slots give 0 1 2 0.
    """
    if len(weights) == 1:
        return np.zeros(1, dtype=np.int64)
    total = float(sum(weights))
    counts = np.maximum(1, np.floor(np.array(weights) / total * MIXTURE_SLOTS)).astype(np.int64)
    counts[int(np.argmax(counts))] += MIXTURE_SLOTS - int(counts.sum())
    slots = np.empty(MIXTURE_SLOTS, dtype=np.int64)
    given = np.zeros(len(weights), dtype=np.int64)
    for slot in range(MIXTURE_SLOTS):
        behind = counts * (slot + 1) - given * MIXTURE_SLOTS
        behind = np.where(given < counts, behind, np.iinfo(np.int64).min)
        slots[slot] = int(np.argmax(behind))
        given[slots[slot]] += 1
    return slots
