"""Documents of one answer -> events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pointsman_server.context import Attempt
from pointsman_server.domain import (
    Citation,
    Delta,
    DeltaKind,
    Event,
    Finished,
    FinishReason,
    Opened,
    ReasoningKind,
    SafetyRating,
    Usage,
    UsageReport,
)
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.contract import Headers
from pointsman_server.transport.sse import SseEvent
from pointsman_server.upstreams.dialects.ernie.refusal import answered_error, tells_error
from pointsman_server.upstreams.translation.decoding import Place
from pointsman_server.upstreams.translation.documents import (
    as_list,
    as_object,
    as_text,
    json_text,
    loose_json,
)
from pointsman_server.upstreams.translation.error_objects import told_id
from pointsman_server.upstreams.translation.faults import answer_id, bounded_word, whole_number
from pointsman_server.upstreams.translation.parts import PartNumbers, made_tool_id
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.ratings import flag_ratings, worst
from pointsman_server.upstreams.translation.support import hides_reasoning

_LAST_SECOND = 253_402_300_799
_FINISH: Mapping[str, FinishReason] = {
    "normal": FinishReason.STOP,
    "stop": FinishReason.STOP,
    "length": FinishReason.MAX_TOKENS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "function_call": FinishReason.TOOL_CALLS,
}


class ErnieReader:
    """One answer, in one document or in many. Its end is the document that says `is_end`."""

    __slots__ = (
        "_attempt_id", "_called", "_cited", "_hidden", "_named", "_opened", "_parts", "_ratings", "_usage", "ended",
        "place",
    )  # fmt: skip

    def __init__(self, attempt: Attempt, profile: Profile, *, status: int, headers: Headers) -> None:
        self.place = Place(status, headers, answer_id(headers, profile.answer_id_headers))
        self.ended = False
        self._attempt_id = attempt.upstream_id
        self._hidden = hides_reasoning(attempt.call, profile)
        self._opened = False
        self._called = False
        self._named = False
        self._cited = 0
        self._parts = PartNumbers()
        self._ratings: tuple[SafetyRating, ...] = ()
        self._usage: Usage | None = None

    @property
    def complete(self) -> bool:
        """Only `is_end` ends an answer."""
        return self.ended

    def document(self, event: SseEvent, events: list[Event]) -> None:
        """As the protocol says."""
        told = as_object(loose_json(event.data))
        self._take(told, events)
        if told.get("is_end") is True:
            self._end(told, events)

    def whole(self, data: bytes, events: list[Event]) -> None:
        """As the protocol says."""
        told = as_object(loose_json(data))
        self._take(told, events)
        if not (isinstance(told.get("result"), str) or self._called):
            raise ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the upstream's answer holds no result")
        self._end(told, events)

    def _take(self, told: Mapping[str, Any], events: list[Event]) -> None:
        if tells_error(told):
            self.place.request_id = self.place.request_id or told_id(told)
            raise answered_error(told, self.place.fault(), self.place.headers)
        if not self._opened and told.get("id"):
            events.append(self._map_opened(told))
        events.extend(self._deltas(told))
        self._ratings = worst((*self._ratings, *flag_ratings(told)))
        usage = _map_usage(told.get("usage"))
        if usage is not None and usage != self._usage:
            self._usage = usage
            events.append(UsageReport(usage))

    def _map_opened(self, told: Mapping[str, Any]) -> Opened:
        self._opened = True
        self.place.response_id = bounded_word(told.get("id"))
        return Opened(
            response_id=self.place.response_id,
            created_s=whole_number(told.get("created"), _LAST_SECOND),
            upstream_request_id=self.place.request_id,
        )

    def _deltas(self, told: Mapping[str, Any]) -> Iterator[Delta]:
        call = as_object(told.get("function_call"))
        thoughts = as_text(call.get("thoughts"))
        if thoughts and not self._hidden:
            part = self._parts.of(0, DeltaKind.REASONING)
            yield Delta(0, part, DeltaKind.REASONING, thoughts, reasoning_kind=ReasoningKind.PLAN)
        text, citations = as_text(told.get("result")), self._citations(told)
        if text or citations:
            part = self._parts.of(0, DeltaKind.TEXT)
            yield Delta(0, part, DeltaKind.TEXT, text, citations=citations)
        if call:
            yield self._map_call(call)

    def _map_call(self, call: Mapping[str, Any]) -> Delta:
        """There is one at most, and the wire has no id for it."""
        name = as_text(call.get("name")) if not self._named else ""
        tool_id = "" if self._called else made_tool_id(self._attempt_id, 0, 0)
        self._called, self._named = True, self._named or bool(name)
        arguments = call.get("arguments")
        text = json_text(arguments) if isinstance(arguments, dict) else as_text(arguments)
        part = self._parts.of(0, DeltaKind.TOOL_CALL)
        return Delta(0, part, DeltaKind.TOOL_CALL, text, tool_id=tool_id, tool_name=name)

    def _citations(self, told: Mapping[str, Any]) -> tuple[Citation, ...]:
        """Pages that a search found; later documents repeat them."""
        pages = as_list(as_object(told.get("search_info")).get("search_results"))
        fresh = pages[self._cited :]
        self._cited = max(self._cited, len(pages))
        return tuple(
            Citation(
                url=as_text(page.get("url")),
                title=as_text(page.get("title")),
                document_id=bounded_word(page.get("index")),
            )
            for page in fresh
            if isinstance(page, dict)
        )

    def _end(self, told: Mapping[str, Any], events: list[Event]) -> None:
        self.ended = True
        events.append(self._map_finish(told))

    def _map_finish(self, told: Mapping[str, Any]) -> Finished:
        raw = bounded_word(told.get("finish_reason"))
        reason = _FINISH.get(raw, FinishReason.OTHER)
        if not raw:
            # Older models tell no reason, but whether the text was cut.
            cut = told.get("is_truncated") is True
            reason = FinishReason.MAX_TOKENS if cut else FinishReason.STOP
        if self._called:
            reason = FinishReason.TOOL_CALLS
        return Finished(0, reason, raw=raw, safety=self._ratings)


def _map_usage(value: object) -> Usage | None:
    told = as_object(value)
    usage = Usage(
        input_tokens=whole_number(told.get("prompt_tokens")),
        output_tokens=whole_number(told.get("completion_tokens")),
        total_tokens=whole_number(told.get("total_tokens")),
    )
    return None if usage == Usage() else usage
