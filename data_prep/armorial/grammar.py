"""What arms may hold: field, ordinary, charges, and the rule of tincture that binds them.

`Arms` is checked as it is made, so every instance can be drawn and blazoned:

    Arms(Field("plain", ("azure",)), Ordinary("fess", "or"), Charges("mullet", 3, "argent", "around"))

The rule of tincture: no metal on metal, no colour on colour. A field of a metal and a colour
together is neutral, and takes either (Fox-Davies, A Complete Guide to Heraldry, ch. VI), so long
as the charge repeats neither of its tinctures.
"""

from dataclasses import dataclass
from typing import Literal, get_args

Tincture = Literal["or", "argent", "gules", "azure", "sable", "vert", "purpure"]
Partition = Literal["per_pale", "per_fess", "per_bend", "per_bend_sinister", "per_saltire", "quarterly"]
Variation = Literal["barry", "paly", "bendy", "chequy", "lozengy"]
Division = Literal["plain"] | Partition | Variation
OrdinaryKind = Literal[
    "chief", "fess", "pale", "bend", "bend_sinister", "chevron", "cross", "saltire", "pall", "bordure"
]
ChargeKind = Literal[
    "lion", "eagle", "fleur_de_lis", "mullet", "crescent", "rose", "roundel", "billet", "escallop",
    "tower", "key", "sword", "annulet", "lozenge", "anchor", "oak_leaf", "cross_crosslet", "trefoil",
]  # fmt: skip
Arrangement = Literal[
    "alone", "in_fess", "in_pale", "two_and_one", "two_and_two", "in_saltire", "three_two_one",
    "around", "on",
]  # fmt: skip

METALS: tuple[Tincture, ...] = ("or", "argent")
COLOURS: tuple[Tincture, ...] = ("gules", "azure", "sable", "vert", "purpure")
TINCTURES: tuple[Tincture, ...] = METALS + COLOURS
PARTITIONS: tuple[Partition, ...] = get_args(Partition)
VARIATIONS: tuple[Variation, ...] = get_args(Variation)
ORDINARIES: tuple[OrdinaryKind, ...] = get_args(OrdinaryKind)
CHARGES: tuple[ChargeKind, ...] = get_args(ChargeKind)

# Small and plain enough to be told apart on an ordinary when the shield is 64 px high.
SMALL_CHARGES: tuple[ChargeKind, ...] = (
    "fleur_de_lis", "mullet", "crescent", "rose", "roundel", "billet", "escallop", "annulet",
    "lozenge", "cross_crosslet", "trefoil",
)  # fmt: skip
# A silhouette broad enough to show both tinctures on either side of a line of partition.
COUNTERCHANGEABLE: tuple[ChargeKind, ...] = (
    "lion", "eagle", "fleur_de_lis", "mullet", "rose", "escallop", "tower", "annulet", "lozenge",
    "oak_leaf", "cross_crosslet", "trefoil",
)  # fmt: skip
COUNTERCHANGING: tuple[Partition, ...] = ("per_pale", "per_fess", "per_bend", "quarterly")

NUMBER_OF: dict[Arrangement, int] = {
    "alone": 1, "in_fess": 2, "in_pale": 2, "two_and_one": 3, "two_and_two": 4, "in_saltire": 5,
    "three_two_one": 6,
}  # fmt: skip
NUMBER_AROUND: dict[OrdinaryKind, int] = {
    "fess": 3, "pale": 2, "bend": 2, "bend_sinister": 2, "chevron": 3, "cross": 4, "saltire": 4,
    "pall": 3,
}  # fmt: skip
NUMBER_ON: dict[OrdinaryKind, int] = {
    "chief": 3, "fess": 3, "pale": 3, "bend": 3, "chevron": 3, "cross": 5,
}  # fmt: skip
ARRANGEMENTS_WITH: dict[OrdinaryKind, tuple[Arrangement, ...]] = {
    "chief": ("alone", "in_fess", "two_and_one"),
    "bordure": ("alone", "two_and_one"),
}


class GrammarError(ValueError):
    """Arms that no herald would grant; the message says what was asked and which rule forbids it."""


@dataclass(frozen=True)
class Field:
    """One tincture for a plain field, two for a divided one, in the order they are blazoned."""

    division: Division
    tinctures: tuple[Tincture, ...]


