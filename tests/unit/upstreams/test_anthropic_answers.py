"""Answers of Anthropic's Messages, beyond what is recorded."""

from __future__ import annotations

import json

import pytest

from pointsman_server.domain import (
    Citation,
    FinishReason,
    Generation,
    Opened,
    Part,
    ProviderPart,
    Reasoning,
    ReasoningConfig,
    Role,
    SafetyRating,
    Text,
    ToolCall,
    Usage,
    UsageReport,
)
from pointsman_server.errors import Reason
from pointsman_server.upstreams.dialects.anthropic.adapter import AnthropicAdapter
from pointsman_server.upstreams.dialects.anthropic.profiles import CURRENT
from pointsman_server.upstreams.translation.support import origin
from tests.conformance.result import decode
from tests.unit.upstreams.calls import asked, attempt, said, settings

SSE = {"content-type": "text/event-stream", "request-id": "req_1"}
OWN = origin(CURRENT, "upstream-model")
HIDDEN = asked(generation=Generation(reasoning=ReasoningConfig(include=False)))


def event(kind, **fields):
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def start(**usage):
    message = {"id": "msg_1", "model": "m1", "content": [], "usage": {"service_tier": "priority", **usage}}
    return event("message_start", message=message)


def begin(index, kind, **fields):
    return event("content_block_start", index=index, content_block={"type": kind, **fields})


def delta(index, kind, **fields):
    return event("content_block_delta", index=index, delta={"type": kind, **fields})


def stop(index):
    return event("content_block_stop", index=index)


def finish(reason="end_turn", usage=None, **more):
    return event("message_delta", delta={"stop_reason": reason, **more}, usage=usage or {"output_tokens": 5})


END = event("message_stop")


def outcome(*pieces, call=None, headers=SSE, end=True):
    decoder = AnthropicAdapter(CURRENT, settings()).decoder(attempt(call), 200, headers)
    return decode(decoder, pieces, end=end)


def answer(*pieces, **options):
    result = outcome(*pieces, **options)
    assert result.error is None, result.error
    return result.answer


def candidate(*pieces, **options):
    (only,) = answer(*pieces, **options).candidates
    return only


def both_ways(*blocks, call=None):
    """The same content in one document and in a stream of whole blocks."""
    document = {"type": "message", "id": "msg_1", "content": blocks, "stop_reason": "end_turn"}
    whole = candidate(json.dumps(document).encode(), call=call)
    streamed = []
    for index, block in enumerate(blocks):
        streamed += [
            begin(index, block["type"], **{k: v for k, v in block.items() if k != "type"}),
            stop(index),
        ]
    assert candidate(start(), *streamed, finish(), END, call=call) == whole
    return whole


def test_what_the_answer_is_called():
    """Ids, model and tier as the provider tells them, before any content."""
    decoder = AnthropicAdapter(CURRENT, settings()).decoder(attempt(), 200, SSE)
    events = decoder.feed(start(input_tokens=9, output_tokens=1))
    assert events == [
        Opened("msg_1", "m1", None, "priority", "req_1"),
        UsageReport(Usage(input_tokens=9, output_tokens=1, total_tokens=10)),
    ]


def test_thinking_with_its_signature():
    """The signature is of the part that it stands in, with its origin, and can be sent back."""
    streamed = candidate(
        start(), begin(0, "thinking", thinking="", signature=""), delta(0, "thinking_delta", thinking="h"),
        delta(0, "thinking_delta", thinking="m"), delta(0, "signature_delta", signature="Esig=="), stop(0),
        begin(1, "text", text=""), delta(1, "text_delta", text="so"), stop(1), finish(), END,
    )  # fmt: skip
    assert streamed.parts == (Part(Reasoning("hm"), b"Esig==", OWN), Part(Text("so")))
    blocks = ({"type": "thinking", "thinking": "hm", "signature": "Esig=="}, {"type": "text", "text": "so"})
    assert both_ways(*blocks).parts == streamed.parts
    again = asked("hi", said(*streamed.parts, role=Role.ASSISTANT))
    sent = json.loads(AnthropicAdapter(CURRENT, settings()).request(attempt(again)).body)
    assert tuple(sent["messages"][1]["content"]) == blocks


