"""DashScope's own interface, beyond what is recorded of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pointsman_server.domain import (
    Citation,
    FinishReason,
    Generation,
    JsonSchema,
    Media,
    MediaDetail,
    MediaKind,
    Part,
    ProviderOptions,
    ProviderPart,
    Reasoning,
    ReasoningConfig,
    ReasoningMode,
    Refusal,
    Role,
    Text,
    TokenIds,
    TokenLogprob,
    Tool,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
    ToolResult,
    Usage,
)
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.upstreams.dialects.dashscope.adapter import DashScopeAdapter
from pointsman_server.upstreams.dialects.dashscope.profiles import DASHSCOPE
from pointsman_server.upstreams.translation.support import INELIGIBLE_CODES, unsupported
from tests.conformance.result import decode
from tests.unit.upstreams.calls import asked, attempt, said, settings

SSE = {"content-type": "text/event-stream;charset=UTF-8", "x-request-id": "r-0"}
TEXT_PATH = "/services/aigc/text-generation/generation"
MEDIA_PATH = "/services/aigc/multimodal-generation/generation"
WEATHER, STOCK = Tool("get_weather"), Tool("get_stock")


def adapter(**dashscope):
    return DashScopeAdapter(
        DASHSCOPE, settings("http://b.example/api/v1", provider="dashscope", dashscope=dashscope)
    )


def request(call, *, stream=False, **dashscope):
    made = adapter(**dashscope).request(attempt(call, stream=stream))
    return made.url.removeprefix("http://b.example/api/v1"), made.headers, json.loads(made.body)


def sent(call, **more):
    return request(call, **more)[2]


def options(body, **headers):
    return {"dashscope": ProviderOptions(json.dumps(body), headers)}


def reported(call):
    return {warning.field for warning in unsupported(call, DASHSCOPE, "m")}


def event(output=None, *, status=200, name="result", number=1, **more):
    """An event as it is framed there."""
    document = {"output": output, "request_id": "r-1", **more} if output is not None else more
    return f"id:{number}\nevent:{name}\n:HTTP_STATUS/{status}\ndata:{json.dumps(document)}\n\n".encode()


def chunk(message=None, finish="null", *, usage=None, **choice):
    share = {
        "message": {"role": "assistant", "content": "", **(message or {})},
        "finish_reason": finish,
        **choice,
    }
    return event({"choices": [share]}, usage=usage or {})


def outcome(*pieces, call=None, headers=SSE, end=True):
    decoder = adapter().decoder(attempt(call), 200, headers)
    return decode(decoder, pieces, end=end)


def whole(document, call=None):
    return outcome(json.dumps(document).encode(), call=call, headers={"content-type": "application/json"})


def first(result):
    assert result.error is None
    return result.answer.candidates[0]


def contents(result):
    return [part.content for part in result.answer.candidates[0].parts]


# --- requests ---


def test_a_text_call():
    """Messages under input, the rest under parameters; several texts of a turn are one."""
    call = asked(
        said("a", role=Role.SYSTEM), said("b", role=Role.DEVELOPER), said("c", "d"),
        said(Part(Reasoning("hm")), "e", Refusal("no"), role=Role.ASSISTANT), "f",
        generation=Generation(n=2, top_logprobs=3, stop_sequences=("x", "y"), repetition_penalty=1.1, temperature=0.5),
        output_format=JsonSchema("n", '{"type":"object"}', True),
    )  # fmt: skip
    path, headers, body = request(call)
    assert path == TEXT_PATH
    assert "x-dashscope-sse" not in headers
    assert body == {
        "model": "upstream-model",
        "input": {
            "messages": [
                {"role": "system", "content": "a"},
                {"role": "system", "content": "b"},
                {"role": "user", "content": "cd"},
                {"role": "assistant", "content": "eno", "reasoning_content": "hm"},
                {"role": "user", "content": "f"},
            ]
        },
        "parameters": {
            "result_format": "message",
            "n": 2,
            "logprobs": True,
            "top_logprobs": 3,
            "stop": ["x", "y"],
            "repetition_penalty": 1.1,
            "temperature": 0.5,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True},
            },
        },
    }
    assert reported(call) == set()


def test_a_stream():
    """It is asked for in the headers, in increments, unless the caller wants the whole so far each time."""
    _, headers, body = request(asked(), stream=True)
    assert (headers["x-dashscope-sse"], headers["accept"]) == ("enable", "text/event-stream")
    assert body["parameters"]["incremental_output"] is True
    whole_so_far = asked(provider_options=options({"incremental_output": False}))
    assert sent(whole_so_far, stream=True)["parameters"]["incremental_output"] is False


def test_media():
    """Another address, pieces without a type, no format; everything by URL or inline."""
    image = Media(MediaKind.IMAGE, url="https://a.example/x.png")
    inline = Media(MediaKind.IMAGE, data=b"x", media_type="image/png")
    data = Media(MediaKind.IMAGE, url="data:image/gif;base64,eA==")
    sound = Media(MediaKind.AUDIO, url="https://a.example/x.mp3")
    video = ProviderPart("dashscope", '{"video": "https://a.example/x.mp4"}')
    path, _, body = request(
        asked(said("sys", role=Role.SYSTEM), said(image, inline, data, sound, video, "what?"))
    )
    assert path == MEDIA_PATH
    assert body["parameters"] == {}
    assert body["input"]["messages"] == [
        {"role": "system", "content": [{"text": "sys"}]},
        {
            "role": "user",
            "content": [
                {"image": "https://a.example/x.png"},
                {"image": "data:image/png;base64,eA=="},
                {"image": "data:image/gif;base64,eA=="},
                {"audio": "https://a.example/x.mp3"},
                {"video": "https://a.example/x.mp4"},
                {"text": "what?"},
            ],
        },
    ]


def test_models_that_answer_in_one_place_only():
    """The configuration says so, for calls of text as well."""
    assert request(asked())[0] == TEXT_PATH
    path, _, body = request(asked(), interface="multimodal", stream=True)
    assert path == MEDIA_PATH
    assert body["input"]["messages"] == [{"role": "user", "content": [{"text": "hi"}]}]
    assert body["parameters"] == {"incremental_output": True}


def test_private_addresses_do_not_travel_in_parts_and_options():
    """Nor in what only this provider knows."""
    part = asked(said(ProviderPart("dashscope", '{"video": "http://169.254.169.254/x.mp4"}')))
    option = asked(provider_options=options({"search_options": {"url": "http://localhost/x"}}))
    for call in (part, option):
        with pytest.raises(ServiceError) as raised:
            request(call)
        assert raised.value.reason is Reason.INVALID_REQUEST


def test_parts_of_others_do_not_lead_elsewhere():
    """What another dialect or model left in the history is dropped, and the call stays one of text."""
    theirs = said(
        Part(ProviderPart("other", '{"a":1}')), Part(ProviderPart("dashscope", '{"b":1}'), origin="dashscope:old"),
        "x", role=Role.ASSISTANT,
    )  # fmt: skip
    path, _, body = request(asked("a", theirs, "b"))
    assert path == TEXT_PATH
    assert body["input"]["messages"][1] == {"role": "assistant", "content": "x"}


@pytest.mark.parametrize(
    "media",
    [
        Media(MediaKind.IMAGE, url="http://169.254.169.254/x"),
        Media(MediaKind.IMAGE, url="http://localhost/x"),
        Media(MediaKind.IMAGE, url="data:image/png;base64,%%%"),
        Media(MediaKind.FILE, data=b"x", media_type="application/pdf"),
    ],
)
def test_media_that_is_not_sent(media):
    """Private addresses, broken data, and kinds that it does not take."""
    with pytest.raises(ServiceError) as raised:
        request(asked(said(media)))
    assert raised.value.reason is Reason.INVALID_REQUEST


def test_what_is_reported():
    """And not sent: names, details, fields that it has no word for."""
    image = Media(MediaKind.IMAGE, url="https://a.example/x.png", detail=MediaDetail.HIGH)
    call = asked(
        said("hi", image, name="Ann"), generation=Generation(frequency_penalty=1.0, min_p=0.1), end_user_id="u",
        provider_metadata={"a": "b"},
    )  # fmt: skip
    assert reported(call) == {
        "conversation.messages[0].name", "conversation.messages[0].parts[1].image.detail", "end_user_id",
        "generation.frequency_penalty", "generation.min_p", "provider_metadata",
    }  # fmt: skip
    assert "Ann" not in json.dumps(sent(call))
    file = asked(said(Media(MediaKind.FILE, data=b"x", media_type="application/pdf")))
    assert unsupported(file, DASHSCOPE)[0].code in INELIGIBLE_CODES
    with pytest.raises(ServiceError):
        request(replace(asked(), input=TokenIds((1,))))


@pytest.mark.parametrize(
    ("choice", "tools", "offered", "wire", "fields"),
    [
        (None, (WEATHER, STOCK), ["get_weather", "get_stock"], None, set()),
        (ToolChoice(ToolChoiceMode.AUTO), (WEATHER,), ["get_weather"], "auto", set()),
        (ToolChoice(ToolChoiceMode.NONE), (WEATHER,), ["get_weather"], "none", set()),
        (ToolChoice(ToolChoiceMode.REQUIRED, ("get_stock",)), (WEATHER, STOCK), ["get_weather", "get_stock"],
         "get_stock", set()),
        (ToolChoice(ToolChoiceMode.REQUIRED), (WEATHER,), ["get_weather"], "get_weather", set()),
        (ToolChoice(ToolChoiceMode.REQUIRED), (WEATHER, STOCK), ["get_weather", "get_stock"], None,
         {"tool_choice.mode"}),
        (ToolChoice(ToolChoiceMode.AUTO, ("get_stock",)), (WEATHER, STOCK), ["get_stock"], "auto", set()),
    ],
)  # fmt: skip
def test_tool_choice(choice, tools, offered, wire, fields):
    """By word or by name; a subset is what is offered."""
    call = asked(tools=tools, tool_choice=choice)
    parameters = sent(call)["parameters"]
    assert [tool["function"]["name"] for tool in parameters["tools"]] == offered
    found = parameters.get("tool_choice")
    assert (found["function"]["name"] if isinstance(found, dict) else found) == wire
    assert reported(call) == fields


def test_results_of_tools():
    """Behind their calls, in the caller's order, with the tool's name from the history, and failures in words."""
    call = asked(
        "?",
        said(ToolCall("1", "get_weather", '{"a":1}'), ToolCall("2", "get_stock", ""), role=Role.ASSISTANT),
        said(
            ToolResult("2", "", (Part(Text("x")), Part(Text("y")))), ToolResult("1", "own", (), is_error=True),
            role=Role.TOOL,
        ),
        tools=(WEATHER, STOCK),
    )  # fmt: skip
    messages = sent(call)["input"]["messages"][1:]
    assert messages == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": '{"a":1}'}},
                {"id": "2", "type": "function", "function": {"name": "get_stock", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "2", "content": "xy", "name": "get_stock"},
        {"role": "tool", "tool_call_id": "1", "content": "Error: the tool failed", "name": "own"},
    ]


def test_thinking():
    """On, off, and its budget."""
    config = ReasoningConfig(mode=ReasoningMode.ENABLED, budget_tokens=50)
    parameters = sent(asked(generation=Generation(reasoning=config)))["parameters"]
    assert (parameters["enable_thinking"], parameters["thinking_budget"]) == (True, 50)
    off = asked(generation=Generation(reasoning=ReasoningConfig(mode=ReasoningMode.DISABLED)))
    assert sent(off)["parameters"]["enable_thinking"] is False


@pytest.mark.parametrize("nested", [False, True])
def test_options_of_callers(nested):
    """They join the parameters, however they are written, as do tools; what the adapter writes is refused."""
    body = {"enable_search": True, "search_options": {"forced_search": True}, "tools": [{"type": "x"}]}
    wrapped = {"parameters": body} if nested else body
    parameters = sent(asked(tools=(WEATHER,), provider_options=options(wrapped)))["parameters"]
    assert parameters["enable_search"] is True
    assert parameters["search_options"] == {"forced_search": True}
    assert [tool["type"] for tool in parameters["tools"]] == ["function", "x"]
    for taken in ("temperature", "result_format", "model", "input", "max_tokens", "stream"):
        wrapped = {"parameters": {taken: 1}} if nested else {taken: 1}
        with pytest.raises(ServiceError) as raised:
            request(asked(provider_options=options(wrapped)))
        assert raised.value.reason is Reason.INVALID_REQUEST


@pytest.mark.parametrize("written", ["[]", '{"parameters": 5}', '{"parameters": []}', "{"])
def test_options_that_are_no_objects(written):
    """They are the caller's fault."""
    call = asked(provider_options={"dashscope": ProviderOptions(written)})
    with pytest.raises(ServiceError) as raised:
        request(call)
    assert raised.value.fields


