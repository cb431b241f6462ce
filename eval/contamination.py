"""Which tested pictures were seen in training: the same file, nearly the same picture, or the nearest by embedding.

``find_leaks(pictures, training, ...)`` compares a benchmark with the training shards that are known. Nothing is thrown
away: every score is given for all queries, and again without those about pictures that were seen (``subset: clean``).
"""

import io
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from iconoclip.errors import EvaluationError, ShardError
from iconoclip.files import atomic_path, sha256_json
from iconoclip.near_duplicates import HASH_VERSION, UnionFind, hash_views, near_between
from iconoclip.records import Record
from iconoclip.shards import Manifest, ShardSet, open_shards
from iconoclip.tar_index import cache_folder

from .data import EvalData, Pictures

How = Literal["file", "near_duplicate", "embedding"]
_DRAFT_PX = 512
_THREADS = 4


@dataclass(frozen=True)
class Leak:
    """A tested picture that training saw; ``value`` is the distance in bits of 64, or the cosine."""

    key: str
    work: str
    how: How
    train_set: str
    train_key: str
    value: float


@dataclass(frozen=True)
class Leaks:
    """All leaks of one benchmark; ``compared`` says by what and with how many training pictures it was compared."""

    leaks: tuple[Leak, ...]
    compared: tuple[How, ...]
    num_train: int
    notes: tuple[str, ...] = ()

    @cached_property
    def keys(self) -> frozenset[str]:
        """Tested pictures that were seen."""
        return frozenset(leak.key for leak in self.leaks)


class TrainingPictures:
    """Pictures of one shard set's ``train/``, with what is needed to find them again; hashes are kept in the cache."""

    def __init__(self, root: Path) -> None:
        self.data = EvalData(root)
        self.root = root
        has_train = "train" in self.data.splits
        self.shards: ShardSet | None = open_shards(root, "train") if has_train else None
        self.records: list[Record] = self.data.records("train") if has_train else []

    @property
    def name(self) -> str:
        """What reports call the set: the last two parts of its path."""
        return "/".join(self.root.parts[-2:])

    @cached_property
    def folds(self) -> np.ndarray:
        """Fold in which each record is held out, -1 for those that every run trains on."""
        return np.array(
            [self.data.fold(r) if r.source in self.data.fold_sources else -1 for r in self.records], dtype=np.int64
        )

    @cached_property
    def views(self) -> list[list[int]]:
        """Hashes of the views of each picture; none of collections whose preparation says that they mean nothing."""
        if self.shards is None:
            return []
        hashes = [shard.sha256 for shard in self.data.manifest.shards if shard.split == "train"]
        found = kept_views(sha256_json(hashes), [record.key for record in self.records], self.shards.image_bytes)
        told = [_is_hashed(self.data.manifest, record.source) for record in self.records]
        return [views if is_hashed else [] for views, is_hashed in zip(found, told, strict=True)]


def training_sets(shards: Path | None, named: Sequence[Path], trained_on: Iterable[str]) -> list[TrainingPictures]:
    """Shard sets to compare with: the evaluation's, those that are named, and those that the models were trained on.

    What a model says it was trained on counts only where it still lies there; each set counts once.

    Raises:
        ShardError: a set that is named is not there.
    """
    roots = {path.resolve(): path for path in ([shards] if shards else []) + list(named)}
    for text in sorted(trained_on):
        path = Path(text)
        if path.is_absolute() and (path / "manifest.json").is_file():
            roots.setdefault(path.resolve(), path)
    by_content: dict[str, Path] = {}
    for path in roots.values():
        manifest = Manifest.read(path)
        by_content.setdefault(sha256_json(sorted(shard.sha256 for shard in manifest.shards)), path)
    found = [TrainingPictures(path) for path in by_content.values()]
    return [each for each in found if each.shards is not None]


def find_leaks(
    pictures: Pictures, training: Sequence[TrainingPictures], data: EvalData, *, by: Sequence[How], max_distance: int
) -> Leaks:
    """Compare a benchmark with training sets by file and by near-duplicate hash.

    A picture that is tested by folds is compared with what the run that left its fold out was trained on.
    """
    leaks: list[Leak] = []
    for each in training:
        is_seen = seen_by(pictures, each, data)
        if "file" in by:
            leaks += _by_file(pictures, each, is_seen)
        if "near_duplicate" in by:
            known = {(leak.key, leak.train_key) for leak in leaks}
            found = _by_hash(pictures, each, is_seen, max_distance)
            leaks += [leak for leak in found if (leak.key, leak.train_key) not in known]
    compared: tuple[How, ...] = tuple(how for how in ("file", "near_duplicate") if how in by) if training else ()
    return Leaks(tuple(leaks), compared, sum(len(each.records) for each in training))


