"""Write records into byte-stable tar shards and read them back at random, ours and other people's.

A shard set is a folder: ``train/ val/ test/ eval/<collection>/`` hold tars only, ``ledger/`` the Parquet index,
``manifest.json`` the list of shards. ``open_shards(root, "train")`` gives random access to one split; tars from
elsewhere are indexed by one scan, kept in the user's cache folder.
"""

import io
import json
import os
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .errors import ShardError
from .files import atomic_path, sha256_file, sha256_json, write_json
from .records import SCHEMA_VERSION, Caption, Record
from .tar_index import index_tar

MAX_SAMPLES = 10_000
MAX_BYTES = 512 * 1024 * 1024
MANIFEST_NAME = "manifest.json"
IMAGE_EXTENSIONS = ("jpg", "jpeg", "png", "webp")

_PATTERN = frozenset("*?[")
_BLOCK = 512
_SAMPLE_OVERHEAD = 3 * 2 * _BLOCK  # headers and padding of jpg, txt and json, at most


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of a shard, as bytes on the way in."""

    jpg: bytes
    txt: str
    record: Record


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a sample lies in its shard: offsets and lengths in bytes of the members' contents."""

    key: str
    shard: str
    jpg_offset: int
    jpg_length: int
    txt_offset: int
    txt_length: int
    json_offset: int
    json_length: int


@dataclass(frozen=True, slots=True)
class ShardInfo:
    """One line of the manifest."""

    path: str
    split: str
    num_records: int
    num_bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a shard set consists of and what made it.

    ``holdout`` says how works were set apart: ``{"salt", "folds", "fold_sources"}``. The records of ``fold_sources``
    all lie in ``train/``; a training run with ``fold: k`` leaves out fold k (``records.fold_of``) to be tested on.
    """

    shards: tuple[ShardInfo, ...]
    config_sha256: str
    software: dict[str, str]
    created: str
    counts: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    holdout: dict[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def write(self, root: Path) -> None:
        """Write ``root/manifest.json``, atomically: it is the marker that the set is complete."""
        write_json(root / MANIFEST_NAME, asdict(self))

    @classmethod
    def read(cls, root: Path) -> "Manifest":
        """Read ``root/manifest.json``.

        Raises:
            ShardError: it is missing, broken, or of a newer schema than this software knows.
        """
        path = root / MANIFEST_NAME
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            version = data["schema_version"]
            if version > SCHEMA_VERSION:
                raise ShardError(
                    f"{path}: schema version {version}, this iconoclip reads up to {SCHEMA_VERSION}; update iconoclip"
                )
            data["shards"] = tuple(ShardInfo(**shard) for shard in data["shards"])
            return cls(**data)
        except FileNotFoundError:
            raise ShardError(f"{path}: not there; is {root} the `out` of a finished `iconoclip prep`?") from None
        except (ValueError, KeyError, TypeError) as error:
            raise ShardError(f"{path}: not a manifest of ours ({error}); run `iconoclip prep` again") from None


def plan_shards(sample_bytes: Sequence[int]) -> list[range]:
    """Cut samples of the given sizes, in order, into runs that each fit one shard."""
    runs, start, total = [], 0, 0
    for position, size in enumerate(sample_bytes):
        need = size + _SAMPLE_OVERHEAD
        if position > start and (position - start >= MAX_SAMPLES or total + need > MAX_BYTES):
            runs.append(range(start, position))
            start, total = position, 0
        total += need
    if sample_bytes:
        runs.append(range(start, len(sample_bytes)))
    return runs


def write_shard(root: Path, name: str, samples: Iterable[Sample]) -> tuple[ShardInfo, list[Placed]]:
    """Write ``root/name`` (such as ``train/potter-00000.tar``) atomically; the same samples give the same bytes."""
    placed = []
    with atomic_path(root / name) as temporary:
        with tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar:
            for sample in samples:
                key = sample.record.key
                members = (
                    ("jpg", sample.jpg),
                    ("txt", sample.txt.encode()),
                    ("json", sample.record.to_json().encode()),
                )
                where = {
                    f"{ext}_{what}": number for ext, data in members for what, number in _add(tar, f"{key}.{ext}", data)
                }
                placed.append(Placed(key=key, shard=name, **where))
        info = ShardInfo(
            path=name,
            split=str(Path(name).parent),
            num_records=len(placed),
            num_bytes=temporary.stat().st_size,
            sha256=sha256_file(temporary),
        )
    return info, placed


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> tuple[tuple[str, int], tuple[str, int]]:
    member = tarfile.TarInfo(name)  # mtime, uid and gid are 0, mode 0644: nothing of this machine
    member.size = len(data)
    offset = tar.offset + _BLOCK
    tar.addfile(member, io.BytesIO(data))
    return ("offset", offset), ("length", len(data))


def ledger_name(split: str) -> str:
    """File name of a split's ledger: ``eval/saints`` -> ``eval-saints-00000.parquet``."""
    return f"{split.replace('/', '-')}-00000.parquet"


