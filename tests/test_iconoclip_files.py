"""Files appear whole or not at all."""

import hashlib
import json
from pathlib import Path

import pytest

from iconoclip import files
from iconoclip.errors import IconoclipError


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    files.write_text(path, "old")

    def fail() -> None:
        with files.atomic_path(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk"):
        fail()
    assert path.read_text() == "old"
    assert [item.name for item in path.parent.iterdir()] == ["b.txt"]


def test_readers_see_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "b.txt"
    files.write_text(path, "old")
    with files.atomic_path(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_json_is_readable_ends_with_a_newline_and_holds_no_nan(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a.json", {"é": [1, None]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text == '{\n  "é": [\n    1,\n    null\n  ]\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "a.json", {"a": float("nan")})
    assert json.loads((tmp_path / "a.json").read_text()) == {"é": [1, None]}


def test_hashes_are_sha256_and_do_not_depend_on_key_order(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert files.sha256_file(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
    assert files.sha256_json({"a": 1, "b": "é"}) == files.sha256_json({"b": "é", "a": 1})
    assert files.sha256_json({"a": 1}) == hashlib.sha256(b'{"a":1}').hexdigest()


def test_a_folder_in_the_place_of_a_file_is_said(tmp_path):
    (tmp_path / "report").mkdir()
    with pytest.raises(IconoclipError, match="is a folder"):
        files.write_text(tmp_path / "report", "text")


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(IconoclipError, match="cannot be made"):
        files.write_text(tmp_path / "file" / "below" / "text", "text")
