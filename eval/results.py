"""From per-query values to rows of ``results.jsonl`` and ``comparisons.jsonl``: figures, intervals, differences.

All models and free baselines of a task are resampled together, so that every difference is paired.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from .overall import Headline, affordable_resamples
from .prompts import prompt_spread
from .resampling import (
    centre,
    combine_values,
    resample,
    resample_pooled,
    spread_constant,
    spread_one_answer,
)
from .statistics import (
    Difference,
    compare,
    holm,
    interval,
    mcnemar_p,
    minimum_detectable_difference,
    never_differed,
    permutation_p,
    proportion_interval,
    too_few,
)
from .tasks.base import Measure, Scores

BASELINE = "baseline:"
TEST = "paired cluster bootstrap by work, two-sided"
PERMUTATION = "paired permutation by work, two-sided"
MCNEMAR = "McNemar, exact, two-sided"


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One line of ``results.jsonl``; a value that does not exist is None."""

    model: str
    weights_sha256: str | None
    benchmark: str
    benchmark_revision: str
    task: str
    slice: str
    metric: str
    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    chance: float | None
    prompts_sha256: str | None
    subset: str
    language: str
    n_clusters: int
    mdd: float | None
    seed: int
    software: str
    created: str


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One line of ``comparisons.jsonl``: figure of ``model_b`` less figure of ``model_a`` on the same queries."""

    model_a: str
    model_b: str
    benchmark: str
    task: str
    slice: str
    metric: str
    delta: float
    ci_low: float
    ci_high: float
    test: str
    p: float
    p_holm: float | None
    n: int
    subset: str = "all"


@dataclass(frozen=True, slots=True)
class Note:
    """Why there is a count and no score; one line of ``notes.jsonl``. An empty ``model`` means all."""

    benchmark: str
    task: str
    slice: str
    metric: str
    model: str
    note: str


@dataclass(frozen=True, slots=True)
class Context:
    """What every row of one task repeats; ``weights`` maps a model to its hash."""

    benchmark: str
    revision: str
    task: str
    prompts_sha256: str | None
    language: str
    weights: dict[str, str | None]
    seed: int
    resamples: int
    software: str
    created: str
    test: Literal["bootstrap", "permutation", "mcnemar"] = "bootstrap"
    slices: frozenset[str] | None = None


@dataclass
class Evaluated:
    """All rows so far; ``primary`` marks the comparisons that form the family of headlines.

    ``headlines`` are the primary figures over all queries, query by query, to be put together over the questions.
    """

    results: list[ResultRow] = field(default_factory=list)
    comparisons: list[ComparisonRow] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    primary: list[tuple[str, str, str]] = field(default_factory=list)
    headlines: list[Headline] = field(default_factory=list)

    def of(self, benchmark: str, task: str) -> "Evaluated":
        """What belongs to one task."""
        about = (benchmark, task)
        return Evaluated(
            results=[row for row in self.results if (row.benchmark, row.task) == about],
            comparisons=[row for row in self.comparisons if (row.benchmark, row.task) == about],
            notes=[note for note in self.notes if (note.benchmark, note.task) == about],
            primary=[key for key in self.primary if key[:2] == about],
            headlines=[headline for headline in self.headlines if headline.key == about],
        )

    def add(self, other: "Evaluated") -> None:
        """Take in what was evaluated elsewhere."""
        self.results += other.results
        self.comparisons += other.comparisons
        self.notes += other.notes
        self.primary += other.primary
        self.headlines += other.headlines

    def corrected(self) -> list[ComparisonRow]:
        """Comparisons with Holm's correction: the headlines of all questions are one family.

        Headlines compare a model with the first model on a primary metric over all queries. The other measures and
        slices of a question are a family of their own, and so are those of its models with what is free.
        """
        keys = set(self.primary)
        rows = list(self.comparisons)
        families: dict[tuple[str | bool, ...], list[int]] = {}
        for i, row in enumerate(rows):
            rest = (row.benchmark, row.task, row.model_a.startswith(BASELINE))
            families.setdefault(() if self._is_headline(row, keys) else rest, []).append(i)
        for chosen in families.values():
            for i, p in zip(chosen, holm([rows[i].p for i in chosen]), strict=True):
                rows[i] = replace(rows[i], p_holm=p)
        return rows

    @staticmethod
    def _is_headline(row: ComparisonRow, keys: set[tuple[str, str, str]]) -> bool:
        is_primary = row.slice == "all" and (row.benchmark, row.task, row.metric) in keys
        return is_primary and not row.model_a.startswith(BASELINE)


def evaluate_task(
    scores: dict[str, Scores], context: Context, into: Evaluated, *, refused: dict[str, str] | None = None
) -> None:
    """Add the rows of one task. ``scores`` has the models in order and then the baselines, named ``baseline:...``.

    ``refused`` maps a model to why its figures would mean nothing: it gets counts and no score.
    """
    refused = refused or {}
    by_metric: dict[str, dict[str, Measure]] = {}
    for model, outcome in scores.items():
        for measure in outcome.measures:
            by_metric.setdefault(measure.metric, {})[model] = measure
    names: dict[str, None] = {}
    for metric, measures in by_metric.items():
        first = next(iter(measures.values()))
        if first.is_primary:
            into.primary.append((context.benchmark, context.task, metric))
        names |= dict.fromkeys(first.queries.slices)
    has_primary = any(next(iter(measures.values())).is_primary for measures in by_metric.values())
    # Slice by slice, so that all metrics of a slice share its draws.
    for name in names:
        if context.slices is not None and name != "all" and name.partition("=")[0] not in context.slices:
            continue
        for measures in by_metric.values():
            first = next(iter(measures.values()))
            mask = first.queries.slices.get(name)
            if mask is None or (has_primary and _is_mere_count(name, mask, first)):
                continue
            if name != "all" and first.classes is not None and len(np.unique(first.classes[mask])) < 2:
                if first.pooled is not None:
                    continue  # a mean over one class with nothing to mistake it for
                asked = {model: each for model, each in measures.items() if not model.startswith(BASELINE)}
            else:
                asked = measures
            _evaluate_slice(name, mask, asked, context, into, refused)


def _is_mere_count(name: str, mask: np.ndarray, measure: Measure) -> bool:
    """Whether a slice is too small for a score and its count already stands beside the primary metric."""
    if name == "all" or measure.is_primary:
        return False
    return bool(too_few(int(mask.sum()), len(np.unique(measure.queries.works[mask]))))


def prompt_spreads(scores: dict[str, Scores], context: Context, into: Evaluated) -> dict[str, dict[str, Any]]:
    """By model, the primary figure with each set of templates alone, its spread, and the sampling error beside it.

    Empty for tasks without several templates, for baselines and for figures that got no score.
    """
    found = {}
    for model, outcome in scores.items():
        primary = next((measure for measure in outcome.measures if measure.is_primary), None)
        if not outcome.by_prompt or primary is None or primary.pooled is not None:
            continue
        key = (model, context.benchmark, context.task, "all", primary.metric)
        row = next((r for r in into.results if (r.model, r.benchmark, r.task, r.slice, r.metric) == key), None)
        if row is None or row.ci_low is None or row.ci_high is None:
            continue
        figures = [
            float(combine_values(values[:, None], primary.combine, primary.strata)[0])
            for values in outcome.by_prompt.values()
        ]
        spread = prompt_spread(figures, (row.ci_high - row.ci_low) / (2 * 1.959964))
        if spread is not None:
            found[model] = {
                "metric": primary.metric,
                "by_prompt": dict(zip(outcome.by_prompt, spread.figures, strict=True)),
                "standard_deviation": spread.standard_deviation,
                "sampling_error": spread.sampling_error,
                "is_lottery": spread.is_lottery,
            }
    return found


def _evaluate_slice(
    name: str,
    mask: np.ndarray,
    measures: dict[str, Measure],
    context: Context,
    into: Evaluated,
    refused: dict[str, str],
) -> None:
    first = next(iter(measures.values()))
    values_QM = np.stack([measure.values for measure in measures.values()], axis=1)
    has_any = [bool(np.isfinite(column).any()) for column in values_QM.T]
    scored = [m for m, there in zip(measures, has_any, strict=True) if there and m not in refused]
    columns = [list(measures).index(model) for model in scored]
    # Queries that some model could not be asked are left out for all of them: the others stay comparable.
    chosen = mask & np.isfinite(values_QM[:, columns]).all(axis=1) if columns else mask
    left_out: list[str] = []
    if first.drop_small_strata and first.strata is not None:
        chosen, left_out = _drop_small_strata(chosen, first)
    works = first.queries.works[chosen]
    num_queries, num_works = int(chosen.sum()), len(np.unique(works))
    why_not = first.why_not or too_few(num_queries, num_works)
    if left_out and not why_not:
        note = f"left out of the average: {'; '.join(left_out)}"
        into.notes.append(Note(context.benchmark, context.task, name, first.metric, "", note))
    counts = (num_queries, num_works)
    if why_not or not columns:
        if why_not:
            into.notes.append(Note(context.benchmark, context.task, name, first.metric, "", why_not))
        into.results += [_row(context, name, first, model, counts) for model in measures]
        _note_refused(name, first, measures, context, into, refused)
        return
    strata = None if first.strata is None else first.strata[chosen]
    values = values_QM[chosen][:, columns]
    figures, drawn = _draw({model: measures[model] for model in scored}, values, chosen, strata, context)
    chance = _chance(first, chosen, strata)
    if name == "all" and first.is_primary and first.is_share:
        into.headlines.append(_headline(measures, scored, values, chosen, context, figures, chance))
    differences = dict(_compare(scored, figures, drawn, num_works))
    if first.is_share and first.pooled is None:
        for a, b in differences:
            if np.array_equal(values[:, scored.index(a)], values[:, scored.index(b)]):
                differences[a, b] = never_differed(num_works)
    for column, model in enumerate(scored):
        seen = interval(drawn[:, column], float(figures[column]), num_works=num_works)
        spread = _spread(model, differences, seen.standard_error)
        if _is_plain_share(first, values[:, column], num_works):
            seen = proportion_interval(int(values[:, column].sum()), num_queries)
        into.results.append(
            _row(
                context, name, first, model, counts, value=float(figures[column]), ci=(seen.low, seen.high),
                chance=chance, mdd=None if model.startswith(BASELINE) else minimum_detectable_difference(spread),
            )
        )  # fmt: skip
    into.results += [_row(context, name, first, m, counts, chance=chance) for m in measures if m not in scored]
    _note_refused(name, first, measures, context, into, refused)
    for (a, b), d in differences.items():
        pair = values[:, [scored.index(a), scored.index(b)]]
        test, p = _test(first, pair, works, context) if d.p < 1 else (TEST, d.p)
        row = (a, b, context.benchmark, context.task, name, first.metric, d.delta, d.low, d.high)
        into.comparisons.append(ComparisonRow(*row, test, d.p if p is None else p, None, num_queries))


def _draw(
    models: dict[str, Measure], values: np.ndarray, chosen: np.ndarray, strata: np.ndarray | None, context: Context
) -> tuple[np.ndarray, np.ndarray]:
    """Figures [M] of the chosen queries and resampled ones [R, M], all models from the same draws of works."""
    measures = list(models.values())
    first = measures[0]
    works = first.queries.works[chosen]
    if first.pooled is None:
        drawn = resample(
            values, works, resamples=context.resamples, seed=context.seed, combine=first.combine, strata_Q=strata
        )
        if first.is_share and first.combine == "mean":
            drawn = spread_constant(drawn, values, num_works=len(np.unique(works)), seed=context.seed)
            if strata is not None:  # what is free answers alike by its nature
                asked = [i for i, model in enumerate(models) if not model.startswith(BASELINE)]
                alone = drawn[:, asked], values[:, asked]
                drawn[:, asked] = spread_one_answer(*alone, works, strata, seed=context.seed)
        return combine_values(values, first.combine, strata), drawn
    resamples = affordable_resamples(len(works) * first.num_classes, context.resamples)
    pooled = [measure.pooled.of(chosen) for measure in measures if measure.pooled is not None]
    figures = np.array([figure(np.ones((1, len(works))))[0] for figure in pooled])
    drawn = resample_pooled(pooled, works, resamples=resamples, seed=context.seed)
    return figures, centre(np.where(np.isfinite(drawn), drawn, figures), figures)


def _headline(
    measures: dict[str, Measure],
    scored: Sequence[str],
    values: np.ndarray,
    chosen: np.ndarray,
    context: Context,
    figures: np.ndarray,
    chance: float | None,
) -> Headline:
    """The primary figures of one question with all that is needed to draw them again."""
    first = measures[scored[0]]
    return Headline(
        benchmark=context.benchmark,
        task=context.task,
        metric=first.metric,
        models=tuple(scored),
        works=first.queries.works[chosen],
        values=values,
        strata=None if first.strata is None else first.strata[chosen],
        combine=first.combine,
        pooled=tuple(figure.of(chosen) for m in scored if (figure := measures[m].pooled) is not None),
        num_classes=first.num_classes,
        figures=figures,
        chance=chance,
    )


def _is_plain_share(measure: Measure, values: np.ndarray, num_works: int) -> bool:
    """Whether a figure is a share of independent queries, for which Wilson's interval is the better one."""
    is_mean = measure.is_share and measure.combine == "mean" and measure.strata is None and measure.pooled is None
    return is_mean and num_works == len(values) and bool(np.isin(values, (0.0, 1.0)).all())


