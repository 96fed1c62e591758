"""Answers and errors of the Responses API, beyond what is recorded."""

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
    ProviderPart,
    Reasoning,
    ReasoningConfig,
    ReasoningKind,
    Refusal,
    Role,
    Text,
    ToolCall,
    Usage,
)
from pointsman_server.errors import Reason
from pointsman_server.upstreams.dialects.openai_responses.adapter import ResponsesAdapter
from pointsman_server.upstreams.dialects.openai_responses.profiles import OPENAI_RESPONSES
from pointsman_server.upstreams.translation.support import origin, unsupported
from tests.conformance.result import decode
from tests.unit.upstreams.calls import asked, attempt, said, settings

SSE, JSON = {"content-type": "text/event-stream"}, {"content-type": "application/json"}
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
OURS = origin(OPENAI_RESPONSES, "upstream-model")
HIDDEN = asked(generation=Generation(reasoning=ReasoningConfig(include=False)))


def response(*output, status="completed", **fields):
    return {
        "id": "resp_1", "object": "response", "created_at": 1790000000.0, "model": "gpt", "status": status,
        "error": None, "incomplete_details": None, "output": list(output), **fields,
    }  # fmt: skip


def message(*content):
    return {
        "id": "msg_1",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": list(content),
    }


def text_of(text, *annotations, **fields):
    return {"type": "output_text", "text": text, "annotations": list(annotations), **fields}


def call_of(call_id="c1", name="a", arguments='{"x":1}'):
    return {"id": "fc_1", "type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def event(kind, **fields):
    name = kind if kind == "error" else f"response.{kind}"
    return f"event: {name}\ndata: {json.dumps({'type': name, **fields})}\n\n".encode()


def completed(*output, **fields):
    return event("completed", response=response(*output, **fields))


CREATED = event("created", response=response(status="in_progress"))


def adapter():
    return ResponsesAdapter(OPENAI_RESPONSES, settings())


def outcome(*pieces, call=None, headers=SSE, end=True):
    return decode(adapter().decoder(attempt(call), 200, headers), pieces, end=end)


def streamed(*pieces, call=None):
    result = outcome(*pieces, call=call)
    assert result.error is None, result.error
    (only,) = result.answer.candidates
    return only


def whole(document, call=None):
    result = outcome(json.dumps(document).encode(), call=call, headers=JSON)
    assert result.error is None, result.error
    return result.answer


def test_what_names_an_answer():
    """From the first event that tells of the response, or from the whole."""
    headers = {"x-request-id": "req_1", **JSON}
    body = json.dumps(response(message(text_of("hi")), service_tier="flex")).encode()
    for answer in (
        outcome(body, headers=headers).answer,
        outcome(completed(message(text_of("hi")), service_tier="flex"), headers={**SSE, **headers}).answer,
    ):
        assert (answer.response_id, answer.model, answer.created_s) == ("resp_1", "gpt", 1790000000)
        assert (answer.service_tier, answer.upstream_request_id) == ("flex", "req_1")


def test_items_of_a_whole_answer_are_parts_in_their_order():
    """Reasoning, texts, calls and what only this interface knows."""
    answer = whole(
        response(
            {
                "type": "reasoning", "encrypted_content": "gAAA",
                "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
            },
            SEARCH,
            message(text_of("one"), {"type": "refusal", "refusal": "no"}, {"type": "new"}, text_of("two")),
            call_of(),
            {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "raw"}], "summary": []},
        )
    )  # fmt: skip
    (one,) = answer.candidates
    thought, found, *rest = one.parts
    assert thought == Part(Reasoning("a\n\nb", ReasoningKind.SUMMARY), signature=b"gAAA", origin=OURS)
    assert isinstance(found.content, ProviderPart)
    assert (found.content.dialect, json.loads(found.content.json)) == ("openai_responses", SEARCH)
    assert rest == [
        Part(Text("one")), Part(Refusal("no")), Part(Text("two")), Part(ToolCall("c1", "a", '{"x":1}')),
        Part(Reasoning("raw", ReasoningKind.THOUGHT)),
    ]  # fmt: skip
    assert (one.finish_reason, one.finish_reason_raw) == (FinishReason.TOOL_CALLS, "completed")


