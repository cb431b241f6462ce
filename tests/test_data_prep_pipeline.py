"""The whole of prep on small collections: sums, bad inputs, resumption, workers, overrides, checks."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from data_prep import pipeline
from data_prep.config import PrepConfig
from data_prep.local_files import PICTURE_SUFFIXES
from data_prep.pipeline import run_prep
from iconoclip.errors import IconoclipError, SourceError
from iconoclip.files import sha256_file
from iconoclip.records import fold_of
from iconoclip.shards import Manifest, open_shards, splits

COLUMNS = ("file", "title", "english", "work", "licence")
NUM_WORKS = 24


def picture(seed: int, size=(64, 48)) -> Image.Image:
    """Random blocks: no two seeds are near-duplicates."""
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize(size, Image.Resampling.BICUBIC)


def make_collection(folder: Path, *, seed: int = 0, extra: list[dict[str, str]] = []) -> Path:  # noqa: B006
    """24 works of two pictures each, and ``extra`` rows."""
    (folder / "img").mkdir(parents=True)
    rows = []
    for number in range(2 * NUM_WORKS):
        picture(seed + number).save(folder / "img" / f"{number}.jpg")
        rows.append({
            "file": f"img/{number}.jpg", "title": f"Vue numéro {number}", "english": f"View number {number}",
            "work": f"W{number // 2}", "licence": "CC0",
        })  # fmt: skip
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows([*rows, *extra])
    return folder


def collection(table: str, **options) -> dict:
    return {
        "kind": "local", "table": table, "institution": "Our Library", "language": "fr", "work_from": "{work}",
        "captions": ["{title}", {"value": "{english}", "lang": "en", "level": "page"}],
        "rights": {"all": {"value": "{licence}", "asserted_by": "Our Library", "source_url": "https://example.org"}},
        **options,
    }  # fmt: skip


def make_config(root: Path, out: Path, collections: dict | None = None, **options) -> PrepConfig:
    data = {
        "verb": "prep", "name": "ours", "out": out, "root": root, "workers": 1, "image": {"max_px": 64},
        "collections": collections or {"prints": collection("a/metadata.csv")},
        **options,
    }  # fmt: skip
    return PrepConfig.validate_data(data, where="test")


def tars(out: Path) -> dict[str, str]:
    return {path.relative_to(out).as_posix(): sha256_file(path) for path in sorted(out.rglob("*.tar"))}


def row(**cells: str) -> dict[str, str]:
    return {"file": "img/x.jpg", "title": "Titre", "english": "Title", "work": "X", "licence": "CC0", **cells}


def test_every_bad_input_is_counted_with_its_reason_and_nothing_is_lost(tmp_path):
    bad = [
        row(file="img/none.jpg"),
        row(file="../../etc/passwd"),
        row(file="/etc/passwd"),
        row(file="img/broken.jpg"),
        row(file="img/cut.jpg"),
        row(file="img/bomb.png"),
        row(file="img/link.jpg"),
        row(file="img/0.jpg"),  # an id that is taken
        row(file=""),
        row(file="img/1b.jpg", title="", english=" "),
        row(file="img/2b.jpg", title="[Sans titre]", english="12"),
        row(file="img/3b.jpg", licence=""),
        row(file="img/4b.jpg", licence="Tous droits réservés"),
    ]
    root = make_collection(tmp_path / "in" / "a", extra=bad).parent
    (root / "a/img/broken.jpg").write_bytes(b"no picture")
    (root / "a/img/cut.jpg").write_bytes((root / "a/img/3.jpg").read_bytes()[:700])
    Image.new("1", (12_000, 12_000)).save(root / "a/img/bomb.png")
    (tmp_path / "outside.jpg").write_bytes((root / "a/img/3.jpg").read_bytes())
    (root / "a/img/link.jpg").symlink_to(tmp_path / "outside.jpg")
    out = tmp_path / "out"
    summary = run_prep(make_config(root, out, image={"max_px": 64, "max_source_px": 100_000_000}))
    want = {
        "image_missing": 1, "image_outside_root": 3, "image_broken": 2, "image_too_large": 1, "id_duplicate": 1,
        "id_missing": 1, "caption_empty": 2, "rights_unstated": 1, "rights_restricted": 1,
    }  # fmt: skip
    assert summary.rejected == want
    assert summary.harvested == 48 + 13 == summary.kept_for_training + summary.num_rejected
    assert "48 + 0 + 13 = 61" in summary.to_text()
    ledger = pq.read_table(out / "ledger/rejected.parquet").to_pylist()
    assert {reason: sum(each["reason"] == reason for each in ledger) for reason in want} == want
    assert all(each["detail"] and each["first_seen"] for each in ledger)
    kept = sum(pq.read_table(path).num_rows for path in (out / "ledger").glob("*-00000.parquet"))
    assert kept == sum(summary.splits.values()) == 48


def test_shards_ledger_manifest_and_attribution_agree(tmp_path):
    out = tmp_path / "out"
    run_prep(make_config(make_collection(tmp_path / "in" / "a").parent, out))
    manifest = Manifest.read(out)
    assert splits(out) == ["train", "val", "test"]
    with (out / "ATTRIBUTION.csv").open(encoding="utf-8") as file:
        attributed = {line["key"]: line for line in csv.DictReader(file)}
    seen = {}
    for split in splits(out):
        shards = open_shards(out, split)
        for position, record in enumerate(shards.records()):
            assert record.split == split
            assert shards.text(position) == next(
                each.text for each in record.captions if each.lang == "en"
            )  # page first
            assert attributed[record.key]["rights_image"].startswith("http://creativecommons.org/publicdomain/zero")
            assert len(record.sha256) == 64
            assert len(record.phash) == 16
            assert (record.width, record.height, record.orig_width) == (64, 48, 64)
            assert seen.setdefault(record.work_group, split) == split  # both views of a work lie together
    assert len(attributed) == sum(shard.num_records for shard in manifest.shards) == 48
    assert {shard.path: shard.sha256 for shard in manifest.shards} == tars(out)
    assert not (out / ".state").exists()


def test_one_and_two_workers_and_a_second_run_give_the_same_bytes(tmp_path):
    root = make_collection(tmp_path / "in" / "a").parent
    make_collection(root / "b", seed=1000)
    collections = {
        "a": collection("a/metadata.csv"),
        "b": collection("b/metadata.csv", id="b/{file}", work_from="b{work}"),
    }
    run_prep(make_config(root, tmp_path / "one", collections))
    run_prep(make_config(root, tmp_path / "two", collections, workers=2))
    assert tars(tmp_path / "one") == tars(tmp_path / "two") != {}
    again = run_prep(make_config(root, tmp_path / "one", collections, workers=2))
    assert "nothing to do" in again.to_text()


@pytest.mark.parametrize("moment", ["process_chunk", "process_shard", "write_card", "_write_manifest"])
def test_a_run_killed_at_any_moment_is_finished_with_the_same_bytes(tmp_path, moment):
    root = make_collection(tmp_path / "in" / "a").parent
    config = make_config(root, tmp_path / "out")
    run_prep(make_config(root, tmp_path / "reference"))
    # A real SIGKILL in a process of its own, at the second call (the first for what is called once).
    script = f"""
