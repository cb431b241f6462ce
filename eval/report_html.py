"""Put a report together as one HTML page: is it worth it, what got worse, the answers, then question by question."""

import re
from collections.abc import Sequence

from iconoclip import pages
from iconoclip.pages import escape

from .prompts import shorten_list
from .report_bias import bias_parts
from .report_data import Question, Results, Score, is_share
from .report_figures import upper_bound, whisker
from .report_leaks import leak_parts
from .report_opening import loss_parts, pareto_parts, worth_parts
from .report_pictures import picture_section
from .report_sheet import sheet_parts, task_parts
from .report_tables import breakable, free_cell, question_words, score_tables, slice_tables, value_cell
from .report_trust import trust_parts
from .report_verdict import Verdict, headline, judge
from .report_words import NO_VALUE, Words

_WORD_CSS = {"gain": "gain", "worse": "worse-word"}
_NUM_NOTES = 5


def report_page(words: Words, results: Results) -> str:
    """Return the whole document."""
    verdicts = [judge(results, question, candidate) for candidate in _judged(results) for question in results.questions]
    title = report_title(words, results)
    benchmarks = dict.fromkeys(question.benchmark for question in results.questions)
    parts = [
        f'<p class="eyebrow">iconoclip · {words.html("page.eyebrow")}</p>',
        f"<h1>{escape(title)}</h1>",
        *worth_parts(words, results),
        *(part for candidate in results.candidates for part in loss_parts(words, results, candidate)),
        *_overview(words, results, verdicts),
        *pareto_parts(words, results),
        *(part for name in benchmarks for part in _benchmark(words, results, name)),
        *bias_parts(words, results),
        _reading(words, results),
        _provenance(words, results),
    ]
    shown = [part for part in parts if part]
    return pages.page(title, shown, css=("report.css",), script="report.js", lang=words.language)


def report_title(words: Words, results: Results) -> str:
    """``trained against untrained``, or the name of the only model."""
    if results.candidates:
        return words("title.against", models=words.listed(results.candidates), reference=results.reference)
    return words("title.one", model=results.reference or words("title.baselines"))


def _judged(results: Results) -> Sequence[str]:
    return results.candidates or results.models[:1]


def _compared(words: Words, results: Results) -> str:
    free = words.listed([words.free(model) for model in results.baselines])
    text = words(
        "page.compared",
        models=words.counted("models", len(results.models)),
        questions=words.counted("questions", len(results.questions)),
        queries=words.counted("queries", max((score.n or 0 for score in results.scores), default=0)),
    )
    held = words("page.held_free", free=free) if free else words("page.held")
    return pages.paragraph(f"{text} {held}", css="quiet")


def _overview(words: Words, results: Results, verdicts: Sequence[Verdict]) -> list[str]:
    parts = [f"<h2>{words.html('overview.title')}</h2>"]
    parts += [f'<p class="lede">{escape(headline(words, results, list(verdicts)))}</p>', _compared(words, results)]
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
        rows = [_overview_row(words, results, verdict, reach) for verdict in mine]
        named = {name: words.html(f"head.{name}") for name in _OVERVIEW_HEADS}
        if results.candidates:
            axis = escape(words("axis.difference", reach=words.number(100 * reach, 0)))
            head = [named["question"], named["outcome"], named["measure"], breakable(results.reference)]
            head += [breakable(candidate), axis, named["interval"], named["best_free"]]
            labels = [words(f"head.{name}") for name in ("question", "outcome", "measure")]
            labels += [results.reference, candidate, "", words("head.interval"), words("head.best_free")]
            parts.append(pages.table(head, rows, numeric=(3, 4, 6, 7), css="overview cards", labels=labels))
        else:
            head = [named["question"], named["measure"], breakable(candidate)]
            head += [named["interval"], named["n"], named["best_free"]]
            parts.append(pages.table(head, rows, numeric=(2, 4, 5)))
    return parts


_OVERVIEW_HEADS = ("question", "outcome", "measure", "interval", "n", "best_free")


