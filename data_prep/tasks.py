"""The two kinds of task that workers do, each with a marker that says it is done: pictures of a chunk, one shard.

A task's results lie in ``OUT/.state`` under the hash of all that decides them, so a run that was killed goes on, and
one whose configuration has changed can never mix old results with new ones.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from iconoclip import __version__
from iconoclip.files import atomic_path, sha256_json, write_json
from iconoclip.records import Record, RejectReason
from iconoclip.shards import Placed, Sample, ShardInfo, write_shard

from .config import ImageConfig
from .dedup import hash_views
from .images import normalise_picture
from .sources.base import Picture, PictureError

CHUNK_SIZE = 64


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """A normalised picture in a chunk file, or why there is none (``reason``)."""

    path: str = ""
    offset: int = 0
    length: int = 0
    jpeg_sha256: str = ""
    sha256: str = ""
    width: int = 0
    height: int = 0
    orig_width: int = 0
    orig_height: int = 0
    views: tuple[str, ...] = ()
    reason: RejectReason | None = None
    detail: str = ""

    def read(self) -> bytes:
        """JPEG bytes."""
        with Path(self.path).open("rb") as file:
            file.seek(self.offset)
            return file.read(self.length)


@dataclass(frozen=True, slots=True)
class ChunkTask:
    """Some pictures to normalise; the result is ``folder/<key>.jpegs`` and, written last, ``<key>.json``."""

    folder: str
    pictures: tuple[Picture, ...]
    image: ImageConfig

    @property
    def key(self) -> str:
        """Hash of everything that decides the result."""
        software = [__version__, version("pillow"), version("numpy")]
        return sha256_json([software, self.image.to_json(), [each.fingerprint() for each in self.pictures]])[:32]


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """One sample to write: record as JSON, default caption, and where the picture lies."""

    record_json: str
    txt: str
    picture: StoredPicture


@dataclass(frozen=True, slots=True)
class ShardTask:
    """One tar to write; the marker ``folder/<key>.json`` is written last."""

    root: str
    folder: str
    name: str
    entries: tuple[ShardEntry, ...]

    @property
    def key(self) -> str:
        """Hash of everything that decides the bytes of the tar."""
        digest = hashlib.sha256(self.name.encode())
        for entry in self.entries:
            for part in (entry.record_json, entry.txt, entry.picture.jpeg_sha256):
                digest.update(hashlib.sha256(part.encode()).digest())
        return digest.hexdigest()[:32]


def process_chunk(task: ChunkTask) -> tuple[list[StoredPicture], bool]:
    """Results in the order of the task's pictures, and whether they were there already."""
    folder, key = Path(task.folder), task.key
    data_path, marker = folder / f"{key}.jpegs", folder / f"{key}.json"
    if marker.is_file() and data_path.is_file():
        rows = json.loads(marker.read_text(encoding="utf-8"))
        return [_stored(row, data_path) for row in rows], True
    rows = []
    with atomic_path(data_path) as temporary, temporary.open("wb") as file:
        for picture in task.pictures:
            row, jpeg = _process_picture(picture, task.image)
            if jpeg:
                row |= {"offset": file.tell(), "length": len(jpeg)}
                file.write(jpeg)
            rows.append(row)
    write_json(marker, rows)
    return [_stored(row, data_path) for row in rows], False


def _stored(row: dict, data_path: Path) -> StoredPicture:
    known = {**row, "views": tuple(row.get("views", ()))}
    if "reason" in row:
        known["reason"] = RejectReason(row["reason"])
    return StoredPicture(path=str(data_path), **known)


def _process_picture(picture: Picture, config: ImageConfig) -> tuple[dict, bytes]:
    try:
        data = picture.read()
        normalised = normalise_picture(
            data,
            max_px=config.max_px,
            quality=config.quality,
            max_source_px=config.max_source_px,
            turn_deg=picture.turn_deg,
            box=picture.box,
        )
    except PictureError as error:
        return {"reason": error.reason.value, "detail": error.detail}, b""
    jpeg_sha256 = hashlib.sha256(normalised.jpeg).hexdigest()
    file_sha256 = picture.file_sha256(data) if picture.box is None else ""  # two parts of a file are two pictures
    return {
        "jpeg_sha256": jpeg_sha256,
        "sha256": file_sha256 or jpeg_sha256,
        "width": normalised.image.width,
        "height": normalised.image.height,
        "orig_width": normalised.orig_width,
        "orig_height": normalised.orig_height,
        "views": [f"{value:016x}" for value in hash_views(normalised.image)],
    }, normalised.jpeg


def process_shard(task: ShardTask) -> tuple[ShardInfo, list[Placed], bool]:
    """What the manifest and the ledger need, and whether the tar was there already."""
    marker = Path(task.folder) / f"{task.key}.json"
    tar = Path(task.root) / task.name
    if marker.is_file() and tar.is_file():
        data = json.loads(marker.read_text(encoding="utf-8"))
        info = ShardInfo(**data["info"])
        if tar.stat().st_size == info.num_bytes:
            return info, [Placed(**place) for place in data["placed"]], True
    info, placed = write_shard(Path(task.root), task.name, map(_sample, task.entries))
    write_json(marker, {"info": asdict(info), "placed": [asdict(place) for place in placed]})
    return info, placed, False


def _sample(entry: ShardEntry) -> Sample:
    return Sample(jpg=entry.picture.read(), txt=entry.txt, record=Record.from_json(entry.record_json))
