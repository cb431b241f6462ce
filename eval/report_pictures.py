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
from .report_words import NO_VALUE, Words

EXAMPLES = 4
SURE = 6
MOST_CLASSES = 40  # a matrix of more is no picture any more
MOST_PAIRS = 30
SIDE_PX = 176

Row = dict[str, Any]
Thumbs = dict[str, tuple[bytes, str]]


def picture_section(words: Words, results: Results, question: Question) -> list[str]:
    """HTML parts on one question: examples of retrieval, or confusion by class and the surest of a classification."""
    shown = [model for model in results.models if results.samples(model, question)]
    if not shown:
        return []
    if any(row.get("y_true") for row in results.samples(shown[-1], question) or []):
        return _classification(words, results, question, shown)
    return _retrieval(words, results, question, shown)


def _retrieval(words: Words, results: Results, question: Question, models: Sequence[str]) -> list[str]:
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
    parts = [f"<h4>{words.html('pictures.found', model=model)}</h4>"]
    parts += _unscored(words, results, question, [model])
    about = words(f"pictures.about_{kind}", hits=words.count(len(hits)), rows=words.count(len(rows)))
    parts.append(pages.paragraph(about, css="small quiet"))
    for key, group in (("pictures.first", hits), ("pictures.later", misses)):
        chosen = _draw(group)
        if not chosen:
            parts += [f"<h5>{words.html(key)}</h5>", pages.paragraph(words("none"), css="quiet")]
            continue
        keys = [key for row in chosen for key in (*row["top_keys"], *row["positive_keys"][:1], row["key"])]
        thumbs = _small(results.thumbs(keys))
        title = words.html("pictures.shown", title=words(key), shown=len(chosen), all=words.count(len(group)))
        parts.append(f"<h5>{title}</h5>")
        parts += [_example(words, row, others, thumbs) for row in chosen]
    return parts


def _unscored(words: Words, results: Results, question: Question, models: Sequence[str]) -> list[str]:
    """A warning where pictures of models are shown that have no score at all on this question."""
    scored = {s.model for s in results.of(question) if s.value is not None}
    without = [model for model in models if model not in scored]
    if not without:
        return []
    return [pages.paragraph(words("pictures.unscored", models=words.listed(without)), css="small quiet")]


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


def _example(words: Words, row: Row, others: dict[str, dict[tuple[str, str, str], Row]], thumbs: Thumbs) -> str:
    right = _right_keys(row)
    if row["query_kind"] == "text":
        lead = f'<p class="query">{pages.quoted(row["query"], row["language"] or "")}</p>'
    else:
        jpeg, caption = thumbs.get(row["key"], (b"", ""))
        shown = pages.picture(jpeg, words("pictures.query"), missing=words("pictures.not_stored"))
        view = words.html("pictures.view_of", caption=caption) if caption else words.html("pictures.view")
        lead = f'<div class="query pic"><div class="frame">{shown}</div><p class="small">{view}</p></div>'
    place = {"rank": words.count(row["rank"]), "all": words.count(row["num_gallery"])}
    facts = [words("pictures.rank", **place)]
    for model, rows in others.items():
        other = rows.get(_identity(row))
        if other is not None:
            facts.append(words("pictures.rank_of", model=model, rank=words.count(other["rank"])))
    if row["source"]:
        facts.append(row["source"])
    tiles = [_tile(words, key, place, key in right, thumbs) for place, key in enumerate(row["top_keys"], start=1)]
    if row["positive_keys"] and not right & set(row["top_keys"]):
        tiles.append(_tile(words, row["positive_keys"][0], row["rank"], True, thumbs, apart=True))
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


def _tile(words: Words, key: str, rank: int, is_right: bool, thumbs: Thumbs, *, apart: bool = False) -> str:
    jpeg, caption = thumbs.get(key, (b"", ""))
    css = "tile" + (" is-right" if is_right else "") + (" apart" if apart else "")
    place = {"rank": words.count(rank)}
    mark = words("pictures.mark_right", **place) if is_right else place["rank"]
    text = words("pictures.alt_right" if is_right else "pictures.alt", caption=caption or key, **place)
    missing = caption or words("pictures.not_stored_key", key=key)
    return (
        f'<figure class="{css}" title="{pages.escape(text)}"><div class="frame">'
        f"{pages.picture(jpeg, text, missing=missing)}</div><figcaption>{pages.escape(mark)}</figcaption></figure>"
    )


