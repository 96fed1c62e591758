"""How long to wait before a source is asked again after a fault. Pure but for the passed-in randomness."""

from __future__ import annotations

from random import Random

FIRST_S = 0.5
MOST_S = 15.0
"""Of a wait of our own; a server may ask for a longer one."""
_MOST_ASKED_S = 120.0


class Backoff:
    """Doubles with each fault in a row; at least half of each wait is kept, so that no fault turns into a busy loop."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._faults = 0

    def after(self, asked_s: float | None = None) -> float:
        """The wait after one more fault, in seconds; `asked_s` is what the server asked for."""
        top_s: float = min(MOST_S, FIRST_S * 2 ** min(self._faults, 16))
        self._faults += 1
        wait_s = top_s * (0.5 + self._rng.random() / 2)
        return max(wait_s, min(asked_s or 0.0, _MOST_ASKED_S))

    def reset(self) -> None:
        """It went well."""
        self._faults = 0
