"""Log lines on their way out: written by a thread, so that a stalled terminal or pipe never stops a call."""

from __future__ import annotations

import threading
from collections import deque
from typing import BinaryIO

MAX_LINES = 10_000
"""Lines that wait at most; more are dropped and counted."""
GATHER_S = 0.05
"""How long the thread lets lines gather before it writes them all at once."""


class LineSink:
    """Takes lines from any thread."""

    def __init__(self, stream: BinaryIO, *, max_lines: int = MAX_LINES) -> None:
        self._stream = stream
        self._max_lines = max_lines
        self._lines: deque[bytes] = deque()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="log-lines", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Lines lost so far."""
        return self._dropped

    def write(self, line: bytes) -> None:
        """Queue one line, without its line end."""
        if len(self._lines) >= self._max_lines:
            self._dropped += 1
            return
        self._lines.append(line)
        if not self._wake.is_set():
            self._wake.set()

    def close(self, timeout_s: float) -> None:
        """Write what waits, for as long as is allowed; lines after this are lost."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait()
            self._stop.wait(GATHER_S)
            self._wake.clear()
            self._drain()
        self._drain()

    def _drain(self) -> None:
        lines = []
        while self._lines:
            lines.append(self._lines.popleft())
        if not lines:
            return
        lines.append(b"")
        try:
            self._stream.write(b"\n".join(lines))
            self._stream.flush()
        except (OSError, ValueError):
            # A closed or broken stream: there is nowhere left to say so but the count.
            self._dropped += len(lines) - 1
