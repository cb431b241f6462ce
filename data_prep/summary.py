"""What a run of `prep` did, in numbers that add up."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from iconoclip.languages import language_name
from iconoclip.records import Record, Rejection

from .captions import default_caption
from .config import PrepConfig
from .plan import Plan

_SAMPLE_CAPTIONS = 2
_SHOWN_CHARS = 100


@dataclass
class PrepSummary:
    """Counts of a run; ``to_text`` is what the command prints, ``to_json`` what the manifest keeps.

    ``collections[name]`` has ``harvested, rejected, splits: {split: {records, works, largest_work, largest_name}}``.
    """

    harvested: int
    kept_for_training: int
    kept_for_evaluation: int
    rejected: dict[str, int]
    splits: dict[str, int]
    collections: dict[str, dict[str, Any]]
    languages: dict[str, int]
    rights: dict[str, int]
    near_duplicates: dict[str, int] = field(default_factory=dict)
    num_overrides: int = 0
    outside: dict[str, int] = field(default_factory=dict)
    samples: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def num_rejected(self) -> int:
        """Records that are not kept, whatever the reason."""
        return sum(self.rejected.values())

    def to_json(self) -> dict[str, Any]:
        """Plain values; ``PrepSummary(**values)`` reads them back."""
        return asdict(self)

    def to_text(self) -> str:
        """The sum, the works of every collection and split, and what else is worth knowing."""
        return "\n".join([*self._sum_lines(), "", *self._work_lines(), *self._fact_lines(), *self.notes])

    def _sum_lines(self) -> list[str]:
        train = {split: count for split, count in self.splits.items() if not split.startswith("eval/")}
        evaluation = {
            split.removeprefix("eval/"): count for split, count in self.splits.items() if split.startswith("eval/")
        }
        total = self.kept_for_training + self.kept_for_evaluation + self.num_rejected
        sign = "=" if total == self.harvested else "is NOT"
        return [
            f"harvested            {self.harvested:>9,}",
            _line("kept for training", self.kept_for_training, train),
            _line("kept for evaluation", self.kept_for_evaluation, evaluation),
            _line("rejected", self.num_rejected, self.rejected),
            f"sum                  {total:>9,}  {self.kept_for_training:,} + {self.kept_for_evaluation:,} + "
            f"{self.num_rejected:,} {sign} {self.harvested:,}",
        ]

    def _work_lines(self) -> list[str]:
        lines = [f"{'collection':<28} {'split':<8} {'records':>8} {'works':>7}  largest work"]
        for name, facts in self.collections.items():
            for split, row in facts["splits"].items():
                side = "eval" if split.startswith("eval/") else split
                largest = f"{row['largest_work']:,}: {row['largest_name']}" if row["largest_name"] else ""
                lines.append(f"{name:<28} {side:<8} {row['records']:>8,} {row['works']:>7,}  {largest[:90]}".rstrip())
            if facts["rejected"]:
                lines.append(f"{name:<28} {'rejected':<8} {facts['rejected']:>8,}")
            lines += [f"    {text}" for text in self.samples.get(name, ())]
        return lines

    def _fact_lines(self) -> list[str]:
        spoken = ", ".join(f"{language_name(code)} {count:,}" for code, count in self.languages.items())
        lines = ["", f"captions by language  {spoken}", f"rights                {_list(self.rights)}"]
        if self.near_duplicates:
            facts = self.near_duplicates
            lines.append(
                f"near-duplicates       {facts['num_pictures']:,} pictures in {facts['num_groups']:,} groups join "
                f"{facts['works_before']:,} works into {facts['works_after']:,}"
            )
        if self.num_overrides:
            lines.append(f"overrides             {self.num_overrides:,} by a curator")
        if any(self.outside.values()):
            rows = {name: count for name, count in self.outside.items() if count}
            lines.append(f"rows left to others by `where` (not harvested)  {_list(rows)}")
        return lines


def _line(what: str, count: int, parts: dict[str, int]) -> str:
    return f"{what:<20} {count:>9,}  {_list(parts)}".rstrip()


def _list(parts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in parts.items())


def summarise(config: PrepConfig, plan: Plan, records: Sequence[Record], rejected: Sequence[Rejection]) -> PrepSummary:
    """Count kept ``records`` (with or without a split yet) and ``rejected`` ones."""
    evaluation = [record for record in records if config.collections[record.source].use == "evaluate"]
    names = [*config.collections]
    reasons = Counter(rejection.reason.value for rejection in rejected)
    splits = Counter(record.split for record in records if record.split)
    return PrepSummary(
        harvested=plan.harvested.total(),
        kept_for_training=len(records) - len(evaluation),
        kept_for_evaluation=len(evaluation),
        rejected=dict(reasons.most_common()),
        splits={split: splits[split] for split in sort_splits(splits)},
        collections={name: _collection(name, plan, records, rejected) for name in names},
        languages=dict(Counter(caption.lang for record in records for caption in record.captions).most_common()),
        rights=dict(Counter(record.rights_class for record in records).most_common()),
        num_overrides=len(plan.overrides),
        outside=dict(plan.outside),
        notes=[f"a sample: the first {plan.limit:,} records of each collection"] if plan.limit else [],
    )


def sort_splits(splits: Sequence[str] | Counter[str] | set[str]) -> list[str]:
    """``train, val, test``, then the evaluation collections by name."""
    order = {"train": 0, "val": 1, "test": 2}
    return sorted(splits, key=lambda split: (order.get(split, 3), split))


def sample_captions(config: PrepConfig, plan: Plan) -> dict[str, list[str]]:
    """A few lines per collection for a look before anything is written: caption, language, level, rights."""
    samples: dict[str, list[str]] = {}
    for each in plan.planned:
        lines = samples.setdefault(each.record.source, [])
        if len(lines) < _SAMPLE_CAPTIONS:
            caption = default_caption(each.record.captions, config.captions.preferred_codes)
            text = caption.text if len(caption.text) <= _SHOWN_CHARS else f"{caption.text[:_SHOWN_CHARS]}…"
            more = f", and {len(each.record.captions) - 1} more" if len(each.record.captions) > 1 else ""
            lines.append(f"{text!r} ({caption.lang}, {caption.level}{more}; {each.record.rights_class})")
    return samples


def _collection(name: str, plan: Plan, records: Sequence[Record], rejected: Sequence[Rejection]) -> dict[str, Any]:
    mine = [record for record in records if record.source == name]
    splits = {}
    for split in sort_splits({record.split for record in mine}):
        works = Counter(record.work_group for record in mine if record.split == split)
        largest = max(works.items(), key=lambda item: (item[1], item[0]))
        splits[split or "planned"] = {
            "records": works.total(),
            "works": len(works),
            "largest_work": largest[1],
            "largest_name": largest[0].partition(":")[2] or largest[0],
        }
    return {
        "harvested": plan.harvested[name],
        "rejected": sum(rejection.source == name for rejection in rejected),
        "splits": splits,
    }
