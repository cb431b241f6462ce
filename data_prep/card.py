"""Write the dataset card: front matter with which `datasets` reads all fields, and an account of the set."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from iconoclip.files import write_text
from iconoclip.languages import language_name
from iconoclip.records import Record, Rejection, features_yaml
from iconoclip.shards import ShardInfo

from .config import PrepConfig
from .permissions import STRICTNESS, PolicyKind
from .rights import SEVERITY, kinds_of
from .summary import PrepSummary, sort_splits

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


class _PlainDumper(yaml.SafeDumper):
    """Repeats equal parts instead of anchors, which not every reader of front matter knows."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def write_card(
    root: Path,
    config: PrepConfig,
    summary: PrepSummary,
    *,
    records: Sequence[Record],
    rejected: Sequence[Rejection],
    shards: Sequence[ShardInfo],
) -> None:
    """Write ``README.md``."""
    matter = _front_matter(config, records, shards)
    front = yaml.dump(matter, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, width=100)
    body = [
        f"# {config.name}",
        _what(records, summary),
        "## Counts", _counts(summary),
        "## Languages", _languages(records),
        "## Rights", _rights(config, summary, records),
        "## Works", _works(summary),
        "## What was left out", _rejections(rejected),
        "## How it was made", _how(config, summary),
        "## How to read it", _reading(records),
    ]  # fmt: skip
    write_text(root / "README.md", f"---\n{front}---\n\n" + "\n\n".join(body) + "\n")


def _front_matter(config: PrepConfig, records: Sequence[Record], shards: Sequence[ShardInfo]) -> dict[str, Any]:
    splits = sort_splits({shard.split for shard in shards})
    configs = [(f"eval_{split.removeprefix('eval/')}", [("test", split)]) for split in splits if "/" in split]
    main = [(split, split) for split in splits if "/" not in split]
    configs = [("default", main), *configs] if main else configs
    languages = sorted({caption.lang for record in records for caption in record.captions} - {"und", "mul", "zxx"})
    size = next((name for limit, name in _SIZES if len(records) < limit), "n>1M")
    return {
        "pretty_name": config.name,
        "language": languages,
        "license": "other",
        "license_name": "per-record",
        "license_link": "ATTRIBUTION.csv",
        "size_categories": [size],
        "task_categories": ["zero-shot-image-classification", "image-to-text"],
        "tags": ["iconoclip", "cultural-heritage", "webdataset"],
        "configs": [
            {
                "config_name": name,
                "data_files": [{"split": split, "path": f"{folder}/*.tar"} for split, folder in files],
            }
            for name, files in configs
        ],
        "dataset_info": [{"config_name": name, "features": features_yaml()} for name, _ in configs],
    }


def _what(records: Sequence[Record], summary: PrepSummary) -> str:
    num_collections = len({record.source for record in records})
    sample = f" **A sample: the first {summary.limit:,} records of each collection.**" if summary.limit else ""
    return (
        f"Pictures of {num_collections} heritage collections with their captions, as WebDataset shards made by "
        f"iconoclip.{sample} The rights of picture and text are stated per record (`rights`), with who stated them and "
        "where; `ATTRIBUTION.csv` names everybody who is to be named."
    )


def _counts(summary: PrepSummary) -> str:
    rows = [
        ("harvested", summary.harvested, ""),
        ("kept for training", summary.kept_for_training, ""),
        ("kept for evaluation only", summary.kept_for_evaluation, ""),
        ("rejected", summary.num_rejected, _list(summary.rejected)),
    ]
    rows += [("withdrawn", summary.withdrawn, "taken down after the set was made")] if summary.withdrawn else []
    rows += [(f"split `{split}`", count, "") for split, count in summary.splits.items()]
    return _table(("what", "records", ""), rows)


def _languages(records: Sequence[Record]) -> str:
    counts = Counter((caption.lang, caption.level) for record in records for caption in record.captions)
    machine = Counter(caption.lang for record in records for caption in record.captions if caption.machine)
    rows = [(language_name(lang), lang, level, count, machine[lang]) for (lang, level), count in counts.most_common()]
    return _table(("language", "code", "level", "captions", "of the language, not written by a person"), rows)


def _rights(config: PrepConfig, summary: PrepSummary, records: Sequence[Record]) -> str:
    classes = Counter(record.rights_class for record in records)
    parts = [
        _table(("class", "records"), [(name, classes[name]) for name in SEVERITY if classes[name]]),
        _permissions(config, summary, records),
    ]
    stated = Counter(
        (record.source, rights.part, rights.raw or rights.uri, rights.asserted_by)
        for record in records
        for rights in record.rights
        if not rights.asserted_by.startswith("assumed: ")
    )
    rows = [(*key, count) for key, count in sorted(stated.items())]
    parts.append(_table(("collection", "part", "statement", "stated by", "records"), rows[:200]))
    assumed = [
        f"- `{name}`, {each.part}: taken as “{each.statement}”. {each.reason}"
        for name, source in config.collections.items()
        for each in source.assumptions
    ]
    if assumed:
        parts.append("Nobody has stated the following; it is assumed, for the reason given:\n\n" + "\n".join(assumed))
    return "\n\n".join(parts)


