"""Shards are read by plain webdataset and by `datasets` in four ways, every field as it was written."""

import warnings
from pathlib import Path

import pytest

from data_prep.card import write_card
from data_prep.config import PrepConfig
from data_prep.plan import Plan
from data_prep.summary import summarise
from iconoclip import records
from iconoclip.records import Caption, Record, Rights
from iconoclip.shards import Sample, open_shards, write_shard

# `datasets` and webdataset leave tar files open until they are collected.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")

NUM_EMPTY, NUM_FULL = 100, 20


def empty_record(number: int) -> Record:
    """Every nullable field null and every list empty: what `datasets` guesses a schema from without ours."""
    return Record(id=f"empty-{number:03d}", source="s", institution="i", split="test")


def full_record(number: int) -> Record:
    return Record(
        id=f"full-{number:03d}", source="s", institution="i", page_url="p", image_url="u", iiif_service="f",
        manifest="m", canvas="c", title="Été",
        captions=(Caption("Été", "fr", "title", "page"), Caption("Summer", "en", "t", machine=True)),
        creator="x", creator_role="y", date_text="1888-05-01", year_min=-480, year_max=1888, place="z",
        subjects=("a", "b"), iconclass=("71E11",), technique="t", object_type="o",
        rights=(Rights("image", "uri", "raw", "by", "url", "FR", "now"),), rights_class="open", attribution="at",
        tdm="0", width=48, height=40, orig_width=480, orig_height=400, sha256="0" * 64, phash="1" * 16, dup_group="d",
        work_group="w", split="test",
    )  # fmt: skip


@pytest.fixture
def shard_set(tmp_path: Path, make_jpeg) -> tuple[Path, dict[str, Record]]:
    root = tmp_path / "set"
    made = [*map(empty_record, range(NUM_EMPTY)), *map(full_record, range(NUM_FULL))]
    samples = [Sample(make_jpeg(number), f"caption {number}", record) for number, record in enumerate(made)]
    infos = [write_shard(root, f"{split}/ours-00000.tar", samples)[0] for split in ("train", "test")]
    source = {"kind": "armorial", "num_records": 1}
    data = {"verb": "prep", "name": "ours", "out": str(root), "collections": {"s": source}}
    config = PrepConfig.validate_data(data, where="test")
    summary = summarise(config, Plan(), made, [])
    write_card(root, config, summary, records=made, rejected=[], shards=infos)
    return root, {record.key: record for record in made}


def check(rows, want: dict[str, Record]) -> None:
    found = {}
    for row in rows:
        data = dict(row["json"])
        data["captions"] = [dict(each) for each in data["captions"]]
        found[row["__key__"].rpartition("/")[2]] = Record.from_dict(data)
        assert set(data) == set(Record.__dataclass_fields__)
        assert row["txt"].startswith("caption ")
        assert row["jpg"].size == (48, 40)
    assert found == want


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("way", ["folder", "webdataset"])
def test_datasets_reads_all_fields(shard_set, tmp_path, way, streaming):
    import datasets

    root, want = shard_set
    datasets.disable_progress_bars()
    options = {"split": "test", "streaming": streaming, "cache_dir": str(tmp_path / "cache")}
    if way == "folder":
        dataset = datasets.load_dataset(str(root), **options)
    else:
        files = {"test": f"{root}/test/*.tar"}
        dataset = datasets.load_dataset("webdataset", data_files=files, features=records.FEATURES, **options)
    check(dataset, want)


def test_webdataset_reads_all_samples(shard_set):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # webdataset and torch warn at import about each other
        import webdataset as wds
    root, want = shard_set
    dataset = wds.WebDataset(str(root / "test/ours-00000.tar"), shardshuffle=False).decode("pil")
    check(({**sample, "txt": sample["txt"]} for sample in dataset), want)


def test_our_reader_reads_a_folder_of_tars_without_a_manifest(shard_set):
    root, want = shard_set
    shards = open_shards(root / "test")
    assert {record.key: record for record in shards.records()} == want
