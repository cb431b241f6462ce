"""Put a report together as one HTML page: what got worse, the verdict, then question by question."""

import re
from collections.abc import Sequence

from iconoclip import pages
from iconoclip.pages import escape

from .prompts import shorten_list
from .report_bias import bias_parts
from .report_data import (
    Question,
    Results,
    Score,
    baseline_name,
    is_share,
)
from .report_figures import upper_bound, whisker
from .report_leaks import leak_parts
from .report_numbers import (
    NO_VALUE,
    metric_words,
    show_count,
    show_delta,
    show_interval,
    show_value,
)
from .report_pictures import picture_section
from .report_sheet import sheet_parts, task_parts
from .report_tables import breakable, free_cell, score_tables, slice_cell, slice_tables, value_cell
from .report_trust import trust_parts
from .report_verdict import OUTCOME_WORDS, Verdict, headline, judge, losses

_WORD_CSS = {"gain": "gain", "worse": "worse-word"}
_SHOWN_LOSSES = 12


def report_page(results: Results) -> str:
    """Return the whole document."""
    verdicts = [judge(results, question, candidate) for candidate in _judged(results) for question in results.questions]
    title = report_title(results)
    parts = [
        '<p class="eyebrow">iconoclip · evaluation</p>',
        f"<h1>{escape(title)}</h1>",
        *(_losses(results, candidate) for candidate in results.candidates),
        f'<p class="verdict">{escape(headline(results, verdicts))}</p>',
        _compared(results),
        *_overview(results, verdicts),
        *(part for name in dict.fromkeys(q.benchmark for q in results.questions) for part in _benchmark(results, name)),
        *bias_parts(results),
        _reading(results),
        _provenance(results),
    ]
    return pages.page(title, [part for part in parts if part], css=("report.css",))


def report_title(results: Results) -> str:
    """``trained against untrained``, or the name of the only model."""
    if results.candidates:
        return f"{', '.join(results.candidates)} against {results.reference}"
    return f"Results of {results.reference or 'baselines'}"


def _judged(results: Results) -> Sequence[str]:
    return results.candidates or results.models[:1]


def _compared(results: Results) -> str:
    pictures = max((score.n or 0 for score in results.scores), default=0)
    counts = (
        f"{len(results.models)} model{'s' * (len(results.models) != 1)}, {len(results.questions)} questions, up to "
        f"{show_count(pictures)} queries each."
    )
    free = ", ".join(baseline_name(model) for model in results.baselines)
    held = f" Held against chance and what costs nothing: {free}." if free else " Held against chance."
    return pages.paragraph(counts + held, css="quiet")


def _losses(results: Results, candidate: str) -> str:
    found = losses(results, candidate)
    if not found:
        return ""
    rows = []
    for row, stands in found[:_SHOWN_LOSSES]:
        rows.append(
            [
                f"<bdi>{escape(row.benchmark)}</bdi> · {escape(row.task)}",
                escape(metric_words(row.metric)),
                slice_cell(row.slice),
                show_delta(row.metric, row.delta),
                show_interval(row.metric, row.ci_low, row.ci_high, delta=True),
                show_count(row.n),
                "yes" if stands else "no",
            ]
        )
    more = len(found) - len(rows)
    total = sum((row.model_a, row.model_b) == (results.reference, candidate) for row in results.comparisons)
    text = (
        f"{len(found)} of {show_count(total)} paired comparisons; about {0.025 * total:.0f} would look like this by "
        f"chance alone. {sum(stands for _, stands in found)} stand after Holm’s correction."
    )
    text += f" {more} more stand in the tables below." if more > 0 else ""
    note = pages.paragraph(text, css="small quiet")
    head = ("question", "measure", "slice", "difference", "95 % interval", "n", "stands after Holm")
    return (
        f'<section class="worse"><h2>What got worse with <bdi>{escape(candidate)}</bdi></h2>'
        f"{pages.table(head, rows, numeric=(3, 4, 5))}{note}</section>"
    )


