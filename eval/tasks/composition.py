"""Composition: does the model bind an attribute to its bearer, or only recognise words?

Each item is a picture with one right text and one that differs in a single part: Peter with keys, Peter with a sword.
The right text must be strictly nearer. Guessing is right in half of them, and so is a model that reads no attribute.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..data import Pictures
from ._slices import picture_slices
from .base import Embedder, Measure, Need, Queries, Scores, masks, round_similarity, sample_row


@dataclass(frozen=True)
class Pair:
    """One item: a picture's position, the right text, the wrong one, and what was swapped (``attribute``, ``name``)."""

    position: int
    right: str
    wrong: str
    swapped: str


@dataclass(frozen=True)
class Composition:
    """Pairs of texts on pictures that no run has trained on."""

    name: str
    pictures: Pictures
    pairs: tuple[Pair, ...]
    language: str
    primary: str = "pair_accuracy"

    @property
    def prompts(self) -> tuple[str, ...]:
        """All texts, each once, in order."""
        return tuple(dict.fromkeys(text for pair in self.pairs for text in (pair.right, pair.wrong)))

    @property
    def zero_shot_prompts(self) -> dict[str, tuple[str, ...]]:
        """The texts by their language."""
        return {self.language: self.prompts}

    @property
    def texts_by_language(self) -> dict[str, tuple[str, ...]]:
        """The texts."""
        return self.zero_shot_prompts

    def needs(self) -> list[Need]:
        """Pictures and texts."""
        return [Need(None, self._positions, self.prompts)]

    def score(self, embedder: Embedder) -> Scores:
        """Ask which text is nearer to each picture."""
        row_of = {position: row for row, position in enumerate(self._positions)}
        text_of = {text: row for row, text in enumerate(self.prompts)}
        images_ND = embedder.images(None, self._positions)[[row_of[pair.position] for pair in self.pairs]]
        texts_TD = embedder.texts(None, self.prompts)
        right = round_similarity((images_ND * texts_TD[[text_of[p.right] for p in self.pairs]]).sum(axis=1))
        wrong = round_similarity((images_ND * texts_TD[[text_of[p.wrong] for p in self.pairs]]).sum(axis=1))
        correct = (right > wrong).astype(np.float64)
        return Scores(self._measures(correct), self._rows(correct, right, wrong))

    def baselines(self) -> dict[str, Scores]:
        """The longer text, which says more: what a model prefers that scores length."""
        longer = np.array([len(pair.right) > len(pair.wrong) for pair in self.pairs], dtype=np.float64)
        return {"longer_text": Scores(self._measures(longer))}

    @cached_property
    def _positions(self) -> tuple[int, ...]:
        return tuple(sorted({pair.position for pair in self.pairs}))

    def _measures(self, correct: np.ndarray) -> tuple[Measure, ...]:
        positions = [pair.position for pair in self.pairs]
        slices = masks(swapped=[pair.swapped for pair in self.pairs], **picture_slices(self.pictures, positions))
        # Pairs of one picture are no independent evidence: the work is the unit, as everywhere.
        queries = Queries(np.array([self.pictures.works[position] for position in positions]), slices)
        chance = np.full(len(correct), 0.5)
        return (Measure("pair_accuracy", queries, correct, chance, is_primary=self.primary == "pair_accuracy"),)

    def _rows(self, correct: np.ndarray, right: np.ndarray, wrong: np.ndarray) -> list[dict[str, Any]]:
        return [
            sample_row(
                key=self.pictures.keys[pair.position],
                work_group=self.pictures.works[pair.position],
                source=self.pictures.records[pair.position].source,
                language=self.language,
                query_kind="image",
                num_gallery=2,
                y_true=pair.right,
                y_pred=pair.right if is_right else pair.wrong,
                correct=bool(is_right),
                score=float(near - far),
            )
            for pair, is_right, near, far in zip(self.pairs, correct, right, wrong, strict=True)
        ]
