"""Answers in the shape that libraries' were recorded in, where no stored one may be had; the objects are made up.

Shapes: British Library (Presentation 3, two image services), ÖNB's AKON (Presentation 2), National Library of Scotland
(licences as HTML links, a comma too many), Bodleian (call numbers as labels, licence in the attribution), Rijksmuseum
(EDM with references inside the record), Gallica (oai_dc).
"""

import json
from typing import Any

from .iiif_library import DISCOVERY, V2, V3

CC_BY = "https://creativecommons.org/licenses/by/4.0/"


def british_library(ark: str, title: str, labels: tuple[str, ...]) -> dict[str, Any]:
    """A manifest at ``https://bl.digirati.io/iiif/{ark}``; its pages' arks count up."""
    url = f"https://bl.digirati.io/iiif/{ark}"
    pairs = {"Full title": title, "Held by": '<span><a href="https://www.bl.uk">The British Library</a></span>',
             "Usage": "Public Domain", "Identifier": "Cotton MS Nero D IV", "Date": "720"}  # fmt: skip
    canvases = []
    for number, label in enumerate(labels, 2):
        page = f"{ark.removesuffix('1')}{number}"
        newer = f"https://dlcs.bl.digirati.io/iiif-img/v3/2/3/{page.replace('ark:/', '').replace('/', '___')}"
        services = [
            {"@id": f"https://bl.digirati.io/images/{page}", "@type": "ImageService2", "profile": "level1"},
            {"id": newer, "type": "ImageService3", "profile": "level2"},
        ]
        body = {"id": f"{newer}/full/max/0/default.jpg", "type": "Image", "format": "image/jpeg", "service": services}
        painting = {"type": "Annotation", "motivation": "painting", "body": body | {"width": 1600, "height": 1200}}
        canvases.append({"id": f"{url}/canvas/{number}", "type": "Canvas", "label": {"en": [label]}, "width": 1600,
                         "height": 1200, "items": [{"type": "AnnotationPage", "items": [painting]}]})  # fmt: skip
    return {
        "@context": V3, "id": url, "type": "Manifest", "label": {"en": [f"Cotton MS Nero D IV {title}"]},
        "metadata": [{"label": {"en": [name]}, "value": {"en": [value]}} for name, value in pairs.items()],
        "rights": "http://creativecommons.org/publicdomain/mark/1.0/", "items": canvases,
    }  # fmt: skip


def akon(name: str, place: str) -> dict[str, Any]:
    """A postcard's manifest at ``https://iiif.onb.ac.at/presentation/AKON/{name}/manifest/``."""
    base = f"https://iiif.onb.ac.at/presentation/AKON/{name}"
    service = f"https://iiif.onb.ac.at/images/AKON/{name}/{name.rpartition('_')[2]}"
    return {
        "@context": V2, "@id": f"{base}/manifest/", "@type": "sc:Manifest", "label": place,
        "attribution": "Österreichische Nationalbibliothek",
        "license": "http://rightsstatements.org/vocab/NoC-NC/1.0/",
        "metadata": [{"label": "Titel", "value": place}, {"label": "Datum", "value": "1912"},
                     {"label": "Ort", "value": place.partition(",")[0]}],
        "sequences": [{"canvases": [_canvas(f"{base}/canvas/1", "1", service, "native"),
                                    _canvas(f"{base}/canvas/2", "Rückseite", f"{service}b", "native")]}],
    }  # fmt: skip


def nls_collection(number: str, **lists: list[tuple[str, str, str]]) -> bytes:
    """A collection as text with a comma too many; ``collections=[(type, number, label)]``."""
    members = {
        name: [{"@id": nls_address(each, kind), "@type": f"sc:{kind}", "label": label} for kind, each, label in value]
        for name, value in lists.items()
    }
    head = {"@context": V2, "@id": nls_address(number, "Collection"), "@type": "sc:Collection", "label": number}
    return json.dumps(head | members).replace("}]", "},]").encode()


def nls_address(number: str, kind: str = "Manifest") -> str:
    """``119268387`` is at ``.../1192/6838/119268387/manifest.json``; ``top`` is the root of the collections."""
    if not number.isdigit():
        return f"https://view.nls.uk/collections/{number}.json"
    split = f"{number[:4]}/{number[4:8]}/{number}"
    tree = f"https://view.nls.uk/{'manifest' if kind == 'Manifest' else 'collections'}"
    return f"{tree}/{split}/manifest.json" if kind == "Manifest" else f"{tree}/{split}.json"


def nls_manifest(number: str, title: str, description: str, *, licence: str = CC_BY) -> dict[str, Any]:
    """A manifest without ``license``: it is a link in two sentences."""
    link = f'<a target="_top" href="{licence}">CC BY 4.0</a>'
    service = f"https://view.nls.uk/iiif/1196/3034/{number}.5"
    return {
        "@context": V2, "@id": nls_address(number), "@type": "sc:Manifest", "label": title,
        "attribution": f"National Library of Scotland<br/>License: {link}",
        "metadata": [
            {"label": "Title", "value": title}, {"label": "Description", "value": description},
            {"label": "shelfmark", "value": "ABS.1.80.66"}, {"label": "Subject/content", "value": "Maps"},
            {"label": "Subject/content", "value": "Fife"},
            {"label": "", "value": f"<a href='https://digital.nls.uk/{number}'>View in our digital gallery</a>"},
            {"label": "Full conditions of use", "value": f"{link}: free to use when the library is named."},
        ],
        "sequences": [{"canvases": [_canvas(f"{nls_address(number)}/canvas/1", "1", service, "native")]}],
    }  # fmt: skip


