"""How much energy a run takes: metered where the machine lets us read it, else estimated and called so.

Of the processes on a machine one looks, for all of them: codecarbon's offline tracker reads the GPUs of the run (NVML,
AMD SMI) and the processors (RAPL, where one may read it; it counts the whole machine, neighbours included), and models
what has no meter. On a machine without any meter each process counts the core-seconds it used, which is nearer to the
truth than codecarbon's model of a whole machine where a job has a share of one.
"""

import logging
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .processes import Processes

log = logging.getLogger(__name__)

# A server core under load, with its share of memory and board: Xeon and EPYC of 2020-2024 draw 200-360 W for 32-96
# cores under full load, 3-7 W a core; the rest of the machine about doubles it.
WATTS_PER_CORE = 10.0
_RAPL = Path("/sys/class/powercap")
_JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True)
class Energy:
    """kWh, how much of them a meter counted, and in words where they come from."""

    kwh: float = 0.0
    metered_kwh: float = 0.0
    detail: str = ""

    def __add__(self, other: "Energy") -> "Energy":
        details = dict.fromkeys(part for part in (self.detail, other.detail) if part)
        return Energy(self.kwh + other.kwh, self.metered_kwh + other.metered_kwh, "; ".join(details))

    def facts(self) -> dict[str, Any]:
        """For run.json. ``energy_method`` is ``measured`` where meters counted at least nine tenths."""
        is_measured = self.kwh > 0 and self.metered_kwh >= 0.9 * self.kwh
        return {
            "kwh": round(self.kwh, 9),
            "kwh_metered": round(self.metered_kwh, 9),
            "energy_method": "measured" if is_measured else "estimated",
            "energy_detail": self.detail,
        }


class EnergyMeter:
    """Watches from its creation, which every process must come to, until :meth:`close`."""

    def __init__(self, processes: Processes) -> None:
        self._others: dict[int, Energy] = {}
        self._rank = processes.rank
        self._cpu_seconds, self._tracker = _cpu_seconds(), None
        node = os.environ.get("SLURMD_NODENAME") or socket.gethostname()
        everybody = processes.gather((node, _can_measure(), _device_id(processes.device)))
        self.num_nodes = len({name for name, _, _ in everybody})
        here = [rank for rank, (name, _, _) in enumerate(everybody) if name == node]
        self._has_meter = everybody[here[0]][1]
        if self._has_meter and self._rank == here[0]:
            self._tracker = _Tracker([device for name, _, device in everybody if name == node])

    def read(self) -> Energy:
        """What this process has to say: nothing, if another one looks for the whole machine."""
        if self._tracker is not None:
            return self._tracker.read()
        if self._has_meter:
            return Energy()
        seconds = _cpu_seconds() - self._cpu_seconds
        kwh = seconds * WATTS_PER_CORE / _JOULES_PER_KWH
        return Energy(kwh, 0.0, f"core-seconds used x {WATTS_PER_CORE:g} W; no meter in this machine")

    def hear(self, readings: list[Energy]) -> None:
        """Remember what all processes read last, in the order of their ranks."""
        self._others = {rank: reading for rank, reading in enumerate(readings) if rank != self._rank}

    def total(self) -> Energy:
        """Energy of all processes, the others' as of the last :meth:`hear`."""
        return sum(self._others.values(), start=self.read())

    def close(self) -> None:
        """Stop the tracker's threads, if there are any."""
        if self._tracker is not None:
            self._tracker.close()


class _Tracker:
    """codecarbon's offline tracker; ``devices`` are those of the run on this machine."""

    def __init__(self, devices: list[str]) -> None:
        from codecarbon import OfflineEmissionsTracker
        from codecarbon.output_methods.base_output import BaseOutput

        class Keep(BaseOutput):
            """Keeps what the tracker writes out."""

            last: Any = None

            def out(self, total: Any, delta: Any) -> None:
                self.last = total

        self._kept = Keep()
        self._num_devices = len({device for device in devices if device})
        numbers = _numbers_of(devices)
        self._num_metered = self._num_devices if numbers is None else len(numbers)
        self._tracker = OfflineEmissionsTracker(
            country_iso_code="FRA",  # only turns kWh into CO2, which is not kept
            output_methods=[],
            output_handlers=[self._kept],
            log_level="error",
            gpu_ids=numbers,
        )
        self._tracker.start()

    def read(self) -> Energy:
        self._tracker.flush()
        data = self._kept.last
        if data is None:  # codecarbon keeps its troubles to itself
            return Energy(detail="codecarbon could not read anything")
        gpu = float(data.gpu_energy)
        # A job step may see its own device only; the others of the run on this machine do the same work.
        whole = gpu * self._num_devices / self._num_metered if self._num_metered else gpu
        parts = [f"processors {'metered' if _has_rapl() else 'modelled'}", "memory modelled"]
        if self._num_devices:
            parts.insert(0, f"{self._num_metered} of {self._num_devices} GPUs of a machine metered")
        kwh = float(data.energy_consumed) - gpu + whole
        metered = gpu + (float(data.cpu_energy) if _has_rapl() else 0.0)
        return Energy(kwh, metered, f"codecarbon {data.codecarbon_version}: {', '.join(parts)}")

    def close(self) -> None:
        self._tracker.stop()


def _can_measure() -> bool:
    return torch.cuda.is_available() or _has_rapl()


def _has_rapl() -> bool:
    return any(os.access(path, os.R_OK) for path in _RAPL.glob("*/energy_uj"))


def _device_id(device: torch.device) -> str:
    """Name of the GPU that means the same in every process of a machine; "" without one."""
    if device.type != "cuda":
        return ""
    number = device.index if device.index is not None else torch.cuda.current_device()
    if torch.version.hip:
        return os.environ.get("ROCR_VISIBLE_DEVICES") or str(number)
    return str(torch.cuda.get_device_properties(number).uuid).removeprefix("GPU-")


def _numbers_of(devices: list[str]) -> list[int] | None:
    """Numbers under which NVML or AMD SMI know the run's GPUs; None to let codecarbon look for them.

    codecarbon takes UUIDs too, but cuts the G off their GPU- and then finds none.
    """
    wanted = {device for device in devices if device}
    if torch.version.hip:
        return sorted({int(part) for device in wanted for part in device.split(",") if part.isdigit()}) or None
    if not wanted or not torch.cuda.is_available():
        return None
    import pynvml

    found = []
    try:
        pynvml.nvmlInit()
        for number in range(pynvml.nvmlDeviceGetCount()):
            uuid = str(pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(number)))
            if uuid.removeprefix("GPU-") in wanted:
                found.append(number)
    except pynvml.NVMLError as error:
        log.warning("the GPUs' energy meters cannot be read: %s", error)
    return found or None


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
