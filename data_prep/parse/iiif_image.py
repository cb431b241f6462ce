"""Read a IIIF Image API ``info.json`` (1, 2, 3) and say how to ask for the picture at the size that is needed.

``requests_for(info, want_px=1024)`` gives addresses in the order in which to try them, never the full size first: the
server scales, and 1,024 px cost a tenth of the master. Rules (data_prep notes 1.15): level 0 gives listed ``sizes``
only; a listed size up to twice the wanted one is taken elsewhere too, since it lies ready; level 1 knows ``w,``, level
2 ``!w,h``; nothing is scaled up; ``maxWidth``, ``maxHeight`` and ``maxArea`` are kept. Sources:
https://iiif.io/api/image/3.0/, /2.1/, /1.1/.
"""

import math
import re
from dataclasses import dataclass
from typing import Any

from .iiif_values import id_of
from .json import Object, as_list, as_object, as_pixels, as_text, objects
from .parsed import ParseError, ParseReason, Statement
from .statements import statement
from .urls import service_url

DEFAULT_PX = 1024


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What a server says about one picture: sizes in pixels, compliance level (None where it is not stated)."""

    service: str
    version: int
    level: int | None
    width: int | None
    height: int | None
    sizes: tuple[tuple[int, int], ...] = ()
    tiles: tuple[tuple[int, tuple[int, ...]], ...] = ()
    max_width: int | None = None
    max_height: int | None = None
    max_area: int | None = None
    features: frozenset[str] = frozenset()
    formats: tuple[str, ...] = ()
    rights: tuple[Statement, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """An address, and the size that must come back (None where the server decides)."""

    url: str
    width: int | None = None
    height: int | None = None


def parse_info(value: Any, *, url: str = "") -> ImageInfo:
    """Read an ``info.json``; ``url`` is where it came from, for those that state no address of their own.

    Raises:
        ParseError: it names no image service, or no size.
    """
    info = as_object(value)
    service = service_url(id_of(info)) or service_url(url)
    is_service = (
        "iiif.io/api/image" in f"{info.get('@context')} {info.get('protocol')}"
        or "profile" in info
        or "compliance" in str(info)
    )
    if not is_service or not (as_pixels(info.get("width")) or info.get("sizes") or service):
        raise ParseError(ParseReason.UNKNOWN_FORMAT, "neither size nor profile of an image service")
    return _read(info, service)


def service_info(service: Object, *, width: int | None = None, height: int | None = None) -> ImageInfo:
    """What is known without asking: the service block of a manifest, the canvas's size standing in for its own."""
    known = _read(service, service_url(id_of(service)))
    if known.width and known.height:
        return known
    return ImageInfo(
        known.service, known.version, known.level, width, height, known.sizes, known.tiles, features=known.features
    )


def _read(info: Object, service: str) -> ImageInfo:
    extra = [each for each in as_list(info.get("profile")) if isinstance(each, dict)]
    features = [
        *as_list(info.get("extraFeatures")),
        *(name for each in extra for name in as_list(each.get("supports"))),
    ]
    formats = [
        *as_list(info.get("preferredFormats")),
        *as_list(info.get("extraFormats")),
        *as_list(info.get("formats")),
    ]
    formats += [name for each in extra for name in as_list(each.get("formats"))]
    limits = [info, *extra]
    sizes = [(as_pixels(each.get("width")), as_pixels(each.get("height"))) for each in objects(info.get("sizes"))]
    rights = as_text(info.get("rights") or info.get("license"))
    return ImageInfo(
        service=service,
        version=_version(info),
        level=_level(info),
        width=as_pixels(info.get("width")),
        height=as_pixels(info.get("height")),
        sizes=tuple(sorted({(width, height) for width, height in sizes if width and height})),
        tiles=tuple(_tile(each) for each in objects(info.get("tiles")) if as_pixels(each.get("width"))),
        max_width=next((size for each in limits if (size := as_pixels(each.get("maxWidth")))), None),
        max_height=next((size for each in limits if (size := as_pixels(each.get("maxHeight")))), None),
        max_area=next((size for each in limits if (size := _area(each.get("maxArea")))), None),
        features=frozenset(as_text(name) for name in features if as_text(name)),
        formats=tuple(dict.fromkeys(as_text(name) for name in formats if as_text(name))),
        rights=(statement(rights, "image", "web_resource", "info.json:rights"),) if rights else (),
    )


