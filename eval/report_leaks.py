"""What training had seen of a benchmark, and every primary figure with and without it."""

from collections.abc import Sequence
from typing import Any

from iconoclip import pages
from iconoclip.pages import escape

from .report_data import Results, Score
from .report_words import Words

_SHOWN = 8
Row = dict[str, Any]


def leak_parts(words: Words, results: Results, benchmark: str) -> list[str]:
    """HTML parts on one benchmark from ``contamination.jsonl``; empty where no run looked for leaks."""
    row = next((row for row in results.leaks if row["benchmark"] == benchmark), None)
    if row is None:
        return []
    if not row["by"]:
        return [pages.paragraph(words("leaks.not_compared"), css="small quiet")]
    compared = ", ".join(words(f"leaks.how.{how}") for how in row["by"])
    counted = words.count(row["train_pictures"])
    parts = [f'<p class="small noscore">{words.found_html(note)}</p>' for note in row["notes"]]
    about = {"train": counted, "sets": ", ".join(row["train_sets"]), "n": words.count(row["n"])}
    if not row["seen"]:
        return [*parts, f'<p class="small">{words.html("leaks.none", compared=compared, **about)}</p>']
    found = ", ".join(f"{count} {words(f'leaks.how.{how}')}" for how, count in row["by"].items() if count)
    about |= {"seen": words.count(row["seen"]), "works": words.count(row["seen_works"])}
    parts.append(f'<p class="small noscore">{words.html("leaks.seen", found=found, **about)}</p>')
    return [*parts, _table(words, results, benchmark), _examples(words, row)]


def _table(words: Words, results: Results, benchmark: str) -> str:
    rows = []
    for question in (q for q in results.questions if q.benchmark == benchmark):
        for model in results.models:
            all_ = results.find(model, question, question.primary)
            wanted = (model, benchmark, question.task, question.primary, "all")
            clean = next(
                (s for s in results.clean if (s.model, s.benchmark, s.task, s.metric, s.slice) == wanted), None
            )
            if all_ is not None and clean is not None:
                measure = escape(words.metric(question.primary))
                name = f"{escape(words.task(question.task))}<br><span class='quiet'>{measure}</span>"
                rows.append([name, f"<bdi>{escape(model)}</bdi>", *_cells(words, all_), *_cells(words, clean)])
    names = ("task", "model", "all", "interval", "n", "clean", "interval", "n")
    head = [words.html(f"head.{name}") for name in names]
    return pages.table(head, rows, numeric=range(2, len(head))) if rows else ""


def _cells(words: Words, score: Score) -> list[str]:
    interval = words.interval(score.metric, score.ci_low, score.ci_high)
    return [escape(words.value(score.metric, score.value)), escape(interval), words.count(score.n)]


def _examples(words: Words, row: Row) -> str:
    leaks: Sequence[Row] = row["leaks"][:_SHOWN]
    listed = "".join(f"<li>{_example(words, leak)}</li>" for leak in leaks)
    more = len(row["leaks"]) - len(leaks)
    rest = pages.paragraph(words("leaks.more", number=words.count(more)), css="small") if more > 0 else ""
    return f"<details><summary>{words.html('leaks.which')}</summary><ul>{listed}</ul>{rest}</details>"


def _example(words: Words, leak: Row) -> str:
    about = words.html(f"leaks.pair.{leak['how']}", key=leak["key"], other=leak["train_key"])
    if leak["how"] == "near_duplicate":
        return f"{about} ({words.html('leaks.bits', bits=words.number(leak['value'], 0))})"
    if leak["how"] == "embedding":
        return f"{about} ({words.html('leaks.cosine', cosine=words.number(leak['value'], 3))})"
    return about
