"""The armorial: shields that the project draws itself, with their blazons; needs no files.

Its three invented rolls are the institutions; a work is a combination of field, ordinary and charges.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from iconoclip.records import Caption, Record, Rights

from .base import Harvest, Item, Source, Surroundings

if TYPE_CHECKING:
    from ..armorial import ArmorialEntry


class ArmorialSource(Source):
    """``num_records`` shields; ``languages`` (empty: all there are) chooses among the blazons."""

    kind: Literal["armorial"] = "armorial"  # type: ignore[assignment]  # frozen, so narrowing is safe
    num_records: int = Field(default=2400, ge=1)
    seed: int = 0
    size_px: int = Field(default=256, ge=32, le=2048)
    languages: tuple[str, ...] = ()
    near_duplicates: bool = False  # shields that differ in their tinctures alone have one grey thumbnail

    def harvest(self, name: str, around: Surroundings) -> Harvest:
        """The rolls in turn; the same configuration gives the same shields."""
        return Harvest(self._items(name))

    def _items(self, name: str) -> Iterator[Item]:
        from ..armorial import generate

        for entry in generate(num_records=self.num_records, seed=self.seed):
            yield Item(_record(entry, name, self.languages), ArmorialPicture(entry, self.size_px), entry.combination)


@dataclass(frozen=True)
class ArmorialPicture:
    """A shield that is drawn when it is read."""

    entry: "ArmorialEntry"
    size_px: int
    turn_deg: int = 0
    box: None = None

    def fingerprint(self) -> str:
        """The arms, the roll and the seed decide every pixel."""
        entry = self.entry
        return f"armorial|{entry.id}|{entry.combination}|{entry.seed}|{self.size_px}"

    def read(self) -> bytes:
        """PNG, [size_px, size_px]."""
        buffer = io.BytesIO()
        self.entry.draw(size_px=self.size_px).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()

    def file_sha256(self, data: bytes) -> str:
        """None: no file of a source."""
        return ""


def _record(entry: "ArmorialEntry", name: str, languages: tuple[str, ...]) -> Record:
    from ..armorial.rolls import RIGHTS_URI

    parts: tuple[Literal["work", "image", "metadata"], ...] = ("work", "image", "metadata")
    return Record(
        id=entry.id,
        source=name,
        institution=entry.institution,
        title=entry.roll.title,
        captions=tuple(
            Caption(text, lang, "blazon", "object", machine=True)
            for lang, text in entry.blazons.items()
            if not languages or lang in languages
        ),
        date_text=entry.date_text,
        year_min=entry.year_min,
        year_max=entry.year_max,
        subjects=("heraldry",),
        iconclass=entry.iconclass,
        technique="digital drawing",
        object_type="coat of arms",
        rights=tuple(
            Rights(
                part,
                RIGHTS_URI,
                "CC0 1.0",
                "iconoclip contributors",
                "https://creativecommons.org/publicdomain/zero/1.0/",
            )
            for part in parts
        ),
        attribution=f"{entry.institution}, drawn by iconoclip",
    )
