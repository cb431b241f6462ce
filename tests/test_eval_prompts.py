import pytest

from eval.data import words_of
from eval.prompts import cover_prompts


def test_words_are_counted_once_and_figures_not_at_all():
    assert words_of("L'estampe (1er état), n° 12") == ["l", "estampe", "er", "état", "n"]
    covered = cover_prompts(["a lion", "A ship of 1700"], frozenset({"a", "lion", "of"}))
    assert covered.share == pytest.approx(3 / 4)
    assert covered.missing == ("ship",)


def test_below_eighty_per_cent_there_is_a_reason_and_no_score():
    assert cover_prompts(["a b c d e"], frozenset("abcd")).why_not == ""
    why = cover_prompts(["a b c d"], frozenset("abc")).why_not
    assert why.startswith("75%")
    assert "never seen: d" in why


def test_prompts_without_words_cover_nothing():
    assert cover_prompts(["1700"], frozenset({"a"})).share == 0
