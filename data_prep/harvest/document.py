"""Documents of a harvest: answers of a server, or files that stand for them (a folder or zip of saved records)."""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from iconoclip.errors import SourceError

_MAX_MEMBER_BYTES = 200_000_000
_MAX_RATIO = 200  # XML shrinks to a twentieth; a bomb to a thousandth
_SUFFIXES = frozenset({".xml", ".json", ".jsonld", ".ttl", ".rdf"})


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """An answer in the fetch store; ``problem`` says why there is none."""

    url: str
    kind: str
    path: Path | None
    problem: str = ""
    seen_on: str = ""

    def read(self) -> bytes:
        """The body.

        Raises:
            SourceError: it is gone; the next run asks for it again.
        """
        if self.path is None:
            raise SourceError(f"{self.url}: {self.problem or 'no answer'}")
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise SourceError(f"{self.path}: {error.strerror} (answer of {self.url}); run again to ask anew") from None


@dataclass(frozen=True, slots=True)
class FileDocument:
    """A file on this machine, or a ``member`` of a zip; its ``url`` is its path under the root."""

    path: Path
    url: str
    member: str = ""
    kind: str = "file"
    problem: str = ""
    seen_on: str = ""

    def read(self) -> bytes:
        """The bytes; of a member only where its size is sane."""
        try:
            if not self.member:
                return self.path.read_bytes()
            with zipfile.ZipFile(self.path) as archive:
                info = archive.getinfo(self.member)
                if info.file_size > _MAX_MEMBER_BYTES or info.file_size > _MAX_RATIO * max(info.compress_size, 1024):
                    raise SourceError(f"{self.url}: {info.file_size:,} bytes unpacked; refused as an archive bomb")
                return archive.read(info)
        except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            raise SourceError(f"{self.url}: cannot be read: {error}") from None


def find_files(root: Path, pattern: str) -> Iterator[FileDocument]:
    """Files under ``root`` that fit ``pattern`` (``dumps/*.xml``, ``edm/**/*.zip``, a folder), by name.

    Zips are looked into, nothing is unpacked to disk.

    Raises:
        SourceError: none fits, or a zip is damaged.
    """
    folder = root / pattern
    start = Path(pattern).anchor
    base, rest = (Path(start), pattern[len(start) :]) if start else (root, pattern)
    paths = folder.rglob("*") if folder.is_dir() else base.glob(rest)
    found = sorted(path for path in paths if path.is_file())
    if folder.is_dir():
        found = [path for path in found if path.suffix.lower() in _SUFFIXES | {".zip"}]
    if not found:
        raise SourceError(f"{root / pattern}: no file there; is `root` right?")
    for path in found:
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
        if path.suffix.lower() != ".zip":
            yield FileDocument(path, name)
            continue
        try:
            with zipfile.ZipFile(path) as archive:
                members = sorted(info.filename for info in archive.infolist() if not info.is_dir())
        except (OSError, zipfile.BadZipFile) as error:
            raise SourceError(f"{path}: not a zip that can be read: {error}") from None
        for member in members:
            if Path(member).suffix.lower() in _SUFFIXES:
                yield FileDocument(path, f"{name}!{member}", member)
