"""Baidu's older interface to ERNIE, beyond what is recorded of it."""

from __future__ import annotations

import json
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from pointsman_server.clock import SystemClock
from pointsman_server.config import schema
from pointsman_server.config.secrets import Secret
from pointsman_server.context import Target
from pointsman_server.domain import (
    Citation,
    FinishReason,
    Generation,
    JsonObject,
    JsonSchema,
    Media,
    MediaKind,
    Part,
    ProviderOptions,
    Reasoning,
    ReasoningConfig,
    ReasoningKind,
    Refusal,
    Role,
    SafetyRating,
    Text,
    TokenIds,
    Tool,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
    ToolResult,
    Usage,
)
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.upstreams.dialects.ernie.adapter import ErnieAdapter
from pointsman_server.upstreams.dialects.ernie.profiles import ERNIE
from pointsman_server.upstreams.registry import build_upstream
from pointsman_server.upstreams.translation.support import INELIGIBLE_CODES, unsupported
from tests.conformance.result import decode
from tests.fakes.provider import Provider
from tests.fakes.replies import json_reply, stream_reply
from tests.unit.upstreams.calls import asked, attempt, folded, said, settings

SSE = {"content-type": "text/event-stream"}
WEATHER, STOCK = Tool("get_weather", "w", '{"type":"object"}'), Tool("get_stock")


def adapter():
    return ErnieAdapter(ERNIE, settings("http://b.example/w", provider="ernie"))


def sent(call, *, stream=False):
    return json.loads(adapter().request(attempt(call, stream=stream)).body)


def messages(*turns, **fields):
    return sent(asked(*turns, **fields))["messages"]


def assistant(*contents):
    return said(*contents, role=Role.ASSISTANT)


def results(*contents):
    return said(*contents, role=Role.TOOL)


def reported(call):
    return {warning.field for warning in unsupported(call, ERNIE, "m")}


def refused(call):
    with pytest.raises(ServiceError) as raised:
        sent(call)
    assert raised.value.reason is Reason.INVALID_REQUEST
    return raised.value


def event(**document):
    return b"data: " + json.dumps({"id": "as-1", "created": 7, **document}).encode() + b"\n\n"


def outcome(*pieces, call=None, headers=SSE, end=True):
    decoder = adapter().decoder(attempt(call), 200, headers)
    return decode(decoder, pieces, end=end)


def whole(**document):
    return outcome(json.dumps({"id": "as-1", **document}).encode(), headers={})


def candidate(result):
    assert result.error is None
    return result.answer.candidates[0]


def contents(result):
    return [part.content for part in result.answer.candidates[0].parts]


# --- requests ---


def test_fields():
    """Under their names there, beside the messages; a model's name cannot leave its segment."""
    call = asked(
        generation=Generation(max_output_tokens=9, temperature=0.5, top_p=0.8, stop_sequences=tuple("abcde"),
                              repetition_penalty=1.2),
        output_format=JsonObject(), end_user_id="u",
    )  # fmt: skip
    deployed = replace(attempt(call, stream=True), target=Target("b", "ernie", "a/../b"))
    request = adapter().request(deployed)
    assert request.url == "http://b.example/w/chat/a%2F..%2Fb"
    assert json.loads(request.body) == {
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "max_output_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.8,
        "stop": ["a", "b", "c", "d"],
        "penalty_score": 1.2,
        "response_format": "json_object",
        "user_id": "u",
    }
    assert reported(call) == {"generation.stop_sequences"}


def test_what_is_reported():
    """And not sent: what it has no field for."""
    call = asked(
        said("hi", name="Ann"),
        generation=Generation(seed=1, n=2, top_k=3, presence_penalty=1.0, top_logprobs=1),
        output_format=JsonSchema("n", "{}"), tools=(WEATHER,), tool_choice=ToolChoice(parallel_calls=False),
    )  # fmt: skip
    assert reported(call) == {
        "conversation.messages[0].name", "generation.n", "generation.presence_penalty", "generation.seed",
        "generation.top_k", "generation.top_logprobs", "output_format.json_schema", "tool_choice.parallel_calls",
    }  # fmt: skip
    assert set(sent(call)) == {"messages", "functions"}


def test_turns():
    """What one says in several messages is one; the system's words stand apart, in their order."""
    call = asked(
        said("s1", role=Role.SYSTEM), "a", "b", assistant(Part(Reasoning("hm")), "c", Refusal("d")), assistant("e"),
        said("s2", role=Role.DEVELOPER), "f",
    )  # fmt: skip
    body = sent(call)
    assert body["system"] == "s1\ns2"
    assert body["messages"] == [
        {"role": "user", "content": "a\nb"},
        {"role": "assistant", "content": "cde"},
        {"role": "user", "content": "f"},
    ]
    assert reported(call) == {"conversation.messages[3].parts[0].reasoning"}


