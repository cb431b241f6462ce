"""What a benchmark is: pictures of a shard set, tasks on them, and what one must know to quote the figures.

A new benchmark is one file in this folder with one subclass of :class:`Benchmark`; its fields are its options in YAML.
Imports stay light here: ``iconoclip check`` reads these classes without torch.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from iconoclip.config import Config

if TYPE_CHECKING:
    from ..data import EvalData, Pictures
    from ..tasks.base import Task


@dataclass(frozen=True)
class Prepared:
    """A benchmark that is ready to run.

    ``refuses`` names histories of weights (``random``, ``trained_from_random``) for which a score would mean nothing,
    with the reason that the report shows.
    """

    pictures: "Pictures"
    tasks: tuple["Task", ...]
    refuses: dict[str, str] = field(default_factory=dict)


class Benchmark(Config):
    """Base of all benchmarks; class variables are its data sheet."""

    title: ClassVar[str]
    description: ClassVar[str]
    licence: ClassVar[str]
    citation: ClassVar[str]

    name: str = Field(default="", pattern=r"^[a-z0-9_]*$")

    @property
    def shown_name(self) -> str:
        """Name in results and files: ``name``, else the kind."""
        return self.name or self.kind_name

    @property
    def kind_name(self) -> str:
        """What stands behind ``kind:``, the name of the module."""
        return type(self).__module__.rpartition(".")[2]

    def prepare(self, data: "EvalData") -> Prepared:
        """Collect pictures and tasks.

        Raises:
            EvaluationError: the shard set lacks what this benchmark needs.
        """
        raise NotImplementedError
