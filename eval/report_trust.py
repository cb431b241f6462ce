"""How far the labels of a question can be trusted: calibration, and what can be promised of the sure ones."""

import json
from collections.abc import Sequence
from typing import Any

from iconoclip import pages
from iconoclip.errors import EvaluationError
from iconoclip.pages import escape

from .report_data import Question, Results
from .report_numbers import show_count, show_interval, show_value

_SIDE, _PAD = 150, 8
Row = dict[str, Any]


def trust_parts(results: Results, question: Question) -> list[str]:
    """HTML parts on one question from ``selective.jsonl``; empty where nothing was measured."""
    rows = [
        row for row in read_trust(results) if (row["benchmark"], row["task"]) == (question.benchmark, question.task)
    ]
    if not rows:
        return []
    parts = ["<h4>When the model says it is sure, is it right?</h4>"]
    for row in rows:
        if row["why_not"]:
            text = f"{row['model']}: not measured: {row['why_not']}."
            parts.append(f'<p class="small noscore"><bdi>{escape(text)}</bdi></p>')
    measured = [row for row in rows if not row["why_not"]]
    if not measured:
        return parts
    parts.append(pages.paragraph(_about(measured), css="small quiet"))
    parts.append(_table(measured))
    reasons = dict.fromkeys(
        f"{row['model']}, {promise['precision']:.0%}: {promise['why_not']}"
        for row in measured
        for promise in row["promises"]
        if promise["threshold"] is None
    )
    if reasons:
        listed = "".join(f"<li><bdi>{escape(reason)}</bdi></li>" for reason in reasons)
        parts.append(f"<details><summary>what cannot be promised, and why</summary><ul>{listed}</ul></details>")
    drawings = "".join(_drawings(row) for row in measured)
    parts.append(f"<details><summary>reliability, and risk over coverage</summary>{drawings}</details>")
    return parts


def read_trust(results: Results) -> list[Row]:
    """Rows of ``selective.jsonl`` of all folders.

    Raises:
        EvaluationError: a damaged file.
    """
    rows = []
    for folder in results.folders:
        path = folder / "selective.jsonl"
        if not path.is_file():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                rows.append(json.loads(line))
            except ValueError as error:
                raise EvaluationError(f"{path}, line {number}: no JSON ({error}); run `iconoclip eval` again") from None
    return rows


def _about(rows: Sequence[Row]) -> str:
    first = rows[0]
    levels = " A label may be a broader notation where that is sure enough." if first["has_levels"] else ""
    fitted = f"{show_count(first['n_fitted'])} pictures of {show_count(first['works_fitted'])} works"
    return (
        f"The temperature was fitted on {fitted}, everything here is measured on the other {show_count(first['n'])} "
        f"of {show_count(first['works'])} works. "
        f"Calibration error (ECE, {first['ece_bins']} bins of equal mass): how far the stated certainty lies from the "
        "share that is right. AUGRC: how many wrong labels one accepts, over all ways to draw the line (0 is best). "
        "The last columns: the share of pictures that get a label if that share of the labels shall be right, promised "
        f"with 95 % confidence, counting one picture a work.{levels}"
    )


def _table(rows: Sequence[Row]) -> str:
    targets = [promise["precision"] for promise in rows[0]["promises"]]
    head = ["model", "right", "95 % interval", "ECE as learnt", "ECE calibrated", "95 % interval", "AUGRC"]
    head += [f"labelled at {target:.0%}" for target in targets]
    cells = []
    for row in rows:
        shown = [f"<bdi>{escape(row['model'])}</bdi>", *_figure(row["accuracy"])]
        shown += [_figure(row["ece_learnt"])[0], *_figure(row["ece"]), f"{row['augrc']['value']:.3f}"]
        for promise in row["promises"]:
            shown.append(show_value("share", None if promise["threshold"] is None else promise["coverage"]))
        cells.append(shown)
    return pages.table([escape(name) for name in head], cells, numeric=range(1, len(head)))


def _figure(figure: dict[str, float]) -> list[str]:
    return [show_value("share", figure["value"]), show_interval("share", figure["ci_low"], figure["ci_high"])]


def _drawings(row: Row) -> str:
    points = [(part["confidence"], part["right"]) for part in row["reliability"]]
    curve = [(coverage, risk) for coverage, risk in row["risk_coverage"]]
    worst = max((risk for _, risk in curve), default=0.0) or 1.0
    name = f"<bdi>{escape(row['model'])}</bdi>"
    return (
        f'<p class="small"><b>{name}</b><br>{_square(points, [(0, 0), (1, 1)], "stated certainty against share right")}'
        f"{_square([], [(c, r / worst) for c, r in curve], 'share wrong against share labelled')}<br>"
        f"Left: stated certainty (across) against the share right (up); on the line is best. Right: share labelled "
        f"(across) against share wrong among them (up, to {show_value('share', worst)}).</p>"
    )


def _square(dots: Sequence[tuple[float, float]], line: Sequence[tuple[float, float]], label: str) -> str:
    """Square drawing of dots and one line, both axes from 0 to 1."""

    def place(x: float, y: float) -> tuple[str, str]:
        return f"{_PAD + x * (_SIDE - 2 * _PAD):.1f}", f"{_SIDE - _PAD - y * (_SIDE - 2 * _PAD):.1f}"

    frame = " ".join(",".join(place(*corner)) for corner in ((0, 1), (0, 0), (1, 0)))
    path = " ".join(",".join(place(*point)) for point in line)
    marks = "".join('<circle class="dot" cx="{}" cy="{}" r="3"/>'.format(*place(*dot)) for dot in dots)
    css = "axis" if dots else "span"
    return (
        f'<svg class="whisker" style="display:inline-block" viewBox="0 0 {_SIDE} {_SIDE}" width="{_SIDE}" '
        f'height="{_SIDE}" role="img" aria-label="{escape(label)}">'
        f'<polyline class="axis" fill="none" points="{frame}"/>'
        f'<polyline class="{css}" fill="none" points="{path}"/>{marks}</svg>'
    )
