"""Calls in the words of Cohere, beyond what is recorded."""

from __future__ import annotations

import json

import pytest

from pointsman_server.domain import (
    Call,
    Generation,
    JsonObject,
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
    ReasoningKind,
    ReasoningMode,
    Refusal,
    Role,
    RoutingOptions,
    Text,
    TokenIds,
    Tool,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
    ToolResult,
)
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.upstreams.dialects.cohere.adapter import CohereAdapter
from pointsman_server.upstreams.dialects.cohere.profiles import COHERE
from pointsman_server.upstreams.translation.support import CONTENT_DROPPED, UNSUPPORTED_CONTENT, unsupported
from tests.unit.upstreams.calls import asked, attempt, said, settings

PNG = Media(MediaKind.IMAGE, data=b"x", media_type="image/png")
A, B = Tool("a", "does a", '{"type": "object"}'), Tool("b")


def request(call=None, *, stream=False, profile=COHERE):
    return CohereAdapter(profile, settings()).request(attempt(call, stream=stream))


def body(call=None, profile=COHERE):
    return json.loads(request(call, profile=profile).body)


def messages(*turns):
    return body(asked(*turns))["messages"]


def generating(profile=COHERE, **generation):
    sent = body(asked(generation=Generation(**generation)), profile)
    return {name: value for name, value in sent.items() if name not in ("model", "messages", "stream")}


def reported(call):
    return [warning.field for warning in unsupported(call, COHERE)]


def refused(call):
    with pytest.raises(ServiceError) as raised:
        request(call)
    assert raised.value.reason is Reason.INVALID_REQUEST
    return raised.value.fields[0].path


def test_a_plain_call():
    """One address for both; whether it streams is always said."""
    assert request().url == request(stream=True).url == "http://backend.example/v2/chat"
    assert body() == {
        "model": "upstream-model", "stream": False, "messages": [{"role": "user", "content": "hi"}],
    }  # fmt: skip
    assert json.loads(request(stream=True).body)["stream"] is True
    assert body(Call("m", Prompt("Once")))["messages"] == [{"role": "user", "content": "Once"}]
    assert refused(Call("m", TokenIds((1,)))) == "token_ids"


def test_turns():
    """Developers are the system; thoughts are pieces of a content, plans are not; names are dropped, and told."""
    call = asked(
        said("a", role=Role.DEVELOPER),
        said("b", "c", role=Role.SYSTEM),
        said("hi", name="ann"),
        said(
            Reasoning("first", ReasoningKind.PLAN), Reasoning("hm", ReasoningKind.THOUGHT), "ok", Refusal("no"),
            Reasoning(", then", ReasoningKind.PLAN), ToolCall("1", "a", ""), role=Role.ASSISTANT,
        ),
        said(Reasoning(""), role=Role.ASSISTANT),
        said(Reasoning("oh"), role=Role.ASSISTANT),
    )  # fmt: skip
    assert body(call)["messages"] == [
        {"role": "system", "content": "a"},
        {"role": "system", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]},
        {"role": "user", "content": "hi"},
        {
            "role": "assistant", "tool_plan": "first, then",
            "content": [
                {"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "ok"}, {"type": "text", "text": "no"},
            ],
            "tool_calls": [{"id": "1", "type": "function", "function": {"name": "a", "arguments": "{}"}}],
        },
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "oh"}]},
    ]  # fmt: skip
    assert [(w.code, w.field) for w in unsupported(call, COHERE)] == [
        (CONTENT_DROPPED, "conversation.messages[2].name")
    ]
    assert refused(asked(said(Reasoning(""), role=Role.ASSISTANT))) == "conversation.messages"


