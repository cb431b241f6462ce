"""What may not be passed on is not shown either: in reports' thumbnails, contact sheets and published cards."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data_prep.inspect import inspect_shards
from data_prep.ledger import read_not_passed_on
from data_prep.permissions import POLICY, permit
from eval.data import EvalData, choose_pictures
from eval.samples import write_thumbs
from iconoclip.attribution import describe_collections, read_trained
from iconoclip.errors import ShardError
from iconoclip.records import Record, Rights
from iconoclip.shards import Manifest, Placed, open_shards, write_ledger

TERMS = Rights("terms", raw="no copies elsewhere", asserted_by="example.org", source_url="https://example.org/terms")


def rewrite(root: Path, split: str, records: list[Record], **columns: list[str]) -> None:
    """The ledger with other records, and columns that prep writes."""
    rows = pq.read_table(root / "ledger" / f"{split}-00000.parquet").to_pylist()
    placed = [Placed(**{name: row[name] for name in Placed.__dataclass_fields__}) for row in rows]
    write_ledger(root, split, placed, records, columns=columns)


@pytest.fixture
def shards(make_shards, tmp_path) -> Path:
    """The test split: the first picture is of a host that forbids copies, the second may not be passed on."""
    root = make_shards(tmp_path / "shards", num_records=40)
    records = open_shards(root, "test").records()
    records = [replace(each, rights_class="public_domain") for each in records]
    records[0] = replace(records[0], rights=(*records[0].rights, TERMS))
    answers = ["yes", "no", *["yes"] * (len(records) - 2)]
    rewrite(root, "test", records, redistribute=answers)
    return root


def test_reports_hold_no_thumbnails_of_what_may_not_be_passed_on(shards, tmp_path):
    pictures = EvalData(shards).pictures("test")
    keys = [record.key for record in pictures.records]
    for chosen in (pictures, choose_pictures(pictures, range(len(pictures)))):
        written, left_out = write_thumbs(tmp_path / "thumbs.parquet", [chosen], limit=1000)
        shown = pq.read_table(tmp_path / "thumbs.parquet")["key"].to_pylist()
        assert shown == keys[2:]
        assert (written, left_out) == (len(keys) - 2, 2)


def test_contact_sheets_count_but_do_not_show_what_may_not_be_passed_on(shards, tmp_path):
    assert len(read_not_passed_on(shards, "test")) == 1
    assert read_not_passed_on(shards, "train") == frozenset()  # a ledger of before there was such a column
    key = next(iter(read_not_passed_on(shards, "test")))
    record = next(each for each in open_shards(shards, "test").records() if each.key == key)
    inspect_shards(shards, html=tmp_path / "sheet.html")
    html = (tmp_path / "sheet.html").read_text(encoding="utf-8")
    assert "1 are not shown, since they may not be passed on" in html
    assert f"<div>{record.id}</div>" not in html


def test_a_model_is_not_published_where_the_policy_forbids_it_and_its_card_says_non_commercial(make_shards, tmp_path):
    root = make_shards(tmp_path / "shards", num_records=40)
    records = [replace(each, rights=(*each.rights, TERMS)) for each in open_shards(root, "train").records()]
    answers = ["non_commercial", *["yes"] * (len(records) - 1)]
    rewrite(root, "train", records, publish=answers)
    run = {"config": {"data": [{"path": str(root), "split": "train"}]}}
    facts = describe_collections(read_trained(run, where="run"), run)
    assert sum(each.num_non_commercial for each in facts) == 1
    assert not any("no copies" in statement for each in facts for statement in each.statements)
    rewrite(root, "train", records, publish=["no", *answers[1:]])
    with pytest.raises(ShardError, match="no model may be published that was trained on 1 of its records"):
        read_trained(run, where="run")
    assert Manifest.read(root).shards


def test_a_record_of_a_host_that_forbids_copies_is_not_showable_whatever_its_licence():
    free = Record("a", "s", "i", rights=(Rights("image", raw="CC0"), Rights("metadata", raw="CC0")))
    free = replace(free, rights_class="public_domain")
    assert free.is_showable
    held = replace(free, rights=(*free.rights, TERMS))
    assert not held.is_showable
    assert permit(held, POLICY).redistribute == "no"
    assert not Record("a", "s", "i").is_showable
