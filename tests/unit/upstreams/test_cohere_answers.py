"""Answers and errors of Cohere, beyond what is recorded."""

from __future__ import annotations

import json

import pytest

from pointsman_server.domain import (
    Citation,
    Delta,
    DeltaKind,
    FinishReason,
    Generation,
    Part,
    Reasoning,
    ReasoningConfig,
    ReasoningKind,
    Role,
    Text,
    ToolCall,
    Usage,
)
from pointsman_server.errors import Reason
from pointsman_server.upstreams.dialects.cohere.adapter import CohereAdapter
from pointsman_server.upstreams.dialects.cohere.profiles import COHERE
from tests.conformance.result import decode
from tests.unit.upstreams.calls import asked, attempt, said, settings

SSE, JSON = {"content-type": "text/event-stream"}, {"content-type": "application/json"}
HIDDEN = asked(generation=Generation(reasoning=ReasoningConfig(include=False)))
USAGE = {"tokens": {"input_tokens": 8.0, "output_tokens": 2.0}, "cached_tokens": 3.0}


def event(kind, message=None, **fields):
    document = {"type": kind, **fields}
    if message is not None:
        document["delta"] = {"message": message}
    return f"event: {kind}\ndata: {json.dumps(document)}\n\n".encode()


def text(piece, index=0, **fields):
    return event("content-delta", {"content": {"text": piece}}, index=index, **fields)


def thought(piece, index=0):
    return event("content-delta", {"content": {"thinking": piece}}, index=index)


def cite(start, end, *sources, **fields):
    return event(
        "citation-start", {"citations": {"start": start, "end": end, "sources": list(sources), **fields}}
    )


def end(reason="COMPLETE", **fields):
    return event("message-end", delta={"finish_reason": reason, **fields})


START = event("message-start", {"role": "assistant"}, id="co-1")


def adapter():
    return CohereAdapter(COHERE, settings())


def outcome(*pieces, call=None, headers=SSE, closed=True):
    return decode(adapter().decoder(attempt(call), 200, headers), pieces, end=closed)


def streamed(*pieces, call=None):
    result = outcome(*pieces, call=call)
    assert result.error is None, result.error
    (only,) = result.answer.candidates
    return only


def whole(call=None, reason="COMPLETE", usage=None, logprobs=None, **message):
    document = {
        "id": "co-1",
        "finish_reason": reason,
        "message": message,
        "usage": usage,
        "logprobs": logprobs,
    }
    result = outcome(json.dumps(document).encode(), call=call, headers=JSON)
    assert result.error is None, result.error
    return result.answer


def call_of(tool_id="c1", name="a", arguments='{"x":1}'):
    return {"id": tool_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_a_whole_answer():
    """The plan ahead of the content, the calls behind it."""
    answer = whole(
        reason="TOOL_CALL",
        tool_plan="I look.",
        content=[
            {"type": "thinking", "thinking": "hm"},
            {"type": "text", "text": "a"},
            {"type": "text", "text": "b"},
        ],
        tool_calls=[call_of(), call_of("", "b", "")],
        usage=USAGE,
    )
    (one,) = answer.candidates
    plan, thinking, first, second, called, made = one.parts
    assert plan == Part(Reasoning("I look.", ReasoningKind.PLAN))
    assert thinking == Part(Reasoning("hm", ReasoningKind.THOUGHT))
    assert (first, second) == (Part(Text("a")), Part(Text("b")))
    assert called == Part(ToolCall("c1", "a", '{"x":1}'))
    assert made.content.id.startswith("call_")
    assert (one.finish_reason, one.finish_reason_raw) == (FinishReason.TOOL_CALLS, "TOOL_CALL")
    assert answer.usage == Usage(8, 2, 10, cached_input_tokens=3)
    assert answer.response_id == "co-1"


def test_what_is_not_to_be_told():
    """Thoughts and plans, where the caller wants none."""
    content = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}]
    assert whole(HIDDEN, tool_plan="I look.", content=content).candidates[0].parts == (Part(Text("a")),)
    plan = event("tool-plan-delta", {"tool_plan": "I look."})
    assert streamed(plan, thought("hm"), text("a", 1), end(), call=HIDDEN).parts == (Part(Text("a")),)


