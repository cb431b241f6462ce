"""Take items down from a finished set: their tars are made anew without them, everything else stays as it is.

``withdraw(config, ["ark:/12148/btv1b8432385n"])``; killed at any point, the same command again completes it.
"""

import difflib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from iconoclip import provenance
from iconoclip.errors import ConfigError, IconoclipError
from iconoclip.records import Record
from iconoclip.shards import MANIFEST_NAME, Manifest

from .config import PrepConfig
from .ledger import Withdrawn, read_kept, read_rejected, read_withdrawn
from .summary import PrepSummary
from .withdraw_files import STAGING, Part, complete_withdrawal, stage_withdrawal

log = logging.getLogger(__name__)

_SHOWN = 10


@dataclass(frozen=True)
class Relatives:
    """What is still in the set and shows the same: ``same_picture`` by file or near-duplicate, ``same_work`` else."""

    same_picture: tuple[Record, ...] = ()
    same_work: tuple[Record, ...] = ()


@dataclass(frozen=True)
class WithdrawSummary:
    """What a withdrawal did. ``sha256s`` are hashes of source files that no record needs any more: to be forgotten.

    ``relatives`` are by key of the withdrawn item.
    """

    withdrawn: tuple[Withdrawn, ...]
    before: tuple[Withdrawn, ...]
    rebuilt: tuple[str, ...]
    removed: tuple[str, ...]
    num_untouched: int
    relatives: dict[str, Relatives]
    sha256s: tuple[str, ...]
    summary: PrepSummary
    was_interrupted: bool = False

    def to_text(self) -> str:
        """What was taken down, which tars changed, what is left of the same pictures, and the sum."""
        lines = ["completed a withdrawal that was interrupted"] if self.was_interrupted else []
        lines += [f"withdrawn  {each.id} ({each.source}, {each.split})" for each in self.withdrawn]
        lines += [f"was withdrawn on {each.withdrawn[:10]} already: {each.id}" for each in self.before]
        lines += [f"made anew  {name}" for name in self.rebuilt]
        lines += [f"removed    {name}: nothing is left in it" for name in self.removed]
        lines.append(f"untouched  {self.num_untouched:,} tars")
        if self.withdrawn:
            lines.append(
                "It stays out of every later set in this folder; for sets elsewhere, add it to the list of `opt_out`."
            )
            lines.append("Models that were trained on this set have seen it; train them again without it.")
        for each in (*self.withdrawn, *self.before):
            lines += _relative_lines(each, self.relatives[each.key])
        return "\n".join([*lines, "", self.summary.to_text()])


def withdraw(config: PrepConfig, ids: Sequence[str]) -> WithdrawSummary:
    """Take the items with these ids (or keys) out of the finished set in ``config.out``.

    What is withdrawn already stays so; the same command again completes one that was interrupted.

    Raises:
        IconoclipError: an id is unknown (names the nearest), or of several records; there is no finished set.
    """
    out = config.out
    if not (out / MANIFEST_NAME).is_file() and not (out / STAGING).is_dir():
        raise IconoclipError(
            f"{out}: no finished set is there; give the configuration that made it. What must not come into a set that "
            "is still to be made belongs into the list of `opt_out`"
        )
    with provenance.lock_folder(out):
        was_interrupted = complete_withdrawal(out)
        manifest = Manifest.read(out)
        made_by = _made_by(manifest, config)
        splits = dict.fromkeys(shard.split for shard in manifest.shards)
        parts = [Part(split, *read_kept(out, split)) for split in splits]
        before = read_withdrawn(out)
        keys, again = _find(ids, [record for part in parts for record in part.records], before, out)
        now = provenance.utc_now()
        fresh = [_withdrawn(record, part, now) for part in parts for record in part.records if record.key in keys]
        if fresh:
            stage_withdrawal(made_by, manifest, parts, fresh=fresh, before=before)
            complete_withdrawal(out)
        changed = Manifest.read(out)
    left = [record for part in parts for record in part.records if record.key not in keys]
    done = _summarise(fresh, [before[key] for key in again], old=manifest, new=changed, left=left)
    return replace(done, was_interrupted=was_interrupted)