import os, signal
from pathlib import Path
from data_prep import pipeline, tasks
from data_prep.config import PrepConfig
pipeline.CHUNK_SIZE = 16
calls, original = [], pipeline.{moment}
def die(*args, **kwargs):
    calls.append(1)
    if len(calls) == {2 if moment.startswith("process") else 1}:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*args, **kwargs)
pipeline.{moment} = die
pipeline.run_prep(PrepConfig.load(Path({str(tmp_path / "run.json")!r})))
"""
    (tmp_path / "run.json").write_text(json.dumps({"config": config.to_json()}))
    killed = subprocess.run([sys.executable, "-c", script], env=os.environ, check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "out/manifest.json").exists()
    assert (tmp_path / "out/.state").is_dir()
    (tmp_path / "out/train").mkdir(exist_ok=True)
    for name in (".README.md.1.tmp", "train/.ours-00000.tar.1.tmp"):  # killed in the middle of a file
        (tmp_path / "out" / name).write_text("half")
    summary = run_prep(config)
    assert summary.harvested == 48
    assert tars(tmp_path / "out") == tars(tmp_path / "reference")
    assert not list((tmp_path / "out").rglob("*.tmp"))


def test_finished_pictures_are_not_made_again(tmp_path, monkeypatch):
    config = make_config(make_collection(tmp_path / "in" / "a").parent, tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "_write_manifest", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run_prep(config)
    run_prep(config)
    lines = [json.loads(line) for line in (tmp_path / "out/prep.jsonl").read_text().splitlines()]
    assert lines
    assert all(line["from_state"] for line in lines)


def test_a_changed_configuration_replaces_the_set_and_leaves_nothing_old(tmp_path):
    root = make_collection(tmp_path / "in" / "a").parent
    make_collection(root / "b", seed=1000)
    both = {
        "a": collection("a/metadata.csv"),
        "b": collection("b/metadata.csv", use="evaluate", captions=["one label"]),
    }
    both["b"] |= {"id": "b/{file}", "work_from": "b{work}"}
    run_prep(make_config(root, tmp_path / "out", both))
    assert "eval/b" in splits(tmp_path / "out")
    run_prep(make_config(root, tmp_path / "out", {"a": both["a"]}, seed=1))
    run_prep(make_config(root, tmp_path / "fresh", {"a": both["a"]}, seed=1))
    assert tars(tmp_path / "out") == tars(tmp_path / "fresh")
    assert {path.name for path in (tmp_path / "out/ledger").iterdir()} == {
        path.name for path in (tmp_path / "fresh/ledger").iterdir()
    }


def test_a_changed_picture_or_table_is_seen(tmp_path):
    root = make_collection(tmp_path / "in" / "a").parent
    config = make_config(root, tmp_path / "out")
    run_prep(config)
    before = tars(tmp_path / "out")
    picture(7777).save(root / "a/img/0.jpg")
    assert "nothing to do" not in run_prep(config).to_text()
    assert tars(tmp_path / "out") != before


def test_near_duplicates_join_their_works_across_collections(tmp_path):
    root = make_collection(tmp_path / "in" / "a").parent
    make_collection(root / "b", seed=1000)
    picture(0, (128, 96)).save(root / "b/img/5.jpg")  # a larger scan of a/img/0.jpg
    options = {"id": "b/{file}", "work_from": "b{work}"}
    collections = {"a": collection("a/metadata.csv"), "b": collection("b/metadata.csv", **options)}
    summary = run_prep(make_config(root, tmp_path / "out", collections))
    assert summary.near_duplicates == {"num_groups": 1, "num_pictures": 2, "works_before": 48, "works_after": 47}
    records = [
        record for split in splits(tmp_path / "out") for record in open_shards(tmp_path / "out", split).records()
    ]
    twins = [record for record in records if record.dup_group]
    assert {record.id for record in twins} == {"img/0.jpg", "b/img/5.jpg"}
    assert len({record.work_group for record in twins}) == len({record.split for record in twins}) == 1


def test_an_evaluation_picture_in_train_stops_or_is_dropped_and_counted(tmp_path):
    root = make_collection(tmp_path / "in" / "a").parent
    make_collection(root / "b", seed=1000)
    (root / "b/img/9.jpg").write_bytes((root / "a/img/4.jpg").read_bytes())
    evaluate = {"use": "evaluate", "id": "b/{file}", "work_from": "b{work}", "captions": ["a view"], "institution": "B"}
    collections = {"a": collection("a/metadata.csv"), "b": collection("b/metadata.csv", **evaluate)}
    with pytest.raises(IconoclipError, match=r"records of collections for training are pictures or documents") as error:
        run_prep(make_config(root, tmp_path / "out", collections))
    assert "img/4.jpg (a)" in str(error.value)
    assert not tars(tmp_path / "out")
    summary = run_prep(make_config(root, tmp_path / "out", collections, dedup={"evaluation_overlap": "drop"}))
    # the picture and the other view of its work
    assert summary.rejected == {"duplicate_of_evaluation": 2}
    assert (summary.kept_for_training, summary.kept_for_evaluation, summary.harvested) == (46, 48, 96)


def test_a_document_of_an_evaluation_collection_in_train_stops(tmp_path):
    root = make_collection(tmp_path / "in" / "a").parent
    make_collection(root / "b", seed=1000)
    evaluate = {"use": "evaluate", "id": "b/{file}", "captions": ["a view"]}  # the same institution and works
    collections = {"a": collection("a/metadata.csv"), "b": collection("b/metadata.csv", **evaluate)}
    with pytest.raises(IconoclipError, match="48 records of collections for training"):
        run_prep(make_config(root, tmp_path / "out", collections))


@pytest.mark.parametrize("how", ["inline", "file", "label"])
def test_a_prompt_of_a_benchmark_is_no_training_caption(tmp_path, how):
    root = make_collection(tmp_path / "in" / "a").parent
    collections = {"a": collection("a/metadata.csv")}
    options: dict = {}
    if how == "inline":
        options["forbidden_captions"] = ["view NUMBER 7."]
    elif how == "file":
        (tmp_path / "prompts.txt").write_text("# prompts\nView number 7\n")
        options["forbidden_caption_files"] = [tmp_path / "prompts.txt"]
    else:
        make_collection(root / "b", seed=1000)
        label = {"use": "evaluate", "id": "b/{file}", "work_from": "b{work}", "captions": ["View number 7"]}
        collections["b"] = collection("b/metadata.csv", **label)
    with pytest.raises(IconoclipError, match=r"1 captions for training are prompts .*'View number 7' at img/7.jpg"):
        run_prep(make_config(root, tmp_path / "out", collections, **options))


def test_a_collection_or_language_on_one_side_stops_unless_the_configuration_says_so(tmp_path):
    root = make_collection(tmp_path / "in" / "a").parent
    split = {"val": 0, "test": 0}
    with pytest.raises(IconoclipError) as error:
        run_prep(make_config(root, tmp_path / "out", split=split))
    assert "collection prints: none of its 48 records (24 works) is in test" in str(error.value)
    assert "language fr: no caption of it is in test" in str(error.value)
    said = {**split, "allow_one_sided": ["prints", "fr", "en"]}
    assert run_prep(make_config(root, tmp_path / "out", split=said)).splits == {"train": 48}
    only_train = {"prints": collection("a/metadata.csv", use="train")}
    assert run_prep(make_config(root, tmp_path / "out", only_train)).splits == {"train": 48}


def test_folds_stay_in_train_and_are_named_in_the_manifest(tmp_path):
    root = make_collection(tmp_path / "in" / "a").parent
    run_prep(make_config(root, tmp_path / "out", {"prints": collection("a/metadata.csv", holdout="folds")}))
    manifest = Manifest.read(tmp_path / "out")
    assert manifest.holdout == {"salt": "iconoclip-1", "folds": 5, "fold_sources": ["prints"]}
    records = open_shards(tmp_path / "out", "train").records()
    assert len(records) == 48
    assert len({fold_of(record.work_group, folds=5, salt="iconoclip-1") for record in records}) == 5


def test_a_rerun_that_fails_leaves_the_finished_set_as_it_was(tmp_path):
    root = make_collection(tmp_path / "in" / "a").parent
    run_prep(make_config(root, tmp_path / "out", {"prints": collection("a/metadata.csv", holdout="folds")}))
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    stated = collection("a/metadata.csv", holdout="folds") | {
        "rights": {"all": {"value": "", "asserted_by": "nobody", "source_url": "https://example.org"}}
    }
    with pytest.raises(IconoclipError, match="no record is left"):
        run_prep(make_config(root, tmp_path / "out", {"prints": stated}))
    after = {path: path.read_bytes() for path in before}
    assert after == before


def test_folds_may_be_joined_by_single_pages_set_aside_for_all_runs(tmp_path):
    root = make_collection(tmp_path / "in" / "a").parent
    collections = {"prints": collection("a/metadata.csv", holdout="folds_and_page")}
    run_prep(make_config(root, tmp_path / "out", collections, split={"val": 0.2, "test": 0.3}))
    assert Manifest.read(tmp_path / "out").holdout["fold_sources"] == ["prints"]
    works = {s: {r.work_group for r in open_shards(tmp_path / "out", s).records()} for s in ("train", "val", "test")}
    # pages, not works, are set aside: most works of the test pages are known to some run
    assert len(works["test"] & works["train"]) > len(works["test"]) / 2
    assert len(works["val"] & works["train"]) > len(works["val"]) / 2


def test_single_pages_of_known_works_are_held_out_too(tmp_path):
    root = make_collection(tmp_path / "in" / "a").parent
    collections = {"prints": collection("a/metadata.csv", holdout="work_and_page")}
    run_prep(make_config(root, tmp_path / "out", collections, split={"val": 0.1, "test": 0.3}))
    works = {
        split: {r.work_group for r in open_shards(tmp_path / "out", split).records()} for split in ("train", "test")
    }
    assert works["test"] & works["train"]  # a new page of a known work
    assert works["test"] - works["train"]  # a new work


def test_partners_who_prepare_apart_agree_on_the_split(tmp_path):
    root = make_collection(tmp_path / "in" / "a").parent
    for name, collections in (
        ("one", {"prints": collection("a/metadata.csv")}),
        ("two", {"same_under_another_name": collection("a/metadata.csv", captions=["{english}"])}),
    ):
        split = {"allow_one_sided": ["fr", "en"]}
        run_prep(make_config(root, tmp_path / name, collections, name=name, seed=3, split=split))
    found = [
        {r.key: r.split for split in splits(tmp_path / name) for r in open_shards(tmp_path / name, split).records()}
        for name in ("one", "two")
    ]
    assert found[0] == found[1]


def write_overrides(path: Path, *lines: str) -> Path:
    path.write_text("id,drop,caption,lang,rights,split,who,why\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_curator_s_overrides_are_applied_and_counted(tmp_path):
    extra = [row(file="img/0b.jpg", title="", english="", licence="?")]
    root = make_collection(tmp_path / "in" / "a", extra=extra).parent
    picture(999).save(root / "a/img/0b.jpg")
    path = write_overrides(
        tmp_path / "overrides.csv",
        "img/1.jpg,true,,,,,A. Curator,wrong picture",
        "img/2.jpg,,Le pont d'Avignon,fr,,,A. Curator,the title was that of the album",
        "img/4.jpg,,,,,test,A. Curator,published in our exhibition",
        "img/0b.jpg,,A new caption,en,CC BY 4.0,,A. Curator,asked the photographer",
    )
    summary = run_prep(make_config(root, tmp_path / "out", overrides=path))
    # 0b has no statement about its text ("?" is not understood), so it is still unstated
    assert summary.rejected == {"override": 1, "rights_unstated": 1}
    assert summary.num_overrides == 4
    assert "overrides             4 by a curator" in summary.to_text()
    shards = {split: open_shards(tmp_path / "out", split) for split in splits(tmp_path / "out")}
    found = {r.id: (r, s.text(i)) for s in shards.values() for i, r in enumerate(s.records())}
    assert found["img/2.jpg"][1] == "Le pont d'Avignon"
    assert found["img/2.jpg"][0].captions[0].source == "override"
    assert found["img/4.jpg"][0].split == found["img/5.jpg"][0].split == "test"  # the work goes along
    ledger = pq.read_table(tmp_path / "out/ledger/rejected.parquet").to_pylist()
    assert [each["detail"] for each in ledger if each["reason"] == "override"] == ["A. Curator: wrong picture"]


@pytest.mark.parametrize(("line", "message"), [
    ("img/99.jpg,true,,,,,A,b", "line 2: no record 'img/99.jpg'; the nearest is 'img/9.jpg'"),
    ("img/1.jpg,perhaps,,,,,A,b", "drop is 'perhaps'"),
    ("img/1.jpg,true,,,,,,b", "say who overrides and why"),
    ("img/1.jpg,,,,,,A,b", "changes nothing"),
    ("img/1.jpg,,,,,dev,A,b", "split is 'dev'"),
])  # fmt: skip
def test_an_override_that_cannot_be_meant_is_an_error(tmp_path, line, message):
    root = make_collection(tmp_path / "in" / "a").parent
    path = write_overrides(tmp_path / "overrides.csv", line)
    with pytest.raises(SourceError, match=message):
        run_prep(make_config(root, tmp_path / "out", overrides=path))


def test_a_look_writes_nothing_and_shows_captions_and_rights(tmp_path):
    root = make_collection(tmp_path / "in" / "a").parent
    text = run_prep(make_config(root, tmp_path / "out"), dry_run=True, limit=5).to_text()
    assert not (tmp_path / "out").exists()
    assert "harvested                    5" in text
    assert "'View number 0' (en, page, and 1 more; public_domain)" in text
    assert "the first 5 records" in text


def test_a_look_says_what_a_whole_run_would_stumble_over(tmp_path):
    root = make_collection(tmp_path / "in" / "a", extra=[row(file="img/gone.jpg")]).parent
    text = run_prep(make_config(root, tmp_path / "out"), dry_run=True).to_text()
    assert f"1 pictures are not there, for example that of img/gone.jpg: {root.resolve()}/a/img/gone.jpg" in text
    assert "needs fetch.contact" not in text
    remote = collection("a/metadata.csv", image="https://www.library.example/{file}")
    text = run_prep(make_config(root, tmp_path / "out", {"prints": remote}), dry_run=True).to_text()
    assert "49 pictures would be fetched, which needs fetch.contact" in text


def test_a_curator_states_the_rights_of_picture_and_texts(tmp_path):
    root = make_collection(tmp_path / "in" / "a").parent
    path = tmp_path / "overrides.csv"
    path.write_text("id,rights,text_rights,who,why\nimg/1.jpg,CC BY 4.0,CC0 1.0,A. Curator,contract of 2024\n")
    run_prep(make_config(root, tmp_path / "out", overrides=path))
    (record,) = [
        r
        for split in splits(tmp_path / "out")
        for r in open_shards(tmp_path / "out", split).records()
        if r.id == "img/1.jpg"
    ]
    stated = {right.part: right.uri for right in record.rights}
    assert stated["image"] == "http://creativecommons.org/licenses/by/4.0/"
    assert stated["metadata"] == "http://creativecommons.org/publicdomain/zero/1.0/"


def test_a_sample_says_so_in_card_and_summary(tmp_path):
    root = make_collection(tmp_path / "in" / "a").parent
    summary = run_prep(make_config(root, tmp_path / "out"), limit=6)
    assert summary.harvested == 6
    assert "A sample: the first 6 records of each collection" in (tmp_path / "out/README.md").read_text()


def test_a_folder_that_is_not_ours_is_not_written_into(tmp_path):
    root = make_collection(tmp_path / "in" / "a").parent
    with pytest.raises(IconoclipError, match="which is not of a prep run"):
        run_prep(make_config(root, root / "a"))


def test_a_source_with_mostly_broken_pictures_stops_the_run(tmp_path):
    root = make_collection(tmp_path / "in" / "a", extra=[row(file=f"img/no-{n}.jpg") for n in range(60)]).parent
    with pytest.raises(IconoclipError, match="60 of 108 pictures cannot be used, more than max_failed_share"):
        run_prep(make_config(root, tmp_path / "out"))


def test_a_folder_of_pictures_with_texts_beside_them_needs_no_table(tmp_path):
    folder = make_collection(tmp_path / "in" / "a") / "img"
    for path in folder.glob("*.jpg"):
        path.with_suffix(".txt").write_text(f"Picture {path.stem}\n")
    source = collection("", folder="a/img", captions=["{text}"], work_from="{stem}")
    source["rights"] = {"all": {"value": "CC0", "asserted_by": "me", "source_url": "https://example.org"}}
    split = {"allow_one_sided": ["fr"]}
    summary = run_prep(make_config(folder.parents[1], tmp_path / "out", {"mine": source}, split=split))
    assert summary.kept_for_training == 48
    assert ".jpg" in PICTURE_SUFFIXES


def test_an_assumed_right_is_shown_with_its_reason_in_the_card(tmp_path):
    root = make_collection(tmp_path / "in" / "a").parent
    reason = "Titles of one line, written by our own cataloguers."
    rights = {
        "image": {"value": "{licence}", "asserted_by": "Our Library", "source_url": "https://example.org"},
        "assume": [{"part": "text", "statement": "CC0", "reason": reason}],
    }
    run_prep(make_config(root, tmp_path / "out", {"prints": collection("a/metadata.csv", rights=rights)}))
    card = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert f"- `prints`, text: taken as “CC0”. {reason}" in card
    record = open_shards(tmp_path / "out", "train").record(0)
    assert [each.asserted_by for each in record.rights if each.part == "metadata"] == [f"assumed: {reason}"]


def test_shields_are_drawn_in_workers_and_their_works_are_their_arms(tmp_path):
    shields = {"armorial": {"kind": "armorial", "num_records": 90, "size_px": 64, "languages": ["en", "fr"]}}
    one = run_prep(make_config(tmp_path, tmp_path / "one", shields))
    run_prep(make_config(tmp_path, tmp_path / "two", shields, workers=2))
    assert tars(tmp_path / "one") == tars(tmp_path / "two")
    assert one.kept_for_training == 90
    records = [r for split in splits(tmp_path / "one") for r in open_shards(tmp_path / "one", split).records()]
    assert len({record.work_group.partition(":")[2] for record in records}) == 90
    assert len({record.institution for record in records}) == 3
    assert {caption.lang for record in records for caption in record.captions} == {"en", "fr"}
    assert {record.rights_class for record in records} == {"public_domain"}


def test_a_filter_of_the_configuration_drops_pictures_that_are_too_small(tmp_path):
    root = make_collection(tmp_path / "in" / "a").parent
    picture(5, (20, 15)).save(root / "a/img/5.jpg")
    picture(6, (64, 2)).save(root / "a/img/6.jpg")
    filters = [{"kind": "size", "min_px": 10, "max_ratio": 10}]
    summary = run_prep(make_config(root, tmp_path / "out", filters=filters))
    assert summary.rejected == {"image_too_small": 1}
    filters = [{"kind": "size", "min_px": 16}]
    assert run_prep(make_config(root, tmp_path / "out", filters=filters)).rejected == {"image_too_small": 2}


def test_a_source_can_ask_for_files_to_be_compared_only(tmp_path):
    root = make_collection(tmp_path / "in" / "a").parent
    picture(0, (128, 96)).save(root / "a/img/5.jpg")  # the same picture, larger
    (root / "a/img/9.jpg").write_bytes((root / "a/img/20.jpg").read_bytes())  # the same file
    near = run_prep(make_config(root, tmp_path / "out"))
    assert near.near_duplicates["num_groups"] == 2
    files = {"prints": collection("a/metadata.csv", near_duplicates=False)}
    assert run_prep(make_config(root, tmp_path / "out", files)).near_duplicates["num_groups"] == 1
