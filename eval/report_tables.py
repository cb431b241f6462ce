"""The tables of one question as HTML: figures with intervals, counts, chance and what is free; then its slices."""

import re
from collections.abc import Sequence

from iconoclip import pages
from iconoclip.pages import escape

from .report_data import Question, Results, Score, baseline_name, higher_is_better, is_difference, is_share
from .report_figures import upper_bound, whisker
from .report_numbers import (
    NO_VALUE,
    field_words,
    metric_words,
    show_count,
    show_delta,
    show_interval,
    show_mdd,
    show_p,
    show_value,
    slice_words,
)


def score_tables(results: Results, question: Question) -> list[str]:
    """Table of the primary measure, and the others folded away."""
    first, *others = results.metrics(question)
    shown = [first, *(metric for metric in others if is_difference(metric))]  # a difference is an answer by itself
    others = [metric for metric in others if metric not in shown]
    parts = [_score_table(results, question, shown)]
    if others:
        table = _score_table(results, question, others)
        parts.append(
            f"<details><summary>{len(others)} other measure{'s' * (len(others) > 1)}</summary>{table}</details>"
        )
    return parts


def slice_tables(results: Results, question: Question) -> list[str]:
    """Slices by the primary measure, and by the others folded away."""
    slices = results.slices(question)
    parts, folded = [], []
    for metric in results.metrics(question):
        mine = [name for name in slices if any(results.find(m, question, metric, name) for m in results.models)]
        if is_difference(metric) or not mine:
            continue
        title = f"<h4>By {escape(_fields(mine))}: {escape(metric_words(metric))}</h4>"
        (parts if metric == question.primary else folded).append(title + _slice_table(results, question, metric, mine))
    if folded:
        parts.append(
            f"<details class='noprint'><summary>slices by the other measures</summary>{''.join(folded)}</details>"
        )
    return parts


def _score_table(results: Results, question: Question, metrics: Sequence[str]) -> str:
    head = ("model", "value", "", "95 % interval", "n", "works", "chance", "best free", "detectable")
    numeric = {1, 4, 5, 6, 7, 8}
    titles = "".join(
        f'<th scope="col"{" class=n" if column in numeric else ""}>{escape(name)}</th>'
        for column, name in enumerate(head)
    )
    bodies = []
    for metric in metrics:
        is_drawn = is_share(metric) and not is_difference(metric)
        mine = [s for s in results.of(question) if (s.metric, s.slice) == (metric, "all")]
        end = upper_bound([v for s in mine for v in (s.value, s.ci_high, s.chance)])
        axis = f"0 – {100 * end:g}{pages.THIN_SPACE}%" if is_drawn and any(s.value is not None for s in mine) else ""
        lower = "" if higher_is_better(metric) else ' <span class="quiet">(lower is better)</span>'
        bodies.append(
            f'<tbody><tr class="group"><th colspan="2" scope="rowgroup" title="{escape(metric)}">'
            f'{escape(metric_words(metric))}{lower}</th><td class="axis">{axis}</td><td colspan="6"></td></tr>'
            f"{''.join(_metric_rows(results, question, metric, end))}</tbody>"
        )
    return f'<div class="scroll"><table class="scores"><thead><tr>{titles}</tr></thead>{"".join(bodies)}</table></div>'


def _metric_rows(results: Results, question: Question, metric: str, end: float) -> list[str]:
    free = None if is_difference(metric) else results.best_free(question, metric)
    rows = []
    for model in results.models:
        score = results.find(model, question, metric)
        if score is None:
            continue
        rows.append(_score_row(model, metric, score, free, end))
    for candidate in results.candidates:
        row = results.compare(results.reference, candidate, question, metric)
        if row is not None and row.delta is not None:
            name = f"<bdi>{escape(candidate)}</bdi> less <bdi>{escape(results.reference)}</bdi>"
            interval = show_interval(metric, row.ci_low, row.ci_high, delta=True)
            p = f"p {show_p(row.p)}" + (f", after Holm {show_p(row.p_holm)}" if row.p_holm is not None else "")
            rows.append(
                f'<tr class="delta"><td>{name}</td><td class="n">{show_delta(metric, row.delta)}</td><td></td>'
                f'<td class="i">{interval}</td><td class="n">{show_count(row.n)}</td>'
                f'<td colspan="4">{escape(p)}</td></tr>'
            )
    for model in results.baselines:
        score = results.find(model, question, metric)
        if score is not None and score.value is not None:
            rows.append(
                f'<tr class="free"><td>{escape(baseline_name(model))}</td>'
                f'<td class="n">{value_cell(metric, score)}</td>'
                f"<td></td><td>{show_interval(metric, score.ci_low, score.ci_high)}</td>"
                f'<td class="n">{show_count(score.n)}</td><td class="n">{show_count(score.n_clusters)}</td>'
                f'<td colspan="3">costs nothing</td></tr>'
            )
    return rows


