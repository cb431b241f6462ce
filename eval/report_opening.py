"""The top of the page: is fine-tuning worth it here, what it gained against what it lost, and what got worse."""

from collections.abc import Sequence

from iconoclip import pages
from iconoclip.pages import escape

from .report_data import Overall, Results
from .report_figures import Plot, upper_bound, whisker
from .report_tables import breakable, question_words
from .report_verdict import losses
from .report_words import NO_VALUE, Words
from .report_worth import ALLOWED_LOSS, Way, alpha_words, missing_ways, verdict, way_words, ways

_SHOWN_LOSSES = 12
_MOST_DIGITS = 6


def worth_parts(words: Words, results: Results) -> list[str]:
    """The question, the sentence of verdict, a row for each way, and the rules; empty without models."""
    found = ways(results)
    if not found:
        return []
    parts = [
        f'<section class="worth"><h2>{words.html("worth.title")}</h2>',
        f'<p class="verdict">{escape(verdict(words, results))}</p>',
        _table(words, results, found),
    ]
    absent = missing_ways(found)
    if absent:
        parts.append(pages.paragraph(words("worth.absent", ways=words.listed([words(k) for k in absent])), css="small"))
    parts += [f'<p class="small">{words.html("worth.other_base", model=way.model, base=way.other_base)}</p>'
              for way in found if way.other_base]  # fmt: skip
    rules = "".join(f"<li>{words.html(f'worth.rule.{number}')}</li>" for number in range(1, 8))
    parts.append(f"<details><summary>{words.html('worth.rules')}</summary><ol>{rules}</ol></details></section>")
    return parts


def _table(words: Words, results: Results, found: Sequence[Way]) -> str:
    names = ("way", "gain", "", "on", "general", "energy", "hours")
    head = [words.html(f"head.{name}") if name else "" for name in names]
    gains = [way.gain for way in found if way.gain is not None]
    reach = upper_bound([end for row in gains for end in (row.ci_low, row.ci_high)])
    if gains:
        head[2] = escape(words("axis.difference", reach=words.number(100 * reach, 0)))
    rows = [[*_name(words, way), *_gain(words, way, reach), *_costs(words, way)] for way in found]
    labels = [words(f"head.{name}") if name else "" for name in names]
    return pages.table(head, rows, numeric=(1, 4, 5, 6), css="worth cards", labels=labels)


def _name(words: Words, way: Way) -> list[str]:
    about = f'<br><span class="quiet"><bdi>{breakable(way.model)}</bdi></span>'
    return [f"{escape(way_words(words, way))}{about}"]


def _gain(words: Words, way: Way, reach: float) -> list[str]:
    row = way.gain
    if row is None:
        text = words.html("worth.reference") if way.kind == "asked" else words.html("outcome.not_compared")
        return [NO_VALUE, f'<span class="quiet">{text}</span>', ""]
    interval = words.interval("share", row.ci_low, row.ci_high, delta=True)
    delta = words.delta("share", row.delta)
    ends = (row.ci_low, row.ci_high)
    drawn = whisker(
        row.delta, *ends, axis=(-reach, reach), marks=((0.0, "zero"),), label=f"{delta}, {interval}"
    )  # fmt: skip
    on = words.counted("questions", len(row.questions))
    return [_with_interval(delta, interval), drawn, escape(on)]


def _costs(words: Words, way: Way) -> list[str]:
    row = way.general
    general = NO_VALUE
    if row is not None:
        interval = words.interval("share", row.ci_low, row.ci_high, delta=True)
        general = _with_interval(words.delta("share", row.delta), interval)
    if way.kind == "probe":
        general = f'<span class="quiet">{words.html("worth.unchanged")}</span>'
    kwh = NO_VALUE if way.kwh is None else small_number(words, way.kwh)
    if way.kind == "probe" and way.kwh is None:
        kwh = f'<span class="quiet">{words.html("worth.not_metered")}</span>'
    hours = NO_VALUE if way.hours is None else small_number(words, way.hours)
    return [general, f'<span title="{escape(way.energy_method)}">{kwh}</span>', hours]


def _with_interval(delta: str, interval: str) -> str:
    return f'<span>{escape(delta)}<br><span class="quiet">{escape(interval)}</span></span>'


def small_number(words: Words, value: float) -> str:
    """Two significant digits: ``12``, ``1.5``, ``0.0034``, ``0.00012``; six places at most."""
    digits = next((d for d in range(_MOST_DIGITS) if abs(value) >= 10 ** (1 - d)), _MOST_DIGITS)
    return words.number(value, digits if value else 0)


def loss_parts(words: Words, results: Results, candidate: str) -> list[str]:
    """What got worse with one model, over all measures and slices; empty where nothing did."""
    found = losses(results, candidate)
    if not found:
        return []
    rows = []
    for row, stands in found[:_SHOWN_LOSSES]:
        rows.append(
            [
                question_words(words, row.benchmark, row.task),
                escape(words.metric(row.metric)),
                escape(words.sliced(row.slice)),
                escape(words.delta(row.metric, row.delta)),
                escape(words.interval(row.metric, row.ci_low, row.ci_high, delta=True)),
                words.count(row.n),
                words.html("yes" if stands else "no"),
            ]
        )
    total = sum((row.model_a, row.model_b) == (results.reference, candidate) for row in results.comparisons)
    text = words(
        "losses.about",
        found=len(found),
        total=words.count(total),
        chance=words.number(0.025 * total, 0),
        stand=sum(stands for _, stands in found),
    )
    more = len(found) - len(rows)
    text += f" {words('losses.more', number=more)}" if more > 0 else ""
    names = ("question", "measure", "slice", "difference", "interval", "n", "holm")
    labels = [words(f"head.{name}") for name in names]
    head = [words.html(f"head.{name}") for name in names]
    table = pages.table(head, rows, numeric=(3, 4, 5), css="cards", labels=labels)
    title = words.html("losses.title", model=candidate)
    return [f'<section class="worse"><h2>{title}</h2>{table}{pages.paragraph(text, css="small quiet")}</section>']


