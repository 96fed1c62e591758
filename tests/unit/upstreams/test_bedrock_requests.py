"""Calls in the words of Bedrock's Converse, beyond what is recorded."""

from __future__ import annotations

import json

import pytest

from pointsman_server.domain import (
    Call,
    Generation,
    JsonSchema,
    Media,
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
from pointsman_server.upstreams.dialects.bedrock.adapter import BedrockAdapter
from pointsman_server.upstreams.dialects.bedrock.profiles import BEDROCK
from pointsman_server.upstreams.translation.support import UNSUPPORTED_CONTENT, origin, unsupported
from tests.unit.upstreams.calls import asked, attempt, said, settings

A, B = Tool("a", "does a", '{"type": "object"}', strict=True), Tool("b")
PNG = Media(MediaKind.IMAGE, data=b"abc", media_type="image/png")
OWN = origin(BEDROCK, "upstream-model")
CALL = said(ToolCall("1", "a", '{"x": 1}'), role=Role.ASSISTANT)


def request(call=None, *, stream=False):
    return BedrockAdapter(BEDROCK, settings()).request(attempt(call, stream=stream))


def body(call=None):
    return json.loads(request(call).body)


def turns(*messages):
    return body(asked(*messages))["messages"]


def refused(call):
    with pytest.raises(ServiceError) as raised:
        request(call)
    assert raised.value.reason is Reason.INVALID_REQUEST
    return raised.value.fields[0].path


def reported(call):
    return [warning.field for warning in unsupported(call, BEDROCK, "upstream-model")]


def test_where_it_goes():
    """The model and whether it streams are in the path; the body tells neither."""
    assert request().url == "http://backend.example/model/upstream-model/converse"
    assert request(stream=True).url == "http://backend.example/model/upstream-model/converse-stream"
    assert body() == {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}


def test_speakers_take_turns():
    """Messages of one speaker are one turn, with results of tools first; the system stands apart."""
    system, developer = said("be brief", role=Role.SYSTEM), said("stay calm", role=Role.DEVELOPER)
    result = said(ToolResult("1", "a", (Part(Text("x")),)), role=Role.TOOL)
    sent = body(asked(system, "a", "b", CALL, said("so", role=Role.ASSISTANT), "well", result, developer))
    assert sent["system"] == [{"text": "be brief"}, {"text": "stay calm"}]
    assert sent["messages"] == [
        {"role": "user", "content": [{"text": "a"}, {"text": "b"}]},
        {"role": "assistant", "content": [
            {"toolUse": {"toolUseId": "1", "name": "a", "input": {"x": 1}}}, {"text": "so"},
        ]},
        {"role": "user", "content": [
            {"toolResult": {"toolUseId": "1", "content": [{"text": "x"}]}}, {"text": "well"},
        ]},
    ]  # fmt: skip


def test_what_is_left_of_turns():
    """Of nothing else than unsigned thoughts there is none, and its neighbours are one turn then."""
    lost = said(Reasoning("hm"), role=Role.ASSISTANT)
    assert turns("a", lost, "b") == [{"role": "user", "content": [{"text": "a"}, {"text": "b"}]}]
    assert turns("a", said("", Refusal("no"), role=Role.ASSISTANT))[1]["content"] == [{"text": "no"}]
    assert refused(asked(lost)) == "conversation.messages"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"t": 22}', {"json": {"t": 22}}),
        (' {"t": 22} ', {"json": {"t": 22}}),
        ("[1]", {"text": "[1]"}),
        ("22", {"text": "22"}),
        ("{not json}", {"text": "{not json}"}),
        ('{"a": 1} and more', {"text": '{"a": 1} and more'}),
        ("", {"text": ""}),
    ],
)
def test_what_a_tool_says(text, told):
    """A JSON object as one, everything else as text."""
    result = said(ToolResult("1", "a", (Part(Text(text)),)), role=Role.TOOL)
    assert turns(CALL, result)[1]["content"][0]["toolResult"]["content"] == [told]


def test_a_tool_gives_more_than_text():
    """Images, documents, blocks of the provider's own, errors, and nothing."""
    own = ProviderPart("bedrock", '{"video": {"format": "mp4"}}')
    parts = tuple(Part(content) for content in (PNG, own))
    call = asked(CALL, said(ToolResult("1", "a", parts, is_error=True), role=Role.TOOL))
    assert reported(call) == []
    assert body(call)["messages"][1]["content"][0]["toolResult"] == {
        "toolUseId": "1", "status": "error",
        "content": [{"image": {"format": "png", "source": {"bytes": "YWJj"}}}, {"video": {"format": "mp4"}}],
    }  # fmt: skip
    empty = said(ToolResult("1", "a", ()), role=Role.TOOL)
    assert turns(CALL, empty)[1]["content"][0]["toolResult"]["content"] == [{"text": ""}]


