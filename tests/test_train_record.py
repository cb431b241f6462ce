"""run.json and what a run may be continued with."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from iconoclip.errors import ConfigError
from train.config import TrainConfig
from train.loop import run_training


def test_a_run_of_before_a_field_came_goes_on(write_config: Callable[..., Path]) -> None:
    path = write_config(samples=48)
    run = run_training(TrainConfig.load(path, ["stop_after=2"]))
    trainer = run / "latest" / "state" / "trainer.json"
    state = json.loads(trainer.read_text())
    for name in ("deterministic", "mixture", "captions"):
        del state["config"][name]  # as if the software had not known them yet
    trainer.write_text(json.dumps(state))
    with pytest.raises(ConfigError, match="deterministic: was False, is True"):
        run_training(TrainConfig.load(path, ["deterministic=true"]))
    run_training(TrainConfig.load(path))
    assert json.loads((run / "run.json").read_text())["status"] == "finished"


def test_run_json_says_what_the_figures_rest_on(write_config: Callable[..., Path]) -> None:
    run = run_training(TrainConfig.load(write_config(samples=8, peak_tflops=0.5, micro_batch=4)))
    record = json.loads((run / "run.json").read_text())
    assert record["peak_tflops"] == 0.5
    assert 0 < record["flops_per_pair"]["model"] < record["flops_per_pair"]["done"]
    (session,) = record["sessions"]
    assert (session["num_nodes"], session["num_processes"], session["device"]) == (1, 1, "cpu")
    assert session["spent_s"]["starting"] > 0