def test_thinking_that_is_not_wanted():
    """A signature comes without words that the provider left out; one of words that we hide would prove nothing."""
    assert both_ways({"type": "thinking", "thinking": "", "signature": "E"}, call=HIDDEN).parts == (
        Part(Reasoning(""), b"E", OWN),
    )
    assert both_ways({"type": "thinking", "thinking": "hm", "signature": "E"}, call=HIDDEN).parts == ()


def test_parts_that_only_the_provider_knows():
    """Blocks of its own tools and unreadable thoughts, whole, in their place, to be sent back as they are."""
    redacted = {"type": "redacted_thinking", "data": "x=="}
    used = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"q": "tere"}}
    found = {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [{"url": "https://a.example"}]}
    parts = both_ways(redacted, {"type": "text", "text": "I look."}, used, found).parts
    assert [type(part.content) for part in parts] == [ProviderPart, Text, ProviderPart, ProviderPart]
    assert [json.loads(part.content.json) for part in parts if isinstance(part.content, ProviderPart)] == [
        redacted, used, found
    ]  # fmt: skip
    assert [part.origin for part in parts] == [OWN, "", "", ""]
    again = asked("hi", said(*parts, role=Role.ASSISTANT))
    sent = json.loads(AnthropicAdapter(CURRENT, settings()).request(attempt(again)).body)
    assert sent["messages"][1]["content"] == [redacted, {"type": "text", "text": "I look."}, used, found]


def test_provider_parts_in_pieces():
    """Input comes as a text in pieces, and other fields grow as the block's own."""
    parts = candidate(
        start(), begin(0, "server_tool_use", id="s1", name="web_search", input={}),
        delta(0, "input_json_delta", partial_json='{"q": '), delta(0, "input_json_delta", partial_json='"tere"}'),
        stop(0), begin(1, "compaction", content=None), delta(1, "compaction_delta", content="ab"),
        delta(1, "compaction_delta", content="c"), stop(1), finish("pause_turn"), END,
    ).parts  # fmt: skip
    assert [json.loads(part.content.json) for part in parts] == [
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"q": "tere"}},
        {"type": "compaction", "content": "abc"},
    ]


def test_calls_that_interleave():
    """Each piece goes to its own block; an input that is told at the beginning or not at all is whole."""
    calls = candidate(
        start(), begin(0, "tool_use", id="t0", name="a", input={}), begin(1, "tool_use", id="t1", name="b", input={}),
        delta(1, "input_json_delta", partial_json='{"y":'), delta(0, "input_json_delta", partial_json=""),
        delta(0, "input_json_delta", partial_json='{"x":1}'), delta(1, "input_json_delta", partial_json="2}"),
        stop(0), stop(1), begin(2, "tool_use", id="t2", name="c", input={}), stop(2),
        begin(3, "tool_use", id="t3", name="d", input={"z": 3}), stop(3), begin(4, "tool_use", name="e"),
        finish("end_turn"), END,
    )  # fmt: skip
    found = [part.content for part in calls.parts]
    assert [(call.id, call.name, call.arguments_json) for call in found[:4]] == [
        ("t0", "a", '{"x":1}'), ("t1", "b", '{"y":2}'), ("t2", "c", "{}"), ("t3", "d", '{"z":3}'),
    ]  # fmt: skip
    assert found[4].id.startswith("call_")
    assert (calls.finish_reason, calls.finish_reason_raw) == (FinishReason.TOOL_CALLS, "end_turn")


def test_arguments_that_were_cut_off():
    """Come as far as they came."""
    made = candidate(
        start(), begin(0, "tool_use", id="t", name="a", input={}),
        delta(0, "input_json_delta", partial_json='{"x": "lo'), finish("max_tokens"), END,
    )  # fmt: skip
    assert made.parts == (Part(ToolCall("t", "a", '{"x": "lo')),)
    assert made.finish_reason is FinishReason.TOOL_CALLS


