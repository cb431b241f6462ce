"""What was harvested, in one SQLite file beside the fetch store: sweeps of a collection and their documents, in order.

A sweep is one walk over a collection. A full sweep replaces what came before it; a delta sweep adds what has changed
since. Every row is its own transaction, so a killed harvest goes on at the very next request.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from iconoclip.errors import IconoclipError

from ..database import open_database
from ..fetch.answers import Expect
from ..fetch.store import body_path
from .document import StoredDocument

FILE_NAME = "harvest.sqlite"
_VERSION = 1

_SCHEMA = """
create table if not exists sweeps (
  harvest text, number integer, is_full integer not null default 1, since text not null default '',
  started_at text not null, finished_at text not null default '', primary key (harvest, number)
);
create table if not exists documents (
  harvest text, sweep integer, request text, position integer, url text, kind text, accept text not null,
  expect text not null, sha256 text not null, num_bytes integer not null, reason text not null, status integer,
  detail text not null, is_final integer not null, primary key (harvest, sweep, request)
);
create index if not exists documents_position on documents (harvest, sweep, position);
"""


@dataclass(frozen=True, slots=True)
class SweepRow:
    """A sweep as the journal has it; times are ISO 8601 UTC, ``finished_at`` is empty while it goes on."""

    number: int
    is_full: bool
    since: str
    started_at: str
    finished_at: str


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """What a request gave: a body by its sha256, or the reason why there is none (``is_final``: asking is no use)."""

    request: str
    url: str
    kind: str
    accept: str = ""
    expect: Expect = "any"
    sha256: str = ""
    num_bytes: int = 0
    reason: str = ""
    status: int | None = None
    detail: str = ""
    is_final: bool = True


_NAMES = (
    "request", "url", "kind", "accept", "expect", "sha256", "num_bytes", "reason", "status", "detail", "is_final",
)  # fmt: skip


class Journal:
    """The journal of one store folder; ``with Journal(folder) as journal``."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.path = folder, folder / FILE_NAME
        try:
            self._db = open_database(
                self.path, _SCHEMA, version=_VERSION, pragmas=("synchronous = normal",), busy_s=5,
                if_lost="the collections are then walked again",
            )  # fmt: skip
        except sqlite3.OperationalError as error:
            raise IconoclipError(
                f"{self.path}: {error}; is another harvest running in this folder? Wait for it or give another folder"
            ) from None

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def sweeps(self, harvest: str) -> list[SweepRow]:
        """All sweeps, oldest first."""
        query = "select number, is_full, since, started_at, finished_at from sweeps where harvest = ? order by number"
        return [
            SweepRow(row[0], bool(row[1]), *map(str, row[2:]))
            for row in map(tuple, self._db.execute(query, (harvest,)))
        ]

    def begin(self, harvest: str, *, since: str, now: str) -> SweepRow:
        """A new sweep."""
        number = len(self.sweeps(harvest))
        self._db.execute(
            "insert into sweeps (harvest, number, since, started_at) values (?, ?, ?, ?)", (harvest, number, since, now)
        )
        return self.sweeps(harvest)[-1]

    def set_full(self, harvest: str, number: int, *, is_full: bool) -> None:
        """Say whether a sweep replaces what came before it."""
        self._db.execute("update sweeps set is_full = ? where harvest = ? and number = ?", (is_full, harvest, number))

    def finish(self, harvest: str, number: int, *, now: str) -> None:
        """Mark a sweep as complete."""
        self._db.execute("update sweeps set finished_at = ? where harvest = ? and number = ?", (now, harvest, number))

    def find(self, harvest: str, sweep: int, request: str) -> DocumentRow | None:
        """What a request gave in a sweep."""
        row = self._db.execute(
            f"select {', '.join(_NAMES)} from documents where harvest = ? and sweep = ? and request = ?",
            (harvest, sweep, request),
        ).fetchone()
        return None if row is None else _row(row)

    def put(self, harvest: str, sweep: int, row: DocumentRow) -> None:
        """Write what a request gave, after all earlier ones of its sweep, or in the place it had."""
        values = [getattr(row, name) for name in _NAMES]
        self._db.execute(
            f"insert into documents (harvest, sweep, {', '.join(_NAMES)}, position) values "
            f"(?, ?, {', '.join('?' * len(_NAMES))}, "
            "(select coalesce(max(position), -1) + 1 from documents where harvest = ? and sweep = ?)) "
            "on conflict (harvest, sweep, request) do update set sha256 = excluded.sha256, "
            "num_bytes = excluded.num_bytes, reason = excluded.reason, status = excluded.status, "
            "detail = excluded.detail, is_final = excluded.is_final",
            (harvest, sweep, *values, harvest, sweep),
        )

    def forget(self, harvest: str, sweep: int, request: str) -> None:
        """Let a request be asked again."""
        self._db.execute(
            "delete from documents where harvest = ? and sweep = ? and request = ?", (harvest, sweep, request)
        )

    def missing(self, harvest: str) -> list[tuple[int, DocumentRow]]:
        """(sweep, row) of what counts and has no body: it failed for the time being, or its file is gone."""
        found = []
        for sweep in self._counting(harvest):
            for row in self._rows(harvest, sweep.number):
                is_wanted = not self._is_there(row) if row.sha256 else not row.is_final
                if is_wanted:
                    found.append((sweep.number, row))
        return found

    def documents(self, harvest: str) -> Iterator[StoredDocument]:
        """Documents from the last full sweep on, in the order in which they were asked for."""
        for sweep in self._counting(harvest):
            for row in self._rows(harvest, sweep.number):
                yield self.document(row, seen_on=sweep.started_at[:10])

    def document(self, row: DocumentRow, *, seen_on: str) -> StoredDocument:
        """The document of a row."""
        path = body_path(self.folder, row.sha256) if row.sha256 else None
        problem = f"{row.reason}: {row.detail}" if row.reason else ""
        return StoredDocument(row.url, row.kind, path, problem, seen_on)

    def _counting(self, harvest: str) -> list[SweepRow]:
        """Sweeps from the last finished full one on; where none is finished (a sample), all."""
        sweeps = self.sweeps(harvest)
        full = [position for position, sweep in enumerate(sweeps) if sweep.is_full and sweep.finished_at]
        return sweeps[full[-1] :] if full else sweeps

    def _rows(self, harvest: str, sweep: int) -> Iterator[DocumentRow]:
        query = f"select {', '.join(_NAMES)} from documents where harvest = ? and sweep = ? order by position"
        yield from map(_row, self._db.execute(query, (harvest, sweep)).fetchall())

    def _is_there(self, row: DocumentRow) -> bool:
        try:
            return body_path(self.folder, row.sha256).stat().st_size == row.num_bytes
        except OSError:
            return False


def _row(row: sqlite3.Row) -> DocumentRow:
    values = dict(row)
    return DocumentRow(**{**values, "is_final": bool(values["is_final"])})
