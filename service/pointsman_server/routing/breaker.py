"""Passive outlier ejection of one backend, with half-open probes; pure over a passed-in now.

After Envoy's outlier detection (consecutive failures, base time times the number of ejections in a row, jitter,
a cap), tuned for pools of 2 to 20: see the defaults in the configuration.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from random import Random

from pointsman_server.routing.window import FailureWindow


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


@dataclass(frozen=True, slots=True)
class Ticket:
    """What an attempt was when it began; its end is judged by that."""

    round: int
    """How many ejections had been before it."""
    probe: bool


UNSEEN = Ticket(-1, probe=False)
"""Of an attempt that no breaker saw begin; its end changes no ejection."""


class Breaker:
    """Decides whether a backend takes calls: `begin` with an attempt, exactly one of the three ends after it.

    An attempt that began before the ejection in force proves nothing about it: it neither ends nor prolongs it.
    """

    __slots__ = (
        "_consecutive",
        "_in_a_row",
        "_plain",
        "_probe",
        "_probing",
        "_rng",
        "_rules",
        "_until",
        "_window",
        "ejected_at",
    )

    def __init__(self, rules: EjectionRules, rng: Random) -> None:
        self._rules = rules
        self._rng = rng
        self._window = FailureWindow(rules.failure_window_s)
        self._consecutive = 0
        self._in_a_row = 0
        self._until = 0.0
        self._probing = False
        self._plain, self._probe = Ticket(0, probe=False), Ticket(0, probe=True)
        self.ejected_at: float | None = None
        """When the ejection in force began; None while closed."""

    def use(self, rules: EjectionRules) -> None:
        """Go on under other rules; what is known stays, but for the window when its length changed."""
        if rules.failure_window_s != self._rules.failure_window_s:
            self._window = FailureWindow(rules.failure_window_s)
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
        return self._window.ratio(now)

    def allows(self, now: float) -> bool:
        """Whether an attempt may be made now; changes nothing."""
        return self.ejected_at is None or (now >= self._until and not self._probing)

    def begin(self, now: float) -> Ticket:
        """Note an attempt, also one that is made although it is not allowed; end it with this ticket."""
        if self.ejected_at is None or self._probing or now < self._until:
            return self._plain
        self._probing = True
        return self._probe

    def success(self, now: float, ticket: Ticket) -> None:
        """The backend served; closes the breaker when the attempt began after the ejection."""
        self.neutral(ticket)
        self._window.add(now, failed=False)
        if self.ejected_at is None:
            self._consecutive = 0
        elif ticket.round == self._plain.round:
            self._close()

    def neutral(self, ticket: Ticket) -> None:
        """The attempt said nothing."""
        if self._is_probe(ticket):
            self._probing = False

    def failure(self, now: float, ticket: Ticket) -> bool:
        """The backend failed; True when this ejected it."""
        probe = self._is_probe(ticket)
        self.neutral(ticket)
        self._consecutive += 1
        self._window.add(now, failed=True)
        if probe or (self.ejected_at is None and self._tripped()):
            self._eject(now)
            return True
        return False

    def _is_probe(self, ticket: Ticket) -> bool:
        return ticket.probe and ticket.round == self._plain.round and self.ejected_at is not None

    def _tripped(self) -> bool:
        rules = self._rules
        if self._consecutive >= rules.consecutive_failures:
            return True
        return self._window.reaches(rules.failure_share, min_calls=rules.failure_min_calls)

    def _eject(self, now: float) -> None:
        rules = self._rules
        if now - self._until > rules.max_s:
            self._in_a_row = 0  # It served well for long: an old history is forgiven.
        self._in_a_row += 1
        length_s = min(rules.base_s * self._in_a_row, rules.max_s)
        self.ejected_at = now
        self._until = now + length_s * (1 + rules.jitter * self._rng.random())
        self._begin_round()

    def _close(self) -> None:
        self.ejected_at = None
        self._window.clear()
        self._begin_round()

    def _begin_round(self) -> None:
        self._consecutive = 0
        self._probing = False
        following = self._plain.round + 1
        self._plain, self._probe = Ticket(following, probe=False), Ticket(following, probe=True)
