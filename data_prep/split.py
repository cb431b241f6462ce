"""Say where each record lies: near-duplicates join their works, works are set apart by a hash of a published salt."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from iconoclip.errors import IconoclipError
from iconoclip.records import Record, unit_hash

from .config import PrepConfig, SplitConfig
from .dedup import UnionFind

TRAIN, VAL, TEST = "train", "val", "test"


@dataclass(frozen=True, slots=True)
class JoinedWorks:
    """What near-duplicates did: groups of pictures, and how many works became fewer."""

    num_groups: int
    num_pictures: int
    works_before: int
    works_after: int


def work_name(institution: str, work: str) -> str:
    """Key of a work: the same for every partner who prepares this institution's object, whatever the collection."""
    ascii_name = unicodedata.normalize("NFKD", institution).encode("ascii", "ignore").decode().lower()
    return f"{re.sub(r'[^a-z0-9]+', '-', ascii_name).strip('-')}:{work}"


def join_works(records: Sequence[Record], groups: Sequence[tuple[int, ...]]) -> tuple[list[Record], JoinedWorks]:
    """Set ``dup_group`` (the smallest key of the group) and give works that share a picture one ``work_group``."""
    works: UnionFind[str] = UnionFind()
    dup_group: dict[int, str] = {}
    for group in groups:
        name = min(records[position].key for position in group)
        for position in group:
            dup_group[position] = name
            works.union(records[group[0]].work_group, records[position].work_group)
    joined = [
        replace(record, dup_group=dup_group.get(position, ""), work_group=works.find(record.work_group))
        for position, record in enumerate(records)
    ]
    facts = JoinedWorks(
        num_groups=len(groups),
        num_pictures=len(dup_group),
        works_before=len({record.work_group for record in records}),
        works_after=len({record.work_group for record in joined}),
    )
    return joined, facts


def assign_splits(records: Sequence[Record], config: PrepConfig, forced: Mapping[str, str]) -> list[Record]:
    """Set ``split``; ``forced`` maps keys to the split that a curator wants, which takes the whole work along."""
    wanted: dict[str, str] = {}
    for record in records:
        split = forced.get(record.key)
        if split and wanted.setdefault(record.work_group, split) != split:
            raise IconoclipError(
                f"overrides: the work {record.work_group!r} is sent to {wanted[record.work_group]} and to {split}; "
                "all its pictures lie in one split"
            )
    return [replace(record, split=_split_of(record, config, wanted)) for record in records]


def _split_of(record: Record, config: PrepConfig, wanted: Mapping[str, str]) -> str:
    source = config.collections[record.source]
    if source.use == "evaluate":
        return f"eval/{record.source}"
    if record.work_group in wanted:
        return wanted[record.work_group]
    holdout = source.resolved_holdout
    # Near-duplicates of a page go with it: else the "new page" would have been seen.
    page = split_of_work(record.dup_group or record.key, config.split, salt=f"page:{config.split.salt}")
    if holdout in ("none", "folds"):
        return TRAIN
    if holdout == "folds_and_page":
        return page
    split = split_of_work(record.work_group, config.split, salt=config.split.salt)
    return TEST if holdout == "work_and_page" and split == TRAIN and page == TEST else split


def split_of_work(work_group: str, config: SplitConfig, *, salt: str) -> str:
    """``test`` for the lowest hashes of the work (or page) with the salt, then ``val``, else ``train``."""
    number = unit_hash(work_group, salt)
    return TEST if number < config.test else VAL if number < config.test + config.val else TRAIN
