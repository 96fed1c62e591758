"""Calls in the words of Gemini, beyond what is recorded."""

from __future__ import annotations

import json

import pytest

from pointsman_server.context import Attempt, Target
from pointsman_server.domain import (
    Call,
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
from pointsman_server.upstreams.dialects.gemini.adapter import GeminiAdapter
from pointsman_server.upstreams.dialects.gemini.profiles import GEMINI, GEMINI_BETA
from pointsman_server.upstreams.translation.support import CONTENT_DROPPED, origin, unsupported
from tests.unit.upstreams.calls import asked, attempt, said, settings

PNG = Media(MediaKind.IMAGE, data=b"x", media_type="image/png")
A, B = Tool("a", "does a", '{"type": "object"}'), Tool("b")
OURS = origin(GEMINI, "upstream-model")


def request(call=None, *, stream=False, profile=GEMINI):
    return GeminiAdapter(profile, settings()).request(attempt(call, stream=stream))


def body(call=None, profile=GEMINI):
    return json.loads(request(call, profile=profile).body)


def contents(*turns):
    return body(asked(*turns))["contents"]


def configured(**generation):
    return body(asked(generation=Generation(**generation)))["generationConfig"]


def thinking(**reasoning):
    sent = configured(reasoning=ReasoningConfig(**reasoning))
    assert set(sent) == {"thinkingConfig"}
    return sent["thinkingConfig"]


def refused(call):
    with pytest.raises(ServiceError) as raised:
        request(call)
    assert raised.value.reason is Reason.INVALID_REQUEST
    return raised.value.fields[0].path


def test_model_and_method_stand_in_the_path():
    """A stream asks for events; a tuned model names its own collection; nothing of a name leads elsewhere."""
    assert request().url == "http://backend.example/v1/models/upstream-model:generateContent"
    beta = request(stream=True, profile=GEMINI_BETA).url
    assert beta == "http://backend.example/v1beta/models/upstream-model:streamGenerateContent?alt=sse"

    def url(model):
        call = Attempt(asked(), Target("backend", "gemini", model), 1, False, "request-1.1")
        return GeminiAdapter(GEMINI, settings()).request(call).url

    assert url("tunedModels/mine-7").endswith("/v1/tunedModels/mine-7:generateContent")
    assert url("m:x?y#z é").endswith("/v1/models/m%3Ax%3Fy%23z%20%C3%A9:generateContent")


def test_a_plain_call():
    """Nothing but what was said."""
    assert body() == {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    assert body(Call("m", Prompt("Once"))) == {"contents": [{"role": "user", "parts": [{"text": "Once"}]}]}
    assert refused(Call("m", TokenIds((1,)))) == "token_ids"


def test_system_and_developer_stand_apart():
    """Whatever they say, wherever they say it, in its order; names are dropped, and told."""
    call = asked(
        said("a", role=Role.SYSTEM),
        said("hi", name="ann"),
        said("b", "c", role=Role.DEVELOPER),
        said("", role=Role.SYSTEM),
    )
    assert body(call) == {
        "systemInstruction": {"role": "user", "parts": [{"text": "a"}, {"text": "b"}, {"text": "c"}]},
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
    }
    assert [(w.code, w.field) for w in unsupported(call, GEMINI)] == [
        (CONTENT_DROPPED, "conversation.messages[1].name")
    ]
    assert refused(asked(said("a", role=Role.SYSTEM))) == "conversation.messages"


def test_what_the_model_said_goes_back_as_it_came():
    """Signatures of this model on the very parts that had them; an empty text only where it carries one."""

    def signed(content, mark):
        return Part(content, signature=mark, origin=OURS)

    turn = said(
        Reasoning("hm"),
        "plain",
        signed(Text("closed"), b"QQ=="),
        signed(Reasoning(""), b"Qg-_"),
        Text(""),
        Refusal("no"),
        signed(ToolCall("1", "a", '{"n": 1e2}'), b"Qw=="),
        ToolCall("", "b", ""),
        ProviderPart("gemini", '{"executableCode": {"code": "1"}, "thoughtSignature": "RA=="}'),
        ProviderPart("other", "{}"),
        signed(PNG, b"RQ=="),
        role=Role.ASSISTANT,
    )
    assert contents("hi", turn)[1] == {"role": "model", "parts": [
        {"text": "hm", "thought": True},
        {"text": "plain"},
        {"text": "closed", "thoughtSignature": "QQ=="},
        {"text": "", "thoughtSignature": "Qg-_"},
        {"text": "no"},
        {"functionCall": {"id": "1", "name": "a", "args": {"n": 100.0}}, "thoughtSignature": "Qw=="},
        {"functionCall": {"name": "b", "args": {}}},
        {"executableCode": {"code": "1"}, "thoughtSignature": "RA=="},
        {"inlineData": {"mimeType": "image/png", "data": "eA=="}, "thoughtSignature": "RQ=="},
    ]}  # fmt: skip


def test_signatures_of_others_are_dropped():
    """Of another model or dialect; a part of nothing else goes with them, and a turn of nothing else as well."""
    foreign = Part(Text("a"), signature=b"s", origin=origin(GEMINI, "older"))
    empty = Part(Reasoning(""), signature=b"s", origin="anthropic:x")
    turns = contents("hi", said(foreign, empty, role=Role.ASSISTANT), said(empty, role=Role.ASSISTANT), "go")
    assert turns[1:] == [
        {"role": "model", "parts": [{"text": "a"}]}, {"role": "user", "parts": [{"text": "go"}]},
    ]  # fmt: skip


def test_results_follow_their_calls_in_one_turn():
    """However many messages told them; what the user adds is a turn of its own; names come from the calls."""
    calls = said(ToolCall("1", "a", "{}"), ToolCall("2", "b", "{}"), role=Role.ASSISTANT)
    turns = contents(
        "hi",
        calls,
        said(ToolResult("2", "", (Part(Text('{"x": [1]}')),)), role=Role.TOOL),
        said(ToolResult("1", "own", (Part(Text("A")), Part(Text("!")))), role=Role.TOOL),
        said("and?", ToolResult("3", "", ()), role=Role.USER),
        said(ToolResult("", "", (Part(Text("late")),)), role=Role.TOOL),
    )
    assert turns[2:] == [
        {"role": "user", "parts": [
            {"functionResponse": {"id": "2", "name": "b", "response": {"x": [1]}}},
            {"functionResponse": {"id": "1", "name": "own", "response": {"output": "A!"}}},
            {"functionResponse": {"id": "3", "name": "3", "response": {"output": ""}}},
        ]},
        {"role": "user", "parts": [{"text": "and?"}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "tool", "response": {"output": "late"}}}]},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "failed", "response"),
    [
        ("9 C", False, {"output": "9 C"}),
        ("[1]", False, {"output": "[1]"}),
        ("{no json", False, {"output": "{no json"}),
        (" {} ", False, {}),
        ('{"output": 1}', False, {"output": 1}),
        ("closed", True, {"error": "closed"}),
        ("", True, {"error": "the tool failed"}),
        ('{"code": 7}', True, {"error": {"code": 7}}),
        ('{"error": "closed"}', True, {"error": "closed"}),
    ],
)
def test_a_result_is_an_object(text, failed, response):
    """An object as it is, other text under `output`, and failures under `error`."""
    result = ToolResult("1", "a", (Part(Text(text)),), is_error=failed)
    part = contents("hi", said(result, role=Role.TOOL))[1]["parts"][0]
    assert part["functionResponse"]["response"] == response


