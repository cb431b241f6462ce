"""Find tested pictures whose embedding nearly equals that of a training picture: crops and other photographs of it.

That needs a model that tells pictures apart; one to which random pairs are that near is refused, with their share.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from iconoclip.files import atomic_path, sha256_json
from iconoclip.tar_index import cache_folder

from .config import ContestantConfig
from .contamination import Leak, SeenBy, TrainingPictures
from .data import Pictures

# Random pairs of different pictures that may be called the same before the model is no judge.
_MOST_RANDOM = 0.001
_RANDOM_PAIRS = 20_000
_CHUNK_CELLS = 16_000_000


class EmbeddingSearch:
    """Embeds pictures with one model, once, and finds pairs above a cosine."""

    def __init__(self, config: ContestantConfig, *, min_cosine: float, seed: int = 0) -> None:
        from iconoclip import models

        self._model = models.load(config.name, weights=config.weights, seed=seed)
        self._device = models.best_device()
        self.label = config.shown
        self.min_cosine = min_cosine
        self._rng = np.random.default_rng(seed)

    def find(
        self, pictures: Pictures, training: Sequence[TrainingPictures], is_seen: Sequence[SeenBy]
    ) -> tuple[list[Leak], str]:
        """Leaks by embedding, and why there are none where the model is no judge of these pictures."""
        own_ND = self._embed(f"{pictures.revision}-{len(pictures)}", pictures.keys, pictures.read)
        leaks: list[Leak] = []
        for each, seen in zip(training, is_seen, strict=True):
            if each.shards is None or not each.records:
                continue
            hashes = [shard.sha256 for shard in each.data.manifest.shards if shard.split == "train"]
            keys = [record.key for record in each.records]
            train_MD = self._embed(sha256_json(hashes), keys, each.shards.image_bytes)
            random = self._random_share(own_ND, train_MD)
            if random > _MOST_RANDOM:
                return [], (
                    f"to {self.label} {random:.1%} of random pairs are as near as {self.min_cosine:g}: it cannot say "
                    "which pictures are the same"
                )
            leaks += self._pairs(pictures, each, own_ND, train_MD, seen)
        return leaks, ""

    def _pairs(
        self, pictures: Pictures, training: TrainingPictures, own_ND: np.ndarray, train_MD: np.ndarray, seen: SeenBy
    ) -> list[Leak]:
        found = []
        at_once = max(1, _CHUNK_CELLS // len(train_MD))
        for start in range(0, len(own_ND), at_once):
            cosine_nM = own_ND[start : start + at_once] @ train_MD.T
            for row, place in np.argwhere(cosine_nM >= self.min_cosine).tolist():
                position = start + row
                if seen(position, place):
                    key, work = pictures.keys[position], pictures.works[position]
                    train_key, cosine = training.records[place].key, round(float(cosine_nM[row, place]), 4)
                    found.append(Leak(key, work, "embedding", training.name, train_key, cosine))
        return found

    def _random_share(self, own_ND: np.ndarray, train_MD: np.ndarray) -> float:
        """Share of random pairs that are at least as near as the threshold."""
        rows = self._rng.integers(0, len(own_ND), _RANDOM_PAIRS)
        places = self._rng.integers(0, len(train_MD), _RANDOM_PAIRS)
        cosine = np.einsum("pd,pd->p", own_ND[rows], train_MD[places])
        return float((cosine >= self.min_cosine).mean())

    def _embed(self, name: str, keys: Sequence[str], read) -> np.ndarray:
        """float32 [N, D] from the user's cache folder, or made and kept there."""
        from iconoclip.embed import embed_images

        digest = sha256_json([self._model.weights_sha256, name, list(keys)])[:32]
        path: Path = cache_folder() / "embeddings" / f"{digest}.safetensors"
        try:
            return load_file(path)["embeddings"]
        except (OSError, SafetensorError, KeyError):
            pass  # not there yet, or damaged
        rows = embed_images(self._model, read, len(keys), device=self._device)
        with atomic_path(path) as temporary:
            save_file({"embeddings": np.ascontiguousarray(rows)}, temporary)
        return rows
