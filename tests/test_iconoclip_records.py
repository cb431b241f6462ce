"""Records: one schema, stable keys, splits that only depend on the work and the salt."""

import json
import re
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iconoclip import records
from iconoclip.records import Caption, Record, Rights, fold_of, record_key, unit_hash

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
CAPTIONS = st.builds(Caption, TEXT, TEXT, TEXT, st.sampled_from(records.CAPTION_LEVELS), st.booleans())
RIGHTS = st.builds(Rights, st.sampled_from(("work", "image", "metadata")), TEXT, TEXT, TEXT, TEXT, TEXT, TEXT)
NUMBER = st.none() | st.integers(-(2**31), 2**31 - 1)
RECORDS = st.builds(
    Record,
    id=TEXT,
    source=TEXT,
    institution=TEXT,
    captions=st.lists(CAPTIONS, max_size=3).map(tuple),
    subjects=st.lists(TEXT, max_size=3).map(tuple),
    iconclass=st.lists(TEXT, max_size=3).map(tuple),
    rights=st.lists(RIGHTS, max_size=2).map(tuple),
    year_min=NUMBER,
    width=NUMBER,
    work_group=TEXT,
)


@given(RECORDS)
def test_json_brings_a_record_back(record: Record) -> None:
    assert Record.from_json(record.to_json()) == record
    assert Record.from_json(record.to_json().encode()) == record
    assert Record.from_dict(record.to_dict()) == record
    assert "\n" not in record.to_json()


@given(RECORDS)
def test_every_record_has_the_same_keys_in_the_same_order(record: Record) -> None:
    assert list(record.to_dict()) == [item.name for item in fields(Record)]


def test_keys_of_a_newer_version_are_left_out() -> None:
    data = Record(id="1", source="s", institution="i").to_dict() | {"from_the_future": 1}
    assert Record.from_dict(data) == Record(id="1", source="s", institution="i")


@given(TEXT, TEXT)
def test_keys_hold_only_what_every_tar_reader_takes(institution: str, identifier: str) -> None:
    key = record_key(institution, identifier)
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]*-[0-9a-f]{20}", key)
    assert len(key) <= 24 + 1 + 20


def test_keys_are_what_they_always_were() -> None:
    # printf 'ark:/12148/x' | b2sum -l 80. A change here would rename every file of every shard set.
    assert record_key("Bibliothèque nationale de France", "ark:/12148/x") == (
        "bibliotheque-nationale-d-82a88500c8e61b668dc7"
    )
    assert record_key("日本", "1").startswith("record-")


def test_same_identifier_at_two_institutions_has_two_keys() -> None:
    assert record_key("A", "1") != record_key("B", "1")


@given(TEXT, TEXT)
def test_unit_hash_is_in_the_unit_interval_and_depends_on_both(text: str, salt: str) -> None:
    assert 0 <= unit_hash(text, salt) < 1
    assert unit_hash(text, salt) == unit_hash(text, salt)


def test_unit_hash_is_what_it_always_was() -> None:
    # Written down on the first day: partners who prepare apart, and years apart, must agree.
    assert unit_hash("work-1", "salt") == pytest.approx(0.12685984470338163, abs=1e-15)
    assert unit_hash("work-1", "other salt") != unit_hash("work-1", "salt")


def test_unit_hash_is_even() -> None:
    values = [unit_hash(f"work-{number}", "s") for number in range(4000)]
    below = sum(value < 0.1 for value in values)
    assert 340 <= below <= 460  # 400 expected, standard deviation 19


def test_folds_cover_all_works_and_differ_from_the_split() -> None:
    folds = [fold_of(f"work-{number}", folds=5, salt="s") for number in range(1000)]
    assert set(folds) == {0, 1, 2, 3, 4}
    assert [int(unit_hash(f"work-{number}", "s") * 5) for number in range(1000)] != folds


def test_features_name_every_field_with_its_type() -> None:
    from datasets import Features, List, Value

    features = records.FEATURES
    assert isinstance(features, Features)
    assert list(features) == ["jpg", "txt", "json", "__key__", "__url__"]
    assert features._to_yaml_list() == records.features_yaml()
    record = features["json"]
    assert list(record) == [item.name for item in fields(Record)]
    for item in fields(Record):
        kind = record[item.name]
        if str(item.type).startswith("tuple"):
            assert isinstance(kind, List), item.name
        else:
            assert kind == Value("int32" if "int" in str(item.type) else "string"), item.name
    assert list(record["captions"].feature) == [item.name for item in fields(Caption)]
    assert list(record["rights"].feature) == [item.name for item in fields(Rights)]


def test_an_unknown_name_of_the_module_is_an_error() -> None:
    with pytest.raises(AttributeError):
        _ = records.FEATURE  # type: ignore[attr-defined]


def test_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        Record(id="1", source="s", institution="i", width=float("nan")).to_json()  # type: ignore[arg-type]


def test_reject_reasons_are_words_for_a_table() -> None:
    for reason in records.RejectReason:
        assert re.fullmatch(r"[a-z_]+", reason), reason
        assert json.loads(json.dumps(reason)) == reason.value
