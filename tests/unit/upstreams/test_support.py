"""What a provider cannot honour is reported, and not sent."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import pytest

from pointsman_server.config.rules import DROPPABLE
from pointsman_server.domain import (
    CacheControl,
    Call,
    Choice,
    Citation,
    Generation,
    Grammar,
    JsonObject,
    JsonSchema,
    Media,
    MediaKind,
    Part,
    Prompt,
    ProviderPart,
    Reasoning,
    ReasoningConfig,
    ReasoningEffort,
    ReasoningMode,
    ReasoningSummary,
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
from pointsman_server.routing.router import INELIGIBLE
from pointsman_server.upstreams.dialects.openai.profiles import (
    LLAMACPP,
    OLLAMA_COMPATIBLE,
    OPENAI,
    OPENAI_COMPATIBLE,
    SGLANG,
    VLLM,
)
from pointsman_server.upstreams.registry import PROVIDERS
from pointsman_server.upstreams.translation.support import (
    CONTENT_DROPPED,
    INELIGIBLE_CODES,
    UNSUPPORTED_CONTENT,
    UNSUPPORTED_PARAMETER,
    origin,
    takes_media,
    unsupported,
)
from tests.unit.upstreams.calls import asked, said

TOOL = Tool("look", "Looks", "{}")
EVERYTHING: dict[str, Call] = {
    "generation.max_output_tokens": asked(generation=Generation(max_output_tokens=1)),
    "generation.temperature": asked(generation=Generation(temperature=0.0)),
    "generation.top_p": asked(generation=Generation(top_p=0.0)),
    "generation.stop_sequences": asked(generation=Generation(stop_sequences=("x",))),
    "generation.seed": asked(generation=Generation(seed=0)),
    "generation.n": asked(generation=Generation(n=2)),
    "generation.top_k": asked(generation=Generation(top_k=1)),
    "generation.presence_penalty": asked(generation=Generation(presence_penalty=0.0)),
    "generation.frequency_penalty": asked(generation=Generation(frequency_penalty=0.0)),
    "generation.top_logprobs": asked(generation=Generation(top_logprobs=0)),
    "generation.verbosity": asked(generation=Generation(verbosity=Verbosity.LOW)),
    "generation.min_p": asked(generation=Generation(min_p=0.0)),
    "generation.repetition_penalty": asked(generation=Generation(repetition_penalty=1.0)),
    "generation.truncate_prompt_tokens": asked(generation=Generation(truncate_prompt_tokens=1)),
    "generation.logit_bias": asked(generation=Generation(logit_bias={1: 0.0})),
    "generation.reasoning.mode": asked(
        generation=Generation(reasoning=ReasoningConfig(mode=ReasoningMode.DISABLED))
    ),
    "generation.reasoning.effort": asked(
        generation=Generation(reasoning=ReasoningConfig(effort=ReasoningEffort.LOW))
    ),
    "generation.reasoning.budget_tokens": asked(
        generation=Generation(reasoning=ReasoningConfig(budget_tokens=1))
    ),
    "generation.reasoning.include": asked(generation=Generation(reasoning=ReasoningConfig(include=False))),
    "generation.reasoning.summary": asked(
        generation=Generation(reasoning=ReasoningConfig(summary=ReasoningSummary.AUTO))
    ),
    "tools": asked(tools=(TOOL,)),
    "tool_choice.mode": asked(tools=(TOOL,), tool_choice=ToolChoice(ToolChoiceMode.REQUIRED)),
    "tool_choice.allowed_tools": asked(tools=(TOOL,), tool_choice=ToolChoice(allowed_tools=("look",))),
    "tool_choice.parallel_calls": asked(tools=(TOOL,), tool_choice=ToolChoice(parallel_calls=False)),
    "output_format.json_schema": asked(output_format=JsonSchema("n", "{}")),
    "output_format.json_object": asked(output_format=JsonObject()),
    "output_format.regex": asked(output_format=Regex("a")),
    "output_format.grammar": asked(output_format=Grammar("a")),
    "output_format.choice": asked(output_format=Choice(("a",))),
    "end_user_id": asked(end_user_id="u"),
    "provider_metadata": asked(provider_metadata={"k": "v"}),
    "routing.priority": asked(routing=RoutingOptions(priority=1)),
    "cache.prefix_cache_salt": asked(cache=CacheControl(prefix_cache_salt="s")),
}


GENERATING = [name for name, provider in PROVIDERS.items() if provider.profile.generates]


@pytest.mark.parametrize("provider", GENERATING)
@pytest.mark.parametrize("path", EVERYTHING)
def test_a_field_is_taken_or_reported(provider, path):
    """Each field that is set in a call is in the profile's table, or in a warning under its own name.

    Where no tools are taken there is nothing to choose from: then they are what is told.
    """
    profile = PROVIDERS[provider].profile
    expected = [] if path in profile.fields else [path]
    found = unsupported(EVERYTHING[path], profile)
    if path.startswith("tool") and "tools" not in profile.fields:
        assert [warning.field for warning in found] == ["tools"]
        return
    assert [warning.field for warning in found] == expected
    assert {warning.code for warning in found} <= {UNSUPPORTED_PARAMETER}


@pytest.mark.parametrize("path", EVERYTHING)
def test_dropped_params_are_reported(path):
    """What the configuration takes out is reported like what the provider lacks."""
    profile = VLLM.without([path])
    assert path in [warning.field for warning in unsupported(EVERYTHING[path], profile)] or path == "tools"
    assert path not in profile.fields


def test_dropping_a_group_drops_what_is_below_it():
    """`tool_choice` takes out its three fields; an unknown word takes out nothing."""
    assert not [path for path in VLLM.without(["tool_choice"]).fields if path.startswith("tool_choice.")]
    assert VLLM.without(["tool"]) is VLLM


def test_every_field_that_can_be_dropped_means_something():
    """A name in the configuration's list is the name of a field here, or of a group of fields."""
    profiles = [provider.profile for provider in PROVIDERS.values()]
    known = {path for profile in profiles for path in profile.fields} | set(EVERYTHING)
    known |= {path for one in profiles if one.embeddings for path in one.embeddings.fields}
    for name in DROPPABLE:
        assert any(path == name or path.startswith(f"{name}.") for path in known), name


