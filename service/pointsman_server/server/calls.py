"""The calls that run now, so that a drain can wait for them and end what is left."""

from __future__ import annotations

import asyncio
from typing import Protocol

from pointsman_server.errors import ServiceError


class Stoppable(Protocol):
    """A running call."""

    def stop(self, error: ServiceError) -> None:
        """End it with this status, as soon as a status can be sent."""


class Calls:
    """A set of running calls; entering and leaving cost next to nothing."""

    __slots__ = ("_idle", "_running")

    def __init__(self) -> None:
        self._running: set[Stoppable] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._running)

    def add(self, call: Stoppable) -> None:
        """It runs."""
        self._running.add(call)
        self._idle.clear()

    def discard(self, call: Stoppable) -> None:
        """It has ended, its cleanup included."""
        self._running.discard(call)
        if not self._running:
            self._idle.set()

    async def drained(self) -> None:
        """Wait until none runs."""
        await self._idle.wait()

    def cancel_rest(self, error: ServiceError) -> int:
        """End all that still run; returns how many."""
        rest = list(self._running)
        for call in rest:
            call.stop(error)
        return len(rest)
