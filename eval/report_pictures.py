"""Hits and misses as pictures: the query, the five nearest with the right one marked, and its rank.

What is shown is drawn by a hash of the query, never picked: the same examples every time, and nobody's choice.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from iconoclip import pages
from iconoclip.records import unit_hash

from .report_data import Question, Results
from .report_figures import confusion_matrix
from .report_numbers import show_count

EXAMPLES = 4
SURE = 6
MOST_CLASSES = 40  # a matrix of more is no picture any more
SIDE_PX = 176

Row = dict[str, Any]
Thumbs = dict[str, tuple[bytes, str]]


def picture_section(results: Results, question: Question) -> list[str]:
    """HTML parts on one question: examples of retrieval, or confusion matrices and the surest of a classification."""
    shown = [model for model in results.models if results.samples(model, question)]
    if not shown:
        return []
    if any(row.get("y_true") for row in results.samples(shown[-1], question) or []):
        return _classification(results, question, shown)
    return _retrieval(results, question, shown)


def _retrieval(results: Results, question: Question, models: Sequence[str]) -> list[str]:
    model = models[-1]
    rows, kind = _askable(results.samples(model, question) or [])
    if not rows:
        return []
    others = {
        other: {_identity(row): row for row in _askable(results.samples(other, question) or [])[0]}
        for other in models[:-1]
    }
    hits = [row for row in rows if row["rank"] == 1]
    misses = [row for row in rows if row["rank"] is not None and row["rank"] > 1]
    parts = [f"<h4>What <bdi>{pages.escape(model)}</bdi> found</h4>"]
    parts += _unscored(results, question, [model])
    asked = "captions" if kind == "text" else "pictures"
    parts.append(
        pages.paragraph(
            f"A right answer comes first for {show_count(len(hits))} of {show_count(len(rows))} {asked}. The examples "
            "are drawn by a hash of the query, not chosen.",
            css="small quiet",
        )
    )
    for title, group in (("Right answer first", hits), ("Right answer later", misses)):
        chosen = _draw(group)
        if not chosen:
            parts += [f"<h5>{title}</h5>", pages.paragraph("None.", css="quiet")]
            continue
        keys = [key for row in chosen for key in (*row["top_keys"], *row["positive_keys"][:1], row["key"])]
        thumbs = _small(results.thumbs(keys))
        parts.append(f"<h5>{title}: {len(chosen)} of {show_count(len(group))}</h5>")
        parts += [_example(row, others, thumbs) for row in chosen]
    return parts


def _unscored(results: Results, question: Question, models: Sequence[str]) -> list[str]:
    """A warning where pictures of models are shown that have no score at all on this question."""
    scored = {s.model for s in results.of(question) if s.value is not None}
    without = [model for model in models if model not in scored]
    if not without:
        return []
    names = " and ".join(without)
    text = f"There is no score for {names} here: these are to be looked at, not to be counted."
    return [pages.paragraph(text, css="small quiet")]


def _askable(rows: Sequence[Row]) -> tuple[list[Row], str]:
    """Rows whose answers are pictures: captions as queries, or else pictures that look for other pictures."""
    text = [row for row in rows if row["query_kind"] == "text" and row["rank"] is not None]
    if text:
        return text, "text"
    return [row for row in rows if not row["query"] and row["rank"] is not None], "image"


def _identity(row: Row) -> tuple[str, str, str]:
    return row["key"], row["query"], row["language"] or ""


def _draw(rows: Sequence[Row]) -> list[Row]:
    def order(row: Row) -> tuple[float, str]:
        return unit_hash(f"{row['query']}|{row['key']}", "report"), row["key"]

    return sorted(rows, key=order)[:EXAMPLES]


def _example(row: Row, others: dict[str, dict[tuple[str, str, str], Row]], thumbs: Thumbs) -> str:
    right = _right_keys(row)
    if row["query_kind"] == "text":
        lead = f'<p class="query">{pages.quoted(row["query"], row["language"] or "")}</p>'
    else:
        shown = pages.picture(thumbs.get(row["key"], (b"", ""))[0], "the query picture", missing="no picture stored")
        caption = thumbs.get(row["key"], (b"", ""))[1]
        lead = (
            f'<div class="query pic"><div class="frame">{shown}</div><p class="small">'
            f"another view of {pages.quoted(caption) if caption else 'this'}</p></div>"
        )
    facts = [f"right answer at rank {show_count(row['rank'])} of {show_count(row['num_gallery'])}"]
    for model, rows in others.items():
        other = rows.get(_identity(row))
        if other is not None:
            facts.append(f"{model}: rank {show_count(other['rank'])}")
    if row["source"]:
        facts.append(row["source"])
    tiles = [_tile(key, place, key in right, thumbs) for place, key in enumerate(row["top_keys"], start=1)]
    if row["positive_keys"] and not right & set(row["top_keys"]):
        tiles.append(_tile(row["positive_keys"][0], row["rank"], True, thumbs, apart=True))
    about = " · ".join(f"<bdi>{pages.escape(fact)}</bdi>" for fact in facts)
    return (
        f'<section class="example">{lead}<p class="small quiet">{about}</p>'
        f'<div class="strip">{"".join(tiles)}</div></section>'
    )


def _right_keys(row: Row) -> set[str]:
    """Keys that are right answers; the rank proves the one that stands there where the list of them was cut."""
    right, top = set(row["positive_keys"]), row["top_keys"]
    if row["rank"] <= len(top) and not right & set(top[: row["rank"]]):
        right.add(top[row["rank"] - 1])
    return right


def _tile(key: str, rank: int, is_right: bool, thumbs: Thumbs, *, apart: bool = False) -> str:
    jpeg, caption = thumbs.get(key, (b"", ""))
    css = "tile" + (" is-right" if is_right else "") + (" apart" if apart else "")
    mark = f"{show_count(rank)}{' · right' if is_right else ''}"
    text = f"rank {rank}{', the right one' if is_right else ''}: {caption or key}"
    missing = caption or f"no picture stored: {key}"
    return (
        f'<figure class="{css}" title="{pages.escape(text)}"><div class="frame">'
        f"{pages.picture(jpeg, text, missing=missing)}</div><figcaption>{mark}</figcaption></figure>"
    )


def _small(thumbs: Thumbs) -> Thumbs:
    return {key: (pages.thumbnail(jpeg, side_px=SIDE_PX) or b"", caption) for key, (jpeg, caption) in thumbs.items()}


def _classification(results: Results, question: Question, models: Sequence[str]) -> list[str]:
    parts = ["<h4>Which class was taken for which</h4>", *_unscored(results, question, models)]
    for model in models:
        rows = results.samples(model, question) or []
        truths = sorted({row["y_true"] for row in rows if row["y_true"]})
        if len(truths) > MOST_CLASSES:
            continue
        guesses = truths + sorted({row["y_pred"] for row in rows if row["y_pred"]} - set(truths))
        unanswered = any(not row["y_pred"] for row in rows)
        counted = Counter((row["y_true"], row["y_pred"] or "(none)") for row in rows)
        columns = [*guesses, *(["(none)"] if unanswered else [])]
        counts = [[counted[truth, guess] for guess in columns] for truth in truths]
        parts.append(f"<h5><bdi>{pages.escape(model)}</bdi></h5>{confusion_matrix(counts, truths, columns)}")
    model = models[-1]
    rows = [row for row in results.samples(model, question) or [] if row["y_true"] and row["y_pred"]]
    rows.sort(key=lambda row: (-(row["score"] if row["score"] is not None else -1e9), row["key"]))
    right, wrong = [r for r in rows if r["correct"]], [r for r in rows if not r["correct"]]
    for title, group in (("Surest and right", right), ("Surest and wrong", wrong)):
        chosen = group[:SURE]
        thumbs = _small(results.thumbs(row["key"] for row in chosen))
        parts.append(f"<h5>{title}, <bdi>{pages.escape(model)}</bdi>: {len(chosen)} of {show_count(len(group))}</h5>")
        tiles = "".join(_class_tile(row, thumbs) for row in chosen)
        parts.append(f'<div class="strip six">{tiles}</div>' if tiles else pages.paragraph("None.", css="quiet"))
    return parts


def _class_tile(row: Row, thumbs: Thumbs) -> str:
    jpeg, caption = thumbs.get(row["key"], (b"", ""))
    said = f"called <bdi>{pages.escape(row['y_pred'])}</bdi>"
    truth = "" if row["correct"] else f"<br>is <bdi>{pages.escape(row['y_true'])}</bdi>"
    score = "" if row["score"] is None else f" · {row['score']:.3f}"
    css = "tile is-right" if row["correct"] else "tile is-wrong"
    shown = pages.picture(jpeg, caption or row["key"], missing=f"no picture stored: {row['key']}")
    return (
        f'<figure class="{css}"><div class="frame">{shown}</div><figcaption>{said}{score}{truth}</figcaption></figure>'
    )
