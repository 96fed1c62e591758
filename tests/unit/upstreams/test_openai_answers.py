"""Answers in the forms that servers of this dialect have, beyond what is recorded."""

from __future__ import annotations

import json

import pytest

from pointsman_server.domain import (
    Citation,
    Delta,
    DeltaKind,
    Finished,
    FinishReason,
    Generation,
    Opened,
    Prompt,
    Reasoning,
    ReasoningConfig,
    Refusal,
    Text,
    ToolCall,
    Usage,
    UsageReport,
)
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.contract import BodyLimits
from pointsman_server.upstreams.dialects.openai.adapter import OpenAIAdapter
from pointsman_server.upstreams.dialects.openai.profiles import OPENAI, VLLM
from tests.conformance.result import decode
from tests.unit.upstreams.calls import adapter, asked, attempt, folded, settings

DONE = b"data: [DONE]\n\n"
SSE = {"content-type": "text/event-stream", "x-request-id": "req-1"}


def chunk(delta=None, finish=None, *, index=0, **more):
    """One event with one choice."""
    choice = {"index": index, "delta": {} if delta is None else delta, "finish_reason": finish}
    return event(
        {"id": "c1", "model": "m1", "created": 5, "choices": [{**choice, **more.pop("choice", {})}], **more}
    )


def event(document):
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def text(content, **more):
    return chunk({"content": content}, **more)


STOP = chunk(finish="stop")


def outcome(*pieces, call=None, profile=VLLM, headers=SSE, end=True):
    decoder = adapter(profile).decoder(attempt(call), 200, headers)
    return decode(decoder, pieces, end=end)


def parts(*pieces, **options):
    result = outcome(*pieces, **options)
    assert result.error is None
    return [part.content for part in result.answer.candidates[0].parts]


def fault(*pieces, **options):
    result = outcome(*pieces, **options)
    assert result.error is not None
    return result.error


