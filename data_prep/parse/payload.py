"""Turn the metadata element inside an OAI-PMH or SRU record into objects, by what the element is.

The schema name that the server gives is not asked: real servers name them in many ways, the root element tells.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from .dc import parse_dc
from .didl import parse_didl
from .edm import parse_edm
from .lido import parse_lido
from .marcxml import parse_marcxml
from .mets import parse_mets
from .mods import parse_mods
from .oai import OaiItem, OaiPage
from .parsed import Parsed, ParseError, ParseReason, View
from .sru import SruItem, SruPage
from .urls import gallica_ark, gallica_page, web_url
from .xml import Element, all_of, children, first_text, local_name

Refusal = tuple[str, ParseError]


def _mods(element: Element, identifier: str) -> list[Parsed]:
    inner = all_of(element, "mods") if local_name(element) == "modsCollection" else [element]
    return [parse_mods(each, identifier=identifier if len(inner) == 1 else "") for each in inner]


_READERS: dict[str, Callable[[Element, str], list[Parsed]]] = {
    "RDF": lambda element, _: parse_edm(element),
    "ProvidedCHO": lambda element, _: parse_edm(element),
    "mods": _mods,
    "modsCollection": _mods,
    "mets": lambda element, name: [parse_mets(element, identifier=name)],
    "lido": lambda element, name: parse_lido(element, identifier=name),
    "lidoWrap": lambda element, name: parse_lido(element, identifier=name),
    "DIDL": lambda element, name: [parse_didl(element, identifier=name)],
    "collection": lambda element, name: parse_marcxml(element, identifier=name),
}
_DC_ROOTS = ("dc", "dcx", "qualifieddc", "oai_dc", "srw_dc", "qdc", "metadata", "tel", "record_dc", "Description")


def parse_element(element: Element, *, identifier: str = "") -> list[Parsed]:
    """Objects of one metadata element; ``identifier`` is that of its envelope.

    Raises:
        ParseError: no reader knows the element, or its reader refuses it.
    """
    name = local_name(element)
    if name in _READERS:
        return _READERS[name](element, identifier)
    if name == "record":
        return _read_record(element, identifier)
    if name in _DC_ROOTS or {"title", "identifier"} & {local_name(each) for each in children(element)}:
        return [parse_dc(element, identifier=identifier)]
    raise ParseError(ParseReason.UNSUPPORTED_FORMAT, f"<{name}> in the record")


def _read_record(element: Element, identifier: str) -> list[Parsed]:
    """A ``record`` is MARC, a wrapper around something known, or a flat list of Dublin Core fields."""
    names = [local_name(each) for each in children(element)]
    if {"datafield", "controlfield"} & set(names):
        return parse_marcxml(element, identifier=identifier)
    wrapped = next((each for each in children(element) if local_name(each) in (*_READERS, *_DC_ROOTS)), None)
    if wrapped is not None:
        return parse_element(wrapped, identifier=identifier)
    return [parse_dc(element, identifier=identifier)]


def read_oai_records(page: OaiPage) -> Iterator[Parsed | Refusal]:
    """Objects of a page, and for each record that cannot be read its identifier and why; deletions are objects."""
    for item in page.items:
        if item.deleted:
            yield Parsed(id=item.identifier, format="oai_pmh", datestamp=item.datestamp, deleted=True)
        elif item.metadata is None:
            yield item.identifier, ParseError(ParseReason.NO_RECORD, "a record without metadata")
        else:
            yield from _read_oai_item(item, item.metadata)


def _read_oai_item(item: OaiItem, metadata: Element) -> Iterator[Parsed | Refusal]:
    try:
        found = parse_element(metadata, identifier="" if local_name(metadata) == "RDF" else item.identifier)
    except ParseError as error:
        yield item.identifier, error
        return
    for parsed in found:
        yield replace(parsed, id=parsed.id or item.identifier, datestamp=item.datestamp)


def read_sru_records(page: SruPage) -> Iterator[Parsed | Refusal]:
    """Objects of a page, and for each record that cannot be read its identifier or position and why."""
    for number, item in enumerate(page.items, 1):
        name = item.identifier or f"position {item.position or number}"
        if item.metadata is None:
            yield name, ParseError(ParseReason.NO_RECORD, "a record without data")
            continue
        if local_name(item.metadata) == "diagnostic":  # one record that its server cannot give
            words = [first_text(item.metadata, name) for name in ("uri", "message", "details")]
            yield name, ParseError(ParseReason.PROTOCOL_ERROR, ": ".join(filter(None, words))[:200])
            continue
        try:
            found = parse_element(item.metadata, identifier=item.identifier)
        except ParseError as error:
            yield name, error
            continue
        for parsed in found:
            yield _with_gallica(parsed, item)


def _with_gallica(parsed: Parsed, item: SruItem) -> Parsed:
    """Gallica's answers name the digitised ark beside the record: a periodical's notice has none inside."""
    if parsed.views or item.extra is None:
        return parsed
    link = web_url(first_text(item.extra, "highres", "medres", "thumbnail", "link"))
    ark = gallica_ark(link)
    if not ark:
        return parsed
    service, url, manifest = gallica_page(ark)
    return replace(parsed, views=(View(url=url, iiif_service=service),), manifest=parsed.manifest or manifest)
