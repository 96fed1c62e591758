"""Calls in the words of Ollama's own API, beyond what is recorded."""

from __future__ import annotations

import json

import pytest

from pointsman_server.domain import (
    Choice,
    Generation,
    JsonObject,
    JsonSchema,
    Media,
    MediaDetail,
    MediaKind,
    Part,
    Prompt,
    ProviderOptions,
    Reasoning,
    ReasoningConfig,
    ReasoningEffort,
    ReasoningMode,
    Refusal,
    Role,
    Text,
    TokenIds,
    Tool,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
    ToolResult,
)
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.upstreams.dialects.ollama.adapter import OllamaAdapter
from pointsman_server.upstreams.dialects.ollama.profiles import OLLAMA
from pointsman_server.upstreams.translation.support import unsupported
from tests.unit.upstreams.calls import asked, attempt, said, settings

A, B = Tool("a", "does a", '{"type": "object"}'), Tool("b")
PNG = Media(MediaKind.IMAGE, data=b"x", media_type="image/png")


def request(call=None, *, stream=False):
    return OllamaAdapter(OLLAMA, settings()).request(attempt(call, stream=stream))


def body(call=None, *, stream=False):
    return json.loads(request(call, stream=stream).body)


def refused(call):
    with pytest.raises(ServiceError) as raised:
        request(call)
    assert raised.value.reason is Reason.INVALID_REQUEST
    return raised.value.fields[0].path


def test_where_it_goes():
    """Conversations to chat, prompts to generate, as they are; that it does not stream must be said."""
    assert request().url == "http://backend.example/api/chat"
    assert body() == {
        "model": "upstream-model", "stream": False, "messages": [{"role": "user", "content": "hi"}], "tools": [],
    }  # fmt: skip
    assert body(stream=True)["stream"] is True
    prompt = asked(generation=Generation(max_output_tokens=3), output_format=JsonObject())
    prompt = type(prompt)("m", Prompt("Once"), prompt.generation, output_format=JsonObject())
    assert request(prompt).url == "http://backend.example/api/generate"
    assert body(prompt) == {
        "model": "upstream-model", "stream": False, "prompt": "Once", "raw": True, "format": "json",
        "options": {"num_predict": 3},
    }  # fmt: skip
    assert refused(type(prompt)("m", TokenIds((1,)))) == "token_ids"


def test_turns():
    """Developers are the system; thinking, refusals and pictures have their places; names are dropped, and told."""
    call = asked(
        said("a", role=Role.DEVELOPER),
        said("look", PNG, Text("here"), name="ann"),
        said(Reasoning("hm"), "ok", Refusal("no"), role=Role.ASSISTANT),
        said(Reasoning(""), role=Role.ASSISTANT),
    )
    assert body(call)["messages"] == [
        {"role": "system", "content": "a"},
        {"role": "user", "content": "lookhere", "images": ["eA=="]},
        {"role": "assistant", "content": "okno", "thinking": "hm"},
    ]
    assert [warning.field for warning in unsupported(call, OLLAMA)] == ["conversation.messages[1].name"]


def test_tools_and_their_results():
    """Arguments are objects, results carry the tool's name: their own, or that of the call; failures say so."""
    history = (
        "go",
        said(ToolCall("1", "a", '{"x": 1}'), ToolCall("2", "b", ""), role=Role.ASSISTANT),
        said(
            ToolResult("2", "", (Part(Text("B")),)), ToolResult("1", "named", (Part(Text("A")), Part(Text("!")))),
            role=Role.TOOL,
        ),
        said("well?", ToolResult("3", "", (), is_error=True)),
    )  # fmt: skip
    assert body(asked(*history))["messages"][1:] == [
        {"role": "assistant", "tool_calls": [
            {"function": {"name": "a", "arguments": {"x": 1}}}, {"function": {"name": "b", "arguments": {}}},
        ]},
        {"role": "tool", "content": "B", "tool_name": "b"},
        {"role": "tool", "content": "A!", "tool_name": "named"},
        {"role": "tool", "content": "Error: the tool failed"},
        {"role": "user", "content": "well?"},
    ]  # fmt: skip
    assert body(asked(tools=(A, B)))["tools"] == [
        {
            "type": "function",
            "function": {"name": "a", "description": "does a", "parameters": {"type": "object"}},
        },
        {"type": "function", "function": {"name": "b", "parameters": {"type": "object", "properties": {}}}},
    ]
    broken = said(ToolCall("1", "a", "[]"), role=Role.ASSISTANT)
    assert refused(asked("go", broken)) == "conversation.messages[1].parts[0].tool_call.arguments_json"


