"""Read ALTO 1 to 4: where the illustrations of a page are, how much text it has, and what kind of page that makes.

``parse_alto(data)`` gives pages; boxes are in the unit of the file (``unit``: pixel, mm10 or inch1200) and as shares
of the page, which hold for any scan of it. SBB cut half a million illustrations out of 22,000 works this way
(Zellhöfer 2019). What OCR takes for a picture and is none is left out: edges of the scan, rules, stamps, and "pictures"
full of lines of text. Source: https://www.loc.gov/standards/alto/
"""

import math
import re
from dataclasses import dataclass, replace
from typing import Literal

from .parsed import ParseError, ParseReason
from .xml import Element, attribute, children, descendants, first_text, local_name, parse_xml

PageRole = Literal["blank", "picture", "mixed", "text"]

_PICTURE_TYPES = ("illustration", "image", "picture", "photo", "figure", "map", "drawing", "graphic", "chart")
_MIN_PICTURE_SHARE = 0.005
_MAX_ASPECT = 8.0
# Lines of text over more than so much of a "picture": the OCR has taken the page for one.
_MAX_TEXT_SHARE = 0.3
_INSIDE = 0.8
_NO_PICTURE = re.compile(r"stamp|tampon|stempel|separator|rule\b|ruling|barcode|noise|border|damage|artefact", re.I)
# A caption lies right below: within so much of the height of the page, and under at least half of the picture.
_MAX_GAP = 0.06
_MAX_CAPTION_WORDS = 40
_MAX_CAPTION_WORDS_OF_PLATES = 80  # on a page with hardly any other text, a long block is no body text either
_PLATE_TEXT_DENSITY = 0.1
_MIN_CONFIDENCE = 0.5
_HYPHENS = ("-", "\u00ad", "¬", "⸗", "‐")


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
    """Layout of one page. ``text_density`` is the share of the page that text lines cover.

    ``illustrations`` are what the OCR calls so; ``graphics`` are graphical elements large enough to be something
    (initials, vignettes, printers' marks) and outside the illustrations.
    """

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
    graphics: tuple[Box, ...] = ()

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
    tags = {
        attribute(tag, "ID"): attribute(tag, "LABEL") for tags in descendants(root, "Tags") for tag in children(tags)
    }
    pages = [_page(each, unit, name, tags) for each in descendants(root, "Page")]
    if not pages:
        raise ParseError(ParseReason.NO_RECORD, "ALTO without a page")
    return pages


def _page(page: Element, unit: str, file_name: str, tags: dict[str, str]) -> AltoPage:
    width, height = _number(page, "WIDTH"), _number(page, "HEIGHT")
    words = [attribute(each, "CONTENT") for each in descendants(page, "String")]
    lines = [_box(each, width, height) for each in descendants(page, "TextLine")]
    texts = [(_box(each, width, height), each) for each in descendants(page, "TextBlock")]
    density = min(1.0, sum(line.area_share for line in lines))
    max_words = _MAX_CAPTION_WORDS_OF_PLATES if density < _PLATE_TEXT_DENSITY else _MAX_CAPTION_WORDS
    illustrations, graphics = [
        [
            replace(box, caption=_caption(box, texts, max_words))
            for box in _pictures(blocks, lines, (width, height), tags)
        ]
        for blocks in (_illustrations(page), list(descendants(page, "GraphicalElement")))
    ]
    number = _number(page, "PHYSICAL_IMG_NR")
    return AltoPage(
        id=attribute(page, "ID"),
        number=int(number) if number else None,
        unit=unit,
        width=width,
        height=height,
        illustrations=tuple(illustrations),
        num_words=sum(1 for word in words if word),
        num_chars=sum(map(len, words)),
        text_density=density,
        language=next((code for _, each in texts if (code := _language(each))), ""),
        file_name=file_name,
        printed_class=attribute(page, "PAGECLASS"),
        graphics=tuple(box for box in graphics if not any(_is_inside(box, each) for each in illustrations)),
    )


