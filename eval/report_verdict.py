"""Say what the figures allow to be said: gains, losses, and where nothing can be claimed.

A gain is claimed only when the paired 95 % interval of the difference to the reference excludes zero, also after Holm's
correction, *and* the model is shown to beat everything that costs nothing: its paired interval against every free
baseline, and its own interval against chance, lie above zero and chance. Where training saw some of the pictures, all
this must also hold without them. Everything else is "no gain shown", which is not the same as "no gain". A loss is
named as soon as its interval excludes zero.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from .report_data import (
    Comparison,
    Question,
    Results,
    Score,
    higher_is_better,
    is_difference,
)
from .report_words import Words

Outcome = Literal["gain", "below_free", "seen", "no_gain", "worse", "not_compared", "not_scored"]

ALPHA = 0.05


@dataclass(frozen=True)
class Verdict:
    """Outcome of one question for one candidate against the reference, on the primary metric."""

    question: Question
    candidate: str
    outcome: Outcome
    score: Score | None
    reference: Score | None
    comparison: Comparison | None
    free: tuple[str, float] | None


def judge(results: Results, question: Question, candidate: str, metric: str = "", slice_: str = "all") -> Verdict:
    """Outcome of a question; with ``metric`` or ``slice_`` of another metric than the primary one, or of a slice."""
    metric = metric or question.primary
    score = results.find(candidate, question, metric, slice_)
    reference = results.find(results.reference, question, metric, slice_)
    comparison = results.compare(results.reference, candidate, question, metric, slice_)
    free = results.best_free(question, metric, slice_)
    is_above = score is not None and _beats_free(results, question, score)
    outcome = _outcome(metric, score, comparison, is_above)
    if outcome in ("gain", "below_free") and question.benchmark in results.leaked:
        unseen = judge(results.without_seen, question, candidate, metric, slice_).outcome
        if unseen != "gain":
            outcome = unseen if unseen == "below_free" else "seen"
    return Verdict(question, candidate, outcome, score, reference, comparison, free)


def _outcome(metric: str, score: Score | None, comparison: Comparison | None, is_above_free: bool) -> Outcome:
    if score is None or score.value is None:
        return "not_scored"
    if comparison is None or comparison.ci_low is None or comparison.ci_high is None:
        return "not_compared"
    sign = 1 if higher_is_better(metric) else -1
    low, high = sorted((sign * comparison.ci_low, sign * comparison.ci_high))
    if high < 0:
        return "worse"
    if low <= 0 or (comparison.p_holm is not None and comparison.p_holm >= ALPHA):
        return "no_gain"
    return "gain" if is_above_free else "below_free"


def _beats_free(results: Results, question: Question, score: Score) -> bool:
    """Whether the intervals against every free baseline (paired if compared) and chance lie on the good side."""
    sign = 1 if higher_is_better(score.metric) else -1
    ends = [sign * end for end in (score.ci_low, score.ci_high) if end is not None]
    worst = min(ends) if ends else None
    if score.chance is not None and (worst is None or worst <= sign * score.chance):
        return False
    for baseline in results.baselines:
        free = results.find(baseline, question, score.metric, score.slice)
        if free is None or free.value is None:
            continue
        if score.value is None or sign * score.value <= sign * free.value:
            return False
        row = results.compare(baseline, score.model, question, score.metric, score.slice)
        if row is not None and row.ci_low is not None and row.ci_high is not None:
            if min(sign * row.ci_low, sign * row.ci_high) <= 0:
                return False
        elif worst is None or worst <= sign * free.value:
            return False
    return True


def losses(results: Results, candidate: str, *, reference: str = "") -> list[tuple[Comparison, bool]]:
    """Comparisons, over all metrics and slices, in which the candidate is worse and the interval excludes zero.

    ``reference`` is what it is compared with, without a name the first model of the results. The flag says whether the
    loss also stands after Holm's correction. Primary metrics come first.
    """
    primary = {(question.benchmark, question.task): question.primary for question in results.questions}
    found = []
    for row in results.comparisons:
        if (row.model_a, row.model_b) != (reference or results.reference, candidate) or is_difference(row.metric):
            continue
        if row.ci_low is None or row.ci_high is None:
            continue
        sign = 1 if higher_is_better(row.metric) else -1
        if max(sign * row.ci_low, sign * row.ci_high) < 0:
            found.append((row, row.p_holm is not None and row.p_holm < ALPHA))

    def order(item: tuple[Comparison, bool]) -> tuple[bool, bool]:
        row = item[0]
        return (row.metric != primary.get((row.benchmark, row.task)), row.slice != "all")

    return sorted(found, key=order)


def headline(words: Words, results: Results, verdicts: list[Verdict]) -> str:
    """One sentence on the headline questions, by their primary metrics."""
    verdicts = [verdict for verdict in verdicts if verdict.question.is_headline]
    if not results.candidates:
        scored = sum(verdict.score is not None and verdict.score.value is not None for verdict in verdicts)
        return words("headline.one_model", scored=words.counted("questions", scored), all=len(verdicts))
    judged = [v for v in verdicts if v.outcome not in ("not_scored", "not_compared")]
    if not judged:
        return words("headline.nothing")
    total, counts = len(judged), Counter[str](verdict.outcome for verdict in judged)
    parts = [
        words(f"headline.{outcome}", reference=results.reference, number=_number(words, counts[outcome], total))
        for outcome in ("gain", "below_free", "seen", "no_gain", "worse")
        if counts[outcome]
    ]
    first, *others = results.candidates
    subject = words("headline.others") if others else words("headline.model", model=first)
    asked = words.counted("comparisons_asked" if others else "questions_asked", total)
    said = words(
        "headline.of" if counts["gain"] else "headline.no_gain_of",
        asked=asked,
        subject=subject,
        said=words.listed(parts),
    )
    left = len(verdicts) - total
    return words("headline.left", said=said, left=left) if left else words("headline.end", said=said)


def _number(words: Words, count: int, total: int) -> str:
    return words("headline.all", count=count) if 1 < count == total else str(count)
