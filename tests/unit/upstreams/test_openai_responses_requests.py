"""Calls in the words of the Responses API, beyond what is recorded."""

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
    ReasoningSummary,
    Refusal,
    Role,
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
from pointsman_server.upstreams.dialects.openai_responses.adapter import ResponsesAdapter
from pointsman_server.upstreams.dialects.openai_responses.profiles import OPENAI_RESPONSES
from pointsman_server.upstreams.translation.support import CONTENT_DROPPED, origin, unsupported
from tests.unit.upstreams.calls import asked, attempt, said, settings

PNG = Media(MediaKind.IMAGE, data=b"x", media_type="image/png")
A, B = Tool("a", "does a", '{"type": "object"}'), Tool("b")
OURS = origin(OPENAI_RESPONSES, "upstream-model")


def request(call=None, *, stream=False, profile=OPENAI_RESPONSES):
    return ResponsesAdapter(profile, settings()).request(attempt(call, stream=stream))


def body(call=None, profile=OPENAI_RESPONSES):
    return json.loads(request(call, profile=profile).body)


def items(*turns):
    return body(asked(*turns))["input"]


def generating(**generation):
    sent = body(asked(generation=Generation(**generation)))
    return {name: value for name, value in sent.items() if name not in ("model", "input", "store")}


def refused(call):
    with pytest.raises(ServiceError) as raised:
        request(call)
    assert raised.value.reason is Reason.INVALID_REQUEST
    return raised.value.fields[0].path


def test_a_plain_call():
    """Nothing is kept there; a stream says so."""
    sent = request(stream=True)
    assert sent.url == "http://backend.example/responses"
    assert json.loads(sent.body) == {
        "model": "upstream-model", "input": [{"role": "user", "content": "hi"}], "stream": True, "store": False,
    }  # fmt: skip
    assert "stream" not in body()
    assert body(Call("m", Prompt("Once")))["input"] == [{"role": "user", "content": "Once"}]
    assert refused(Call("m", TokenIds((1,)))) == "token_ids"


def test_instructions_are_the_systems_first_words():
    """What it says later stays where it is, as do the developer's words; names are dropped, and told."""
    call = asked(
        said("a", "b", role=Role.SYSTEM),
        said("c", role=Role.SYSTEM),
        said("d", role=Role.DEVELOPER),
        said("hi", name="ann"),
        said("e", role=Role.SYSTEM),
    )
    sent = body(call)
    assert sent["instructions"] == "ab\n\nc"
    assert sent["input"] == [
        {"role": "developer", "content": "d"}, {"role": "user", "content": "hi"}, {"role": "system", "content": "e"},
    ]  # fmt: skip
    assert [(w.code, w.field) for w in unsupported(call, OPENAI_RESPONSES)] == [
        (CONTENT_DROPPED, "conversation.messages[3].name")
    ]


def test_a_system_alone_is_an_input():
    """Instructions without one would be refused."""
    sent = body(asked(said("a", role=Role.SYSTEM)))
    assert sent["input"] == [{"role": "system", "content": "a"}]
    assert "instructions" not in sent
    assert refused(asked(said("", role=Role.SYSTEM))) == "conversation.messages"


def test_what_the_model_said_goes_back_in_its_order():
    """Sealed reasoning ahead of what came of it; texts in between are messages; a refusal has its own kind."""

    def sealed(content):
        return Part(content, signature=b"gAAA==", origin=OURS)

    turn = said(
        sealed(Reasoning("why", ReasoningKind.SUMMARY)),
        "let me",
        " see",
        ToolCall("c1", "a", '{"x": 1}'),
        sealed(Reasoning("hm", ReasoningKind.THOUGHT)),
        sealed(Reasoning("")),
        ProviderPart("openai_responses", '{"type": "web_search_call", "id": "ws_1"}'),
        ProviderPart("other", "{}"),
        ToolCall("c2", "b", ""),
        Text(""),
        "but",
        Refusal("no"),
        role=Role.ASSISTANT,
    )
    assert items("hi", turn)[1:] == [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "why"}], "encrypted_content": "gAAA=="},
        {"role": "assistant", "content": "let me see"},
        {"type": "function_call", "call_id": "c1", "name": "a", "arguments": '{"x": 1}'},
        {
            "type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}],
            "encrypted_content": "gAAA==",
        },
        {"type": "reasoning", "summary": [], "encrypted_content": "gAAA=="},
        {"type": "web_search_call", "id": "ws_1"},
        {"type": "function_call", "call_id": "c2", "name": "b", "arguments": "{}"},
        {"type": "message", "role": "assistant", "content": [
            {"type": "output_text", "text": "but"}, {"type": "refusal", "refusal": "no"},
        ]},
    ]  # fmt: skip


