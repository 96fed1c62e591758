"""Calls in the words of chat completions, beyond what is recorded."""

from __future__ import annotations

import json

import pytest

from pointsman_server.domain import (
    CacheControl,
    Call,
    Choice,
    Generation,
    Grammar,
    JsonSchema,
    Media,
    MediaDetail,
    MediaKind,
    Part,
    Prompt,
    ProviderOptions,
    ProviderPart,
    Reasoning,
    ReasoningConfig,
    ReasoningEffort,
    ReasoningMode,
    Refusal,
    Regex,
    Role,
    RoutingOptions,
    Text,
    TokenIds,
    Tool,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
    ToolResult,
    Verbosity,
)
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.upstreams.dialects.openai.profiles import (
    LLAMACPP,
    OLLAMA_COMPATIBLE,
    OPENAI,
    OPENAI_COMPATIBLE,
    SGLANG,
    VLLM,
)
from tests.unit.upstreams.calls import adapter, asked, attempt, body, said

A, B = Tool("a", parameters_json_schema='{"type": "object"}'), Tool("b")


def messages(profile, *turns):
    return body(profile, asked(*turns))["messages"]


def test_the_last_answer_of_a_tool_goes_ahead_of_what_the_user_adds():
    """Results stand right behind the calls that they answer, one message each."""
    call = said(ToolCall("1", "a", ""), ToolCall("2", "b", '{"x":1}'), role=Role.ASSISTANT)
    back = said("thanks", ToolResult("1", "a", (Part(Text("x")),)), ToolResult("2", "b", ()), role=Role.USER)
    assert messages(OPENAI, "hi", call, back)[1:] == [
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "a", "arguments": "{}"}},
            {"id": "2", "type": "function", "function": {"name": "b", "arguments": '{"x":1}'}},
        ]},
        {"role": "tool", "tool_call_id": "1", "content": "x"},
        {"role": "tool", "tool_call_id": "2", "content": ""},
        {"role": "user", "content": "thanks"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "content"),
    [
        (["no such city"], "Error: no such city"),
        (["error 7"], "error 7"),
        ([], "Error: the tool failed"),
        (["a", "b"], [{"type": "text", "text": "Error: a"}, {"type": "text", "text": "b"}]),
    ],
)
def test_a_failed_tool_says_so_in_its_text(texts, content):
    """The wire has no field for it; what says it already stays as it is."""
    result = ToolResult("1", "a", tuple(Part(Text(text)) for text in texts), is_error=True)
    assert messages(OPENAI, "hi", said(result, role=Role.TOOL))[1]["content"] == content


def test_roles_and_names():
    """A developer is the system where the provider knows no such role; participants keep their names."""
    turns = (said("a", role=Role.DEVELOPER), said("b", role=Role.SYSTEM), said("c", name="ann"))
    assert messages(OPENAI, *turns) == [
        {"role": "developer", "content": "a"}, {"role": "system", "content": "b"},
        {"role": "user", "content": "c", "name": "ann"},
    ]  # fmt: skip
    assert [message["role"] for message in messages(VLLM, *turns)] == ["system", "system", "user"]


def test_the_assistants_history():
    """Reasoning goes where the provider takes it, a refusal into its field or the text; an empty turn is left out."""
    turn = said(Reasoning("hm"), "well", Refusal("no"), role=Role.ASSISTANT)
    assert messages(OPENAI, "hi", turn)[1] == {"role": "assistant", "content": "well", "refusal": "no"}
    assert messages(VLLM, "hi", turn)[1] == {
        "role": "assistant", "reasoning": "hm",
        "content": [{"type": "text", "text": "well"}, {"type": "text", "text": "no"}],
    }  # fmt: skip
    assert messages(SGLANG, "hi", said(Reasoning("hm"), role=Role.ASSISTANT))[1]["reasoning_content"] == "hm"
    assert len(messages(OPENAI, "hi", said(Reasoning("hm"), role=Role.ASSISTANT), "go on")) == 2


