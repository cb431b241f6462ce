"""Read Europeana's Search and Record answers; the caller's key, which they repeat in several fields, never gets out.

The Record API's JSON (and the database dumps of the same shape) goes into the graph of ``edm.py``. ``guid`` and
``link`` of search items are not read at all; ``edmIsShownAt`` may be a counting redirect with the key in its path and
is resolved. Shapes: data_prep notes 1.3; europeana/api2 and record-api test resources.
"""

import re
from dataclasses import dataclass
from typing import Any

from iconoclip.dates import read_years

from .edm import europeana_id, parse_graph
from .json import Object, as_object, as_text, objects, strings
from .parsed import Parsed, ParseError, ParseReason, Text, View, unique, unique_texts
from .rdf import Graph, Node, Value
from .statements import statement
from .text import iconclass_of, is_procedural, plain_text, split_name
from .urls import gallica_ark, gallica_page, image_service_of, image_url, is_picture, service_url, web_url
from .xml import read_language

_IDENTIFIER = re.compile(r"/[^/?#\s]+/[^/?#\s]+$")
_SAID_KEY = re.compile(r"\b(wskey|api[ _-]?key)[=: ]+(?!(?:is|was|has|not|provided|missing|invalid)\b)\S+", re.I)
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
        raise ParseError(ParseReason.PROTOCOL_ERROR, _SAID_KEY.sub(r"\1 ***", detail)[:200])


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
    language = "" if language == "mul" else language
    kind, identifier = as_text(item.get("type")), as_text(item.get("id"))
    views = _item_views(item, kind)
    landing_page = next((url for each in strings(item.get("edmIsShownAt")) if (url := web_url(each))), "")
    ark = gallica_ark(landing_page) or next((ark for view in views if (ark := gallica_ark(view.url))), "")
    concepts = strings(item.get("edmConcept")) + strings(as_object(item.get("dcSubjectLangAware")).get("def"))
    dates, years = _dates(item, language)
    return Parsed(
        id=identifier,
        format="europeana_search",
        titles=_texts(item, "dcTitle", language, "title"),
        descriptions=tuple(text for text in _texts(item, "dcDescription", language) if not is_procedural(text.text)),
        creators=tuple(dict.fromkeys(split_name(text) for text in _labels(item, language, "dcCreator"))),
        contributors=tuple(dict.fromkeys(split_name(text) for text in _labels(item, language, "dcContributor"))),
        dates=dates,
        year_min=min(years, default=None),
        year_max=max(years, default=None),
        places=tuple(_labels(item, language, "dctermsSpatial") or _labels(item, language, "edmPlaceLabel")),
        types=unique([*_labels(item, language, "dcType"), kind]),
        techniques=tuple(_labels(item, language, "dctermsMedium", "dcFormat")),
        subjects=unique([*_labels(item, language, "dcSubject"), *_concepts(item, language)]),
        iconclass=unique([iconclass_of(uri) for uri in concepts]),
        rights=tuple(statement(raw, "image", "aggregation", "rights") for raw in strings(item.get("rights"))),
        institution=as_text(item.get("dataProvider")),
        languages=unique([read_language(text) for text in strings(item.get("dcLanguage"))]),
        metadata_language=language,
        landing_page=landing_page or item_page(identifier),
        manifest=gallica_page(ark)[2] if ark else "",
        views=views,
    )


def item_page(identifier: str) -> str:
    """Europeana's own page of an object: what ``guid`` says, without the caller's key."""
    return web_url(f"https://www.europeana.eu/item{identifier}") if _IDENTIFIER.match(identifier) else ""


def _texts(item: Object, name: str, language: str, plain: str = "") -> tuple[Text, ...]:
    """Texts in all their languages; an English one beside the catalogue's may be Europeana's own translation.

    Nothing in a search answer tells them apart; the Record does (the provider's proxy and Europeana's).
    """
    by_language = _by_language(item, name)
    is_translated = language not in ("", "en") and len(by_language) > 1
    found = [
        Text(text, code, name, machine=is_translated and code == "en")
        for code, texts in by_language.items()
        for text in texts
    ]
    if not found:
        found = [Text(plain_text(text), "", name) for text in strings(item.get(plain) or item.get(name))]
    return unique_texts(found)


def _labels(item: Object, language: str, *names: str) -> list[str]:
    """Values in the catalogue's language and those in none; else the English ones, else the first language's."""
    found = []
    for name in names:
        texts = _by_language(item, name)
        own = [*texts.get(language, ()), *texts.get("", ())]
        plain = [text for text in map(plain_text, strings(item.get(name))) if _is_literal(text)]
        found += own or texts.get("en") or next(iter(texts.values()), plain)
    return list(unique(found))


def _concepts(item: Object, language: str) -> list[str]:
    # Labels in twenty languages and more: those of the catalogue, else the English ones
    labels = _by_language(item, "edmConceptPrefLabel")
    return labels.get(language or "en") or labels.get("en") or []


def _by_language(item: Object, name: str) -> dict[str, list[str]]:
    """Words of a language map; ``""`` is for those whose language nobody states."""
    found: dict[str, list[str]] = {}
    for code, values in as_object(item.get(f"{name}LangAware")).items():
        texts = [text for text in map(plain_text, strings(values)) if _is_literal(text)]
        if texts:
            found.setdefault(read_language(code), []).extend(texts)
    return found


def _is_literal(text: str) -> bool:
    """Whether a value is words: not an address, nor the name of a node that is not there (``#Jan_Bussemecher``)."""
    return bool(text) and not text.startswith(("http://", "https://", "#"))


def _dates(item: Object, language: str) -> tuple[tuple[str, ...], list[int]]:
    """Dates as stated, else as Europeana normalised them (language ``zxx``: ``1775/1800``), and then their years.

    ``year`` comes last: it holds one year of a span, and where there are several any of them.
    """
    stated = tuple(_labels(item, language, "dctermsCreated", "dcDate", "dctermsIssued"))
    if stated:
        return stated, []
    normalised = strings(as_object(item.get("edmTimespanLabelLangAware")).get("zxx")) or strings(item.get("year"))
    return unique(normalised), [year for text in normalised for year in read_years(text) if year is not None]


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
