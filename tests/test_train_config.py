"""What a training configuration accepts, and what it says when it does not."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from iconoclip.config import is_abstract
from iconoclip.errors import ConfigError
from train.config import TrainConfig
from train.losses.sigmoid import Sigmoid

CONFIGS = Path(__file__).resolve().parents[1] / "configs" / "train"


def _load(**changes: Any) -> TrainConfig:
    data: dict[str, Any] = {
        "verb": "train",
        "out": "runs/x",
        "model": "tiny:random",
        "data": "shards",
        "batch_size": 8,
        "epochs": 2,
        "loss": "softmax",
        "optim": {"lr": 1e-3},
    }
    data |= changes
    return TrainConfig.validate_data({k: v for k, v in data.items() if v is not None}, where="x.yaml")


def test_short_forms_become_long_ones() -> None:
    config = _load(loss={"kind": "sigmoid", "same_work": "ignore"}, validation="shards")
    assert config.model.name == "tiny:random"
    assert (config.data[0].path, config.data[0].split, config.data[0].weight) == ("shards", "train", None)
    assert isinstance(config.loss, Sigmoid)
    assert config.loss.same_work == "ignore"
    assert config.validation is not None
    assert config.validation.split == "val"


def test_a_configuration_reads_back_what_it_wrote() -> None:
    config = _load(loss="sigmoid", fold="all", data=[{"path": "a", "weight": 2}, {"path": "b", "weight": 1.0}])
    assert TrainConfig.validate_data(config.to_json(), where="run.json") == config


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"loss": "sofmax"}, "did you mean 'softmax'"),
        ({"batchsize": 3}, "did you mean 'batch_size'"),
        ({"samples": 100}, "either `epochs` or `samples`"),
        ({"epochs": None}, "either `epochs` or `samples`"),
        ({"micro_batch": 3}, "batch_size 8 is no multiple of micro_batch 3"),
        ({"data": [{"path": "a", "weight": 1}, "b"]}, "data.1"),
        ({"data": [{"path": "a", "weight": 1}, {"path": "b"}]}, "give every source a `weight`, or none"),
        ({"data": []}, "data"),
        ({"data": {"path": "a", "split": "eval/saints"}}, "evaluation collections are never trained on"),
        ({"fold": "every"}, "fold"),
        ({"freeze": {"image": True, "text": True}}, "nothing is left to train"),
        ({"augment": {"scale": [0.9, 0.5]}}, "augment: scale"),
        ({"captions": {"draw": "default", "languages": ["fr"]}}, "takes the shard's .txt"),
        ({"captions": {"languages": []}}, "captions.languages"),
        ({"optim": {"lr": 0}}, "optim.lr"),
        ({"precision": "fp16"}, "precision"),
    ],
)
def test_a_mistake_is_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(**changes)
    assert words in str(caught.value)


def test_all_mistakes_come_in_one_message() -> None:
    with pytest.raises(ConfigError) as caught:
        _load(batch_size=1, fold=-1, loss="clip", optim={"lr": "fast"})
    assert "4 problems" in str(caught.value) or "5 problems" in str(caught.value)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_configuration_is_valid(path: Path) -> None:
    if not is_abstract(path):
        TrainConfig.load(path)
    assert path.read_text(encoding="utf-8").startswith("# iconoclip train configs/train/")


def test_validating_imports_neither_torch_nor_open_clip() -> None:
    code = (
        "import sys, train.config, train.losses.softmax, train.losses.sigmoid;"
        "sys.exit(', '.join({'torch', 'open_clip', 'datasets', 'accelerate'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
