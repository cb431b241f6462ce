"""Read a catalogue's date into the years it may mean: ``[ca. 1663]``, ``18..``, ``525–480 B.C.``, ``XV secolo``.

``read_years("1846–1877")`` is ``(1846, 1877)``; what holds no year is ``(None, None)``. Years B.C. are negative.
"""

import re

_BC = r"(?:b\.? ?c\.?(?: ?e\.?)?|v\. ?chr\.?|av\. ?j\.?-?c\.?|a\. ?c\.?|v\. ?c\.?)"
_BC_RANGE = re.compile(rf"(\d{{1,4}})\s*[-–—/]\s*(\d{{1,4}})\s*{_BC}", re.IGNORECASE)
_BC_YEAR = re.compile(rf"(\d{{1,4}})\s*{_BC}", re.IGNORECASE)
_NEGATIVE = re.compile(r"(?<![\d\w])-(\d{1,4})(?!\d)")
_OPEN = re.compile(r"(?<!\d)(\d{2,3})([.?\-u]{1,2})(?!\d)")
_SHORT_RANGE = re.compile(r"(?<!\d)(\d{3,4})\s*[-–—/]\s*(\d{2})(?!\d)")
_YEAR = re.compile(r"(?<![\d-])(\d{4}|\d{3}(?![.?u]))(?!\d)")
_CENTURY = re.compile(
    r"\b([ivx]{1,5}|\d{1,2})(?:\.|th|st|nd|rd|er|[eè]me|de|ste|e|o)?\s*(?:c\.|cent(?:ury|\.)|si[eè]cle|s\.|jh\.?|jahrhundert"
    r"|eeuw|secolo|sec\.|siglo|século)",
    re.IGNORECASE,
)
_CENTURY_AFTER = re.compile(r"(?:siglo|século|secolo|s\.)\s*([ivx]{1,5})\b", re.IGNORECASE)
_OTHER_CENTURY = re.compile(r"\b([IVX]{2,5})\b")
# "4th–5th century": the first of two, with what stands between them
_FIRST_CENTURY = re.compile(
    r"\b(\d{1,2})(?:\.|th|st|nd|rd|er|[eè]me|de|ste|e)(?=\s*[-–—/]|\s+(?:to|or|and|bis|oder|und|[aà]|ou|et|tot|of|en)\s)",
    re.IGNORECASE,
)
_BEFORE_CHRIST = re.compile(rf"(?<!\w){_BC}", re.IGNORECASE)
_ROMAN = {"i": 1, "v": 5, "x": 10}


def read_years(text: str) -> tuple[int | None, int | None]:
    """First and last year that the text may mean, both included."""
    years = _years_before_christ(text) or _years(text) or _centuries(text)
    return (min(years), max(years)) if years else (None, None)


def century(year: int) -> int:
    """Century of a year, negative before Christ: 1900 is in the 19th, -500 in the 5th before Christ."""
    return (year - 1) // 100 + 1 if year > 0 else -((max(1, -year) - 1) // 100 + 1)


def ordinal(number: int) -> str:
    """``1st``, ``12th``, ``22nd``."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _years_before_christ(text: str) -> list[int]:
    ranges = [-int(year) for match in _BC_RANGE.finditer(text) for year in match.groups()]
    return ranges or [-int(match[1]) for match in _BC_YEAR.finditer(text)] or _negative_years(text)


def _negative_years(text: str) -> list[int]:
    # "-490 to -480" counts from Christ; "1859-1860" and "1723-06" are not negative
    return [-int(match[1]) for match in _NEGATIVE.finditer(text)] if text.strip().startswith("-") else []


def _years(text: str) -> list[int]:
    years = [int(match[1]) for match in _YEAR.finditer(text)]
    years += [int(match[2]) for match in re.finditer(r"(?<!\d)(\d{3,4})\s?[-–—/]\s?(\d{3,4})(?!\d)", text)]
    for match in _SHORT_RANGE.finditer(text):
        end = int(match[1]) // 100 * 100 + int(match[2])
        years += [end] if end > int(match[1]) else []
    for match in _OPEN.finditer(text):
        digits, width = match[1], 4 - len(match[1])
        if len(match[2]) == width:
            years += [int(digits) * 10**width, (int(digits) + 1) * 10**width - 1]
    return years


def _centuries(text: str) -> list[int]:
    found = [*_CENTURY.finditer(text), *_CENTURY_AFTER.finditer(text)]
    if found:  # "fine del XV o inizio del XVI secolo"
        found += [*_OTHER_CENTURY.finditer(text), *_FIRST_CENTURY.finditer(text)]
    christ = max((match.start() for match in _BEFORE_CHRIST.finditer(text)), default=0)
    years = list[int]()
    for match in found:
        number = int(match[1]) if match[1].isdigit() else _roman(match[1].lower())
        if 1 <= number <= 21:
            first, last = (number - 1) * 100 + 1, number * 100
            years += [-last, -first] if match.start() < christ else [first, last]
    return years


def _roman(text: str) -> int:
    values = [_ROMAN[letter] for letter in text]
    return sum(-value if value < max(values[i:]) else value for i, value in enumerate(values))
