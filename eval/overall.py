"""One figure for all questions of a kind: is a model better than the base on heritage, and what did it lose elsewhere?

The overall gain is the mean, over questions, of the difference of their primary figures; each question counts once,
however many pictures it has. Its interval is the cluster bootstrap by work over all questions at once: a work that
several benchmarks or tasks ask about is drawn for all of them together. Rows of ``overall.jsonl``:

``group`` is ``heritage`` or ``general`` (control benchmarks); ``a`` and ``b`` are models, the reference first, or
``free`` (the best that costs nothing, question by question); ``way_a`` and ``way_b`` are ``asked`` (with prompts,
captions or pictures, as it is) or ``probe`` (a linear probe on the image tower).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .resampling import Combine, centre, draw_works
from .statistics import Difference, compare, never_differed

FREE = "free"
_BASELINE = "baseline:"
# Draws of figures that are no means cost queries x classes each; intervals of fewer draws are coarser, never wrong.
_POOLED_CELLS = 300_000_000
_MIN_RESAMPLES = 200

Way = Literal["asked", "probe"]


@dataclass(frozen=True)
class Headline:
    """The primary figures of one question over all its queries, to be drawn again.

    ``values`` float64 [Q, M] of ``models``, ``works`` [Q]; ``strata`` and ``combine`` as in a measure. ``pooled`` has,
    for figures that are no mean over queries, a function of float64 [R, Q] per model. ``figures`` [M] are the figures
    themselves, ``chance`` what a guess reaches.
    """

    benchmark: str
    task: str
    metric: str
    models: tuple[str, ...]
    works: np.ndarray
    values: np.ndarray
    strata: np.ndarray | None
    combine: Combine
    pooled: tuple[Callable[[np.ndarray], np.ndarray], ...]
    num_classes: int
    figures: np.ndarray
    chance: float | None

    @property
    def key(self) -> tuple[str, str]:
        """Benchmark and task."""
        return self.benchmark, self.task

    @property
    def is_drawable(self) -> bool:
        """Whether it is a mean or a pooled figure; a median of works' values is left out of the mean over questions."""
        return bool(self.pooled) or self.combine == "mean"


@dataclass(frozen=True)
class _Term:
    """One question's part of an overall difference: columns of the figures of a and of b; None is chance."""

    a: tuple[int, int | None]
    b: tuple[int, int]