def whole(**message):
    return json.dumps(
        {"id": "c1", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    ).encode()


def test_events_of_a_stream():
    """In the order of the wire, each once."""
    decoder = adapter(VLLM).decoder(attempt(), 200, SSE)
    events = decoder.feed(chunk({"role": "assistant", "content": ""}) + text("He") + text("i") + STOP + DONE)
    assert events == [
        Opened("c1", "m1", 5, "", "req-1"),
        Delta(0, 0, DeltaKind.TEXT, "He"),
        Delta(0, 0, DeltaKind.TEXT, "i"),
        Finished(0, FinishReason.STOP, "stop"),
    ]
    assert decoder.ended
    assert decoder.close() == []


def test_parts_are_numbered_as_they_appear():
    """Reasoning, text and calls of each candidate on their own."""
    call = {"index": 0, "id": "x", "function": {"name": "f"}}
    stream = [
        chunk({"reasoning": "hm"}), text("a"), chunk({"tool_calls": [call]}),
        text("b", index=1), chunk({"reasoning_content": "!"}), STOP, chunk(finish="length", index=1), DONE,
    ]  # fmt: skip
    result = outcome(*stream)
    first, second = result.answer.candidates
    assert [part.content for part in first.parts] == [Reasoning("hm!"), Text("a"), ToolCall("x", "f", "")]
    assert [part.content for part in second.parts] == [Text("b")]
    assert first.finish_reason is FinishReason.TOOL_CALLS
    assert second.finish_reason is FinishReason.MAX_TOKENS


def test_reasoning_that_is_not_wanted_is_not_told():
    """Whatever the server does."""
    call = asked(generation=Generation(reasoning=ReasoningConfig(include=False)))
    assert parts(chunk({"reasoning": "hm"}), text("a"), STOP, DONE, call=call) == [Text("a")]
    assert parts(whole(content="a", reasoning="hm"), call=call) == [Text("a")]


def calls(*deltas):
    stream = [chunk({"tool_calls": list(delta)}) for delta in deltas]
    return parts(*stream, chunk(finish="tool_calls"), DONE)


def piece(index=None, call_id=None, name=None, arguments=None, **more):
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    ids = {} if call_id is None else {"id": call_id}
    return {**({} if index is None else {"index": index}), **ids, "function": function, **more}


def test_calls_in_pieces():
    """Interleaved by number; a later null or empty id or name overwrites nothing."""
    found = calls(
        [piece(0, "x", "f", ""), piece(1, "y", "g", "")],
        [piece(1, "", "", '{"b"')], [piece(0, arguments='{"a"')],
        [{"index": 0, "id": None, "function": {"name": None, "arguments": ":1}"}}, piece(1, arguments=":2}")],
    )  # fmt: skip
    assert found == [ToolCall("x", "f", '{"a":1}'), ToolCall("y", "g", '{"b":2}')]


def test_calls_without_numbers():
    """By id, and what has none belongs to the last one."""
    found = calls([piece(None, "x", "f", "{")], [piece(arguments="}")], [piece(None, "y", "g", "{}")])
    assert found == [ToolCall("x", "f", "{}"), ToolCall("y", "g", "{}")]


def test_calls_that_share_a_number():
    """Some servers number all of them 0; another id with a name is another call."""
    found = calls([piece(0, "x", "f", "{}")], [piece(0, "y", "f", "{}")])
    assert found == [ToolCall("x", "f", "{}"), ToolCall("y", "f", "{}")]


def test_a_name_that_is_repeated_is_told_once():
    """Some servers send it with every piece."""
    assert calls([piece(0, "x", "f", "{")], [piece(0, "x", "f", "}")]) == [ToolCall("x", "f", "{}")]


def test_missing_ids_are_made():
    """The same for the same attempt, different for every call."""
    first = calls([piece(0, None, "f", "{}"), piece(1, "", "g", "{}")])
    assert first == calls([piece(0, None, "f", "{}"), piece(1, "", "g", "{}")])
    assert first[0].id.startswith("call_")
    assert first[0].id != first[1].id
    assert parts(whole(tool_calls=[piece(None, None, "f", "{}")] * 2))[1].id != first[0].id


def test_whole_calls_without_numbers_are_several():
    """In a document the place is enough."""
    found = parts(whole(content=None, tool_calls=[piece(None, "x", "f", "{}"), piece(None, "x", "g", "{}")]))
    assert [call.name for call in found] == ["f", "g"]


def test_arguments_as_an_object_and_the_old_function_call():
    """Both are still sent by some."""
    assert calls([{"index": 0, "id": "x", "function": {"name": "f", "arguments": {"a": 1}}}]) == [
        ToolCall("x", "f", '{"a": 1}')
    ]
    found = parts(
        chunk({"function_call": {"name": "f", "arguments": "{"}}),
        chunk({"function_call": {"arguments": "}"}}),
        STOP,
        DONE,
    )
    assert [(call.name, call.arguments_json) for call in found] == [("f", "{}")]


def test_content_in_pieces():
    """A list of typed pieces is text and thinking."""
    content = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "a"},
        7,
    ]
    assert parts(text(content), STOP, DONE) == [Reasoning("hm"), Text("a")]


def test_refusals_and_citations():
    """A refusal is no text; citations belong to the text."""
    assert parts(chunk({"refusal": "no"}), STOP, DONE) == [Refusal("no")]
    cited = {
        "type": "url_citation",
        "url_citation": {"start_index": 1, "end_index": 2, "url": "u", "title": "t"},
    }
    result = outcome(text("abc"), chunk({"annotations": [cited, None, {}]}), STOP, DONE)
    assert result.answer.candidates[0].parts[0].citations == (Citation(1, 2, "u", "t"),)


