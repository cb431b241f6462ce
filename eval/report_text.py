"""The tables of a report as Markdown and as LaTeX (booktabs), with the same figures as the page."""

from collections.abc import Iterator
from dataclasses import dataclass

from iconoclip.pages import THIN_SPACE

from .report_data import Overall, Question, Results, Score
from .report_html import report_title
from .report_opening import small_number
from .report_tables import short_reason
from .report_verdict import headline, judge, losses
from .report_words import NO_VALUE, Words
from .report_worth import Way, verdict, way_words, ways

_FLOATS = 8  # LaTeX holds some 50 tables back for lack of room, older ones 18
_ROWS = 40  # of one LaTeX table
_MARKDOWN_SPECIAL = str.maketrans({c: f"\\{c}" for c in "\\`*_[]<>|#"} | {"\n": " ", "\r": " "})
_LATEX_SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
        "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
        "→": r"$\rightarrow$", "−": r"$-$", "±": r"$\pm$", "–": "--", "α": r"$\alpha$", "×": r"$\times$",
        "·": r"\textperiodcentered{}", "“": "``", "”": "''", "’": "'",
        "«": r"\guillemotleft{}", "»": r"\guillemotright{}", THIN_SPACE: r"\,", "\u00a0": "~", "\n": " ",
    }
)  # fmt: skip


