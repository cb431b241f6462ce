"""Turn collections into shards: plan, pictures, near-duplicates, split, checks, tars, ledger, card, manifest.

``run_prep(config)`` can be killed at any point and run again: tasks that are done are kept under ``OUT/.state``, and
the manifest, written last, says that the set is complete.
"""

import hashlib
import itertools
import logging
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from iconoclip import provenance
from iconoclip.errors import IconoclipError, ShardError
from iconoclip.records import Record, Rejection, RejectReason
from iconoclip.shards import MANIFEST_NAME, Manifest, Placed, ShardInfo, plan_shards
from iconoclip.workers import Workers

from .captions import default_caption
from .card import write_card
from .checks import check_split, overlap_with_evaluation
from .config import PrepConfig
from .dedup import group_duplicates
from .fetch.pictures import RemotePicture
from .fetch.report import HostReport
from .fetching import fetch_planned, write_letters
from .harvest.run import harvest_collections
from .ledger import (
    WITHDRAWN_NAME,
    compare_with_ledger,
    list_rejected,
    write_attribution,
    write_kept,
    write_rejected,
)
from .plan import Plan, Planned, plan_records
from .progress import Progress
from .sources.base import Drop
from .split import JoinedWorks, assign_splits, join_works
from .summary import PrepSummary, sample_captions, sort_splits, summarise
from .tasks import CHUNK_SIZE, ChunkTask, ShardEntry, ShardTask, StoredPicture, process_chunk, process_shard
from .withdraw_files import STAGING, complete_withdrawal

log = logging.getLogger(__name__)

_STATE = ".state"
_REJECTED = "rejected.csv"
_OURS = frozenset({_STATE, ".lock", "run.json", MANIFEST_NAME, "README.md", "ATTRIBUTION.csv", "prep.jsonl",
                   _REJECTED, WITHDRAWN_NAME, STAGING, "ledger", "train", "val", "test", "eval"})  # fmt: skip
_TEMPORARY = re.compile(r"\..*\.\d+\.tmp")  # what `atomic_path` leaves behind when the process is killed
_MIN_FAILURES = 50


@dataclass(frozen=True, slots=True)
class Kept:
    """A record with its stored picture."""

    record: Record
    picture: StoredPicture


def run_prep(
    config: PrepConfig, *, limit: int | None = None, dry_run: bool = False, update: bool = False
) -> PrepSummary:
    """Make the shard set that ``config`` describes; the same command again goes on, or says that it is complete.

    ``limit`` takes the first records of each collection; ``dry_run`` opens no picture and writes nothing but what web
    collections answered (to the store); ``update`` asks them for what has changed since the last harvest.

    Raises:
        IconoclipError: a source, an override or the split is not sound, or ``out`` is not ours to write.
    """
    if limit is not None and _holds_whole_set(config.out) and not dry_run:
        raise IconoclipError(
            f"{config.out}: holds a whole set, which --limit {limit} would replace; add --dry-run or give another `out`"
        )
    if limit is not None and limit < 1:
        raise IconoclipError(f"--limit is {limit}; give a number of records from 1")
    if not dry_run:
        _check_folder(config.out)
    if dry_run:
        return _look(config, limit)
    with provenance.lock_folder(config.out):
        complete_withdrawal(config.out)
        harvested = harvest_collections(config, limit=limit, update=update)
        with Workers(config.workers) as workers:
            workers.start()  # they import while the plan is made
            plan = plan_records(config, limit=limit, documents=harvested.documents)
            hosts = _fetch(config, plan, workers) or harvested.hosts
            letters = write_letters(config, hosts) if hosts else None
            summary = _read_finished(config, plan) or _make(config, plan, workers)
    summary.notes += [*plan.exclusions.notes, *harvested.notes]
    if letters is not None:
        summary.notes += [f"asked in all runs  {report.to_text()}" for report in hosts]
        summary.notes.append(f"letters to the libraries are in {letters}")
    return summary


def _look(config: PrepConfig, limit: int | None) -> PrepSummary:
    harvested = harvest_collections(config, limit=limit)
    plan = plan_records(config, limit=limit, documents=harvested.documents)
    summary = summarise(config, plan, [each.record for each in plan.planned], plan.rejected)
    summary.samples = sample_captions(config, plan)
    summary.notes += plan.exclusions.notes
    summary.notes += _foresee(config, plan)
    summary.notes.append("a look: no picture was opened, nothing was written; `kept` may still lose broken pictures")
    return summary