def test_headers_of_callers():
    """Inspection and workspace; nothing that authorizes."""
    call = asked(provider_options=options({}, **{"X-DashScope-DataInspection": '{"input":"cip"}'}))
    assert request(call)[1]["x-dashscope-datainspection"] == '{"input":"cip"}'
    with pytest.raises(ServiceError):
        request(asked(provider_options=options({}, Authorization="x")))


# --- answers ---


def test_a_stream_of_everything():
    """Thinking, text and interleaved calls; later ids and names say nothing; a running total is the last one."""
    calls = [{"index": n, "id": f"c{n}", "type": "function", "function": {"name": f"f{n}", "arguments": ""}}
             for n in (0, 1)]  # fmt: skip
    later = [chunk({"tool_calls": [{"index": n, "id": "", "function": {"name": "", "arguments": piece}}]})
             for n, piece in ((1, '{"b"'), (0, '{"a":1}'), (1, ":2}"))]  # fmt: skip
    result = outcome(
        chunk({"reasoning_content": "hm"}, usage={"input_tokens": 5, "output_tokens": 1, "total_tokens": 6}),
        chunk({"content": "He", "reasoning_content": ""}),
        chunk({"content": "i"}),
        chunk({"tool_calls": calls}),
        *later,
        chunk({}, "tool_calls", usage={
            "input_tokens": 5, "output_tokens": 9, "total_tokens": 14, "prompt_tokens_details": {
                "cached_tokens": 3, "cache_creation_input_tokens": 1},
            "output_tokens_details": {"reasoning_tokens": 4},
        }),
    )  # fmt: skip
    assert contents(result) == [
        Reasoning("hm"), Text("Hei"), ToolCall("c0", "f0", '{"a":1}'), ToolCall("c1", "f1", '{"b":2}'),
    ]  # fmt: skip
    assert first(result).finish_reason is FinishReason.TOOL_CALLS
    assert result.answer.usage == Usage(
        5, 9, 14, cached_input_tokens=3, reasoning_tokens=4, cache_write_tokens=1
    )
    assert (result.answer.response_id, result.answer.upstream_request_id) == ("r-1", "r-1")


