"""Read the Europeana Data Model: a graph of CHOs, proxies, aggregations and web resources into parsed objects.

``parse_edm(root)`` takes RDF/XML as OAI-PMH and the dumps have it, ``parse_edm_json_ld`` and ``parse_edm_turtle`` the
other serialisations; ``europeana.py`` brings the Record API's JSON into the same graph. Original text is taken from
the provider's proxies, never from Europeana's own (automatic enrichment). Sources: EDM Definition 5.2.8, data_prep
notes 1.3.
"""

import re
from dataclasses import replace
from typing import Any

from .edm_views import read_views
from .parsed import Creator, Parsed, ParseError, ParseReason, Statement, Text, unique, unique_texts
from .rdf import Graph, Node, Value, read_json_ld, read_rdf_xml
from .statements import meaning_of, statement
from .text import iconclass_of, is_credit_line, is_media_type, is_procedural, plain_text, split_name
from .turtle import read_turtle
from .urls import gallica_ark, gallica_page, web_url
from .xml import Element, read_language

_ITEM = re.compile(r"^(?:https?://data\.europeana\.eu/item|/item)?(/[^/]+/[^/?#]+)$")


def parse_edm(root: Element) -> list[Parsed]:
    """Objects of an ``rdf:RDF`` element (or of one EDM node that stands alone).

    Raises:
        ParseError: it describes no object.
    """
    return parse_graph(read_rdf_xml(root), "edm")


def parse_edm_json_ld(data: Any) -> list[Parsed]:
    """Objects of an EDM JSON-LD document (Europeana's ``/record/....jsonld``)."""
    return parse_graph(read_json_ld(data), "edm_json_ld")


def parse_edm_turtle(data: bytes) -> list[Parsed]:
    """Objects of an EDM Turtle document."""
    return parse_graph(read_turtle(data), "edm_turtle")


def parse_graph(graph: Graph, format_name: str) -> list[Parsed]:
    """One object per provided CHO, in the order of the document.

    Raises:
        ParseError: no node is a CHO or is aggregated as one.
    """
    objects = graph.of_type("edm:ProvidedCHO")
    if not objects:  # "edm:ProvidedCHOI" and the like: what an aggregation calls its CHO is one
        names = [uri for node in graph.of_type("ore:Aggregation") for uri in node.uris("edm:aggregatedCHO")]
        objects = [graph.node(name) for name in unique(names)]
    if not objects:
        kinds = sorted({kind for node in graph.nodes.values() for kind in node.types})[:5]
        raise ParseError(ParseReason.NO_RECORD, f"no edm:ProvidedCHO among {', '.join(kinds) or 'the nodes'}")
    return [_read_object(graph, node, format_name, alone=len(objects) == 1) for node in objects]


def europeana_id(name: str) -> str:
    """``/90402/BK_1978_399`` for every way in which Europeana names an item; other names stay as they are."""
    match = _ITEM.match(name)
    return match[1] if match else name


def _read_object(graph: Graph, cho: Node, format_name: str, *, alone: bool) -> Parsed:
    sources, enriched = _describing_nodes(graph, cho, alone=alone)
    aggregations = _aggregations(graph, cho, alone=alone)
    europeana = [node for node in graph.of_type("edm:EuropeanaAggregation") if alone or _is_about(node, cho)]
    aggregation_language = read_language(_first(europeana, "edm:language"))
    reader = _Reader(graph, "" if aggregation_language == "mul" else aggregation_language)
    views, manifest = read_views(graph, aggregations or [cho], _first([*sources, cho], "edm:type"))
    parsed = Parsed(
        id=europeana_id(cho.name) if not cho.name.startswith("_:") else _first(sources, "dc:identifier"),
        format=format_name,
        titles=reader.texts(sources, "dc:title", "dcterms:alternative"),
        descriptions=tuple(
            text for text in reader.texts(sources, "dc:description", "dcterms:abstract") if not is_procedural(text.text)
        ),
        creators=reader.names(sources, "dc:creator"),
        contributors=reader.names(sources, "dc:contributor", "dc:publisher"),
        dates=reader.labels(sources, "dcterms:created", "dc:date", "dcterms:issued", "dcterms:temporal")
        or reader.labels(enriched, "edm:year"),
        places=reader.labels(sources, "dcterms:spatial", "edm:currentLocation"),
        types=unique([*reader.labels(sources, "dc:type"), _first([*sources, cho], "edm:type")]),
        techniques=tuple(
            text
            for text in reader.labels(sources, "dcterms:medium", "dc:format")
            if not is_credit_line(text) and not is_media_type(text)
        ),
        subjects=reader.labels(sources, "dc:subject"),
        iconclass=reader.iconclass([*sources]),
        series=reader.texts(sources, "dcterms:isPartOf", level_series=True),
        institution=reader.label_of(aggregations or [cho], "edm:dataProvider"),
        languages=unique([read_language(text) for text in reader.labels(sources, "dc:language")]),
        metadata_language=reader.language,
        landing_page=_landing_page(aggregations or [cho], europeana),
        manifest=manifest or _gallica_manifest(cho, aggregations),
        identifiers=unique([plain_text(text) for text in _uris(sources, "dc:identifier")]),
        links=unique([web_url(uri) for uri in _uris(sources, "owl:sameAs", "edm:isRelatedTo")]),
        views=views,
    )
    return _with_rights(parsed, sources, aggregations or [cho])