def test_a_stream_tells_the_same():
    """Pieces count, and their twins do not; events that are not known say nothing."""
    stream = [
        CREATED, event("in_progress", response=response(status="in_progress")),
        event("output_item.added", output_index=0, item={"type": "reasoning", "summary": [], "encrypted_content": "g"}),
        event("reasoning_summary_part.added", output_index=0, summary_index=0, part={"type": "summary_text"}),
        event("reasoning_summary_text.delta", output_index=0, summary_index=0, delta="a"),
        event("reasoning_summary_text.done", output_index=0, summary_index=0, text="a"),
        event("reasoning_summary_text.delta", output_index=0, summary_index=1, delta="b"),
        event("output_item.done", output_index=0, item={
            "type": "reasoning", "encrypted_content": "gAAA",
            "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
        }),
        event("output_item.added", output_index=1, item={**SEARCH, "status": "in_progress"}),
        event("web_search_call.searching", output_index=1, item_id="ws_1"),
        event("output_item.done", output_index=1, item=SEARCH),
        event("output_item.added", output_index=2, item={**message(), "status": "in_progress"}),
        event("content_part.added", output_index=2, content_index=0, part=text_of("")),
        event("output_text.delta", output_index=2, content_index=0, delta="o", obfuscation="x7"),
        event("output_text.delta", output_index=2, content_index=0, delta="ne"),
        event("output_text.done", output_index=2, content_index=0, text="one"),
        event("refusal.delta", output_index=2, content_index=1, delta="no"),
        event("refusal.done", output_index=2, content_index=1, refusal="no"),
        event("output_item.done", output_index=2, item=message(text_of("one"), {"type": "refusal", "refusal": "no"})),
        event("some.thing_new", output_index=2, delta="?"),
        completed(message(text_of("one"))),
    ]  # fmt: skip
    only = streamed(*stream)
    thought, found, *rest = only.parts
    assert thought == Part(Reasoning("a\n\nb", ReasoningKind.SUMMARY), signature=b"gAAA", origin=OURS)
    assert json.loads(found.content.json)["status"] == "completed"
    assert rest == [Part(Text("one")), Part(Refusal("no"))]
    assert only.finish_reason is FinishReason.STOP
    hidden = streamed(*stream, call=HIDDEN)
    assert hidden.parts[0] == Part(Reasoning(""), signature=b"gAAA", origin=OURS)


def test_calls_may_interleave():
    """Each has its item; the call's id is not the item's."""
    stream = [
        event("output_item.added", output_index=0, item=call_of("c1", "a", "")),
        event("output_item.added", output_index=1, item=call_of("c2", "b", "")),
        event("function_call_arguments.delta", output_index=1, item_id="fc_2", delta='{"y'),
        event("function_call_arguments.delta", output_index=0, item_id="fc_1", delta='{"x":'),
        event("function_call_arguments.delta", output_index=1, item_id="fc_2", delta='":2}'),
        event("function_call_arguments.delta", output_index=0, item_id="fc_1", delta="1}"),
        event("function_call_arguments.done", output_index=0, item_id="fc_1", arguments='{"x":1}'),
        event("output_item.done", output_index=0, item=call_of()),
        event("output_item.done", output_index=1, item=call_of("c2", "b", '{"y":2}')),
        completed(),
    ]
    only = streamed(*stream)
    assert only.parts == (Part(ToolCall("c1", "a", '{"x":1}')), Part(ToolCall("c2", "b", '{"y":2}')))
    assert only.finish_reason is FinishReason.TOOL_CALLS


@pytest.mark.parametrize(
    "stream",
    [
        [event("output_item.done", output_index=0, item=call_of())],
        [
            event("output_item.added", output_index=0, item=call_of(arguments="")),
            event("function_call_arguments.done", output_index=0, arguments='{"x":1}'),
        ],
        [],
    ],
    ids=["with the item", "with the arguments", "with the response"],
)
def test_what_was_told_in_no_piece_is_told_whole(stream):
    """Some servers leave events out."""
    only = streamed(CREATED, *stream, completed(call_of()))
    assert only.parts == (Part(ToolCall("c1", "a", '{"x":1}')),)
    assert only.finish_reason is FinishReason.TOOL_CALLS


def test_texts_that_were_told_in_no_piece():
    """The same for messages and reasoning."""
    stream = [
        event("reasoning_text.done", output_index=0, content_index=0, text="hm"),
        event("output_text.done", output_index=1, content_index=0, text="one"),
        event("output_item.done", output_index=1, item=message(text_of("one"), text_of("two"))),
    ]
    assert streamed(*stream, completed()).parts == (
        Part(Reasoning("hm", ReasoningKind.THOUGHT)), Part(Text("one")), Part(Text("two")),
    )  # fmt: skip


def test_a_call_without_an_id_gets_one():
    """The same one whenever the attempt is read again."""
    bare = {"type": "function_call", "name": "a", "arguments": ""}
    first, second = (whole(response(bare, bare)).candidates[0].parts for _ in range(2))
    assert first == second
    assert len({part.content.id for part in first} - {""}) == 2


