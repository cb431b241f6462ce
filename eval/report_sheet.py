"""What to know of a benchmark before quoting it: revision, what was run, what others reached, what was left out."""

from collections.abc import Mapping
from typing import Any

from iconoclip import pages
from iconoclip.pages import escape

from .report_numbers import metric_words, show_count, show_value, slice_words

_SHOWN_KNOWN = 40
_SHOWN_LEFT_OUT = 12


def sheet_parts(sheet: Mapping[str, Any]) -> list[str]:
    """HTML parts on one benchmark from its data sheet in ``run.json``; sheets of older runs say less."""
    parts = []
    if sheet.get("is_control"):
        parts.append(pages.paragraph("A control: what fine-tuning is not for, and what it may cost.", css="small"))
    if sheet.get("run_on_real_data") is False:
        text = (
            "The authors of this benchmark’s code could not run it on the real data: it is tested on small files of "
            "the documented layout. Compare the counts here with the publication before quoting a figure."
        )
        parts.append(f'<p class="small noscore"><b>Not yet run on the real data.</b> {escape(text)}</p>')
    if "pinned_revision" in sheet:
        pinned = sheet["pinned_revision"]
        text = (
            f"Revision of the data: {pinned} ({sheet.get('revision_source')})."
            if pinned
            else ("Revision of the data: unpinned; the hash of what was read stands at the foot of the report.")
        )
        parts.append(pages.paragraph(text, css="small quiet"))
    parts += [pages.paragraph(f"{name}: {_listed(value)}.", css="small") for name, value in _facts(sheet)]
    return parts + _known(sheet)


def task_parts(sheet: Mapping[str, Any]) -> list[str]:
    """HTML parts on one task: how much the wording of prompts matters, and how many texts are cut."""
    parts = []
    for model, spread in (sheet.get("prompt_spread") or {}).items():
        metric = str(spread["metric"])
        low, high = min(spread["by_prompt"].values()), max(spread["by_prompt"].values())
        verdict = (
            "The wording matters more than the choice of pictures: do not compare models on one wording."
            if spread["is_lottery"]
            else "The choice of pictures matters more than the wording."
        )
        text = (
            f"{model}: {len(spread['by_prompt'])} wordings, each alone, reach {show_value(metric, low)} to "
            f"{show_value(metric, high)} in {metric_words(metric)}, standard deviation "
            f"{show_value(metric, spread['standard_deviation'])}; the sampling error is "
            f"{show_value(metric, spread['sampling_error'])}. {verdict}"
        )
        parts.append(f'<p class="small"><bdi>{escape(text)}</bdi></p>')
    for model, by_language in (sheet.get("texts_cut") or {}).items():
        cut = [
            f"{language}: {show_count(found['num_cut'])} of {show_count(found['num_texts'])}"
            for language, found in by_language.items()
            if found["num_cut"]
        ]
        if cut:
            text = f"Texts longer than the context of {model}, which it reads only in part: {'; '.join(cut)}."
            parts.append(f'<p class="small"><bdi>{escape(text)}</bdi></p>')
    return parts


def _facts(sheet: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name.replace("_", " "), value) for name, value in (sheet.get("facts") or {}).items() if value]


def _listed(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {_listed(each)}" for name, each in value.items())
    if isinstance(value, list):
        more = f" and {len(value) - _SHOWN_LEFT_OUT} more" if len(value) > _SHOWN_LEFT_OUT else ""
        return ", ".join(map(str, value[:_SHOWN_LEFT_OUT])) + more
    return show_count(value) if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _known(sheet: Mapping[str, Any]) -> list[str]:
    known = sheet.get("known_results") or []
    if not known:
        return []
    rows = [
        [
            f"<bdi>{escape(row['model'])}</bdi>",
            escape(metric_words(row["metric"])),
            escape(slice_words(row["slice"])),
            show_value(row["metric"], row["value"]),
            escape(" · ".join(part for part in (row["source"], row["note"]) if part)),
        ]
        for row in known[:_SHOWN_KNOWN]
    ]
    table = pages.table(("model", "measure", "slice", "value", "source"), rows, numeric=(3,))
    more = f" (the first {_SHOWN_KNOWN} of {len(known)})" if len(known) > _SHOWN_KNOWN else ""
    return [f"<details><summary>what others reached{more}</summary>{table}</details>"]
