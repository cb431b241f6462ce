"""What was taken from each host, in a sentence that one can send to the library.

``iiif.example.org: 8,412 requests, 3.1 GB, 0.4/s over 5.8 h; 97 % of 8,100 pictures at 1,024 px or less; ...``
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from .limits import HostState

_SIZES_PX = (512, 1024, 2048)


@dataclass(frozen=True, slots=True)
class HostReport:
    """Totals of one host over all runs; ``longer_sides_px`` by the bounds of ``limits.SIZE_BOUNDS_PX``.

    ``first_at`` and ``last_at`` are Unix seconds, ``active_s`` the time in which the host was being asked.
    """

    host: str
    requests: int
    num_bytes: int
    active_s: float
    paused_s: float
    outcomes: dict[str, int]
    longer_sides_px: dict[int, int]
    first_at: float
    last_at: float

    @property
    def rate_per_s(self) -> float:
        """Requests a second; 0 for a single request."""
        return (self.requests - 1) / self.active_s if self.active_s > 0 else 0.0

    @property
    def num_pictures(self) -> int:
        """Pictures whose size is known."""
        return sum(self.longer_sides_px.values())

    def share_within(self, size_px: int) -> float:
        """Share of pictures whose longer side is at most ``size_px``, a bound; 1 where there are none."""
        within = sum(number for side, number in self.longer_sides_px.items() if side <= size_px)
        return within / self.num_pictures if self.num_pictures else 1.0

    def to_text(self) -> str:
        """One line for people."""
        parts = [
            f"{self.requests:,} request{'s' if self.requests != 1 else ''}",
            _bytes(self.num_bytes),
            f"{self.rate_per_s:.2g}/s over {_duration(self.active_s)}",
        ]
        if self.num_pictures:
            size = next((each for each in _SIZES_PX if self.share_within(each) >= 0.9), _SIZES_PX[-1])
            share = f"{100 * self.share_within(size):.0f} % at {size:,} px or less"
            parts.append(f"{share} of {self.num_pictures:,} pictures")
        trouble = [f"{number:,} × {name}" for name, number in sorted(self.outcomes.items()) if name not in _GOOD]
        if trouble:
            parts.append("answers that failed: " + ", ".join(trouble))
        if self.paused_s >= 1:
            parts.append(f"{_duration(self.paused_s)} of pauses kept")
        return f"{self.host}: {', '.join(parts)}"


_GOOD = frozenset({"200", "203", "304", "redirect", "absent"})  # no robots.txt, no tdmrep.json


def report_hosts(states: dict[str, dict], *, now: float) -> list[HostReport]:
    """A report of each host that was asked, by name."""
    found = []
    for host, saved in sorted(states.items()):
        state = HostState.from_json(saved, now=now)
        sides = {int(size): number for size, number in state.longer_sides_px.items()}
        found.append(
            HostReport(
                host=host,
                requests=state.requests,
                num_bytes=state.num_bytes,
                active_s=state.active_s,
                paused_s=state.paused_s,
                outcomes=dict(state.outcomes),
                longer_sides_px=sides,
                first_at=state.first_at,
                last_at=state.last_at,
            )
        )
    return found


def write_letter(report: HostReport, *, user_agent: str) -> str:
    """Text for a library: who asked it, when and how much, so that it finds us in its logs."""
    first, last = (
        datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M") for at in (report.first_at, report.last_at)
    )
    return f"{report.to_text()}.\nAsked as {user_agent} from {first} to {last} UTC.\n"


def _bytes(number: int) -> str:
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= limit:
            return f"{number / limit:,.1f} {unit}"
    return f"{number} bytes"


def _duration(seconds: float) -> str:
    for limit, unit in ((3600, "h"), (60, "min")):
        if seconds >= limit:
            return f"{seconds / limit:,.1f} {unit}"
    return f"{seconds:.1f} s"
