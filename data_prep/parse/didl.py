"""Read MPEG-21 DIDL as KB.nl's OAI server gives it: Dublin Core in one component, pictures and OCR in others.

Roles of components seen: metadata, image, alto, ocr. Of several resources the one with an absolute address counts
(data_prep notes 1.4). BnF's DIDL nests items: captions of single photographs of an album stand in inner items.
"""

from dataclasses import replace

from .dc import parse_dc
from .parsed import Parsed, ParseError, ParseReason, Text, View, number_views
from .text import is_procedural
from .urls import image_service_of, image_url, is_picture, service_url
from .xml import Element, attribute, children, descendants, local_name, text_of

_METADATA = ("dc", "dcx", "srw_dc", "dcterms")


def parse_didl(element: Element, *, identifier: str = "") -> Parsed:
    """Read one ``didl:DIDL`` element.

    Raises:
        ParseError: there is no Dublin Core in it.
    """
    records = [each for name in _METADATA for each in descendants(element, name) if len(each)]
    if not records:
        raise ParseError(ParseReason.NO_RECORD, "no Dublin Core in the DIDL")
    item = next(iter(descendants(element, "Item")), None)
    parsed = parse_dc(records[0], identifier=identifier or attribute(item, "identifier"), format_name="didl")
    views = [view for component in descendants(element, "Component") if (view := _view(component))]
    return replace(parsed, views=number_views(views) or parsed.views)


def _view(component: Element) -> View | None:
    role = _role(component)
    for resource in descendants(component, "Resource"):
        mime, url = attribute(resource, "mimeType"), image_url(attribute(resource, "ref"))
        if url and (role == "image" or is_picture(url, mime)) and is_picture(url, mime) is not False:
            service = service_url(image_service_of(attribute(resource, "ref")))
            return View(url=url, iiif_service=service, mime=mime, texts=_captions(component))
    return None


def _role(component: Element) -> str:
    statements = (each for each in descendants(component, "Statement") if attribute(each, "type") == "role")
    return next((text_of(each) for each in statements), "")


def _captions(component: Element) -> tuple[Text, ...]:
    """Titles and descriptions of the innermost item that holds the picture, if it is inside another one."""
    item = component.getparent()
    outer = item.getparent() if item is not None else None
    if item is None or outer is None or local_name(item) != "Item" or local_name(outer) != "Item":
        return ()
    found = []
    for name in ("title", "description"):
        for descriptor in children(item, "Descriptor"):
            for each in descendants(descriptor, name):
                if (text := text_of(each)) and not is_procedural(text):
                    found.append(Text(text, "", f"didl:Item/dc:{name}", "page"))
    return tuple(dict.fromkeys(found))