def test_media_parts():
    """Images, sounds and files as the dialect has them."""
    turn = said(
        "look",
        Media(MediaKind.IMAGE, url="https://a.example/x", detail=MediaDetail.HIGH),
        Media(MediaKind.AUDIO, data=b"abc", media_type="audio/mpeg"),
        Media(MediaKind.AUDIO, url="data:audio/x-wav;base64,YWJj"),
        Media(MediaKind.FILE, data=b"abc", media_type="application/pdf", filename="a.pdf"),
        ProviderPart("openai", '{"type": "special", "n": 1e2}'),
        ProviderPart("other", "{}"),
    )
    assert messages(OPENAI, turn)[0]["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "https://a.example/x", "detail": "high"}},
        {"type": "input_audio", "input_audio": {"data": "YWJj", "format": "mp3"}},
        {"type": "input_audio", "input_audio": {"data": "YWJj", "format": "wav"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,YWJj"}},
        {"type": "special", "n": 100.0},
    ]
    spoken = messages(VLLM, said(Media(MediaKind.AUDIO, url="https://a.example/x")))[0]["content"]
    assert spoken == [{"type": "audio_url", "audio_url": {"url": "https://a.example/x"}}]


@pytest.mark.parametrize(
    "url", ["DATA:audio/wav;base64,YWJj", "data:audio/wav,abc", "data:audio/wav;rate=8000;base64,YWJj"]
)
def test_sound_in_any_spelling_of_a_data_url(url):
    """It is sent as the base64 of its bytes, not as an address for the provider to fetch."""
    [spoken] = messages(OPENAI, said(Media(MediaKind.AUDIO, url=url)))[0]["content"]
    assert spoken == {"type": "input_audio", "input_audio": {"data": "YWJj", "format": "wav"}}


def test_an_address_that_an_upstream_must_not_fetch_is_the_callers_fault():
    """Named by its path in the request."""
    inner = said("a", Media(MediaKind.IMAGE, url="http://169.254.169.254/x"))
    with pytest.raises(ServiceError) as raised:
        adapter(OPENAI).request(attempt(asked("hi", inner)))
    assert raised.value.reason is Reason.INVALID_REQUEST
    assert [fault.path for fault in raised.value.fields] == ["conversation.messages[1].parts[1].image.url"]


def choice(profile, mode, *allowed, parallel=None):
    call = asked(tools=(A, B), tool_choice=ToolChoice(mode, allowed, parallel))
    sent = body(profile, call)
    return sent.get("tool_choice"), [tool["function"]["name"] for tool in sent.get("tools", ())]


def test_tool_choices():
    """One forced tool by its name, several as a list; what the wire cannot say is said by what is offered."""
    auto, none, required = ToolChoiceMode.AUTO, ToolChoiceMode.NONE, ToolChoiceMode.REQUIRED
    both = ["a", "b"]
    named = {"type": "function", "function": {"name": "a"}}
    assert choice(OPENAI, auto) == ("auto", both)
    assert choice(OPENAI, none, "a") == ("none", both)
    assert choice(OPENAI, None) == (None, both)
    assert choice(OPENAI, required, "a") == (named, both)
    listed = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [named]}}
    assert choice(OPENAI, None, "a") == choice(OPENAI, auto, "a") == (listed, both)
    assert choice(OPENAI, required, "a", "b")[0]["allowed_tools"]["mode"] == "required"
    assert choice(VLLM, required, "a") == (named, both)
    assert choice(VLLM, auto, "a") == ("auto", ["a"])
    assert choice(LLAMACPP, required, "a") == ("required", ["a"])
    assert choice(OLLAMA_COMPATIBLE, none) == (None, [])
    assert choice(OLLAMA_COMPATIBLE, None, "b") == (None, ["b"])


def test_tools():
    """Schemas go verbatim, an absent one takes no arguments, strictness where it is known."""
    call = asked(tools=(Tool("a", "does", '{"type":  "object"}', strict=True), B))
    assert body(OPENAI, call)["tools"] == [
        {"type": "function", "function": {
            "name": "a", "description": "does", "parameters": {"type": "object"}, "strict": True}},
        {"type": "function", "function": {"name": "b", "parameters": {"type": "object", "properties": {}}}},
    ]  # fmt: skip
    assert b'{"type":  "object"}' in adapter(OPENAI).request(attempt(call)).body
    assert "strict" not in body(VLLM, call)["tools"][0]["function"]


@pytest.mark.parametrize(
    "schema", ["[]", "{", '{"a":1}{"b":2}', '{"a":1},"model":"x"', '{"a":"\\ud800"}', "[" * 9000]
)
def test_schemas_are_one_object(schema):
    """Text that goes verbatim into a body cannot end it early."""
    with pytest.raises(ServiceError) as raised:
        body(OPENAI, asked(tools=(Tool("a", parameters_json_schema=schema),)))
    assert raised.value.fields[0].path == "tools[0].parameters_json_schema"
    with pytest.raises(ServiceError):
        body(OPENAI, asked(output_format=JsonSchema("n", schema)))


def test_output_formats():
    """Each profile's own field; a schema without a name gets one."""
    schema = body(OPENAI, asked(output_format=JsonSchema("", "{}", None, "a city")))["response_format"][
        "json_schema"
    ]
    assert schema == {"name": "output", "description": "a city", "schema": {}}
    assert body(VLLM, asked(output_format=Regex("a+")))["structured_outputs"] == {"regex": "a+"}
    assert body(VLLM, asked(output_format=Choice(("a", "b"))))["structured_outputs"] == {"choice": ["a", "b"]}
    assert body(SGLANG, asked(output_format=Regex("a+")))["regex"] == "a+"
    assert body(SGLANG, asked(output_format=Grammar("g")))["ebnf"] == "g"
    assert body(LLAMACPP, asked(output_format=Grammar("g")))["grammar"] == "g"
    assert set(body(OPENAI, asked(output_format=Regex("a+")))) == {"model", "messages"}