def test_logprobs():
    """With the delta that they belong to, in the forms of chat and of completions; what is no number is impossible."""
    told = {
        "content": [
            {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": [{"token": "b", "logprob": None}]}
        ]
    }
    result = outcome(text("a", choice={"logprobs": told}), STOP, DONE)
    (token,) = result.answer.candidates[0].logprobs
    assert (token.token, token.logprob, token.token_bytes) == ("a", -0.5, b"a")
    assert token.top[0].logprob < -1e38
    lists = {"tokens": ["a"], "token_logprobs": [-1.0], "top_logprobs": [{"a": -1.0, "b": -2.0}]}
    old = {"id": "c", "choices": [{"index": 0, "text": "a", "finish_reason": "stop", "logprobs": lists}]}
    result = outcome(json.dumps(old).encode())
    (token,) = result.answer.candidates[0].logprobs
    assert [other.token for other in token.top] == ["a", "b"]
    assert result.answer.candidates[0].parts[0].content == Text("a")


def test_completions_in_a_stream():
    """The text stands in the choice itself."""
    stream = [event({"id": "c", "choices": [{"index": 0, "text": "a", "finish_reason": None}]}), STOP, DONE]
    call = asked().__class__("m", Prompt("once"))
    assert parts(*stream, call=call) == [Text("a")]


USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


def usage(*pieces):
    result = outcome(*pieces)
    assert result.error is None
    return result.answer.usage


def test_usage_wherever_it_stands():
    """On a chunk of its own, with the finish, or on every chunk, where the last total counts."""
    assert usage(text("a"), STOP, event({"choices": [], "usage": USAGE}), DONE) == Usage(5, 2, 7)
    assert usage(text("a"), chunk(finish="stop", usage=USAGE)) == Usage(5, 2, 7)
    running = [text("a", usage={**USAGE, "completion_tokens": n}) for n in (1, 2, 3)]
    assert usage(*running, STOP, DONE).output_tokens == 3
    assert usage(text("a"), STOP, event({"usage": USAGE}), DONE) == Usage(5, 2, 7)
    assert usage(text("a"), STOP, DONE) is None


def test_usage_that_does_not_change_is_told_once():
    """Running totals cost an event only when they move."""
    decoder = adapter(VLLM).decoder(attempt(), 200, SSE)
    events = decoder.feed(text("a", usage=USAGE) * 3)
    assert len([one for one in events if isinstance(one, UsageReport)]) == 1


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (
            {"prompt_cache_hit_tokens": 3, "prompt_cache_miss_tokens": 2},
            Usage(5, 2, 7, cached_input_tokens=3),
        ),
        ({"prompt_tokens_details": {"cached_tokens": 0}}, Usage(5, 2, 7, cached_input_tokens=0)),
        ({"prompt_tokens_details": {"cached_tokens": 99}}, Usage(5, 2, 7, cached_input_tokens=5)),
        ({"prompt_tokens_details": {"created_cache_tokens": 1}}, Usage(5, 2, 7, cache_write_tokens=1)),
        ({"completion_tokens_details": {"reasoning_tokens": 1}}, Usage(5, 2, 7, reasoning_tokens=1)),
        ({"completion_tokens_details": "none", "prompt_tokens_details": None}, Usage(5, 2, 7)),
        ({"prompt_tokens": -1, "total_tokens": 2**64, "completion_tokens": 2.0}, Usage(None, 2, None)),
    ],
)
def test_parts_of_usage(extra, expected):
    """What is told, never more than its whole, and nothing that is no count."""
    assert usage(text("a"), STOP, event({"choices": [], "usage": {**USAGE, **extra}}), DONE) == expected


@pytest.mark.parametrize(
    ("word", "reason"),
    [("stop", FinishReason.STOP), ("eos_token", FinishReason.STOP), ("length", FinishReason.MAX_TOKENS),
     ("content_filter", FinishReason.CONTENT_FILTER), ("function_call", FinishReason.TOOL_CALLS),
     ("new", FinishReason.OTHER)],
)  # fmt: skip
def test_finish_reasons(word, reason):
    """In our words, the provider's kept."""
    candidate = outcome(text("a"), chunk(finish=word), DONE).answer.candidates[0]
    assert (candidate.finish_reason, candidate.finish_reason_raw) == (reason, word)


def test_the_stop_sequence_is_told():
    """Where the server names it; a token's number is none."""
    named = outcome(text("a"), chunk(finish="stop", choice={"stop_reason": "END"}), DONE)
    assert named.answer.candidates[0].stop_sequence == "END"
    number = outcome(text("a"), chunk(finish="stop", choice={"stop_reason": 151645}), DONE)
    assert number.answer.candidates[0].stop_sequence == ""


def test_a_candidate_ends_once():
    """A finish that is repeated is not told again."""
    decoder = adapter(VLLM).decoder(attempt(), 200, SSE)
    events = decoder.feed(text("a") + STOP + STOP + DONE)
    assert len([one for one in events if isinstance(one, Finished)]) == 1


