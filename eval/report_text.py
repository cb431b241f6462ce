"""The tables of a report as Markdown and as LaTeX (booktabs), with the same figures as the page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from iconoclip.pages import THIN_SPACE

from .report_data import Question, Results, Score
from .report_html import report_title
from .report_numbers import (
    NO_VALUE,
    field_words,
    metric_words,
    show_count,
    show_delta,
    show_interval,
    show_mdd,
    show_value,
    slice_words,
)
from .report_tables import short_reason
from .report_verdict import OUTCOME_WORDS, headline, judge, losses

_MARKDOWN_SPECIAL = str.maketrans({c: f"\\{c}" for c in "\\`*_[]<>|#"} | {"\n": " ", "\r": " "})
_LATEX_SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
        "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
        "→": r"$\rightarrow$", "−": r"$-$", "±": r"$\pm$", "–": "--", THIN_SPACE: r"\,", "\n": " ",
    }
)  # fmt: skip


@dataclass(frozen=True)
class TextTable:
    """A table of plain text; ``left`` is the number of columns that are set flush left."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1


def report_markdown(results: Results) -> str:
    """Return the report as GitHub Markdown."""
    parts = [f"# {_markdown(report_title(results))}", _markdown(_headline(results))]
    for candidate in results.candidates:
        lost = losses(results, candidate)
        if lost:
            parts.insert(1, f"**What got worse:** {_markdown(_loss_text(lost))}")
    for table in _tables(results):
        rule = [":--" if column < table.left else "--:" for column in range(len(table.head))]
        lines = [f"| {' | '.join(_markdown(cell) for cell in row)} |" for row in (table.head, *table.rows)]
        lines.insert(1, f"| {' | '.join(rule)} |")
        parts.append(f"## {_markdown(table.title)}\n\n" + "\n".join(lines))
    parts += [_markdown(sentence) for sentence in results.missing]
    parts.append(_markdown(_note(results)))
    return "\n\n".join(parts) + "\n"


def report_latex(results: Results) -> str:
    """Return the tables as LaTeX; needs the package booktabs and nothing else."""
    parts = [f"% {report_title(results)}".replace("\n", " "), "% \\usepackage{booktabs}"]
    parts.append(f"\\noindent {_latex(_headline(results))}")
    for table in _tables(results, all_slices=False):
        columns = "l" * table.left + "r" * (len(table.head) - table.left)
        body = "\n".join(f"  {' & '.join(_latex(cell) for cell in row)} \\\\" for row in table.rows)
        head = " & ".join(_latex(cell) for cell in table.head)
        parts.append(
            f"\\begin{{table}}[ht]\n\\centering\\small\n\\caption{{{_latex(table.title)}}}\n"
            f"\\begin{{tabular}}{{{columns}}}\n  \\toprule\n  {head} \\\\\n  \\midrule\n{body}\n"
            f"  \\bottomrule\n\\end{{tabular}}\n\\end{{table}}"
        )
    parts.append(f"\\noindent {_latex(_note(results))}")
    return "\n\n".join(parts) + "\n"


def _headline(results: Results) -> str:
    candidates = results.candidates or results.models[:1]
    return headline(results, [judge(results, q, candidate) for candidate in candidates for q in results.questions])


def _loss_text(lost: Sequence[tuple]) -> str:
    return "; ".join(
        f"{row.benchmark}, {row.task}, {metric_words(row.metric)}"
        f"{'' if row.slice == 'all' else f', {field_words(row.slice)} {slice_words(row.slice)}'}: "
        f"{show_delta(row.metric, row.delta)} ({show_interval(row.metric, row.ci_low, row.ci_high, delta=True)})"
        for row, _ in lost
    )


def _tables(results: Results, *, all_slices: bool = True) -> Iterator[TextTable]:
    if results.candidates:
        yield _overview(results)
    for question in results.questions:
        yield _question_table(results, question, all_slices=all_slices)


def _overview(results: Results) -> TextTable:
    rows = []
    for candidate in results.candidates:
        for question in results.questions:
            verdict, metric = judge(results, question, candidate), question.primary
            row = verdict.comparison
            rows.append(
                (
                    _name(question),
                    metric_words(metric),
                    candidate,
                    _shown(metric, verdict.reference),
                    _shown(metric, verdict.score),
                    show_delta(metric, row.delta) if row else NO_VALUE,
                    show_interval(metric, row.ci_low, row.ci_high, delta=True) if row else NO_VALUE,
                    f"{show_value(metric, verdict.free[1])} {verdict.free[0]}" if verdict.free else NO_VALUE,
                    OUTCOME_WORDS[verdict.outcome],
                )
            )
    about = ("question", "measure", "model", results.reference, "value")
    head = (*about, "difference", "95 % interval", "best free", "outcome")
    return TextTable("The answers in one table", head, tuple(rows), left=3)


def _question_table(results: Results, question: Question, *, all_slices: bool) -> TextTable:
    """Rows by measure, slice and model; without ``all_slices`` the slices of the primary measure only."""
    rows = []
    for metric in results.metrics(question):
        slices = results.slices(question) if all_slices or metric == question.primary else []
        for slice_ in ("all", *slices):
            for model in (*results.models, *results.baselines):
                score = results.find(model, question, metric, slice_)
                if score is None or (score.value is None and model in results.baselines):
                    continue
                shown = slice_ if slice_ == "all" else f"{field_words(slice_)}: {slice_words(slice_)}"
                rows.append((metric_words(metric), shown, model.removeprefix("baseline:"), *_cells(metric, score)))
    head = ("measure", "slice", "model", "value", "95 % interval", "n", "works", "chance", "detectable")
    return TextTable(_name(question), head, tuple(rows), left=3)


def _cells(metric: str, score: Score) -> tuple[str, ...]:
    counts = (show_count(score.n), show_count(score.n_clusters))
    if score.value is None:
        return (NO_VALUE, short_reason(score), *counts, NO_VALUE, NO_VALUE)
    return (
        show_value(metric, score.value),
        show_interval(metric, score.ci_low, score.ci_high),
        *counts,
        show_value(metric, score.chance),
        show_mdd(metric, score.mdd),
    )


def _shown(metric: str, score: Score | None) -> str:
    return show_value(metric, score.value if score else None)


def _name(question: Question) -> str:
    return f"{question.benchmark} · {question.task}"


def _note(results: Results) -> str:
    hashes = "; ".join(
        f"{model} {next((s.weights_sha256 for s in results.scores if s.model == model and s.weights_sha256), '')[:12]}"
        for model in results.models
    )
    created = max((score.created for score in results.scores), default="")
    return (
        "Intervals resample works, not pictures. A gain is claimed only when the paired interval excludes zero and the "
        f"model beats what is free. Weights: {hashes}. Evaluated {created}."
    )


def _markdown(text: str) -> str:
    return text.translate(_MARKDOWN_SPECIAL)


def _latex(text: str) -> str:
    return text.translate(_LATEX_SPECIAL)
