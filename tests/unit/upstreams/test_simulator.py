"""The built-in backend."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman_server.config import schema
from pointsman_server.domain import (
    Call,
    Choice,
    Delta,
    DeltaKind,
    FinishReason,
    Generation,
    JsonObject,
    JsonSchema,
    Part,
    Prompt,
    ProviderOptions,
    Reasoning,
    ReasoningConfig,
    ReasoningEffort,
    ReasoningMode,
    Role,
    Text,
    TokenIds,
    Tool,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
    ToolResult,
    Usage,
)
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.upstreams.dialects.simulator.answer import instance
from pointsman_server.upstreams.dialects.simulator.profile import SIMULATOR
from pointsman_server.upstreams.dialects.simulator.upstream import SimulatorUpstream, parse_step
from tests.fakes.clock import FakeClock
from tests.unit.upstreams.calls import asked, attempt, folded, said

WEATHER = Tool("weather", parameters_json_schema=json.dumps({
    "type": "object", "properties": {"city": {"type": "string"}, "unit": {"enum": ["c", "f"]}},
    "required": ["city", "unit"],
}))  # fmt: skip
CLOCK = Tool("clock")


def simulator(clock=None, **config):
    config.setdefault("output_tokens", 4)
    return SimulatorUpstream(schema.Simulator(**config), SIMULATOR, clock=clock or FakeClock())


async def batches(upstream, call=None):
    async with upstream.open(attempt(call)) as answer:
        return [list(batch) async for batch in answer]


async def collect(upstream, call, seen):
    """As `batches`, but what came ahead of a failure is kept."""
    async with upstream.open(attempt(call)) as answer:
        async for batch in answer:
            seen.extend(batch)


async def ask(call=None, **config):
    return folded(event for batch in await batches(simulator(**config), call) for event in batch)


async def only(call, **config):
    """The first candidate's parts."""
    return [part.content for part in (await ask(call, **config)).candidates[0].parts]


def steered(text="hello world", **controls):
    return asked(text, provider_options={"simulator": ProviderOptions(json.dumps(controls))})


async def test_the_users_words_come_back_numbered():
    """So that a lost, doubled or moved chunk shows; the same call gets the same answer."""
    answer = await ask(asked("hello world"))
    assert answer.candidates[0].parts[0].content == Text("hello:0 world:1 hello:2 world:3")
    assert answer.candidates[0].finish_reason is FinishReason.STOP
    assert answer.usage == Usage(2, 4, 6)
    assert answer.model == "upstream-model"
    assert answer == await ask(asked("hello world"))
    assert await only(asked(" "), output_tokens=2) == [Text("token:0 token:1")]
    assert await only(Call("m", Prompt("once")), output_tokens=1) == [Text("once:0")]
    assert await only(Call("m", TokenIds((1, 2, 3))), output_tokens=1) == [Text("token:0")]


async def test_without_a_pace_everything_comes_at_once():
    """In one batch, one delta for the text."""
    (batch,) = await batches(simulator(output_tokens=1000), asked())
    assert len([event for event in batch if isinstance(event, Delta)]) == 1


async def test_the_pace():
    """The first token after its wait, each next one on time, however long the reader takes."""
    clock = FakeClock()
    upstream = simulator(clock, first_token_ms=500, tokens_per_s=10)
    started, seen = clock.now(), []
    async with upstream.open(attempt()) as answer:
        async for batch in answer:
            seen += [(round(clock.now() - started, 3), sum(isinstance(event, Delta) for event in batch))]
    assert seen == [(0.5, 1), (0.6, 1), (0.7, 1), (0.8, 1)]


async def test_a_slow_reader_finds_all_that_is_due():
    """In one batch, as it would from a network."""
    clock = FakeClock()
    texts = []
    async with simulator(clock, tokens_per_s=10, output_tokens=8).open(attempt()) as answer:
        async for batch in answer:
            texts.append([event.text for event in batch if isinstance(event, Delta)])
            await clock.sleep(0.35)
    assert [len(batch) for batch in texts] == [1, 3, 4]
    assert "".join(text for batch in texts for text in batch) == " ".join(f"hi:{k}" for k in range(8))


async def test_paced_and_unpaced_answers_are_the_same():
    """For text, calls, JSON and thinking, and for several candidates."""
    for call in (
        asked("a b", generation=Generation(n=3, reasoning=ReasoningConfig(effort=ReasoningEffort.LOW))),
        asked("@tool:clock @tool:weather", tools=(WEATHER, CLOCK)),
        asked(output_format=JsonObject()),
        asked(generation=Generation(max_output_tokens=3, n=2)),
    ):
        assert await ask(call) == await ask(call, tokens_per_s=1000)


