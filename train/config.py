"""What a training run is told: ``TrainConfig.load(path, overrides)``; imports neither torch nor open_clip.

Sizes: ``batch_size`` is the global batch, whatever the number of processes; ``micro_batch`` is what one process holds
on its device at a time.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator, model_validator

from iconoclip.config import Config
from iconoclip.plugins import choose

from .losses.base import Loss

Share = Annotated[float, Field(ge=0, le=1)]

# What may differ between a run and its continuation without changing what is computed.
RESUME_FREE = (
    "out", "workers", "devices", "log", "checkpoint", "stop_after",
    "resume", "expect_processes", "cache_mb",  # who does the work, not which
)  # fmt: skip


class ModelConfig(Config):
    """The model to start from: a name as `iconoclip.models.load` reads it, and where its weights come from."""

    name: str
    weights: str | None = None


class SourceConfig(Config):
    """One stream of samples: a shard set of ours, a folder of tars, one tar or a pattern such as ``data/*.tar``.

    ``collections`` keeps only these collections of a shard set. ``weight`` is the source's share of the samples,
    against the other sources' weights; without weights all sources are one pool,
    of which each sample is seen once an epoch.
    """

    path: str
    split: str = "train"
    collections: list[str] | None = Field(default=None, min_length=1)
    weight: float | None = Field(default=None, gt=0)

    @field_validator("split")
    @classmethod
    def _not_for_evaluation(cls, split: str) -> str:
        if split == "eval" or split.startswith("eval/"):
            raise ValueError("evaluation collections are never trained on; their captions may be the right answers")
        return split


class CaptionConfig(Config):
    """Which text goes with a picture; one is drawn per sample and epoch, by seed.

    ``draw: rotate`` goes round the sample's captions, one further each epoch; ``random`` draws a language, then one of
    its captions; ``default`` takes the shard's ``.txt``. A sample left without a caption by ``languages``, ``levels``
    or ``machine`` is left out, and the number of those is printed.
    """

    languages: list[str] | None = Field(default=None, min_length=1)
    levels: list[Literal["page", "object", "series"]] | None = Field(default=None, min_length=1)
    machine: bool = True
    draw: Literal["rotate", "random", "default"] = "random"

    @model_validator(mode="after")
    def _default_takes_no_filter(self) -> "CaptionConfig":
        if self.draw == "default" and (self.languages or self.levels or not self.machine):
            raise ValueError("draw: default takes the shard's .txt as it is; drop languages, levels and machine")
        return self


class AugmentConfig(Config):
    """Random resized crop: share of the area and ratio of the sides. No flips: heraldry and script have a left."""

    scale: tuple[float, float] = (0.9, 1.0)
    ratio: tuple[float, float] = (0.75, 4 / 3)

    @model_validator(mode="after")
    def _in_order(self) -> "AugmentConfig":
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError("scale: expected 0 < smallest <= largest <= 1, as [0.9, 1.0]")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise ValueError("ratio: expected 0 < smallest <= largest, as [0.75, 1.333]")
        return self


class OptimConfig(Config):
    """AdamW, linear warm-up and cosine decay by samples seen.

    ``lr`` is the peak; ``warmup`` the share of all samples in which it is reached; ``min_lr`` the share of the peak at
    the end; ``temperature_lr`` multiplies it for temperature and bias, which have no weight decay.
    """

    lr: float = Field(gt=0)
    weight_decay: float = Field(default=0.1, ge=0)
    betas: tuple[Share, Share] = (0.9, 0.98)
    eps: float = Field(default=1e-6, gt=0)
    warmup: Share = 0.05
    min_lr: Share = 0.01
    clip_grad_norm: float | None = Field(default=1.0, gt=0)
    temperature_lr: float = Field(default=1.0, ge=0)


class FreezeConfig(Config):
    """What is not trained: a whole tower, the token table, the first N blocks of a tower with all that lies below."""

    image: bool = False
    text: bool = False
    token_table: bool = False
    image_blocks: int = Field(default=0, ge=0)
    text_blocks: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _leaves_something(self) -> "FreezeConfig":
        if self.image and self.text:
            raise ValueError("image and text are both frozen; nothing is left to train")
        return self


class ValidationConfig(Config):
    """Retrieval in both directions on a held-out split every ``every`` steps and at the end (null: at the end only)."""

    path: str
    split: str = "val"
    every: int | None = Field(default=None, ge=1)
    max_pictures: int = Field(default=1024, ge=2)


class CheckpointConfig(Config):
    """Save every ``every`` steps and at the end; the last ``keep`` and the best are kept."""

    every: int = Field(default=500, ge=1)
    keep: int = Field(default=2, ge=1)


class LogConfig(Config):
    """Write a line every ``every`` steps; ``wandb`` mirrors metrics.jsonl."""

    every: int = Field(default=10, ge=1)
    wandb: Literal["off", "offline", "online"] = "off"
    project: str = "iconoclip"


class ResumeConfig(Config):
    """Fields (dotted names) that may differ from the run that is continued, as ``[epochs, optim.lr]``."""

    allow: list[str] = []


def _short_model(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _one_source(value: Any) -> Any:
    if isinstance(value, str):
        return [{"path": value}]
    return [value] if isinstance(value, dict) else value


def _short_validation(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


class TrainConfig(Config):
    """Everything that a run depends on; see the sections for the details."""

    verb: Literal["train"]
    out: Path
    model: Annotated[ModelConfig, BeforeValidator(_short_model)]
    data: Annotated[list[SourceConfig], BeforeValidator(_one_source), Field(min_length=1)]
    fold: Annotated[int, Field(ge=0)] | Literal["all"] | None = None
    seed: int = Field(default=0, ge=0)

    batch_size: int = Field(ge=2)
    micro_batch: int | None = Field(default=None, ge=1)
    epochs: float | None = Field(default=None, gt=0)
    samples: int | None = Field(default=None, ge=1)

    captions: CaptionConfig = CaptionConfig()
    augment: AugmentConfig = AugmentConfig()
    window_shards: int = Field(default=8, ge=1)
    max_corrupt: Share = 0.01

    loss: SerializeAsAny[Annotated[Loss, BeforeValidator(choose("train.losses", Loss))]]
    optim: OptimConfig
    freeze: FreezeConfig = FreezeConfig()

    validation: Annotated[ValidationConfig, BeforeValidator(_short_validation)] | None = None
    checkpoint: CheckpointConfig = CheckpointConfig()
    log: LogConfig = LogConfig()
    resume: ResumeConfig = ResumeConfig()

    devices: Literal["auto", "cpu", "cuda", "mps", "xpu"] = "auto"
    precision: Literal["fp32", "bf16"] = "fp32"
    workers: int = Field(default=0, ge=0)
    cache_mb: int = Field(default=512, ge=0)
    expect_processes: int | None = Field(default=None, ge=1)
    stop_after: int | None = Field(default=None, ge=1)

    @field_validator("data")
    @classmethod
    def _all_or_no_weights(cls, sources: list[SourceConfig]) -> list[SourceConfig]:
        if len({source.weight is None for source in sources}) > 1:
            raise ValueError("give every source a `weight`, or none (then all are one pool, seen once an epoch)")
        return sources

    @model_validator(mode="after")
    def _one_length(self) -> "TrainConfig":
        if (self.epochs is None) == (self.samples is None):
            raise ValueError("give the length of the run as either `epochs` or `samples`")
        if self.micro_batch is not None and self.batch_size % self.micro_batch:
            raise ValueError(
                f"batch_size {self.batch_size} is no multiple of micro_batch {self.micro_batch}; change one of them"
            )
        return self
