"""Harvest all collections and decide, before any picture is opened, which records go on."""

import itertools
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from iconoclip.errors import IconoclipError
from iconoclip.files import sha256_json
from iconoclip.records import Record, Rejection, RejectReason

from .config import PrepConfig
from .opt_out import Exclusions, read_exclusions
from .overrides import Override, match_overrides, read_overrides
from .permissions import with_terms
from .sources.base import Document, Drop, Item, Picture, Surroundings
from .split import work_name

log = logging.getLogger(__name__)

_CAPTION_REASONS = (RejectReason.CAPTION_EMPTY, RejectReason.CAPTION_REPEATED)


@dataclass(frozen=True, slots=True)
class Planned:
    """A record that goes on to the pictures."""

    record: Record
    picture: Picture


@dataclass
class Plan:
    """What was harvested: records that go on, records that are rejected, and what was counted on the way."""

    planned: list[Planned] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    harvested: Counter[str] = field(default_factory=Counter)
    outside: Counter[str] = field(default_factory=Counter)
    overrides: dict[str, Override] = field(default_factory=dict)
    exclusions: Exclusions = field(default_factory=Exclusions)
    taken_down: list[str] = field(default_factory=list)
    limit: int | None = None

    def reject(self, record: Record, drop: Drop) -> None:
        """Count a record as rejected."""
        self.rejected.append(
            Rejection(record.id, record.source, record.institution, drop.stage, drop.reason, drop.detail)
        )

    def sha256(self, config: PrepConfig) -> str:
        """Hash of configuration and input: equal plans give equal shards.

        What was taken down counts as it was when it still was there, so that a withdrawal makes nothing anew.
        """
        rejected = [
            [each.id, each.source, each.reason, each.detail]
            for each in self.rejected
            if each.reason != RejectReason.WITHDRAWN
        ]
        splits = {key: override.split for key, override in self.overrides.items()}
        planned = sorted([*self.planned_sha256().values(), *self.taken_down])
        pictures = self.exclusions.picture_values
        return sha256_json([config.content_sha256(), self.limit, planned, rejected, splits, pictures])

    def planned_sha256(self) -> dict[str, str]:
        """Hash of each planned record and what decides its picture, by key."""
        return {
            each.record.key: sha256_json([each.record.to_json(), each.picture.fingerprint()]) for each in self.planned
        }


def plan_records(
    config: PrepConfig, *, limit: int | None = None, documents: Mapping[str, Sequence[Document]] | None = None
) -> Plan:
    """Read, override and filter; ``limit`` looks at the first records of each collection only.

    ``documents`` are what web collections harvested, by collection.
    """
    plan = Plan(limit=limit)
    items = list(_harvest(config, plan, documents or {}))
    if config.overrides is not None:
        plan.overrides = _match_overrides(config, items, is_sample=limit is not None)
    plan.exclusions = read_exclusions(config, [item.record for item in items])
    filters = [config.rights, config.captions, *(each for each in config.filters if each.stage == "record")]
    seen: set[str] = set()
    for item in items:
        record, drop = _override(item, plan.overrides.get(item.record.key))
        record = with_terms(record, config.collections[record.source].terms)
        drop = plan.exclusions.refuse_record(record) or drop
        if drop is None and record.key in seen:
            drop = Drop("source", RejectReason.ID_DUPLICATE, f"{record.institution}: another record has this id")
        for each in filters:
            checked = drop or each.check(record)
            if isinstance(checked, Drop):
                drop = checked
                break
            record = checked
        if drop is not None or item.picture is None:
            missing = Drop("source", RejectReason.IMAGE_MISSING, "the record names no picture")
            plan.reject(record, drop or missing)
            continue
        seen.add(record.key)
        if withdrawn := plan.exclusions.withdrawn.get(record.key):
            plan.taken_down.append(withdrawn.planned_sha256)
            plan.reject(record, withdrawn.to_drop())
            continue
        record = replace(
            record,
            work_group=work_name(record.institution, item.work),
            attribution=record.attribution or _attribution(record),
        )
        plan.planned.append(Planned(record, item.picture))
    return plan


def _harvest(config: PrepConfig, plan: Plan, documents: Mapping[str, Sequence[Document]]) -> Iterator[Item]:
    for name, source in config.collections.items():
        around = Surroundings(config.root, config.image.max_px, documents.get(name, ()), config.store_folder)
        harvest = source.harvest(name, around)
        for item in itertools.islice(harvest.items, plan.limit):
            plan.harvested[name] += 1
            yield item
        if not plan.harvested[name]:
            raise IconoclipError(
                f"collection {name}: its source yields no record; look at `where`, and at the table, or at what its "
                "server lists for these sets, dates and queries"
            )
        plan.outside[name] = harvest.num_outside


def _match_overrides(config: PrepConfig, items: list[Item], *, is_sample: bool) -> dict[str, Override]:
    assert config.overrides is not None
    overrides = read_overrides(config.overrides)
    records = [item.record for item in items]
    if is_sample:
        names = {name for record in records for name in (record.id, record.key)}
        overrides = [override for override in overrides if override.id in names]
    return match_overrides(overrides, records, path=config.overrides)


def _override(item: Item, override: Override | None) -> tuple[Record, Drop | None]:
    if override is None:
        return item.record, item.drop
    changed = override.apply(item.record)
    if isinstance(changed, Drop):
        return item.record, changed
    is_mended = override.caption and item.drop is not None and item.drop.reason in _CAPTION_REASONS
    return changed, None if is_mended else item.drop


def _attribution(record: Record) -> str:
    """``Edgar Degas, Carnet 5, Bibliothèque nationale de France`` from what is known."""
    return ", ".join(part for part in (record.creator, record.title, record.institution) if part)
