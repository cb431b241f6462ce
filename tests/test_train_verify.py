"""``iconoclip verify-resume``: a sound trainer goes on as if nothing had been, a broken one is found with its place."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ranks import Crew
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from iconoclip.cli import app
from train.compare import compare_runs
from train.config import TrainConfig
from train.loop import run_training
from train.verify import verify_resume


@pytest.fixture(autouse=True)
def _no_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    """The children are started from here, and are no part of anything."""
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


def test_a_broken_stream_is_found_with_its_place(
    write_config: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every Python that is started here goes on one batch too late, as a loader does that is one batch ahead.
    (tmp_path / "patch").mkdir()
    (tmp_path / "patch" / "sitecustomize.py").write_text(
        "import sys\n"
        "if sys.argv[1:2] != ['-c'] and 'train' in sys.orig_argv:\n"
        "    import train.data as data\n"
        "    real = data.Chunks.__init__\n"
        "    def late(self, first, last, **options):\n"
        "        real(self, first + (first > 0), last, **options)\n"
        "    data.Chunks.__init__ = late\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "patch"))
    done = CliRunner().invoke(app, ["verify-resume", str(write_config())])
    assert done.exit_code == 2, done.output
    went_on = int(done.stdout.split("went on after step ")[1].split(",")[0])
    assert f"samples    DIFFER from step {went_on + 1} on, first at position 0: " in done.stdout
    assert f"figures    DIFFER from step {went_on + 1} on: loss" in done.stdout
    assert "weights    DIFFER in" in done.stdout


def verifies(path: Path) -> tuple[str, bool]:
    """In one of the processes: what it says, and whether all is well."""
    return verify_resume(TrainConfig.load(path))


def test_a_sound_trainer_is_found_sound_in_two_processes(
    write_config: Callable[..., Path], tmp_path: Path, crew: Crew
) -> None:
    path = write_config(heartbeat_s=5, micro_batch=2, checkpoint={"every": 100})
    (said, is_sound), others = crew.run(2, verifies, path, timeout_s=200)
    assert others == ("", True)
    head, *lines = said.splitlines()
    assert is_sound, said
    assert "2 process(es) with 0 workers; killed after step" in head
    assert [line.split()[0] for line in lines] == ["samples", "figures", "weights", "optimizer"]
    assert all("agree" in line for line in lines)
    assert not list(tmp_path.glob(".run.verify-*"))  # and leaves nothing
    assert not (tmp_path / "run").exists()


def test_a_run_that_does_not_work_is_said_in_one_line_by_all(
    write_config: Callable[..., Path], tmp_path: Path, crew: Crew
) -> None:
    for failed in crew.run(2, verifies, write_config(data="nowhere"), fails=True, timeout_s=60):
        assert failed.kind == "IconoclipError", failed.text
        assert failed.text.startswith("verify-resume: the run did not come to its 3rd step: "), failed.text
    assert not list(tmp_path.glob(".run.verify-*"))


def test_what_differs_is_named(write_config: Callable[..., Path], tmp_path: Path) -> None:
    one = run_training(TrainConfig.load(write_config("one", samples=24, log={"every": 1, "keys": True})))
    other = tmp_path / "other"
    shutil.copytree(one, other, symlinks=True)
    lines, agree = compare_runs(one, other)
    assert agree
    assert lines[0] == "  samples    agree, in order, in all of 3 batches"

    rows = [json.loads(line) for line in (other / "keys.jsonl").read_text().splitlines()]
    rows[1]["keys"][5], rows[1]["keys"][6] = rows[1]["keys"][6], rows[1]["keys"][5]
    (other / "keys.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = (other / "latest").resolve() / "state" / "weights.safetensors"
    tensors = load_file(path)
    tensors["text_projection"] = tensors["text_projection"] * 1.5
    save_file(tensors, path)
    lines, agree = compare_runs(one, other)
    assert not agree
    assert lines[0].startswith("  samples    DIFFER from step 2 on, first at position 5: ")
    assert lines[1].startswith("  figures    agree")
    # (1.5 - 1) of the tensor's norm
    assert (
        lines[2] == f"  weights    DIFFER in 1 of {len(tensors)} tensors, most in text_projection: 5.0e-01 of its norm"
    )
    assert lines[3].startswith("  optimizer  agree")
    assert torch.is_tensor(tensors["text_projection"])


@pytest.mark.parametrize("wanted", [True, False])
def test_deterministic_kernels_are_switched_on_for_the_run_only(
    wanted: bool, write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from train import loop

    seen, real = [], loop.backward

    def look(*arguments: object, **options: object) -> torch.Tensor:
        seen.append(torch.are_deterministic_algorithms_enabled())
        return real(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "backward", look)
    run_training(TrainConfig.load(write_config(samples=8, deterministic=wanted, preflight=False)))
    assert seen == [wanted]
    assert not torch.are_deterministic_algorithms_enabled()