def test_sources():
    """Pages, and files by their ids; those that came as events are not told again with the item."""
    page = {
        "type": "url_citation",
        "start_index": 1,
        "end_index": 3,
        "url": "https://a.example",
        "title": "A",
    }
    file = {"type": "file_citation", "index": 4, "file_id": "f", "filename": "a.pdf"}
    made = {
        "type": "container_file_citation",
        "start_index": 0,
        "end_index": 2,
        "file_id": "g",
        "filename": "b",
    }
    told = (
        Citation(1, 3, "https://a.example", "A"), Citation(4, 4, title="a.pdf", document_id="f"),
        Citation(0, 2, title="b", document_id="g"),
    )  # fmt: skip
    content = text_of("hello", page, file, made, {"type": "new"})
    assert whole(response(message(content))).candidates[0].parts == (Part(Text("hello"), citations=told),)
    stream = [
        event("output_text.delta", output_index=0, content_index=0, delta="hello"),
        event(
            "output_text.annotation.added",
            output_index=0,
            content_index=0,
            annotation_index=0,
            annotation=page,
        ),
        event("output_item.done", output_index=0, item=message(content)),
        completed(message(content)),
    ]
    assert streamed(*stream).parts == (Part(Text("hello"), citations=told),)


def test_logprobs():
    """With the pieces of a stream, and with the whole."""
    logprobs = [
        {
            "token": "hi",
            "logprob": -0.5,
            "bytes": [104, 105],
            "top_logprobs": [{"token": "ho", "logprob": -1}],
        }
    ]
    stream = [
        event("output_text.delta", output_index=0, content_index=0, delta="hi", logprobs=logprobs),
        completed(),
    ]
    for only in (streamed(*stream), whole(response(message(text_of("hi", logprobs=logprobs)))).candidates[0]):
        (token,) = only.logprobs
        assert (token.token, token.logprob, token.token_bytes) == ("hi", -0.5, b"hi")
        assert [other.token for other in token.top] == ["ho"]


@pytest.mark.parametrize(
    ("status", "details", "reason", "raw"),
    [
        ("completed", None, FinishReason.STOP, "completed"),
        (
            "incomplete",
            {"reason": "max_output_tokens"},
            FinishReason.MAX_TOKENS,
            "incomplete:max_output_tokens",
        ),
        (
            "incomplete",
            {"reason": "content_filter"},
            FinishReason.CONTENT_FILTER,
            "incomplete:content_filter",
        ),
        ("incomplete", {"reason": "steered"}, FinishReason.OTHER, "incomplete:steered"),
        ("incomplete", None, FinishReason.OTHER, "incomplete"),
    ],
)
def test_finish_reasons(status, details, reason, raw):
    """In a stream and in a document."""
    fields = {"status": status, "incomplete_details": details}
    content = message(text_of("hi"))
    for only in (
        whole(response(content, **fields)).candidates[0],
        streamed(event(status, response=response(content, **fields))),
    ):
        assert (only.finish_reason, only.finish_reason_raw) == (reason, raw)
        assert only.parts == (Part(Text("hi")),)


def test_usage():
    """Cached and written tokens are part of the input, reasoning of the output."""
    usage = {
        "input_tokens": 10, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2}, "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 9}, "total_tokens": 15,
    }  # fmt: skip
    assert whole(response(usage=usage)).usage == Usage(10, 5, 15, 4, 5, 2)
    assert whole(response()).usage is None


FAILURES = [
    ("server_error", "The server had an error.", Reason.UPSTREAM_ERROR),
    ("rate_limit_exceeded", "Slow down.", Reason.UPSTREAM_RATE_LIMITED),
    ("invalid_prompt", "Against the policy.", Reason.CONTENT_BLOCKED),
    ("image_content_policy_violation", "x", Reason.CONTENT_BLOCKED),
    ("bio_policy", "x", Reason.CONTENT_BLOCKED),
    ("failed_to_download_image", "x", Reason.UPSTREAM_REJECTED),
    ("image_too_large", "x", Reason.UPSTREAM_REJECTED),
    ("vector_store_timeout", "x", Reason.UPSTREAM_TIMEOUT),
    ("data_residency_mismatch", "x", Reason.UPSTREAM_PERMISSION_DENIED),
    ("context_length_exceeded", "x", Reason.CONTEXT_LENGTH_EXCEEDED),
    ("something_new", "x", Reason.UPSTREAM_ERROR),
]


