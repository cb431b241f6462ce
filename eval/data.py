"""The shard set as evaluation sees it: records by collection and split, folds, and what was trained on."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from iconoclip.errors import EvaluationError, ShardError
from iconoclip.files import sha256_json
from iconoclip.records import Record, fold_of
from iconoclip.shards import Manifest, ShardSet, ledger_name, open_shards

_RUN_OUTSIDE_FOLDS = 0


class Store(Protocol):
    """Where encoded pictures and their default texts lie: a split of shards, or files of a benchmark."""

    def image_bytes(self, position: int) -> bytes:
        """Encoded picture."""
        ...

    def text(self, position: int) -> str:
        """Default caption."""
        ...


@dataclass(frozen=True)
class Pictures:
    """Pictures of a benchmark in their global order, with what is known about them.

    ``folds[i]`` is the fold in which picture i is held out from training, None where no run has trained on it.
    ``not_passed_on`` are keys of pictures that the set's ledger says may not be passed on, in a report either.
    """

    records: tuple[Record, ...]
    folds: tuple[int | None, ...]
    revision: str
    places: tuple[tuple[Store, int], ...]
    not_passed_on: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.records)

    def read(self, position: int) -> bytes:
        """Encoded picture."""
        shard_set, place = self.places[position]
        return shard_set.image_bytes(place)

    def default_text(self, position: int) -> str:
        """The shard's default caption, on one line."""
        shard_set, place = self.places[position]
        return " ".join(shard_set.text(place).split())

    def may_show(self, position: int) -> bool:
        """Whether a small copy may stand in a report or a notebook: rights, host and the set's ledger allow it."""
        record = self.records[position]
        return record.is_showable and record.key not in self.not_passed_on

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Key of each picture."""
        return tuple(record.key for record in self.records)

    @cached_property
    def works(self) -> tuple[str, ...]:
        """Work of each picture, the unit of resampling; a picture without one is its own work."""
        return tuple(record.work_group or record.key for record in self.records)

    @cached_property
    def descriptors(self) -> dict[int, np.ndarray]:
        """Colour-and-shape descriptors by position, as far as they were made (``baselines.colour_and_shape``)."""
        return {}

    @cached_property
    def nearest_looking(self) -> dict[str, np.ndarray]:
        """What ``baselines.nearest_looking`` found, by the hash of the positions that it looked at."""
        return {}

    def cells(self) -> dict[int | None, list[int]]:
        """Positions by fold: pictures that one run may be tested on together."""
        found: dict[int | None, list[int]] = {}
        for position, fold in enumerate(self.folds):
            found.setdefault(fold, []).append(position)
        return dict(sorted(found.items(), key=lambda item: -1 if item[0] is None else item[0]))


class EvalData:
    """Records of a shard set, read from its ledgers; without one (``root`` None) there are no splits.

    Raises:
        ShardError: there is no manifest, or a shard does not agree with it.
    """

    def __init__(self, root: Path | None) -> None:
        self.has_shards = root is not None
        self.root = root or Path()
        self.manifest = Manifest.read(root) if root else Manifest((), "", {}, "")
        self._opened: dict[str, ShardSet] = {}
        self._records: dict[str, list[Record]] = {}
        self._not_passed_on: set[str] = set()

    @cached_property
    def splits(self) -> list[str]:
        """Split folders, in the manifest's order."""
        return list(dict.fromkeys(shard.split for shard in self.manifest.shards))

    @cached_property
    def fold_sources(self) -> frozenset[str]:
        """Collections that lie in train/ whole and are tested by cross-fitting."""
        return frozenset(self.manifest.holdout.get("fold_sources") or ())

    @property
    def num_folds(self) -> int:
        """Number of folds of the fold collections."""
        return int(self.manifest.holdout.get("folds") or 0)

    def fold(self, record: Record) -> int:
        """Fold in which a record of a fold collection is held out."""
        return fold_of(record.work_group, folds=self.num_folds, salt=str(self.manifest.holdout["salt"]))

    def records(self, split: str) -> list[Record]:
        """All records of a split, in the order of its shards; from the ledger, the shards need not be there."""
        if split not in self._records:
            path = self.root / "ledger" / ledger_name(split)
            try:
                rows = pq.read_table(path).to_pylist()
            except (OSError, pa.ArrowException) as error:
                reason = " ".join(str(error).split())
                raise ShardError(f"{path}: cannot be read ({reason}); copy it again or run prep again") from None
            self._records[split] = [Record.from_dict(row) for row in rows]
            self._not_passed_on |= {row["key"] for row in rows if row.get("redistribute") == "no"}
        return self._records[split]

    @cached_property
    def train_works(self) -> frozenset[str]:
        """Works of which at least one picture is in train/."""
        return frozenset(record.work_group for record in self._train_records())

    def is_known_work(self, record: Record) -> bool:
        """Whether the run that scores pictures outside the folds (that of fold 0) has seen the record's work."""
        left_out = record.source in self.fold_sources and self.fold(record) == _RUN_OUTSIDE_FOLDS
        return record.work_group in self.train_works and not left_out

    @cached_property
    def train_words(self) -> frozenset[str]:
        """Words of all captions that training can see."""
        captions = (caption.text for record in self._train_records() for caption in record.captions)
        return frozenset(word for text in captions for word in words_of(text))

    def pictures(self, split: str, sources: Sequence[str] = ()) -> Pictures:
        """Pictures of one split, of some collections or of all (but never of records that training sees)."""
        return self._pictures([(split, source) for source in self._sources_of(split, sources)])

    def everything(self, splits: Sequence[str] = ()) -> Pictures:
        """Pictures of some splits or of all, also of what was trained on: to be looked at, not to be scored on.

        Raises:
            EvaluationError: there is no such split.
        """
        chosen = splits or self.splits
        missing = sorted(set(chosen) - set(self.splits))
        if missing:
            raise EvaluationError(f"{self.root}: no split {missing[0]!r}; it has {', '.join(self.splits)}")
        return self._pictures(
            [(split, source) for split in chosen for source in sorted({each.source for each in self.records(split)})]
        )

    def heldout(self, sources: Sequence[str]) -> Pictures:
        """Pictures of these collections that can be tested on, wherever they lie.

        A fold collection gives all its pictures, each with its fold; an evaluation collection all; any other its test
        split.

        ``sources`` empty means all.

        Raises:
            EvaluationError: a collection is in none of them.
        """
        chosen = []
        tested = {record.source for record in self.records("test")} if "test" in self.splits else set()
        for source in sources or sorted(self.fold_sources | tested):
            if source in self.fold_sources:
                chosen.append(("train", source))
                continue
            candidates = [split for split in self.splits if split.startswith("eval/")] + ["test"]
            found = [split for split in candidates if split in self.splits and source in self._sources_of(split, ())]
            if not found:
                raise EvaluationError(
                    f"{self.root}: no held-out pictures of {source!r}; it has {self._listed()}; "
                    "is the collection's name the one in the prep configuration?"
                )
            chosen.append((found[0], source))
        return self._pictures(chosen)

    def _pictures(self, chosen: Iterable[tuple[str, str]]) -> Pictures:
        rows: list[tuple[ShardSet, int, Record, int | None]] = []
        shards: set[str] = set()
        chosen = list(chosen)
        for split in dict.fromkeys(split for split, _ in chosen):
            wanted = {source for at, source in chosen if at == split}
            shard_set, records = self._open(split), self.records(split)
            shards |= {shard.sha256 for shard in self.manifest.shards if shard.split == split}
            for place, record in enumerate(records):
                if record.source in wanted:
                    in_fold = split == "train" and record.source in self.fold_sources
                    rows.append((shard_set, place, record, self.fold(record) if in_fold else None))
        revision = sha256_json([sorted(shards), [record.key for _, _, record, _ in rows]])
        return Pictures(
            records=tuple(record for _, _, record, _ in rows),
            folds=tuple(fold for _, _, _, fold in rows),
            revision=revision[:12],
            places=tuple((shard_set, place) for shard_set, place, _, _ in rows),
            not_passed_on=frozenset(self._not_passed_on),
        )

    def _sources_of(self, split: str, wanted: Sequence[str]) -> list[str]:
        if split not in self.splits:
            raise EvaluationError(f"{self.root}: no split {split!r}; it has {', '.join(self.splits)}")
        there = sorted({record.source for record in self.records(split)})
        missing = sorted(set(wanted) - set(there))
        if missing:
            raise EvaluationError(f"{self.root}: {split}/ holds no {', '.join(missing)}; it has {', '.join(there)}")
        if split == "train":
            trained = sorted(set(wanted or there) - self.fold_sources)
            if trained:
                raise EvaluationError(
                    f"{self.root}: {', '.join(trained)} in train/ is trained on; "
                    "only fold collections can be tested there, give split: test"
                )
        return list(wanted) or there

    def _train_records(self) -> list[Record]:
        return self.records("train") if "train" in self.splits else []

    def _open(self, split: str) -> ShardSet:
        if split not in self._opened:
            self._opened[split] = open_shards(self.root, split)
        return self._opened[split]

    def _listed(self) -> str:
        parts = []
        for split in self.splits:
            names = sorted({record.source for record in self.records(split)})
            parts.append(f"{split}: {', '.join(names)}")
        return "; ".join(parts)


def words_of(text: str) -> list[str]:
    """Words of a text in lower case, without figures and signs: ``L'estampe (1er état)`` -> l, estampe, er, état."""
    return re.findall(r"[^\W\d_]+", text.casefold())


def choose_pictures(pictures: Pictures, positions: Sequence[int]) -> Pictures:
    """Some pictures of a benchmark; their revision follows from the choice."""
    return Pictures(
        records=tuple(pictures.records[p] for p in positions),
        folds=tuple(pictures.folds[p] for p in positions),
        revision=sha256_json([pictures.revision, [pictures.keys[p] for p in positions]])[:12],
        places=tuple(pictures.places[p] for p in positions),
        not_passed_on=pictures.not_passed_on,
    )
