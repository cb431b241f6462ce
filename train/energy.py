"""How much energy a run took: measured where the machine says, else estimated and called so."""

import os
import time
from pathlib import Path
from typing import Any

import torch

# A server core under load, with its share of memory and board: Xeon and EPYC of 2020-2024 draw 200-360 W for 32-96
# cores under full load, 3-7 W a core; the rest of the machine about doubles it.
WATTS_PER_CORE = 10.0
_RAPL = Path("/sys/class/powercap")


class EnergyMeter:
    """Watch this process from its creation to :meth:`read`."""

    def __init__(self) -> None:
        self._cpu_seconds = _cpu_seconds()
        self._started = time.monotonic()
        self._tracker = _tracker() if _can_measure() else None

    def read(self) -> dict[str, Any]:
        """``kwh`` so far, ``energy_method`` (measured or estimated) and how it came about."""
        if self._tracker is not None:
            self._tracker.flush()
            data = self._tracker.final_emissions_data
            return {
                "kwh": round(float(data.energy_consumed), 9),
                "energy_method": "measured",
                "energy_detail": f"codecarbon {data.codecarbon_version} ({data.gpu_model or data.cpu_model})",
            }
        cpu_seconds = _cpu_seconds() - self._cpu_seconds
        return {
            "kwh": round(cpu_seconds * WATTS_PER_CORE / 3.6e6, 9),
            "energy_method": "estimated",
            "energy_detail": f"{cpu_seconds:.0f} core-seconds x {WATTS_PER_CORE:g} W; no meter in this machine",
        }

    def close(self) -> None:
        """Stop the tracker's thread, if there is one."""
        if self._tracker is not None:
            self._tracker.stop()


def _can_measure() -> bool:
    counters = _RAPL.glob("*/energy_uj")
    return torch.cuda.is_available() or any(os.access(path, os.R_OK) for path in counters)


def _tracker() -> Any:
    from codecarbon import OfflineEmissionsTracker

    # The country only turns kWh into CO2, which is not kept.
    tracker = OfflineEmissionsTracker(country_iso_code="FRA", output_methods=[], log_level="error")
    tracker.start()
    return tracker


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
