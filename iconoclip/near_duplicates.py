"""Find pictures that show the same thing: equal files, and near-duplicates by perceptual hash.

A plain hash misses scans with a border or another crop, so each picture has several views: as it is, with its border
trimmed, and three centre crops of that. Two pictures are near-duplicates when any two views differ in at most
``max_distance`` of 64 bits; groups are the connected components.
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, TypeVar

import numpy as np
from PIL import Image

CROPS = (0.03, 0.06, 0.10)
HASH_VERSION = 2  # of hashes that are kept; a change of the views or of the hash raises it

_SIDE = 32
_BITS = 8
_BANDS = 4
_MIN_CONTRAST = 6.0  # grey levels; below it the hash of a blank page is the hash of its noise

T = TypeVar("T", bound=Hashable)


class UnionFind(Generic[T]):
    """Groups that grow together; the name of a group is its smallest member."""

    def __init__(self) -> None:
        self._parent: dict[T, T] = {}

    def find(self, item: T) -> T:
        """Name of the item's group."""
        parent = self._parent
        root = item
        while parent.setdefault(root, root) != root:
            root = parent[root]
        while parent[item] != root:
            parent[item], item = root, parent[item]
        return root

    def union(self, one: T, other: T) -> None:
        """Make two groups one."""
        low, high = sorted((self.find(one), self.find(other)))  # type: ignore[type-var]
        self._parent[high] = low


def hash_views(image: Image.Image) -> list[int]:
    """64-bit hashes of the picture's views, the untrimmed one first; empty for a picture without contrast."""
    grey = image.convert("L")
    grey.thumbnail((256, 256), Image.Resampling.BILINEAR, reducing_gap=1.0)
    if np.asarray(grey, dtype=np.float32).std() < _MIN_CONTRAST:
        return []
    trimmed = grey.crop(content_box(grey))
    views = [grey, trimmed, *(_crop_centre(trimmed, share) for share in CROPS)]
    return list(dict.fromkeys(perceptual_hash(view) for view in views))


