"""Zero-shot classification: each class is the renormalised mean of its prompts' unit-norm embeddings.

The prompt ensemble of CLIP and CLIP_benchmark; the learned temperature and bias change no order and are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iconoclip.metrics import predict_classes

from ..data import Pictures
from ._labelled import class_measures, class_rows, picture_baselines
from .base import Embedder, Need, Scores, round_similarity


@dataclass(frozen=True)
class Classification:
    """Zero-shot classes of pictures that no run has trained on; ``class_prompts[c]`` are the prompts of class c."""

    name: str
    pictures: Pictures
    positions: tuple[int, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    class_prompts: tuple[tuple[str, ...], ...]
    language: str
    primary: str = "mean_per_class_recall"

    @property
    def prompts(self) -> tuple[str, ...]:
        """All prompts, class by class."""
        return tuple(prompt for prompts in self.class_prompts for prompt in prompts)

    @property
    def zero_shot_prompts(self) -> dict[str, tuple[str, ...]]:
        """The prompts by their language."""
        return {self.language: self.prompts}

    def needs(self) -> list[Need]:
        """Pictures and prompts."""
        return [Need(None, self.positions, self.prompts)]

    def score(self, embedder: Embedder) -> Scores:
        """Predict the nearest class of each picture."""
        weights_CD = class_weights(embedder.texts(None, self.prompts), [len(p) for p in self.class_prompts])
        similarity_NC = round_similarity(embedder.images(None, self.positions) @ weights_CD.T)
        predicted = predict_classes(similarity_NC, np.array(self.labels))
        chosen = similarity_NC[np.arange(len(predicted)), predicted]
        return Scores(class_measures(self, predicted), class_rows(self, predicted, chosen))

    def baselines(self) -> dict[str, Scores]:
        """The largest class, and the colour-and-shape nearest neighbour that leaves the document out."""
        return {name: Scores(class_measures(self, guess)) for name, guess in picture_baselines(self).items()}


def class_weights(prompts_PD: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Class vectors [C, D] of unit length from unit-norm prompt embeddings, ``sizes[c]`` in a row per class.

    Example: prompts (1, 0) and (0, 1) of one class give (0.707, 0.707).
    """
    ends = np.cumsum(sizes)
    means = [prompts_PD[end - size : end].mean(axis=0) for size, end in zip(sizes, ends, strict=True)]
    return np.stack([mean / np.linalg.norm(mean) for mean in means])