def test_a_plain_call_has_no_warnings():
    """Text and nothing else is taken everywhere."""
    for provider in (PROVIDERS[name] for name in GENERATING):
        assert unsupported(asked(said("be short", role=Role.SYSTEM), "hi"), provider.profile) == ()


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Generation)])
def test_no_field_of_generation_is_forgotten(field):
    """A field that the contract gains must be taken or reported."""
    assert any(path.startswith(f"generation.{field}") for path in EVERYTHING)


def test_efforts_that_a_provider_has_no_word_for_are_reported():
    """Three efforts are common, the rest are OpenAI's."""
    call = asked(generation=Generation(reasoning=ReasoningConfig(effort=ReasoningEffort.MAX)))
    assert [w.field for w in unsupported(call, VLLM)] == ["generation.reasoning.effort"]
    assert unsupported(call, OPENAI) == ()


def test_an_effort_says_that_the_model_is_to_reason():
    """ENABLED beside an effort needs no word of its own; without one it is reported where there is none."""
    alone = asked(generation=Generation(reasoning=ReasoningConfig(mode=ReasoningMode.ENABLED)))
    both = asked(
        generation=Generation(
            reasoning=ReasoningConfig(mode=ReasoningMode.ENABLED, effort=ReasoningEffort.LOW)
        )
    )
    assert [w.field for w in unsupported(alone, OPENAI)] == ["generation.reasoning.mode"]
    assert unsupported(both, OPENAI) == ()
    assert unsupported(alone, VLLM) == ()


def test_reasoning_that_never_comes_cannot_be_included():
    """OpenAI's chat completions tell no reasoning; leaving it out is always possible."""
    wanted = asked(generation=Generation(reasoning=ReasoningConfig(include=True)))
    assert [w.field for w in unsupported(wanted, OPENAI)] == ["generation.reasoning.include"]
    assert unsupported(wanted, OPENAI_COMPATIBLE) == ()


def test_too_many_stop_sequences_are_reported():
    """OpenAI takes four."""
    call = asked(generation=Generation(stop_sequences=tuple("abcde")))
    assert [w.field for w in unsupported(call, OPENAI)] == ["generation.stop_sequences"]
    assert unsupported(call, VLLM) == ()


