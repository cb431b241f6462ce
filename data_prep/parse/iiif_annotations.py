"""Read IIIF annotations: texts about a canvas or a part of it (transcriptions, tags, comments, boxes).

``parse_annotations(value)`` reads an ``AnnotationPage`` (3), an ``AnnotationList`` (2) or one annotation. At the BnF
each word of the OCR is one, with ``body`` an object or a list and ``motivation`` a text or a list (data_prep notes
1.2).
"""

import re
from dataclasses import dataclass
from typing import Any

from .iiif_values import id_of, type_of
from .json import Object, as_list, as_object, as_text, objects, walk
from .parsed import ParseError, ParseReason, Text
from .text import plain_text
from .urls import web_url
from .xml import read_language

_XYWH = re.compile(r"xywh=(?:pixel:)?(-?[\d.]+),(-?[\d.]+),([\d.]+),([\d.]+)")


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotation; ``box`` is x, y, width, height in pixels of the canvas, None for the whole of it."""

    id: str
    motivations: tuple[str, ...]
    canvas: str
    box: tuple[float, float, float, float] | None
    texts: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class AnnotationPage:
    """Annotations of one page of a list; ``next_page`` is ``""`` on the last."""

    id: str
    annotations: tuple[Annotation, ...]
    next_page: str = ""


def parse_annotations(value: Any) -> AnnotationPage:
    """Read a list of annotations.

    Raises:
        ParseError: it is none.
    """
    page = as_object(value)
    kind = type_of(page)
    if kind not in ("AnnotationPage", "AnnotationList", "Annotation", "AnnotationCollection"):
        raise ParseError(ParseReason.UNKNOWN_FORMAT, f"a {kind or 'value without a type'} is no list of annotations")
    items = [page] if kind == "Annotation" else objects(page.get("items") or page.get("resources"))
    return AnnotationPage(
        id_of(page), tuple(map(_annotation, items)), web_url(id_of(page.get("next") or page.get("first")))
    )


def _annotation(item: Object) -> Annotation:
    target = item.get("target") or item.get("on")
    return Annotation(
        id=id_of(item),
        motivations=tuple(
            re.split(r"[:#]", text)[-1] for each in as_list(item.get("motivation")) if (text := as_text(each))
        ),
        canvas=_canvas(target),
        box=_box(target),
        texts=tuple(dict.fromkeys(_bodies(item.get("body") or item.get("resource")))),
    )


def _canvas(target: Any) -> str:
    for each in as_list(target):
        found = (
            each
            if isinstance(each, str)
            else id_of(each.get("source") or each.get("full") or each)
            if isinstance(each, dict)
            else ""
        )
        if found:
            return found.split("#")[0]
    return ""


def _box(target: Any) -> tuple[float, float, float, float] | None:
    texts = [each for each in as_list(target) if isinstance(each, str)]
    for each in walk(target):
        texts += [as_text(each.get(name)) for name in ("value", "source", "@id", "id", "full")]
    for text in texts:
        if match := _XYWH.search(text):
            try:
                x, y, width, height = (float(part) for part in match.groups())
            except ValueError:
                continue
            return x, y, width, height
    return None


def _bodies(value: Any) -> list[Text]:
    found = []
    for each in as_list(value):
        if isinstance(each, dict):
            text = plain_text(as_text(each.get("value") or each.get("chars") or each.get("cnt:chars")))
            if text:
                found.append(Text(text, read_language(as_text(each.get("language"))), "annotation", "page"))
        elif isinstance(each, str) and not each.startswith("http"):
            found.append(Text(plain_text(each), "", "annotation", "page"))
    return found