@pytest.mark.parametrize("word", ["error", "abort"])
def test_an_answer_that_came_to_grief_is_a_fault(word):
    """So that it can be asked for again before content."""
    error = fault(text("a"), chunk(finish=word), DONE)
    assert error.reason is Reason.UPSTREAM_ERROR
    assert error.upstream.in_stream


def test_unknown_events_are_ignored():
    """Pings, fields and types of tomorrow."""
    stream = [
        event({"type": "ping"}),
        event({"object": "x", "choices": None}),
        event([]),
        event(7),
        text("a", new=1),
        STOP,
        DONE,
    ]
    assert parts(*stream) == [Text("a")]


ERROR = {"error": {"message": "queue full", "type": "ServiceUnavailableError", "param": None, "code": 503}}


def test_an_error_told_in_a_stream():
    """What came before is handed out first; [DONE] behind it changes nothing."""
    decoder = adapter(VLLM).decoder(attempt(), 200, SSE)
    events = decoder.feed(text("a") + event(ERROR) + DONE)
    assert folded(events).candidates[0].parts[0].content == Text("a")
    assert decoder.ended
    for method in (decoder.close, lambda: decoder.feed(b"more"), decoder.close):
        with pytest.raises(ServiceError) as raised:
            method()
    error = raised.value
    assert error.reason is Reason.UPSTREAM_OVERLOADED
    said = error.upstream
    assert (said.http_status, said.stream_status, said.code, said.in_stream) == (200, 503, "503", True)
    assert (said.request_id, said.response_id) == ("req-1", "c1")


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (ERROR, Reason.UPSTREAM_OVERLOADED),
        ({"error": {"message": "x", "type": "InternalServerError", "code": 500}}, Reason.UPSTREAM_ERROR),
        ({"error": {"message": "x", "type": "server_error"}}, Reason.UPSTREAM_ERROR),
        ({"error": {"message": "x", "type": "invalid_request_error"}}, Reason.UPSTREAM_REJECTED),
        ({"error": {"message": "x", "code": "429"}}, Reason.UPSTREAM_RATE_LIMITED),
        ({"error": {"message": "x", "code": "insufficient_quota"}}, Reason.UPSTREAM_QUOTA_EXHAUSTED),
        ({"error": "it broke"}, Reason.UPSTREAM_ERROR),
        ({"error": True}, Reason.UPSTREAM_ERROR),
        ({"detail": "it broke"}, Reason.UPSTREAM_ERROR),
        ({"detail": [{"loc": ["body"], "msg": "bad"}]}, Reason.UPSTREAM_ERROR),
        ({"message": "it broke"}, Reason.UPSTREAM_ERROR),
        ([ERROR], Reason.UPSTREAM_OVERLOADED),
    ],
)
def test_forms_of_errors_in_a_stream_and_in_a_document(document, reason):
    """Objects, strings, details, messages and lists around them."""
    assert fault(event(document), DONE).reason is reason
    body = json.dumps(document).encode()
    error = fault(body, headers={"content-type": "application/json"})
    assert error.reason is reason
    assert not error.upstream.in_stream
    assert fault(b"event: error\n" + event({"text": "?"})).reason is Reason.UPSTREAM_ERROR


def test_an_error_beside_content():
    """The chunk's text counts, its finish reason does not."""
    odd = chunk({"content": "b"}, "error", error={"code": 502, "message": "provider disconnected"})
    result = outcome(text("a"), odd)
    assert result.error.reason is Reason.UPSTREAM_UNAVAILABLE
    assert result.answer.candidates[0].parts[0].content == Text("ab")
    assert result.answer.candidates[0].finish_reason is None


@pytest.mark.parametrize(
    "pieces",
    [(), (b"",), (b"\n \n",), (b": ping\n\n",), (DONE,), (text("a"), DONE), (text("a"),), (STOP[:-9],)],
)
def test_what_ends_short_is_truncated(pieces):
    """Nothing at all, [DONE] without a finish, a finish that is cut off."""
    assert fault(*pieces).reason is Reason.UPSTREAM_TRUNCATED