def affordable_resamples(cells: int, resamples: int) -> int:
    """How many draws of a pooled figure of so many queries x classes are made, at most ``resamples``."""
    return int(np.clip(_POOLED_CELLS // cells, min(_MIN_RESAMPLES, resamples), resamples))


def overall_rows(
    headlines: Sequence[Headline],
    *,
    models: Sequence[str],
    sheets: Iterable[Mapping[str, Any]],
    comparisons: Sequence[Any],
    resamples: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Rows of ``overall.jsonl``; ``models`` in the order of the configuration, ``sheets`` of ``run.json``.

    Where there is one question only, its row of ``comparisons`` is repeated, so that no figure has two intervals.
    """
    kinds = _kinds(sheets)
    drawable = [headline for headline in headlines if headline.is_drawable and headline.key in kinds]
    groups = {name: [i for i, h in enumerate(drawable) if kinds[h.key][0] == name] for name in ("heritage", "general")}
    wanted = list(_wanted(drawable, groups, kinds, models))
    used = sorted({place for _, terms in wanted for term in terms for place in (term.a[0], term.b[0])})
    drawn = _draw(drawable, used, resamples, seed)
    whole = [row for row in comparisons if row.slice == "all"]
    known = {(row.benchmark, row.task, row.metric, row.model_a, row.model_b): row for row in whole}
    rows = []
    for about, terms in wanted:
        rows.append(about | _figures(drawable, terms) | _difference(drawable, terms, drawn, known, about))
    return rows


def _kinds(sheets: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], tuple[str, Way]]:
    """(group, way) of each task, from the data sheets."""
    return {
        (str(sheet["name"]), str(task["name"])): (
            "general" if sheet.get("is_control") else "heritage",
            "probe" if task.get("kind") == "probe" else "asked",
        )
        for sheet in sheets
        for task in sheet.get("tasks") or ()
    }


def _wanted(
    headlines: Sequence[Headline],
    groups: Mapping[str, Sequence[int]],
    kinds: Mapping[tuple[str, str], tuple[str, Way]],
    models: Sequence[str],
) -> Iterable[tuple[dict[str, Any], list[_Term]]]:
    reference, *candidates = models
    for group, places in groups.items():
        asked = [place for place in places if kinds[headlines[place].key][1] == "asked"]
        pairs = list(_probe_pairs(headlines, places, kinds))
        for model in candidates:
            about = {"group": group, "a": reference, "way_a": "asked", "b": model, "way_b": "asked"}
            yield from _if_any(about, _terms(headlines, ((p, p) for p in asked), reference, model))
            about |= {"way_a": "probe"}
            yield from _if_any(about, _terms(headlines, ((probe, p) for p, probe in pairs), reference, model))
            about |= {"a": FREE, "way_a": "asked"}
            yield from _if_any(about, _terms(headlines, ((p, p) for p in asked), FREE, model))
        about = {"group": group, "a": reference, "way_a": "asked", "b": reference, "way_b": "probe"}
        yield from _if_any(about, _terms(headlines, pairs, reference, reference))


def _if_any(about: dict[str, Any], terms: list[_Term]) -> Iterable[tuple[dict[str, Any], list[_Term]]]:
    if terms:
        yield dict(about), terms


def _probe_pairs(
    headlines: Sequence[Headline], places: Sequence[int], kinds: Mapping[tuple[str, str], tuple[str, Way]]
) -> Iterable[tuple[int, int]]:
    """(asked, probe): questions on the same pictures with the same measure, once with prompts and once with a probe."""
    probes = [place for place in places if kinds[headlines[place].key][1] == "probe"]
    for place in places:
        own = headlines[place]
        for probe in probes:
            other = headlines[probe]
            is_same = (own.benchmark, own.metric) == (other.benchmark, other.metric)
            if place != probe and is_same and np.array_equal(own.works, other.works) and place not in probes:
                yield place, probe


def _terms(headlines: Sequence[Headline], pairs: Iterable[tuple[int, int]], a: str, b: str) -> list[_Term]:
    """Terms of the questions that both sides answered."""
    found = []
    for place_a, place_b in pairs:
        left, right = headlines[place_a], headlines[place_b]
        if b not in right.models:
            continue
        to = (place_b, right.models.index(b))
        if a != FREE:
            found += [_Term((place_a, left.models.index(a)), to)] if a in left.models else []
            continue
        free = _best_free(left)
        found += [_Term((place_a, free[0]), to)] if free else []
    return found


def _best_free(headline: Headline) -> tuple[int | None] | None:
    """Column of the best baseline, (None,) where chance is as good, None where nothing is known."""
    columns = [i for i, model in enumerate(headline.models) if model.startswith(_BASELINE)]
    best = max(columns, key=lambda column: headline.figures[column], default=None)
    if best is not None and (headline.chance is None or headline.figures[best] > headline.chance):
        return (best,)
    return None if headline.chance is None else (None,)


def _draw(headlines: Sequence[Headline], used: Sequence[int], resamples: int, seed: int) -> dict[int, np.ndarray]:
    """By question, resampled figures [R, M]; the r-th rows of all questions come from the same draw of works."""
    if not used:
        return {}
    for place in used:
        if headlines[place].pooled:
            cells = len(headlines[place].works) * headlines[place].num_classes
            resamples = min(resamples, affordable_resamples(cells, resamples))
    works = np.unique(np.concatenate([np.asarray(headlines[place].works, dtype=str) for place in used]))
    clusters = {place: np.searchsorted(works, np.asarray(headlines[place].works, dtype=str)) for place in used}
    drawn: dict[int, list[np.ndarray]] = {place: [] for place in used}
    for counts_RW in draw_works(len(works), resamples=resamples, seed=seed):
        for place in used:
            drawn[place].append(_weighted(headlines[place], counts_RW, clusters[place]))
    found = {place: np.concatenate(blocks) for place, blocks in drawn.items()}
    return {
        place: centre(figures, headlines[place].figures) if headlines[place].pooled else figures
        for place, figures in found.items()
    }


def _weighted(headline: Headline, counts_RW: np.ndarray, cluster_Q: np.ndarray) -> np.ndarray:
    """Figures [R, M] where each query counts as often as its work was drawn; a draw without any keeps the figure."""
    if headline.pooled:
        # A draw can hold too few classes for a figure; as elsewhere it then keeps the figure itself.
        found = np.stack([figures(counts_RW[:, cluster_Q]) for figures in headline.pooled], axis=1)
        return np.where(np.isfinite(found), found, headline.figures)
    strata = np.zeros(len(cluster_Q), dtype=np.int64) if headline.strata is None else headline.strata
    total = np.zeros((len(counts_RW), headline.values.shape[1]))
    names = np.unique(strata)
    for name in names:
        mine = strata == name
        values = headline.values[mine]
        sizes_W = np.bincount(cluster_Q[mine], minlength=counts_RW.shape[1])
        sums_WM = np.stack([np.bincount(cluster_Q[mine], column, counts_RW.shape[1]) for column in values.T], axis=1)
        size_R = counts_RW @ sizes_W
        figure = (counts_RW @ sums_WM) / np.maximum(size_R, 1)[:, None]
        total += np.where(size_R[:, None] > 0, figure, values.mean(axis=0))
    return total / len(names)


def _figures(headlines: Sequence[Headline], terms: Sequence[_Term]) -> dict[str, Any]:
    """What stands beside a difference: both means, the questions, and how much they rest on."""
    places = sorted({term.b[0] for term in terms})
    works = {str(work) for place in places for work in headlines[place].works}
    return {
        "value_a": float(np.mean([_point(headlines, *term.a) for term in terms])),
        "value_b": float(np.mean([_point(headlines, *term.b) for term in terms])),
        "questions": [[headlines[place].benchmark, headlines[place].task, headlines[place].metric] for place in places],
        "n": sum(len(headlines[place].works) for place in places),
        "n_clusters": len(works),
    }


def _difference(
    headlines: Sequence[Headline],
    terms: Sequence[_Term],
    drawn: Mapping[int, np.ndarray],
    known: Mapping[tuple[str, ...], Any],
    about: Mapping[str, Any],
) -> dict[str, Any]:
    if len(terms) == 1 and terms[0].a[0] == terms[0].b[0] and about["a"] != FREE:
        own = headlines[terms[0].b[0]]
        row = known.get((own.benchmark, own.task, own.metric, about["a"], about["b"]))
        if row is not None:
            return {"delta": row.delta, "ci_low": row.ci_low, "ci_high": row.ci_high, "p": row.p}
    found = _bootstrap(headlines, terms, drawn)
    return {"delta": found.delta, "ci_low": found.low, "ci_high": found.high, "p": found.p}


def _bootstrap(headlines: Sequence[Headline], terms: Sequence[_Term], drawn: Mapping[int, np.ndarray]) -> Difference:
    num_works = len({str(work) for term in terms for work in headlines[term.b[0]].works})
    if all(_never_differ(headlines, term) for term in terms):
        return never_differed(num_works)
    a_R = np.mean([_column(headlines, drawn, *term.a) for term in terms], axis=0)
    b_R = np.mean([_column(headlines, drawn, *term.b) for term in terms], axis=0)
    delta = float(np.mean([_point(headlines, *term.b) - _point(headlines, *term.a) for term in terms]))
    return compare(delta, a_R, b_R, num_works=num_works)


def _never_differ(headlines: Sequence[Headline], term: _Term) -> bool:
    left, right = headlines[term.a[0]], headlines[term.b[0]]
    if term.a[1] is None or left.pooled or right.pooled or len(left.values) != len(right.values):
        return False
    return bool(np.array_equal(left.values[:, term.a[1]], right.values[:, term.b[1]]))


def _point(headlines: Sequence[Headline], place: int, column: int | None) -> float:
    if column is None:
        chance = headlines[place].chance
        assert chance is not None
        return chance
    return float(headlines[place].figures[column])


def _column(
    headlines: Sequence[Headline], drawn: Mapping[int, np.ndarray], place: int, column: int | None
) -> np.ndarray:
    """Drawn figures [R] of one column; chance is the same in every draw."""
    if column is None:
        return np.full(len(drawn[place]), _point(headlines, place, None))
    return drawn[place][:, column]
