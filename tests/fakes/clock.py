"""Time that passes only when a test says so, or when nothing is left to do but wait for it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable

EPOCH_S = 1_800_000_000.0
"""Wall time at the start."""


class FakeTimer:
    """A scheduled callback."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeClock:
    """Implements Clock. With `autojump`, time moves to the next timer as soon as every task waits.

    The jump looks at the ready queue of asyncio's own loop, so it is not for tests with real I/O or another loop.
    """

    def __init__(self, *, autojump: bool = True) -> None:
        self.autojump = autojump
        self._now = 1000.0
        self._wall_shift_s = 0.0
        self._timers: list[tuple[float, int, FakeTimer]] = []
        self._order = itertools.count()
        self._looking = False

    def now(self) -> float:
        return self._now

    def wall(self) -> float:
        return EPOCH_S + self._now - 1000.0 + self._wall_shift_s

    def set_wall_back(self, shift_s: float) -> None:
        """Somebody set the machine's clock; monotonic time goes on as before."""
        self._wall_shift_s -= shift_s

    async def sleep(self, delay_s: float) -> None:
        done = asyncio.get_running_loop().create_future()
        timer = self.call_at(self._now + max(0.0, delay_s), lambda: _wake(done))
        try:
            await done
        finally:
            timer.cancel()

    def call_at(self, when: float, callback: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(callback)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        self._watch()
        return timer

    def advance(self, by_s: float) -> None:
        """Let time pass; callbacks that fall due run in order, tasks that they wake run when the test awaits."""
        end = self._now + by_s
        while self._timers and self._timers[0][0] <= end:
            self._now = max(self._now, self._timers[0][0])
            self._run_due()
        self._now = end

    def let_go(self) -> None:
        """From now on time moves by itself."""
        self.autojump = True
        self._watch()

    async def settle(self) -> None:
        """Let every task run until it waits for something, without time passing."""
        jump, self.autojump = self.autojump, False
        while _ready():
            await _turn()
        self.autojump = jump
        self._watch()

    @property
    def pending(self) -> int:
        """Timers that nobody took back."""
        return sum(not timer.cancelled for _, _, timer in self._timers)

    def _watch(self) -> None:
        if self.autojump and not self._looking:
            self._looking = True
            asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        self._looking = False
        if not self.autojump:
            return
        self._drop_cancelled()
        if self._timers and not _ready():
            self._now = max(self._now, self._timers[0][0])
            self._run_due()
        if self._timers:
            self._watch()

    def _run_due(self) -> None:
        while self._timers and self._timers[0][0] <= self._now:
            timer = heapq.heappop(self._timers)[2]
            if not timer.cancelled:
                timer.callback()

    def _drop_cancelled(self) -> None:
        while self._timers and self._timers[0][2].cancelled:
            heapq.heappop(self._timers)


def _ready() -> bool:
    """Whether the loop has anything to run."""
    ready: deque[object] = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
    return bool(ready)


async def _turn() -> None:
    """One round of the loop."""
    await asyncio.sleep(0)


def _wake(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)
