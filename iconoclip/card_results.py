"""Results as the Hub reads them: the ``model-index`` of a model card, and ``.eval_results/*.yaml`` beside it.

``model_index("org/name", rows)`` takes rows of ``results.jsonl``; ``eval_results(rows, runs)`` also the ``run.json`` of
the evaluations, which know the benchmarks. The forms are those of huggingface_hub's ``model_index_to_eval_results``
and ``parse_eval_result_entries``; the Hub's documentation calls ``model-index`` the older of the two.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

Row = Mapping[str, Any]

MAIN_METRICS = (
    "hit_rate@1", "hit_rate@5", "accuracy@1", "balanced_accuracy", "mean_per_class_recall", "percentile_rank",
    "map_macro", "pair_accuracy", "r_precision",
)  # fmt: skip
EVAL_RESULTS_FOLDER = ".eval_results"
_GIT_SHA = re.compile(r"[0-9a-f]{40}")
_HUB_TASKS = {"probe": "image-classification", "classification": "zero-shot-image-classification"}


def main_rows(rows: Iterable[Row]) -> list[Row]:
    """Rows worth a line in a card: main metrics, over all samples, all together or by language or collection."""
    return [
        row
        for row in rows
        if row.get("subset", "all") == "all"
        and row["slice"].partition("=")[0] in ("all", "language", "source")
        and row["metric"].rpartition("/")[2].endswith(MAIN_METRICS)
    ]


def unseen(rows: Iterable[Row]) -> dict[tuple[str, ...], str]:
    """By :func:`row_key`, what a figure is without the samples that training had seen, where it had seen any."""
    rows = list(rows)
    whole = {row_key(row): row for row in rows if row.get("subset", "all") == "all"}
    found = {}
    for row in rows:
        other = whole.get(row_key(row))
        if row.get("subset") == "clean" and other is not None and other["n"] != row["n"]:
            figure = "no score" if row["value"] is None else f"{row['value']:.4f}, {_spread(row)}"
            n = f", n {row['n']}" if row["value"] is None else ""
            found[row_key(row)] = f"training had seen some of it, without that: {figure}{n}"
    return found


def row_key(row: Row) -> tuple[str, ...]:
    """What a row of one model is about."""
    return tuple(str(row[name]) for name in ("benchmark", "task", "slice", "metric"))


def model_index(title: str, rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Content of ``model-index``; empty without scores over all samples."""
    rows = list(rows)
    clean = unseen(rows)
    results: dict[tuple[str, str], dict[str, Any]] = {}
    for row in main_rows(rows):
        if row["slice"] != "all" or row["value"] is None:
            continue
        dataset = {"type": row["benchmark"], "name": row["benchmark"]}
        if row.get("benchmark_revision"):
            dataset["revision"] = row["benchmark_revision"]
        task = {"type": _hub_task(row["task"]), "name": row["task"]}
        place = results.setdefault((row["task"], row["benchmark"]), {"task": task, "dataset": dataset, "metrics": []})
        name = "; ".join(part for part in (f"{row['metric']}, {_spread(row)}", clean.get(row_key(row))) if part)
        place["metrics"].append({"type": row["metric"], "value": round(row["value"], 4), "name": name})
    return [{"name": title, "results": list(results.values())}] if results else []


def eval_results(rows: Iterable[Row], runs: Iterable[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Content of ``.eval_results/*.yaml`` by file name, for benchmarks that are data sets on the Hub; else nothing.

    One entry a task, its primary metric; ``runs`` are the evaluations' ``run.json``. ``task_id`` is our name of the
    task: the Hub shows an entry on a leaderboard where the data set's ``eval.yaml`` lists a task of that name.
    ``revision`` only where a commit of the data is pinned.
    """
    rows = list(rows)
    clean = unseen(rows)
    whole = [row for row in rows if row["slice"] == "all" and row.get("subset", "all") == "all"]
    files = dict[str, list[dict[str, Any]]]()
    for run in runs:
        primary = {tuple(key) for key in run.get("primary") or ()}
        for sheet in run.get("benchmarks") or ():
            mine = [row for row in whole if row["benchmark"] == sheet["name"] and row["value"] is not None]
            mine = [row for row in mine if (row["benchmark"], row["task"], row["metric"]) in primary]
            if mine and sheet.get("hub_dataset"):
                files[f"{sheet['name']}.yaml"] = [_entry(row, sheet, clean.get(row_key(row), "")) for row in mine]
    return files


def _entry(row: Row, sheet: Mapping[str, Any], without_seen: str) -> dict[str, Any]:
    dataset = {"id": sheet["hub_dataset"], "task_id": row["task"]}
    pinned = str(sheet.get("pinned_revision") or "")
    if _GIT_SHA.fullmatch(pinned):
        dataset["revision"] = pinned
    entry: dict[str, Any] = {"dataset": dataset, "value": round(row["value"], 4)}
    if row.get("created"):
        entry["date"] = row["created"]
    notes = f"{row['metric']}, {_spread(row)}, {row.get('software') or 'iconoclip'}"
    return entry | {"notes": f"{notes}; {without_seen}" if without_seen else notes}


def _spread(row: Row) -> str:
    low, high = ("" if row[name] is None else f"{row[name]:.3f}" for name in ("ci_low", "ci_high"))
    return f"95 % interval {low} to {high}, n {row['n']}"


def _hub_task(task: str) -> str:
    """The Hub's task of one of ours: zero-shot classification, classification by a probe, or retrieval."""
    if "classif" in task or task.startswith("zero_shot"):
        return _HUB_TASKS["classification"]
    if "probe" in task or "nearest" in task:
        return _HUB_TASKS["probe"]
    return "image-text-retrieval"
