"""Messages of one stream, read ahead of who takes them.

gRPC gives one message a read, and takes a turn of its own for each. Without reading ahead, a caller whose deltas are
merged would get one message for each of its windows, however many had come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

MOST_MESSAGES = 256
MOST_BYTES = 1024 * 1024


class Inbox:
    """Reads until the end, or until this much waits to be taken."""

    __slots__ = ("_arrived", "_bytes", "_messages", "_read", "_room", "_task")

    def __init__(self, read: Callable[[], Awaitable[bytes | None]]) -> None:
        """`read` gives the next message, None at the end; its exceptions are those of `take`."""
        self._read = read
        self._messages: list[bytes] = []
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._fill())
        self._task.add_done_callback(_heard)

    async def take(self) -> list[bytes]:
        """All messages that wait, at least one; none at the end. What `read` raised comes after them."""
        while not self._messages:
            if self._task.done():
                self._task.result()
                return []
            self._arrived.clear()
            await self._arrived.wait()
        messages, self._messages, self._bytes = self._messages, [], 0
        self._room.set()
        return messages

    def stop(self) -> None:
        """Read no more."""
        self._task.cancel()

    async def _fill(self) -> None:
        try:
            while (message := await self._read()) is not None:
                self._messages.append(message)
                self._bytes += len(message)
                self._arrived.set()
                while len(self._messages) >= MOST_MESSAGES or self._bytes >= MOST_BYTES:
                    self._room.clear()
                    await self._room.wait()
        finally:
            self._arrived.set()


def _heard(task: asyncio.Task[None]) -> None:
    """A fault that nobody takes any more is not worth a word."""
    if not task.cancelled():
        task.exception()
