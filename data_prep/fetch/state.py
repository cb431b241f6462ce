"""What is remembered between runs, in one SQLite file: answers, hosts' moods, robots.txt and TDM files.

Every change is its own transaction in a write-ahead log, so a killed process loses nothing that it had written. The
file is opened exclusively (that needs no shared memory and so works on network file systems): one fetcher per folder.
"""

import json
import sqlite3
from pathlib import Path
from typing import Any

from iconoclip.errors import IconoclipError

from ..database import open_database

FILE_NAME = "fetch.sqlite"
_VERSION = 1

_SCHEMA = """
create table if not exists answers (
  key text primary key, url text not null, final_url text not null default '', status integer,
  sha256 text not null default '', num_bytes integer not null default 0, content_type text not null default '',
  etag text not null default '', last_modified text not null default '', fetched_at text not null default '',
  signals text not null default '{}', width integer, height integer,
  note text not null default '', attempts integer not null default 0,
  reason text not null default '', detail text not null default ''
);
create table if not exists hosts (host text primary key, state text not null);
create table if not exists files (url text primary key, state text not null, text text not null, read_at real not null);
"""


class State:
    """The SQLite file of one fetch folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / FILE_NAME
        try:
            self._db = open_database(
                self.path, _SCHEMA, version=_VERSION, busy_s=0.5, if_lost="pictures are then asked for again",
                pragmas=("locking_mode = exclusive", "journal_mode = wal", "synchronous = normal"),
            )  # fmt: skip
        except sqlite3.OperationalError as error:
            raise IconoclipError(
                f"{self.path}: {error}; is another fetch running in this folder? Wait for it or give another folder"
            ) from None

    def close(self) -> None:
        """Close the file; it may be opened again."""
        self._db.close()

    def read_answer(self, key: str) -> dict[str, Any] | None:
        """Row of the table ``answers``."""
        row = self._db.execute("select * from answers where key = ?", (key,)).fetchone()
        return None if row is None else dict(row)

    def write_answer(self, row: dict[str, Any]) -> None:
        """Put a row, whole, in place of an older one of the same key."""
        names = ", ".join(row)
        places = ", ".join("?" * len(row))
        self._db.execute(f"insert or replace into answers ({names}) values ({places})", tuple(row.values()))

    def forget_answer(self, key: str) -> None:
        """Remove a row: its answer will be asked for again."""
        self._db.execute("delete from answers where key = ?", (key,))

    def read_host(self, host: str) -> dict[str, Any]:
        """What was last written about a host; empty at first."""
        row = self._db.execute("select state from hosts where host = ?", (host,)).fetchone()
        return {} if row is None else json.loads(row[0])

    def write_host(self, host: str, state: dict[str, Any]) -> None:
        """Remember a host's state."""
        self._db.execute("insert or replace into hosts values (?, ?)", (host, json.dumps(state)))

    def hosts(self) -> dict[str, dict[str, Any]]:
        """State of every host that was ever asked."""
        return {
            host: json.loads(text) for host, text in self._db.execute("select host, state from hosts order by host")
        }

    def read_file(self, url: str, *, not_before: float) -> tuple[str, str] | None:
        """``(state, text)`` of a robots.txt or tdmrep.json read since ``not_before`` (Unix seconds)."""
        row = self._db.execute("select state, text from files where url = ? and read_at >= ?", (url, not_before))
        found = row.fetchone()
        return None if found is None else (found[0], found[1])

    def write_file(self, url: str, state: str, text: str, *, read_at: float) -> None:
        """Remember a robots.txt or tdmrep.json."""
        self._db.execute("insert or replace into files values (?, ?, ?, ?)", (url, state, text, read_at))
