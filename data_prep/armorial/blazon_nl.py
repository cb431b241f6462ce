"""Dutch blazon: „In azuur een dwarsbalk van goud, vergezeld van drie rozen van zilver”.

Only what was found in published Dutch blazons or glossaries is said; arms that need another term
(a divided field, an arrangement in saltire, a roundel, escallop, tower, anchor, oak leaf or cross
crosslet) have none. References: blazons granted on the advice of the Hoge Raad van Adel, as
printed by the municipalities and by Heraldry of the World (Hoeksche Waard 2019 for „vergezeld
van” and „het geheel omgeven door een schildzoom”, Eemsmond 1991 for „alles van zilver”, Alm 1968
for „boven elkaar geplaatste”, Wateringen 1987 for the star, Anjumer- en Lioessenserpolder 1934 and
Groote Noordwolderveenpolder 1936 for klaverblad, blokjes and ruit); the Heraldisch compendium of
Hogenda for gaffel, lelie and ring; De wapens van de Zeeuwse gemeenten (Varia Zelandiae, 1962-64)
for „geplaatst ... en een schildhoofd van”, sleutel and zwaard; Oosthoek's Encyclopedie (1916) for
the wassenaar, whose horns point upwards unless it is said otherwise.
"""

from .grammar import Arms, Charges, Ordinary

_TINCTURES = {
    "or": "goud", "argent": "zilver", "gules": "keel", "azure": "azuur", "sable": "sabel",
    "vert": "sinopel", "purpure": "purper",
}  # fmt: skip
_CHARGES: dict[str, tuple[str, str]] = {
    "lion": ("leeuw", "leeuwen"),
    "eagle": ("adelaar", "adelaars"),
    "fleur_de_lis": ("lelie", "lelies"),
    "mullet": ("vijfpuntige ster", "vijfpuntige sterren"),
    "crescent": ("wassenaar", "wassenaars"),
    "rose": ("roos", "rozen"),
    "billet": ("blokje", "blokjes"),
    "key": ("sleutel", "sleutels"),
    "sword": ("zwaard", "zwaarden"),
    "annulet": ("ring", "ringen"),
    "lozenge": ("ruit", "ruiten"),
    "trefoil": ("klaverblad", "klaverbladen"),
}
_ORDINARIES = {
    "chief": "schildhoofd",
    "fess": "dwarsbalk",
    "pale": "paal",
    "bend": "schuinbalk",
    "bend_sinister": "linkerschuinbalk",
    "chevron": "keper",
    "cross": "kruis",
    "saltire": "schuinkruis",
    "pall": "gaffel",
    "bordure": "schildzoom",
}
_NUMBERS = {2: "twee", 3: "drie", 4: "vier", 5: "vijf", 6: "zes"}
_BEFORE = {"in_fess": "naast elkaar geplaatste ", "in_pale": "boven elkaar geplaatste "}
_AFTER = {"two_and_two": ", geplaatst 2 en 2", "three_two_one": ", geplaatst 3, 2 en 1"}


def blazon_dutch(arms: Arms) -> str | None:
    """None where a term could not be checked."""
    ordinary, charges = arms.ordinary, arms.charges
    if arms.field.division != "plain":
        return None
    if charges is not None and (charges.kind not in _CHARGES or charges.arrangement == "in_saltire"):
        return None
    ground = _TINCTURES[arms.field.tinctures[0]]
    if charges is None:
        return None if ordinary is None else _say_bare(ordinary, ground)
    figures = _say_charges(charges) if ordinary is None else _say_both(ordinary, charges)
    return f"In {ground} {figures}"


def _say_bare(ordinary: Ordinary, ground: str) -> str:
    laid = f"een {_ORDINARIES[ordinary.kind]} van {_TINCTURES[ordinary.tincture]}"
    if ordinary.kind in ("chief", "bordure"):
        return f"Van {ground} met {laid}"
    return f"In {ground} {laid}"


def _say_both(ordinary: Ordinary, charges: Charges) -> str:
    name = f"een {_ORDINARIES[ordinary.kind]}"
    tincture = _TINCTURES[ordinary.tincture]
    if charges.arrangement == "on":
        return f"{name} van {tincture}, beladen met {_say_charges(charges)}"
    if ordinary.kind == "chief":
        return f"{_say_charges(charges)} en {name} van {tincture}"
    if ordinary.kind == "bordure":
        return f"{_say_charges(charges)}; het geheel omgeven door {name} van {tincture}"
    if charges.tincture == ordinary.tincture:
        group = f"{_NUMBERS[charges.number]} {_CHARGES[charges.kind][1]}"
        return f"{name}, vergezeld van {group}, alles van {tincture}"
    return f"{name} van {tincture}, vergezeld van {_say_charges(charges)}"


def _say_charges(charges: Charges) -> str:
    one, many = _CHARGES[charges.kind]
    tincture = f"van {_TINCTURES[charges.tincture]}"
    if charges.number == 1:
        return f"een {one} {tincture}"
    before = _BEFORE.get(charges.arrangement, "")
    after = _AFTER.get(charges.arrangement, "")
    return f"{_NUMBERS[charges.number]} {before}{many} {tincture}{after}"
