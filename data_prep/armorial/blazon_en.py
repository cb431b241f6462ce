"""English blazon, tincture after charge, the shared tincture said once.

    >>> blazon_english(arms)
    'Azure, a fess or between three mullets argent'

Vocabulary and order: J. Parker, A Glossary of Terms Used in Heraldry (1894); A. C. Fox-Davies,
A Complete Guide to Heraldry (1909). A mullet has five points unless more are named; two and one
is the way three charges lie unless another is named; roundels take the name of their tincture.
"""

from .grammar import Arms, Charges, Field

_CHARGES: dict[str, tuple[str, str]] = {
    "lion": ("a lion rampant", "lions rampant"),
    "eagle": ("an eagle displayed", "eagles displayed"),
    "fleur_de_lis": ("a fleur-de-lis", "fleurs-de-lis"),
    "mullet": ("a mullet", "mullets"),
    "crescent": ("a crescent", "crescents"),
    "rose": ("a rose", "roses"),
    "billet": ("a billet", "billets"),
    "escallop": ("an escallop", "escallops"),
    "tower": ("a tower", "towers"),
    "key": ("a key", "keys"),
    "sword": ("a sword", "swords"),
    "annulet": ("an annulet", "annulets"),
    "lozenge": ("a lozenge", "lozenges"),
    "anchor": ("an anchor", "anchors"),
    "oak_leaf": ("an oak leaf", "oak leaves"),
    "cross_crosslet": ("a cross crosslet", "crosses crosslet"),
    "trefoil": ("a trefoil slipped", "trefoils slipped"),
}
_ROUNDELS: dict[str, tuple[str, str]] = {
    "or": ("a bezant", "bezants"),
    "argent": ("a plate", "plates"),
    "gules": ("a torteau", "torteaux"),
    "azure": ("a hurt", "hurts"),
    "sable": ("a pellet", "pellets"),
    "vert": ("a pomme", "pommes"),
    "purpure": ("a golpe", "golpes"),
}
_NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}
_PLACING = {
    "in_fess": "in fess",
    "in_pale": "in pale",
    "two_and_two": "two and two",
    "in_saltire": "in saltire",
    "three_two_one": "three, two and one",
}
_DIVISIONS = {
    "per_pale": "per pale",
    "per_fess": "per fess",
    "per_bend": "per bend",
    "per_bend_sinister": "per bend sinister",
    "per_saltire": "per saltire",
    "quarterly": "quarterly",
    "barry": "barry of six",
    "paly": "paly of six",
    "bendy": "bendy of six",
    "chequy": "chequy",
    "lozengy": "lozengy",
}


def blazon_english(arms: Arms) -> str:
    """The field, then what lies next to it, then what lies on that; one capital, no full stop."""
    text = _say_field(arms.field)
    ordinary, charges = arms.ordinary, arms.charges
    if ordinary is None:
        figures = "" if charges is None else _say_charges(charges, closed=True)
    elif charges is None:
        figures = f"a {_name(ordinary.kind)} {ordinary.tincture}"
    elif charges.arrangement == "on":
        inner = _say_charges(charges, closed=True)
        figures = f"on a {_name(ordinary.kind)} {ordinary.tincture} {inner}"
    else:
        # One tincture for both is said once, after the last: "a fess between three mullets or".
        shared = ordinary.tincture == charges.tincture
        first = _say_charges(charges, closed=not shared or charges.kind == "roundel")
        second = f"{_name(ordinary.kind)} {ordinary.tincture}"
        if ordinary.kind == "chief":
            figures = f"{first} and a {second}"
        elif ordinary.kind == "bordure":
            figures = f"{first} within a {second}"
        else:
            ground = _name(ordinary.kind) if shared and charges.kind != "roundel" else second
            figures = f"a {ground} between {_say_charges(charges, closed=True)}"
    blazon = f"{text}, {figures}" if figures else text
    return blazon[0].upper() + blazon[1:]


def _say_field(field: Field) -> str:
    if field.division == "plain":
        return field.tinctures[0]
    return f"{_DIVISIONS[field.division]} {field.tinctures[0]} and {field.tinctures[1]}"


def _say_charges(charges: Charges, *, closed: bool) -> str:
    """Number, name, placing and, when `closed`, tincture (a roundel's name holds its own)."""
    is_roundel = charges.kind == "roundel"
    one, many = _ROUNDELS[charges.tincture] if is_roundel else _CHARGES[charges.kind]
    words = one if charges.number == 1 else f"{_NUMBERS[charges.number]} {many}"
    tincture = f" {charges.tincture}" if closed and not is_roundel else ""
    placing = _PLACING.get(charges.arrangement, "")
    if charges.arrangement in ("two_and_two", "three_two_one"):
        return f"{words}{tincture}, {placing}"
    return f"{words} {placing}{tincture}" if placing else f"{words}{tincture}"


def _name(kind: str) -> str:
    return kind.replace("_", " ")
