"""Arms drawn evenly from the grammar: every element comes as often as any other of its kind.

list(sample_arms(2400, seed=0))  ->  2,400 arms, no two alike
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from .grammar import (
    ARRANGEMENTS_WITH,
    CHARGES,
    COLOURS,
    COUNTERCHANGEABLE,
    COUNTERCHANGING,
    METALS,
    NUMBER_AROUND,
    NUMBER_OF,
    NUMBER_ON,
    ORDINARIES,
    PARTITIONS,
    SMALL_CHARGES,
    TINCTURES,
    VARIATIONS,
    Arms,
    Arrangement,
    ChargeKind,
    Charges,
    Division,
    Field,
    Ordinary,
    OrdinaryKind,
    Tincture,
    may_lie_on,
)

Item = TypeVar("Item")
_MAX_TRIES = 2000

# Shares of a hundred; most shields bear an ordinary with charges, so that they differ in more than two tinctures.
_PATTERNS = (
    ("charges", 16),
    ("around", 32),
    ("with", 10),
    ("on", 16),
    ("party_charge", 9),
    ("counterchanged", 4),
    ("party_ordinary", 7),
    ("ordinary", 3),
    ("party", 3),
)
_ARRANGEMENTS: tuple[Arrangement, ...] = (
    "alone", "three_two_one", "two_and_one", "alone", "in_pale", "two_and_one", "alone", "in_fess",
    "two_and_two", "two_and_one", "in_saltire", "three_two_one",
)  # fmt: skip


class SpaceError(ValueError):
    """More distinct arms were asked for than the grammar readily gives."""


@dataclass
class _Decks:
    """Shuffled packs dealt to the end before they are shuffled again: even, yet random."""

    rng: random.Random
    packs: dict[str, list[int]] = field(default_factory=dict)

    def deal(self, name: str, items: Sequence[Item]) -> Item:
        pack = self.packs.get(name)
        if not pack:
            pack = list(range(len(items)))
            self.rng.shuffle(pack)
            self.packs[name] = pack
        return items[pack.pop()]


def sample_arms(num_arms: int, *, seed: int) -> Iterator[Arms]:
    """Distinct arms; raises `SpaceError` when new ones can no longer be found."""
    decks = _Decks(random.Random(seed))
    patterns = [name for name, share in _PATTERNS for _ in range(share)]
    makers: dict[str, Callable[[_Decks], Arms]] = {
        "charges": _charges, "around": _around, "with": _with, "on": _on,
        "party_charge": _party_charge, "counterchanged": _counterchanged,
        "party_ordinary": _party_ordinary, "ordinary": _ordinary, "party": _party,
    }  # fmt: skip
    seen: set[str] = set()
    tries = 0
    while len(seen) < num_arms:
        arms = makers[decks.deal("pattern", patterns)](decks)
        tries = tries + 1 if arms.combination in seen else 0
        if tries > _MAX_TRIES:
            raise SpaceError(f"{num_arms} arms asked for, {len(seen)} found; ask for fewer")
        if not tries:
            seen.add(arms.combination)
            yield arms


def _charges(decks: _Decks) -> Arms:
    ground = _plain(decks)
    kind = decks.deal("charge", CHARGES)
    return Arms(ground, None, _lay(decks, kind, decks.deal("arrangement", _ARRANGEMENTS), ground))


def _around(decks: _Decks) -> Arms:
    ordinary_kind: OrdinaryKind = decks.deal("around", tuple(NUMBER_AROUND))
    ground = _plain(decks)
    ordinary = Ordinary(ordinary_kind, _tincture_on(decks, ground.tinctures))
    kind = decks.deal("charge around", CHARGES)
    tincture = _tincture_on(decks, ground.tinctures)
    number = NUMBER_AROUND[ordinary_kind]
    return Arms(ground, ordinary, Charges(kind, number, tincture, "around"))


def _with(decks: _Decks) -> Arms:
    ordinary_kind: OrdinaryKind = decks.deal("with", tuple(ARRANGEMENTS_WITH))
    ground = _plain(decks)
    ordinary = Ordinary(ordinary_kind, _tincture_on(decks, ground.tinctures))
    arrangement = decks.deal(f"with {ordinary_kind}", ARRANGEMENTS_WITH[ordinary_kind])
    charges = _lay(decks, decks.deal("charge with", CHARGES), arrangement, ground)
    return Arms(ground, ordinary, charges)


def _on(decks: _Decks) -> Arms:
    ordinary_kind: OrdinaryKind = decks.deal("on", tuple(NUMBER_ON))
    ground = _plain(decks)
    ordinary = Ordinary(ordinary_kind, _tincture_on(decks, ground.tinctures))
    tincture = _tincture_on(decks, (ordinary.tincture,))
    kind = decks.deal("charge on", SMALL_CHARGES)
    return Arms(ground, ordinary, Charges(kind, NUMBER_ON[ordinary_kind], tincture, "on"))


def _party_charge(decks: _Decks) -> Arms:
    ground = _divided(decks, "party charge")
    return Arms(ground, None, _lay(decks, decks.deal("charge party", CHARGES), "alone", ground))


def _counterchanged(decks: _Decks) -> Arms:
    ground = _two(decks, decks.deal("counterchanging", COUNTERCHANGING), mixed=True)
    kind = decks.deal("counterchanged", COUNTERCHANGEABLE)
    return Arms(ground, None, Charges(kind, 1, "counterchanged", "alone"))


def _party_ordinary(decks: _Decks) -> Arms:
    ground = _divided(decks, "party ordinary")
    kind = decks.deal("ordinary party", ORDINARIES)
    return Arms(ground, Ordinary(kind, _tincture_on(decks, ground.tinctures)))


def _ordinary(decks: _Decks) -> Arms:
    ground = _plain(decks)
    kind = decks.deal("ordinary", ORDINARIES)
    return Arms(ground, Ordinary(kind, _tincture_on(decks, ground.tinctures)))


def _party(decks: _Decks) -> Arms:
    return Arms(_divided(decks, "party"))


def _plain(decks: _Decks) -> Field:
    return Field("plain", (decks.deal("field", TINCTURES),))


def _divided(decks: _Decks, name: str) -> Field:
    division: Division = decks.deal(name, (*PARTITIONS, *VARIATIONS))
    # One partition in four is of two colours, which heralds allow side by side.
    mixed = division in VARIATIONS or decks.deal("mixed", (True, True, True, False))
    return _two(decks, division, mixed=mixed)


def _two(decks: _Decks, division: Division, *, mixed: bool) -> Field:
    first: Tincture = decks.deal("colour", COLOURS)
    if not mixed:
        others: tuple[Tincture, ...] = tuple(each for each in COLOURS if each != first)
        return Field(division, (first, decks.rng.choice(others)))
    metal: Tincture = decks.deal("metal", METALS)
    pair: tuple[Tincture, Tincture] = (first, metal)
    return Field(division, pair if decks.deal("order", (True, False)) else (metal, first))


def _tincture_on(decks: _Decks, ground: tuple[Tincture, ...]) -> Tincture:
    allowed: tuple[Tincture, ...] = tuple(each for each in TINCTURES if may_lie_on(each, ground))
    return decks.deal(f"on {' '.join(allowed)}", allowed)


def _lay(decks: _Decks, kind: ChargeKind, arrangement: Arrangement, ground: Field) -> Charges:
    tincture = _tincture_on(decks, ground.tinctures)
    return Charges(kind, NUMBER_OF[arrangement], tincture, arrangement)
