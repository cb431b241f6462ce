"""A table whose pictures lie on the web: fetched politely, converted, accounted for."""

from pathlib import Path
from typing import Any

import pytest
from servers.http import Request, Response
from servers.replay import draw_picture
from servers.runs import played

from data_prep.config import PrepConfig
from data_prep.pipeline import run_prep
from iconoclip.errors import IconoclipError
from iconoclip.shards import open_shards, splits


def answer(request: Request) -> Response:
    return Response(404) if "gone" in request.path else draw_picture(request)


def configure(folder: Path, addresses: list[str], **fetch: Any) -> PrepConfig:
    rows = "".join(f"{n},{address},Tower number {n}\n" for n, address in enumerate(addresses))
    (folder / "table.csv").write_text(f"id,address,title\n{rows}", encoding="utf-8")
    statement = {"value": "CC0 1.0", "asserted_by": "The Library", "source_url": "https://library.example"}
    return PrepConfig.model_validate(
        {
            "verb": "prep", "name": "set", "out": folder / "out", "root": folder, "workers": 1, "image": {"max_px": 64},
            "fetch": {"contact": "a@library.example", "default": {"requests_per_s": None, "max_attempts": 1}} | fetch,
            "collections": {
                "towers": {
                    "kind": "local", "table": "table.csv", "institution": "The Library", "language": "en", "id": "{id}",
                    "image": "{address}", "work_from": "{id}", "captions": ["{title}"], "rights": {"all": statement},
                }
            },
        }
    )  # fmt: skip


def test_pictures_of_a_table_come_from_the_web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = [f"https://iiif.library.example/{n}/info.json" for n in range(6)]
    addresses += [f"http://www.library.example/{n}.jpg" for n in range(6)]
    addresses += ["https://www.library.example/gone.jpg", "pipe:rm -rf x", "file:///etc/passwd"]
    hosts = {"iiif.library.example": answer, "www.library.example": answer}
    with played(hosts, tmp_path, monkeypatch) as world:
        summary = run_prep(configure(tmp_path, addresses))
        num_asked = len(world.requests)
        assert summary.rejected == {"image_missing": 3}
        assert "complete since" in run_prep(configure(tmp_path, addresses)).notes[0]
        assert len(world.requests) == num_asked
    records = [
        record for split in splits(tmp_path / "out") for record in open_shards(tmp_path / "out", split).records()
    ]
    assert len(records) == 12
    assert {record.image_url for record in records} == set(addresses[:12])
    assert {(record.width, record.height) for record in records} == {(64, 48)}
    assert all(record.tdm.startswith("robots=none") for record in records)
    assert all("/full/!64,64/" in target for target in world.pictures("iiif.library.example"))
    letter = (tmp_path / "out.store" / "requests.txt").read_text(encoding="utf-8")
    assert "iiif.library.example" in letter
    assert "a@library.example" in letter


def test_without_contact_nothing_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with played({"www.library.example": answer}, tmp_path, monkeypatch) as world:
        with pytest.raises(IconoclipError, match=r"fetch\.contact is missing"):
            run_prep(configure(tmp_path, ["https://www.library.example/1.jpg"], contact=None))
        assert world.requests == []


def test_card_in_place_of_missing_pictures_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = draw_picture(Request("/card.jpg", {}, 0.0))

    def serve(request: Request) -> Response:
        return card if "missing" in request.path else draw_picture(request)

    addresses = [f"http://www.library.example/missing-{n}.jpg" for n in range(5)]
    addresses += [f"http://www.library.example/{n}.jpg" for n in range(30)]
    with played({"www.library.example": serve}, tmp_path, monkeypatch):
        summary = run_prep(configure(tmp_path, addresses))
    assert summary.rejected == {"image_placeholder": 5}
    assert summary.kept_for_training == 30


def test_a_sample_does_not_replace_a_whole_set_and_reasons_are_always_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = [f"http://www.library.example/{n}.jpg" for n in range(30)] + ["http://www.library.example/gone.jpg"]
    with played({"www.library.example": answer}, tmp_path, monkeypatch):
        config = configure(tmp_path, addresses)
        summary = run_prep(config)
        assert "image_missing" in summary.to_text()
        assert "for example 30: http_404: HTTP 404 (http://www.library.example/gone.jpg)" in summary.to_text()
        rows = (tmp_path / "out" / "rejected.csv").read_text(encoding="utf-8-sig").splitlines()
        assert rows[1].startswith("towers,image_missing,30,http_404")
        with pytest.raises(IconoclipError, match="holds a whole set, which --limit 2 would replace"):
            run_prep(config, limit=2)
        assert len(run_prep(config, limit=2, dry_run=True).samples["towers"]) == 2
    with played({"www.library.example": lambda request: Response(404)}, tmp_path, monkeypatch):
        broken = configure(tmp_path, [f"http://www.library.example/other-{n}.jpg" for n in range(60)])
        elsewhere = broken.model_copy(update={"out": tmp_path / "elsewhere", "store": tmp_path / "elsewhere.store"})
        with pytest.raises(
            IconoclipError, match=r"60 image_missing \(http_404\); for example 0: http_404.*rejected\.csv"
        ):
            run_prep(elsewhere)
        assert len((tmp_path / "elsewhere" / "rejected.csv").read_text(encoding="utf-8-sig").splitlines()) == 61


def test_keys_do_not_get_into_the_configuration(tmp_path: Path) -> None:
    source = {"kind": "oai_pmh", "url": "http://www.library.example/oai?wskey=k-secret-123", "institution": "Library"}
    values = configure(tmp_path, []).to_json() | {"collections": {"towers": source}}
    with pytest.raises(IconoclipError, match="url holds a key, which would stand in the manifest") as caught:
        PrepConfig.validate_data(values, where="test")
    assert "k-secret-123" not in str(caught.value)
    values = configure(tmp_path, []).to_json()
    values["fetch"] = {"hosts": {"www.library.example": {"params_from_env": {"wskey": "k-secret-123"}}}}
    with pytest.raises(IconoclipError, match="is the name of an environment variable") as caught:
        PrepConfig.validate_data(values, where="test")
    assert "k-secret-123" not in str(caught.value)
