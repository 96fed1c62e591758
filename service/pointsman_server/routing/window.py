"""Successes and failures of the last seconds, in a ring of time buckets; pure over a passed-in now."""

from __future__ import annotations

from collections import deque

_BUCKETS = 10


class FailureWindow:
    """Counts what happened within a sliding window, a tenth of it at a time."""

    __slots__ = ("_buckets", "_failures", "_span_s", "_total")

    def __init__(self, window_s: float) -> None:
        self._span_s = window_s / _BUCKETS
        self._buckets: deque[list[int]] = deque()
        """Slot number, calls, failures."""
        self._total = 0
        self._failures = 0

    def add(self, now: float, *, failed: bool) -> None:
        """One more call ended."""
        slot = int(now / self._span_s)
        buckets = self._buckets
        if not buckets or buckets[-1][0] != slot:
            self._expire(slot)
            buckets.append([slot, 0, 0])
        bucket = buckets[-1]
        bucket[1] += 1
        bucket[2] += failed
        self._total += 1
        self._failures += failed

    def ratio(self, now: float) -> float:
        """Failures among the calls of the window; 0 without any."""
        self._expire(int(now / self._span_s))
        return self._failures / self._total if self._total else 0.0

    def reaches(self, share: float, *, min_calls: int) -> bool:
        """Whether that share of at least so many calls failed, as of the last `add`."""
        return self._total >= min_calls and self._failures >= share * self._total

    def clear(self) -> None:
        """Forget everything."""
        self._buckets.clear()
        self._total = self._failures = 0

    def _expire(self, slot: int) -> None:
        buckets = self._buckets
        while buckets and buckets[0][0] <= slot - _BUCKETS:
            _, total, failures = buckets.popleft()
            self._total -= total
            self._failures -= failures
