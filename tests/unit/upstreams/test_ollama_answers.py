"""Answers and errors of Ollama, beyond what is recorded."""

from __future__ import annotations

import json

import pytest

from pointsman_server.domain import (
    FinishReason,
    Generation,
    Reasoning,
    ReasoningConfig,
    Text,
    TokenLogprob,
    ToolCall,
    Usage,
)
from pointsman_server.errors import Reason
from pointsman_server.upstreams.dialects.ollama.adapter import OllamaAdapter
from pointsman_server.upstreams.dialects.ollama.profiles import OLLAMA
from tests.conformance.result import decode
from tests.unit.upstreams.calls import asked, attempt, settings

LINES = {"content-type": "application/x-ndjson"}


def line(**fields):
    return json.dumps({"model": "m", **fields}).encode() + b"\n"


def said(content="", **message):
    return line(message={"role": "assistant", "content": content, **message}, done=False)


def done(reason="stop", content="", **fields):
    return line(message={"role": "assistant", "content": content}, done=True, done_reason=reason, **fields)


def outcome(*pieces, call=None, headers=LINES, end=True):
    decoder = OllamaAdapter(OLLAMA, settings()).decoder(attempt(call), 200, headers)
    return decode(decoder, pieces, end=end)


def answer(*pieces, call=None):
    result = outcome(*pieces, call=call)
    assert result.error is None, result.error
    return result.answer


def candidate(*pieces, call=None):
    (only,) = answer(*pieces, call=call).candidates
    return only


def refusal(status, document, headers=None):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return OllamaAdapter(OLLAMA, settings()).refusal(status, headers or {}, body)


def test_thinking_then_text():
    """Each is a part of its own; what is not wanted is left out."""
    pieces = (said(thinking="h"), said(thinking="m"), said("4"), done())
    assert [part.content for part in candidate(*pieces).parts] == [Reasoning("hm"), Text("4")]
    hidden = asked(generation=Generation(reasoning=ReasoningConfig(include=False)))
    assert [part.content for part in candidate(*pieces, call=hidden).parts] == [Text("4")]


def test_calls_come_whole_and_over_several_lines():
    """Each is its own part; ids are the server's or made, and differ; the finish is that of calls."""
    one = {"id": "call_7", "function": {"index": 0, "name": "a", "arguments": {"x": [1]}}}
    two = {"function": {"name": "b", "arguments": {}}}
    found = candidate(
        said("so", tool_calls=[one]), said(tool_calls=[two, {"function": {"name": "c"}}]), done()
    )
    assert found.parts[0].content == Text("so")
    calls = [part.content for part in found.parts[1:]]
    assert all(isinstance(call, ToolCall) for call in calls)
    assert [(call.name, call.arguments_json) for call in calls] == [
        ("a", '{"x":[1]}'),
        ("b", "{}"),
        ("c", "{}"),
    ]
    assert calls[0].id == "call_7"
    assert len({call.id for call in calls}) == 3
    assert (found.finish_reason, found.finish_reason_raw) == (FinishReason.TOOL_CALLS, "stop")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [("stop", FinishReason.STOP), ("length", FinishReason.MAX_TOKENS), ("load", FinishReason.OTHER),
     ("unload", FinishReason.OTHER), ("", FinishReason.OTHER)],
)  # fmt: skip
def test_finish(raw, reason):
    """The server's words."""
    found = candidate(said("x"), done(raw))
    assert (found.finish_reason, found.finish_reason_raw) == (reason, raw)


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        ({"prompt_eval_count": 3, "eval_count": 2}, Usage(3, 2, 5)),
        ({"eval_count": 2}, Usage(None, 2, None)),
        ({"prompt_eval_count": "3"}, None),
        ({}, None),
    ],
)
def test_usage(counts, usage):
    """A prompt that was cached is not counted, which is not 0."""
    assert answer(done(**counts)).usage == usage


def test_when_it_was_made():
    """To the nanosecond on the wire, to the second here; nonsense is no time."""
    made = line(message={"content": "x"}, done=True, created_at="2026-11-20T10:00:00.123456789Z")
    assert answer(made).created_s == 1795168800
    for nonsense in ("soon", 5, "9999-99-99T00:00:00Z", "0001-01-01T00:00:00Z"):
        assert answer(line(message={"content": "x"}, done=True, created_at=nonsense)).created_s is None


def test_prompts_are_answered_beside_the_message():
    """/api/generate has neither role nor message."""
    found = candidate(line(response="On", done=False), line(response="ce", done=True, done_reason="length"))
    assert found.parts[0].content == Text("Once")


def test_logprobs():
    """Of each token, with the alternatives; what is none is left out."""
    told = [
        {
            "token": "H",
            "logprob": -0.5,
            "bytes": [72],
            "top_logprobs": [{"token": "J", "logprob": -1.0}, 1],
        },
        7,
    ]
    found = candidate(line(message={"content": "H"}, done=False, logprobs=told), done())
    assert found.logprobs == (TokenLogprob("H", -0.5, b"H", (TokenLogprob("J", -1.0),)),)