def pareto_parts(words: Words, results: Results) -> list[str]:
    """Gain on heritage against change on general data, drawn and as a table, and each run's own sweep of averages."""
    placed = [way for way in ways(results) if way.gain is not None and way.general is not None]
    sweeps = [part for model in results.candidates for part in _sweep(words, results, model)]
    if not placed and not sweeps:
        return []
    parts = [f"<h2>{words.html('pareto.title')}</h2>"]
    if placed:
        points = [(way, way.gain, way.general) for way in placed if way.gain is not None and way.general is not None]
        figure = f"<figure>{_pareto(words, points)}<figcaption>{words.html('pareto.about')}</figcaption></figure>"
        parts += [f'<div class="figures">{figure}{"".join(sweeps)}</div>', _pareto_table(words, points)]
    else:
        parts.append(pages.paragraph(words("pareto.no_general")))
        parts.append(f'<div class="figures">{"".join(sweeps)}</div>')
    return parts


_Point = tuple[Way, Overall, Overall]


def _pareto(words: Words, points: Sequence[_Point]) -> str:
    x_ends = [end for _, _, general in points for end in (general.ci_low, general.ci_high, 0.0, -ALLOWED_LOSS)]
    y_ends = [end for _, gain, _ in points for end in (gain.ci_low, gain.ci_high, 0.0)]
    plot = _open_plot(words, x_ends, y_ends, label=words("pareto.title"), width=460, height=340)
    plot.line([(-ALLOWED_LOSS, plot.y[0]), (-ALLOWED_LOSS, plot.y[1])], css="chance")
    plot.point(0.0, 0.0, name=words("pareto.base"), css="base")
    for way, gain, general in points:
        name = words("way.probe") if way.kind == "probe" else way.model
        x_ends, y_ends = (general.ci_low, general.ci_high), (gain.ci_low, gain.ci_high)
        plot.point(general.delta, gain.delta, name=name, x_ends=x_ends, y_ends=y_ends)
    return plot.svg()


def _open_plot(
    words: Words, x_ends: Sequence[float], y_ends: Sequence[float], *, label: str, width: int = 320, height: int = 270
) -> Plot:
    """Axes in points that hold all ends and zero, with lines through zero."""
    (x_low, x_high), (y_low, y_high) = ((min(ends), max(ends)) for ends in (x_ends, y_ends))
    x_room, y_room = 0.06 * (x_high - x_low or 0.01), 0.08 * (y_high - y_low or 0.01)
    plot = Plot(
        x=(x_low - x_room, x_high + x_room), y=(y_low - y_room, y_high + y_room), x_label=words("pareto.x"),
        y_label=words("pareto.y"), tick=lambda value: _tick(words, value), label=label, width=width, height=height,
    )  # fmt: skip
    plot.line([(plot.x[0], 0.0), (plot.x[1], 0.0)], css="zero")
    plot.line([(0.0, plot.y[0]), (0.0, plot.y[1])], css="zero")
    return plot


def _tick(words: Words, value: float) -> str:
    points = round(100 * value, 6)
    return words.number(points, 0 if points == round(points) else 1, signed=True)


def _pareto_table(words: Words, points: Sequence[_Point]) -> str:
    rows = [
        [
            *_name(words, way),
            escape(words.delta("share", gain.delta)),
            escape(words.interval("share", gain.ci_low, gain.ci_high, delta=True)),
            escape(words.delta("share", general.delta)),
            escape(words.interval("share", general.ci_low, general.ci_high, delta=True)),
            words.html("yes" if _is_best(gain, general, points) else "no"),
        ]
        for way, gain, general in points
    ]
    names = ("way", "gain", "interval", "general", "interval", "front")
    return pages.table([words.html(f"head.{name}") for name in names], rows, numeric=(1, 3))


def _is_best(gain: Overall, general: Overall, points: Sequence[_Point]) -> bool:
    """Whether no other model, nor the base, is at least as good in both and better in one."""
    own = (gain.delta, general.delta)
    others = [(0.0, 0.0), *((g.delta, e.delta) for _, g, e in points)]
    return not any(other != own and other[0] >= own[0] and other[1] >= own[1] for other in others)


def _sweep(words: Words, results: Results, model: str) -> list[str]:
    """The averages that a run tried between its base and its tuned weights, on its validation split."""
    average = (results.facts.get(model, {}).get("training") or {}).get("wise_ft") or {}
    points = average.get("points") or []
    base = next((point for point in points if point["alpha"] == 0), None)
    if base is None or len(points) < 3:
        return []
    places = [(p["general"] - base["general"], p["heritage"] - base["heritage"], p["alpha"]) for p in points]
    plot = _open_plot(words, [p[0] for p in places] + [0.0], [p[1] for p in places] + [0.0], label=model)
    plot.line([(x, y) for x, y, _ in places], css="span")
    for x, y, alpha in places:
        is_chosen = alpha == average.get("alpha")
        named = words("pareto.alpha", alpha=alpha_words(words, alpha)) if is_chosen or alpha in (0, 1) else ""
        plot.point(x, y, name=named, css="dot" if is_chosen else "base")
    about = words.html("pareto.sweep", model=model, alpha=alpha_words(words, average["alpha"]))
    return [f"<figure>{plot.svg()}<figcaption>{about}</figcaption></figure>"]
