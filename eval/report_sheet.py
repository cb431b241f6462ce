"""What to know of a benchmark before quoting it: revision, what was run, what others reached, what was left out."""

from collections.abc import Mapping
from typing import Any

from iconoclip import pages
from iconoclip.pages import escape

from .report_words import Words

_SHOWN_KNOWN = 40
_SHOWN_LEFT_OUT = 12


def sheet_parts(words: Words, sheet: Mapping[str, Any]) -> list[str]:
    """HTML parts on one benchmark from its data sheet in ``run.json``; sheets of older runs say less."""
    parts = []
    if sheet.get("is_control"):
        parts.append(pages.paragraph(words("sheet.control"), css="small"))
    if sheet.get("run_on_real_data") is False:
        parts.append(f'<p class="small noscore">{words.html("sheet.not_real")}</p>')
    if "pinned_revision" in sheet:
        pinned, source = sheet["pinned_revision"], sheet.get("revision_source")
        text = words.html("sheet.pinned", revision=pinned, source=source) if pinned else words.html("sheet.unpinned")
        parts.append(f'<p class="small quiet">{text}</p>')
    for name, value in (sheet.get("facts") or {}).items():
        if value:
            title = words.missing_or(f"fact.{name}", name.replace("_", " "))
            parts.append(f'<p class="small">{words.html("sheet.fact", name=title, value=_listed(words, value))}</p>')
    return parts + _known(words, sheet)


def task_parts(words: Words, sheet: Mapping[str, Any]) -> list[str]:
    """HTML parts on one task: how much the wording of prompts matters, and how many texts are cut."""
    parts = []
    for model, spread in (sheet.get("prompt_spread") or {}).items():
        metric = str(spread["metric"])
        text = words.html(
            "task.wordings",
            model=model,
            number=len(spread["by_prompt"]),
            low=words.value(metric, min(spread["by_prompt"].values())),
            high=words.value(metric, max(spread["by_prompt"].values())),
            metric=words.metric(metric),
            deviation=words.value(metric, spread["standard_deviation"]),
            error=words.value(metric, spread["sampling_error"]),
        )
        verdict = words.html("task.lottery" if spread["is_lottery"] else "task.no_lottery")
        parts.append(f'<p class="small">{text} {verdict}</p>')
    for model, by_language in (sheet.get("texts_cut") or {}).items():
        for key, name in (("task.cut", "num_cut"), ("task.alike", "num_alike")):
            counts = [
                words("slice.of", field=language, value=_part(words, found[name], found["num_texts"]))
                for language, found in by_language.items()
                if found.get(name)
            ]
            if counts:
                parts.append(f'<p class="small">{words.html(key, model=model, counts="; ".join(counts))}</p>')
    return parts


def _part(words: Words, part: int, whole: int) -> str:
    return words("count.of", part=words.count(part), whole=words.count(whole))


def _listed(words: Words, value: Any) -> str:
    if isinstance(value, Mapping):
        named = ((words.missing_or(f"fact.{name}", str(name)), each) for name, each in value.items())
        return "; ".join(f"{name} {_listed(words, each)}" for name, each in named)
    if isinstance(value, list):
        shown = ", ".join(map(str, value[:_SHOWN_LEFT_OUT]))
        more = len(value) - _SHOWN_LEFT_OUT
        return words("list.more", shown=shown, number=more) if more > 0 else shown
    return words.count(value) if isinstance(value, int) and not isinstance(value, bool) else words.found(str(value))


def _known(words: Words, sheet: Mapping[str, Any]) -> list[str]:
    known = sheet.get("known_results") or []
    if not known:
        return []
    rows = [
        [
            words.found_html(row["model"]),
            escape(words.metric(row["metric"])),
            escape(words.slice(row["slice"])),
            escape(words.value(row["metric"], row["value"])),
            " · ".join(words.found_html(part) for part in (row["source"], row["note"]) if part),
        ]
        for row in known[:_SHOWN_KNOWN]
    ]
    head = [words.html(f"head.{name}") for name in ("model", "measure", "slice", "value", "source")]
    key = "sheet.known_first" if len(known) > _SHOWN_KNOWN else "sheet.known"
    title = words.html(key, shown=len(rows), number=len(known))
    return [f"<details><summary>{title}</summary>{pages.table(head, rows, numeric=(3,))}</details>"]
