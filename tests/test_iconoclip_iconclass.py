"""Iconclass notations and texts, on the vocabulary that the wheel holds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iconoclip import iconclass
from iconoclip.errors import IconoclipError
from iconoclip.iconclass import InvalidNotationError, attributes_of, parse, short_form, text_of


def test_a_notation_knows_every_level_above_it():
    assert parse("71E11").path == ("7", "71", "71E", "71E1", "71E11")
    # A name is a level below its place in the vocabulary, and so is each digit behind it and each digit of a key.
    assert parse("11H(PETER)11(+31)").path == (
        "1", "11", "11H", "11H(...)", "11H(PETER)", "11H(PETER)1", "11H(PETER)11",
        "11H(PETER)11(+3)", "11H(PETER)11(+31)",
    )  # fmt: skip
    # A doubled letter is a level beside the single one, not below it.
    assert parse("11HH").path == ("1", "11", "11HH")


def test_a_name_that_the_vocabulary_does_not_list_keeps_its_levels():
    seneca = parse("61B2(SENECA)11(+5)")
    assert (seneca.base, seneca.name, seneca.key) == ("61B2(...)11", "SENECA", "5")
    assert seneca.path[3:] == (
        "61B2", "61B2(...)", "61B2(SENECA)", "61B2(SENECA)1", "61B2(SENECA)11", "61B2(SENECA)11(+5)",
    )  # fmt: skip
    assert text_of(seneca, "en").startswith("historical person: Seneca - ")
    assert "NAME" not in text_of(seneca, "de")


@pytest.mark.parametrize(
    "written",
    [
        "25F23(LION)(+12)",
        "25 F 23 (LION) (+ 12)",
        "25f23(lion)(+12)",
        "https://iconclass.org/25F23%28LION%29%28%2B12%29",
        "http://www.iconclass.org/rkd/25F23(LION)(+12)/",
        "https://iconclass.org/25F23%2528LION%2529%2528%252B12%2529.json",
        "iconclass.org/25F23(LION)( 12)",  # a decoder of forms made the plus a space
    ],
)
def test_one_notation_is_written_in_many_ways(written: str):
    assert parse(written).text == "25F23(LION)(+12)"


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("11F(MARY)", "the part that is known is 11F"),
        ("XYZ", "is no Iconclass notation"),
        ("11D(+99)", "no key (+99); it has (+0), (+1)"),
        ("11D(+1)(+2)", "no Iconclass notation"),
        ("", "no Iconclass notation"),
    ],
)
def test_invalid_notations_are_named_with_what_is_known_of_them(written: str, told: str):
    with pytest.raises(InvalidNotationError) as error:
        parse(written)
    assert told in str(error.value)


def test_combined_notations_are_taken_apart_and_bad_ones_set_aside():
    valid, invalid = iconclass.sort_out(["71H71:25F23(LION)", "12A27(LEV 1:1)", "11F(MARY)", "71H71"])
    assert [notation.text for notation in valid][:2] == ["71H71", "25F23(LION)"]
    assert list(invalid) == ["11F(MARY)"]
    assert iconclass.split_combined("12A27(LEV 1:1)") == ["12A27(LEV 1:1)"]


def test_texts_come_in_the_languages_of_the_wheel_and_no_others():
    assert iconclass.languages() == ("en", "de", "fr", "it", "ja", "pt")
    assert text_of(parse("11F"), "de") == "die Jungfrau Maria"
    assert text_of(parse("11D(+3)"), "fr") == "le Christ, ange(s)"
    with pytest.raises(IconoclipError, match="no texts in 'nl' here; it has en, de"):
        text_of(parse("11F"), "nl")


def test_english_copies_do_not_pass_as_translations(monkeypatch: pytest.MonkeyPatch):
    tables = {
        "en": {"11F": "the Virgin Mary", "11D": "Christ", "82A(RINALDO)": "Rinaldo", "11HH0": "group of female saints"},
        "de": {
            "#11F": "the Virgin Mary",
            "11D": "# Christ",
            "82A(RINALDO)": "Rinaldo",
            "11HH0": "group of female saints",
        },
    }
    monkeypatch.setattr(iconclass, "_loaded", tables.__getitem__)
    monkeypatch.setattr(iconclass, "languages", lambda: ("en", "de"))
    iconclass._texts.cache_clear()
    iconclass._untranslated.cache_clear()
    try:
        asked = [parse(text) for text in ("11F", "11D", "82A(RINALDO)", "11HH0")]
        # Marked, marked, a name that is the same in both languages, and English that nobody marked.
        assert [text_of(notation, "de") for notation in asked] == ["", "", "Rinaldo", ""]
        english, german = iconclass.parity(asked)
        assert (english.num_texts, english.num_untranslated) == (4, 0)
        assert (german.num_texts, german.num_same_as_english, german.num_untranslated) == (1, 1, 3)
        assert german.share == 0.25
    finally:
        iconclass._texts.cache_clear()
        iconclass._untranslated.cache_clear()


def test_a_key_without_translation_leaves_no_half_text(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(iconclass, "_texts", lambda language: {"11D": "Christus"})
    assert text_of(parse("11D"), "de") == "Christus"
    assert text_of(parse("11D(+3)"), "de") == ""


def test_short_form_keeps_what_can_be_seen():
    assert short_form(text_of(parse("11H(PETER)"), "en")) == "the apostle Peter, first bishop of Rome"
    assert short_form(text_of(parse("11H(JEROME)"), "fr")) == "Jérôme, moine et ermite"
    assert short_form("Deity, God (in general) ~ Christian religion") == "Deity, God"
    assert short_form("'Divinità' (Ripa)") != ""
    # The entry of Dominic opens two brackets and closes one.
    dominic = short_form(text_of(parse("11H(DOMINIC)"), "en"))
    assert dominic == "Dominic Guzman of Calerueja, founder of the Order of Preachers"


def test_attributes_of_saints_in_every_language():
    assert attributes_of(parse("11H(PAUL)"), "en") == ("book", "scroll", "sword")
    assert attributes_of(parse("11H(PAUL)"), "de") == ("Buch", "Schriftrolle", "Schwert")
    assert all("(" not in word for lang in iconclass.languages() for word in attributes_of(parse("11H(PETER)"), lang))
    assert all(len(attributes_of(parse("11H(PETER)"), language)) == 9 for language in iconclass.languages())
    assert attributes_of(parse("71E11"), "en") == ()


@settings(max_examples=200)
@given(st.text(max_size=30))
def test_any_text_is_a_notation_or_is_refused_with_a_reason(text: str):
    try:
        notation = parse(text)
    except InvalidNotationError:
        return
    assert parse(notation.text) == notation


@settings(max_examples=100)
@given(st.data())
def test_every_entry_of_the_vocabulary_reads_back_in_print_and_as_uri(data: st.DataObject):
    from urllib.parse import quote

    base = data.draw(st.sampled_from(iconclass._bases()))
    if "(...)" in base:
        base = base.replace("(...)", "(NAME)")
    notation = parse(base)
    assert notation.path[-1] == notation.text
    assert parse(f"https://iconclass.org/{quote(notation.text)}") == notation
    assert all(notation.path[i] != notation.path[i + 1] for i in range(notation.depth - 1))
