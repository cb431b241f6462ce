"""Per-sample scores as Parquet, and small pictures beside them, so that a report is made without the shards."""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from iconoclip.files import atomic_path

from .data import Pictures
from .tasks.base import SAMPLE_COLUMNS

THUMB_SIDE = 256

_TYPES: dict[str, pa.DataType] = {
    "rank": pa.int64(),
    "num_gallery": pa.int64(),
    "percentile": pa.float64(),
    "correct": pa.bool_(),
    "score": pa.float64(),
    "top_keys": pa.list_(pa.string()),
    "top_scores": pa.list_(pa.float64()),
    "positive_keys": pa.list_(pa.string()),
}
SAMPLE_SCHEMA = pa.schema([(name, _TYPES.get(name, pa.string())) for name in SAMPLE_COLUMNS])
THUMB_SCHEMA = pa.schema([("key", pa.string()), ("jpeg", pa.binary()), ("caption", pa.string())])


def write_samples(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write the rows of one model on one task, atomically."""
    with atomic_path(path) as temporary:
        pq.write_table(pa.Table.from_pylist(list(rows), schema=SAMPLE_SCHEMA), temporary)


def write_thumbs(path: Path, benchmarks: Iterable[Pictures], *, limit: int) -> tuple[int, int]:
    """Write pictures of at most 256 px that may be shown; return (written, left out).

    Left out is what its rights or its host's terms do not allow to pass on, and what is beyond ``limit``.
    """
    rows: dict[str, dict[str, Any]] = {}
    left_out: set[str] = set()
    for pictures in benchmarks:
        for position, record in enumerate(pictures.records):
            if record.key in rows or record.key in left_out:
                continue
            if not pictures.may_show(position) or len(rows) >= limit:
                left_out.add(record.key)
                continue
            jpeg = _shrink(pictures.read(position), record.key)
            rows[record.key] = {"key": record.key, "jpeg": jpeg, "caption": pictures.default_text(position)}
    with atomic_path(path) as temporary:
        pq.write_table(pa.Table.from_pylist(list(rows.values()), schema=THUMB_SCHEMA), temporary)
    return len(rows), len(left_out)


def _shrink(data: bytes, key: str) -> bytes:
    from iconoclip.embed import decode_image

    image = decode_image(data, name=key)
    image.thumbnail((THUMB_SIDE, THUMB_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
