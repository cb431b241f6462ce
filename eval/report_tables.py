"""The tables of one question as HTML: figures with intervals, counts, chance and what is free; then its slices."""

import re
from collections.abc import Sequence

from iconoclip import pages
from iconoclip.pages import escape

from .report_data import Question, Results, Score, higher_is_better, is_difference, is_share
from .report_figures import upper_bound, whisker
from .report_words import NO_VALUE, Words
from .statistics import too_few


def score_tables(words: Words, results: Results, question: Question) -> list[str]:
    """Table of the primary measure, and the others folded away."""
    first, *others = results.metrics(question)
    shown = [first, *(metric for metric in others if is_difference(metric))]  # a difference is an answer by itself
    others = [metric for metric in others if metric not in shown]
    parts = [_score_table(words, results, question, shown), _about(words, first)]
    if others:
        title = escape(words.counted("other_measures", len(others)))
        table = _score_table(words, results, question, others)
        parts.append(f"<details><summary>{title}</summary>{table}</details>")
    return parts


def _about(words: Words, metric: str) -> str:
    about = words.about(metric)
    return pages.paragraph(f"{words.metric(metric)}{words('colon')}{about}", css="small quiet") if about else ""


def slice_tables(words: Words, results: Results, question: Question) -> list[str]:
    """Slices by the primary measure, and by the others folded away."""
    slices = results.slices(question)
    parts, folded = [], []
    for metric in results.metrics(question):
        mine = [name for name in slices if any(results.find(m, question, metric, name) for m in results.models)]
        if is_difference(metric) or not mine:
            continue
        fields = words.listed(list(dict.fromkeys(words.field(name) for name in mine)))
        title = f"<h4>{words.html('slices.title', fields=fields, measure=words.metric(metric))}</h4>"
        table = title + _slice_table(words, results, question, metric, mine)
        (parts if metric == question.primary else folded).append(table)
    if folded:
        title = words.html("slices.others")
        parts.append(f"<details class='noprint'><summary>{title}</summary>{''.join(folded)}</details>")
    return parts


def _score_table(words: Words, results: Results, question: Question, metrics: Sequence[str]) -> str:
    head = ("model", "value", "", "interval", "n", "works", "chance", "best_free", "detectable")
    numeric = {1, 4, 5, 6, 7, 8}
    titles = "".join(
        f'<th scope="col"{" class=n" if column in numeric else ""}>{words.html(f"head.{name}") if name else ""}</th>'
        for column, name in enumerate(head)
    )
    bodies = []
    for metric in metrics:
        is_drawn = is_share(metric) and not is_difference(metric)
        mine = [s for s in results.of(question) if (s.metric, s.slice) == (metric, "all")]
        end = upper_bound([v for s in mine for v in (s.value, s.ci_high, s.chance)])
        has_axis = is_drawn and any(s.value is not None for s in mine)
        axis = escape(words("axis.from_zero", end=words.percent(end))) if has_axis else ""
        lower = "" if higher_is_better(metric) else f' <span class="quiet">{words.html("table.lower")}</span>'
        bodies.append(
            f'<tbody><tr class="group"><th colspan="2" scope="rowgroup" title="{escape(metric)}">'
            f'{escape(words.metric(metric))}{lower}</th><td class="axis">{axis}</td><td colspan="6"></td></tr>'
            f"{''.join(_metric_rows(words, results, question, metric, end))}</tbody>"
        )
    return f'<div class="scroll"><table class="scores"><thead><tr>{titles}</tr></thead>{"".join(bodies)}</table></div>'


def _metric_rows(words: Words, results: Results, question: Question, metric: str, end: float) -> list[str]:
    free = None if is_difference(metric) else results.best_free(question, metric)
    rows = []
    for model in results.models:
        score = results.find(model, question, metric)
        if score is not None:
            rows.append(_score_row(words, model, metric, score, free, end))
    for candidate in results.candidates:
        row = results.compare(results.reference, candidate, question, metric)
        if row is not None and row.delta is not None:
            name = words.html("table.less", a=results.reference, b=candidate)
            interval = escape(words.interval(metric, row.ci_low, row.ci_high, delta=True))
            p = words("table.p", p=words.p(row.p))
            if row.p_holm is not None:
                p = words("table.p_holm", p=words.p(row.p), holm=words.p(row.p_holm))
            rows.append(
                f'<tr class="delta"><td>{name}</td><td class="n">{escape(words.delta(metric, row.delta))}</td><td></td>'
                f'<td class="i">{interval}</td><td class="n">{words.count(row.n)}</td>'
                f'<td colspan="4">{escape(p)}</td></tr>'
            )
    for model in results.baselines:
        score = results.find(model, question, metric)
        if score is not None and score.value is not None:
            interval = escape(words.interval(metric, score.ci_low, score.ci_high))
            rows.append(
                f'<tr class="free"><td>{escape(words.free(model))}</td>'
                f'<td class="n">{value_cell(words, metric, score)}</td>'
                f'<td></td><td class="i">{interval}</td>'
                f'<td class="n">{words.count(score.n)}</td><td class="n">{words.count(score.n_clusters)}</td>'
                f'<td colspan="3">{words.html("table.costs_nothing")}</td></tr>'
            )
    return rows


