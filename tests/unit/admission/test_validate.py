from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman_server.admission.faults import MAX_FAULTS
from pointsman_server.admission.validate import FIELD_NOT_ACTIVE, Limits, check_call, inactive, with_defaults
from pointsman_server.config.schema import Bounds, Defaults
from pointsman_server.domain import (
    CacheControl,
    CacheMode,
    Call,
    Choice,
    Citation,
    Conversation,
    Fallback,
    Generation,
    Grammar,
    JsonSchema,
    Media,
    MediaKind,
    Message,
    Objective,
    OnInterrupt,
    Part,
    Prompt,
    ProviderOptions,
    ProviderPart,
    Reasoning,
    ReasoningConfig,
    Refusal,
    Regex,
    Role,
    RoutingOptions,
    StreamOptions,
    Text,
    TokenIds,
    Tool,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
    ToolResult,
)
from pointsman_server.errors import FieldFault, Reason, ServiceError

PLAIN = Call("chat", Prompt("hello"))


def generation(**values: Any) -> Call:
    return dataclasses.replace(PLAIN, generation=Generation(**values))


def routing(**values: Any) -> Call:
    return dataclasses.replace(PLAIN, routing=RoutingOptions(**values))


def call(**values: Any) -> Call:
    return dataclasses.replace(PLAIN, **values)


def said(role: Role, *contents: Any, **part: Any) -> Call:
    parts = tuple(Part(content, **part) for content in contents)
    return call(input=Conversation((Message(Role.USER, (Part(Text("hi")),)), Message(role, parts))))


def image(**values: Any) -> Call:
    return said(Role.USER, Media(MediaKind.IMAGE, **values))


TOOL = Tool("get_weather", parameters_json_schema='{"type": "object"}')
HERE = "conversation.messages[1].parts[0]"