def _language(block: Element) -> str:
    # ALTO 2 calls it `language`, ALTO 3 `LANG`
    return attribute(block, "LANG") or attribute(block, "language")


def _illustrations(page: Element) -> list[Element]:
    composed = [each for each in descendants(page, "ComposedBlock") if _is_picture_block(each)]
    return [*descendants(page, "Illustration"), *composed]


def _is_picture_block(element: Element) -> bool:
    kind = attribute(element, "TYPE").lower()
    return any(word in kind for word in _PICTURE_TYPES) and next(descendants(element, "Illustration"), None) is None


def _pictures(
    blocks: list[Element], lines: list[Box], size: tuple[float | None, float | None], tags: dict[str, str]
) -> list[Box]:
    """Boxes that may hold a picture, each once."""
    found = []
    for each in blocks:
        box = _box(each, *size)
        labels = " ".join(f"{name} {tags.get(name, '')}" for name in attribute(each, "TAGREFS").split())
        ratio = max(box.width, box.height) / max(min(box.width, box.height), 1e-9)
        # Scanned borders and rules are marked as illustrations too: slivers and specks are left out.
        is_large = box.width > 0 and box.height > 0 and not 0 < box.area_share < _MIN_PICTURE_SHARE
        if is_large and ratio <= _MAX_ASPECT and not _NO_PICTURE.search(labels) and not _is_text(box, lines):
            found.append(box)
    return list({(box.x, box.y, box.width, box.height): box for box in found}.values())


def _is_text(box: Box, lines: list[Box]) -> bool:
    return sum(_overlap(box, line) for line in lines) > _MAX_TEXT_SHARE * box.area_share > 0


def _is_inside(box: Box, other: Box) -> bool:
    return _overlap(box, other) > _INSIDE * box.area_share > 0


def _overlap(box: Box, other: Box) -> float:
    """Share of the page that both boxes cover."""
    if box.shares is None or other.shares is None:
        return 0.0
    sides = []
    for place in (0, 1):
        first = max(box.shares[place], other.shares[place])
        last = min(box.shares[place] + box.shares[place + 2], other.shares[place] + other.shares[place + 2])
        sides.append(max(0.0, last - first))
    return sides[0] * sides[1]


def _caption(box: Box, texts: list[tuple[Box, Element]], max_words: int) -> str:
    """Text of the nearest block right below the picture; ``""`` where that is body text or cannot be read."""
    if box.shares is None:
        return ""
    left, top, width, height = box.shares
    nearest: tuple[float, Element] | None = None
    for other, element in texts:
        if other.shares is None:
            continue
        gap = other.shares[1] - (top + height)
        overlap = min(left + width, other.shares[0] + other.shares[2]) - max(left, other.shares[0])
        is_below = -0.01 <= gap <= _MAX_GAP and overlap > 0.5 * min(width, other.shares[2])
        if is_below and (nearest is None or gap < nearest[0]):
            nearest = gap, element
    return _read_block(nearest[1], max_words) if nearest else ""


def _read_block(block: Element, max_words: int) -> str:
    """Words of a block that is short, ends in a word, and was read with some confidence; hyphens are undone."""
    words: list[str] = []
    for string in descendants(block, "String"):
        whole = attribute(string, "SUBS_CONTENT")
        if attribute(string, "SUBS_TYPE") == "HypPart2" and whole:
            continue
        content = whole or attribute(string, "CONTENT")
        if words and words[-1][-1:] in _HYPHENS and len(words[-1]) > 1 and content[:1].islower():
            words[-1] = words[-1][:-1] + content
        elif content:
            words.append(content)
    is_cut = bool(words) and words[-1][-1:] in _HYPHENS  # goes on in another block: body text beside a large initial
    marks = [_number(each, "WC") for each in descendants(block, "String")]
    known = [mark for mark in marks if mark is not None]
    is_doubtful = bool(known) and sum(known) / len(known) < _MIN_CONFIDENCE
    return "" if is_cut or is_doubtful or len(words) > max_words else " ".join(words)


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
