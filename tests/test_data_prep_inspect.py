"""`iconoclip inspect` counts what is there, in our sets and in anybody's tars."""

import io
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_prep.inspect import inspect_shards
from data_prep.inspect_tally import century_name, century_of
from iconoclip.errors import ShardError


def row_of(text, name):
    """Cells of the table row that begins with ``name``."""
    return next(line.split() for line in text.splitlines() if line.split()[:1] == [name])


def add(tar, name, data):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def test_counts_of_our_set_by_hand(make_shards):
    # 20 records, two views a work: ten works, of which the fixture puts six in train and two each in val and test.
    root = make_shards(num_records=20)
    text = inspect_shards(root)
    assert "20 pictures of 10 works, 2 collections, 2 institutions; 3 tars" in text
    assert row_of(text, "train")[1:5] == ["12", "6", "2", "12"]
    assert row_of(text, "val")[1:5] == ["4", "2", "2", "4"]
    assert row_of(text, "test")[1:5] == ["4", "2", "2", "4"]
    assert "48 × 40 px" in text
    # works 0, 3, 6, 9 are English, 1, 4, 7 French, 2, 5, 8 Dutch
    assert row_of(text, "en")[1:3] == ["8", "8"]
    assert row_of(text, "fr")[1:3] == ["6", "6"]
    assert row_of(text, "nl")[1:3] == ["6", "6"]
    assert row_of(text, "19th")[:3] == ["19th", "century", "20"]
    assert row_of(text, "public")[:3] == ["public", "domain", "20"]
    assert "Museum One" in text
    assert "Library Two" in text
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text  # not a terminal: no colour


def test_rejected_records_are_shown_by_reason_and_the_sum_adds_up(make_shards):
    root = make_shards(num_records=20)
    rows = [
        {"id": str(n), "source": "prints", "institution": "M", "stage": "rights", "reason": reason, "detail": "why"}
        for n, reason in enumerate(["rights_unstated"] * 3 + ["image_broken"] + ["withdrawn"])
    ]
    pq.write_table(pa.Table.from_pylist(rows), root / "ledger" / "rejected.parquet")
    text = inspect_shards(root)
    assert row_of(text, "rights_unstated")[1] == "3"
    assert "harvested 25 = kept 20 + rejected 4 + withdrawn 1" in text


def test_a_foreign_tar_is_counted_with_its_captions_and_measured(tmp_path, make_jpeg):
    path = tmp_path / "other.tar"
    with tarfile.open(path, "w") as tar:
        for number in range(3):
            add(tar, f"{number:06d}.jpg", make_jpeg(number, size_px=(64, 32)))
            add(tar, f"{number:06d}.txt", b"one two three")
            add(tar, f"{number:06d}.json", b'{"url": "x"}')
    text = inspect_shards(path, html=tmp_path / "sheet.html")
    assert "3 pictures of 3 works" in text
    assert "64 × 32 px" in text
    assert row_of(text, "und")[1:4] == ["3", "3", "3"]  # captions, pictures, median words
    assert "1 captions stand on more than one work, most often 'one two three' (3 works)" in text
    page = (tmp_path / "sheet.html").read_text(encoding="utf-8")
    assert page.count("<img ") == 3


def test_a_foreign_tar_with_broken_json_and_pictures_does_not_crash(tmp_path):
    path = tmp_path / "bad.tar"
    with tarfile.open(path, "w") as tar:
        add(tar, "a.jpg", b"no picture")
        add(tar, "a.json", b"{broken")
        add(tar, "b.jpg", b"no picture")
        add(tar, "c.txt", b"caption without a picture")
    text = inspect_shards(path, html=tmp_path / "sheet.html")
    assert "2 pictures of 2 works" in text
    assert "all: 1 samples have a .json that is no JSON" in text
    assert "1 pictures have no caption" in text
    assert "cannot be decoded" in (tmp_path / "sheet.html").read_text(encoding="utf-8")


def test_subfolders_of_tars_are_splits(tmp_path, make_jpeg):
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        with tarfile.open(tmp_path / split / "0.tar", "w") as tar:
            add(tar, "a.jpg", make_jpeg(1))
            add(tar, "a.txt", b"x")
    text = inspect_shards(tmp_path)
    assert row_of(text, "train")[1] == "1"
    assert row_of(text, "val")[1] == "1"
    assert "1 works lie in train/ and in another split" in text


def test_the_sheet_is_the_same_every_time(make_shards, tmp_path):
    root = make_shards(num_records=60)
    inspect_shards(root, html=tmp_path / "a.html")
    inspect_shards(root, html=tmp_path / "b.html")
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert text == (tmp_path / "b.html").read_text(encoding="utf-8")
    assert text.count("<img ") == 36  # 18 of each of two collections


def test_nothing_there_is_an_error(tmp_path):
    with pytest.raises(ShardError, match="missing: not there; has `iconoclip prep` finished"):
        inspect_shards(tmp_path / "missing")


@pytest.mark.parametrize(
    ("years", "want"),
    [
        ((1801, 1900), "19th century"),
        ((1900, 1900), "19th century"),  # the 20th begins with 1901
        ((1901, None), "20th century"),
        ((None, None), "undated"),
        ((-480, -470), "5th century BC"),
        ((1, 100), "1st century"),
        ((1011, 1011), "11th century"),
        ((2001, 2001), "21st century"),
    ],
)
def test_centuries(years, want):
    assert century_name(*years) == want


def test_century_of_a_span_is_that_of_its_middle():
    assert century_of(1780, 1840) == 19  # 1810