def test_calls_that_finish_with_another_word():
    """Where there are calls, they are what it ended with; a call without an id is given one."""
    call = [{"function": {"name": "f", "arguments": {"a": 1}}}]
    result = whole(
        {"output": {"choices": [{"finish_reason": "stop", "message": {"content": "", "tool_calls": call}}]}}
    )
    (made,) = contents(result)
    assert (made.name, made.arguments_json) == ("f", '{"a":1}')
    assert made.id.startswith("call_")
    assert (first(result).finish_reason, first(result).finish_reason_raw) == (FinishReason.TOOL_CALLS, "stop")


def test_events_that_repeat_the_whole_so_far():
    """Where the caller asked for them, only what is new is passed on: of text, of thinking, of arguments."""
    call = asked(provider_options=options({"incremental_output": False}))

    def asks(arguments):
        return {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": arguments}}]}

    told = (
        chunk({"reasoning_content": "h"}),
        chunk({"reasoning_content": "hm", "content": "春"}),
        chunk({"reasoning_content": "hm", "content": "春暖"}),
        chunk({"content": "春暖花开", **asks('{"a"')}),
        chunk({"content": "春暖花开", **asks('{"a":1}')}, "stop"),
    )
    result = outcome(*told, call=call)
    assert contents(result) == [Reasoning("hm"), Text("春暖花开"), ToolCall("c", "f", '{"a":1}')]
    apart = outcome(chunk({"content": "ab"}), chunk({"content": "cd"}, "stop"), call=call)
    assert contents(apart) == [Text("abcd")]
    assert contents(outcome(chunk({"content": "ha"}), chunk({"content": "haha"}, "stop"))) == [Text("hahaha")]


def test_contents_of_pieces():
    """As multimodal generation tells them, whole and in increments; other pieces say nothing."""
    pieces = [{"text": "一只"}, {"image": "x"}, 5, {"text": "猫"}]
    document = {
        "output": {"choices": [{"finish_reason": "stop", "message": {"content": pieces}}]},
        "request_id": "r",
    }
    assert contents(whole(document)) == [Text("一只猫")]
    streamed = outcome(chunk({"content": [{"text": "一"}]}), chunk({"content": []}, "stop"))
    assert contents(streamed) == [Text("一")]


def test_the_older_format():
    """A text beside its finish reason, whole and in a stream."""
    document = {"output": {"text": "hi", "finish_reason": "stop"}, "usage": {}, "request_id": "r"}
    result = whole(document)
    assert contents(result) == [Text("hi")]
    assert result.answer.usage is None
    streamed = outcome(
        event({"text": "h", "finish_reason": "null"}), event({"text": "i", "finish_reason": "length"})
    )
    assert contents(streamed) == [Text("hi")]
    assert first(streamed).finish_reason is FinishReason.MAX_TOKENS


def test_several_candidates():
    """Each event is of one of them, and counts for it alone."""
    call = asked(generation=Generation(n=2))
    usage = [{"input_tokens": 5, "output_tokens": n, "total_tokens": 5 + n} for n in (1, 2, 3)]
    told = (
        chunk({"content": "a"}, index=0, usage=usage[0]),
        chunk({"content": "b"}, index=1, usage=usage[0]),
        chunk({"content": "c"}, "stop", index=0, usage=usage[1]),
        chunk({"content": "d"}, "length", index=1, usage=usage[2]),
    )
    result = outcome(*told, call=call)
    assert [part.content for one in result.answer.candidates for part in one.parts] == [
        Text("ac"),
        Text("bd"),
    ]
    assert result.answer.usage == Usage(5, 5, 10)
    assert outcome(*told[:3], call=call).error.reason is Reason.UPSTREAM_TRUNCATED
    choices = [{"finish_reason": "stop", "message": {"content": text}} for text in "xy"]
    both = whole({"output": {"choices": choices}, "usage": {"input_tokens": 1, "output_tokens": 4}}, call)
    assert [one.index for one in both.answer.candidates] == [0, 1]
    assert both.answer.usage == Usage(1, 4)


def test_probabilities_and_citations():
    """Log probabilities as OpenAI has them; pages that a search found, each once."""
    logprobs = {"content": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}]}
    pages = {
        "search_results": [{"index": 1, "title": "T", "url": "https://a.example"}, {"index": 2, "title": "U"}]
    }
    one = {"choices": [{"message": {"content": "a"}, "finish_reason": "null", "logprobs": logprobs}]}
    result = outcome(
        event({**one, "search_info": pages}), event({**one, "search_info": pages}), chunk({}, "stop")
    )
    candidate = first(result)
    assert candidate.logprobs == (TokenLogprob("a", -0.5, b"a"),) * 2
    assert candidate.parts[0].citations == (
        Citation(url="https://a.example", title="T", document_id="1"), Citation(title="U", document_id="2"),
    )  # fmt: skip


