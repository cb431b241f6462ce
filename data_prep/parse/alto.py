"""Read ALTO 1 to 4: where the illustrations of a page are, how much text it has, and what kind of page that makes.

``parse_alto(data)`` gives pages; boxes are in the unit of the file (``unit``: pixel, mm10 or inch1200) and as shares
of the page, which hold for any scan of it. SBB cut half a million illustrations out of 22,000 works this way
(Zellhöfer 2019).
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

from .parsed import ParseError, ParseReason
from .xml import Element, attribute, descendants, first_text, local_name, parse_xml

PageRole = Literal["blank", "picture", "mixed", "text"]

_PICTURE_TYPES = ("illustration", "image", "picture", "photo", "figure", "map", "drawing", "graphic", "chart")
_MIN_PICTURE_SHARE = 0.005
_MAX_ASPECT = 8.0


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on a page: as it stands in the file, and as shares of width and height (0 to 1)."""

    id: str
    kind: str
    x: float
    y: float
    width: float
    height: float
    shares: tuple[float, float, float, float] | None = None
    caption: str = ""

    @property
    def area_share(self) -> float:
        """Share of the page that the box covers; 0 where the size of the page is not stated."""
        return self.shares[2] * self.shares[3] if self.shares else 0.0


@dataclass(frozen=True, slots=True)
class AltoPage:
    """Layout of one page. ``text_density`` is the share of the page that text lines cover."""

    id: str
    number: int | None
    unit: str
    width: float | None
    height: float | None
    illustrations: tuple[Box, ...]
    num_words: int
    num_chars: int
    text_density: float
    language: str
    file_name: str
    printed_class: str = ""

    @property
    def illustration_share(self) -> float:
        """Share of the page that illustrations cover, overlaps counted twice, at most 1."""
        return min(1.0, sum(box.area_share for box in self.illustrations))

    @property
    def role(self) -> PageRole:
        """Kind of page by what is on it: a picture covers more than text lines do, or there is almost no text."""
        if self.illustrations:
            return (
                "picture"
                if self.illustration_share > max(0.25, 2 * self.text_density) or self.num_words < 20
                else "mixed"
            )
        return "blank" if self.num_words == 0 else "text"


def parse_alto(data: bytes, *, encoding: str = "") -> list[AltoPage]:
    """Read a file of one or more pages.

    Raises:
        ParseError: not XML, not ALTO, or without a page.
    """
    return read_alto(parse_xml(data, encoding=encoding).root)


def read_alto(root: Element) -> list[AltoPage]:
    """Read an ``alto`` element."""
    if local_name(root).lower() != "alto":
        raise ParseError(ParseReason.UNKNOWN_FORMAT, f"the root element is <{local_name(root)}>, not <alto>")
    unit = first_text(root, "Description/MeasurementUnit").lower() or "pixel"
    name = first_text(root, "Description/sourceImageInformation/fileName")
    pages = [_page(each, unit, name) for each in descendants(root, "Page")]
    if not pages:
        raise ParseError(ParseReason.NO_RECORD, "ALTO without a page")
    return pages


def _page(page: Element, unit: str, file_name: str) -> AltoPage:
    width, height = _number(page, "WIDTH"), _number(page, "HEIGHT")
    words = [attribute(each, "CONTENT") for each in descendants(page, "String")]
    lines = [_box(each, width, height) for each in descendants(page, "TextLine")]
    number = _number(page, "PHYSICAL_IMG_NR")
    return AltoPage(
        id=attribute(page, "ID"),
        number=int(number) if number else None,
        unit=unit,
        width=width,
        height=height,
        illustrations=tuple(_illustrations(page, width, height)),
        num_words=sum(1 for word in words if word),
        num_chars=sum(map(len, words)),
        text_density=min(1.0, sum(line.area_share for line in lines)),
        language=next(
            (attribute(each, "LANG") for each in descendants(page, "TextBlock") if attribute(each, "LANG")), ""
        ),
        file_name=file_name,
        printed_class=attribute(page, "PAGECLASS"),
    )


def _illustrations(page: Element, width: float | None, height: float | None) -> list[Box]:
    blocks = [
        *descendants(page, "Illustration"),
        *(e for e in descendants(page, "ComposedBlock") if _is_picture_block(e)),
    ]
    texts = [(_box(each, width, height), each) for each in descendants(page, "TextBlock")]
    found = []
    for each in blocks:
        box = _box(each, width, height)
        ratio = max(box.width, box.height) / max(min(box.width, box.height), 1e-9)
        # Scanned borders and rules are marked as illustrations too: slivers and specks are left out.
        if box.width > 0 and box.height > 0 and ratio <= _MAX_ASPECT and not 0 < box.area_share < _MIN_PICTURE_SHARE:
            found.append(replace(box, caption=_caption(box, texts)))
    return list({(box.x, box.y, box.width, box.height): box for box in found}.values())


def _is_picture_block(element: Element) -> bool:
    kind = attribute(element, "TYPE").lower()
    return any(word in kind for word in _PICTURE_TYPES) and next(descendants(element, "Illustration"), None) is None


def _caption(box: Box, texts: list[tuple[Box, Element]]) -> str:
    """Text of the nearest block below (within 6 % of the page) that lies under the picture; at most 40 words."""
    if box.shares is None:
        return ""
    left, top, width, height = box.shares
    nearest: tuple[float, Element] | None = None
    for other, element in texts:
        if other.shares is None:
            continue
        gap = other.shares[1] - (top + height)
        overlap = min(left + width, other.shares[0] + other.shares[2]) - max(left, other.shares[0])
        if (
            -0.01 <= gap <= 0.06
            and overlap > 0.5 * min(width, other.shares[2])
            and (nearest is None or gap < nearest[0])
        ):
            nearest = gap, element
    words = [attribute(each, "CONTENT") for each in descendants(nearest[1], "String")] if nearest else []
    return " ".join(words) if len(words) <= 40 else ""


def _box(element: Element, width: float | None, height: float | None) -> Box:
    x, y = _number(element, "HPOS") or 0.0, _number(element, "VPOS") or 0.0
    across, down = _number(element, "WIDTH") or 0.0, _number(element, "HEIGHT") or 0.0
    shares = None
    if width and height:
        left, top = min(x / width, 1.0), min(y / height, 1.0)
        shares = (left, top, min(across / width, 1.0 - left), min(down / height, 1.0 - top))
    return Box(attribute(element, "ID"), local_name(element), x, y, across, down, shares)


def _number(element: Element, name: str) -> float | None:
    try:
        value = float(attribute(element, name).replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value < 1e9 else None
