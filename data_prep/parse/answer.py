"""Tell what an answer is from its content and read it: the one door to all readers.

``answer = parse_answer(data)``; ``answer.records`` are objects, ``answer.value`` is the whole page where there is one
(tokens, links, sizes), ``answer.refused`` the records in it that cannot be read. Sources that know what they asked for
call their reader directly; this is for folders of mixed files, for tests, and for finding out what a server sent
instead.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from .alto import AltoPage, read_alto
from .edm import parse_edm_json_ld, parse_edm_turtle
from .europeana import SearchPage, parse_record, parse_search, raise_error
from .iiif import parse_manifest
from .iiif_annotations import AnnotationPage, parse_annotations
from .iiif_collection import ChangePage, Collection, parse_changes, parse_collection
from .iiif_image import ImageInfo, parse_info
from .iiif_values import type_of
from .json import Object, as_object, objects, parse_json
from .nb_no import NbPage, parse_items
from .oai import OaiPage, read_oai
from .parsed import Parsed, ParseError, ParseReason
from .payload import Refusal, parse_element, read_oai_records, read_sru_records
from .sru import SruPage, read_sru
from .xml import XmlDocument, children, local_name, parse_xml

Value = (
    OaiPage
    | SruPage
    | Collection
    | ChangePage
    | ImageInfo
    | AnnotationPage
    | SearchPage
    | NbPage
    | list[AltoPage]
    | None
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What was read; ``problem`` says what had to be mended in it, ``truncated`` that its end is missing."""

    kind: str
    records: tuple[Parsed, ...] = ()
    refused: tuple[Refusal, ...] = ()
    value: Value = field(default=None, compare=False)
    problem: str = ""
    truncated: bool = False


def parse_answer(data: bytes, *, url: str = "", encoding: str = "") -> Answer:
    """Read an answer of any known kind; ``url`` is where it came from, ``encoding`` the charset of its HTTP header.

    Raises:
        ParseError: it is empty, broken, a web page, an error message of its server, or of no known kind.
    """
    start = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith((b"{", b"[")) or (data[:2] in (b"\xff\xfe", b"\xfe\xff") and b"<" not in data[:4]):
        return _read_json(parse_json(data), url)
    if start.lower().startswith((b"@prefix", b"@base", b"prefix ", b"base ")):
        return Answer("edm_turtle", tuple(parse_edm_turtle(data)))
    return _read_xml(parse_xml(data, encoding=encoding))


def _read_xml(document: XmlDocument) -> Answer:
    root, name = document.root, local_name(document.root)
    mended: dict[str, Any] = {"problem": document.problem, "truncated": document.truncated}
    if name == "OAI-PMH":
        page = read_oai(root, **mended)
        page.raise_error()
        records, refused = _sorted(
            read_oai_records(page) if page.verb in ("ListRecords", "GetRecord") else _deleted(page)
        )
        return Answer(f"oai_pmh/{page.verb}", records, refused, page, **mended)
    if name == "searchRetrieveResponse":
        answer = read_sru(root, **mended)
        answer.raise_error()
        records, refused = _sorted(read_sru_records(answer))
        return Answer("sru", records, refused, answer, **mended)
    if name.lower() == "alto":
        return Answer("alto", value=read_alto(root), **mended)
    if name in ("records", "repository", "ListRecords") and next(children(root), None) is not None:
        records, refused = _sorted(_read_each(root))
        return Answer("xml_records", records, refused, **mended)
    records = tuple(parse_element(root))
    return Answer(records[0].format if records else name, records, **mended)


def _read_each(root: Any) -> Iterable[Parsed | Refusal]:
    for number, element in enumerate(children(root), 1):
        try:
            yield from parse_element(element)
        except ParseError as error:
            yield f"element {number}", error


def _deleted(page: OaiPage) -> Iterable[Parsed]:
    return (
        Parsed(id=i.identifier, format="oai_pmh", datestamp=i.datestamp, deleted=True) for i in page.items if i.deleted
    )


