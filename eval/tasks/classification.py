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
    """Zero-shot classes of pictures that no run has trained on; ``class_prompts[c]`` are the prompts of class c.

    An ensemble of several languages names them comma-separated in ``language`` and, in ``prompt_languages``, the one of
    each prompt of a class.
    """

    name: str
    pictures: Pictures
    positions: tuple[int, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    class_prompts: tuple[tuple[str, ...], ...]
    language: str
    primary: str = "mean_per_class_recall"
    prompt_languages: tuple[str, ...] = ()

    @property
    def prompts(self) -> tuple[str, ...]:
        """All prompts, class by class."""
        return tuple(prompt for prompts in self.class_prompts for prompt in prompts)

    @property
    def zero_shot_prompts(self) -> dict[str, tuple[str, ...]]:
        """The prompts by their language."""
        if not self.prompt_languages:
            return {self.language: self.prompts}
        found: dict[str, tuple[str, ...]] = {}
        for prompts in self.class_prompts:
            for prompt, language in zip(prompts, self.prompt_languages, strict=True):
                found[language] = (*found.get(language, ()), prompt)
        return found

    @property
    def texts_by_language(self) -> dict[str, tuple[str, ...]]:
        """The prompts."""
        return self.zero_shot_prompts

    def needs(self) -> list[Need]:
        """Pictures and prompts."""
        return [Need(None, self.positions, self.prompts)]

    def score(self, embedder: Embedder) -> Scores:
        """Predict the nearest class of each picture."""
        images_ND, prompts_PD = embedder.images(None, self.positions), embedder.texts(None, self.prompts)
        sizes = [len(prompts) for prompts in self.class_prompts]
        similarity_NC = round_similarity(images_ND @ class_weights(prompts_PD, sizes).T)
        predicted = predict_classes(similarity_NC, np.array(self.labels))
        chosen = similarity_NC[np.arange(len(predicted)), predicted]
        return Scores(
            class_measures(self, predicted, similarity_NC),
            class_rows(self, predicted, chosen),
            by_prompt=self._by_prompt(images_ND, prompts_PD),
        )

    def _by_prompt(self, images_ND: np.ndarray, prompts_PD: np.ndarray) -> dict[str, np.ndarray]:
        """Whether each picture is right with one prompt a class alone; empty where classes differ in their number."""
        count = len(self.class_prompts[0])
        if count < 2 or any(len(prompts) != count for prompts in self.class_prompts):
            return {}
        labels, found = np.array(self.labels), {}
        for number, prompt in enumerate(self.class_prompts[0]):
            similarity_NC = round_similarity(images_ND @ prompts_PD[number::count].T)
            found[prompt] = (predict_classes(similarity_NC, labels) == labels).astype(np.float64)
        return found

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
