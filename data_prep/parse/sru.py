"""Read SRU 1.1, 1.2 and 2.0 answers: how many records there are, where the next page begins, and what went wrong.

``page = parse_sru(data)``; ``payload.py`` turns the record elements into objects. Records packed as strings are
parsed a second time. Source: https://www.loc.gov/standards/sru/
"""

import hashlib
from dataclasses import dataclass

from .parsed import ParseError, ParseReason
from .xml import (
    Element,
    all_of,
    attribute,
    children,
    descendants,
    first_of,
    first_text,
    local_name,
    parse_xml,
    serialise,
    text_of,
)


@dataclass(frozen=True, slots=True)
class SruItem:
    """One record: its schema as the server names it, the element inside ``recordData``, and what comes beside it."""

    schema: str
    position: int | None
    identifier: str
    metadata: Element | None
    extra: Element | None


@dataclass(frozen=True, slots=True)
class SruPage:
    """One answer; ``next_position`` is None on the last page. ``truncated`` pages must be asked again."""

    total: int | None
    next_position: int | None
    items: tuple[SruItem, ...]
    diagnostics: tuple[str, ...]
    problem: str = ""
    truncated: bool = False

    def fingerprints(self) -> frozenset[bytes]:
        """Hashes of the records as they stand, to tell whether another page holds the same."""
        found = (serialise(each.metadata) for each in self.items if each.metadata is not None)
        return frozenset(hashlib.blake2b(data, digest_size=8).digest() for data in found)

    def raise_error(self) -> None:
        """Raise what the server complains about, if it gave no record.

        Raises:
            ParseError: ``7: Mandatory parameter not supplied`` and the like.
        """
        if self.diagnostics and not self.items:
            raise ParseError(ParseReason.PROTOCOL_ERROR, "; ".join(self.diagnostics)[:200])


def parse_sru(data: bytes, *, encoding: str = "") -> SruPage:
    """Read a searchRetrieve answer.

    Raises:
        ParseError: not XML, a web page, or another document.
    """
    document = parse_xml(data, encoding=encoding)
    if local_name(document.root) not in ("searchRetrieveResponse", "explainResponse"):
        raise ParseError(ParseReason.UNKNOWN_FORMAT, f"the root element is <{local_name(document.root)}>")
    return read_sru(document.root, problem=document.problem, truncated=document.truncated)


def read_sru(root: Element, *, problem: str = "", truncated: bool = False) -> SruPage:
    """Read a ``searchRetrieveResponse`` element."""
    messages = [
        ": ".join(text for name in ("uri", "message", "details") if (text := first_text(each, name)))
        for path in ("diagnostics/diagnostic", "diagnostic", "records/record/recordData/diagnostic")
        for each in all_of(root, path)
    ]
    return SruPage(
        total=_number(first_text(root, "numberOfRecords")),
        next_position=_number(first_text(root, "nextRecordPosition")),
        items=tuple(map(_item, _records(root))),
        diagnostics=tuple(message.replace("info:srw/diagnostic/1/", "") for message in messages),
        problem=problem,
        truncated=truncated,
    )


def _records(root: Element) -> list[Element]:
    # Dumps that people stitched together hold records inside the recordData of others (KB's Atlas van der Hagen).
    return [each for each in descendants(root, "record") if first_of(each, "recordData") is not None]


def _item(record: Element) -> SruItem:
    data = first_of(record, "recordData")
    inside = [] if data is None else [each for each in children(data) if first_of(each, "recordData") is None]
    metadata = next(iter(inside), None)
    if metadata is not None and len(inside) > 1 and not len(metadata):
        metadata = data  # KB.nl's schema `dc`: the fields stand in recordData itself
    if metadata is None and (packed := text_of(data)).startswith("<"):
        try:
            metadata = parse_xml(packed.encode()).root
        except ParseError:
            metadata = None
    extra = first_of(record, "extraRecordData")
    identifier = first_text(record, "recordIdentifier") or attribute(data, "recordIdentifier")
    return SruItem(
        schema=first_text(record, "recordSchema"),
        position=_number(first_text(record, "recordPosition")),
        identifier=""
        if identifier == "ark"
        else identifier,  # Gallica writes the kind of identifier, not the identifier
        metadata=metadata,
        extra=extra,
    )


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None
