"""Weights held by two processes, as copies and as shares: the same losses, gradients and checkpoints."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ranks import Crew
from safetensors.torch import load_file

from train.config import TrainConfig
from train.loop import run_training

ROUNDING = 1e-5


def trains(path: Path, overrides: list[str]) -> None:
    """In one of the processes: a run, or the rest of it."""
    run_training(TrainConfig.load(path, overrides))


def _steps(run: Path) -> list[tuple[int, float, float]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(row["step"], row["loss"], row["grad_norm"]) for row in rows if "loss" in row]


def _scores(run: Path) -> list[float]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row["val/score"] for row in rows if "val/score" in row]


def _tensors(run: Path) -> dict[str, torch.Tensor]:
    state = run / "latest" / "state"
    files = ("weights.safetensors", "optimizer.safetensors")
    return {f"{file}:{name}": tensor for file in files for name, tensor in load_file(state / file).items()}


def _same(ours: Path, theirs: Path) -> None:
    assert len(_steps(ours)) == len(_steps(theirs))
    for own, other in zip(_steps(ours), _steps(theirs), strict=True):
        assert own == pytest.approx(other, rel=ROUNDING)
    assert _scores(ours) == _scores(theirs)
    whole, sharded = _tensors(ours), _tensors(theirs)
    assert whole.keys() == sharded.keys()
    assert {tensor.shape for tensor in whole.values()} == {tensor.shape for tensor in sharded.values()}
    for name, tensor in whole.items():
        torch.testing.assert_close(sharded[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("clip", {"loss": "sigmoid", "micro_batch": 2}),
        ("siglip2", {"loss": "sigmoid", "gradient_checkpointing": True, "freeze": {"token_table": True}}),
        ("xlm_roberta", {"loss": "softmax", "freeze": {"text_blocks": 1}}),
        ("clip", {"loss": "softmax", "lora": {"rank": 2}}),
    ],
)
def test_a_sharded_run_equals_one_with_copies(
    kind: str,
    changes: dict[str, Any],
    write_config: Callable[..., Path],
    model_dirs: Callable[[str], Path],
    tmp_path: Path,
    crew: Crew,
) -> None:
    options: dict[str, Any] = {
        "model": f"{model_dirs(kind)}:random",
        "samples": 40,
        "validation": {"path": str(tmp_path / "shards"), "every": 2},
        **changes,
    }
    for distributed in ("ddp", "fsdp2"):
        crew.run(2, trains, write_config(distributed, distributed=distributed, **options), [])
    _same(tmp_path / "ddp", tmp_path / "fsdp2")


def test_a_checkpoint_does_not_know_who_wrote_it(write_config: Callable[..., Path], tmp_path: Path, crew: Crew) -> None:
    path = write_config("whole")
    crew.run(2, trains, path, [])
    path = write_config("changing")
    for world, distributed, stop_after in ((2, "fsdp2", 3), (1, "ddp", 5), (4, "fsdp2", 8), (2, "ddp", 12)):
        crew.run(world, trains, path, [f"distributed={distributed}", f"stop_after={stop_after}"])
    _same(tmp_path / "whole", tmp_path / "changing")


def test_a_sharded_run_goes_on_bit_for_bit(write_config: Callable[..., Path], tmp_path: Path, crew: Crew) -> None:
    crew.run(2, trains, write_config("whole", distributed="fsdp2", samples=48), [])
    path = write_config("parts", distributed="fsdp2", samples=48)
    for stop_after in (2, 6):
        crew.run(2, trains, path, [f"stop_after={stop_after}"])
    assert _steps(tmp_path / "parts") == _steps(tmp_path / "whole")
    ours, theirs = _tensors(tmp_path / "parts"), _tensors(tmp_path / "whole")
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())


def test_shares_in_bf16(write_config: Callable[..., Path], tmp_path: Path, crew: Crew) -> None:
    for distributed in ("ddp", "fsdp2"):
        crew.run(2, trains, write_config(distributed, distributed=distributed, samples=16, precision="bf16"), [])
    for own, other in zip(_steps(tmp_path / "ddp"), _steps(tmp_path / "fsdp2"), strict=True):
        assert own == pytest.approx(other, rel=1e-2)


def test_shares_embed_before_they_train(write_config: Callable[..., Path], tmp_path: Path, crew: Crew) -> None:
    # The guard measures the base before the first step; what is put together for that must be of use in training.
    options: dict[str, Any] = {"preflight": False, "retention": {"action": "warn", "every": 1}, "samples": 16}
    for distributed in ("ddp", "fsdp2"):
        crew.run(2, trains, write_config(distributed, distributed=distributed, **options), [])
    _same(tmp_path / "ddp", tmp_path / "fsdp2")