async def test_candidates():
    """Each begins with another word."""
    answer = await ask(asked("a b c", generation=Generation(n=2)), output_tokens=2)
    assert [one.parts[0].content.text for one in answer.candidates] == ["a:0 b:1", "b:0 c:1"]
    assert answer.usage.output_tokens == 4


async def test_limits():
    """The call's bound ends an answer early; a stop sequence too, and is told."""
    short = await ask(asked("a b", generation=Generation(max_output_tokens=2)))
    assert short.candidates[0].parts[0].content == Text("a:0 b:1")
    assert short.candidates[0].finish_reason is FinishReason.MAX_TOKENS
    exact = await ask(asked("a b", generation=Generation(max_output_tokens=4)))
    assert exact.candidates[0].finish_reason is FinishReason.STOP
    stopped = await ask(asked("a b", generation=Generation(stop_sequences=("zzz", "2", "b:3"))))
    assert stopped.candidates[0].parts[0].content == Text("a:0 b:1 a:")
    assert stopped.candidates[0].stop_sequence == "2"
    nothing = await ask(asked("a b", generation=Generation(stop_sequences=("a",))))
    assert nothing.candidates[0].parts == ()
    assert (await ask(output_tokens=0)).candidates[0].finish_reason is FinishReason.STOP


async def test_thinking():
    """Where it is asked for, unless it is to be left out."""
    on = ReasoningConfig(mode=ReasoningMode.ENABLED, budget_tokens=2)
    parts = await only(asked("a", generation=Generation(reasoning=on)), output_tokens=1)
    assert parts == [Reasoning("thought:0 thought:1"), Text("a:0")]
    for config in (
        ReasoningConfig(mode=ReasoningMode.DISABLED),
        ReasoningConfig(effort=ReasoningEffort.LOW, include=False),
        ReasoningConfig(),
    ):
        assert await only(asked("a", generation=Generation(reasoning=config)), output_tokens=1) == [
            Text("a:0")
        ]


async def test_tool_calls():
    """By marker or by force, one for each marker, with the least arguments; never where tools are off."""
    tools = (WEATHER, CLOCK)
    answer = await ask(asked("please @tool and @tool:clock", tools=tools))
    calls = [part.content for part in answer.candidates[0].parts]
    assert [(call.name, call.arguments_json) for call in calls] == [
        ("weather", '{"city":"","unit":"c"}'),
        ("clock", "{}"),
    ]
    assert calls[0].id != calls[1].id
    assert answer.candidates[0].finish_reason is FinishReason.TOOL_CALLS
    forced = await only(asked("x", tools=tools, tool_choice=ToolChoice(ToolChoiceMode.REQUIRED, ("clock",))))
    assert [call.name for call in forced] == ["clock"]
    single = await only(asked("@tool @tool", tools=tools, tool_choice=ToolChoice(parallel_calls=False)))
    assert len(single) == 1
    for call in (
        asked("@tool", tools=tools, tool_choice=ToolChoice(ToolChoiceMode.NONE)),
        asked("@tool"),
        asked(
            said("@tool"), said(ToolCall("1", "clock", "{}"), role=Role.ASSISTANT),
            said(ToolResult("1", "clock", (Part(Text("9")),)), role=Role.TOOL), tools=tools,
        ),
    ):  # fmt: skip
        assert isinstance((await only(call))[0], Text)


async def test_formats():
    """JSON that satisfies a simple schema, an object, the first of the choices."""
    schema_json = json.dumps(
        {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"]}
    )
    assert await only(asked(output_format=JsonSchema("x", schema_json))) == [Text('{"n":3}')]
    assert json.loads((await only(asked(output_format=JsonObject())))[0].text) == {"simulated": True}
    assert await only(asked(output_format=Choice(("yes", "no")))) == [Text("yes")]


@pytest.mark.parametrize(
    ("wanted", "value"),
    [
        ({"const": 7}, 7),
        ({"enum": ["x", "y"]}, "x"),
        ({"type": ["string", "null"]}, ""),
        ({"type": "string", "minLength": 3}, "xxx"),
        ({"type": "number", "exclusiveMinimum": 1}, 2),
        ({"type": "integer", "minimum": 1.5}, 2),
        ({"type": "integer", "maximum": -4}, -4),
        ({"type": "boolean"}, False),
        ({"type": "null"}, None),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [0, 0]),
        ({"type": "array"}, []),
        ({"anyOf": [{"type": "boolean"}, {}]}, False),
        ({"allOf": [{"required": ["a"]}, {"properties": {"a": {"type": "string"}}}]}, {"a": ""}),
        ({"$defs": {"a/b": {"const": 1}}, "$ref": "#/$defs/a~1b"}, 1),
        ({"$ref": "#"}, None),
        ({"$ref": "https://example.com/x"}, None),
        ({"required": ["a"], "type": "object"}, {"a": None}),
        (True, None),
    ],
)
def test_instances(wanted, value):
    """The least that a schema allows."""
    assert instance(wanted) == value


