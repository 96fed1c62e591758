"""Messages of Amazon's event stream -> events with a name, as readers know them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pointsman_server.transport.eventstream import EventMessage, EventStreamFraming
from pointsman_server.transport.sse import SseEvent

FRAMES = "application/vnd.amazon.eventstream"
"""The content type."""
EXCEPTION = "exception:"
"""How the name of an event begins that tells an error; the provider's own name of it follows."""


class Frames:
    """The framing, as a decoder wants it."""

    __slots__ = ("_framing",)

    def __init__(self, event_bytes: int) -> None:
        self._framing = EventStreamFraming(event_bytes)

    def feed(self, data: bytes) -> Sequence[SseEvent]:
        """As the protocol says."""
        return [_event(message) for message in self._framing.feed(data)]

    def close(self) -> Sequence[SseEvent]:
        """As the protocol says."""
        return [_event(message) for message in self._framing.close()]


def _event(message: EventMessage) -> SseEvent:
    match message.word(":message-type"):
        case "exception":
            return SseEvent(message.payload, f"{EXCEPTION}{message.word(':exception-type')}")
        case "error":
            # An error of the stream itself is told in headers alone.
            said = msgspec.json.encode({"message": message.word(":error-message")})
            return SseEvent(said, f"{EXCEPTION}{message.word(':error-code')}")
        case _:
            return SseEvent(message.payload, message.word(":event-type"))