def _score_row(words: Words, model: str, metric: str, score: Score, free: tuple[str, float] | None, end: float) -> str:
    counts = f'<td class="n">{words.count(score.n)}</td><td class="n">{words.count(score.n_clusters)}</td>'
    if score.value is None:
        reason = escape(short_reason(words, score))
        return (
            f'<tr><td><bdi>{escape(model)}</bdi></td><td class="n">{NO_VALUE}</td>'
            f'<td colspan="2" class="reason">{reason}</td>{counts}<td colspan="3"></td></tr>'
        )
    drawn, interval = "", words.interval(metric, score.ci_low, score.ci_high)
    if is_share(metric) and not is_difference(metric):
        marks = [(score.chance, "chance")] if score.chance is not None else []
        marks += [(free[1], "free")] if free and free[0] != "chance" else []
        label = f"{words.value(metric, score.value)}, {interval}"
        drawn = whisker(score.value, score.ci_low, score.ci_high, axis=(0.0, end), marks=marks, label=label)
    return (
        f'<tr><td><bdi>{escape(model)}</bdi></td><td class="n">{value_cell(words, metric, score)}</td>'
        f'<td class="w">{drawn}</td><td class="i">{escape(interval)}</td>{counts}'
        f'<td class="n">{escape(words.value(metric, score.chance))}</td>'
        f'<td class="n">{free_cell(words, metric, free)}</td>'
        f'<td class="n">{escape(words.mdd(metric, score.mdd))}</td></tr>'
    )


def short_reason(words: Words, score: Score) -> str:
    """Why there is no score, in a few words; the whole reason stands above the table."""
    if score.slice == "all" and score.reason:
        return words("reason.above")
    is_small = score.n is None or too_few(score.n, score.n_clusters or 0)
    return words("reason.too_few" if is_small else "outcome.not_scored")


def _slice_table(words: Words, results: Results, question: Question, metric: str, slices: Sequence[str]) -> str:
    head = [words.html(f"head.{name}") for name in ("slice", "n", "works")]
    for model in results.models:
        head += [breakable(model), words.html("head.interval")]
    head += [words.html("head.chance"), words.html("head.best_free")]
    head += [breakable(words("table.less", a=results.reference, b=candidate)) for candidate in results.candidates]
    rows = []
    for name in slices:
        scores = [results.find(model, question, metric, name) for model in results.models]
        known = next(score for score in scores if score is not None)
        cells = [f"<bdi>{escape(words.sliced(name))}</bdi>", words.count(known.n), words.count(known.n_clusters)]
        if all(score is None or score.value is None for score in scores):
            empty = [""] * (len(head) - 4)
            rows.append([*cells, f'<span class="quiet">{escape(short_reason(words, known))}</span>', *empty])
            continue
        for score in scores:
            low, high = (score.ci_low, score.ci_high) if score else (None, None)
            cells += [value_cell(words, metric, score), escape(words.interval(metric, low, high))]
        free = results.best_free(question, metric, name)
        cells += [escape(words.value(metric, known.chance)), free_cell(words, metric, free)]
        for candidate in results.candidates:
            row = results.compare(results.reference, candidate, question, metric, name)
            shown = NO_VALUE
            if row and row.delta is not None:
                interval = words.interval(metric, row.ci_low, row.ci_high, delta=True)
                shown = f"{words.delta(metric, row.delta)} ({interval})"
            cells.append(escape(shown))
        rows.append(cells)
    return pages.table(head, rows, numeric=range(1, len(head)))


def value_cell(words: Words, metric: str, score: Score | None) -> str:
    """Figure of a score, or a dash."""
    return escape(words.value(metric, score.value if score else None))


def free_cell(words: Words, metric: str, free: tuple[str, float] | None) -> str:
    """Best figure that costs nothing, with its name."""
    if free is None:
        return NO_VALUE
    return f'{escape(words.value(metric, free[1]))} <span class="quiet">{escape(words.free(free[0]))}</span>'


def question_words(words: Words, benchmark: str, task: str) -> str:
    """A question's name, safe in a page; the names in the files stand in its title."""
    raw = escape(f"{benchmark} · {task}")
    return f'<span title="{raw}">{escape(words.question(benchmark, task))}</span>'


def breakable(name: str) -> str:
    """A model's name as a column head: it may break after a slash, a colon, a hyphen or an underscore."""
    return re.sub(r"([/:_-])", r"\1<wbr>", escape(name))