def _overview(results: Results, verdicts: Sequence[Verdict]) -> list[str]:
    parts = ["<h2>The answers in one table</h2>"]
    several = len(results.candidates) > 1
    for candidate in _judged(results):
        mine = [verdict for verdict in verdicts if verdict.candidate == candidate]
        if several:
            parts.append(f"<h3><bdi>{escape(candidate)}</bdi></h3>")
        reach = upper_bound(
            [
                value
                for v in mine
                if v.comparison and is_share(v.question.primary)
                for value in (v.comparison.ci_low, v.comparison.ci_high)
            ]
        )
        rows = [_overview_row(results, verdict, reach) for verdict in mine]
        if results.candidates:
            axis = f"difference, ±{100 * reach:g}{pages.THIN_SPACE}points"
            head = ("question", "outcome", "measure", results.reference, candidate, axis, "95 % interval", "best free")
            parts.append(pages.table([breakable(h) for h in head], rows, numeric=(3, 4, 6, 7), css="overview"))
        else:
            head = ("question", "measure", candidate, "95 % interval", "n", "best free")
            parts.append(pages.table([breakable(h) for h in head], rows, numeric=(2, 4, 5)))
    return parts


def _overview_row(results: Results, verdict: Verdict, reach: float) -> list[str]:
    question, metric = verdict.question, verdict.question.primary
    name = f'<a href="#{_anchor(question)}">{_question_words(question)}</a>'
    side = "" if question.is_headline else '<br><span class="quiet">side question</span>'
    measure = escape(metric_words(metric)) + side
    free = free_cell(metric, verdict.free)
    if not results.candidates:
        score = verdict.score
        interval = show_interval(metric, score.ci_low, score.ci_high) if score else NO_VALUE
        return [name, measure, value_cell(metric, score), interval, show_count(score.n if score else None), free]
    row = verdict.comparison
    drawn = ""
    if row and row.delta is not None and is_share(metric):
        drawn = whisker(
            row.delta, row.ci_low, row.ci_high, axis=(-reach, reach), marks=((0.0, "zero"),),
            label=f"{show_delta(metric, row.delta)}, {show_interval(metric, row.ci_low, row.ci_high, delta=True)}",
        )  # fmt: skip
    interval = show_interval(metric, row.ci_low, row.ci_high, delta=True) if row else NO_VALUE
    css = _WORD_CSS.get(verdict.outcome, "other")
    outcome = f'<span class="outcome {css}">{OUTCOME_WORDS[verdict.outcome]}</span>'
    values = (value_cell(metric, verdict.reference), value_cell(metric, verdict.score))
    return [name, outcome, measure, *values, drawn, interval, free]


def _benchmark(results: Results, name: str) -> list[str]:
    """Section of one benchmark: what it is, then each of its tasks."""
    sheet = results.sheets.get(name, {})
    title = str(sheet.get("title") or "")
    shown = escape(name.replace("_", " "))
    parts = [f"<h2><bdi>{shown}</bdi>" + (f' <span class="quiet">{escape(title)}</span>' if title else "") + "</h2>"]
    if sheet.get("description"):
        parts.append(pages.paragraph(str(sheet["description"])))
    facts = []
    if sheet.get("num_pictures"):
        facts.append(f"{show_count(sheet['num_pictures'])} pictures of {show_count(sheet.get('num_works'))} works")
    facts += [f"collections: {', '.join(sheet['sources'])}"] if sheet.get("sources") else []
    facts += [f"{word}: {sheet[word]}" for word in ("licence", "citation") if sheet.get(word)]
    if facts:
        parts.append(f'<p class="small quiet"><bdi>{escape(" · ".join(facts))}</bdi></p>')
    parts += sheet_parts(sheet)
    parts += leak_parts(results, name)
    for question in results.questions:
        if question.benchmark == name:
            parts += _question(results, question)
    return parts


def _question(results: Results, question: Question) -> list[str]:
    parts = [f'<h3 class="task" id="{_anchor(question)}">{escape(question.task.replace("_", " "))}</h3>']
    parts += _question_facts(results, question)
    parts += score_tables(results, question)
    parts += slice_tables(results, question)
    parts += _prompts(results, question)
    tasks = results.sheets.get(question.benchmark, {}).get("tasks") or []
    parts += task_parts(next((task for task in tasks if task.get("name") == question.task), {}))
    parts += trust_parts(results, question)
    parts += picture_section(results, question)
    return parts


def _question_facts(results: Results, question: Question) -> list[str]:
    """Language and subset of a question, and why models got no score."""
    rows = [score for score in results.of(question) if score.model in results.models]
    facts = []
    languages = sorted({lang for score in rows for lang in score.language.split(",") if lang})
    if languages:
        facts.append(f"language of the texts: {', '.join(languages)}")
    subsets = sorted({score.subset for score in rows} - {"all"})
    if subsets:
        facts.append(f"subset: {', '.join(subsets)}")
    parts = [pages.paragraph("; ".join(facts) + ".", css="small quiet")] if facts else []
    refused: dict[str, list[Score]] = {}
    for score in rows:
        if score.reason and score.slice == "all":
            refused.setdefault(score.reason, []).append(score)
    for reason, scores in refused.items():
        models = list(dict.fromkeys(score.model for score in scores))
        metrics = list(dict.fromkeys(score.metric for score in scores))
        whom = "" if set(models) >= set(results.models) else f" for {', '.join(models)}"
        what = f"score in {metric_words(metrics[0])}" if len(metrics) == 1 < len(results.metrics(question)) else "score"
        parts.append(f'<p class="noscore"><b>No {escape(what + whom)}:</b> {escape(reason)}.</p>')
    return parts


