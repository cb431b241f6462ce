"""Pictures of benchmarks that lie in folders or Parquet files of others, instead of shards of ours."""

import hashlib
import io
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from iconoclip.errors import EvaluationError
from iconoclip.files import sha256_json
from iconoclip.records import Record

from ..data import Pictures, Store
from .base import FilesBenchmark

_KEPT_GROUPS = 2
_THREADS = 4
# More pictures than this missing or broken is no link rot: the folder is the wrong one.
_MOST_LEFT_OUT = 0.5


class Folder:
    """Pictures as files; ``texts`` are their default captions."""

    def __init__(self, paths: Sequence[Path], texts: Sequence[str] = ()) -> None:
        self._paths, self._texts = list(paths), list(texts)

    def image_bytes(self, position: int) -> bytes:
        """Content of the file.

        Raises:
            FileNotFoundError: it is not there.
        """
        return self._paths[position].read_bytes()

    def text(self, position: int) -> str:
        """Default caption."""
        return self._texts[position] if self._texts else ""


class Rows:
    """Pictures in a column ``image`` of Parquet files (a struct with ``bytes``, as ``datasets`` writes it)."""

    def __init__(self, paths: Sequence[Path]) -> None:
        import pyarrow.parquet as pq

        self._paths = tuple(paths)
        self._files = [pq.ParquetFile(path) for path in paths]
        self._groups: list[tuple[int, int, int]] = []
        start = 0
        for number, file in enumerate(self._files):
            for group in range(file.num_row_groups):
                self._groups.append((start, number, group))
                start += file.metadata.row_group(group).num_rows
        self._length = start
        self._kept: OrderedDict[int, list[bytes | None]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._length

    def __reduce__(self) -> tuple[type["Rows"], tuple[Sequence[Path]]]:
        """Another process opens the files for itself."""
        return Rows, (self._paths,)

    def column(self, name: str) -> list[Any]:
        """One of the other columns, whole."""
        return [value for file in self._files for value in file.read(columns=[name])[name].to_pylist()]

    def image_bytes(self, position: int) -> bytes:
        """Encoded picture of a row.

        Raises:
            FileNotFoundError: the row has none.
        """
        place = int(np.searchsorted([start for start, _, _ in self._groups], position, side="right")) - 1
        start, number, group = self._groups[place]
        with self._lock:
            if place not in self._kept:
                column = self._files[number].read_row_group(group, columns=["image"])["image"]
                self._kept[place] = [None if row is None else row["bytes"] for row in column.to_pylist()]
                while len(self._kept) > _KEPT_GROUPS:
                    self._kept.popitem(last=False)
            found = self._kept[place][position - start]
        if found is None:
            raise FileNotFoundError(f"row {position} has no picture")
        return found

    def text(self, position: int) -> str:
        """None: captions lie in the records."""
        return ""


class NoPictures:
    """Stands where a benchmark asks about texts alone."""

    def image_bytes(self, position: int) -> bytes:
        """Never asked for."""
        raise EvaluationError("this benchmark has texts and no pictures")

    def text(self, position: int) -> str:
        """Nothing."""
        return ""


def gather(
    benchmark: FilesBenchmark,
    records: Sequence[Record],
    store: Store,
    *,
    digest: Callable[[int], tuple[str, str]] | None = None,
    answers: Sequence[Any] | None = None,
) -> tuple[Pictures, dict[str, Any]]:
    """Pictures that are there and can be opened, with their hashes; and how many are not, by reason.

    ``digest`` gives (sha256, ``""``) of a picture, or (``""``, why it is left out), where that is known already.
    Identical files are one work. The revision is the hash of identifiers, contents and ``answers``, what is right of
    each record, by default its notations: figures move with these as they do with pictures. Nothing of these
    collections is shown in a report: rights are the owners'.

    Raises:
        EvaluationError: most pictures are missing or broken, or the revision is not the one that was expected.
    """
    order = np.random.default_rng(benchmark.seed).permutation(len(records)) if benchmark.limit else range(len(records))
    with ThreadPoolExecutor(_THREADS) as pool:
        look = partial(map, digest) if digest else partial(pool.map, partial(_digest, store))
        kept, left_out = [], Counter[str]()
        # A limited benchmark reads on until it has enough: missing pictures do not make it smaller.
        at_once = benchmark.limit or len(records)
        for start in range(0, len(records), max(1, at_once)):
            chosen = [int(position) for position in order[start : start + at_once]]
            for position, (sha256, reason) in zip(chosen, look(chosen), strict=True):
                if reason:
                    left_out[reason] += 1
                else:
                    kept.append((position, sha256))
            if benchmark.limit and len(kept) >= benchmark.limit:
                kept = kept[: benchmark.limit]
                break
    kept.sort()
    check_left_out(benchmark, len(kept), left_out)
    chosen = [_with_hash(records[position], sha256) for position, sha256 in kept]
    right = [list(records[position].iconclass) if answers is None else answers[position] for position, _ in kept]
    revision = sha256_json([[each.id, each.sha256, answer] for each, answer in zip(chosen, right, strict=True)])[:12]
    check_revision(benchmark, revision)
    pictures = Pictures(
        records=tuple(chosen),
        folds=(None,) * len(chosen),
        revision=revision,
        places=tuple((store, position) for position, _ in kept),
        not_passed_on=frozenset(record.key for record in chosen),
    )
    return pictures, {"pictures_left_out": dict(sorted(left_out.items()))}


def check_left_out(benchmark: FilesBenchmark, num_kept: int, left_out: Counter[str]) -> None:
    """Refuse a folder that is not the one that was meant.

    Raises:
        EvaluationError: nothing is there, or most of it is left out.
    """
    tried = num_kept + left_out.total()
    if not num_kept or left_out.total() > _MOST_LEFT_OUT * tried:
        why = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items() if count) or "nothing listed"
        raise EvaluationError(f"{_where(benchmark)}: only {num_kept:,} of {tried:,} pictures can be read ({why})")


