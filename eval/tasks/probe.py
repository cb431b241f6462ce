"""How much of the labels lies in the image tower: nearest neighbour and linear probe, never across a document.

``nearest`` looks among all pictures of other works, ``knn`` lets the twenty nearest of them vote, each with weight
exp(cosine / 0.07) (Wu et al. 2018, arXiv 1805.01978). ``linear`` is a logistic regression cross-validated with whole
works left out; its strength of regularisation is chosen inside the training part, again by works. Where runs have
trained on the pictures by folds, each fold is embedded, fitted and tested by the run that left it out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from iconoclip.metrics import mean_per_class_recall
from iconoclip.records import unit_hash

from ..baselines import nearest_allowed
from ..data import Pictures
from ._labelled import class_measures, class_rows, picture_baselines, works_of
from .base import NUM_TOP, Embedder, Need, Scores, round_similarity

_STRENGTHS = (0.001, 0.01, 0.1, 1.0)
_FOLDS = 5
_INNER_FOLDS = 3
_NUM_NEIGHBOURS = 20
_TEMPERATURE = 0.07


@dataclass(frozen=True)
class Probe:
    """Labels from the image tower's embeddings; ``folds`` counts the folds that runs trained on, 0 without."""

    name: str
    pictures: Pictures
    positions: tuple[int, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    method: Literal["nearest", "knn", "linear"]
    folds: int = 0
    primary: str = "mean_per_class_recall"
    seed: int = 0
    language: str = ""

    @property
    def prompts(self) -> tuple[str, ...]:
        """None: only the image tower is asked."""
        return ()

    @property
    def zero_shot_prompts(self) -> dict[str, tuple[str, ...]]:
        """None."""
        return {}

    @property
    def texts_by_language(self) -> dict[str, tuple[str, ...]]:
        """None."""
        return {}

    def needs(self) -> list[Need]:
        """All pictures, once or by every fold's run."""
        return [Need(fold, self.positions) for fold in self._runs]

    def score(self, embedder: Embedder) -> Scores:
        """Predict each picture from pictures of other works."""
        from threadpoolctl import threadpool_limits

        labels, works = np.array(self.labels), works_of(self)
        predicted = np.full(len(labels), -1)
        certainty = np.full(len(labels), np.nan)
        top: list[list[int]] = [[] for _ in labels]
        for run, fitted, tested in self._splits(labels, works):
            images_ND = embedder.images(run, self.positions)
            if self.method != "linear":
                similarity = round_similarity(images_ND[tested] @ images_ND.T)
                allowed = fitted[None] & (works[tested][:, None] != works[None])
                vote = _nearest if self.method == "nearest" else _vote
                predicted[tested], certainty[tested], near = vote(similarity, allowed, labels)
                for place, neighbours in zip(np.flatnonzero(tested), near, strict=True):
                    top[place] = neighbours
            else:
                # Problems this small are solved several times faster, and always alike, by one thread.
                with threadpool_limits(1):
                    answer, probability = _fit_predict(images_ND, labels, works, fitted, tested, self.seed)
                predicted[tested], certainty[tested] = answer, probability
        return Scores(class_measures(self, predicted), class_rows(self, predicted, certainty, top))

    def baselines(self) -> dict[str, Scores]:
        """The largest class, and the colour-and-shape nearest neighbour that leaves the document out."""
        return {name: Scores(class_measures(self, guess)) for name, guess in picture_baselines(self).items()}

    @property
    def _runs(self) -> list[int | None]:
        return list(range(self.folds)) if self.folds else [None]

    @cached_property
    def _fold_of(self) -> np.ndarray:
        """Fold of each picture; pictures that no run trained on are dealt to the folds by their work."""
        own = [self.pictures.folds[position] for position in self.positions]
        dealt = [int(unit_hash(work, "probe") * self.folds) for work in works_of(self)]
        return np.array([d if fold is None else fold for fold, d in zip(own, dealt, strict=True)])

    def _splits(self, labels: np.ndarray, works: np.ndarray) -> Iterator[tuple[int | None, np.ndarray, np.ndarray]]:
        """Yield (run, fitted on, tested on) as boolean masks; every picture is tested once."""
        if self.folds:
            for fold in range(self.folds):
                yield fold, self._fold_of != fold, self._fold_of == fold
        elif self.method != "linear":
            everything = np.ones(len(labels), dtype=bool)
            yield None, everything, everything
        else:
            from sklearn.model_selection import StratifiedGroupKFold

            folds = min(_FOLDS, len(set(works)))
            splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=self.seed)
            for fitted, tested in _split_quietly(splitter, labels, works):
                yield None, _mask(fitted, len(labels)), _mask(tested, len(labels))


