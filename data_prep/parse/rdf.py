"""A small graph of named nodes, filled from RDF/XML, JSON-LD or Turtle, for the EDM reader to walk.

Properties and types are written with the prefixes that heritage data use (``dc:title``, ``ore:Aggregation``), whatever
the document calls them. Only what such documents contain is read; it is no general RDF store.
"""

from dataclasses import dataclass, field
from typing import Any

from .json import as_list, as_text
from .parsed import ParseError, ParseReason
from .xml import Element, attribute, children, language_of, local_name, namespace, read_language, text_of

PREFIXES = {
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://purl.org/dc/terms/": "dcterms",
    "http://www.europeana.eu/schemas/edm/": "edm",
    "http://www.openarchives.org/ore/terms/": "ore",
    "http://www.w3.org/2004/02/skos/core#": "skos",
    "http://www.w3.org/1999/02/22-rdf-syntax-ns#": "rdf",
    "http://www.w3.org/2000/01/rdf-schema#": "rdfs",
    "http://www.w3.org/2002/07/owl#": "owl",
    "http://rdfs.org/sioc/services#": "svcs",
    "http://usefulinc.com/ns/doap#": "doap",
    "http://xmlns.com/foaf/0.1/": "foaf",
    "http://www.ebu.ch/metadata/ontologies/ebucore/ebucore#": "ebucore",
    "http://rdvocab.info/ElementsGr2/": "rdaGr2",
    "http://schema.org/": "schema",
    "https://schema.org/": "schema",
}


@dataclass(frozen=True, slots=True)
class Value:
    """A literal (``text``, ``lang``) or the name of another node (``uri``)."""

    text: str = ""
    lang: str = ""
    uri: str = ""


@dataclass(slots=True)
class Node:
    """A node: its name, its types and its properties in the order of the document."""

    name: str
    types: set[str] = field(default_factory=set)
    properties: dict[str, list[Value]] = field(default_factory=dict)

    def add(self, name: str, value: Value) -> None:
        """Add a value of a property."""
        self.properties.setdefault(name, []).append(value)

    def values(self, *names: str) -> list[Value]:
        """Values of the properties, in the order of the names."""
        return [value for name in names for value in self.properties.get(name, ())]

    def uris(self, *names: str) -> list[str]:
        """Names of nodes (or addresses written as text) that the properties point to."""
        return [value.uri or value.text for value in self.values(*names) if value.uri or value.text]

    def text(self, *names: str) -> str:
        """First literal, or first URI where there is none."""
        values = self.values(*names)
        return next((value.text for value in values if value.text), next((value.uri for value in values), ""))


