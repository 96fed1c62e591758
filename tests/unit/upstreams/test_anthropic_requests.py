"""Calls in the words of Anthropic's Messages, beyond what is recorded."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pointsman_server.domain import (
    Call,
    Citation,
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
from pointsman_server.upstreams.dialects.anthropic.adapter import AnthropicAdapter
from pointsman_server.upstreams.dialects.anthropic.profiles import CURRENT, SAMPLING
from pointsman_server.upstreams.translation.support import CONTENT_DROPPED, origin, unsupported
from tests.unit.upstreams.calls import asked, attempt, said, settings

A, B = Tool("a", "does a", '{"type":  "object"}', strict=True), Tool("b")
PNG = Media(MediaKind.IMAGE, data=b"abc", media_type="image/png")
OWN = origin(CURRENT, "upstream-model")


def request(call=None, *, stream=False, profile=CURRENT, **keys):
    return AnthropicAdapter(profile, settings(**keys)).request(attempt(call, stream=stream))


def body(call=None, **options):
    return json.loads(request(call, **options).body)


def turns(*messages):
    return body(asked(*messages))["messages"]


def refused(call):
    with pytest.raises(ServiceError) as raised:
        request(call)
    assert raised.value.reason is Reason.INVALID_REQUEST
    return raised.value.fields[0].path


def reported(call, profile=CURRENT):
    return [warning.field for warning in unsupported(call, profile, "upstream-model")]


def test_where_it_goes():
    """The version in its header; a base URL with or without the version of the path."""
    sent = request(stream=True)
    assert sent.url == "http://backend.example/v1/messages"
    assert sent.headers["anthropic-version"] == "2026-10-21"
    assert json.loads(sent.body)["stream"] is True
    assert request(url="http://own.example/base/v1").url == "http://own.example/base/v1/messages"
    assert request(profile=SAMPLING).headers["anthropic-version"] == "2023-06-01"


def test_what_the_system_says_stands_apart():
    """One text as it is, several as blocks, wherever they stand in the conversation; empty ones are left out."""
    be, stay = said("be brief", role=Role.SYSTEM), said("stay calm", role=Role.DEVELOPER)
    assert body(asked(be, "hi"))["system"] == "be brief"
    both = body(asked(be, "hi", said("", role=Role.SYSTEM), stay))
    assert both["system"] == [{"type": "text", "text": "be brief"}, {"type": "text", "text": "stay calm"}]
    assert both["messages"] == [{"role": "user", "content": "hi"}]
    assert "system" not in body()


def test_results_come_first_in_the_turn_behind_their_calls():
    """All of them in one message of the user, whatever order the conversation has, with what the user adds behind."""
    calls = said("Let me.", ToolCall("1", "a", ""), ToolCall("2", "b", '{"x": 1.0}'), role=Role.ASSISTANT)
    first = said(ToolResult("1", "a", (Part(Text("x")),)), role=Role.TOOL)
    then = said("thanks", ToolResult("2", "b", (), is_error=True), role=Role.USER)
    assert turns("hi", calls, first, then, "and?", "so?")[1:] == [
        {"role": "assistant", "content": [
            {"type": "text", "text": "Let me."},
            {"type": "tool_use", "id": "1", "name": "a", "input": {}},
            {"type": "tool_use", "id": "2", "name": "b", "input": {"x": 1.0}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "1", "content": "x"},
            {"type": "tool_result", "tool_use_id": "2", "is_error": True},
            {"type": "text", "text": "thanks"},
            {"type": "text", "text": "and?"},
            {"type": "text", "text": "so?"},
        ]},
    ]  # fmt: skip


def test_consecutive_turns_and_a_prefill():
    """The server joins turns of one speaker itself; a last turn of the assistant is the beginning of the answer."""
    assert turns("a", "b", said("c", role=Role.ASSISTANT)) == [
        {"role": "user", "content": "a"},
        {"role": "user", "content": "b"},
        {"role": "assistant", "content": "c"},
    ]


def test_a_tool_gives_more_than_text():
    """Images, documents and the provider's own blocks."""
    pdf = Media(MediaKind.FILE, data=b"abc", media_type="application/pdf", filename="a.pdf")
    own = ProviderPart("anthropic", '{"type": "search_result", "source": "s"}')
    parts = tuple(Part(content) for content in (Text("see"), PNG, pdf, own))
    call = asked(said(ToolResult("1", "a", parts), role=Role.TOOL))
    assert reported(call) == []
    source = {"type": "base64", "media_type": "image/png", "data": "YWJj"}
    assert body(call)["messages"][0]["content"][0]["content"] == [
        {"type": "text", "text": "see"},
        {"type": "image", "source": source},
        {"type": "document", "source": {**source, "media_type": "application/pdf"}, "title": "a.pdf"},
        {"type": "search_result", "source": "s"},
    ]