def test_ids_of_other_providers_calls():
    """Dots and colons are taken, blanks and long ones are mapped, the same on both sides."""
    odd = said(ToolCall("f.look:0", "a", "{}"), ToolCall("x y", "a", "{}"), role=Role.ASSISTANT)
    back = said(ToolResult("x y", "a", (Part(Text("x")),)), role=Role.TOOL)
    spoken, answered = turns(odd, back)
    first, second = (block["toolUse"]["toolUseId"] for block in spoken["content"])
    assert first == "f.look:0"
    assert answered["content"][0]["toolResult"]["toolUseId"] == second != "x y"


def test_thinking_goes_back_to_its_own_maker():
    """With its signature; unreadable thoughts as the block that they came in."""
    hidden = ProviderPart("bedrock", '{"reasoningContent": {"redactedContent": "eA=="}}')
    kept = said(Part(Reasoning("hm"), b"sig==", OWN), Part(hidden, origin=OWN), "so", role=Role.ASSISTANT)
    assert turns("hi", kept)[1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig=="}}},
        {"reasoningContent": {"redactedContent": "eA=="}},
        {"text": "so"},
    ]
    assert reported(asked("hi", kept)) == []
    other = said(
        Part(Reasoning("hm"), b"sig", "bedrock:another"), Part(hidden, origin="x"), "so", role=Role.ASSISTANT
    )
    assert turns("hi", other)[1]["content"] == [{"text": "so"}]
    assert len(reported(asked("hi", other))) == 3
    path = "conversation.messages[1].parts[0].signature"
    assert refused(asked("hi", said(Part(Reasoning("hm"), b"\xff", OWN), role=Role.ASSISTANT))) == path


def test_cache_points():
    """Behind the part that they stand on, also in the system's words."""
    marked = Part(Text("a"), cache_breakpoint=True)
    call = asked(said(marked, role=Role.SYSTEM), said(marked, "b"))
    point = {"cachePoint": {"type": "default"}}
    assert body(call)["system"] == [{"text": "a"}, point]
    assert body(call)["messages"][0]["content"] == [{"text": "a"}, point, {"text": "b"}]
    assert reported(call) == []


def media(kind, **fields):
    (block,) = turns(said(Media(kind, **fields)))[0]["content"]
    return block


def test_media():
    """Bytes, or objects of S3, with the format by the media type or by the object's name."""
    image, audio, file = MediaKind.IMAGE, MediaKind.AUDIO, MediaKind.FILE
    assert media(image, url="data:image/jpeg;base64,YWJj") == {
        "image": {"format": "jpeg", "source": {"bytes": "YWJj"}}
    }
    assert media(image, url="s3://bucket/a/b.JPG") == {
        "image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://bucket/a/b.JPG"}}}
    }
    assert media(image, url="s3://bucket/a", media_type="image/webp")["image"]["format"] == "webp"
    assert media(audio, data=b"abc", media_type="audio/mpeg; rate=8000")["audio"]["format"] == "mp3"
    assert media(file, data=b"abc", media_type="text/markdown", filename="R&D  notes.v2.md") == {
        "document": {"format": "md", "name": "R D notes v2", "source": {"bytes": "YWJj"}}
    }
    assert media(file, data=b"abc", media_type="application/pdf")["document"]["name"] == "document"
    assert refused(asked(said(Media(image, url="s3://bucket/a")))).endswith("image.media_type")


def test_each_document_has_a_name_of_its_own():
    """Over the whole conversation."""
    pdf = Media(MediaKind.FILE, data=b"abc", media_type="application/pdf", filename="a.pdf")
    first, second = turns(said(pdf, pdf, "read"), said("ok", role=Role.ASSISTANT), said(pdf, "and this"))[::2]
    names = [
        block["document"]["name"] for block in first["content"] + second["content"] if "document" in block
    ]
    assert names == ["a", "a (2)", "a (3)"]


@pytest.mark.parametrize(
    "media",
    [
        Media(MediaKind.IMAGE, url="https://a.example/x.png"),
        Media(MediaKind.IMAGE, data=b"x", media_type="image/bmp"),
        Media(MediaKind.FILE, data=b"x", media_type="application/zip"),
        Media(MediaKind.FILE, url="http://169.254.169.254/x.pdf"),
        Media(MediaKind.AUDIO, data=b"x", media_type="audio/midi"),
    ],
)
def test_media_that_is_not_taken(media):
    """Nothing is fetched from the web, and what has no format makes the provider ineligible."""
    call = asked(said(media))
    assert [warning.code for warning in unsupported(call, BEDROCK)] == [UNSUPPORTED_CONTENT]
    assert refused(call).startswith(f"conversation.messages[0].parts[0].{media.kind.value}")


def choice(mode, *allowed, turns=("hi",)):
    sent = body(asked(*turns, tools=(A, B), tool_choice=ToolChoice(mode, allowed))).get("toolConfig", {})
    return sent.get("toolChoice"), [tool["toolSpec"]["name"] for tool in sent.get("tools", ())]


def test_tool_choices():
    """There is no word for none: no tools are offered then, unless the history has some."""
    auto, none, required = ToolChoiceMode.AUTO, ToolChoiceMode.NONE, ToolChoiceMode.REQUIRED
    both = ["a", "b"]
    assert choice(None) == (None, both)
    assert choice(auto) == ({"auto": {}}, both)
    assert choice(required) == ({"any": {}}, both)
    assert choice(required, "b") == ({"tool": {"name": "b"}}, both)
    assert choice(required, "a", "b") == ({"any": {}}, both)
    assert choice(auto, "b") == ({"auto": {}}, ["b"])
    assert choice(none) == (None, [])
    assert choice(none, "a", turns=("hi", CALL)) == (None, both)


