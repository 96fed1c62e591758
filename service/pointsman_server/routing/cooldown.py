"""Pauses that a provider asked for; pure over a passed-in now."""

from __future__ import annotations

from pointsman_server.errors import Reason

_LONG_S = 60.0
_FIRST_S = 1.0
_CAP_S = 30.0
_LONG = frozenset({Reason.UPSTREAM_QUOTA_EXHAUSTED, Reason.UPSTREAM_CREDENTIALS_INVALID})


class Cooldown:
    """When calls may go on. Where no time is named: 60 s for quota and credentials, else 1 s doubling to 30 s."""

    __slots__ = ("_rounds", "reason", "until")

    def __init__(self) -> None:
        self.until = 0.0
        self.reason: Reason | None = None
        self._rounds = 0

    def begin(self, now: float, reason: Reason, asked_s: float | None, *, longest_s: float) -> None:
        """Pause for as long as asked; no time at all, or more than `longest_s`, counts as unnamed."""
        believed_s = asked_s if asked_s is not None and 0 < asked_s <= longest_s else None
        if now < self.until and believed_s is None:
            return  # Calls that were already under way tell the same story again.
        if believed_s is not None:
            length_s = believed_s
        elif reason in _LONG:
            length_s = _LONG_S
        else:
            length_s = min(_FIRST_S * 2**self._rounds, _CAP_S)
            self._rounds = min(self._rounds + 1, 10)
        self.until = max(self.until, now + length_s)
        self.reason = reason

    def over(self) -> None:
        """A call was served: the next unnamed pause is short again."""
        self._rounds = 0

    def active(self, now: float) -> bool:
        """Whether calls must wait."""
        return now < self.until
