"""From the bytes of a shard to the pixels the image tower sees, with seeded random crops.

The resize rule is the model's own (its ``preprocess_cfg``), so training and evaluation see the same geometry. Pixels
stay uint8 here; the device divides by 255 and normalises.
"""

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from iconoclip.errors import ShardError

from .config import AugmentConfig

_TRIES = 10
_RESAMPLING = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "random": Image.Resampling.BICUBIC,
}


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

    def decode(self, data: bytes, *, name: str) -> Image.Image:
        """Decode to RGB; a JPEG is scaled by the decoder to at least twice the model's size.

        Raises:
            ShardError: it is no picture; names it.
        """
        try:
            image = Image.open(io.BytesIO(data))
            image.draft("RGB", (2 * self.size_px, 2 * self.size_px))
            return image.convert("RGB")
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError, SyntaxError) as error:
            raise ShardError(f"{name}: cannot be decoded ({error})") from None

    def crop(self, image: Image.Image, rng: np.random.Generator) -> np.ndarray:
        """Random crop, resized to the model's square: uint8 [3, size_px, size_px]."""
        resampling = _RESAMPLING[self.interpolation]
        side = self.size_px
        left, top, width, height = self._box(image.width, image.height, rng)
        box = (left, top, left + width, top + height)
        if self.resize_mode == "longest":
            scale = side / max(width, height)
            inner = (max(1, round(width * scale)), max(1, round(height * scale)))
            fill = (self.fill_color,) * 3 if isinstance(self.fill_color, int) else self.fill_color
            resized = ImageOps.pad(image.resize(inner, resampling, box=box), (side, side), color=fill)
        else:
            resized = image.resize((side, side), resampling, box=box)
        return np.ascontiguousarray(np.asarray(resized, dtype=np.uint8).transpose(2, 0, 1))

    def _box(self, width: int, height: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """Left, top, width, height of the crop, as torchvision's RandomResizedCrop draws them."""
        scale, ratio = self.augment.scale, self.augment.ratio
        for _ in range(_TRIES):
            area = width * height * rng.uniform(*scale)
            if self.resize_mode == "longest":
                aspect = width / height
            else:
                aspect = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
            w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < w <= width and 0 < h <= height:
                return int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1)), w, h
        # No such box fits (a very long picture): the largest centred one of the nearest allowed ratio.
        aspect = min(max(width / height, ratio[0]), ratio[1])
        w, h = min(width, round(height * aspect)), min(height, round(width / aspect))
        return (width - w) // 2, (height - h) // 2, max(1, w), max(1, h)