def test_media_from_a_tool():
    """Beside the response."""
    result = ToolResult("1", "a", (Part(Text("see")), Part(PNG)))
    part = contents("hi", said(result, role=Role.TOOL))[1]["parts"][0]
    assert part["functionResponse"] == {
        "id": "1", "name": "a", "response": {"output": "see"},
        "parts": [{"inlineData": {"mimeType": "image/png", "data": "eA=="}}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("media", "part"),
    [
        (PNG, {"inlineData": {"mimeType": "image/png", "data": "eA=="}}),
        (
            Media(MediaKind.IMAGE, url="data:image/gif;base64,eA=="),
            {"inlineData": {"mimeType": "image/gif", "data": "eA=="}},
        ),
        (
            Media(MediaKind.FILE, data=b"x", media_type="application/pdf", filename="a.pdf"),
            {"inlineData": {"mimeType": "application/pdf", "data": "eA=="}},
        ),
        (
            Media(MediaKind.IMAGE, url="https://a.example/p.JPG?x=1.gif"),
            {"fileData": {"fileUri": "https://a.example/p.JPG?x=1.gif", "mimeType": "image/jpeg"}},
        ),
        (
            Media(MediaKind.FILE, url="https://generativelanguage.googleapis.com/v1beta/files/abc"),
            {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}},
        ),
        (
            Media(MediaKind.AUDIO, url="gs://bucket/a.b/c", media_type="audio/ogg"),
            {"fileData": {"fileUri": "gs://bucket/a.b/c", "mimeType": "audio/ogg"}},
        ),
    ],
)
def test_media(media, part):
    """Inline or by address; the kind is guessed from an address that is told without one."""
    call = asked(said("look", media))
    assert body(call)["contents"][0]["parts"][1] == part
    assert unsupported(call, GEMINI) == ()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/x", "gs://169.254.169.254/x", "http://metadata.internal/x"]
)
def test_private_addresses_are_refused(url):
    """The provider would fetch them; an address is a field at fault."""
    call = asked(said(Media(MediaKind.IMAGE, url=url)))
    assert refused(call) == "conversation.messages[0].parts[0].image.url"
    nested = said(ToolResult("1", "a", (Part(Media(MediaKind.IMAGE, url=url)),)), role=Role.TOOL)
    assert refused(asked("hi", nested)) == "conversation.messages[1].parts[0].tool_result.parts[0].image.url"


