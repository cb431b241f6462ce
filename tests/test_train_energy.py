"""Energy: codecarbon once on a machine, core-seconds where nothing can be read, summed over processes and requeues."""

import json
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from iconoclip import card, run_facts
from train import energy
from train.config import TrainConfig
from train.energy import WATTS_PER_CORE, Energy, EnergyMeter
from train.loop import run_training


def _alone(others: list[Any] | None = None, rank: int = 0) -> Any:
    """Stands for the processes: what each of them says when the meters are made."""

    def gather(value: Any) -> list[Any]:
        said = list(others or [])
        said.insert(rank, value)
        return said

    return SimpleNamespace(gather=gather, rank=rank, device=torch.device("cpu"))


def _work(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_without_a_meter_core_seconds_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "_can_measure", lambda: False)
    meter = EnergyMeter(_alone())
    _work(0.2)
    read = meter.read()
    # 0.2 core-seconds at 10 W are 2 J.
    assert 1.5 <= read.kwh * 3.6e6 < 2.0 + WATTS_PER_CORE * 1.0  # times come in ticks of 10 ms
    assert read.facts()["energy_method"] == "estimated"
    assert "no meter in this machine" in read.detail
    meter.close()


def test_codecarbon_looks_once_on_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "_can_measure", lambda: True)  # this machine may have none: then it models
    first = EnergyMeter(_alone())
    _work(0.3)
    read = first.read()
    assert read.kwh > 0
    assert read.detail.startswith("codecarbon ")
    assert "memory modelled" in read.detail
    assert read.kwh <= first.read().kwh  # it goes on counting
    first.close()
    # Another process of the same machine has nothing to add; one of another machine has.
    here = socket.gethostname()
    assert EnergyMeter(_alone([(here, True, "")], rank=1)).read() == Energy()
    elsewhere = EnergyMeter(_alone([("another", True, "")], rank=1))
    assert (elsewhere.num_nodes, elsewhere.read().kwh > 0) == (2, True)
    elsewhere.close()


def test_the_gpus_of_all_tasks_of_a_machine_are_metered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Driver:
        """Stands for NVML on a machine with four GPUs, of which the run has the second and the third."""

        NVMLError = RuntimeError
        nvmlInit = staticmethod(lambda: None)  # noqa: N815
        nvmlDeviceGetCount = staticmethod(lambda: 4)  # noqa: N815
        nvmlDeviceGetHandleByIndex = staticmethod(lambda number: number)  # noqa: N815
        nvmlDeviceGetUUID = staticmethod(lambda number: f"GPU-{number}")  # noqa: N815

    monkeypatch.setitem(sys.modules, "pynvml", Driver)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert energy._numbers_of(["1", "2"]) == [1, 2]
    assert energy._numbers_of(["7"]) is None
    assert energy._numbers_of(["", ""]) is None


def test_parts_are_summed_and_named_once() -> None:
    one, two = Energy(0.4, 0.4, "codecarbon: GPUs"), Energy(0.1, 0.0, "cores")
    assert (one + one + two).facts() == {
        "kwh": 0.9,
        "kwh_metered": 0.8,
        "energy_method": "estimated",  # 0.8 of 0.9 is less than nine tenths
        "energy_detail": "codecarbon: GPUs; cores",
    }
    assert (one + one).facts()["energy_method"] == "measured"
    assert Energy().facts()["energy_method"] == "estimated"


def test_a_meter_adds_what_the_others_said_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "_can_measure", lambda: False)
    meter = EnergyMeter(_alone([("another", False, "")]))
    meter.hear([Energy(5.0), Energy(1.0, 1.0, "their meter")])
    total = meter.total()
    assert 1.0 <= total.kwh < 1.1  # its own reading is fresh, not the 5 of before
    assert total.metered_kwh == 1.0


def test_energy_is_summed_over_requeues_and_kills(write_config: Callable[..., Path]) -> None:
    path = write_config(checkpoint={"every": 2})
    run = run_training(TrainConfig.load(path, ["stop_after=4"]))
    record = json.loads((run / "run.json").read_text())
    first = record["kwh"]
    assert record["sessions"][0]["kwh"] == first > 0
    assert record["sessions"][0]["spent_s"].keys() == {"starting", "validating", "saving"}
    # A session that is killed has written at its last checkpoint what it had taken so far.
    record["sessions"].append({**record["sessions"][0], "kwh": 0.5, "kwh_metered": 0.5})
    (run / "run.json").write_text(json.dumps(record))
    run_training(TrainConfig.load(path))
    record = json.loads((run / "run.json").read_text())
    assert record["kwh"] == pytest.approx(sum(session["kwh"] for session in record["sessions"]))
    assert record["kwh"] > 0.5 + first
    assert (record["energy_method"], record["kwh_metered"]) == ("measured", 0.5)
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    energies = [row["kwh"] for row in rows]
    assert energies == sorted(energies)
    assert energies[4] > 0.5  # the figures on the screen count what came before


def test_a_run_killed_before_its_first_checkpoint_took_energy_too(
    write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainConfig.load(write_config())
    monkeypatch.setattr("train.loop._step", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_training(config)
    monkeypatch.undo()
    run = run_training(config)
    assert len(json.loads((run / "run.json").read_text())["sessions"]) == 2


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_the_card_says_how_much_was_metered() -> None:
    facts = {"kwh": 2.0, "kwh_metered": 1.7, "energy_method": "estimated", "energy_detail": "codecarbon 3: 4 of 4 GPUs"}
    text = card._energy(SimpleNamespace(**_card_facts(facts)))  # type: ignore[arg-type]
    assert "2 kWh (estimated: 85 % of it metered; codecarbon 3: 4 of 4 GPUs)" in text


def _card_facts(run: dict[str, Any]) -> dict[str, Any]:
    kwh, method = run["kwh"], run_facts.energy_method(run)
    return {"energy_kwh": kwh, "emissions_g": 950.0, "energy_method": method, "country": "", "g_per_kwh": 475.0}