def test_a_stream():
    """Pieces by their label, whichever it is; a start may bring a piece; what is not known says nothing."""
    only = streamed(
        START,
        event("tool-plan-delta", {"tool_plan": "I "}),
        event("tool-plan-delta", {"tool_plan": "look."}),
        event("content-start", {"content": {"type": "thinking", "thinking": "h"}}, index=3),
        thought("m", 3),
        event("content-end", index=3),
        event("content-start", {"content": {"type": "text", "text": ""}}, index=7),
        text("a", 7),
        event("debug", prompt="..."),
        text("b", 7),
        event("something-new", {"content": {"text": "?"}}, index=7),
        end(usage=USAGE),
    )
    assert only.parts == (
        Part(Reasoning("I look.", ReasoningKind.PLAN)), Part(Reasoning("hm", ReasoningKind.THOUGHT)),
        Part(Text("ab")),
    )  # fmt: skip
    assert only.finish_reason is FinishReason.STOP


def test_calls_may_interleave():
    """Each has its label; id and name come with its start."""

    def piece(index, arguments):
        return event("tool-call-delta", {"tool_calls": {"function": {"arguments": arguments}}}, index=index)

    only = streamed(
        event("tool-call-start", {"tool_calls": call_of("c1", "a", "")}, index=1),
        event("tool-call-start", {"tool_calls": [call_of("c2", "b", "{")]}, index=4),
        piece(4, '"y":'),
        piece(1, '{"x":'),
        piece(4, "2}"),
        piece(1, "1}"),
        event("tool-call-end", index=1),
        end("COMPLETE"),
    )
    assert only.parts == (Part(ToolCall("c1", "a", '{"x":1}')), Part(ToolCall("c2", "b", '{"y":2}')))
    assert (only.finish_reason, only.finish_reason_raw) == (FinishReason.TOOL_CALLS, "COMPLETE")


PAGE = {
    "type": "document",
    "id": "d1",
    "document": {"url": "https://a.example", "title": "A", "snippet": "x"},
}
TOOL = {"type": "tool", "id": "c1:0", "tool_output": {"temp": 3}}


def test_sources():
    """One citation for each, at the content that is meant; in a stream as in a document."""
    said_of_it = [
        {
            "start": 0,
            "end": 2,
            "text": "hi",
            "sources": [PAGE, TOOL],
            "content_index": 1,
            "type": "TEXT_CONTENT",
        },
        {"start": 1, "end": 2, "sources": [TOOL], "content_index": 0, "type": "THINKING_CONTENT"},
        {"start": 0, "end": 1, "sources": [TOOL], "type": "PLAN"},
        {"start": 3, "end": 5, "sources": []},
        {"start": 3, "end": 5, "sources": [PAGE], "content_index": 9},
    ]
    content = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "hi you"}]
    from_page, from_tool = Citation(0, 2, "https://a.example", "A", "d1"), Citation(0, 2, document_id="c1:0")
    told = (
        Part(Reasoning("I look.", ReasoningKind.PLAN), citations=(Citation(0, 1, document_id="c1:0"),)),
        Part(Reasoning("hm", ReasoningKind.THOUGHT), citations=(Citation(1, 2, document_id="c1:0"),)),
        Part(
            Text("hi you"),
            citations=(from_page, from_tool, Citation(3, 5), Citation(3, 5, "https://a.example", "A", "d1")),
        ),
    )
    assert whole(tool_plan="I look.", content=content, citations=said_of_it).candidates[0].parts == told
    stream = [event("citation-start", {"citations": one}, index=n) for n, one in enumerate(said_of_it)]
    plan = event("tool-plan-delta", {"tool_plan": "I look."})
    assert streamed(plan, thought("hm", 0), text("hi you", 1), *stream, end()).parts == told
    assert streamed(cite(0, 1, TOOL), end()).parts == ()


def test_logprobs():
    """A piece may be of several tokens."""
    chunk = {"text": "hi you", "token_ids": [1, 2], "logprobs": [-0.5, -1]}
    for only in (
        whole(content=[{"type": "text", "text": "hi you"}], logprobs=[chunk]).candidates[0],
        streamed(text("hi you", logprobs=chunk), end()),
    ):
        assert [(token.token, token.logprob) for token in only.logprobs] == [("hi you", -0.5), ("", -1.0)]
        assert only.parts == (Part(Text("hi you")),)
    assert len(whole(logprobs=[chunk]).candidates[0].logprobs) == 2


