"""What a training run is told: ``TrainConfig.load(path, overrides)``; imports neither torch nor open_clip.

Sizes: ``batch_size`` is the global batch, whatever the number of processes; ``micro_batch`` is what one process holds
on its device at a time.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, SerializeAsAny, field_validator, model_validator

from iconoclip.config import Config
from iconoclip.plugins import choose

from .losses.base import Loss

Share = Annotated[float, Field(ge=0, le=1)]

# What may differ between a run and its continuation without changing what is computed.
RESUME_FREE = (
    "out", "workers", "devices", "log", "checkpoint", "stop_after",
    "resume", "expect_processes", "cache_mb", "distributed", "timeout_s", "heartbeat_s",  # who does the work, not which
    "staged", "preflight", "peak_tflops",
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
    or ``machine`` is left out, and the number of those is printed. ``weights`` says how often a language is drawn
    against the others of the same sample (1 where not given).
    """

    languages: list[str] | None = Field(default=None, min_length=1)
    levels: list[Literal["page", "object", "series"]] | None = Field(default=None, min_length=1)
    machine: bool = True
    draw: Literal["rotate", "random", "default"] = "random"
    weights: dict[str, PositiveFloat] = {}

    @model_validator(mode="after")
    def _default_takes_no_filter(self) -> "CaptionConfig":
        if self.weights and self.draw != "random":
            raise ValueError("weights: languages are drawn by weight only with draw: random")
        if self.draw == "default" and (self.languages or self.levels or not self.machine):
            raise ValueError("draw: default takes the shard's .txt as it is; drop languages, levels and machine")
        return self


class SourceBalanceConfig(Config):
    """Shares of sources that have no ``weight`` go with their size to the power of ``temperature`` (1: as they are)."""

    temperature: Share = 1.0


class BalanceConfig(Config):
    """Shares of languages or institutions go with their size to the power of ``temperature``, times ``weights``.

    1 leaves them as they are, 0 evens them out, 0.5 goes half the way; a value without a weight has 1.
    """

    temperature: Share = 1.0
    weights: dict[str, PositiveFloat] = {}


class MixtureConfig(Config):
    """How often which sample is seen. Weights of sources stand with them in ``data``.

    ``max_repeats``: no sample is seen more often than so many times in an epoch, of as many draws as there are samples.
    """

    source: SourceBalanceConfig = SourceBalanceConfig()
    language: BalanceConfig = BalanceConfig()
    institution: BalanceConfig = BalanceConfig()
    max_repeats: float | None = Field(default=None, ge=1)


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


class TowerOptim(Config):
    """One tower: its peak ``lr`` and ``weight_decay`` (null: those of `optim`).

    ``layer_decay`` multiplies the learning rate once for each layer further down: with 12 blocks and 0.75 what comes
    after the blocks has the whole of it, the last block 0.75, the first 0.75^12, and what lies below 0.75^13.
    """

    lr: float | None = Field(default=None, gt=0)
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    weight_decay: float | None = Field(default=None, ge=0)


class HeadOptim(Config):
    """The projections of both towers into the common space."""

    lr: float | None = Field(default=None, gt=0)
    weight_decay: float | None = Field(default=None, ge=0)


class LogitOptim(Config):
    """Temperature and bias, which never decay."""

    lr: float | None = Field(default=None, gt=0)


class OptimConfig(Config):
    """AdamW, linear warm-up and cosine decay by samples seen.

    ``lr`` is the peak, for all that has none of its own; ``warmup`` the share of all samples in which it is reached;
    ``min_lr`` the share of the peak at the end. Norms, biases, tables of tokens and positions never decay.
    """

    lr: float = Field(gt=0)
    image: TowerOptim = TowerOptim()
    text: TowerOptim = TowerOptim()
    heads: HeadOptim = HeadOptim()
    logits: LogitOptim = LogitOptim()
    weight_decay: float = Field(default=0.1, ge=0)
    betas: tuple[Share, Share] = (0.9, 0.98)
    eps: float = Field(default=1e-6, gt=0)
    warmup: Share = 0.05
    min_lr: Share = 0.01
    clip_grad_norm: float | None = Field(default=1.0, gt=0)


