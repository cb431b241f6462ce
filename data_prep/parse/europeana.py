"""Read Europeana's Search and Record answers; the caller's key, which they repeat in several fields, never gets out.

The Record API's JSON (and the database dumps of the same shape) goes into the graph of ``edm.py``. ``guid`` and
``link`` of search items are not read at all; ``edmIsShownAt`` may be a counting redirect with the key in its path and
is resolved. Shapes: data_prep notes 1.3; europeana/api2 and record-api test resources.
"""

import re
from dataclasses import dataclass
from typing import Any

from .edm import europeana_id, parse_graph
from .json import Object, as_object, as_text, objects, strings
from .parsed import Parsed, ParseError, ParseReason, Text, View, unique, unique_texts
from .rdf import Graph, Node, Value
from .statements import statement
from .text import iconclass_of, is_procedural, plain_text, split_name
from .urls import gallica_ark, gallica_page, image_service_of, image_url, is_picture, service_url, web_url
from .xml import read_language

_PREFIXED = re.compile(r"^(webResourceEdm|dcterms|dc|edm|ore|owl|skos|ebucore|svcs|foaf|rdaGr2|rdf)([A-Z]\w*)$")
_NODE_LISTS = {
    "proxies": "ore:Proxy", "aggregations": "ore:Aggregation", "providedCHOs": "edm:ProvidedCHO", "agents": "edm:Agent",
    "concepts": "skos:Concept", "places": "edm:Place", "timespans": "edm:TimeSpan", "services": "svcs:Service",
    "organizations": "foaf:Organization", "europeanaAggregation": "edm:EuropeanaAggregation",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SearchPage:
    """One page of a search: the objects, how many there are in all, and the cursor of the next page."""

    records: tuple[Parsed, ...]
    total: int | None
    next_cursor: str


def raise_error(data: Object) -> None:
    """Raise what an answer with ``"success": false`` says, without the key.

    Raises:
        ParseError: the answer is an error.
    """
    if data.get("success") is False or (data.get("error") and "items" not in data and "object" not in data):
        key = as_text(data.get("apikey"))
        detail = ": ".join(text for name in ("code", "error", "message") if (text := as_text(data.get(name))))
        if key:
            detail = detail.replace(key, "***")
        raise ParseError(ParseReason.PROTOCOL_ERROR, re.sub(r"(?i)(wskey|api ?key)[=: ]+\S+", r"\1 ***", detail)[:200])


def parse_search(data: Any) -> SearchPage:
    """Read a Search answer, or a bare list of its items.

    Raises:
        ParseError: the answer is an error, or holds no list of items.
    """
    page = data if isinstance(data, dict) else {"items": data}
    raise_error(page)
    if not isinstance(page.get("items"), list):
        raise ParseError(ParseReason.UNKNOWN_FORMAT, "no list of items in the search answer")
    total = page.get("totalResults")
    records = tuple(_read_item(item) for item in objects(page["items"]))
    return SearchPage(records, total if isinstance(total, int) else None, as_text(page.get("nextCursor")))


def _read_item(item: Object) -> Parsed:
    language = next((read_language(text) for text in strings(item.get("language"))), "")
    kind = as_text(item.get("type"))
    views = _item_views(item, kind)
    landing_page = next((url for each in strings(item.get("edmIsShownAt")) if (url := web_url(each))), "")
    ark = gallica_ark(landing_page) or next((ark for view in views if (ark := gallica_ark(view.url))), "")
    concepts = strings(item.get("edmConcept")) + strings(as_object(item.get("dcSubjectLangAware")).get("def"))
    return Parsed(
        id=as_text(item.get("id")),
        format="europeana_search",
        titles=_texts(item, "dcTitle", "title"),
        descriptions=tuple(text for text in _texts(item, "dcDescription") if not is_procedural(text.text)),
        creators=tuple(dict.fromkeys(split_name(text) for text in _labels(item, "dcCreator"))),
        contributors=tuple(dict.fromkeys(split_name(text) for text in _labels(item, "dcContributor"))),
        dates=tuple(_labels(item, "dctermsCreated", "dcDate", "dctermsIssued")) or tuple(strings(item.get("year"))),
        places=tuple(_labels(item, "dctermsSpatial")),
        types=unique([*_labels(item, "dcType"), kind]),
        techniques=tuple(_labels(item, "dctermsMedium", "dcFormat")),
        subjects=unique([*_labels(item, "dcSubject"), *_concepts(item, language)]),
        iconclass=unique([iconclass_of(uri) for uri in concepts]),
        rights=tuple(statement(raw, "image", "aggregation", "rights") for raw in strings(item.get("rights"))),
        institution=as_text(item.get("dataProvider")),
        languages=unique([read_language(text) for text in strings(item.get("dcLanguage"))]),
        metadata_language="" if language == "mul" else language,
        landing_page=landing_page,
        manifest=gallica_page(ark)[2] if ark else "",
        views=views,
    )


def _texts(item: Object, name: str, plain: str = "") -> tuple[Text, ...]:
    found = [
        Text(plain_text(text), read_language(lang), name)
        for lang, values in as_object(item.get(f"{name}LangAware")).items()
        for text in strings(values)
        if not text.startswith(("http://", "https://"))
    ]
    if not found:
        found = [Text(plain_text(text), "", name) for text in strings(item.get(plain) or item.get(name))]
    return unique_texts(found)


def _labels(item: Object, *names: str) -> list[str]:
    texts = [text for name in names for text in strings(item.get(f"{name}LangAware") or item.get(name))]
    return list(unique([plain_text(text) for text in texts if not text.startswith(("http://", "https://"))]))


def _concepts(item: Object, language: str) -> list[str]:
    # Labels in twenty languages: those of the catalogue, else the English ones
    labels = as_object(item.get("edmConceptPrefLabelLangAware"))
    by_language = {read_language(lang): strings(texts) for lang, texts in labels.items()}
    return [plain_text(text) for text in by_language.get(language) or by_language.get("en") or []]


def _item_views(item: Object, kind: str) -> tuple[View, ...]:
    url = next((url for each in strings(item.get("edmIsShownBy")) if (url := image_url(each))), "")
    known = is_picture(url)
    if not url or known is False or (known is None and kind not in ("IMAGE", "")):
        return ()
    original = as_text(item.get("edmIsShownBy"))
    return (View(url=url, iiif_service=service_url(image_service_of(web_url(original)))),)


def parse_record(data: Any) -> list[Parsed]:
    """Read a Record answer (``object`` inside an envelope, or bare).

    Raises:
        ParseError: the answer is an error, or describes no object.
    """
    envelope = as_object(data)
    raise_error(envelope)
    record = as_object(envelope.get("object") or envelope)
    graph = Graph()
    about = as_text(record.get("about"))
    if about:
        graph.node(about if about.startswith("/item/") else f"/item{about}").types.add("edm:ProvidedCHO")
    for name, kind in _NODE_LISTS.items():
        for each in objects(record.get(name)):
            _add_node(graph, each, kind)
    if not graph.of_type("ore:Proxy", "ore:Aggregation"):
        raise ParseError(ParseReason.NO_RECORD, "no proxies and no aggregations in the record")
    _unify_names(graph)
    return parse_graph(graph, "europeana_record")


def _add_node(graph: Graph, item: Object, kind: str) -> Node:
    node = graph.node(as_text(item.get("about")))
    node.types.add(kind)
    for key, value in item.items():
        if key in ("webResources", "edm:WebResource"):
            for each in objects(value):
                _add_node(graph, each, "edm:WebResource")
        elif key != "about":
            node.properties.setdefault(_property(key), []).extend(_values(value))
    return node


def _property(key: str) -> str:
    match = _PREFIXED.match(key)
    if match and match[1] == "webResourceEdm":
        return f"edm:{match[2][0].lower()}{match[2][1:]}"
    if match:
        name = f"{match[1]}:{match[2][0].lower()}{match[2][1:]}"
        return {"svcs:hasService": "svcs:has_service", "ebucore:fileByteSize": "ebucore:fileByteSize"}.get(name, name)
    known = {"hasView", "aggregatedCHO", "europeanaProxy"}
    if key in ("proxyFor", "proxyIn"):
        return f"ore:{key}"
    return f"edm:{key}" if key in known else f"skos:{key}" if key in ("prefLabel", "altLabel") else key


def _values(value: Any) -> list[Value]:
    """Values of a LangMap, a list, a plain value, or the dumps' ``{"@lang": "de", "#value": "..."}``."""
    if isinstance(value, bool):
        return [Value(str(value).lower())]
    if isinstance(value, list):
        return [each for item in value for each in _values(item)]
    if isinstance(value, dict):
        if "#value" in value or "@value" in value:
            text = as_text(value.get("#value", value.get("@value")))
            return _plain(text, read_language(as_text(value.get("@lang", value.get("@language")))))
        return [
            each
            for lang, texts in value.items()
            for text in strings(texts)
            for each in _plain(text, read_language(lang))
        ]
    return _plain(as_text(value), "")


def _plain(text: str, lang: str) -> list[Value]:
    if not text:
        return []
    is_name = text.startswith(("http://", "https://", "/item/", "/aggregation/", "/proxy/"))
    return [Value(uri=text)] if is_name else [Value(text, lang)]


def _unify_names(graph: Graph) -> None:
    """Give each CHO one name: dumps write ``/2048081/_O_532`` here and ``/item/2048081/_O_532`` there."""
    items = {europeana_id(node.name): node for node in graph.of_type("edm:ProvidedCHO")}
    if not items:
        names = [uri for node in graph.of_type("ore:Aggregation", "ore:Proxy") for uri in node.uris(*_CHO_LINKS)]
        for name in unique(names):
            graph.node(name).types.add("edm:ProvidedCHO")
            items.setdefault(europeana_id(name), graph.node(name))
    for node in graph.of_type("ore:Aggregation", "ore:Proxy", "edm:EuropeanaAggregation"):
        for link in _CHO_LINKS:
            if link in node.properties:
                names = [items[key].name if (key := europeana_id(uri)) in items else uri for uri in node.uris(link)]
                node.properties[link] = [Value(uri=name) for name in names]


_CHO_LINKS = ("edm:aggregatedCHO", "ore:proxyFor")
