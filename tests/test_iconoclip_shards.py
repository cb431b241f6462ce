"""Shards: the same bytes for the same input, offsets that read back, and damage that is named."""

import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iconoclip import shards, tar_index
from iconoclip.errors import ShardError
from iconoclip.files import sha256_file
from iconoclip.records import SCHEMA_VERSION, Caption, Record
from iconoclip.shards import Manifest, Sample, open_shards, plan_shards, write_shard


def sample(number: int, *, num_bytes: int = 10) -> Sample:
    record = Record(
        id=f"r{number}", source="s", institution="Museum One", captions=(Caption(f"t {number}", "en", "t"),)
    )
    return Sample(bytes([number % 256]) * num_bytes, f"t {number}", record)


def write_tar(path: Path, members: dict[str, bytes], *, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def test_the_same_samples_give_the_same_bytes_anywhere(tmp_path: Path) -> None:
    first, _ = write_shard(tmp_path / "one", "train/a-00000.tar", [sample(1), sample(2)])
    second, _ = write_shard(tmp_path / "two", "train/a-00000.tar", [sample(1), sample(2)])
    assert first == second
    assert (tmp_path / "one" / first.path).read_bytes() == (tmp_path / "two" / second.path).read_bytes()
    assert first.sha256 == sha256_file(tmp_path / "one" / first.path)


def test_a_shard_says_nothing_of_the_machine_that_wrote_it(tmp_path: Path) -> None:
    info, _ = write_shard(tmp_path, "train/a-00000.tar", [sample(1)])
    with tarfile.open(tmp_path / info.path) as tar:
        key = sample(1).record.key
        assert tar.getnames() == [f"{key}.jpg", f"{key}.txt", f"{key}.json"]
        for member in tar:
            assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")
            assert member.mode == 0o644
            assert not member.pax_headers


def test_layout_of_a_shard_is_what_a_hand_can_work_out(tmp_path: Path) -> None:
    # Header 512, 10 bytes of jpg padded to 512, header 512, 3 bytes of txt padded to 512, header 512, then json.
    _, (placed,) = write_shard(tmp_path, "train/a-00000.tar", [sample(1)])
    assert (placed.jpg_offset, placed.jpg_length) == (512, 10)
    assert (placed.txt_offset, placed.txt_length) == (1536, 3)
    assert placed.json_offset == 2560


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=1500), st.text(max_size=30)), min_size=1, max_size=5))
def test_what_was_written_is_read_back_through_the_index(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[bytes, str]]
) -> None:
    root = tmp_path_factory.mktemp("set")
    samples = [
        Sample(jpg, text, Record(id=str(number), source="s", institution="i", title=text))
        for number, (jpg, text) in enumerate(rows)
    ]
    info, placed = write_shard(root, "train/a-00000.tar", samples)
    shards.write_ledger(root, "train", placed, [item.record for item in samples])
    Manifest(shards=(info,), config_sha256="", software={}, created="").write(root)
    for shard_set in (open_shards(root, "train"), open_shards(root / info.path)):
        assert len(shard_set) == len(samples)
        for position, item in enumerate(samples):
            assert shard_set.keys[position] == item.record.key
            assert shard_set.image_bytes(position) == item.jpg
            assert shard_set.read(position, "txt") == item.txt.encode()
            assert shard_set.record(position) == item.record


def test_index_from_the_ledger_equals_a_scan_of_the_tars(make_shards: Callable[..., Path]) -> None:
    root = make_shards(num_records=40, max_per_shard=7)
    ours, scanned = open_shards(root, "train"), open_shards(root / "train")
    assert ours.keys == scanned.keys
    assert np.array_equal(ours.shard_of, scanned.shard_of)
    for ext in ("jpg", "txt", "json"):
        assert np.array_equal(ours.offsets[ext], scanned.offsets[ext])
        assert np.array_equal(ours.lengths[ext], scanned.lengths[ext])
    assert ours.sha256 == scanned.sha256
    assert ours.records() == scanned.records()


def test_a_copy_of_a_set_has_the_same_hash_and_another_set_has_not(
    make_shards: Callable[..., Path], tmp_path: Path
) -> None:
    one, two = make_shards(tmp_path / "one"), make_shards(tmp_path / "two")
    assert open_shards(one, "train").sha256 == open_shards(two, "train").sha256
    assert open_shards(one, "train").sha256 != open_shards(two, "test").sha256


