"""Templates, regular expressions, captions and dates."""

import pytest

from data_prep.captions import clean_text, default_caption, is_empty_of_meaning
from data_prep.dates import read_years
from data_prep.mapping import CaptionRule, ListRule, RowRule, TextRule, check_columns
from iconoclip.errors import SourceError
from iconoclip.languages import language_code, language_name
from iconoclip.records import Caption

CELLS = {"title": "Carnet 5 : [dessin] / Degas", "date": "", "file": "img/poem-3.jpg", "subject": "a ; b ; a ; "}


@pytest.mark.parametrize(("rule", "text"), [
    (TextRule(value="Our Library"), "Our Library"),
    (TextRule(value="{title} ({date})"), "Carnet 5 : [dessin] / Degas ()"),
    (TextRule(value="dated {date}"), ""),  # all columns named are empty
    (TextRule(value="{{{file}}}"), "{img/poem-3.jpg}"),
    (TextRule(value="{file}", find=r"poem-(\d+)"), "3"),
    (TextRule(value="{file}", find="verse"), ""),
    (TextRule(value="{title}", cut=(" / .*$", r" : \[dessin\]")), "Carnet 5"),
    (TextRule(value="{file}", replace={"-": " ", "^img/": ""}), "poem 3.jpg"),
])  # fmt: skip
def test_a_rule_makes_one_text(rule, text):
    assert rule.text(CELLS) == text


def test_a_list_is_cut_at_its_separator_each_value_once():
    assert ListRule(value="{subject}", split=" ; ").texts(CELLS) == ("a", "b")


def test_missing_columns_and_constants_that_look_like_columns_are_named():
    with pytest.raises(SourceError) as error:
        check_columns({"title": TextRule(value="{titel}"), "creator": TextRule(value="file")}, [*CELLS], where="t.csv")
    assert "title: no column 'titel'; did you mean 'title'?" in str(error.value)
    assert "creator: 'file' is a constant here; write '{file}'" in str(error.value)


def test_a_row_rule_searches_its_text():
    assert RowRule(value="{file}", match="^img/").holds(CELLS)
    assert not RowRule(value="{date}", match=".").holds(CELLS)


def test_a_caption_names_the_columns_it_comes_from():
    assert CaptionRule(value="{title}, {date}").source_name == "title,date"
    assert CaptionRule(value="{title}", source="label").source_name == "label"


@pytest.mark.parametrize(("text", "clean"), [
    ("  two\n lines ", "two lines"),
    ("<i>Vue</i> d&#39;Arles &amp;amp; Nîmes", "Vue d'Arles & Nîmes"),
    ("a < b", "a < b"),
    ("FranÃ§ois", "François"),
    ("Cafe\u0301", "Café"),
])  # fmt: skip
def test_texts_are_cleaned_not_rewritten(text, clean):
    assert clean_text(text) == clean


@pytest.mark.parametrize(
    "text", ["[Sans titre]", "Untitled.", "p. 12", "Fig. 3", "1850", "...", "Ohne Titel", "f. 12r"]
)
def test_texts_that_name_nothing(text):
    assert is_empty_of_meaning(text)


@pytest.mark.parametrize("text", ["F is for fish.", "Lion", "Vue 2 de la Seine", "Mill"])
def test_short_texts_that_name_something(text):
    assert not is_empty_of_meaning(text)


def test_the_default_caption_is_of_the_page_then_of_the_preferred_language():
    series, object_en, object_nl = (
        Caption("album", "nl", "t", "series"), Caption("dog", "en", "t"), Caption("hond", "nl", "t"),
    )  # fmt: skip
    assert default_caption([series, object_en, object_nl], ["nl"]) == object_nl
    assert default_caption([series, object_en, object_nl], []) == object_en
    page = Caption("Hund", "de", "t", "page")
    assert default_caption([series, object_en, object_nl, page], ["nl"]) == page


@pytest.mark.parametrize(("text", "years"), [
    ("1906", (1906, 1906)), ("1846–1877", (1846, 1877)), ("1914-18", (1914, 1918)), ("[1652?]", (1652, 1652)),
    ("3 mei 1661", (1661, 1661)), ("[tussen ca. 1640 en 1680] ; 29 nov. 1645", (1640, 1680)), ("18..", (1800, 1899)),
    ("19??", (1900, 1999)), ("188.", (1880, 1889)), ("525–480 B.C.", (-525, -480)), ("-490 to -480", (-490, -480)),
    ("480 v. Chr.", (-480, -480)), ("XVIIIe siècle", (1701, 1800)), ("18. Jh.", (1701, 1800)),
    ("19e eeuw", (1801, 1900)), ("Ultimo quarto del XV secolo (?)", (1401, 1500)),
    ("Fine del XV o inizio del XVI secolo", (1401, 1600)), ("siglo XVI", (1501, 1600)), ("150–200", (150, 200)),
    ("1888-05-01", (1888, 1888)), ("[s.a]", (None, None)), ("", (None, None)), ("unknown", (None, None)),
])  # fmt: skip
def test_dates_of_real_catalogues(text, years):
    assert read_years(text) == years


@pytest.mark.parametrize(("text", "code"), [
    ("fre", "fr"), ("fra", "fr"), ("FR", "fr"), ("français", "fr"), ("dut", "nl"), ("ger", "de"), ("de-CH", "de"),
    ("no", "no"), ("nob", "nb"), ("und", "und"), ("Latin", "la"), ("xx", "xx"), ("two words", None), ("", None),
])  # fmt: skip
def test_language_codes(text, code):
    assert language_code(text) == code


def test_language_names():
    assert language_name("nl") == "Dutch"
    assert language_name("xx") == "xx"
