"""Read JSON, JSON Lines and Parquet as rows whose cells may be objects and lists."""

import difflib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from iconoclip.errors import SourceError

from .paths import find, known_paths, parse_path
from .tables import Reading, Row, TableRules
from .tables_text import decode_file

_MAX_DEPTH = 100


def read_objects(path: Path, rules: TableRules) -> Reading:
    """Rows of a file by its suffix; what is no object is a row with its problem."""
    if path.suffix.lower() == ".parquet":
        return _read_parquet(path)
    if path.suffix.lower() == ".json":
        objects = _parse_json(path, rules)
    else:
        objects = _parse_lines(path, rules.encoding)
    items = list(objects)
    columns = list(dict.fromkeys(name for item in items if isinstance(item, dict) for name in item))
    if not columns:
        raise SourceError(f"{path}: holds no objects")
    return columns, _rows(items)


def _rows(items: Iterable[object]) -> Iterator[Row]:
    for number, item in enumerate(items, 1):
        if not isinstance(item, dict):
            problem = item if isinstance(item, str) else f"expected an object, got {type(item).__name__}"
            yield Row(number, {}, problem)
        elif _depth(item) > _MAX_DEPTH:
            yield Row(number, {}, f"objects within objects, more than {_MAX_DEPTH} deep")
        else:
            yield Row(number, item)


def _depth(item: object) -> int:
    depth, level = 0, [item]
    while level:
        depth += 1
        inner = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)]
        level = [value for values in inner for value in values]
    return depth


def _parse_json(path: Path, rules: TableRules) -> list[Any]:
    try:
        data = json.loads(decode_file(path, rules.encoding))
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path}: not JSON: {error}") from None
    if rules.records:
        return _find_records(path, data, rules.records)
    lists = {name: value for name, value in data.items() if isinstance(value, list)} if isinstance(data, dict) else {}
    if len(lists) == 1:
        return next(iter(lists.values()))
    if isinstance(data, list):
        return data
    hint = f"say which holds the rows: `records: {' or '.join(lists)}`" if lists else "`records: .` is the whole file"
    raise SourceError(f"{path}: expected a list of objects, or an object with one list in it; {hint}")


def _find_records(path: Path, data: object, records: str) -> list[Any]:
    place = parse_path(records)
    found = find(data if isinstance(data, dict) else {}, place, data)
    if not found:
        near = difflib.get_close_matches(records, known_paths(data), n=1, cutoff=0.5)
        names = list(data)[:20] if isinstance(data, dict) else ["."]
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}"
        raise SourceError(f"{path}: nothing at `records: {records}`; {hint}")
    return found


def _parse_lines(path: Path, encoding: str) -> Iterator[Any]:
    for number, line in enumerate(decode_file(path, encoding).splitlines(), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError) as error:
                yield f"line {number} is not JSON: {error}"


def _read_parquet(path: Path) -> Reading:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        columns = _schema_paths(file.schema_arrow)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path}: not a Parquet file: {error}") from None

    def rows() -> Iterator[Row]:
        number = 0
        try:
            for batch in file.iter_batches(batch_size=1024):
                for item in batch.to_pylist(maps_as_pydicts="lossy"):
                    number += 1
                    yield Row(number, item)
        except (pa.ArrowException, OSError) as error:
            raise SourceError(f"{path}: breaks off after row {number}: {error}") from None

    return columns, rows()


def _schema_paths(fields: Any, prefix: str = "") -> list[str]:
    import pyarrow as pa

    paths = []
    for field in fields:
        kind = field.type
        while pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
            kind = kind.value_type
        paths.append(prefix + field.name)
        if pa.types.is_struct(kind):
            inner = [kind.field(position) for position in range(kind.num_fields)]
            paths += _schema_paths(inner, f"{prefix}{field.name}.")
    return paths