def test_tools():
    """Schemas go as they are, an absent one takes no arguments."""
    assert body(asked(tools=(A, B)))["toolConfig"]["tools"] == [
        {"toolSpec": {
            "name": "a", "description": "does a", "inputSchema": {"json": {"type": "object"}}, "strict": True}},
        {"toolSpec": {"name": "b", "inputSchema": {"json": {"type": "object", "properties": {}}}}},
    ]  # fmt: skip
    assert (
        refused(asked(tools=(Tool("a", parameters_json_schema="[]"),))) == "tools[0].parameters_json_schema"
    )


def test_tools_of_the_history_are_named():
    """Where the call offers none: the server refuses blocks of tools that it is told nothing of."""
    result = said(ToolResult("1", "look", ()), role=Role.TOOL)

    def names(*messages):
        tools = body(asked(*messages))["toolConfig"]["tools"]
        return [tool["toolSpec"]["name"] for tool in tools]

    assert names("hi", CALL, CALL, result) == ["a"]
    assert names("hi", result) == ["look"]
    assert "toolConfig" not in body()


def extra(**config):
    limit = config.pop("limit", None)
    sent = body(asked(generation=Generation(max_output_tokens=limit, reasoning=ReasoningConfig(**config))))
    return sent.get("additionalModelRequestFields"), sent.get("outputConfig")


def test_reasoning():
    """In the fields of the model's own; the effort has a place of the wire's."""
    assert extra(effort=ReasoningEffort.XHIGH) == (None, {"effort": "xhigh"})
    assert extra(mode=ReasoningMode.ADAPTIVE, include=False) == (
        {"thinking": {"type": "adaptive", "display": "omitted"}}, None
    )  # fmt: skip
    assert extra(mode=ReasoningMode.DISABLED) == ({"thinking": {"type": "disabled"}}, None)
    for limit, budget in ((None, 2048), (10_000, 5000), (100, 1024)):
        thinking = {"type": "enabled", "budget_tokens": budget}
        assert extra(mode=ReasoningMode.ENABLED, limit=limit) == ({"thinking": thinking}, None)


def test_formats():
    """A schema as a text, with its name, beside the effort."""
    generation = Generation(reasoning=ReasoningConfig(effort=ReasoningEffort.LOW))
    call = asked(
        output_format=JsonSchema("city", '{"type":  "object"}', None, "a city"), generation=generation
    )
    schema = {"schema": '{"type":  "object"}', "name": "city", "description": "a city"}
    wanted = {"type": "json_schema", "structure": {"jsonSchema": schema}}
    assert body(call)["outputConfig"] == {"effort": "low", "textFormat": wanted}
    assert refused(asked(output_format=JsonSchema("n", "{"))).endswith("schema_json")


def test_the_rest():
    """Metadata and the user's id go into the log; a prompt is what a user says; tokens cannot be sent."""
    call = asked(end_user_id="u", provider_metadata={"team": "a"})
    assert body(call)["requestMetadata"] == {"team": "a", "user_id": "u"}
    assert body(Call("m", Prompt("once")))["messages"] == [{"role": "user", "content": [{"text": "once"}]}]
    assert refused(Call("m", TokenIds((1,)))) == "token_ids"
    assert refused(asked("\ud800")) == "conversation"


def options(body_json, **fields):
    return asked(provider_options={"bedrock": ProviderOptions(json.dumps(body_json))}, **fields)


def test_provider_options():
    """Guardrails, tiers, fields of the model's own beside ours, tools of the provider's own; nothing that we write."""
    own = {
        "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
        "serviceTier": {"type": "flex"},
        "additionalModelRequestFields": {"anthropic_beta": ["x"]},
        "tools": [{"systemTool": {"name": "nova_grounding"}}],
    }
    sent = body(options(own, generation=Generation(top_k=3), tools=(B,)))
    assert sent["guardrailConfig"] == own["guardrailConfig"]
    assert sent["additionalModelRequestFields"] == {"top_k": 3, "anthropic_beta": ["x"]}
    assert [next(iter(tool)) for tool in sent["toolConfig"]["tools"]] == ["toolSpec", "systemTool"]
    assert body(options({"tools": own["tools"]}))["toolConfig"] == {"tools": own["tools"]}
    for field in (
        {"messages": []}, {"system": []}, {"toolConfig": {}}, {"promptVariables": {}},
        {"inferenceConfig": {"maxTokens": 1}}, {"additionalModelRequestFields": {"max_tokens": 1}},
    ):  # fmt: skip
        assert refused(options(field)).startswith("provider_options[bedrock].body_json.")
    clash = options({"additionalModelRequestFields": {"top_k": 1}}, generation=Generation(top_k=3))
    assert refused(clash) == "provider_options[bedrock].body_json.additionalModelRequestFields.top_k"
