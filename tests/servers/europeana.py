"""A small Europeana: Search with cursors and the Record API, with the caller's key wherever the real one repeats it.

Shapes: Europeana's own test resources and a real search answer (data_prep notes 1.3); the values are made up.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from .http import Request, Response

HOST = "api.europeana.eu"
PROVIDER_HOST = "images.museum.example"
ROOT = "/record/v2"


def make_item(number: int, **fields: Any) -> dict[str, Any]:
    """A search item: a print with titles in Dutch and English, updated on day ``number`` of January 2026."""
    return {
        "id": f"/90402/RP_P_{number:03d}", "type": "IMAGE", "language": ["nl"], "country": ["Netherlands"],
        "title": [f"Gezicht op toren {number}"],
        "dcTitleLangAware": {"nl": [f"Gezicht op toren {number}"], "en": [f"View of tower {number}"]},
        "dcCreatorLangAware": {"nl": ["Visscher, Claes Jansz"]}, "dcLanguage": ["nl"],
        "dataProvider": ["Museum Voorbeeld"], "provider": ["Aggregator"],
        "rights": ["http://creativecommons.org/publicdomain/mark/1.0/"],
        "edmIsShownBy": [f"https://{PROVIDER_HOST}/full/{number}.jpg"],
        "edmIsShownAt": [f"https://museum.example/object/{number}"],
        "edmTimespanLabelLangAware": {"zxx": ["1610/1620"]},
        "timestamp_update": f"2026-01-{number:02d}T10:00:00.000Z", **fields,
    }  # fmt: skip


def make_object(item: dict[str, Any], **aggregation: Any) -> dict[str, Any]:
    """The Record API's object of an item: the title in the provider's proxy, the translation in Europeana's."""
    name, picture = item["id"], item["edmIsShownBy"][0]
    titles = item["dcTitleLangAware"]
    translated = {lang: texts for lang, texts in titles.items() if lang == "en" and len(titles) > 1}
    return {
        "about": name, "type": "IMAGE",
        "proxies": [
            {"about": f"/proxy/provider{name}", "proxyFor": f"/item{name}", "europeanaProxy": False, "edmType": "IMAGE",
             "dcTitle": {lang: texts for lang, texts in titles.items() if lang not in translated},
             "dcDescription": {"nl": ["Een toren aan het water."]}},
            {"about": f"/proxy/europeana{name}", "proxyFor": f"/item{name}", "europeanaProxy": True,
             "dcTitle": translated},
        ],
        "aggregations": [{
            "about": f"/aggregation/provider{name}", "aggregatedCHO": f"/item{name}",
            "edmDataProvider": {"def": item["dataProvider"]}, "edmIsShownBy": picture,
            "edmIsShownAt": item["edmIsShownAt"][0], "edmRights": {"def": item["rights"]},
            "webResources": [{"about": picture, "ebucoreWidth": 2000, "ebucoreHeight": 1500,
                              "ebucoreHasMimeType": "application/pdf" if picture.endswith("pdf") else "image/jpeg"}],
            **aggregation,
        }],
        "europeanaAggregation": {"about": f"/aggregation/europeana{name}", "edmLanguage": {"def": item["language"]},
                                 "edmLandingPage": f"https://www.europeana.eu/item{name}"},
    }  # fmt: skip


@dataclass
class EuropeanaApi:
    """Answers search.json and ID.json; ``answer(number of the request, parameters)`` may answer in their place."""

    items: list[dict[str, Any]]
    key: str = "S3CRETkey"
    answer: Callable[[int, dict[str, str]], Response | None] = lambda number, given: None
    next_cursor: Callable[[str], str] = lambda cursor: cursor
    refused_status: int = 401
    asked: list[str] = field(default_factory=list)

    def __call__(self, request: Request) -> Response:
        pairs = parse_qsl(urlsplit(request.target).query, keep_blank_values=True)
        given = dict(pairs)
        self.asked.append(request.target)
        key = request.headers.get("x-api-key") or given.get("wskey", "")
        if key != self.key:
            said = {"success": False, "error": "API key is invalid", "code": "401_key_invalid"}
            return _json({"apikey": key} | said, self.refused_status)
        instead = self.answer(len(self.asked), given)
        if instead is not None:
            return instead
        if request.path != f"{ROOT}/search.json":
            return self._record(request.path.removeprefix(ROOT).removesuffix(".json"))
        filters = [value for name, value in pairs if name == "qf"]
        return self._search(given, filters)

    def _search(self, given: dict[str, str], filters: list[str]) -> Response:
        rows, cursor = int(given.get("rows", 12)), given.get("cursor", "*")
        if not 0 < rows <= 100 or not given.get("query"):
            return _json({"apikey": self.key, "success": False, "error": "Invalid rows or query"}, 400)
        since = next((each.split("[")[1].split(" ")[0] for each in filters if each.startswith("timestamp_update")), "")
        found = [each for each in self.items if each["timestamp_update"] >= since]
        start = 0 if cursor == "*" else int(base64.b64decode(cursor)[1:])
        page = [self._with_key(each) for each in found[start : start + rows]]
        body: dict[str, Any] = {"apikey": self.key, "success": True, "requestNumber": 999, "itemsCount": len(page)}
        body |= {"totalResults": len(found), "items": page}
        if start + rows < len(found):
            body["nextCursor"] = self.next_cursor(_cursor(start + rows))
        return _json(body)

    def _record(self, name: str) -> Response:
        item = next((each for each in self.items if each["id"] == name), None)
        if item is None:
            return _json({"apikey": self.key, "success": False, "error": f"Invalid record identifier: {name}"}, 404)
        return _json({"apikey": self.key, "success": True, "requestNumber": 1, "object": make_object(item)})

    def _with_key(self, item: dict[str, Any]) -> dict[str, Any]:
        tracked = f"utm_source=api&utm_medium=api&utm_campaign={self.key}"
        shown = quote("".join(item.get("edmIsShownAt", [])[:1]), safe="")
        return item | {
            "guid": f"https://www.europeana.eu/item{item['id']}?{tracked}",
            "link": f"https://{HOST}{ROOT}{item['id']}.json?wskey={self.key}",
            "edmIsShownAt": [f"https://{HOST}/api/{self.key}/redirect?shownAt={shown}&provider=Aggregator"],
            "edmPreview": [f"https://{HOST}/thumbnail/v2/url.json?uri={shown}&type=IMAGE&wskey={self.key}"],
        }


def _cursor(start: int) -> str:
    # Real cursors are base64: they hold "+", "/" and "=", which must be escaped.
    return base64.b64encode(b"\xfb%d" % start).decode()


def _json(body: Any, status: int = 200) -> Response:
    return Response(status, json.dumps(body).encode(), {"Content-Type": "application/json"})
