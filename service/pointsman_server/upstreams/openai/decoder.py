"""Bytes of one answer -> events: an event stream or one document, whichever came, whatever was asked for."""

from __future__ import annotations

from pointsman_server.context import Attempt
from pointsman_server.domain import Delta, DeltaKind, Event, Opened
from pointsman_server.errors import Reason, ServiceError, UpstreamFault
from pointsman_server.transport.contract import BodyLimits, Headers
from pointsman_server.transport.sse import SseFraming
from pointsman_server.transport.whole import WholeFraming
from pointsman_server.upstreams.faults import DETAILS, Said, bounded_word
from pointsman_server.upstreams.openai.answer import AnswerEvents
from pointsman_server.upstreams.openai.chunk import Chunk, loose_json, read_chunk, read_plain
from pointsman_server.upstreams.openai.refusal import answered_error, say
from pointsman_server.upstreams.profiles import Profile

_BOM = b"\xef\xbb\xbf"
_OPENING = b"{["
_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")
"""How a line of an event stream begins."""
_LONGEST_FIELD = 6


class AnswerDecoder:
    """One answer. Complete is: every candidate that was seen has a finish reason, and then [DONE] or the body's end.

    [DONE] alone proves nothing, since it follows an error too; its absence proves nothing either.
    """

    __slots__ = (
        "_answer", "_ended", "_expected", "_fault", "_framing", "_headers", "_limits", "_plain", "_start", "_status",
        "_streamed",
    )  # fmt: skip

    def __init__(
        self, attempt: Attempt, profile: Profile, *, status: int, headers: Headers, limits: BodyLimits
    ) -> None:
        generation = attempt.call.generation
        config = generation.reasoning
        hidden = (
            config is not None
            and config.include is False
            and "generation.reasoning.include" in profile.fields
        )
        self._answer = AnswerEvents(
            attempt.upstream_id, bounded_word(headers.get("x-request-id", "")), reasoning=not hidden
        )
        self._expected = generation.n or 1 if "generation.n" in profile.fields else 1
        self._status = status
        self._headers = headers
        self._limits = limits
        self._framing: SseFraming | WholeFraming | None = None
        self._streamed = False
        self._start = b""
        self._plain = False
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
            fault.upstream = self._place()
        self._fault = fault
        if not events:
            raise fault

    def _feed(self, data: bytes, events: list[Event]) -> None:
        if self._framing is None:
            data = self._choose(data)
        if isinstance(self._framing, SseFraming):
            for event in self._framing.feed(data):
                if (
                    self._plain
                    and (choice := read_plain(event.data))
                    and self._answer.add_plain(choice, events)
                ):
                    continue
                self._take(event.data, event.name, events)
                if self._ended:
                    return
                # Text comes in runs: what the last chunk was, the next one is tried as.
                self._plain = (
                    bool(events) and type(last := events[-1]) is Delta and last.kind is DeltaKind.TEXT
                )
        elif self._framing is not None:
            self._framing.feed(data)

    def _choose(self, data: bytes) -> bytes:
        """Pick the framing by the first byte that says something; returns what it is to be fed."""
        data = self._start + data
        visible = data.removeprefix(_BOM).lstrip()
        if not visible or _BOM.startswith(data):
            # White space says nothing; the beginning of a byte order mark may.
            self._start = data if _BOM.startswith(data) else b""
            return b""
        labelled = (
            self._headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"
        )
        if labelled and visible[0] not in _OPENING and len(visible) < _LONGEST_FIELD:
            self._start = data
            return b""
        self._start = b""
        if visible.startswith(b"<"):
            raise ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the upstream sent a page in place of an answer")
        if visible[0] in _OPENING or (labelled and not visible.startswith(_FIELDS)):
            self._framing = WholeFraming(self._limits.body_bytes)
            return visible
        self._framing = SseFraming(self._limits.event_bytes)
        self._streamed = True
        return data

    def _take(self, data: bytes, name: str, events: list[Event]) -> None:
        if data.startswith(b"[") and data.strip() == b"[DONE]":
            if not self._answer.finished:
                raise self._truncated()
            self._ended = True
            return
        chunk = read_chunk(data)
        if chunk is None:
            said = say(loose_json(data))
            if said is not None or name == "error":
                raise self._told(said)
        elif chunk.error:
            self._fail(chunk, events)
        else:
            self._answer.add(chunk, events)

    def _fail(self, chunk: Chunk, events: list[Event]) -> None:
        """An error may come beside content (OpenRouter); its finish reason only repeats it."""
        for choice in chunk.choices or ():
            choice.finish_reason = None
        self._answer.add(chunk, events)
        raise self._told(say({"error": chunk.error}))

    def _close(self, events: list[Event]) -> None:
        framing = self._framing
        if isinstance(framing, WholeFraming):
            for document in framing.close():
                self._take_whole(document, events)
        elif framing is not None:
            for event in framing.close():
                self._take_last(event.data, event.name, events)
        if not self._ended and self._answer.finished < self._expected:
            raise self._truncated()
        self._ended = True

    def _take_last(self, data: bytes, name: str, events: list[Event]) -> None:
        """An event without its empty line: it counts if it is whole, and is what a cut left over if it is not."""
        try:
            self._take(data, name, events)
        except ServiceError as fault:
            if fault.reason is not Reason.UPSTREAM_BAD_RESPONSE:
                raise

    def _take_whole(self, document: bytes, events: list[Event]) -> None:
        chunk = read_chunk(document)
        if chunk is not None and chunk.error:
            self._fail(chunk, events)
        if chunk is None or not chunk.choices:
            said = say(loose_json(document))
            if said is not None:
                raise self._told(said)
            raise ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the upstream's answer holds no candidate")
        self._answer.add(chunk, events)
        self._answer.finish_whole(events)
        if not self._answer.opened:
            events.insert(0, Opened(upstream_request_id=bounded_word(self._headers.get("x-request-id", ""))))
        self._ended = True

    def _told(self, said: Said | None) -> ServiceError:
        said = said or Said()
        return answered_error(said, self._place(said.status), self._headers)

    def _truncated(self) -> ServiceError:
        return ServiceError(Reason.UPSTREAM_TRUNCATED, DETAILS[Reason.UPSTREAM_TRUNCATED])

    def _place(self, status: int = 0) -> UpstreamFault:
        """Where in the answer a fault stands."""
        return UpstreamFault(
            http_status=self._status,
            stream_status=status,
            request_id=bounded_word(self._headers.get("x-request-id", "")),
            response_id=self._answer.response_id,
            in_stream=self._streamed,
        )
