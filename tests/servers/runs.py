"""Prepare web collections in a test: a fast and small configuration, hosts that are played, records read back.

with played({"api.nb.no": catalogue, "www.nb.no": draw_picture}, tmp_path, monkeypatch) as world:
    summary = run_prep(configure(tmp_path / "out", {"nb": {"kind": "nb_no", ...}}))
read_records(tmp_path / "out")
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from data_prep.config import PrepConfig
from iconoclip.config import read_data
from iconoclip.records import Record
from iconoclip.shards import open_shards, splits

from .replay import Answer, ReplayWorld

Play = Callable[[Mapping[str, Answer]], ReplayWorld]
POLICY = {"requests_per_s": None, "backoff_s": 0.01, "max_backoff_s": 0.02, "max_attempts": 2}


@contextmanager
def played(answers: Mapping[str, Answer], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReplayWorld]:
    """The hosts of ``answers`` for every fetcher of this process."""
    folder.mkdir(exist_ok=True)
    with ReplayWorld(answers, folder) as world:
        world.enter(monkeypatch)
        yield world


@contextmanager
def playing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    """``play({host: answer})`` puts another world in the place of the one before; all end together."""
    numbers = count()
    with ExitStack() as worlds:
        yield lambda answers: worlds.enter_context(played(answers, folder / f"world{next(numbers)}", monkeypatch))


def configure(
    out: Path, collections: dict[str, dict[str, Any]], *, hosts: dict[str, Any] | None = None, **more: Any
) -> PrepConfig:
    """One worker, pictures of 64 px, no waiting; every language and collection may lie on one side of the split."""
    return PrepConfig.model_validate(
        {
            "verb": "prep", "name": "set", "out": out, "workers": 1, "image": {"max_px": 64},
            "fetch": {"contact": "curator@library.example", "default": POLICY,
                      "hosts": {name: POLICY | policy for name, policy in (hosts or {}).items()}},
            "split": {"val": 0, "test": 0.3, "allow_one_sided": [*collections, "nl", "de", "fr", "en", "no", "nb", "nn",
                                                                 "se", "und", "es", "sv", "it", "la", "el", "ro"]},
            "collections": collections, **more,
        }
    )  # fmt: skip


def read_records(out: Path) -> dict[str, Record]:
    """All records of a set, by identifier."""
    return {record.id: record for split in splits(out) for record in open_shards(out, split).records()}


def read_rejected(out: Path) -> dict[str, tuple[str, str]]:
    """Reason and detail of what was rejected, by identifier."""
    rows = pq.read_table(out / "ledger" / "rejected.parquet").to_pylist()
    return {row["id"]: (row["reason"], row["detail"]) for row in rows}


def all_bytes(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file under ``folder`` with its bytes; Parquet files, which are compressed, also as text."""
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        yield path.relative_to(folder).as_posix(), path.read_bytes()
        if path.suffix == ".parquet":
            yield path.name, str(pq.read_table(path).to_pylist()).encode()


def load_profile(name: str, out: Path) -> PrepConfig:
    """``configs/prep/NAME.yaml`` as it is, with another ``out``, a contact, and nobody to be polite to."""
    path = Path(__file__).resolve().parents[2] / "configs" / "prep" / f"{name}.yaml"
    data = read_data(path, [f"out={out}", "fetch.contact=curator@library.example"])
    fetch = data["fetch"]
    fetch["default"] = POLICY
    fetch["hosts"] = {host: policy | POLICY for host, policy in fetch["hosts"].items()}
    return PrepConfig.validate_data(data, where=str(path))
