"""What the report says of a benchmark's data sheet and of its prompts."""

import re

from eval import report_sheet
from eval.report_words import open_words

WORDS = open_words("en")


def sheet_parts(sheet):
    return report_sheet.sheet_parts(WORDS, sheet)


def task_parts(sheet):
    return report_sheet.task_parts(WORDS, sheet)


def _text(parts: list[str]) -> str:
    return re.sub("</?bdi>", "", " ".join(parts))


def test_the_report_says_what_has_not_been_run_on_the_real_data():
    assert "Not yet run on the real data" in _text(sheet_parts({"run_on_real_data": False}))
    assert "Not yet run" not in _text(sheet_parts({"run_on_real_data": True}))
    # Results of before this fact was recorded say nothing.
    assert sheet_parts({"title": "x"}) == []


def test_a_revision_that_no_source_states_is_shown_as_unpinned():
    assert "unpinned" in _text(sheet_parts({"pinned_revision": None, "revision_source": ""}))
    pinned = _text(sheet_parts({"pinned_revision": "8d3e566", "revision_source": "mteb"}))
    assert "8d3e566 (mteb)" in pinned
    assert "unpinned" not in pinned


def test_known_results_and_what_was_left_out_are_listed():
    known = {"model": "CLIP <b>", "metric": "accuracy@1", "value": 0.372, "source": "arXiv", "slice": "all", "note": ""}
    found = _text(
        sheet_parts(
            {"known_results": [known], "facts": {"pictures_left_out": {"missing": 1200, "broken": 3}, "none": []}}
        )
    )
    assert "CLIP &lt;b&gt;" in found
    assert "37.2" in found
    assert "pictures left out: missing 1\u202f200; broken 3" in found
    assert "none" not in found


def test_a_prompt_lottery_is_called_one():
    spread = {
        "metric": "accuracy@1", "by_prompt": {"a lion": 0.6, "the lion": 0.64}, "standard_deviation": 0.028,
        "sampling_error": 0.02, "is_lottery": True,
    }  # fmt: skip
    found = _text(task_parts({"prompt_spread": {"base": spread}}))
    assert "2 wordings, each alone, reach 60.0" in found
    assert "The wording matters more" in found
    calm = spread | {"is_lottery": False}
    assert "pictures matters more" in _text(task_parts({"prompt_spread": {"base": calm}}))


def test_languages_whose_texts_are_cut_are_named_and_others_are_not():
    cut = {"base": {"de": {"num_texts": 40, "num_cut": 4}, "en": {"num_texts": 40, "num_cut": 0}}}
    found = _text(task_parts({"texts_cut": cut}))
    assert "de: 4 of 40" in found
    assert "en:" not in found
    assert task_parts({}) == []
