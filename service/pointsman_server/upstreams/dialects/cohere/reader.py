"""Events of one answer, or the document that it is as a whole -> our events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pointsman_server.context import Attempt
from pointsman_server.domain import Event, Finished, FinishReason, Opened, Usage, UsageReport
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.contract import Headers
from pointsman_server.transport.sse import SseEvent
from pointsman_server.upstreams.dialects.cohere.message import AnswerMessage
from pointsman_server.upstreams.dialects.cohere.refusal import answered_error, say
from pointsman_server.upstreams.translation.decoding import Place
from pointsman_server.upstreams.translation.documents import as_object, as_text, loose_json, part_of
from pointsman_server.upstreams.translation.faults import (
    answer_id,
    bounded_word,
    failed_ending,
    whole_number,
)
from pointsman_server.upstreams.translation.profile import Profile

_FINISH: Mapping[str, FinishReason] = {
    "COMPLETE": FinishReason.STOP,
    "STOP_SEQUENCE": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.MAX_TOKENS,
    "TOOL_CALL": FinishReason.TOOL_CALLS,
    # Words of older models.
    "ERROR_LIMIT": FinishReason.MAX_TOKENS,
    "ERROR_TOXIC": FinishReason.CONTENT_FILTER,
}
_FAILURES: Mapping[str, Reason] = {"ERROR": Reason.UPSTREAM_ERROR, "TIMEOUT": Reason.UPSTREAM_TIMEOUT}
"""Words for an answer that came to grief."""


class ChatReader:
    """One answer. Its end is the event message-end; [DONE] follows it on some servers, and proves nothing."""

    __slots__ = ("_message", "ended", "place")

    def __init__(self, attempt: Attempt, profile: Profile, *, status: int, headers: Headers) -> None:
        self.place = Place(status, headers, answer_id(headers, profile.answer_id_headers))
        self.ended = False
        self._message = AnswerMessage(attempt, profile)

    @property
    def complete(self) -> bool:
        """Only that event ends an answer."""
        return self.ended

    def document(self, event: SseEvent, events: list[Event]) -> None:
        """As the protocol says."""
        if event.data.strip() == b"[DONE]":
            return
        document = as_object(loose_json(event.data))
        kind = as_text(document.get("type")) or event.name
        if kind in ("", "error") and (said := say(document)) is not None:
            raise answered_error(said, self.place)
        delta = as_object(document.get("delta"))
        match kind:
            case "message-start":
                events.append(self._map_opened(document.get("id")))
            case "message-end":
                self._end(delta, events)
            case _:
                message = as_object(delta.get("message"))
                self._message.add(kind, {**document, "message": message}, events)

    def whole(self, data: bytes, events: list[Event]) -> None:
        """As the protocol says."""
        document = loose_json(data)
        answer = as_object(document)
        if not isinstance(answer.get("message"), dict):
            if (said := say(document)) is not None:
                raise answered_error(said, self.place)
            raise ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the upstream's answer holds no message")
        events.append(self._map_opened(answer.get("id")))
        self._message.whole(answer["message"], answer.get("logprobs"), events)
        self._end(answer, events)

    def _map_opened(self, answer: object) -> Opened:
        self.place.response_id = bounded_word(answer)
        return Opened(response_id=self.place.response_id, upstream_request_id=self.place.request_id)

    def _end(self, said: dict[str, Any], events: list[Event]) -> None:
        if (usage := _map_usage(as_object(said.get("usage")))) is not None:
            events.append(UsageReport(usage))
        error = as_text(said.get("error"))
        raw = bounded_word(said.get("finish_reason")) or ("ERROR" if error else "")
        if (failure := _FAILURES.get(raw)) is not None:
            events.append(Finished(0, FinishReason.ERROR, raw=raw))
            raise failed_ending(raw, self.place.fault(), reason=failure, message=error)
        events.append(_map_finish(raw, called=self._message.called))
        self.ended = True


def _map_finish(raw: str, *, called: bool) -> Finished:
    reason = FinishReason.TOOL_CALLS if called else _FINISH.get(raw, FinishReason.OTHER)
    return Finished(0, reason, raw=raw)


def _map_usage(said: dict[str, Any]) -> Usage | None:
    """All tokens, else those that are billed; the numbers come as floats."""
    told = as_object(said.get("tokens")) or as_object(said.get("billed_units"))
    inputs, outputs = whole_number(told.get("input_tokens")), whole_number(told.get("output_tokens"))
    total = None if inputs is None or outputs is None else inputs + outputs
    usage = Usage(
        input_tokens=inputs,
        output_tokens=outputs,
        total_tokens=total if total is None else min(total, 2**63 - 1),
        cached_input_tokens=part_of(inputs, said.get("cached_tokens")),
    )
    return None if usage == Usage() else usage
