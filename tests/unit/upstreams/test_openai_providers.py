"""Providers that speak the dialect with words of their own, beyond what is recorded of them."""

from __future__ import annotations

import json
import re

import pytest

from pointsman_server.config import schema
from pointsman_server.domain import (
    Citation,
    Finished,
    FinishReason,
    Generation,
    JsonSchema,
    Media,
    MediaDetail,
    MediaKind,
    Part,
    ProviderOptions,
    Reasoning,
    ReasoningConfig,
    ReasoningEffort,
    ReasoningMode,
    Role,
    SafetyRating,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
    ToolResult,
)
from pointsman_server.errors import Reason
from pointsman_server.upstreams.dialects.openai import profiles
from pointsman_server.upstreams.dialects.openai.adapter import OpenAIAdapter
from pointsman_server.upstreams.registry import PROVIDERS
from pointsman_server.upstreams.translation.support import unsupported
from tests.conformance.result import decode
from tests.unit.upstreams.calls import adapter, asked, attempt, body, said, settings

SSE = {"content-type": "text/event-stream"}
DONE = b"data: [DONE]\n\n"
WEATHER, STOCK = Tool("get_weather"), Tool("get_stock")


def event(document):
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def chunk(delta=None, finish=None, *, index=0, top=None, **choice):
    share = {"index": index, "finish_reason": finish, **choice}
    if delta is not None:
        share["delta"] = delta
    return event({"id": "c1", "model": "m1", "choices": [share], **(top or {})})


def outcome(profile, *pieces, call=None, end=True, headers=SSE):
    return decode(adapter(profile).decoder(attempt(call), 200, headers), pieces, end=end)


def whole(profile, document):
    return outcome(profile, json.dumps(document).encode(), headers={})


def refusal(profile, status, document, **headers):
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return adapter(profile).refusal(status, names, raw)


def candidate(result):
    assert result.error is None
    return result.answer.candidates[0]


def reported(profile, call, model="m"):
    return {warning.field for warning in unsupported(call, profile, model)}


# --- Azure ---

AZURE = profiles.AZURE_OPENAI
SAFE = {"hate": {"filtered": False, "severity": "safe"}}
BLOCKED = {"hate": {"filtered": True, "severity": "high"}}


@pytest.mark.parametrize(
    ("url", "version", "wanted"),
    [
        ("https://r.example", "2024-10-21", "/openai/deployments/a%2Fb/chat/completions?api-version=2024-10-21"),
        ("https://r.example/openai", "2025-04-01-preview",
         "/openai/deployments/a%2Fb/chat/completions?api-version=2025-04-01-preview"),
        ("https://r.example/openai/deployments", "2024-10-21",
         "/openai/deployments/a%2Fb/chat/completions?api-version=2024-10-21"),
        ("https://r.example", "", "/openai/v1/chat/completions"),
        ("https://r.example/openai/v1", "v1", "/openai/v1/chat/completions"),
        ("https://r.example/openai/v1", "preview", "/openai/v1/chat/completions?api-version=preview"),
    ],
)  # fmt: skip
def test_azure_addresses(url, version, wanted):
    """Deployments under a dated version, the v1 surface under any other; a model's name cannot leave its segment."""
    made = OpenAIAdapter(AZURE, settings(url, provider="azure_openai", api_version=version))
    deployed = attempt()
    object.__setattr__(deployed, "target", type(deployed.target)("backend", "azure_openai", "a/b"))
    request = made.request(deployed)
    assert request.url == f"https://r.example{wanted}"
    assert json.loads(request.body)["model"] == "a/b"


