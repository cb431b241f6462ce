"""What ``iconoclip eval`` is told; imports neither torch nor scikit-learn, so that ``check`` stays fast."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from iconoclip.config import Config
from iconoclip.plugins import choose

from .benchmarks.base import Benchmark


def slug(text: str) -> str:
    """File-name form of a label: ``runs/real/train`` -> ``runs-real-train``."""
    return re.sub(r"[^a-zA-Z0-9_.]+", "-", text).strip("-.").lower() or "model"


class ModelConfig(Config):
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


class EvalConfig(Config):
    """Everything that an evaluation depends on.

    The first model is the reference that the others are compared with. ``shards`` is a shard set of ours with the
    benchmarks' pictures; its train ledger tells what was trained on. ``thumbs`` bounds the pictures for the report.
    """

    verb: Literal["eval"]
    out: Path
    shards: Path
    models: list[Annotated[ModelConfig, BeforeValidator(_short_model)]] = Field(min_length=1)
    benchmarks: list[SerializeAsAny[Annotated[Benchmark, BeforeValidator(choose("eval.benchmarks", Benchmark))]]] = (
        Field(min_length=1)
    )
    seed: int = Field(default=0, ge=0)
    resamples: int = Field(default=10_000, ge=200)
    batch_size: int = Field(default=64, ge=1)
    device: Literal["auto", "cpu", "cuda", "mps", "xpu"] = "auto"
    thumbs: int = Field(default=3000, ge=0)

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
