"""What came of an answer, in the words of the recordings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pointsman_server.domain import (
    Answer,
    Candidate,
    Event,
    FinishReason,
    Reasoning,
    ReasoningKind,
    Refusal,
    Text,
    ToolCall,
)
from pointsman_server.domain.fold import Fold
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.upstreams.contract import Decoder

KINDS: Mapping[Reason, str] = {
    Reason.UPSTREAM_RATE_LIMITED: "rate_limited",
    Reason.UPSTREAM_QUOTA_EXHAUSTED: "quota_exhausted",
    Reason.UPSTREAM_OVERLOADED: "overloaded",
    Reason.UPSTREAM_UNAVAILABLE: "unavailable",
    Reason.UPSTREAM_TIMEOUT: "timeout",
    Reason.UPSTREAM_UNREACHABLE: "connection",
    Reason.UPSTREAM_TRUNCATED: "incomplete_stream",
    Reason.UPSTREAM_ERROR: "internal",
    Reason.UPSTREAM_BAD_RESPONSE: "internal",
    Reason.UPSTREAM_CREDENTIALS_INVALID: "authentication",
    Reason.UPSTREAM_PERMISSION_DENIED: "permission",
    Reason.UPSTREAM_MODEL_NOT_FOUND: "not_found",
    Reason.UPSTREAM_REJECTED: "invalid_request",
    Reason.UPSTREAM_CONFLICT: "invalid_request",
    Reason.UPSTREAM_UNIMPLEMENTED: "invalid_request",
    Reason.REQUEST_TOO_LARGE: "invalid_request",
    Reason.CONTEXT_LENGTH_EXCEEDED: "context_length",
    Reason.CONTENT_BLOCKED: "content_filter",
}
_AGAIN = {
    "rate_limited", "overloaded", "unavailable", "timeout", "internal", "connection", "incomplete_stream",
}  # fmt: skip
_FINISH = {
    FinishReason.STOP: "stop",
    FinishReason.MAX_TOKENS: "length",
    FinishReason.TOOL_CALLS: "tool_calls",
    FinishReason.CONTENT_FILTER: "content_filter",
    FinishReason.ERROR: "error",
    FinishReason.OTHER: "other",
}


@dataclass(frozen=True)
class Outcome:
    """An answer as far as it came, and how it failed if it did."""

    answer: Answer
    error: ServiceError | None = None


def decode(decoder: Decoder, pieces: Iterable[bytes], *, end: bool = True) -> Outcome:
    """Feed these reads as the service does: what `ended` says is asked before each, `close` until it is silent."""
    fold = Fold()
    try:
        for piece in pieces:
            if decoder.ended:
                break
            _add(fold, decoder.feed(piece))
        while (decoder.ended or end) and (events := decoder.close()):
            _add(fold, events)
    except ServiceError as error:
        return Outcome(fold.answer(), error)
    if not (end or decoder.ended):
        return Outcome(fold.answer(), ServiceError(Reason.UPSTREAM_TRUNCATED, "the body was cut off"))
    return Outcome(fold.answer())


def _add(fold: Fold, events: Iterable[Event]) -> None:
    for event in events:
        fold.add(event)


def neutral(outcome: Outcome) -> dict[str, Any]:
    """The unified result with every key that a recording may have."""
    answer, error = outcome.answer, outcome.error
    first = answer.candidates[0] if answer.candidates else Candidate(0, (), None)
    usage = answer.usage
    return {
        "id": answer.response_id or None,
        "text": _texts(first, Text),
        "reasoning": _reasoning(first, plan=False),
        "tool_plan": _reasoning(first, plan=True),
        "refusal": _texts(first, Refusal),
        "tool_calls": [_call(part.content) for part in first.parts if isinstance(part.content, ToolCall)],
        "finish_reason": None if first.finish_reason is None else _FINISH[first.finish_reason],
        "finish_reason_raw": first.finish_reason_raw or None,
        "stop_sequence": first.stop_sequence or None,
        "usage": None if usage is None else {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
            "cached_input_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
        },
        "choices": [
            {"index": one.index, "text": _texts(one, Text), "finish_reason_raw": one.finish_reason_raw}
            for one in answer.candidates
        ],
        "error": None if error is None else _error(error, answer),
    }  # fmt: skip


def _reasoning(candidate: Candidate, *, plan: bool) -> str | None:
    """Thoughts, or what the model plans to do with its tools."""
    thoughts = [part.content for part in candidate.parts if isinstance(part.content, Reasoning)]
    return "".join(one.text for one in thoughts if (one.kind is ReasoningKind.PLAN) == plan) or None


def _texts(candidate: Candidate, kind: type[Text | Refusal]) -> str | None:
    texts = [part.content.text for part in candidate.parts if isinstance(part.content, kind)]
    return "".join(texts) or None


def _call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "name": call.name, "arguments": json.loads(call.arguments_json or "{}")}


def _error(error: ServiceError, answer: Answer) -> dict[str, Any]:
    said, kind = error.upstream, KINDS[error.reason]
    output = any(candidate.parts for candidate in answer.candidates)
    again = kind in _AGAIN if said is None or said.retryable is None else said.retryable
    return {
        "kind": kind,
        "retryable": again and not output,
        "retry_after_s": error.retry_after_s,
        "phase": "mid_stream" if said is None or said.in_stream else "response",
        "http_status": None if said is None else said.http_status,
        "stream_status": None if said is None else said.stream_status or None,
        "code": None if said is None else said.code or None,
        "type": None if said is None else said.type or None,
        "message": None if said is None else said.message or None,
        "request_id": None if said is None else said.request_id or None,
    }


def check_expected(outcome: Outcome, expect: Mapping[str, Any]) -> None:
    """Every key of the recording holds; null and "" are the same text, an id of null is one that was made."""
    result = neutral(outcome)
    for key, wanted in expect.items():
        found = result[key]
        if key == "tool_calls":
            _check_calls(found, wanted)
        elif isinstance(wanted, Mapping):
            assert found is not None, key
            assert {name: found[name] for name in wanted} == dict(wanted), key
        else:
            assert found == (None if wanted == "" else wanted), key


def _check_calls(found: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    assert [{**call, "id": None} for call in found] == [{**call, "id": None} for call in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert one["id"], "every call has an id"
        if other.get("id") is not None:
            assert one["id"] == other["id"]
