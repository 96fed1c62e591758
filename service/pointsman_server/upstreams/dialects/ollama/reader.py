"""Lines of one answer -> events."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

from pointsman_server.context import Attempt
from pointsman_server.domain import (
    Delta,
    DeltaKind,
    Event,
    Finished,
    FinishReason,
    Opened,
    TokenLogprob,
    Usage,
    UsageReport,
)
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.contract import Headers
from pointsman_server.transport.sse import SseEvent
from pointsman_server.upstreams.dialects.ollama.refusal import answered_error
from pointsman_server.upstreams.translation.decoding import Place
from pointsman_server.upstreams.translation.documents import (
    as_list,
    as_object,
    as_text,
    json_text,
    log_probability,
    loose_json,
)
from pointsman_server.upstreams.translation.faults import answer_id, bounded_word, whole_number
from pointsman_server.upstreams.translation.parts import PartNumbers, made_tool_id
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.support import hides_reasoning

_LAST_SECOND = 253_402_300_799
_FINISH: Mapping[str, FinishReason] = {"stop": FinishReason.STOP, "length": FinishReason.MAX_TOKENS}
"""`load` and `unload` are answers to calls that ask nothing."""


class ChatReader:
    """One answer, in one line or in many. Its end is the line that says `done`."""

    __slots__ = ("_attempt_id", "_calls", "_hidden", "_opened", "_parts", "ended", "place")

    def __init__(self, attempt: Attempt, profile: Profile, *, status: int, headers: Headers) -> None:
        self.place = Place(status, headers, answer_id(headers, profile.answer_id_headers))
        self.ended = False
        self._attempt_id = attempt.upstream_id
        self._hidden = hides_reasoning(attempt.call, profile)
        self._opened = False
        self._parts = PartNumbers()
        self._calls = 0

    @property
    def complete(self) -> bool:
        """Only `done` ends an answer."""
        return self.ended

    def document(self, event: SseEvent, events: list[Event]) -> None:
        """As the protocol says."""
        self.whole(event.data, events)

    def whole(self, data: bytes, events: list[Event]) -> None:
        """As the protocol says."""
        line = as_object(loose_json(data))
        if line.get("error"):
            raise answered_error(line, self.place)
        if not ("done" in line or "message" in line or "response" in line):
            raise ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the upstream's answer is none that we know")
        if not self._opened:
            events.append(self._map_opened(line))
        events.extend(self._deltas(line))
        if line.get("done") is True:
            self.ended = True
            if (usage := _map_usage(line)) is not None:
                events.append(UsageReport(usage))
            events.append(self._map_finish(line))

    def _map_opened(self, line: Mapping[str, Any]) -> Opened:
        self._opened = True
        return Opened(
            model=bounded_word(line.get("model")),
            created_s=_seconds(line.get("created_at")),
            upstream_request_id=self.place.request_id,
        )

    def _deltas(self, line: Mapping[str, Any]) -> Iterator[Delta]:
        message = as_object(line.get("message"))
        logprobs = tuple(_map_logprobs(line.get("logprobs")))
        # /api/generate says the same beside `response` in place of inside a message.
        thought = as_text(message.get("thinking")) or as_text(line.get("thinking"))
        if thought and not self._hidden:
            part = self._parts.of(0, DeltaKind.REASONING)
            yield Delta(0, part, DeltaKind.REASONING, thought, logprobs=logprobs)
            logprobs = ()
        text = as_text(message.get("content")) or as_text(line.get("response"))
        if text or (logprobs and not thought):
            yield Delta(0, self._parts.of(0, DeltaKind.TEXT), DeltaKind.TEXT, text, logprobs=logprobs)
        for call in as_list(message.get("tool_calls")):
            if isinstance(call, dict):
                yield self._map_call(call)

    def _map_call(self, call: Mapping[str, Any]) -> Delta:
        """Calls come whole; older servers give them no id."""
        function, number = as_object(call.get("function")), self._calls
        self._calls += 1
        arguments = function.get("arguments")
        return Delta(
            0,
            self._parts.of(0, (DeltaKind.TOOL_CALL, number)),
            DeltaKind.TOOL_CALL,
            as_text(arguments) if isinstance(arguments, str) else json_text(as_object(arguments)),
            tool_id=as_text(call.get("id")) or made_tool_id(self._attempt_id, 0, number),
            tool_name=as_text(function.get("name")),
        )

    def _map_finish(self, line: Mapping[str, Any]) -> Finished:
        raw = bounded_word(line.get("done_reason"))
        reason = FinishReason.TOOL_CALLS if self._calls else _FINISH.get(raw, FinishReason.OTHER)
        return Finished(0, reason, raw=raw)


def _map_usage(line: Mapping[str, Any]) -> Usage | None:
    """The prompt's count is left out where the server had it cached."""
    inputs, outputs = whole_number(line.get("prompt_eval_count")), whole_number(line.get("eval_count"))
    if inputs is None and outputs is None:
        return None
    total = None if inputs is None or outputs is None else inputs + outputs
    return Usage(input_tokens=inputs, output_tokens=outputs, total_tokens=total)


def _map_logprobs(value: object) -> Iterator[TokenLogprob]:
    for entry in as_list(value):
        if isinstance(entry, dict):
            others = [other for other in as_list(entry.get("top_logprobs")) if isinstance(other, dict)]
            yield _map_logprob(entry, top=tuple(_map_logprob(other) for other in others))


def _map_logprob(entry: Mapping[str, Any], top: tuple[TokenLogprob, ...] = ()) -> TokenLogprob:
    numbers = as_list(entry.get("bytes"))
    spelled = all(type(number) is int and 0 <= number < 256 for number in numbers)
    return TokenLogprob(
        as_text(entry.get("token")),
        log_probability(entry.get("logprob")),
        bytes(numbers) if spelled else b"",
        top,
    )


def _seconds(value: object) -> int | None:
    """A time as RFC 3339 writes it, down to the nanosecond."""
    if not isinstance(value, str) or len(value) > 64:
        return None
    try:
        return whole_number(int(dt.datetime.fromisoformat(value).timestamp()), _LAST_SECOND)
    except (ValueError, OverflowError, OSError):
        return None