_USES = (
    ("to train on", "train"),
    ("to pass the stored, resized pictures on", "redistribute"),
    ("to publish the weights of a model", "publish"),
)


def _permissions(config: PrepConfig, summary: PrepSummary, records: Sequence[Record]) -> str:
    """What is allowed with how many records, why not more, and what follows for those who pass the set on."""
    answers = [[summary.permissions.get(use, {}).get(answer, 0) for answer in STRICTNESS] for _, use in _USES]
    rows = [(name, *counts) for (name, _), counts in zip(_USES, answers, strict=True)]
    parts = [
        _table(("allowed", "yes", "for non-commercial use", "no"), rows),
        "The columns `train`, `redistribute` and `publish` of the Parquet files in `ledger/` say it per record. It "
        "follows from the statements by a fixed table; it is not legal advice.",
    ]
    if summary.num_not_passed_on:
        against: list[PolicyKind] = [rule for record in records for rule in _rules_against(config, record)]
        why = [f"- {count:,} by `{rule}`: {config.rights.table[rule].reason}" for rule, count in _tally(against)]
        parts.append(
            f"**{summary.num_not_passed_on:,} of these records may not be passed on**, so neither may this folder as "
            "it is:"
        )
        parts.append("\n".join(why))
        parts.append(
            "The same configuration with `rights.purpose=redistribute` and another `out` makes a set that may."
        )
    num_alike = sum("share_alike" in kinds_of(record.rights) for record in records)
    if num_alike:
        parts.append(
            f"{num_alike:,} records are under a share-alike licence: what holds them is passed on under it too."
        )
    return "\n\n".join(parts)


def _tally(rules: Sequence[PolicyKind]) -> list[tuple[PolicyKind, int]]:
    return [(rule, rules.count(rule)) for rule in dict.fromkeys(rules)]


def _rules_against(config: PrepConfig, record: Record) -> tuple[PolicyKind, ...]:
    found = config.rights.permissions(record)
    return found.rules["redistribute"] if found.redistribute == "no" else ()


def _works(summary: PrepSummary) -> str:
    rows = [
        (name, split, row["records"], row["works"], f"{row['largest_work']:,} ({row['largest_name']})")
        for name, facts in summary.collections.items()
        for split, row in facts["splits"].items()
    ]
    text = "All pictures of a work lie on one side of the split, unless the collection holds out single pages as well."
    return f"{text}\n\n" + _table(("collection", "split", "records", "works", "largest work"), rows)


def _rejections(rejected: Sequence[Rejection]) -> str:
    if not rejected:
        return "Nothing."
    counts = Counter((each.source, each.reason.value) for each in rejected)
    examples = {}
    for each in rejected:
        examples.setdefault((each.source, each.reason.value), each.detail)
    rows = [(*key, count, examples[key][:160]) for key, count in sorted(counts.items())]
    text = "`ledger/rejected.parquet` has a row for each, with the reason and the detail."
    return f"{text}\n\n" + _table(("collection", "reason", "records", "for example"), rows)


def _how(config: PrepConfig, summary: PrepSummary) -> str:
    near = summary.near_duplicates
    folds = [name for name, source in config.collections.items() if source.is_tested_by_folds]
    pages = [name for name, source in config.collections.items() if source.resolved_holdout.endswith("_and_page")]
    lines = [
        f"- Pictures: upright (EXIF and stated turns), sRGB, RGB, longer side at most {config.image.max_px} px, JPEG "
        f"quality {config.image.quality}; metadata of the files removed.",
        f"- Near-duplicates: equal files, or two views that differ in at most {config.dedup.max_distance} of 64 bits; "
        f"{near.get('num_pictures', 0):,} pictures in {near.get('num_groups', 0):,} groups, whose works were joined.",
        f"- Split: BLAKE2b of the work's key with the salt `{config.split.salt}`; below {config.split.test:g} is test, "
        f"then {config.split.val:g} val, the rest train.",
    ]
    if pages:
        lines.append(f"- Single pages of known works are held out as well in: {', '.join(pages)}.")
    if folds:
        lines.append(f"- In train for cross-fitting in {config.split.folds} folds of works: {', '.join(folds)}.")
    if summary.num_overrides:
        lines.append(f"- A curator overrode {summary.num_overrides:,} records.")
    return "\n".join([*lines, "- `manifest.json` holds the configuration, its hash and the versions of the software."])


def _reading(records: Sequence[Record]) -> str:
    code = [
        "```python",
        "from datasets import load_dataset",
        'load_dataset("THIS_FOLDER", split="train", streaming=True)',
        "```",
    ]
    first = next((record for record in records if record.split == "train"), None)
    return "\n".join(
        code if first else [*code[:2], 'load_dataset("THIS_FOLDER", "eval_COLLECTION", split="test")', "```"]
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return " ".join(str(value).replace("|", "\\|").replace("<", "&lt;").split())


def _list(parts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in parts.items())