def _small(thumbs: Thumbs) -> Thumbs:
    return {key: (pages.thumbnail(jpeg, side_px=SIDE_PX) or b"", caption) for key, (jpeg, caption) in thumbs.items()}


def _classification(words: Words, results: Results, question: Question, models: Sequence[str]) -> list[str]:
    parts = _unscored(words, results, question, models)
    if not results.has_several_labels(question):  # a picture of two classes is not one class taken for another
        parts = [f"<h4>{words.html('confusion.title')}</h4>", *parts]
        parts.append(pages.paragraph(words("confusion.about"), css="small quiet"))
        for model in models:
            rows = [row for row in results.samples(model, question) or [] if row["y_true"]]
            parts.append(f"<h5><bdi>{pages.escape(model)}</bdi></h5>{_confusion(words, rows)}")
    model = models[-1]
    rows = [row for row in results.samples(model, question) or [] if row["y_true"] and row["y_pred"]]
    rows.sort(key=lambda row: (-(row["score"] if row["score"] is not None else -1e9), row["key"]))
    right, wrong = [r for r in rows if r["correct"]], [r for r in rows if not r["correct"]]
    for key, group in (("pictures.surest_right", right), ("pictures.surest_wrong", wrong)):
        chosen = group[:SURE]
        thumbs = _small(results.thumbs(row["key"] for row in chosen))
        title = words.html(
            "pictures.shown_of", title=words(key), model=model, shown=len(chosen), all=words.count(len(group))
        )
        parts.append(f"<h5>{title}</h5>")
        tiles = "".join(_class_tile(words, row, thumbs) for row in chosen)
        parts.append(f'<div class="strip six">{tiles}</div>' if tiles else pages.paragraph(words("none"), css="quiet"))
    return parts


def _confusion(words: Words, rows: Sequence[Row]) -> str:
    """The whole matrix; of too many classes for a picture the pairs that are mistaken most often."""
    nothing = words("confusion.nothing")
    counted = Counter((row["y_true"], row["y_pred"] or nothing) for row in rows)
    truths = sorted({truth for truth, _ in counted})
    if len(truths) <= MOST_CLASSES:
        columns = truths + sorted(
            {guess for _, guess in counted} - set(truths), key=lambda name: (name == nothing, name)
        )
        counts = [[counted[truth, guess] for guess in columns] for truth in truths]
        return confusion_matrix(words, counts, truths, columns)
    sizes = Counter(row["y_true"] for row in rows)
    mistaken = sorted(((n, pair) for pair, n in counted.items() if pair[0] != pair[1]), key=lambda x: (-x[0], x[1]))
    cells = [
        [
            f"<bdi>{pages.escape(truth)}</bdi>", f"<bdi>{pages.escape(guess)}</bdi>", words.count(number),
            words.count(sizes[truth]), words.percent(number / sizes[truth], 1) if sizes[truth] else NO_VALUE,
        ]
        for number, (truth, guess) in mistaken[:MOST_PAIRS]
    ]  # fmt: skip
    head = [words.html(f"head.{name}") for name in ("is", "called", "pictures", "of_class", "share")]
    about = words.html("confusion.pairs", classes=words.count(len(truths)), pairs=len(cells))
    return f'<p class="small">{about}</p>{pages.table(head, cells, numeric=(2, 3, 4))}'


def _class_tile(words: Words, row: Row, thumbs: Thumbs) -> str:
    jpeg, caption = thumbs.get(row["key"], (b"", ""))
    said = words.html("pictures.called", name=row["y_pred"])
    truth = "" if row["correct"] else f"<br>{words.html('pictures.is', name=row['y_true'])}"
    score = "" if row["score"] is None else f" · {words.number(row['score'], 3)}"
    css = "tile is-right" if row["correct"] else "tile is-wrong"
    shown = pages.picture(jpeg, caption or row["key"], missing=words("pictures.not_stored_key", key=row["key"]))
    return (
        f'<figure class="{css}"><div class="frame">{shown}</div><figcaption>{said}{score}{truth}</figcaption></figure>'
    )
