"""The order of samples in training, a pure function of (seed, epoch, position); numpy only, no files.

Within an epoch the shards are permuted, then windows of some shards are shuffled inside: every sample comes once, or as
often as its weight says, and reading stays near a few tars. Position p of the whole run is looked up directly, so a
run that goes on at sample 1,000,000 reads nothing of what came before.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Shares of a mixture are rounded to this many slots, which are one turn of the schedule.
MIXTURE_SLOTS = 65_536
_KEPT = 8  # windows and epoch orders remembered
_UNIT = 2**20  # draws are counted in these parts, as whole numbers: a sum of them is exact
_GOLDEN = (5**0.5 - 1) / 2  # multiples of it fall evenly into [0, 1)


def generator(*parts: int | str) -> np.random.Generator:
    """Random numbers that depend on nothing but ``parts`` (seed, epoch, key, ...): the same on every machine."""
    text = "\0".join(str(part) for part in parts)
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "big")))


@dataclass(frozen=True)
class Place:
    """One draw: which source, which sample of it, and a number that no two draws of the sample share.

    ``epoch`` is the source's own epoch for a sample that comes at most once in each.
    """

    source: int
    sample: int
    epoch: int


class EpochOrder:
    """Order of the samples of one source, for every epoch.

    ``shard_of``: int [N], number of the shard of each sample; the samples of a shard need not lie together.
    ``draws``: float [N] of mean 1, how often each sample comes in an epoch on average (None: once). An epoch has N
    draws in any case; a sample with 1.5 comes once in one epoch and twice in another.
    """

    def __init__(
        self, shard_of: np.ndarray, *, seed: int, name: str, window_shards: int, draws: np.ndarray | None = None
    ) -> None:
        self.num_samples = len(shard_of)
        self._seed, self._name, self._window_shards = seed, name, window_shards
        self._by_shard = np.argsort(shard_of, kind="stable")
        _, self._counts = np.unique(shard_of, return_counts=True)
        self._starts = np.concatenate([[0], np.cumsum(self._counts)])
        self._ends = None if draws is None else _cumulate(draws[self._by_shard])
        self._kept: dict[tuple[int, ...], tuple[np.ndarray, ...]] = {}

    def sample(self, epoch: int, index: int) -> int:
        """Sample number at ``index`` (0..N-1) of ``epoch``."""
        return self.draw(epoch, index)[0]

    def draw(self, epoch: int, index: int) -> tuple[int, int]:
        """Sample number at ``index`` of ``epoch``, and the number of this draw among all of that sample."""
        _, ends = self._bounds(epoch)
        window = int(np.searchsorted(ends, index, side="right"))
        start = int(ends[window - 1]) if window else 0
        samples, draws = self._window(epoch, window)
        return int(samples[index - start]), int(draws[index - start])

    def _bounds(self, epoch: int) -> tuple[np.ndarray, ...]:
        """Return the shards in this epoch's order, and the index at which each window ends."""
        if (epoch,) in self._kept:
            return self._kept[(epoch,)]
        rng = generator(self._seed, self._name, epoch, "shards")
        shards = rng.permutation(len(self._counts))
        counts = self._counts if self._ends is None else np.add.reduceat(self._times(epoch), self._starts[:-1])
        sizes = np.add.reduceat(counts[shards], np.arange(0, len(shards), self._window_shards))
        return self._keep((epoch,), (shards, np.cumsum(sizes)))

    def _window(self, epoch: int, window: int) -> tuple[np.ndarray, ...]:
        """Return the samples of a window in their order, and the number of each draw."""
        if (epoch, window) in self._kept:
            return self._kept[(epoch, window)]
        shards, _ = self._bounds(epoch)
        chosen = shards[window * self._window_shards : (window + 1) * self._window_shards]
        rows = np.concatenate([np.arange(int(self._starts[s]), int(self._starts[s + 1])) for s in chosen])
        draws = np.full(len(rows), epoch)
        if self._ends is not None:
            times = self._times(epoch)[rows]
            first = np.cumsum(times) - times
            copy = np.arange(times.sum()) - np.repeat(first, times)
            draws = np.repeat(epoch * self._most(rows), times) + copy
            rows = np.repeat(rows, times)
        order = generator(self._seed, self._name, epoch, "window", window).permutation(len(rows))
        return self._keep((epoch, window), (self._by_shard[rows][order], draws[order]))

    def _times(self, epoch: int) -> np.ndarray:
        """int [N]: how often each sample comes in this epoch, in the order of storage (systematic sampling).

        The draws are laid end to end, and a comb of N teeth one draw apart falls on them, each epoch at another offset.
        """
        assert self._ends is not None
        if (epoch, -1) not in self._kept:
            start = generator(self._seed, self._name, "comb").random()
            offset = int((start + epoch * _GOLDEN) % 1 * _UNIT)
            self._keep((epoch, -1), (np.diff((self._ends + offset) // _UNIT, prepend=offset // _UNIT),))
        return self._kept[(epoch, -1)][0]

    def _most(self, rows: np.ndarray) -> np.ndarray:
        """int: the most often that each of these can come in an epoch, at least 1."""
        assert self._ends is not None
        units = np.diff(self._ends, prepend=0)[rows]
        return np.maximum(1, -(-units // _UNIT))

    def _keep(self, key: tuple[int, ...], value: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        while len(self._kept) >= _KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = value
        return value


def _cumulate(draws: np.ndarray) -> np.ndarray:
    """int64 [N]: where each sample's draws end when laid end to end, in units; the last is N draws exactly."""
    ends = np.rint(np.cumsum(draws) * (len(draws) / draws.sum()) * _UNIT).astype(np.int64)
    ends[-1] = len(draws) * _UNIT
    return ends


class Mixture:
    """Order of the samples of the whole run, over one or several sources with shares.

    With several sources a fixed schedule, spread as evenly as the shares allow, says whose turn it is; each source
    counts its own epochs. Shares are rounded to 1/65,536, and every source gets at least that.
    """

    def __init__(self, orders: Sequence[EpochOrder], shares: Sequence[float]) -> None:
        self._orders = tuple(orders)
        self._slots = _schedule(shares)
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
        return Place(source, *order.draw(epoch, (index + skip) % order.num_samples))


def _schedule(shares: Sequence[float]) -> np.ndarray:
    """Whose turn each slot is: the n-th of a source's k turns falls at (n + 1/2) / k of the way, ties to the first.

    Example: shares 2, 1, 1 in four slots fall at 1/4 and 3/4, 1/2, 1/2, which gives 0 1 2 0.
    """
    if len(shares) == 1:
        return np.zeros(1, dtype=np.int64)
    exact = np.array(shares) / sum(shares) * MIXTURE_SLOTS
    counts = np.maximum(1, np.floor(exact)).astype(np.int64)
    counts[int(np.argmax(counts))] += MIXTURE_SLOTS - int(counts.sum())
    when = np.concatenate([(np.arange(count) + 0.5) / count for count in counts])
    return np.repeat(np.arange(len(counts)), counts)[np.argsort(when, kind="stable")]
