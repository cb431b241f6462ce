from pathlib import Path
from types import SimpleNamespace

import pytest

from eval.data import words_of
from eval.prompts import (
    TEMPLATES,
    class_texts,
    count_cut,
    count_tokens,
    cover_prompts,
    fill_templates,
    parallel_classes,
    prompt_spread,
)
from iconoclip import iconclass, models
from iconoclip.iconclass import parse


def test_words_are_counted_once_and_figures_not_at_all():
    assert words_of("L'estampe (1er état), n° 12") == ["l", "estampe", "er", "état", "n"]
    covered = cover_prompts(["a lion", "A ship of 1700"], frozenset({"a", "lion", "of"}))
    assert covered.share == pytest.approx(3 / 4)
    assert covered.missing == ("ship",)


def test_below_eighty_per_cent_there_is_a_reason_and_no_score():
    assert cover_prompts(["a b c d e"], frozenset("abcd")).why_not(0.8) == ""
    why = cover_prompts(["a b c d"], frozenset("abc")).why_not(0.8)
    assert cover_prompts(["a b c d"], frozenset()).why_not(0) == ""
    assert why.startswith("75%")
    assert "never seen: d" in why


def test_prompts_without_words_cover_nothing():
    assert cover_prompts(["1700"], frozenset({"a"})).share == 0


def test_prompts_that_matter_more_than_pictures_are_a_lottery():
    # Standard deviation of .60 and .64 with T - 1: 0.0283
    spread = prompt_spread([0.60, 0.64], 0.02)
    assert spread is not None
    assert spread.standard_deviation == pytest.approx(0.02828, abs=1e-4)
    assert spread.is_lottery
    assert not prompt_spread([0.60, 0.61], 0.02).is_lottery  # type: ignore[union-attr]
    assert prompt_spread([0.6], 0.02) is None


def test_only_the_place_for_the_name_is_filled():
    # str.format would stop at the other braces.
    assert fill_templates(["a {lion}"], ["{}", "print {x}: {}"]) == (("a {lion}", "print {x}: a {lion}"),)
    assert all(template.count("{}") == 1 for templates in TEMPLATES.values() for template in templates)
    assert all(len(templates) >= 5 for templates in TEMPLATES.values())


def test_a_class_is_called_by_its_shortest_prompt_in_the_first_language():
    task = SimpleNamespace(classes=("v", "p"), class_prompts=(("un vase grec", "vase"), ("estampe", "une estampe")))
    task.language = "fr"
    assert class_texts(task) == {"v": "vase", "p": "estampe"}
    task.language, task.prompt_languages = "fr,en", ("fr", "en")
    assert class_texts(task) == {"v": "un vase grec", "p": "estampe"}
    assert class_texts(SimpleNamespace(classes=("v",), language="")) == {}  # a probe has no prompts


def test_notations_that_read_alike_are_one_class():
    # Fire as a symbol of God the Father and fire as an element have the same text, "fire".
    classes = parallel_classes([parse(text) for text in ("11H(PETER)", "11C14", "21C", "11H(PAUL)")], ["en"])
    assert classes.names == {"en": ("the apostle Peter, first bishop of Rome", "fire", "the apostle Paul of Tarsus")}
    assert [[n.text for n in group] for group in classes.members] == [["11H(PETER)"], ["11C14", "21C"], ["11H(PAUL)"]]
    assert classes.prompts("en", ["{}", "print: {}"])[1] == ("fire", "print: fire")
    assert classes.prompts("en")[1] == ("fire",)


def test_notations_that_read_alike_in_any_language_are_one_class_in_all(monkeypatch: pytest.MonkeyPatch):
    english = {"11D": "Christ", "11F": "Mary", "21C": "fire", "11C14": "flame"}
    german = {"11D": "Heiliger", "11F": "Heilige", "21C": "Heilige", "11C14": "Heiliger"}
    monkeypatch.setattr(iconclass, "_texts", {"de": german, "en": english}.get)
    classes = parallel_classes([parse(text) for text in english], ["en", "de"])
    assert [[n.text for n in group] for group in classes.members] == [["11D", "11C14"], ["11F", "21C"]]
    assert classes.names == {"en": ("Christ", "Mary"), "de": ("Heiliger", "Heilige")}


def test_a_notation_without_a_text_is_named_and_gets_no_english(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(iconclass, "_texts", {"de": {"11D": "Christus"}, "en": {"11D": "Christ", "11F": "Mary"}}.get)
    classes = parallel_classes([parse("11D"), parse("11F")], ["de", "en"])
    assert classes.names == {"de": ("Christus",), "en": ("Christ",)}
    assert [notation.text for notation in classes.without_text["de"]] == ["11F"]


@pytest.mark.parametrize("kind", ["clip", "siglip2"])
def test_texts_longer_than_the_context_are_counted_before_the_tower_cuts_them(kind: str, model_dirs):
    folder: Path = model_dirs(kind)
    model = models.load(str(folder), weights="random")
    long = " ".join(["lion"] * 50)
    short_count, long_count = count_tokens(model.tokenizer, ["lion", long])
    assert short_count < model.context_length < long_count
    # A text that fits exactly is not cut: its tokens and their two marks fill the context.
    found = count_cut({"en": ["lion", long], "fr": []}, model.tokenizer, context_length=model.context_length)
    assert (found["en"].num_cut, found["en"].share) == (1, 0.5)
    assert found["fr"].share == 0
    # What differs behind the cut alone is one text to the model; the same text twice is no mistake.
    texts = [f"{long} left", f"{long} right", "lion", "lion"]
    assert count_cut({"en": texts}, model.tokenizer, context_length=model.context_length)["en"].num_alike == 2


def test_clip_counts_start_and_end(tiny_model_dir: Path):
    model = models.load(str(tiny_model_dir), weights="random")
    (tokens,) = model.tokenizer(["a red lion"]).tolist()
    assert count_tokens(model.tokenizer, ["a red lion"]) == [sum(token > 0 for token in tokens)]


def test_a_long_list_of_words_never_seen_is_cut_and_counted():
    words = [f"word{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(60)]
    why = cover_prompts([" ".join(words)], frozenset()).why_not(0.8)
    assert why.endswith("wordax and 36 more")
