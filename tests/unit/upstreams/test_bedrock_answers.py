"""Answers of Bedrock's Converse, beyond what is recorded."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman_server.domain import (
    Citation,
    FinishReason,
    Generation,
    Media,
    MediaKind,
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
)
from pointsman_server.errors import Reason
from pointsman_server.upstreams.dialects.bedrock.adapter import BedrockAdapter
from pointsman_server.upstreams.dialects.bedrock.profiles import BEDROCK
from pointsman_server.upstreams.translation.support import origin
from tests.conformance.result import decode
from tests.conformance.test_properties import SCALARS, check_any
from tests.fakes.eventstream import event, exception, message
from tests.unit.upstreams.calls import asked, attempt, said
from tests.unit.upstreams.calls import settings as backend

FRAMES = {"content-type": "application/vnd.amazon.eventstream", "x-amzn-requestid": "rq-1"}
JSON = {"content-type": "application/json", "x-amzn-requestid": "rq-1"}
OWN = origin(BEDROCK, "upstream-model")
HIDDEN = asked(generation=Generation(reasoning=ReasoningConfig(include=False)))

START = event("messageStart", role="assistant")


def begin(index, **start):
    return event("contentBlockStart", contentBlockIndex=index, start=start)


def delta(index, **fields):
    return event("contentBlockDelta", contentBlockIndex=index, delta=fields)


def stop(index):
    return event("contentBlockStop", contentBlockIndex=index)


def finish(reason="end_turn", **more):
    return event("messageStop", stopReason=reason, **more)


def metadata(**fields):
    return event("metadata", metrics={"latencyMs": 1}, **fields)


def outcome(*pieces, call=None, headers=FRAMES, end=True):
    decoder = BedrockAdapter(BEDROCK, backend()).decoder(attempt(call), 200, headers)
    return decode(decoder, pieces, end=end)


def answer(*pieces, **options):
    result = outcome(*pieces, **options)
    assert result.error is None, result.error
    return result.answer


def candidate(*pieces, **options):
    (only,) = answer(*pieces, **options).candidates
    return only


def whole(*blocks, reason="end_turn", call=None, **more):
    document = {"output": {"message": {"role": "assistant", "content": blocks}}, "stopReason": reason, **more}
    return candidate(json.dumps(document).encode(), headers=JSON, call=call)


def sent_back(parts):
    call = asked("hi", said(*parts, role=Role.ASSISTANT))
    return json.loads(BedrockAdapter(BEDROCK, backend()).request(attempt(call)).body)["messages"][1][
        "content"
    ]


def test_what_the_answer_is_called():
    """The wire names the request alone, and the tier that served it."""
    assert answer(START, finish(), metadata()).upstream_request_id == "rq-1"
    decoder = BedrockAdapter(BEDROCK, backend()).decoder(attempt(), 200, JSON)
    document = {
        "output": {"message": {"content": []}},
        "stopReason": "end_turn",
        "serviceTier": {"type": "flex"},
    }
    decoder.feed(json.dumps(document).encode())
    assert decoder.close()[0] == Opened(service_tier="flex", upstream_request_id="rq-1")


def test_thinking_with_its_signature():
    """In a stream and in one document; it can be sent back."""
    streamed = candidate(
        START, delta(0, reasoningContent={"text": "h"}), delta(0, reasoningContent={"text": "m"}),
        delta(0, reasoningContent={"signature": "sig=="}), stop(0), delta(1, text="so"), stop(1), finish(), metadata(),
    )  # fmt: skip
    assert streamed.parts == (Part(Reasoning("hm"), b"sig==", OWN), Part(Text("so")))
    blocks = ({"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig=="}}}, {"text": "so"})
    assert whole(*blocks).parts == streamed.parts
    assert tuple(sent_back(streamed.parts)) == blocks
    assert whole(*blocks, call=HIDDEN).parts == (Part(Text("so")),)


def test_unreadable_thoughts():
    """Are bytes, whose pieces are joined; they go back as they came, to the model that made them."""
    pieces = (delta(0, reasoningContent={"redactedContent": piece}) for piece in ("YWI=", "Yw=="))
    (hidden,) = candidate(START, *pieces, stop(0), finish(), metadata()).parts
    assert hidden.origin == OWN
    block = {"reasoningContent": {"redactedContent": "YWJj"}}
    assert json.loads(hidden.content.json) == block
    assert whole(block).parts == (hidden,)
    assert sent_back([hidden]) == [block]


def test_calls_that_interleave():
    """Each piece goes to its own block; a call without one has no arguments."""
    calls = candidate(
        START, begin(0, toolUse={"toolUseId": "t0", "name": "a"}), begin(1, toolUse={"toolUseId": "t1", "name": "b"}),
        delta(1, toolUse={"input": '{"y":'}), delta(0, toolUse={"input": '{"x":1}'}), delta(1, toolUse={"input": "2}"}),
        stop(0), stop(1), begin(2, toolUse={"name": "c"}), delta(2, toolUse={"input": ""}), stop(2),
        finish("end_turn"), metadata(),
    )  # fmt: skip
    found = [part.content for part in calls.parts]
    assert [(call.id, call.name, call.arguments_json) for call in found[:2]] == [
        ("t0", "a", '{"x":1}'), ("t1", "b", '{"y":2}')
    ]  # fmt: skip
    assert (found[2].name, found[2].arguments_json) == ("c", "{}")
    assert found[2].id.startswith("call_")
    assert (calls.finish_reason, calls.finish_reason_raw) == (FinishReason.TOOL_CALLS, "end_turn")
    assert whole({"toolUse": {"toolUseId": "t", "name": "a", "input": {}}}).parts == (
        Part(ToolCall("t", "a", "{}")),
    )


def test_parts_that_only_the_provider_knows():
    """Calls of its own tools with what they gave, whole, in their place, to be sent back as they are."""
    used = {"toolUse": {"toolUseId": "s", "name": "ground", "type": "server_tool_use", "input": {"q": "x"}}}
    given = {"toolResult": {"toolUseId": "s", "type": "x", "content": [{"text": "a"}, {"text": "b"}]}}
    streamed = candidate(
        START, begin(0, toolUse={"toolUseId": "s", "name": "ground", "type": "server_tool_use"}),
        delta(0, toolUse={"input": '{"q":'}), delta(0, toolUse={"input": '"x"}'}), stop(0),
        begin(1, toolResult={"toolUseId": "s", "type": "x"}), delta(1, toolResult=[{"text": "a"}]),
        delta(1, toolResult=[{"text": "b"}]), stop(1), delta(2, text="so"), finish(), metadata(),
    )  # fmt: skip
    assert [json.loads(part.content.json) for part in streamed.parts[:2]] == [used, given]
    assert [type(part.content) for part in streamed.parts] == [ProviderPart, ProviderPart, Text]
    assert streamed.finish_reason is FinishReason.STOP
    assert whole(used, given, {"text": "so"}).parts == streamed.parts
    assert sent_back(streamed.parts) == [used, given, {"text": "so"}]


def test_images_that_the_model_made():
    """As media; what is no image that we know is kept as it is."""
    shown = Part(Media(MediaKind.IMAGE, data=b"abc", media_type="image/png"))
    block = {"image": {"format": "png", "source": {"bytes": "YWJj"}}}
    assert whole(block).parts == (shown,)
    streamed = candidate(
        START, begin(0, image={"format": "png"}), delta(0, image={"source": {"bytes": "YWJj"}}), stop(0),
        finish(), metadata(),
    )  # fmt: skip
    assert streamed.parts == (shown,)
    assert sent_back([shown]) == [block]
    failed = {"image": {"format": "png", "error": {"message": "no"}}}
    assert [json.loads(part.content.json) for part in whole(failed).parts] == [failed]


def test_citations():
    """Of the block that rests on them."""
    cited = [
        {"title": "A", "location": {"web": {"url": "https://a.example", "domain": "a.example"}}},
        {"title": "D", "location": {"documentPage": {"documentIndex": 2, "start": 1, "end": 2}}},
        {"source": "https://b.example", "location": {"searchResultLocation": {"searchResultIndex": 0}}},
        {"source": "notes/7"},
    ]
    parts = whole(
        {"citationsContent": {"content": [{"text": "so "}, {"text": "it is"}], "citations": cited}}
    ).parts
    assert parts == (
        Part(Text("so it is"), citations=(
            Citation(0, 8, "https://a.example", "A"), Citation(0, 8, "", "D", "2"), Citation(0, 8, "https://b.example"),
            Citation(0, 8, "", "", "notes/7"),
        )),
    )  # fmt: skip
    pieces = [delta(0, citation=one) for one in cited]
    assert (
        candidate(START, delta(0, text="so "), *pieces, delta(0, text="it is"), stop(0), finish()).parts
        == parts
    )


@pytest.mark.parametrize(
    ("raw", "reason"),
    [("end_turn", FinishReason.STOP), ("stop_sequence", FinishReason.STOP), ("max_tokens", FinishReason.MAX_TOKENS),
     ("model_context_window_exceeded", FinishReason.MAX_TOKENS), ("tool_use", FinishReason.TOOL_CALLS),
     ("guardrail_intervened", FinishReason.CONTENT_FILTER), ("content_filtered", FinishReason.CONTENT_FILTER),
     ("malformed_model_output", FinishReason.ERROR), ("malformed_tool_use", FinishReason.ERROR),
     ("new_word", FinishReason.OTHER)],
)  # fmt: skip
def test_why_it_ended(raw, reason):
    """Every word of the provider, and those that it may yet get; in a stream and in one document."""
    for made in (candidate(START, finish(raw), metadata()), whole({"text": "a"}, reason=raw)):
        assert (made.finish_reason, made.finish_reason_raw) == (reason, raw)


def test_the_stop_sequence():
    """Where the caller asked for the model's own field of it."""
    more = {"additionalModelResponseFields": {"stop_sequence": "###"}}
    assert candidate(START, finish("stop_sequence", **more), metadata()).stop_sequence == "###"


