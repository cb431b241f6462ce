"""Turn any picture into the JPEG of a shard: upright, sRGB, RGB, longer side at most so many pixels.

``normalise_picture(data, max_px=512, quality=90, ...)`` gives the same bytes for the same input and Pillow version.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from iconoclip.records import RejectReason

from .sources.base import PictureError


@dataclass(frozen=True, slots=True)
class NormalisedPicture:
    """JPEG bytes with the picture (RGB) they were made from; sizes in pixels, the original's as it stands upright."""

    jpeg: bytes
    image: Image.Image
    orig_width: int
    orig_height: int


def normalise_picture(
    data: bytes, *, max_px: int, quality: int, max_source_px: int, turn_deg: int = 0
) -> NormalisedPicture:
    """Decode, turn, convert and shrink a picture.

    ``max_source_px`` is a number of pixels (width x height); a larger picture is refused before it is decoded.

    Raises:
        PictureError: ``image_broken`` or ``image_too_large``.
    """
    try:
        with _bomb_guard(max_source_px), Image.open(io.BytesIO(data)) as image:
            orig_size = image.size
            image.draft(None, (2 * max_px, 2 * max_px))  # JPEG: decode at 1/2, 1/4 or 1/8 and still shrink by 2
            image.load()
            profile = image.info.get("icc_profile")
            swapped = (image.getexif().get(0x0112, 1) in (5, 6, 7, 8)) != (turn_deg % 180 == 90)
            upright = ImageOps.exif_transpose(image)
            if turn_deg:
                upright = upright.rotate(-turn_deg, expand=True)
            rgb = _shrink(_to_srgb(upright, profile), max_px)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureError(RejectReason.IMAGE_TOO_LARGE, f"{error}; the limit is image.max_source_px") from None
    except UnidentifiedImageError:
        raise PictureError(RejectReason.IMAGE_BROKEN, f"{len(data):,} bytes that are no picture") from None
    except MemoryError:
        raise PictureError(RejectReason.IMAGE_TOO_LARGE, "does not fit into memory") from None
    # Pillow's plugins raise nearly anything on damaged files.
    except (OSError, ValueError, SyntaxError, TypeError, KeyError, IndexError, EOFError, ZeroDivisionError,
            AttributeError, OverflowError, RuntimeError) as error:  # fmt: skip
        raise PictureError(RejectReason.IMAGE_BROKEN, f"{type(error).__name__}: {error}") from None
    width, height = orig_size[::-1] if swapped else orig_size
    return NormalisedPicture(_encode(rgb, quality), rgb, width, height)


@contextmanager
def _bomb_guard(max_source_px: int) -> Iterator[None]:
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = max_source_px
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # plugins warn about odd metadata that we do not use
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    image = _to_8_bit(image)
    if image.mode in ("P", "PA", "RGBA", "LA", "RGBa", "La") or "transparency" in image.info:
        image = _on_white(image)
    if profile and image.mode in ("RGB", "L", "CMYK", "LAB"):
        converted = _apply_profile(image, profile)
        if converted is not None:
            return converted
    if image.mode == "LAB":
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        converted = ImageCms.profileToProfile(image, lab, ImageCms.createProfile("sRGB"), outputMode="RGB")
        return image.convert("L").convert("RGB") if converted is None else converted
    return image.convert("RGB")


def _apply_profile(image: Image.Image, profile: bytes) -> Image.Image | None:
    """None where the profile is damaged or is one for another mode: then the pixels are taken as sRGB."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _to_8_bit(image: Image.Image) -> Image.Image:
    if image.mode == "1":
        return image.convert("L")
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image).astype(np.float64)
    top = float(values.max(initial=0))
    # 16-bit scans use the whole range; a float TIFF holds 0..1; anything smaller is 8 bits in a wide mode.
    scale = 1 / 257 if top > 255 else 255.0 if image.mode == "F" and top <= 1 else 1.0
    return Image.fromarray(np.clip(np.rint(values * scale), 0, 255).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    with_alpha = image.convert("RGBA")
    page = Image.new("RGBA", with_alpha.size, "white")
    return Image.alpha_composite(page, with_alpha).convert("RGB")


def _shrink(image: Image.Image, max_px: int) -> Image.Image:
    longer = max(image.size)
    if longer <= max_px:
        return image
    width, height = (max(1, round(side * max_px / longer)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _encode(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.info.clear()  # no EXIF, comment or profile of the source goes on
    image.save(buffer, "JPEG", quality=quality, subsampling="4:2:0", optimize=False, progressive=False)
    return buffer.getvalue()
