"""The armorial: blazons worked by hand, the rule of tincture, even sampling, honest drawing."""

import hashlib
from collections import Counter

import numpy as np
import pytest

from data_prep.armorial import ROLLS, Arms, generate, sample
from data_prep.armorial.blazon import blazon_all
from data_prep.armorial.draw import charge_mask, draw, shield_mask
from data_prep.armorial.grammar import (
    CHARGES,
    NUMBER_AROUND,
    NUMBER_ON,
    ORDINARIES,
    PARTITIONS,
    TINCTURES,
    VARIATIONS,
    Charges,
    Field,
    GrammarError,
    Ordinary,
    is_metal,
)
from data_prep.armorial.sample import SpaceError


@pytest.fixture(scope="module")
def entries():
    return list(generate(num_records=2400, seed=0))


def _plain(tincture, ordinary=None, charges=None):
    laid = Ordinary(*ordinary) if ordinary else None
    return Arms(Field("plain", (tincture,)), laid, Charges(*charges) if charges else None)


def _party(division, first, second, ordinary=None, charges=None):
    laid = Ordinary(*ordinary) if ordinary else None
    return Arms(Field(division, (first, second)), laid, Charges(*charges) if charges else None)


# Written by hand, not by running the code.
BLAZONS = [
    (
        _plain("gules", charges=("lion", 1, "or", "alone")),
        "Gules, a lion rampant or",
        "De gueules au lion d'or",
        "In Rot ein goldener Löwe",
        "In keel een leeuw van goud",
    ),
    (
        _plain("azure", ("fess", "or"), ("mullet", 3, "argent", "around")),
        "Azure, a fess or between three mullets argent",
        "D'azur à la fasce d'or accompagnée de trois étoiles d'argent",
        "In Blau ein goldener Balken, begleitet von drei fünfstrahligen silbernen Sternen",
        "In azuur een dwarsbalk van goud, vergezeld van drie vijfpuntige sterren van zilver",
    ),
    (
        _plain("azure", ("chevron", "or"), ("rose", 3, "or", "around")),
        "Azure, a chevron between three roses or",
        "D'azur au chevron d'or accompagné de trois roses du même",
        "In Blau ein goldener Sparren, begleitet von drei goldenen Rosen",
        "In azuur een keper, vergezeld van drie rozen, alles van goud",
    ),
    (
        _plain("gules", ("bend", "argent"), ("escallop", 3, "sable", "on")),
        "Gules, on a bend argent three escallops sable",
        "De gueules à la bande d'argent chargée de trois coquilles de sable",
        "In Rot ein silberner Schrägbalken, belegt mit drei schwarzen Jakobsmuscheln",
        None,
    ),
    (
        _plain("azure", charges=("fleur_de_lis", 3, "or", "two_and_one")),
        "Azure, three fleurs-de-lis or",
        "D'azur à trois fleurs de lis d'or",
        "In Blau drei goldene Lilien",
        "In azuur drie lelies van goud",
    ),
    (
        _plain("vert", charges=("roundel", 3, "or", "two_and_one")),
        "Vert, three bezants",
        "De sinople à trois besants d'or",
        "In Grün drei goldene Kugeln",
        None,
    ),
    (
        _plain("argent", charges=("roundel", 1, "gules", "alone")),
        "Argent, a torteau",
        "D'argent au tourteau de gueules",
        "In Silber eine rote Kugel",
        None,
    ),
    (
        _plain("argent", ("cross", "gules"), ("eagle", 4, "azure", "around")),
        "Argent, a cross gules between four eagles displayed azure",
        "D'argent à la croix de gueules cantonnée de quatre aigles d'azur",
        "In Silber ein rotes Kreuz, bewinkelt von vier blauen Adlern",
        "In zilver een kruis van keel, vergezeld van vier adelaars van azuur",
    ),
    (
        _plain("sable", ("pale", "or"), ("key", 2, "argent", "around")),
        "Sable, a pale or between two keys argent",
        "De sable au pal d'or accosté de deux clefs d'argent",
        "In Schwarz ein goldener Pfahl, begleitet von zwei silbernen Schlüsseln",
        "In sabel een paal van goud, vergezeld van twee sleutels van zilver",
    ),
    (
        _plain("purpure", ("chief", "argent"), ("sword", 1, "or", "alone")),
        "Purpure, a sword or and a chief argent",
        "De pourpre à l'épée d'or, au chef d'argent",
        "Unter silbernem Schildhaupt in Purpur ein goldenes Schwert",
        "In purper een zwaard van goud en een schildhoofd van zilver",
    ),
    (
        _plain("azure", ("bordure", "or"), ("oak_leaf", 1, "or", "alone")),
        "Azure, an oak leaf within a bordure or",
        "D'azur à la feuille de chêne d'or, à la bordure du même",
        "In Blau innerhalb eines goldenen Bordes ein goldenes Eichenblatt",
        None,
    ),
    (
        _plain("or", charges=("trefoil", 6, "vert", "three_two_one")),
        "Or, six trefoils slipped vert, three, two and one",
        "D'or à six trèfles de sinople posés trois, deux et un",
        "In Gold sechs 3:2:1 gestellte grüne Kleeblätter",
        "In goud zes klaverbladen van sinopel, geplaatst 3, 2 en 1",
    ),
    (
        _plain("gules", charges=("tower", 5, "argent", "in_saltire")),
        "Gules, five towers in saltire argent",
        "De gueules à cinq tours d'argent posées en sautoir",
        "In Rot fünf schragenweise gestellte silberne Zinnentürme",
        None,
    ),
    (
        _party("per_pale", "or", "azure", charges=("lion", 1, "counterchanged", "alone")),
        "Per pale or and azure, a lion rampant counterchanged",
        "Parti d'or et d'azur, au lion de l'un en l'autre",
        "In von Gold und Blau gespaltenem Schild ein Löwe in verwechselten Farben",
        None,
    ),
    (
        _party("barry", "argent", "azure", charges=("lion", 1, "gules", "alone")),
        "Barry of six argent and azure, a lion rampant gules",
        "Fascé d'argent et d'azur, au lion de gueules brochant sur le tout",
        "In von Silber und Blau fünfmal geteiltem Schild ein roter Löwe",
        None,
    ),
    (
        _party("quarterly", "or", "gules"),
        "Quarterly or and gules",
        "Écartelé d'or et de gueules",
        "Geviert von Gold und Rot",
        None,
    ),
    (
        _party("per_saltire", "argent", "vert", ("chief", "sable")),
        "Per saltire argent and vert, a chief sable",
        "Écartelé en sautoir d'argent et de sinople, au chef de sable",
        "In von Silber und Grün schräggeviertem Schild ein schwarzes Schildhaupt",
        None,
    ),
]