def _test(measure: Measure, pair: np.ndarray, works: np.ndarray, context: Context) -> tuple[str, float | None]:
    """Name of the test and its p-value; None where the bootstrap's stands, as for figures that are no plain means."""
    if context.test == "bootstrap" or measure.combine != "mean" or measure.strata is not None or measure.pooled:
        return TEST, None
    num_works = len(np.unique(works))
    if context.test == "mcnemar" and all(_is_plain_share(measure, column, num_works) for column in pair.T):
        return MCNEMAR, mcnemar_p(pair[:, 0], pair[:, 1])
    p = permutation_p(pair[:, 0], pair[:, 1], works, resamples=context.resamples, seed=context.seed)
    return PERMUTATION, p


def _drop_small_strata(chosen: np.ndarray, measure: Measure) -> tuple[np.ndarray, list[str]]:
    """Keep the strata (collections) that are large enough to be scored; name the others with their counts.

    Where none is, all are kept: the count of the whole is then printed.
    """
    strata, works = measure.strata, measure.queries.works
    assert strata is not None
    kept, left_out = np.zeros(len(chosen), dtype=bool), []
    for stratum in np.unique(strata[chosen]):
        mine = chosen & (strata == stratum)
        counts = int(mine.sum()), len(np.unique(works[mine]))
        if too_few(*counts):
            left_out.append(f"{stratum} ({counts[0]} queries of {counts[1]} works)")
        else:
            kept |= mine
    return (kept, left_out) if kept.any() else (chosen, [])


