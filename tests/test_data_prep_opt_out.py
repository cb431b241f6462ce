"""Opt-outs by id, domain, file and what is shown; hosts' terms and purposes on the whole road."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from data_prep.config import PrepConfig
from data_prep.opt_out import Exclusions, OptOut, read_opt_outs
from data_prep.pipeline import run_prep
from data_prep.sources.base import Drop
from data_prep.tasks import StoredPicture
from iconoclip.errors import ConfigError, SourceError
from iconoclip.files import sha256_file
from iconoclip.records import Record, RejectReason
from iconoclip.shards import Manifest, open_shards, splits

NUM_PICTURES = 12


def draw(seed: int, size=(64, 48)) -> Image.Image:
    """Random blocks: no two seeds are near-duplicates."""
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def root(tmp_path) -> Path:
    """Twelve pictures; two are CC BY-ND, one CC BY-NC, one of a domain of its own."""
    folder = tmp_path / "in"
    (folder / "img").mkdir(parents=True)
    licences = {1: "CC BY-ND 4.0", 2: "CC BY-ND 4.0", 3: "CC BY-NC 4.0"}
    lines = ["file,title,work,licence,page"]
    for number in range(NUM_PICTURES):
        draw(number).save(folder / f"img/{number}.jpg")
        page = f"https://{'img.museum' if number == 4 else 'library'}.example.org/{number}"
        lines.append(f"img/{number}.jpg,View {number},W{number},{licences.get(number, 'CC0')},{page}")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def make_config(root: Path, out: Path, source: dict | None = None, **options) -> PrepConfig:
    prints = {
        "kind": "local", "table": "metadata.csv", "institution": "Our Library", "language": "en", "use": "train",
        "captions": ["{title}"], "work_from": "{work}", "page_url": "{page}",
        "rights": {"all": {"value": "{licence}", "asserted_by": "Our Library", "source_url": "https://example.org"}},
        **(source or {}),
    }  # fmt: skip
    data = {
        "verb": "prep", "name": "ours", "out": out, "root": root, "workers": 1, "image": {"max_px": 64},
        "collections": {"prints": prints}, **options,
    }  # fmt: skip
    return PrepConfig.validate_data(data, where="test")


def write_list(folder: Path, *lines: str) -> Path:
    path = folder / "opt_out.csv"
    path.write_text("kind,value,who,why,since\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def rejected(out: Path) -> dict[str, str]:
    return {row["id"]: row["detail"] for row in pq.read_table(out / "ledger/rejected.parquet").to_pylist()}


def records(out: Path) -> list[Record]:
    return [record for split in splits(out) for record in open_shards(out, split).records()]


def test_ids_domains_files_and_what_is_shown_are_kept_out_with_who_and_why(root, tmp_path):
    first = run_prep(make_config(root, tmp_path / "all"))
    assert first.kept_for_training == NUM_PICTURES
    by_id = {record.id: record for record in records(tmp_path / "all")}
    stored = open_shards(tmp_path / "all", "train")
    jpeg_of_8 = next(
        stored.image_bytes(position) for position, each in enumerate(stored.records()) if each.id == "img/8.jpg"
    )
    (tmp_path / "8.jpg").write_bytes(jpeg_of_8)
    draw(6, (128, 96)).save(root / "img/6.jpg")  # the picture of which we know a hash, in a larger scan
    path = write_list(
        tmp_path,
        "id,img/0.jpg,A. Heir,asked by letter,2026-11-20",
        f"id,{by_id['img/10.jpg'].key},A. Heir,by its key,",
        "domain,museum.example.org,The museum,does not wish it,2026",
        f"SHA256,{by_id['img/5.jpg'].sha256.upper()},A. Heir,this file,",
        f"phash,{by_id['img/6.jpg'].phash},A. Heir,this picture,",
        f"sha256,{sha256_file(tmp_path / '8.jpg')},A. Heir,as it lies in the shards,",
        "id,never/there.jpg,A. Heir,perhaps later,",
    )  # fmt: skip
    out = tmp_path / "out"
    summary = run_prep(make_config(root, out, opt_out=path))
    assert summary.rejected == {"opted_out": 6}
    assert rejected(out) == {
        "img/0.jpg": "id img/0.jpg: A. Heir: asked by letter, since 2026-11-20",
        "img/10.jpg": f"id {by_id['img/10.jpg'].key}: A. Heir: by its key",
        "img/4.jpg": "domain museum.example.org: The museum: does not wish it, since 2026",
        "img/5.jpg": f"sha256 {by_id['img/5.jpg'].sha256}: A. Heir: this file",
        "img/6.jpg": f"phash {by_id['img/6.jpg'].phash}: A. Heir: this picture",
        "img/8.jpg": f"sha256 {sha256_file(tmp_path / '8.jpg')}: A. Heir: as it lies in the shards",
    }
    assert {record.id for record in records(out)} == {f"img/{number}.jpg" for number in (1, 2, 3, 7, 9, 11)}
    assert "1 of 3 ids are of no record in this run" in summary.to_text()
    assert "nothing to do" in run_prep(make_config(root, out, opt_out=path)).to_text()
    path.write_text(path.read_text().replace("phash", "#hash"))
    with pytest.raises(SourceError, match="line 6: kind is '#hash'"):
        run_prep(make_config(root, out, opt_out=path))


def test_a_line_that_fits_nothing_makes_nothing_anew_and_one_that_does_makes_the_set_anew(root, tmp_path):
    out = tmp_path / "out"
    run_prep(make_config(root, out))
    path = write_list(tmp_path, "id,other/1.jpg,A,b,")
    assert "nothing to do" in run_prep(make_config(root, out, opt_out=path)).to_text()
    path = write_list(tmp_path, "id,other/1.jpg,A,b,", "id,img/1.jpg,A,b,")
    summary = run_prep(make_config(root, out, opt_out=path))
    assert summary.rejected == {"opted_out": 1}
    assert len(records(out)) == NUM_PICTURES - 1


@pytest.mark.parametrize(("value", "meant"), [
    ("img/1.JPG", "img/1.jpg"), ("https://www.img/1.jpg/", "img/1.jpg"), ("img%2F1.jpg", "img/1.jpg"),
    ("img/11.jpeg", "img/11.jpg"),
])  # fmt: skip
def test_an_id_that_nearly_fits_is_hinted_at(root, tmp_path, value, meant):
    path = write_list(tmp_path, f"id,{value},A,b,")
    summary = run_prep(make_config(root, tmp_path / "out", opt_out=path), dry_run=True)
    assert f"line 2: {value!r} is of no record; did you mean {meant!r}?" in summary.to_text()


@pytest.mark.parametrize(("line", "message"), [
    ("name,x,A,b,", "line 2: kind is 'name'; write one of id, domain, sha256, phash"),
    ("id,,A,b,", "line 2: no value"),
    ("id,x,,b,", "line 2: say who does not want it and why"),
    ("id,x,A,,", "line 2: say who does not want it and why"),
    ("sha256,abc,A,b,", "line 2: sha256 is 'abc'; write 64 hexadecimal digits"),
    ("phash,xyz,A,b,", "line 2: phash is 'xyz'; write 16 hexadecimal digits"),
    ("domain,https://example.org/,A,b,", "line 2: domain is 'https://example.org/'; write a name"),
    ("domain,org,A,b,", "line 2: domain is 'org'"),
    ("id,x,A,b,yesterday", "line 2: since is 'yesterday'"),
    ("id,x,A,b,,more", "line 2: 6 cells under 5 columns"),
])  # fmt: skip
def test_bad_lines_are_named(tmp_path, line, message):
    with pytest.raises(SourceError, match=message):
        read_opt_outs(write_list(tmp_path, line))


def test_all_bad_lines_and_columns_are_named_at_once_and_doubles_count_once(tmp_path):
    with pytest.raises(SourceError, match="2 problems"):
        read_opt_outs(write_list(tmp_path, "id,,A,b,", "id,x,A,b,", "phash,1,A,b,"))
    assert len(read_opt_outs(write_list(tmp_path, "id,x,A,b,", "id,x,C,d,"))) == 1
    (tmp_path / "wrong.csv").write_text("id,who,why\n")
    with pytest.raises(SourceError, match=r"unknown: \['id'\], missing: \['kind', 'value'\]"):
        read_opt_outs(tmp_path / "wrong.csv")
    with pytest.raises(SourceError, match="no such file"):
        read_opt_outs(tmp_path / "none.csv")


def exclusions(*lines: tuple[str, str], **options) -> Exclusions:
    return Exclusions(
        opt_outs={line: OptOut(number, *line, "A", "b", "") for number, line in enumerate(lines, 2)}, **options
    )


@pytest.mark.parametrize(("url", "is_refused"), [
    ("https://example.org/1", True), ("http://IMG.Example.org:8080/1", True), ("https://a.b.example.org./x", True),
    ("https://notexample.org/1", False), ("https://example.org.evil.net/1", False), ("", False), ("http://[", False),
    ("https://example.com/?u=example.org", False), ("img/1.jpg", False),
])  # fmt: skip
def test_a_domain_takes_its_sub_domains_along_and_no_others(url, is_refused):
    found = exclusions(("domain", "example.org"))
    assert (found.refuse_address(url) is not None) == is_refused
    for field in ("page_url", "image_url", "iiif_service", "manifest"):
        drop = found.refuse_record(Record("1", "s", "i", **{field: url}))
        assert (drop is not None) == is_refused
        assert drop is None or drop.reason == RejectReason.OPTED_OUT


def test_perceptual_hashes_reach_as_far_as_near_duplicates_do():
    # 0x3f has six bits, 0x7f seven: with max_distance 6 the first is near 0, the second is not
    found = exclusions(("phash", "0" * 16), max_distance=6, file_only=frozenset({"drawn"}))
    near, far = StoredPicture(views=("f" * 16, f"{0x3F:016x}")), StoredPicture(views=("f" * 16, f"{0x7F:016x}"))
    assert isinstance(found.refuse_picture(Record("1", "s", "i"), near), Drop)
    assert found.refuse_picture(Record("1", "s", "i"), far) is None
    assert found.refuse_picture(Record("1", "drawn", "i"), near) is None  # compared by file alone
    assert found.refuse_picture(Record("1", "s", "i"), StoredPicture()) is None  # a blank page shows nothing


def test_the_set_says_what_may_not_be_passed_on_and_how_to_make_one_that_may(root, tmp_path):
    terms = {"rehost": "no", "url": "https://library.example.org/terms", "note": "no copies elsewhere"}
    out = tmp_path / "out"
    summary = run_prep(make_config(root, out))
    assert summary.permissions["redistribute"] == {"yes": 9, "non_commercial": 1, "no": 2}
    text = summary.to_text()
    assert "to train on           11 yes, 1 for non-commercial use" in text
    assert "2 records may not be passed on; `rights.purpose=redistribute`" in text
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "| to pass the stored, resized pictures on | 9 | 1 | 2 |" in card
    assert "**2 of these records may not be passed on**" in card
    assert "- 2 by `nd`: only unchanged pictures may be passed on" in card
    ledger = pq.read_table(out / "ledger/train-00000.parquet").to_pylist()
    answers = {row["id"]: (row["train"], row["redistribute"], row["publish"]) for row in ledger}
    assert answers["img/1.jpg"] == ("yes", "no", "yes")
    assert answers["img/3.jpg"] == ("non_commercial",) * 3
    passing = run_prep(make_config(root, tmp_path / "open", rights={"purpose": "redistribute"}))
    assert passing.rejected == {"rights_restricted": 2}
    assert "may not be passed on" not in passing.to_text() + (tmp_path / "open/README.md").read_text()
    held = run_prep(make_config(root, tmp_path / "held", {"terms": terms}))
    assert held.permissions["redistribute"] == {"no": NUM_PICTURES}
    assert held.permissions["train"] == {"yes": 11, "non_commercial": 1}
    record = records(tmp_path / "held")[0]
    assert [(each.raw, each.asserted_by, each.source_url) for each in record.rights if each.part == "terms"] == [
        ("no copies elsewhere", "library.example.org", "https://library.example.org/terms")
    ]
    card = (tmp_path / "held/README.md").read_text(encoding="utf-8")
    assert "- 12 by `no_rehost`: the host's terms forbid passing its pictures on" in card
    assert "| prints | terms | no copies elsewhere | library.example.org | 12 |" in card
    attribution = (tmp_path / "held/ATTRIBUTION.csv").read_text(encoding="utf-8").splitlines()
    assert attribution[0].endswith(",redistribute,terms")
    assert attribution[1].endswith(",no,https://library.example.org/terms")


def test_a_set_for_passing_on_of_a_host_that_forbids_it_is_empty_and_says_why(root, tmp_path):
    terms = {"rehost": "no", "url": "https://library.example.org/terms"}
    config = make_config(root, tmp_path / "out", {"terms": terms}, rights={"purpose": "redistribute"})
    summary = run_prep(config, dry_run=True)
    assert summary.rejected == {"rights_restricted": NUM_PICTURES}


def test_terms_need_an_address_where_they_can_be_read(root, tmp_path):
    with pytest.raises(ConfigError, match="url"):
        make_config(root, tmp_path, {"terms": {"rehost": "no", "url": "see our website"}})


def test_the_manifest_keeps_the_list_s_path_and_the_policy(root, tmp_path):
    path = write_list(tmp_path, "id,img/1.jpg,A,b,")
    run_prep(make_config(root, tmp_path / "out", opt_out=path, rights={"policy": {"nd": {"train": "no"}}}))
    config = json.loads(json.dumps(Manifest.read(tmp_path / "out").config))
    assert config["opt_out"] == str(path)
    assert config["rights"]["policy"] == {"nd": {"train": "no"}}