def test_ids_of_other_providers_calls():
    """Are mapped to the form that the wire takes, the same for the call and for its result."""
    odd = "functions.look:0"
    call = said(ToolCall(odd, "a", "{}"), ToolCall("x" * 80, "a", "{}"), role=Role.ASSISTANT)
    back = said(ToolResult(odd, "a", (Part(Text("x")),)), role=Role.TOOL)
    spoken, answered = turns(call, back)
    ids = [block["id"] for block in spoken["content"]]
    assert answered["content"][0]["tool_use_id"] == ids[0]
    assert len(set(ids)) == 2
    assert all(len(one) <= 64 and one.replace("_", "").isalnum() for one in ids)


def test_thinking_goes_back_to_its_own_maker():
    """With its signature, unchanged and ahead of the calls; without one, or with another's, it is left out."""

    def turn(signature, made_by):
        thought = Part(Reasoning("hm"), signature, made_by)
        return asked("hi", said(thought, ToolCall("1", "a", "{}"), role=Role.ASSISTANT))

    kept = body(turn(b"Esig+/=", OWN))["messages"][1]["content"]
    assert kept[0] == {"type": "thinking", "thinking": "hm", "signature": "Esig+/="}
    assert reported(turn(b"Esig", OWN)) == []
    for call in (turn(b"", ""), turn(b"sig", "anthropic:another"), turn(b"sig", "gemini:upstream-model")):
        assert [block["type"] for block in body(call)["messages"][1]["content"]] == ["tool_use"]
        assert reported(call)[-1] == "conversation.messages[1].parts[0].reasoning"
    omitted = asked("hi", said(Part(Reasoning(""), b"Esig", OWN), "so", role=Role.ASSISTANT))
    assert body(omitted)["messages"][1]["content"][0]["thinking"] == ""


def test_parts_of_the_provider_go_back_as_they_are():
    """Blocks of its own tools, and thoughts that it made unreadable: those only to the model that made them."""
    hidden = ProviderPart("anthropic", '{"type": "redacted_thinking", "data": "x=="}')
    search = ProviderPart("anthropic", '{"type": "server_tool_use", "id": "s", "input": {"q": 1e2}}')
    call = asked("hi", said(Part(hidden, origin=OWN), search, "so", role=Role.ASSISTANT))
    assert body(call)["messages"][1]["content"] == [
        json.loads(hidden.json), json.loads(search.json), {"type": "text", "text": "so"}
    ]  # fmt: skip
    assert reported(call) == []
    foreign = asked("hi", said(Part(hidden, origin="anthropic:other"), "so", role=Role.ASSISTANT))
    assert body(foreign)["messages"][1] == {"role": "assistant", "content": "so"}
    assert [(w.code, w.field) for w in unsupported(foreign, CURRENT, "upstream-model")] == [
        (CONTENT_DROPPED, "conversation.messages[1].parts[0].provider_part")
    ]


