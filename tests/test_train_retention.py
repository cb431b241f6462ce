"""The alarm by hand: agreement of matrices, what is allowed, and the way back."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from iconoclip import models
from iconoclip.errors import ConfigError
from train import checkpoint, optim, retention
from train.checkpoint import TrainerState
from train.config import OptimConfig, RetentionConfig, TrainConfig


def _state(step: int, **changes: Any) -> TrainerState:
    state = TrainerState(
        step=step,
        samples_seen=8 * step,
        num_corrupt=0,
        seconds=float(step),
        max_log_scale=4.6,
        best_score=None,
        best_step=None,
        config={"seed": 0},
        data_sha256="d",
        base_weights_sha256="w",
        num_processes=1,
    )
    return replace(state, **changes)


def test_agreement_looks_beside_the_diagonal_only() -> None:
    base = np.array([[9.0, 1, 2], [3, 9, 4], [5, 6, 9]])
    assert retention.agreement(base, base) == pytest.approx(1)
    trained = 0.5 * base - 3  # another temperature of the same order
    np.fill_diagonal(trained, 100)
    assert retention.agreement(trained, base) == pytest.approx(1)
    assert retention.agreement(-base, base) == pytest.approx(-1)
    # 1..6 against 2, 1, 3, 4, 5, 6: Spearman's formula holds for ranks, 1 - 6 * 2 / (6 * 35) = 0.942857.
    swapped = base.copy()
    swapped[0, 1], swapped[0, 2] = 2, 1
    assert retention.agreement(swapped, base) == pytest.approx(1 - 12 / 210)
    assert retention.agreement(np.zeros((3, 3)), base) == 0


def test_a_drop_is_judged_by_the_action_and_the_rollbacks_so_far() -> None:
    config = RetentionConfig(max_drop=0.05, action="rollback", max_rollbacks=2)
    assert retention.judge(config, _state(4), 0.05) == "good"
    assert retention.judge(config, _state(4), 0.06) == "rollback"
    assert retention.judge(config, _state(4, rollbacks=[{}, {}]), 0.06) == "stop"
    assert retention.judge(RetentionConfig(action="warn"), _state(4), 0.2) == "warn"
    assert retention.judge(RetentionConfig(action="stop"), _state(4), float("nan")) == "stop"
    # without a general set a tenth of the agreement may go, with one a hundredth of the hit rate
    assert retention.largest_drop(RetentionConfig()) == 0.1
    assert retention.largest_drop(RetentionConfig.model_validate({"shards": "g"})) == 0.01


def test_the_pairs_are_fixed_by_the_seed_and_have_texts_of_their_own(make_shards: Callable[..., Path]) -> None:
    root = make_shards(num_records=60)

    def pairs(**changes: Any) -> retention.FixedPairs:
        data: dict[str, Any] = {"verb": "train", "out": "o", "model": "tiny:random", "data": str(root), "epochs": 1}
        data |= {"batch_size": 4, "loss": "softmax", "optim": {"lr": 1e-3}, "retention": {"every": 1}}
        return retention.fixed_pairs(TrainConfig.validate_data(data | changes, where="test"))

    assert pairs().positions == pairs().positions
    assert pairs().positions != pairs(seed=1).positions
    assert len(set(pairs().texts)) == len(pairs().positions) == 36
    assert len(pairs(validation=str(root)).positions) == 12  # of the validation split where there is one
    with pytest.raises(ConfigError, match="has 0 pairs, too few to compare"):
        pairs(captions={"languages": ["xx"]}, data=[{"path": str(root / "train" / "*.tar")}])


def test_the_way_back_is_the_same_from_wherever_it_is_taken(tiny_model_dir: Path, tmp_path: Path) -> None:
    model = models.load(str(tiny_model_dir))
    optimizer = optim.make_optimizer(model.module, OptimConfig(lr=1e-3))
    model.module.encode_text(model.tokenizer(["a lion"])).sum().backward()
    optimizer.step()
    for step in (4, 6, 8):
        checkpoint.save(tmp_path, model, optimizer, _state(step), is_best=step == 4, is_good=step == 4, keep=5)
    now = _state(9, lr_factor=0.5, rollbacks=[{"from_step": 3}], retention_base=0.7)
    rolled = retention.roll_back(tmp_path, now, drop=0.2)
    assert (rolled.step, rolled.samples_seen, rolled.lr_factor, rolled.seconds) == (4, 32, 0.25, 9.0)
    assert rolled.rollbacks == [
        {"from_step": 3},
        {"from_step": 9, "to_step": 4, "drop": 0.2, "lr_factor": 0.25},
    ]
    assert checkpoint.read_state(tmp_path / "latest") == rolled
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000004"]
    # Again from the same place, as after a kill between the two writes: the same state, not a quarter of the quarter.
    assert retention.roll_back(tmp_path, now, drop=0.2) == rolled
    restored = models.load(f"{tiny_model_dir}:random", seed=3)
    fresh = optim.make_optimizer(restored.module, OptimConfig(lr=1e-3))
    checkpoint.restore(tmp_path / "checkpoints/step-00000004", restored.module, fresh)
    assert all(torch.equal(a, b) for a, b in zip(model.module.parameters(), restored.module.parameters(), strict=True))


def test_the_good_checkpoint_is_kept(tiny_model_dir: Path, tmp_path: Path) -> None:
    model = models.load(str(tiny_model_dir))
    optimizer = optim.make_optimizer(model.module, OptimConfig(lr=1e-3))
    for step in range(5):
        checkpoint.save(tmp_path, model, optimizer, _state(step), is_best=False, is_good=step == 1, keep=1)
    assert [path.name for path in sorted((tmp_path / "checkpoints").iterdir())] == ["step-00000001", "step-00000004"]
    # A run that the guard ends without a validation has its last good checkpoint as the best.
    halted = _state(5, halted="retention fell")
    checkpoint.save(tmp_path, model, optimizer, halted, is_best=False, keep=1)
    assert (tmp_path / "best").resolve().name == "step-00000001"
