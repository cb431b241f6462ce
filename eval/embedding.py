"""Encode what all models need for all benchmarks, by one process or by many, run after run of weights."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from iconoclip.errors import EvaluationError, IconoclipError

from .benchmarks.base import Benchmark, Prepared
from .cache import CachedEmbeddings
from .config import EvalConfig
from .contestants import Contestant
from .share import Share

if TYPE_CHECKING:
    import torch


class Embedders:
    """The embeddings of every contestant on every benchmark."""

    def __init__(
        self,
        config: EvalConfig,
        contestants: Sequence[Contestant],
        prepared: Sequence[tuple[Benchmark, Prepared]],
        share: Share,
    ) -> None:
        self._config = config
        device = _device(config, share)
        self._by_benchmark = {
            benchmark.shown_name: {
                contestant.label: CachedEmbeddings(
                    contestant,
                    ready.pictures,
                    [need for task in ready.tasks for need in task.needs()],
                    root=config.cache_folder,
                    benchmark=benchmark.shown_name,
                    batch_size=config.batch_size,
                    device=device,
                )
                for contestant in contestants
            }
            for benchmark, ready in prepared
        }
        self._labels = [contestant.label for contestant in contestants]

    def encode(self, share: Share) -> None:
        """Encode a share of what the cache lacks, nothing where only the cache is to be read.

        Raises:
            EvaluationError: something cannot be encoded; names the benchmark and the model.
        """
        numbers = itertools.count()
        for label in self._labels:
            mine = {name: embedders[label] for name, embedders in self._by_benchmark.items()}
            # Each run's weights are loaded once, for all benchmarks.
            for run in dict.fromkeys(run for embedder in mine.values() for run in embedder.runs):
                for name, embedder in mine.items():
                    try:
                        if run in embedder.runs and self._config.from_cache:
                            embedder.describe(run)
                        elif run in embedder.runs:
                            embedder.encode(run, share, numbers)
                    except IconoclipError as error:
                        raise EvaluationError(f"{name}, {label}: {error}") from None

    def missing(self) -> list[bool]:
        """Of each part of the work whether it is not done."""
        every = (embedder for embedders in self._by_benchmark.values() for embedder in embedders.values())
        return [each for embedder in every for each in embedder.missing()]

    def load(self, benchmark: str) -> dict[str, CachedEmbeddings]:
        """Embeddings of a benchmark by the contestant's label; they are given away and not held here any longer."""
        found = self._by_benchmark.pop(benchmark)
        for label, embedder in found.items():
            try:
                embedder.load()
            except EvaluationError as error:
                raise EvaluationError(f"{benchmark}, {label}: {error}") from None
        return found


def _device(config: EvalConfig, share: Share) -> "torch.device":
    import torch

    from iconoclip.models import best_device

    device = best_device() if config.device == "auto" else torch.device(config.device)
    if share.count > 1 and device.type == "cuda" and device.index is None:
        return torch.device("cuda", share.local % torch.cuda.device_count())
    return device