FINISHES = [
    ("COMPLETE", FinishReason.STOP), ("STOP_SEQUENCE", FinishReason.STOP), ("MAX_TOKENS", FinishReason.MAX_TOKENS),
    ("TOOL_CALL", FinishReason.TOOL_CALLS), ("ERROR_TOXIC", FinishReason.CONTENT_FILTER),
    ("ERROR_LIMIT", FinishReason.MAX_TOKENS), ("NEW", FinishReason.OTHER), ("", FinishReason.OTHER),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "reason"), FINISHES)
def test_finish_reasons(raw, reason):
    """In a stream and in a document."""
    content = [{"type": "text", "text": "a"}]
    for only in (streamed(text("a"), end(raw)), whole(reason=raw, content=content).candidates[0]):
        assert (only.finish_reason, only.finish_reason_raw) == (reason, raw)


@pytest.mark.parametrize(
    ("fields", "raw", "reason"),
    [
        ({"finish_reason": "ERROR", "error": "boom"}, "ERROR", Reason.UPSTREAM_ERROR),
        ({"finish_reason": "TIMEOUT"}, "TIMEOUT", Reason.UPSTREAM_TIMEOUT),
        ({"error": "boom"}, "ERROR", Reason.UPSTREAM_ERROR),
    ],
)
def test_endings_that_are_failures(fields, raw, reason):
    """What came stays, with the tokens that it took."""
    stream = outcome(START, text("a"), event("message-end", delta={**fields, "usage": USAGE}))
    body = {"id": "co-1", "message": {"content": [{"type": "text", "text": "a"}]}, "usage": USAGE, **fields}
    for result in (stream, outcome(json.dumps(body).encode(), headers=JSON)):
        assert result.error.reason is reason
        assert raw in result.error.detail
        assert result.error.upstream.message == fields.get("error", "")
        assert result.error.upstream.response_id == "co-1"
        (only,) = result.answer.candidates
        assert (only.parts, only.finish_reason_raw) == ((Part(Text("a")),), raw)
        assert only.finish_reason is FinishReason.ERROR
        assert result.answer.usage.total_tokens == 10
    assert stream.error.upstream.in_stream


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        ({"billed_units": {"input_tokens": 5, "output_tokens": 1}}, Usage(5, 1, 6)),
        ({"tokens": {"input_tokens": 5.0}}, Usage(5)),
        ({"tokens": {"input_tokens": 5.5, "output_tokens": "x"}}, None),
        ({"cached_tokens": 9, "tokens": {"input_tokens": 5}}, Usage(5, cached_input_tokens=5)),
        ({}, None),
        (None, None),
    ],
)
def test_usage(usage, told):
    """All tokens, else those that are billed."""
    assert whole(usage=usage).usage == told


@pytest.mark.parametrize(
    "told",
    [
        b'data: {"message": "internal server error"}\n\n',
        b'event: error\ndata: {"message": "internal server error"}\n\n',
        b'data: {"type": "error", "error": {"message": "internal server error"}}\n\n',
        b'data: {"error": "internal server error"}\n\n',
    ],
)
def test_errors_in_a_stream(told):
    """In any of these forms; what came stays."""
    result = outcome(START, text("a"), told)
    assert result.error.reason is Reason.UPSTREAM_ERROR
    assert result.error.upstream.message == "internal server error"
    assert result.error.upstream.in_stream
    assert result.answer.candidates[0].parts == (Part(Text("a")),)


def test_errors_in_place_of_an_answer():
    """Under status 200; and what is no answer."""
    told = outcome(b'{"id": "e", "message": "blocked output: unsafe"}', headers=JSON)
    assert told.error.reason is Reason.CONTENT_BLOCKED
    for body in (b"{}", b"[]", b'{"message": 1}', b'"a text"'):
        assert outcome(body, headers=JSON).error.reason is Reason.UPSTREAM_BAD_RESPONSE


def test_only_the_last_event_ends_a_stream():
    """[DONE] does not; what follows the last event is not waited for."""
    pieces = START, text("a"), event("content-end", index=0)
    for last in (b"", b"data: [DONE]\n\n", b"data: {}\n\n"):
        assert outcome(*pieces, last).error.reason is Reason.UPSTREAM_TRUNCATED
    assert outcome(*pieces, end(), b"data: [DONE]\n\n", closed=False).error is None
    assert outcome(*pieces, end(), closed=False).error is None


