"""Have experts judge what models found: draw a blind sheet, take the filled ones back.

``make_sheet(RESULTS, number=200)`` writes ``judge/sheet.xlsx`` into the results folder, and ``judge/key.json``, which
is not for the experts. ``take_back(RESULTS, [a, b])`` writes ``judge/judgements.csv``, ``judge/judge.json`` (agreement
and precision) and ``judge/benchmark/``, which ``iconoclip eval`` reads.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from iconoclip.errors import EvaluationError
from iconoclip.files import atomic_path, sha256_json, write_json
from iconoclip.provenance import utc_now

from .apply_encoded import write_csv
from .benchmark_files import FILE_NAME, BenchmarkFile, Columns, write_benchmark_file, write_table
from .judge_agreement import Figure, kappa, precision, why_no_figure
from .judge_pool import DEPTH, Found, Pair, draw_pairs, gather_pairs, without_class_texts
from .judge_sheet import read_sheet, write_sheet
from .report_data import Results
from .report_reading import read_results
from .report_words import open_words
from .statistics import MIN_QUERIES, MIN_WORKS

FOLDER = "judge"
_DEPTHS = (1, DEPTH)
_SCORES: dict[str, float | None] = {"yes": 1.0, "partly": 0.0, "no": 0.0, "?": None}
_MAY_NOT_BE_TOLD = 0.2
_UNSTATED = ("", "not stated")
_LENIENT: dict[str, float | None] = _SCORES | {"partly": 1.0}


@dataclass(frozen=True)
class Key:
    """What was asked, in the order of the sheet, each pair with its weight; ``pool`` counts what it was drawn from."""

    seed: int
    pool: dict[str, int]
    pairs: tuple[Pair, ...]
    weights: dict[str, float]


def make_sheet(results: Path, *, number: int = 200, seed: int = 0) -> str:
    """Draw pairs and write the sheet; return what was drawn. The same call gives the same pairs.

    Raises:
        EvaluationError: nothing to judge, no pictures that may be shown, or another sheet was drawn before.
    """
    if number < 1:
        raise EvaluationError(f"-n {number}: ask for at least one pair")
    found = read_results([results])
    pairs = gather_pairs(found)
    thumbs = {key: jpeg for key, (jpeg, _) in found.thumbs(pair.key for pair in pairs).items() if jpeg}
    shown = [pair for pair in pairs if pair.key in thumbs]
    if not shown:
        raise EvaluationError(
            f"{results}: none of the {len(pairs):,} pairs has a small picture in thumbs.parquet (their rights, or "
            "`thumbs: 0`); experts would see nothing"
        )
    drawn, weights = draw_pairs(shown, number, seed=seed)
    folder = results / FOLDER
    pool = {"pairs": len(pairs), "without_picture": len(pairs) - len(shown), "drawn": len(drawn)}
    _write_key(folder / "key.json", Key(seed, pool, tuple(drawn), weights))
    write_sheet(folder / "sheet.xlsx", drawn, thumbs)
    strata = Counter(pair.language for pair in drawn)
    hidden = f" ({pool['without_picture']:,} more have no picture that may be shown)" if len(pairs) > len(shown) else ""
    notes = _draw_notes(found, drawn, len(shown))
    lines = [
        f"{len(drawn):,} of {len(shown):,} pairs drawn{hidden}, over languages and scores: "
        f"{', '.join(f'{name} {count}' for name, count in sorted(strata.items()))}",
        f"sheet     {folder / 'sheet.xlsx'}  (a copy for each of one or two experts; no model is named in it)",
        f"then      iconoclip judge {results} --sheets FIRST.xlsx SECOND.xlsx",
    ]
    return "\n".join([*lines, *(f"note      {note}" for note in notes)])


def _draw_notes(results: Results, drawn: Sequence[Pair], num_shown: int) -> list[str]:
    """What whoever draws should know before experts begin: figures that there will not be, classes without texts."""
    notes = [
        f"{name}: run.json does not say by which texts its classes were asked, so their names are shown; the same "
        "`iconoclip eval` again adds the texts"
        for name in without_class_texts(results)
    ]
    short = []
    for model in results.models:
        for depth in _DEPTHS:
            mine = [pair for pair in drawn if pair.is_of(model, depth)]
            told = int(len(mine) * (1 - _MAY_NOT_BE_TOLD))
            if mine and why_no_figure(told, len({pair.work for pair in mine})):
                short.append(f"precision@{depth} of {model} ({len(mine)})")
    if short:
        more = "draw more with -n" if num_shown > len(drawn) else "there are no more to draw"
        notes.append(
            f"a figure needs {MIN_QUERIES} pairs of {MIN_WORKS} works that experts can tell, each `?` takes one away; "
            f"there may be too few for {', '.join(short)}: {more}"
        )
    return notes


def take_back(results: Path, sheets: Sequence[Path]) -> str:
    """Read one or two filled sheets; write judgements, agreement, precision and a benchmark; return a summary.

    Raises:
        EvaluationError: no sheet was drawn, more than two came back, or one has mistakes; each is named by its row.
    """
    if not 1 <= len(sheets) <= 2:
        raise EvaluationError(f"--sheets: got {len(sheets)}; give the sheets of one or two experts")
    folder = results / FOLDER
    key = _read_key(folder / "key.json")
    by_id = {pair.id: pair for pair in key.pairs}
    experts = _read_experts(sheets, by_id)
    judged = {name: {id_: judgement for id_, (judgement, _) in rows.items()} for name, rows in experts.items()}
    evaluated = read_results([results])
    facts = _figures(key, judged, evaluated.models)
    _write_judgements(folder / "judgements.csv", key, experts)
    num_right, num_texts = _write_benchmark(evaluated, folder / "benchmark", key, judged)
    facts["benchmark"] = {"pairs_right": num_right, "texts": num_texts}
    write_json(folder / "judge.json", facts)
    return _summary(folder, facts)


def _read_experts(sheets: Sequence[Path], by_id: dict[str, Pair]) -> dict[str, dict[str, tuple[str, str]]]:
    """Filled sheets by the expert's name, which is the file's; all mistakes of all sheets at once."""
    _refuse_the_same_twice(sheets)
    found, problems = {}, []
    for number, path in enumerate(sheets, start=1):
        name = path.stem if path.stem not in found else f"{path.stem}-{number}"
        try:
            found[name] = read_sheet(path, by_id)
        except EvaluationError as error:
            problems.append(str(error))
    if problems:
        raise EvaluationError("\n".join(problems))
    return found


def _refuse_the_same_twice(sheets: Sequence[Path]) -> None:
    if len(sheets) == 2 and all(path.is_file() for path in sheets):
        first, second = sheets
        if first.read_bytes() == second.read_bytes():
            raise EvaluationError(
                f"--sheets {first} {second}: the same file twice, and two experts are not one; give the sheet that the "
                "second one filled, or one sheet"
            )


def _figures(key: Key, judged: dict[str, dict[str, str]], models: Sequence[str]) -> dict[str, Any]:
    ids = [pair.id for pair in key.pairs]
    facts: dict[str, Any] = {
        "experts": list(judged),
        "pool": key.pool,
        "counts": {name: dict(sorted(Counter(rows.values()).items())) for name, rows in judged.items()},
        "created": utc_now(),
    }
    if len(judged) == 2:
        first, second = ([rows[id_] for id_ in ids] for rows in judged.values())
        works = [pair.work for pair in key.pairs]
        facts["kappa"] = asdict(kappa(first, second, works, seed=key.seed))
        is_told = [(a, b) for a, b in zip(first, second, strict=True) if "?" not in (a, b)]
        facts["same"] = sum(a == b for a, b in is_told)
        facts["told"] = len(is_told)
    rows = []
    for name, scores in (("precision", _SCORES), ("precision_with_partly", _LENIENT)):
        rightness = {id_: _mean([scores[given[id_]] for given in judged.values()]) for id_ in ids}
        for model in models:
            for depth in _DEPTHS:
                figure = precision(key.pairs, rightness, key.weights, model=model, depth=depth, seed=key.seed)
                rows.append({"model": model, "metric": f"{name}@{depth}", **asdict(figure)})
    return facts | {"precision": rows}


def _mean(scores: Sequence[float | None]) -> float | None:
    """Mean of what can be told; None where an expert cannot tell."""
    told = [score for score in scores if score is not None]
    return sum(told) / len(told) if len(told) == len(scores) else None


def _write_judgements(path: Path, key: Key, experts: dict[str, dict[str, tuple[str, str]]]) -> None:
    columns = ["id", "text", "language", "key", "work", "weight"]
    columns += [part for name in experts for part in (name, f"remark of {name}")]
    rows = []
    for pair in key.pairs:
        row: list[object] = [pair.id, pair.text, pair.language, pair.key, pair.work, key.weights[pair.id]]
        for given in experts.values():
            row += given[pair.id]
        rows.append(row)
    write_csv(path, columns, rows)


def _write_benchmark(results: Results, folder: Path, key: Key, judged: dict[str, dict[str, str]]) -> tuple[int, int]:
    """Write texts with the pictures that all experts call right; pictures without a text stay as wrong answers.

    Returns:
        Number of right pairs and of their texts.
    """
    right = [pair for pair in key.pairs if all(given[pair.id] == "yes" for given in judged.values())]
    names = sorted({pair.key for pair in key.pairs})
    thumbs, works = results.thumbs(names), _works_of_pictures(results)
    rows = [(f"images/{pair.key}.jpg", pair.text, pair.language, works.get(pair.key, "")) for pair in right]
    others = sorted(set(names) - {pair.key for pair in right})
    rows += [(f"images/{name}.jpg", "", "", works.get(name, "")) for name in others]
    for name in names:
        with atomic_path(folder / "images" / f"{name}.jpg") as temporary:
            temporary.write_bytes(thumbs[name][0])
    write_table(folder / "items.csv", ("image", "caption", "language", "work"), rows)
    num_texts = len({(pair.text, pair.language) for pair in right})
    file = BenchmarkFile(
        verb="benchmark",
        name=f"judged_{sha256_json([pair.id for pair in key.pairs])[:8]}",
        title="Texts with pictures that experts call right",
        description=(
            f"{num_texts} texts and {len(names)} pictures, judged by {len(judged)} expert{'s' * (len(judged) > 1)}. "
            "Pairs that were not judged count as wrong: the pictures are those that the judged models found. Pictures "
            "are at most 256 px."
        ),
        licence=_said(results, key.pairs, "licence"),
        citation=_said(results, key.pairs, "citation"),
        rights_class="open",
        task="retrieval",
        table="items.csv",
        columns=Columns(image="image", captions={"caption": ""}, language="language", work="work"),
    )
    comment = f"iconoclip benchmark validate {folder / FILE_NAME}\n\nWritten by `iconoclip judge` from filled sheets."
    write_benchmark_file(folder / FILE_NAME, file, comment=comment)
    return len(right), num_texts


def _said(results: Results, pairs: Sequence[Pair], name: str) -> str:
    """What the data sheets of the judged benchmarks say (``licence`` or ``citation``), by name where they differ."""
    judged = {found.benchmark for pair in pairs for found in pair.found}
    asked = [benchmark for benchmark in results.sheets if benchmark in judged]
    said = {benchmark: str(results.sheets[benchmark].get(name) or "") for benchmark in asked}
    said = {benchmark: text for benchmark, text in said.items() if text not in _UNSTATED}
    if len(said) == len(asked) and len(set(said.values())) == 1:
        return next(iter(said.values()))
    return "; ".join(f"{benchmark}: {text}" for benchmark, text in said.items())


def _works_of_pictures(results: Results) -> dict[str, str]:
    """Work of each picture, as the embedding cache beside the results has it; empty where the cache was removed."""
    found: dict[str, str] = {}
    for folder in results.folders:
        for path in sorted(folder.glob("cache/*/*/samples.parquet")):
            table = pq.read_table(path, columns=["key", "work_group"])
            found |= dict(zip(table["key"].to_pylist(), table["work_group"].to_pylist(), strict=True))
    return found


def _write_key(path: Path, key: Key) -> None:
    data = asdict(key)
    if path.is_file() and _read_key(path).pairs != key.pairs:
        raise EvaluationError(
            f"{path.parent}: another sheet was drawn from these results; its experts' sheets would fit no more. "
            f"Give the same -n and --seed, or move {path.parent} away"
        )
    write_json(path, data)


def _read_key(path: Path) -> Key:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        rows = [pair | {"found": tuple(Found(**found) for found in pair["found"])} for pair in data["pairs"]]
        pairs = tuple(Pair(**row) for row in rows)
        weights = {pair.id: data["weights"][pair.id] for pair in pairs}
        return Key(data["seed"], data["pool"], pairs, weights)
    except FileNotFoundError:
        raise EvaluationError(f"{path}: not there; draw a sheet first: iconoclip judge {path.parent.parent}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise EvaluationError(
            f"{path}: not the key of a sheet of this version ({error!r}); move {path.parent} away and draw again"
        ) from None


def _summary(folder: Path, facts: dict[str, Any]) -> str:
    words, lines = open_words(), []
    for name, counts in facts["counts"].items():
        lines.append(f"{name}: " + ", ".join(f"{value} {count}" for value, count in counts.items()))
    if "kappa" in facts:
        figure = Figure(**facts["kappa"])
        lines.append(f"the same answer in {facts['same']} of the {facts['told']} pairs that both could tell")
        if figure.value is None:
            lines.append(f"no Cohen's kappa: {figure.why_not}")
        else:
            lines.append(f"Cohen's kappa {figure.value:.2f} [{figure.ci_low:.2f} – {figure.ci_high:.2f}]")
    lines.append("Share of answers that are right, 95 % intervals resample works; n/w is pairs/works:")
    for row in facts["precision"]:
        figure = Figure(**{name: row[name] for name in Figure.__dataclass_fields__})
        shown = f"no figure: {figure.why_not}"
        if figure.value is not None:
            span = words.interval("share", figure.ci_low, figure.ci_high)
            shown = f"{words.value('share', figure.value)} [{span}]"
        lines.append(f"  {row['metric']:<24} {row['model']:<30} {figure.n}/{figure.n_works}  {shown}")
    made = facts["benchmark"]
    lines.append(f"judgements {folder / 'judgements.csv'} and {folder / 'judge.json'}")
    lines.append(
        f"benchmark  {folder / 'benchmark' / FILE_NAME}  ({made['texts']} texts, {made['pairs_right']} right pairs)"
    )
    return "\n".join(lines)