def test_what_media_cannot_say():
    """How closely an image is looked at is reported; stores that the provider does not read make it ineligible."""
    closely = Media(MediaKind.IMAGE, url="https://a.example/x", detail=MediaDetail.HIGH)
    assert [w.field for w in unsupported(asked(said(closely)), GEMINI)] == [
        "conversation.messages[0].parts[0].image.detail"
    ]
    other = asked(said(Media(MediaKind.IMAGE, url="s3://bucket/x")))
    assert len(unsupported(other, GEMINI)) == 1
    assert refused(other) == "conversation.messages[0].parts[0].image"


def test_generation():
    """Each under its name; more stop sequences than are taken are cut, and reported."""
    assert configured(temperature=0.0, top_p=1.0, stop_sequences=tuple("abcdef"), top_logprobs=0) == {
        "temperature": 0.0, "topP": 1.0, "stopSequences": list("abcde"), "responseLogprobs": True,
    }  # fmt: skip
    assert configured(top_logprobs=2) == {"responseLogprobs": True, "logprobs": 2}
    call = asked(generation=Generation(stop_sequences=tuple("abcdef")))
    assert [w.field for w in unsupported(call, GEMINI)] == ["generation.stop_sequences"]


def test_thinking():
    """Off, a budget, a level, or the model's choice; never two of them, since that is refused there."""
    assert thinking(mode=ReasoningMode.DISABLED, include=False) == {
        "thinkingBudget": 0,
        "includeThoughts": False,
    }
    assert thinking(mode=ReasoningMode.ADAPTIVE) == {"thinkingBudget": -1}
    assert thinking(mode=ReasoningMode.ENABLED, effort=ReasoningEffort.XHIGH) == {"thinkingLevel": "XHIGH"}
    assert thinking(effort=ReasoningEffort.LOW, budget_tokens=9) == {"thinkingBudget": 9}
    assert thinking(mode=ReasoningMode.DISABLED, budget_tokens=9) == {"thinkingBudget": 0}


@pytest.mark.parametrize(
    ("reasoning", "fields"),
    [
        (ReasoningConfig(effort=ReasoningEffort.LOW, budget_tokens=9), ["effort"]),
        (ReasoningConfig(effort=ReasoningEffort.MAX), ["effort"]),
        (ReasoningConfig(mode=ReasoningMode.DISABLED, budget_tokens=9), ["budget_tokens"]),
        (ReasoningConfig(mode=ReasoningMode.ENABLED, budget_tokens=9, include=True), []),
    ],
)
def test_thinking_that_is_not_sent_is_reported(reasoning, fields):
    """Which is what a second measure is, and a level that is not known there."""
    found = unsupported(asked(generation=Generation(reasoning=reasoning)), GEMINI)
    assert [w.field for w in found] == [f"generation.reasoning.{field}" for field in fields]


def choice(*tools, profile=GEMINI, **fields):
    sent = body(asked(tools=tools, tool_choice=ToolChoice(**fields)), profile)
    names = [
        tool["name"] for tool in sent.get("tools", [{"functionDeclarations": []}])[0]["functionDeclarations"]
    ]
    return names, sent.get("toolConfig", {}).get("functionCallingConfig")