def _foresee(config: PrepConfig, plan: Plan) -> list[str]:
    """What a whole run would stumble over and can be known without opening a picture."""
    notes = []
    missing = [each for each in plan.planned if each.picture.fingerprint().endswith("|missing")]
    if missing:
        first = missing[0]
        where = getattr(first.picture, "path", "") or getattr(first.picture, "member", "")
        notes.append(f"{len(missing):,} pictures are not there, for example that of {first.record.id}: {where}")
    num_remote = sum(isinstance(each.picture, RemotePicture) for each in plan.planned)
    if num_remote and not config.fetch.contact:
        notes.append(f"{num_remote:,} pictures would be fetched, which needs fetch.contact: who asks")
    return notes


def _holds_whole_set(out: Path) -> bool:
    try:
        return Manifest.read(out).counts["summary"].get("limit") is None
    except (ShardError, KeyError):
        return False


def _fetch(config: PrepConfig, plan: Plan, workers: Workers) -> list[HostReport]:
    """Fetch remote pictures; each chunk that is complete is converted while others are still on their way."""
    folder = _picture_folder(config)

    def convert(start: int, stop: int) -> None:
        workers.begin(process_chunk, _chunk_task(config, folder, plan.planned[start:stop]))

    bounds = _cut_chunks(plan.planned)
    return fetch_planned(config, plan, bounds, on_chunk=convert)


def _check_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise IconoclipError(f"{out}: `out` is a file; give a folder")
    names = [path.name for path in out.iterdir()] if out.is_dir() else []
    foreign = sorted(name for name in names if name not in _OURS and not _TEMPORARY.fullmatch(name))
    if foreign:
        raise IconoclipError(f"{out}: holds {', '.join(foreign[:5])}, which is not of a prep run; give another `out`")


def _read_finished(config: PrepConfig, plan: Plan) -> PrepSummary | None:
    """Summary of a complete set that the same configuration made from the same input."""
    if not (config.out / MANIFEST_NAME).is_file():
        return None
    try:
        manifest = Manifest.read(config.out)
    except ShardError:
        return None
    if manifest.counts.get("plan_sha256") != plan.sha256(config):
        return None
    sizes = [(config.out / shard.path, shard.num_bytes) for shard in manifest.shards]
    if not all(path.is_file() and path.stat().st_size == size for path, size in sizes):
        return None
    shutil.rmtree(config.out / _STATE, ignore_errors=True)
    summary = PrepSummary(**manifest.counts["summary"])
    summary.notes.append(f"complete since {manifest.created}: same configuration, same input, nothing to do")
    return summary


def _make(config: PrepConfig, plan: Plan, workers: Workers) -> PrepSummary:
    out = config.out
    _check_disk(config, len(plan.planned))
    run = provenance.describe_run(config, limit=plan.limit)
    if not (out / MANIFEST_NAME).is_file():
        provenance.write_run(out, run)
        (out / "prep.jsonl").unlink(missing_ok=True)
    kept, rejected, failed = _process_pictures(config, plan, workers)
    is_whole = (out / MANIFEST_NAME).is_file()  # a set that is complete stays as it is until its successor is sound
    listed = (out / _STATE if is_whole else out) / _REJECTED
    list_rejected(listed, rejected)
    _check_failures(config, len(plan.planned), failed, listed)
    kept, rejected, joined = _set_apart(config, plan, kept, rejected)
    list_rejected(listed, rejected)
    check_split([each.record for each in kept], config, is_sample=plan.limit is not None)
    if not kept:
        why = summarise(config, plan, [], rejected).to_text()
        raise IconoclipError(f"no record is left; see why ({listed} has them all):\n{why}")
    news = _compare_with_last(config, plan, kept) if is_whole else []
    # A set that is complete stays so until its successor has passed every check; from here on it is not complete.
    (out / MANIFEST_NAME).unlink(missing_ok=True)
    provenance.write_run(out, run)
    shards, placed, ordered = _write_shards(config, kept, workers)
    records = [each.record for several in ordered.values() for each in several]
    summary = summarise(config, plan, records, rejected)
    summary.near_duplicates = asdict(joined)
    judge, planned = config.rights.permissions, plan.planned_sha256()
    for split, several in ordered.items():
        kept_here = [each.record for each in several]
        write_kept(out, split, placed[split], kept_here, judge=judge, planned_sha256=planned)
    write_rejected(out, rejected, now=provenance.utc_now())
    list_rejected(out / _REJECTED, rejected)
    write_attribution(out, records, judge=judge)
    write_card(out, config, summary, records=records, rejected=rejected, shards=shards)
    _remove_stale(out, shards)
    _write_manifest(config, plan, shards, summary)
    shutil.rmtree(out / _STATE, ignore_errors=True)
    summary.notes += news
    return summary


