"""The bias audit of an evaluation: rows of ``bias.jsonl`` about words, the training pictures and each model."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from iconoclip.records import Record

from .bias import Finding, exposure, gap, share_difference
from .bias_terms import Term, flag_terms, num_searched
from .data import Pictures
from .tasks._slices import century_of
from .tasks.base import Scores, Task

FIELDS = ("century", "place", "institution")
_SHOWN_GROUPS = 12
_DEPTH = 5
Row = dict[str, Any]


def term_rows(texts: Sequence[tuple[str, str, str]], terms: Sequence[Term], *, benchmark: str, where: str) -> list[Row]:
    """A row per contested term in (place, text, language) of some texts, and in how many texts it was looked for."""
    found = []
    for flag in flag_terms(texts, terms):
        examples = [{"key": key, "text": text} for key, text in flag.examples]
        about = {"term": flag.term.term, "language": flag.term.language, "ambiguous": flag.term.ambiguous}
        counts = {
            "count": flag.count,
            "texts": num_searched(texts, flag.term),
            "source": flag.term.source,
            "examples": examples,
        }
        found.append({"kind": "term", "benchmark": benchmark, "where": where} | about | counts)
    return found


def caption_texts(records: Sequence[Record]) -> list[tuple[str, str, str]]:
    """(key, text, language) of all captions."""
    return [(record.key, caption.text, caption.lang) for record in records for caption in record.captions]


def prompt_texts(task: Task) -> list[tuple[str, str, str]]:
    """(task, prompt, language) of the prompts that a person wrote for a task."""
    return [(task.name, text, language) for language, texts in task.zero_shot_prompts.items() for text in texts]


def groups_of(records: Sequence[Record]) -> dict[str, list[str]]:
    """Century, place and institution of each record, ``""`` where unknown; a field with one value is left out.

    Places are as the catalogue spells them.
    """
    found = {
        "century": [century_of(record) for record in records],
        "place": [" ".join(record.place.split()) for record in records],
        "institution": [record.institution for record in records],
    }
    return {name: values for name, values in found.items() if len(set(values) - {""}) > 1}


def share_rows(pictures: Pictures, train: Sequence[Record], *, benchmark: str, seed: int) -> list[Row]:
    """How differently a benchmark and the training pictures are made up, by century and place."""
    rows = []
    own, trained = groups_of(pictures.records), groups_of(train)
    for name in FIELDS:
        if name in own and name in trained and name != "institution":
            first = list(zip(own[name], pictures.works, strict=True))
            second = list(zip(trained[name], [record.work_group or record.key for record in train], strict=True))
            rows.append(_row("share", benchmark, "", "", name, share_difference(first, second, seed=seed)))
    return rows


def model_rows(task: Task, pictures: Pictures, scores: Mapping[str, Scores], *, benchmark: str, seed: int) -> list[Row]:
    """Gaps between groups and skew of what is shown, for each model of a task."""
    groups = groups_of(pictures.records)
    if not groups:
        return []
    place = {key: position for position, key in enumerate(pictures.keys)}
    rows = []
    for model, outcome in scores.items():
        asked = [row for row in outcome.rows if row["key"] in place and _value(row) is not None]
        texts = [row for row in asked if row["query_kind"] == "text"] or asked
        for name, values in groups.items():
            own = [values[place[row["key"]]] for row in texts]
            works = [pictures.works[place[row["key"]]] for row in texts]
            right = np.array([_value(row) for row in texts], dtype=np.float64)
            if texts:
                rows.append(_row("gap", benchmark, task.name, model, name, gap(right, own, works, seed=seed)))
            shown = [place[key] for row in texts if row["query_kind"] == "text" for key in _top(row) if key in place]
            if shown:
                strata = _strata(pictures, texts)
                found = exposure(shown, values, pictures.works, strata, seed=seed)
                rows.append(_row("exposure", benchmark, task.name, model, name, found))
    return rows


def _value(row: Row) -> float | None:
    """What a query reached: its percentile rank, or whether it was right."""
    if row["percentile"] is not None:
        return float(row["percentile"])
    return None if row["correct"] is None else float(row["correct"])


def _top(row: Row) -> list[str]:
    return row["top_keys"][:_DEPTH]


def _strata(pictures: Pictures, rows: Sequence[Row]) -> list[str]:
    """Gallery of each picture: its fold, and its collection where galleries are no larger than that."""
    folds = [str(fold) for fold in pictures.folds]
    largest = max(row["num_gallery"] or 0 for row in rows)
    is_pooled = largest > max(
        np.unique([f"{f}|{r.source}" for f, r in zip(folds, pictures.records, strict=True)], return_counts=True)[1]
    )
    return [
        fold if is_pooled else f"{fold}|{record.source}" for fold, record in zip(folds, pictures.records, strict=True)
    ]


def _row(kind: str, benchmark: str, task: str, model: str, name: str, found: Finding) -> Row:
    groups = sorted(found.groups, key=lambda group: (-group.n, group.name))
    about = {"kind": kind, "benchmark": benchmark, "task": task, "model": model, "field": name}
    figures = {"statistic": found.statistic, "null_95": found.null_95, "p": found.p, "why_not": found.why_not}
    shown = {"groups": [asdict(group) for group in groups[:_SHOWN_GROUPS]], "num_groups": len(groups)}
    return about | figures | shown
