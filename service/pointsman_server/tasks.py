"""Tasks that run beside whoever begins them: kept from the garbage collector, and none fails unheard."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine


class Tasks:
    """Those of one owner."""

    def __init__(self, failed: Callable[[BaseException], None] | None = None) -> None:
        """`failed` is told of every exception that ends one; without it the event loop logs them."""
        self._failed = failed
        self.running: set[asyncio.Task[None]] = set()

    def begin(self, work: Coroutine[None, None, None]) -> None:
        """Run it beside."""
        task = asyncio.get_running_loop().create_task(work)
        self.running.add(task)
        task.add_done_callback(self._ended)

    async def end(self) -> None:
        """Cancel those that still run, and wait for them."""
        for task in tuple(self.running):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.running.discard(task)
        if self._failed is not None and not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)