def _compare_with_last(config: PrepConfig, plan: Plan, kept: Sequence[Kept]) -> list[str]:
    """What the set differs in from the one that lies in ``out``, in a sentence."""
    try:
        last = Manifest.read(config.out)
    except ShardError:
        return []
    keys, planned = {each.record.key for each in kept}, plan.planned_sha256()
    splits = list(dict.fromkeys(shard.split for shard in last.shards))
    new, changed, gone = compare_with_ledger(config.out, splits, {key: planned[key] for key in keys})
    return [f"since the set of {last.created[:10]}  {new:,} new, {changed:,} changed, {gone:,} gone"]


def _check_disk(config: PrepConfig, num_pictures: int) -> None:
    # A JPEG of quality 90 takes about 0.3 bytes a pixel; pictures lie in the state and in the shards for a while.
    need = num_pictures * (0.3 * config.image.max_px**2 + 8192) * 2
    free = shutil.disk_usage(config.out).free
    if need > free:
        raise IconoclipError(
            f"{config.out}: about {need / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free; make room or give "
            "another `out`"
        )


def _process_pictures(
    config: PrepConfig, plan: Plan, workers: Workers
) -> tuple[list[Kept], list[Rejection], list[Rejection]]:
    """Kept and rejected records, and those of the rejected whose picture could not be had or read."""
    folder = _picture_folder(config)
    chunks = [plan.planned[start:stop] for start, stop in _cut_chunks(plan.planned)]
    tasks = [_chunk_task(config, folder, chunk) for chunk in chunks]
    results: dict[int, list[StoredPicture]] = {}
    log_path = config.out / "prep.jsonl"
    with Progress("pictures", total=len(plan.planned), unit="img", log_path=log_path) as progress:
        for position, (stored, was_there) in workers.run(process_chunk, tasks):
            results[position] = stored
            progress.add(len(stored), from_state=was_there, failed=sum(each.reason is not None for each in stored))
    return _collect(config, plan, chunks, results)


def _picture_folder(config: PrepConfig) -> Path:
    folder = config.out / _STATE / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _chunk_task(config: PrepConfig, folder: Path, chunk: Sequence[Planned]) -> ChunkTask:
    return ChunkTask(str(folder), tuple(each.picture for each in chunk), config.image)


def _cut_chunks(planned: Sequence[Planned]) -> list[tuple[int, int]]:
    """(start, stop) of chunks of one collection each: a change in one leaves the others' pictures as they are."""
    bounds, start = [], 0
    for _, several in itertools.groupby(planned, key=lambda each: each.record.source):
        stop = start + sum(1 for _ in several)
        bounds += [(first, min(first + CHUNK_SIZE, stop)) for first in range(start, stop, CHUNK_SIZE)]
        start = stop
    return bounds


def _collect(
    config: PrepConfig, plan: Plan, chunks: Sequence[Sequence[Planned]], results: dict[int, list[StoredPicture]]
) -> tuple[list[Kept], list[Rejection], list[Rejection]]:
    kept: list[Kept] = []
    rejected, failed = list(plan.rejected), []
    filters = [each for each in config.filters if each.stage == "image"]
    for position, chunk in enumerate(chunks):
        for planned, stored in zip(chunk, results[position], strict=True):
            record: Record | Drop = planned.record
            if stored.reason is not None:
                record = Drop("image", stored.reason, stored.detail)
            else:
                record = _with_picture(planned.record, stored)
                record = plan.exclusions.refuse_picture(record, stored) or record
            for each in filters:
                record = record if isinstance(record, Drop) else each.check(record)
            if isinstance(record, Drop):
                rejected.append(_reject(planned.record, record))
                failed += rejected[-1:] if stored.reason is not None else []
            else:
                kept.append(Kept(record, stored))
    return kept, rejected, failed


def _check_failures(config: PrepConfig, num_planned: int, failed: Sequence[Rejection], listed: Path) -> None:
    if len(failed) > max(_MIN_FAILURES, config.max_failed_share * num_planned):
        kinds = Counter(f"{each.reason.value} ({each.detail.partition(':')[0][:40]})" for each in failed)
        raise IconoclipError(
            f"{len(failed):,} of {num_planned:,} pictures cannot be used, more than max_failed_share "
            f"({config.max_failed_share:g}): {', '.join(f'{count:,} {kind}' for kind, count in kinds.most_common(4))}; "
            f"for example {failed[0].id}: {failed[0].detail}; all are in {listed}"
        )


def _with_picture(record: Record, stored: StoredPicture) -> Record:
    return replace(
        record,
        width=stored.width,
        height=stored.height,
        orig_width=record.orig_width or stored.orig_width,
        orig_height=record.orig_height or stored.orig_height,
        sha256=stored.sha256,
        phash=stored.views[0] if stored.views else "",
    )


def _reject(record: Record, drop: Drop) -> Rejection:
    return Rejection(record.id, record.source, record.institution, drop.stage, drop.reason, drop.detail)