def test_parallel_calls():
    """A message holds one call: each result follows its own, whatever order the caller has them in."""
    calls = assistant("both", ToolCall("1", "get_weather", '{"a":1}'), ToolCall("2", "get_stock", ""))
    answers = results(
        ToolResult("2", "", (Part(Text("two")),)), ToolResult("1", "own", (Part(Text("x")),), is_error=True)
    )
    assert messages("?", calls, answers, "and?") == [
        {"role": "user", "content": "?"},
        {
            "role": "assistant",
            "content": "both",
            "function_call": {"name": "get_weather", "arguments": '{"a":1}'},
        },
        {"role": "function", "name": "own", "content": "Error: x"},
        {"role": "assistant", "content": "", "function_call": {"name": "get_stock", "arguments": "{}"}},
        {"role": "function", "name": "get_stock", "content": "two\nand?"},
    ]


@pytest.mark.parametrize(
    "turns",
    [
        (assistant("a"), "b"),
        ("a", assistant("b")),
        (said("a", role=Role.SYSTEM),),
    ],
)
def test_conversations_that_it_does_not_take(turns):
    """Another backend is asked; where it is asked all the same, the caller is at fault."""
    call = asked(*turns)
    assert any(warning.code in INELIGIBLE_CODES for warning in unsupported(call, ERNIE))
    refused(call)


@pytest.mark.parametrize(
    "turns",
    [
        ("a", assistant(ToolCall("1", "f", "{}")), "b"),
        ("a", assistant(ToolCall("1", "f", "{}")), results(ToolResult("2", "f", ()))),
        ("a", assistant("b"), results(ToolResult("1", "f", ()))),
        (
            "a",
            assistant(ToolCall("1", "f", "{}"), ToolCall("1", "f", "{}")),
            results(ToolResult("1", "f", ())),
        ),
        (said(Media(MediaKind.IMAGE, url="https://a.example/x.png")),),
    ],
)
def test_what_cannot_be_said(turns):
    """Calls without results, results without calls, and contents that are no text."""
    assert refused(asked(*turns)).fields


def test_tokens_cannot_be_said():
    """Nor tokens."""
    refused(replace(asked(), input=TokenIds((1,))))


@pytest.mark.parametrize(
    ("choice", "offered", "forced", "fields"),
    [
        (None, ["get_weather", "get_stock"], None, set()),
        (ToolChoice(ToolChoiceMode.AUTO), ["get_weather", "get_stock"], None, set()),
        (ToolChoice(ToolChoiceMode.NONE), None, None, set()),
        (ToolChoice(ToolChoiceMode.REQUIRED, ("get_stock",)), ["get_stock"], "get_stock", set()),
        (ToolChoice(ToolChoiceMode.REQUIRED), ["get_weather", "get_stock"], None, {"tool_choice.mode"}),
        (ToolChoice(allowed_tools=("get_weather",)), ["get_weather"], None, set()),
    ],
)
def test_functions(choice, offered, forced, fields):
    """Offered or not; one can be forced by its name."""
    call = asked(tools=(WEATHER, STOCK), tool_choice=choice)
    body = sent(call)
    names = [one["name"] for one in body["functions"]] if "functions" in body else None
    assert names == offered
    assert body.get("tool_choice", {}).get("function", {}).get("name") == forced
    assert reported(call) == fields
    if names and "get_weather" in names:
        assert body["functions"][0] == {
            "name": "get_weather",
            "description": "w",
            "parameters": {"type": "object"},
        }


def test_options_of_callers():
    """They stand beside the rest; what the adapter writes is refused."""
    call = asked(provider_options={"ernie": ProviderOptions('{"disable_search": true}')})
    assert sent(call)["disable_search"] is True
    for taken in ("messages", "system", "stream", "temperature", "functions"):
        refused(asked(provider_options={"ernie": ProviderOptions(json.dumps({taken: 1}))}))


# --- answers ---