BAD = [
    (call(input=Prompt("")), "prompt"),
    (call(input=TokenIds(())), "token_ids.ids"),
    (call(input=Conversation(())), "conversation.messages"),
    (call(input=Conversation((Message(Role.USER, ()),))), "conversation.messages[0].parts"),
    (generation(max_output_tokens=0), "generation.max_output_tokens"),
    (generation(max_output_tokens=1001), "generation.max_output_tokens"),
    (generation(temperature=-0.1), "generation.temperature"),
    (generation(temperature=2.1), "generation.temperature"),
    (generation(temperature=math.nan), "generation.temperature"),
    (generation(top_p=1.1), "generation.top_p"),
    (generation(top_p=math.inf), "generation.top_p"),
    (generation(n=0), "generation.n"),
    (generation(n=9), "generation.n"),
    (generation(top_logprobs=-1), "generation.top_logprobs"),
    (generation(top_logprobs=21), "generation.top_logprobs"),
    (generation(top_k=-2), "generation.top_k"),
    (generation(presence_penalty=2.5), "generation.presence_penalty"),
    (generation(frequency_penalty=-math.inf), "generation.frequency_penalty"),
    (generation(min_p=-1), "generation.min_p"),
    (generation(repetition_penalty=0.0), "generation.repetition_penalty"),
    (generation(truncate_prompt_tokens=-2), "generation.truncate_prompt_tokens"),
    (generation(stop_sequences=("a",) * 5), "generation.stop_sequences"),
    (generation(stop_sequences=("a", "")), "generation.stop_sequences[1]"),
    (generation(stop_sequences=("a" * 1025,)), "generation.stop_sequences[0]"),
    (generation(logit_bias={7: 101.0}), "generation.logit_bias[7]"),
    (generation(logit_bias=dict.fromkeys(range(1025), 0.0)), "generation.logit_bias"),
    (generation(reasoning=ReasoningConfig(budget_tokens=0)), "generation.reasoning.budget_tokens"),
    (generation(reasoning=ReasoningConfig(budget_tokens=1_000_001)), "generation.reasoning.budget_tokens"),
    (routing(policy="fastest"), "routing.policy"),
    (routing(priority=101), "routing.priority"),
    (routing(priority=-101), "routing.priority"),
    (routing(max_attempts=0), "routing.max_attempts"),
    (routing(max_attempts=6), "routing.max_attempts"),
    (routing(first_token_timeout_s=0.0), "routing.first_token_timeout"),
    (routing(first_token_timeout_s=-1.0), "routing.first_token_timeout"),
    (routing(max_queue_time_s=-0.1), "routing.max_queue_time"),
    (routing(allow_backends=("a", "b c")), "routing.allow_backends[1]"),
    (routing(deny_backends=("",)), "routing.deny_backends[0]"),
    (routing(deny_backends=("a",) * 257), "routing.deny_backends"),
    (routing(fallbacks=(Fallback(),)), "routing.fallbacks[0]"),
    (routing(fallbacks=(Fallback(backend="*"),)), "routing.fallbacks[0].backend"),
    (routing(fallbacks=(Fallback(model="a"),), no_fallback=True), "routing.fallbacks"),
    (routing(session_id="x" * 257), "routing.session_id"),
    (call(stream_options=StreamOptions(coalesce_s=1.1)), "stream_options.coalesce"),
    (call(stream_options=StreamOptions(coalesce_s=-0.1)), "stream_options.coalesce"),
    (call(cache=CacheControl(ttl_s=0.0)), "cache.ttl"),
    (call(end_user_id="x" * 257), "end_user_id"),
    (call(labels={str(n): "" for n in range(17)}), "labels"),
    (call(labels={"": "x"}), "labels"),
    (call(labels={"a\n": "x"}), "labels"),
    (call(labels={"a": "x" * 513}), "labels[a]"),
    (call(provider_metadata={str(n): "" for n in range(17)}), "provider_metadata"),
    (call(provider_options={"openai": ProviderOptions("[]")}), "provider_options[openai].body_json"),
    (call(provider_options={"openai": ProviderOptions("{")}), "provider_options[openai].body_json"),
    (call(provider_options={"openai": ProviderOptions('"' + "é" * 9000 + '"')}), "provider_options[openai].body_json"),
    (call(provider_options={"Open AI": ProviderOptions()}), "provider_options"),
    (call(provider_options={"openai": ProviderOptions(headers={"a b": "x"})}), "provider_options[openai].headers"),
    (call(provider_options={"openai": ProviderOptions(headers={"a": "x\r\ny: z"})}),
     "provider_options[openai].headers[a]"),
    (call(tools=(Tool(""),)), "tools[0].name"),
    (call(tools=(Tool("a b"),)), "tools[0].name"),
    (call(tools=(TOOL, TOOL)), "tools[1].name"),
    (call(tools=(Tool("a", parameters_json_schema="true"),)), "tools[0].parameters_json_schema"),
    (call(tools=(Tool("a", parameters_json_schema="{"),)), "tools[0].parameters_json_schema"),
    (call(tool_choice=ToolChoice(ToolChoiceMode.REQUIRED)), "tool_choice.mode"),
    (call(tools=(TOOL,), tool_choice=ToolChoice(allowed_tools=("b",))), "tool_choice.allowed_tools[0]"),
    (call(output_format=JsonSchema("a b", "{}")), "output_format.json_schema.name"),
    (call(output_format=JsonSchema("a", "")), "output_format.json_schema.schema_json"),
    (call(output_format=Regex("")), "output_format.regex"),
    (call(output_format=Grammar("")), "output_format.grammar"),
    (call(output_format=Choice(())), "output_format.choice.values"),
    (call(output_format=Choice(("a", "a"))), "output_format.choice.values"),
    (said(Role.USER, ToolCall("1", "f", "{}")), HERE),
    (said(Role.SYSTEM, Refusal("no")), HERE),
    (said(Role.TOOL, Reasoning("hm")), HERE),
    (said(Role.ASSISTANT, ToolResult("1", "f", ())), HERE),
    (said(Role.TOOL, Text("x")), HERE),
    (said(Role.SYSTEM, Media(MediaKind.IMAGE, url="https://x/y")), HERE),
    (said(Role.ASSISTANT, ToolCall("1", "", "{}")), f"{HERE}.tool_call.name"),
    (said(Role.ASSISTANT, ToolCall("1", "f", "[1]")), f"{HERE}.tool_call.arguments_json"),
    (said(Role.ASSISTANT, ToolCall("1", "f", "{nope}")), f"{HERE}.tool_call.arguments_json"),
    (said(Role.ASSISTANT, ToolCall("1", "f", '{"a":' * 100 + "1" + "}" * 100)), f"{HERE}.tool_call.arguments_json"),
    (said(Role.ASSISTANT, ToolCall("1", "f", '{"a":' * 100_000)), f"{HERE}.tool_call.arguments_json"),
    (said(Role.ASSISTANT, ToolCall("x" * 513, "f", "{}")), f"{HERE}.tool_call.id"),
    (said(Role.TOOL, ToolResult("1", "f", (Part(Reasoning("x")),))), f"{HERE}.tool_result.parts[0]"),
    (said(Role.TOOL, ToolResult("1", "f", (Part(ToolResult("1", "f", ())),))), f"{HERE}.tool_result.parts[0]"),
    (said(Role.USER, Text("x"), signature=b"x" * 65_537), f"{HERE}.signature"),
    (said(Role.USER, Text("x"), citations=(Citation(),) * 1001), f"{HERE}.citations"),
    (said(Role.USER, ProviderPart("", "{}")), f"{HERE}.provider_part.dialect"),
    (said(Role.USER, ProviderPart("openai", "{")), f"{HERE}.provider_part.json"),
    (image(), f"{HERE}.image"),
    (image(url="https://x/y", data=b"x", media_type="image/png"), f"{HERE}.image"),
    (image(data=b"x"), f"{HERE}.image.media_type"),
    (image(data=b"x", media_type="png"), f"{HERE}.image.media_type"),
    (image(data=b"x", media_type="image/png\r\nx: y"), f"{HERE}.image.media_type"),
    (image(url="file:///etc/passwd"), f"{HERE}.image.url"),
    (image(url="https://user:pw@host/x"), f"{HERE}.image.url"),
    (image(url="https://host/x\r\nHost: y"), f"{HERE}.image.url"),
    (image(url="/relative"), f"{HERE}.image.url"),
]  # fmt: skip