def test_reasoning_that_is_not_sealed_here_is_dropped():
    """Another model's, or mere text; and reported."""
    foreign = Part(Reasoning("hm"), signature=b"s", origin=origin(OPENAI_RESPONSES, "other"))
    call = asked("hi", said(foreign, Reasoning("oh"), "ok", role=Role.ASSISTANT), "go on")
    assert body(call)["input"][1:] == [
        {"role": "assistant", "content": "ok"}, {"role": "user", "content": "go on"},
    ]  # fmt: skip
    fields = [
        w.field.rpartition("messages[1].")[2] for w in unsupported(call, OPENAI_RESPONSES, "upstream-model")
    ]
    assert fields == ["parts[0].signature", "parts[0].reasoning", "parts[1].reasoning"]


def test_outputs_of_tools():
    """A string where one text is all, a list otherwise; a failure says so; the rest of the turn follows."""
    turns = items(
        "hi",
        said(ToolCall("1", "a", "{}"), ToolCall("2", "b", "{}"), role=Role.ASSISTANT),
        said("and?", ToolResult("2", "b", (Part(Text("B")), Part(PNG))), ToolResult("1", "a", ())),
        said(ToolResult("3", "a", (Part(Text("gone")),), is_error=True), role=Role.TOOL),
        said(ToolResult("4", "a", (Part(Text("x")), Part(Text("y")))), role=Role.TOOL),
    )
    image = {"type": "input_image", "image_url": "data:image/png;base64,eA==", "detail": "auto"}
    assert turns[3:] == [
        {"type": "function_call_output", "call_id": "2", "output": [{"type": "input_text", "text": "B"}, image]},
        {"type": "function_call_output", "call_id": "1", "output": ""},
        {"role": "user", "content": "and?"},
        {"type": "function_call_output", "call_id": "3", "output": "Error: gone"},
        {"type": "function_call_output", "call_id": "4", "output": [
            {"type": "input_text", "text": "x"}, {"type": "input_text", "text": "y"},
        ]},
    ]  # fmt: skip


def test_provider_parts_are_items_or_content():
    """By their type."""
    turn = said(
        "read",
        ProviderPart("openai_responses", '{"type": "input_file", "file_id": "f"}'),
        ProviderPart("openai_responses", '{"type": "item_reference", "id": "i"}'),
    )
    assert items(turn) == [
        {"type": "item_reference", "id": "i"},
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "read"}, {"type": "input_file", "file_id": "f"}],
        },
    ]


@pytest.mark.parametrize(
    ("media", "content"),
    [
        (
            Media(MediaKind.IMAGE, url="https://a.example/x", detail=MediaDetail.LOW),
            {"type": "input_image", "image_url": "https://a.example/x", "detail": "low"},
        ),
        (
            Media(MediaKind.IMAGE, url="data:image/gif;base64,eA=="),
            {"type": "input_image", "image_url": "data:image/gif;base64,eA==", "detail": "auto"},
        ),
        (
            Media(MediaKind.FILE, data=b"x", media_type="application/pdf", filename="a.pdf"),
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,eA=="},
        ),
        (
            Media(MediaKind.FILE, url="https://a.example/a.pdf", detail=MediaDetail.HIGH),
            {"type": "input_file", "detail": "high", "file_url": "https://a.example/a.pdf"},
        ),
    ],
)
def test_media(media, content):
    """Images and files, by address and inline."""
    call = asked(said(media))
    assert body(call)["input"] == [{"role": "user", "content": [content]}]
    assert unsupported(call, OPENAI_RESPONSES) == ()


