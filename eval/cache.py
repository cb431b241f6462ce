"""Embed once, evaluate many times: embeddings on disk, named by the weights' hash and the benchmark's revision.

``cache/<weights_sha256[:12]>/<benchmark>@<revision>/`` holds ``images.safetensors`` with ``samples.parquet`` (its
rows), ``texts-<sha>.safetensors`` and ``key.json``. What is there and fits is not encoded again; an interrupted run
keeps its finished parts.
"""

import json
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from iconoclip.files import atomic_path, sha256_json, write_json

from .data import Pictures
from .tasks.base import Need

if TYPE_CHECKING:
    import torch

    from .contestants import Contestant

_log = logging.getLogger(__name__)

_PART_BATCHES = 64


class CachedEmbeddings:
    """Embeddings of one benchmark by one contestant; implements ``tasks.base.Embedder``."""

    def __init__(
        self,
        contestant: "Contestant",
        pictures: Pictures,
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
        self._images: dict[str, tuple[dict[int, int], np.ndarray]] = {}
        self._texts: dict[str, tuple[dict[str, int], np.ndarray]] = {}

    def fill(self, needs: Sequence[Need]) -> None:
        """Encode what the tasks need and the cache lacks, run after run, so that each run's weights are loaded once."""
        by_run: dict[str, list[Need]] = {}
        for need in needs:
            by_run.setdefault(self._contestant.run_of(need.fold), []).append(need)
        for run, mine in by_run.items():
            positions = sorted({position for need in mine for position in need.positions})
            texts = list(dict.fromkeys(text for need in mine for text in need.texts))
            fold = mine[0].fold
            folder = self._root / self._contestant.weights_sha256([fold])[:12] / self._name
            key = self._key(fold, positions)
            if not _is_key(folder / "key.json", key):
                _clear(folder)
            write_json(folder / "key.json", key)
            if positions:
                self._images[run] = (
                    dict(zip(positions, range(len(positions)), strict=True)),
                    self._encode_images(folder, fold, positions),
                )
            if texts:
                self._texts[run] = (
                    dict(zip(texts, range(len(texts)), strict=True)),
                    self._encode_texts(folder, fold, texts),
                )

    def images(self, fold: int | None, positions: Sequence[int]) -> np.ndarray:
        """[len(positions), D] of the run that left ``fold`` out."""
        row_of, rows = self._images[self._contestant.run_of(fold)]
        return rows[[row_of[position] for position in positions]]

    def texts(self, fold: int | None, texts: Sequence[str]) -> np.ndarray:
        """[len(texts), D] of the run that left ``fold`` out."""
        row_of, rows = self._texts[self._contestant.run_of(fold)]
        return rows[[row_of[text] for text in texts]]

    def _key(self, fold: int | None, positions: Sequence[int]) -> dict[str, Any]:
        model = self._contestant.model(fold)
        preprocess = dict(sorted(model.preprocess_cfg.items()))
        return {
            "weights_sha256": self._contestant.weights_sha256([fold]),
            "benchmark": self._name,
            "pictures_sha256": sha256_json([self._pictures.keys[position] for position in positions]),
            "preprocess": json.loads(json.dumps(preprocess, default=str)),
            "context_length": model.context_length,
            "batch_size": self._batch_size,
            "dtype": "float32",
        }

    def _encode_images(self, folder: Path, fold: int | None, positions: Sequence[int]) -> np.ndarray:
        from iconoclip.embed import embed_images

        def encode(rows: range) -> np.ndarray:
            return embed_images(
                self._contestant.model(fold),
                lambda row: self._pictures.read(positions[rows.start + row]),
                len(rows),
                batch_size=self._batch_size,
                device=self._device,
            )

        table = pa.table(
            {
                "key": [self._pictures.keys[position] for position in positions],
                "work_group": [self._pictures.works[position] for position in positions],
                "source": [self._pictures.records[position].source for position in positions],
            }
        )
        with atomic_path(folder / "samples.parquet") as temporary:
            pq.write_table(table, temporary)
        return self._encode(folder / "images.safetensors", len(positions), encode, "pictures")

    def _encode_texts(self, folder: Path, fold: int | None, texts: Sequence[str]) -> np.ndarray:
        from iconoclip.embed import embed_texts

        def encode(rows: range) -> np.ndarray:
            return embed_texts(
                self._contestant.model(fold),
                texts[rows.start : rows.stop],
                batch_size=self._batch_size,
                device=self._device,
            )

        path = folder / f"texts-{sha256_json(list(texts))[:12]}.safetensors"
        return self._encode(path, len(texts), encode, "texts")

    def _encode(self, path: Path, count: int, encode: Callable[[range], np.ndarray], what: str) -> np.ndarray:
        """Rows of ``path``, encoded if they are not there; parts of whole batches survive an interruption."""
        found = _read(path, count)
        if found is not None:
            return found
        started, done = time.monotonic(), 0
        size = _PART_BATCHES * self._batch_size
        parts, files = [], []
        for start in range(0, count, size):
            rows = range(start, min(start + size, count))
            part = path.with_name(f".{path.stem}-{start:09d}.part")
            embeddings = _read(part, len(rows))
            if embeddings is None:
                embeddings = encode(rows)
                done += len(rows)
                if len(rows) < count:
                    _write(part, embeddings)
            parts.append(embeddings)
            files.append(part)
        together = np.concatenate(parts)
        _write(path, together)
        for part in files:
            part.unlink(missing_ok=True)
        rate = done / max(time.monotonic() - started, 1e-9)
        _log.info("%s, %s: %s %s embedded, %.0f a second", self._contestant.label, self._name, f"{done:,}", what, rate)
        return together


def _is_key(path: Path, key: dict[str, Any]) -> bool:
    try:
        return json.loads(path.read_text(encoding="utf-8")) == key
    except (OSError, ValueError):
        return False


def _clear(folder: Path) -> None:
    for pattern in ("*.safetensors", ".*.part", "samples.parquet", "key.json"):
        for path in folder.glob(pattern):
            path.unlink()


def _read(path: Path, count: int) -> np.ndarray | None:
    """Embeddings of a file; None where it is missing, broken or of another length."""
    if not path.is_file():
        return None
    try:
        rows = load_file(path)["embeddings"]
    except (SafetensorError, OSError, KeyError):
        return None
    return rows if len(rows) == count else None


def _write(path: Path, embeddings: np.ndarray) -> None:
    with atomic_path(path) as temporary:
        save_file({"embeddings": np.ascontiguousarray(embeddings)}, temporary)
