"""Documents of one answer -> events: `message_start`, then blocks with their deltas, `message_delta`, `message_stop`;
or one message that holds it all. Unknown events, deltas and fields are ignored, unknown blocks kept as provider parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from pointsman_server.context import Attempt
from pointsman_server.domain import Event, Finished, FinishReason, Opened, SafetyRating
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.contract import Headers
from pointsman_server.transport.sse import SseEvent
from pointsman_server.upstreams.dialects.anthropic.blocks import Blocks
from pointsman_server.upstreams.dialects.anthropic.refusal import answered_error, say
from pointsman_server.upstreams.dialects.anthropic.usage import Counters
from pointsman_server.upstreams.translation.decoding import Place
from pointsman_server.upstreams.translation.documents import (
    as_list,
    as_object,
    as_text,
    block_number,
    loose_json,
)
from pointsman_server.upstreams.translation.faults import answer_id, bounded_message, bounded_word
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.support import hides_reasoning, origin

_FINISH: Mapping[str, FinishReason] = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.MAX_TOKENS,
    "model_context_window_exceeded": FinishReason.MAX_TOKENS,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.CONTENT_FILTER,
    # The provider paused a long turn of its own tools; what came is sent back to go on.
    "pause_turn": FinishReason.OTHER,
}


class _TextDelta(msgspec.Struct, gc=False):
    type: Literal["text_delta"]
    text: str


class _TextEvent(msgspec.Struct, gc=False):
    """The event that nearly all are."""

    type: Literal["content_block_delta"]
    index: int
    delta: _TextDelta


_DECODE_TEXT = msgspec.json.Decoder(_TextEvent).decode


class MessageReader:
    """One answer. A stream is complete with `message_stop` and not before: that is the protocol's own end signal."""

    __slots__ = ("_blocks", "_counters", "_finish", "ended", "place")

    def __init__(self, attempt: Attempt, profile: Profile, *, status: int, headers: Headers) -> None:
        self.place = Place(status, headers, answer_id(headers, profile.answer_id_headers))
        self.ended = False
        self._blocks = Blocks(
            attempt.upstream_id,
            profile.dialect,
            origin(profile, attempt.target.model),
            hidden=hides_reasoning(attempt.call, profile),
        )
        self._counters = Counters()
        self._finish: Finished | None = None

    @property
    def complete(self) -> bool:
        """Whether the end was told."""
        return self.ended

    def document(self, event: SseEvent, events: list[Event]) -> None:
        """As the protocol says."""
        try:
            plain = _DECODE_TEXT(event.data)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            self._take(as_object(loose_json(event.data)), event.name, events)
            return
        self._blocks.text(block_number(plain.index), plain.delta.text, events)

    def whole(self, data: bytes, events: list[Event]) -> None:
        """As the protocol says."""
        message = as_object(loose_json(data))
        if message.get("type") == "error" or "error" in message:
            raise self._told(message)
        if not isinstance(message.get("content"), list):
            raise ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the upstream's answer holds no content")
        self._open(message, events)
        for index, block in enumerate(as_list(message["content"])):
            self._blocks.start(index, as_object(block), events)
            self._blocks.stop(index, events)
        self._note_finish(message)
        self._end(events)

    def _take(self, said: dict[str, Any], name: str, events: list[Event]) -> None:
        """One event by its type; the name in front of it only repeats that."""
        match said.get("type") or name:
            case "content_block_delta":
                self._blocks.delta(block_number(said.get("index")), as_object(said.get("delta")), events)
            case "content_block_start":
                self._blocks.start(
                    block_number(said.get("index")), as_object(said.get("content_block")), events
                )
            case "content_block_stop":
                self._blocks.stop(block_number(said.get("index")), events)
            case "message_start":
                self._open(as_object(said.get("message")), events)
            case "message_delta":
                self._note_finish(as_object(said.get("delta")))
                self._counters.add(said.get("usage"), events)
            case "message_stop":
                self._end(events)
            case "error":
                raise self._told(said)
            case _ if "error" in said:
                raise self._told(said)
            case _:
                pass

    def _open(self, message: dict[str, Any], events: list[Event]) -> None:
        self.place.response_id = bounded_word(message.get("id"))
        usage = as_object(message.get("usage"))
        events.append(
            Opened(
                response_id=self.place.response_id,
                model=bounded_word(message.get("model")),
                service_tier=bounded_word(usage.get("service_tier")),
                upstream_request_id=self.place.request_id,
            )
        )
        self._counters.add(usage, events)

    def _note_finish(self, said: dict[str, Any]) -> None:
        """Why it ended; told to the caller only with the end itself."""
        if raw := bounded_word(said.get("stop_reason")):
            self._finish = _map_finish(raw, said)

    def _end(self, events: list[Event]) -> None:
        self._blocks.stop_all(events)
        finish = self._finish or Finished(0, FinishReason.OTHER)
        if self._blocks.called:
            finish = Finished(0, FinishReason.TOOL_CALLS, finish.raw, finish.stop_sequence, finish.safety)
        events.append(finish)
        self.ended = True

    def _told(self, document: dict[str, Any]) -> ServiceError:
        return answered_error(say(document), self.place, document)


def _map_finish(raw: str, said: dict[str, Any]) -> Finished:
    details = said.get("stop_details")
    return Finished(
        0,
        _FINISH.get(raw, FinishReason.OTHER),
        raw=raw,
        stop_sequence=as_text(said.get("stop_sequence")),
        safety=(_map_safety(details),) if raw == "refusal" and isinstance(details, dict) else (),
    )


def _map_safety(details: dict[str, Any]) -> SafetyRating:
    """Of a refusal that maps to no named category only the explanation is told."""
    return SafetyRating(
        bounded_word(details.get("category")) or "refusal",
        blocked=True,
        explanation=bounded_message(as_text(details.get("explanation"))),
    )