def test_what_is_left_of_a_turn():
    """Empty texts are refused by the server, so they go where they say nothing; a refusal is sent as text."""
    assert turns("hi", said("", ToolCall("1", "a", "{}"), role=Role.ASSISTANT))[1]["content"] == [
        {"type": "tool_use", "id": "1", "name": "a", "input": {}}
    ]
    assert turns("hi", said(Refusal("no"), role=Role.ASSISTANT))[1]["content"] == "no"
    assert turns("hi", said(Reasoning("hm"), role=Role.ASSISTANT), "go on") == [
        {"role": "user", "content": "hi"}, {"role": "user", "content": "go on"}
    ]  # fmt: skip
    assert refused(asked(said(Reasoning("hm"), role=Role.ASSISTANT))) == "conversation.messages"


def test_cache_breakpoints():
    """On blocks of the system, of turns and of results; not on thoughts, which is told."""

    def marked(content, **more):
        return Part(content, cache_breakpoint=True, **more)

    inner = (Part(Text("x")), marked(Text("y")))
    call = asked(
        said(marked(Text("be brief")), role=Role.SYSTEM),
        said(marked(PNG), "hi"),
        said(marked(Reasoning("hm"), signature=b"E", origin=OWN), marked(ToolCall("1", "a", "{}")),
             role=Role.ASSISTANT),
        said(ToolResult("1", "a", inner), role=Role.TOOL),
    )  # fmt: skip
    sent = body(call)
    cache = {"type": "ephemeral"}
    assert sent["system"] == [{"type": "text", "text": "be brief", "cache_control": cache}]
    blocks = [block for message in sent["messages"] for block in message["content"]]
    assert [(block["type"], block.get("cache_control")) for block in blocks] == [
        ("image", cache), ("text", None), ("thinking", None), ("tool_use", cache), ("tool_result", cache),
    ]  # fmt: skip
    assert reported(call) == ["conversation.messages[2].parts[0].cache_breakpoint"]


def test_media():
    """Documents as PDF or as text, inline and by address; what else there is makes the provider ineligible."""
    text = Media(MediaKind.FILE, data="šč".encode(), media_type="text/markdown", filename="a.md")
    turn = said(
        Media(MediaKind.IMAGE, url="data:image/webp;base64,YWJj"),
        Media(MediaKind.FILE, url="https://a.example/x.pdf"),
        text,
    )
    assert turns(turn)[0]["content"] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/webp", "data": "YWJj"}},
        {"type": "document", "source": {"type": "url", "url": "https://a.example/x.pdf"}},
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "šč"},
            "title": "a.md",
        },
    ]
    assert reported(asked(turn)) == []
    for media in (
        Media(MediaKind.AUDIO, data=b"x", media_type="audio/wav"),
        Media(MediaKind.IMAGE, data=b"x", media_type="image/tiff"),
        Media(MediaKind.IMAGE, url="data:image/bmp;base64,YWJj"),
        Media(MediaKind.FILE, data=b"x", media_type="application/zip"),
    ):
        assert reported(asked(said(media))) == [f"conversation.messages[0].parts[0].{media.kind.value}"]
    latin = Media(MediaKind.FILE, data=b"\xff", media_type="text/plain")
    assert refused(asked(said(latin))) == "conversation.messages[0].parts[0].file"
    inside = Media(MediaKind.IMAGE, url="http://10.0.0.1/x.png")
    assert refused(asked(said(inside))) == "conversation.messages[0].parts[0].image.url"
    assert refused(asked(said(ToolResult("1", "a", (Part(inside),)), role=Role.TOOL))).endswith(
        "tool_result.parts[0].image.url"
    )


def test_what_the_wire_has_no_place_for():
    """Names of speakers, detail of images, citations of earlier answers: reported, and not sent."""
    close = Media(MediaKind.IMAGE, url="https://a.example/x", detail=MediaDetail.HIGH)
    cited = Part(Text("so"), citations=(Citation(url="https://a.example"),))
    call = asked(said("hi", close, name="ann"), said(cited, role=Role.ASSISTANT))
    assert reported(call) == [
        "conversation.messages[0].name",
        "conversation.messages[0].parts[1].image.detail",
        "conversation.messages[1].parts[0].citations",
    ]
    text = request(call).body
    assert not any(word in text for word in (b"ann", b"high", b"citations"))
    assert reported(asked(said("hi", name="ann"))) == ["conversation.messages[0].name"]


