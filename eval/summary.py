"""The table for the terminal: each benchmark's headline, model by model, with what costs nothing beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .config import EvalConfig
from .results import BASELINE, ComparisonRow, Evaluated, ResultRow

_SHARES = ("hit_rate", "recall", "accuracy", "percentile")


def summarise(
    config: EvalConfig, evaluated: Evaluated, sheets: Sequence[dict[str, Any]], *, report: Path | None
) -> str:
    """Text of the headlines and of where the files are."""
    lines = ["", "Headlines: figure with its 95 % interval (works resampled); chance and free baselines beside it.", ""]
    comparisons = evaluated.corrected()
    for benchmark, task, metric in evaluated.primary:
        lines += _headline(config, evaluated, comparisons, (benchmark, task, metric))
    lines += _coverage(sheets)
    lines.append(f"results   {config.out / 'results.jsonl'}, comparisons.jsonl, notes.jsonl, samples/")
    lines += [f"report    {report}"] if report else []
    return "\n".join(lines)


def _headline(
    config: EvalConfig, evaluated: Evaluated, comparisons: Sequence[ComparisonRow], key: tuple[str, str, str]
) -> list[str]:
    rows = [row for row in evaluated.results if (row.benchmark, row.task, row.metric) == key]
    lines = [f"{key[0]} · {key[1]} · {key[2]}"]
    for name in dict.fromkeys(row.slice for row in rows):
        mine = [row for row in rows if row.slice == name]
        lines.append(_slice_line(name, mine))
        notes = {
            (note.model, note.note)
            for note in evaluated.notes
            if (note.benchmark, note.task, note.metric, note.slice) == (*key, name)
        }
        shared = {note for _, note in notes}
        lines += [f"    no score: {note}" for note in sorted(shared)]
        if all(row.value is None for row in mine):
            continue
        lines += [f"    {row.model:<34} {_figure(row)}" for row in mine if row.value is not None]
        lines += _verdicts(config, [c for c in comparisons if (c.benchmark, c.task, c.metric, c.slice) == (*key, name)])
    return [*lines, ""]


def _slice_line(name: str, rows: Sequence[ResultRow]) -> str:
    first = next((row for row in rows if row.value is not None), rows[0])
    text = f"  {name}: {first.n:,} queries, {first.n_clusters:,} works"
    if first.chance is not None:
        text += f"; chance {_number(first.metric, first.chance)}"
    mdd = next((row.mdd for row in rows if row.mdd is not None), None)
    if mdd is not None:
        text += f"; smallest difference to be seen {_number(first.metric, mdd, points=True)}"
    return text


def _figure(row: ResultRow) -> str:
    if row.value is None or row.ci_low is None or row.ci_high is None:
        return "no score"
    return f"{_number(row.metric, row.value):>8} [{_number(row.metric, row.ci_low)}, {_number(row.metric, row.ci_high)}]"


def _verdicts(config: EvalConfig, comparisons: Sequence[ComparisonRow]) -> list[str]:
    """One line per model after the first: is it over the best of the first model and the free baselines?"""
    lines = []
    for model in [model.shown for model in config.models][1:]:
        against = [row for row in comparisons if row.model_b == model]
        if not against:
            continue
        hardest = min(against, key=lambda row: _better(row.metric) * row.delta)
        better = _better(hardest.metric) * hardest.delta > 0
        sure = hardest.p_holm is not None and hardest.p_holm < 0.05
        verdict = "gain" if better and sure else "loss" if sure else "no gain shown"
        what = hardest.model_a.removeprefix(BASELINE)
        p = 1.0 if hardest.p_holm is None else hardest.p_holm
        low, high = (_number(hardest.metric, v, points=True) for v in (hardest.ci_low, hardest.ci_high))
        delta = _number(hardest.metric, hardest.delta, points=True)
        lines.append(f"    {verdict}: {model} less {what} is {delta} [{low}, {high}], p {p:.3g} after Holm")
    return lines


def _better(metric: str) -> int:
    return -1 if "rank" in metric and "percentile" not in metric else 1


def _coverage(sheets: Sequence[dict[str, Any]]) -> list[str]:
    lines = []
    for sheet in sheets:
        for task in sheet["tasks"]:
            for language, found in task["prompts"].items():
                share = found["words_seen_in_training"]
                lines.append(f"{sheet['name']} · {task['name']}: {share:.0%} of the words of its {language} prompts seen")
    return ["Prompt words met in training captions:", *(f"  {line}" for line in lines), ""] if lines else []


def _number(metric: str, value: float, *, points: bool = False) -> str:
    if "_minus_" in metric or points:
        return f"{100 * value:+.1f} points" if any(part in metric for part in _SHARES) else f"{value:+.1f}"
    return f"{100 * value:.1f} %" if any(part in metric for part in _SHARES) else f"{value:.1f}"
