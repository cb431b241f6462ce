"""What a benchmark is: pictures, tasks on them, and what one must know to quote the figures.

A new benchmark is one file in this folder with one subclass of :class:`Benchmark`; its fields are its options in YAML.
Imports stay light here: ``iconoclip check`` reads these classes without torch.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from iconoclip.config import Config

if TYPE_CHECKING:
    from ..data import EvalData, Pictures
    from ..tasks.base import Task


@dataclass(frozen=True)
class Prepared:
    """A benchmark that is ready to run.

    ``refuses`` names histories of weights (``random``, ``trained_from_random``) for which a score would mean nothing,
    with the reason that the report shows. ``facts`` are what a reader must know of this run's data: what was left out
    and why, how far languages cover the labels.
    """

    pictures: "Pictures"
    tasks: tuple["Task", ...]
    refuses: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class KnownResult:
    """A figure that others published: percentages as shares, ``note`` says what differs from ours."""

    model: str
    metric: str
    value: float
    source: str
    slice: str = "all"
    note: str = ""


class Benchmark(Config):
    """Base of all benchmarks; class variables are its data sheet.

    ``pinned_revision`` is what ``revision_source`` says the data is, None where no source says it; ``chance`` says in
    words what a guess reaches. ``run_on_real_data`` is False until the real data went through this code.
    ``is_control`` marks what fine-tuning is not for, and may lose; ``control: true`` in a configuration says the same.
    ``hub_dataset`` is the data set on the Hub that is asked, where it is one.
    """

    title: ClassVar[str]
    description: ClassVar[str]
    licence: ClassVar[str]
    citation: ClassVar[str]
    chance: ClassVar[str] = "printed beside each figure"
    free_baselines: ClassVar[tuple[str, ...]] = ()
    known_results: ClassVar[tuple[KnownResult, ...]] = ()
    pinned_revision: ClassVar[str | None] = None
    revision_source: ClassVar[str] = ""
    run_on_real_data: ClassVar[bool] = False
    is_control: ClassVar[bool] = False
    needs_shards: ClassVar[bool] = True
    hub_dataset: ClassVar[str] = ""

    control: bool = False
    name: str = Field(default="", pattern=r"^[a-z0-9_]*$")

    @property
    def shown_name(self) -> str:
        """Name in results and files: ``name``, else the kind."""
        return self.name or self.kind_name

    @property
    def kind_name(self) -> str:
        """What stands behind ``kind:``, the name of the module."""
        return type(self).__module__.rpartition(".")[2]

    @property
    def written_sha256(self) -> str:
        """Hash of what a file of the user's says of this benchmark, ``""`` where none does or none is there."""
        return ""

    @property
    def hub_dataset_id(self) -> str:
        """``ORG/NAME`` of the data set on the Hub, ``""`` where there is none."""
        return self.hub_dataset

    def prepare(self, data: "EvalData") -> Prepared:
        """Collect pictures and tasks.

        Raises:
            EvaluationError: the shard set lacks what this benchmark needs.
        """
        raise NotImplementedError


class FilesBenchmark(Benchmark):
    """Base of benchmarks that come from a folder or the Hub, in the layout in which others publish them.

    ``root`` is the folder; without it the Hub is asked if the data lies there. ``revision`` is the content hash that
    the pictures must have (an earlier ``results.jsonl`` gives it): data that moved is an error. ``limit`` keeps that
    many pictures, chosen by ``seed``.
    """

    needs_shards: ClassVar[bool] = False

    root: Path | None = None
    revision: str = Field(default="", pattern=r"^([0-9a-f]{12})?$")
    limit: int | None = Field(default=None, ge=2)
    seed: int = Field(default=0, ge=0)