def test_what_a_guardrail_thought():
    """Findings on prompt and answer by their names; never the words that matched."""
    found = {
        "contentPolicy": {"filters": [{"type": "HATE", "confidence": "HIGH", "action": "BLOCKED"}]},
        "topicPolicy": {"topics": [{"name": "money", "type": "DENY", "action": "NONE"}]},
        "wordPolicy": {"customWords": [{"match": "secret word", "action": "BLOCKED"}]},
        "sensitiveInformationPolicy": {
            "piiEntities": [{"match": "Ann", "type": "NAME", "action": "ANONYMIZED"}]
        },
    }
    ratings = (
        SafetyRating("HATE", "HIGH", True, "input"), SafetyRating("money", "", False, "input"),
        SafetyRating("wordPolicy", "", True, "input"), SafetyRating("NAME", "", False, "input"),
        SafetyRating("HATE", "HIGH", True, "output"),
    )  # fmt: skip
    output = {"g": [{"contentPolicy": found["contentPolicy"]}, 7]}
    trace = {"guardrail": {"inputAssessment": {"g": found}, "outputAssessments": output}}
    streamed = candidate(START, delta(0, text="No."), finish("guardrail_intervened"), metadata(trace=trace))
    assert streamed.safety == ratings
    assert whole({"text": "No."}, reason="guardrail_intervened", trace=trace).safety == ratings


