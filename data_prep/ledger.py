"""Write what happened to every record: kept ones with whom to name, rejected and withdrawn ones with the reason."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from iconoclip.errors import IconoclipError
from iconoclip.files import atomic_path
from iconoclip.records import Record, Rejection, RejectReason
from iconoclip.shards import Placed, ledger_name, write_ledger

from .permissions import Permissions
from .sources.base import Drop

REJECTED_NAME = "ledger/rejected.parquet"
ATTRIBUTION_NAME = "ATTRIBUTION.csv"
WITHDRAWN_NAME = "withdrawn.csv"

_REJECTED = ("id", "source", "institution", "stage", "reason", "detail", "first_seen")
_ATTRIBUTION = (
    "key", "id", "collection", "institution", "title", "creator", "attribution", "rights_class", "rights_image",
    "rights_text", "rights_work", "asserted_by", "source_url", "page_url", "split", "redistribute", "terms",
)  # fmt: skip

Judge = Callable[[Record], Permissions]


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A line of ``withdrawn.csv``: an item that was taken down, its groups, and the hash of what was planned for it."""

    key: str
    id: str
    source: str
    institution: str
    split: str
    sha256: str
    dup_group: str
    work_group: str
    planned_sha256: str
    withdrawn: str

    def to_drop(self) -> Drop:
        """Why it is not in the set."""
        return Drop("withdrawal", RejectReason.WITHDRAWN, f"taken down on {self.withdrawn[:10]}")

    def to_rejection(self) -> Rejection:
        """Its row in ``ledger/rejected.parquet``."""
        drop = self.to_drop()
        return Rejection(self.id, self.source, self.institution, drop.stage, drop.reason, drop.detail, self.withdrawn)


def write_kept(
    root: Path,
    split: str,
    placed: Sequence[Placed],
    records: Sequence[Record],
    *,
    judge: Judge,
    planned_sha256: Mapping[str, str],
) -> None:
    """Write a split's ledger: a row per kept record, with what is allowed (``train, redistribute, publish``).

    ``planned_sha256`` are hashes of record and picture as planned, by key; a withdrawal takes them along.
    """
    permissions = [judge(record).to_row() for record in records]
    columns = {use: [row[use] for row in permissions] for use in ("train", "redistribute", "publish")}
    columns["planned_sha256"] = [planned_sha256.get(record.key, "") for record in records]
    write_ledger(root, split, placed, records, columns=columns)


def read_kept(root: Path, split: str) -> tuple[list[Placed], list[Record], dict[str, str]]:
    """Places, records and ``planned_sha256`` by key of a split, in the order of its shards."""
    rows = pq.read_table(root / "ledger" / ledger_name(split)).to_pylist()
    placed = [Placed(**{item.name: row[item.name] for item in fields(Placed)}) for row in rows]
    planned = {row["key"]: row.get("planned_sha256", "") for row in rows}
    return placed, [Record.from_dict(row) for row in rows], planned


def compare_with_ledger(root: Path, splits: Sequence[str], planned_sha256: Mapping[str, str]) -> tuple[int, int, int]:
    """How many records of a new set are new, are changed and are gone, against the ledgers of an older one."""
    before: dict[str, str] = {}
    for split in splits:
        path = root / "ledger" / ledger_name(split)
        if path.is_file() and "planned_sha256" in pq.read_schema(path).names:
            rows = pq.read_table(path, columns=["key", "planned_sha256"]).to_pylist()
            before |= {row["key"]: row["planned_sha256"] for row in rows}
    changed = sum(key in before and before[key] != digest for key, digest in planned_sha256.items())
    return len(planned_sha256.keys() - before.keys()), changed, len(before.keys() - planned_sha256.keys())


def read_not_passed_on(root: Path, split: str) -> frozenset[str]:
    """Keys of a split whose pictures may not be passed on; none where the ledger does not say or is not there."""
    path = root / "ledger" / ledger_name(split)
    if not path.is_file() or "redistribute" not in pq.read_schema(path).names:
        return frozenset()
    rows = pq.read_table(path, columns=["key", "redistribute"]).to_pylist()
    return frozenset(row["key"] for row in rows if row["redistribute"] == "no")