def test_reasoning_that_is_not_wanted():
    """It is not passed on."""
    call = asked(generation=Generation(reasoning=ReasoningConfig(include=False)))
    told = chunk({"reasoning_content": "hm", "content": "a"}, "stop")
    assert contents(outcome(told, call=call)) == [Text("a")]


ERRORS = [
    (400, "InvalidParameter", "Range of top_p should be (0.0, 1.0]", Reason.UPSTREAM_REJECTED),
    (400, "InvalidParameter", "Range of input length should be [1, 6000]", Reason.CONTEXT_LENGTH_EXCEEDED),
    (400, "BadRequest.EmptyInput", "Required input parameter missing", Reason.UPSTREAM_REJECTED),
    (400, "BadRequest.TooLarge", "Payload Too Large", Reason.REQUEST_TOO_LARGE),
    (400, "InternalError.Algo", "<400> InternalError.Algo.InvalidParameter: Range of input length is [1, 6]",
     Reason.CONTEXT_LENGTH_EXCEEDED),
    (400, "DataInspectionFailed", "Output data may contain inappropriate content.", Reason.CONTENT_BLOCKED),
    (400, "data_inspection_failed", "x", Reason.CONTENT_BLOCKED),
    (400, "Arrearage", "Access denied, please make sure your account is in good standing.",
     Reason.UPSTREAM_QUOTA_EXHAUSTED),
    (401, "InvalidApiKey", "Invalid API-key provided.", Reason.UPSTREAM_CREDENTIALS_INVALID),
    (403, "AccessDenied", "Access denied.", Reason.UPSTREAM_PERMISSION_DENIED),
    (403, "AccessDenied.Unpurchased", "Access to model denied.", Reason.UPSTREAM_PERMISSION_DENIED),
    (403, "Model.AccessDenied", "Model access denied.", Reason.UPSTREAM_PERMISSION_DENIED),
    (403, "Workspace.AccessDenied", "x", Reason.UPSTREAM_PERMISSION_DENIED),
    (403, "AllocationQuota.FreeTierOnly", "The free tier is exhausted.", Reason.UPSTREAM_QUOTA_EXHAUSTED),
    (404, "ModelNotFound", "Model can not be found.", Reason.UPSTREAM_MODEL_NOT_FOUND),
    (404, "WorkSpaceNotFound", "x", Reason.UPSTREAM_MODEL_NOT_FOUND),
    (404, "Model.NotExist", "x", Reason.UPSTREAM_MODEL_NOT_FOUND),
    (429, "Throttling", "x", Reason.UPSTREAM_RATE_LIMITED),
    (429, "Throttling.BurstRate", "x", Reason.UPSTREAM_RATE_LIMITED),
    (429, "Throttling.AllocationQuota", "Allocated quota exceeded", Reason.UPSTREAM_RATE_LIMITED),
    (429, "CommodityNotPurchased", "x", Reason.UPSTREAM_QUOTA_EXHAUSTED),
    (429, "PrepaidBillOverdue", "x", Reason.UPSTREAM_QUOTA_EXHAUSTED),
    (429, "PostpaidBillOverdue", "x", Reason.UPSTREAM_QUOTA_EXHAUSTED),
    (500, "InternalError", "x", Reason.UPSTREAM_ERROR),
    (500, "InternalError.Algo", "inference internal error", Reason.UPSTREAM_ERROR),
    (500, "InternalError.Timeout", "x", Reason.UPSTREAM_TIMEOUT),
    (503, "ServiceUnavailable", "x", Reason.UPSTREAM_UNAVAILABLE),
    (503, "ModelUnavailable", "x", Reason.UPSTREAM_UNAVAILABLE),
    (503, "ModelServingError", "Too many requests in the system", Reason.UPSTREAM_OVERLOADED),
    (504, "GatewayTimeout", "x", Reason.UPSTREAM_TIMEOUT),
    (418, "SomethingNew", "x", Reason.UPSTREAM_REJECTED),
    (502, "SomethingNew", "x", Reason.UPSTREAM_UNAVAILABLE),
]  # fmt: skip


