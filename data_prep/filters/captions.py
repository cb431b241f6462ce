"""Keep what has a caption: drops the stop captions of the configuration and records that are left with none."""

from dataclasses import replace
from typing import Literal

from iconoclip.languages import language_code
from iconoclip.records import Record, RejectReason

from ..captions import comparable
from ..sources.base import Drop
from .base import Filter


class CaptionsFilter(Filter):
    """``prefer`` orders languages for the default caption; ``stop`` adds texts that are no captions, in any case."""

    kind: Literal["captions"] = "captions"  # type: ignore[assignment]  # frozen, so narrowing is safe
    prefer: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    min_chars: int = 2

    def check(self, record: Record) -> Record | Drop:
        """Drop as ``caption_empty`` when nothing is left."""
        stopped = {comparable(text) for text in self.stop}
        kept = tuple(
            caption
            for caption in record.captions
            if len(caption.text) >= self.min_chars and comparable(caption.text) not in stopped
        )
        if not kept:
            texts = "; ".join(caption.text for caption in record.captions)
            return Drop("captions", RejectReason.CAPTION_EMPTY, texts or "no caption at all")
        return replace(record, captions=kept)

    @property
    def preferred_codes(self) -> tuple[str, ...]:
        """``prefer`` as language codes."""
        return tuple(language_code(text) or text for text in self.prefer)
