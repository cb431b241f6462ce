"""Read OAI-PMH 2.0 answers: records, deletions, the token of the next page, and errors that come with HTTP 200.

``page = parse_oai(data)``; ``page.items`` hold the metadata elements, which ``payload.py`` turns into objects. An
``<error code="noRecordsMatch">`` is an empty page. Source: https://www.openarchives.org/OAI/openarchivesprotocol.html
"""

from dataclasses import dataclass

from .parsed import ParseError, ParseReason
from .xml import Element, attribute, children, first_of, first_text, local_name, parse_xml, text_of, texts_at

VERBS = ("Identify", "ListMetadataFormats", "ListSets", "ListIdentifiers", "ListRecords", "GetRecord")


@dataclass(frozen=True, slots=True)
class OaiItem:
    """A record or header: ``metadata`` is the element inside ``<metadata>``, None for headers and deletions."""

    identifier: str
    datestamp: str = ""
    sets: tuple[str, ...] = ()
    deleted: bool = False
    metadata: Element | None = None


@dataclass(frozen=True, slots=True)
class OaiPage:
    """One answer. ``token`` is ``""`` on the last page; ``truncated`` pages must be asked again.

    ``facts`` are the fields of Identify (``granularity``, ``deletedRecord``, ``earliestDatestamp``), or names by
    identifier of ListSets and ListMetadataFormats.
    """

    verb: str
    items: tuple[OaiItem, ...] = ()
    token: str = ""
    expires: str = ""
    cursor: int | None = None
    total: int | None = None
    facts: tuple[tuple[str, str], ...] = ()
    error_code: str = ""
    error_text: str = ""
    problem: str = ""
    truncated: bool = False

    def raise_error(self) -> None:
        """Raise what the server answered, unless it only found nothing.

        Raises:
            ParseError: ``badResumptionToken: ...`` and the like.
        """
        if self.error_code and self.error_code != "noRecordsMatch":
            raise ParseError(ParseReason.PROTOCOL_ERROR, f"{self.error_code}: {self.error_text}".strip(": ")[:200])


def parse_oai(data: bytes, *, encoding: str = "") -> OaiPage:
    """Read an answer of any verb; an error is in the page, not raised (see :meth:`OaiPage.raise_error`).

    Raises:
        ParseError: not XML, a web page, or another document.
    """
    document = parse_xml(data, encoding=encoding)
    if local_name(document.root) != "OAI-PMH":
        raise ParseError(
            ParseReason.UNKNOWN_FORMAT, f"the root element is <{local_name(document.root)}>, not <OAI-PMH>"
        )
    return read_oai(document.root, problem=document.problem, truncated=document.truncated)


def read_oai(root: Element, *, problem: str = "", truncated: bool = False) -> OaiPage:
    """Read an ``OAI-PMH`` element."""
    error = first_of(root, "error")
    body = next((each for each in children(root) if local_name(each) in VERBS), None)
    if body is None:
        verb = attribute(first_of(root, "request"), "verb")
        if error is None:
            # an answer that was cut off before its body is not an empty one
            return OaiPage(verb, error_code="noBody", error_text=problem, problem=problem, truncated=truncated)
        code = attribute(error, "code") or "error"
        return OaiPage(verb, error_code=code, error_text=text_of(error), problem=problem, truncated=truncated)
    verb = local_name(body)
    token = first_of(body, "resumptionToken")
    return OaiPage(
        verb=verb,
        items=tuple(_item(each) for each in children(body) if local_name(each) in ("record", "header")),
        token=text_of(token),
        expires=attribute(token, "expirationDate"),
        cursor=_number(attribute(token, "cursor")),
        total=_number(attribute(token, "completeListSize")),
        facts=_facts(body, verb),
        problem=problem,
        truncated=truncated,
    )


def _item(element: Element) -> OaiItem:
    header = element if local_name(element) == "header" else first_of(element, "header")
    metadata = first_of(element, "metadata")
    return OaiItem(
        identifier=first_text(header, "identifier"),
        datestamp=first_text(header, "datestamp"),
        sets=tuple(texts_at(header, "setSpec")) if header is not None else (),
        deleted=attribute(header, "status") == "deleted",
        metadata=next(children(metadata), None) if metadata is not None else None,
    )


def _facts(body: Element, verb: str) -> tuple[tuple[str, str], ...]:
    if verb == "Identify":
        return tuple((local_name(each), text_of(each)) for each in children(body) if len(each) == 0)
    if verb == "ListSets":
        return tuple((first_text(each, "setSpec"), first_text(each, "setName")) for each in children(body, "set"))
    formats = children(body, "metadataFormat")
    return tuple((first_text(each, "metadataPrefix"), first_text(each, "metadataNamespace")) for each in formats)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None
