"""Deadlines as points on the monotonic clock: pure arithmetic on a passed-in now."""

from __future__ import annotations

from pointsman_server.values import value

ANSWER_MARGIN_S = 0.09
"""Kept back from the caller's deadline, so that the status is ours and carries details."""
ANSWER_MARGIN_SHARE = 0.05
"""A short deadline gives up at most this share of itself."""


@value(frozen=True, slots=True)
class Deadline:
    """The moment, in seconds of the monotonic clock, by which a call must have its answer."""

    at: float

    @classmethod
    def start(cls, now: float, requested_s: float | None, *, default_s: float, maximum_s: float) -> Deadline:
        """The call's deadline less the answer margin; an absent one gets the default, a long one the maximum."""
        allowed_s = min(default_s if requested_s is None else requested_s, maximum_s)
        return cls(now + allowed_s - min(ANSWER_MARGIN_S, allowed_s * ANSWER_MARGIN_SHARE))

    def remaining(self, now: float) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self.at - now)

    def expired(self, now: float) -> bool:
        """Whether nothing is left."""
        return now >= self.at

    def within(self, now: float, bound_s: float) -> Deadline:
        """The earlier of this deadline and `bound_s` from now."""
        return Deadline(min(self.at, now + bound_s))