def reasoning(profile, **config):
    sent = body(profile, asked(generation=Generation(reasoning=ReasoningConfig(**config))))
    return {
        key: value
        for key, value in sent.items()
        if key not in ("model", "messages", "stream", "stream_options")
    }


def test_reasoning():
    """A word, a switch in the template, a budget; a mode that is a word wins over the effort."""
    off, on = ReasoningMode.DISABLED, ReasoningMode.ENABLED
    low = ReasoningEffort.LOW
    assert reasoning(OPENAI, effort=ReasoningEffort.XHIGH) == {"reasoning_effort": "xhigh"}
    assert reasoning(OPENAI, mode=off, effort=low) == {"reasoning_effort": "none"}
    assert reasoning(OPENAI, mode=on, effort=low) == {"reasoning_effort": "low"}
    assert reasoning(VLLM, mode=on, effort=low, budget_tokens=9, include=False) == {
        "chat_template_kwargs": {"enable_thinking": True}, "reasoning_effort": "low", "thinking_token_budget": 9,
        "include_reasoning": False,
    }  # fmt: skip
    assert reasoning(VLLM, effort=ReasoningEffort.MAX) == {}
    assert reasoning(LLAMACPP, mode=off, include=False) == {
        "chat_template_kwargs": {"enable_thinking": False}
    }


def test_sampling():
    """Logprobs as flag and number, biases by token, four stop sequences where that is the limit."""
    generation = Generation(
        top_logprobs=0,
        logit_bias={7: -1.5, 8: 100.0},
        stop_sequences=tuple("abcde"),
        verbosity=Verbosity.HIGH,
        seed=0,
    )
    sent = body(OPENAI, asked(generation=generation))
    assert sent["logprobs"] is True
    assert "top_logprobs" not in sent
    assert sent["logit_bias"] == {"7": -1.5, "8": 100}
    assert isinstance(sent["logit_bias"]["8"], int)
    assert sent["stop"] == ["a", "b", "c", "d"]
    assert (sent["verbosity"], sent["seed"]) == ("high", 0)
    assert body(VLLM, asked(generation=generation))["stop"] == list("abcde")
    assert body(LLAMACPP, asked(generation=Generation(repetition_penalty=1.1)))["repeat_penalty"] == 1.1


def test_the_rest():
    """Priority the other way round, the user under the provider's own name, the cache's salt."""
    call = asked(
        routing=RoutingOptions(priority=7), end_user_id="u", cache=CacheControl(prefix_cache_salt="s"),
        provider_metadata={"k": "v"},
    )  # fmt: skip
    sent = body(VLLM, call)
    assert (sent["priority"], sent["user"], sent["cache_salt"]) == (-7, "u", "s")
    assert "metadata" not in sent
    assert body(OPENAI, call)["metadata"] == {"k": "v"}
    assert "priority" not in body(OPENAI, call)


def test_prompts_and_tokens():
    """Completions, with the names of their own; where there are none, what a user says."""
    generation = Generation(max_output_tokens=5, top_logprobs=2, top_k=1)
    call = Call("m", Prompt("once upon"), generation)
    sent = adapter(VLLM).request(attempt(call, stream=False))
    assert sent.url == "http://backend.example/v1/completions"
    assert json.loads(sent.body) == {
        "model": "upstream-model", "prompt": "once upon", "max_tokens": 5, "logprobs": 2, "top_k": 1,
    }  # fmt: skip
    assert body(VLLM, Call("m", TokenIds((1, 2))))["prompt"] == [1, 2]
    asked_as_chat = adapter(OPENAI).request(attempt(call, stream=False))
    assert asked_as_chat.url == "http://backend.example/v1/chat/completions"
    assert json.loads(asked_as_chat.body)["messages"] == [{"role": "user", "content": "once upon"}]


def test_streaming():
    """Usage is asked for; llama.cpp streams to unary callers too."""
    assert body(OPENAI, asked(), stream=True)["stream_options"] == {"include_usage": True}
    assert "stream" not in body(OPENAI, asked(), stream=False)
    assert body(LLAMACPP, asked(), stream=False)["stream"] is True


