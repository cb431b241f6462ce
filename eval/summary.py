"""The table for the terminal: each question's primary metric, model by model, with what costs nothing beside it.

The verdicts are those of the report: both read the files that were written.
"""

from pathlib import Path

from .report_data import Question, Results, Score, is_difference
from .report_reading import read_results
from .report_verdict import judge
from .report_words import Words, open_words
from .statistics import too_few

_NAME_CHARS = 34
_MODEL_CHARS = 25
_REASON_CHARS = 150


def summarise(out: Path, *, report: Path | None) -> str:
    """Text of the headlines of one results folder, of the prompts' coverage, and of where the files are."""
    results, words = read_results([out]), open_words()
    names = " ".join(f"{model[-_MODEL_CHARS:]:<{_MODEL_CHARS}}" for model in results.models).rstrip()
    lines = [
        "",
        "95 % intervals resample works; n/w is queries/works; scores only from 30 queries and 10 works on.",
        f"{'':<{_NAME_CHARS}}{'n/w':>9} {'chance':>10}  {'best that is free':<25} {names}",
    ]
    for question in results.questions:
        if question.is_headline:
            lines += _question(words, results, question)
    lines += _coverage(results)
    lines += _twins(results)
    lines += ["", f"results   {out / 'results.jsonl'}  (comparisons.jsonl, notes.jsonl, samples/, run.json beside it)"]
    lines += [f"report    {report}"] if report else []
    return "\n".join(lines)


def _twins(results: Results) -> list[str]:
    """Models under several names whose figures are the same because their weights are."""
    named: dict[str, dict[str, None]] = {}
    for score in results.scores:
        if score.weights_sha256:
            named.setdefault(score.weights_sha256, {})[score.model] = None
    return [f"{' and '.join(models)} have the same weights" for models in named.values() if len(models) > 1]


def _question(words: Words, results: Results, question: Question) -> list[str]:
    """Lines of one question: all queries, then the slices; those too small to be scored share one line of counts."""
    lines = [f"{question.benchmark} · {question.task}: {words.metric(question.primary)}"]
    small = []
    for slice_ in ["all", *results.slices(question)]:
        scores = _scores(results, question, question.primary, slice_)
        first = next((score for score in scores if score is not None), None)
        if first is None:
            continue
        if slice_ != "all" and first.n is not None and too_few(first.n, first.n_clusters or 0):
            small.append(f"{_slice_name(words, slice_)} {first.n}/{first.n_clusters}")
            continue
        if slice_ != "all" and all(score is None or score.value is None for score in scores):
            continue  # the reason stands beside "all"
        lines += _line(words, results, question, question.primary, slice_)
        if slice_ == "all" and question.benchmark in results.leaked:
            lines += _line(words, results.without_seen, question, question.primary, "all", name=words("slice.clean"))
    others = [metric for metric in results.metrics(question) if metric != question.primary]
    if not _has_score(results, question, question.primary):
        scored = [m for m in others if not is_difference(m) and _has_score(results, question, m)]
        lines += [line for metric in scored[:1] for line in _line(words, results, question, metric, "all")]
    for metric in others:
        lines += _line(words, results, question, metric, "all") if is_difference(metric) else []
    return lines + ([f"  too few to be scored: {', '.join(small)}"] if small else [])


def _scores(results: Results, question: Question, metric: str, slice_: str) -> list[Score | None]:
    return [results.find(model, question, metric, slice_) for model in results.models]


def _has_score(results: Results, question: Question, metric: str) -> bool:
    return any(score is not None and score.value is not None for score in _scores(results, question, metric, "all"))


def _slice_name(words: Words, slice_: str) -> str:
    return words.slice(slice_).removesuffix(" of a known work")


def _line(words: Words, results: Results, question: Question, metric: str, slice_: str, *, name: str = "") -> list[str]:
    """One line of figures, one of the reason where there is no score, one of the verdict for each later model."""
    scores = _scores(results, question, metric, slice_)
    there = next((score for score in scores if score is not None), None)
    if there is None:
        return []
    of_slice = metric.rpartition("rank_")[2].replace("_", " ") if is_difference(metric) else _slice_name(words, slice_)
    name = name or of_slice
    if metric != question.primary and not is_difference(metric):
        name = f"but {words.metric(metric)}"
    chance = next((score.chance for score in scores if score is not None and score.chance is not None), None)
    free = results.best_free(question, metric, slice_)
    shown_free = f"{words.free(free[0])} {words.value(metric, free[1])}" if free and free[0] != "chance" else ""
    figures = [
        f"{words.value(metric, score.value)} [{words.interval(metric, score.ci_low, score.ci_high)}]"
        if score is not None and score.value is not None
        else "no score"
        for score in scores
    ]
    cells = " ".join(f"{figure:<{_MODEL_CHARS}}" for figure in figures)
    counts = f"{there.n}/{there.n_clusters}"
    lines = [
        f"  {name[: _NAME_CHARS - 3]:<{_NAME_CHARS - 2}}{counts:>9} {words.value(metric, chance):>10}  "
        f"{shown_free:<25} {cells}".rstrip()
    ]
    reasons = dict.fromkeys(s.reason for s in scores if s is not None and s.value is None and s.reason)
    lines += [f"    no score: {_shorten(reason)}" for reason in reasons]
    if not is_difference(metric):
        lines += [line for model in results.candidates if (line := _verdict(words, results, question, model, slice_))]
    return lines


def _verdict(words: Words, results: Results, question: Question, model: str, slice_: str) -> str:
    """Outcome of one model over all queries, and in a slice where there is a gain or a loss to tell of."""
    verdict = judge(results, question, model, question.primary, slice_)
    difference = verdict.comparison
    if difference is None or difference.delta is None:
        return ""
    if slice_ != "all" and verdict.outcome not in ("gain", "worse"):
        return ""
    who = f"{model}: " if len(results.candidates) > 1 else ""
    low_high = words.interval(question.primary, difference.ci_low, difference.ci_high, delta=True)
    mdd = verdict.score.mdd if verdict.score is not None else None
    seen = f"; a difference under {words.mdd(question.primary, mdd)} would not be seen" if mdd is not None else ""
    delta, outcome = words.delta(question.primary, difference.delta), words(f"outcome.{verdict.outcome}")
    return (
        f"    {who}{outcome}: {delta} [{low_high}] against "
        f"{results.reference}, p {words.p(difference.p_holm)} after Holm{seen}"
    )


def _coverage(results: Results) -> list[str]:
    lines = []
    for name, sheet in results.sheets.items():
        for task in sheet.get("tasks") or []:
            for language, found in task["prompts"].items():
                share = found["words_seen_in_training"]
                lines.append(f"  {name} · {task['name']}: {share:.0%} of the words of its prompts ({language})")
    return (
        ["", "Prompt words met in training captions (a score needs `min_words_seen` of them):", *lines] if lines else []
    )


def _shorten(reason: str) -> str:
    return reason if len(reason) <= _REASON_CHARS else f"{reason[: _REASON_CHARS - 1]}…"
