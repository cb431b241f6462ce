"""What a run writes down before it starts."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

from iconoclip import provenance
from iconoclip.config import Config
from iconoclip.errors import IconoclipError
from iconoclip.files import sha256_json


class Run(Config):
    verb: Literal["train"] = "train"
    out: Path
    languages: list[str] = []
    note: str | None = None


def test_two_runs_in_one_folder_exclude_each_other(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from iconoclip.provenance import lock_folder\n"
        "with lock_folder(Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == "held"
        with pytest.raises(IconoclipError, match="another run is writing there"), provenance.lock_folder(tmp_path):
            pass
        other.communicate("")
    with provenance.lock_folder(tmp_path):
        pass


def test_a_killed_run_does_not_lock_its_folder_for_ever(tmp_path: Path) -> None:
    code = (
        "import sys, os; from pathlib import Path; from iconoclip.provenance import lock_folder\n"
        "with lock_folder(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert killed.returncode == -9  # it died while it held the lock, and not on the way there
    assert (tmp_path / ".lock").exists()
    with provenance.lock_folder(tmp_path):
        pass


def test_run_json_holds_the_configuration_its_hash_and_versions(tmp_path: Path) -> None:
    config = Run(out=tmp_path / "out", languages=["no", "71E11"])
    provenance.write_run(tmp_path, provenance.describe_run(config, data={"n": 3}))
    data = json.loads((tmp_path / "run.json").read_text())
    assert Run.load(tmp_path / "run.json") == config
    assert data["config_sha256"] == sha256_json(config.to_json())
    assert data["software"]["python"]
    assert {"torch", "open_clip_torch"} <= data["software"].keys()
    assert data["data"] == {"n": 3}
    assert data["started"].endswith("Z")


def test_git_revision_names_the_commit_of_the_checkout() -> None:
    revision = provenance.git_revision()
    assert revision == "" or len(revision.removesuffix("+dirty")) == 40


def test_outside_a_checkout_there_is_no_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "provenance.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance.git_revision() == ""
