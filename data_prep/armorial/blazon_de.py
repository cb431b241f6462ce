"""German blazon: „In Blau ein goldener Balken, begleitet von drei silbernen Rosen“.

Checked against: the heraldry exercises of Ad fontes (Universität Zürich) for the divisions and
„schräggeteilt von Rot und Silber“; Heraldik-Wiki after Gritzner, Handbuch der heraldischen
Terminologie (1889/90), for Deichsel („In Blau eine goldene Deichsel, begleitet von drei silbernen
Lilien“), Wiederkreuz and Mondsichel; Meyers Großes Konversations-Lexikon, Heroldsfiguren, for
Pfahl, Balken, Sparren, Schräglinksbalken; Bernhard Peter, Welt der Wappen, for „der Bord“ and
Schindel; Wikipedia (de), Schildlein, for „balkenweise, pfahlweise, schragenweise, 2:1 gestellt“.
A German star has six points unless more or fewer are named, so ours is called fünfstrahlig. A
Mondsichel with its horns upwards is liegend (Wikipedia (de), Mond (Heraldik)).
"""

from typing import Literal

from .grammar import Arms, Charges

Gender = Literal["m", "f", "n"]

_FIELDS = {
    "or": "Gold", "argent": "Silber", "gules": "Rot", "azure": "Blau", "sable": "Schwarz",
    "vert": "Grün", "purpure": "Purpur",
}  # fmt: skip
_STEMS = {
    "or": "golden", "argent": "silbern", "gules": "rot", "azure": "blau", "sable": "schwarz",
    "vert": "grün", "purpure": "purpurn",
}  # fmt: skip
# Gender, nominative singular, nominative plural, dative plural, an adjective that comes first.
_CHARGES: dict[str, tuple[Gender, str, str, str, str]] = {
    "lion": ("m", "Löwe", "Löwen", "Löwen", ""),
    "eagle": ("m", "Adler", "Adler", "Adlern", ""),
    "fleur_de_lis": ("f", "Lilie", "Lilien", "Lilien", ""),
    "mullet": ("m", "Stern", "Sterne", "Sternen", "fünfstrahlig"),
    "crescent": ("f", "Mondsichel", "Mondsicheln", "Mondsicheln", "liegend"),
    "rose": ("f", "Rose", "Rosen", "Rosen", ""),
    "roundel": ("f", "Kugel", "Kugeln", "Kugeln", ""),
    "billet": ("f", "Schindel", "Schindeln", "Schindeln", ""),
    "escallop": ("f", "Jakobsmuschel", "Jakobsmuscheln", "Jakobsmuscheln", ""),
    "tower": ("m", "Zinnenturm", "Zinnentürme", "Zinnentürmen", ""),
    "key": ("m", "Schlüssel", "Schlüssel", "Schlüsseln", ""),
    "sword": ("n", "Schwert", "Schwerter", "Schwertern", ""),
    "annulet": ("m", "Ring", "Ringe", "Ringen", ""),
    "lozenge": ("f", "Raute", "Rauten", "Rauten", ""),
    "anchor": ("m", "Anker", "Anker", "Ankern", ""),
    "oak_leaf": ("n", "Eichenblatt", "Eichenblätter", "Eichenblättern", ""),
    "cross_crosslet": ("n", "Wiederkreuz", "Wiederkreuze", "Wiederkreuzen", ""),
    "trefoil": ("n", "Kleeblatt", "Kleeblätter", "Kleeblättern", ""),
}
_ORDINARIES: dict[str, tuple[Gender, str]] = {
    "chief": ("n", "Schildhaupt"),
    "fess": ("m", "Balken"),
    "pale": ("m", "Pfahl"),
    "bend": ("m", "Schrägbalken"),
    "bend_sinister": ("m", "Schräglinksbalken"),
    "chevron": ("m", "Sparren"),
    "cross": ("n", "Kreuz"),
    "saltire": ("n", "Andreaskreuz"),
    "pall": ("f", "Deichsel"),
    "bordure": ("m", "Bord"),
}
_DIVISIONS = {
    "per_pale": "gespalten",
    "per_fess": "geteilt",
    "per_bend": "schräggeteilt",
    "per_bend_sinister": "schräglinksgeteilt",
    "per_saltire": "schräggeviert",
    "quarterly": "geviert",
    "barry": "fünfmal geteilt",
    "paly": "fünfmal gespalten",
    "bendy": "fünfmal schräggeteilt",
    "chequy": "geschacht",
    "lozengy": "gerautet",
}
_PLACING = {
    "in_fess": "balkenweise gestellte ",
    "in_pale": "pfahlweise gestellte ",
    "two_and_two": "2:2 gestellte ",
    "in_saltire": "schragenweise gestellte ",
    "three_two_one": "3:2:1 gestellte ",
}
_NUMBERS = {2: "zwei", 3: "drei", 4: "vier", 5: "fünf", 6: "sechs"}
_NOMINATIVE: dict[Gender, tuple[str, str]] = {
    "m": ("ein", "er"), "f": ("eine", "e"), "n": ("ein", "es"),
}  # fmt: skip


