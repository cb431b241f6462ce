"""How to ask a IIIF image service for a picture of a given size, and whether what came has that size; pure functions.

IIIF Image API 1.1, 2.0/2.1 and 3.0 (https://iiif.io/api/image/3.0/, sections 4.2 "Size" and 5 "Image Information").
``plan_sizes(service, size_px=1024)`` lists what to try, best first; the full size is asked for only where the whole
picture is no larger than wanted, or where the service gives nothing else.

What iipimage 1.1 (level 1 of API 2) does, by trying: ``!w,h``, ``w,``, ``,h``, ``max`` and ``full`` are all answered,
``^`` with 400; sides are rounded (of ``w,`` the height first, so that a strip comes a few pixels short); a size above
the original comes blown up with 200 unless the library switched that off, and info.json states ``sizeAboveFull`` in
either case; what is above its ``maxWidth`` comes at ``maxWidth``, ``max`` and ``full`` too. So a picture whose size
nobody stated is not asked for by size before info.json has told it (``needs_info``), and the size that comes back is
always compared (``note_size``).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

SizeForm = Literal["confined", "one_side", "listed", "max"]

_LISTED_SLACK = 1.25  # a listed size up to so much larger than wanted is taken: the server has it at hand
_CANVAS_FACTOR = 2  # Presentation API 2.1, 5.3: the canvas of a small picture should be twice as large
_ROUNDING_PX = 2
_SHAPE_TOLERANCE = 0.03


@dataclass(frozen=True, slots=True)
class ImageService:
    """A IIIF image service; what is not known is 0, ``()`` or None. Sizes in pixels, (width, height).

    With ``region`` (``x,y,w,h``) it stands for a part of its picture and has that part's size; see :func:`narrow`.
    """

    id: str
    version: int = 0
    level: int | None = None
    width: int = 0
    height: int = 0
    sizes: tuple[tuple[int, int], ...] = ()
    max_width: int = 0
    max_height: int = 0
    max_area: int = 0
    is_info: bool = False
    region: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height

    @property
    def longer_px(self) -> int:
        """Longer side; 0 where it is not known."""
        return max(self.width, self.height)


@dataclass(frozen=True, slots=True)
class SizeAsk:
    """One size to ask for: the URL, its form, and the longer side (pixels) that should come; 0 if unknown."""

    url: str
    form: SizeForm
    longer_px: int = 0


def read_service(data: dict[str, Any], *, is_info: bool = False) -> ImageService | None:
    """Read an info.json, or the service block of a manifest, of any version; None where it has no id."""
    name = data.get("id") or data.get("@id")
    if not isinstance(name, str) or not name:
        return None
    profiles = data.get("profile")
    profiles = profiles if isinstance(profiles, list) else [profiles]
    texts = [each for each in profiles if isinstance(each, str)]
    limits: dict[str, Any] = {}
    for each in (*(each for each in profiles if isinstance(each, dict)), data):
        limits |= {key: each[key] for key in ("maxWidth", "maxHeight", "maxArea") if key in each}
    sizes = data.get("sizes")
    pairs = [(_int(each.get("width")), _int(each.get("height"))) for each in sizes or () if isinstance(each, dict)]
    return ImageService(
        id=name.rstrip("/").removesuffix("/info.json"),
        version=_version(data, texts),
        level=_level(texts),
        width=_int(data.get("width")),
        height=_int(data.get("height")),
        sizes=tuple(sorted(pair for pair in pairs if all(pair))),
        max_width=_int(limits.get("maxWidth")),
        max_height=_int(limits.get("maxHeight")),
        max_area=_int(limits.get("maxArea")),
        is_info=is_info,
    )


def merge_services(hint: ImageService, info: ImageService) -> ImageService:
    """What info.json says, filled up from the manifest; the id by which we asked stays."""
    return replace(
        info,
        id=hint.id,
        version=info.version or hint.version,
        level=hint.level if info.level is None else info.level,
        width=info.width or hint.width,
        height=info.height or hint.height,
    )


def narrow(service: ImageService, box: tuple[float, float, float, float]) -> ImageService:
    """The service of a part: ``box`` is its left, top, width and height as shares of the picture, whose size is known.

    Listed sizes are those of the whole picture; a limit (``maxWidth``) holds for whatever is sent.
    """
    assert min(service.size) > 0
    left, top = (min(round(share * side), side - 1) for share, side in zip(box[:2], service.size, strict=True))
    width = max(1, min(round(box[2] * service.width), service.width - left))
    height = max(1, min(round(box[3] * service.height), service.height - top))
    return replace(service, region=f"{left},{top},{width},{height}", width=width, height=height, sizes=())


def needs_info(service: ImageService, size_px: int) -> bool:
    """Whether info.json must be read before the first picture is asked for at ``size_px``.

    Before API 3 a server may blow up what is smaller than asked, and the size that a manifest states may be that of a
    canvas, twice the picture's; a static level 0 gives the sizes it lists, or all.
    """
    if service.is_info:
        return False
    is_doubtful = not service.longer_px or size_px < service.longer_px < _CANVAS_FACTOR * size_px
    return (is_doubtful and service.version < 3) or (service.level == 0 and not service.sizes)


def plan_sizes(service: ImageService, size_px: int, *, avoid: Iterable[SizeForm] = ()) -> list[SizeAsk]:
    """Sizes to ask for, best first, for a picture whose longer side should be ``size_px``.

    ``avoid`` names forms that this host is known to refuse; they go to the end.
    """
    wanted_px = _longer_px_allowed(service, size_px)
    is_small = 0 < service.longer_px <= wanted_px
    whole = [SizeAsk(_url(service, name), "max", service.longer_px) for name in _names_of_whole(service, is_small)]
    if is_small:
        return whole  # asking for more would be refused (API 3) or blown up (API 2)
    asks: list[SizeAsk] = []
    listed = _pick_listed(service, wanted_px)
    is_static = service.level == 0
    if listed and (is_static or wanted_px <= max(listed) <= _LISTED_SLACK * wanted_px):
        asks.append(_ask_listed(service, listed))
    if not is_static:
        both = [SizeAsk(_url(service, f"!{wanted_px},{wanted_px}"), "confined", wanted_px)]
        if service.longer_px:
            side = f"{wanted_px}," if service.width >= service.height else f",{wanted_px}"
            both.append(SizeAsk(_url(service, side), "one_side", wanted_px))
        # Level 1 promises one side only, level 2 both; where nobody said, `!w,h` is the commonest.
        asks += reversed(both) if service.level == 1 else both
        if listed and asks[0].form != "listed":
            asks.append(_ask_listed(service, listed))
    avoided = set(avoid)
    asks.sort(key=lambda ask: ask.form in avoided)  # stable
    urls = {ask.url for ask in asks}
    return [*asks, *(ask for ask in whole if ask.url not in urls)]


def _names_of_whole(service: ImageService, is_small: bool) -> tuple[str, ...]:
    """``full`` (API 1, 2), ``max`` (2.1, 3): 2.0 and static trees know ``full`` alone, only ``max`` keeps to limits."""
    if service.version in (1, 3):
        return ("full",) if service.version == 1 else ("max",)
    is_full_first = service.version == 2 and (is_small or service.level == 0)
    return ("full", "max") if is_full_first else ("max", "full")


def _longer_px_allowed(service: ImageService, size_px: int) -> int:
    """``size_px``, or what ``maxWidth``, ``maxHeight`` and ``maxArea`` leave of it (API 3.0, 5.3)."""
    if not service.longer_px:
        return min(size_px, service.max_width or size_px)
    width, height = service.width, service.height
    scale = min(1.0, size_px / service.longer_px)
    if service.max_width:
        scale = min(scale, service.max_width / width)
    if service.max_height or service.max_width:  # without maxHeight, maxWidth holds for both
        scale = min(scale, (service.max_height or service.max_width) / height)
    if service.max_area:
        scale = min(scale, math.sqrt(service.max_area / (width * height)))
    return size_px if scale == 1.0 else max(1, math.floor(scale * service.longer_px + 1e-6))


def _pick_listed(service: ImageService, wanted_px: int) -> tuple[int, int] | None:
    """The smallest listed size that is large enough, else the largest; sizes above the picture's own are not there."""
    sizes = [size for size in service.sizes if max(size) <= (service.longer_px or math.inf)]
    enough = [size for size in sizes if max(size) >= wanted_px]
    if enough:
        return min(enough, key=max)
    return max(sizes, key=max, default=None)