def bodleian(name: str, shelfmark: str, title: str, labels: tuple[str, ...]) -> dict[str, Any]:
    """A manifest of version 2 at ``https://iiif.bodleian.ox.ac.uk/iiif/manifest/{name}.json``."""
    base = "https://iiif.bodleian.ox.ac.uk/iiif"
    canvases = [
        _canvas(f"{base}/canvas/{name}-{number}.json", label, f"{base}/image/{name}-{number}", "default")
        for number, label in enumerate(labels, 1)
    ]
    return {
        "@context": V2, "@id": f"{base}/manifest/{name}.json", "@type": "sc:Manifest", "label": shelfmark,
        "description": title, "attribution": "http://creativecommons.org/licenses/by-nc-sa/3.0/.",
        "metadata": [
            {"label": "Homepage", "value": '<span><a href="https://digital.bodleian.ox.ac.uk/x">View</a></span>'},
            {"label": "Title", "value": title}, {"label": "Creator", "value": "Becket, Mr ([London]) [author]"},
            {"label": "Date Statement", "value": "[1787]"}, {"label": "Language", "value": "English"},
            {"label": "Subject", "value": "Printed ephemera"}, {"label": "Subject", "value": "Umbrellas"},
            {"label": "Record Created", "value": "2015-07-10T00:00:00Z"},
            {"label": "Holding Institution", "value": "Bodleian Libraries, University of Oxford"},
        ],
        "sequences": [{"@type": "sc:Sequence", "canvases": canvases}],
    }  # fmt: skip


def bodleian_stream(*pages: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The stream of changes and its pages by address."""
    base = "https://iiif.bodleian.ox.ac.uk/iiif/activity"
    names = [{"id": f"{base}/page-{number}", "type": "OrderedCollectionPage"} for number in range(len(pages))]
    stream = {"@context": DISCOVERY, "id": f"{base}/all-changes", "type": "OrderedCollection"}
    found: dict[str, dict[str, Any]] = {stream["id"]: stream | {"first": names[0], "last": names[-1]}}
    for number, items in enumerate(pages):
        page: dict[str, Any] = {"@context": DISCOVERY, **names[number], "orderedItems": items}
        page |= {"prev": names[number - 1]} if number else {}
        page |= {"next": names[number + 1]} if number + 1 < len(names) else {}
        found[names[number]["id"]] = page
    return found


def rijksmuseum(number: str, dutch: str, english: str, picture: str, rights: str, notation: str) -> str:
    """The metadata of a record: an aggregation, and what it refers to, in one ``rdf:RDF``."""
    about = f"https://id.rijksmuseum.nl/{number}"
    shown = f'<edm:WebResource rdf:about="https://iiif.micr.io/{picture}/full/max/0/default.jpg"/>'
    spaces = {
        "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#", "edm": "http://www.europeana.eu/schemas/edm/",
        "dc": "http://purl.org/dc/elements/1.1/", "dcterms": "http://purl.org/dc/terms/",
        "ore": "http://www.openarchives.org/ore/terms/", "skos": "http://www.w3.org/2004/02/skos/core#",
        "owl": "http://www.w3.org/2002/07/owl#",
    }  # fmt: skip
    return (
        f"<rdf:RDF {' '.join(f'xmlns:{name}={chr(34)}{uri}{chr(34)}' for name, uri in spaces.items())}>"
        f'<ore:Aggregation rdf:about="{about}#aggregation"><edm:aggregatedCHO><edm:ProvidedCHO rdf:about="{about}">'
        f'<dc:creator rdf:resource="https://id.rijksmuseum.nl/2103429"/><dc:identifier>SK-{number}</dc:identifier>'
        f'<dc:title xml:lang="en">{english}</dc:title><dc:title xml:lang="nl">{dutch}</dc:title>'
        '<dc:subject rdf:resource="https://id.rijksmuseum.nl/2212675"/>'
        '<dc:type rdf:resource="https://id.rijksmuseum.nl/2208"/><dcterms:created xml:lang="nl">1642</dcterms:created>'
        "</edm:ProvidedCHO></edm:aggregatedCHO><edm:provider>Rijksmuseum</edm:provider>"
        f'<edm:rights rdf:resource="{rights}"/><edm:dataProvider>Rijksmuseum</edm:dataProvider>'
        f"<edm:isShownBy>{shown}</edm:isShownBy><edm:object>{shown}</edm:object></ore:Aggregation>"
        '<edm:Agent rdf:about="https://id.rijksmuseum.nl/2103429">'
        '<skos:prefLabel xml:lang="nl">Rembrandt van Rijn</skos:prefLabel></edm:Agent>'
        '<skos:Concept rdf:about="https://id.rijksmuseum.nl/2208"><skos:prefLabel xml:lang="nl">schilderij'
        '</skos:prefLabel></skos:Concept><skos:Concept rdf:about="https://id.rijksmuseum.nl/2212675">'
        f'<skos:prefLabel xml:lang="en">weapons</skos:prefLabel><owl:sameAs rdf:resource="{notation}"/>'
        "</skos:Concept></rdf:RDF>"
    )


def _canvas(url: str, label: str, service: str, quality: str) -> dict[str, Any]:
    info = {"@context": "http://iiif.io/api/image/2/context.json", "@id": service}
    info |= {"profile": "http://iiif.io/api/image/2/profiles/level2.json"}
    resource = {"@id": f"{service}/full/full/0/{quality}.jpg", "@type": "dctypes:Image", "service": info}
    resource |= {"format": "image/jpeg", "width": 1600, "height": 1200}
    image = {"@type": "oa:Annotation", "motivation": "sc:painting", "on": url, "resource": resource}
    return {"@id": url, "@type": "sc:Canvas", "label": label, "width": 1600, "height": 1200, "images": [image]}
