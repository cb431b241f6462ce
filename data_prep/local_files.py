"""Pictures that lie in a folder: each as a reference, or the whole folder as a table."""

import hashlib
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from iconoclip.errors import SourceError
from iconoclip.records import RejectReason

from .sources.base import Box, PictureError
from .tables import Row, Table

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".jp2", ".gif", ".bmp"})
MAX_PICTURE_BYTES = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class LocalPicture:
    """A file under ``root`` (resolved); a path or link that leads out of it is refused."""

    root: str
    path: str
    turn_deg: int = 0
    box: Box | None = None

    def fingerprint(self) -> str:
        """Path under the root, size in bytes and time of the file; ``missing`` when there is none."""
        try:
            stat = Path(self.path).stat()
        except (OSError, ValueError):
            return f"{self.path}|missing"
        part = f"|{self.box}" if self.box else ""
        return f"{self.path}|{stat.st_size}|{stat.st_mtime_ns}|{self.turn_deg}{part}"

    def read(self) -> bytes:
        """Bytes of the file, whichever way (NFC or NFD, slash or backslash) its name is written."""
        root = Path(self.root)
        if "\0" in self.path:
            raise PictureError(RejectReason.IMAGE_MISSING, f"{self.path!r}: no file name")
        names = (self.path, *(unicodedata.normalize(form, self.path) for form in ("NFC", "NFD")))
        for name in dict.fromkeys((*names, self.path.replace("\\", "/"))):
            path = Path(name)
            resolved = path.resolve()
            if not resolved.is_relative_to(root):
                raise PictureError(RejectReason.IMAGE_OUTSIDE_ROOT, f"{name}: leads out of {root}")
            if resolved.is_file():
                return self._read_file(resolved)
        raise PictureError(RejectReason.IMAGE_MISSING, f"{self.path}: no such file")

    def file_sha256(self, data: bytes) -> str:
        """Hash of the file."""
        return hashlib.sha256(data).hexdigest()

    def _read_file(self, path: Path) -> bytes:
        size = path.stat().st_size
        if size > MAX_PICTURE_BYTES:
            raise PictureError(RejectReason.IMAGE_TOO_LARGE, f"{path}: {size / 1e9:.1f} GB")
        try:
            return path.read_bytes()
        except OSError as error:
            raise PictureError(RejectReason.IMAGE_BROKEN, f"{path}: {error.strerror}") from None


def list_pictures(folder: Path) -> Table:
    """Pictures of a folder by name; ``text`` is what a ``.txt`` of the same name holds.

    Raises:
        SourceError: there is no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise SourceError(f"{folder}: no such folder; is `root` right?")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    if not paths:
        raise SourceError(f"{folder}: holds no pictures ({', '.join(sorted(PICTURE_SUFFIXES))})")

    def rows() -> Iterator[Row]:
        for number, path in enumerate(paths, 1):
            name = path.relative_to(folder)
            beside = path.with_suffix(".txt")
            text = beside.read_text(encoding="utf-8", errors="replace") if beside.is_file() else ""
            parent = "" if name.parent == Path() else name.parent.as_posix()
            yield Row(number, {"file": name.as_posix(), "stem": path.stem, "parent": parent, "text": text})

    return Table(str(folder), ["file", "stem", "parent", "text"], list(rows()))