def test_strict_tools_are_reported_one_by_one():
    """By the tool's place; not asking for strictness needs no support."""
    call = asked(tools=(TOOL, Tool("b", strict=True), Tool("c", strict=False)))
    assert [w.field for w in unsupported(call, VLLM)] == ["tools[1].strict"]
    assert unsupported(call, OPENAI) == ()


def test_choices_that_can_be_said_without_a_field():
    """Ollama has no tool_choice: AUTO is what happens, NONE is said by offering no tools, REQUIRED cannot be said."""
    for mode, fields in (
        (ToolChoiceMode.AUTO, []),
        (ToolChoiceMode.NONE, []),
        (ToolChoiceMode.REQUIRED, ["tool_choice.mode"]),
    ):
        call = asked(tools=(TOOL,), tool_choice=ToolChoice(mode))
        assert [w.field for w in unsupported(call, OLLAMA_COMPATIBLE)] == fields


def test_without_tools_a_forced_call_is_senseless():
    """Dropped tools are a warning, unless a call of one is required."""
    profile = VLLM.without(["tools"])
    assert [w.code for w in unsupported(asked(tools=(TOOL,)), profile)] == [UNSUPPORTED_PARAMETER]
    forced = asked(tools=(TOOL,), tool_choice=ToolChoice(ToolChoiceMode.REQUIRED))
    assert [w.code for w in unsupported(forced, profile)] == [UNSUPPORTED_CONTENT]


def test_prompts_and_tokens():
    """Where there are no completions, a prompt is sent as what a user says; tokens make no sense then."""
    prompt, tokens = Call("m", Prompt("once")), Call("m", TokenIds((1, 2)))
    assert [(w.code, w.field) for w in unsupported(prompt, OPENAI)] == [(UNSUPPORTED_PARAMETER, "prompt")]
    assert [(w.code, w.field) for w in unsupported(tokens, OPENAI)] == [(UNSUPPORTED_CONTENT, "token_ids")]
    assert [w.code for w in unsupported(tokens, OLLAMA_COMPATIBLE)] == [UNSUPPORTED_CONTENT]
    for profile in (VLLM, SGLANG, LLAMACPP):
        assert unsupported(prompt, profile) == unsupported(tokens, profile) == ()


def test_a_prompt_has_nothing_of_a_conversation():
    """Tools, reasoning and JSON formats are reported where a prompt is continued."""
    call = Call(
        "m", Prompt("once"), Generation(reasoning=ReasoningConfig(effort=ReasoningEffort.LOW), top_k=1),
        tools=(TOOL,), output_format=JsonObject(),
    )  # fmt: skip
    fields = {w.field for w in unsupported(call, VLLM)}
    assert fields == {"generation.reasoning.effort", "tools", "output_format.json_object"}


PNG = Media(MediaKind.IMAGE, data=b"x", media_type="image/png")


@pytest.mark.parametrize(
    ("media", "profile", "taken"),
    [
        (PNG, OLLAMA_COMPATIBLE, True),
        (Media(MediaKind.IMAGE, url="https://a.example/x"), OLLAMA_COMPATIBLE, False),
        (Media(MediaKind.IMAGE, url="data:image/png;base64,eA=="), OLLAMA_COMPATIBLE, True),
        (Media(MediaKind.IMAGE, url="https://a.example/x"), OPENAI, True),
        (Media(MediaKind.IMAGE, url="gs://bucket/x"), OPENAI, False),
        (Media(MediaKind.AUDIO, url="https://a.example/x"), OPENAI, False),
        (Media(MediaKind.AUDIO, url="https://a.example/x"), VLLM, True),
        (Media(MediaKind.AUDIO, data=b"x", media_type="audio/wav"), OPENAI, True),
        (Media(MediaKind.FILE, data=b"x", media_type="application/pdf"), OPENAI, True),
        (Media(MediaKind.FILE, url="https://a.example/x"), OPENAI, False),
        (Media(MediaKind.FILE, data=b"x", media_type="application/pdf"), VLLM, False),
        (Media(MediaKind.FILE, url="https://a.example/x"), replace(OPENAI, files_by_url=True), True),
        (Media(MediaKind.IMAGE, url="gs://bucket/x"), replace(OPENAI, media_schemes=frozenset({"gs"})), True),
    ],
)
def test_media(media, profile, taken):
    """An image, a sound or a file that a provider does not take makes it ineligible."""
    found = unsupported(asked(said("look", media)), profile)
    path = f"conversation.messages[0].parts[1].{media.kind.value}"
    assert [(w.code, w.field) for w in found] == ([] if taken else [(UNSUPPORTED_CONTENT, path)])


