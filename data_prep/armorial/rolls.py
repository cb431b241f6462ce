"""The armorial: invented rolls of arms, each shield distinct, each with its blazons.

    for entry in generate(num_records=2400, seed=0):
        entry.draw(size_px=160)
        entry.blazons["fr"]

`entry.combination` is the whole composition: division and tinctures of the field, ordinary and its
tincture, number, kind, tincture and arrangement of the charges. No two entries share it, so a
split by that key leaves test shields whose combination was never seen in training, while every
element (tincture, division, ordinary, charge, number) is common enough to be on both sides.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from .blazon import blazon_all
from .draw import Style, draw
from .grammar import Arms
from .sample import sample_arms

# Iconclass 46A122: "armorial bearing, heraldry".
ICONCLASS = ("46A122",)
RIGHTS_URI = "https://creativecommons.org/publicdomain/zero/1.0/"


@dataclass(frozen=True)
class Roll:
    """An invented roll of arms; its dates are those of the manner it imitates."""

    slug: str
    title: str
    year_min: int
    year_max: int
    date_text: str
    style: Style

    @property
    def institution(self) -> str:
        """Says that the roll is generated."""
        return f"Armorial (generated): {self.title}"


@dataclass(frozen=True)
class ArmorialEntry:
    """One shield of one roll, with all a record needs; `seed` fixes its minor style."""

    id: str
    roll: Roll
    year_min: int
    year_max: int
    date_text: str
    arms: Arms
    blazons: dict[str, str]
    iconclass: tuple[str, ...]
    seed: int

    @property
    def combination(self) -> str:
        """The composition without its style: the key of the work."""
        return self.arms.combination

    @property
    def institution(self) -> str:
        """The institution of its roll."""
        return self.roll.institution

    def draw(self, size_px: int = 256) -> Image.Image:
        """RGB, [size_px, size_px]; the same pixels each time."""
        return draw(self.arms, size_px=size_px, style=self.roll.style, seed=self.seed)


def generate(*, num_records: int = 2400, seed: int = 0) -> Iterator[ArmorialEntry]:
    """`num_records` entries, the rolls in turn; the same arguments give the same entries."""
    rng = random.Random(seed)
    for index, arms in enumerate(sample_arms(num_records, seed=rng.getrandbits(32))):
        roll = ROLLS[index % len(ROLLS)]
        number = index // len(ROLLS) + 1
        yield ArmorialEntry(
            id=f"{roll.slug}-{number:04d}",
            roll=roll,
            year_min=roll.year_min,
            year_max=roll.year_max,
            date_text=roll.date_text,
            arms=arms,
            blazons=blazon_all(arms),
            iconclass=ICONCLASS,
            seed=rng.getrandbits(32),
        )


ROLLS: tuple[Roll, ...] = (
    Roll(
        "roll-of-hollin", "Roll of Hollin", 1280, 1310, "invented; in the manner of about 1295",
        Style(
            shape="heater",
            palette=(
                ("or", (229, 177, 52)), ("argent", (240, 235, 220)), ("gules", (184, 42, 38)),
                ("azure", (42, 82, 150)), ("sable", (38, 34, 34)), ("vert", (56, 118, 66)),
                ("purpure", (128, 58, 128)),
            ),
            ink=(52, 34, 24), light_ink=(168, 156, 140), line_width=0.014,
            paper=(226, 208, 170), paper_kind="parchment", grain=3.0,
        ),
    ),
    Roll(
        "roll-of-vaubresse", "Roll of Vaubresse", 1440, 1480, "invented; in the manner of about 1460",
        Style(
            shape="round",
            palette=(
                ("or", (248, 200, 36)), ("argent", (250, 250, 250)), ("gules", (214, 32, 42)),
                ("azure", (28, 92, 190)), ("sable", (22, 22, 26)), ("vert", (22, 138, 76)),
                ("purpure", (142, 48, 150)),
            ),
            ink=(18, 16, 20), light_ink=(190, 190, 196), line_width=0.011,
            paper=(247, 246, 242), paper_kind="white", grain=1.5,
        ),
    ),
    Roll(
        "armorial-of-steenrode", "Armorial of Steenrode", 1830, 1870,
        "invented; in the manner of about 1850",
        Style(
            shape="french",
            palette=(
                ("or", (220, 184, 88)), ("argent", (236, 238, 240)), ("gules", (176, 56, 62)),
                ("azure", (70, 104, 158)), ("sable", (48, 48, 52)), ("vert", (84, 130, 90)),
                ("purpure", (134, 84, 140)),
            ),
            ink=(40, 40, 46), light_ink=(176, 178, 182), line_width=0.0085,
            paper=(203, 202, 200), paper_kind="grey", grain=2.2,
        ),
    ),
)  # fmt: skip