def _set_apart(
    config: PrepConfig, plan: Plan, kept: list[Kept], rejected: list[Rejection]
) -> tuple[list[Kept], list[Rejection], JoinedWorks]:
    """Join near-duplicates, leave out what evaluation needs for itself, assign splits."""
    groups = group_duplicates(
        [each.record.sha256 for each in kept],
        [_views(each, config) for each in kept],
        max_distance=config.dedup.max_distance,
    )
    records, joined = join_works([each.record for each in kept], groups)
    pictures = {each.record.key: each.picture for each in kept}
    if config.dedup.evaluation_overlap == "drop":
        overlap = {record.key for record in overlap_with_evaluation(records, config)}
        drop = Drop("split", RejectReason.DUPLICATE_OF_EVALUATION, "the picture or its document is for evaluation only")
        rejected = [*rejected, *(_reject(record, drop) for record in records if record.key in overlap)]
        records = [record for record in records if record.key not in overlap]
    forced = {key: override.split for key, override in plan.overrides.items() if override.split}
    records = assign_splits(records, config, forced)
    return [Kept(record, pictures[record.key]) for record in records], rejected, joined


def _views(each: Kept, config: PrepConfig) -> list[int]:
    is_compared = config.collections[each.record.source].near_duplicates
    return [int(view, 16) for view in each.picture.views] if is_compared else []


def _write_shards(
    config: PrepConfig, kept: Sequence[Kept], workers: Workers
) -> tuple[list[ShardInfo], dict[str, list[Placed]], dict[str, list[Kept]]]:
    folder = config.out / _STATE / "shards"
    folder.mkdir(parents=True, exist_ok=True)
    ordered = {
        split: sorted((each for each in kept if each.record.split == split), key=lambda each: _rank(each, config.seed))
        for split in sort_splits({each.record.split for each in kept})
    }
    tasks, total = [], 0
    for split, several in ordered.items():
        entries = [_entry(each, config) for each in several]
        sizes = [each.picture.length + len(each.txt.encode()) + len(each.record_json.encode()) for each in entries]
        base = split.rpartition("/")[2] if split.startswith("eval/") else config.name
        for number, run in enumerate(plan_shards(sizes)):
            name = f"{split}/{base}-{number:05d}.tar"
            tasks.append(ShardTask(str(config.out), str(folder), name, tuple(entries[run.start : run.stop])))
            total += len(run)
    results: dict[int, tuple[ShardInfo, list[Placed]]] = {}
    with Progress("shards", total=total, unit="records", log_path=config.out / "prep.jsonl") as progress:
        for position, (info, placed, was_there) in workers.run(process_shard, tasks):
            results[position] = info, placed
            progress.add(info.num_records, from_state=was_there, shard=info.path)
    shards = [results[position][0] for position in range(len(tasks))]
    placed_by_split: dict[str, list[Placed]] = {split: [] for split in ordered}
    for position, shard in enumerate(shards):
        placed_by_split[shard.split] += results[position][1]
    return shards, placed_by_split, ordered


def _rank(each: Kept, seed: int) -> tuple[bytes, str]:
    digest = hashlib.blake2b(each.record.id.encode(), digest_size=16, key=str(seed).encode()).digest()
    return digest, each.record.key


def _entry(each: Kept, config: PrepConfig) -> ShardEntry:
    caption = default_caption(each.record.captions, config.captions.preferred_codes)
    return ShardEntry(each.record.to_json(), caption.text, each.picture)


def _remove_stale(out: Path, shards: Sequence[ShardInfo]) -> None:
    """Tars and ledgers that an earlier configuration left in this folder would be taken for part of the set."""
    wanted = {out / shard.path for shard in shards}
    ledgers = {f"{split.replace('/', '-')}-00000.parquet" for split in {shard.split for shard in shards}}
    for split in ("train", "val", "test", "eval"):
        for path in (out / split).rglob("*"):
            if path.is_file() and path not in wanted:
                path.unlink()
    for path in (out / "ledger").iterdir():
        if path.name not in ledgers and path.name != "rejected.parquet":
            path.unlink()
    for path in out.iterdir():
        if _TEMPORARY.fullmatch(path.name):
            path.unlink()
    for folder in sorted((out / "eval").glob("*")):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _write_manifest(config: PrepConfig, plan: Plan, shards: Sequence[ShardInfo], summary: PrepSummary) -> None:
    folds = [name for name, source in config.collections.items() if source.is_tested_by_folds]
    Manifest(
        shards=tuple(shards),
        config_sha256=config.content_sha256(),
        software=provenance.software(),
        created=provenance.utc_now(),
        counts={"plan_sha256": plan.sha256(config), "summary": summary.to_json()},
        config=config.to_json(),
        holdout={"salt": config.split.salt, "folds": config.split.folds, "fold_sources": folds},
    ).write(config.out)
