"""Read XML that nobody vouches for: no entities, no network, a cap on its size, and mended where it is broken.

``document = parse_xml(data)``; elements are looked up by local name (``all_of(root, "record/metadata")``), because real
answers forget to declare their namespaces (KB's SRU dumps) or use several for the same thing (LIDO, SRU).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from lxml import etree  # pyright: ignore[reportAttributeAccessIssue]  # compiled, without type stubs

from iconoclip.languages import language_code

from .parsed import ParseError, ParseReason


class Element(Protocol):
    """What is used of an lxml element."""

    tag: Any
    text: str | None
    tail: str | None

    @property
    def attrib(self) -> Mapping[str, str]: ...  # noqa: D102
    def get(self, key: str) -> str | None: ...  # noqa: D102
    def iter(self) -> Iterator["Element"]: ...  # noqa: D102
    def getparent(self) -> "Element | None": ...  # noqa: D102
    def __iter__(self) -> Iterator["Element"]: ...
    def __len__(self) -> int: ...


MAX_XML_BYTES = 64 * 1024 * 1024
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_HTML_START = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*(?:<!doctype\s+html|<html\b|<head\b|<body\b)", re.I | re.S
)
_ENDED_EARLY = {"ERR_TAG_NOT_FINISHED", "ERR_DOCUMENT_END", "ERR_GT_REQUIRED", "ERR_CDATA_NOT_FINISHED",
                "ERR_COMMENT_NOT_FINISHED", "ERR_LTSLASH_REQUIRED"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class XmlDocument:
    """The root element; ``problem`` says what had to be mended, ``truncated`` that the end is missing."""

    root: Element
    problem: str = ""
    truncated: bool = False


def parse_xml(data: bytes, *, encoding: str = "", max_bytes: int = MAX_XML_BYTES) -> XmlDocument:
    """Parse strictly; what is not well-formed is read as far as it goes. ``encoding`` is that of the HTTP header.

    Raises:
        ParseError: empty, larger than ``max_bytes``, a web page, or nothing in it can be read as XML.
    """
    if not data.strip():
        raise ParseError(ParseReason.EMPTY)
    if len(data) > max_bytes:
        raise ParseError(ParseReason.TOO_LARGE, f"{len(data):,} bytes of XML; at most {max_bytes:,} are read")
    if _HTML_START.match(data[:2000]):
        raise ParseError(ParseReason.HTML_PAGE, title_of_page(data))
    try:
        return XmlDocument(_parse(data, encoding, recover=False))
    except (etree.XMLSyntaxError, LookupError, ValueError) as error:
        problem = str(error)[:200]
    return _mend(data, encoding, problem)


def _mend(data: bytes, encoding: str, problem: str) -> XmlDocument:
    # The header's charset may be wrong or unknown to libxml2: then the document's own declaration decides.
    for name in dict.fromkeys((encoding, "")):
        parser = _parser(name, recover=True)
        if parser is None:
            continue
        try:
            root = etree.fromstring(data, parser)
        except (etree.XMLSyntaxError, ValueError):
            continue
        if root is not None:
            if local_name(root).lower() in ("html", "body", "head"):
                raise ParseError(ParseReason.HTML_PAGE, title_of_page(data))
            ends_early = any(entry.type_name in _ENDED_EARLY for entry in parser.error_log)
            return XmlDocument(root, problem, ends_early or not data.rstrip().endswith(b">"))
    raise ParseError(ParseReason.BROKEN_XML, problem)


def _parse(data: bytes, encoding: str, *, recover: bool) -> Element:
    return etree.fromstring(data, _parser(encoding, recover=recover))


def _parser(encoding: str, *, recover: bool) -> Any:
    # huge_tree stays off: libxml2 then refuses depths above 256 and exploding entities.
    try:
        return etree.XMLParser(
            encoding=encoding or None, resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False,
            recover=recover, remove_comments=True, remove_pis=True, huge_tree=False,
        )  # fmt: skip
    except LookupError:
        return None


def title_of_page(data: bytes) -> str:
    """Title of a web page that came instead of data ("Just a moment..."), at most 120 characters."""
    match = re.search(rb"<title[^>]*>(.{0,400}?)</title", data[:20000], re.I | re.S)
    return " ".join(match[1].decode("utf-8", "replace").split())[:120] if match else ""


def local_name(element: Element) -> str:
    """Name without namespace or prefix; ``""`` for comments, entities and instructions."""
    tag = element.tag
    return _bare_name(tag) if isinstance(tag, str) else ""


@lru_cache(maxsize=4096)
def _bare_name(tag: str) -> str:
    return re.split("[}:]", tag)[-1]


def namespace(element: Element) -> str:
    """Namespace URI; an undeclared prefix stands for itself."""
    tag = element.tag if isinstance(element.tag, str) else ""
    if tag.startswith("{"):
        return tag[1:].split("}")[0]
    return tag.split(":")[0] if ":" in tag else ""


def children(element: Element, name: str = "") -> Iterator[Element]:
    """Child elements, those of one local name if it is given."""
    for child in element:
        if isinstance(child.tag, str) and name in ("", local_name(child)):
            yield child


def all_of(element: Element, path: str) -> list[Element]:
    """Elements at a path of local names (``"a/b"``); ``*`` is any name."""
    found = [element]
    for step in path.split("/"):
        found = [child for each in found for child in children(each, "" if step == "*" else step)]
    return found


def first_of(element: Element | None, *paths: str) -> Element | None:
    """First element at the first of the paths that has one."""
    if element is None:
        return None
    return next((found for path in paths for found in all_of(element, path)), None)


def descendants(element: Element, name: str) -> Iterator[Element]:
    """Elements below, at any depth, of one local name; the element itself first if it has that name."""
    return (each for each in element.iter() if local_name(each) == name)


def text_of(element: Element | None) -> str:
    """All text inside, single-spaced; entities that were not resolved are left out."""
    if element is None:
        return ""
    parts = []
    for each in element.iter():
        if isinstance(each.tag, str) and each.text:
            parts.append(each.text)
        if each is not element and each.tail:
            parts.append(each.tail)
    return " ".join("".join(parts).split())


def first_text(element: Element | None, *paths: str) -> str:
    """Text at the first of the paths that holds any."""
    found = (text_of(each) for path in paths for each in ([] if element is None else all_of(element, path)))
    return next((text for text in found if text), "")


def texts_at(element: Element, *paths: str) -> list[str]:
    """Texts at all the paths, empty ones left out."""
    return [text for path in paths for each in all_of(element, path) if (text := text_of(each))]


def attribute(element: Element | None, name: str) -> str:
    """Value of the attribute with this local name, whatever its namespace (``href``, ``resource``, ``about``)."""
    if element is None:
        return ""
    plain = element.get(name)
    if plain is not None:
        return plain.strip()
    for key, value in element.attrib.items():
        if _bare_name(str(key)) == name:
            return str(value).strip()
    return ""


def language_of(element: Element) -> str:
    """Language that the element or the nearest one around it states in ``xml:lang`` (or its own ``lang``)."""
    own = element.get("lang")
    if own:
        return read_language(own)
    here: Element | None = element
    while here is not None:
        stated = here.get(_XML_LANG)
        if stated is not None:
            return read_language(stated)
        here = here.getparent()
    return ""


def read_language(text: str) -> str:
    """BCP-47 code; ``""`` for what states none (``def``, ``none``, ``und``) or is no language."""
    bare = text.strip()
    if bare.lower() in ("", "def", "none", "@none", "und", "xx", "zz", "unknown"):
        return ""
    return language_code(bare) or ""


def serialise(element: Element) -> bytes:
    """The element as a document of its own, with the namespaces it uses."""
    return etree.tostring(element, with_tail=False)