def test_a_signature_goes_back_to_its_own_maker_alone():
    """Dialect and model must both be the same; elsewhere it is dropped with a warning."""
    signer = replace(VLLM, signatures=True)
    own = said(Part(Text("a"), signature=b"s", origin=origin(signer, "m")), role=Role.ASSISTANT)
    call = asked("hi", own, "go on")
    assert unsupported(call, signer, "m") == ()
    for profile, model in ((signer, "other"), (VLLM, "m"), (replace(signer, dialect="other"), "m")):
        found = unsupported(call, profile, model)
        assert [(w.code, w.field) for w in found] == [
            (CONTENT_DROPPED, "conversation.messages[1].parts[0].signature")
        ]


def test_signed_reasoning_goes_back_to_its_maker():
    """Without a place for reasoning as such, too; what is not signed by it is dropped."""
    signer = replace(OPENAI, signatures=True)
    signed = said(Part(Reasoning("hm"), signature=b"s", origin=origin(signer, "m")), role=Role.ASSISTANT)
    assert unsupported(asked("hi", signed, "go on"), signer, "m") == ()
    fields = [w.field for w in unsupported(asked("hi", signed, "go on"), signer, "other")]
    assert fields == [f"conversation.messages[1].parts[0].{name}" for name in ("signature", "reasoning")]


def test_what_the_assistant_showed_goes_back_where_it_is_taken():
    """A picture that it made is part of the history only there."""
    call = asked("draw", said(PNG, role=Role.ASSISTANT), "go on")
    assert [w.code for w in unsupported(call, OPENAI)] == [UNSUPPORTED_CONTENT]
    assert unsupported(call, replace(OPENAI, spoken_media=True)) == ()
    assert len(unsupported(call, replace(OPENAI, spoken_media=True, images_inline=False))) == 1


def test_one_measure_of_reasoning():
    """Where only one can be said, the budget is, and the effort is reported."""
    both = ReasoningConfig(effort=ReasoningEffort.LOW, budget_tokens=9)
    profile = replace(OPENAI, fields={**OPENAI.fields, "generation.reasoning.budget_tokens": "budget"})
    call = asked(generation=Generation(reasoning=both))
    assert unsupported(call, profile) == ()
    one = replace(profile, effort_or_budget=True)
    assert [w.field for w in unsupported(call, one)] == ["generation.reasoning.effort"]
    assert unsupported(asked(generation=Generation(reasoning=replace(both, budget_tokens=None))), one) == ()


def test_alternatives_to_the_chosen_tokens():
    """Asking for them is reported where only the chosen tokens' probabilities are told."""
    profile = replace(OPENAI, logprob_alternatives=False)
    for number, fields in ((None, []), (0, []), (2, ["generation.top_logprobs"])):
        found = unsupported(asked(generation=Generation(top_logprobs=number)), profile)
        assert [w.field for w in found] == fields


def test_media_types():
    """By their beginnings, whatever their case; what is not told may be taken."""
    profile = replace(OPENAI, files_by_url=True, media_types={MediaKind.FILE: ("application/pdf", "text/")})

    def taken(**media):
        return takes_media(Media(MediaKind.FILE, **media), profile)

    assert taken(data=b"x", media_type="Text/Markdown; charset=utf-8")
    assert taken(url="data:application/pdf;base64,eA==")
    assert taken(url="https://a.example/x")
    assert not taken(url="https://a.example/x", media_type="application/zip")
    assert not taken(url="data:application/zip;base64,eA==")
    assert takes_media(PNG, profile)