@pytest.mark.parametrize(("arms", "english", "french", "german", "dutch"), BLAZONS)
def test_blazon_is_what_a_herald_would_write(arms, english, french, german, dutch):
    blazons = blazon_all(arms)
    assert (blazons["en"], blazons["fr"], blazons["de"]) == (english, french, german)
    assert blazons.get("nl") == dutch


def test_dutch_says_charged_chief_and_bordure_in_its_own_way():
    charged = _plain("azure", ("bend", "or"), ("crescent", 3, "gules", "on"))
    assert blazon_all(charged)["nl"] == ("In azuur een schuinbalk van goud, beladen met drie wassenaars van keel")
    assert blazon_all(_plain("vert", ("chief", "argent")))["nl"] == ("Van sinopel met een schildhoofd van zilver")
    bordered = _plain("gules", ("bordure", "or"), ("lion", 1, "argent", "alone"))
    assert blazon_all(bordered)["nl"] == (
        "In keel een leeuw van zilver; het geheel omgeven door een schildzoom van goud"
    )


@pytest.mark.parametrize(
    "build",
    [
        lambda: _plain("azure", charges=("lion", 1, "gules", "alone")),  # colour on colour
        lambda: _plain("or", ("fess", "argent")),  # metal on metal
        lambda: _plain("azure", ("fess", "or"), ("rose", 3, "argent", "on")),  # metal on metal
        lambda: _party("per_pale", "gules", "azure", charges=("lion", 1, "vert", "alone")),
        lambda: _party("per_pale", "or", "azure", charges=("lion", 1, "azure", "alone")),
        lambda: _party("barry", "gules", "azure"),  # a varied field wants a metal and a colour
    ],
)
def test_arms_against_the_rule_of_tincture_cannot_be_made(build):
    with pytest.raises(GrammarError):
        build()


@pytest.mark.parametrize(
    "build",
    [
        lambda: _plain("azure", ("cross", "or"), ("rose", 3, "or", "around")),  # a cross has four
        lambda: _plain("azure", ("fess", "or"), ("rose", 1, "or", "alone")),
        lambda: _plain("azure", charges=("rose", 3, "or", "around")),  # around nothing
        lambda: _plain("azure", charges=("rose", 1, "counterchanged", "alone")),
        lambda: _party("per_pale", "or", "or"),
    ],
)
def test_compositions_outside_the_grammar_cannot_be_made(build):
    with pytest.raises(GrammarError):
        build()


