"""Words, centuries and places that deserve a second look before a model is used: flagged, never a verdict."""

import json
import math
from collections.abc import Sequence
from typing import Any

from iconoclip import pages
from iconoclip.errors import EvaluationError
from iconoclip.pages import escape

from .report_data import Results
from .report_numbers import show_count, show_p, show_value

_ALPHA = 0.05
_SHOWN_TERMS = 30
_SHOWN_FINDINGS = 12
Row = dict[str, Any]


def bias_parts(results: Results) -> list[str]:
    """The section on bias from ``bias.jsonl``; empty where no run looked for it."""
    rows = read_bias(results)
    if not rows:
        return []
    terms = [row for row in rows if row["kind"] == "term"]
    tested = [row for row in rows if row["kind"] != "term"]
    return ["<h2>Words and groups to look at before use</h2>", *_terms(terms), *_groups(tested)]


def read_bias(results: Results) -> list[Row]:
    """Rows of ``bias.jsonl`` of all folders.

    Raises:
        EvaluationError: a damaged file.
    """
    rows = []
    for folder in results.folders:
        path = folder / "bias.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        for number, line in enumerate(lines, start=1):
            try:
                rows.append(json.loads(line))
            except ValueError as error:
                raise EvaluationError(f"{path}, line {number}: no JSON ({error}); run `iconoclip eval` again") from None
    return rows


def _terms(rows: Sequence[Row]) -> list[str]:
    parts = ["<h3>Contested words in captions and prompts</h3>"]
    if not rows:
        return [*parts, pages.paragraph("None of the list’s words was found in the languages that it covers.")]
    text = (
        "Words that museums discuss as harmful or contested (English and Dutch, after Words Matter, National Museum of "
        "World Cultures 2018). A word is no verdict: it may mean something else here, stand in a historical title, or "
        "be what people call themselves. Nothing was changed or left out because of it."
    )
    parts.append(pages.paragraph(text, css="small quiet"))
    clear, other = ([row for row in rows if row["ambiguous"] is is_ambiguous] for is_ambiguous in (False, True))
    for title, group in (("", clear), ("words that mostly mean something else", other)):
        if group:
            table = _term_table(group)
            parts.append(f"<details><summary>{title}: {len(group)}</summary>{table}</details>" if title else table)
    return parts


def _term_table(rows: Sequence[Row]) -> str:
    shown = sorted(rows, key=lambda row: (-row["count"], row["where"], row["term"]))[:_SHOWN_TERMS]
    cells = [
        [
            pages.quoted(row["term"], row["language"]),
            escape(row["where"]),
            f"{show_count(row['count'])} of {show_count(row['texts'])}",
            pages.quoted(row["examples"][0]["text"], row["language"]) if row["examples"] else "",
            pages.link(row["source"], "why"),
        ]
        for row in shown
    ]
    more = len(rows) - len(shown)
    rest = pages.paragraph(f"{more} more in bias.jsonl.", css="small quiet") if more > 0 else ""
    return pages.table(("word", "in", "texts", "for example", ""), cells, numeric=(2,)) + rest


def _groups(rows: Sequence[Row]) -> list[str]:
    tested = [row for row in rows if row["statistic"] is not None]
    parts = ["<h3>Centuries, places and institutions</h3>"]
    if not tested:
        text = "No two groups are large enough to be compared (30 queries and 10 works each)."
        return [*parts, pages.paragraph(text, css="small quiet")]
    found = sorted((row for row in tested if row["p"] < _ALPHA), key=lambda row: (row["p"], -row["statistic"]))
    text = (
        f"{len(tested)} comparisons, each against groups permuted among works; about {_ALPHA * len(tested):.0f} would "
        f"look like a finding by chance alone, {len(found)} do. A gap says that a model serves one group worse, not "
        "why: groups differ in what they show, too."
    )
    parts.append(pages.paragraph(text, css="small quiet"))
    if found:
        cells = [_finding(row) for row in found[:_SHOWN_FINDINGS]]
        head = ("what", "model", "question", "field", "seen", "by chance up to", "p", "groups")
        parts.append(pages.table(head, cells, numeric=(4, 5, 6)))
    more = len(found) - _SHOWN_FINDINGS
    return parts + ([pages.paragraph(f"{more} more in bias.jsonl.", css="small quiet")] if more > 0 else [])


_WHAT = {
    "gap": "best less worst group",
    "exposure": "shown too often or too rarely, up to",
    "share": "tested and trained pictures differ",
}


def _finding(row: Row) -> list[str]:
    is_ratio = row["kind"] == "exposure"
    shown = [f"{math.exp(row[name]):.1f} ×" if is_ratio else show_value("share", row[name]) for name in _FIGURES]
    groups = [_group(row["kind"], group) for group in row["groups"] if group["value"] is not None]
    listed = "; ".join(groups)
    question = f"{row['benchmark']} · {row['task']}" if row["task"] else row["benchmark"]
    return [
        _WHAT[row["kind"]], f"<bdi>{escape(row['model'])}</bdi>", f"<bdi>{escape(question)}</bdi>",
        escape(row["field"]), *shown, show_p(row["p"]), f"<bdi>{escape(listed)}</bdi>",
    ]  # fmt: skip


_FIGURES = ("statistic", "null_95")


def _group(kind: str, group: Row) -> str:
    value = show_value("share", group["value"])
    if kind == "gap":
        return f"{group['name']}: {value} ({group['n']})"
    return f"{group['name']}: {value} for {show_value('share', group['expected'])} ({group['n']})"