def test_usage():
    """What was cached is counted apart on the wire, and is part of the input here."""
    told = {
        "inputTokens": 9,
        "outputTokens": 4,
        "totalTokens": 13,
        "cacheReadInputTokens": 100,
        "cacheWriteInputTokens": 5,
    }
    assert answer(START, finish(), metadata(usage=told)).usage == Usage(114, 4, 118, 100, None, 5)
    assert answer(START, finish(), metadata(usage={"totalTokens": 13})).usage == Usage(total_tokens=13)
    assert answer(START, finish(), metadata()).usage is None


def test_the_end():
    """The reason and a clean end of the body, or what comes behind the reason."""
    begun = (START, delta(0, text="a"), stop(0))
    cut = outcome(*begun)
    assert cut.error is not None
    assert cut.error.reason is Reason.UPSTREAM_TRUNCATED
    assert outcome(*begun, metadata()).error.reason is Reason.UPSTREAM_TRUNCATED
    assert candidate(*begun, finish()).finish_reason is FinishReason.STOP
    assert outcome(*begun, finish(), end=False).error is not None
    assert outcome(*begun, finish(), metadata(), end=False).error is None
    assert candidate(*begun, finish(), metadata(), b"garbage").parts == (Part(Text("a")),)


def test_a_damaged_event():
    """Ends the answer with a fault, and leaves what came before it."""
    broken = bytearray(delta(0, text="b"))
    broken[40] ^= 1
    result = outcome(START, delta(0, text="a"), bytes(broken), finish(), metadata())
    assert result.error.reason is Reason.UPSTREAM_BAD_RESPONSE
    assert result.answer.candidates[0].parts == (Part(Text("a")),)