def test_no_generated_shield_breaks_the_rule_of_tincture(entries):
    # Read off the parts again, apart from the check the grammar makes itself.
    for entry in entries:
        arms = entry.arms
        ground = {is_metal(each) for each in arms.field.tinctures}
        laid = [arms.ordinary.tincture] if arms.ordinary else []
        if arms.charges and arms.charges.tincture != "counterchanged":
            if arms.charges.arrangement == "on":
                assert is_metal(arms.charges.tincture) != is_metal(laid[0]), entry
            else:
                laid.append(arms.charges.tincture)
        for tincture in laid:
            assert len(ground) == 2 or is_metal(tincture) not in ground, entry
            assert tincture not in arms.field.tinctures, entry


def test_every_combination_and_every_blazon_is_its_own(entries):
    assert len(entries) == 2400
    assert len({entry.id for entry in entries}) == 2400
    assert len({entry.combination for entry in entries}) == 2400
    for language in ("en", "fr", "de"):
        assert len({entry.blazons[language] for entry in entries}) == 2400
    dutch = [entry.blazons["nl"] for entry in entries if "nl" in entry.blazons]
    assert len(set(dutch)) == len(dutch) > 800


def test_a_blazon_holds_no_roll_number_or_id(entries):
    for entry in entries:
        for blazon in entry.blazons.values():
            # Only how charges are placed is said in figures: 2:2, 3:2:1, geplaatst 3, 2 en 1.
            assert not set(blazon) & set("0456789")
            assert not any(roll.title.split()[-1] in blazon for roll in ROLLS)


def test_rolls_are_three_or_more_and_say_that_they_are_generated(entries):
    counts = Counter(entry.roll.slug for entry in entries)
    assert len(counts) >= 3
    assert min(counts.values()) >= 2400 // len(ROLLS)
    assert all("generated" in entry.institution for entry in entries)
    assert all("invented" in entry.date_text for entry in entries)
    assert {entry.iconclass for entry in entries} == {("46A122",)}


def test_each_element_is_common_enough_to_be_in_training_and_test(entries):
    def count(pick):
        return Counter(pick(entry.arms) for entry in entries if pick(entry.arms) is not None)

    ordinaries = count(lambda arms: arms.ordinary and arms.ordinary.kind)
    charges = count(lambda arms: arms.charges and arms.charges.kind)
    divisions = count(lambda arms: arms.field.division)
    fields = count(lambda arms: arms.field.tinctures[0])
    numbers = count(lambda arms: arms.charges and arms.charges.number)
    assert set(ordinaries) == set(ORDINARIES)
    assert min(ordinaries.values()) >= 40
    assert set(charges) == set(CHARGES)
    assert min(charges.values()) >= 60
    assert set(divisions) == {"plain", *PARTITIONS, *VARIATIONS}
    assert min(divisions.values()) >= 30
    assert set(fields) == set(TINCTURES)
    assert min(fields.values()) >= 200
    assert set(numbers) == {1, 2, 3, 4, 5, 6}
    assert min(numbers.values()) >= 60


def _digest(some):
    pixels = b"".join(entry.draw(64).tobytes() for entry in some)
    return hashlib.sha256(pixels).hexdigest()


def test_two_generations_give_the_same_entries_and_pixels(entries):
    again = list(generate(num_records=2400, seed=0))
    assert again == entries
    assert _digest(again[:30]) == _digest(entries[:30])


def test_another_seed_gives_other_arms(entries):
    other = list(generate(num_records=30, seed=1))
    assert [entry.combination for entry in other] != [e.combination for e in entries[:30]]


def test_pictures_of_the_same_arms_differ_by_seed():
    arms = BLAZONS[0][0]
    style = ROLLS[0].style
    pictures = [draw(arms, size_px=64, style=style, seed=seed).tobytes() for seed in range(5)]
    assert len(set(pictures)) == 5


def test_asking_for_more_arms_than_there_are_is_an_error(monkeypatch):
    monkeypatch.setattr(sample, "_MAX_TRIES", 2)  # so that it gives up early
    with pytest.raises(SpaceError, match="ask for fewer"):
        list(sample.sample_arms(10**6, seed=0))


def test_no_charge_is_cut_by_the_edge_of_the_shield(entries):
    # One of each charge in each arrangement and shape is enough: places do not depend on tincture.
    seen = set()
    for entry in entries:
        arms = entry.arms
        if arms.charges is None:
            continue
        ordinary = arms.ordinary.kind if arms.ordinary else None
        key = (entry.roll.slug, arms.charges.kind, arms.charges.arrangement, ordinary)
        if key in seen:
            continue
        seen.add(key)
        where = {"size_px": 64, "style": entry.roll.style, "seed": entry.seed}
        outside = np.asarray(shield_mask(**where)) == 0
        assert not np.any(np.asarray(charge_mask(arms, **where))[outside] > 0), entry.combination
    assert len(seen) > 500


