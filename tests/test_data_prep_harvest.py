"""What a harvest remembers and mends: damaged answers, lost bodies, archives, several collections at once."""

import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import pytest
from servers.http import Request, Response
from servers.oai import OaiRecord, OaiRepository, write_dc
from servers.replay import draw_picture
from servers.runs import played

from data_prep.config import PrepConfig
from data_prep.harvest.document import find_files
from data_prep.harvest.journal import FILE_NAME, DocumentRow, Journal
from data_prep.pipeline import run_prep
from iconoclip.errors import IconoclipError, SourceError

NOW = "2026-11-20T10:00:00Z"


def make_records(host: str, count: int) -> list[OaiRecord]:
    return [
        OaiRecord(
            f"oai:{host}:{n}",
            f"2026-01-{n + 1:02d}T10:00:00Z",
            write_dc(
                identifier=f"http://{host}/object/{n}",
                title=f"A view of tower number {n}",
                rights="https://creativecommons.org/publicdomain/mark/1.0/",
                relation=f"http://{host}/picture/{n}.jpg",
            ),
        )
        for n in range(count)
    ]


class Library:
    """A repository and its pictures; ``spoil(number of the request)`` may give another answer to an OAI request."""

    def __init__(self, host: str, *, count: int = 8, spoil: Any = lambda number, answer: answer) -> None:
        self.repository, self._spoil = OaiRepository(make_records(host, count)), spoil

    def __call__(self, request: Request) -> Response:
        if request.path.startswith("/picture/"):
            return draw_picture(request)
        answer = self.repository(request)
        return self._spoil(len(self.repository.asked), answer)


def configure(folder: Path, *hosts: str) -> PrepConfig:
    policy = {"requests_per_s": None, "backoff_s": 0.01, "max_backoff_s": 0.02, "max_attempts": 2}
    stated = {"value": "CC0 1.0", "asserted_by": "The Library", "source_url": "https://library.example"}
    collections = {
        host.partition(".")[0]: {
            "kind": "oai_pmh", "url": f"http://{host}/oai", "institution": host, "language": "en",
            "rights": {"text": stated},
        }
        for host in hosts
    }  # fmt: skip
    return PrepConfig.model_validate(
        {
            "verb": "prep", "name": "set", "out": folder / "out", "workers": 1, "image": {"max_px": 64},
            "fetch": {"contact": "curator@library.example", "default": policy}, "collections": collections,
            "split": {"val": 0, "test": 0.3},
        }
    )  # fmt: skip


