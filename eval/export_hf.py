"""Write a benchmark as the Hub has data sets: Parquet with pictures and classes, and a card that ``datasets`` reads."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from iconoclip.errors import EvaluationError
from iconoclip.files import atomic_path, write_text

from .benchmark_files import ABOUT, FILE_NAME, BenchmarkFile, Columns, write_benchmark_file
from .benchmark_pictures import find_broken, plain_picture
from .benchmark_read import Item, Items

_AT_ONCE = 100


def export_hf(file: BenchmarkFile, items: Items, out: Path) -> dict[str, int]:
    """Write ``data/<split>-00000-of-00001.parquet``, ``README.md`` and the benchmark's file; return rows by split.

    Raises:
        EvaluationError: ``out`` is not empty.
    """
    import pyarrow.parquet as pq

    if out.exists() and any(out.iterdir()):
        raise EvaluationError(f"{out}: is there and not empty; give another folder")
    broken = find_broken(items.store, [item.place for item in items.items])
    splits: dict[str, list[Item]] = {}
    for item in items.items:
        if item.place not in broken:
            splits.setdefault(item.split or file.split, []).append(item)
    about = [name for name in ABOUT if any(name in item.about for item in items.items)]
    features = _features(file, about)
    schema = features.arrow_schema
    for split, found in splits.items():
        with (
            atomic_path(out / "data" / f"{split}-00000-of-00001.parquet") as temporary,
            pq.ParquetWriter(temporary, schema) as writer,
        ):
            for table in _tables(found, items, file, schema):
                writer.write_table(table)
    write_text(out / "README.md", _card(file, splits, len(broken)))
    _write_own_file(out, file, about)
    return {split: len(found) for split, found in splits.items()}


def _features(file: BenchmarkFile, about: Sequence[str]) -> Any:
    from datasets import ClassLabel, Features, Image, List, Value

    columns: dict[str, Any] = {"image": Image(), "id": Value("string"), "work": Value("string")}
    columns |= {name: Value("string") for name in about}
    if file.task == "retrieval":
        columns |= {"caption": List(Value("string")), "language": List(Value("string"))}
    else:
        label = ClassLabel(names=list(file.classes))
        columns["label"] = List(label) if file.task == "multilabel" else label
    return Features(columns)


def _tables(found: Sequence[Item], items: Items, file: BenchmarkFile, schema: Any) -> Iterator[Any]:
    import pyarrow as pa

    number = {label: place for place, label in enumerate(file.classes)}
    for start in range(0, len(found), _AT_ONCE):
        rows = []
        for item in found[start : start + _AT_ONCE]:
            data, extension = plain_picture(items.store.image_bytes(item.place))
            name = f"{item.place:07d}.{extension}"
            row: dict[str, Any] = {"image": {"bytes": data, "path": name}, "id": item.id, "work": item.work}
            row |= item.about
            if file.task == "retrieval":
                row |= {"caption": [text for text, _ in item.captions], "language": [lang for _, lang in item.captions]}
            else:
                labels = [number[label] for label in item.labels]
                row["label"] = labels if file.task == "multilabel" else labels[0]
            rows.append(row)
        yield pa.Table.from_pylist(rows, schema=schema)


def _card(file: BenchmarkFile, splits: dict[str, list[Item]], num_broken: int) -> str:
    languages = sorted({lang for found in splits.values() for item in found for _, lang in item.captions} - {"und"})
    head = {
        "pretty_name": file.title,
        "language": languages or file.languages,
        "task_categories": ["image-to-text" if file.task == "retrieval" else "zero-shot-image-classification"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"data/{split}-*.parquet"} for split in splits],
            }
        ],
    }
    lines = "\n".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in head.items())
    counts = "\n".join(f"* {split}: {len(found):,}" for split, found in splits.items())
    left = f"\n{num_broken:,} pictures could not be decoded and were left out.\n" if num_broken else ""
    return (
        f"---\n{lines}\n---\n\n# {file.title}\n\n{file.description}\n\nLicence: {file.licence or 'not stated'}\n\n"
        f"Citation: {file.citation or 'not stated'}\n\n{counts}\n{left}\n"
        f"`{FILE_NAME}` has the texts of the classes by language and the prompts; `iconoclip eval` reads it.\n"
    )


def _write_own_file(out: Path, file: BenchmarkFile, about: Sequence[str]) -> None:
    values = file.model_dump(mode="json", exclude_defaults=True, exclude={"root", "table", "columns", "separator"})
    columns = Columns(
        image="image", id="id", work="work",
        label="" if file.task == "retrieval" else "label",
        captions={"caption": ""} if file.task == "retrieval" else {},
        language="language" if file.task == "retrieval" else "",
        **{name: name for name in about},
    )  # fmt: skip
    values |= {
        "verb": "benchmark",
        "layout": "parquet",
        "columns": columns.model_dump(exclude_defaults=True),
        "revision": "",
    }
    own = BenchmarkFile.validate_data(values, where=str(out / FILE_NAME))
    write_benchmark_file(out / FILE_NAME, own, comment=f"iconoclip benchmark validate {FILE_NAME}")