@pytest.mark.parametrize("kind", [*NUMBER_AROUND, *NUMBER_ON])
@pytest.mark.parametrize("charge", ["mullet", "billet", "crescent"])
def test_charges_lie_on_the_ordinary_or_beside_it_but_not_across_its_edge(kind, charge):
    # On: sable on or, so nothing of the charge is seen next to the azure field.
    style = ROLLS[1].style
    for arrangement, numbers in (("around", NUMBER_AROUND), ("on", NUMBER_ON)):
        if kind not in numbers:
            continue
        colour = "argent" if arrangement == "around" else "sable"
        arms = _plain("azure", (kind, "or"), (charge, numbers[kind], colour, arrangement))
        bare = np.asarray(draw(_plain("azure", (kind, "or")), size_px=160, style=style, seed=1), dtype=int)
        is_gold = np.all(np.abs(bare - dict(style.palette)["or"]) < 40, axis=2)
        is_field = np.all(np.abs(bare - dict(style.palette)["azure"]) < 40, axis=2)
        charged = np.asarray(charge_mask(arms, size_px=160, style=style, seed=1)) > 128
        forbidden = is_gold if arrangement == "around" else is_field
        assert np.sum(charged & forbidden) == 0


def _share_near(picture, colour, mask):
    """Share of the shield's pixels within 40 of `colour` in every channel."""
    pixels = np.asarray(picture, dtype=int)[mask]
    return float(np.mean(np.all(np.abs(pixels - colour) < 40, axis=1)))


@pytest.mark.parametrize("roll", ROLLS, ids=lambda roll: roll.slug)
@pytest.mark.parametrize(
    ("arms", "tincture", "low", "high"),
    [
        # Half the shield; the ink of the line and the edge take a little.
        (_party("per_pale", "or", "azure"), "azure", 0.40, 0.52),
        # The upper 0.35 of 1.17, where the shield is widest: 0.35 of about 0.9 to 1.07.
        (_plain("azure", ("chief", "or")), "or", 0.28, 0.40),
        # 0.29 of the height, at nearly full width.
        (_plain("sable", ("fess", "argent")), "argent", 0.22, 0.33),
        # A charge alone is neither lost on the field nor fills it.
        (_plain("argent", charges=("lion", 1, "gules", "alone")), "gules", 0.12, 0.5),
        (_plain("or", charges=("eagle", 1, "sable", "alone")), "sable", 0.12, 0.6),
    ],
)
def test_tinctures_cover_the_area_they_should(roll, arms, tincture, low, high):
    picture = draw(arms, size_px=128, style=roll.style, seed=3)
    mask = np.asarray(shield_mask(size_px=128, style=roll.style, seed=3)) > 250
    assert low < _share_near(picture, dict(roll.style.palette)[tincture], mask) < high


def test_the_first_tincture_lies_to_dexter_and_in_chief():
    style = ROLLS[1].style
    palette = dict(style.palette)

    def nearest(picture, x, y):
        pixel = np.array(picture.getpixel((x, y)), dtype=int)
        return min(palette, key=lambda name: int(np.abs(pixel - palette[name]).sum()))

    def at(division, x, y):
        arms = _party(division, "or", "azure")
        return nearest(draw(arms, size_px=100, style=style, seed=1), x, y)

    # Dexter is the viewer's left.
    assert (at("per_pale", 30, 40), at("per_pale", 70, 40)) == ("or", "azure")
    assert (at("per_fess", 50, 20), at("per_fess", 50, 80)) == ("or", "azure")
    assert (at("per_bend", 75, 25), at("per_bend", 25, 60)) == ("or", "azure")
    assert (at("per_bend_sinister", 25, 25), at("per_bend_sinister", 75, 60)) == ("or", "azure")
    assert (at("per_saltire", 50, 20), at("per_saltire", 20, 45)) == ("or", "azure")
    assert (at("quarterly", 30, 20), at("quarterly", 70, 20)) == ("or", "azure")
    assert (at("paly", 16, 40), at("barry", 50, 10)) == ("or", "or")
    bend = draw(_plain("or", ("bend", "azure")), size_px=100, style=style, seed=1)
    assert nearest(bend, 20, 15) == "azure"
    assert nearest(bend, 80, 15) == "or"


def test_a_shield_is_drawn_at_the_size_asked_for():
    entry = next(iter(generate(num_records=1)))
    small, large = entry.draw(96), entry.draw(192)
    assert (small.size, large.size) == ((96, 96), (192, 192))
    assert small.mode == large.mode == "RGB"
