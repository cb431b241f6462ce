"""Write what happened to every record: rejected ones with their reason, kept ones with whom to name."""

import csv
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from iconoclip.files import atomic_path
from iconoclip.records import Record, Rejection

REJECTED_NAME = "ledger/rejected.parquet"
ATTRIBUTION_NAME = "ATTRIBUTION.csv"

_REJECTED = ("id", "source", "institution", "stage", "reason", "detail", "first_seen")


def write_rejected(root: Path, rejected: Sequence[Rejection], *, now: str) -> None:
    """Write ``ledger/rejected.parquet``; a rejection that an earlier run saw keeps its ``first_seen``."""
    path = root / REJECTED_NAME
    earlier = {}
    if path.is_file():
        for row in pq.read_table(path).to_pylist():
            earlier[row["id"], row["source"], row["reason"]] = row["first_seen"]
    rows = [
        {**asdict(each), "first_seen": earlier.get((each.id, each.source, each.reason), now)}
        for each in sorted(rejected, key=lambda each: (each.source, each.id, each.reason, each.detail))
    ]
    table = pa.Table.from_pylist(rows, schema=pa.schema([(name, pa.string()) for name in _REJECTED]))
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def write_attribution(root: Path, records: Sequence[Record]) -> None:
    """Write ``ATTRIBUTION.csv``: one line per kept record, so that everybody who gave something can be named."""
    columns = (
        "key", "id", "collection", "institution", "title", "creator", "attribution", "rights_class", "rights_image",
        "rights_text", "rights_work", "asserted_by", "source_url", "page_url", "split",
    )  # fmt: skip
    with (
        atomic_path(root / ATTRIBUTION_NAME) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for record in sorted(records, key=lambda each: (each.source, each.id)):
            parts = {rights.part: rights for rights in record.rights}
            stated = [parts.get(part) for part in ("image", "metadata", "work")]
            image = parts.get("image")
            row = (
                record.key, record.id, record.source, record.institution, record.title, record.creator,
                record.attribution, record.rights_class,
                *((each.uri or each.raw) if each else "" for each in stated),
                image.asserted_by if image else "", image.source_url if image else "", record.page_url, record.split,
            )  # fmt: skip
            writer.writerow([_harmless(cell) for cell in row])


def _harmless(cell: str) -> str:
    """Keep spreadsheet programs from running a cell that starts like a formula."""
    return f"'{cell}" if cell.startswith(("=", "+", "@", "\t", "\r")) else cell
