"""French blazon: « D'azur à la fasce d'or accompagnée de trois étoiles d'argent ».

Vocabulary and order: the partitions of the Traité de la science du blason et des armoiries
(Wikisource) and of the Dictionnaire encyclopédique de la noblesse de France (N. Viton de
Saint-Allais, 1816); fascé, palé and bandé are of six pieces unless more are named; a cross is
cantonnée, a pale accosté, the others accompagnés; an étoile has five points (the molette is
pierced); roundels are besants of metal and tourteaux of colour; vert is sinople. The tincture
just named is not repeated but said « du même ».
"""

from .grammar import Arms, Charges, Field, is_metal

_TINCTURES = {
    "or": "d'or",
    "argent": "d'argent",
    "gules": "de gueules",
    "azure": "d'azur",
    "sable": "de sable",
    "vert": "de sinople",
    "purpure": "de pourpre",
}
# Singular with its article, plural, feminine or not.
_CHARGES: dict[str, tuple[str, str, bool]] = {
    "lion": ("au lion", "lions", False),
    "eagle": ("à l'aigle", "aigles", True),
    "fleur_de_lis": ("à la fleur de lis", "fleurs de lis", True),
    "mullet": ("à l'étoile", "étoiles", True),
    "crescent": ("au croissant", "croissants", False),
    "rose": ("à la rose", "roses", True),
    "billet": ("à la billette", "billettes", True),
    "escallop": ("à la coquille", "coquilles", True),
    "tower": ("à la tour", "tours", True),
    "key": ("à la clef", "clefs", True),
    "sword": ("à l'épée", "épées", True),
    "annulet": ("à l'annelet", "annelets", False),
    "lozenge": ("au losange", "losanges", False),
    "anchor": ("à l'ancre", "ancres", True),
    "oak_leaf": ("à la feuille de chêne", "feuilles de chêne", True),
    "cross_crosslet": ("à la croix recroisetée", "croix recroisetées", True),
    "trefoil": ("au trèfle", "trèfles", False),
}
_ORDINARIES: dict[str, tuple[str, bool]] = {
    "chief": ("au chef", False),
    "fess": ("à la fasce", True),
    "pale": ("au pal", False),
    "bend": ("à la bande", True),
    "bend_sinister": ("à la barre", True),
    "chevron": ("au chevron", False),
    "cross": ("à la croix", True),
    "saltire": ("au sautoir", False),
    "pall": ("au pairle", False),
    "bordure": ("à la bordure", True),
}
_DIVISIONS = {
    "per_pale": "parti",
    "per_fess": "coupé",
    "per_bend": "tranché",
    "per_bend_sinister": "taillé",
    "per_saltire": "écartelé en sautoir",
    "quarterly": "écartelé",
    "barry": "fascé",
    "paly": "palé",
    "bendy": "bandé",
    "chequy": "échiqueté",
    "lozengy": "losangé",
}
_NUMBERS = {2: "deux", 3: "trois", 4: "quatre", 5: "cinq", 6: "six"}
_PLACING = {
    "in_fess": "rangé{e}s en fasce",
    "in_pale": "rangé{e}s en pal",
    "two_and_two": "posé{e}s deux et deux",
    "in_saltire": "posé{e}s en sautoir",
    "three_two_one": "posé{e}s trois, deux et un{e}",
}
_SURROUNDED = {"pale": "accosté", "cross": "cantonné"}


def blazon_french(arms: Arms) -> str:
    """What lies over a divided field is « brochant sur le tout »; a chief or bordure is not."""
    text = _say_field(arms.field)
    over = " brochant sur le tout" if arms.field.division != "plain" else ""
    ordinary, charges = arms.ordinary, arms.charges
    if ordinary is None and charges is not None:
        comma = "," if over else ""
        over = "" if charges.tincture == "counterchanged" else over
        text += f"{comma} {_say_charges(charges)}{over}"
    elif ordinary is not None:
        name, is_feminine = _ORDINARIES[ordinary.kind]
        laid = f"{name} {_TINCTURES[ordinary.tincture]}"
        if charges is None:
            comma = "," if over else ""
            over = "" if ordinary.kind in ("chief", "bordure") else over
            text += f"{comma} {laid}{over}"
        elif ordinary.kind in ("chief", "bordure") and charges.arrangement != "on":
            last = "du même" if ordinary.tincture == charges.tincture else ""
            tincture = last or _TINCTURES[ordinary.tincture]
            text += f" {_say_charges(charges)}, {name} {tincture}"
        else:
            verb = "chargé"
            if charges.arrangement == "around":
                verb = _SURROUNDED.get(ordinary.kind, "accompagné")
            group = _say_group(charges, same=charges.tincture == ordinary.tincture)
            text += f" {laid} {verb}{'e' if is_feminine else ''} de {group}"
    return text[0].upper() + text[1:]


def _say_field(field: Field) -> str:
    first = _TINCTURES[field.tinctures[0]]
    if field.division == "plain":
        return first
    return f"{_DIVISIONS[field.division]} {first} et {_TINCTURES[field.tinctures[1]]}"


def _say_charges(charges: Charges) -> str:
    if charges.number > 1:
        return f"à {_say_group(charges, same=False)}"
    single = _forms(charges)[0]
    if charges.tincture == "counterchanged":
        return f"{single} de l'un en l'autre"
    return f"{single} {_TINCTURES[charges.tincture]}"


def _say_group(charges: Charges, *, same: bool) -> str:
    _, plural, is_feminine = _forms(charges)
    tincture = "du même" if same else _TINCTURES[charges.tincture]
    placing = _PLACING.get(charges.arrangement, "").format(e="e" if is_feminine else "")
    words = f"{_NUMBERS[charges.number]} {plural} {tincture}"
    return f"{words} {placing}" if placing else words


def _forms(charges: Charges) -> tuple[str, str, bool]:
    if charges.kind != "roundel":
        return _CHARGES[charges.kind]
    return ("au besant", "besants", False) if is_metal(charges.tincture) else (
        "au tourteau", "tourteaux", False,
    )  # fmt: skip