@dataclass(frozen=True)
class TextTable:
    """A table of plain text; ``left`` is the number of columns that are set flush left."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1


def report_markdown(words: Words, results: Results) -> str:
    """Return the report as GitHub Markdown."""
    parts = [f"# {_markdown(report_title(words, results))}"]
    if results.models:
        parts.append(f"**{_markdown(words('worth.title'))}** {_markdown(verdict(words, results))}")
    parts += [_markdown_table(table) for table in _opening(words, results)]
    parts.append(_markdown(_headline(words, results)))
    parts += [_markdown_table(table) for table in _tables(words, results)]
    parts += [_markdown(words(key, folder=folder, number=number)) for key, folder, number in results.missing]
    parts.append(_markdown(_note(words, results)))
    return "\n\n".join(parts) + "\n"


def report_latex(words: Words, results: Results) -> str:
    """Return the tables as LaTeX; needs the packages booktabs and, for accents in old TeX, fontenc with T1."""
    parts = [f"% {report_title(words, results)}".replace("\n", " ")]
    parts.append("% \\usepackage[T1]{fontenc}\\usepackage[utf8]{inputenc}\\usepackage{booktabs}\\usepackage{graphicx}")
    if results.models:
        parts.append(f"\\noindent\\textbf{{{_latex(words('worth.title'))}}} {_latex(verdict(words, results))}")
    parts += [_latex_table(table) for table in _opening(words, results)]
    parts.append(f"\\noindent {_latex(_headline(words, results))}")
    for number, table in enumerate(_tables(words, results, all_slices=False), start=1):
        parts += [_latex_table(table), *(["\\clearpage"] if number % _FLOATS == 0 else [])]
    parts.append(f"\\noindent {_latex(_note(words, results))}")
    return "\n\n".join(parts) + "\n"


def _markdown_table(table: TextTable) -> str:
    rule = [":--" if column < table.left else "--:" for column in range(len(table.head))]
    lines = [f"| {' | '.join(_markdown(cell) for cell in row)} |" for row in (table.head, *table.rows)]
    lines.insert(1, f"| {' | '.join(rule)} |")
    return f"## {_markdown(table.title)}\n\n" + "\n".join(lines)


def _latex_table(table: TextTable) -> str:
    """A float that is made as narrow as the text where it is wider; long ones break over pages in pieces."""
    columns = "l" * table.left + "r" * (len(table.head) - table.left)
    head = " & ".join(_latex(cell) for cell in table.head)
    pieces = [table.rows[start : start + _ROWS] for start in range(0, len(table.rows), _ROWS)]
    return "\n\n".join(
        f"\\begin{{table}}[ht]\n\\centering\\small\n\\caption{{{_latex(table.title)}}}\n"
        f"\\resizebox{{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}}{{!}}{{%\n"
        f"\\begin{{tabular}}{{{columns}}}\n  \\toprule\n  {head} \\\\\n  \\midrule\n"
        + "\n".join(f"  {' & '.join(_latex(cell) for cell in row)} \\\\" for row in piece)
        + "\n  \\bottomrule\n\\end{tabular}}\n\\end{table}"
        for piece in pieces
    )


def _headline(words: Words, results: Results) -> str:
    candidates = results.candidates or results.models[:1]
    verdicts = [judge(results, q, candidate) for candidate in candidates for q in results.questions]
    return headline(words, results, verdicts)


def _opening(words: Words, results: Results) -> Iterator[TextTable]:
    """A row for each way to use the base, then what got worse."""
    found = ways(results)
    if found:
        rows = tuple(_way_row(words, way) for way in found)
        names = ("way", "model", "gain", "interval", "general", "interval", "energy", "hours")
        yield TextTable(words("worth.title"), tuple(words(f"head.{name}") for name in names), rows, left=2)
    for candidate in results.candidates:
        rows = tuple(
            (
                words.question(row.benchmark, row.task),
                words.metric(row.metric),
                words.sliced(row.slice),
                words.delta(row.metric, row.delta),
                words.interval(row.metric, row.ci_low, row.ci_high, delta=True),
                words.count(row.n),
                words("yes" if stands else "no"),
            )
            for row, stands in losses(results, candidate)
        )
        if rows:
            names = ("question", "measure", "slice", "difference", "interval", "n", "holm")
            title = words("losses.title", model=candidate)
            yield TextTable(title, tuple(words(f"head.{name}") for name in names), rows, left=3)


def _way_row(words: Words, way: Way) -> tuple[str, ...]:
    kwh = NO_VALUE if way.kwh is None else small_number(words, way.kwh)
    hours = NO_VALUE if way.hours is None else small_number(words, way.hours)
    return (way_words(words, way), way.model, *_change(words, way.gain), *_change(words, way.general), kwh, hours)


def _change(words: Words, row: Overall | None) -> tuple[str, str]:
    if row is None:
        return NO_VALUE, NO_VALUE
    return words.delta("share", row.delta), words.interval("share", row.ci_low, row.ci_high, delta=True)


def _tables(words: Words, results: Results, *, all_slices: bool = True) -> Iterator[TextTable]:
    if results.candidates:
        yield _overview(words, results)
    for question in results.questions:
        yield _question_table(words, results, question, all_slices=all_slices)


def _overview(words: Words, results: Results) -> TextTable:
    rows = []
    for candidate in results.candidates:
        for question in results.questions:
            verdict, metric = judge(results, question, candidate), question.primary
            row = verdict.comparison
            free = f"{words.value(metric, verdict.free[1])} {words.free(verdict.free[0])}" if verdict.free else NO_VALUE
            rows.append(
                (
                    words.question(question.benchmark, question.task),
                    words.metric(metric),
                    candidate,
                    _shown(words, metric, verdict.reference),
                    _shown(words, metric, verdict.score),
                    words.delta(metric, row.delta) if row else NO_VALUE,
                    words.interval(metric, row.ci_low, row.ci_high, delta=True) if row else NO_VALUE,
                    free,
                    words(f"outcome.{verdict.outcome}"),
                )
            )
    named = {name: words(f"head.{name}") for name in ("question", "measure", "model", "value", "difference")}
    named |= {name: words(f"head.{name}") for name in ("interval", "best_free", "outcome")}
    head = (named["question"], named["measure"], named["model"], results.reference, named["value"])
    head += (named["difference"], named["interval"], named["best_free"], named["outcome"])
    return TextTable(words("overview.title"), head, tuple(rows), left=3)


def _question_table(words: Words, results: Results, question: Question, *, all_slices: bool) -> TextTable:
    """Rows by measure, slice and model; without ``all_slices`` the slices of the primary measure only."""
    rows = []
    for metric in results.metrics(question):
        slices = results.slices(question) if all_slices or metric == question.primary else []
        for slice_ in ("all", *slices):
            for model in (*results.models, *results.baselines):
                score = results.find(model, question, metric, slice_)
                if score is None or (score.value is None and model in results.baselines):
                    continue
                name = words.free(model) if model in results.baselines else model
                rows.append((words.metric(metric), words.sliced(slice_), name, *_cells(words, metric, score)))
                unseen = results.without_seen.find(model, question, metric, slice_)
                if slice_ == "all" and unseen is not None and question.benchmark in results.leaked:
                    shown = _cells(words, metric, unseen)
                    rows.append((words.metric(metric), words("slice.clean"), name, *shown))
    names = ("measure", "slice", "model", "value", "interval", "n", "works", "chance", "detectable")
    return TextTable(
        words.question(question.benchmark, question.task),
        tuple(words(f"head.{name}") for name in names),
        tuple(rows),
        left=3,
    )


def _cells(words: Words, metric: str, score: Score) -> tuple[str, ...]:
    counts = (words.count(score.n), words.count(score.n_clusters))
    if score.value is None:
        return (NO_VALUE, short_reason(words, score), *counts, NO_VALUE, NO_VALUE)
    return (
        words.value(metric, score.value),
        words.interval(metric, score.ci_low, score.ci_high),
        *counts,
        words.value(metric, score.chance),
        words.mdd(metric, score.mdd),
    )


def _shown(words: Words, metric: str, score: Score | None) -> str:
    return words.value(metric, score.value if score else None)


def _note(words: Words, results: Results) -> str:
    hashes = "; ".join(
        f"{model} {next((s.weights_sha256 for s in results.scores if s.model == model and s.weights_sha256), '')[:12]}"
        for model in results.models
    )
    return words("text.note", hashes=hashes, created=max((score.created for score in results.scores), default=""))


def _markdown(text: str) -> str:
    return text.translate(_MARKDOWN_SPECIAL)


def _latex(text: str) -> str:
    return text.translate(_LATEX_SPECIAL)
