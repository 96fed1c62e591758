"""JSON lines as the framing of an answer."""

from __future__ import annotations

from collections.abc import Sequence

from pointsman_server.transport.jsonl import JsonLinesFraming
from pointsman_server.transport.sse import SseEvent


class LineEvents:
    """One event a line, for `AnswerDecoder`."""

    __slots__ = ("_lines",)

    def __init__(self, line_bytes: int) -> None:
        self._lines = JsonLinesFraming(line_bytes)

    def feed(self, data: bytes) -> Sequence[SseEvent]:
        """Lines that these bytes complete."""
        return [SseEvent(line) for line in self._lines.feed(data)]

    def close(self) -> Sequence[SseEvent]:
        """The last line, where the body ended without its newline."""
        return [SseEvent(line) for line in self._lines.close()]