def test_a_glob_opens_several_tars_in_order(make_shards: Callable[..., Path]) -> None:
    root = make_shards(num_records=40, max_per_shard=7)
    whole = open_shards(f"{root}/train/*.tar")
    assert len(whole.paths) == 4
    assert whole.keys == open_shards(root, "train").keys
    assert len(open_shards(f"{root}/train/*-00001.tar")) == 7


def test_evaluation_collections_are_splits_of_their_own(make_shards: Callable[..., Path]) -> None:
    root = make_shards(eval_collections=("saints", "maps"))
    assert shards.splits(root) == ["train", "val", "test", "eval/saints", "eval/maps"]
    assert len(open_shards(root, "eval/saints")) == 12
    assert shards.ledger_name("eval/saints") == "eval-saints-00000.parquet"


def test_plan_keeps_order_and_both_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "MAX_SAMPLES", 3)
    assert plan_shards([1] * 7) == [range(3), range(3, 6), range(6, 7)]
    # A sample needs its own size and 3,072 bytes of headers and padding: two of 1,000 are 8,144.
    monkeypatch.setattr(shards, "MAX_BYTES", 9000)
    assert plan_shards([1000, 1000, 1000]) == [range(2), range(2, 3)]
    assert plan_shards([]) == []
    assert plan_shards([50_000, 1]) == [range(1), range(1, 2)]


def test_a_planned_shard_is_never_larger_than_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "MAX_BYTES", 40_000)
    samples = [sample(number, num_bytes=513 + number) for number in range(30)]
    sizes = [len(s.jpg) + len(s.txt.encode()) + len(s.record.to_json().encode()) for s in samples]
    for number, run in enumerate(plan_shards(sizes)):
        info, _ = write_shard(tmp_path, f"train/a-{number:05d}.tar", [samples[place] for place in run])
        assert info.num_bytes <= 40_000 + 10_240  # tarfile fills its last block of 10,240 bytes


def test_foreign_tar_is_read_with_other_names_and_missing_members(tmp_path: Path) -> None:
    path = write_tar(
        tmp_path / "theirs.tar",
        {
            "./a/0001.PNG": b"png1",
            "./a/0001.txt": "été".encode(),
            "./a/0001.seg.json": b"{}",
            "./a/0002.jpeg": b"jpeg2",
            "./b/0001.webp": b"webp",
            "./b/0001.json": b'{"caption": "not ours"}',
            "./b/0001.txt": b"\xff",
        },
    )
    theirs = open_shards(path)
    assert theirs.keys == ("./a/0001", "./a/0002", "./b/0001")
    assert [theirs.image_bytes(position) for position in range(3)] == [b"png1", b"jpeg2", b"webp"]
    assert [theirs.text(position) for position in range(3)] == ["été", "", "\ufffd"]
    assert theirs.extensions(0) == ["png", "seg.json", "txt"]
    first = theirs.record(0)
    assert (first.id, first.captions[0].text, first.captions[0].lang) == ("./a/0001", "été", "und")
    assert theirs.record(1).captions == ()
    assert theirs.record(2).source == "webdataset"


def test_a_sample_without_a_picture_is_named(tmp_path: Path) -> None:
    theirs = open_shards(write_tar(tmp_path / "a.tar", {"x.txt": b"only text"}))
    with pytest.raises(ShardError, match="x: no picture among"):
        theirs.image_bytes(0)


def test_index_of_a_foreign_tar_is_kept_and_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = write_tar(tmp_path / "a.tar", {"x.jpg": b"1"})
    assert open_shards(path).keys == ("x",)
    assert len(list((tmp_path / "cache" / "iconoclip" / "index").iterdir())) == 1
    with monkeypatch.context() as patch:
        patch.setattr(tar_index, "_scan", lambda _: pytest.fail("scanned again"))
        assert open_shards(path).image_bytes(0) == b"1"
    write_tar(path, {"x.jpg": b"1", "y.jpg": b"2" * 20_000})
    assert open_shards(path).keys == ("x", "y")
    assert not [item for item in tmp_path.iterdir() if item.suffix not in (".tar", "")]


def test_a_damaged_index_in_the_cache_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = write_tar(tmp_path / "a.tar", {"x.jpg": b"1"})
    open_shards(path)
    (cached,) = (tmp_path / "cache" / "iconoclip" / "index").iterdir()
    cached.write_text("[[")
    assert open_shards(path).image_bytes(0) == b"1"


