"""Read JSON that nobody vouches for: byte-order marks, trailing commas, web pages, depth and size.

The small readers below take any value where a field may be absent or of another type than its specification says.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from .parsed import ParseError, ParseReason
from .xml import title_of_page

MAX_JSON_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 100  # the readers call themselves per level; manifests have about 20
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_HTML = re.compile(rb"\s*<(?:!doctype|html|head|body)\b", re.I)
_STRING_OR_COMMA = re.compile(r'"(?:[^"\\]|\\.)*"|,(?=\s*[\]}])', re.S)

Object = dict[str, Any]


def parse_json(data: bytes, *, max_bytes: int = MAX_JSON_BYTES) -> Any:
    """The value. Trailing commas are forgiven: some of the National Library of Scotland's collections have them.

    Raises:
        ParseError: empty, larger than ``max_bytes``, a web page, or not JSON.
    """
    if not data.strip():
        raise ParseError(ParseReason.EMPTY)
    if len(data) > max_bytes:
        raise ParseError(ParseReason.TOO_LARGE, f"{len(data):,} bytes of JSON; at most {max_bytes:,} are read")
    if _HTML.match(data):
        raise ParseError(ParseReason.HTML_PAGE, title_of_page(data))
    text = _decode(data)
    value = _load(text)
    if _is_deeper(value, MAX_DEPTH):
        raise ParseError(ParseReason.BROKEN_JSON, f"nested deeper than {MAX_DEPTH} levels")
    if _SURROGATE.search(text):  # half a character ("\\ud83d" alone) cannot be written into a shard
        value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    return value


def _load(text: str) -> Any:
    try:
        return json.loads(text, strict=False, parse_int=_whole_number)
    except (ValueError, RecursionError) as error:
        problem = f"{type(error).__name__}: {error}"[:200]
    try:
        return json.loads(_without_trailing_commas(text), strict=False, parse_int=_whole_number)
    except (ValueError, RecursionError):
        raise ParseError(ParseReason.BROKEN_JSON, problem) from None


def _is_deeper(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        inner = (each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list))
        level = [item for items in inner for item in items if isinstance(item, dict | list)]
        if not level:
            return False
    return True


def _decode(data: bytes) -> str:
    for mark, name in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return data.decode(name, "replace")
    return data.decode("utf-8", "replace")


def _whole_number(digits: str) -> int | float:
    # int() of thousands of digits is refused by Python with a ValueError that says nothing about the place
    return int(digits) if len(digits) < 300 else float("inf")


def _without_trailing_commas(text: str) -> str:
    return _STRING_OR_COMMA.sub(lambda match: "" if match[0] == "," else match[0], text)


def as_object(value: Any) -> Object:
    """The value if it is an object, its first object if it is a list, else ``{}``."""
    if isinstance(value, dict):
        return value
    return next(iter(objects(value)), {}) if isinstance(value, list) else {}


def objects(value: Any) -> list[Object]:
    """Objects of a list (or the one object)."""
    if isinstance(value, dict):
        return [value]
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def as_list(value: Any) -> list[Any]:
    """A list as it is, nothing for null, else a list of the one value."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def as_text(value: Any) -> str:
    """A string stripped, a number as written, else ``""``; of a list its first text."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    return next((text for each in value if (text := as_text(each))), "") if isinstance(value, list) else ""


def strings(value: Any) -> list[str]:
    """All strings of a value: itself, those of a list, those of a language map; empty ones left out."""
    if isinstance(value, dict):
        return [text for each in value.values() for text in strings(each)]
    if isinstance(value, list):
        return [text for each in value for text in strings(each)]
    text = as_text(value)
    return [text] if text else []


def as_pixels(value: Any) -> int | None:
    """A size in pixels: a whole number from 1 to 10 million, also as text (``"1200 px"``), else None."""
    if isinstance(value, str):
        match = re.match(r"\s*(\d{1,8})(?:[.,]\d+)?\s*(?:px|pixels?)?\s*$", value)
        value = int(match[1]) if match else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 1 <= value <= 10_000_000 else None


def walk(value: Any) -> Iterator[Object]:
    """Every object in a value, outer ones first."""
    stack = [value]
    while stack:
        here = stack.pop()
        if isinstance(here, dict):
            yield here
            stack.extend(reversed(list(here.values())))
        elif isinstance(here, list):
            stack.extend(reversed(here))