def _nearest(
    similarity_TN: np.ndarray, allowed_TN: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[list[int]]]:
    """Label of the nearest allowed picture (-1 without one), its similarity, and its place."""
    near = nearest_allowed(similarity_TN, allowed_TN)
    similarity = np.where(near >= 0, similarity_TN[np.arange(len(near)), near], np.nan)
    return np.where(near >= 0, labels[near], -1), similarity, [[int(place)] if place >= 0 else [] for place in near]


def _vote(
    similarity_TN: np.ndarray, allowed_TN: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[list[int]]]:
    """Label with most weight among the nearest allowed pictures, its share of the weight, and the nearest places.

    Of equally near pictures the earlier ones vote, of labels with equal weight the first wins.
    """
    masked = np.where(allowed_TN, similarity_TN.astype(np.float64), -np.inf)
    near_Tk = np.argsort(-masked, axis=1, kind="stable")[:, :_NUM_NEIGHBOURS]
    cosine_Tk = np.take_along_axis(masked, near_Tk, axis=1)
    weight_Tk = np.exp((cosine_Tk - np.maximum(cosine_Tk[:, :1], -1)) / _TEMPERATURE)
    votes_TC = np.stack([(weight_Tk * (labels[near_Tk] == c)).sum(axis=1) for c in range(labels.max() + 1)], axis=1)
    total = votes_TC.sum(axis=1)
    answer = np.where(total > 0, votes_TC.argmax(axis=1), -1)
    share = np.where(total > 0, votes_TC.max(axis=1) / np.maximum(total, 1e-300), np.nan)
    places = [
        [int(p) for p, c in zip(row, cos, strict=True) if np.isfinite(c)]
        for row, cos in zip(near_Tk, cosine_Tk, strict=True)
    ]
    return answer, share, [row[:NUM_TOP] for row in places]


def _mask(places: np.ndarray, length: int) -> np.ndarray:
    mask = np.zeros(length, dtype=bool)
    mask[places] = True
    return mask


def _split_quietly(splitter, labels: np.ndarray, works: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """scikit-learn warns when a class has fewer pictures than folds; the report prints such classes by their count."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        return list(splitter.split(np.zeros(len(labels)), labels, works))


def _fit_predict(
    images_ND: np.ndarray, labels: np.ndarray, works: np.ndarray, fitted: np.ndarray, tested: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Predicted label and its probability for the tested pictures."""
    if len(set(labels[fitted])) < 2:
        only = int(labels[fitted][0])
        return np.full(tested.sum(), only), np.ones(tested.sum())
    strength = _choose_strength(images_ND[fitted], labels[fitted], works[fitted], seed)
    model = _classifier(strength).fit(images_ND[fitted], labels[fitted])
    probability = model.predict_proba(images_ND[tested])
    return model.classes_[probability.argmax(axis=1)], probability.max(axis=1)


def _choose_strength(images_ND: np.ndarray, labels: np.ndarray, works: np.ndarray, seed: int) -> float:
    from sklearn.model_selection import StratifiedGroupKFold

    folds = min(_INNER_FOLDS, len(set(works)))
    if folds < 2:
        return _STRENGTHS[1]
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    parts = _split_quietly(splitter, labels, works)
    reached = []
    for strength in _STRENGTHS:
        guess = np.full(len(labels), -1)
        for inner, held in parts:
            if len(set(labels[inner])) > 1:
                guess[held] = _classifier(strength).fit(images_ND[inner], labels[inner]).predict(images_ND[held])
        reached.append(mean_per_class_recall(labels, guess == labels))
    return _STRENGTHS[int(np.argmax(reached))]


def _classifier(strength: float):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # Embeddings of a barely trained tower vary by little round a large mean: without scaling the penalty decides.
    return make_pipeline(
        StandardScaler(), LogisticRegression(C=strength, class_weight="balanced", max_iter=2000, tol=1e-3)
    )
