"""What every filter is: it looks at one record and keeps it (changed or not) or drops it with a reason.

A filter is one module in this package with one subclass of :class:`Filter`; ``filters: [{kind: size, min_px: 64}]``
in a configuration adds it. `rights` and `captions` always run.
"""

from abc import abstractmethod
from typing import ClassVar, Literal

from iconoclip.config import Config
from iconoclip.records import Record

from ..sources.base import Drop

Stage = Literal["record", "image"]


class Filter(Config):
    """Keeps or drops records; ``stage`` is ``image`` where width, height or hashes must be known."""

    stage: ClassVar[Stage] = "record"
    kind: str

    @abstractmethod
    def check(self, record: Record) -> Record | Drop:
        """The record to go on with, or why it is dropped."""