def write_ledger(
    root: Path,
    split: str,
    placed: Sequence[Placed],
    records: Sequence[Record],
    *,
    columns: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Write a split's ledger: a row per kept record, with where it lies and the whole record.

    ``columns`` are further texts about the records, in the same order.
    """
    rows = [{**asdict(place), **record.to_dict()} for place, record in zip(placed, records, strict=True)]
    table = pa.Table.from_pylist(rows, schema=_ledger_schema())
    for name, values in (columns or {}).items():
        table = table.append_column(name, pa.array(values, pa.string()))
    with atomic_path(root / "ledger" / ledger_name(split)) as temporary:
        pq.write_table(table, temporary)


def _ledger_schema() -> pa.Schema:
    text, number, offset = pa.string(), pa.int32(), pa.int64()
    caption = pa.struct({"text": text, "lang": text, "source": text, "level": text, "machine": pa.bool_()})
    rights_names = (
        "part", "uri", "raw", "asserted_by", "source_url", "territory", "seen_at",
    )  # fmt: skip
    special = {
        "captions": pa.list_(caption),
        "rights": pa.list_(pa.struct(dict.fromkeys(rights_names, text))),
        "subjects": pa.list_(text),
        "iconclass": pa.list_(text),
    }
    numbers = {"year_min", "year_max", "width", "height", "orig_width", "orig_height"}
    places = {name: (text if name in ("key", "shard") else offset) for name in Placed.__dataclass_fields__}
    record = {name: special.get(name, number if name in numbers else text) for name in Record.__dataclass_fields__}
    return pa.schema(list({**places, **record}.items()))


@dataclass(frozen=True)
class ShardSet:
    """Random access to the samples of some tars, in the order in which they lie there.

    ``offsets[ext]`` and ``lengths[ext]`` are int64 [N] (-1 where a sample has no such member); ``shard_of`` int32 [N].
    """

    paths: tuple[Path, ...]
    keys: tuple[str, ...]
    shard_of: np.ndarray
    offsets: dict[str, np.ndarray]
    lengths: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def sha256(self) -> str:
        """Hash of what lies where: the same for a copy of the set in another folder."""
        return sha256_json(
            [
                [path.name for path in self.paths],
                list(self.keys),
                self.shard_of.tolist(),
                {ext: values.tolist() for ext, values in sorted(self.lengths.items())},
            ]
        )

    def extensions(self, position: int) -> list[str]:
        """Members that a sample has."""
        return [ext for ext, offsets in self.offsets.items() if offsets[position] >= 0]

    def read(self, position: int, ext: str) -> bytes:
        """Bytes of one member; one positioned read, safe from any thread or process."""
        path = self.paths[self.shard_of[position]]
        offset, length = int(self.offsets[ext][position]), int(self.lengths[ext][position])
        try:
            file = os.open(path, os.O_RDONLY)
            try:
                data = os.pread(file, length, offset)
            finally:
                os.close(file)
        except OSError as error:
            raise ShardError(f"{path}: {error.strerror}") from None
        if len(data) != length:
            raise ShardError(f"{path}: ends before {self.keys[position]}.{ext}; copy the shard again")
        return data

    def image_bytes(self, position: int) -> bytes:
        """Encoded picture of a sample, whatever its extension."""
        for ext in IMAGE_EXTENSIONS:
            if ext in self.offsets and self.offsets[ext][position] >= 0:
                return self.read(position, ext)
        raise ShardError(f"{self.keys[position]}: no picture among {self.extensions(position)}")

    def text(self, position: int) -> str:
        """Default caption, ``""`` where the sample has none."""
        has_text = "txt" in self.offsets and self.offsets["txt"][position] >= 0
        return self.read(position, "txt").decode("utf-8", "replace") if has_text else ""

    def record(self, position: int) -> Record:
        """The sample's record; for tars from elsewhere one made of key and caption."""
        if "json" in self.offsets and self.offsets["json"][position] >= 0:
            try:
                data = json.loads(self.read(position, "json"))
            except ValueError:
                data = None  # somebody else's .json: the sample still has a picture and a caption
            if isinstance(data, dict) and {"id", "institution", "captions"} <= data.keys():
                return Record.from_dict(data)
        text = self.text(position)
        captions = (Caption(text, "und", "txt"),) if text else ()
        key = self.keys[position]
        return Record(id=key, source="webdataset", institution="", captions=captions, work_group=key)

    def records(self) -> list[Record]:
        """All records, in order."""
        return [self.record(position) for position in range(len(self))]


def splits(root: Path) -> list[str]:
    """Split folders of a shard set, such as ``train`` and ``eval/saints``, in the manifest's order."""
    return list(dict.fromkeys(shard.split for shard in Manifest.read(root).shards))


def open_shards(source: str | Path, split: str | None = None) -> ShardSet:
    """Open shards: a set of ours with a split, a folder of tars, one tar, or a glob such as ``data/*.tar``.

    Raises:
        ShardError: nothing is there, or it does not agree with its manifest.
    """
    root = Path(source)
    if (root / MANIFEST_NAME).is_file():
        return _from_ledger(root, split)
    if root.is_dir():
        paths = sorted((root / (split or "")).glob("*.tar"))
    elif root.is_file():
        paths = [root]
    else:
        paths = sorted(Path(root.anchor or ".").glob(str(root.relative_to(root.anchor))))
    if not paths and not root.exists() and not _PATTERN.intersection(str(root)):
        raise ShardError(f"{source}: not there; has `iconoclip prep` finished, and is it the folder that was meant?")
    if not paths:
        raise ShardError(f"{source}: no .tar there; give a folder of shards, a tar or a pattern")
    return _from_tars(paths)


def _from_ledger(root: Path, split: str | None) -> ShardSet:
    manifest = Manifest.read(root)
    known = list(dict.fromkeys(shard.split for shard in manifest.shards))
    if split not in known:
        raise ShardError(f"{root}: no split {split!r}; it has {', '.join(known)}")
    shards = [shard for shard in manifest.shards if shard.split == split]
    for shard in shards:
        path = root / shard.path
        got = path.stat().st_size if path.is_file() else None
        if got != shard.num_bytes:
            found = "it is not there" if got is None else f"it has {got:,}"
            raise ShardError(
                f"{path}: the manifest says {shard.num_bytes:,} bytes, {found}; copy it again or run prep again"
            )
    table = _read_places(root, str(split), shards)
    number = {shard.path: position for position, shard in enumerate(shards)}
    shard_set = ShardSet(
        paths=tuple(root / shard.path for shard in shards),
        keys=tuple(table["key"].to_pylist()),
        shard_of=np.array([number[name] for name in table["shard"].to_pylist()], dtype=np.int32),
        offsets={ext: table[f"{ext}_offset"].to_numpy() for ext in ("jpg", "txt", "json")},
        lengths={ext: table[f"{ext}_length"].to_numpy() for ext in ("jpg", "txt", "json")},
    )
    _check_places(shard_set)
    return shard_set


def _check_places(shard_set: ShardSet) -> None:
    """Hold the first and the last sample of each shard against the tar itself: it may be of another run of prep."""
    _, first = np.unique(shard_set.shard_of, return_index=True)
    _, last = np.unique(shard_set.shard_of[::-1], return_index=True)
    for position in {*first.tolist(), *(len(shard_set) - 1 - last).tolist()}:
        path, offset = shard_set.paths[shard_set.shard_of[position]], int(shard_set.offsets["jpg"][position])
        name = f"{shard_set.keys[position]}.jpg"
        try:
            with path.open("rb", buffering=0) as file:
                header = os.pread(file.fileno(), _BLOCK, max(0, offset - _BLOCK))
        except OSError as error:
            raise ShardError(f"{path}: {error.strerror}") from None
        if header.partition(b"\0")[0] != name.encode():
            raise ShardError(
                f"{path}: the ledger has {name} at byte {offset:,}, the shard does not; "
                "copy the shard set again or run prep again"
            )


def _read_places(root: Path, split: str, shards: Sequence[ShardInfo]) -> pa.Table:
    """Rows of a split's ledger, only the columns that say where a sample lies; they must agree with the manifest."""
    path = root / "ledger" / ledger_name(split)
    try:
        table = pq.read_table(path, columns=list(Placed.__dataclass_fields__))
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise ShardError(f"{path}: cannot be read ({reason}); copy it again or run prep again") from None
    listed = {str(row["values"]): row["counts"] for row in table["shard"].value_counts().to_pylist()}
    wanted = {shard.path: shard.num_records for shard in shards if shard.num_records}
    if listed != wanted:
        wrong = sorted(name for name in listed.keys() | wanted.keys() if listed.get(name) != wanted.get(name))[0]
        raise ShardError(
            f"{path}: lists {listed.get(wrong, 0):,} records in {wrong}, the manifest {wanted.get(wrong, 0):,}; "
            "copy the shard set again or run prep again"
        )
    return table


def _from_tars(paths: Sequence[Path]) -> ShardSet:
    rows = [(number, row) for number, path in enumerate(paths) for row in index_tar(path)]
    extensions = sorted({ext for _, (_, members) in rows for ext in members})

    def column(which: int) -> dict[str, np.ndarray]:
        return {
            ext: np.array([m.get(ext, (-1, -1))[which] for _, (_, m) in rows], dtype=np.int64) for ext in extensions
        }

    return ShardSet(
        paths=tuple(paths),
        keys=tuple(key for _, (key, _) in rows),
        shard_of=np.array([number for number, _ in rows], dtype=np.int32),
        offsets=column(0),
        lengths=column(1),
    )
