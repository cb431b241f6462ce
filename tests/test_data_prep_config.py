"""The configuration of prep: mistakes, short forms, round trip."""

import json
from pathlib import Path

import pytest

from data_prep.config import PrepConfig
from data_prep.sources.local import LocalSource
from iconoclip import provenance
from iconoclip.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]

GOOD = """
verb: prep
name: ours
out: runs/ours
collections:
  prints:
    kind: local
    table: metadata.csv
    institution: Our Library
    language: fr
    work_from: {shelfmark}
    captions: ["{title}", {value: "{english}", lang: en, level: page}]
    rights: {all: {value: "{licence}", asserted_by: Our Library, source_url: "https://example.org"}}
"""


def load(tmp_path: Path, text: str, *overrides: str) -> PrepConfig:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    return PrepConfig.load(path, overrides)


def test_ten_lines_are_enough_and_short_forms_become_rules(tmp_path):
    source = load(tmp_path, GOOD).collections["prints"]
    assert isinstance(source, LocalSource)
    assert source.work_from is not None
    assert source.work_from.value == "{shelfmark}"  # YAML reads {shelfmark} without quotes as a mapping
    assert source.image.value == "{file}"
    assert [caption.level for caption in source.captions] == ["object", "page"]
    assert source.resolved_holdout == "work"


def test_all_mistakes_are_said_at_once_with_the_nearest_name(tmp_path):
    text = (
        GOOD.replace("table:", "tabel:")
        .replace("name: ours", "name: Our Set")
        .replace("{shelfmark}", "{value: x, find: '(('}")
    )
    with pytest.raises(ConfigError) as error:
        load(tmp_path, text, "image.quality=101", "collections.other.kind=locl")
    message = str(error.value)
    assert "5 problems" in message
    for part in (
        "did you mean 'table'?",
        "name: a to z",
        "not a regular expression",
        "image.quality",
        "did you mean 'local'?",
    ):
        assert part in message


@pytest.mark.parametrize(("override", "message"), [
    ("collections.prints.use=evaluate", None),
    ("collections.prints.holdout=none", "is for use: train"),
    ("collections.prints.language=two words", "no language code"),
    ("collections.prints.captions=[]", "at least 1 item"),
    ("collections.prints.work_from=null", "work_from is missing"),
    ("collections.prints.rights.assume=[{part: image, statement: CC0, reason: ''}]", "reason"),
    ("collections.prints.drop=[{value: '{a}', match: x, why: ''}]", "say why"),
    ("rights.admit=[unknown]", "rights.admit"),
    ("split.allow_one_sided=[prnts]", "neither a language code nor a collection"),
    ("filters=[{kind: size, min_px: 64}]", None),
    ("filters=[{kind: sise}]", "did you mean 'size'"),
    ("name=\"a/b\"", "it names the shards"),
])  # fmt: skip
def test_what_cannot_be_meant_is_refused(tmp_path, override, message):
    if message is None:
        load(tmp_path, GOOD, override)
    else:
        with pytest.raises(ConfigError, match=message):
            load(tmp_path, GOOD, override)


def test_a_collection_to_train_on_must_say_what_a_work_is(tmp_path):
    with pytest.raises(ConfigError, match="work_from is missing"):
        load(tmp_path, GOOD.replace("    work_from: {shelfmark}\n", ""))


def test_the_resolved_configuration_reads_back_to_the_same(tmp_path):
    config = PrepConfig.load(ROOT / "configs/prep/local_collections.yaml")
    path = tmp_path / "run.json"
    path.write_text(json.dumps(provenance.describe_run(config)))
    again = PrepConfig.load(path)
    assert again == config
    assert again.content_sha256() == config.content_sha256()


def test_workers_and_out_do_not_change_what_is_made(tmp_path):
    one = load(tmp_path, GOOD, "workers=1", "out=a")
    two = load(tmp_path, GOOD, "workers=2", "out=b")
    assert one.content_sha256() == two.content_sha256()
    assert one.content_sha256() != load(tmp_path, GOOD, "image.max_px=100").content_sha256()


@pytest.mark.parametrize("path", sorted((ROOT / "configs/prep").glob("*.yaml")), ids=lambda path: path.name)
def test_every_configuration_of_the_repository_is_valid(path):
    assert PrepConfig.load(path).collections
