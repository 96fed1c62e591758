"""Passive outlier ejection of one backend, with half-open probes; pure over a passed-in now.

After Envoy's outlier detection (consecutive failures, base time times the number of ejections in a row, jitter,
a cap), tuned for pools of 2 to 20: see the defaults in the configuration.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class EjectionRules:
    """When to eject and for how long; times in seconds."""

    consecutive_failures: int = 5
    failure_share: float = 0.5
    failure_min_calls: int = 10
    failure_window_s: float = 10
    base_s: float = 30
    max_s: float = 300
    jitter: float = 0.1


class BreakerState(enum.Enum):
    """Closed takes calls, open takes none, half-open takes one at a time."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


_BUCKETS = 10


class _Window:
    """Successes and failures of the last seconds, in a ring of time buckets."""

    __slots__ = ("_buckets", "_span_s", "failures", "total")

    def __init__(self, window_s: float) -> None:
        self._span_s = window_s / _BUCKETS
        self._buckets: deque[list[int]] = deque()
        self.total = 0
        self.failures = 0

    def add(self, now: float, *, failed: bool) -> None:
        slot = int(now / self._span_s)
        self.expire(now)
        if not self._buckets or self._buckets[-1][0] != slot:
            self._buckets.append([slot, 0, 0])
        self._buckets[-1][1] += 1
        self._buckets[-1][2] += failed
        self.total += 1
        self.failures += failed

    def expire(self, now: float) -> None:
        oldest = int(now / self._span_s) - _BUCKETS
        while self._buckets and self._buckets[0][0] <= oldest:
            _, total, failures = self._buckets.popleft()
            self.total -= total
            self.failures -= failures

    def clear(self) -> None:
        self._buckets.clear()
        self.total = self.failures = 0


class Breaker:
    """Decides whether a backend takes calls: `allow` before an attempt, exactly one `record` after it."""

    __slots__ = ("_consecutive", "_ejections", "_probing", "_rng", "_rules", "_until", "_window", "ejected_at")

    def __init__(self, rules: EjectionRules, rng: Random) -> None:
        self._rules = rules
        self._rng = rng
        self._window = _Window(rules.failure_window_s)
        self._consecutive = 0
        self._ejections = 0
        self._until = 0.0
        self._probing = False
        self.ejected_at: float | None = None
        """When the ejection in force began; None while closed."""

    def use(self, rules: EjectionRules) -> None:
        """Go on under other rules; what is known stays, but for the window when its length changed."""
        if rules.failure_window_s != self._rules.failure_window_s:
            self._window = _Window(rules.failure_window_s)
        self._rules = rules

    def state(self, now: float) -> BreakerState:
        """Where it stands."""
        if self.ejected_at is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self._until else BreakerState.HALF_OPEN

    @property
    def until(self) -> float:
        """When the ejection in force ends."""
        return self._until

    def error_ratio(self, now: float) -> float:
        """Failures among the calls of the window."""
        self._window.expire(now)
        return self._window.failures / self._window.total if self._window.total else 0.0

    def allows(self, now: float) -> bool:
        """Whether an attempt may be made now; changes nothing."""
        state = self.state(now)
        return state is BreakerState.CLOSED or (state is BreakerState.HALF_OPEN and not self._probing)

    def begin(self, now: float) -> bool:
        """Note an attempt; True when it is the probe of a half-open breaker. `end` it with the same flag."""
        if self.state(now) is BreakerState.HALF_OPEN and not self._probing:
            self._probing = True
            return True
        return False

    def success(self, now: float, *, probe: bool) -> None:
        """The backend served: closes the breaker, whoever found out."""
        self._release(probe)
        self._consecutive = 0
        self._window.add(now, failed=False)
        if self.ejected_at is not None:
            self.ejected_at = None
            self._window.clear()

    def neutral(self, *, probe: bool) -> None:
        """The attempt said nothing."""
        self._release(probe)

    def failure(self, now: float, *, probe: bool) -> bool:
        """The backend failed; True when this ejected it."""
        self._release(probe)
        self._consecutive += 1
        self._window.add(now, failed=True)
        if probe or (self.ejected_at is None and self._tripped()):
            self._eject(now)
            return True
        return False

    def _release(self, probe: bool) -> None:
        if probe:
            self._probing = False

    def _tripped(self) -> bool:
        rules, window = self._rules, self._window
        if self._consecutive >= rules.consecutive_failures:
            return True
        return window.total >= rules.failure_min_calls and window.failures >= rules.failure_share * window.total

    def _eject(self, now: float) -> None:
        rules = self._rules
        if now - self._until > rules.max_s:
            self._ejections = 0  # It served well for long: an old history is forgiven.
        self._ejections += 1
        length_s = min(rules.base_s * self._ejections, rules.max_s)
        self.ejected_at = now
        self._until = now + length_s * (1 + rules.jitter * self._rng.random())
        self._consecutive = 0
        self._window.clear()
