"""Find the records a finished run was trained on, and whose work they are.

``read_trained(run)`` reads the ledgers of the shard sets that ``run.json`` names and leaves out what the run left out:
other collections, the held-out fold, samples without an admitted caption. ``read_attribution`` takes their lines from
the sets' ``ATTRIBUTION.csv``; a record without one is an error, since a model must not be published without it.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from .card import CollectionFacts
from .errors import ShardError
from .files import sha256_json
from .records import fold_of
from .shards import MANIFEST_NAME, Manifest, ledger_name

ATTRIBUTION_NAME = "ATTRIBUTION.csv"

_COLUMNS = ("key", "source", "institution", "work_group", "captions", "rights", "rights_class")
_PUBLISH = "publish"  # whether weights trained on the record may be published: yes, non_commercial, no
_UNSPECIFIC_LANGUAGES = {"", "und", "mul", "zxx", "mis"}
_SHOWN_STATEMENTS = 4


@dataclass(frozen=True)
class Trained:
    """The records of one shard set that a run was trained on: ledger rows with the columns that a card needs."""

    root: Path
    manifest: Manifest
    rows: tuple[dict[str, Any], ...]

    @property
    def name(self) -> str:
        """What the shard set calls itself."""
        return str(self.manifest.config.get("name") or self.root.resolve().name)


def read_trained(run: dict[str, Any], *, where: str) -> list[Trained]:
    """Read what the run of this ``run.json`` was trained on, a part per entry of its ``data``.

    Raises:
        ShardError: a shard set is not there any more, has changed since, was not made by ``iconoclip prep``, or its
            rights policy forbids to publish what was trained on it.
    """
    config = run.get("config") or {}
    sources = config.get("data") or []
    if not sources:
        raise ShardError(f"{where}: names no `data` that the model was trained on; is it the run.json of a training?")
    facts = run.get("data") or [{}] * len(sources)
    return [_read_source(source, fact, config, where) for source, fact in zip(sources, facts, strict=True)]


def _read_source(source: dict[str, Any], fact: dict[str, Any], config: dict[str, Any], where: str) -> Trained:
    root, split = Path(source["path"]), source.get("split", "train")
    if not (root / MANIFEST_NAME).is_file():
        raise ShardError(
            f"{root}: {where} was trained on it, but it holds no {MANIFEST_NAME}, so nobody can say whose pictures "
            "these are; run `publish` where the shards lie, in the folder in which the training ran"
        )
    manifest = Manifest.read(root)
    hashes = [shard.sha256 for shard in manifest.shards if shard.split == split]
    if fact.get("shards_sha256", sha256_json(hashes)) != sha256_json(hashes):
        raise ShardError(
            f"{root}: its {split} shards are not those that {where} was trained on; bring back the old ones, or "
            "train again if records were withdrawn since"
        )
    path = root / "ledger" / ledger_name(split)
    if not path.is_file():
        raise ShardError(f"{path}: not there; copy the shard set again")
    columns = [*_COLUMNS, *({_PUBLISH} & set(pq.read_schema(path).names))]
    rows = pq.read_table(path, columns=columns).to_pylist()
    used = tuple(row for row in rows if _is_used(row, source, config, manifest))
    forbidden = [row["key"] for row in used if row.get(_PUBLISH) == "no"]
    if forbidden:
        raise ShardError(
            f"{root}: no model may be published that was trained on {len(forbidden):,} of its records (such as "
            f"{forbidden[0]}), says `rights.policy` of its configuration; train without them"
        )
    return Trained(root, manifest, used)


def _is_used(row: dict[str, Any], source: dict[str, Any], config: dict[str, Any], manifest: Manifest) -> bool:
    collections, fold, holdout = source.get("collections"), config.get("fold"), manifest.holdout
    if collections is not None and row["source"] not in collections:
        return False
    if isinstance(fold, int) and row["source"] in (holdout.get("fold_sources") or ()):
        held_out = fold_of(row["work_group"], folds=int(holdout["folds"]), salt=str(holdout.get("salt", "")))
        if held_out == fold:
            return False
    return bool(_admitted(row["captions"], config))


def _admitted(captions: Iterable[dict[str, Any]], config: dict[str, Any]) -> list[dict[str, Any]]:
    """Captions that the run could draw; an empty filter admits all."""
    wanted = config.get("captions") or {}
    languages, levels = wanted.get("languages"), wanted.get("levels")
    return [
        caption
        for caption in captions
        if caption["text"].strip()
        and (not languages or caption["lang"] in languages)
        and (not levels or caption["level"] in levels)
        and (wanted.get("machine", True) or not caption["machine"])
    ]


def trained_languages(trained: Sequence[Trained], run: dict[str, Any]) -> tuple[str, ...]:
    """Primary language tags of the captions trained on, the most frequent first; `und` and its like are left out."""
    counts: dict[str, int] = {}
    for row in (row for part in trained for row in part.rows):
        for language in {caption["lang"].partition("-")[0] for caption in _admitted(row["captions"], run["config"])}:
            counts[language] = counts.get(language, 0) + 1
    known = [language for language in counts if language not in _UNSPECIFIC_LANGUAGES]
    return tuple(sorted(known, key=lambda language: (-counts[language], language)))


def describe_collections(trained: Sequence[Trained], run: dict[str, Any]) -> tuple[CollectionFacts, ...]:
    """What each collection gave to the training, the largest first."""
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for part in trained:
        for row in part.rows:
            rows.setdefault((row["source"], row["institution"]), []).append(row)
    found = []
    for (name, institution), members in rows.items():
        languages = {c["lang"] for row in members for c in _admitted(row["captions"], run["config"])}
        rights = [right for row in members for right in row["rights"] if right["part"] != "terms"]
        statements = _most_common(right["uri"] or right["raw"] for right in rights)
        found.append(
            CollectionFacts(
                name=name,
                institution=institution,
                num_records=len(members),
                num_works=len({row["work_group"] or row["key"] for row in members}),
                languages=tuple(sorted(languages)),
                rights_classes=tuple(_most_common(row["rights_class"] for row in members)),
                statements=tuple(statements[:_SHOWN_STATEMENTS]),
                num_non_commercial=sum(row.get(_PUBLISH) == "non_commercial" for row in members),
            )
        )
    return tuple(sorted(found, key=lambda item: (-item.num_records, item.name)))


def read_attribution(trained: Sequence[Trained]) -> str:
    """Return the CSV text with one line for each record trained on, from the shard sets' own ``ATTRIBUTION.csv``.

    Raises:
        ShardError: a set has none, or it lacks a record that was trained on.
    """
    columns: dict[str, None] = {}
    lines: dict[str, dict[str, str]] = {}
    for part in trained:
        path = part.root / ATTRIBUTION_NAME
        keys = {row["key"] for row in part.rows}
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                table = csv.DictReader(file)
                names = list(table.fieldnames or ())
                if "key" not in names:
                    raise ShardError(f"{path}: has no column `key`; run `iconoclip prep` again to write it")
                columns |= dict.fromkeys(names)
                found = {line["key"]: line for line in table if line["key"] in keys}
        except FileNotFoundError:
            raise ShardError(
                f"{path}: not there; a model is not published without saying whose pictures it learnt from. "
                "Copy it from where the shards were made, or run `iconoclip prep` again"
            ) from None
        missing = sorted(keys - found.keys())
        if missing:
            raise ShardError(
                f"{path}: no line for {len(missing):,} of {len(keys):,} records trained on (such as {missing[0]}); "
                "run `iconoclip prep` again to write it"
            )
        lines |= found
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines[key] for key in sorted(lines))
    return text.getvalue()


def _most_common(values: Iterable[str]) -> list[str]:
    counts: dict[str, int] = {}
    for value in values:
        if value:
            counts[value] = counts.get(value, 0) + 1
    return sorted(counts, key=lambda value: (-counts[value], value))
