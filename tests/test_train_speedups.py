"""What makes a step smaller or faster changes what it should, and only while training."""

import functools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from iconoclip import models
from iconoclip.errors import ConfigError, ModelError
from train import speedups
from train.config import TrainConfig
from train.loop import run_training


def _losses(run: Path) -> list[float]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


def test_recomputing_does_not_change_a_run(write_config: Callable[..., Path]) -> None:
    plain = run_training(TrainConfig.load(write_config("plain", samples=24)))
    small = run_training(TrainConfig.load(write_config("small", samples=24, gradient_checkpointing=True)))
    assert _losses(small) == _losses(plain)
    assert models.load(str(small)).weights_sha256 == models.load(str(plain)).weights_sha256


def test_dropped_patches_change_a_run_and_not_its_model(write_config: Callable[..., Path]) -> None:
    plain = run_training(TrainConfig.load(write_config("plain", samples=24)))
    dropped = run_training(TrainConfig.load(write_config("dropped", samples=24, patch_dropout=0.5)))
    assert _losses(dropped)[0] != _losses(plain)[0]
    configs = [json.loads((run / "latest/open_clip_config.json").read_text()) for run in (plain, dropped)]
    assert configs[0] == configs[1]


@pytest.mark.filterwarnings("ignore")  # the compiler looks at everything that a tensor has
def test_compiled_blocks_train_and_are_evaluated_as_written(
    write_config: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The compiler itself is tested in test_train_step.py; here blocks are only traced, which takes no seconds.
    calls: list[bool] = []

    def backend(graph: torch.fx.GraphModule, _: object) -> Callable[..., object]:
        def run(*inputs: object) -> object:
            calls.append(torch.is_grad_enabled())
            return graph(*inputs)

        return run

    compile_blocks = functools.partial(speedups.compile_blocks, backend=backend)  # type: ignore[arg-type]
    monkeypatch.setattr(speedups, "compile_blocks", compile_blocks)
    options = {"samples": 16, "micro_batch": 4, "preflight": False, "validation": {"path": str(tmp_path / "shards")}}
    plain = run_training(TrainConfig.load(write_config("plain", **options)))
    compiled = run_training(TrainConfig.load(write_config("compiled", compile=True, **options)))
    torch.compiler.reset()
    assert _losses(compiled) == pytest.approx(_losses(plain), rel=1e-6)
    # 2 steps of 2 micro-batches, with and without gradient, through 2 + 2 blocks: no call is the validation's.
    assert calls.count(True) == calls.count(False) == 16


def test_what_cannot_drop_patches_says_so(tiny_model_dir: Path) -> None:
    model = models.load(str(tiny_model_dir))
    model.module.visual.patch_dropout = None
    with pytest.raises(ModelError, match="VisionTransformer cannot leave out patches"):
        speedups.drop_patches(model, 0.5)


def test_patches_of_a_frozen_tower_are_not_dropped(write_config: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match="patch_dropout: has no effect"):
        TrainConfig.load(write_config(patch_dropout=0.5, freeze={"image": True}))


@pytest.mark.parametrize("kind", ["clip", "siglip2", "xlm_roberta"])
def test_blocks_are_found_in_every_architecture(kind: str, model_dirs: Callable[[str], Path]) -> None:
    module = models.load(str(model_dirs(kind))).module
    blocks = speedups.blocks(module)
    inside = {id(p) for block in blocks for p in block.parameters()}
    assert len(blocks) == len({id(block) for block in blocks}) >= 4
    assert len(inside) > 0.6 * len(list(module.parameters()))
    assert not any("embed" in name for name, p in module.named_parameters() if id(p) in inside)
