"""What every task gives back: per-query values that are put together and resampled in one place, and per-sample rows.

A task knows its queries and their order, which is the same for every model; so two models are compared query by query.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from ..resampling import PooledFigure

SAMPLE_COLUMNS = (
    "key", "work_group", "source", "language", "query", "query_kind", "rank", "num_gallery", "percentile",
    "y_true", "y_pred", "correct", "score", "top_keys", "top_scores", "positive_keys",
)  # fmt: skip
NUM_TOP = 5
_MAX_VALUES = 20
_MAY_REPEAT = ("institution", "century", "technique", "object_type")


class Embedder(Protocol):
    """A model's embeddings of a benchmark, unit-norm fp32; for a cross-fitted model of the run that left a fold out."""

    def images(self, fold: int | None, positions: Sequence[int]) -> np.ndarray:
        """[len(positions), D]; ``fold`` None where no run has seen the pictures."""
        ...

    def texts(self, fold: int | None, texts: Sequence[str]) -> np.ndarray:
        """[len(texts), D]."""
        ...


@dataclass(frozen=True)
class Need:
    """What a task wants embedded by the run that left out ``fold``."""

    fold: int | None
    positions: Sequence[int] = ()
    texts: Sequence[str] = ()


@dataclass(frozen=True)
class Queries:
    """The queries of one direction of a task, the same for every model.

    ``slices`` maps ``all`` and ``field=value`` to boolean masks [Q]; ``works`` is the unit of resampling.
    """

    works: np.ndarray
    slices: dict[str, np.ndarray]
    languages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measure:
    """One metric of one task: a value per query and how they are put together.

    ``values`` float64 [Q]; NaN marks a query that this model could not be asked. ``chance`` is the same for a guess.
    ``strata`` ([Q]) makes the figure the mean of the strata's figures; ``drop_small_strata`` leaves those out that are
    too small to be scored. ``why_not`` forbids a score, with the reason. ``pooled`` makes figures that are no mean over
    queries; ``num_classes`` says how dear that is. ``classes`` ([Q]) are the queries' own: a slice with one
    of them alone has no mean over classes, and no free guess beside it.
    """

    metric: str
    queries: Queries
    values: np.ndarray
    chance: np.ndarray
    combine: Literal["mean", "median"] = "mean"
    strata: np.ndarray | None = None
    drop_small_strata: bool = False
    is_share: bool = True
    is_primary: bool = False
    why_not: str = ""
    pooled: PooledFigure | None = None
    num_classes: int = 1
    classes: np.ndarray | None = None


@dataclass(frozen=True)
class Scores:
    """What one model (or a free baseline) reached in one task; ``rows`` have :data:`SAMPLE_COLUMNS`.

    ``by_prompt`` has, for the primary metric, its values [Q] with each set of templates alone.
    """

    measures: tuple[Measure, ...]
    rows: list[dict[str, Any]] = field(default_factory=list)
    by_prompt: dict[str, np.ndarray] = field(default_factory=dict)


class Task(Protocol):
    """One protocol on one benchmark."""

    @property
    def name(self) -> str:
        """Name in results and files."""
        ...

    @property
    def prompts(self) -> tuple[str, ...]:
        """Texts that this task encodes, for the hash in the results; empty for tasks on pictures alone."""
        ...

    @property
    def zero_shot_prompts(self) -> dict[str, tuple[str, ...]]:
        """Prompts by language whose words a model must have met in training; empty for other tasks."""
        ...

    @property
    def texts_by_language(self) -> dict[str, tuple[str, ...]]:
        """All texts by language, of which it is told how many the tower cuts; empty for tasks on pictures alone."""
        ...

    @property
    def language(self) -> str:
        """Languages of the prompts, comma-separated; ``""`` without."""
        ...

    def needs(self) -> list[Need]:
        """What must be embedded, fold by fold."""
        ...

    def score(self, embedder: Embedder) -> Scores:
        """Run the task on one model's embeddings."""
        ...

    def baselines(self) -> dict[str, Scores]:
        """What costs nothing, by name; the queries are those of :meth:`score`, in the same order."""
        ...


def sample_row(**values: Any) -> dict[str, Any]:
    """A row of the per-sample table with every column; what is not given is null, lists are empty."""
    row: dict[str, Any] = dict.fromkeys(SAMPLE_COLUMNS)
    row |= {"language": "", "query": "", "top_keys": [], "top_scores": [], "positive_keys": []}
    return row | values


def round_similarity(similarity: np.ndarray) -> np.ndarray:
    """Cut to 1e-6: what fp32 cannot tell apart is a tie, and ties count against the model."""
    return np.round(similarity, 6)


def masks(**fields: Sequence[str]) -> dict[str, np.ndarray]:
    """``all`` and a mask per ``field=value``, of a field with many values for the most frequent ones.

    A field with one value gets none. A century, technique or type that holds the same queries as an earlier slice says
    nothing new and is left out.
    """
    lengths = {len(values) for values in fields.values()}
    found = {"all": np.ones(lengths.pop(), dtype=bool)}
    for name, values in fields.items():
        array = np.asarray(values, dtype=object)
        counts = Counter(value for value in values if value)
        if len(counts) > 1 or (counts and len(set(values)) > 1):
            present = sorted(value for value, _ in counts.most_common(_MAX_VALUES))
            made = {f"{name}={value}": array == value for value in present}
            if name in _MAY_REPEAT:
                made = {n: mask for n, mask in made.items() if not any(np.array_equal(mask, m) for m in found.values())}
            found |= made
    return found
