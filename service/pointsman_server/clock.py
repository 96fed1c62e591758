"""Time as a collaborator: the only module that asks the system for it or waits on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol


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

    def now(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(max(0.0, delay_s))

    def call_at(self, when: float, callback: Callable[[], None]) -> Handle:
        # The loop's scale may differ from time.monotonic() (uvloop rounds to milliseconds), so the delay is what is passed.
        return asyncio.get_running_loop().call_later(max(0.0, when - time.monotonic()), callback)


class Watchdog:
    """A timeout for one task that is cheap to move: `async with Watchdog(clock) as dog: dog.at = ...`.

    Moving it later only stores a number; the timer looks again when it fires. Inside the block, expiry
    surfaces as TimeoutError; a cancellation from outside stays a CancelledError (as in asyncio.timeout).
    """

    __slots__ = ("_at", "_clock", "_expired", "_handle", "_scheduled_at", "_task")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at = float("inf")
        self._scheduled_at = float("inf")
        self._handle: Handle | None = None
        self._task: asyncio.Task[object] | None = None
        self._expired = False

    @property
    def at(self) -> float:
        """The monotonic time of expiry; infinity is never."""
        return self._at

    @at.setter
    def at(self, when: float) -> None:
        self._at = when
        if when < self._scheduled_at:
            self._schedule(when)

    @property
    def expired(self) -> bool:
        """Whether it fired."""
        return self._expired

    def _schedule(self, when: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._scheduled_at = when
        self._handle = self._clock.call_at(when, self._look)

    def _look(self) -> None:
        self._handle = None
        self._scheduled_at = float("inf")
        if self._clock.now() + 0.0005 < self._at:
            if self._at != float("inf"):
                self._schedule(self._at)
            return
        self._expired = True
        if self._task is not None:
            self._task.cancel()

    async def __aenter__(self) -> Watchdog:
        self._task = asyncio.current_task()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        task, self._task = self._task, None
        if self._expired and task is not None:
            # Of two cancellations at once the caller's wins: only when ours was the last is it a timeout.
            if task.uncancel() <= 0 and kind is asyncio.CancelledError:
                raise TimeoutError from error
