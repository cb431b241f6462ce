"""A library that serves manifests, collections and streams of changes at any addresses, with ETags, and pictures.

    library = Library()
    library.put("https://iiif.example.org/1/manifest", make_manifest(..., label="A lion"))
    ReplayWorld({"iiif.example.org": library, "images.example.org": library}, tmp_path)

Addresses that nobody put are pictures where they look like it (``draw_picture``), else 404.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from .http import Request, Response
from .replay import draw_picture

V2 = "http://iiif.io/api/presentation/2/context.json"
V3 = "http://iiif.io/api/presentation/3/context.json"
DISCOVERY = "http://iiif.io/api/discovery/1/context.json"
PDM = "http://creativecommons.org/publicdomain/mark/1.0/"


class Library:
    """Answers by address without scheme; ``sent`` and ``unchanged`` list what was answered with 200 and 304."""

    def __init__(self) -> None:
        self._bodies: dict[str, Response] = {}
        self.sent: list[str] = []
        self.unchanged: list[str] = []
        self.accepts: dict[str, str] = {}

    def put(self, url: str, content: Any, content_type: str = "application/json") -> None:
        """Serve a JSON value, bytes, the text of a file, or a whole response at ``url``."""
        if not isinstance(content, Response):
            if isinstance(content, Path):
                content = content.read_bytes()
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            etag = f'"{hashlib.sha1(body).hexdigest()}"'
            content = Response(body=body, headers={"Content-Type": content_type, "ETag": etag})
        self._bodies[_place(url)] = content

    def remove(self, url: str) -> None:
        """Answer 404 there from now on."""
        del self._bodies[_place(url)]

    def __call__(self, request: Request) -> Response:
        place = f"{request.headers.get('host', '').partition(':')[0]}{request.target}"
        self.accepts[place] = request.headers.get("accept", "")
        found = self._bodies.get(place)
        if found is None:
            is_picture = "/full/" in place or place.endswith((".jpg", "/info.json"))
            return draw_picture(request) if is_picture else Response(404)
        etag = found.headers.get("ETag")
        if etag and request.headers.get("if-none-match") == etag:
            self.unchanged.append(place)
            return Response(304, headers={"ETag": etag})
        self.sent.append(place)
        return found


def _place(url: str) -> str:
    return url.partition("://")[2]


def make_manifest(
    url: str, label: str, *, labels: tuple[str, ...] = ("1",), version: int = 2, rights: str = PDM, **more: Any
) -> dict[str, Any]:
    """A manifest of either version with one canvas per label; its pictures are at ``images.`` of the same domain."""
    images = f"https://images.{url.split('/')[2].partition('.')[2]}/{hashlib.sha1(url.encode()).hexdigest()[:10]}"
    canvases = [
        (_canvas_v2 if version == 2 else _canvas_v3)(f"{url}/canvas/{number}", text, f"{images}-{number}")
        for number, text in enumerate(labels, 1)
    ]
    if version == 2:
        head = {"@context": V2, "@id": url, "@type": "sc:Manifest", "label": label, "license": rights}
        return head | {"sequences": [{"@type": "sc:Sequence", "canvases": canvases}]} | more
    head = {"@context": V3, "id": url, "type": "Manifest", "label": {"en": [label]}, "rights": rights}
    return head | {"items": canvases} | more


def _canvas_v2(url: str, label: str, service: str) -> dict[str, Any]:
    info = {"@context": "http://iiif.io/api/image/2/context.json", "@id": service, "profile": f"{_LEVEL2}"}
    resource = {"@id": f"{service}/full/full/0/default.jpg", "@type": "dctypes:Image", "service": info}
    image = {"@type": "oa:Annotation", "motivation": "sc:painting", "on": url, "resource": resource}
    return {"@id": url, "@type": "sc:Canvas", "label": label, "width": 1600, "height": 1200, "images": [image]}


_LEVEL2 = "http://iiif.io/api/image/2/level2.json"


def _canvas_v3(url: str, label: str, service: str) -> dict[str, Any]:
    body = {
        "id": f"{service}/full/max/0/default.jpg", "type": "Image", "format": "image/jpeg",
        "width": 1600, "height": 1200,
        "service": [{"id": service, "type": "ImageService3", "profile": "level2"}],
    }  # fmt: skip
    painting = {"id": f"{url}/p", "type": "Annotation", "motivation": "painting", "target": url, "body": body}
    page = {"id": f"{url}/page", "type": "AnnotationPage", "items": [painting]}
    return {"id": url, "type": "Canvas", "label": {"none": [label]}, "width": 1600, "height": 1200, "items": [page]}


def make_collection(url: str, **lists: Any) -> dict[str, Any]:
    """A collection of version 2; ``manifests=[...]``, ``collections=[...]`` and ``members=[...]`` are addresses."""
    kinds = {"manifests": "sc:Manifest", "collections": "sc:Collection"}
    members = {
        name: [{"@id": each, "@type": kinds[name], "label": each.rpartition("/")[2]} for each in value]
        if name in kinds
        else value
        for name, value in lists.items()
    }
    return {"@context": V2, "@id": url, "@type": "sc:Collection", "label": "Collection"} | members


def make_stream(url: str, *pages: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """A stream of changes and its pages by address, oldest first."""
    names = [f"{url}/page-{number}" for number in range(len(pages))]
    stream = {"@context": DISCOVERY, "id": url, "type": "OrderedCollection", "totalItems": sum(map(len, pages))}
    stream |= {"last": {"id": names[-1], "type": "OrderedCollectionPage"}}
    found = {url: stream}
    for number, (name, items) in enumerate(zip(names, pages, strict=True)):
        page = {"@context": DISCOVERY, "id": name, "type": "OrderedCollectionPage", "orderedItems": items}
        if number:
            page["prev"] = {"id": names[number - 1], "type": "OrderedCollectionPage"}
        found[name] = page
    return found


def change(
    kind: str, url: str = "", time: str = "", *, target: str = "", object_type: str = "Manifest"
) -> dict[str, Any]:
    """An activity; a refresh has no ``url``."""
    found: dict[str, Any] = {"type": kind}
    if url:
        found["object"] = {"id": url, "type": object_type}
    if time:
        found["startTime" if kind == "Refresh" else "endTime"] = time
    if target:
        found["target"] = {"id": target, "type": object_type}
    return found
