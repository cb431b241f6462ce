"""From the bytes of a shard to the pixels the image tower sees, with seeded random crops.

The resize rule is the model's own (its ``preprocess_cfg``), so training and evaluation see the same geometry. Pixels
stay uint8 here; the device divides by 255 and normalises. The crop is drawn first: a JPEG is then decoded at 1/2, 1/4
or 1/8 where that leaves enough of the crop, with the same geometry as if it had been decoded whole.
"""

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from iconoclip.errors import ShardError, pillow_reason

from .config import AugmentConfig

_TRIES = 10
# What a fraction must leave, in times of the model's size. At 1.09 (512 px for 224) real pictures lie 43 dB (median)
# and 36.6 dB (5th percentile) from those of full decoding; at 1.0 34.7 dB (`benchmarks/loader.py` prints it).
_SPARE = 1.09
_BROKEN = (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError, SyntaxError)
_JPEG = b"\xff\xd8\xff"


class Crop(NamedTuple):
    """Part of a picture, in its pixels; a decoder that shrinks by ``factor`` (1, 2, 4, 8) leaves enough of it."""

    left: int
    top: int
    width: int
    height: int
    factor: int


@dataclass(frozen=True)
class PictureReader:
    """Decode and crop for one model.

    ``resize_mode`` as in open_clip: ``shortest`` and ``squash`` take a random resized crop; ``longest`` shows the whole
    width and height of the crop, padded with ``fill_color``, so its crop keeps the picture's own ratio of sides.
    """

    size_px: int
    interpolation: str
    resize_mode: str
    fill_color: int | tuple[int, ...]
    augment: AugmentConfig

    @classmethod
    def for_model(cls, size_px: int, preprocess_cfg: Mapping[str, Any], augment: AugmentConfig) -> "PictureReader":
        """Take the model's own preprocessing values."""
        fill = preprocess_cfg.get("fill_color", 0)
        return cls(
            size_px=size_px,
            interpolation=preprocess_cfg.get("interpolation", "bicubic"),
            resize_mode=preprocess_cfg.get("resize_mode", "shortest"),
            fill_color=fill if isinstance(fill, int) else tuple(fill),
            augment=augment,
        )

    def measure(self, data: bytes, *, name: str) -> tuple[int, int]:
        """Width and height from the header, in pixels.

        Raises:
            ShardError: it is no picture; names it.
        """
        try:
            with Image.open(io.BytesIO(data)) as image:
                return image.size
        except _BROKEN as error:
            raise ShardError(f"{name}: cannot be decoded ({pillow_reason(error)})") from None

    def draw(self, size: tuple[int, int], rng: np.random.Generator) -> Crop:
        """A crop of the whole picture, as torchvision's RandomResizedCrop draws them."""
        (width, height), (scale, ratio) = size, (self.augment.scale, self.augment.ratio)
        for _ in range(_TRIES):
            area = width * height * rng.uniform(*scale)
            if self.resize_mode == "longest":
                aspect = width / height
            else:
                aspect = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
            w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < w <= width and 0 < h <= height:
                return self._align(int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1)), w, h)
        # No such box fits (a very long picture): the largest centred one of the nearest allowed ratio.
        aspect = min(max(width / height, ratio[0]), ratio[1])
        w, h = min(width, round(height * aspect)), min(height, round(width / aspect))
        return self._align((width - w) // 2, (height - h) // 2, max(1, w), max(1, h))

    def _align(self, left: int, top: int, width: int, height: int) -> Crop:
        """Choose by how much the decoder may shrink, and move the box to pixels that are whole in the fraction too."""
        side = max(width, height) if self.resize_mode == "longest" else min(width, height)
        factor = next((each for each in (8, 4, 2) if side >= each * _SPARE * self.size_px), 1)
        left, top, width, height = (number - number % factor for number in (left, top, width, height))
        return Crop(left, top, width, height, factor)

    def decode(self, data: bytes, *, factor: int, name: str) -> np.ndarray:
        """Pixels, uint8 [height, width, 3]: of a JPEG one ``factor``-th (sides rounded up), of anything else all.

        Raises:
            ShardError: it is no picture, or a damaged one; names it.
        """
        try:
            if data.startswith(_JPEG):
                return _decode_jpeg(data, factor)
            with Image.open(io.BytesIO(data)) as image:
                return np.array(image.convert("RGB"))
        except _BROKEN as error:
            raise ShardError(f"{name}: cannot be decoded ({pillow_reason(error)})") from None

    def crop(self, pixels: np.ndarray, size: tuple[int, int], crop: Crop) -> np.ndarray:
        """The crop at the model's size: uint8 [3, size_px, size_px].

        ``pixels`` are the picture or a fraction of it, ``size`` is the whole picture's (width, height).
        """
        scale = max(1, round(size[0] / pixels.shape[1]), round(size[1] / pixels.shape[0]))
        left, top, width, height = (number // scale for number in crop[:4])
        part = torch.from_numpy(pixels[top : top + height, left : left + width]).permute(2, 0, 1)[None]
        side = self.size_px
        if self.resize_mode != "longest":
            return _resize(part, (side, side), self.interpolation)[0].contiguous().numpy()
        shrink = side / max(crop.width, crop.height)
        inner = max(1, round(crop.height * shrink)), max(1, round(crop.width * shrink))
        fill = (self.fill_color,) * 3 if isinstance(self.fill_color, int) else self.fill_color
        padded = torch.tensor(fill, dtype=torch.uint8).view(3, 1, 1).repeat(1, side, side)
        down, right = (side - inner[0]) // 2, (side - inner[1]) // 2
        padded[:, down : down + inner[0], right : right + inner[1]] = _resize(part, inner, self.interpolation)[0]
        return padded.numpy()


def _decode_jpeg(data: bytes, factor: int) -> np.ndarray:
    import simplejpeg

    try:
        if factor == 1:
            return simplejpeg.decode_jpeg(data, "RGB")
        height, width = map(int, simplejpeg.decode_jpeg_header(data)[:2])
        return simplejpeg.decode_jpeg(data, "RGB", min_height=-(-height // factor), min_width=-(-width // factor))
    except ValueError:  # CMYK, or damaged: Pillow reads the first and names the second
        with Image.open(io.BytesIO(data)) as image:
            if factor > 1:
                image.draft("RGB", (max(1, image.width // factor), max(1, image.height // factor)))
            return np.array(image.convert("RGB"))


def _resize(pixels: torch.Tensor, size: tuple[int, int], interpolation: str) -> torch.Tensor:
    """[1, 3, h, w] to [1, 3, *size]; torch's antialiased uint8 kernels are Pillow's filters, four times as fast."""
    if pixels.shape[2:] == size:
        return pixels
    mode = "bilinear" if interpolation == "bilinear" else "bicubic"
    return torch.nn.functional.interpolate(pixels, size=size, mode=mode, antialias=True)
