"""What ``iconoclip eval`` is told; imports neither torch nor scikit-learn, so that ``check`` stays fast."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from iconoclip.config import Config
from iconoclip.plugins import choose

from .benchmarks.base import Benchmark

SliceField = Literal["source", "language", "institution", "century", "technique", "object_type", "novelty", "swapped"]


def slug(text: str) -> str:
    """File-name form of a label: ``runs/real/train`` -> ``runs-real-train``."""
    return re.sub(r"[^a-zA-Z0-9_.]+", "-", text).strip("-.").lower() or "model"


class ContestantConfig(Config):
    """One model to evaluate: a name as ``iconoclip.models.load`` reads it, its weights, and what tables call it."""

    name: str
    weights: str | None = None
    label: str = ""

    @property
    def shown(self) -> str:
        """What tables and files call the model."""
        return self.label or (f"{self.name}:{self.weights}" if self.weights else self.name)


def _short_model(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class ContaminationConfig(Config):
    """How tested pictures are looked for in training.

    ``by``: the same ``file`` (sha256), a ``near_duplicate`` (hash over trimmed and cropped views, up to
    ``max_distance`` of 64 bits), or the ``embedding`` of ``model`` from ``min_cosine`` on; empty turns it off. They are
    looked for in the evaluation's ``shards``, in those that the models say they were trained on, and in ``train``.
    """

    by: list[Literal["file", "near_duplicate", "embedding"]] = ["file", "near_duplicate"]
    train: list[Path] = []
    max_distance: int = Field(default=6, ge=0, le=7)
    model: Annotated[ContestantConfig, BeforeValidator(_short_model)] | None = None
    min_cosine: float = Field(default=0.95, gt=0, le=1)

    @model_validator(mode="after")
    def _model_for_embeddings(self) -> "ContaminationConfig":
        if ("embedding" in self.by) != (self.model is not None):
            raise ValueError("`by: [embedding]` and `model` go together: name a model that tells copies of pictures")
        return self


class EvalConfig(Config):
    """Everything that an evaluation depends on.

    The first model is the reference that the others are compared with. ``shards`` is a shard set of ours with the
    benchmarks' pictures; its train ledger tells what was trained on. Benchmarks that bring their own files need none.
    ``test`` is the paired test: ``permutation`` and ``mcnemar`` where they are defined, else the bootstrap.
    ``min_words_seen`` is the share of the words of prompts that training captions must hold for a score of a model that
    has learnt its words from these shards alone; 0 scores in any case.
    ``slices`` are the fields by which figures are sliced. ``thumbs`` bounds the pictures for the report.
    ``contested_terms`` are lists of words to flag, beside our own (columns as in ``eval/contested_terms.csv``).
    ``cache`` is the folder of the embeddings (``OUT/cache``); ``from_cache`` reads nothing else of a benchmark, so that
    somebody else's cache gives the same tables without the pictures.
    """

    verb: Literal["eval"]
    out: Path
    shards: Path | None = None
    models: list[Annotated[ContestantConfig, BeforeValidator(_short_model)]] = Field(min_length=1)
    benchmarks: list[SerializeAsAny[Annotated[Benchmark, BeforeValidator(choose("eval.benchmarks", Benchmark))]]] = (
        Field(min_length=1)
    )
    seed: int = Field(default=0, ge=0)
    resamples: int = Field(default=10_000, ge=200)
    min_words_seen: float = Field(default=0.8, ge=0, le=1)
    test: Literal["bootstrap", "permutation", "mcnemar"] = "bootstrap"
    slices: list[SliceField] = list(get_args(SliceField))
    batch_size: int = Field(default=64, ge=1)
    device: Literal["auto", "cpu", "cuda", "mps", "xpu"] = "auto"
    thumbs: int = Field(default=3000, ge=0)
    contamination: ContaminationConfig = ContaminationConfig()
    contested_terms: list[Path] = []
    cache: Path | None = None
    from_cache: bool = False

    @property
    def cache_folder(self) -> Path:
        """Where embeddings are kept."""
        return self.cache or self.out / "cache"

    @model_validator(mode="after")
    def _distinct_names(self) -> "EvalConfig":
        for what, names in (
            ("models: two are called", [slug(model.shown) for model in self.models]),
            ("benchmarks: two are called", [benchmark.shown_name for benchmark in self.benchmarks]),
        ):
            double = sorted({name for name in names if names.count(name) > 1})
            if double:
                field = "label" if what.startswith("models") else "name"
                raise ValueError(f"{what} {', '.join(double)}; give each its own `{field}`")
        return self

    @model_validator(mode="after")
    def _shards_where_needed(self) -> "EvalConfig":
        without = [b.shown_name for b in self.benchmarks if b.needs_shards] if self.shards is None else []
        if without:
            raise ValueError(f"{', '.join(without)}: tested on pictures of a shard set; name it with `shards:`")
        return self
