"""LIDO 1.0 and 1.1: what museums give to the Deutsche Digitale Bibliothek, Finna, kenom or Europeana.

Files, folders and zips (``files``) or addresses (``documents``), with one record or many (``lidoWrap``) in each; an
address may give a zip. How a record is read stands in :mod:`data_prep.parse.lido`.
"""

import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from iconoclip.records import RejectReason

from ..parse.lido import parse_lido
from ..parse.parsed import ParseError, ParseReason
from ..parse.xml import MAX_XML_BYTES, parse_xml
from ._documents import DocumentsSource
from .base import Document, Drop
from .web import Entry, refused

_MAX_RATIO = 200  # XML shrinks to a twentieth; a bomb to a thousandth


class LidoSource(DocumentsSource):
    """``{kind: lido, files: lido/, institution: ...}``; a record's own institution goes before the one given here."""

    kind: Literal["lido"] = "lido"  # type: ignore[assignment]  # frozen, so narrowing is safe

    def read(self, document: Document) -> Iterator[Entry]:
        """Records by their ``lidoRecID``."""
        data = document.read()
        if not data.startswith(b"PK\x03\x04"):
            yield from _read(data, document.url)
            return
        for name, body in _members(data):
            try:
                yield from _read(body(), f"{document.url}!{name}")
            except ParseError as error:
                yield refused(f"{document.url}!{name}", error)


def _read(data: bytes, url: str) -> Iterator[Entry]:
    document = parse_xml(data)
    records = parse_lido(document.root)
    if document.truncated:
        records.pop()  # nobody knows what is missing in it
    for number, record in enumerate(records, 1):
        if record.id:
            yield Entry(record.id, record)
        else:
            name, detail = f"{url}#{number}", f"{url}: record {number} has no lidoRecID and no recordID"
            yield Entry(name, replace(record, id=name), drop=Drop("source", RejectReason.ID_MISSING, detail))
    if document.truncated:
        detail = f"the document breaks off after {len(records):,} whole records: {document.problem}"
        yield refused(f"{url}#{len(records) + 1}", ParseError(ParseReason.TRUNCATED, detail))


def _members(data: bytes) -> Iterator[tuple[str, "_Member"]]:
    """XML files of a zip, by name.

    Raises:
        ParseError: it is damaged.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except zipfile.BadZipFile as error:
        raise ParseError(ParseReason.UNKNOWN_FORMAT, f"a zip that cannot be read: {error}") from None
    for info in sorted(archive.infolist(), key=lambda each: each.filename):
        if info.filename.lower().endswith(".xml"):
            yield info.filename, _Member(archive, info)


class _Member:
    """One file of a zip, unpacked when it is called."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        self._archive, self._info = archive, info

    def __call__(self) -> bytes:
        size = self._info.file_size
        if size > MAX_XML_BYTES or size > _MAX_RATIO * max(self._info.compress_size, 1024):
            raise ParseError(ParseReason.TOO_LARGE, f"{size:,} bytes unpacked; refused as an archive bomb")
        try:
            return self._archive.read(self._info)
        except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, OSError, EOFError) as error:
            raise ParseError(ParseReason.UNKNOWN_FORMAT, f"cannot be unpacked: {error}") from None
