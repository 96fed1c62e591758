"""Log lines on their way out: written by a thread, so that a stalled terminal or pipe never stops a call."""

from __future__ import annotations

import select
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from typing import BinaryIO

MAX_LINES = 10_000
"""Lines that wait at most; more are dropped and counted."""
GATHER_S = 0.05
"""How long the thread lets lines gather before it writes them all at once."""


class LineSink:
    """Takes lines from any thread."""

    def __init__(self, stream: BinaryIO, *, max_lines: int = MAX_LINES, shared: bool = False) -> None:
        """`shared`: other processes write to the same stream, and no line may be torn."""
        self._stream = stream
        self._most_bytes = select.PIPE_BUF if shared else 0
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
        try:
            for piece in pieces(lines, self._most_bytes) if self._most_bytes else (lines,):
                self._stream.write(b"\n".join((*piece, b"")))
                self._stream.flush()
        except (OSError, ValueError):
            # A closed or broken stream: there is nowhere left to say so but the count.
            self._dropped += len(lines)


def pieces(lines: Sequence[bytes], most_bytes: int) -> Iterator[list[bytes]]:
    """The lines in pieces of at most so many bytes with their line ends, as far as single lines are not longer.

    Up to PIPE_BUF bytes are written to a pipe as a whole (POSIX.1-2017, write); more may mix with what others write
    when the reader is slow.
    """
    piece: list[bytes] = []
    size = 0
    for line in lines:
        if piece and size + len(line) + 1 > most_bytes:
            yield piece
            piece, size = [], 0
        piece.append(line)
        size += len(line) + 1
    if piece:
        yield piece