def test_azure_ratings():
    """Of the prompt and of the answer, the gravest of each category; lists, detections and errors among them."""
    results = {
        **SAFE, "jailbreak": {"detected": True, "filtered": False}, "profanity": {"detected": False, "filtered": False},
        "error": {"code": "content_filter_error", "message": "x"}, "odd": 7,
    }  # fmt: skip
    prompt = event({"id": "", "model": "", "choices": [], "prompt_filter_results": [
        {"prompt_index": 0, "content_filter_results": results}, 5,
    ]})  # fmt: skip
    result = candidate(
        outcome(
            AZURE,
            prompt,
            chunk({"content": "a"}, content_filter_results=SAFE),
            chunk({"content": "b"}, content_filter_results={"hate": {"filtered": False, "severity": "low"}}),
            chunk({"content": "c"}, content_filter_results=SAFE),
            chunk({}, "stop", content_filter_results={}),
            DONE,
        )
    )
    assert [part.content for part in result.parts] == [Text("abc")]
    assert result.safety == (
        SafetyRating("hate", "safe", explanation="of the prompt"),
        SafetyRating("jailbreak", "detected", explanation="of the prompt"),
        SafetyRating("profanity", explanation="of the prompt"),
        SafetyRating("hate", "low"),
    )


def test_azure_judges_behind_the_finish():
    """An asynchronous filter: its chunks have no delta, and the last of them comes behind the finish reason."""
    late = chunk(None, None, content_filter_results=BLOCKED, content_filter_offsets={"check_offset": 3})
    told = (chunk({"content": "a"}), chunk({}, "stop"), late)
    for end in ((DONE,), ()):
        result = candidate(outcome(AZURE, *told, *end))
        assert result.finish_reason is FinishReason.STOP
        assert result.safety == (SafetyRating("hate", "high", blocked=True),)
    verdict = chunk(None, "content_filter", content_filter_results=BLOCKED)
    assert candidate(outcome(AZURE, *told, verdict, DONE)).finish_reason is FinishReason.CONTENT_FILTER


def test_azure_holds_a_finish_back_no_longer_than_its_stream():
    """It is told with the end signal, once, and not at all when the stream breaks off."""
    decoder = adapter(AZURE).decoder(attempt(), 200, SSE)
    decoder.feed(chunk({"content": "a"}) + chunk({}, "stop"))
    assert [type(one) for one in decoder.feed(DONE)] == [Finished]
    assert decoder.ended
    assert decoder.close() == []
    broken = outcome(AZURE, chunk({"content": "a"}), chunk({}, "stop"), end=False)
    assert broken.error.reason is Reason.UPSTREAM_TRUNCATED


def test_azure_blocks_an_answer():
    """In mid-stream: what came stays, the reason tells."""
    result = candidate(
        outcome(
            AZURE, chunk({"content": "a"}), chunk({}, "content_filter", content_filter_results=BLOCKED), DONE
        )
    )
    assert result.finish_reason is FinishReason.CONTENT_FILTER
    assert result.safety[0].blocked


@pytest.mark.parametrize(
    ("status", "document", "reason", "code"),
    [
        (401, {"statusCode": 401, "message": "Access denied due to invalid subscription key."},
         Reason.UPSTREAM_CREDENTIALS_INVALID, ""),
        (401, {"error": {"code": "PermissionDenied", "message": "The principal lacks the required data action"}},
         Reason.UPSTREAM_PERMISSION_DENIED, "PermissionDenied"),
        (403, {"error": {"code": "AccessDenied", "message": "Virtual Network/Firewall rules."}},
         Reason.UPSTREAM_PERMISSION_DENIED, "AccessDenied"),
        (429, {"statusCode": 429, "message": "Rate limit is exceeded. Try again in 4 seconds."},
         Reason.UPSTREAM_RATE_LIMITED, ""),
        (429, {"error": {"code": "NoCapacity", "message": "The system is experiencing high demand"}},
         Reason.UPSTREAM_OVERLOADED, "NoCapacity"),
        (400, {"error": {"code": "content_filter", "param": "prompt", "message": "filtered",
                         "innererror": {"code": "ResponsibleAIPolicyViolation"}}}, Reason.CONTENT_BLOCKED,
         "content_filter"),
        (400, {"error": {"code": "invalid_prompt", "type": "invalid_request_error", "message": "flagged"}},
         Reason.CONTENT_BLOCKED, "invalid_prompt"),
        (400, {"error": {"code": "OperationNotSupported", "message": "not with the specified model"}},
         Reason.UPSTREAM_REJECTED, "OperationNotSupported"),
        (500, {"error": {"code": "InternalServerError", "message": "x"}}, Reason.UPSTREAM_ERROR,
         "InternalServerError"),
        (503, {"error": {"code": "InternalServerError", "message": "Backend returned unexpected response"}},
         Reason.UPSTREAM_UNAVAILABLE, "InternalServerError"),
        (408, {"error": {"code": "Timeout", "message": "The operation was timeout."}}, Reason.UPSTREAM_TIMEOUT,
         "Timeout"),
    ],
)  # fmt: skip
def test_azure_refusals(status, document, reason, code):
    """Of the service and of the gateway in front of it, which tells no error object."""
    found = refusal(AZURE, status, document, apim_request_id="ap-1", x_request_id="x-1")
    assert (found.reason, found.upstream.code, found.upstream.request_id) == (reason, code, "ap-1")


