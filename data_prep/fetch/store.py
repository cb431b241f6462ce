"""Answers on disk: bodies named by their sha256 under ``bodies/``, what is known about them in SQLite.

A body is written under a temporary name, hashed on the way and renamed; its row follows. A row without its body, or
with a body of another size (a power cut), counts as not there.
"""

import hashlib
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from .answers import Answer, FailReason, Fetched, FetchFailed, FetchRequest, Signals
from .challenge import HEAD_BYTES
from .redaction import redact
from .state import State

_COLUMNS = (
    "status", "sha256", "num_bytes", "content_type", "etag", "last_modified", "fetched_at", "width", "height", "note",
)  # fmt: skip


def body_path(folder: Path, sha256: str) -> Path:
    """Where the body of that hash lies, or would lie, in a store's folder."""
    return folder / "bodies" / sha256[:2] / sha256


def forget_bodies(folder: Path, sha256s: Iterable[str]) -> int:
    """Remove bodies from a store's folder for good; says how many were there."""
    paths = [body_path(folder, sha256) for sha256 in sha256s]
    there = [path for path in paths if path.is_file()]
    for path in there:
        path.unlink()
    return len(there)


class BodyWriter:
    """A body on its way to disk, hashed as it grows."""

    def __init__(self, path: Path, file: FileIO) -> None:
        self.path, self._file, self._digest = path, file, hashlib.sha256()
        self.num_bytes, self.head = 0, b""
        self._last: tuple[bytes, bytes] = (b"", b"")

    def write(self, data: bytes) -> None:
        """Append; the first 8 KiB and the last two pieces are kept for looking at."""
        view = memoryview(data)
        while view:  # an unbuffered file may take less than it was given
            view = view[self._file.write(view) :]
        self._digest.update(data)
        self.num_bytes += len(data)
        if len(self.head) < HEAD_BYTES:
            self.head += data[: HEAD_BYTES - len(self.head)]
        self._last = self._last[1], data

    @property
    def tail(self) -> bytes:
        """What was written last, two pieces as they came from the network."""
        return b"".join(self._last)

    @property
    def sha256(self) -> str:
        """Hex sha256 of what was written; everything has been handed to the operating system."""
        return self._digest.hexdigest()


class Store:
    """Answers of one fetch folder."""

    def __init__(self, folder: Path, state: State) -> None:
        self.folder, self._state = folder, state
        self._temporary = folder / "partial"
        self._temporary.mkdir(parents=True, exist_ok=True)
        for left in self._temporary.iterdir():  # of a run that was killed; the state's lock says that it is over
            left.unlink()

    def path_of(self, sha256: str) -> Path:
        """Where a body lies or would lie."""
        return body_path(self.folder, sha256)

    @contextmanager
    def new_body(self) -> Iterator[BodyWriter]:
        """A body to write to; without :meth:`adopt` it is gone at the end."""
        path = self._temporary / uuid.uuid4().hex
        try:
            with path.open("wb", buffering=0) as file:
                yield BodyWriter(path, file)
        finally:
            path.unlink(missing_ok=True)

    def adopt(self, body: BodyWriter) -> tuple[str, Path]:
        """Put a body in its place: its sha256 and path. No fsync: readers compare size and hash."""
        sha256 = body.sha256
        path = self.path_of(sha256)
        if not _is_there(path, body.num_bytes):
            try:
                body.path.replace(path)
            except FileNotFoundError:  # the first body of its folder
                path.parent.mkdir(parents=True, exist_ok=True)
                body.path.replace(path)
        return sha256, path

    def find(self, request: FetchRequest) -> Answer | None:
        """The remembered answer to a request, if there is one with its body."""
        row = self._state.read_answer(request.key)
        if row is None:
            return None
        signals = Signals.from_json(row["signals"])
        if row["reason"]:
            return FetchFailed(
                request, FailReason(row["reason"]), row["detail"], row["status"], signals, row["attempts"], True
            )
        path = self.path_of(row["sha256"])
        if not _is_there(path, row["num_bytes"]):
            return None
        return Fetched(
            request=request,
            url=row["final_url"],
            path=path,
            signals=signals,
            num_attempts=row["attempts"],
            from_store=True,
            **{name: row[name] for name in _COLUMNS},
        )

    def keep(self, answer: Answer) -> None:
        """Remember an answer whose body is in its place, or a final failure."""
        request = answer.request
        row = {"key": request.key, "url": redact(request.url), "status": answer.status}
        row |= {"signals": answer.signals.to_json(), "attempts": answer.num_attempts}
        if isinstance(answer, Fetched):
            row |= {"final_url": answer.url, **{name: getattr(answer, name) for name in _COLUMNS}}
        else:
            row |= {"reason": answer.reason.value, "detail": answer.detail}
        self._state.write_answer(row)


def _is_there(path: Path, num_bytes: int) -> bool:
    try:
        return path.stat().st_size == num_bytes
    except OSError:
        return False