def _overview_row(words: Words, results: Results, verdict: Verdict, reach: float) -> list[str]:
    question, metric = verdict.question, verdict.question.primary
    name = f'<a href="#{_anchor(question)}">{question_words(words, question.benchmark, question.task)}</a>'
    side = "" if question.is_headline else f'<br><span class="quiet">{words.html("overview.side")}</span>'
    measure = escape(words.metric(metric)) + side
    free = free_cell(words, metric, verdict.free)
    if not results.candidates:
        score = verdict.score
        interval = words.interval(metric, score.ci_low, score.ci_high) if score else NO_VALUE
        value = value_cell(words, metric, score)
        return [name, measure, value, escape(interval), words.count(score.n if score else None), free]
    row, drawn, interval = verdict.comparison, "", NO_VALUE
    if row is not None:
        interval = words.interval(metric, row.ci_low, row.ci_high, delta=True)
        if row.delta is not None and is_share(metric):
            label = f"{words.delta(metric, row.delta)}, {interval}"
            ends, marks = (row.ci_low, row.ci_high), ((0.0, "zero"),)
            drawn = whisker(row.delta, *ends, axis=(-reach, reach), marks=marks, label=label)
    css = _WORD_CSS.get(verdict.outcome, "other")
    outcome = f'<span class="outcome {css}">{words.html(f"outcome.{verdict.outcome}")}</span>'
    values = (value_cell(words, metric, verdict.reference), value_cell(words, metric, verdict.score))
    return [name, outcome, measure, *values, drawn, escape(interval), free]


def _benchmark(words: Words, results: Results, name: str) -> list[str]:
    """Section of one benchmark: what it is, then each of its tasks."""
    sheet = results.sheets.get(name, {})
    title = str(sheet.get("title") or "")
    shown = f"<bdi>{escape(name.replace('_', ' '))}</bdi>"
    parts = [f"<h2>{shown}" + (f' <span class="quiet">{words.found_html(title)}</span>' if title else "") + "</h2>"]
    if sheet.get("description"):
        parts.append(f"<p>{words.found_html(str(sheet['description']))}</p>")
    facts = []
    if sheet.get("num_pictures"):
        pictures = words.counted("pictures", sheet["num_pictures"])
        facts.append(words.html("benchmark.size", pictures=pictures, works=words.count(sheet.get("num_works"))))
    if sheet.get("sources"):
        facts.append(words.html("benchmark.collections", names=", ".join(sheet["sources"])))
    for field in ("licence", "citation"):
        if sheet.get(field):
            facts.append(f"{words.html(f'benchmark.{field}')} {words.found_html(str(sheet[field]))}")
    if facts:
        parts.append(f'<p class="small quiet">{" · ".join(facts)}</p>')
    parts += sheet_parts(words, sheet)
    parts += leak_parts(words, results, name)
    for question in results.questions:
        if question.benchmark == name:
            parts += _question(words, results, question)
    return parts


def _question(words: Words, results: Results, question: Question) -> list[str]:
    named = f'id="{_anchor(question)}" title="{escape(question.task)}"'
    parts = [f'<h3 class="task" {named}>{escape(words.task(question.task))}</h3>']
    parts += _question_facts(words, results, question)
    parts += score_tables(words, results, question)
    parts += slice_tables(words, results, question)
    parts += _prompts(words, results, question)
    tasks = results.sheets.get(question.benchmark, {}).get("tasks") or []
    parts += task_parts(words, next((task for task in tasks if task.get("name") == question.task), {}))
    parts += trust_parts(words, results, question)
    parts += picture_section(words, results, question)
    return parts


def _question_facts(words: Words, results: Results, question: Question) -> list[str]:
    """Language and subset of a question, and why models got no score."""
    rows = [score for score in results.of(question) if score.model in results.models]
    parts = []
    languages = sorted({lang for score in rows for lang in score.language.split(",") if lang})
    if languages:
        named = ", ".join(words.slice(f"language={language}") for language in languages)
        parts.append(pages.paragraph(words("question.language", languages=named), css="small quiet"))
    refused: dict[str, list[Score]] = {}
    for score in rows:
        if score.reason and score.slice == "all":
            refused.setdefault(score.reason, []).append(score)
    for reason, scores in refused.items():
        models = list(dict.fromkeys(score.model for score in scores))
        metrics = list(dict.fromkeys(score.metric for score in scores))
        is_one = len(metrics) == 1 < len(results.metrics(question))
        key = "question.no_score_in" if is_one else "question.no_score"
        said = words.html(key, measure=words.metric(metrics[0]))
        if not set(models) >= set(results.models):
            said += f" {words.html('question.no_score_for', models=words.listed(models))}"
        colon = words.html("colon")
        parts.append(f'<p class="noscore"><b>{said}</b>{colon}{words.found_html(reason)}.</p>')
    return parts