@pytest.mark.parametrize(
    ("status", "message", "reason"),
    [
        (400, "invalid request: bad temperature", Reason.UPSTREAM_REJECTED),
        (400, "too many tokens: size limit exceeded by 11326 tokens.", Reason.CONTEXT_LENGTH_EXCEEDED),
        (400, "too many tokens: max tokens must be less than or equal to 4096", Reason.UPSTREAM_REJECTED),
        (
            400,
            "model 'x' not found, make sure the correct model ID was used",
            Reason.UPSTREAM_MODEL_NOT_FOUND,
        ),
        (400, "blocked input: please adjust your prompt and try again", Reason.CONTENT_BLOCKED),
        (401, "no api key supplied", Reason.UPSTREAM_CREDENTIALS_INVALID),
        (402, "please add or update your payment method", Reason.UPSTREAM_QUOTA_EXHAUSTED),
        (403, "x", Reason.UPSTREAM_PERMISSION_DENIED),
        (404, "x", Reason.UPSTREAM_MODEL_NOT_FOUND),
        (413, "x", Reason.REQUEST_TOO_LARGE),
        (422, "unknown field: parameter 'x' is not a valid field", Reason.UPSTREAM_REJECTED),
        (429, "You are past the per minute request limit", Reason.UPSTREAM_RATE_LIMITED),
        (
            429,
            "trial token rate limit exceeded, limit is 100000 tokens per minute",
            Reason.UPSTREAM_RATE_LIMITED,
        ),
        (
            429,
            "You are using a Trial key, limited to 1000 API calls / month.",
            Reason.UPSTREAM_QUOTA_EXHAUSTED,
        ),
        (498, "invalid token", Reason.UPSTREAM_CREDENTIALS_INVALID),
        (498, "blocked output: this generation may be potentially unsafe", Reason.CONTENT_BLOCKED),
        (499, "request cancelled by user", Reason.UPSTREAM_ERROR),
        (500, "internal server error, this has been reported to our developers.", Reason.UPSTREAM_ERROR),
        (501, "not implemented", Reason.UPSTREAM_UNIMPLEMENTED),
        (503, "x", Reason.UPSTREAM_UNAVAILABLE),
        (503, "The server is overloaded", Reason.UPSTREAM_OVERLOADED),
        (504, "x", Reason.UPSTREAM_TIMEOUT),
        (307, "x", Reason.UPSTREAM_BAD_RESPONSE),
    ],
)
def test_refusals(status, message, reason):
    """By a status that says enough, by what the text admits, by the status."""
    error = adapter().refusal(status, {}, json.dumps({"id": "e", "message": message}).encode())
    assert error.reason is reason
    assert (error.upstream.message, error.upstream.http_status) == (message, status)


def test_what_a_refusal_tells():
    """Its id, and its wait: in seconds, or until a moment by the answer's own clock."""
    headers = {
        "x-debug-trace-id": "tr-1",
        "date": "Mon, 23 Nov 2026 10:00:00 GMT",
        "x-ratelimit-reset": "1795428030",
    }
    error = adapter().refusal(429, headers, b"<html>")
    assert (error.upstream.request_id, error.retry_after_s) == ("tr-1", 30.0)
    assert adapter().refusal(429, {**headers, "retry-after": "7"}, b"").retry_after_s == 7.0
    for reset in ("", "soon", "-1", "9" * 13):
        assert adapter().refusal(429, {**headers, "x-ratelimit-reset": reset}, b"").retry_after_s is None
    assert adapter().refusal(429, {"x-ratelimit-reset": "1795428030"}, b"").retry_after_s is None


def test_an_answer_goes_back_as_it_came():
    """The plan in its own field, thoughts among the content."""
    parts = (
        whole(tool_plan="I look.", content=[{"type": "thinking", "thinking": "hm"}], tool_calls=[call_of()])
        .candidates[0]
        .parts
    )
    call = asked("hi", said(*parts, role=Role.ASSISTANT), "go on")
    assert json.loads(adapter().request(attempt(call)).body)["messages"][1] == {
        "role": "assistant", "tool_plan": "I look.", "content": [{"type": "thinking", "thinking": "hm"}],
        "tool_calls": [call_of()],
    }  # fmt: skip


def test_the_first_piece_of_a_call():
    """Has its id and its name, before any argument."""
    decoder = adapter().decoder(attempt(), 200, SSE)
    start = event("tool-call-start", {"tool_calls": call_of(arguments="")}, index=2)
    assert decoder.feed(start) == [Delta(0, 0, DeltaKind.TOOL_CALL, tool_id="c1", tool_name="a")]