def test_media_that_cannot_be_sent():
    """Private addresses are the field at fault; sounds and pictures of the assistant make the call ineligible."""
    private = asked(said(Media(MediaKind.IMAGE, url="http://10.0.0.1/x")))
    assert refused(private) == "conversation.messages[0].parts[0].image.url"
    sound = asked(said(Media(MediaKind.AUDIO, data=b"x", media_type="audio/wav")))
    assert refused(sound) == "conversation.messages[0].parts[0].audio"
    for call in (sound, asked("hi", said(PNG, role=Role.ASSISTANT))):
        assert len(unsupported(call, OPENAI_RESPONSES)) == 1


def test_generation():
    """What there is of it; the chosen tokens' probabilities are asked for by inclusion alone."""
    assert generating(top_p=0.5, max_output_tokens=16, verbosity=Verbosity.HIGH) == {
        "top_p": 0.5, "max_output_tokens": 16, "text": {"verbosity": "high"},
    }  # fmt: skip
    logprobs = ["message.output_text.logprobs"]
    assert generating(top_logprobs=0) == {"include": logprobs}
    assert generating(top_logprobs=3) == {"top_logprobs": 3, "include": logprobs}
    lacking = Generation(
        seed=1, n=2, stop_sequences=("x",), presence_penalty=0.1, top_k=1, logit_bias={1: 1.0}
    )
    fields = {w.field for w in unsupported(asked(generation=lacking), OPENAI_RESPONSES)}
    assert fields == {f"generation.{name}" for name in (
        "seed", "n", "stop_sequences", "presence_penalty", "top_k", "logit_bias",
    )}  # fmt: skip


@pytest.mark.parametrize(
    ("reasoning", "sent"),
    [
        (ReasoningConfig(effort=ReasoningEffort.XHIGH), {"reasoning": {"effort": "xhigh"}}),
        (ReasoningConfig(mode=ReasoningMode.DISABLED), {"reasoning": {"effort": "none"}}),
        (
            ReasoningConfig(mode=ReasoningMode.ENABLED, effort=ReasoningEffort.LOW),
            {"reasoning": {"effort": "low"}},
        ),
        (ReasoningConfig(summary=ReasoningSummary.CONCISE), {"reasoning": {"summary": "concise"}}),
        (
            ReasoningConfig(include=True),
            {"reasoning": {"summary": "auto"}, "include": ["reasoning.encrypted_content"]},
        ),
        (
            ReasoningConfig(include=True, summary=ReasoningSummary.DETAILED),
            {"reasoning": {"summary": "detailed"}, "include": ["reasoning.encrypted_content"]},
        ),
        (ReasoningConfig(include=False), {}),
    ],
)
def test_reasoning(reasoning, sent):
    """Its effort, none among them, and its summary; sealed where it is to be told."""
    assert generating(reasoning=reasoning) == sent


def test_reasoning_that_is_not_sent_is_reported():
    """A budget, and that the model reasons at all where no effort says how much."""
    config = ReasoningConfig(mode=ReasoningMode.ADAPTIVE, budget_tokens=9)
    found = unsupported(asked(generation=Generation(reasoning=config)), OPENAI_RESPONSES)
    assert [w.field for w in found] == ["generation.reasoning.mode", "generation.reasoning.budget_tokens"]


def choice(*tools, profile=OPENAI_RESPONSES, **fields):
    sent = body(asked(tools=tools, tool_choice=ToolChoice(**fields)), profile)
    return [tool["name"] for tool in sent.get("tools", ())], sent.get("tool_choice")


