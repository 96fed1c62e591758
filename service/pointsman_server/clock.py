"""Time as a collaborator: the only module that asks the system for it or waits on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

T = TypeVar("T")

_NEVER = float("inf")
_LOOK_S = 10.0
"""The furthest ahead that a watchdog sets its timer: most calls end before, and never move it."""
_EARLY_S = 0.0005
"""Timers of some loops fire up to this early; asking again for less would only spin."""


class Handle(Protocol):
    """A scheduled callback that can be taken back."""

    def cancel(self) -> None:
        """Take the callback back; harmless when it has run."""


class Clock(Protocol):
    """Monotonic time, wall time, and waiting."""

    def now(self) -> float:
        """Monotonic seconds; the event loop's own scale."""

    def wall(self) -> float:
        """Seconds since the epoch, for what people read."""

    async def sleep(self, delay_s: float) -> None:
        """Wait; at once when the delay is not positive."""

    def call_at(self, when: float, callback: Callable[[], None]) -> Handle:
        """Run the callback at a monotonic time."""


class SystemClock:
    """The running event loop's clock."""

    # Asked a dozen times in a call: without a frame of Python.
    now = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(max(0.0, delay_s))

    def call_at(self, when: float, callback: Callable[[], None]) -> Handle:
        # The loop's scale may differ from time.monotonic() (uvloop rounds to milliseconds): so the delay is passed.
        return asyncio.get_running_loop().call_later(max(0.0, when - time.monotonic()), callback)


class Watchdog:
    """A timeout for one task that is cheap to move: `start`, then `dog.at = ...` as often as wanted, then `stop`.

    Moving it later only stores a number; the timer looks again when it fires. Expiry cancels the task; whoever
    catches that CancelledError asks `claim` whose it was, as asyncio.timeout does it inside.
    """

    __slots__ = ("_at", "_before", "_clock", "_expired", "_handle", "_scheduled_at", "_task")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at = _NEVER
        self._scheduled_at = _NEVER
        self._handle: Handle | None = None
        self._task: asyncio.Task[object] | None = None
        self._before = 0
        self._expired = False

    @property
    def at(self) -> float:
        """The monotonic time of expiry; infinity is never."""
        return self._at

    @at.setter
    def at(self, when: float) -> None:
        self._at = when
        if when < self._scheduled_at and self._task is not None:
            self._schedule()

    def start(self, at: float) -> None:
        """Watch over the current task until `stop`."""
        self._task = asyncio.current_task()
        self._before = self._task.cancelling() if self._task is not None else 0
        self.at = at

    def stop(self) -> None:
        """Watch no longer. A cancellation of its own that somebody swallowed on the way is taken back."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._scheduled_at = _NEVER
        if self._expired and self._task is not None:
            self._task.uncancel()
        self._expired = False
        self._task = None

    def claim(self) -> bool:
        """In an `except CancelledError`: whether the cancellation is the watchdog's own; if so it is taken back.

        Of two cancellations at once the other one wins: then this says False and the error must go on.
        """
        if not self._expired or self._task is None:
            return False
        self._expired = False
        self._at = _NEVER
        return self._task.uncancel() <= self._before

    def _schedule(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._scheduled_at = min(self._at, self._clock.now() + _LOOK_S)
        self._handle = self._clock.call_at(self._scheduled_at, self._look)

    def _look(self) -> None:
        self._handle = None
        self._scheduled_at = _NEVER
        if self._clock.now() + _EARLY_S < self._at:
            if self._at != _NEVER:
                self._schedule()
            return
        if self._task is not None:
            self._expired = True
            self._task.cancel()


async def within(clock: Clock, bound_s: float, waiting: Awaitable[T]) -> T:
    """What is waited for. Raises TimeoutError when it takes longer; it is cancelled then."""
    dog = Watchdog(clock)
    dog.start(clock.now() + bound_s)
    try:
        return await waiting
    except asyncio.CancelledError as cancelled:
        if not dog.claim():
            raise
        raise TimeoutError from cancelled
    finally:
        dog.stop()
