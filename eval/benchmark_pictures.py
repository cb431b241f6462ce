"""Pictures of a benchmark as every program sees them alike: upright, 8 bits, RGB or grey; and which are broken.

CLIP programs differ in what they make of EXIF orientation, palettes, transparency and 16 bits, so a picture with any of
these is written anew, without loss; a plain JPEG, PNG or WebP stays as it is, byte by byte.
"""

import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from PIL import Image

from .apply_pictures import upright_rgb
from .baselines import WORK_SIDE
from .data import Store

EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
_ORIENTATION = 0x0112
_THREADS = 4
# What Pillow raises on damaged files; a bomb is one that is too large to be looked at.
_BROKEN = (OSError, ValueError, SyntaxError, EOFError, TypeError, KeyError, IndexError, Image.DecompressionBombError)


def plain_picture(data: bytes) -> tuple[bytes, str]:
    """Encoded picture that every program reads alike, and its extension (``jpg``, ``png``, ``webp``).

    Raises:
        OSError, ValueError or another error of Pillow: it cannot be decoded.
    """
    with Image.open(io.BytesIO(data)) as image:
        if _is_plain(image):
            return data, EXTENSIONS[str(image.format)]
    buffer = io.BytesIO()
    upright_rgb(data, max_px=None).save(buffer, "PNG", optimize=False)
    return buffer.getvalue(), "png"


def _is_plain(image: Image.Image) -> bool:
    return (
        image.format in EXTENSIONS
        and image.mode in ("RGB", "L")
        and image.getexif().get(_ORIENTATION, 1) == 1
        and getattr(image, "n_frames", 1) == 1
        and "transparency" not in image.info
    )


def why_broken(data: bytes, *, show: Callable[[Image.Image], None] | None = None) -> str:
    """Why a picture cannot be decoded to its end; ``""`` where it can.

    ``show`` is given a plain picture, decoded small, to spare its decoding once more.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            is_plain = show is not None and _is_plain(image)
            image.draft("RGB", (WORK_SIDE, WORK_SIDE))  # a JPEG is still read to its end, at an eighth of the work
            image.load()
            if show is not None and is_plain:
                show(image)
    except _BROKEN as error:
        return str(error).split(" <_io", 1)[0].split(" '<_io", 1)[0] or type(error).__name__
    return ""


def find_broken(
    store: Store, places: Sequence[int], *, show: Callable[[int, Image.Image], None] | None = None
) -> dict[int, str]:
    """Places whose picture is missing or cannot be decoded, with the reason; ``show`` as in :func:`why_broken`."""

    def look(place: int) -> str:
        try:
            return why_broken(store.image_bytes(place), show=partial(show, place) if show else None)
        except FileNotFoundError:
            return "not there"
        except OSError as error:
            return error.strerror or str(error)

    with ThreadPoolExecutor(_THREADS) as pool:
        return {place: why for place, why in zip(places, pool.map(look, places), strict=True) if why}


class PlainStore:
    """A store whose pictures are all plain."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def image_bytes(self, position: int) -> bytes:
        """Encoded picture that every program reads alike."""
        return plain_picture(self._store.image_bytes(position))[0]

    def text(self, position: int) -> str:
        """Default caption."""
        return self._store.text(position)