def _tile(tile: Object) -> tuple[int, tuple[int, ...]]:
    return as_pixels(tile.get("width")) or 0, tuple(
        size for each in as_list(tile.get("scaleFactors")) if (size := as_pixels(each))
    )


def _area(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e14 else None


_VERSION_SIGNS = (
    (3, ("image/3", "ImageService3")),
    (2, ("image/2", "ImageService2")),
    (1, ("image-api/1", "image/1", "ImageService1")),
)


def _version(info: Object) -> int:
    names = ("@context", "profile", "type", "@type")
    about = " ".join(as_text(each) for name in names for each in as_list(info.get(name)))
    for version, signs in _VERSION_SIGNS:
        if any(sign in about for sign in signs):
            return version
    return 3 if "id" in info and "@id" not in info else 2


def _level(info: Object) -> int | None:
    for each in as_list(info.get("profile")):
        if match := re.search(r"level-?([012])", as_text(each)):
            return int(match[1])
    return None


def requests_for(info: ImageInfo, *, want_px: int = DEFAULT_PX) -> tuple[ImageRequest, ...]:
    """Requests in the order of trying, for a picture whose longer side is ``want_px`` (less where there is no more).

    An unknown size is asked with ``!w,h`` (level 2), then ``w,``, then the server's largest. A picture as small as
    wanted, and one that only has one size, is asked for as it is.
    """
    largest = _request(info, "max" if info.version >= 3 else "full")
    if not (info.width and info.height):
        listed = _listed(info, want_px, at_most=None)
        box = [] if info.level in (0, 1) else [_request(info, f"!{want_px},{want_px}")]
        width = [] if info.level == 0 else [_request(info, f"{want_px},")]
        return (*([listed] if listed else []), *box, *width, largest)
    if info.level == 0:
        listed = _listed(info, want_px, at_most=None)
        return (listed, largest) if listed else (largest,)
    width, height = _target(info, want_px)
    if (width, height) == (info.width, info.height):
        return (
            _request(info, "max" if info.version >= 3 else "full", width, height),
            _request(info, f"{width},", width, height),
        )
    tries = [_listed(info, want_px, at_most=2 * want_px)]
    if info.level != 1 or "sizeByConfinedWh" in info.features:
        tries.append(_request(info, f"!{max(width, height)},{max(width, height)}", width, height))
    tries += [_request(info, f"{width},", width, height), largest]
    return tuple(dict.fromkeys(each for each in tries if each))


def best_image_url(info: ImageInfo, *, want_px: int = DEFAULT_PX) -> str:
    """Address to try first."""
    return requests_for(info, want_px=want_px)[0].url


def _target(info: ImageInfo, want_px: int) -> tuple[int, int]:
    """Size to ask for: the wanted longer side, no larger than the picture and the server's limits."""
    width, height = info.width or 1, info.height or 1
    scale = min(1.0, want_px / max(width, height))
    max_width, max_height = info.max_width, info.max_height or info.max_width
    if max_width:
        scale = min(scale, max_width / width)
    if max_height:
        scale = min(scale, max_height / height)
    if info.max_area:
        scale = min(scale, math.sqrt(info.max_area / (width * height)))
    if scale >= 1.0:
        return width, height
    floor = math.floor if info.max_area else round
    return max(1, floor(width * scale)), max(1, floor(height * scale))


def _listed(info: ImageInfo, want_px: int, *, at_most: int | None) -> ImageRequest | None:
    """The smallest listed size that is large enough, else (level 0) the largest; None where none fits.

    Some servers list sizes larger than the picture (Wax does): those cannot be had.
    """
    limit = max(info.width or 0, info.height or 0) or 10**9
    sizes = sorted((size for size in info.sizes if max(size) <= limit), key=max)
    enough = [size for size in sizes if max(size) >= want_px and (at_most is None or max(size) <= at_most)]
    chosen = enough[0] if enough else (sizes[-1] if sizes and at_most is None else None)
    if chosen is None:
        return None
    width, height = chosen
    return _request(info, f"{width},{height}" if info.version >= 3 else f"{width},", width, height)


def _request(info: ImageInfo, size: str, width: int | None = None, height: int | None = None) -> ImageRequest:
    quality = "native" if info.version == 1 else "default"
    return ImageRequest(f"{info.service}/full/{size}/0/{quality}.jpg", width, height)
