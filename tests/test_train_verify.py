"""``iconoclip verify-resume``: a sound trainer goes on as if nothing had been, a broken one is found with its place."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from train.compare import compare_runs
from train.config import TrainConfig
from train.loop import run_training

VERIFY = [sys.executable, "-m", "iconoclip.cli", "verify-resume"]


def _clean_env(**changes: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")} | changes


def test_a_broken_stream_is_found_with_its_place(write_config: Callable[..., Path], tmp_path: Path) -> None:
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
    env = _clean_env(PYTHONPATH=str(tmp_path / "patch"))
    done = subprocess.run([*VERIFY, write_config()], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    went_on = int(done.stdout.split("went on after step ")[1].split(",")[0])
    assert f"samples    DIFFER from step {went_on + 1} on, first at position 0: " in done.stdout
    assert f"figures    DIFFER from step {went_on + 1} on: loss" in done.stdout
    assert "weights    DIFFER in" in done.stdout


def test_a_sound_trainer_is_found_sound_in_two_processes(write_config: Callable[..., Path], tmp_path: Path) -> None:
    config = write_config(heartbeat_s=5, micro_batch=2, workers=1, checkpoint={"every": 100})
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    ranks = [
        subprocess.Popen(
            [*VERIFY, config],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=_clean_env(
                RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
            ),
        )
        for rank in (0, 1)
    ]
    said = [process.communicate(timeout=200) for process in ranks]
    assert [process.returncode for process in ranks] == [0, 0], said
    assert said[1][0] == ""
    head, *lines = said[0][0].splitlines()
    assert "2 process(es) with 1 workers; killed after step" in head
    assert [line.split()[0] for line in lines] == ["samples", "figures", "weights", "optimizer"]
    assert all("agree" in line for line in lines)
    assert not list(tmp_path.glob(".run.verify-*"))  # and leaves nothing
    assert not (tmp_path / "run").exists()


def test_a_run_that_does_not_work_is_said_in_one_line(write_config: Callable[..., Path]) -> None:
    done = subprocess.run(
        [*VERIFY, write_config(data="nowhere")], capture_output=True, text=True, env=_clean_env(), check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "the run did not come to its 3rd step: nowhere" in done.stderr


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
