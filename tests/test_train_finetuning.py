"""Whole runs with adapters, and with what keeps the base's knowledge: interrupted and not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ranks import Crew

from iconoclip import models
from train.config import TrainConfig
from train.loop import run_training


@pytest.fixture
def write_pretrained(write_config: Callable[..., Path], tiny_model_dir: Path) -> Callable[..., Path]:
    """As ``write_config``, from the tiny model's own weights."""
    return lambda out="run", **changes: write_config(out, **({"model": str(tiny_model_dir)} | changes))


def _rows(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def _steps(run: Path) -> list[tuple[int, float, float]]:
    return [(row["step"], row["loss"], row["grad_norm"]) for row in _rows(run) if "loss" in row]


def _sha(run: Path) -> str:
    return models.load(str(run)).weights_sha256


def test_a_run_with_adapters_goes_on_bit_for_bit(write_pretrained: Callable[..., Path], tiny_model_dir: Path) -> None:
    changes = {"lora": {"rank": 4, "alpha": 8, "dropout": 0.2}, "optim": {"lr": 1e-2}, "micro_batch": 4}
    whole = run_training(TrainConfig.load(write_pretrained("whole", **changes)))
    path = write_pretrained("parts", **changes)
    for stop_after in (3, 7, None):
        run = run_training(TrainConfig.load(path, [f"stop_after={stop_after}"] if stop_after else []))
    assert _steps(run) == _steps(whole)
    assert _sha(run) == _sha(whole)
    record = json.loads((run / "run.json").read_text())
    assert record["model"]["num_trained"] < record["model"]["num_parameters"] / 20
    base = models.load(str(tiny_model_dir)).module.state_dict()
    after = models.load(str(run)).module.state_dict()
    moved = {name for name in base if not base[name].equal(after[name])}
    assert moved == {"logit_scale"} | {
        name for name in base if "resblocks" in name and name.endswith("weight") and ".ln_" not in name
    } | {name for name in base if name.endswith("in_proj_weight")}


@pytest.fixture
def guarded(write_pretrained: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """As ``write_pretrained``, with a validation every 4 steps, and a drift that goes beyond 0.03 in the course."""

    def write(out: str, **changes: Any) -> Path:
        data = {"optim": {"lr": 3e-5}, "checkpoint": {"every": 3}}
        data |= {"validation": {"path": str(tmp_path / "shards"), "every": 4}}
        return write_pretrained(out, **(data | changes))

    return write


def test_a_run_rolls_back_and_goes_on_bit_for_bit(guarded: Callable[..., Path]) -> None:
    retention = {"action": "rollback", "max_drop": 0.03, "max_rollbacks": 5}
    whole = run_training(TrainConfig.load(guarded("whole", retention=retention)))
    record = json.loads((whole / "run.json").read_text())
    assert record["status"] == "finished"
    rollbacks = record["rollbacks"]
    assert rollbacks
    assert [event["lr_factor"] for event in rollbacks] == [0.5 ** (n + 1) for n in range(len(rollbacks))]
    assert all(event["to_step"] < event["from_step"] and event["drop"] > 0.03 for event in rollbacks)
    rows = _rows(whole)
    assert [row["step"] for row in rows if "loss" in row] == list(range(1, 13))  # each step once, as it was in the end
    assert all(row["retention/drop"] <= 0.03 for row in rows if "retention/drop" in row)
    first = next(event["from_step"] for event in rollbacks)
    path = guarded("parts", retention=retention)
    # Before the step at which it goes back, at it, just after, and far on.
    for stop_after in (2, first - 1, first, first + 1, None):
        run = run_training(TrainConfig.load(path, [f"stop_after={stop_after}"] if stop_after else []))
    assert _steps(run) == _steps(whole)
    assert _sha(run) == _sha(whole)
    assert json.loads((run / "run.json").read_text())["rollbacks"] == rollbacks


def test_a_run_killed_while_it_rolls_back_comes_to_the_same(
    guarded: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    retention = {"action": "rollback", "max_drop": 0.03, "max_rollbacks": 5}
    whole = run_training(TrainConfig.load(guarded("whole", retention=retention)))
    config = TrainConfig.load(guarded("killed", retention=retention))

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("train.checkpoint.make_latest", die)
        with pytest.raises(KeyboardInterrupt):
            run_training(config)
    assert _steps(run_training(config)) == _steps(whole)
    assert _sha(config.out) == _sha(whole)
    assert (
        json.loads((config.out / "run.json").read_text())["rollbacks"]
        == json.loads((whole / "run.json").read_text())["rollbacks"]
    )


def test_a_guard_that_stops_leaves_a_good_model_and_stays_stopped(
    guarded: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    general = {"path": str(tmp_path / "shards"), "split": "test"}
    path = guarded("run", retention={"action": "stop", "max_drop": 0.03}, wise_ft={"general": general})
    run = run_training(TrainConfig.load(path))
    record = json.loads((run / "run.json").read_text())
    assert record["halted"].startswith("retention fell by 0.0")
    steps = [row["step"] for row in _rows(run) if "loss" in row]
    good = [row["step"] for row in _rows(run) if row.get("retention/drop", 1) <= 0.03]
    assert steps[-1] < 12
    assert steps[-1] not in good
    assert int((run / "best").resolve().name.removeprefix("step-")) in good
    assert record["wise_ft"]["checkpoint"] == (run / "best").resolve().name  # what is averaged is good too
    before = (run / "metrics.jsonl").read_bytes()
    with caplog.at_level("INFO"):
        run_training(TrainConfig.load(path))
    assert "finished already (retention fell by" in caplog.text
    assert (run / "metrics.jsonl").read_bytes() == before
    # Until somebody says otherwise.
    longer = ["retention.action=warn", "resume.allow=[retention]"]
    run_training(TrainConfig.load(path, longer))
    assert _rows(run)[-1]["step"] == 12


def test_a_guard_with_a_general_set_measures_it_against_the_base(guarded: Callable[..., Path], tmp_path: Path) -> None:
    general = {"path": str(tmp_path / "shards"), "split": "test"}
    path = guarded("run", retention={"shards": general, "max_drop": 0.0}, optim={"lr": 1e-3})
    parts = guarded("parts", retention={"shards": general, "max_drop": 0.0}, optim={"lr": 1e-3})
    run = run_training(TrainConfig.load(path))
    rows = [row for row in _rows(run) if "retention/figure" in row]
    assert [row["step"] for row in rows] == [4, 8, 12]
    base = {round(row["retention/figure"] + row["retention/drop"], 9) for row in rows}
    assert len(base) == 1
    assert json.loads((run / "latest/state/trainer.json").read_text())["retention_base"] == pytest.approx(base.pop())
    for stop_after in ("stop_after=6", "stop_after=12"):
        run_training(TrainConfig.load(parts, [stop_after]))
    assert [row for row in _rows(parts.with_suffix("")) if "retention/figure" in row] == rows


@pytest.mark.parametrize("adapters", [None, {"rank": 4}])
def test_the_best_average_is_exported_and_the_raw_weights_are_kept(
    adapters: dict | None, guarded: Callable[..., Path], tmp_path: Path, tiny_model_dir: Path
) -> None:
    general = {"path": str(tmp_path / "shards"), "split": "test"}
    wise_ft = {"general": general, "alphas": [0.25, 0.5], "max_loss": 0.0}
    changes = {"lora": adapters, "optim": {"lr": 1e-3 if adapters else 3e-4}}
    plain = run_training(TrainConfig.load(guarded("plain", **changes)))
    run = run_training(TrainConfig.load(guarded("run", wise_ft=wise_ft, **changes)))
    report = json.loads((run / "wise_ft.json").read_text())
    points = {point["alpha"]: point for point in report["points"]}
    assert list(points) == [0, 0.25, 0.5, 1]
    chosen = points[report["chosen_alpha"]]
    allowed = [point for point in points.values() if point["general"] >= points[0]["general"]]
    assert chosen["heritage"] == max(point["heritage"] for point in allowed)
    assert json.loads((run / "run.json").read_text())["wise_ft"] == report
    folder = run / "checkpoints" / report["checkpoint"]
    assert folder == (run / "best").resolve()
    # alpha 1 is the model that the run without a sweep exports, measured by the same function
    best = json.loads((plain / "run.json").read_text())["best_score"]
    assert points[1]["heritage"] == pytest.approx(best, abs=1e-9)
    raw = models.load(str(plain)).module.state_dict()
    base = models.load(str(tiny_model_dir)).module.state_dict()
    exported = models.load(str(run))
    assert exported.weights_sha256 == report["weights_sha256"]
    for name, tensor in exported.module.state_dict().items():
        expected = base[name] + report["chosen_alpha"] * (raw[name] - base[name])
        assert tensor.allclose(expected, atol=1e-6), name
    for name in ("weights.safetensors", "optimizer.safetensors"):
        same = (plain / "checkpoints" / report["checkpoint"] / "state" / name).read_bytes()
        assert (folder / "state" / name).read_bytes() == same
    # Done is done; without its report the sweep is made again, and comes to the same.
    modified = (run / "wise_ft.json").stat().st_mtime_ns
    run_training(TrainConfig.load(guarded("run", wise_ft=wise_ft, **changes)))
    assert (run / "wise_ft.json").stat().st_mtime_ns == modified
    (run / "wise_ft.json").unlink()
    run_training(TrainConfig.load(guarded("run", wise_ft=wise_ft, **changes)))
    assert json.loads((run / "wise_ft.json").read_text()) == report


def trains(path: Path) -> None:
    """In one of the processes: a whole run."""
    run_training(TrainConfig.load(path))


def test_two_processes_with_adapters_and_a_guard_do_as_one(
    guarded: Callable[..., Path], tmp_path: Path, crew: Crew
) -> None:
    # As copies (DDP): drops, the way back, the averages and every loss are those of one process, but for rounding.
    general = {"path": str(tmp_path / "shards"), "split": "test"}
    changes = {
        "lora": {"rank": 4, "dropout": 0.1},
        "optim": {"lr": 1e-3},
        "micro_batch": 4,
        "samples": 64,
        "retention": {"action": "rollback", "max_drop": 0.3, "max_rollbacks": 9},
        "wise_ft": {"general": general, "alphas": [0.5]},
    }
    one = run_training(TrainConfig.load(guarded("one", **changes)))
    path, two = guarded("two", **changes), tmp_path / "two"
    crew.run(2, trains, path)
    for ours, theirs in zip(_steps(one), _steps(two), strict=True):
        assert theirs == pytest.approx(ours, rel=1e-4)
    records = [json.loads((run / "run.json").read_text()) for run in (one, two)]
    ways_back = [[(event["from_step"], event["to_step"]) for event in record["rollbacks"]] for record in records]
    assert ways_back[0] == ways_back[1]
    assert ways_back[0]
    for ours, theirs in zip(*(record["wise_ft"]["points"] for record in records), strict=True):
        assert theirs == pytest.approx(ours, abs=1e-6)
