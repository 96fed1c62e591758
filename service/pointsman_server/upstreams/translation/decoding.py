"""What decoders of all dialects share: the framing of an answer, and faults that wait until what came before is told.

A dialect gives a Reader, which makes events of documents; everything about bytes is done here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pointsman_server.domain import Event
from pointsman_server.errors import Reason, ServiceError, UpstreamFault
from pointsman_server.transport.contract import BodyLimits, Headers
from pointsman_server.transport.sse import SseEvent, SseFraming
from pointsman_server.transport.whole import WholeFraming
from pointsman_server.upstreams.translation.faults import DETAILS

_BOM = b"\xef\xbb\xbf"
_OPENING = b"{["
_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")
"""How a line of an event stream begins."""
_LONGEST_FIELD = 6


@dataclass(slots=True)
class Place:
    """Where in an answer a reader is: what a fault tells beside its words."""

    status: int
    headers: Headers
    request_id: str = ""
    """The provider's own id of the request, bounded."""
    response_id: str = ""
    """The provider's own id of the answer, bounded."""
    streamed: bool = False

    def fault(self, *, stream_status: int = 0, retryable: bool | None = None) -> UpstreamFault:
        """The place, for an error that is told here."""
        return UpstreamFault(
            http_status=self.status,
            stream_status=stream_status,
            request_id=self.request_id,
            response_id=self.response_id,
            in_stream=self.streamed,
            retryable=retryable,
        )


class Reader(Protocol):
    """A dialect's understanding of one answer; keeps what the wire says only once.

    Both methods append the events of what they take, and raise ServiceError for an error that is told and for what
    makes no sense; never anything else, whatever the bytes. Events appended before the fault are not lost.
    """

    @property
    def place(self) -> Place:
        """Where it is; `streamed` is set by the decoder."""

    @property
    def ended(self) -> bool:
        """Whether the provider's own end signal came; what follows is ignored."""

    @property
    def complete(self) -> bool:
        """Whether the answer may end here, where the body ends cleanly."""

    def document(self, event: SseEvent, events: list[Event]) -> None:
        """One event of a stream, or one line or frame of it."""

    def whole(self, data: bytes, events: list[Event]) -> None:
        """The document that an answer is which does not stream."""


class Framing(Protocol):
    """Bytes -> events of a stream, as transport.sse.SseFraming."""

    def feed(self, data: bytes) -> Sequence[SseEvent]:
        """Those that these bytes complete."""

    def close(self) -> Sequence[SseEvent]:
        """The last one, where the body ended without its end; only its reader can tell whether it is whole."""


class AnswerDecoder:
    """One answer: an event stream or one document, whichever came, whatever was asked for.

    `framing` is given for an answer that is known to be a stream in another form. Otherwise the first byte that says
    something decides. `bare_json` lets JSON between the events of a stream count as an event. `at_end` appends what a
    reader tells only once a stream has ended cleanly, where the protocol has no end signal of its own; it may raise.
    `unmarked` is a protocol that tells no end in any way but the body's: then nothing may be left of an event.
    """

    __slots__ = (
        "_at_end",
        "_bare_json",
        "_ended",
        "_fault",
        "_framing",
        "_limits",
        "_reader",
        "_start",
        "_unmarked",
    )

    def __init__(
        self, reader: Reader, limits: BodyLimits, *, framing: Framing | None = None, bare_json: bool = False,
        at_end: Callable[[list[Event]], None] | None = None, unmarked: bool = False,
    ) -> None:  # fmt: skip
        self._reader = reader
        self._limits = limits
        self._at_end = at_end
        self._unmarked = unmarked
        self._bare_json = bare_json
        self._framing: Framing | WholeFraming | None = framing
        if framing is not None:
            reader.place.streamed = True
        self._start = b""
        self._ended = False
        self._fault: ServiceError | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing that may follow matters: the end was told, or a fault waits to be raised."""
        return self._ended or self._fault is not None

    def feed(self, data: bytes) -> list[Event]:
        """As the protocol says."""
        if self._fault is not None:
            raise self._fault
        events: list[Event] = []
        if self._ended:
            return events
        try:
            self._feed(data, events)
        except ServiceError as fault:
            self._keep(fault, events)
        return events

    def close(self) -> list[Event]:
        """As the protocol says; once more is harmless."""
        if self._fault is not None:
            raise self._fault
        events: list[Event] = []
        if self._ended:
            return events
        try:
            self._close(events)
        except ServiceError as fault:
            self._keep(fault, events)
        return events

    def _keep(self, fault: ServiceError, events: list[Event]) -> None:
        """Hold a fault back until the events ahead of it were handed out."""
        if fault.upstream is None:
            fault.upstream = self._reader.place.fault()
        self._fault = fault
        if not events:
            raise fault

    def _feed(self, data: bytes, events: list[Event]) -> None:
        if self._framing is None:
            data = self._choose(data)
        framing, reader = self._framing, self._reader
        if isinstance(framing, WholeFraming):
            framing.feed(data)
        elif framing is not None:
            for event in framing.feed(data):
                reader.document(event, events)
                if reader.ended:
                    self._ended = True
                    return

    def _choose(self, data: bytes) -> bytes:
        """Pick the framing by the first byte that says something; returns what it is to be fed."""
        data = self._start + data
        visible = data.removeprefix(_BOM).lstrip()
        if not visible or _BOM.startswith(data):
            # White space says nothing; the beginning of a byte order mark may.
            self._start = data if _BOM.startswith(data) else b""
            return b""
        kind = self._reader.place.headers.get("content-type", "").partition(";")[0]
        labelled = kind.strip().lower() == "application/json"
        if labelled and visible[0] not in _OPENING and len(visible) < _LONGEST_FIELD:
            self._start = data
            return b""
        self._start = b""
        if visible.startswith(b"<"):
            raise ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the upstream sent a page in place of an answer")
        if visible[0] in _OPENING or (labelled and not visible.startswith(_FIELDS)):
            self._framing = WholeFraming(self._limits.body_bytes)
            return visible
        self._framing = SseFraming(self._limits.event_bytes, bare_json=self._bare_json)
        self._reader.place.streamed = True
        return data

    def _close(self, events: list[Event]) -> None:
        framing, reader = self._framing, self._reader
        if isinstance(framing, WholeFraming):
            for document in framing.close():
                reader.whole(document, events)
        elif framing is not None:
            for event in framing.close():
                self._take_last(event, events)
            if self._unmarked and isinstance(framing, SseFraming) and framing.cut:
                raise _truncated()
        if not (reader.ended or reader.complete):
            raise _truncated()
        self._ended = True
        if self._at_end is not None:
            self._at_end(events)

    def _take_last(self, event: SseEvent, events: list[Event]) -> None:
        """An event without its end: it counts if it is whole, and is what a cut left over if it is not."""
        try:
            self._reader.document(event, events)
        except ServiceError as fault:
            if fault.reason is not Reason.UPSTREAM_BAD_RESPONSE:
                raise
            if self._unmarked:
                raise _truncated() from fault


def _truncated() -> ServiceError:
    return ServiceError(Reason.UPSTREAM_TRUNCATED, DETAILS[Reason.UPSTREAM_TRUNCATED])
