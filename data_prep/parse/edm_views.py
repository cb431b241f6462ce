"""Pictures of an EDM object: ``edm:isShownBy`` first, then ``edm:hasView``; ``edm:object`` only where there is neither.

A web resource says more about its picture: size, MIME type, own rights, IIIF image service (``svcs:has_service``) and
manifest (``dcterms:isReferencedBy``); a service is preferred, since it gives the size that is needed.
"""

from dataclasses import replace

from .json import as_pixels
from .parsed import Text, View, number_views, unique
from .rdf import Graph, Node
from .statements import statement
from .text import is_procedural, plain_text
from .urls import image_service_of, image_url, is_picture, open_gallica, service_url, web_url


def read_views(graph: Graph, aggregations: list[Node], kind: str) -> tuple[tuple[View, ...], str]:
    """Views in order, and the manifest that shows the first of them; ``kind`` is ``edm:type``."""
    main = _addresses(aggregations, "edm:isShownBy")
    others = _addresses(aggregations, "edm:hasView")
    addresses = unique([*main, *others])
    found = [view for address in addresses if (view := _view(graph, address, kind, is_main=address in main))]
    if not found and not main:
        previews = _addresses(aggregations, "edm:object")
        found = [replace(view, preview=True) for each in previews if (view := _view(graph, each, "", is_main=True))]
    return number_views(found), _manifest(graph, addresses)


def _manifest(graph: Graph, addresses: tuple[str, ...]) -> str:
    nodes = [node for address in addresses if (node := graph.get(address))]
    found = [web_url(uri) for node in nodes for uri in node.uris("dcterms:isReferencedBy")]
    return next((open_gallica(url) for url in found if url and not url.endswith("/info.json")), "")


def _addresses(nodes: list[Node], name: str) -> list[str]:
    return [uri for node in nodes for uri in node.uris(name)]


def _view(graph: Graph, address: str, kind: str, *, is_main: bool) -> View | None:
    node = graph.get(address) or Node(address)
    mime = node.text("ebucore:hasMimeType") or _mime_in_format(node)
    url = image_url(address)
    service = _service(graph, node) or service_url(image_service_of(web_url(address)))
    known = True if service else is_picture(url, mime)
    # An address that does not tell what it is: further views mostly are pictures; the main one is not if the object is
    # a text or a sound ("IAGE" and other misspelt types are given the benefit of the doubt).
    if (
        not (url or service)
        or known is False
        or (known is None and is_main and kind in ("TEXT", "SOUND", "VIDEO", "3D"))
    ):
        return None
    texts = [
        Text(text, value.lang, "edm:WebResource/dc:description", "page")
        for value in node.values("dc:title", "dc:description")
        if (text := plain_text(value.text)) and not is_procedural(text)
    ]
    return View(
        url=url,
        iiif_service=service,
        width=as_pixels(node.text("ebucore:width")),
        height=as_pixels(node.text("ebucore:height")),
        mime=mime,
        texts=tuple(dict.fromkeys(texts)),
        rights=tuple(statement(raw, "image", "web_resource", "edm:rights") for raw in unique(node.uris("edm:rights"))),
    )


def _mime_in_format(node: Node) -> str:
    return next((each.text for each in node.values("dc:format", "dcterms:format") if "/" in each.text), "")


def _service(graph: Graph, node: Node) -> str:
    for uri in node.uris("svcs:has_service"):
        service = graph.get(uri)
        protocols = service.uris("dcterms:conformsTo", "doap:implements") if service else []
        if not protocols or any("iiif.io/api/image" in each for each in protocols):
            return service_url(uri)
    return ""
