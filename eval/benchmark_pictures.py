"""Pictures of a benchmark as every program sees them alike: upright, 8 bits, RGB or grey; and which are broken.

CLIP programs differ in what they make of EXIF orientation, palettes, transparency and 16 bits, so a picture with any of
these is written anew, without loss; a plain JPEG, PNG or WebP stays as it is, byte by byte.
"""

import hashlib
import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image

from iconoclip.errors import pillow_reason
from iconoclip.workers import Workers, num_cores

from .apply_pictures import upright_rgb
from .baselines import WORK_SIDE, describe_picture, describe_small
from .data import Store

EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
_ORIENTATION = 0x0112
# Of fewer pictures this process looks through all by itself.
_CHUNK = 256
# In each process: where its pictures lie, and whether they are to be hashed and described.
_taken: list[tuple[Store, bool, bool]] = []
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


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a picture says.

    ``broken`` says why it cannot be decoded to its end, ``""`` where it can; ``sha256`` is the hash of what
    :func:`plain_picture` gives, ``colours`` the descriptor of the free baselines; each where it was asked for.
    ``is_plain`` says that the picture is what that function gives.
    """

    broken: str = ""
    sha256: str = ""
    colours: np.ndarray | None = None
    is_plain: bool = True


def look_at(data: bytes, *, hash_it: bool = True, describe: bool = False) -> Look:
    """Decode a picture small and to its end, once for all that is to be known of it."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            is_plain = _is_plain(image)
            image.draft("RGB", (WORK_SIDE, WORK_SIDE))  # a JPEG is still read to its end, at an eighth of the work
            image.load()
            if not hash_it:
                return Look()
            if is_plain:
                return Look("", hashlib.sha256(data).hexdigest(), describe_small(image) if describe else None)
        plain, _ = plain_picture(data)
        colours = describe_picture(plain) if describe else None
        return Look("", hashlib.sha256(plain).hexdigest(), colours, is_plain=False)
    except _BROKEN as error:
        return Look(pillow_reason(error))


def look_through(
    store: Store,
    places: Sequence[int],
    *,
    hash_them: bool = True,
    describe: bool = False,
    meanwhile: Callable[[], None] | None = None,
) -> dict[int, Look]:
    """Look at many pictures, by their places; a missing one counts as broken. More than a few are shared by all cores.

    While other processes look, this one does what is wanted ``meanwhile``; there may be no others.

    Raises:
        IconoclipError: a process was killed.
    """
    chunks = [places[start : start + _CHUNK] for start in range(0, len(places), _CHUNK)]
    count = min(num_cores(), len(chunks))
    given = (store, hash_them, describe)
    with Workers(count, prepare=_take_store, given=given) as workers, ThreadPoolExecutor(1) as beside:
        done = beside.submit(meanwhile) if meanwhile and count > 1 else None
        found = {place: look for _, looks in workers.run(_look_at_some, chunks) for place, look in looks}
        if done is not None:
            done.result()
        return found


def find_broken(store: Store, places: Sequence[int]) -> dict[int, str]:
    """Places whose picture is missing or cannot be decoded, with the reason."""
    looks = look_through(store, places, hash_them=False)
    return {place: looks[place].broken for place in places if looks[place].broken}


def _take_store(store: Store, hash_them: bool, describe: bool) -> None:
    _taken[:] = [(store, hash_them, describe)]


def _look_at_some(places: Sequence[int]) -> list[tuple[int, Look]]:
    (store, hash_them, describe), found = _taken[0], []
    for place in places:
        try:
            look = look_at(store.image_bytes(place), hash_it=hash_them, describe=describe)
        except FileNotFoundError:
            look = Look("not there")
        except OSError as error:
            look = Look(error.strerror or str(error))
        found.append((place, look))
    return found