# --- Mistral ---

MISTRAL = profiles.MISTRAL


def test_mistral_ids_of_calls():
    """Nine letters and digits: those that are kept, others are mapped, the same way wherever they stand."""
    call = asked(
        "hi",
        said(ToolCall("call_1", "get_weather", "{}"), ToolCall("Ab3dE6gH9", "get_stock", "{}"), role=Role.ASSISTANT),
        said(ToolResult("Ab3dE6gH9", "", (Part(Text("2")),)), ToolResult("call_1", "", (Part(Text("1")),)),
             role=Role.TOOL),
        tools=(WEATHER, STOCK),
    )  # fmt: skip
    _, made, stock, weather = body(MISTRAL, call)["messages"]
    first, second = (one["id"] for one in made["tool_calls"])
    assert second == "Ab3dE6gH9"
    assert re.fullmatch("[A-Za-z0-9]{9}", first)
    assert (weather["tool_call_id"], stock["tool_call_id"]) == (first, second)
    assert (weather["name"], stock["name"]) == ("get_weather", "get_stock")
    assert "content" not in made
    assert body(MISTRAL, call) == body(MISTRAL, call)
    others = {body(MISTRAL, asked("x", said(ToolCall(f"id-{n}", "a", "{}"), role=Role.ASSISTANT)))["messages"][1]
              ["tool_calls"][0]["id"] for n in range(50)}  # fmt: skip
    assert len(others) == 50


def test_mistral_takes_reasoning_back():
    """Among the pieces of a content, with the signature that was its own."""
    origin = "openai:upstream-model"
    turn = said(
        Part(Reasoning("hm"), signature=b"sig", origin=origin),
        Part(Reasoning("ah"), signature=b"other", origin="openai:another"),
        "4",
        role=Role.ASSISTANT,
    )
    call = asked("2+2?", turn, "sure?")
    assert body(MISTRAL, call)["messages"][1]["content"] == [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "signature": "sig"},
        {"type": "thinking", "thinking": [{"type": "text", "text": "ah"}]},
        {"type": "text", "text": "4"},
    ]
    assert reported(MISTRAL, call, "upstream-model") == {"conversation.messages[1].parts[1].signature"}
    plain = asked("2+2?", said("4", role=Role.ASSISTANT), "sure?")
    assert body(MISTRAL, plain)["messages"][1] == {"role": "assistant", "content": "4"}


def test_mistral_continues_a_beginning():
    """A last turn of the assistant is its prefix, any other is not."""
    turn = said("Once", role=Role.ASSISTANT)
    assert body(MISTRAL, asked("a", turn))["messages"][-1] == {
        "role": "assistant", "content": "Once", "prefix": True,
    }  # fmt: skip
    assert "prefix" not in body(MISTRAL, asked("a", turn, "b"))["messages"][1]


