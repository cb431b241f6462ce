"""A small api.nb.no: items in HAL pages, and the image resolver of Image API 1.1 behind it.

Shape as client code of others uses it (data_prep notes 1.7; no recorded answer exists here), values made up.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from .http import Request, Response
from .replay import draw_picture

HOST, IMAGES = "api.nb.no", "www.nb.no"
ROOT = "/catalog/v1/items"
_RESOLVER = f"https://{IMAGES}/services/image/resolver"
PUBLIC = {"isDigital": True, "isPublicDomain": True, "accessAllowedFrom": "EVERYWHERE", "viewability": "ALL"}


def urn(number: int) -> str:
    """Identifier of item ``number``."""
    return f"URN:NBN:no-nb_digifoto_2014_{number:03d}"


def make_item(number: int, *, access: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    """A photograph that everybody may see."""
    return {
        "id": f"{number:032x}",
        "metadata": {
            "title": f"Huset på garden nummer {number}", "creators": ["Wilse, Anders Beer"],
            "originInfo": {"issued": f"19{number:02d}0615"}, "mediaTypes": ["bilder"], "languages": [{"code": "nob"}],
            "identifiers": {"urn": urn(number), "sesamid": f"{number:016x}"},
            "geographic": {"placeString": "Norge;Telemark;Bø"}, "subject": {"topics": ["hus"]}, **metadata,
        },
        "accessInfo": PUBLIC if access is None else access,
        "_links": {
            "thumbnail_custom": {"href": f"{_RESOLVER}/{urn(number)}/full/{{width}},{{height}}/0/native.jpg",
                                 "templated": True},
            "presentation": {"href": f"https://{HOST}:443/catalog/v1/iiif/{urn(number)}/manifest"},
        },
    }  # fmt: skip


@dataclass
class NorwegianCatalogue:
    """Answers searches page by page; behind ``limit`` items the server refuses with ``limit_status``.

    ``says_next`` gives the HAL link to the next page, ``says_pages`` the number of pages.
    """

    items: list[dict[str, Any]]
    says_next: bool = True
    says_pages: bool = True
    limit: int = 10**6
    limit_status: int = 400
    answer: Callable[[int, dict[str, str]], Response | None] = lambda number, given: None
    asked: list[str] = field(default_factory=list)

    def __call__(self, request: Request) -> Response:
        pairs = parse_qsl(urlsplit(request.target).query)
        given = dict(pairs)
        self.asked.append(request.target)
        instead = self.answer(len(self.asked), given)
        if instead is not None:
            return instead
        years = [value.split("[")[1][:4] for name, value in pairs if name == "filter" and value.startswith("year:")]
        found = [each for each in self.items if not years or each["metadata"]["originInfo"]["issued"][:4] == years[0]]
        number, size = int(given["page"]), int(given["size"])
        if size > 50 or number * size >= self.limit:
            return _json({"status": self.limit_status, "message": "Result window is too large"}, self.limit_status)
        page = found[number * size : (number + 1) * size]
        counts = {"size": size, "totalElements": len(found), "number": number}
        counts |= {"totalPages": -(-len(found) // size)} if self.says_pages else {}
        body: dict[str, Any] = {"_links": {}, "page": counts}
        if self.says_next and (number + 1) * size < len(found):
            body["_links"]["next"] = {"href": f"https://{HOST}:443{ROOT}?page={number + 1}&size={size}"}
        return _json(body | ({"_embedded": {"items": page}} if page else {}))


def resolve_picture(request: Request) -> Response:
    """The image resolver: Image API 1.1, so ``native.jpg`` only; its info.json says so."""
    if request.path.endswith("/info.json"):
        info = {
            "@context": "http://library.stanford.edu/iiif/image-api/1.1/context.json",
            "width": 3000,
            "height": 2000,
        }
        info["@id"] = f"https://{IMAGES}{request.path.removesuffix('/info.json')}"
        info["profile"] = "http://library.stanford.edu/iiif/image-api/1.1/compliance.html#level2"
        return _json(info)
    return draw_picture(request, full=(3000, 2000)) if request.path.endswith("native.jpg") else Response(400)


def _json(body: Any, status: int = 200) -> Response:
    return Response(status, json.dumps(body).encode(), {"Content-Type": "application/hal+json"})