def test_results_of_tools():
    """One message each, ahead of what the user adds; a failure says so in its text."""
    turns = messages(
        "hi",
        said(ToolCall("1", "a", "{}"), ToolCall("2", "b", "{}"), role=Role.ASSISTANT),
        said("and?", ToolResult("2", "b", (Part(Text("x")), Part(Text("y")))), ToolResult("1", "a", ())),
        said(ToolResult("3", "a", (Part(Text("gone")),), is_error=True), role=Role.TOOL),
    )
    assert turns[2:] == [
        {
            "role": "tool",
            "tool_call_id": "2",
            "content": [{"type": "text", "text": "x"}, {"type": "text", "text": "y"}],
        },
        {"role": "tool", "tool_call_id": "1", "content": ""},
        {"role": "user", "content": "and?"},
        {"role": "tool", "tool_call_id": "3", "content": "Error: gone"},
    ]


def test_images_and_documents():
    """Images by address and inline; documents of the history as parts of the dialect."""
    turn = said(
        "look",
        Media(MediaKind.IMAGE, url="https://a.example/x", detail=MediaDetail.LOW),
        PNG,
        ProviderPart("cohere", '{"type": "document", "document": {"data": {"a": 1}}}'),
        ProviderPart("other", "{}"),
    )
    assert messages(turn)[0]["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "https://a.example/x", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}},
        {"type": "document", "document": {"data": {"a": 1}}},
    ]
    private = asked(said(Media(MediaKind.IMAGE, url="http://localhost/x")))
    assert refused(private) == "conversation.messages[0].parts[0].image.url"
    for media in (
        Media(MediaKind.FILE, data=b"x", media_type="application/pdf"),
        Media(MediaKind.AUDIO, url="https://a.example/x"),
    ):
        call = asked(said(media))
        assert [w.code for w in unsupported(call, COHERE)] == [UNSUPPORTED_CONTENT]
        assert refused(call) == f"conversation.messages[0].parts[0].{media.kind.value}"


def test_generation():
    """Probabilities are had or not; stop sequences above five are cut; what is not there is reported."""
    assert generating(top_p=0.5, top_k=3, top_logprobs=0) == {"p": 0.5, "k": 3, "logprobs": True}
    assert generating(top_logprobs=2) == {"logprobs": True}
    assert reported(asked(generation=Generation(top_logprobs=2))) == ["generation.top_logprobs"]
    assert generating(stop_sequences=tuple("abcdef")) == {"stop_sequences": list("abcde")}
    assert reported(asked(generation=Generation(stop_sequences=tuple("abcdef")))) == [
        "generation.stop_sequences"
    ]
    lacking = asked(generation=Generation(n=2, min_p=0.1, logit_bias={1: 1.0}), end_user_id="u")
    assert set(reported(lacking)) == {
        "generation.n", "generation.min_p", "generation.logit_bias", "end_user_id",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("reasoning", "sent", "fields"),
    [
        (ReasoningConfig(mode=ReasoningMode.ENABLED), {"type": "enabled"}, []),
        (ReasoningConfig(mode=ReasoningMode.DISABLED), {"type": "disabled"}, []),
        (
            ReasoningConfig(mode=ReasoningMode.ENABLED, budget_tokens=9),
            {"type": "enabled", "token_budget": 9},
            [],
        ),
        (
            ReasoningConfig(mode=ReasoningMode.ADAPTIVE, budget_tokens=9),
            {"type": "enabled", "token_budget": 9},
            ["mode"],
        ),
        (
            ReasoningConfig(mode=ReasoningMode.DISABLED, budget_tokens=9),
            {"type": "disabled"},
            ["budget_tokens"],
        ),
        (ReasoningConfig(effort=ReasoningEffort.LOW, include=False), None, ["effort"]),
    ],
)
def test_thinking(reasoning, sent, fields):
    """On or off, and a budget that needs it on."""
    assert generating(reasoning=reasoning).get("thinking") == sent
    found = reported(asked(generation=Generation(reasoning=reasoning)))
    assert found == [f"generation.reasoning.{field}" for field in fields]


def choice(*tools, profile=COHERE, **fields):
    sent = body(asked(tools=tools, tool_choice=ToolChoice(**fields)), profile)
    names = [tool["function"]["name"] for tool in sent.get("tools", ())]
    return names, sent.get("tool_choice"), sent.get("strict_tools")