def write_rejected(root: Path, rejected: Sequence[Rejection], *, now: str) -> None:
    """Write ``ledger/rejected.parquet``; a rejection that an earlier run saw keeps its ``first_seen``."""
    path = root / REJECTED_NAME
    earlier = {(each.id, each.source, each.reason): each.first_seen for each in read_rejected(root)}
    rows = [
        {**asdict(each), "first_seen": each.first_seen or earlier.get((each.id, each.source, each.reason), now)}
        for each in sorted(rejected, key=lambda each: (each.source, each.id, each.reason, each.detail))
    ]
    table = pa.Table.from_pylist(rows, schema=pa.schema([(name, pa.string()) for name in _REJECTED]))
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def list_rejected(path: Path, rejected: Sequence[Rejection]) -> None:
    """Write the same as CSV, for people; also where no set comes of it."""
    ordered = sorted(rejected, key=lambda each: (each.source, each.reason, each.id))
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("collection", "reason", "id", "detail", "stage", "institution"))
        for each in ordered:
            row = (each.source, each.reason.value, each.id, each.detail, each.stage, each.institution)
            writer.writerow([_harmless(cell) for cell in row])


def read_rejected(root: Path) -> list[Rejection]:
    """Rows of ``ledger/rejected.parquet``; none if it is not there."""
    path = root / REJECTED_NAME
    if not path.is_file():
        return []
    rows = pq.read_table(path).to_pylist()
    return [Rejection(**{**row, "reason": RejectReason(row["reason"])}) for row in rows]


def write_attribution(root: Path, records: Sequence[Record], *, judge: Judge) -> None:
    """Write ``ATTRIBUTION.csv``: one line per kept record, so that everybody who gave something can be named."""
    rows = []
    for record in sorted(records, key=lambda each: (each.source, each.id)):
        parts = {rights.part: rights for rights in record.rights}
        stated = [parts.get(part) for part in ("image", "metadata", "work")]
        image, terms = parts.get("image"), parts.get("terms")
        rows.append((
            record.key, record.id, record.source, record.institution, record.title, record.creator,
            record.attribution, record.rights_class, *((each.uri or each.raw) if each else "" for each in stated),
            image.asserted_by if image else "", image.source_url if image else "", record.page_url, record.split,
            judge(record).redistribute, terms.source_url if terms else "",
        ))  # fmt: skip
    _write_csv(root / ATTRIBUTION_NAME, _ATTRIBUTION, rows)


def write_withdrawn(root: Path, withdrawn: Sequence[Withdrawn]) -> None:
    """Write ``withdrawn.csv``: what was taken down, and stays out of every later set in this folder."""
    names = tuple(item.name for item in fields(Withdrawn))
    rows = sorted(tuple(asdict(each).values()) for each in withdrawn)
    _write_csv(root / WITHDRAWN_NAME, names, rows)


def read_withdrawn(root: Path) -> dict[str, Withdrawn]:
    """Lines of ``withdrawn.csv`` by key; none if it is not there.

    Raises:
        IconoclipError: it is not the file that a withdrawal wrote.
    """
    path = root / WITHDRAWN_NAME
    names = [item.name for item in fields(Withdrawn)]
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            if list(table.fieldnames or ()) != names:
                raise IconoclipError(f"{path}: columns are {', '.join(names)}, got {table.fieldnames}; bring it back")
            rows = [{name: _as_it_was(row[name] or "") for name in names} for row in table]
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise IconoclipError(f"{path}: cannot be read ({error}); bring back the one that `--withdraw` wrote") from None
    return {row["key"]: Withdrawn(**row) for row in rows}


def _write_csv(path: Path, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([_harmless(cell) for cell in row] for row in rows)


_FORMULA_STARTS = ("=", "+", "@", "\t", "\r")


def _harmless(cell: str) -> str:
    """Keep spreadsheet programs from running a cell that starts like a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell


def _as_it_was(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA_STARTS) else cell