def test_tool_choice():
    """Every mode, a single one by name, a subset as what is allowed."""
    assert choice(A, B) == (["a", "b"], None)
    for mode in ToolChoiceMode:
        assert choice(A, B, mode=mode) == (["a", "b"], mode.value.lower())
    one, two = {"type": "function", "name": "a"}, {"type": "function", "name": "b"}
    assert choice(A, B, mode=ToolChoiceMode.REQUIRED, allowed_tools=("a",)) == (["a", "b"], one)
    both = {"type": "allowed_tools", "mode": "required", "tools": [one, two]}
    assert choice(A, B, mode=ToolChoiceMode.REQUIRED, allowed_tools=("a", "b")) == (["a", "b"], both)
    some = {"type": "allowed_tools", "mode": "auto", "tools": [one]}
    assert choice(A, B, allowed_tools=("a",)) == (["a", "b"], some)
    bare = OPENAI_RESPONSES.without(["tool_choice.mode"])
    assert choice(A, B, profile=bare, mode=ToolChoiceMode.NONE) == ([], None)
    assert choice(A, B, profile=bare, allowed_tools=("b",)) == (["b"], None)


def test_tools_are_flat():
    """Strictness is the default there, and so must be denied."""
    assert body(asked(tools=(A, Tool("c", strict=True))))["tools"] == [
        {
            "type": "function", "name": "a", "description": "does a", "parameters": {"type": "object"},
            "strict": False,
        },
        {
            "type": "function", "name": "c", "parameters": {"type": "object", "properties": {}}, "strict": True,
        },
    ]  # fmt: skip


def test_formats():
    """Beside the verbosity; a schema has a name."""

    def form(wanted):
        call = asked(output_format=wanted, generation=Generation(verbosity=Verbosity.LOW))
        return body(call)["text"]

    assert form(JsonObject()) == {"verbosity": "low", "format": {"type": "json_object"}}
    assert form(JsonSchema("a city", '{"type": "object"}', True, "d"))["format"] == {
        "type": "json_schema", "name": "a_city", "schema": {"type": "object"}, "strict": True, "description": "d",
    }  # fmt: skip
    assert form(JsonSchema("", "{}"))["format"] == {"type": "json_schema", "name": "output", "schema": {}}


def test_who_asks():
    """The user and the metadata."""
    sent = body(asked(end_user_id="u", provider_metadata={"k": "v"}))
    assert (sent["safety_identifier"], sent["metadata"]) == ("u", {"k": "v"})


def optioned(text, **fields):
    return asked(provider_options={"openai_responses": ProviderOptions(text)}, **fields)


def test_options():
    """What is kept and what is included are the caller's to choose; tools of the server join ours."""
    call = optioned(
        '{"store": true, "previous_response_id": "resp_1", "include": ["web_search_call.action.sources",'
        ' "message.output_text.logprobs"], "tools": [{"type": "web_search"}], "reasoning": {"context": "auto"},'
        ' "service_tier": "flex"}',
        tools=(B,),
        generation=Generation(
            top_logprobs=0, reasoning=ReasoningConfig(effort=ReasoningEffort.LOW, include=True)
        ),
    )
    sent = body(call)
    assert sent["store"] is True
    assert sent["previous_response_id"] == "resp_1"
    assert sent["service_tier"] == "flex"
    assert sent["include"] == [
        "reasoning.encrypted_content", "message.output_text.logprobs", "web_search_call.action.sources",
    ]  # fmt: skip
    assert [tool["type"] for tool in sent["tools"]] == ["function", "web_search"]
    assert sent["reasoning"] == {"effort": "low", "summary": "auto", "context": "auto"}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"input": []}', "input"),
        ('{"model": "other"}', "model"),
        ('{"instructions": "x"}', "instructions"),
        ('{"stream": true}', "stream"),
        ('{"background": true}', "background"),
        ('{"max_output_tokens": 9}', "max_output_tokens"),
        ('{"temperature": 2}', "temperature"),
        ('{"text": {"format": {}}}', "text.format"),
        ('{"tool_choice": "auto"}', "tool_choice"),
        ('{"metadata": {}}', "metadata"),
        ('{"include": "x"}', "include"),
        ('{"include": [1]}', "include"),
    ],
)
def test_options_do_not_replace_what_the_call_says(text, path):
    """Nor what decides where the call goes and how its answer is read."""
    assert refused(optioned(text)) == f"provider_options[openai_responses].body_json.{path}"
