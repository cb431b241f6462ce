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
WORK_SIDE = 64
_THREADS = 4
_ROWS = 250
_ROUNDING = 1e-9  # sums in another order
# Descriptors that are kept say how they were made.
DESCRIBED_BY = f"{_BINS_PER_CHANNEL} bins, {_THUMBNAIL_SIDE} x {_THUMBNAIL_SIDE}, from {WORK_SIDE} px"


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
        works = np.unique([pictures.works[position] for position in positions], return_inverse=True)[1]
        pictures.nearest_looking[name] = nearest_of_others(colour_and_shape(pictures, positions), works)
    return pictures.nearest_looking[name]


def nearest_of_others(descriptors_ND: np.ndarray, groups_N: np.ndarray) -> np.ndarray:
    """Row of each descriptor's nearest of another group, -1 where there is none; of equally near ones the first.

    Distances of sums are never greater than the sums of distances: those of the coarsest descriptors leave a tenth of
    the pairs, those of the next a hundredth, to be looked at whole.
    """
    whole_ND = descriptors_ND.astype(np.float64)
    coarse_Nd = _sums(whole_ND, bins=2, side=3)
    finer = (_sums(whole_ND, bins=4, side=6), whole_ND)

    def look(start: int) -> list[int]:
        rows = slice(start, start + _ROWS)
        least_nN = -descriptor_similarity(coarse_Nd[rows], coarse_Nd)
        least_nN[groups_N[rows, None] == groups_N[None]] = np.inf
        return [_nearest(finer, row, least_N) for row, least_N in enumerate(least_nN, start=start)]

    with ThreadPoolExecutor(_THREADS) as pool:
        return np.array([near for found in pool.map(look, range(0, len(whole_ND), _ROWS)) for near in found])


def _nearest(finer: Sequence[np.ndarray], row: int, least_N: np.ndarray) -> int:
    """Nearest row, given the least distance that each can have; infinite for those that are not allowed.

    ``finer`` are descriptors that say more and more of it, the last ones all.
    """
    likely, whole_ND = int(least_N.argmin()), finer[-1]
    if np.isinf(least_N[likely]):
        return -1
    near = np.flatnonzero(least_N <= _distances(whole_ND, row, [likely])[0] + _ROUNDING)
    for level_ND in finer:
        least = _distances(level_ND, row, near)
        likely = int(near[least.argmin()])
        near = near[least <= _distances(whole_ND, row, [likely])[0] + _ROUNDING]
    return likely


def _distances(descriptors_ND: np.ndarray, row: int, others: Sequence[int] | np.ndarray) -> np.ndarray:
    return -descriptor_similarity(descriptors_ND[row : row + 1], descriptors_ND[others])[0]


def _sums(descriptors_ND: np.ndarray, *, bins: int, side: int) -> np.ndarray:
    """Sums of neighbouring values: ``bins`` are left of each channel of the histogram, ``side`` of the thumbnail."""
    count, of_bins, of_side = len(descriptors_ND), _BINS_PER_CHANNEL // bins, _THUMBNAIL_SIDE // side
    histogram = descriptors_ND[:, : _BINS_PER_CHANNEL**3].reshape(-1, bins, of_bins, bins, of_bins, bins, of_bins)
    thumbnail = descriptors_ND[:, _BINS_PER_CHANNEL**3 :].reshape(-1, side, of_side, side, of_side, 3)
    sums = (histogram.sum(axis=(2, 4, 6)), thumbnail.sum(axis=(2, 4)))
    return np.concatenate([each.reshape(count, -1) for each in sums], axis=1)


def describe_picture(data: bytes) -> np.ndarray:
    """Colour histogram and 6 x 6 thumbnail of one encoded picture, float32 [620]."""
    with Image.open(io.BytesIO(data)) as image:
        image.draft("RGB", (WORK_SIDE, WORK_SIDE))
        return describe_small(image)


def describe_small(image: Image.Image) -> np.ndarray:
    """:func:`describe_picture` of a picture that was decoded at a fraction that leaves ``WORK_SIDE`` or more."""
    image = image.convert("RGB")
    pixels = np.asarray(image.resize((WORK_SIDE, WORK_SIDE), Image.Resampling.BOX))
    bins = (pixels // (256 // _BINS_PER_CHANNEL)).astype(np.uint16)
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