def test_mistral_media():
    """Addresses stand bare; how closely to look needs the object."""
    image = Media(MediaKind.IMAGE, url="https://a.example/x.png")
    close = Media(MediaKind.IMAGE, url="https://a.example/x.png", detail=MediaDetail.HIGH)
    sound = Media(MediaKind.AUDIO, data=b"x", media_type="audio/wav")
    heard = Media(MediaKind.AUDIO, url="https://a.example/x.mp3")
    file = Media(MediaKind.FILE, data=b"x", media_type="application/pdf", filename="a.pdf")
    assert body(MISTRAL, asked(said(image, close, sound, heard, file)))["messages"][0]["content"] == [
        {"type": "image_url", "image_url": "https://a.example/x.png"},
        {"type": "image_url", "image_url": {"url": "https://a.example/x.png", "detail": "high"}},
        {"type": "input_audio", "input_audio": "eA=="},
        {"type": "input_audio", "input_audio": "https://a.example/x.mp3"},
        {
            "type": "document_url",
            "document_url": "data:application/pdf;base64,eA==",
            "document_name": "a.pdf",
        },
    ]


@pytest.mark.parametrize(
    ("reasoning", "sent"),
    [
        (ReasoningConfig(mode=ReasoningMode.ENABLED), {"prompt_mode": "reasoning"}),
        (ReasoningConfig(mode=ReasoningMode.DISABLED), {"reasoning_effort": "none"}),
        (ReasoningConfig(effort=ReasoningEffort.HIGH), {"reasoning_effort": "high"}),
        (ReasoningConfig(mode=ReasoningMode.ENABLED, effort=ReasoningEffort.HIGH),
         {"prompt_mode": "reasoning", "reasoning_effort": "high"}),
    ],
)  # fmt: skip
def test_mistral_reasoning(reasoning, sent):
    """A mode of the prompt switches it on, an effort switches it off or bounds it."""
    call = asked(generation=Generation(reasoning=reasoning))
    found = body(MISTRAL, call)
    assert {name: found[name] for name in ("prompt_mode", "reasoning_effort") if name in found} == sent
    assert reported(MISTRAL, call) == set()


def test_mistral_contents_of_pieces():
    """Text, thinking and references take turns in one stream; a signature stays with the thinking."""
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "signature": "s1"}
    result = candidate(
        outcome(
            MISTRAL,
            chunk({"role": "assistant", "content": ""}),
            chunk({"content": [thinking]}),
            chunk({"content": [{"type": "text", "text": "4"}, {"type": "reference", "reference_ids": [3, "a"]}]}),
            chunk({"content": "!"}),
            chunk({"content": ""}, "stop", top={"usage": {"prompt_tokens": 1, "completion_tokens": 2}}),
            DONE,
        )
    )  # fmt: skip
    reasoning, text = result.parts
    assert (reasoning.content.text, reasoning.signature) == ("hm", b"s1")
    assert reasoning.origin == "openai:upstream-model"
    assert text.content == Text("4!")
    assert text.citations == (Citation(document_id="3"), Citation(document_id="a"))


def test_mistral_calls_with_objects():
    """Arguments may be an object, and calls come whole, all under one number."""
    calls = [
        {"id": f"aaaaaaaa{n}", "function": {"name": name, "arguments": arguments}, "index": 0}
        for n, (name, arguments) in enumerate([("a", {"x": 1}), ("b", '{"y": 2}')])
    ]
    result = candidate(outcome(MISTRAL, chunk({"content": "", "tool_calls": calls}, "tool_calls"), DONE))
    assert [json.loads(part.content.arguments_json) for part in result.parts] == [{"x": 1}, {"y": 2}]
    assert [part.content.name for part in result.parts] == ["a", "b"]


