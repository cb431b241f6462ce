"""Configuration of `iconoclip prep`: collections, rights policy, pictures, near-duplicates, split.

``PrepConfig.load(Path("configs/prep/own_collection.yaml"))``. Each collection is a source plugin with its own fields
(``data_prep/sources``), each extra filter a filter plugin (``data_prep/filters``).
"""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator, model_validator

from iconoclip import plugins
from iconoclip.config import Config
from iconoclip.files import sha256_json
from iconoclip.workers import num_cores

from .fetch.policy import FetchConfig
from .filters.base import Filter
from .filters.captions import CaptionsFilter
from .filters.rights import RightsFilter
from .sources.base import Source

AnySource = SerializeAsAny[Annotated[Source, BeforeValidator(plugins.choose("data_prep.sources", Source))]]
AnyFilter = SerializeAsAny[Annotated[Filter, BeforeValidator(plugins.choose("data_prep.filters", Filter))]]

_NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,39}")


class ImageConfig(Config):
    """Stored pictures: longer side at most ``max_px``; sources of more than ``max_source_px`` pixels are refused."""

    max_px: int = Field(default=512, ge=32, le=8192)
    quality: int = Field(default=90, ge=50, le=100)
    max_source_px: int = Field(default=300_000_000, ge=1_000_000)


class DedupConfig(Config):
    """Near-duplicates differ in at most ``max_distance`` of 64 bits.

    ``evaluation_overlap: drop`` rejects what trains and is also in an evaluation collection; ``error`` stops.
    """

    max_distance: int = Field(default=6, ge=0, le=7)
    evaluation_overlap: Literal["error", "drop"] = "error"


class SplitConfig(Config):
    """Shares of works in val and test by a hash with the published ``salt``; ``folds`` for cross-fitting.

    ``allow_one_sided`` names languages and collections that may lie on one side of the split.
    """

    val: float = Field(default=0.05, ge=0, lt=0.5)
    test: float = Field(default=0.15, ge=0, lt=0.9)
    salt: str = Field(default="iconoclip-1", min_length=1)
    folds: int = Field(default=5, ge=2, le=20)
    allow_one_sided: tuple[str, ...] = ()


class PrepConfig(Config):
    """The whole configuration; relative paths of collections start at ``root``, the others at the working folder.

    ``store`` keeps what was harvested and fetched from run to run (default: ``out`` with ``.store`` added).
    ``opt_out`` is the list of what must not come in (docs/rights.md).
    """

    verb: Literal["prep"]
    name: str
    out: Path
    store: Path | None = None
    root: Path = Path()
    fetch: FetchConfig = FetchConfig()
    workers: int = Field(default_factory=num_cores, ge=1)
    seed: int = 0
    image: ImageConfig = ImageConfig()
    rights: RightsFilter = RightsFilter()
    captions: CaptionsFilter = CaptionsFilter()
    filters: tuple[AnyFilter, ...] = ()
    dedup: DedupConfig = DedupConfig()
    split: SplitConfig = SplitConfig()
    overrides: Path | None = None
    opt_out: Path | None = None
    forbidden_captions: tuple[str, ...] = ()
    forbidden_caption_files: tuple[Path, ...] = ()
    max_failed_share: float = Field(default=0.2, gt=0, le=1)
    collections: dict[str, AnySource] = Field(min_length=1)

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError("a to z, 0 to 9 and _ only: it names the shards")
        return name

    @field_validator("collections")
    @classmethod
    def _check_collection_names(cls, collections: dict[str, Source]) -> dict[str, Source]:
        bad = [name for name in collections if not _NAME.fullmatch(name)]
        if bad:
            raise ValueError(
                f"a to z, 0 to 9 and _ only, got {', '.join(map(repr, bad))}: they name folders and slices"
            )
        return collections

    @model_validator(mode="after")
    def _check_one_sided(self) -> Self:
        for name in self.split.allow_one_sided:
            if len(name) > 3 and name not in self.collections:
                raise ValueError(f"split.allow_one_sided: {name!r} is neither a language code nor a collection")
        return self

    def content_sha256(self) -> str:
        """Hash of what decides the shards: not where they lie, nor by how many workers and how politely they came.

        Lines of ``opt_out`` that keep something out are in the hash of the plan.
        """
        free = ("out", "store", "workers", "fetch", "opt_out")
        return sha256_json({key: value for key, value in self.to_json().items() if key not in free})

    @property
    def store_folder(self) -> Path:
        """Where answers of servers are kept."""
        return self.store or self.out.with_name(f"{self.out.name}.store")