SeenBy = Callable[[int, int], bool]


def seen_by(pictures: Pictures, training: TrainingPictures, data: EvalData) -> SeenBy:
    """Function that says whether the run that scores a picture (position) trained on a training record (place)."""
    is_same_set = data.has_shards and training.data.manifest.config_sha256 == data.manifest.config_sha256

    def is_seen(position: int, place: int) -> bool:
        fold = pictures.folds[position]
        return not (is_same_set and fold is not None and training.folds[place] == fold)

    return is_seen


def _by_file(pictures: Pictures, training: TrainingPictures, is_seen: SeenBy) -> list[Leak]:
    places: dict[str, list[int]] = {}
    for place, record in enumerate(training.records):
        if record.sha256:
            places.setdefault(record.sha256, []).append(place)
    return [
        Leak(record.key, pictures.works[position], "file", training.name, training.records[place].key, 0.0)
        for position, record in enumerate(pictures.records)
        for place in places.get(record.sha256, ())
        if is_seen(position, place)
    ]


def _by_hash(pictures: Pictures, training: TrainingPictures, is_seen: SeenBy, max_distance: int) -> list[Leak]:
    own = kept_views(f"{pictures.revision}-{len(pictures)}", pictures.keys, pictures.read)
    told = [_is_hashed(training.data.manifest, record.source) for record in pictures.records]
    own = [views if is_hashed else [] for views, is_hashed in zip(own, told, strict=True)]
    return [
        Leak(
            pictures.keys[position], pictures.works[position], "near_duplicate",
            training.name, training.records[place].key, float(bits),
        )
        for position, place, bits in near_between(own, training.views, max_distance)
        if is_seen(position, place)
    ]  # fmt: skip


def _is_hashed(manifest: Manifest, source: str) -> bool:
    """False for collections prepared with ``near_duplicates: false``, whose different pictures look alike in grey."""
    collections = manifest.config.get("collections") or {}
    return bool((collections.get(source) or {}).get("near_duplicates", True))


def kept_views(name: str, keys: Sequence[str], read: Callable[[int], bytes]) -> list[list[int]]:
    """Hashes of the views of some pictures, from the user's cache folder where they were made before.

    A picture that cannot be decoded has none.
    """
    digest = sha256_json([HASH_VERSION, name, list(keys)])[:32]
    path = cache_folder() / "views" / f"{digest}.parquet"
    try:
        return [list(map(int, row)) for row in pq.read_table(path)["views"].to_pylist()]
    except (OSError, pa.ArrowException, KeyError):
        pass  # not there yet, or damaged

    def views_of(position: int) -> list[int]:
        try:
            with Image.open(io.BytesIO(read(position))) as image:
                image.draft("RGB", (_DRAFT_PX, _DRAFT_PX))
                return hash_views(image.convert("RGB"))
        except (OSError, ValueError, SyntaxError, ShardError, EvaluationError, Image.DecompressionBombError):
            return []

    with ThreadPoolExecutor(_THREADS) as pool:
        views = list(pool.map(views_of, range(len(keys))))
    table = pa.table({"key": list(keys), "views": pa.array(views, pa.list_(pa.uint64()))})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)
    return views


def seen_works(pictures: Pictures, leaks: Leaks) -> frozenset[str]:
    """Works of seen pictures, and those that share a caption with one.

    Works that share a caption are one unit in retrieval, since one query answers for all of them.
    """
    groups: UnionFind[str] = UnionFind()
    first: dict[str, str] = {}
    for position, record in enumerate(pictures.records):
        work = pictures.works[position]
        groups.find(work)
        for caption in record.captions:
            text = " ".join(caption.text.split())
            groups.union(first.setdefault(text, work), work)
    seen = {groups.find(leak.work) for leak in leaks.leaks}
    return frozenset(work for work in set(pictures.works) if groups.find(work) in seen)