@pytest.mark.parametrize(
    ("status", "document", "headers", "reason", "message"),
    [
        (429, {"object": "error", "message": "Requests rate limit exceeded", "type": "rate_limited", "code": "1300"},
         {"x_ratelimit_limit_req_minute": "0"}, Reason.UPSTREAM_QUOTA_EXHAUSTED, "Requests rate limit exceeded"),
        (429, {"object": "error", "message": "Rate limit exceeded", "type": "rate_limited", "code": "1300"},
         {"x_ratelimit_limit_req_minute": "60", "retry_after": "3"}, Reason.UPSTREAM_RATE_LIMITED,
         "Rate limit exceeded"),
        (400, {"object": "error", "message": "Invalid model: x", "type": "invalid_model", "code": "1500"}, {},
         Reason.UPSTREAM_MODEL_NOT_FOUND, "Invalid model: x"),
        (400, {"object": "error", "message": "Prompt contains 40000 tokens, too large for model with 32768 maximum "
               "context length", "type": "invalid_request_prompt", "code": "3051"}, {},
         Reason.CONTEXT_LENGTH_EXCEEDED, None),
        (422, {"object": "error", "message": {"detail": [{"loc": ["body", "n"], "msg": "Field required"}]},
               "type": "invalid_request_error"}, {}, Reason.UPSTREAM_REJECTED, "Field required"),
        (404, {"detail": "Not Found"}, {}, Reason.UPSTREAM_MODEL_NOT_FOUND, "Not Found"),
        (503, b"upstream connect error", {}, Reason.UPSTREAM_UNAVAILABLE, ""),
    ],
)  # fmt: skip
def test_mistral_refusals(status, document, headers, reason, message):
    """In all the forms that its errors have."""
    found = refusal(MISTRAL, status, document, mistral_correlation_id="corr-1", **headers)
    assert (found.reason, found.upstream.request_id) == (reason, "corr-1")
    assert message is None or found.upstream.message == message


def test_mistral_names_nobody():
    """It takes no names of speakers, and says no more than that."""
    call = asked(said("hi", name="Ann"))
    assert body(MISTRAL, call)["messages"] == [{"role": "user", "content": "hi"}]
    assert reported(MISTRAL, call) == {"conversation.messages[0].name"}


# --- DashScope, compatible mode ---

DASHSCOPE = profiles.DASHSCOPE_COMPATIBLE


@pytest.mark.parametrize(
    ("choice", "tools", "sent", "fields"),
    [
        (ToolChoice(ToolChoiceMode.REQUIRED), (WEATHER,), "get_weather", set()),
        (ToolChoice(ToolChoiceMode.REQUIRED, ("get_stock",)), (WEATHER, STOCK), "get_stock", set()),
        (ToolChoice(ToolChoiceMode.REQUIRED), (WEATHER, STOCK), None, {"tool_choice.mode"}),
        (ToolChoice(ToolChoiceMode.REQUIRED, ("get_stock", "get_weather")), (WEATHER, STOCK), None,
         {"tool_choice.mode"}),
        (ToolChoice(ToolChoiceMode.AUTO), (WEATHER,), "auto", set()),
        (ToolChoice(ToolChoiceMode.NONE), (WEATHER,), "none", set()),
    ],
)  # fmt: skip
def test_dashscope_forces_single_tools_only(choice, tools, sent, fields):
    """It has no word for any tool at all."""
    call = asked(tools=tools, tool_choice=choice)
    found = body(DASHSCOPE, call).get("tool_choice")
    assert (found["function"]["name"] if isinstance(found, dict) else found) == sent
    assert reported(DASHSCOPE, call) == fields


