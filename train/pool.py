"""Which samples a run may use: the sources opened, narrowed by collection, caption and fold, and put in order."""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from iconoclip.errors import ConfigError, ShardError
from iconoclip.files import sha256_json
from iconoclip.records import fold_of
from iconoclip.shards import MANIFEST_NAME, Manifest, ShardSet, ledger_name, open_shards

from .columns import Membership, has_ledger, read_columns, spoken_languages
from .config import BalanceConfig, CaptionConfig, SourceConfig, TrainConfig
from .mixture import ShareRow, expected_draws, share_rows
from .order import EpochOrder, Mixture

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pool:
    """The samples of a run: for each, the shard set it lies in and its place there; ``mixture`` orders them.

    ``sources[s]`` are the sample numbers of the s-th stream of the mixture; ``shares`` says what is seen of which
    source, language and institution.
    """

    sets: tuple[ShardSet, ...]
    set_of: np.ndarray
    position_of: np.ndarray
    sources: tuple[np.ndarray, ...]
    mixture: Mixture
    shares: tuple[ShareRow, ...] = ()

    @property
    def num_samples(self) -> int:
        """Samples in one epoch."""
        return len(self.set_of)

    def sha256(self) -> str:
        """Hash of what lies where and of what was chosen: another one means another stream."""
        chosen = hashlib.sha256(self.set_of.tobytes() + self.position_of.tobytes()).hexdigest()
        return sha256_json([[shard_set.sha256 for shard_set in self.sets], chosen])


def open_pool(config: TrainConfig) -> Pool:
    """Open the sources of ``config``, leave out the held-out fold and samples without a usable caption, and mix.

    Raises:
        ConfigError: nothing is left, the fold does not exist, or a weight is for what no sample has.
        ShardError: a source cannot be read.
    """
    if config.fold is not None:
        num_folds(config)  # or the fold would be left out of nothing, silently
    sets, chosen, languages, institutions = [], [], [], []
    for source in config.data:
        shard_set = open_shards(source.path, source.split)
        keep, spoken, held_by = _select(shard_set, source, config)
        if not keep.any():
            raise ConfigError(f"data: {source.path} ({source.split}): no sample is left by collections, captions, fold")
        if not keep.all():
            log.info("%s: %s of %s samples chosen", source.path, f"{keep.sum():,}", f"{len(keep):,}")
        sets.append(shard_set)
        chosen.append(np.flatnonzero(keep))
        languages.append(spoken.narrow(keep))
        institutions.append(held_by.narrow(keep))
    sizes = [len(numbers) for numbers in chosen]
    set_of = np.concatenate([np.full(size, n, dtype=np.int32) for n, size in enumerate(sizes)])
    memberships = {
        "source": Membership.of_codes(_source_names(config), set_of),
        "language": Membership.join(languages, sizes),
        "institution": Membership.join(institutions, sizes),
    }
    weights = [source.weight for source in config.data if source.weight is not None] or None
    draws = expected_draws(config.mixture, memberships, set_of, weights)
    streams, mixture = _mix(config, sets, chosen, set_of, draws)
    shares = tuple(share_rows(memberships, draws))
    return Pool(tuple(sets), set_of, np.concatenate(chosen), streams, mixture, shares)


def _mix(
    config: TrainConfig, sets: list[ShardSet], chosen: list[np.ndarray], set_of: np.ndarray, draws: np.ndarray
) -> tuple[tuple[np.ndarray, ...], Mixture]:
    """One stream of all samples, or one for each source where sources have shares of their own."""
    first_shard = np.cumsum([0, *(len(shard_set.paths) for shard_set in sets)])
    shard_of = np.concatenate(
        [s.shard_of[c] + first_shard[n] for n, (s, c) in enumerate(zip(sets, chosen, strict=True))]
    )
    streams = (np.arange(len(set_of)),)
    if config.data[0].weight is not None or config.mixture.source.temperature != 1:
        streams = tuple(np.flatnonzero(set_of == number) for number in range(len(sets)))
    orders = [
        EpochOrder(
            shard_of[numbers],
            seed=config.seed,
            name=f"source {n}",
            window_shards=config.window_shards,
            draws=None if np.ptp(draws[numbers]) == 0 else draws[numbers],
        )
        for n, numbers in enumerate(streams)
    ]
    return streams, Mixture(orders, [float(draws[numbers].sum()) for numbers in streams])


def _source_names(config: TrainConfig) -> list[str]:
    """Path of each source, with what tells it from another of the same path."""
    names = []
    for number, source in enumerate(config.data):
        same = [other for other in config.data if other.path == source.path]
        names.append(source.path if len(same) == 1 else f"{source.path} (data.{number})")
    return names


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
    spoken = spoken_languages(table["captions"], CaptionConfig())
    counts = np.bincount(spoken.value, minlength=len(spoken.names))
    return {
        "by_language": {name: int(count) for name, count in zip(spoken.names, counts, strict=True)},
        "by_rights_class": _counts(table["rights_class"]),
        "by_institution": _counts(table["institution"]),
    }


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    return dict(sorted((row["values"], row["counts"]) for row in column.value_counts().to_pylist()))


def _folds(path: str) -> tuple[int, str, list[str]]:
    """Return number of folds (0: none), salt and the collections that are dealt into folds."""
    if not Path(path).exists() and not any(sign in path for sign in "*?[{"):
        raise ShardError(f"{path}: not there; has `iconoclip prep` finished, and is the path right?")
    if not (Path(path) / MANIFEST_NAME).is_file():
        return 0, "", []
    holdout = Manifest.read(Path(path)).holdout
    sources = list(holdout.get("fold_sources") or [])
    return (int(holdout.get("folds") or 0) if sources else 0), str(holdout.get("salt", "")), sources


def _select(
    shard_set: ShardSet, source: SourceConfig, config: TrainConfig
) -> tuple[np.ndarray, Membership, Membership]:
    """Samples of one source that the run may use (bool [N]), and the languages and institutions of all of them.

    Of tars from elsewhere the records are read only where something depends on them.
    """
    captions, mixture, cheap = config.captions, config.mixture, has_ledger(source)
    is_filtered = bool(captions.languages or captions.levels or not captions.machine)
    columns = {
        "source": source.collections is not None or config.fold is not None,
        "work_group": config.fold is not None,
        "institution": cheap or mixture.institution != BalanceConfig(),
        "captions": captions.draw != "default" and (cheap or is_filtered or mixture.language != BalanceConfig()),
    }
    wanted = [name for name, needed in columns.items() if needed]
    rows = read_columns(shard_set, source, wanted) if wanted else None
    keep = np.ones(len(shard_set), dtype=bool)
    spoken = held_by = Membership.unknown(len(shard_set))
    if rows is None:
        return keep, spoken, held_by
    if columns["institution"]:
        held_by = Membership.single(rows["institution"].to_numpy(zero_copy_only=False))
    if columns["captions"]:
        spoken = spoken_languages(rows["captions"], captions)
        keep &= np.bincount(spoken.sample, minlength=len(keep)) > 0
    if source.collections is not None:
        names = rows["source"].to_numpy(zero_copy_only=False).astype(str)
        missing = sorted(set(source.collections) - set(names))
        if missing:
            raise ConfigError(f"data: {source.path} ({source.split}) has no collection {', '.join(missing)}")
        keep &= np.isin(names, source.collections)
    if config.fold is not None:
        keep &= ~_held_out(source.path, config, rows["source"].to_pylist(), rows["work_group"].to_pylist())
    return keep, spoken, held_by


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
