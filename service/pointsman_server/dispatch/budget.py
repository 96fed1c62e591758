"""The retry budget of one model: a share of its recent calls, with a floor. Pure over a passed-in now.

After the SRE book's per-client budget (10 % keeps the worst-case growth of load at 1.1) and Envoy's concurrent floor.
The floor is for times of few calls, when the share is next to nothing: with many, and failures that come at once, three
retries at a time would be no bound at all.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

_BUCKETS = 10


@dataclass(frozen=True, slots=True)
class BudgetRules:
    """How much may be retried."""

    ratio: float = 0.1
    window_s: float = 10
    floor: int = 3
    """Retries at once that are allowed while the share of the calls comes to less."""


class RetryBudget:
    """`deposit` per call; `take` before a retry that is not free, `end` after it."""

    __slots__ = ("_active", "_buckets", "_calls", "_retries", "rules")

    def __init__(self, rules: BudgetRules) -> None:
        self.rules = rules
        self._buckets: deque[list[int]] = deque()
        self._calls = 0
        self._retries = 0
        self._active = 0

    def deposit(self, now: float) -> None:
        """A call came."""
        self._bucket(now)[1] += 1
        self._calls += 1

    def take(self, now: float) -> bool:
        """Whether one more retry may be made; counts it if so."""
        bucket = self._bucket(now)
        share, floor = self.rules.ratio * self._calls, self.rules.floor
        if self._retries >= share and (share >= floor or self._active >= floor):
            return False
        bucket[2] += 1
        self._retries += 1
        self._active += 1
        return True

    def end(self) -> None:
        """A retry that was taken has ended."""
        self._active -= 1

    def _bucket(self, now: float) -> list[int]:
        slot = int(now * _BUCKETS / self.rules.window_s)
        while self._buckets and self._buckets[0][0] <= slot - _BUCKETS:
            _, calls, retries = self._buckets.popleft()
            self._calls -= calls
            self._retries -= retries
        if not self._buckets or self._buckets[-1][0] != slot:
            self._buckets.append([slot, 0, 0])
        return self._buckets[-1]
