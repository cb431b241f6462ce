"""Which samples a run may use: the sources opened, narrowed by collection, caption and fold, and put in order."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from iconoclip.errors import ConfigError, ShardError
from iconoclip.files import sha256_json
from iconoclip.records import Caption, fold_of
from iconoclip.shards import MANIFEST_NAME, Manifest, ShardSet, ledger_name, open_shards

from .captions import usable
from .config import SourceConfig, TrainConfig
from .order import EpochOrder, Mixture

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pool:
    """The samples of a run: for each, the shard set it lies in and its place there; ``mixture`` orders them.

    ``sources[s]`` are the sample numbers of the s-th stream of the mixture.
    """

    sets: tuple[ShardSet, ...]
    set_of: np.ndarray
    position_of: np.ndarray
    sources: tuple[np.ndarray, ...]
    mixture: Mixture

    @property
    def num_samples(self) -> int:
        """Samples in one epoch."""
        return len(self.set_of)

    def sha256(self) -> str:
        """Hash of what lies where and of what was chosen: another one means another stream."""
        chosen = hashlib.sha256(self.set_of.tobytes() + self.position_of.tobytes()).hexdigest()
        return sha256_json([[shard_set.sha256 for shard_set in self.sets], chosen])


def open_pool(config: TrainConfig) -> Pool:
    """Open the sources of ``config`` and leave out the held-out fold and samples without a usable caption.

    Raises:
        ConfigError: nothing is left, or the fold does not exist.
        ShardError: a source cannot be read.
    """
    if config.fold is not None:
        num_folds(config)  # or the fold would be left out of nothing, silently
    sets, chosen = [], []
    for source in config.data:
        shard_set = open_shards(source.path, source.split)
        keep = _select(shard_set, source, config)
        if not keep.any():
            raise ConfigError(f"data: {source.path} ({source.split}): no sample is left by collections, captions, fold")
        if not keep.all():
            log.info("%s: %s of %s samples chosen", source.path, f"{keep.sum():,}", f"{len(keep):,}")
        sets.append(shard_set)
        chosen.append(np.flatnonzero(keep))
    set_of = np.concatenate([np.full(len(c), n, dtype=np.int32) for n, c in enumerate(chosen)])
    position_of = np.concatenate(chosen)
    first_shard = np.cumsum([0, *(len(shard_set.paths) for shard_set in sets)])
    shard_of = np.concatenate(
        [s.shard_of[c] + first_shard[n] for n, (s, c) in enumerate(zip(sets, chosen, strict=True))]
    )
    weights = [source.weight for source in config.data if source.weight is not None]
    if weights:
        sources = tuple(np.flatnonzero(set_of == number) for number in range(len(sets)))
    else:
        weights, sources = [1.0], (np.arange(len(set_of)),)
    orders = [
        EpochOrder(shard_of[numbers], seed=config.seed, name=f"source {n}", window_shards=config.window_shards)
        for n, numbers in enumerate(sources)
    ]
    return Pool(tuple(sets), set_of, position_of, sources, Mixture(orders, weights))


def num_folds(config: TrainConfig) -> int:
    """How many folds the sources were prepared with.

    Raises:
        ConfigError: none of them has folds, or they disagree.
    """
    found = {folds for source in config.data if (folds := _folds(source.path)[0])}
    if len(found) != 1:
        got = f"they have {sorted(found)}" if found else "none has folds"
        raise ConfigError(
            f"fold: {config.fold}: the shards of `data` must agree on a number of folds, {got}; "
            "prepare them with `holdout: folds`, or drop `fold`"
        )
    return found.pop()


def describe_sources(config: TrainConfig) -> list[dict[str, object]]:
    """Say for run.json what was read: path and split, and for shard sets of ours hashes and counts."""
    facts = []
    for source in config.data:
        fact: dict[str, object] = {"path": source.path, "split": source.split}
        if (Path(source.path) / MANIFEST_NAME).is_file():
            manifest = Manifest.read(Path(source.path))
            shards = [shard for shard in manifest.shards if shard.split == source.split]
            fact |= {
                "config_sha256": manifest.config_sha256,
                "shards_sha256": sha256_json([shard.sha256 for shard in shards]),
                "num_records": sum(shard.num_records for shard in shards),
                "num_bytes": sum(shard.num_bytes for shard in shards),
                "holdout": manifest.holdout,
                **_ledger_counts(Path(source.path), source.split),
            }
        facts.append(fact)
    return facts


def _ledger_counts(root: Path, split: str) -> dict[str, dict[str, int]]:
    table = pq.read_table(root / "ledger" / ledger_name(split), columns=["rights_class", "captions", "institution"])
    languages = [lang for row in table["captions"].to_pylist() for lang in sorted({c["lang"] for c in row})]
    return {
        "by_language": _counts(languages),
        "by_rights_class": _counts(table["rights_class"].to_pylist()),
        "by_institution": _counts(table["institution"].to_pylist()),
    }


def _counts(values: Sequence[str]) -> dict[str, int]:
    names, counts = np.unique(np.array(values, dtype=object), return_counts=True) if values else ([], [])
    return {str(name): int(count) for name, count in zip(names, counts, strict=True)}


def _folds(path: str) -> tuple[int, str, list[str]]:
    """Return number of folds (0: none), salt and the collections that are dealt into folds."""
    if not Path(path).exists() and not any(sign in path for sign in "*?[{"):
        raise ShardError(f"{path}: not there; has `iconoclip prep` finished, and is the path right?")
    if not (Path(path) / MANIFEST_NAME).is_file():
        return 0, "", []
    holdout = Manifest.read(Path(path)).holdout
    sources = list(holdout.get("fold_sources") or [])
    return (int(holdout.get("folds") or 0) if sources else 0), str(holdout.get("salt", "")), sources


def _select(shard_set: ShardSet, source: SourceConfig, config: TrainConfig) -> np.ndarray:
    """bool [N]: the samples of one source that the run may use; reads no more of the ledger than it must."""
    captions = config.captions
    columns = {
        "source": source.collections is not None or config.fold is not None,
        "work_group": config.fold is not None,
        "captions": bool(captions.languages or captions.levels or not captions.machine),
    }
    wanted = [name for name, needed in columns.items() if needed]
    keep = np.ones(len(shard_set), dtype=bool)
    if not wanted:
        return keep
    rows = _rows(shard_set, source, wanted)
    if source.collections is not None:
        names = np.array(rows["source"], dtype=object)
        missing = sorted(set(source.collections) - set(names))
        if missing:
            raise ConfigError(f"data: {source.path} ({source.split}) has no collection {', '.join(missing)}")
        keep &= np.isin(names.astype(str), source.collections)
    if config.fold is not None:
        keep &= ~_held_out(source.path, config, rows["source"], rows["work_group"])
    if columns["captions"]:
        keep &= np.array([bool(usable(cell, captions)) for cell in rows["captions"]], dtype=bool)
    return keep


def _rows(shard_set: ShardSet, source: SourceConfig, wanted: list[str]) -> dict[str, list]:
    if (Path(source.path) / MANIFEST_NAME).is_file():
        table = pq.read_table(Path(source.path) / "ledger" / ledger_name(source.split), columns=wanted)
        rows = {name: table[name].to_pylist() for name in wanted}
        if "captions" in rows:
            rows["captions"] = [[Caption(**caption) for caption in cell] for cell in rows["captions"]]
        return rows
    records = shard_set.records()
    return {name: [getattr(record, name) for record in records] for name in wanted}


def _held_out(path: str, config: TrainConfig, sources: list[str], works: list[str]) -> np.ndarray:
    folds, salt, fold_sources = _folds(path)
    assert isinstance(config.fold, int)
    if folds and config.fold >= folds:
        raise ConfigError(f"fold: got {config.fold}, {path} has folds 0 to {folds - 1}")
    return np.array(
        [
            source in fold_sources and fold_of(work, folds=folds, salt=salt) == config.fold
            for source, work in zip(sources, works, strict=True)
        ],
        dtype=bool,
    )
