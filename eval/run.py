"""Run an evaluation: models x benchmarks x tasks, from the embedding cache to results, samples and report.

``run_evaluation(EvalConfig.load(path))`` returns the table for the terminal. Everything is checked before anything is
encoded; the same command again goes on from the cache. Several processes share the encoding (:mod:`eval.share`); the
one that finds it complete makes the tables.
"""

import importlib
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from iconoclip.errors import EvaluationError, IconoclipError, InUseError
from iconoclip.files import sha256_json, write_text
from iconoclip.provenance import describe_run, lock_folder, software, utc_now, write_run

from .benchmarks.base import Benchmark, Prepared
from .beside import Beside
from .cache import CachedEmbeddings
from .config import EvalConfig
from .contestants import Contestant, open_contestant
from .data import EvalData
from .embedding import Embedders
from .kept import KeptBenchmarks
from .overall import overall_rows
from .prompts import Coverage, class_texts, count_cut, cover_prompts
from .results import BASELINE, Context, Evaluated, evaluate_task, prompt_spreads
from .samples import write_samples, write_thumbs
from .share import Share, read_share
from .summary import summarise
from .tasks.base import Scores, Task

_log = logging.getLogger(__name__)

# A benchmark of one's own says these in its file, and gives them as facts.
_ABOUT = ("title", "description", "licence", "citation")


def run_evaluation(config: EvalConfig, share: Share | None = None) -> str:
    """Evaluate all models on all benchmarks and write ``config.out``; return a short table.

    One of several processes encodes its ``share`` (that of the environment) and says how much is still missing,
    unless nothing is.

    Raises:
        EvaluationError: a benchmark or a model cannot be used; all of them are named at once.
    """
    started = time.monotonic()
    share = share or read_share()
    data = EvalData(config.shards)
    contestants = [open_contestant(model, seed=config.seed) for model in config.models]
    kept = KeptBenchmarks(config, contestants)
    prepared = _prepare(config, data, kept)
    embedders = Embedders(config, contestants, prepared, share)
    if share.count > 1:
        embedders.encode(share)
        missing = embedders.missing()
        if any(missing):
            return (
                f"process {share.index + 1} of {share.count} is done; {sum(missing):,} of {len(missing):,} parts are "
                "missing: the process that writes the last one makes the tables, else the same command again"
            )
    try:
        with lock_folder(config.out):
            _make_tables(config, data, kept, contestants, prepared, embedders, started)
            report = _report(config.out)
    except InUseError:
        if share.count > 1:
            return f"{config.out}: another process is making the tables"
        raise
    return summarise(config.out, report=report)


def _make_tables(
    config: EvalConfig,
    data: EvalData,
    kept: KeptBenchmarks,
    contestants: Sequence[Contestant],
    prepared: Sequence[tuple[Benchmark, Prepared]],
    embedders: Embedders,
    started: float,
) -> None:
    """Encode what is still missing, score, and write all but the report."""
    run = describe_run(
        config,
        models=[contestant.facts() for contestant in contestants],
        shards_config_sha256=data.manifest.config_sha256,
    )
    embedders.encode(Share())
    evaluated, sheets, samples = Evaluated(), [], set[Path]()
    beside = Beside(config, data, contestants, kept)
    for benchmark, ready in prepared:
        mine = embedders.load(benchmark.shown_name)
        sheets.append(_run_benchmark(config, data, benchmark, ready, contestants, mine, evaluated, samples, beside))
        kept.keep(benchmark, ready)
    _remove_old_samples(config.out / "samples", samples)
    beside.write(config.out)
    unseen = beside.clean_comparisons()
    compared = [*evaluated.corrected(), *(row for row in unseen if beside.has_seen(row.benchmark))]
    _write_rows(config.out / "comparisons.jsonl", [asdict(row) for row in compared])
    overall = overall_rows(
        beside.clean.headlines, models=[contestant.label for contestant in contestants], sheets=sheets,
        comparisons=unseen, resamples=config.resamples, seed=config.seed,
    )  # fmt: skip
    _write_rows(config.out / "overall.jsonl", overall)
    _write_rows(config.out / "notes.jsonl", [asdict(note) for note in evaluated.notes])
    shown = [] if config.from_cache else [ready.pictures for _, ready in prepared]
    thumbs, hidden = write_thumbs(config.out / "thumbs.parquet", shown, limit=config.thumbs)
    _write_rows(config.out / "results.jsonl", [asdict(row) for row in (*evaluated.results, *beside.clean.results)])
    took = round(time.monotonic() - started, 1)
    facts = {"benchmarks": sheets, "wall_s": took, "thumbs": thumbs, "thumbs_left_out": hidden}
    facts["primary"] = [list(key) for key in evaluated.primary]
    write_run(config.out, run | facts | {"finished": utc_now()})


