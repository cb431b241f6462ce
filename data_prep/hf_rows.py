"""Rows of a Hugging Face dataset, kept as they come: cells in ``rows.jsonl``, pictures by their sha256 in the store.

``KeptRows(store, facts).read(open_stream)`` gives every row once, from disk as far as an earlier run came, then from
the stream; a complete set is never asked for again. A killed run goes on at the last checkpoint (:data:`_CHECKPOINT`
rows) with the stream's own ``state_dict``. Pictures are stored as the bytes that the dataset holds, undecoded. One that
is gone from the store may have been withdrawn and stays gone; where one is damaged, the dataset is read anew.
"""

import hashlib
import json
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from io import BufferedWriter
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from iconoclip.errors import IconoclipError
from iconoclip.files import make_folder, sha256_json, write_json
from iconoclip.provenance import lock_folder
from iconoclip.records import RejectReason

from .fetch.store import body_path
from .paths import to_text
from .sources.base import Box, PictureError
from .tables import Row

log = logging.getLogger(__name__)

TOKEN = "kept:"  # before the sha256 in the cell of a picture
_CHECKPOINT = 100
_FOLDER = "datasets"


class Stream(Protocol):
    """Rows that come from somewhere, and where they stand."""

    @property
    def columns(self) -> list[str]:
        """Names of the columns; empty where nobody knows them before the first row."""
        ...

    def rows(self, state: Mapping[str, Any], num_read: int) -> Iterator[dict[str, Any]]:
        """Rows behind the first ``num_read``; ``state`` is what :meth:`state` said there."""
        ...

    def state(self) -> dict[str, Any]:
        """Where the rows stand, as JSON."""
        ...

    def open_picture(self, value: Mapping[str, Any]) -> "bytes | str":
        """Bytes of a picture (``{bytes, path}``), or the path of its file under the dataset's folder.

        Raises:
            PictureError: there is none that may be opened.
        """
        ...


@dataclass(frozen=True, slots=True)
class KeptPicture:
    """A picture in the store, named by the hash of its bytes."""

    folder: str
    sha256: str
    turn_deg: int = 0
    box: Box | None = None

    def fingerprint(self) -> str:
        """The hash: where it came from says no more."""
        return f"{TOKEN}{self.sha256}:{self.turn_deg}"

    def read(self) -> bytes:
        """The bytes, compared with their hash.

        Raises:
            PictureError: the file is gone or damaged.
        """
        path = body_path(Path(self.folder), self.sha256)
        try:
            data = path.read_bytes()
        except OSError as error:
            detail = (
                f"{path}: {error.strerror}; unless it was withdrawn, remove {Path(self.folder) / _FOLDER}, run again"
            )
            raise PictureError(RejectReason.FETCH_FAILED, detail) from None
        if hashlib.sha256(data).hexdigest() != self.sha256:
            path.write_bytes(b"")  # what is empty is read anew, what is missing is not
            raise PictureError(RejectReason.FETCH_FAILED, f"{path}: was damaged; run again")
        return data

    def file_sha256(self, data: bytes) -> str:
        """The name it is kept under."""
        return self.sha256