def test_tool_choice():
    """Forced or forbidden; a choice among some is what is offered, and a single one alone."""
    assert choice(A, B) == (["a", "b"], None, None)
    assert choice(A, B, mode=ToolChoiceMode.AUTO) == (["a", "b"], None, None)
    assert choice(A, B, mode=ToolChoiceMode.NONE) == (["a", "b"], "NONE", None)
    assert choice(A, B, mode=ToolChoiceMode.NONE, allowed_tools=("a",)) == (["a", "b"], "NONE", None)
    assert choice(A, B, mode=ToolChoiceMode.REQUIRED) == (["a", "b"], "REQUIRED", None)
    assert choice(A, B, mode=ToolChoiceMode.REQUIRED, allowed_tools=("b",)) == (["b"], "REQUIRED", None)
    assert choice(A, B, allowed_tools=("a",)) == (["a"], None, None)
    bare = COHERE.without(["tool_choice.mode"])
    assert choice(A, B, profile=bare, mode=ToolChoiceMode.NONE) == ([], None, None)
    assert reported(asked(tools=(A,), tool_choice=ToolChoice(parallel_calls=False))) == [
        "tool_choice.parallel_calls"
    ]


def test_tools():
    """Strictness is said for all of them, where one that is offered asks for it."""
    strict = Tool("c", strict=True)
    assert choice(A, strict) == (["a", "c"], None, True)
    assert choice(A, strict, allowed_tools=("a",)) == (["a"], None, None)
    assert choice(A, Tool("c", strict=False)) == (["a", "c"], None, None)
    assert choice(strict, profile=COHERE.without(["tools.strict"])) == (["c"], None, None)
    assert body(asked(tools=(A, B)))["tools"] == [
        {
            "type": "function",
            "function": {"name": "a", "description": "does a", "parameters": {"type": "object"}},
        },
        {"type": "function", "function": {"name": "b", "parameters": {"type": "object", "properties": {}}}},
    ]


def test_formats():
    """A schema goes bare beside the type."""
    assert body(asked(output_format=JsonObject()))["response_format"] == {"type": "json_object"}
    schema = JsonSchema("n", '{"type": "object"}', True)
    assert body(asked(output_format=schema))["response_format"] == {
        "type": "json_object", "json_schema": {"type": "object"},
    }  # fmt: skip


@pytest.mark.parametrize(("priority", "sent"), [(-7, 7), (7, 0), (0, None)])
def test_priority(priority, sent):
    """The wire's first is what everybody has, so that one can only stand back."""
    assert body(asked(routing=RoutingOptions(priority=priority))).get("priority") == sent


def optioned(text, **fields):
    return asked(provider_options={"cohere": ProviderOptions(text)}, **fields)


def test_options():
    """Documents, how they are cited, safety, and more tools."""
    call = optioned(
        '{"documents": [{"id": "d", "data": {"text": "x"}}], "citation_options": {"mode": "FAST"},'
        ' "safety_mode": "STRICT", "tools": [{"type": "function", "function": {"name": "z"}}]}',
        tools=(B,),
    )
    sent = body(call)
    assert sent["documents"] == [{"id": "d", "data": {"text": "x"}}]
    assert (sent["citation_options"], sent["safety_mode"]) == ({"mode": "FAST"}, "STRICT")
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["b", "z"]
    headers = asked(provider_options={"cohere": ProviderOptions(headers={"X-Client-Name": "me"})})
    assert request(headers).headers["x-client-name"] == "me"


@pytest.mark.parametrize(
    "name", ["model", "messages", "stream", "max_tokens", "temperature", "p", "tool_choice", "strict_tools", "priority"]
)  # fmt: skip
def test_options_do_not_replace_what_the_call_says(name):
    """Nor what decides how the answer is read."""
    assert refused(optioned(json.dumps({name: 1}))) == f"provider_options[cohere].body_json.{name}"
