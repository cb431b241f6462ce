"""Where models differ and where they fail, from the per-query rows of ``iconoclip eval``; for notebooks.

``results = read_results([Path("runs/demo/eval")])``, ``rows = results.samples(model, question)``, then
``compare_rows({"a": rows_a, "b": rows_b})``, ``missed_words(rows, pictures)``, ``show_answer(results, rows[0])``.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from iconoclip import __version__
from iconoclip.contact_sheet import Card
from iconoclip.errors import EvaluationError
from iconoclip.notebook import PictureSheet
from iconoclip.provenance import utc_now

from .data import Pictures, words_of
from .report_data import Results
from .report_verdict import losses
from .results import Context, Evaluated, evaluate_task
from .tasks.base import Measure, Queries, Scores, masks

Row = dict[str, Any]
MATCH = ("query_kind", "query", "language", "key")


def compare_rows(
    samples: Mapping[str, Sequence[Row]],
    *,
    metric: str = "hit_rate@1",
    match: Sequence[str] = MATCH,
    slices: Sequence[str] = (),
    unit: Literal["work", "query"] = "work",
    resamples: int = 10_000,
    seed: int = 0,
) -> list[Row]:
    """Compare the first of ``samples`` with each other one on the queries that all were asked, as the report does.

    ``metric``: ``hit_rate@K``, ``mean_percentile_rank`` or ``accuracy@1``. Rows belong together where the columns
    ``match`` agree: the same question to two models; with ``("key",)`` the same picture asked for in two languages.
    ``slices`` are columns to look at one by one. ``unit`` is what chance draws; ``query`` is what one should not do
    where several queries are about one work, and there to see the difference.

    Returns a row per slice and pair: ``slice, a, b, value_a, value_b, difference, low, high, p, detectable, n, works``
    and ``note``; figures are None where there are too few to score, and ``note`` says so. ``detectable`` is the
    smallest true difference that would be seen in 80 of 100 such comparisons.

    Raises:
        EvaluationError: fewer than two samples, no query in common, or no such metric.
    """
    if len(samples) < 2:
        raise EvaluationError(f"{len(samples)} sets of rows given; a comparison needs two")
    rows = _common_queries(samples, match)
    first = next(iter(rows.values()))
    works = [row["work_group"] if unit == "work" else str(place) for place, row in enumerate(first)]
    fields = {name: [str(row[name] or "") for row in first] for name in slices or ("query_kind",)}
    queries = Queries(np.array(works), masks(**fields) if slices else {"all": masks(**fields)["all"]})
    scores = {}
    for name, mine in rows.items():
        values = np.array([_value(row, metric) for row in mine])
        scores[name] = Scores((Measure(metric, queries, values, np.full(len(values), np.nan), is_primary=True),))
    context = Context(
        benchmark="", revision="", task="", prompts_sha256=None, language="", weights={}, seed=seed,
        resamples=resamples, software=f"iconoclip {__version__}", created=utc_now(),
    )  # fmt: skip
    evaluated = Evaluated()
    evaluate_task(scores, context, evaluated)
    return _pairs(evaluated, list(samples))


def _common_queries(samples: Mapping[str, Sequence[Row]], match: Sequence[str]) -> dict[str, list[Row]]:
    """Rows of each sample that all have, in the order of the first sample; of double ones the first counts."""
    found = {name: {tuple(row[c] for c in match): row for row in reversed(rows)} for name, rows in samples.items()}
    in_order = dict.fromkeys(tuple(row[c] for c in match) for row in next(iter(samples.values())))
    common = [key for key in in_order if all(key in by_key for by_key in found.values())]
    if not common:
        raise EvaluationError(f"no query is in all of {', '.join(samples)}; rows are matched by {', '.join(match)}")
    return {name: [by_key[key] for key in common] for name, by_key in found.items()}


def _value(row: Row, metric: str) -> float:
    if metric.startswith("hit_rate@") and metric[9:].isdigit():
        return np.nan if row["rank"] is None else float(row["rank"] <= int(metric[9:]))
    column = {"mean_percentile_rank": "percentile", "accuracy@1": "correct"}.get(metric)
    if column is None:
        raise EvaluationError(f"metric {metric!r}: write hit_rate@K, mean_percentile_rank or accuracy@1")
    return np.nan if row[column] is None else float(row[column])


def _pairs(evaluated: Evaluated, names: Sequence[str]) -> list[Row]:
    values = {(row.slice, row.model): row for row in evaluated.results}
    notes = {note.slice: note.note for note in evaluated.notes}
    compared = {(row.slice, row.model_a, row.model_b): row for row in evaluated.comparisons}
    table = []
    for slice_ in dict.fromkeys(row.slice for row in evaluated.results):
        for other in names[1:]:
            a, b = values[slice_, names[0]], values[slice_, other]
            pair = compared.get((slice_, names[0], other))
            table.append(
                {
                    "slice": slice_, "a": names[0], "b": other, "value_a": a.value, "value_b": b.value,
                    "difference": pair and pair.delta, "low": pair and pair.ci_low, "high": pair and pair.ci_high,
                    "p": pair and pair.p, "detectable": b.mdd, "n": b.n, "works": b.n_clusters,
                    "note": notes.get(slice_, ""),
                }
            )  # fmt: skip
    return table


def got_worse(results: Results, a: str, b: str) -> list[Row]:
    """What the report lists as worse: figures of questions and of parts of them whose whole interval says so.

    Rows ``benchmark, task, part, figure, difference, low, high, n, after Holm``, main figures first. Some will be there
    by chance; ``after Holm`` says which stand when all that was asked beside them is counted.
    """
    return [
        {
            "benchmark": each.benchmark, "task": each.task, "part": each.slice, "figure": each.metric,
            "difference": each.delta, "low": each.ci_low, "high": each.ci_high, "n": each.n, "after Holm": stands,
        }
        for each, stands in losses(results, b, reference=a)
    ]  # fmt: skip


def split_by(rows: Sequence[Row], column: str) -> dict[str, list[Row]]:
    """Rows by the value of a column, the values in order."""
    parts: dict[str, list[Row]] = {}
    for row in rows:
        parts.setdefault(str(row[column] or ""), []).append(row)
    return dict(sorted(parts.items()))


def text_queries(rows: Sequence[Row]) -> list[Row]:
    """Rows that ask for a picture by a text."""
    return [row for row in rows if row["query_kind"] == "text" and row["rank"] is not None]


def worst(rows: Sequence[Row], count: int) -> list[Row]:
    """The ``count`` queries whose right answer came last, worst first; of equal ranks the earlier row."""
    ranked = [row for row in rows if row["rank"] is not None]
    return sorted(ranked, key=lambda row: -row["rank"])[:count]


def show_answer(results: Results, row: Row) -> PictureSheet:
    """What one text found: the five nearest, the right ones framed, and a right one behind them if none is there."""
    keys = list(row["top_keys"])
    right = set(row["positive_keys"])
    badges = [str(rank) for rank in range(1, len(keys) + 1)]
    if row["rank"] <= len(keys) and not right & set(keys[: row["rank"]]):
        right.add(keys[row["rank"] - 1])  # the list of right answers was cut; its rank proves this one
    if row["positive_keys"] and not right & set(keys):
        keys.append(row["positive_keys"][0])
        badges.append(f"right, at rank {row['rank']:,} of {row['num_gallery']:,}")
    thumbs = results.thumbs(keys)
    cards = tuple(
        Card(thumbs[key][0], (thumbs[key][1],), badge) if key in thumbs else Card(b"", (key,), badge)
        for key, badge in zip(keys, badges, strict=True)
    )
    title = f"{row['query']} ({row['language']})" if row["language"] else str(row["query"])
    return PictureSheet(cards, title, frozenset(place for place, key in enumerate(keys) if key in right))


def show_labelled(results: Results, rows: Sequence[Row], *, title: str = "") -> PictureSheet:
    """Pictures of a classification with what they are and what they were called."""
    thumbs = results.thumbs(row["key"] for row in rows)
    cards = tuple(
        Card(
            thumbs.get(row["key"], (b"", ""))[0],
            (f"is {row['y_true']}", f"called {row['y_pred'] or 'nothing'}"),
            "" if row["score"] is None else f"{row['score']:.3f}",
        )
        for row in rows
    )
    return PictureSheet(cards, title, frozenset(place for place, row in enumerate(rows) if row["correct"]))


def show_rows(results: Results, rows: Sequence[Row], *, title: str = "", most: int = 12) -> PictureSheet | str:
    """Answers as pictures: of a classification the first ``most``, else what the first query found."""
    if rows and rows[0]["y_true"]:
        return show_labelled(results, rows[:most], title=title)
    if rows and rows[0]["rank"] is not None:
        return show_answer(results, rows[0])
    return "nothing to show"


def count_confusions(rows: Sequence[Row]) -> tuple[list[list[int]], list[str], list[str]]:
    """(counts, classes, guesses): how often a picture of class r was called c, [R, C]; ``(none)`` for no answer."""
    labelled = [row for row in rows if row["y_true"]]
    counted = Counter((row["y_true"], row["y_pred"] or "(none)") for row in labelled)
    truths = sorted({truth for truth, _ in counted})
    others = sorted({guess for _, guess in counted} - set(truths), key=lambda guess: (guess == "(none)", guess))
    guesses = [*truths, *others]
    return [[counted[truth, guess] for guess in guesses] for truth in truths], truths, guesses


def most_confused(rows: Sequence[Row]) -> list[Row]:
    """Pairs of classes that were taken for each other, most frequent first: ``is, called, pictures, share``."""
    counts, truths, guesses = count_confusions(rows)
    table = [
        {"is": truth, "called": guess, "pictures": count, "share": count / sum(row)}
        for truth, row in zip(truths, counts, strict=True)
        for guess, count in zip(guesses, row, strict=True)
        if count and guess != truth
    ]
    return sorted(table, key=lambda each: -each["pictures"])


def missed_words(rows: Sequence[Row], pictures: Pictures | None = None, *, least: int = 5) -> list[Row]:
    """Words of the queries that the first answer's own caption lacks: ``word, asked, missed, share, instead``.

    Captions are those of ``pictures`` and, for what is not among them, the texts of ``rows``.

    Captions of one language are compared, so rows whose first answer has none in the query's language are left out; so
    are words asked fewer than ``least`` times. ``instead`` is the word that stands there more often than it does in
    other first answers. A synonym counts as missed: read the examples before the table.
    """
    texts = _captions_asked(rows) | (_captions_of(pictures) if pictures else {})
    asked, missed, answered, instead = Counter[str](), Counter[str](), Counter[str](), dict[str, Counter[str]]()
    num_compared = 0
    for row in text_queries(rows):
        caption = texts.get((row["top_keys"][0], row["language"])) if row["top_keys"] else None
        if caption is None:
            continue
        wanted, got = set(words_of(row["query"])), set(words_of(caption))
        num_compared += 1
        asked.update(wanted)
        missed.update(wanted - got)
        answered.update(got)
        for word in wanted - got:
            instead.setdefault(word, Counter()).update(got - wanted)

    def more_than_usual(word: str, other: str) -> tuple[float, str]:
        return missed[word] * answered[other] / num_compared - instead[word][other], other

    table = []
    for word, count in asked.items():
        if count >= least and missed[word]:
            others = sorted(instead[word], key=lambda other, word=word: more_than_usual(word, other))
            table.append(
                {
                    "word": word, "asked": count, "missed": missed[word], "share": missed[word] / count,
                    "instead": others[0] if others else "",
                }
            )  # fmt: skip
    return sorted(table, key=lambda each: (-each["share"], -each["asked"], each["word"]))


def _captions_of(pictures: Pictures) -> dict[tuple[str, str], str]:
    """First caption of each picture by (key, language)."""
    return {
        (record.key, caption.lang): caption.text for record in pictures.records for caption in record.captions[::-1]
    }


def _captions_asked(rows: Sequence[Row]) -> dict[tuple[str, str], str]:
    """Text that asked for each picture first, by (key, language)."""
    return {
        (key, row["language"]): row["query"] for row in reversed(text_queries(rows)) for key in row["positive_keys"]
    }