@pytest.mark.parametrize("kept", [100, 512, 700, 1000, 3000])
def test_truncated_foreign_tar_is_an_error_not_a_shorter_set(kept: int, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"x.jpg": b"1" * 900, "y.jpg": b"2" * 900})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ShardError, match=r"a\.tar"):
        open_shards(path)


def test_compressed_tar_is_refused_since_it_cannot_be_read_at_random(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"x.jpg": b"1" * 900}, mode="w:gz")
    with pytest.raises(ShardError, match="unpack it"):
        open_shards(path)


def test_size_that_disagrees_with_the_manifest_is_named(make_shards: Callable[..., Path]) -> None:
    root = make_shards()
    path = root / "train" / "toy-00000.tar"
    data = path.read_bytes()
    path.write_bytes(data[:-512])
    with pytest.raises(ShardError, match=f"the manifest says {len(data):,} bytes, it has {len(data) - 512:,}"):
        open_shards(root, "train")
    path.unlink()
    with pytest.raises(ShardError, match="it is not there"):
        open_shards(root, "train")


def test_shard_that_shrinks_after_opening_is_named(make_shards: Callable[..., Path]) -> None:
    root = make_shards()
    opened = open_shards(root, "train")
    path = root / "train" / "toy-00000.tar"
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(ShardError, match=r"ends before .*copy the shard again"):
        opened.read(len(opened) - 1, "json")
    path.unlink()
    with pytest.raises(ShardError, match="No such file"):
        opened.read(0, "jpg")


def test_newer_schema_is_an_error_that_says_update(make_shards: Callable[..., Path]) -> None:
    root = make_shards()
    replace(Manifest.read(root), schema_version=SCHEMA_VERSION + 1).write(root)
    with pytest.raises(ShardError, match=f"schema version {SCHEMA_VERSION + 1}.*update iconoclip"):
        open_shards(root, "train")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"schema_version": "1"}', '{"schema_version": 1, "shards": 1}']
)
def test_broken_manifest_is_named(content: str, make_shards: Callable[..., Path]) -> None:
    root = make_shards()
    (root / "manifest.json").write_text(content)
    with pytest.raises(ShardError, match="not a manifest of ours"):
        Manifest.read(root)


def test_manifest_of_a_later_version_with_more_fields_of_the_same_schema_is_named(
    make_shards: Callable[..., Path],
) -> None:
    root = make_shards()
    data = json.loads((root / "manifest.json").read_text()) | {"more": 1}
    (root / "manifest.json").write_text(json.dumps(data))
    with pytest.raises(ShardError, match="more"):
        Manifest.read(root)


def test_missing_things_say_what_to_give(tmp_path: Path, make_shards: Callable[..., Path]) -> None:
    with pytest.raises(ShardError, match="not there; has"):
        open_shards(tmp_path / "nothing")
    with pytest.raises(ShardError, match=r"no \.tar there"):
        open_shards(f"{tmp_path}/*.tar")
    with pytest.raises(ShardError, match=r"is .* the `out` of a finished"):
        Manifest.read(tmp_path)
    root = make_shards()
    with pytest.raises(ShardError, match="no split 'trian'; it has train, val, test"):
        open_shards(root, "trian")
    with pytest.raises(ShardError, match="no split None; it has train"):
        open_shards(root)
    (root / "ledger" / "train-00000.parquet").unlink()
    with pytest.raises(ShardError, match="ledger"):
        open_shards(root, "train")


def test_ledger_that_disagrees_with_the_manifest_is_named(make_shards: Callable[..., Path]) -> None:
    root = make_shards()
    ledger = root / "ledger"
    (ledger / "train-00000.parquet").write_bytes((ledger / "val-00000.parquet").read_bytes())
    with pytest.raises(ShardError, match=r"train-00000\.parquet"):
        open_shards(root, "train")
    (ledger / "train-00000.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(ShardError, match=r"train-00000\.parquet"):
        open_shards(root, "train")


# webdataset 1.0 leaves the tar open until the garbage collector comes by.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_a_shard_with_nothing_of_ours(make_shards: Callable[..., Path]) -> None:
    from webdataset.compat import WebDataset

    root = make_shards()
    opened = open_shards(root, "train")
    rows = list(WebDataset(str(opened.paths[0]), shardshuffle=False, empty_check=False))
    assert [row["__key__"] for row in rows] == list(opened.keys)
    assert [row["jpg"] for row in rows] == [opened.image_bytes(position) for position in range(len(opened))]
    assert [json.loads(row["json"]) for row in rows] == [record.to_dict() for record in opened.records()]
