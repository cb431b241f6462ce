"""Keep out what somebody does not want in the set: the lines of ``opt_out.csv``, and what was withdrawn before.

A line is ``kind, value, who, why, since``. Ids (or keys) and domains (with their sub-domains) are applied when records
are planned, so that nothing of them is fetched; hashes of files and of what is shown once the pictures are read. Lists
are kept for ever: a line that fits nothing is a note, not an error.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np

from iconoclip.errors import SourceError
from iconoclip.records import Record, RejectReason

from .config import PrepConfig
from .ledger import Withdrawn, read_withdrawn
from .sources.base import Drop
from .tables import read_table
from .tasks import StoredPicture

KINDS = ("id", "domain", "sha256", "phash")

_COLUMNS = ("kind", "value", "who", "why", "since")
_SHAPES = {
    "sha256": (re.compile(r"[0-9a-f]{64}"), "64 hexadecimal digits, those of the picture's file"),
    "phash": (re.compile(r"[0-9a-f]{16}"), "16 hexadecimal digits, the `phash` of a record"),
    "domain": (re.compile(r"(?:[a-z0-9_-]+\.)+[a-z0-9-]+"), "a name such as images.example.org, without https://"),
}
_DATE = re.compile(r"\d{4}(?:-\d\d(?:-\d\d)?)?")
_MAX_COMPARED = 20_000  # records, beyond which misspelt ids are looked for among their spellings only
_MAX_HINTS = 20


@dataclass(frozen=True, slots=True)
class OptOut:
    """One line of the list."""

    line: int
    kind: str
    value: str
    who: str
    why: str
    since: str

    def to_drop(self, stage: str) -> Drop:
        """Why a record is not kept: who does not want it, and why."""
        since = f", since {self.since}" if self.since else ""
        return Drop(stage, RejectReason.OPTED_OUT, f"{self.kind} {self.value}: {self.who}: {self.why}{since}")


def read_opt_outs(path: Path) -> list[OptOut]:
    """Lines of the list; the same value twice counts once.

    Raises:
        SourceError: naming every line that cannot be used.
    """
    columns, rows = read_table(path)
    unknown = [column for column in columns if column not in _COLUMNS]
    missing = [column for column in ("kind", "value", "who", "why") if column not in columns]
    if unknown or missing:
        raise SourceError(f"{path}: columns are {', '.join(_COLUMNS)}; unknown: {unknown}, missing: {missing}")
    found: dict[tuple[str, str], OptOut] = {}
    problems = []
    for row in rows:
        cells = {column: row.cells.get(column, "").strip() for column in _COLUMNS}
        cells["kind"] = cells["kind"].lower()
        if cells["kind"] != "id":
            cells["value"] = cells["value"].lower().rstrip(".")
        line = row.number + 1
        problem = row.problem or _problem(cells)
        if problem:
            problems.append(f"line {line}: {problem}")
        else:
            found.setdefault((cells["kind"], cells["value"]), OptOut(line=line, **cells))
    if problems:
        raise SourceError("\n  ".join([f"{path}: {len(problems)} problems", *problems]))
    return list(found.values())


def _problem(cells: Mapping[str, str]) -> str:
    if cells["kind"] not in KINDS:
        return f"kind is {cells['kind']!r}; write one of {', '.join(KINDS)}"
    if not cells["value"]:
        return "no value"
    shape, wanted = _SHAPES.get(cells["kind"], (None, ""))
    if shape and not shape.fullmatch(cells["value"]):
        return f"{cells['kind']} is {cells['value']!r}; write {wanted}"
    if not cells["who"] or not cells["why"]:
        return "say who does not want it and why"
    if cells["since"] and not _DATE.fullmatch(cells["since"]):
        return f"since is {cells['since']!r}; write a day such as 2026-11-20, or leave it empty"
    return ""


@dataclass(frozen=True)
class Exclusions:
    """What stays out of a run: opt-outs by kind and value, withdrawn items by key.

    ``returning`` are withdrawn items by file hash whose key no record of the run has: under another identifier they
    are still the same pictures. ``file_only`` are collections whose pictures are compared by file alone
    (``near_duplicates: false``). ``notes`` tell of lines that fit nothing.
    """

    opt_outs: Mapping[tuple[str, str], OptOut] = field(default_factory=dict)
    withdrawn: Mapping[str, Withdrawn] = field(default_factory=dict)
    returning: Mapping[str, Withdrawn] = field(default_factory=dict)
    max_distance: int = 0
    file_only: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    def refuse_record(self, record: Record) -> Drop | None:
        """Why somebody does not want a record in the set, from what is known before its picture is.

        None for what was withdrawn: it stays out anyway, and an opt-out of it must not make the set anew.
        """
        if not self.opt_outs or record.key in self.withdrawn:
            return None
        named = self.opt_outs.get(("id", record.id)) or self.opt_outs.get(("id", record.key))
        addresses = (record.page_url, record.image_url, record.iiif_service, record.manifest)
        hosts = (self.refuse_address(each) for each in addresses if each)
        found = named or next((each for each in hosts if each), None)
        return found.to_drop("opt_out") if found else None

    def refuse_address(self, url: str) -> OptOut | None:
        """The line that keeps an address out: its domain or one above it."""
        labels = _host(url).split(".")
        names = (".".join(labels[start:]) for start in range(len(labels) - 1))
        return next((found for name in names if (found := self.opt_outs.get(("domain", name)))), None)

    def refuse_picture(self, record: Record, stored: StoredPicture) -> Drop | None:
        """Why a picture must not be in the set: its file, or what it shows."""
        if taken_down := self.returning.get(stored.sha256):
            return taken_down.to_drop()
        hashes = (("sha256", stored.sha256), ("sha256", stored.jpeg_sha256))
        found = next((found for each in hashes if (found := self.opt_outs.get(each))), None)
        if found is None and record.source not in self.file_only:
            found = self._near(stored.views)
        return found.to_drop("image") if found else None

    @cached_property
    def picture_values(self) -> list[str]:
        """Hashes that decide about pictures, for the hash of the plan."""
        values = sorted(value for kind, value in self.opt_outs if kind in ("sha256", "phash"))
        return [*values, *sorted(self.returning)]

    @cached_property
    def _perceptual(self) -> tuple[list[OptOut], np.ndarray]:
        lines = [each for (kind, _), each in self.opt_outs.items() if kind == "phash"]
        return lines, np.array([int(each.value, 16) for each in lines], dtype=np.uint64)

    def _near(self, views: Sequence[str]) -> OptOut | None:
        """The line whose hash is nearest to any view, within the distance of near-duplicates."""
        lines, hashes = self._perceptual
        if not lines or not views:
            return None
        values = np.array([int(view, 16) for view in views], dtype=np.uint64)
        differing = (hashes[:, None] ^ values[None, :]).view(np.uint8).reshape(len(hashes), len(values), 8)
        distances = np.unpackbits(differing, axis=2).sum(axis=2).min(axis=1)
        nearest = int(distances.argmin())
        return lines[nearest] if distances[nearest] <= self.max_distance else None


def read_exclusions(config: PrepConfig, records: Sequence[Record]) -> Exclusions:
    """What stays out of a run with these records.

    Raises:
        SourceError: lines of the opt-out list cannot be used.
    """
    opt_outs = read_opt_outs(config.opt_out) if config.opt_out is not None else []
    withdrawn = read_withdrawn(config.out)
    there = {record.key for record in records} if withdrawn else set()
    return Exclusions(
        opt_outs={(each.kind, each.value): each for each in opt_outs},
        withdrawn=withdrawn,
        returning={each.sha256: each for each in withdrawn.values() if each.sha256 and each.key not in there},
        max_distance=config.dedup.max_distance,
        file_only=frozenset(name for name, source in config.collections.items() if not source.near_duplicates),
        notes=tuple(_notes([each for each in opt_outs if each.kind == "id"], records)),
    )


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").rstrip(".").lower()
    except ValueError:  # an address of nothing, such as `http://[`
        return ""


def _notes(opt_outs: Sequence[OptOut], records: Sequence[Record]) -> Iterator[str]:
    """A line for ids that no record has, with the one that was perhaps meant."""
    names = {name for record in records for name in (record.id, record.key)} if opt_outs else set()
    unknown = [each for each in opt_outs if each.value not in names]
    if not unknown:
        return
    yield f"opt-outs  {len(unknown):,} of {len(opt_outs):,} ids are of no record in this run; they are kept for later"
    spellings = {_spelling(name): name for name in names}
    for each in unknown[:_MAX_HINTS]:
        near = [spellings[_spelling(each.value)]] if _spelling(each.value) in spellings else []
        if not near and len(names) <= _MAX_COMPARED:
            near = difflib.get_close_matches(each.value, names, n=1, cutoff=0.85)
        if near:
            yield f"opt-outs  line {each.line}: {each.value!r} is of no record; did you mean {near[0]!r}?"


def _spelling(name: str) -> str:
    """The same for `https://Example.org/A%20b/` and `example.org/a b`."""
    return re.sub(r"^https?://(?:www\.)?", "", unquote(name).casefold()).strip(" /")