def _prepare(config: EvalConfig, data: EvalData, kept: KeptBenchmarks) -> list[tuple[Benchmark, Prepared]]:
    ready, problems = [], []
    for benchmark in config.benchmarks:
        try:
            ready.append((benchmark, kept.open(benchmark) if config.from_cache else benchmark.prepare(data)))
        except IconoclipError as error:
            problems.append(f"{benchmark.shown_name}: {error}")
    if problems:
        total = len(config.benchmarks)
        raise EvaluationError("\n  ".join([f"{len(problems)} of {total} benchmarks cannot run:", *problems]))
    for benchmark, prepared in ready:
        kept.recall_looks(benchmark, prepared.pictures)
    return ready


def _run_benchmark(
    config: EvalConfig,
    data: EvalData,
    benchmark: Benchmark,
    ready: Prepared,
    contestants: Sequence[Contestant],
    embedders: Mapping[str, CachedEmbeddings],
    evaluated: Evaluated,
    samples: set[Path],
    beside: Beside,
) -> dict[str, Any]:
    """Run the tasks of one benchmark for all models; return its data sheet for ``run.json``."""
    from threadpoolctl import threadpool_limits

    name = benchmark.shown_name
    _log.info("%s: %s pictures, %d tasks", name, f"{len(ready.pictures):,}", len(ready.tasks))
    folds: list[int | None] = [*sorted({f for f in ready.pictures.folds if f is not None})]
    weights, refused = dict[str, str | None](), dict[str, str]()
    cut, spreads = dict[str, dict[str, dict[str, Any]]](), dict[str, dict[str, Any]]()
    for contestant in contestants:
        why = ready.refuses.get(contestant.history, "")
        why = why or next((w for fold in folds if (w := contestant.why_not_fold(fold, data))), "")
        if why:
            refused[contestant.label] = why
        cut[contestant.label] = _count_cut(contestant, (folds or [None])[-1], ready.tasks)
        weights[contestant.label] = contestant.weights_sha256(folds or [None])
    coverages, seconds = {}, {task.name: dict[str, float]() for task in ready.tasks}
    beside.benchmark(name, ready)
    for task in ready.tasks:
        asked = task.zero_shot_prompts if data.has_shards else {}
        covered = {lang: cover_prompts(texts, data.train_words) for lang, texts in asked.items()}
        coverages |= {task.name: covered} if covered else {}
        why_not = refused | _unknown_words(covered, contestants, refused, config.min_words_seen)
        scores: dict[str, Scores] = {}
        for contestant in contestants:
            began = time.monotonic()
            scores[contestant.label] = task.score(embedders[contestant.label])
            seconds[task.name][contestant.label] = round(time.monotonic() - began, 3)
            path = config.out / "samples" / f"{contestant.slug}--{name}--{task.name}.parquet"
            write_samples(path, scores[contestant.label].rows)
            samples.add(path)
        scores |= {f"{BASELINE}{kind}": found for kind, found in task.baselines().items()}
        context = Context(
            benchmark=name,
            revision=ready.pictures.revision,
            task=task.name,
            prompts_sha256=sha256_json(list(task.prompts)) if task.prompts else None,
            language=task.language,
            weights=weights,
            seed=config.seed,
            resamples=config.resamples,
            software=f"iconoclip {software()['iconoclip']}",
            created=utc_now(),
            test=config.test,
            slices=frozenset(config.slices),
        )
        with threadpool_limits(1):  # products this small are made sooner, and always alike, by one thread
            evaluate_task(scores, context, evaluated, refused=why_not)
        spreads[task.name] = prompt_spreads(scores, context, evaluated)
        beside.task(name, ready, task, scores, context, evaluated, embedders, why_not)
    return _sheet(benchmark, ready, coverages, cut, spreads, seconds)