@pytest.mark.parametrize(("status", "code", "message", "reason"), ERRORS)
def test_errors(status, code, message, reason):
    """With a status, as a document or as a stream; and in a stream under 200, with its status in a comment."""
    words = {"code": code, "message": message, "request_id": "r-9"}
    for body in (json.dumps(words).encode(), event(name="error", status=status, **words)):
        refused = adapter().refusal(status, {}, body)
        assert refused.reason is reason
        assert refused.upstream.http_status == status
        assert (refused.upstream.code, refused.upstream.message, refused.upstream.request_id) == (
            code, message, "r-9",
        )  # fmt: skip
    broken = outcome(chunk({"content": "a"}), event(name="error", status=status, **words))
    assert broken.error.reason is reason
    fault = broken.error.upstream
    assert (fault.http_status, fault.stream_status, fault.in_stream) == (200, status, True)
    assert (fault.code, fault.message, fault.request_id) == (code, message, "r-9")
    assert contents(broken) == [Text("a")]


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"code": "InvalidParameter", "message": "x"}, Reason.UPSTREAM_REJECTED),
        ({"code": "Throttling.RateQuota", "message": "x"}, Reason.UPSTREAM_RATE_LIMITED),
        ({"code": "InternalError.Algo", "message": "x"}, Reason.UPSTREAM_ERROR),
        ({"code": "Odd", "message": "x", "status_code": 503}, Reason.UPSTREAM_UNAVAILABLE),
        ({"code": "Odd", "message": "x"}, Reason.UPSTREAM_ERROR),
    ],
)
def test_errors_under_200(document, reason):
    """A document with a code in place of an answer, also where a stream was asked for."""
    for headers in ({}, SSE, {"content-type": "application/json"}):
        result = outcome(json.dumps({**document, "request_id": "r-9"}).encode(), headers=headers)
        assert result.error.reason is reason
        assert (result.error.upstream.http_status, result.error.upstream.in_stream) == (200, False)
        assert result.error.upstream.request_id == "r-9"


def test_an_event_of_another_status():
    """The comment alone is enough, and so is the event's name."""
    assert outcome(event({}, status=429)).error.reason is Reason.UPSTREAM_RATE_LIMITED
    assert outcome(event({}, name="error")).error.reason is Reason.UPSTREAM_ERROR


@pytest.mark.parametrize(
    "document",
    [{}, {"output": {}}, {"output": {"choices": []}}, {"output": 5}, []],
)
def test_a_document_without_an_answer(document):
    """It is no answer."""
    assert whole(document).error.reason is Reason.UPSTREAM_BAD_RESPONSE


def test_a_stream_that_does_not_end():
    """No finish reason, no success, whatever else came."""
    assert outcome(chunk({"content": "a"})).error.reason is Reason.UPSTREAM_TRUNCATED
    assert outcome(chunk({"content": "a"}), b"data:[DONE]\n\n").error.reason is Reason.UPSTREAM_TRUNCATED
    assert outcome(chunk({"content": "a"}, "stop"), b"data:[DONE]\n\n").error is None
    assert outcome(chunk({"content": "a"}, "stop"), end=False).error.reason is Reason.UPSTREAM_TRUNCATED
