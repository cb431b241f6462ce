"""Embed once, evaluate many times: embeddings on disk, named by the weights' hash and the benchmark's revision.

``<weights_sha256[:12]>/<benchmark>@<revision>/`` holds ``images.safetensors`` with ``samples.parquet`` (its rows),
``texts-<sha>.safetensors`` and ``key.json``. Each file of embeddings bears the hash of all that they depend on:
weights, pictures or texts, preprocessing, size of the batches. What fits is not encoded again, what does not is. Rows
are made in parts of whole batches, each written when it is done, by any number of processes (:mod:`eval.share`);
whoever makes the tables puts them together.
"""

import contextlib
import json
import logging
import time
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from iconoclip.errors import EvaluationError
from iconoclip.files import atomic_path, sha256_json, write_json

from .data import Pictures
from .share import Share
from .tasks.base import Need

if TYPE_CHECKING:
    import torch

    from .contestants import Contestant

_log = logging.getLogger(__name__)

# Small enough that a few processes share a benchmark of a few thousand pictures evenly.
_PART_BATCHES = 8


@dataclass(frozen=True)
class _Rows:
    """Embeddings of one file: ``row_of`` picture or text, and ``depends_on`` all that they depend on.

    ``stream`` encodes the batches of these numbers, one by one.
    """

    path: Path
    row_of: dict[Any, int]
    depends_on: dict[str, Any]
    batch_size: int
    stream: Callable[[Sequence[int]], Generator[np.ndarray]]

    @property
    def key(self) -> str:
        """Hash that the file must bear."""
        return sha256_json(self.depends_on)

    def parts(self) -> Iterator[tuple[range, Path]]:
        """Rows of each part, and the file that holds them until all are there."""
        key, size = self.key[:12], _PART_BATCHES * self.batch_size
        for start in range(0, len(self.row_of), size):
            rows = range(start, min(start + size, len(self.row_of)))
            yield rows, self.path.with_name(f".{self.path.stem}-{key}-{start:09d}.part")

    def write(self, parts: Sequence[tuple[range, Path]]) -> int:
        """Encode some parts and write each as soon as it is done; return the number of rows."""
        batches = [range(rows.start // self.batch_size, -(-rows.stop // self.batch_size)) for rows, _ in parts]
        with contextlib.closing(self.stream([number for of_part in batches for number in of_part])) as stream:
            for (_, path), of_part in zip(parts, batches, strict=True):
                _write(path, np.concatenate([next(stream) for _ in of_part]), self.key)
        return sum(len(rows) for rows, _ in parts)

    def missing(self) -> list[bool]:
        """Of each part whether it is not there."""
        if _read(self.path, self.key, len(self.row_of), look_only=True) is not None:
            return [False for _ in self.parts()]
        # A listing is fresher than a look at one file where folders are shared by several machines.
        files = {path.name for path in self.path.parent.iterdir()} if self.path.parent.is_dir() else set()
        return [
            path.name not in files or _read(path, self.key, len(rows), look_only=True) is None
            for rows, path in self.parts()
        ]


class CachedEmbeddings:
    """Embeddings of one benchmark by one contestant, as far as tasks need them; implements ``tasks.base.Embedder``.

    ``encode`` each of ``runs`` (or ``describe`` it, where all should be there already), then ``load``.
    """

    def __init__(
        self,
        contestant: "Contestant",
        pictures: Pictures,
        needs: Sequence[Need],
        *,
        root: Path,
        benchmark: str,
        batch_size: int,
        device: "torch.device",
    ) -> None:
        self._contestant = contestant
        self._pictures = pictures
        self._root = root
        self._name = f"{benchmark}@{pictures.revision}"
        self._batch_size = batch_size
        self._device = device
        self._needs: dict[str, list[Need]] = {}
        for need in needs:
            self._needs.setdefault(contestant.run_of(need.fold), []).append(need)
        self._rows: dict[str, dict[str, _Rows]] = {}
        self._loaded: dict[str, dict[str, np.ndarray]] = {}

    @property
    def runs(self) -> list[str]:
        """Runs of the contestant that are asked."""
        return list(self._needs)

    def describe(self, run: str) -> None:
        """Find out which files a run's embeddings lie in; loads its weights."""
        if run in self._rows:
            return
        needs = self._needs[run]
        positions = sorted({position for need in needs for position in need.positions})
        texts = list(dict.fromkeys(text for need in needs for text in need.texts))
        fold = needs[0].fold
        folder = self._root / self._contestant.weights_sha256([fold])[:12] / self._name
        self._rows[run] = {}
        if positions:
            self._rows[run]["pictures"] = self._describe_pictures(folder, fold, positions)
        if texts:
            self._rows[run]["texts"] = self._describe_texts(folder, fold, texts)

    def encode(self, run: str, share: Share, numbers: Iterator[int]) -> None:
        """Encode this process's share of what the cache lacks of a run.

        ``numbers`` counts the parts; all processes must come here in the same order.
        """
        self.describe(run)
        for what, rows in self._rows[run].items():
            started = time.monotonic()
            parts = zip(rows.parts(), rows.missing(), strict=True)
            mine = [part for part, is_missing in parts if share.takes(next(numbers)) and is_missing]
            if mine:
                done = rows.write(mine)
                rate = done / max(time.monotonic() - started, 1e-9)
                _log.info(
                    "%s, %s: %s %s embedded, %.0f a second", self._contestant.label, self._name, f"{done:,}", what, rate
                )

    def missing(self) -> list[bool]:
        """Of each part of the runs that were described whether it is not there yet."""
        return [each for of_run in self._rows.values() for rows in of_run.values() for each in rows.missing()]

    def load(self) -> None:
        """Read what was described; parts are put together and are then gone.

        Raises:
            EvaluationError: some are not there.
        """
        for run, of_run in self._rows.items():
            self._loaded[run] = {what: _join(rows) for what, rows in of_run.items()}
            self._write_about(of_run)

    def images(self, fold: int | None, positions: Sequence[int]) -> np.ndarray:
        """[len(positions), D] of the run that left ``fold`` out."""
        return self._take(fold, "pictures", positions)

    def texts(self, fold: int | None, texts: Sequence[str]) -> np.ndarray:
        """[len(texts), D] of the run that left ``fold`` out."""
        return self._take(fold, "texts", texts)

    def _take(self, fold: int | None, what: str, asked: Sequence[Hashable]) -> np.ndarray:
        run = self._contestant.run_of(fold)
        row_of = self._rows[run][what].row_of
        return self._loaded[run][what][[row_of[each] for each in asked]]

    def _describe_pictures(self, folder: Path, fold: int | None, positions: Sequence[int]) -> _Rows:
        from iconoclip.embed import stream_images

        model = self._contestant.model(fold)

        def stream(batches: Sequence[int]) -> Generator[np.ndarray]:
            return stream_images(
                self._contestant.model(fold),
                lambda row: self._pictures.read(positions[row]),
                len(positions),
                batch_size=self._batch_size,
                device=self._device,
                batches=batches,
                at_once=True,
            )

        preprocess = json.loads(json.dumps(dict(sorted(model.preprocess_cfg.items())), default=str))
        pictures = sha256_json([self._pictures.keys[position] for position in positions])
        depends_on = self._common(fold) | {"pictures_sha256": pictures, "preprocess": preprocess}
        row_of = {position: row for row, position in enumerate(positions)}
        return _Rows(folder / "images.safetensors", row_of, depends_on, self._batch_size, stream)

    def _describe_texts(self, folder: Path, fold: int | None, texts: Sequence[str]) -> _Rows:
        from iconoclip.embed import stream_texts

        def stream(batches: Sequence[int]) -> Generator[np.ndarray]:
            return stream_texts(
                self._contestant.model(fold),
                texts,
                batch_size=self._batch_size,
                device=self._device,
                batches=batches,
                at_once=True,
            )

        sha256 = sha256_json(list(texts))
        context_length = self._contestant.model(fold).context_length
        depends_on = self._common(fold) | {"texts_sha256": sha256, "context_length": context_length}
        row_of = {text: row for row, text in enumerate(texts)}
        return _Rows(folder / f"texts-{sha256[:12]}.safetensors", row_of, depends_on, self._batch_size, stream)

    def _common(self, fold: int | None) -> dict[str, Any]:
        return {
            "weights_sha256": self._contestant.weights_sha256([fold]),
            "benchmark": self._name,
            "batch_size": self._batch_size,
            "dtype": "float32",
        }

    def _write_about(self, rows: dict[str, _Rows]) -> None:
        """For people and other programs: which pictures the rows are, and what they depend on."""
        folder = next(iter(rows.values())).path.parent
        key = {name: value for each in rows.values() for name, value in each.depends_on.items()}
        if _is_json(folder / "key.json", key):
            return
        if "pictures" in rows:
            positions = list(rows["pictures"].row_of)
            columns = {
                "key": [self._pictures.keys[position] for position in positions],
                "work_group": [self._pictures.works[position] for position in positions],
                "source": [self._pictures.records[position].source for position in positions],
            }
            with atomic_path(folder / "samples.parquet") as temporary:
                pq.write_table(pa.table(columns), temporary)
        write_json(folder / "key.json", key)


def _join(rows: _Rows) -> np.ndarray:
    """All rows of a file, from its parts where it is not there yet."""
    whole = _read(rows.path, rows.key, len(rows.row_of))
    if whole is None:
        parts = [_read(path, rows.key, len(part)) for part, path in rows.parts()]
        there = [part for part in parts if part is not None]
        if len(there) < len(parts):
            raise EvaluationError(
                f"{rows.path}: {len(parts) - len(there)} of {len(parts)} parts are not there, or of other weights, "
                "pictures, texts or `batch_size`"
            )
        whole = np.concatenate(there)
        _write(rows.path, whole, rows.key)
    # Parts, and what processes that were killed left of files.
    for pattern in (f"*.{rows.path.stem}-{rows.key[:12]}-*", f".{rows.path.name}.*.tmp"):
        for path in rows.path.parent.glob(pattern):
            path.unlink(missing_ok=True)
    return whole


def _is_json(path: Path, value: Any) -> bool:
    try:
        return json.loads(path.read_text(encoding="utf-8")) == value
    except (OSError, ValueError):
        return False


def _read(path: Path, key: str, count: int, *, look_only: bool = False) -> np.ndarray | None:
    """Embeddings of a file (no rows, with ``look_only``); None where it is missing, broken, or of something else."""
    try:
        with safe_open(path, framework="np") as file:
            is_right = (file.metadata() or {}).get("key") == key
            if not is_right or file.get_slice("embeddings").get_shape()[0] != count:
                return None
            return np.zeros((0, 0), np.float32) if look_only else file.get_tensor("embeddings")
    except (SafetensorError, OSError):
        return None


def _write(path: Path, embeddings: np.ndarray, key: str) -> None:
    with atomic_path(path) as temporary:
        save_file({"embeddings": np.ascontiguousarray(embeddings)}, temporary, metadata={"key": key})
        temporary.chmod(0o644)  # safetensors makes files that only their owner may read; a cache is to be published