class KeptRows:
    """Rows of one dataset in the store folder; ``facts`` name it, ``image_columns`` hold its pictures."""

    def __init__(self, store: Path, facts: Mapping[str, Any], image_columns: Sequence[str]) -> None:
        self._store, self._images = store, sorted(image_columns)
        self.folder = store / _FOLDER / sha256_json([dict(facts), self._images])[:24]
        self._rows_path, self._state_path = self.folder / "rows.jsonl", self.folder / "state.json"

    @property
    def columns(self) -> list[str]:
        """Names of the columns, as far as known."""
        return self._read_state().get("columns", [])

    def read(self, open_stream: Callable[[], Stream]) -> Iterator[Row]:
        """Every row in order.

        Raises:
            IconoclipError: what ``open_stream`` raises, or another run reads the same dataset.
        """
        make_folder(self.folder)
        with lock_folder(self.folder):
            state = self._resume()
            number = 0
            for number, row in enumerate(self._kept_rows(), 1):
                yield _row(number, row)
            if not state.get("is_complete"):
                yield from self._stream(open_stream(), state, number)

    def _stream(self, stream: Stream, state: dict[str, Any], number: int) -> Iterator[Row]:
        columns = list(dict.fromkeys([*state.get("columns", []), *stream.columns]))
        facts: dict[str, Any] = {"num_rows": number, "columns": columns, "stream": state.get("stream", {})}
        with self._rows_path.open("ab") as file:
            facts["num_bytes"] = file.tell()
            try:
                for cells in stream.rows(facts["stream"], number):
                    row = self._keep(cells, stream)
                    file.write(json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n")
                    number += 1
                    columns = list(dict.fromkeys([*columns, *cells]))
                    # As one, behind the row: a stream that breaks off may stand further on than what is kept.
                    facts = {"num_rows": number, "columns": columns, "stream": stream.state()}
                    facts["num_bytes"] = file.tell()
                    if number % _CHECKPOINT == 0:
                        self._checkpoint(file, facts)
                    yield _row(number, row)
                facts["is_complete"] = True
            finally:
                self._checkpoint(file, facts)

    def _keep(self, cells: Mapping[str, Any], stream: Stream) -> dict[str, Any]:
        problems: list[str] = []

        def keep(value: Any) -> Any:
            if isinstance(value, Mapping) and set(value) == {"bytes", "path"}:
                try:
                    found = stream.open_picture(value)
                except PictureError as error:
                    problems.append(error.detail)
                    return ""
                return found if isinstance(found, str) else self._store_picture(found)
            if isinstance(value, Mapping):
                return {name: keep(each) for name, each in value.items()}
            return [keep(each) for each in value] if isinstance(value, list | tuple) else value

        kept = {name: keep(value) if name in self._images else value for name, value in cells.items()}
        row: dict[str, Any] = {"cells": _plain(kept)}
        return row | ({"problem": "; ".join(problems)} if problems else {})

    def _store_picture(self, data: bytes) -> str:
        if not data:
            return ""
        sha256 = hashlib.sha256(data).hexdigest()
        path = body_path(self._store, sha256)
        if not (path.is_file() and path.stat().st_size == len(data)):
            make_folder(path.parent)
            temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
            try:
                temporary.write_bytes(data)
                temporary.replace(path)  # no fsync: readers compare the hash
            except OSError as error:
                temporary.unlink(missing_ok=True)
                raise IconoclipError(f"{path}: cannot be written ({error.strerror}); rows so far are kept") from None
        return f"{TOKEN}{sha256}"

    def _checkpoint(self, file: BufferedWriter, facts: Mapping[str, Any]) -> None:
        file.flush()
        os.fsync(file.fileno())
        write_json(self._state_path, dict(facts))

    def _resume(self) -> dict[str, Any]:
        """State of the last checkpoint; rows behind it are cut off, and all where a picture is gone."""
        state = self._read_state()
        num_bytes = state.get("num_bytes", 0)
        is_there = self._rows_path.is_file() and self._rows_path.stat().st_size >= num_bytes
        if state and is_there and not self._is_damaged(num_bytes):
            os.truncate(self._rows_path, num_bytes)
            return state
        if state:
            log.warning("%s: rows are gone or pictures damaged; the dataset is read anew", self.folder)
        self._state_path.unlink(missing_ok=True)
        self._rows_path.unlink(missing_ok=True)
        return {}

    def _is_damaged(self, num_bytes: int) -> bool:
        """Whether a picture of the rows so far is an empty file: after a power cut, or :meth:`KeptPicture.read`."""
        with self._rows_path.open("rb") as file:
            rows = map(json.loads, file.read(num_bytes).splitlines())
            paths = {body_path(self._store, name) for row in rows for name in _tokens(row["cells"])}
        return any(path.is_file() and not path.stat().st_size for path in paths)

    def _kept_rows(self) -> Iterator[dict[str, Any]]:
        if self._rows_path.is_file():
            with self._rows_path.open("rb") as file:
                yield from map(json.loads, file)

    def _read_state(self) -> dict[str, Any]:
        try:
            return json.loads(self._state_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}


def skip_rows(rows: Iterator[dict[str, Any]], number: int) -> Iterator[dict[str, Any]]:
    """The rows behind the first ``number``."""
    next(islice(rows, number, number), None)
    return rows


def _row(number: int, row: Mapping[str, Any]) -> Row:
    return Row(number, {"row": str(number - 1), **row["cells"]}, row.get("problem", ""))


def _tokens(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value.startswith(TOKEN):
        yield value.removeprefix(TOKEN)
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _tokens(each)


def _plain(value: Any) -> Any:
    """The value as JSON has it: dates as text, no bytes, no NaN."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime | date):
        return to_text(value)
    if value is None or isinstance(value, str | int | bool):
        return value
    return None if isinstance(value, bytes) else str(value)
