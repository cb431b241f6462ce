"""Find the samples in a tar from elsewhere by one scan, kept in the user's cache folder.

``index_tar(path)`` gives what a ledger gives for our own shards. The cached index is named by a hash of the tar's path,
size and time of change, so a tar that changed is scanned again.
"""

import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

from .errors import ShardError
from .files import sha256_json, write_json

Row = tuple[str, dict[str, tuple[int, int]]]


def index_tar(path: Path) -> list[Row]:
    """Samples of a tar, in order: key and {extension: (offset, length)}, grouped from adjacent members.

    Raises:
        ShardError: it is no plain tar, is compressed, or ends too early.
    """
    stat = path.stat()
    name = sha256_json([str(path.resolve()), stat.st_size, stat.st_mtime_ns])[:32]
    cached = cache_folder() / "index" / f"{name}.json"
    try:
        return [
            (key, {ext: (offset, length) for ext, (offset, length) in members.items()})
            for key, members in json.loads(cached.read_text(encoding="utf-8"))
        ]
    except (OSError, ValueError, TypeError, AttributeError):
        rows = list(_scan(path))  # not there yet, or damaged
    write_json(cached, rows)
    return rows


def _scan(path: Path) -> Iterator[Row]:
    """Yield (key, {extension: (offset, length)}), grouping adjacent members as webdataset does."""
    current, members = "", dict[str, tuple[int, int]]()
    try:
        with tarfile.open(path, "r:") as tar:  # `r:` refuses compression: its offsets would not be the file's
            for member in tar:
                if not member.isfile():
                    continue
                folder, _, base = member.name.rpartition("/")
                stem, _, ext = base.partition(".")
                key = f"{folder}/{stem}" if folder else stem
                if key != current and members:
                    yield current, members
                    members = {}
                current = key
                members[ext.lower()] = (member.offset_data, member.size)
    except (tarfile.TarError, OSError) as error:
        hint = "unpack it, samples are read at random" if _is_compressed(path) else "copy it again"
        raise ShardError(f"{path}: cannot be read as a plain tar ({error}); {hint}") from None
    if members:
        yield current, members


def _is_compressed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(6).startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"))


def cache_folder() -> Path:
    """Where indexes and embeddings of other people's data are kept: ``$XDG_CACHE_HOME/iconoclip``."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "iconoclip"