def _count_cut(contestant: Contestant, fold: int | None, tasks: Sequence[Task]) -> dict[str, dict[str, Any]]:
    """By task and language how many texts are longer than the model's context."""
    model = contestant.model(fold)
    found = {}
    for task in tasks:
        counted = count_cut(task.texts_by_language, model.tokenizer, context_length=model.context_length)
        found[task.name] = {language: asdict(cut) for language, cut in counted.items()}
    return found


def _unknown_words(
    covered: dict[str, Coverage], contestants: Sequence[Contestant], refused: dict[str, str], needed: float
) -> dict[str, str]:
    """Why models that learnt their words from these shards alone get no zero-shot score."""
    why = "; ".join(why_not for coverage in covered.values() if (why_not := coverage.why_not(needed)))
    return {c.label: why for c in contestants if why and c.history != "pretrained" and c.label not in refused}


def _sheet(
    benchmark: Benchmark,
    ready: Prepared,
    coverages: dict[str, dict[str, Coverage]],
    cut: dict[str, dict[str, dict[str, Any]]],
    spreads: dict[str, dict[str, Any]],
    seconds: dict[str, dict[str, float]],
) -> dict[str, Any]:
    """Data sheet of a benchmark: what it is, where it is from, its prompts and how many of their words were seen."""
    works = set(ready.pictures.works)
    tasks = []
    for task in ready.tasks:
        by_model = {model: found[task.name] for model, found in cut.items() if found.get(task.name)}
        facts = {"texts_cut": by_model, "prompt_spread": spreads.get(task.name, {}), "seconds": seconds[task.name]}
        tasks.append(_task_sheet(task, coverages.get(task.name, {})) | {k: v for k, v in facts.items() if v})
    return {
        "name": benchmark.shown_name,
        "kind": benchmark.kind_name,
        **{name: ready.facts.get(name) or getattr(benchmark, name) for name in _ABOUT},
        "revision": ready.pictures.revision,
        "pinned_revision": benchmark.pinned_revision,
        "revision_source": benchmark.revision_source,
        "run_on_real_data": benchmark.run_on_real_data,
        "is_control": benchmark.is_control or benchmark.control,
        "hub_dataset": benchmark.hub_dataset_id,
        "chance": benchmark.chance,
        "known_results": [asdict(known) for known in benchmark.known_results],
        "facts": {name: fact for name, fact in ready.facts.items() if name not in _ABOUT},
        "num_pictures": len(ready.pictures),
        "num_works": len(works),
        "sources": sorted({record.source for record in ready.pictures.records}),
        "tasks": tasks,
    }


def _task_sheet(task: Task, covered: dict[str, Coverage]) -> dict[str, Any]:
    prompts = {
        language: {
            "prompts": list(task.zero_shot_prompts[language]),
            "words_seen_in_training": round(coverage.share, 4),
            "words_never_seen": list(coverage.missing),
        }
        for language, coverage in covered.items()
    }
    kind = type(task).__module__.rpartition(".")[2]
    sheet = {"name": task.name, "kind": kind, "language": task.language, "prompts": prompts}
    texts = class_texts(task)
    return sheet | ({"class_texts": texts} if texts else {})


def _remove_old_samples(folder: Path, kept: set[Path]) -> None:
    """Samples of models or benchmarks that are no longer in the configuration would end up in the report."""
    for path in folder.glob("*--*--*.parquet"):
        if path not in kept:
            path.unlink()


def _write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    write_text(path, "".join(f"{json.dumps(row, ensure_ascii=False, allow_nan=False)}\n" for row in rows))


def _report(out: Path) -> Path | None:
    try:
        report = importlib.import_module(".report", __package__)
    except ModuleNotFoundError as error:
        if error.name != f"{__package__}.report":
            raise
        _log.warning("no report: this installation has no %s.report", __package__)
        return None
    return report.write_report([out], out / "report.html")