def check_revision(benchmark: FilesBenchmark, revision: str) -> None:
    """Compare a content hash with the one that was expected.

    Raises:
        EvaluationError: the data is not what it was.
    """
    if benchmark.revision and benchmark.revision != revision:
        raise EvaluationError(
            f"{_where(benchmark)}: the data is revision {revision}, expected {benchmark.revision}; figures of the two "
            "cannot be compared: get the earlier data, or drop `revision`"
        )


def fetch(benchmark: FilesBenchmark, repository: str, patterns: Sequence[str]) -> Path:
    """Folder of a data set: ``root``, else a snapshot of the Hub's repository at the pinned revision.

    Raises:
        EvaluationError: the folder is not there, or the Hub does not answer.
    """
    if benchmark.root is not None:
        if not benchmark.root.is_dir():
            raise EvaluationError(f"{benchmark.root}: no such folder; `root` is where {benchmark.title} was unpacked")
        return benchmark.root
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                repository, repo_type="dataset", revision=benchmark.pinned_revision, allow_patterns=list(patterns)
            )
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        first = (str(error).splitlines() or ["no answer"])[0]
        raise EvaluationError(
            f"hf-hub:{repository}: {first}; is there a network? `root` names a folder with the data"
        ) from None


def need_root(benchmark: FilesBenchmark, url: str) -> Path:
    """Folder of a data set that lies on no Hub.

    Raises:
        EvaluationError: it is not given or not there.
    """
    if benchmark.root is None:
        raise EvaluationError(f"give `root`, the folder with the data of {benchmark.title}; it is at {url}")
    return fetch(benchmark, "", ())


def need_file(path: Path, what: str) -> Path:
    """The path itself.

    Raises:
        EvaluationError: it is not there.
    """
    if not path.is_file():
        raise EvaluationError(f"{path}: not there; it holds {what}")
    return path


def parquet_files(folder: Path, split: str) -> list[Path]:
    """Files of one split as the Hub lays them out: ``data/<split>-00000-of-00005.parquet``.

    Raises:
        EvaluationError: there is none.
    """
    found = sorted((folder / "data").glob(f"{split}-*.parquet"))
    if not found:
        raise EvaluationError(f"{folder}: no data/{split}-*.parquet; is this the data set, and is it there whole?")
    return found


def _digest(store: Store, position: int) -> tuple[str, str]:
    """(sha256, ``""``) of a picture, or (``""``, why it is left out); only its header is decoded."""
    try:
        data = store.image_bytes(position)
    except FileNotFoundError:
        return "", "missing"
    try:
        with Image.open(io.BytesIO(data)):
            return hashlib.sha256(data).hexdigest(), ""
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return "", "broken"


def _with_hash(record: Record, digest: str) -> Record:
    return replace(record, sha256=digest, work_group=record.work_group or f"{record.source}:{digest[:20]}")


def _where(benchmark: FilesBenchmark) -> str:
    return f"{benchmark.shown_name} ({benchmark.root or 'Hub'})"