def options(body_json="", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return asked(
        provider_options={"openai": ProviderOptions(body_json, named)},
        tools=(A,),
        generation=Generation(seed=1),
    )


def test_the_callers_own_fields():
    """Free fields go verbatim, tools are appended, another dialect's options are none of ours."""
    sent = body(OPENAI, options('{"service_tier": "flex", "tools": [{"type": "custom"}], "store": false}'))
    assert (sent["service_tier"], sent["store"]) == ("flex", False)
    assert [tool["type"] for tool in sent["tools"]] == ["function", "custom"]
    assert "x" not in body(OPENAI, asked(provider_options={"anthropic": ProviderOptions('{"x": 1}')}))
    assert body(VLLM, asked(provider_options={"openai": ProviderOptions('{"tools": [1]}')}))["tools"] == [1]


@pytest.mark.parametrize(
    ("text", "path"),
    [(f'{{"{name}": 1}}', f".{name}") for name in (
        "model", "messages", "stream", "stream_options", "n", "best_of", "seed", "temperature", "max_tokens",
        "max_completion_tokens", "tool_choice", "response_format", "functions", "prompt", "safety_identifier",
    )]
    + [('{"tools": 1}', ".tools"), ("[]", ""), ("{", ""), ('{"a": "\\ud800"}', "")],
)  # fmt: skip
def test_what_the_router_writes_is_not_the_callers(text, path):
    """What routes, bounds or decides how the answer is read, and every field that the contract has."""
    with pytest.raises(ServiceError) as raised:
        body(OPENAI, options(text))
    assert raised.value.reason is Reason.INVALID_REQUEST
    assert [fault.path for fault in raised.value.fields] == [f"provider_options[openai].body_json{path}"]


def test_an_object_that_the_contract_fills_takes_more_but_nothing_anew():
    """A field that leads into an object leaves its other members free; its own is free until the call uses it."""
    thinking = Generation(reasoning=ReasoningConfig(mode=ReasoningMode.ENABLED))
    more = {"openai": ProviderOptions('{"chat_template_kwargs": {"x": 1}}')}
    assert body(VLLM, asked(provider_options=more))["chat_template_kwargs"] == {"x": 1}
    both = body(VLLM, asked(provider_options=more, generation=thinking))
    assert both["chat_template_kwargs"] == {"enable_thinking": True, "x": 1}
    again = {"openai": ProviderOptions('{"chat_template_kwargs": {"enable_thinking": false}}')}
    assert body(VLLM, asked(provider_options=again))["chat_template_kwargs"] == {"enable_thinking": False}
    for clash in (again, {"openai": ProviderOptions('{"chat_template_kwargs": 1}')}):
        with pytest.raises(ServiceError):
            body(VLLM, asked(provider_options=clash, generation=thinking))


def test_headers():
    """The attempt's id in the provider's header, the trace of an own backend, and what callers may set."""
    sent = adapter(OPENAI).request(attempt())
    assert sent.headers["x-client-request-id"] == "request-1.1"
    assert sent.headers["accept"] == "text/event-stream"
    named = adapter(OPENAI).request(attempt(options(X_Request_Id="mine", OpenAI_Beta="v2")))
    assert (named.headers["x-client-request-id"], named.headers["openai-beta"]) == ("mine", "v2")
    assert adapter(VLLM).request(attempt(options(X_Request_Id="mine"))).headers["x-request-id"] == "mine"


@pytest.mark.parametrize(
    ("name", "value"),
    [("Authorization", "Bearer x"), ("Host", "evil.example"), ("X-Api-Key", "x"), ("Content-Type", "text/plain"),
     ("Content-Length", "1"), ("Transfer-Encoding", "chunked"), ("OpenAI-Organization", "org"), ("Cookie", "a=b"),
     ("X-Forwarded-For", "127.0.0.1"), ("X-Request-Id", ""), ("X-Request-Id", "a\r\nb: c"), ("X-Request-Id", "\u00e9"),
     ("X-Request-Id", "x" * 300)],
)  # fmt: skip
def test_other_headers_are_refused(name, value):
    """Nothing that authenticates, routes or frames, and no value that could break a header."""
    call = asked(provider_options={"openai": ProviderOptions("", {name: value})})
    with pytest.raises(ServiceError) as raised:
        adapter(OPENAI_COMPATIBLE).request(attempt(call))
    assert raised.value.fields[0].path == f"provider_options[openai].headers[{name}]"


def test_a_conversation_of_which_nothing_is_left():
    """Is refused rather than sent empty."""
    with pytest.raises(ServiceError) as raised:
        body(OPENAI, asked(said(Reasoning("hm"), role=Role.ASSISTANT)))
    assert raised.value.fields[0].path == "conversation.messages"


def test_text_that_is_no_unicode_is_the_callers_fault():
    """A lone surrogate cannot be sent."""
    with pytest.raises(ServiceError) as raised:
        body(OPENAI, asked("\ud800"))
    assert raised.value.reason is Reason.INVALID_REQUEST
