"""What SIGTERM and SIGINT do to a process of the service."""

from __future__ import annotations

import asyncio
import signal
from typing import Protocol


class Ending(Protocol):
    """What signals end."""

    def request_stop(self) -> None:
        """Ask it to end."""

    def hurry(self) -> None:
        """Ask it to end and to wait for no call any more."""


def end_on_signals(loop: asyncio.AbstractEventLoop, ending: Ending) -> None:
    """SIGTERM and SIGINT ask it to end, the second of them in a hurry."""
    asks = iter((ending.request_stop,))

    def act() -> None:
        next(asks, ending.hurry)()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, act)
