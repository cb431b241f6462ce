"""`iconoclip doctor`: what is there, what is missing, how to mend it, and no secret."""

import builtins
import sys
from pathlib import Path
from typing import Any

import pytest

from iconoclip import doctor
from iconoclip.doctor import Finding


def by_name(findings: Any) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_here_everything_essential_is_there() -> None:
    text, ok = doctor.examine()
    assert ok, text
    for name in ("python", "torch", "precision", "distributed", "open_clip_torch", "datasets", "webdataset", "cpu",
                 "disk", "slurm", "wandb", "hub token", "hub cache", "codecarbon", "names"):  # fmt: skip
        assert any(line[4:].startswith(name) for line in text.splitlines()), name
    assert text.endswith("everything essential is there")


def test_secrets_are_reported_as_set_but_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_verysecret")
    monkeypatch.setenv("WANDB_API_KEY", "wandbsecret")
    text, _ = doctor.examine()
    assert "secret" not in text
    assert by_name(doctor._hub())["hub token"].text == "set"
    assert "key set" in by_name(doctor._tracking())["wandb"].text


def test_missing_secrets_say_what_they_are_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    assert "only needed to publish" in by_name(doctor._hub())["hub token"].mend
    assert "WANDB_MODE=offline" in by_name(doctor._tracking())["wandb"].mend


def test_a_missing_essential_makes_the_verdict_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def without_torch(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "torch":
            raise ImportError("libcudart.so.13: cannot open shared object file\nand more")
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_torch)
    (finding,) = list(doctor._torch())
    assert (finding.state, finding.text) == ("bad", "libcudart.so.13: cannot open shared object file")
    assert "TORCH=" in finding.mend
    monkeypatch.undo()
    monkeypatch.setattr(doctor, "_torch", lambda: iter([finding]))
    text, ok = doctor.examine()
    assert not ok
    assert "!!  torch" in text
    assert text.endswith("1 essential missing, marked !!")


def test_a_taken_name_is_found_with_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "train", raising=False)
    assert doctor.foreign_names() == {"train": str(tmp_path / "train.py")}
    assert by_name(doctor._names())["names"].state == "bad"


def test_inside_a_slurm_job_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    monkeypatch.setenv("SLURM_NTASKS", "8")
    assert by_name(doctor._slurm())["slurm"].text == "inside job 4711: nodes 1, tasks 8"


def test_a_full_disk_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_MIN_FREE_GB", 10**9)
    monkeypatch.setattr(doctor, "_MIN_FREE_INODES", 10**18)
    found = by_name(doctor._machine())
    assert (found["disk"].state, found["disk"].mend) == ("note", "set `out` to a larger disk")
