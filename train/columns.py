"""What is known of the samples of a source before any is read: columns of the ledger, or of the records of tars."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import compute

from iconoclip.records import Record
from iconoclip.shards import MANIFEST_NAME, ShardSet, ledger_name

from .config import CaptionConfig, SourceConfig

pc: Any = compute  # its functions are made when it is imported, unseen by type checkers
_CAPTION = pa.struct([("text", pa.string()), ("lang", pa.string()), ("level", pa.string()), ("machine", pa.bool_())])
_TYPES = {"captions": pa.list_(_CAPTION)}
_UNKNOWN = "(not read)"


@dataclass(frozen=True)
class Membership:
    """Which values an attribute has in which samples: of the whole of sample ``sample[m]`` the part ``part[m]`` is
    ``names[value[m]]``. The parts of a sample add up to 1.
    """

    names: tuple[str, ...]
    sample: np.ndarray
    value: np.ndarray
    part: np.ndarray

    @classmethod
    def single(cls, values: np.ndarray) -> "Membership":
        """One value for each sample."""
        names, codes = np.unique(values.astype(str), return_inverse=True)
        return cls(tuple(map(str, names)), np.arange(len(values)), codes, np.ones(len(values)))

    @classmethod
    def of_codes(cls, names: list[str], codes: np.ndarray) -> "Membership":
        """One value for each sample, as its number among ``names``."""
        return cls(tuple(names), np.arange(len(codes)), codes, np.ones(len(codes)))

    @classmethod
    def unknown(cls, num_samples: int) -> "Membership":
        """Stand for values that nobody has read."""
        return cls((_UNKNOWN,), np.arange(num_samples), np.zeros(num_samples, dtype=np.int64), np.ones(num_samples))

    def narrow(self, keep: np.ndarray) -> "Membership":
        """Membership among the samples that a mask bool [N] keeps, numbered anew."""
        number, kept = np.cumsum(keep) - 1, keep[self.sample]
        return Membership(self.names, number[self.sample[kept]], self.value[kept], self.part[kept])

    @classmethod
    def join(cls, parts: list["Membership"], sizes: list[int]) -> "Membership":
        """Membership of several sources laid end to end."""
        names = sorted({name for part in parts for name in part.names})
        values = [np.array([names.index(name) for name in part.names], dtype=np.int64)[part.value] for part in parts]
        starts = np.cumsum([0, *sizes[:-1]])
        samples = [part.sample + start for part, start in zip(parts, starts, strict=True)]
        shares = [part.part for part in parts]
        return cls(tuple(names), np.concatenate(samples), np.concatenate(values), np.concatenate(shares))


def has_ledger(source: SourceConfig) -> bool:
    """Whether a source is a shard set of ours, whose columns cost little."""
    return (Path(source.path) / MANIFEST_NAME).is_file()


def read_columns(shard_set: ShardSet, source: SourceConfig, wanted: list[str]) -> pa.Table:
    """Columns of the records of a source, in the order of its samples."""
    if has_ledger(source):
        return pq.read_table(Path(source.path) / "ledger" / ledger_name(source.split), columns=wanted)
    records = shard_set.records()
    return pa.table(
        {name: pa.array([_cell(r, name) for r in records], _TYPES.get(name, pa.string())) for name in wanted}
    )


def _cell(record: Record, name: str) -> object:
    value = getattr(record, name)
    if name != "captions":
        return value
    return [{"text": c.text, "lang": c.lang, "level": c.level, "machine": c.machine} for c in value]


def spoken_languages(captions: pa.ChunkedArray, config: CaptionConfig) -> Membership:
    """Languages of the captions that the run may use, each with the probability that it is drawn for the sample.

    A sample without such a caption is in no language. The same choice as `captions.usable`, for a whole column.
    """
    samples, spoken, start = [], [], 0
    for chunk in captions.chunks:
        flat = chunk.flatten()
        usable = pc.not_equal(pc.utf8_trim_whitespace(pc.struct_field(flat, "text")), "")
        if config.languages is not None:
            usable = pc.and_(usable, pc.is_in(pc.struct_field(flat, "lang"), value_set=pa.array(config.languages)))
        if config.levels is not None:
            usable = pc.and_(usable, pc.is_in(pc.struct_field(flat, "level"), value_set=pa.array(config.levels)))
        if not config.machine:
            usable = pc.and_(usable, pc.invert(pc.struct_field(flat, "machine")))
        mask = usable.to_numpy(zero_copy_only=False)
        samples.append(pc.list_parent_indices(chunk).to_numpy()[mask] + start)
        spoken.append(pc.struct_field(flat, "lang").to_numpy(zero_copy_only=False)[mask])
        start += len(chunk)
    names, codes = np.unique(np.concatenate(spoken or [np.array([], dtype=object)]).astype(str), return_inverse=True)
    pairs = np.unique(np.concatenate(samples or [np.array([], dtype=np.int64)]) * max(len(names), 1) + codes)
    sample, value = np.divmod(pairs, max(len(names), 1))
    weight = np.array([config.weights.get(str(name), 1.0) for name in names])[value] if len(names) else np.zeros(0)
    total = np.bincount(sample, weights=weight, minlength=start)
    return Membership(tuple(map(str, names)), sample, value, weight / total[sample])