def _made_by(manifest: Manifest, config: PrepConfig) -> PrepConfig:
    """The configuration that made the set: the card describes what is there, whatever has been edited since."""
    try:
        return PrepConfig.validate_data({**manifest.config, "out": config.out}, where=MANIFEST_NAME)
    except ConfigError:  # of another version of this software
        log.warning("%s: its configuration cannot be read any more; the card follows the one given", MANIFEST_NAME)
        return config


def _find(
    ids: Sequence[str], records: Sequence[Record], before: dict[str, Withdrawn], out: Path
) -> tuple[set[str], list[str]]:
    """Keys to withdraw, and those that were withdrawn before."""
    keys_of: dict[str, set[str]] = {}
    for record in records:
        keys_of.setdefault(record.id, set()).add(record.key)
        keys_of.setdefault(record.key, set()).add(record.key)
    known = {name: each.key for each in before.values() for name in (each.id, each.key)}
    keys: set[str] = set()
    again: dict[str, None] = {}
    problems = []
    for name in dict.fromkeys(ids):
        found = keys_of.get(name, set())
        if len(found) == 1:
            keys |= found
        elif found:
            problems.append(f"{name!r} is the id of {len(found)} records; give the key: {', '.join(sorted(found))}")
        elif name in known:
            again[known[name]] = None
        else:
            problems.append(_unknown(name, list(keys_of), out))
    if problems:
        raise IconoclipError("\n  ".join([f"{out}: nothing was withdrawn", *problems]))
    return keys, list(again)


def _unknown(name: str, names: Sequence[str], out: Path) -> str:
    rejected = next((each for each in read_rejected(out) if each.id == name), None)
    if rejected:
        return (
            f"{name!r} is not in the set ({rejected.reason.value}: {rejected.detail}); a line in the list of `opt_out` "
            "keeps it out of later sets"
        )
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    return f"no record {name!r}" + (f"; the nearest is {near[0]!r}" if near else "")


def _withdrawn(record: Record, part: Part, now: str) -> Withdrawn:
    return Withdrawn(
        key=record.key,
        id=record.id,
        source=record.source,
        institution=record.institution,
        split=part.split,
        sha256=record.sha256,
        dup_group=record.dup_group,
        work_group=record.work_group,
        planned_sha256=part.planned_sha256[record.key],
        withdrawn=now,
    )


def _summarise(
    fresh: Sequence[Withdrawn], again: Sequence[Withdrawn], *, old: Manifest, new: Manifest, left: Sequence[Record]
) -> WithdrawSummary:
    now = {shard.path: shard.sha256 for shard in new.shards}
    still_used = {record.sha256 for record in left}
    gone = dict.fromkeys(each.sha256 for each in (*fresh, *again) if each.sha256 and each.sha256 not in still_used)
    return WithdrawSummary(
        withdrawn=tuple(fresh),
        before=tuple(again),
        rebuilt=tuple(s.path for s in old.shards if s.path in now and now[s.path] != s.sha256),
        removed=tuple(s.path for s in old.shards if s.path not in now),
        num_untouched=sum(now.get(shard.path) == shard.sha256 for shard in old.shards),
        relatives={each.key: _relatives(each, left) for each in (*fresh, *again)},
        sha256s=tuple(gone),
        summary=PrepSummary(**new.counts["summary"]),
    )


def _relatives(item: Withdrawn, left: Sequence[Record]) -> Relatives:
    same = {
        record.key: record
        for record in left
        if (item.dup_group and record.dup_group == item.dup_group) or (item.sha256 and record.sha256 == item.sha256)
    }
    work = [record for record in left if record.work_group == item.work_group and record.key not in same]
    return Relatives(tuple(same.values()), tuple(work))


def _relative_lines(item: Withdrawn, relatives: Relatives) -> Iterator[str]:
    for records, what in (
        (relatives.same_picture, "the same picture, or nearly"),
        (relatives.same_work, "other pictures of the same work"),
    ):
        if records:
            names = ", ".join(f"{record.id} ({record.source})" for record in records[:_SHOWN])
            more = f" and {len(records) - _SHOWN:,} more" if len(records) > _SHOWN else ""
            yield f"still in the set, beside {item.id}: {what}: {names}{more}; --withdraw takes them down as well"