def _describing_nodes(graph: Graph, cho: Node, *, alone: bool) -> tuple[list[Node], list[Node]]:
    """Nodes with the provider's text, and Europeana's enriched proxies."""
    proxies = [node for node in graph.of_type("ore:Proxy") if alone or cho.name in node.uris("ore:proxyFor")]
    enriched = [
        node
        for node in proxies
        if node.text("edm:europeanaProxy").lower() == "true"
        or ("/proxy/europeana/" in node.name and not node.values("edm:europeanaProxy"))
    ]
    return [*(node for node in proxies if node not in enriched), cho], enriched


def _is_about(node: Node, cho: Node) -> bool:
    return cho.name in node.uris("edm:aggregatedCHO")


def _aggregations(graph: Graph, cho: Node, *, alone: bool) -> list[Node]:
    nodes = [node for node in graph.of_type("ore:Aggregation") if "edm:EuropeanaAggregation" not in node.types]
    return [node for node in nodes if _is_about(node, cho)] or (nodes if alone else [])


def _uris(nodes: list[Node], *names: str) -> list[str]:
    return [uri for node in nodes for uri in node.uris(*names)]


def _first(nodes: list[Node], *names: str) -> str:
    return next((text for node in nodes if (text := node.text(*names))), "")


def _landing_page(aggregations: list[Node], europeana: list[Node]) -> str:
    addresses = [*_uris(aggregations, "edm:isShownAt"), *_uris(europeana, "edm:landingPage")]
    return next((url for each in addresses if (url := web_url(each))), "")


def _gallica_manifest(cho: Node, aggregations: list[Node]) -> str:
    names = [cho.name, *_uris(aggregations, "edm:isShownAt", "edm:isShownBy")]
    ark = next((ark for name in names if (ark := gallica_ark(name))), "")
    return gallica_page(ark)[2] if ark else ""


def _with_rights(parsed: Parsed, sources: list[Node], aggregations: list[Node]) -> Parsed:
    statements = [
        statement(raw, "image", "aggregation", "edm:rights") for raw in unique(_uris(aggregations, "edm:rights"))
    ]
    notes = []
    for raw in unique([plain_text(text) for text in _uris([*sources, *aggregations], "dc:rights", "dcterms:rights")]):
        found = meaning_of(raw)
        # Beside edm:rights, dc:rights mostly names a holder ("Museum X"): that is an attribution and restricts nothing.
        if found.rights_class == "unknown" and not found.uri and statements and not raw.startswith("http"):
            notes.append(raw)
        elif raw not in {each.raw for each in statements}:
            statements.append(Statement(raw, found.uri, "work", "record", "dc:rights"))
    return replace(parsed, rights=tuple(statements), attribution="; ".join(notes))


class _Reader:
    """Texts of a graph: literals as they are, names of nodes by one label each."""

    def __init__(self, graph: Graph, language: str) -> None:
        self.graph, self.language = graph, language

    def texts(self, nodes: list[Node], *names: str, level_series: bool = False) -> tuple[Text, ...]:
        """Literals of the properties with their languages; a node gives one label, an address alone nothing."""
        found = []
        for node in nodes:
            for name in names:
                for value in node.values(name):
                    text = plain_text(value.text) or self._label(value.uri)
                    if text and not text.startswith(("http://", "https://")):
                        found.append(Text(text, value.lang, name, "series" if level_series else "object"))
        return unique_texts(found)

    def labels(self, nodes: list[Node], *names: str) -> tuple[str, ...]:
        """Literals and labels, each once; addresses without a label are left out."""
        texts = [
            plain_text(value.text) or self._label(value.uri)
            for name in names
            for node in nodes
            for value in node.values(name)
        ]
        return unique([text for text in texts if not text.startswith(("http://", "https://"))])

    def label_of(self, nodes: list[Node], *names: str) -> str:
        """First literal or label of the properties, else the name of the node."""
        return next(iter(self.labels(nodes, *names)), _first(nodes, *names))

    def names(self, nodes: list[Node], *names: str) -> tuple[Creator, ...]:
        """Persons and bodies; an agent that is described here gives its label."""
        return tuple(dict.fromkeys(split_name(text) for text in self.labels(nodes, *names)))

    def iconclass(self, nodes: list[Node]) -> tuple[str, ...]:
        """Notations that the object points to, itself or through its concepts."""
        found = []
        for uri in _uris(nodes, "dc:subject", "dc:type", "edm:hasType", "dc:coverage"):
            concept = self.graph.get(uri)
            same = concept.uris("owl:sameAs", "skos:exactMatch", "skos:closeMatch") if concept else []
            found += [iconclass_of(each) for each in [uri, *same]]
        return unique(found)

    def _label(self, uri: str) -> str:
        node = self.graph.get(uri) if uri else None
        values = node.values("skos:prefLabel", "foaf:name", "rdfs:label", "schema:name", "dc:title") if node else []
        return plain_text(_choose(values, self.language))


def _choose(values: list[Value], language: str) -> str:
    # Europeana's places and concepts have labels in a hundred languages: the catalogue's, English, else the first
    for wanted in (language, "en", ""):
        for value in values:
            if value.text and value.lang == wanted and (wanted or not value.lang):
                return value.text
    return next((value.text for value in values if value.text), "")