def test_what_nobody_knows_yet_is_ignored():
    """Events, fields and deltas."""
    strange = (event("newEvent", x=1), delta(0, newDelta={"x": 1}), message({":event-type": "empty"}))
    assert candidate(START, delta(0, text="a"), *strange, finish(), metadata()).parts == (Part(Text("a")),)


@pytest.mark.parametrize("index", [-1, None, "0", 1e9])
def test_blocks_need_a_number(index):
    """One that cannot be a block's is not taken for another's."""
    assert outcome(START, delta(index, text="a"), finish()).error.reason is Reason.UPSTREAM_BAD_RESPONSE


@pytest.mark.parametrize(
    ("kind", "fields", "reason", "status"),
    [("throttlingException", {}, Reason.UPSTREAM_RATE_LIMITED, 0),
     ("serviceUnavailableException", {}, Reason.UPSTREAM_UNAVAILABLE, 0),
     ("internalServerException", {}, Reason.UPSTREAM_ERROR, 0),
     ("modelStreamErrorException", {"originalStatusCode": 500}, Reason.UPSTREAM_ERROR, 500),
     ("modelTimeoutException", {}, Reason.UPSTREAM_TIMEOUT, 0),
     ("validationException", {}, Reason.UPSTREAM_REJECTED, 0), ("newException", {}, Reason.UPSTREAM_ERROR, 0)],
)  # fmt: skip
def test_exceptions_in_mid_stream(kind, fields, reason, status):
    """Under the names that streams give them; what came before stays."""
    result = outcome(START, delta(0, text="a"), exception(kind, message="no", **fields))
    assert result.error.reason is reason
    told = result.error.upstream
    assert (told.code, told.message, told.request_id) == (kind, "no", "rq-1")
    assert (told.http_status, told.stream_status, told.in_stream) == (200, status, True)
    assert result.answer.candidates[0].parts == (Part(Text("a")),)


def test_errors_in_other_places():
    """Behind the reason, as an error of the stream itself, and in a document in place of an answer."""
    assert (
        outcome(START, finish(), exception("throttlingException")).error.reason
        is Reason.UPSTREAM_RATE_LIMITED
    )
    headers = {":message-type": "error", ":error-code": "InternalFailure", ":error-message": "broke"}
    own = outcome(START, message(headers)).error
    assert (own.reason, own.upstream.code, own.upstream.message) == (
        Reason.UPSTREAM_ERROR,
        "InternalFailure",
        "broke",
    )
    document = json.dumps({"__type": "aws#ThrottlingException", "message": "wait"}).encode()
    told = outcome(document, headers=JSON).error
    assert (told.reason, told.upstream.in_stream) == (Reason.UPSTREAM_RATE_LIMITED, False)
    assert outcome(b"{}", headers=JSON).error.reason is Reason.UPSTREAM_BAD_RESPONSE


ANY = st.one_of(SCALARS, st.just({}), st.just([{}]), st.just({"guardrail": {"inputAssessment": {"g": 1}}}))
KINDS = st.sampled_from(
    [
        "messageStart",
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
        "new",
    ]
)
BLOCKS = st.dictionaries(
    st.sampled_from(["text", "toolUse", "reasoningContent", "citation", "image", "toolResult"]),
    st.one_of(ANY, st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("text", "signature", "redactedContent", "input", "name", "type", "source"), ANY)
    )), max_size=2,
)  # fmt: skip
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "contentBlockIndex": st.one_of(st.integers(-1, 2), ANY), "delta": BLOCKS, "start": BLOCKS,
        "stopReason": ANY, "usage": ANY, "trace": ANY, "serviceTier": ANY, "message": ANY,
        "additionalModelResponseFields": ANY, "originalStatusCode": ANY,
    },
)  # fmt: skip


@given(events=st.lists(st.tuples(KINDS, FIELDS, st.booleans()), max_size=5))
@settings(max_examples=150, deadline=None)
def test_events_of_any_kind(events):
    """Wrong types, wrong order, lone surrogates: borne, or our own fault."""
    pieces = [event(kind, **fields) if fine else exception(kind, **fields) for kind, fields, fine in events]
    check_any(outcome(*pieces))