def choice(mode, *allowed, parallel=None):
    sent = body(asked(tools=(A, B), tool_choice=ToolChoice(mode, allowed, parallel)))
    return sent.get("tool_choice"), [tool["name"] for tool in sent.get("tools", ())]


def test_tool_choices():
    """One forced tool by its name, several by what is offered; parallel calls are turned off beside any choice."""
    auto, none, required = ToolChoiceMode.AUTO, ToolChoiceMode.NONE, ToolChoiceMode.REQUIRED
    both = ["a", "b"]
    assert choice(None) == (None, both)
    assert choice(auto) == ({"type": "auto"}, both)
    assert choice(none, "a", parallel=False) == ({"type": "none"}, both)
    assert choice(required) == ({"type": "any"}, both)
    assert choice(required, "b") == ({"type": "tool", "name": "b"}, both)
    assert choice(required, "a", "b", parallel=True) == ({"type": "any"}, both)
    assert choice(auto, "b") == ({"type": "auto"}, ["b"])
    assert choice(None, "b") == (None, ["b"])
    off = {"disable_parallel_tool_use": True}
    assert choice(None, parallel=False) == ({"type": "auto", **off}, both)
    assert choice(required, "a", parallel=False) == ({"type": "tool", "name": "a", **off}, both)


def test_tools():
    """Schemas go verbatim, an absent one takes no arguments."""
    sent = request(asked(tools=(A, B)))
    assert b'{"type":  "object"}' in sent.body
    assert json.loads(sent.body)["tools"] == [
        {"name": "a", "description": "does a", "input_schema": {"type": "object"}, "strict": True},
        {"name": "b", "input_schema": {"type": "object", "properties": {}}},
    ]
    assert (
        refused(asked(tools=(Tool("a", parameters_json_schema="[]"),))) == "tools[0].parameters_json_schema"
    )
    broken = said(ToolCall("1", "a", '{"x":1},"y":{}'), role=Role.ASSISTANT)
    assert refused(asked(broken)) == "conversation.messages[0].parts[0].tool_call.arguments_json"


def thinking(profile=CURRENT, limit=None, **config):
    call = asked(generation=Generation(max_output_tokens=limit, reasoning=ReasoningConfig(**config)))
    sent = body(call, profile=profile)
    return sent.get("thinking"), sent.get("output_config"), sent["max_tokens"], reported(call, profile)


def test_reasoning():
    """A budget is `enabled`, a mode without one is what the models of the version know."""
    on, off, adaptive = ReasoningMode.ENABLED, ReasoningMode.DISABLED, ReasoningMode.ADAPTIVE
    budget = "generation.reasoning.budget_tokens"
    low = {"effort": "low"}
    assert thinking(mode=off) == ({"type": "disabled"}, None, 4096, [])
    assert thinking(mode=on, effort=ReasoningEffort.LOW) == ({"type": "adaptive"}, low, 4096, [])
    assert thinking(mode=on, budget_tokens=2000) == (
        {"type": "enabled", "budget_tokens": 2000}, None, 4096, []
    )  # fmt: skip
    assert thinking(mode=adaptive, budget_tokens=2000) == ({"type": "adaptive"}, None, 4096, [budget])
    assert thinking(mode=off, budget_tokens=2000) == ({"type": "disabled"}, None, 4096, [budget])
    assert thinking(effort=ReasoningEffort.MINIMAL) == (None, None, 4096, ["generation.reasoning.effort"])
    assert thinking(SAMPLING, limit=9000, mode=on)[0] == {"type": "enabled", "budget_tokens": 4500}
    assert thinking(SAMPLING, limit=100, mode=on)[0] == {"type": "enabled", "budget_tokens": 1024}


