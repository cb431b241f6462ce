"""What training had seen of a benchmark, and every primary figure with and without it."""

import json
from collections.abc import Sequence
from typing import Any

from iconoclip import pages
from iconoclip.errors import EvaluationError
from iconoclip.pages import escape

from .report_data import Results, Score
from .report_numbers import metric_words, show_count, show_interval, show_value

_SHOWN = 8
_HOW = {"file": "the same file", "near_duplicate": "nearly the same picture", "embedding": "by embedding"}
Row = dict[str, Any]


def leak_parts(results: Results, benchmark: str) -> list[str]:
    """HTML parts on one benchmark from ``contamination.jsonl``; empty where no run looked for leaks."""
    row = next((row for row in read_leaks(results) if row["benchmark"] == benchmark), None)
    if row is None:
        return []
    if not row["by"]:
        text = "Not compared with training pictures: no training shards are known."
        return [pages.paragraph(text, css="small quiet")]
    compared = ", ".join(_HOW[how] for how in row["by"])
    against = f"{show_count(row['train_pictures'])} training pictures ({', '.join(row['train_sets'])})"
    parts = [pages.paragraph(note, css="small noscore") for note in row["notes"]]
    if not row["seen"]:
        text = f"Seen in training: none of {show_count(row['n'])} pictures, compared with {against}: {compared}."
        return [*parts, f'<p class="small"><bdi>{escape(text)}</bdi></p>']
    found = ", ".join(f"{count} {_HOW[how]}" for how, count in row["by"].items() if count)
    seen = f"{show_count(row['seen'])} of {show_count(row['n'])} pictures ({show_count(row['seen_works'])} works)"
    text = f"Seen in training: {seen} are among {against}: {found}. Figures without them stand beside those of all."
    parts.append(f'<p class="small noscore"><bdi>{escape(text)}</bdi></p>')
    parts.append(_table(results, benchmark))
    parts.append(_examples(row))
    return parts


def read_leaks(results: Results) -> list[Row]:
    """Rows of ``contamination.jsonl`` of all folders.

    Raises:
        EvaluationError: a damaged file.
    """
    rows = []
    for folder in results.folders:
        path = folder / "contamination.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        for number, line in enumerate(lines, start=1):
            try:
                rows.append(json.loads(line))
            except ValueError as error:
                raise EvaluationError(f"{path}, line {number}: no JSON ({error}); run `iconoclip eval` again") from None
    return rows


def _table(results: Results, benchmark: str) -> str:
    rows = []
    for question in (q for q in results.questions if q.benchmark == benchmark):
        for model in results.models:
            all_ = results.find(model, question, question.primary)
            wanted = (model, benchmark, question.task, question.primary, "all")
            clean = next(
                (s for s in results.clean if (s.model, s.benchmark, s.task, s.metric, s.slice) == wanted), None
            )
            if all_ is not None and clean is not None:
                name = f"{escape(question.task)}<br><span class='quiet'>{escape(metric_words(question.primary))}</span>"
                rows.append([name, f"<bdi>{escape(model)}</bdi>", *_cells(all_), *_cells(clean)])
    head = ("task", "model", "all", "95 % interval", "n", "clean", "95 % interval", "n")
    return pages.table(head, rows, numeric=range(2, len(head))) if rows else ""


def _cells(score: Score) -> list[str]:
    interval = show_interval(score.metric, score.ci_low, score.ci_high)
    return [escape(show_value(score.metric, score.value)), interval, show_count(score.n)]


def _examples(row: Row) -> str:
    leaks: Sequence[Row] = row["leaks"][:_SHOWN]
    listed = "".join(
        f"<li><code>{escape(leak['key'])}</code> is {_HOW[leak['how']]} as <code>{escape(leak['train_key'])}</code>"
        f"{_nearness(leak)}</li>"
        for leak in leaks
    )
    more = len(row["leaks"]) - len(leaks)
    rest = f"<p class='small'>and {show_count(more)} more in contamination.jsonl</p>" if more > 0 else ""
    return f"<details><summary>which pictures</summary><ul>{listed}</ul>{rest}</details>"


def _nearness(leak: Row) -> str:
    if leak["how"] == "near_duplicate":
        return f", {leak['value']:.0f} of 64 bits apart"
    return f", cosine {leak['value']:.3f}" if leak["how"] == "embedding" else ""