def _ask_listed(service: ImageService, size: tuple[int, int]) -> SizeAsk:
    width, height = size
    is_whole = size == (service.width, service.height)
    if is_whole:  # static trees hold the whole picture under its canonical name only
        return SizeAsk(_url(service, "max" if service.version == 3 else "full"), "listed", max(size))
    segment = f"{width},{height}" if service.version == 3 else f"{width},"
    return SizeAsk(_url(service, segment), "listed", max(size))


def _url(service: ImageService, size: str) -> str:
    quality = "native" if service.version == 1 else "default"
    return f"{service.id}/{service.region or 'full'}/{size}/0/{quality}.jpg"


def note_size(service: ImageService | None, ask: SizeAsk, got: tuple[int, int], *, size_px: int) -> str:
    """What is odd about the size that came; ``""`` where it is as asked. Sizes in pixels."""
    width, height = got
    longer = max(got)
    notes = []
    if ask.longer_px and longer > ask.longer_px + _ROUNDING_PX:
        notes.append(f"larger than asked: {longer} px where {ask.longer_px} px were asked for")
    if ask.longer_px and longer < ask.longer_px - _ROUNDING_PX:
        notes.append(f"smaller than asked: {longer} px where {ask.longer_px} px were asked for")
    if ask.longer_px and ask.longer_px < size_px and service and service.longer_px > ask.longer_px:
        notes.append(f"the service gives {ask.longer_px} px at most where {size_px} px were wanted")
    is_scaled = ask.form in ("confined", "one_side") and abs(longer - ask.longer_px) <= _ROUNDING_PX
    if is_scaled and service and not service.longer_px and service.version < 3:
        notes.append("nobody states how large the picture is: it may have been blown up")
    if service and service.width and service.height:
        shape, stated = width / height, service.width / service.height
        # Small pictures round: one pixel of 50 is 2 %.
        tolerance = _SHAPE_TOLERANCE + 1.5 / min(got)
        if abs(math.log(shape / stated)) > tolerance:
            notes.append(f"another shape: {width} x {height} px of a picture of {service.width} x {service.height} px")
    return "; ".join(notes)


def _version(data: dict[str, Any], profiles: list[str]) -> int:
    """Version of the Image API by context, type or profile; 0 where nothing says."""
    contexts = data.get("@context")
    marks = [*(contexts if isinstance(contexts, list) else [contexts]), data.get("type"), data.get("@type"), *profiles]
    text = " ".join(mark for mark in marks if isinstance(mark, str)).lower()
    for version, signs in (
        (3, ("/image/3", "imageservice3")),
        (2, ("/image/2", "imageservice2")),
        (1, ("/image-api/1", "/image/1", "image-api/compliance", "imageservice1", "image/1.1")),
    ):
        if any(sign in text for sign in signs):
            return version
    bare = {each.lower() for each in profiles}
    return 3 if bare & {"level0", "level1", "level2"} and "id" in data else 0


def _level(profiles: list[str]) -> int | None:
    for text in profiles:
        for level in (0, 1, 2):
            if f"level{level}" in text.lower() or text.endswith(f"#level{level}"):
                return level
    return None


def _int(value: Any) -> int:
    try:
        return max(0, int(value))
    except (TypeError, ValueError, OverflowError):
        return 0
