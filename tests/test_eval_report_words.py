"""Every text of the reports stands once, in one file, in every language; numbers are written as the language does."""

import ast
import re
from pathlib import Path

import pytest

from eval import report_words
from eval.benchmarks._registry import benchmarks
from eval.report_words import LANGUAGES, Words, open_words, read_catalogue
from eval.statistics import too_few
from iconoclip.errors import EvaluationError
from iconoclip.pages import TEMPLATES, THIN_SPACE

CATALOGUE = read_catalogue()
HIT = "text_to_image/hit_rate@1"
PLACE = re.compile(r"\{(\w+)\}")
MODULES = sorted(Path(report_words.__file__).parent.glob("report*.py"))


def entries():
    """(where, {language: [texts]}) of the whole catalogue."""
    for key, text in CATALOGUE["texts"].items():
        yield key, {language: [text.get(language)] for language in LANGUAGES}
    for key, forms in CATALOGUE["counts"].items():
        yield key, {language: [forms[language]["one"], forms[language]["other"]] for language in LANGUAGES}
    for entry in CATALOGUE["found"]:
        yield entry["en"], {language: [entry.get(language)] for language in LANGUAGES}


def test_every_text_is_there_in_every_language_with_the_same_places():
    for key, texts in entries():
        places = set()
        for language in LANGUAGES:
            assert all(isinstance(text, str) and text for text in texts[language]), (key, language)
            places |= {tuple(sorted(set(PLACE.findall(text)))) for text in texts[language]}
        assert len(places) == 1, (key, places)
    assert all(set(text) == set(LANGUAGES) for text in CATALOGUE["texts"].values())


def test_a_key_stands_once():
    text = report_words.CATALOGUE.read_text(encoding="utf-8")
    keys = re.findall(r'^  "?([\w.]+)"?:', text, flags=re.MULTILINE)
    assert not {key for key in keys if keys.count(key) > 1}


def test_french_has_its_own_marks():
    for key, texts in entries():
        for text in texts["fr"]:
            plain = re.sub(r"`[^`]*`|« control: true »|https?://\S+", "", text)
            assert "'" not in plain, (key, "’ is the apostrophe")
            assert '"' not in plain, (key, "« » are the quotes")
            assert not re.search(r"(?<![\s:])[:;?!](?=\s|$)", plain), (key, "a space before : ; ? !")
            assert not re.search(r"\d%|«\S|\S»", plain), (key, "a space before % and inside « »")


def test_french_spaces_do_not_break():
    words = open_words("fr")
    assert words("page.held_free", free="x") == "Comparaison avec le hasard et avec ce qui ne coûte rien\u00a0: x."
    assert words("worth.title") == f"L’affinage en vaut-il la peine ici{THIN_SPACE}?"
    assert words("headline.model", model="m : n") == "«\u00a0m : n\u00a0»"  # names stay as they are
    assert not re.search(r" [:;?!»%]|« ", "".join(words(key) for key in ("trust.title", "reading.4", "head.interval")))


_FILES = (".jsonl", ".json", ".parquet", ".yaml", ".css", ".js")