def test_thinking_that_is_shown_or_not():
    """Is asked for beside a configuration of thinking, and cannot be without one."""
    assert thinking(mode=ReasoningMode.ADAPTIVE, include=False)[0] == {
        "type": "adaptive",
        "display": "omitted",
    }
    shown = {"type": "enabled", "budget_tokens": 1024, "display": "summarized"}
    assert thinking(budget_tokens=1024, include=True)[0] == shown
    assert thinking(include=False)[0] is None
    assert thinking(mode=ReasoningMode.DISABLED, include=True)[0] == {"type": "disabled"}


def test_the_limit_that_the_wire_demands():
    """The call's own; else the configured one, with room for an answer above a budget that reaches it."""
    assert body(asked(generation=Generation(max_output_tokens=7)))["max_tokens"] == 7
    assert body(default_max_output_tokens=500)["max_tokens"] == 500
    known = attempt(asked(), stream=False)
    known = replace(known, target=replace(known.target, output_token_limit=9000))
    for keys, limit in (({}, 9000), ({"default_max_output_tokens": 500}, 500)):
        sent = AnthropicAdapter(CURRENT, settings(**keys)).request(known)
        assert json.loads(sent.body)["max_tokens"] == limit
    assert thinking(budget_tokens=4095)[2] == 4096
    assert thinking(budget_tokens=8000)[2] == 12_096
    assert thinking(budget_tokens=8000, limit=9000)[2] == 9000


def test_a_long_answer_is_streamed_to_unary_callers():
    """As the provider's own client demands; a streaming answer is read either way."""
    assert "stream" not in body(asked(generation=Generation(max_output_tokens=21_333)))
    assert body(asked(generation=Generation(max_output_tokens=21_334)))["stream"] is True


def test_formats():
    """A schema and nothing else; it stands beside the effort."""
    generation = Generation(reasoning=ReasoningConfig(effort=ReasoningEffort.HIGH))
    call = asked(output_format=JsonSchema("n", '{"type": "object"}', strict=False), generation=generation)
    assert body(call)["output_config"] == {
        "effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}
    }  # fmt: skip
    plain = asked(output_format=JsonObject())
    assert "output_config" not in body(plain)
    assert reported(plain) == ["output_format.json_object"]


def test_prompts_and_tokens():
    """A prompt is what a user says; tokens cannot be sent."""
    assert body(Call("m", Prompt("once")))["messages"] == [{"role": "user", "content": "once"}]
    assert refused(Call("m", TokenIds((1,)))) == "token_ids"


def options(body_json="", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return asked(provider_options={"anthropic": ProviderOptions(body_json, named)}, tools=(B,))


def test_provider_options():
    """Fields without a neutral name, tools of the provider's own, betas; nothing that the adapter writes."""
    extra = {
        "service_tier": "standard_only",
        "thinking": {"type": "between_tools"},
        "tools": [{"type": "web_search_20250305"}],
    }
    sent = request(options(json.dumps(extra), Anthropic_Beta="a-2026-01-01,b-2026-01-01"))
    assert sent.headers["anthropic-beta"] == "a-2026-01-01,b-2026-01-01"
    found = json.loads(sent.body)
    assert (found["service_tier"], found["thinking"]) == ("standard_only", {"type": "between_tools"})
    assert [tool.get("type", tool.get("name")) for tool in found["tools"]] == ["b", "web_search_20250305"]
    for name in ("model", "messages", "system", "stream", "max_tokens", "tool_choice", "stop_sequences"):
        assert refused(options(json.dumps({name: 1}))) == f"provider_options[anthropic].body_json.{name}"
    for name in ("X-Api-Key", "Authorization", "Anthropic-Version", "Host"):
        assert refused(options(**{name.replace("-", "_"): "x"})).startswith(
            "provider_options[anthropic].headers"
        )


def test_a_signature_that_is_no_text():
    """Was not made by this provider, whatever its origin says."""
    path = "conversation.messages[1].parts[0].signature"
    thought = Part(Reasoning("hm"), b"\xff", OWN)
    assert refused(asked("hi", said(thought, role=Role.ASSISTANT))) == path
    assert refused(asked("\ud800")) == "conversation"