def test_whole_answers_and_streams_are_both_read():
    """Whatever was asked for and however it is labelled."""
    whole = line(message={"content": "hi"}, done=True, done_reason="stop").rstrip()
    for headers in (LINES, {"content-type": "application/json; charset=utf-8"}, {}):
        assert outcome(whole, headers=headers).answer.candidates[0].parts[0].content == Text("hi")
        assert outcome(said("h"), said("i"), done(), headers=headers).error is None


def test_an_answer_without_its_end():
    """Is none, however much of it came."""
    for pieces in ((), (said("x"),), (said("x"), done()[:-9]), (b"\n\n",)):
        result = outcome(*pieces)
        assert result.error is not None
        assert result.error.reason is Reason.UPSTREAM_TRUNCATED


@pytest.mark.parametrize("body", [b"<html></html>", b"[]", b"3", b"{}", b'{"x": 1}\n', b"\xff\xfe"])
def test_what_is_no_answer(body):
    """Is told as such."""
    error = outcome(body + b"\n" + done()).error
    assert error is not None
    assert error.reason is Reason.UPSTREAM_BAD_RESPONSE


@pytest.mark.parametrize(
    ("fields", "reason", "status"),
    [
        ({"error": "an error was encountered while running the model: CUDA error"}, Reason.UPSTREAM_ERROR, 0),
        ({"error": "llama runner process has terminated: exit status 2"}, Reason.UPSTREAM_ERROR, 0),
        (
            {"error": "server busy, please try again.  maximum pending requests exceeded"},
            Reason.UPSTREAM_OVERLOADED,
            0,
        ),
        ({"error": "the input length exceeds the context length"}, Reason.CONTEXT_LENGTH_EXCEEDED, 0),
        ({"error": "too many requests", "status_code": 429}, Reason.UPSTREAM_RATE_LIMITED, 429),
        ({"error": {"message": "boom", "type": "server_error", "code": 5}}, Reason.UPSTREAM_ERROR, 0),
    ],
)
def test_an_error_under_200(fields, reason, status):
    """Ends the answer; what came before it stays, and it is told where it stood."""
    result = outcome(said("He"), line(**fields))
    assert result.answer.candidates[0].parts[0].content == Text("He")
    assert result.error is not None
    assert result.error.reason is reason
    assert result.error.upstream is not None
    assert (result.error.upstream.in_stream, result.error.upstream.stream_status) == (True, status)
    whole = outcome(line(**fields), headers={"content-type": "application/json"})
    assert whole.error is not None
    assert whole.error.upstream is not None
    assert not whole.error.upstream.in_stream


@pytest.mark.parametrize(
    ("status", "document", "reason"),
    [
        (400, {"error": "registry.example/llava does not support tools"}, Reason.UPSTREAM_REJECTED),
        (400, {"error": 'invalid format: "xml"; expected "json" or a JSON Schema object'}, Reason.UPSTREAM_REJECTED),
        (400, {"error": "prompt too long; exceeded max context length by 4 tokens"}, Reason.CONTEXT_LENGTH_EXCEEDED),
        (400, {"error": "unexpected end of JSON input"}, Reason.UPSTREAM_REJECTED),
        (401, {"error": "unauthorized"}, Reason.UPSTREAM_CREDENTIALS_INVALID),
        (403, {"error": "no"}, Reason.UPSTREAM_PERMISSION_DENIED),
        (404, {"error": "model 'x' not found"}, Reason.UPSTREAM_MODEL_NOT_FOUND),
        (404, b"404 page not found", Reason.UPSTREAM_MODEL_NOT_FOUND),
        (413, b"<html>", Reason.REQUEST_TOO_LARGE),
        (429, {"error": "you have reached your hourly usage limit"}, Reason.UPSTREAM_RATE_LIMITED),
        (499, {"error": "request canceled"}, Reason.UPSTREAM_ERROR),
        (500, {"error": "model requires more system memory (8 GiB) than is available"}, Reason.UPSTREAM_ERROR),
        (500, {"error": "the input length exceeds the context length"}, Reason.CONTEXT_LENGTH_EXCEEDED),
        (502, b"bad gateway", Reason.UPSTREAM_UNAVAILABLE),
        (503, {"error": "server busy, please try again. maximum pending requests"}, Reason.UPSTREAM_OVERLOADED),
        (503, {"error": "loading"}, Reason.UPSTREAM_UNAVAILABLE),
        (504, b"", Reason.UPSTREAM_TIMEOUT),
        (301, b"", Reason.UPSTREAM_BAD_RESPONSE),
    ],
)  # fmt: skip
def test_refusals(status, document, reason):
    """By status where it says enough, else by what the text admits."""
    error = refusal(status, document)
    assert error.reason is reason
    assert error.upstream is not None
    assert error.upstream.http_status == status


def test_a_refusal_may_name_a_wait():
    """As any server behind a proxy."""
    assert refusal(429, {"error": "slow"}, {"retry-after": "7"}).retry_after_s == 7
