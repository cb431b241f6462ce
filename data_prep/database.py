"""Open an SQLite file that remembers something between runs, at the version that this program writes."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from iconoclip.errors import IconoclipError


def open_database(
    path: Path, schema: str, *, version: int, pragmas: Sequence[str], busy_s: float, if_lost: str
) -> sqlite3.Connection:
    """Open the file, make what it lacks, and write each change at once; rows are read by the names of their columns.

    ``busy_s`` is how long to wait for another process, ``if_lost`` what follows from moving the file away.

    Raises:
        sqlite3.OperationalError: it is in use.
        IconoclipError: it is damaged, or of a later version.
    """
    try:
        database = sqlite3.connect(path, isolation_level=None, timeout=busy_s)
        database.row_factory = sqlite3.Row
        for pragma in pragmas:
            database.execute(f"pragma {pragma}")
        database.executescript(schema)
        (found,) = database.execute("pragma user_version").fetchone()
        if found > version:
            raise IconoclipError(f"{path}: version {found}, this iconoclip reads {version}; update it")
        database.execute(f"pragma user_version = {version}")
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise IconoclipError(f"{path}: {error}; move it away: {if_lost}") from None
    return database
