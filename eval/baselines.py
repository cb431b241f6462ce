"""What costs nothing: figures that need no model, to hold every score against.

The colour-and-shape descriptor is a colour histogram beside a 6 x 6 thumbnail; its nearest neighbour finds what looks
alike on the screen. Leaving the picture out but not its document flatters it: pages of one album share paper and light.
"""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from iconoclip.files import sha256_json

from .data import Pictures

_BINS_PER_CHANNEL = 8
_THUMBNAIL_SIDE = 6
_WORK_SIDE = 64
_THREADS = 4
_ROWS = 250
# Descriptors that are kept say how they were made.
DESCRIBED_BY = f"{_BINS_PER_CHANNEL} bins, {_THUMBNAIL_SIDE} x {_THUMBNAIL_SIDE}, from {_WORK_SIDE} px"


def colour_and_shape(pictures: Pictures, positions: Sequence[int]) -> np.ndarray:
    """Descriptors float32 [N, 512 + 108]: histogram (8 bins a channel, sums to 1) and thumbnail (0..1/6)."""
    known = pictures.descriptors
    new = [position for position in positions if position not in known]
    with ThreadPoolExecutor(_THREADS) as pool:
        known.update(zip(new, pool.map(lambda position: describe_picture(pictures.read(position)), new), strict=True))
    return np.stack([known[position] for position in positions])


def nearest_looking(pictures: Pictures, positions: Sequence[int]) -> np.ndarray:
    """Place in ``positions`` of the picture of another work that is nearest in colour and shape, -1 without one.

    Several tasks on the same pictures ask for it, and the cache keeps it.
    """
    name = sha256_json(list(positions))[:12]
    if name not in pictures.nearest_looking:
        descriptors = colour_and_shape(pictures, positions).astype(np.float64)
        _, works = np.unique([pictures.works[position] for position in positions], return_inverse=True)

        def look(start: int) -> np.ndarray:
            rows = slice(start, start + _ROWS)
            similarity = descriptor_similarity(descriptors[rows], descriptors)
            return nearest_allowed(similarity, works[rows, None] != works[None])

        with ThreadPoolExecutor(_THREADS) as pool:
            found = list(pool.map(look, range(0, len(positions), _ROWS)))
        pictures.nearest_looking[name] = np.concatenate(found)
    return pictures.nearest_looking[name]


def describe_picture(data: bytes) -> np.ndarray:
    """Colour histogram and 6 x 6 thumbnail of one encoded picture, float32 [620]."""
    with Image.open(io.BytesIO(data)) as opened:
        opened.draft("RGB", (_WORK_SIDE, _WORK_SIDE))
        image = opened.convert("RGB")
    pixels = np.asarray(image.resize((_WORK_SIDE, _WORK_SIDE), Image.Resampling.BOX), dtype=np.int64)
    bins = pixels // (256 // _BINS_PER_CHANNEL)
    code = (bins[..., 0] * _BINS_PER_CHANNEL + bins[..., 1]) * _BINS_PER_CHANNEL + bins[..., 2]
    histogram = np.bincount(code.ravel(), minlength=_BINS_PER_CHANNEL**3) / code.size
    small = image.resize((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), Image.Resampling.BOX)
    thumbnail = np.asarray(small, dtype=np.float64).ravel() / 255 / _THUMBNAIL_SIDE
    return np.concatenate([histogram, thumbnail]).astype(np.float32)


def descriptor_similarity(a_ND: np.ndarray, b_MD: np.ndarray) -> np.ndarray:
    """Minus the city-block distance of descriptors, [N, M]."""
    from scipy.spatial.distance import cdist

    return -cdist(a_ND, b_MD, metric="cityblock")


def largest_class(labels: np.ndarray) -> int:
    """The class with most pictures; of equal ones the first."""
    return int(np.bincount(labels).argmax())


def nearest_allowed(similarity_QG: np.ndarray, allowed_QG: np.ndarray) -> np.ndarray:
    """Column of each row's nearest allowed picture, -1 where none is allowed; of equal ones the first."""
    masked = np.where(allowed_QG, similarity_QG, -np.inf)
    return np.where(allowed_QG.any(axis=1), masked.argmax(axis=1), -1)
