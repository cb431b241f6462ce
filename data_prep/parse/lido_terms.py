"""Choose among LIDO's labels: the preferred one, in the language in which the record is catalogued."""

import re
from collections.abc import Iterable
from typing import Literal

from .text import plain_text
from .xml import Element, attribute, descendants, language_of, read_language, text_of

_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
Side = Literal["front", "back"]
# Sides of a coin, a banknote or a sheet
SIDES: dict[Side, re.Pattern[str]] = {
    "front": re.compile(r"(?:front|obverse|vorderseite|avers|recto|voorzijde|etupuoli)\b:?", re.I),
    "back": re.compile(r"(?:back|reverse|rückseite|revers|verso|achterzijde|kääntöpuoli)\b:?", re.I),
}
# lido00169 preferred, lido00170 alternative, lido00526 as displayed
_OTHERS = ("alternat", "lido00170", "lido00526")


def is_alternative(element: Element) -> bool:
    """Say whether a name or term is marked as another one than the preferred."""
    pref = attribute(element, "pref").lower()
    return any(mark in pref for mark in _OTHERS)


def label_of(element: Element | None, language: str) -> str:
    """The term or SKOS label that is meant to be shown; search terms are none. ``language`` decides between equals."""
    if element is None:
        return ""
    shown = [each for each in descendants(element, "term") if attribute(each, "addedSearchTerm") != "yes"]
    return best_text([*shown, *descendants(element, "prefLabel")], language)


def best_text(elements: Iterable[Element], language: str) -> str:
    """Text of the preferred element, in ``language`` where one says so, else the first; ``""`` where all are empty."""
    found = [(is_alternative(each), _distance(each, language), plain_text(text_of(each))) for each in elements]
    found = [each for each in found if each[2]]
    return min(found, key=lambda each: each[:2])[2] if found else ""


def in_language(elements: Iterable[Element], language: str) -> list[Element]:
    """Those in ``language`` or in none that is stated; where all are in others, those in the first one's."""
    filled = [each for each in elements if text_of(each)]
    mine = [each for each in filled if _distance(each, language) < 2]
    return mine or [each for each in filled if language_of(each) == language_of(filled[0])]


def side_of(text: str) -> Side | None:
    """The side that a word such as ``Avers``, or the first word of a text, means."""
    return next((side for side, pattern in SIDES.items() if pattern.match(text.strip())), None)


def without_side(text: str) -> str:
    """``Vorderseite: Büste des Men`` without the first word."""
    matches = [match for pattern in SIDES.values() if (match := pattern.match(text)) and match[0].endswith(":")]
    return text[matches[0].end() :].strip() if matches else text


def _distance(element: Element, language: str) -> int:
    own = read_language(element.get("lang") or element.get(_XML_LANG) or "")
    return 1 if not own else 0 if own == language else 2