@dataclass(frozen=True)
class Ordinary:
    """One ordinary, laid on the field."""

    kind: OrdinaryKind
    tincture: Tincture


@dataclass(frozen=True)
class Charges:
    """`number` charges of one kind; `around` and `on` refer to the ordinary."""

    kind: ChargeKind
    number: int
    tincture: Tincture | Literal["counterchanged"]
    arrangement: Arrangement


@dataclass(frozen=True)
class Arms:
    """A coat of arms; equal and hashable by its composition, legal by construction."""

    field: Field
    ordinary: Ordinary | None = None
    charges: Charges | None = None

    def __post_init__(self) -> None:
        _check_field(self.field)
        if self.ordinary is not None:
            _check_laid_on(self.ordinary.kind, self.ordinary.tincture, self.field)
        if self.charges is not None:
            _check_arrangement(self.charges, self.ordinary, self.field)
            _check_charge_tincture(self.charges, self.ordinary, self.field)

    @property
    def combination(self) -> str:
        """The whole composition in one canonical line; equal exactly when the arms are equal."""
        parts = [" ".join((self.field.division, *self.field.tinctures))]
        if self.ordinary is not None:
            parts.append(f"{self.ordinary.kind} {self.ordinary.tincture}")
        if self.charges is not None:
            charges = self.charges
            parts.append(f"{charges.number} {charges.kind} {charges.tincture} {charges.arrangement}")
        return " | ".join(parts)


def is_metal(tincture: str) -> bool:
    """True of or and argent."""
    return tincture in METALS


def may_lie_on(tincture: Tincture, ground: tuple[Tincture, ...]) -> bool:
    """True where `tincture` may be laid on a ground of these tinctures by the rule of tincture."""
    if tincture in ground:
        return False
    kinds = {is_metal(each) for each in ground}
    return len(kinds) == 2 or is_metal(tincture) not in kinds


def _check_field(field: Field) -> None:
    want = 1 if field.division == "plain" else 2
    if len(field.tinctures) != want or len(set(field.tinctures)) != want:
        raise GrammarError(f"field {field.division}: wants {want} distinct tinctures, got {field.tinctures}")
    if want == 2 and all(is_metal(each) for each in field.tinctures):
        raise GrammarError(f"field {field.division}: two metals cannot be told apart")
    mixed = len({is_metal(each) for each in field.tinctures}) == 2
    if field.division in VARIATIONS and not mixed:
        raise GrammarError(f"field {field.division}: wants a metal and a colour")


def _check_laid_on(what: str, tincture: Tincture, field: Field) -> None:
    if not may_lie_on(tincture, field.tinctures):
        raise GrammarError(f"{what} {tincture} on {field.tinctures}: breaks the rule of tincture")


def _check_arrangement(charges: Charges, ordinary: Ordinary | None, field: Field) -> None:
    kind = ordinary.kind if ordinary is not None else None
    want: int | None
    if charges.arrangement == "around":
        want = NUMBER_AROUND.get(kind) if kind is not None else None
    elif charges.arrangement == "on":
        want = NUMBER_ON.get(kind) if kind is not None else None
    elif kind is None or charges.arrangement in ARRANGEMENTS_WITH.get(kind, ()):
        want = NUMBER_OF[charges.arrangement]
    else:
        want = None
    if want != charges.number:
        raise GrammarError(
            f"{charges.number} {charges.kind} {charges.arrangement} with ordinary {kind}: "
            f"{'no such arrangement' if want is None else f'wants {want}'}"
        )
    if ordinary is not None and field.division != "plain":
        raise GrammarError(f"field {field.division}: an ordinary and charges on it are too much")


def _check_charge_tincture(charges: Charges, ordinary: Ordinary | None, field: Field) -> None:
    if charges.tincture == "counterchanged":
        allowed = field.division in COUNTERCHANGING and charges.kind in COUNTERCHANGEABLE
        if not allowed or charges.arrangement != "alone":
            raise GrammarError(f"{charges.kind} cannot be counterchanged on {field.division}")
    elif charges.arrangement == "on" and ordinary is not None:
        if not may_lie_on(charges.tincture, (ordinary.tincture,)):
            raise GrammarError(
                f"{charges.kind} {charges.tincture} on a {ordinary.kind} {ordinary.tincture}: "
                "breaks the rule of tincture"
            )
    else:
        _check_laid_on(charges.kind, charges.tincture, field)
