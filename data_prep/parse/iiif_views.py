"""Canvases of a manifest and the picture that is painted on each, whatever version wrote them.

Version 2: ``sequences[].canvases[].images[].resource``; version 3: ``items[].items[].items[].body``; both may hold a
choice, of which the first is taken. Sound, film and text are no views; a placeholder or accompanying canvas is no
page.
"""

import re
from dataclasses import replace
from typing import Any

from .iiif_image import best_image_url, service_info
from .iiif_values import id_of, image_service, metadata_fields, raw_texts, service_address, texts_of, type_of
from .json import Object, as_list, as_object, as_pixels, as_text, objects
from .parsed import RightsPlace, Statement, Text, View
from .statements import says_something, statement
from .urls import image_service_of, image_url, is_closed, is_picture, service_url, web_url

_MAX_DEPTH = 6
_NO_PICTURES = frozenset({
    "Sound", "Video", "Text", "TextualBody", "Dataset", "Model", "MovingImage", "PhysicalObject", "ContentAsText",
})  # fmt: skip


def read_views(manifest: Object) -> tuple[View, ...]:
    """One view per canvas that shows or names a picture, numbered by canvas."""
    views = [
        replace(view, number=number)
        for number, canvas in enumerate(_canvases(manifest), 1)
        if (view := _view(canvas)) is not None
    ]
    seen: dict[str, View] = {}
    for view in views:
        seen.setdefault(f"{view.canvas} {view.iiif_service or view.url}", view)
    return tuple(seen.values())


def _canvases(manifest: Object) -> list[Object]:
    for sequence in objects(manifest.get("sequences")):
        if sequence.get("compatibilityHint"):  # "this is sound: your viewer cannot show it", as a picture
            return []
        if canvases := objects(sequence.get("canvases")):
            return canvases
    items = objects(manifest.get("items"))
    return [each for each in items if type_of(each) in ("Canvas", "") or each.get("images")] or objects(
        manifest.get("canvases")
    )


def _view(canvas: Object) -> View | None:
    views = [view for resource in _painted(canvas) if (view := _picture(canvas, resource)) is not None]
    return next((view for view in views if not view.problem), next(iter(views), None))


def _painted(canvas: Object) -> list[Object]:
    """Resources painted on the canvas, in order; of a choice its default (first)."""
    annotations = [*objects(canvas.get("images"))]
    for page in objects(canvas.get("items") or canvas.get("content")):
        annotations += objects(page.get("items")) or ([page] if page.get("body") or page.get("resource") else [])
    found: list[Object] = []
    for each in annotations:
        motivation = " ".join(as_text(part) for part in as_list(each.get("motivation")))
        if not motivation or "painting" in motivation:
            found += _resources(each.get("resource") or each.get("body"), _MAX_DEPTH)
    return found


def _resources(value: Any, depth: int) -> list[Object]:
    found: list[Object] = []
    for each in as_list(value) if depth > 0 else ():
        if isinstance(each, str):
            found.append({"@id": each})
        elif isinstance(each, dict):
            kind = type_of(each)
            if kind == "Choice" or (kind == "" and each.get("default")):
                found += _resources([each.get("default"), *as_list(each.get("items") or each.get("item"))], depth - 1)
            elif kind == "SpecificResource" and (each.get("source") or each.get("full")):
                found += _resources(each.get("source") or each.get("full"), depth - 1)
            else:
                found.append(each)
    return found


def _picture(canvas: Object, resource: Object) -> View | None:
    kind, mime = type_of(resource), as_text(resource.get("format"))
    if kind in _NO_PICTURES:
        return None
    url, service = image_url(id_of(resource)), service_address(resource)
    service = service or service_url(image_service_of(web_url(id_of(resource))))
    label = next((text.text for text in texts_of(canvas.get("label"))), "")
    if problem := _problem(id_of(resource), url, service):
        return View(label=label, canvas=id_of(canvas), problem=problem) if kind == "Image" else None
    is_image = kind == "Image" or bool(service) or is_picture(url, mime)
    if not (url or service) or not is_image:
        return None
    width = as_pixels(resource.get("width")) or as_pixels(canvas.get("width"))
    height = as_pixels(resource.get("height")) or as_pixels(canvas.get("height"))
    if service and (not url or "#" in url):  # "manifest.json#/canvas/1/body" names the picture and is none
        info = service_info(image_service(resource.get("service")), width=width, height=height)
        url = best_image_url(info) if info.service else url
    fields = metadata_fields(canvas.get("metadata"), "canvas")
    return View(
        url=url,
        iiif_service=service,
        width=width,
        height=height,
        mime=mime if "/" in mime else "",
        label=label,
        canvas=id_of(canvas),
        texts=_texts(canvas, fields),
        rights=(*_statements(resource, "web_resource"), *_statements(canvas, "canvas")),
    )


def _problem(address: str, url: str, service: str) -> str:
    if is_closed(service or url):
        return (
            f"{service or url}: gallica.bnf.fr refuses programs, and this address is not known to be at openapi.bnf.fr"
        )
    scheme = re.match(r"([a-z][a-z0-9+.-]*):", address, re.I)
    if url or service or not scheme or scheme[1].lower() in ("http", "https", "urn", "info", "tag", "ark", "doi"):
        return ""
    return f"{address[:100]}: only http and https addresses are ever opened"


def _texts(canvas: Object, fields: dict[str, list[Text]]) -> tuple[Text, ...]:
    """What the canvas says about itself: its label, summary, and pairs of its own metadata."""
    found = [
        *texts_of(canvas.get("label"), "canvas:label"),
        *fields.get("title", ()),
        *texts_of(canvas.get("summary") or canvas.get("description"), "canvas:summary"),
        *fields.get("description", ()),
    ]
    return tuple(dict.fromkeys(Text(text.text, text.lang, text.source, "page") for text in found))


def _statements(resource: Object, place: RightsPlace) -> tuple[Statement, ...]:
    found = []
    for name in ("rights", "license"):
        for raw, _ in raw_texts(resource.get(name)):
            found.append(statement(raw, "image", place, name))
    for name in ("attribution", "requiredStatement"):
        value = resource.get(name)
        for raw, _ in raw_texts(as_object(value).get("value") if name == "requiredStatement" else value):
            if says_something(raw):
                found.append(statement(raw, "image", place, name))
    return tuple(dict.fromkeys(each for each in found if each.raw))