def blazon_german(arms: Arms) -> str:
    """The field first, but a chief before it: "Unter silbernem Schildhaupt in Blau ..."."""
    ordinary, charges = arms.ordinary, arms.charges
    ground = _say_ground(arms)
    if ordinary is None:
        figures = "" if charges is None else _say_charges(charges)
    elif charges is None:
        figures = _say_ordinary(ordinary.kind, ordinary.tincture)
    elif charges.arrangement == "on":
        verb = f"belegt mit {_say_dative(charges)}"
        figures = f"{_say_ordinary(ordinary.kind, ordinary.tincture)}, {verb}"
    elif charges.arrangement == "around":
        verb = "bewinkelt" if ordinary.kind == "cross" else "begleitet"
        laid = _say_ordinary(ordinary.kind, ordinary.tincture)
        figures = f"{laid}, {verb} von {_say_dative(charges)}"
    elif ordinary.kind == "chief":
        chief = f"Unter {_STEMS[ordinary.tincture]}em Schildhaupt"
        return f"{chief} in {_FIELDS[arms.field.tinctures[0]]} {_say_charges(charges)}"
    else:
        border = f"innerhalb eines {_STEMS[ordinary.tincture]}en Bordes"
        figures = f"{border} {_say_charges(charges)}"
    return f"{ground} {figures}" if figures else ground


def _say_ground(arms: Arms) -> str:
    first = _FIELDS[arms.field.tinctures[0]]
    if arms.field.division == "plain":
        return f"In {first}"
    second = _FIELDS[arms.field.tinctures[1]]
    division = _DIVISIONS[arms.field.division]
    if arms.ordinary is None and arms.charges is None:
        return f"{division[0].upper()}{division[1:]} von {first} und {second}"
    return f"In von {first} und {second} {division}em Schild"


def _say_ordinary(kind: str, tincture: str) -> str:
    gender, noun = _ORDINARIES[kind]
    article, ending = _NOMINATIVE[gender]
    return f"{article} {_STEMS[tincture]}{ending} {noun}"


def _say_charges(charges: Charges) -> str:
    """In the nominative."""
    gender, one, many, _, adjective = _CHARGES[charges.kind]
    if charges.number > 1:
        first = f"{adjective}e " if adjective else ""
        words = f"{_NUMBERS[charges.number]} {_PLACING.get(charges.arrangement, '')}"
        return f"{words}{first}{_STEMS[charges.tincture]}e {many}"
    article, ending = _NOMINATIVE[gender]
    first = f"{adjective}{ending} " if adjective else ""
    if charges.tincture == "counterchanged":
        return f"{article} {first}{one} in verwechselten Farben"
    return f"{article} {first}{_STEMS[charges.tincture]}{ending} {one}"


def _say_dative(charges: Charges) -> str:
    _, _, _, dative, adjective = _CHARGES[charges.kind]
    first = f"{adjective}en " if adjective else ""
    return f"{_NUMBERS[charges.number]} {first}{_STEMS[charges.tincture]}en {dative}"