@pytest.mark.parametrize(
    ("status", "code", "message", "reason"),
    [
        (429, "limit_requests", "You exceeded your current requests list.", Reason.UPSTREAM_RATE_LIMITED),
        (429, "insufficient_quota", "You exceeded your current quota.", Reason.UPSTREAM_RATE_LIMITED),
        (400, "Arrearage", "Access denied, please make sure your account is in good standing.",
         Reason.UPSTREAM_QUOTA_EXHAUSTED),
        (403, "AllocationQuota.FreeTierOnly", "The free tier is exhausted.", Reason.UPSTREAM_QUOTA_EXHAUSTED),
        (400, "data_inspection_failed", "Input data may contain inappropriate content.", Reason.CONTENT_BLOCKED),
        (400, "invalid_parameter_error", "<400> InternalError.Algo.InvalidParameter: Range of input length is 6000",
         Reason.CONTEXT_LENGTH_EXCEEDED),
        (500, "internal_error", "<400> InternalError.Algo.InvalidParameter: bad", Reason.UPSTREAM_REJECTED),
        (500, "internal_error", "<400> InternalError.Algo.DataInspectionFailed: bad", Reason.CONTENT_BLOCKED),
        (401, "invalid_api_key", "Incorrect API key provided.", Reason.UPSTREAM_CREDENTIALS_INVALID),
        (403, "access_denied", "Access denied.", Reason.UPSTREAM_PERMISSION_DENIED),
        (404, "model_not_found", "The model does not exist.", Reason.UPSTREAM_MODEL_NOT_FOUND),
        (503, "ServiceUnavailable", "x", Reason.UPSTREAM_UNAVAILABLE),
    ],
)  # fmt: skip
def test_dashscope_refusals(status, code, message, reason):
    """As a document, and as the text of an event stream, and in a stream under 200."""
    document = {"error": {"code": code, "message": message, "type": code, "param": None}, "request_id": "r-1"}
    text = f"id:1\nevent:error\n:HTTP_STATUS/{status}\ndata:{json.dumps(document)}\n\n".encode()
    for told in (document, text):
        found = refusal(DASHSCOPE, status, told)
        assert (found.reason, found.upstream.code, found.upstream.request_id) == (reason, code, "r-1")
        assert found.upstream.message == message
    broken = outcome(DASHSCOPE, chunk({"content": "a"}), event(document))
    assert broken.error.upstream.request_id == "r-1"
    assert folded_text(broken) == "a"
    assert broken.error.upstream.in_stream


def test_dashscope_tells_a_status_in_a_comment():
    """Of an error in a stream, flat or as an object."""
    words = {"code": "Odd", "message": "x", "request_id": "r-1"}
    for document in (words, {"error": words, "request_id": "r-1"}):
        told = f"event:error\n:HTTP_STATUS/503\ndata:{json.dumps(document)}\n\n".encode()
        error = outcome(DASHSCOPE, chunk({"content": "a"}), told).error
        assert error.reason is Reason.UPSTREAM_UNAVAILABLE
        assert (error.upstream.stream_status, error.upstream.request_id) == (503, "r-1")


def folded_text(result):
    return "".join(part.content.text for part in result.answer.candidates[0].parts)


def test_dashscope_headers():
    """A caller may name a workspace and an inspection, and no others."""
    options = ProviderOptions(headers={"X-DashScope-DataInspection": '{"input":"cip"}'})
    request = adapter(DASHSCOPE).request(attempt(asked(provider_options={"openai": options})))
    assert request.headers["x-dashscope-datainspection"] == '{"input":"cip"}'


# --- Qianfan ---

QIANFAN = profiles.QIANFAN


def test_qianfan_ratings():
    """A flag, its round and a history to be cleared; none for what is harmless."""
    answer = {"id": "as-1", "choices": [{"index": 0, "message": {"content": "x"}, "finish_reason": "normal",
              "flag": 2, "ban_round": 1}], "need_clear_history": True}  # fmt: skip
    result = candidate(whole(QIANFAN, answer))
    assert result.finish_reason is FinishReason.STOP
    assert result.finish_reason_raw == "normal"
    assert result.safety == (
        SafetyRating("need_clear_history"),
        SafetyRating("flag", "2", explanation="ban_round 1"),
    )
    streamed = candidate(
        outcome(
            QIANFAN,
            chunk({"content": "a"}, flag=0),
            chunk({"content": "b"}, flag=0),
            chunk({"content": "c"}, flag=4, ban_round=-1),
            chunk({"content": ""}, "content_filter", flag=0),
            DONE,
        )
    )
    assert [part.content for part in streamed.parts] == [Text("abc")]
    assert streamed.safety == (SafetyRating("flag", "4", blocked=True, explanation="ban_round -1"),)
    assert candidate(outcome(QIANFAN, chunk({"content": "a"}, "stop", flag=0), DONE)).safety == ()


