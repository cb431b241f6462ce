"""How far the labels of a question can be trusted: calibration, and what can be promised of the sure ones."""

from collections.abc import Sequence
from typing import Any

from iconoclip import pages
from iconoclip.pages import escape

from .report_data import Question, Results
from .report_figures import Plot
from .report_words import Words
from .statistics import proportion_interval

Row = dict[str, Any]


def trust_parts(words: Words, results: Results, question: Question) -> list[str]:
    """HTML parts on one question from ``selective.jsonl``; empty where nothing was measured."""
    rows = [row for row in results.trust if (row["benchmark"], row["task"]) == (question.benchmark, question.task)]
    if not rows:
        return []
    parts = [f"<h4>{words.html('trust.title')}</h4>"]
    for row in rows:
        if row["why_not"]:
            text = words.html("trust.not_measured", model=row["model"], why=words.found(row["why_not"]))
            parts.append(f'<p class="small noscore">{text}</p>')
    measured = [row for row in rows if not row["why_not"]]
    if not measured:
        return parts
    parts.append(f'<p class="small quiet">{_about(words, measured[0])}</p>')
    parts.append(_table(words, measured))
    reasons = dict.fromkeys(
        words("trust.no_promise", model=row["model"], share=words.percent(promise["precision"]), why=why)
        for row in measured
        for promise in row["promises"]
        if promise["threshold"] is None and (why := words.found(promise["why_not"]))
    )
    if reasons:
        listed = "".join(f"<li><bdi>{escape(reason)}</bdi></li>" for reason in reasons)
        parts.append(f"<details><summary>{words.html('trust.no_promises')}</summary><ul>{listed}</ul></details>")
    drawings = "".join(_drawings(words, row) for row in measured)
    for key in ("reliability.about", "risk.about"):
        parts.append(f'<p class="small">{words.html(key)}</p>')
    return [*parts, f'<div class="figures">{drawings}</div>']


def _about(words: Words, row: Row) -> str:
    about = words.html(
        "trust.about",
        n_fitted=words.count(row["n_fitted"]),
        works_fitted=words.count(row["works_fitted"]),
        n=words.count(row["n"]),
        works=words.count(row["works"]),
        bins=row["ece_bins"],
    )
    # Results of earlier versions do not say how many were seen.
    if num_seen := row.get("n_seen", 0):
        about += f" {words.html('trust.seen', pictures=words.counted('pictures', num_seen))}"
    return about + (f" {words.html('trust.levels')}" if row["has_levels"] else "")


def _table(words: Words, rows: Sequence[Row]) -> str:
    targets = [promise["precision"] for promise in rows[0]["promises"]]
    names = ("model", "right", "interval", "ece_learnt", "ece", "interval", "augrc")
    head = [words.html(f"head.{name}") for name in names]
    head += [words.html("head.labelled_at", share=words.percent(target)) for target in targets]
    cells = []
    for row in rows:
        shown = [f"<bdi>{escape(row['model'])}</bdi>", *_figure(words, row["accuracy"])]
        shown += [_figure(words, row["ece_learnt"])[0], *_figure(words, row["ece"])]
        shown.append(words.number(row["augrc"]["value"], 3))
        for promise in row["promises"]:
            shown.append(words.value("share", None if promise["threshold"] is None else promise["coverage"]))
        cells.append(shown)
    return pages.table(head, cells, numeric=range(1, len(head)))


def _figure(words: Words, figure: dict[str, float]) -> list[str]:
    return [
        words.value("share", figure["value"]),
        escape(words.interval("share", figure["ci_low"], figure["ci_high"])),
    ]


def _drawings(words: Words, row: Row) -> str:
    model = row["model"]
    reliability = Plot(
        x=(0.0, 1.0), y=(0.0, 1.0), x_label=words("reliability.x"), y_label=words("reliability.y"),
        tick=words.percent, label=words("reliability.label", model=model),
    )  # fmt: skip
    reliability.line([(0, 0), (1, 1)], css="chance")
    for part in row["reliability"]:
        n = part["n"]
        seen = proportion_interval(round(part["right"] * n), n)
        reliability.point(part["confidence"], part["right"], y_ends=(seen.low, seen.high))
    worst = max((risk for _, risk in row["risk_coverage"]), default=0.0) or 1.0
    risk = Plot(
        x=(0.0, 1.0), y=(0.0, worst), x_label=words("risk.x"), y_label=words("risk.y"),
        tick=words.percent, label=words("risk.label", model=model),
    )  # fmt: skip
    risk.line([(coverage, wrong) for coverage, wrong in row["risk_coverage"]], css="span")
    return "".join(
        f"<figure>{plot.svg()}<figcaption>{escape(plot.label)}</figcaption></figure>" for plot in (reliability, risk)
    )