def _prompts(results: Results, question: Question) -> list[str]:
    """Coverage of the prompts' words by language, with the words never seen, and the prompts themselves."""
    tasks = results.sheets.get(question.benchmark, {}).get("tasks") or []
    found = next((task.get("prompts") or {} for task in tasks if task.get("name") == question.task), {})
    parts = []
    for language, facts in found.items():
        unseen = facts.get("words_never_seen") or []
        never = f"; never seen: {shorten_list(unseen)}" if unseen else ""
        share = show_value("share", facts.get("words_seen_in_training"))
        text = f"Words of the prompts ({language}) that occur in training captions: {share}{never}."
        parts.append(f'<p class="small"><bdi>{escape(text)}</bdi></p>')
        listed = "".join(f"<li>{pages.quoted(str(prompt), language)}</li>" for prompt in facts.get("prompts") or [])
        parts.append(f"<details><summary>the prompts</summary><ul>{listed}</ul></details>" if listed else "")
    return parts


def _reading(results: Results) -> str:
    notes = [
        "An interval is a 95 % interval of resampled <em>works</em>, never of pictures: pages of one book are no "
        "independent evidence.",
        "<b>Hit rate@k</b>: in how many queries a right answer is among the first k (what CLIP papers call R@k). "
        "<b>Percentile rank</b>: the share of wrong answers that stand after the right one; 50 % is chance.",
        '<b>Chance</b> <span class="key chance"></span> is what guessing gives; '
        '<b>best free</b> <span class="key free"></span> is the best figure that needs no model at all.',
        "<b>Detectable</b>: the smallest true difference that a test set of this size finds with 80 % power. A smaller "
        "one may be there and not be seen.",
        "A <b>gain</b> is claimed only when the paired interval of the difference excludes zero, also after Holm’s "
        "correction for the number of comparisons, and the model is shown to beat everything that is free. “No gain "
        "shown” does not mean that there is none. A loss is named as soon as its interval excludes zero.",
        "Fewer than 30 queries or 10 works give a count and no score. Side questions are not counted in the verdict.",
    ]
    missing = "".join(pages.paragraph(sentence, css="small quiet") for sentence in results.missing)
    return f"<h2>How to read this</h2><ul>{''.join(f'<li>{note}</li>' for note in notes)}</ul>{missing}"


def _provenance(results: Results) -> str:
    facts: list[tuple[str, str]] = []
    for model in results.models:
        hashes = sorted({s.weights_sha256 for s in results.scores if s.model == model and s.weights_sha256})
        facts.append((model, "weights " + ", ".join(f"{h}" for h in hashes)))
    revisions = dict.fromkeys((s.benchmark, s.benchmark_revision) for s in results.scores)
    facts += [(name, f"revision {revision}") for name, revision in revisions if revision]
    facts.append(("seed", ", ".join(sorted({str(s.seed) for s in results.scores if s.seed is not None}))))
    facts.append(("software", "; ".join(sorted({s.software for s in results.scores if s.software}))))
    facts.append(("evaluated", ", ".join(sorted({s.created for s in results.scores if s.created})[:3])))
    for run in results.runs:
        facts.append(("configuration", str(run.get("config_sha256", ""))))
        facts.append(("revision of the code", str(run.get("git_revision", ""))))
        facts.append(("platform", str(run.get("platform", ""))))
    rows = "".join(
        f"<dt><bdi>{escape(name)}</bdi></dt><dd><code>{escape(value)}</code></dd>" for name, value in facts if value
    )
    return f'<footer><h3>Where the figures come from</h3><dl class="facts">{rows}</dl></footer>'


def _question_words(question: Question) -> str:
    return f"<bdi>{escape(question.benchmark.replace('_', ' '))}</bdi> · {escape(question.task.replace('_', ' '))}"


def _anchor(question: Question) -> str:
    return re.sub(r"[^a-z0-9]+", "-", f"q-{question.benchmark}-{question.task}".lower())