SPOILT = {
    "truncated": lambda answer: Response(body=answer.body[: len(answer.body) // 2], headers=answer.headers),
    "web page": lambda answer: Response(body=b"<!doctype html><html><body>Maintenance</body></html>"),
    "empty": lambda answer: Response(body=b"", headers=answer.headers),
}


@pytest.mark.parametrize("how", sorted(SPOILT))
def test_page_that_was_spoilt_is_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    library = Library("one.example", spoil=lambda number, answer: SPOILT[how](answer) if number == 3 else answer)
    with played({"one.example": library}, tmp_path, monkeypatch):
        assert run_prep(configure(tmp_path, "one.example")).harvested == 8


def test_one_collection_that_fails_leaves_the_others_their_harvest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Library("two.example", spoil=lambda number, answer: Response(404) if number > 1 else answer)
    hosts = {"one.example": Library("one.example"), "two.example": broken}
    with played(hosts, tmp_path, monkeypatch) as world:
        with pytest.raises(SourceError, match=r"^collection two: http://two\.example/oai\?verb=ListRecords.*http_404"):
            run_prep(configure(tmp_path, *hosts))
        asked = len(world.asked("one.example"))
        broken._spoil = lambda number, answer: answer
        assert run_prep(configure(tmp_path, *hosts)).harvested == 16
        metadata = [target for target in world.asked("one.example")[asked:] if "oai" in target]
        assert metadata == []


def test_lost_body_is_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with played({"one.example": Library("one.example")}, tmp_path, monkeypatch):
        config = configure(tmp_path, "one.example")
        run_prep(config, limit=None)
        harvest = config.collections["one"].harvest_id  # type: ignore[attr-defined]
        with Journal(config.store_folder) as journal:
            lost = [each for each in journal.documents(harvest) if each.kind == "page"][1]
        assert lost.path is not None
        lost.path.unlink()
        summary = run_prep(config)
        assert "one: asked again for 1 documents, 1 came" in summary.notes
        assert summary.harvested == 8


def test_same_journal_is_not_written_by_another_version(tmp_path: Path) -> None:
    with Journal(tmp_path):
        pass
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        db.execute("pragma user_version = 99")
    db.close()
    with pytest.raises(IconoclipError, match="version 99"):
        Journal(tmp_path)
    (tmp_path / FILE_NAME).write_bytes(b"not a database, but long enough to be taken for one by its size" * 20)
    with pytest.raises(IconoclipError, match="move it away"):
        Journal(tmp_path)


def test_full_sweep_replaces_and_delta_adds(tmp_path: Path) -> None:
    def row(url: str) -> DocumentRow:
        return DocumentRow(url, url, "page", sha256="0" * 64, num_bytes=1)

    with Journal(tmp_path) as journal:
        for number, urls in enumerate((["a", "b"], ["c"], ["d", "e"], ["f"])):
            journal.begin("h", since="", now=NOW)
            journal.set_full("h", number, is_full=number in (0, 2))
            for url in urls:
                journal.put("h", number, row(url))
            journal.finish("h", number, now=NOW)
        assert [document.url for document in journal.documents("h")] == ["d", "e", "f"]
        assert {document.seen_on for document in journal.documents("h")} == {"2026-11-20"}
        journal.put("h", 2, row("d"))
        assert [document.url for document in journal.documents("h")] == ["d", "e", "f"], "an answer keeps its place"


def test_archives_are_read_without_being_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "dump.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../outside.xml", "<a/>")
        archive.writestr("bomb.xml", b"0" * 50_000_000)
        archive.writestr("picture.exe", "MZ")
        archive.writestr("record.xml", "<record/>")
    (tmp_path / "plain.xml").write_text("<plain/>", encoding="utf-8")
    documents = {document.url: document for document in find_files(tmp_path, "*")}
    assert sorted(documents) == ["dump.zip!../../outside.xml", "dump.zip!bomb.xml", "dump.zip!record.xml", "plain.xml"]
    assert documents["dump.zip!record.xml"].read() == b"<record/>"
    assert documents["dump.zip!../../outside.xml"].read() == b"<a/>"
    with pytest.raises(SourceError, match="bomb"):
        documents["dump.zip!bomb.xml"].read()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["dump.zip", "plain.xml"]


def test_no_file_and_no_archive_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no file there"):
        list(find_files(tmp_path, "dumps/*.xml"))
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(SourceError, match="not a zip"):
        list(find_files(tmp_path, "*.zip"))


def test_opted_out_host_is_not_asked_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "opt_out.csv").write_text(
        "kind,value,who,why,since\ndomain,one.example,The Library,asked us by letter,2026-11-01\n", encoding="utf-8"
    )
    with played({"one.example": Library("one.example")}, tmp_path, monkeypatch) as world:
        config = configure(tmp_path, "one.example").model_copy(update={"opt_out": tmp_path / "opt_out.csv"})
        with pytest.raises(SourceError, match=r"opted_out: domain one\.example: The Library: asked us by letter"):
            run_prep(config)
        assert world.requests == []


def test_pattern_of_files_may_be_absolute(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<a/>", encoding="utf-8")
    assert [document.read() for document in find_files(Path("elsewhere"), f"{tmp_path}/*.xml")] == [b"<a/>"]