LEAVES = (
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=4),
    st.sampled_from(["object", "#"]),
)
SCHEMAS = st.recursive(
    st.one_of(*LEAVES),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["type", "properties", "required", "items", "minItems", "minimum", "maximum", "$ref",
                             "enum", "anyOf", "allOf", "minLength", "const", "exclusiveMinimum"]),
            inner, max_size=4,
        ),
    ),
    max_leaves=10,
)  # fmt: skip


@given(SCHEMAS)
def test_any_schema_has_an_instance(wanted):
    """Whatever it says."""
    instance(wanted)


async def test_controls_of_one_call():
    """They go before the configuration."""
    assert await only(steered(output_tokens=2)) == [Text("hello:0 world:1")]
    (call,) = await only(steered(tool_call={"name": "f", "arguments": {"a": 1}}))
    assert (call.name, call.arguments_json) == ("f", '{"a": 1}')
    with pytest.raises(ServiceError) as raised:
        await ask(steered(fail="UPSTREAM_OVERLOADED"))
    assert raised.value.reason is Reason.UPSTREAM_OVERLOADED
    clock = FakeClock()
    started = clock.now()
    await batches(simulator(clock), steered(first_token_ms=250, tokens_per_s=4))
    assert clock.now() - started == pytest.approx(1.0)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"what": 1}', '{"output_tokens": -1}', '{"fail": "NOPE"}', '{"tool_call": {}}']
)
async def test_other_controls_are_refused(text):
    """As the caller's fault, with the path."""
    with pytest.raises(ServiceError) as raised:
        await ask(asked(provider_options={"simulator": ProviderOptions(text)}))
    assert raised.value.reason is Reason.INVALID_REQUEST
    assert raised.value.fields[0].path == "provider_options[simulator].body_json"


async def test_breaking_off():
    """After the tokens that were to come, however they are paced."""
    for controls in ({"break_after": 2}, {"break_after": 2, "tokens_per_s": 100}):
        seen = []
        with pytest.raises(ServiceError) as raised:
            await collect(simulator(), steered(**controls), seen)
        assert raised.value.reason is Reason.UPSTREAM_TRUNCATED
        texts = [event.text for event in seen if isinstance(event, Delta) and event.kind is DeltaKind.TEXT]
        assert texts == ["hello:0", " world:1"]
    with pytest.raises(ServiceError):
        await ask(steered(break_after=0))
    with pytest.raises(ServiceError):
        await ask(steered(break_after=99))


async def test_hanging():
    """Until it is cancelled."""
    clock = FakeClock()
    task = asyncio.ensure_future(batches(simulator(clock), steered(hang=True)))
    await clock.settle()
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_script_goes_round():
    """One step for every attempt."""
    upstream = simulator(script=("ok", "UPSTREAM_RATE_LIMITED", "break:1"))
    for _ in range(2):
        assert await batches(upstream)
        with pytest.raises(ServiceError) as raised:
            await batches(upstream)
        assert (raised.value.reason, raised.value.retry_after_s) == (Reason.UPSTREAM_RATE_LIMITED, 1.0)
        with pytest.raises(ServiceError) as raised:
            await batches(upstream)
        assert raised.value.reason is Reason.UPSTREAM_TRUNCATED


@pytest.mark.parametrize("step", ["", "OK", "break", "break:", "break:-1", "break:x", "UPSTREAM_NOPE"])
def test_a_script_knows_few_words(step):
    """Anything else is a fault of the configuration."""
    with pytest.raises(ValueError, match="script"):
        parse_step(step)


def test_what_it_tells_of_itself():
    """It honours all but a few fields, and streams as asked."""
    upstream = simulator()
    assert upstream.unsupported(asked(generation=Generation(top_k=1, n=2)), "m") == ()
    assert upstream.streams(stream=True)
    assert not upstream.streams(stream=False)
