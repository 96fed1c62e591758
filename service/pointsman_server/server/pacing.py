"""How long a stream may gather deltas before its next write: fixed by the caller, else by how busy this process is."""

from __future__ import annotations

import resource
from collections.abc import Callable

from pointsman_server.clock import Clock
from pointsman_server.domain import StreamOptions

SAMPLE_S = 0.25
IDLE_SHARE = 0.35
"""Up to this load nothing waits."""
BUSY_SHARE = 0.85
"""From this load on the window is whole."""
FULL_LAG_S = 0.1
"""A loop that wakes this late is as busy as a full core, also where the machine gives the process less than one."""
_SMOOTHING = 0.5
_LEAST_S = 0.005
"""A shorter window costs more than it saves."""


def process_cpu_s() -> float:
    """Seconds of CPU that this process has used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class LoopLoad:
    """How busy the event loop is, 0 to 1, sampled by one task: the process's share of a core, or the loop's lag."""

    def __init__(self, clock: Clock, cpu_s: Callable[[], float] = process_cpu_s) -> None:
        self._clock = clock
        self._cpu_s = cpu_s
        self.share = 0.0
        """The smoothed load."""

    async def watch(self) -> None:
        """Sample for ever."""
        while True:
            began, used = self._clock.now(), self._cpu_s()
            await self._clock.sleep(SAMPLE_S)
            elapsed = self._clock.now() - began
            self.record((self._cpu_s() - used) / max(elapsed, SAMPLE_S), elapsed - SAMPLE_S)

    def record(self, cpu_share: float, lag_s: float) -> None:
        """Take one sample in."""
        sample = min(1.0, max(0.0, cpu_share, lag_s / FULL_LAG_S))
        self.share += (sample - self.share) * _SMOOTHING


class Pacing:
    """The merge window."""

    def __init__(self, load: LoopLoad, max_coalesce_s: float) -> None:
        self._load = load
        self.max_coalesce_s = max_coalesce_s
        """The longest window that the server chooses by itself; changes on reload."""

    def window_s(self, options: StreamOptions) -> float:
        """How long to wait after a write; 0 is not at all."""
        if options.coalesce_s is not None:
            return options.coalesce_s
        share = (self._load.share - IDLE_SHARE) / (BUSY_SHARE - IDLE_SHARE)
        window_s = self.max_coalesce_s * min(1.0, share)
        return window_s if window_s >= _LEAST_S else 0.0