def test_a_stream_with_a_call():
    """Its plan, its name and its arguments, under an id that is made; usage is the last total."""
    call = {"name": "f", "arguments": '{"a":', "thoughts": "hm"}
    result = outcome(
        event(result="", is_end=False, usage={"prompt_tokens": 5, "completion_tokens": 0, "total_tokens": 5}),
        event(result="", is_end=False, function_call=call),
        event(result="", is_end=True, function_call={"name": "f", "arguments": "1}"}, finish_reason="function_call",
              usage={"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}),
    )  # fmt: skip
    thought, made = contents(result)
    assert thought == Reasoning("hm", ReasoningKind.PLAN)
    assert (made.name, made.arguments_json) == ("f", '{"a":1}')
    assert made.id.startswith("call_")
    assert candidate(result).finish_reason is FinishReason.TOOL_CALLS
    assert result.answer.usage == Usage(5, 4, 9)
    assert (result.answer.response_id, result.answer.created_s) == ("as-1", 7)


def test_a_call_with_an_object():
    """Its arguments become a text; its plan is not told where nobody wants it."""
    call = {"name": "f", "arguments": {"a": 1}, "thoughts": "hm"}
    document = json.dumps({"id": "as-1", "result": "", "function_call": call}).encode()
    silent = asked(generation=Generation(reasoning=ReasoningConfig(include=False)))
    (made,) = contents(outcome(document, call=silent, headers={}))
    assert made.arguments_json == '{"a":1}'


@pytest.mark.parametrize(
    ("told", "reason", "raw"),
    [
        ({"finish_reason": "normal"}, FinishReason.STOP, "normal"),
        ({"finish_reason": "stop"}, FinishReason.STOP, "stop"),
        ({"finish_reason": "length", "is_truncated": True}, FinishReason.MAX_TOKENS, "length"),
        ({"finish_reason": "content_filter"}, FinishReason.CONTENT_FILTER, "content_filter"),
        ({"finish_reason": "odd"}, FinishReason.OTHER, "odd"),
        ({"is_truncated": True}, FinishReason.MAX_TOKENS, ""),
        ({}, FinishReason.STOP, ""),
    ],
)
def test_finishes(told, reason, raw):
    """By word; older models only say whether the text was cut."""
    for result in (whole(result="a", **told), outcome(event(result="a", is_end=True, **told))):
        found = candidate(result)
        assert (found.finish_reason, found.finish_reason_raw) == (reason, raw)


def test_ratings_and_citations():
    """A history to be cleared with its round; pages that a search found, each once."""
    pages = {"search_results": [{"index": 1, "url": "https://a.example", "title": "T"}, 5]}
    result = outcome(
        event(result="a", is_end=False, search_info=pages, need_clear_history=True, ban_round=2, flag=3),
        event(result="b", is_end=True, search_info=pages, finish_reason="content_filter"),
    )
    found = candidate(result)
    assert found.parts[0].citations == (Citation(url="https://a.example", title="T", document_id="1"),)
    assert found.safety == (
        SafetyRating("flag", "3", True, "ban_round 2"),
        SafetyRating("need_clear_history", explanation="ban_round 2"),
    )


def test_a_stream_that_does_not_end():
    """A finish reason is no end, and nor is [DONE]."""
    for pieces in ((event(result="a", finish_reason="normal"),), (event(result="a"), b"data: [DONE]\n\n")):
        assert outcome(*pieces).error.reason in (Reason.UPSTREAM_TRUNCATED, Reason.UPSTREAM_BAD_RESPONSE)
    assert outcome(event(result="a", is_end=True), end=False).error is None


@pytest.mark.parametrize("document", [{}, {"result": None}, {"usage": {}}])
def test_a_document_without_an_answer(document):
    """It is no answer."""
    assert whole(**document).error.reason is Reason.UPSTREAM_BAD_RESPONSE


ERRORS = [
    (1, "Unknown error", Reason.UPSTREAM_ERROR),
    (2, "Service temporarily unavailable", Reason.UPSTREAM_UNAVAILABLE),
    (3, "Unsupported openapi method", Reason.UPSTREAM_MODEL_NOT_FOUND),
    (4, "Open api request limit reached", Reason.UPSTREAM_RATE_LIMITED),
    (6, "No permission to access data", Reason.UPSTREAM_PERMISSION_DENIED),
    (13, "Get service token failed", Reason.UPSTREAM_CREDENTIALS_INVALID),
    (14, "IAM Certification failed", Reason.UPSTREAM_CREDENTIALS_INVALID),
    (17, "Open api daily request limit reached", Reason.UPSTREAM_QUOTA_EXHAUSTED),
    (18, "Open api qps request limit reached", Reason.UPSTREAM_RATE_LIMITED),
    (19, "Open api total request limit reached", Reason.UPSTREAM_QUOTA_EXHAUSTED),
    (100, "Invalid parameter", Reason.UPSTREAM_CREDENTIALS_INVALID),
    (110, "Access token invalid or no longer valid", Reason.UPSTREAM_CREDENTIALS_INVALID),
    (111, "Access token expired", Reason.UPSTREAM_CREDENTIALS_INVALID),
    (336000, "Internal error", Reason.UPSTREAM_ERROR),
    (336001, "Invalid Argument", Reason.UPSTREAM_REJECTED),
    (336002, "Invalid JSON", Reason.UPSTREAM_REJECTED),
    (336003, "the length of messages must be an odd number", Reason.UPSTREAM_REJECTED),
    (336003, "the max length of current question is 4800", Reason.CONTEXT_LENGTH_EXCEEDED),
    (336003, "message content is unsafe", Reason.CONTENT_BLOCKED),
    (336004, "Permission error", Reason.UPSTREAM_PERMISSION_DENIED),
    (336005, "API name not exist", Reason.UPSTREAM_MODEL_NOT_FOUND),
    (336007, "the max input characters is 11200", Reason.CONTEXT_LENGTH_EXCEEDED),
    (336100, "try again", Reason.UPSTREAM_OVERLOADED),
    (336501, "Rate limit reached for RPM", Reason.UPSTREAM_RATE_LIMITED),
    (336502, "Rate limit reached for TPM", Reason.UPSTREAM_RATE_LIMITED),
    (999999, "who knows", Reason.UPSTREAM_ERROR),
]


@pytest.mark.parametrize(("code", "message", "reason"), ERRORS)
def test_errors(code, message, reason):
    """Under 200 in place of an answer, behind content as an event and as a bare line, and under a status."""
    words = {"error_code": code, "error_msg": message, "id": "as-e"}
    bare = json.dumps(words).encode()
    instead = outcome(bare, headers={}).error
    assert instead.reason is reason
    said_so = instead.upstream
    assert (said_so.http_status, said_so.code, said_so.message) == (200, str(code), message)
    assert not said_so.in_stream
    assert said_so.retryable is (True if code in (110, 111) else None)
    for told in (b"data: " + bare + b"\n\n", bare + b"\n", bare):
        broken = outcome(event(result="a", is_end=False), told)
        assert (broken.error.reason, broken.error.upstream.code) == (reason, str(code))
        assert broken.error.upstream.in_stream
        assert contents(broken) == [Text("a")]
    if code != 999999:
        assert adapter().refusal(400, {}, bare).reason is reason


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (401, b'{"error": {"code": "invalid_iam_token", "message": "x"}, "id": "as-2"}',
         Reason.UPSTREAM_CREDENTIALS_INVALID),
        (429, b"{}", Reason.UPSTREAM_RATE_LIMITED),
        (502, b"<html>", Reason.UPSTREAM_UNAVAILABLE),
        (404, b'{"error_code": 0}', Reason.UPSTREAM_MODEL_NOT_FOUND),
    ],
)  # fmt: skip
def test_refusals(status, body, reason):
    """A gateway's forms; the status counts where no code does."""
    error = adapter().refusal(status, {"x-bce-request-id": "b-1"}, body)
    assert (error.reason, error.upstream.http_status, error.upstream.request_id) == (reason, status, "b-1")