@pytest.mark.parametrize(
    ("choice", "offered", "reported"),
    [
        (ToolChoice(ToolChoiceMode.AUTO), ["a", "b"], []),
        (ToolChoice(ToolChoiceMode.NONE), [], []),
        (ToolChoice(None, ("b",)), ["b"], []),
        (ToolChoice(ToolChoiceMode.REQUIRED, ("a",)), ["a"], ["tool_choice.mode"]),
        (ToolChoice(None, parallel_calls=False), ["a", "b"], ["tool_choice.parallel_calls"]),
    ],
)
def test_there_is_no_choice_of_tools(choice, offered, reported):
    """What can be said is said by what is offered, the rest is reported."""
    call = asked(tools=(A, B), tool_choice=choice)
    assert [tool["function"]["name"] for tool in body(call)["tools"]] == offered
    assert [warning.field for warning in unsupported(call, OLLAMA)] == reported


@pytest.mark.parametrize(
    ("config", "think", "reported"),
    [
        (ReasoningConfig(ReasoningMode.ENABLED), True, []),
        (ReasoningConfig(ReasoningMode.DISABLED), False, []),
        (ReasoningConfig(ReasoningMode.DISABLED, ReasoningEffort.HIGH), False, []),
        (ReasoningConfig(ReasoningMode.ENABLED, ReasoningEffort.LOW), "low", []),
        (ReasoningConfig(ReasoningMode.ADAPTIVE, ReasoningEffort.HIGH), "high", []),
        (ReasoningConfig(effort=ReasoningEffort.MEDIUM), "medium", []),
        (ReasoningConfig(effort=ReasoningEffort.MAX), None, ["generation.reasoning.effort"]),
        (ReasoningConfig(ReasoningMode.ADAPTIVE), None, ["generation.reasoning.mode"]),
        (ReasoningConfig(budget_tokens=9), None, ["generation.reasoning.budget_tokens"]),
        (ReasoningConfig(include=False), None, []),
    ],
)
def test_thinking(config, think, reported):
    """One field for on, off and how much."""
    call = asked(generation=Generation(reasoning=config))
    assert body(call).get("think") == think
    assert [warning.field for warning in unsupported(call, OLLAMA)] == reported


def test_options_and_what_stands_beside_them():
    """Sampling is one object; log probabilities and the format are not in it."""
    generation = Generation(
        max_output_tokens=5, temperature=0.0, top_p=0.5, stop_sequences=("x", "y"), seed=1, top_k=4, min_p=0.1,
        presence_penalty=0.2, frequency_penalty=0.3, repetition_penalty=1.1, top_logprobs=0,
    )  # fmt: skip
    sent = body(asked(generation=generation, output_format=JsonSchema("n", '{"type": "object"}', True)))
    assert sent["options"] == {
        "num_predict": 5, "temperature": 0.0, "top_p": 0.5, "stop": ["x", "y"], "seed": 1, "top_k": 4, "min_p": 0.1,
        "presence_penalty": 0.2, "frequency_penalty": 0.3, "repeat_penalty": 1.1,
    }  # fmt: skip
    assert (sent["logprobs"], sent["top_logprobs"], sent["format"]) == (True, 0, {"type": "object"})
    other = asked(generation=Generation(n=2), output_format=Choice(("a",)), end_user_id="u")
    assert {warning.field for warning in unsupported(other, OLLAMA)} == {
        "generation.n", "output_format.choice", "end_user_id",
    }  # fmt: skip
    assert "format" not in body(other)


def test_what_a_caller_adds():
    """How long a model stays, and further options beside ours; nothing that we write, and no way around a bound."""

    def with_options(text, **fields):
        return asked(provider_options={"ollama": ProviderOptions(text)}, **fields)

    call = with_options('{"keep_alive": "5m", "options": {"num_ctx": 8}}', generation=Generation(seed=1))
    sent = body(call)
    assert (sent["keep_alive"], sent["options"]) == ("5m", {"seed": 1, "num_ctx": 8})
    for text in (
        '{"options": {"num_predict": 9}}', '{"stream": true}', '{"model": "x"}', '{"raw": true}', '{"options": 1}',
        '{"think": true}', '{"messages": []}',
    ):  # fmt: skip
        assert refused(with_options(text)).startswith("provider_options[ollama].body_json")
    assert refused(with_options('{"options": {"seed": 2}}', generation=Generation(seed=1))).endswith("seed")


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("data:image/png;base64,eA==", "eA=="),
        ("data:image/png;base64,eA%3D%3D", "eA=="),
        ("data:image/svg+xml,%3Csvg%2F%3E", "PHN2Zy8+"),
    ],
)
def test_pictures_as_data_urls(url, sent):
    """Become bare base64, however the URL spells its data."""
    assert body(asked(said(Media(MediaKind.IMAGE, url=url))))["messages"][0]["images"] == [sent]


def test_pictures_that_cannot_go():
    """Nothing is fetched for the caller, and a data URL must hold what it says."""
    path = "conversation.messages[0].parts[0].image"
    assert refused(asked(said(Media(MediaKind.IMAGE, url="data:image/png;base64,!!!")))) == f"{path}.url"
    assert refused(asked(said(Media(MediaKind.IMAGE, url="https://a.example/x.png")))) == path
    detailed = asked(said(Media(MediaKind.IMAGE, data=b"x", media_type="image/png", detail=MediaDetail.LOW)))
    assert [warning.field for warning in unsupported(detailed, OLLAMA)] == [f"{path}.detail"]