def test_citations():
    """Of the block that rests on them, with whatever names the source."""
    cited = [
        {"type": "web_search_result_location", "url": "https://a.example/x", "title": "A", "cited_text": "t"},
        {"type": "char_location", "document_index": 2, "document_title": "D", "start_char_index": 7},
        {"type": "page_location", "document_index": 0, "file_id": "file_1"},
        {"type": "search_result_location", "source": "https://b.example", "title": None},
        {"type": "search_result_location", "source": "notes/7"},
        {"type": "new", "cited_text": "t"},
    ]
    whole = both_ways({"type": "text", "text": "so it is", "citations": cited}).parts
    assert whole[0].citations == (
        Citation(0, 8, "https://a.example/x", "A"), Citation(0, 8, "", "D", "2"), Citation(0, 8, "", "", "file_1"),
        Citation(0, 8, "https://b.example"), Citation(0, 8, "", "", "notes/7"), Citation(0, 8),
    )  # fmt: skip
    pieces = [delta(0, "citations_delta", citation=one) for one in cited]
    streamed = candidate(
        start(), begin(0, "text", text=""), *pieces, delta(0, "text_delta", text="so it is"), stop(0),
        finish(), END,
    )  # fmt: skip
    assert streamed.parts == whole


@pytest.mark.parametrize(
    ("raw", "reason"),
    [("end_turn", FinishReason.STOP), ("stop_sequence", FinishReason.STOP), ("max_tokens", FinishReason.MAX_TOKENS),
     ("model_context_window_exceeded", FinishReason.MAX_TOKENS), ("refusal", FinishReason.CONTENT_FILTER),
     ("pause_turn", FinishReason.OTHER), ("new_word", FinishReason.OTHER)],
)  # fmt: skip
def test_why_it_ended(raw, reason):
    """Every word of the provider, and those that it may yet get."""
    done = candidate(start(), begin(0, "text", text="a"), stop(0), finish(raw), END)
    assert (done.finish_reason, done.finish_reason_raw, done.safety) == (reason, raw, ())


def test_a_refusal_tells_why():
    """Category and explanation as a rating, in a stream and in one document."""
    details = {"type": "refusal", "category": "cyber", "explanation": "could harm"}
    rating = SafetyRating("cyber", blocked=True, explanation="could harm")
    assert candidate(start(), finish("refusal", stop_details=details), END).safety == (rating,)
    document = {
        "type": "message",
        "content": [],
        "stop_reason": "refusal",
        "stop_details": {"category": None},
    }
    assert candidate(json.dumps(document).encode()).safety == (SafetyRating("refusal", blocked=True),)


def test_a_stop_sequence_is_named():
    """Beside the reason."""
    assert candidate(start(), finish("stop_sequence", stop_sequence="###"), END).stop_sequence == "###"


def test_usage_is_the_last_that_was_told():
    """Totals replace, restated input counts anew, what is not told again stays."""
    first = {
        "input_tokens": 10,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 5,
        "output_tokens": 1,
    }
    told = answer(start(**first), finish(usage={"output_tokens": 50}), END).usage
    assert told == Usage(115, 50, 165, 100, None, 5)
    again = {
        "input_tokens": 30, "cache_read_input_tokens": None, "output_tokens": 60,
        "output_tokens_details": {"thinking_tokens": 70},
    }  # fmt: skip
    assert answer(start(**first), finish(usage=again), END).usage == Usage(135, 60, 195, 100, 60, 5)
    assert answer(start(), finish(usage={"output_tokens": 3}), END).usage == Usage(output_tokens=3)


def test_the_end_must_be_told():
    """A reason alone is not enough, nor is the end of the body; what follows the end is ignored."""
    begun = (start(), begin(0, "text", text="a"), stop(0))
    for pieces in (begun, (*begun, finish()), (*begun, finish(), event("ping"))):
        cut = outcome(*pieces)
        assert cut.error is not None
        assert cut.error.reason is Reason.UPSTREAM_TRUNCATED
    assert candidate(*begun, finish(), END, b"garbage").parts == (Part(Text("a")),)
    assert candidate(*begun, END).finish_reason is FinishReason.OTHER