def _sorted(found: Iterable[Parsed | Refusal]) -> tuple[tuple[Parsed, ...], tuple[Refusal, ...]]:
    records: list[Parsed] = []
    refused: list[Refusal] = []
    for each in found:
        if isinstance(each, Parsed):
            records.append(each)
        else:
            refused.append(each)
    return tuple(records), tuple(refused)


def _read_json(value: Any, url: str) -> Answer:
    first = as_object(value)
    for kind, is_meant, read in _JSON_KINDS:
        if is_meant(value, first):
            return read(value, url, kind)
    if isinstance(value, dict):
        raise_error(value)
    names = ", ".join(list(first)[:6]) or "no objects"
    raise ParseError(ParseReason.UNKNOWN_FORMAT, f"JSON with {names}")


def _is_europeana_search(value: Any, first: Object) -> bool:
    if isinstance(value, list):
        return bool({"edmIsShownAt", "edmIsShownBy", "dataProvider", "edmPreview"} & first.keys())
    items = objects(first.get("items"))
    return "itemsCount" in first or "totalResults" in first or bool(items and "dataProvider" in items[0])


def _is_info(_: Any, first: Object) -> bool:
    if type_of(first) in ("Manifest", "Collection") or "sequences" in first:
        return False  # the Internet Archive's manifests name the Image API as their context
    about = f"{first.get('@context')} {first.get('protocol')}"
    return "iiif.io/api/image" in about or "image-api" in about or type_of(first).startswith("ImageService")


def _is_json_ld(value: Any, first: Object) -> bool:
    return isinstance(first.get("@graph"), list) or any(":" in key and not key.startswith("@") for key in first)


_ANNOTATIONS = ("AnnotationPage", "AnnotationList", "Annotation", "AnnotationCollection")
_Reader = Callable[[Any, str, str], Answer]
# Asked in this order: what has a clear mark of its own comes first.
_JSON_KINDS: tuple[tuple[str, Callable[[Any, Object], bool], _Reader], ...] = (
    (
        "iiif_changes",
        lambda _, o: type_of(o).startswith("OrderedCollection"),
        lambda v, _, k: Answer(k, value=parse_changes(v)),
    ),
    (
        "iiif_annotations",
        lambda _, o: type_of(o) in _ANNOTATIONS,
        lambda v, _, k: Answer(k, value=parse_annotations(v)),
    ),
    ("iiif_info", _is_info, lambda v, url, k: Answer(k, value=parse_info(v, url=url))),
    (
        "iiif_collection",
        lambda _, o: type_of(o) == "Collection" or bool({"manifests", "collections", "member"} & o.keys()),
        lambda v, url, k: Answer(k, value=parse_collection(v, url=url)),
    ),
    (
        "iiif_manifest",
        lambda _, o: (
            type_of(o) == "Manifest"
            or "sequences" in o
            or ("items" in o and type_of(as_object(o["items"])) == "Canvas")
        ),
        lambda v, url, k: Answer(k, (parse_manifest(v, url=url),)),
    ),
    ("europeana_search", _is_europeana_search, lambda v, _, k: _search(v, k)),
    (
        "europeana_record",
        lambda _, o: bool({"proxies", "aggregations"} & o.keys()) or "proxies" in as_object(o.get("object")),
        lambda v, _, k: Answer(k, tuple(parse_record(v))),
    ),
    ("nb_no", lambda _, o: "_embedded" in o or ("accessInfo" in o and "metadata" in o), lambda v, _, k: _nb(v, k)),
    ("edm_json_ld", _is_json_ld, lambda v, _, k: Answer(k, tuple(parse_edm_json_ld(v)))),
)


def _search(value: Any, kind: str) -> Answer:
    page = parse_search(value)
    return Answer(kind, page.records, value=page)


def _nb(value: Any, kind: str) -> Answer:
    page = parse_items(value)
    return Answer(kind, page.records, value=page)