@pytest.mark.parametrize(
    ("status", "code", "kind", "reason"),
    [
        (400, "malformed_json", "invalid_request_error", Reason.UPSTREAM_REJECTED),
        (400, "invalid_messages", "invalid_request_error", Reason.UPSTREAM_REJECTED),
        (401, "invalid_model", "invalid_request_error", Reason.UPSTREAM_MODEL_NOT_FOUND),
        (400, "characters_too_long", "invalid_request_error", Reason.CONTEXT_LENGTH_EXCEEDED),
        (400, "tokens_too_long", "invalid_request_error", Reason.CONTEXT_LENGTH_EXCEEDED),
        (401, "invalid_appid", "invalid_request_error", Reason.UPSTREAM_CREDENTIALS_INVALID),
        (401, "no_parameter_permission", "invalid_request_error", Reason.UPSTREAM_PERMISSION_DENIED),
        (403, "system_unsafe", "access_denied", Reason.CONTENT_BLOCKED),
        (405, "method_not_supported", "invalid_request_error", Reason.UPSTREAM_REJECTED),
        (429, "tpm_rate_limit_exceeded", "rate_limit_exceeded", Reason.UPSTREAM_RATE_LIMITED),
        (429, "cluster_rate_limit_exceeded", "rate_limit_exceeded", Reason.UPSTREAM_RATE_LIMITED),
        (500, "internal_error", "internal_error", Reason.UPSTREAM_ERROR),
        (500, "dispatch_internal_error", "internal_error", Reason.UPSTREAM_ERROR),
    ],
)  # fmt: skip
def test_qianfan_refusals(status, code, kind, reason):
    """With a status, and as the one document that answers a call for a stream under 200."""
    document = {"error": {"code": code, "message": "x", "type": kind}, "id": "as-1"}
    assert refusal(QIANFAN, status, document, x_bce_request_id="b-1").reason is reason
    told = whole(QIANFAN, document).error
    assert told.upstream.http_status == 200
    assert not told.upstream.in_stream
    if reason is not Reason.UPSTREAM_REJECTED and code != "internal_error":
        assert told.reason is reason


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (336100, Reason.UPSTREAM_OVERLOADED),
        (18, Reason.UPSTREAM_RATE_LIMITED),
        (111, Reason.UPSTREAM_CREDENTIALS_INVALID),
    ],
)
def test_qianfan_may_tell_the_older_numbers(code, reason):
    """Behind content, in place of an answer, and with a status."""
    document = {"error_code": code, "error_msg": "x", "id": "as-1"}
    for error in (
        outcome(QIANFAN, chunk({"content": "a"}), event(document)).error,
        whole(QIANFAN, document).error,
        refusal(QIANFAN, 400, document),
    ):
        assert (error.reason, error.upstream.code, error.upstream.message) == (reason, str(code), "x")


def test_qianfan_calls_may_share_an_id():
    """It is the tool's name: two calls stay two."""
    calls = [
        {"id": "f", "type": "function", "function": {"name": "f", "arguments": f'{{"n":{n}}}'}}
        for n in (1, 2)
    ]
    document = {"id": "as-1", "choices": [{"index": 0, "message": {"content": "", "tool_calls": calls}}]}
    parts = candidate(whole(QIANFAN, document)).parts
    assert [json.loads(part.content.arguments_json) for part in parts] == [{"n": 1}, {"n": 2}]


# --- Hugging Face ---

HUGGINGFACE = profiles.HUGGINGFACE