def _prompts(words: Words, results: Results, question: Question) -> list[str]:
    """Coverage of the prompts' words by language, with the words never seen, and the prompts themselves."""
    tasks = results.sheets.get(question.benchmark, {}).get("tasks") or []
    found = next((task.get("prompts") or {} for task in tasks if task.get("name") == question.task), {})
    parts = []
    for language, facts in found.items():
        unseen = facts.get("words_never_seen") or []
        share = words.value("share", facts.get("words_seen_in_training"))
        about = {"language": language, "share": share}
        text = words.html("prompts.some", unseen=shorten_list(unseen), **about) if unseen else (
            words.html("prompts.all", **about)
        )  # fmt: skip
        parts.append(f'<p class="small">{text}</p>')
        listed = "".join(f"<li>{pages.quoted(str(prompt), language)}</li>" for prompt in facts.get("prompts") or [])
        title = words.html("prompts.title")
        parts.append(f"<details><summary>{title}</summary><ul>{listed}</ul></details>" if listed else "")
    return parts


def _reading(words: Words, results: Results) -> str:
    keys = {mark: f'<span class="key {mark}"></span>' for mark in ("chance", "free")}
    notes = [words.html(f"reading.{number}") for number in range(1, _NUM_NOTES + 1)]
    metrics = dict.fromkeys(metric for question in results.questions for metric in results.metrics(question))
    abouts = dict.fromkeys((words.metric(metric).rpartition(", ")[2], words.about(metric)) for metric in metrics)
    notes += [f"<b>{escape(name)}</b>{words.html('colon')}{escape(about)}" for name, about in abouts if about]
    notes.append(f"{keys['chance']} {words.html('reading.chance')} {keys['free']} {words.html('reading.free')}")
    missing = "".join(
        pages.paragraph(words(key, folder=folder, number=words.count(number)), css="small quiet")
        for key, folder, number in results.missing
    )
    listed = "".join(f"<li>{note}</li>" for note in notes)
    return f"<h2>{words.html('reading.title')}</h2><ul>{listed}</ul>{missing}"


def _provenance(words: Words, results: Results) -> str:
    facts: list[tuple[str, str]] = []
    for model in results.models:
        hashes = sorted({s.weights_sha256 for s in results.scores if s.model == model and s.weights_sha256})
        facts.append((model, words("source.weights", hashes=", ".join(hashes)) if hashes else ""))
    revisions = dict.fromkeys((s.benchmark, s.benchmark_revision) for s in results.scores)
    facts += [(name, words("source.revision", revision=revision)) for name, revision in revisions if revision]
    listed = {
        "seed": sorted({str(s.seed) for s in results.scores if s.seed is not None}),
        "software": sorted({s.software for s in results.scores if s.software}),
        "evaluated": sorted({s.created for s in results.scores if s.created})[:3],
    }
    facts += [(words(f"source.{name}"), ", ".join(values)) for name, values in listed.items()]
    for run in results.runs:
        for name, key in (("configuration", "config_sha256"), ("code", "git_revision"), ("platform", "platform")):
            facts.append((words(f"source.{name}"), str(run.get(key) or "")))
    rows = "".join(
        f"<dt><bdi>{escape(name)}</bdi></dt><dd><code>{escape(value)}</code></dd>" for name, value in facts if value
    )
    return f'<footer><h3>{words.html("source.title")}</h3><dl class="facts">{rows}</dl></footer>'


def _anchor(question: Question) -> str:
    return re.sub(r"[^a-z0-9]+", "-", f"q-{question.benchmark}-{question.task}".lower())
