"""Drop pictures too small to show anything."""

from typing import ClassVar, Literal

from pydantic import Field

from iconoclip.records import Record, RejectReason

from ..sources.base import Drop
from .base import Filter, Stage


class SizeFilter(Filter):
    """``min_px`` is the least shorter side of the stored picture; ``max_ratio`` the most longer to shorter."""

    stage: ClassVar[Stage] = "image"
    kind: Literal["size"] = "size"  # type: ignore[assignment]  # frozen, so narrowing is safe
    min_px: int = Field(default=32, ge=1)
    max_ratio: float = Field(default=20.0, ge=1)

    def check(self, record: Record) -> Record | Drop:
        """Drop as ``image_too_small``; a record whose size is not known is kept."""
        if record.width is None or record.height is None:
            return record
        shorter, longer = sorted((record.width, record.height))
        if shorter < self.min_px or longer > shorter * self.max_ratio:
            size = f"{record.width} x {record.height} px; want {self.min_px} px and at most {self.max_ratio:g}:1"
            return Drop("image", RejectReason.IMAGE_TOO_SMALL, size)
        return record