def check(request: Call) -> None:
    check_call(request, Bounds(max_output_tokens=1000, max_stop_sequences=4), Limits(max_attempts=5))


@pytest.mark.parametrize(("request_", "path"), BAD, ids=[f"{n}-{path}" for n, (_, path) in enumerate(BAD)])
def test_each_fault_names_its_field(request_: Call, path: str) -> None:
    """A value beyond its bound is refused with the contract's path of the field, and told in the detail as well."""
    with pytest.raises(ServiceError) as caught:
        check(request_)
    assert caught.value.reason is Reason.INVALID_REQUEST
    assert [fault.path for fault in caught.value.fields] == [path]
    assert caught.value.detail.startswith(f"{path}: ")
    assert len(caught.value.detail) < 300


GOOD = [
    PLAIN,
    call(input=TokenIds((1, 2))),
    generation(max_output_tokens=1, temperature=0.0, top_p=1.0, n=8, top_logprobs=0, top_k=-1, seed=-(2**63)),
    generation(max_output_tokens=1000, temperature=2.0, presence_penalty=-2, frequency_penalty=2, min_p=0.0),
    generation(reasoning=ReasoningConfig(budget_tokens=1_000_000), stop_sequences=("a",) * 4, logit_bias={0: -100.0}),
    routing(policy="weighted", priority=-100, max_attempts=5, on_interrupt=OnInterrupt.FAIL, max_queue_time_s=0.0),
    routing(fallbacks=(Fallback("m"), Fallback(backend="b")), allow_backends=("a.b:c/d",), first_token_timeout_s=0.001),
    call(stream_options=StreamOptions(coalesce_s=1.0)),
    call(labels={str(n): "x" * 512 for n in range(16)}, end_user_id="x" * 256),
    call(provider_options={"openai": ProviderOptions(f'{{"a": {"[" * 60}1{"]" * 60}}}', {"x-a": "b\tc"})}),
    call(tools=(TOOL, Tool("b-c.d:e")), tool_choice=ToolChoice(ToolChoiceMode.REQUIRED, ("get_weather",))),
    call(output_format=JsonSchema("", "{}")),
    call(output_format=Choice(("a", "b"))),
    said(Role.ASSISTANT, Reasoning("hm"), Text("so"), ToolCall("", "f", ""), Refusal("no")),
    said(Role.ASSISTANT, ToolCall("1", "f", f'{{"text": "{"[{" * 500}"}}')),
    said(Role.TOOL, ToolResult("unknown", "", (Part(Text("x")), Part(Media(MediaKind.IMAGE, url="https://x/y"))))),
    said(Role.USER, ToolResult("1", "f", ()), Text("and?")),
    said(Role.USER, Text("x"), signature=b"x" * 65_536, origin="anthropic/claude"),
    image(data=b"x", media_type="image/png"),
    image(url="data:image/png;base64,AAAA"),
    image(url="gs://bucket/x.png", media_type="image/svg+xml; charset=utf-8"),
]  # fmt: skip