def test_what_nobody_knows_yet_is_ignored():
    """Events, deltas, and fields; the type is in the data, and the name of the event will do where it is not."""
    strange = (
        event("ping"), event("new_event", index=0), delta(0, "new_delta", x=1), b"event: message_stop\ndata: {}\n\n"
    )  # fmt: skip
    parts = candidate(
        start(), begin(0, "text", text=""), delta(0, "text_delta", text="a", new=1), *strange
    ).parts
    assert parts == (Part(Text("a")),)


def test_deltas_without_a_beginning():
    """Are read by their own kind; an index that is used again is another block."""
    parts = candidate(
        start(), delta(0, "thinking_delta", thinking="hm"), delta(1, "text_delta", text="a"),
        begin(1, "text", text="b"), delta(1, "text_delta", text="c"), delta(7, "new_delta"), finish(), END,
    ).parts  # fmt: skip
    assert [part.content for part in parts] == [Reasoning("hm"), Text("a"), Text("bc")]


@pytest.mark.parametrize("index", [-1, None, "0", 1e9])
def test_blocks_need_a_number(index):
    """One that cannot be a block's is not taken for another's."""
    for piece in (delta(index, "text_delta", text="a"), begin(index, "text", text="a")):
        assert outcome(start(), piece, finish(), END).error.reason is Reason.UPSTREAM_BAD_RESPONSE


def told(document, *before, headers=SSE):
    text = f"event: error\ndata: {json.dumps(document)}\n\n".encode()
    return outcome(*before, text, headers=headers)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("overloaded_error", Reason.UPSTREAM_OVERLOADED), ("api_error", Reason.UPSTREAM_ERROR),
     ("rate_limit_error", Reason.UPSTREAM_RATE_LIMITED), ("timeout_error", Reason.UPSTREAM_TIMEOUT),
     ("invalid_request_error", Reason.UPSTREAM_REJECTED), ("new_error", Reason.UPSTREAM_ERROR)],
)  # fmt: skip
def test_errors_in_mid_stream(kind, reason):
    """End the answer, and leave what came before it; they bring no status."""
    error = {"type": kind, "message": "no"}
    broken = told({"type": "error", "error": error}, start(), begin(0, "text", text="a"))
    assert broken.answer.candidates[0].parts == (Part(Text("a")),)
    assert broken.error.reason is reason
    said_ = broken.error.upstream
    assert (said_.http_status, said_.stream_status, said_.in_stream) == (200, 0, True)
    assert (said_.type, said_.message, said_.request_id, said_.response_id) == (kind, "no", "req_1", "msg_1")


def test_errors_in_other_places():
    """After the reason but ahead of the end, ahead of everything, and in a document in place of an answer."""
    error = {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "no"},
        "request_id": "req_body",
    }
    assert told(error, start(), finish()).error.reason is Reason.UPSTREAM_OVERLOADED
    first = told(error, headers={"content-type": "text/event-stream"}).error.upstream
    assert (first.request_id, first.in_stream) == ("req_body", True)
    whole = outcome(json.dumps(error).encode()).error
    assert (whole.reason, whole.upstream.in_stream) == (Reason.UPSTREAM_OVERLOADED, False)
    assert outcome(b'{"type": "message"}').error.reason is Reason.UPSTREAM_BAD_RESPONSE


def test_a_stream_for_a_unary_call_and_a_document_for_a_stream():
    """Whatever came is read as what it is."""
    document = {"type": "message", "content": [{"type": "text", "text": "a"}], "stop_reason": "end_turn"}
    assert candidate(json.dumps(document).encode(), headers={}).parts == (Part(Text("a")),)
    streamed = (start(), begin(0, "text", text="a"), finish(), END)
    assert candidate(*streamed, headers={"content-type": "application/json"}).parts == (Part(Text("a")),)
