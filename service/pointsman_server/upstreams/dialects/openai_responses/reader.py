"""Events of one answer, or the response that it is as a whole -> our events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pointsman_server.context import Attempt
from pointsman_server.domain import (
    DeltaKind,
    Event,
    Finished,
    FinishReason,
    Opened,
    Usage,
    UsageReport,
)
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.contract import Headers
from pointsman_server.transport.sse import SseEvent
from pointsman_server.upstreams.dialects.openai_responses.output import Output
from pointsman_server.upstreams.translation.decoding import Place
from pointsman_server.upstreams.translation.documents import as_object, as_text, loose_json, part_of
from pointsman_server.upstreams.translation.error_objects import answered_error, say, told_id
from pointsman_server.upstreams.translation.faults import (
    Said,
    answer_id,
    bounded_word,
    failed_ending,
    whole_number,
)
from pointsman_server.upstreams.translation.profile import Profile

_LAST_SECOND = 253_402_300_799
_ENDS = frozenset({"completed", "incomplete", "failed", "cancelled"})
"""Statuses of a response that will not change any more."""
_TEXTS: Mapping[str, tuple[DeltaKind, str]] = {
    "output_text.delta": (DeltaKind.TEXT, "delta"),
    "output_text.done": (DeltaKind.TEXT, "text"),
    "refusal.delta": (DeltaKind.REFUSAL, "delta"),
    "refusal.done": (DeltaKind.REFUSAL, "refusal"),
}
"""Events of a message's content: what they extend, and the field that holds it."""
_INCOMPLETE: Mapping[str, FinishReason] = {
    "max_output_tokens": FinishReason.MAX_TOKENS,
    "content_filter": FinishReason.CONTENT_FILTER,
}


class ResponsesReader:
    """One answer. Its end is the event that tells the whole response once more; nothing else ends a stream."""

    __slots__ = ("_codes", "_opened", "_output", "ended", "place")

    def __init__(self, attempt: Attempt, profile: Profile, *, status: int, headers: Headers) -> None:
        self.place = Place(status, headers, answer_id(headers, profile.answer_id_headers))
        self.ended = False
        self._codes = profile.error_codes
        self._opened = False
        self._output = Output(attempt, profile)

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
        if kind == "error" or (not kind and document.get("error")):
            raise self._told(document)
        self._take(kind.removeprefix("response."), document, events)

    def whole(self, data: bytes, events: list[Event]) -> None:
        """As the protocol says."""
        document = loose_json(data)
        response = as_object(document)
        if bounded_word(response.get("status")) not in _ENDS:
            if (said := say(document)) is not None:
                raise self._failed(said, told_id(document))
            raise ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the upstream's answer is no finished response")
        self._end(response, events)

    def _take(self, kind: str, document: dict[str, Any], events: list[Event]) -> None:
        """One event of those that say something; what is not known here only decorates an answer."""
        output = self._output
        if (text := _TEXTS.get(kind)) is not None:
            output.text(document, *text, events)
            return
        match kind:
            case "function_call_arguments.delta":
                output.arguments(document, "delta", events)
            case "function_call_arguments.done":
                output.arguments(document, "arguments", events)
            case "reasoning_summary_text.delta" | "reasoning_text.delta":
                output.thought(document, "delta", events, summary=kind.startswith("reasoning_summary"))
            case "reasoning_summary_text.done" | "reasoning_text.done":
                output.thought(document, "text", events, summary=kind.startswith("reasoning_summary"))
            case "output_text.annotation.added":
                output.annotation(document, events)
            case "output_item.added" | "output_item.done":
                output.item(document, events, done=kind == "output_item.done")
            case "created" | "in_progress" | "queued":
                self._open(as_object(document.get("response")), events)
            case "completed" | "incomplete" | "failed" | "cancelled":
                self._end({"status": kind, **as_object(document.get("response"))}, events)
            case _:
                pass

    def _open(self, response: dict[str, Any], events: list[Event]) -> None:
        if self._opened or not response:
            return
        self._opened = True
        self.place.response_id = bounded_word(response.get("id"))
        created = response.get("created_at")
        events.append(
            Opened(
                response_id=self.place.response_id,
                model=bounded_word(response.get("model")),
                created_s=whole_number(created if type(created) is int else _floor(created), _LAST_SECOND),
                service_tier=bounded_word(response.get("service_tier")),
                upstream_request_id=self.place.request_id,
            )
        )

    def _end(self, response: dict[str, Any], events: list[Event]) -> None:
        """The response as it has become; what no event told of its output is told now."""
        self._open(response, events)
        self._output.rest(response.get("output"), events)
        if (usage := _map_usage(as_object(response.get("usage")))) is not None:
            events.append(UsageReport(usage))
        status = as_text(response.get("status"))
        if status == "failed":
            said = say({"error": response.get("error")}) or Said()
            raise self._failed(said)
        finished = _map_finish(
            status, as_object(response.get("incomplete_details")), called=self._output.called
        )
        events.append(finished)
        if finished.reason is FinishReason.ERROR:
            raise failed_ending(status, self.place.fault())
        self.ended = True

    def _told(self, document: dict[str, Any]) -> ServiceError:
        """An event of an error: its words stand in it, or in an object as those of a refusal."""
        said = say(document) if document.get("error") else say({"error": {**document, "type": None}})
        return self._failed(said or Said())

    def _failed(self, said: Said, request_id: str = "") -> ServiceError:
        if request_id and not self.place.request_id:
            self.place.request_id = request_id
        upstream = self.place.fault(stream_status=said.status)
        return answered_error(said, upstream, self.place.headers, self._codes)


def _floor(value: object) -> int | None:
    return int(value) if isinstance(value, float) and 0 <= value <= _LAST_SECOND else None


def _map_finish(status: str, details: dict[str, Any], *, called: bool) -> Finished:
    """The status with its reason is the raw word; a call is known by its presence alone."""
    reason = bounded_word(details.get("reason"))
    raw = f"{status}:{reason}" if status == "incomplete" and reason else status
    match status:
        case "completed" | "incomplete" if called:
            return Finished(0, FinishReason.TOOL_CALLS, raw=raw)
        case "completed":
            return Finished(0, FinishReason.STOP, raw=raw)
        case "incomplete":
            return Finished(0, _INCOMPLETE.get(reason, FinishReason.OTHER), raw=raw)
        case _:
            return Finished(0, FinishReason.ERROR, raw=raw)


def _map_usage(said: dict[str, Any]) -> Usage | None:
    inputs, outputs = (
        as_object(said.get("input_tokens_details")),
        as_object(said.get("output_tokens_details")),
    )
    prompt, answer = whole_number(said.get("input_tokens")), whole_number(said.get("output_tokens"))
    usage = Usage(
        input_tokens=prompt,
        output_tokens=answer,
        total_tokens=whole_number(said.get("total_tokens")),
        cached_input_tokens=part_of(prompt, inputs.get("cached_tokens")),
        reasoning_tokens=part_of(answer, outputs.get("reasoning_tokens")),
        cache_write_tokens=part_of(prompt, inputs.get("cache_write_tokens")),
    )
    return None if usage == Usage() else usage