def test_breakpoints():
    """Reported where they cannot be told, also those inside of what a tool gave back."""
    marked = Part(Text("a"), cache_breakpoint=True)
    call = asked(said(marked), said(ToolResult("1", "a", (marked,)), role=Role.TOOL))
    assert [w.field for w in unsupported(call, VLLM)] == [
        "conversation.messages[0].parts[0].cache_breakpoint",
        "conversation.messages[1].parts[0].cache_breakpoint",
    ]
    assert unsupported(call, replace(VLLM, cache_breakpoints=True)) == ()


def test_a_budget_beside_a_mode():
    """Reported where the mode leaves no place for it."""
    profile = replace(VLLM, budget_modes=frozenset({ReasoningMode.ENABLED}))
    for mode, fields in (
        (None, []), (ReasoningMode.ENABLED, []), (ReasoningMode.DISABLED, ["generation.reasoning.budget_tokens"])
    ):  # fmt: skip
        call = asked(generation=Generation(reasoning=ReasoningConfig(mode=mode, budget_tokens=9)))
        assert [w.field for w in unsupported(call, profile)] == fields


def test_parts_of_a_provider():
    """Of its own dialect; of its own model where they are bound to one; in the results of tools as media are."""
    own = ProviderPart("openai", "{}")
    bound = Part(own, origin=origin(OPENAI, "m"))
    call = asked("hi", said(own, bound, role=Role.ASSISTANT))
    assert unsupported(call, OPENAI, "m") == ()
    assert [w.field for w in unsupported(call, OPENAI, "other")] == [
        "conversation.messages[1].parts[1].provider_part"
    ]
    given = asked(said(ToolResult("1", "a", (Part(own),)), role=Role.TOOL))
    assert [w.code for w in unsupported(given, OPENAI)] == [UNSUPPORTED_CONTENT]
    assert unsupported(given, replace(OPENAI, tool_result_media=True)) == ()


def test_media_from_a_tool():
    """Taken where the profile says so and takes such media at all."""
    image = Media(MediaKind.IMAGE, data=b"x", media_type="image/png")
    call = asked(said(ToolResult("1", "a", (Part(image),)), role=Role.TOOL))
    assert [w.code for w in unsupported(call, VLLM)] == [UNSUPPORTED_CONTENT]
    taker = replace(VLLM, tool_result_media=True)
    assert unsupported(call, taker) == ()
    assert len(unsupported(call, replace(taker, images_inline=False))) == 1


def test_content_of_the_history_that_only_its_maker_reads():
    """Signatures, reasoning and citations are dropped with a warning each; the call goes on."""
    turn = said(
        Part(Reasoning("hm"), signature=b"s", origin="anthropic:x"), Part(Text("a"), citations=(Citation(url="u"),)),
        ProviderPart("anthropic", "{}"), role=Role.ASSISTANT,
    )  # fmt: skip
    found = unsupported(asked("hi", turn, "go on"), OPENAI)
    assert {w.code for w in found} == {CONTENT_DROPPED}
    assert [w.field.rpartition("messages[1].")[2] for w in found] == [
        "parts[0].signature", "parts[0].reasoning", "parts[1].citations", "parts[2].provider_part",
    ]  # fmt: skip
    assert "parts[0].reasoning" not in str(unsupported(asked("hi", turn, "go on"), VLLM))


def test_a_foreign_part_in_a_question_is_no_detail():
    """What the user says is not left out in silence."""
    call = asked(said("read", ProviderPart("anthropic", "{}")))
    assert [w.code for w in unsupported(call, OPENAI)] == [UNSUPPORTED_CONTENT]
    assert unsupported(asked(said("read", ProviderPart("openai", "{}"))), OPENAI) == ()


def test_other_parts_are_taken():
    """Calls, results and refusals pass; results hold text only."""
    turns = (
        said(ToolCall("1", "look", "{}"), Refusal("no"), role=Role.ASSISTANT),
        said(ToolResult("1", "look", (Part(Text("x")),)), role=Role.TOOL),
    )
    assert unsupported(asked("hi", *turns), OPENAI) == ()
    picture = said(ToolResult("1", "look", (Part(PNG),)), role=Role.TOOL)
    assert [w.code for w in unsupported(asked("hi", picture), OPENAI)] == [UNSUPPORTED_CONTENT]


def test_routing_knows_the_code_of_the_ineligible():
    """The two rooms, which do not import each other here, mean the same word."""
    assert {INELIGIBLE} == INELIGIBLE_CODES