class FreezeConfig(Config):
    """What is not trained: a tower with its projection, its first N blocks with all that lies below, the token table.

    ``names`` are patterns of names of weights, such as ``visual.conv1.*``; one that fits none is an error.
    """

    image: bool = False
    text: bool = False
    token_table: bool = False
    image_blocks: int = Field(default=0, ge=0)
    text_blocks: int = Field(default=0, ge=0)
    logits: bool = False
    names: list[str] = []

    @model_validator(mode="after")
    def _leaves_something(self) -> "FreezeConfig":
        if self.image and self.text:
            raise ValueError("image and text are both frozen; nothing is left to train")
        return self


class LoraConfig(Config):
    """Low-rank adapters in the blocks of ``towers`` instead of their weights, which stay as they are.

    ``targets``: the linear layers of the attention, or those of the MLP too. The update is ``alpha / rank`` times the
    product of both factors; ``dropout`` is on what goes into the adapters.
    """

    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=32.0, gt=0)
    dropout: float = Field(default=0.05, ge=0, lt=1)
    towers: list[Literal["image", "text"]] = Field(default=["image", "text"], min_length=1)
    targets: Literal["attn", "attn_mlp"] = "attn_mlp"


def _short_path(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


class PairsConfig(Config):
    """Held-out pairs to measure retrieval on: the first ``max_pictures`` of a split, or of tars from elsewhere."""

    path: str
    split: str = "val"
    max_pictures: int = Field(default=1024, ge=2)


class BestConfig(Config):
    """Which checkpoint `best` points to: the one of the best ``metric`` of the validation, the later one on a tie.

    ``score`` is the mean of both directions' hit_rate@1; any NAME that metrics.jsonl has as ``val/NAME`` will do.
    """

    metric: str = "score"
    higher_is_better: bool = True


class ValidationConfig(PairsConfig):
    """Retrieval in both directions on a held-out split every ``every`` steps and at the end (null: at the end only)."""

    every: int | None = Field(default=None, ge=1)
    best: BestConfig = BestConfig()


class RetentionConfig(Config):
    """Watch that the run keeps what its base knew, with every validation and every ``every`` steps.

    ``shards``: a general set, on which the mean hit rate of both directions may drop by ``max_drop`` (0.01 if not
    given); without one the correlation of the similarity matrix of 256 pairs with the base's may (0.1 if not given),
    which is the weaker alarm. ``action``: print a warning; stop, with `best` among the checkpoints that were good; or
    go back to the last good one with the learning rate halved, at most ``max_rollbacks`` times, and then stop.
    """

    shards: Annotated[PairsConfig, BeforeValidator(_short_path)] | None = None
    every: int | None = Field(default=None, ge=1)
    max_drop: float | None = Field(default=None, ge=0)
    action: Literal["warn", "stop", "rollback"] = "warn"
    max_rollbacks: int = Field(default=3, ge=1)


class WiseFtConfig(Config):
    """After the run, average the best checkpoint with the base: base + alpha * (fine-tuned - base).

    ``heritage`` is a figure of the validation, ``general`` the set on which at most ``max_loss`` of the base's mean hit
    rate may be lost (null: that of `retention.shards`). The best alpha within that goes into the exported weights.
    """

    alphas: list[Share] = Field(default=[n / 10 for n in range(11)], min_length=1)
    heritage: str = "score"
    general: Annotated[PairsConfig, BeforeValidator(_short_path)] | None = None
    max_loss: Share = 0.01


class CheckpointConfig(Config):
    """Save every ``every`` steps and at the end; the last ``keep`` and the best are kept."""

    every: int = Field(default=500, ge=1)
    keep: int = Field(default=2, ge=1)


class LogConfig(Config):
    """Write a line every ``every`` steps; ``wandb`` mirrors metrics.jsonl (the variable WANDB_MODE goes before it).

    ``keys`` writes which samples each global batch held into keys.jsonl. ``wall_hours`` is what the job may take, where
    Slurm does not say.
    """

    every: int = Field(default=10, ge=1)
    wandb: Literal["off", "offline", "online"] = "off"
    project: str = "iconoclip"
    keys: bool = False
    wall_hours: float | None = Field(default=None, gt=0)


class ResumeConfig(Config):
    """Fields (dotted names) that may differ from the run that is continued, as ``[epochs, optim.lr]``."""

    allow: list[str] = []


def _short_model(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _one_source(value: Any) -> Any:
    if isinstance(value, str):
        return [{"path": value}]
    return [value] if isinstance(value, dict) else value


class TrainConfig(Config):
    """Everything that a run depends on; see the sections for the details.

    Speed and memory: ``precision: bf16`` computes under autocast, with weights, embeddings and loss in fp32;
    ``patch_dropout`` is the share of patches left out in training; ``gradient_checkpointing`` runs each block again in
    the backward pass instead of keeping its activations; ``compile`` compiles the towers block by block.

    Processes: ``distributed`` says whether each holds a copy of the weights (ddp) or a share (fsdp2);
    ``expect_processes`` stops a run that fewer came to; ``heartbeat_s`` is after how long a silent one counts as dead,
    ``timeout_s`` the longest wait for one another in an exchange, a save and the first compilation included.
    """

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

    mixture: MixtureConfig = MixtureConfig()
    captions: CaptionConfig = CaptionConfig()
    augment: AugmentConfig = AugmentConfig()
    window_shards: int = Field(default=8, ge=1)
    max_corrupt: Share = 0.01

    loss: SerializeAsAny[Annotated[Loss, BeforeValidator(choose("train.losses", Loss))]]
    optim: OptimConfig
    freeze: FreezeConfig = FreezeConfig()
    lora: LoraConfig | None = None

    validation: Annotated[ValidationConfig, BeforeValidator(_short_path)] | None = None
    retention: RetentionConfig | None = None
    wise_ft: WiseFtConfig | None = None
    checkpoint: CheckpointConfig = CheckpointConfig()
    log: LogConfig = LogConfig()
    resume: ResumeConfig = ResumeConfig()

    devices: Literal["auto", "cpu", "cuda", "mps", "xpu"] = "auto"
    precision: Literal["fp32", "bf16"] = "fp32"
    patch_dropout: float = Field(default=0.0, ge=0, lt=1)
    gradient_checkpointing: bool = False
    compile: bool = False
    deterministic: bool = False
    peak_tflops: float | None = Field(default=None, gt=0)
    workers: int = Field(default=0, ge=0)
    cache_mb: int = Field(default=512, ge=0)
    expect_processes: int | None = Field(default=None, ge=1)
    timeout_s: int = Field(default=600, ge=10)
    heartbeat_s: int = Field(default=30, ge=5)
    distributed: Literal["ddp", "fsdp2"] = "ddp"
    stop_after: int | None = Field(default=None, ge=1)
    staged: Path | None = None
    preflight: bool = True

    @field_validator("data")
    @classmethod
    def _all_or_no_weights(cls, sources: list[SourceConfig]) -> list[SourceConfig]:
        if len({source.weight is None for source in sources}) > 1:
            raise ValueError("give every source a `weight`, or none (then all are one pool, seen once an epoch)")
        return sources

    @model_validator(mode="after")
    def _guards_have_what_they_need(self) -> "TrainConfig":
        if self.retention and not (self.retention.every or self.validation):
            raise ValueError("retention: give `every`, or a `validation` with which it looks as well")
        if self.wise_ft and not self.validation:
            raise ValueError("wise_ft: needs a `validation`, by whose figure alpha is chosen")
        if self.wise_ft and not (self.wise_ft.general or (self.retention and self.retention.shards)):
            raise ValueError("wise_ft: name the general set in wise_ft.general (or retention.shards)")
        return self

    @model_validator(mode="after")
    def _mixture_has_an_effect(self) -> "TrainConfig":
        if self.data[0].weight is not None and self.mixture.source.temperature != 1:
            raise ValueError("mixture.source.temperature: the sources have weights; drop those or this")
        if self.captions.draw == "default" and self.mixture.language != BalanceConfig():
            raise ValueError("mixture.language: with captions.draw: default the language of a caption is not known")
        return self

    @model_validator(mode="after")
    def _patches_are_trained(self) -> "TrainConfig":
        if self.patch_dropout and self.freeze.image:
            raise ValueError("patch_dropout: has no effect on an image tower that is frozen; drop it")
        return self

    @model_validator(mode="after")
    def _one_length(self) -> "TrainConfig":
        if (self.epochs is None) == (self.samples is None):
            raise ValueError("give the length of the run as either `epochs` or `samples`")
        if self.micro_batch is not None and self.batch_size % self.micro_batch:
            raise ValueError(
                f"batch_size {self.batch_size} is no multiple of micro_batch {self.micro_batch}; change one of them"
            )
        return self