class Graph:
    """Nodes by name, in the order in which they were first mentioned."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self._blanks = 0

    def node(self, name: str = "") -> Node:
        """The node of that name, made if it is new; without a name a new blank one."""
        if not name:
            self._blanks += 1
            name = f"_:b{self._blanks}"
        return self.nodes.setdefault(name, Node(name))

    def get(self, name: str) -> Node | None:
        """The node of that name, if it is described here."""
        return self.nodes.get(name)

    def of_type(self, *names: str) -> list[Node]:
        """Nodes of any of the types, in the order of the document."""
        return [node for node in self.nodes.values() if node.types & set(names)]


def prefixed(iri: str) -> str:
    """``dc:title`` of the full name; the part after the last mark where the vocabulary is not known."""
    cut = max(iri.rfind("#"), iri.rfind("/")) + 1
    prefix = PREFIXES.get(iri[:cut])
    return f"{prefix}:{iri[cut:]}" if prefix else iri[cut:] or iri


def read_rdf_xml(root: Element) -> Graph:
    """Graph of an ``rdf:RDF`` element, or of the one described node that stands alone."""
    graph = Graph()
    for element in children(root) if local_name(root) == "RDF" else [root]:
        _read_node(graph, element)
    return graph


def _read_node(graph: Graph, element: Element) -> Node:
    node = graph.node(attribute(element, "about") or attribute(element, "nodeID") or attribute(element, "ID"))
    if (kind := _name(element)) != "rdf:Description":
        node.types.add(kind)
    for each in children(element):
        name, target = _name(each), attribute(each, "resource") or attribute(each, "nodeID")
        nested = list(children(each))
        if name == "rdf:type" and target:
            node.types.add(prefixed(target))
        elif target:
            node.add(name, Value(uri=target))
            for inner in nested:  # Rijksmuseum repeats the node inside a property that already points to it
                _read_node(graph, inner)
        elif attribute(each, "parseType") == "Resource":
            node.add(name, Value(uri=_read_properties(graph, each)))
        elif nested:
            for inner in nested:
                node.add(name, Value(uri=_read_node(graph, inner).name))
        elif text := text_of(each):
            node.add(name, Value(text, language_of(each)))
    return node


def _read_properties(graph: Graph, element: Element) -> str:
    node = graph.node()
    for each in children(element):
        target = attribute(each, "resource")
        node.add(_name(each), Value(uri=target) if target else Value(text_of(each), language_of(each)))
    return node.name


def _name(element: Element) -> str:
    space, name = namespace(element), local_name(element)
    prefix = PREFIXES.get(space) or PREFIXES.get(f"{space}#") or PREFIXES.get(f"{space}/")
    if prefix is None and space in PREFIXES.values():
        prefix = space  # a prefix that the document uses without declaring it
    return f"{prefix}:{name}" if prefix else name


_MAX_DEPTH = 40


def read_json_ld(data: Any) -> Graph:
    """Graph of a JSON-LD document: ``@graph``, a list of nodes or one node, nested or flat.

    Raises:
        ParseError: there is no node in it.
    """
    graph = Graph()
    for each in as_list(data):
        context = each.get("@context") if isinstance(each, dict) else None
        terms: dict[str, str] = {}
        for part in as_list(context):
            terms |= {key: _iri(value) for key, value in part.items()} if isinstance(part, dict) else {}
        for item in as_list(each.get("@graph", each)) if isinstance(each, dict) else []:
            if isinstance(item, dict):
                _read_object(graph, item, terms, _MAX_DEPTH)
    if not graph.nodes:
        raise ParseError(ParseReason.NO_RECORD, "JSON-LD without a node")
    return graph


def _iri(definition: Any) -> str:
    return as_text(definition.get("@id")) if isinstance(definition, dict) else as_text(definition)


def _expand(name: str, terms: dict[str, str]) -> str:
    if name in terms and ":" in terms[name] and not terms[name].endswith(("#", "/")):
        name = terms[name]
    prefix, colon, local = name.partition(":")
    if colon and not local.startswith("//") and terms.get(prefix, "").endswith(("#", "/")):
        name = terms[prefix] + local
    return prefixed(name) if "://" in name else name


def _read_object(graph: Graph, item: dict[str, Any], terms: dict[str, str], depth: int) -> Node:
    node = graph.node(as_text(item.get("@id") or item.get("id")))
    for kind in as_list(item.get("@type") or item.get("type")):
        node.types.add(_expand(as_text(kind), terms))
    for key, value in item.items():
        if not key.startswith("@") and key not in ("id", "type"):
            for each in as_list(value):
                _add_json(graph, node, _expand(key, terms), each, terms, depth)
    return node


def _add_json(graph: Graph, node: Node, name: str, value: Any, terms: dict[str, str], depth: int) -> None:
    if not isinstance(value, dict):
        text = str(value).lower() if isinstance(value, bool) else as_text(value)
        if text:
            node.add(name, Value(uri=text) if text.startswith(("http://", "https://")) else Value(text))
    elif "@value" in value:
        node.add(name, Value(as_text(value["@value"]), read_language(as_text(value.get("@language")))))
    elif "@list" in value or "@set" in value:
        for each in as_list(value.get("@list", value.get("@set"))) if depth > 0 else ():
            _add_json(graph, node, name, each, terms, depth - 1)
    elif "@id" in value and len(value) == 1:
        node.add(name, Value(uri=as_text(value["@id"])))
    elif depth > 0 and any(key.startswith("@") or ":" in key for key in value):
        node.add(name, Value(uri=_read_object(graph, value, terms, depth - 1).name))
    else:  # a language map: {"nl": ["..."]}
        for lang, texts in value.items():
            for each in as_list(texts):
                if text := as_text(each):
                    node.add(name, Value(text, read_language(lang)))