def test_errors_of_the_newer_interface():
    """An error object under 200 is an error too."""
    assert whole(error={"code": "336100", "message": "x", "type": "overloaded"}).error.reason is (
        Reason.UPSTREAM_OVERLOADED
    )


async def test_keys_and_tokens_end_to_end():
    """Fetched with the first call, renewed when the model says that it expired; the caller hears of neither."""
    answer = stream_reply(
        event(result="好", is_end=False), event(result="", is_end=True, finish_reason="normal")
    )
    expired = json_reply({"error_code": 111, "error_msg": "Access token expired"})
    tokens = []

    def reply(request):
        query = parse_qs(urlsplit(request.path).query)
        if request.path.startswith("/oauth/"):
            assert query["client_secret"] == ["s-k"]
            tokens.append(f"24.token{len(tokens)}")
            return json_reply({"access_token": tokens[-1], "expires_in": 2592000})
        return expired if query["access_token"] == ["24.token0"] else answer

    async with Provider() as provider:
        provider.handler = reply
        written = {
            "provider": "ernie", "url": f"{provider.url}/w", "credentials": {
                "type": "baidu", "api_key": {"env": "AK"}, "secret_key": {"env": "SK"},
                "token_url": f"{provider.url}/oauth/2.0/token",
            },
        }  # fmt: skip
        backend = schema.Backend.model_validate(written)
        secrets = {"AK": "a-k", "SK": "s-k"}
        upstream = build_upstream("b", backend, lambda ref: Secret(secrets[ref.env]), SystemClock())
        async with upstream.open(attempt(asked("好"))) as told:
            found = folded([one async for batch in told for one in batch])
        await upstream.close()
    assert [part.content for part in found.candidates[0].parts] == [Text("好")]
    assert tokens == ["24.token0", "24.token1"]
    assert [urlsplit(one.path).path for one in provider.requests] == [
        "/oauth/2.0/token", "/w/chat/upstream-model", "/oauth/2.0/token", "/w/chat/upstream-model",
    ]  # fmt: skip