def perceptual_hash(grey: Image.Image) -> int:
    """DCT hash: signs of the 8 x 8 lowest frequencies of a 32 x 32 thumbnail against their median (pHash)."""
    small = grey.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    pixels = np.asarray(small, dtype=np.float64)
    low = (_DCT @ pixels @ _DCT.T)[:_BITS, :_BITS].ravel()
    middle = np.sort(low)[low.size // 2 - 1 : low.size // 2 + 1].mean()  # the median, in a tenth of np.median's time
    bits = low > middle
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def content_box(grey: Image.Image) -> tuple[int, int, int, int]:
    """Box without a plain border: rows and columns from outside in that are all nearly the colour of the corners.

    Trims conservatively: at most a quarter of each side, and nothing where the corners differ.
    """
    pixels = np.asarray(grey, dtype=np.float32)
    height, width = pixels.shape
    corners = np.array([pixels[0, 0], pixels[0, -1], pixels[-1, 0], pixels[-1, -1]])
    if np.ptp(corners) > 40 or min(height, width) < 16:
        return 0, 0, width, height
    away = np.abs(pixels - np.median(corners)) > 24
    rows = np.flatnonzero(away.mean(axis=1) > 0.05)
    columns = np.flatnonzero(away.mean(axis=0) > 0.05)
    if not len(rows) or not len(columns):
        return 0, 0, width, height
    top, left = min(int(rows[0]), height // 4), min(int(columns[0]), width // 4)
    bottom = max(int(rows[-1]) + 1, height - height // 4)
    right = max(int(columns[-1]) + 1, width - width // 4)
    return left, top, right, bottom


def _crop_centre(image: Image.Image, share: float) -> Image.Image:
    width, height = image.size
    dx, dy = int(width * share), int(height * share)
    return image.crop((dx, dy, max(dx + 1, width - dx), max(dy + 1, height - dy)))


def group_duplicates(
    sha256: Sequence[str], views: Sequence[Sequence[int]], *, max_distance: int
) -> list[tuple[int, ...]]:
    """Positions of pictures that show the same thing: groups of two and more, sorted."""
    groups: UnionFind[int] = UnionFind()
    first: dict[str, int] = {}
    for position, digest in enumerate(sha256):
        if digest:
            groups.union(first.setdefault(digest, position), position)
    for one, other in near_pairs(views, max_distance):
        groups.union(one, other)
    members: dict[int, list[int]] = {}
    for position in range(len(sha256)):
        members.setdefault(groups.find(position), []).append(position)
    return sorted(tuple(group) for group in members.values() if len(group) > 1)


def near_pairs(views: Sequence[Sequence[int]], max_distance: int) -> Iterable[tuple[int, int]]:
    """Pairs of owners of hashes within ``max_distance``, exactly.

    Two hashes that differ in at most 7 bits differ in at most one bit in one of four bands of 16 (pigeonhole), so it
    is enough to look up each band and its 16 one-bit neighbours.
    """
    if not 0 <= max_distance <= 2 * _BANDS - 1:
        raise ValueError(f"max_distance is {max_distance}; the search is exact from 0 to {2 * _BANDS - 1}")
    hashes = np.array([value for several in views for value in several], dtype=np.uint64)
    owners = np.repeat(np.arange(len(views)), [len(several) for several in views])
    flips = np.array([0, *(1 << bit for bit in range(16))], dtype=np.uint16)
    found: set[tuple[int, int]] = set()
    for band in range(_BANDS):
        keys = ((hashes >> np.uint64(16 * band)) & np.uint64(0xFFFF)).astype(np.uint16)
        order = np.argsort(keys, kind="stable")
        ranked = keys[order]
        for flip in flips if max_distance >= _BANDS else flips[:1]:
            low = np.searchsorted(ranked, keys ^ flip, side="left")
            counts = np.searchsorted(ranked, keys ^ flip, side="right") - low
            found |= _verify(hashes, owners, order, low, counts, max_distance)
    return sorted(found)


def _verify(
    hashes: np.ndarray, owners: np.ndarray, order: np.ndarray, low: np.ndarray, counts: np.ndarray, max_distance: int
) -> set[tuple[int, int]]:
    found: set[tuple[int, int]] = set()
    step = max(1, 4_000_000 // max(1, int(counts.mean()) + 1 if len(counts) else 1))
    for start in range(0, len(hashes), step):
        part = slice(start, start + step)
        left = np.repeat(np.arange(len(hashes))[part], counts[part])
        if not len(left):
            continue
        within = np.arange(len(left)) - np.repeat(np.cumsum(counts[part]) - counts[part], counts[part])
        right = order[np.repeat(low[part], counts[part]) + within]
        near = (owners[left] < owners[right]) & (_popcount(hashes[left] ^ hashes[right]) <= max_distance)
        found.update(zip(owners[left[near]].tolist(), owners[right[near]].tolist(), strict=True))
    return found


def near_between(
    asked: Sequence[Sequence[int]], known: Sequence[Sequence[int]], max_distance: int
) -> list[tuple[int, int, int]]:
    """(asked, known, distance) of all pictures of two sets with views within ``max_distance``, exactly, sorted.

    For few pictures that are asked about among many: the known ones are sorted once a band, by which they are found.
    """
    if not 0 <= max_distance <= 2 * _BANDS - 1:
        raise ValueError(f"max_distance is {max_distance}; the search is exact from 0 to {2 * _BANDS - 1}")
    asked_hashes, asked_owners = _flatten(asked)
    known_hashes, known_owners = _flatten(known)
    flips = np.array([0, *(1 << bit for bit in range(16))], dtype=np.uint16)
    nearest: dict[tuple[int, int], int] = {}
    for band in range(_BANDS):
        keys, wanted = (((hashes >> np.uint64(16 * band)) & np.uint64(0xFFFF)).astype(np.uint16)
                        for hashes in (known_hashes, asked_hashes))  # fmt: skip
        order = np.argsort(keys, kind="stable")
        ranked = keys[order]
        for flip in flips if max_distance >= _BANDS else flips[:1]:
            low = np.searchsorted(ranked, wanted ^ flip, side="left")
            counts = np.searchsorted(ranked, wanted ^ flip, side="right") - low
            for part in _chunks(counts):
                left = np.repeat(np.arange(len(wanted))[part], counts[part])
                within = np.arange(len(left)) - np.repeat(np.cumsum(counts[part]) - counts[part], counts[part])
                right = order[np.repeat(low[part], counts[part]) + within]
                distance = _popcount(asked_hashes[left] ^ known_hashes[right])
                near = distance <= max_distance
                for a, b, bits in zip(asked_owners[left[near]], known_owners[right[near]], distance[near], strict=True):
                    pair = int(a), int(b)
                    nearest[pair] = min(nearest.get(pair, 64), int(bits))
    return sorted((a, b, bits) for (a, b), bits in nearest.items())


def _flatten(views: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of all pictures behind each other, and whose each one is."""
    hashes = np.array([value for several in views for value in several], dtype=np.uint64)
    return hashes, np.repeat(np.arange(len(views)), [len(several) for several in views])


def _chunks(counts: np.ndarray) -> Iterable[slice]:
    """Slices whose counts sum to a few million each, so that memory stays bounded."""
    start, total = 0, 0
    for place, count in enumerate(counts.tolist()):
        if total + count > 4_000_000 and place > start:
            yield slice(start, place)
            start, total = place, 0
        total += count
    if total:
        yield slice(start, len(counts))


def _popcount(values: np.ndarray) -> np.ndarray:
    return np.unpackbits(values.view(np.uint8).reshape(-1, 8), axis=1).sum(axis=1)


def _dct_matrix(size: int) -> np.ndarray:
    k = np.arange(size)[:, None]
    return np.cos(np.pi * k * (2 * np.arange(size)[None, :] + 1) / (2 * size))


_DCT = _dct_matrix(_SIDE)