def used_keys():
    """Keys that the code asks for: literal ones, and patterns of those that are put together."""
    for path in (*MODULES, MODULES[0].with_name("summary.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        pieces = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in pieces:
                if re.fullmatch(r"[a-z_]+(\.[a-z_0-9]+)+", node.value) and not node.value.endswith(_FILES):
                    yield re.escape(node.value), path.name
            elif isinstance(node, ast.JoinedStr):
                parts = [re.escape(str(p.value)) if isinstance(p, ast.Constant) else r"[\w.]+" for p in node.values]
                if re.match(r"[a-z]+\\\.", "".join(parts)):
                    yield "".join(parts), path.name


def test_every_text_is_used_and_every_used_text_is_there():
    keys = set(CATALOGUE["texts"])
    patterns = [(pattern, where) for pattern, where in used_keys()]
    kinds = ("metric", "field", "language", "free", "fact", "slice", "about", "task_name", "task_part")
    names = {key for key in keys if key.partition(".")[0] in kinds}
    single = {"yes", "no", "none", "colon"}
    unused = {key for key in keys - names - single if not any(re.fullmatch(p, key) for p, _ in patterns)}
    assert not unused
    starts = {key.partition(".")[0] for key in keys}
    for pattern, where in patterns:
        if pattern.partition("\\.")[0] in starts:
            assert any(re.fullmatch(pattern, key) for key in keys), (pattern, where)


def test_no_text_stands_in_the_code():
    """No string of the report's modules, but docstrings and errors, has two words in a row outside of tags."""
    classes = {name for css in TEMPLATES.glob("*.css") for name in re.findall(r"\.([a-z-]+)", css.read_text())}
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        skipped = {id(node) for part in ast.walk(tree) if isinstance(part, ast.Raise) for node in ast.walk(part)}
        for part in ast.walk(tree):
            if isinstance(part, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(part):
                skipped |= {id(node) for node in ast.walk(part.body[0])}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in skipped:
                continue
            text = re.sub(r"<[^>]*>?|[\w-]+=['\"]?[^'\"<>]*['\"]?|\\\w+|%.*", " ", node.value)
            if set(node.value.split()) <= classes:
                continue
            assert not re.search(r"[A-Za-zÀ-ÿ]{2,} +[a-zà-ÿ]{2,}", text), (path.name, node.lineno, node.value)


# ---- numbers and names ----


def test_figures_are_written_one_way():
    words = open_words()
    assert words.value(HIT, 0.4531) == f"45.3{THIN_SPACE}%"
    assert words.value("text_to_image/median_rank", 12.5) == "12.5"
    assert words.value("text_to_image/mean_percentile_rank", 0.5) == f"50.0{THIN_SPACE}%"
    assert words.value("text_to_image/mean_percentile_rank_nl_minus_en", -0.031) == f"−3.1{THIN_SPACE}points"
    assert words.value(HIT, None) == "–"
    assert words.delta(HIT, -0.0001) == f"0.0{THIN_SPACE}points"  # no minus before nothing
    assert words.count(1404) == f"1{THIN_SPACE}404"
    assert words.p(0.0004) == f"<{THIN_SPACE}0.001"


def test_french_figures_have_a_decimal_comma():
    words = open_words("fr")
    assert words.value(HIT, 0.4531) == f"45,3{THIN_SPACE}%"
    assert words.interval(HIT, 0.3, 0.41) == f"30,0{THIN_SPACE}–{THIN_SPACE}41,0{THIN_SPACE}%"
    assert words.interval(HIT, -0.012, 0.089, delta=True) == "−1,2 à +8,9"
    assert words.number(1234.5) == f"1{THIN_SPACE}234,5"
    assert words.p(0.0004) == f"<{THIN_SPACE}0,001"


def test_names_of_measures_are_put_together():
    english, french = open_words("en"), open_words("fr")
    assert english.metric("text_to_image/hit_rate@10") == "text → image, hit rate@10"
    assert french.metric("text_to_image/hit_rate@10") == "texte → image, taux de succès@10"
    assert (
        french.metric("text_to_image/mean_percentile_rank_nl_minus_en") == "texte → image, rang centile moyen, nl − en"
    )
    assert french.metric("map_macro_level_2") == "précision moyenne par classe, niveau 2"
    assert french.metric("something_new@3") == "something new@3"
    assert french.sliced("language=nl") == "langue\u00a0: néerlandais (nl)"
    assert (french.free("baseline:colour_and_shape"), french.free("chance")) == ("couleur et forme", "hasard")


def test_names_of_tasks_and_slices_are_put_together():
    english, french = open_words("en"), open_words("fr")
    assert french.task("zero_shot_8_en") == "sans apprentissage, 8 classes, anglais"
    assert french.question("kinds_of_page", "linear_probe_4") == "kinds of page · sonde linéaire, 4 classes"
    assert english.task("zero_shot_description") == "zero-shot, by description"
    assert french.task("object_types_of_unseen_providers") == "types d’objets, fournisseurs jamais vus"
    assert french.task("a_task_of_others") == "a task of others"
    centuries = ("century=1", "century=5 BC", "century=19", "century=22", "century=12")
    assert [english.slice(name) for name in centuries] == [
        "1st century", "5th century BC", "19th century", "22nd century", "12th century",
    ]  # fmt: skip
    assert [french.sliced(name) for name in centuries[:3]] == [
        "Ier siècle", "Ve siècle av. J.-C.", "XIXe siècle",
    ]  # fmt: skip


def test_every_measure_that_has_a_name_is_explained():
    named = {key.partition(".")[2] for key in CATALOGUE["texts"] if key.startswith("metric.")} - {"level"}
    assert {name for name in named if not open_words().about(name)} == set()
    assert open_words().about("accuracy_level_2") != open_words().about("accuracy@1")
    assert open_words().about("text_to_image/mean_percentile_rank_nl_minus_en") == ""


def test_nought_is_one_in_french_and_many_in_english():
    assert open_words("en").counted("models", 0) == "0 models"
    assert open_words("fr").counted("models", 0) == "0 modèle"
    assert open_words("fr").counted("models", 2) == "2 modèles"


def test_values_cannot_become_tags_or_texts():
    words = open_words()
    assert "<bdi>&lt;b&gt;{low}</bdi>" in words.html("losses.title", model="<b>{low}")
    assert words("losses.title", model="{low} **x**") == "What got worse with {low} **x**"


# ---- sentences that evaluations write ----


def test_sentences_of_the_results_are_found_again():
    french = open_words("fr")
    assert french.found(too_few(29, 19)) == "29 requêtes de 19 œuvres\u202f; il en faut au moins 30 et 10 pour un score"
    assert french.found("an unknown sentence") == "an unknown sentence"
    assert french.found_html("an unknown sentence") == '<bdi lang="en">an unknown sentence</bdi>'
    assert open_words("en").found(too_few(29, 19)) == too_few(29, 19)


def test_every_benchmark_can_be_named_in_french():
    french = open_words("fr")
    for kind, benchmark in benchmarks():
        for text in (benchmark.title, benchmark.description, benchmark.licence):
            assert any(pattern.fullmatch(text) for pattern, _ in french._found), (kind, text)


def test_another_language_is_refused():
    with pytest.raises(EvaluationError, match="language: got 'it'; reports are written in en, fr"):
        open_words("it")


def test_words_of_a_reader_s_own_catalogue_are_used():
    own = {"texts": {"yes": {"en": "aye", "fr": "oui"}}, "counts": {}, "found": []}
    assert Words("en", own)("yes") == "aye"
