"""Words, centuries and places that deserve a second look before a model is used: flagged, never a verdict."""

import math
from collections.abc import Sequence
from typing import Any

from iconoclip import pages
from iconoclip.pages import escape

from .report_data import Results
from .report_words import Words

_ALPHA = 0.05
_SHOWN_TERMS = 30
_SHOWN_FINDINGS = 12
Row = dict[str, Any]


def bias_parts(words: Words, results: Results) -> list[str]:
    """The section on bias from ``bias.jsonl``; empty where no run looked for it."""
    rows = results.bias
    if not rows:
        return []
    terms = [row for row in rows if row["kind"] == "term"]
    tested = [row for row in rows if row["kind"] != "term"]
    return [f"<h2>{words.html('bias.title')}</h2>", *_terms(words, terms), *_groups(words, tested)]


def _terms(words: Words, rows: Sequence[Row]) -> list[str]:
    parts = [f"<h3>{words.html('bias.terms')}</h3>"]
    if not rows:
        return [*parts, pages.paragraph(words("bias.no_terms"))]
    parts.append(pages.paragraph(words("bias.terms_about"), css="small quiet"))
    clear, other = ([row for row in rows if row["ambiguous"] is is_ambiguous] for is_ambiguous in (False, True))
    if clear:
        parts.append(_term_table(words, clear))
    if other:
        title = words.html("bias.ambiguous", count=len(other))
        parts.append(f"<details><summary>{title}</summary>{_term_table(words, other)}</details>")
    return parts


def _term_table(words: Words, rows: Sequence[Row]) -> str:
    shown = sorted(rows, key=lambda row: (-row["count"], row["where"], row["term"]))[:_SHOWN_TERMS]
    cells = [
        [
            pages.quoted(row["term"], row["language"]),
            words.found_html(row["where"]),
            escape(words("count.of", part=words.count(row["count"]), whole=words.count(row["texts"]))),
            pages.quoted(row["examples"][0]["text"], row["language"]) if row["examples"] else "",
            pages.link(row["source"], words("bias.why")),
        ]
        for row in shown
    ]
    head = [words.html(f"head.{name}") for name in ("word", "in", "texts", "example")]
    return pages.table([*head, ""], cells, numeric=(2,)) + _more(words, len(rows) - len(shown))


def _groups(words: Words, rows: Sequence[Row]) -> list[str]:
    tested = [row for row in rows if row["statistic"] is not None]
    parts = [f"<h3>{words.html('bias.groups')}</h3>"]
    if not tested:
        return [*parts, pages.paragraph(words("bias.no_groups"), css="small quiet")]
    found = sorted((row for row in tested if row["p"] < _ALPHA), key=lambda row: (row["p"], -row["statistic"]))
    by_chance = words.number(_ALPHA * len(tested), 0)
    text = words("bias.groups_about", tested=words.count(len(tested)), chance=by_chance, found=words.count(len(found)))
    parts.append(pages.paragraph(text, css="small quiet"))
    if found:
        cells = [_finding(words, row) for row in found[:_SHOWN_FINDINGS]]
        names = ("what", "model", "question", "field", "seen", "by_chance", "p", "groups")
        parts.append(pages.table([words.html(f"head.{name}") for name in names], cells, numeric=(4, 5, 6)))
    return [*parts, _more(words, len(found) - _SHOWN_FINDINGS)]


def _more(words: Words, number: int) -> str:
    return pages.paragraph(words("bias.more", number=number), css="small quiet") if number > 0 else ""


def _finding(words: Words, row: Row) -> list[str]:
    is_ratio = row["kind"] == "exposure"
    shown = [
        f"{words.number(math.exp(row[name]))} ×" if is_ratio else words.percent(row[name], 1)
        for name in ("statistic", "null_95")
    ]
    groups = [_group(words, row, group) for group in row["groups"] if group["value"] is not None]
    task, benchmark = row["task"], row["benchmark"]
    question = words.question(benchmark, task) if task else benchmark.replace("_", " ")
    return [
        words.html(f"bias.kind.{row['kind']}"), f"<bdi>{escape(row['model'])}</bdi>", f"<bdi>{escape(question)}</bdi>",
        escape(words.field(row["field"])), *shown, escape(words.p(row["p"])), f"<bdi>{escape('; '.join(groups))}</bdi>",
    ]  # fmt: skip


def _group(words: Words, row: Row, group: Row) -> str:
    name = words.slice(f"{row['field']}={group['name']}")
    value = words.percent(group["value"], 1)
    if row["kind"] == "gap":
        return words("bias.group", name=name, value=value, n=group["n"])
    expected = words.percent(group["expected"], 1)
    return words("bias.group_expected", name=name, value=value, expected=expected, n=group["n"])
