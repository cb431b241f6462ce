"""OAI-PMH collections from the first page to the shards: tokens, deletions, news, interruptions."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers.http import Request, Response
from servers.oai import OaiRecord, OaiRepository, write_dc
from servers.replay import ReplayWorld, draw_picture
from servers.runs import playing

from data_prep.config import PrepConfig
from data_prep.pipeline import run_prep
from data_prep.summary import PrepSummary
from iconoclip.errors import IconoclipError
from iconoclip.records import Record
from iconoclip.shards import open_shards, splits

HOST = "oai.bnf.fr"


def make_record(number: int, *, day: int | None = None, title: str = "", rights: str = "domaine public") -> OaiRecord:
    ark = f"ark:/12148/btv1b{number:08d}"
    metadata = write_dc(
        identifier=f"https://gallica.bnf.fr/{ark}",
        title=title or f"Vue du château numéro {number} : [estampe] / Dupont",
        creator="Dupont, Jean (1801-1870). Graveur",
        date="1850",
        type="image fixe",
        rights=rights,
    )
    return OaiRecord(f"oai:bnf.fr:gallica/{ark}", f"2026-01-{day or number:02d}T10:00:00Z", metadata)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[OaiRepository], ReplayWorld]]:
    with playing(tmp_path, monkeypatch) as play:
        yield lambda repository: play({HOST: repository, "openapi.bnf.fr": draw_picture})


def configure(out: Path, **source: Any) -> PrepConfig:
    policy = {"requests_per_s": None, "backoff_s": 0.01, "max_backoff_s": 0.02, "max_attempts": 2}
    collection = {
        "kind": "oai_pmh", "url": f"http://{HOST}/oai2/OAIHandler", "sets": ["gallica:typedoc:images"],
        "institution": "Bibliothèque nationale de France", "language": "fr",
        "rights": {"text": {"value": "Licence Ouverte", "asserted_by": "BnF", "source_url": "https://www.bnf.fr"}},
    }  # fmt: skip
    return PrepConfig.model_validate(
        {
            "verb": "prep", "name": "set", "out": out, "workers": 1,
            "fetch": {"contact": "curator@library.example", "default": policy},
            "split": {"val": 0, "test": 0.3, "allow_one_sided": ["bnf", "fr"]}, "image": {"max_px": 64},
            "collections": {"bnf": collection | source},
        }
    )  # fmt: skip


def prep(out: Path, *, update: bool = False, limit: int | None = None, **source: Any) -> PrepSummary:
    return run_prep(configure(out, **source), update=update, limit=limit)


def read_records(out: Path) -> dict[str, Record]:
    found = [record for split in splits(out) for record in open_shards(out, split).records()]
    return {record.id.rpartition("btv1b")[2]: record for record in found}


def ids(*numbers: int) -> set[str]:
    return {f"{number:08d}" for number in numbers}


def test_list_becomes_shards(world: Callable[[OaiRepository], ReplayWorld], tmp_path: Path) -> None:
    repository = OaiRepository([make_record(n) for n in range(1, 8)])
    here = world(repository)
    summary = prep(tmp_path / "out")
    assert (summary.harvested, summary.kept_for_training) == (7, 7)
    records = read_records(tmp_path / "out")
    assert set(records) == ids(*range(1, 8))
    record = records["00000003"]
    assert record.creator == "Dupont, Jean"
    assert record.captions[0].text == "Vue du château numéro 3"
    assert record.captions[0].lang == "fr"
    assert (record.width, record.height) == (64, 48)
    assert record.rights_class == "public_domain" or record.rights_class == "open"
    assert all("/full/!64,64/" in target for target in here.pictures("openapi.bnf.fr"))
    assert len(here.pictures("openapi.bnf.fr")) == 7
    assert len(here.asked("openapi.bnf.fr")) == 8, "one info.json says what all services there speak"
    assert here.strays == []


def test_second_run_asks_nothing(world: Callable[[OaiRepository], ReplayWorld], tmp_path: Path) -> None:
    here = world(OaiRepository([make_record(n) for n in range(1, 8)]))
    prep(tmp_path / "out")
    count = len(here.requests)
    summary = prep(tmp_path / "out")
    assert "complete since" in summary.notes[0]
    assert len(here.requests) == count


def test_expired_token_loses_no_record(world: Callable[[OaiRepository], ReplayWorld], tmp_path: Path) -> None:
    repository = OaiRepository([make_record(n) for n in range(1, 12)], is_expired=lambda token, count: count == 4)
    world(repository)
    assert prep(tmp_path / "out").harvested == 11
    begins = [given["from"] for given in repository.asked if "from" in given]
    assert begins == ["2026-01-06T10:00:00Z"]


@pytest.mark.parametrize("status", [400, 404])
def test_token_refused_by_status_loses_no_record(
    world: Callable[[OaiRepository], ReplayWorld], tmp_path: Path, status: int
) -> None:
    repository = OaiRepository([make_record(n) for n in range(1, 12)])

    class Strict(OaiRepository):
        def __call__(self, request: Request) -> Response:
            is_late = len(self.asked) == 3
            reply = super().__call__(request)
            return Response(status) if is_late else reply

    world(Strict(repository.records))
    assert prep(tmp_path / "out").harvested == 11


def test_repeated_token_and_disorder_lose_no_record(
    world: Callable[[OaiRepository], ReplayWorld], tmp_path: Path
) -> None:
    days = [9, 2, 7, 4, 1, 8, 3, 6, 5, 11, 10]
    stuck = OaiRepository(
        [make_record(n, day=day) for n, day in enumerate(days, 1)],
        next_token=lambda token: token.rpartition("|")[0] + "|3",  # every page says that the second one follows
    )
    world(stuck)
    assert prep(tmp_path / "out").harvested == 11
    assert set(read_records(tmp_path / "out")) == ids(*range(1, 12))


def test_list_that_cannot_be_cut_says_so(world: Callable[[OaiRepository], ReplayWorld], tmp_path: Path) -> None:
    same_moment = [make_record(n, day=1) for n in range(1, 9)]
    world(OaiRepository(same_moment, is_expired=lambda token, count: True))
    with pytest.raises(IconoclipError, match="cannot be listed in smaller parts"):
        prep(tmp_path / "out")


def test_interrupted_list_goes_on_where_it_was(world: Callable[[OaiRepository], ReplayWorld], tmp_path: Path) -> None:
    repository = OaiRepository([make_record(n) for n in range(1, 12)], fail_after=1)
    world(repository)
    with pytest.raises(IconoclipError, match="run the same command again"):
        prep(tmp_path / "out")
    repository.fail_after = None
    asked = len(repository.asked)
    assert prep(tmp_path / "out").harvested == 11
    assert [given["verb"] for given in repository.asked[asked:]] == ["ListRecords"] * 4  # Identify is known


def test_update_fetches_what_changed_and_honours_deletions(
    world: Callable[[OaiRepository], ReplayWorld], tmp_path: Path
) -> None:
    repository = OaiRepository([make_record(n) for n in range(1, 8)])
    here = world(repository)
    prep(tmp_path / "out")
    pictures = len(here.pictures("openapi.bnf.fr"))
    later = "2099-01-01T00:00:00Z"
    gone = OaiRecord(repository.records[1].identifier, later, "")
    changed = make_record(3, title="Le pont neuf")
    changed.datestamp = later
    fresh = make_record(8)
    fresh.datestamp = later
    repository.records[1:3] = [gone, changed]
    repository.records.append(fresh)
    assert prep(tmp_path / "out").harvested == 7, "without --update nobody is asked"
    asked = len(repository.asked)
    summary = prep(tmp_path / "out", update=True)
    assert summary.rejected == {"deleted": 1}
    assert summary.harvested == 8
    assert any(note.endswith("  1 new, 1 changed, 1 gone") for note in summary.notes)
    records = read_records(tmp_path / "out")
    assert set(records) == ids(1, 3, 4, 5, 6, 7, 8)
    assert records["00000003"].captions[0].text == "Le pont neuf"
    assert [given.get("from", "")[:4] for given in repository.asked[asked:]] == ["", "2026"]
    assert len(here.pictures("openapi.bnf.fr")) == pictures + 1


def test_update_without_notice_of_deletions_lists_all(
    world: Callable[[OaiRepository], ReplayWorld], tmp_path: Path
) -> None:
    repository = OaiRepository([make_record(n) for n in range(1, 8)], deleted="no")
    world(repository)
    prep(tmp_path / "out")
    del repository.records[2]
    assert prep(tmp_path / "out", update=True).harvested == 6
    assert set(read_records(tmp_path / "out")) == ids(1, 2, 4, 5, 6, 7)


def test_limit_takes_few_and_the_full_run_goes_on(
    world: Callable[[OaiRepository], ReplayWorld], tmp_path: Path
) -> None:
    repository = OaiRepository([make_record(n) for n in range(1, 12)])
    world(repository)
    assert prep(tmp_path / "out", limit=4).harvested == 4
    assert len(repository.asked) == 3  # Identify and two pages
    assert prep(tmp_path / "out").harvested == 11
    assert len(repository.asked) == 5


def test_server_that_refuses_is_quoted(world: Callable[[OaiRepository], ReplayWorld], tmp_path: Path) -> None:
    repository = OaiRepository([make_record(1)])
    world(repository)
    with pytest.raises(IconoclipError, match="yields no record"):
        prep(tmp_path / "out", from_date="2027-01-01")


def test_rights_and_pictures_are_accounted_for(world: Callable[[OaiRepository], ReplayWorld], tmp_path: Path) -> None:
    restricted = make_record(2, rights="conditions spécifiques d'utilisation")
    world(OaiRepository([make_record(1), restricted, make_record(3), make_record(4)]))
    summary = prep(tmp_path / "out")
    assert summary.rejected == {"rights_restricted": 1}
    assert set(read_records(tmp_path / "out")) == ids(1, 3, 4)