def test_tool_choice():
    """Every mode; a subset and strictness are only had from modes that constrain the model."""
    assert choice(A, B) == (["a", "b"], None)
    assert choice(A, B, mode=ToolChoiceMode.AUTO) == (["a", "b"], {"mode": "AUTO"})
    assert choice(A, B, mode=ToolChoiceMode.NONE) == (["a", "b"], {"mode": "NONE"})
    assert choice(A, B, mode=ToolChoiceMode.REQUIRED) == (["a", "b"], {"mode": "ANY"})
    some = {"mode": "VALIDATED", "allowedFunctionNames": ["a"]}
    assert choice(A, B, allowed_tools=("a",)) == (["a", "b"], some)
    assert choice(A, B, mode=ToolChoiceMode.AUTO, allowed_tools=("a",)) == (["a", "b"], some)
    assert choice(A, Tool("c", strict=True)) == (["a", "c"], {"mode": "VALIDATED"})
    assert choice(A, Tool("c", strict=False)) == (["a", "c"], None)
    assert unsupported(asked(tools=(A, Tool("c", strict=True))), GEMINI) == ()
    single = asked(tools=(A,), tool_choice=ToolChoice(parallel_calls=False))
    assert [w.field for w in unsupported(single, GEMINI)] == ["tool_choice.parallel_calls"]


def test_tool_choice_where_the_configuration_drops_it():
    """Then what may be called is what is offered."""
    bare = GEMINI.without(["tool_choice.mode"])
    assert choice(A, B, profile=bare, mode=ToolChoiceMode.NONE) == ([], None)
    assert choice(A, B, profile=bare, allowed_tools=("b",)) == (["b"], None)
    assert choice(A, B, profile=GEMINI.without(["tool_choice"]), allowed_tools=("b",)) == (["a", "b"], None)


def test_tools_are_declared():
    """A tool without parameters has none."""
    assert body(asked(tools=(A, B)))["tools"] == [{"functionDeclarations": [
        {"name": "a", "description": "does a", "parametersJsonSchema": {"type": "object"}}, {"name": "b"},
    ]}]  # fmt: skip
    broken = asked(tools=(Tool("a", parameters_json_schema="[]"),))
    assert refused(broken) == "tools[0].parameters_json_schema"


def test_formats():
    """JSON, JSON of a schema, or one of some texts."""

    def form(wanted):
        return body(asked(output_format=wanted))["generationConfig"]

    assert form(JsonObject()) == {"responseMimeType": "application/json"}
    assert form(JsonSchema("n", '{"type": "object"}')) == {
        "responseMimeType": "application/json", "responseJsonSchema": {"type": "object"},
    }  # fmt: skip
    assert form(Choice(("yes", "no"))) == {
        "responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING", "enum": ["yes", "no"]},
    }  # fmt: skip


def optioned(text, **fields):
    return asked(provider_options={"gemini": ProviderOptions(text)}, **fields)


def test_options():
    """Safety settings and more beside what the call says; members join the generation's configuration."""
    call = optioned(
        '{"safety_settings": [{"category": "c"}], "cachedContent": "cachedContents/1", "tools": [{"googleSearch": {}}],'
        ' "generation_config": {"response_modalities": ["IMAGE"]}, "toolConfig": {"retrievalConfig": {}}}',
        generation=Generation(temperature=0.5),
        tools=(B,),
        tool_choice=ToolChoice(ToolChoiceMode.REQUIRED),
    )
    sent = body(call)
    assert sent["safetySettings"] == [{"category": "c"}]
    assert sent["cachedContent"] == "cachedContents/1"
    assert sent["tools"] == [{"functionDeclarations": [{"name": "b"}]}, {"googleSearch": {}}]
    assert sent["generationConfig"] == {"temperature": 0.5, "responseModalities": ["IMAGE"]}
    assert sent["toolConfig"] == {"functionCallingConfig": {"mode": "ANY"}, "retrievalConfig": {}}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"contents": []}', "contents"),
        ('{"model": "other"}', "model"),
        ('{"system_instruction": {}}', "systemInstruction"),
        ('{"systemInstruction": {}}', "systemInstruction"),
        ('{"generationConfig": {"max_output_tokens": 9}}', "generationConfig.maxOutputTokens"),
        ('{"generation_config": {"candidateCount": 8}}', "generationConfig.candidateCount"),
        ('{"generationConfig": {"temperature": 2}}', "generationConfig.temperature"),
        ('{"generationConfig": 1}', "generationConfig"),
        ('{"tool_config": {"function_calling_config": {}}}', "toolConfig.functionCallingConfig"),
        ('{"labels": {}, "labels ": {}, "safetySettings": [], "safety_settings": []}', "safetySettings"),
        ('{"tools": {}}', "tools"),
        ("[]", ""),
    ],
)
def test_options_do_not_replace_what_the_call_says(text, path):
    """In either spelling of a name, of which the server would take both at once."""
    found = refused(optioned(text))
    assert found == f"provider_options[gemini].body_json{path and '.'}{path}"