@pytest.mark.parametrize("request_", GOOD, ids=range(len(GOOD)))
def test_what_providers_take_is_taken(request_: Call) -> None:
    """Values at their bounds, and what at least one provider accepts, pass."""
    check(request_)


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        (call(idempotency_key="k"), "idempotency_key"),
        (call(cache=CacheControl(prefix_cache_salt="s")), "cache.prefix_cache_salt"),
        (routing(on_interrupt=OnInterrupt.RESTART), "routing.on_interrupt"),
        (routing(on_interrupt=OnInterrupt.CONTINUE), "routing.on_interrupt"),
    ],
)
def test_what_changes_the_meaning_is_refused(request_: Call, path: str) -> None:
    """A field that is not active, and without which the call would mean something else, is not left out silently."""
    with pytest.raises(ServiceError) as caught:
        check(request_)
    assert caught.value.reason is Reason.UNSUPPORTED_PARAMETER
    assert [fault.path for fault in caught.value.fields] == [path]


def test_hints_are_taken_with_a_warning() -> None:
    """A hint whose feature is not there is no error; the caller is told which."""
    request_ = dataclasses.replace(
        routing(objective=Objective.COST, session_id="s"),
        cache=CacheControl(CacheMode.READ_WRITE, ttl_s=5.0, namespace="n"),
    )
    check(request_)
    warnings = inactive(request_)
    assert {warning.code for warning in warnings} == {FIELD_NOT_ACTIVE}
    assert [warning.field for warning in warnings] == [
        "routing.objective", "routing.session_id", "cache.mode", "cache.ttl", "cache.namespace",
    ]  # fmt: skip


def test_hints_that_ask_for_what_happens_anyway() -> None:
    """No preference and no cache are what a call gets, so there is nothing to warn of."""
    assert (
        inactive(
            dataclasses.replace(routing(objective=Objective.BALANCED), cache=CacheControl(CacheMode.BYPASS))
        )
        == ()
    )


def test_all_faults_are_told_at_once_up_to_a_bound() -> None:
    """A caller learns of several faults in one answer, of sixteen at most."""
    request_ = dataclasses.replace(generation(n=9, top_p=2.0), labels={"": ""}, idempotency_key="k")
    with pytest.raises(ServiceError) as caught:
        check(request_)
    assert [fault.path for fault in caught.value.fields] == ["generation.top_p", "generation.n", "labels"]
    assert "(and 2 more)" in caught.value.detail
    with pytest.raises(ServiceError) as caught:
        check(call(tools=(Tool(""),) * 100))
    assert len(caught.value.fields) == MAX_FAULTS


def test_defaults_fill_what_is_unset() -> None:
    """The model's settings fill what the caller left open, and 0 is not open."""
    defaults = Defaults(max_output_tokens=5, temperature=0.7, top_p=0.9, stop_sequences=("X",))
    filled = with_defaults(generation(temperature=0.0, stop_sequences=("Y",)), defaults).generation
    assert (filled.max_output_tokens, filled.temperature, filled.top_p, filled.stop_sequences) == (
        5,
        0.0,
        0.9,
        ("Y",),
    )
    assert with_defaults(PLAIN, Defaults()) is PLAIN


@settings(max_examples=300)
@given(st.from_type(Call))
def test_any_call(request_: Call) -> None:
    """Whatever a call holds, it is accepted or refused with a ServiceError whose faults stay within their bound."""
    refusal = ServiceError(Reason.INVALID_REQUEST, "", fields=(FieldFault("", ""),))
    try:
        check(request_)
        inactive(request_)
        with_defaults(request_, Defaults(max_output_tokens=5))
    except ServiceError as error:
        refusal = error
    assert refusal.reason in (Reason.INVALID_REQUEST, Reason.UNSUPPORTED_PARAMETER)
    assert 1 <= len(refusal.fields) <= MAX_FAULTS