@pytest.mark.parametrize(
    ("status", "document", "reason", "wait_s"),
    [
        (503, {"error": "Model x is currently loading", "estimated_time": 20.0}, Reason.UPSTREAM_UNAVAILABLE, 20.0),
        (429, {"error": "Model is overloaded", "error_type": "overloaded"}, Reason.UPSTREAM_OVERLOADED, None),
        (429, {"error": "Rate limit reached"}, Reason.UPSTREAM_RATE_LIMITED, None),
        (422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 "
               "`inputs` tokens and 100 `max_new_tokens`", "error_type": "validation"},
         Reason.CONTEXT_LENGTH_EXCEEDED, None),
        (422, {"error": "`temperature` must be strictly positive", "error_type": "validation"},
         Reason.UPSTREAM_REJECTED, None),
        (424, {"error": "Request failed during generation", "error_type": "generation"}, Reason.UPSTREAM_ERROR, None),
        (500, {"error": "Incomplete generation", "error_type": "incomplete_generation"}, Reason.UPSTREAM_ERROR, None),
        (503, {"error": "unhealthy", "error_type": "unhealthy"}, Reason.UPSTREAM_UNAVAILABLE, None),
        (400, {"error": ["Error in `parameters.seed`: a", "b"]}, Reason.UPSTREAM_REJECTED, None),
        (401, {"error": "Invalid username or password."}, Reason.UPSTREAM_CREDENTIALS_INVALID, None),
        (400, {"error": {"message": "The requested model 'x' does not exist", "code": "model_not_found"}},
         Reason.UPSTREAM_MODEL_NOT_FOUND, None),
    ],
)  # fmt: skip
def test_huggingface_refusals(status, document, reason, wait_s):
    """Of the router and of TGI."""
    found = refusal(HUGGINGFACE, status, document)
    assert (found.reason, found.retry_after_s) == (reason, wait_s)


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("", {"type": "json_schema", "json_schema": {"name": "city", "schema": {"type": "object"}}}),
        ("https://router.huggingface.co/v1",
         {"type": "json_schema", "json_schema": {"name": "city", "schema": {"type": "object"}}}),
        ("http://tgi.internal.example:8080/v1", {"type": "json_object", "value": {"type": "object"}}),
    ],
)  # fmt: skip
def test_huggingface_takes_a_schema_as_its_address_does(url, wanted):
    """The router as OpenAI does, TGI's own route as the value of a JSON object."""
    backend = schema.Backend(provider="huggingface", url=url)
    profile = PROVIDERS["huggingface"].profile_of(backend)
    call = asked(said("Oulu?"), output_format=JsonSchema("city", '{"type": "object"}'))
    assert body(profile, call)["response_format"] == wanted


def test_huggingface_breaks_off_in_words():
    """An error as text in a stream ends it; what came before stays."""
    told = event({"error": "Request failed during generation: out of memory", "error_type": "generation"})
    result = outcome(HUGGINGFACE, chunk({"role": "assistant", "content": "He"}), told)
    assert result.error.reason is Reason.UPSTREAM_ERROR
    assert result.error.upstream.type == "generation"
    assert folded_text(result) == "He"


@pytest.mark.parametrize("word", ["eos_token", "stop_sequence", "stop"])
def test_huggingface_finishes(word):
    """TGI's own words for the same end."""
    assert (
        candidate(outcome(HUGGINGFACE, chunk({"content": "x"}, word), DONE)).finish_reason
        is FinishReason.STOP
    )


@pytest.mark.parametrize(
    "profile", [AZURE, MISTRAL, DASHSCOPE, QIANFAN, HUGGINGFACE], ids=lambda one: one.provider
)
def test_streamed_calls_interleave(profile):
    """By number, with later ids that say nothing."""
    first = [{"index": n, "id": f"id{n}", "type": "function", "function": {"name": f"f{n}", "arguments": ""}}
             for n in (0, 1)]  # fmt: skip
    later = [chunk({"tool_calls": [{"index": n, "id": "", "function": {"arguments": piece}}]})
             for n, piece in ((1, '{"b"'), (0, '{"a"'), (0, ":1}"), (1, ":2}"))]  # fmt: skip
    result = candidate(outcome(profile, chunk({"tool_calls": first}), *later, chunk({}, "stop"), DONE))
    assert [(part.content.id, part.content.arguments_json) for part in result.parts] == [
        ("id0", '{"a":1}'), ("id1", '{"b":2}'),
    ]  # fmt: skip
    assert result.finish_reason is FinishReason.TOOL_CALLS


@pytest.mark.parametrize(
    "profile", [AZURE, MISTRAL, DASHSCOPE, QIANFAN, HUGGINGFACE], ids=lambda one: one.provider
)
def test_an_error_in_a_stream(profile):
    """Behind content it ends the stream, whatever comes after it."""
    told = event({"error": {"message": "overloaded", "type": "overloaded_error", "code": None}})
    result = outcome(profile, chunk({"content": "a"}), told, DONE)
    assert result.error.reason is Reason.UPSTREAM_OVERLOADED
    assert folded_text(result) == "a"
