"""Count what is in shards, ours or anybody's, and draw a contact sheet of them.

``inspect_shards(Path("runs/local"))`` gives text for a terminal of 100 columns: pictures and works by split, collection
and institution, captions by language, centuries, rights, reject reasons, and what a careful reader should look at.
"""

import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
from PIL import Image

from iconoclip.contact_sheet import Card, Section, write_contact_sheet
from iconoclip.errors import ShardError
from iconoclip.records import Record, unit_hash
from iconoclip.shards import MANIFEST_NAME, Manifest, ShardSet, open_shards

from .inspect_tally import Tally, century_name
from .inspect_text import tally_to_text
from .ledger import read_not_passed_on

CARDS_PER_COLLECTION = 18
MEASURED_PICTURES = 500  # tars from elsewhere do not state sizes; this many pictures are opened to measure them
_SALT = "inspect"


def inspect_shards(shards: Path, *, html: Path | None = None) -> str:
    """Return counts of a set of ours (all splits), a folder of tars or one tar; write a contact sheet to ``html``.

    The sheet shows :data:`CARDS_PER_COLLECTION` pictures of each collection, drawn by a hash of their keys: the same
    pictures every time, and nobody's choice. Those that may not be passed on are counted and not shown.

    Raises:
        ShardError: nothing is there, or what is there cannot be read.
    """
    parts = _open_parts(shards)
    tally = _count_parts(parts)
    manifest = Manifest.read(shards) if (shards / MANIFEST_NAME).is_file() else None
    text = tally_to_text(tally, title=str(shards), manifest=manifest, rejected=read_rejected(shards))
    if html is not None:
        _write_sheet(html, shards, parts)
        text += f"\ncontact sheet: {html}"
    return text


def count_shards(shards: Path) -> Tally:
    """Count the records of a set of ours (all splits), a folder of tars or one tar.

    Raises:
        ShardError: nothing is there, or what is there cannot be read.
    """
    return _count_parts(_open_parts(shards))


def read_rejected(root: Path) -> list[dict[str, str]]:
    """Rows of ``ledger/rejected.parquet`` (id, source, institution, stage, reason, detail); none if it is not there."""
    path = root / "ledger" / "rejected.parquet"
    return pq.read_table(path).to_pylist() if path.is_file() else []


def _open_parts(root: Path) -> list[tuple[str, ShardSet]]:
    """Splits and their shards; a folder whose subfolders hold tars counts each subfolder as a split."""
    if (root / MANIFEST_NAME).is_file():
        splits = dict.fromkeys(shard.split for shard in Manifest.read(root).shards)
        return [(split, open_shards(root, split)) for split in splits]
    if root.is_dir() and not any(root.glob("*.tar")):
        folders = sorted({path.parent for path in root.rglob("*.tar")})
        if folders:
            return [(folder.relative_to(root).as_posix(), open_shards(folder)) for folder in folders]
    return [("all", open_shards(root))]


def _count_parts(parts: list[tuple[str, ShardSet]]) -> Tally:
    tally = Tally()
    for split, part in parts:
        _count(tally, split, part)
    return tally


def _count(tally: Tally, split: str, part: ShardSet) -> None:
    tally.add_shards(split, part.paths)
    measured = _draw(part.keys, MEASURED_PICTURES)
    for position in range(len(part)):
        record = read_record(part, position)
        if record is None:
            tally.add_unreadable(split)
            continue
        size = (record.width, record.height) if record.width and record.height else None
        if size is None and position in measured:
            size = _measure(part, position)
        tally.add(split, record, size=size)


def read_record(part: ShardSet, position: int) -> Record | None:
    """The record of a sample; None if its ``.json`` is not what a shard of ours or a webdataset holds."""
    try:
        if "json" in part.extensions(position):
            json.loads(part.read(position, "json"))  # `record` makes do without it; a person wants to know
        return part.record(position)
    except (ValueError, TypeError, KeyError):
        return None


def _measure(part: ShardSet, position: int) -> tuple[int, int] | None:
    """Width and height in pixels; None where there is no picture or it is broken."""
    try:
        with Image.open(io.BytesIO(part.image_bytes(position))) as image:
            return image.size
    except (ShardError, OSError, Image.DecompressionBombError):
        return None


def _draw(keys: tuple[str, ...], count: int) -> set[int]:
    """Positions of ``count`` keys with the smallest hashes."""
    return set(sorted(range(len(keys)), key=lambda position: unit_hash(keys[position], _SALT))[:count])


def _write_sheet(path: Path, root: Path, parts: list[tuple[str, ShardSet]]) -> None:
    groups: dict[str, list[tuple[float, str, ShardSet, int, Record]]] = {}
    hidden: Counter[str] = Counter()
    not_passed_on = {split: read_not_passed_on(root, split) for split, _ in parts}
    for split, part, position, record in _walk(parts):
        if record.key in not_passed_on[split] or any(each.part == "terms" for each in record.rights):
            hidden[record.source or "not stated"] += 1
            continue
        order = unit_hash(part.keys[position], _SALT)
        groups.setdefault(record.source or "not stated", []).append((order, split, part, position, record))
    sections = []
    for name, found in sorted({**{name: [] for name in hidden}, **groups}.items()):
        found.sort(key=lambda row: row[0])
        shown = found[:CARDS_PER_COLLECTION]
        institution = next((record.institution for *_, record in found if record.institution), "institution not stated")
        note = f"{institution} · {len(found) + hidden[name]:,} pictures, {len(shown)} of them here"
        note += f"; {hidden[name]:,} are not shown, since they may not be passed on" if hidden[name] else ""
        sections.append(Section(name, tuple(_card(*row[1:]) for row in shown), note))
    total = sum(len(part) for _, part in parts)
    write_contact_sheet(
        path,
        sections,
        title=f"What is in {root.resolve().name}",
        subtitle=f"{total:,} pictures in {len(sections)} collection{'s' * (len(sections) != 1)}.",
        facts=("Drawn by a hash of each picture's key, not chosen by hand. The badge is the split.",),
    )


def _walk(parts: list[tuple[str, ShardSet]]) -> Iterator[tuple[str, ShardSet, int, Record]]:
    for split, part in parts:
        for position in range(len(part)):
            record = read_record(part, position)
            if record is not None:
                yield split, part, position, record


def _card(split: str, part: ShardSet, position: int, record: Record) -> Card:
    try:
        image = part.image_bytes(position)
    except ShardError:
        image = b""
    caption = record.captions[0] if record.captions else None
    others = tuple(f"{other.lang}: {other.text}" for other in record.captions[1:3])
    dated = record.date_text or (century_name(record.year_min, record.year_max) if record.year_min else "")
    about = " · ".join(part for part in (dated, record.rights_class.replace("_", " ")) if part)
    credit = record.attribution if record.attribution != record.institution else ""  # the heading names it already
    return Card(
        image=image,
        lines=(caption.text if caption else record.title or "no caption", *others, about, credit, record.id),
        badge=split,
        lang=caption.lang if caption else "",
        url=record.page_url,
    )
