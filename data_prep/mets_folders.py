"""What belongs to a METS: the ALTO of its pages and its pictures, in its folder, in its zip, or harvested with it."""

import hashlib
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from iconoclip.errors import SourceError
from iconoclip.records import RejectReason

from .fetch.redaction import redact, without_keys
from .harvest.document import FileDocument
from .local_files import MAX_PICTURE_BYTES
from .sources.base import Box, Document, PictureError


class LayoutError(Exception):
    """A layout that a METS names cannot be had; says why."""


@dataclass(frozen=True, slots=True)
class MetsDocument:
    """A METS that knows where its layouts are.

    ``folder`` is that of a file, ``archive`` and ``member`` those of one in a zip; ``altos`` are the layouts that were
    harvested, by their addresses without keys.
    """

    document: Document
    root: Path
    folder: Path | None = None
    archive: Path | None = None
    member: str = ""
    altos: dict[str, Document] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where the METS came from."""
        return self.document.url

    @property
    def kind(self) -> str:
        """What it was asked for."""
        return self.document.kind

    @property
    def problem(self) -> str:
        """Why there is no body."""
        return self.document.problem

    @property
    def seen_on(self) -> str:
        """Day on which its harvest began."""
        return self.document.seen_on

    def read(self) -> bytes:
        """The METS."""
        return self.document.read()

    def beside(self, path: str) -> str:
        """Name of the member of the zip that a path beside the METS means."""
        folder = self.member.rpartition("/")[0]
        parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
        return "/".join([*([folder] if folder else []), *parts])

    def layout(self, place: str) -> bytes:
        """The layout of a page.

        Raises:
            LayoutError: it is not there, or lies outside the root.
        """
        try:
            if "://" in place:
                return self._harvested(place).read()
            if self.archive is not None:
                return FileDocument(self.archive, f"{self.archive}!{place}", self.beside(place)).read()
            assert self.folder is not None  # a place without an address is beside a file
            path = (self.folder / place).resolve()
            if not path.is_relative_to(self.root.resolve()):
                raise LayoutError(f"leads out of {self.root}")
            return path.read_bytes()
        except KeyError:
            raise LayoutError("not in the zip") from None
        except SourceError as error:
            raise LayoutError(str(error)) from None
        except OSError as error:
            raise LayoutError(error.strerror or "cannot be read") from None

    def _harvested(self, place: str) -> Document:
        alto = self.altos.get(redact(without_keys(place)))
        if alto is None and self.folder is not None:
            raise LayoutError("lies on a server; harvest this METS by `documents`, or put the ALTO beside it")
        if alto is None or alto.problem:
            raise LayoutError(alto.problem if alto else "was not harvested")
        return alto


@dataclass(frozen=True, slots=True)
class Layouts:
    """Gives METS documents what lies beside them; ``is_local``: they are files."""

    root: Path
    is_local: bool

    def attach(self, documents: Iterable[Document]) -> Iterator[MetsDocument]:
        """METS and other documents in their order, harvested ALTO left out."""
        if self.is_local:
            yield from map(self._on_disk, documents)
            return
        several = list(documents)
        altos = {document.url: document for document in several if document.kind == "alto"}
        for document in several:
            if document.kind != "alto":
                yield MetsDocument(document, self.root, altos=altos)

    def _on_disk(self, document: Document) -> MetsDocument:
        name, _, member = document.url.partition("!")
        path = self.root / name
        archive = path if isinstance(document, FileDocument) and document.member else None
        return MetsDocument(document, self.root, path.parent, archive, member if archive else "")


@dataclass(frozen=True, slots=True)
class ZippedPicture:
    """A picture in a zip; nothing is unpacked to disk."""

    archive: str
    member: str
    turn_deg: int = 0
    box: Box | None = None

    def fingerprint(self) -> str:
        """Path, size and time of the zip, and the member."""
        part = f"|{self.box}" if self.box else ""
        try:
            stat = Path(self.archive).stat()
        except OSError:
            return f"{self.archive}!{self.member}|missing"
        return f"{self.archive}!{self.member}|{stat.st_size}|{stat.st_mtime_ns}{part}"

    def read(self) -> bytes:
        """The bytes of the member, whichever way its name is written.

        Raises:
            PictureError: it is missing, too large, damaged or encrypted.
        """
        where = f"{self.archive}!{self.member}"
        try:
            with zipfile.ZipFile(self.archive) as archive:
                info = self._find(archive)
                if info is None:
                    raise PictureError(RejectReason.IMAGE_MISSING, f"{where}: no such member")
                if info.file_size > MAX_PICTURE_BYTES:
                    raise PictureError(RejectReason.IMAGE_TOO_LARGE, f"{where}: {info.file_size / 1e9:.1f} GB")
                return archive.read(info)
        except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
            raise PictureError(RejectReason.IMAGE_BROKEN, f"{where}: {error}") from None

    def file_sha256(self, data: bytes) -> str:
        """Hash of the member."""
        return hashlib.sha256(data).hexdigest()

    def _find(self, archive: zipfile.ZipFile) -> zipfile.ZipInfo | None:
        for name in (self.member, *(unicodedata.normalize(form, self.member) for form in ("NFC", "NFD"))):
            try:
                return archive.getinfo(name)
            except KeyError:
                continue
        return None
