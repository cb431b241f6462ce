"""The files of a withdrawal: made aside, and moved to their places when all of them are there.

``stage_withdrawal`` makes every file that changes in ``OUT/.withdrawal``, and last of all the list of what to do.
``complete_withdrawal`` moves them, the manifest last. Killed before the list is there, nothing has happened; killed
after it, the next call moves what is left.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from iconoclip import provenance
from iconoclip.errors import ShardError
from iconoclip.files import sha256_file, write_json
from iconoclip.records import Record
from iconoclip.shards import (
    MANIFEST_NAME,
    Manifest,
    Placed,
    Sample,
    ShardInfo,
    ShardSet,
    ledger_name,
    open_shards,
    write_shard,
)

from .card import write_card
from .config import PrepConfig
from .ledger import Withdrawn, read_rejected, write_attribution, write_kept, write_rejected, write_withdrawn
from .summary import PrepSummary, summarise_again

STAGING = ".withdrawal"

_TODO = "todo.json"
_STATE = ".state"


@dataclass(frozen=True)
class Part:
    """A split of the set: its records with their places."""

    split: str
    placed: list[Placed]
    records: list[Record]
    planned_sha256: dict[str, str]


def stage_withdrawal(
    config: PrepConfig,
    manifest: Manifest,
    parts: Sequence[Part],
    *,
    fresh: Sequence[Withdrawn],
    before: Mapping[str, Withdrawn],
) -> None:
    """Make all files that change in the staging folder; the list of them, written last, says that they are complete."""
    out, staging = config.out, config.out / STAGING
    keys = {each.key for each in fresh}
    changed: dict[str, ShardInfo | None] = {}
    remove: list[str] = []
    judge = config.rights.permissions
    for part in parts:
        kept = [record for record in part.records if record.key not in keys]
        if len(kept) == len(part.records):
            continue
        infos, placed = _make_shards(out, staging, manifest, part, keys)
        changed |= infos
        if kept:
            write_kept(staging, part.split, placed, kept, judge=judge, planned_sha256=part.planned_sha256)
        else:
            remove.append(f"ledger/{ledger_name(part.split)}")
    remove += [name for name, info in changed.items() if info is None]
    left = [info for shard in manifest.shards if (info := changed.get(shard.path, shard)) is not None]
    records = [record for part in parts for record in part.records if record.key not in keys]
    rejected = [*read_rejected(out), *(each.to_rejection() for each in fresh)]
    summary = summarise_again(PrepSummary(**manifest.counts["summary"]), config, records, rejected)
    write_rejected(staging, rejected, now=provenance.utc_now())
    write_attribution(staging, records, judge=judge)
    write_withdrawn(staging, [*before.values(), *fresh])
    write_card(staging, config, summary, records=records, rejected=rejected, shards=left)
    replace(manifest, shards=tuple(left), counts={**manifest.counts, "summary": summary.to_json()}).write(staging)
    made = sorted(path.relative_to(staging).as_posix() for path in staging.rglob("*") if path.is_file())
    write_json(staging / _TODO, {"move": [name for name in made if name != MANIFEST_NAME], "remove": remove})


def _make_shards(
    out: Path, staging: Path, manifest: Manifest, part: Part, keys: set[str]
) -> tuple[dict[str, ShardInfo | None], list[Placed]]:
    """The tars of a split that hold an item to withdraw, without it (None: nothing is left), and all its places."""
    changed: dict[str, ShardInfo | None] = {}
    placed: list[Placed] = []
    shard_set = open_shards(out, part.split)
    for shard in manifest.shards:
        if shard.split != part.split:
            continue
        here = [position for position, place in enumerate(part.placed) if place.shard == shard.path]
        kept = [position for position in here if part.placed[position].key not in keys]
        if len(kept) == len(here):
            placed += [part.placed[position] for position in here]
            continue
        if sha256_file(out / shard.path) != shard.sha256:
            raise ShardError(
                f"{out / shard.path}: not the tar that the manifest lists; copy it again or run prep again"
            )
        changed[shard.path] = None
        if kept:
            changed[shard.path], places = write_shard(staging, shard.path, _samples(shard_set, kept))
            placed += places
    return changed, placed


def _samples(shard_set: ShardSet, positions: Sequence[int]) -> Iterator[Sample]:
    for position in positions:
        yield Sample(shard_set.read(position, "jpg"), shard_set.text(position), shard_set.record(position))


def complete_withdrawal(out: Path) -> bool:
    """Finish what a withdrawal has begun to move in ``out``; say whether there was something to finish.

    What one had only prepared is cleared away: nothing had happened yet.
    """
    staging = out / STAGING
    is_prepared = (staging / _TODO).is_file()
    if (staging / _TODO).is_file() and (staging / MANIFEST_NAME).is_file():  # the manifest is moved last
        _move(out, staging, json.loads((staging / _TODO).read_text(encoding="utf-8")))
    (staging / _TODO).unlink(missing_ok=True)
    shutil.rmtree(staging, ignore_errors=True)
    return is_prepared


def _move(out: Path, staging: Path, todo: dict[str, list[str]]) -> None:
    (out / MANIFEST_NAME).unlink(missing_ok=True)  # until all is moved, the set is not complete
    for name in todo["move"]:
        if (staging / name).is_file():
            (staging / name).replace(out / name)
    for name in todo["remove"]:
        (out / name).unlink(missing_ok=True)
        _remove_empty(out, (out / name).parent)
    # An interrupted run over this set may hold the pictures too, so may half of a file.
    shutil.rmtree(out / _STATE, ignore_errors=True)
    for path in out.glob("*/**/.*.tmp"):
        path.unlink(missing_ok=True)
    (staging / MANIFEST_NAME).replace(out / MANIFEST_NAME)


def _remove_empty(out: Path, folder: Path) -> None:
    """Remove a split folder that holds nothing any more."""
    while folder != out and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
