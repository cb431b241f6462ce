"""Read Parquet files as the Hub has them: ``data/<split>-00000-of-00005.parquet`` with a column of pictures."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from iconoclip.errors import EvaluationError

from .benchmark_files import ABOUT, BenchmarkFile
from .benchmark_read import Item, Items, check_columns, item_of
from .benchmarks._files import Rows

IMAGE = "image"


def parquet_splits(home: Path) -> dict[str, list[Path]]:
    """Files of each split; those beside ``data/`` count too."""
    found: dict[str, list[Path]] = {}
    for path in sorted([*home.glob("data/*.parquet"), *home.glob("*.parquet")]):
        found.setdefault(path.stem.partition("-")[0], []).append(path)
    return found


def describe_columns(paths: list[Path]) -> dict[str, list[str] | None]:
    """Columns other than the picture's, with the names of their classes where the Hub's metadata has them."""
    schema = pq.read_schema(paths[0])
    metadata = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features = metadata.get("info", {}).get("features", {})
    return {name: _class_names(features.get(name)) for name in schema.names if name != IMAGE}


def _class_names(feature: Any) -> list[str] | None:
    if isinstance(feature, dict) and "feature" in feature:
        feature = feature["feature"]
    return feature.get("names") if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" else None


def read_parquet(file: BenchmarkFile, home: Path) -> Items:
    """Items of all splits.

    Raises:
        EvaluationError: no Parquet there, or a column is missing.
    """
    splits = parquet_splits(home)
    if not splits:
        raise EvaluationError(f"{home}: no Parquet in it or in its data/; is the data set there whole?")
    paths = [path for found in splits.values() for path in found]
    names = describe_columns(paths)
    check_columns(file, [IMAGE, *names], str(home))
    rows = Rows(paths)
    columns = {name: rows.column(name) for name in names if name in _wanted(file)}
    items, place = list[Item](), 0
    for split, found in splits.items():
        for path in found:
            for number in range(pq.read_metadata(path).num_rows):
                cells = {name: _text(values[place], names[name], file) for name, values in columns.items()}
                items.append(_item(file, cells, f"{path.name}, row {number + 1}", place, split))
                place += 1
    return Items(tuple(items), rows)


def _item(file: BenchmarkFile, cells: dict[str, list[str]], where: str, place: int, split: str) -> Item:
    """Lists of a cell are joined with a sign that no text holds and parted again."""
    joined = {name: "\x1f".join(values) for name, values in cells.items()}
    item = item_of(file.model_copy(update={"separator": "\x1f"}), joined, where, place)
    known = item.id if file.columns.id else f"{split}/{place}"
    captions = tuple(_captions(file, cells))
    about = {name: ", ".join(cells[getattr(file.columns, name)]) for name in item.about}
    return replace(item, id=known, split=item.split or split, captions=captions, about=about)


def _captions(file: BenchmarkFile, cells: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Captions with their languages, of which a list has one for each."""
    for column, language in file.columns.captions.items():
        texts, known = cells[column], cells.get(file.columns.language, [])
        for number, text in enumerate(texts):
            told = known[number] if len(known) == len(texts) else (known or ["und"])[0]
            if " ".join(text.split()):
                yield " ".join(text.split()), language or told or "und"


def _wanted(file: BenchmarkFile) -> set[str]:
    columns = file.columns
    about = (getattr(columns, name) for name in ABOUT)
    return {columns.id, columns.label, *columns.captions, columns.language, columns.work, columns.split, *about}


def _text(value: Any, classes: list[str] | None, file: BenchmarkFile) -> list[str]:
    """Texts of a cell: of a list each value, of a class its name, of a text its parts."""
    values = value if isinstance(value, list) else [] if value is None else [value]
    if classes is not None:
        return [classes[number] for number in values]
    texts = [each for each in values if each is not None]
    return [part for each in texts for part in (str(each).split(file.separator) if file.separator else [str(each)])]