@pytest.mark.parametrize(("code", "text", "reason"), FAILURES)
def test_failures_under_status_200(code, text, reason):
    """As a status of the response, and as an event of an error, flat or with an object; what came stays."""
    failed = response(status="failed", error={"code": code, "message": text}, usage={"input_tokens": 3})
    piece = event("output_text.delta", output_index=0, content_index=0, delta="hi")
    for stream, last in (
        (outcome(json.dumps(failed).encode(), headers=JSON), None),
        (outcome(CREATED, piece, event("failed", response=failed)), "hi"),
        (outcome(piece, event("error", code=code, message=text, param=None, sequence_number=3)), "hi"),
        (outcome(piece, event("error", error={"type": "x", "code": code, "message": text})), "hi"),
        (outcome(piece, f'data: {{"error": {{"code": "{code}", "message": "{text}"}}}}\n\n'.encode()), "hi"),
    ):
        fault = stream.error.upstream
        assert stream.error.reason is reason
        assert (fault.code, fault.message, fault.http_status) == (code, text, 200)
        assert fault.in_stream is (last is not None)
        if last:
            (only,) = stream.answer.candidates
            assert (only.parts, only.finish_reason) == ((Part(Text(last)),), None)
    assert outcome(json.dumps(failed).encode()).answer.usage == Usage(input_tokens=3)


def test_responses_that_are_not_finished():
    """Cancelled is a failure; one that runs in the background, or is none, is no answer."""
    cancelled = outcome(json.dumps(response(status="cancelled")).encode())
    assert cancelled.error.reason is Reason.UPSTREAM_ERROR
    assert cancelled.answer.candidates[0].finish_reason is FinishReason.ERROR
    for document in (response(status="queued"), response(status="in_progress"), {}, [], {"output": []}):
        assert outcome(json.dumps(document).encode()).error.reason is Reason.UPSTREAM_BAD_RESPONSE
    told = outcome(json.dumps({"error": {"message": "x", "code": "rate_limit_exceeded"}}).encode())
    assert told.error.reason is Reason.UPSTREAM_RATE_LIMITED


def test_only_the_last_event_ends_a_stream():
    """Neither a finished item nor [DONE] does."""
    stream = [
        CREATED, event("output_text.delta", output_index=0, content_index=0, delta="hi"),
        event("output_item.done", output_index=0, item=message(text_of("hi"))),
    ]  # fmt: skip
    for last in (b"", b"data: [DONE]\n\n"):
        assert outcome(*stream, last).error.reason is Reason.UPSTREAM_TRUNCATED
    ended = outcome(*stream, completed(), b"data: [DONE]\n\n", end=False)
    assert ended.error is None


def test_events_without_a_type():
    """Are told by their names."""
    body = json.dumps({"output_index": 0, "content_index": 0, "delta": "hi"})
    named = f"event: response.output_text.delta\ndata: {body}\n\n".encode()
    assert streamed(named, completed()).parts == (Part(Text("hi")),)


@pytest.mark.parametrize("index", [-1, "x", 2**31, 1.5])
def test_items_without_a_usable_index(index):
    """Are no part of an answer."""
    result = outcome(event("output_text.delta", output_index=index, content_index=0, delta="hi"))
    assert result.error.reason is Reason.UPSTREAM_BAD_RESPONSE


def test_an_answer_goes_back_as_it_came():
    """With what seals its reasoning, ahead of the call that came of it."""
    only = whole(
        response(
            {
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": "a"}],
                "encrypted_content": "gAAA",
            },
            SEARCH,
            message(text_of("so")),
            call_of(),
        )
    ).candidates[0]
    call = asked("hi", said(*only.parts, role=Role.ASSISTANT), "go on")
    assert unsupported(call, OPENAI_RESPONSES, "upstream-model") == ()
    assert json.loads(adapter().request(attempt(call)).body)["input"][1:5] == [
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "a"}],
            "encrypted_content": "gAAA",
        },
        SEARCH,
        {"role": "assistant", "content": "so"},
        {"type": "function_call", "call_id": "c1", "name": "a", "arguments": '{"x":1}'},
    ]


def test_refusals():
    """As chat's, with this interface's own codes."""
    body = {
        "error": {
            "message": "x",
            "type": "invalid_request_error",
            "param": "input",
            "code": "invalid_image_url",
        }
    }
    error = adapter().refusal(400, {"x-request-id": "req_1"}, json.dumps(body).encode())
    assert (error.reason, error.upstream.code) == (Reason.UPSTREAM_REJECTED, "invalid_image_url")
    assert error.upstream.request_id == "req_1"
    limited = adapter().refusal(429, {"retry-after-ms": "1500"}, b"{}")
    assert (limited.reason, limited.retry_after_s) == (Reason.UPSTREAM_RATE_LIMITED, 1.5)


def test_the_first_piece_of_a_call():
    """Has its id and its name, before any argument."""
    decoder = adapter().decoder(attempt(), 200, SSE)
    assert decoder.feed(event("output_item.added", output_index=3, item=call_of(arguments=""))) == [
        Delta(0, 0, DeltaKind.TOOL_CALL, tool_id="c1", tool_name="a")
    ]
