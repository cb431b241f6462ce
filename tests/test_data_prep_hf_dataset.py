"""Hugging Face datasets from Parquet, folders, tars and saved tables to the shards, offline and with interruptions."""

import datetime
import errno
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as PilImage
from servers.runs import read_records, read_rejected

from data_prep import hf_rows, hf_stream
from data_prep.config import PrepConfig
from data_prep.fetch.store import forget_bodies
from data_prep.pipeline import run_prep
from data_prep.sources.base import PictureError
from data_prep.summary import PrepSummary
from data_prep.withdraw import withdraw
from iconoclip.errors import ConfigError, IconoclipError

ROOT = Path(__file__).resolve().parents[1]
CC0 = "http://creativecommons.org/publicdomain/zero/1.0/"
COMMIT = "549f3f3dcb3fe79b4bbec869f70187263a367aa2"
RIGHTS = {"all": {"value": CC0, "asserted_by": "BigLAM", "source_url": "https://huggingface.co/biglam"}}
SPLIT = {"val": 0, "test": 0, "allow_one_sided": ["brill", "en", "nl", "de", "fr", "it"]}
NUM_ROWS = 9


def encode(number: int, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    colour = ((number * 67) % 256, (number * 131) % 256, (number * 29) % 256)
    image = PilImage.new("RGB", (60 + number, 40), colour)
    image.paste((255, 255, 255), (number, 5, number + 20, 30))
    image.save(buffer, kind)
    return buffer.getvalue()


def features() -> Any:
    from datasets import ClassLabel, Features, Image, List, Value

    text = Value("string")
    return Features(
        {
            "image": Image(),
            "label": List(text),
            "kind": ClassLabel(names=["print", "drawing"]),
            "meta": {"title": text, "made": Value("timestamp[s]"), "creators": List({"name": text, "role": text})},
            "captions": List({"text": text, "lang": text}),
        }
    )


def rows(count: int = NUM_ROWS) -> list[dict[str, Any]]:
    return [
        {
            "image": {"bytes": encode(n), "path": f"IIHIM_{n}.jpg"},
            "label": ["71E11", "25F23(LION)"],
            "kind": n % 2,
            "meta": {
                "title": f"Ritter und Tod, Blatt {n}",
                "made": datetime.datetime(1888, 5, 1 + n),
                "creators": [{"name": "Dürer, Albrecht", "role": "engraver"}, {"name": "Anonymous", "role": "printer"}],
            },
            "captions": [
                {"text": f"a lion and a unicorn, sheet {n}", "lang": "eng"},
                {"text": f"een leeuw en een eenhoorn, blad {n}", "lang": "nl"},
            ],
        }
        for n in range(count)
    ]


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    from datasets.utils.logging import disable_progress_bar, enable_progress_bar

    disable_progress_bar()
    yield
    enable_progress_bar()


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    """``brill/data/train-*.parquet``: nine rows in three files."""
    from datasets import Dataset

    folder = tmp_path / "brill" / "data"
    folder.mkdir(parents=True)
    dataset = Dataset.from_list(rows(), features=features())
    for number in range(3):
        dataset.shard(3, number, contiguous=True).to_parquet(folder / f"train-{number:05d}-of-00003.parquet")
    return tmp_path / "brill"


MAPPING: dict[str, Any] = {
    "kind": "hf_dataset",
    "institution": "Brill",
    "language": "en",
    "work_from": "{meta.title}",
    "captions": [{"value": "{.text}", "each": "captions", "lang": "{.lang}", "level": "page"}],
    "title": "{meta.title}",
    "iconclass": "{label}",
    "object_type": "{kind}",
    "creator": "{meta.creators[role=engraver].name}",
    "date": "{meta.made}",
    "rights": RIGHTS,
}


def configure(out: Path, *, root: Path = Path(), workers: int = 1, **source: Any) -> PrepConfig:
    collection = {name: value for name, value in (MAPPING | source).items() if value is not None}
    return PrepConfig.model_validate(
        {
            "verb": "prep", "name": "set", "out": out, "root": root, "workers": workers,
            "split": SPLIT, "image": {"max_px": 64},
            "collections": {"brill": collection},
        }
    )  # fmt: skip


def prep(out: Path, *, limit: int | None = None, **source: Any) -> PrepSummary:
    return run_prep(configure(out, **source), limit=limit)


def tars(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.rglob("*.tar")}


def rejected(out: Path) -> dict[str, str]:
    return {name: f"{reason}: {detail}" for name, (reason, detail) in read_rejected(out).items()}


def test_parquet_of_nested_rows_becomes_shards(parquet: Path, tmp_path: Path) -> None:
    summary = prep(tmp_path / "out", root=tmp_path, path="./brill")
    assert (summary.harvested, summary.kept_for_training) == (NUM_ROWS, NUM_ROWS)
    record = read_records(tmp_path / "out")["./brill/train/3"]
    assert [(each.text, each.lang, each.level) for each in record.captions] == [
        ("a lion and a unicorn, sheet 3", "en", "page"), ("een leeuw en een eenhoorn, blad 3", "nl", "page"),
    ]  # fmt: skip
    assert record.iconclass == ("71E11", "25F23(LION)")
    assert (record.title, record.object_type, record.creator) == (
        "Ritter und Tod, Blatt 3",
        "drawing",
        "Dürer, Albrecht",
    )
    assert (record.date_text, record.year_min) == ("1888-05-04", 1888)
    assert (record.orig_width, record.orig_height, record.rights_class) == (63, 40, "public_domain")


def test_bytes_are_kept_as_the_dataset_has_them(parquet: Path, tmp_path: Path) -> None:
    import hashlib

    prep(tmp_path / "out", root=tmp_path, path="./brill")
    stored = {path.name: path.read_bytes() for path in (tmp_path / "out.store" / "bodies").rglob("*") if path.is_file()}
    assert set(stored.values()) == {encode(n) for n in range(NUM_ROWS)}
    assert all(hashlib.sha256(data).hexdigest() == name for name, data in stored.items())
    assert {record.sha256 for record in read_records(tmp_path / "out").values()} == set(stored)


def test_second_run_needs_neither_the_dataset_nor_the_network(
    parquet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prep(tmp_path / "out", root=tmp_path, path="./brill")
    monkeypatch.setattr(hf_stream, "_load_local", lambda *_: pytest.fail("the dataset is opened again"))
    assert any("nothing to do" in note for note in prep(tmp_path / "out", root=tmp_path, path="./brill").notes)
    other = prep(tmp_path / "out", root=tmp_path, path="./brill", title="{kind}")  # other rules, the same rows
    assert other.kept_for_training == NUM_ROWS


def break_off(monkeypatch: pytest.MonkeyPatch, after: int, error: Exception) -> list[int]:
    """Let the stream raise after so many rows; returns the numbers of rows that were asked of it."""
    asked: list[int] = []
    read = hf_stream.HubStream._start

    def start(self: hf_stream.HubStream, state: Any, num_read: int) -> Iterator[dict[str, Any]]:
        inner = read(self, state, num_read)
        for number, row in enumerate(inner, num_read):
            if number == after:
                raise error
            asked.append(number)
            yield row

    monkeypatch.setattr(hf_stream.HubStream, "_start", start)
    return asked


@pytest.mark.parametrize("after", [0, 1, 4, 8])
def test_stream_that_breaks_off_is_taken_up_where_it_was(
    after: int, parquet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole"
    prep(whole, root=tmp_path, path="./brill")
    with monkeypatch.context() as patch:
        break_off(patch, after, ConnectionError("reset by https://cdn.hf.co/x?X-Amz-Signature=abcdef0123456789"))
        with pytest.raises(IconoclipError, match=f"breaks off after {after} rows") as caught:
            prep(tmp_path / "out", root=tmp_path, path="./brill")
    assert "abcdef0123456789" not in str(caught.value)
    with monkeypatch.context() as patch:
        asked = break_off(patch, -1, RuntimeError())
        prep(tmp_path / "out", root=tmp_path, path="./brill")
    assert asked == list(range(after, NUM_ROWS))
    assert tars(tmp_path / "out") == tars(whole)


def test_stream_of_another_version_is_skipped_to_the_place(
    parquet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prep(tmp_path / "out", root=tmp_path, path="./brill", limit=3)
    (state,) = (tmp_path / "out.store" / "datasets").glob("*/state.json")
    facts = json.loads(state.read_text())
    kept = facts["num_rows"]
    facts["stream"]["datasets"] = "1.0"
    state.write_text(json.dumps(facts))
    asked = break_off(monkeypatch, -1, RuntimeError())
    assert prep(tmp_path / "out", root=tmp_path, path="./brill").harvested == NUM_ROWS
    assert asked == list(range(kept, NUM_ROWS))


KILLED = """
import os, sys
from pathlib import Path
from data_prep import hf_rows
from data_prep.config import PrepConfig
from data_prep.pipeline import run_prep

hf_rows._CHECKPOINT = 2
left = [int(sys.argv[2])]
write = hf_rows.KeptRows._store_picture

def store(self, data):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), 9)
    return write(self, data)

hf_rows.KeptRows._store_picture = store
run_prep(PrepConfig.load(Path(sys.argv[1])))
"""


def test_killed_run_goes_on_with_identical_shards(parquet: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    prep(whole, root=tmp_path, path="./brill")
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps(configure(tmp_path / "out", root=tmp_path, path="./brill").to_json(), default=str))
    result = subprocess.run(
        [sys.executable, "-c", KILLED, str(config), "5"],
        check=False,
        capture_output=True,
        env=dict(os.environ),
        timeout=60,
    )
    assert result.returncode == -9, result.stderr.decode()[-500:]
    (kept,) = (tmp_path / "out.store" / "datasets").glob("*/rows.jsonl")
    assert 0 < len(kept.read_bytes().splitlines()) <= 5
    prep(tmp_path / "out", root=tmp_path, path="./brill")
    assert tars(tmp_path / "out") == tars(whole)


def test_row_that_was_cut_off_is_read_again(parquet: Path, tmp_path: Path) -> None:
    prep(tmp_path / "out", root=tmp_path, path="./brill", limit=2)
    (kept,) = (tmp_path / "out.store" / "datasets").glob("*/rows.jsonl")
    with kept.open("ab") as file:
        file.write(b'{"cells": {"image": "kept:')
    assert prep(tmp_path / "out", root=tmp_path, path="./brill").kept_for_training == NUM_ROWS


def test_damaged_picture_is_had_again(parquet: Path, tmp_path: Path) -> None:
    prep(tmp_path / "out", root=tmp_path, path="./brill")
    store = tmp_path / "out.store"
    path = min(path for path in (store / "bodies").rglob("*") if path.is_file())
    picture = hf_rows.KeptPicture(str(store), path.name)
    path.write_bytes(b"damaged")
    with pytest.raises(PictureError, match="was damaged; run again"):
        picture.read()
    assert prep(tmp_path / "out", root=tmp_path, path="./brill", title="{kind}").kept_for_training == NUM_ROWS
    assert picture.read()


def test_full_disk_is_one_clear_line(parquet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_bytes

    def refuse(self: Path, data: bytes) -> int:
        if "bodies" in self.parts and data == encode(5):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", refuse)
        with pytest.raises(IconoclipError, match=r"No space left on device.*rows so far are kept"):
            prep(tmp_path / "out", root=tmp_path, path="./brill")
    asked = break_off(monkeypatch, -1, RuntimeError())
    assert prep(tmp_path / "out", root=tmp_path, path="./brill").kept_for_training == NUM_ROWS
    assert asked == [5, 6, 7, 8]
    assert not list((tmp_path / "out.store").rglob("*.tmp"))


def test_withdrawn_picture_stays_gone(parquet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prep(tmp_path / "out", root=tmp_path, path="./brill")
    sha256 = read_records(tmp_path / "out")["./brill/train/3"].sha256
    taken = withdraw(configure(tmp_path / "out", root=tmp_path, path="./brill"), ["./brill/train/3"])
    assert taken.sha256s == (sha256,)
    assert forget_bodies(tmp_path / "out.store", taken.sha256s) == 1
    monkeypatch.setattr(hf_stream, "_load_local", lambda *_: pytest.fail("the dataset is opened again"))
    prep(tmp_path / "out", root=tmp_path, path="./brill", title="{kind}")
    assert set(read_records(tmp_path / "out")) == {f"./brill/train/{n}" for n in range(NUM_ROWS) if n != 3}
    picture = hf_rows.KeptPicture(str(tmp_path / "out.store"), sha256)
    with pytest.raises(PictureError, match=r"unless it was withdrawn, remove .*/datasets, run again"):
        picture.read()


def test_limit_reads_no_more_than_a_look(parquet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_prep.sources.hf_dataset._LOOK", 2)
    with monkeypatch.context() as patch:
        asked = break_off(patch, -1, RuntimeError())
        assert prep(tmp_path / "out", root=tmp_path, path="./brill", limit=3).harvested == 3
        assert asked == [0, 1, 2]
    assert prep(tmp_path / "out", root=tmp_path, path="./brill").harvested == NUM_ROWS


def test_changed_files_are_another_dataset(parquet: Path, tmp_path: Path) -> None:
    from datasets import Dataset

    assert prep(tmp_path / "out", root=tmp_path, path="./brill").harvested == NUM_ROWS
    Dataset.from_list(rows(12)[NUM_ROWS:], features=features()).to_parquet(
        parquet / "data" / "train-00003-of-00003.parquet"
    )
    assert prep(tmp_path / "out", root=tmp_path, path="./brill").harvested == 12


def test_where_and_drop_and_repeated_captions_hold_as_in_local(parquet: Path, tmp_path: Path) -> None:
    summary = prep(
        tmp_path / "out", root=tmp_path, path="./brill",
        where=[{"value": "{kind}", "match": "print"}],  # rows 0, 2, 4, 6, 8
        drop=[{"value": "{row}", "match": "^4$", "why": "the sheet is a copy"}],
        captions=[{"value": "{meta.creators[0].name}", "repeated": "drop"}, {"value": "{meta.title}"}],
    )  # fmt: skip
    assert (summary.harvested, summary.kept_for_training) == (5, 4)
    assert rejected(tmp_path / "out") == {"./brill/train/4": "not_selected: the sheet is a copy"}
    assert {len(record.captions) for record in read_records(tmp_path / "out").values()} == {1}


def test_picture_in_several_rows_is_stored_once_and_counted_in_each(tmp_path: Path) -> None:
    from datasets import Dataset

    several = rows(4)
    for row in several:
        row["image"] = {"bytes": encode(1), "path": None}
    (tmp_path / "set").mkdir()
    Dataset.from_list(several, features=features()).to_parquet(tmp_path / "set" / "train.parquet")
    summary = prep(tmp_path / "out", root=tmp_path, path="./set")
    assert summary.kept_for_training == 4
    assert len([path for path in (tmp_path / "out.store" / "bodies").rglob("*") if path.is_file()]) == 1


def test_list_of_pictures_gives_a_record_each(tmp_path: Path) -> None:
    from datasets import Dataset, Features, Image, List, Value

    kind = Features({"views": List({"image": Image(), "caption": Value("string")}), "title": Value("string")})
    views = [{"image": {"bytes": encode(n), "path": None}, "caption": f"side {n} of the vase"} for n in range(2)]
    Dataset.from_list([{"views": views, "title": "A vase"}], features=kind).to_parquet(tmp_path / "a.parquet")
    prep(
        tmp_path / "out", root=tmp_path, path="./a.parquet", each="views", image="{.image}", work_from="{title}",
        captions=["{.caption}"], title="{title}", iconclass=None, object_type=None, creator=None, date=None,
    )  # fmt: skip
    found = read_records(tmp_path / "out")
    assert sorted(record.captions[0].text for record in found.values()) == ["side 0 of the vase", "side 1 of the vase"]
    assert len({record.work_group for record in found.values()}) == 1


def test_notations_are_put_into_words(tmp_path: Path) -> None:
    """The example configuration as it is, on rows as the dataset's card describes them."""
    from datasets import Dataset, Features, Image, List, Value

    labels = [["25F23(LION)", "31A235"], ["11H(PAUL)"], ["71E11", "no notation"], ["9Z9"], None]
    several = [{"image": {"bytes": encode(n), "path": None}, "label": label} for n, label in enumerate(labels)]
    kind = Features({"image": Image(), "label": List(Value("string"))})
    (tmp_path / "set" / "data").mkdir(parents=True)
    Dataset.from_list(several, features=kind).to_parquet(tmp_path / "set" / "data" / "train-00000-of-00001.parquet")
    given = PrepConfig.load(ROOT / "configs/prep/hf_dataset.yaml").to_json()
    source = given["collections"]["brill"] | {"path": "./set", "revision": ""}
    given |= {"out": tmp_path / "out", "root": tmp_path, "collections": {"brill": source}, "workers": 1}
    run_prep(PrepConfig.model_validate(given | {"split": SPLIT}))
    found = read_records(tmp_path / "out")
    assert set(found) == {"./set/train/0", "./set/train/1", "./set/train/2"}
    texts = {caption.lang: caption.text for caption in found["./set/train/0"].captions}
    assert (texts["en"], texts["de"]) == (
        "beasts of prey, predatory animals: lion; sitting figure", "Raubtiere: Löwe; sitzende Figur",
    )  # fmt: skip
    assert {(caption.source, caption.level) for caption in found["./set/train/2"].captions} == {("iconclass", "page")}
    reasons = rejected(tmp_path / "out")
    assert reasons["./set/train/3"].startswith("caption_empty: iconclass: '9Z9' is not in Iconclass")
    assert reasons["./set/train/4"] == "caption_empty: iconclass: no notation"


def test_caption_that_is_required_is_not_made_up_for(parquet: Path, tmp_path: Path) -> None:
    rules = [{"value": "{meta.title}", "stop": ["Blatt 3"], "required": True}]
    prep(tmp_path / "out", root=tmp_path, path="./brill", captions=rules, iconclass_captions=["en", "fr"])
    found = read_records(tmp_path / "out")
    assert set(found) == {f"./brill/train/{n}" for n in range(NUM_ROWS) if n != 3}
    assert [caption.lang for caption in found["./brill/train/0"].captions] == ["en", "en", "fr"]


# --- other layouts

SIMPLE: dict[str, Any] = {"work_from": "{row}", "captions": ["{text}"]} | dict.fromkeys(
    ("title", "iconclass", "object_type", "creator", "date")
)


def make_imagefolder(folder: Path) -> None:
    (folder / "train").mkdir(parents=True)
    for number in range(3):
        (folder / "train" / f"{number}.jpg").write_bytes(encode(number))
    lines = [json.dumps({"file_name": f"{n}.jpg", "text": f"a castle on hill {n}"}) for n in range(3)]
    (folder / "train" / "metadata.jsonl").write_text("\n".join(lines))


def make_zipped_imagefolder(folder: Path) -> None:
    folder.mkdir()
    with zipfile.ZipFile(folder / "train.zip", "w") as archive:
        for number in range(3):
            archive.writestr(f"{number}.jpg", encode(number))
        archive.writestr(
            "metadata.csv", "file_name,text\n" + "".join(f"{n}.jpg,a castle on hill {n}\n" for n in range(3))
        )


def make_webdataset(folder: Path) -> None:
    folder.mkdir()
    with tarfile.open(folder / "train-00000.tar", "w") as tar:
        for number in range(3):
            for suffix, data in (("jpg", encode(number)), ("txt", f"a castle on hill {number}".encode())):
                info = tarfile.TarInfo(f"key{number}.{suffix}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def make_saved(folder: Path) -> None:
    from datasets import Dataset, DatasetDict, Features, Image, Value

    several = [{"image": {"bytes": encode(n), "path": None}, "text": f"a castle on hill {n}"} for n in range(3)]
    dataset = Dataset.from_list(several, features=Features({"image": Image(), "text": Value("string")}))
    DatasetDict({"train": dataset}).save_to_disk(folder)


def make_json(folder: Path) -> None:
    """File names in a column of text, pictures beside."""
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.png").write_bytes(encode(number, "PNG"))
    lines = [json.dumps({"image": f"{n}.png", "text": f"a castle on hill {n}"}) for n in range(3)]
    (folder / "rows.jsonl").write_text("\n".join(lines))


@pytest.mark.parametrize(
    ("make", "path", "source"),
    [
        (make_imagefolder, "./set", {}),
        (make_zipped_imagefolder, "./set", {}),
        (make_webdataset, "./set", {"image": "{jpg}", "captions": ["{txt}"]}),
        (make_webdataset, "./set/*.tar", {"image": "{jpg}", "captions": ["{txt}"], "id": "{__key__}"}),
        (make_saved, "./set", {}),
        (make_json, "./set/rows.jsonl", {}),
    ],
    ids=["imagefolder", "zipped imagefolder", "webdataset", "tars", "save_to_disk", "json lines"],
)
def test_other_layouts_are_read_too(
    make: Callable[[Path], None], path: str, source: dict[str, Any], tmp_path: Path
) -> None:
    make(tmp_path / "set")
    summary = prep(tmp_path / "out", root=tmp_path, path=path, **SIMPLE | source)
    assert (summary.harvested, summary.kept_for_training) == (3, 3)
    found = read_records(tmp_path / "out")
    assert {record.captions[0].text for record in found.values()} == {f"a castle on hill {n}" for n in range(3)}
    assert {record.orig_width for record in found.values()} == {60, 61, 62}
    if "imagefolder" in make.__name__ and "zipped" not in make.__name__:
        assert set(found) == {f"train/{n}.jpg" for n in range(3)}
        assert not (tmp_path / "out.store" / "bodies").exists(), "files of this machine are not copied"


def test_webdataset_without_declared_columns_says_what_may_be_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_webdataset(tmp_path / "set")
    with caplog.at_level("WARNING"):
        prep(tmp_path / "out", root=tmp_path, path="./set", **SIMPLE | {"image": "{jpg}", "captions": ["{txt}"]})
    assert "guessed from the first rows" in caplog.text


# --- what a dataset must not do


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"bytes": None, "path": "/etc/passwd"}, "leads out of"),
        ({"bytes": None, "path": "../../secret.jpg"}, "leads out of"),
        ({"bytes": None, "path": "zip://a.jpg::/etc/x.zip"}, "not a file of"),
        ({"bytes": None, "path": "hf://datasets/other/set@main/a.jpg"}, "not a file of"),
        ({"bytes": None, "path": "file:///etc/passwd"}, "not a file of"),
        ({"bytes": None, "path": "zip://a.jpg::http://127.0.0.1/x.zip"}, "not a file of"),
    ],
)
def test_dataset_opens_no_file_that_is_not_its_own(
    value: dict[str, Any], reason: str, parquet: Path, tmp_path: Path
) -> None:
    stream = hf_stream.HubStream("./brill", tmp_path, name="", split="train", revision="")
    with pytest.raises(PictureError, match=reason):
        stream.open_picture(value)
    hub = object.__new__(hf_stream.HubStream)
    hub._path, hub._is_hub, hub._folder = "biglam/brill_iconclass", True, tmp_path
    with pytest.raises(PictureError, match="not a file of biglam/brill_iconclass"):
        hub.open_picture(value)
    assert hub.open_picture({"bytes": None, "path": "https://x.org/1.jpg"}) == "https://x.org/1.jpg"


def test_rows_with_bad_pictures_are_counted(tmp_path: Path) -> None:
    from datasets import Dataset

    several = rows(6)
    several[0]["image"] = None
    several[1]["image"] = {"bytes": b"no picture at all", "path": None}
    several[2]["image"] = {"bytes": None, "path": "/etc/passwd"}
    several[3]["image"] = {"bytes": b"", "path": None}
    (tmp_path / "set").mkdir()
    Dataset.from_list(several, features=features()).to_parquet(tmp_path / "set" / "train.parquet")
    summary = prep(tmp_path / "out", root=tmp_path, path="./set")
    assert (summary.harvested, summary.kept_for_training) == (6, 2)
    reasons = {name.rpartition("/")[2]: text for name, text in rejected(tmp_path / "out").items()}
    assert reasons["0"] == reasons["3"].replace("row 4", "row 1") == "image_missing: row 1 names no picture"
    assert reasons["1"].startswith("image_broken")
    assert "leads out of" in reasons["2"]


# --- mistakes


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ({}, "path"),
        ({"path": "biglam/brill_iconclass"}, "git ls-remote https://huggingface.co/datasets/biglam/brill_iconclass"),
        ({"path": "a/b/c", "revision": COMMIT}, "is no dataset of the Hub"),
        ({"path": "https://huggingface.co/datasets/a/b", "revision": COMMIT}, "is no dataset of the Hub"),
        ({"path": "./folder", "revision": COMMIT}, "leave it out for local files"),
        ({"path": "./folder", "table": "a.csv"}, "table"),
        ({"path": "./folder", "sheet": "a"}, "there is no `table`"),
        ({"path": "./folder", "trust_remote_code": True}, "trust_remote_code"),
        ({"path": "./folder", "work_from": None}, "work_from is missing"),
        ({"path": "./folder", "captions": None}, "give `captions`, `iconclass_captions` or both"),
        ({"path": "./folder", "iconclass": None, "iconclass_captions": ["en"]}, "the column of the notations"),
    ],
)
def test_mistakes_in_the_configuration_are_named(source: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    with pytest.raises((ValueError, ConfigError), match=complaint):
        configure(tmp_path / "out", **source)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (
            {"path": "biglam/brill_iconclass", "revision": "COMMIT"},
            "is no commit: give the commit .* that you have looked at",
        ),
        ({"path": "biglam/brill_iconclass", "revision": "main"}, "commits/main lists them"),
        ({"path": "biglam/brill_iconclass", "revision": COMMIT}, "the Hub cannot be reached"),  # tests run offline
        ({"path": "./nothing"}, "no file there; is `root` right"),
        ({"path": "./brill", "split": "test"}, "Bad split: test. Available splits: .*see `name` and `split`"),
        ({"path": "./brill", "name": "other"}, "BuilderConfig 'other' not found"),
        ({"path": "./notes"}, "give a folder or files that `datasets` can load"),
        ({"path": "./notes/readme.md"}, "files of datasets end in .parquet"),
        ({"path": "./brill", "title": "{meta.titel}"}, "titel"),
        ({"path": "./brill", "image": "{picture}"}, "picture"),
        ({"path": "./brill", "iconclass_captions": ["en", "xx"]}, "Iconclass has no texts in xx; it has en, "),
    ],
)
def test_what_cannot_be_read_is_one_clear_line(
    source: dict[str, Any], complaint: str, parquet: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "readme.md").write_text("nothing")
    with pytest.raises(IconoclipError, match=complaint) as caught:
        prep(tmp_path / "out", root=tmp_path, **source)
    assert "Traceback" not in str(caught.value)


def test_saved_dataset_names_its_splits(tmp_path: Path) -> None:
    make_saved(tmp_path / "set")
    with pytest.raises(IconoclipError, match="no split 'test'; there are: train"):
        prep(tmp_path / "out", root=tmp_path, path="./set", split="test", **SIMPLE)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (RuntimeError("Dataset scripts are no longer supported, but found brill_iconclass.py"), "refs/convert/parquet"),
        (ConnectionError("Couldn't reach it"), "the Hub cannot be reached"),
        ("DatasetNotFoundError", "HF_TOKEN"),
    ],
)
def test_what_the_hub_says_is_explained(
    error: Exception | str, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datasets.exceptions import DatasetNotFoundError

    raised = DatasetNotFoundError("Dataset 'a/b' doesn't exist on the Hub") if isinstance(error, str) else error

    def load(*_: object, **given: object) -> None:
        assert "trust_remote_code" not in given
        raise raised

    monkeypatch.setattr("datasets.load_dataset", load)
    with pytest.raises(IconoclipError, match=advice):
        prep(tmp_path / "out", path="biglam/brill_iconclass", revision=COMMIT)


def test_datasets_is_not_imported_to_check_a_configuration(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps(configure(tmp_path / "out", path="biglam/x", revision=COMMIT).to_json(), default=str))
    code = (
        "import sys; from pathlib import Path; from data_prep.config import PrepConfig; "
        "PrepConfig.load(Path(sys.argv[1])); assert not {'datasets', 'pyarrow', 'fsspec', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(config)], check=True, timeout=60)