def test_an_end_without_done():
    """Is enough when all candidates that were asked for have ended; [DONE] is enough when those seen have."""
    two = asked(generation=Generation(n=2))
    assert outcome(text("a"), STOP).error is None
    assert fault(text("a"), STOP, call=two).reason is Reason.UPSTREAM_TRUNCATED
    assert outcome(text("a"), STOP, DONE, call=two).error is None
    assert fault(text("a"), text("b", index=1), STOP, DONE, call=two).reason is Reason.UPSTREAM_TRUNCATED
    assert outcome(text("a"), STOP, text("b", index=1), chunk(finish="stop", index=1), call=two).error is None


def test_a_stream_that_is_not_closed_is_over_with_done():
    """Nothing more is waited for."""
    assert outcome(text("a"), STOP, DONE, end=False).error is None
    assert outcome(text("a"), STOP, end=False).error is not None


@pytest.mark.parametrize(
    "body",
    [b"<html><body>hi</body></html>", b"  <!DOCTYPE html>", b"{}", b'{"choices": []}', b"{", b'{"choices": [{}]', b"[]",
     b'{"object": "list"}', b'{"a":' * 5000],
)  # fmt: skip
def test_a_200_that_is_no_answer(body):
    """Pages, empty objects and broken JSON."""
    assert fault(body, headers={}).reason is Reason.UPSTREAM_BAD_RESPONSE


@pytest.mark.parametrize("data", [b"data: {\n\n", b"data: nonsense\n\n", b"data: {'a': 1}\n\n"])
def test_broken_json_in_a_stream(data):
    """Is a fault, behind what came before it."""
    result = outcome(text("a"), data, STOP, DONE)
    assert result.error.reason is Reason.UPSTREAM_BAD_RESPONSE
    assert result.answer.candidates[0].parts


@pytest.mark.parametrize("index", [-1, 128, 2**40, 1.5, "0", [], True])
def test_candidates_need_an_index(index):
    """One that could be taken for another's is not guessed at."""
    assert fault(text("a", index=index)).reason is Reason.UPSTREAM_BAD_RESPONSE


def test_lone_surrogates_and_broken_utf8_are_replaced():
    """What protobuf cannot carry never leaves the decoder."""
    assert parts(b'data: {"choices":[{"index":0,"delta":{"content":"a\\ud800b"}}]}\n\n', STOP, DONE) == [
        Text("a\ufffdb")
    ]
    assert parts(b'data: {"choices":[{"index":0,"delta":{"content":"a\xffb"}}]}\n\n', STOP, DONE) == [
        Text("a\ufffdb")
    ]


def test_wrong_types_count_as_absent():
    """A number for an id, a string for a time, an object for a text."""
    odd = {"id": 7, "model": None, "created": "now", "choices": [
        {"index": 0, "delta": {"content": {"a": 1}, "tool_calls": "x"}, "finish_reason": 3},
        7, {"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]}  # fmt: skip
    result = outcome(event(odd), DONE)
    assert [part.content for part in result.answer.candidates[0].parts] == [Text("a")]
    assert result.answer.response_id == ""


def test_a_document_for_a_stream_call():
    """Is an answer like any other, also without a finish reason."""
    result = outcome(b'{"choices": [{"message": {"content": "a"}}]}', headers={"x-request-id": "req-2"})
    assert result.answer.candidates[0].finish_reason is FinishReason.OTHER
    assert result.answer.upstream_request_id == "req-2"
    call = {
        "choices": [{"message": {"tool_calls": [{"id": "x", "function": {"name": "f", "arguments": "{}"}}]}}]
    }
    assert outcome(json.dumps(call).encode()).answer.candidates[0].finish_reason is FinishReason.TOOL_CALLS


def test_bounds():
    """An event or a document over its cap is a fault, with what is known of the answer."""
    small = OpenAIAdapter(OPENAI, settings(limits=BodyLimits(body_bytes=64, event_bytes=256)))
    stream = small.decoder(attempt(), 200, SSE)
    with pytest.raises(ServiceError) as raised:
        stream.feed(b"data: " + b"x" * 300)
    assert raised.value.reason is Reason.UPSTREAM_BAD_RESPONSE
    assert raised.value.upstream.request_id == "req-1"
    document = small.decoder(attempt(), 200, {})
    with pytest.raises(ServiceError):
        document.feed(b'{"a":"' + b"x" * 100)