def _compare(
    scored: Sequence[str], figures: np.ndarray, drawn: np.ndarray, num_works: int
) -> Iterator[tuple[tuple[str, str], Difference]]:
    """Every model against the first model and against every baseline."""
    models = [model for model in scored if not model.startswith(BASELINE)]
    baselines = [model for model in scored if model.startswith(BASELINE)]
    for model in models:
        for other in [*models[:1], *baselines]:
            if model != other:
                a, b = scored.index(other), scored.index(model)
                yield (
                    (other, model),
                    compare(float(figures[b] - figures[a]), drawn[:, a], drawn[:, b], num_works=num_works),
                )


def _spread(model: str, differences: dict[tuple[str, str], Difference], own: float) -> float:
    """Standard error of the difference to the model it is compared with; alone, of its own figure."""
    pairs = [
        d.standard_error
        for (a, b), d in differences.items()
        if model in (a, b) and not a.startswith(BASELINE) and not b.startswith(BASELINE)
    ]
    return pairs[0] if pairs else own


def _chance(measure: Measure, chosen: np.ndarray, strata: np.ndarray | None) -> float | None:
    if measure.pooled is not None:
        chance = measure.pooled.of(chosen).by_chance()
        return chance if np.isfinite(chance) else None
    values = measure.chance[chosen]
    if not np.isfinite(values).all():
        return None
    return float(combine_values(values[:, None], measure.combine, strata)[0])


def _row(
    context: Context,
    slice_name: str,
    measure: Measure,
    model: str,
    counts: tuple[int, int],
    *,
    value: float | None = None,
    ci: tuple[float, float] | tuple[None, None] = (None, None),
    chance: float | None = None,
    mdd: float | None = None,
) -> ResultRow:
    return ResultRow(
        model=model,
        weights_sha256=context.weights.get(model),
        benchmark=context.benchmark,
        benchmark_revision=context.revision,
        task=context.task,
        slice=slice_name,
        metric=measure.metric,
        value=value,
        ci_low=ci[0],
        ci_high=ci[1],
        n=counts[0],
        chance=chance,
        prompts_sha256=context.prompts_sha256,
        subset="all",
        language=context.language,
        n_clusters=counts[1],
        mdd=mdd,
        seed=context.seed,
        software=context.software,
        created=context.created,
    )


def _note_refused(
    name: str,
    first: Measure,
    measures: dict[str, Measure],
    context: Context,
    into: Evaluated,
    refused: dict[str, str],
) -> None:
    into.notes += [
        Note(context.benchmark, context.task, name, first.metric, model, why)
        for model, why in refused.items()
        if model in measures
    ]
