"""Read an XML file with repeated record elements as rows; entities and network stay off.

A row is the element: ``@name`` is an attribute, children are lists by their names as written (``dc:title``).
"""

import difflib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.parsers import expat

from iconoclip.errors import SourceError

from .parse.parsed import ParseError, ParseReason
from .parse.xml import Element, parse_xml, text_of
from .paths import XmlNode
from .tables import Reading, Row

MAX_DUMP_BYTES = 2 * 1024**3

_XML_NAMESPACE = "http://www.w3.org/XML/1998/namespace"
_SHOWN = 12


def read_xml(path: Path, records: str) -> Reading:
    """Rows of the elements called ``records``, at any depth; those within another one are part of it.

    Raises:
        SourceError: it is not well-formed (prefixes may be undeclared), or holds no such element.
    """
    root = _parse(path)
    elements = list(_outermost(root, records))
    if not elements:
        raise _no_record(path, root, records)
    columns = list(dict.fromkeys(name for element in elements for name in _names(element)))
    return columns, (Row(number, _to_row(element), _problem(element)) for number, element in enumerate(elements, 1))


def _parse(path: Path) -> Element:
    data = path.read_bytes()
    try:
        document = parse_xml(data, max_bytes=MAX_DUMP_BYTES)
    except ParseError as error:
        hint = "split it" if error.reason == ParseReason.TOO_LARGE else "is it an XML file?"
        raise SourceError(f"{path}: cannot be read as XML: {error}; {hint}") from None
    if document.problem:
        # Mended: undeclared prefixes lose nothing, all else may. A parser that knows no prefixes tells them apart.
        parser = expat.ParserCreate()
        try:
            parser.Parse(data, True)
        except (expat.ExpatError, LookupError) as error:
            fault = expat.ErrorString(error.code) if isinstance(error, expat.ExpatError) else error
            raise SourceError(
                f"{path}: line {parser.ErrorLineNumber}: {fault}, so that records may be lost; get the file again or "
                "mend it (`xmllint --recover`)"
            ) from None
    return document.root


def _outermost(root: Element, records: str) -> Iterator[Element]:
    waiting = [root]
    while waiting:
        element = waiting.pop()
        if not isinstance(element.tag, str):
            continue
        if records and _fits(_written(element), records):
            yield element
        else:
            waiting += reversed(list(element))


def _fits(written: str, name: str) -> bool:
    return written == name if ":" in name else written.rsplit(":", 1)[-1] == name


def _no_record(path: Path, root: Element, records: str) -> SourceError:
    counts = Counter(_written(each) for each in root.iter() if isinstance(each.tag, str))
    names = ", ".join(f"{name} ({count:,})" for name, count in counts.most_common(_SHOWN))
    if not records:
        return SourceError(f"{path}: say which element is a row: `records: NAME`; there are: {names}")
    near = difflib.get_close_matches(records, counts, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r} ({counts[near[0]]:,})?" if near else f"there are: {names}"
    return SourceError(f"{path}: no element {records!r}; {hint}")


def _names(element: Element) -> list[str]:
    attributes = [f"@{_attribute_name(element, str(key))}" for key in element.attrib]
    return attributes + [_written(child) for child in element if isinstance(child.tag, str)]


def _to_row(element: Element) -> XmlNode:
    node = _to_node(element)
    return node if isinstance(node, XmlNode) else XmlNode({"": node})


def _to_node(element: Element) -> XmlNode | str:
    children = [child for child in element if isinstance(child.tag, str)]
    if not children and not element.attrib:
        return text_of(element)
    node = XmlNode()
    for key, value in element.attrib.items():
        node[f"@{_attribute_name(element, str(key))}"] = str(value).strip()
    grouped: dict[str, list[object]] = {}
    for child in children:
        grouped.setdefault(_written(child), []).append(_to_node(child))
    node.update(grouped)
    own = [element.text, *(child.tail for child in element)]
    if not children or any(text and text.strip() for text in own):
        node[""] = text_of(element)
    return node


def _written(element: Element) -> str:
    """Name with the prefix that the file uses; lxml keeps undeclared ones in the tag."""
    tag = str(element.tag)
    prefix = getattr(element, "prefix", None)
    return f"{prefix}:{tag.rsplit('}', 1)[1]}" if tag.startswith("{") and prefix else tag.rsplit("}", 1)[-1]


def _attribute_name(element: Element, key: str) -> str:
    if not key.startswith("{"):
        return key
    uri, name = key[1:].split("}", 1)
    declared: dict[str | None, str] = getattr(element, "nsmap", {})
    prefix = "xml" if uri == _XML_NAMESPACE else next((each for each, ns in declared.items() if each and ns == uri), "")
    return f"{prefix}:{name}" if prefix else name


def _problem(element: Element) -> str:
    """An entity that the file defines may read other files or grow without end: it is not resolved."""
    entity = next((each for each in element.iter() if not isinstance(each.tag, str)), None)
    return f"the entity {entity.text} is not resolved; write the characters themselves" if entity is not None else ""
