"""How long to wait before a worker is started again. Pure."""

from __future__ import annotations

from random import Random

BASE_S = 1.0
MAX_S = 30.0
STEADY_S = 60.0
"""A worker that lived for this long was well: what ends it is no crash loop."""
_JITTER = 0.25


class Backoff:
    """Of one worker: at once the first time, then doubling while one after the other lives for a short time only."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._short_lives = 0

    def after(self, lived_s: float) -> float:
        """The wait, in seconds, after a worker that lived for so long."""
        if lived_s >= STEADY_S:
            self._short_lives = 0
        self._short_lives += 1
        if self._short_lives == 1:
            return 0.0
        longest_s: float = min(MAX_S, BASE_S * 2.0 ** min(self._short_lives - 2, 16))
        # Workers that one cause has ended should not all come back in one moment.
        return longest_s * (1 - _JITTER * self._rng.random())
