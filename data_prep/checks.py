"""Stop before anything is written when the split would make a benchmark worthless; each check names its cure."""

from collections.abc import Iterable, Sequence

from iconoclip.errors import IconoclipError
from iconoclip.records import Record

from .captions import comparable
from .config import PrepConfig
from .split import TEST, TRAIN

_SHOWN = 5


def check_split(records: Sequence[Record], config: PrepConfig, *, is_sample: bool = False) -> None:
    """Run every check; one-sidedness is not looked at in a sample (`--limit`).

    Raises:
        IconoclipError: listing all that is wrong.
    """
    problems = [*_check_evaluation(records, config), *_check_prompts(records, config)]
    if not is_sample:
        problems += [*_check_collections(records, config), *_check_languages(records, config)]
    if problems:
        raise IconoclipError(
            "\n  ".join([f"the split is not sound: {len(problems)} problems, nothing written", *problems])
        )


def overlap_with_evaluation(records: Sequence[Record], config: PrepConfig) -> list[Record]:
    """Records not for evaluation alone that share a file, a near-duplicate or a document with one that is."""
    evaluated = [record for record in records if config.collections[record.source].use == "evaluate"]
    seen = {
        "sha256": {record.sha256 for record in evaluated if record.sha256},
        "dup_group": {record.dup_group for record in evaluated if record.dup_group},
        "work_group": {record.work_group for record in evaluated},
    }
    return [
        record
        for record in records
        if config.collections[record.source].use != "evaluate"
        and (
            record.sha256 in seen["sha256"]
            or record.dup_group in seen["dup_group"]
            or record.work_group in seen["work_group"]
        )
    ]


def _check_evaluation(records: Sequence[Record], config: PrepConfig) -> list[str]:
    overlap = overlap_with_evaluation(records, config)
    if not overlap:
        return []
    shown = ", ".join(f"{record.id} ({record.source})" for record in overlap[:_SHOWN])
    return [
        f"{len(overlap)} records of collections for training are pictures or documents of an evaluation collection: "
        f"{shown}{' ...' if len(overlap) > _SHOWN else ''}; "
        "`dedup.evaluation_overlap: drop` leaves them out and counts them"
    ]


def _check_prompts(records: Sequence[Record], config: PrepConfig) -> list[str]:
    forbidden = forbidden_texts(config) | {
        comparable(caption.text)
        for record in records
        if config.collections[record.source].use == "evaluate"
        for caption in record.captions
    }
    found: dict[str, Record] = {}
    for record in records:
        if config.collections[record.source].use != "evaluate":
            for caption in record.captions:
                if comparable(caption.text) in forbidden:
                    found.setdefault(caption.text, record)
    shown = ", ".join(f"{text!r} at {record.id} ({record.source})" for text, record in list(found.items())[:_SHOWN])
    message = (
        f"{len(found)} captions for training are prompts or labels of a benchmark: {shown}; "
        "drop them with `captions.stop`, or take the prompt out of the benchmark"
    )
    return [message] if found else []


def forbidden_texts(config: PrepConfig) -> set[str]:
    """Prompts of the configuration: inline, and one a line in files (``#`` starts a comment)."""
    lines = list(config.forbidden_captions)
    for path in config.forbidden_caption_files:
        try:
            lines += path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise IconoclipError(f"forbidden_caption_files: {path}: {error}") from None
    return {comparable(line) for line in lines if line.strip() and not line.lstrip().startswith("#")}


def _check_collections(records: Sequence[Record], config: PrepConfig) -> Iterable[str]:
    for name, source in config.collections.items():
        mine = [record for record in records if record.source == name]
        if not mine or source.resolved_holdout not in ("work", "work_and_page"):
            continue
        works = {split: {record.work_group for record in mine if record.split == split} for split in (TRAIN, TEST)}
        missing = [split for split, groups in works.items() if not groups]
        if missing and name not in config.split.allow_one_sided:
            total = len({record.work_group for record in mine})
            yield (
                f"collection {name}: none of its {len(mine)} records ({total} works) is in {' or '.join(missing)}; "
                f"use another split.salt, `use: train`, `holdout: folds`, or name it in split.allow_one_sided"
            )


def _check_languages(records: Sequence[Record], config: PrepConfig) -> Iterable[str]:
    sides: dict[str, set[str]] = {}
    for record in records:
        source = config.collections[record.source]
        if source.resolved_holdout == "none":
            continue  # the configuration says so: train only, or evaluation only
        here = {TRAIN, TEST} if source.is_tested_by_folds else {record.split}
        for caption in record.captions:
            sides.setdefault(caption.lang, set()).update(here)
    for lang, found in sorted(sides.items()):
        missing = [split for split in (TRAIN, TEST) if split not in found]
        if missing and lang not in config.split.allow_one_sided:
            yield (
                f"language {lang}: no caption of it is in {' or '.join(missing)}; use another split.salt, or name it "
                "in split.allow_one_sided"
            )