def _score_row(model: str, metric: str, score: Score, free: tuple[str, float] | None, end: float) -> str:
    counts = f'<td class="n">{show_count(score.n)}</td><td class="n">{show_count(score.n_clusters)}</td>'
    if score.value is None:
        return (
            f'<tr><td><bdi>{escape(model)}</bdi></td><td class="n">{NO_VALUE}</td>'
            f'<td colspan="2" class="reason">{escape(short_reason(score))}</td>{counts}<td colspan="3"></td></tr>'
        )
    drawn = ""
    if is_share(metric) and not is_difference(metric):
        marks = [(score.chance, "chance")] if score.chance is not None else []
        marks += [(free[1], "free")] if free and free[0] != "chance" else []
        label = f"{show_value(metric, score.value)}, {show_interval(metric, score.ci_low, score.ci_high)}"
        drawn = whisker(score.value, score.ci_low, score.ci_high, axis=(0.0, end), marks=marks, label=label)
    return (
        f'<tr><td><bdi>{escape(model)}</bdi></td><td class="n">{value_cell(metric, score)}</td>'
        f'<td class="w">{drawn}</td>'
        f'<td class="i">{show_interval(metric, score.ci_low, score.ci_high)}</td>{counts}'
        f'<td class="n">{show_value(metric, score.chance)}</td><td class="n">{free_cell(metric, free)}</td>'
        f'<td class="n">{show_mdd(metric, score.mdd)}</td></tr>'
    )


def short_reason(score: Score) -> str:
    """Why there is no score, in a few words; the whole reason stands above the table."""
    if score.slice == "all" and score.reason:
        return "not scored, see above"
    return "too few to score"


def _slice_table(results: Results, question: Question, metric: str, slices: Sequence[str]) -> str:
    head = ["slice", "n", "works"]
    for model in results.models:
        head += [model, "95 % interval"]
    head += ["chance", "best free"]
    head += [f"{candidate} less {results.reference}" for candidate in results.candidates]
    rows = []
    for name in slices:
        scores = [results.find(model, question, metric, name) for model in results.models]
        known = next(score for score in scores if score is not None)
        cells = [slice_cell(name), show_count(known.n), show_count(known.n_clusters)]
        if all(score is None or score.value is None for score in scores):
            empty = [""] * (len(head) - 4)
            rows.append([*cells, '<span class="quiet">too few to score</span>', *empty])
            continue
        for score in scores:
            low, high = (score.ci_low, score.ci_high) if score else (None, None)
            cells += [value_cell(metric, score), show_interval(metric, low, high)]
        cells += [show_value(metric, known.chance), free_cell(metric, results.best_free(question, metric, name))]
        for candidate in results.candidates:
            row = results.compare(results.reference, candidate, question, metric, name)
            shown = NO_VALUE
            if row and row.delta is not None:
                shown = (
                    f"{show_delta(metric, row.delta)} ({show_interval(metric, row.ci_low, row.ci_high, delta=True)})"
                )
            cells.append(shown)
        rows.append(cells)
    return pages.table([breakable(name) for name in head], rows, numeric=range(1, len(head)))


def _fields(slices: Sequence[str]) -> str:
    return " and ".join(dict.fromkeys(field_words(name) for name in slices))


def slice_cell(slice_: str) -> str:
    """``source=potter`` -> collection: potter."""
    if slice_ == "all":
        return "all"
    return f"{escape(field_words(slice_))}: <bdi>{escape(slice_words(slice_))}</bdi>"


def value_cell(metric: str, score: Score | None) -> str:
    """Figure of a score, or a dash."""
    return escape(show_value(metric, score.value if score else None))


def free_cell(metric: str, free: tuple[str, float] | None) -> str:
    """Best figure that costs nothing, with its name."""
    if free is None:
        return NO_VALUE
    return f'{escape(show_value(metric, free[1]))} <span class="quiet">{escape(free[0])}</span>'


def breakable(name: str) -> str:
    """A model's name as a column head: it may break after a slash, a colon, a hyphen or an underscore."""
    return re.sub(r"([/:_-])", r"\1<wbr>", escape(name))
