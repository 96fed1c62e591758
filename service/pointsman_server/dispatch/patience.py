"""How long one attempt may take: points on the monotonic clock, and the words for what passed. Pure."""

from __future__ import annotations

from pointsman_server.dispatch.contract import AttemptTimeouts
from pointsman_server.errors import Reason, ServiceError

_ROUNDING_S = 0.001
"""Timers may fire this much early."""


class Patience:
    """The bounds on one attempt. An upstream that answers in one piece has only its total."""

    __slots__ = (
        "_asked_s",
        "_deadline_at",
        "_end_at",
        "_first_content_s",
        "_started_at",
        "_timeouts",
        "streams",
    )

    def __init__(
        self,
        timeouts: AttemptTimeouts,
        started_at: float,
        *,
        deadline_at: float,
        streams: bool,
        asked_s: float | None,
    ) -> None:
        self._timeouts = timeouts
        self._started_at = started_at
        self._deadline_at = deadline_at
        self._end_at = min(deadline_at, started_at + timeouts.total_s)
        self._asked_s = asked_s
        """The caller's own bound on the time to first content."""
        self._first_content_s = timeouts.first_content_s if asked_s is None else asked_s
        self.streams = streams

    @property
    def before_content(self) -> float:
        """When the first content must have come."""
        if not self.streams:
            return self._end_at
        return min(self._end_at, self._started_at + self._first_content_s)

    def after_content(self, now: float) -> float:
        """When the next event must have come, as of now."""
        return min(self._end_at, now + self._timeouts.idle_s) if self.streams else self._end_at

    def verdict(self, now: float, *, content: bool) -> ServiceError:
        """What passed, once something did: the call's deadline before the attempt's own bounds."""
        timeouts, soon = self._timeouts, now + _ROUNDING_S
        if soon >= self._deadline_at:
            return deadline_exceeded()
        if soon >= self._started_at + timeouts.total_s:
            return ServiceError(
                Reason.UPSTREAM_TIMEOUT, f"the attempt took longer than {timeouts.total_s:g} s"
            )
        if not content:
            return ServiceError(
                Reason.UPSTREAM_TIMEOUT, f"the backend sent no content within {self._first_content_s:g} s"
            )
        return ServiceError(Reason.UPSTREAM_TIMEOUT, f"the backend was silent for {timeouts.idle_s:g} s")

    def hasty(self, now: float, *, content: bool) -> bool:
        """Whether only the caller's own bound passed: then the timeout says nothing about the backend."""
        if self._asked_s is None or content:
            return False
        configured_s = min(self._timeouts.first_content_s, self._timeouts.total_s)
        return now + _ROUNDING_S < self._started_at + configured_s


def deadline_exceeded() -> ServiceError:
    """The caller's deadline, as told by us."""
    return ServiceError(Reason.DEADLINE_EXCEEDED, "the call's deadline passed before an answer was complete")
