"""Templates, regular expressions, captions and dates."""

import pytest

from data_prep.captions import clean_text, default_caption, is_empty_of_meaning
from data_prep.mapping import CaptionRule, RowRule, TextRule, check_columns, fill
from data_prep.sources.local import LocalSource
from iconoclip.dates import read_years
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
    assert TextRule(value="{subject}", split=" ; ").texts(CELLS) == ("a", "b")


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


LISTS = {
    "creator": ["Dürer, Albrecht (1471-1528). Dessinateur", "Manuel, Henri. Graveur. Imprimeur", "Degas. Graveur"],
    "titles": [{"text": "Kaart", "lang": "dut"}, {"text": "Map", "lang": "eng"}, {"text": "", "lang": "fre"}],
    "names": "Rome; Paris",
    "sizes": {"height": 12},
}  # fmt: skip


@pytest.mark.parametrize(("rule", "texts"), [
    # each value is found, cut and replaced by itself
    (TextRule(value="{creator}", find="^(.*[)]|.*?)[.] "), ("Dürer, Albrecht (1471-1528)", "Manuel, Henri", "Degas")),
    (TextRule(value="{creator}", find="([A-Z][a-z]+)$"), ("Dessinateur", "Imprimeur", "Graveur")),
    (TextRule(value="{creator}", replace={"^.*$": "x"}), ("x",)),  # each once
    (TextRule(value="{titles.text}"), ("Kaart", "Map")),
    (TextRule(value="{titles[lang=eng].text}"), ("Map",)),
    (TextRule(value="by {creator[0]}", cut=(" [(].*",)), ("by Dürer, Albrecht",)),
    (TextRule(value="of {titles.text}"), ("of Kaart; Map",)),  # in a template they are joined
    (TextRule(value="{.text} ({.lang})", each="titles"), ("Kaart (dut)", "Map (eng)", "(fre)")),
    (TextRule(value="{.text}, {names}", each="titles"), ("Kaart, Rome; Paris", "Map, Rome; Paris", ", Rome; Paris")),
    (TextRule(value="{names}", split=";", cut=("^R",)), ("ome", "Paris")),
    (TextRule(value="{titles.text}", joined=", "), ("Kaart, Map",)),
    (TextRule(value="{titles[lang=xx].text}", joined=", "), ()),
    (TextRule(value="{missing?}"), ()),
])  # fmt: skip
def test_a_rule_makes_several_texts(rule, texts):
    assert rule.texts(LISTS) == texts
    assert rule.text(LISTS) == "; ".join(texts)


def test_a_text_knows_the_value_it_was_made_from():
    rule = CaptionRule(value="{titles.text}", lang="nl")
    assert [text for text, _ in rule.values(LISTS)] == ["Kaart", "Map"]
    rule = CaptionRule(value="{.text}", each="titles", lang="{.lang}")
    assert [(text, fill(rule.lang, LISTS, start)) for text, start in rule.values(LISTS)] == [
        ("Kaart", "dut"), ("Map", "eng"),
    ]  # fmt: skip
    assert rule.source_name == "titles.text"
    assert CaptionRule(value="{.}", each="names").source_name == "names"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{title", r"'\{title' has a '\{' that is not closed"),
        ("{title} {date", "not closed"),
        ("title}", "a '}' that closes nothing"),
        ("{}", "names nothing in it"),
    ],
)
@pytest.mark.parametrize("rule", [TextRule, CaptionRule, RowRule])
def test_braces_that_do_not_pair_are_errors(rule, value, message):
    with pytest.raises(ValueError, match=message):
        rule(value=value, match="x") if rule is RowRule else rule(value=value)


def test_each_is_a_path_without_braces():
    with pytest.raises(ValueError, match="write it bare"):
        TextRule(value="{.}", each="{titles}")
    with pytest.raises(ValueError, match="cannot be read"):
        TextRule(value="{.}", each="titles[")


def test_unclosed_braces_name_the_rule():
    data = {"kind": "local", "folder": "x", "institution": "A", "language": "en", "use": "evaluate",
            "captions": ["{a}", {"value": "{b", "lang": "{c"}]}  # fmt: skip
    with pytest.raises(ValueError, match=r"(?s)captions.1.value.*'\{b'.*captions.1.lang.*'\{c'"):
        LocalSource.model_validate(data)


@pytest.mark.parametrize(("value", "message"), [
    ("{title.text}", "no column 'title.text'; did you mean 'titles.text'"),
    ("{titels.text}", "did you mean 'titles.text'"),
    ("{titles[lang=fr].text}", r"no row has 'titles\[lang=fr\].text', though 'titles.text' is there"),
    ("{sizes}", "'sizes' is an object, no text; write one of sizes.height"),
    ("{titles}", "write one of titles.text, titles.lang"),
    ("{names[}", r"did you mean 'names'\? \('names\[' cannot be read from '\[' on\)"),
    ("{.text}", "there is no `each`"),
])  # fmt: skip
def test_paths_that_no_row_has_name_the_nearest(value, message):
    with pytest.raises(SourceError, match=message):
        check_columns({"title": TextRule(value=value)}, ["creator"], where="a.json", rows=[{"creator": []}, LISTS])


def test_paths_that_some_row_has_or_that_may_be_missing_are_right():
    rules = {
        "a": TextRule(value="{titles[1].text} {missing?}"),
        "b": TextRule(value="{.lang?} {.text}", each="titles"),
        "c": RowRule(value="{.text} {.absent?}", match="x"),
        "d": TextRule(value="{empty column}"),
    }
    check_columns(rules, ["empty column"], where="a.json", rows=[{"empty column": ""}, LISTS], each="titles")
    with pytest.raises(SourceError, match=r"d[.]each: no column 'titels'; did you mean 'titles'"):
        check_columns({"d": TextRule(value="x", each="titels")}, [], where="a.json", rows=[LISTS])


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
    ("5th century B.C.", (-500, -401)), ("Ve siècle av. J.-C.", (-500, -401)), ("5. Jh. v. Chr.", (-500, -401)),
    ("late 6th-early 5th century B.C.", (-600, -401)), ("1st century BC - 1st century AD", (-100, 100)),
    ("4th–5th century", (301, 500)), ("15.-16. Jh.", (1401, 1600)), ("1888-05-01", (1888, 1888)),
    ("[s.a]", (None, None)), ("", (None, None)), ("unknown", (None, None)),
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
