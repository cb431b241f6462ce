"""What a run of `prep` did, in numbers that add up."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from iconoclip.languages import language_name
from iconoclip.records import Record, Rejection, RejectReason

from .captions import default_caption
from .config import PrepConfig
from .permissions import count_permissions
from .plan import Plan

_USE_NAMES = {"train": "to train on", "redistribute": "to pass on", "publish": "to publish a model"}
_ANSWERS = {"yes": "yes", "non_commercial": "for non-commercial use", "no": "no"}
_SAMPLE_CAPTIONS = 2
_SHOWN_CHARS = 100
_SHOWN_EXAMPLE = 220


@dataclass
class PrepSummary:
    """Counts of a run; ``to_text`` is what the command prints, ``to_json`` what the manifest keeps.

    ``collections[name]`` has ``harvested, rejected, withdrawn, splits: {split: {records, works, largest_work,
    largest_name}}``. ``permissions[use]`` counts answers (``yes, non_commercial, no``) to each use.
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
    withdrawn: int = 0
    permissions: dict[str, dict[str, int]] = field(default_factory=dict)
    limit: int | None = None
    examples: dict[str, str] = field(default_factory=dict)

    @property
    def num_rejected(self) -> int:
        """Records that are not kept, whatever the reason; those taken down are counted apart."""
        return sum(self.rejected.values())

    @property
    def num_not_passed_on(self) -> int:
        """Kept records whose stored pictures may not be passed on."""
        return self.permissions.get("redistribute", {}).get("no", 0)

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
        parts = [self.kept_for_training, self.kept_for_evaluation, self.num_rejected]
        parts += [self.withdrawn] if self.withdrawn else []
        sign = "=" if sum(parts) == self.harvested else "is NOT"
        return [
            f"harvested            {self.harvested:>9,}",
            _line("kept for training", self.kept_for_training, train),
            _line("kept for evaluation", self.kept_for_evaluation, evaluation),
            _line("rejected", self.num_rejected, self.rejected),
            *(f"    {reason:<22} for example {text}" for reason, text in self.examples.items()),
            *([_line("withdrawn", self.withdrawn, {})] if self.withdrawn else []),
            f"sum                  {sum(parts):>9,}  {' + '.join(f'{part:,}' for part in parts)} {sign} "
            f"{self.harvested:,}",
        ]

    def _work_lines(self) -> list[str]:
        lines = [f"{'collection':<28} {'split':<8} {'records':>8} {'works':>7}  largest work"]
        for name, facts in self.collections.items():
            for split, row in facts["splits"].items():
                side = "eval" if split.startswith("eval/") else split
                largest = f"{row['largest_work']:,}: {row['largest_name']}" if row["largest_name"] else ""
                lines.append(f"{name:<28} {side:<8} {row['records']:>8,} {row['works']:>7,}  {largest[:90]}".rstrip())
            for what in ("rejected", "withdrawn"):
                if facts.get(what):
                    lines.append(f"{name:<28} {what:<8} {facts[what]:>8,}")
            lines += [f"    {text}" for text in self.samples.get(name, ())]
        return lines

    def _fact_lines(self) -> list[str]:
        spoken = ", ".join(f"{language_name(code)} {count:,}" for code, count in self.languages.items())
        lines = ["", f"captions by language  {spoken}", f"rights                {_list(self.rights)}"]
        lines += self._permission_lines()
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
            lines.append(f"not harvested (rows by `where`, pictures by `pages`)  {_list(rows)}")
        return lines

    def _permission_lines(self) -> list[str]:
        """What is not allowed for all kept records, and what to do for a set that may be passed on."""
        lines = []
        for use, name in _USE_NAMES.items():
            answers = self.permissions.get(use, {})
            if set(answers) - {"yes"}:
                lines.append(f"{name:<21} {', '.join(f'{count:,} {_ANSWERS[key]}' for key, count in answers.items())}")
        if self.num_not_passed_on:
            lines.append(
                f"{'':<21} {self.num_not_passed_on:,} records may not be passed on; `rights.purpose=redistribute` (and "
                "another `out`) makes a set without them"
            )
        return lines


def _line(what: str, count: int, parts: dict[str, int]) -> str:
    return f"{what:<20} {count:>9,}  {_list(parts)}".rstrip()


def _list(parts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in parts.items())


def summarise(config: PrepConfig, plan: Plan, records: Sequence[Record], rejected: Sequence[Rejection]) -> PrepSummary:
    """Count kept ``records`` (with or without a split yet) and ``rejected`` ones, those taken down among them."""
    return PrepSummary(
        harvested=plan.harvested.total(),
        num_overrides=len(plan.overrides),
        outside=dict(plan.outside),
        notes=[f"a sample: the first {plan.limit:,} records of each collection"] if plan.limit else [],
        limit=plan.limit,
        **_count(config, plan.harvested, records, rejected),
    )


def summarise_again(
    old: PrepSummary, config: PrepConfig, records: Sequence[Record], rejected: Sequence[Rejection]
) -> PrepSummary:
    """The summary of a set of which something was taken down since ``old``."""
    harvested = {name: int(facts["harvested"]) for name, facts in old.collections.items()}
    return replace(old, **_count(config, harvested, records, rejected))


def _count(
    config: PrepConfig, harvested: Mapping[str, int], records: Sequence[Record], rejected: Sequence[Rejection]
) -> dict[str, Any]:
    num_evaluated = sum(config.collections[record.source].use == "evaluate" for record in records)
    reasons = Counter(rejection.reason.value for rejection in rejected)
    withdrawn = reasons.pop(RejectReason.WITHDRAWN.value, 0)
    splits = Counter(record.split for record in records if record.split)
    return {
        "kept_for_training": len(records) - num_evaluated,
        "kept_for_evaluation": num_evaluated,
        "rejected": dict(reasons.most_common()),
        "withdrawn": withdrawn,
        "examples": {reason: _example(reason, rejected) for reason, _ in reasons.most_common()},
        "splits": {split: splits[split] for split in sort_splits(splits)},
        "collections": {name: _collection(name, harvested[name], records, rejected) for name in config.collections},
        "languages": dict(Counter(caption.lang for record in records for caption in record.captions).most_common()),
        "rights": dict(Counter(record.rights_class for record in records).most_common()),
        "permissions": count_permissions(map(config.rights.permissions, records)),
    }


def _example(reason: str, rejected: Sequence[Rejection]) -> str:
    """Identifier and detail of the commonest kind of rejection for ``reason``."""
    mine = [each for each in rejected if each.reason.value == reason]
    kinds = Counter(each.detail.partition(":")[0] for each in mine)
    kind = kinds.most_common(1)[0][0]
    first = min((each for each in mine if each.detail.partition(":")[0] == kind), key=lambda each: each.id)
    text = " ".join(f"{first.id}: {first.detail}".split())
    return text if len(text) <= _SHOWN_EXAMPLE else f"{text[:_SHOWN_EXAMPLE]}…"


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


def _collection(name: str, harvested: int, records: Sequence[Record], rejected: Sequence[Rejection]) -> dict[str, Any]:
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
    reasons = [rejection.reason for rejection in rejected if rejection.source == name]
    num_withdrawn = reasons.count(RejectReason.WITHDRAWN)
    return {
        "harvested": harvested,
        "rejected": len(reasons) - num_withdrawn,
        "withdrawn": num_withdrawn,
        "splits": splits,
    }
