"""Requests into the domain, answers out of it."""

import pytest

from pointsman import v1 as pb
from pointsman_server import domain
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.server.codec import decode_call, encode_answer
from pointsman_server.server.codec.answer import Identity
from pointsman_server.server.codec.clean import cleaned
from tests.fakes.dispatch import REPORT

IDENTITY = Identity("r-1", "gen-1", 1_700_000_000.25)


def whole_request() -> pb.GenerateRequest:
    """A request with every field set to something that can be told from its default."""
    request = pb.GenerateRequest(
        model="chat",
        end_user_id="u",
        labels={"team": "a"},
        idempotency_key="k",
        provider_metadata={"m": "v"},
        tools=[
            pb.Tool(name="f", description="d", parameters_json_schema="{}", strict=False),
            pb.Tool(name="g"),
        ],
        tool_choice=pb.ToolChoice(
            mode=pb.TOOL_CHOICE_MODE_REQUIRED, allowed_tools=["f"], parallel_calls=False
        ),
        provider_options={"openai": pb.ProviderOptions(body_json="{}", headers={"x-a": "b"})},
    )
    generation = request.generation
    generation.max_output_tokens, generation.temperature, generation.top_p, generation.seed = 9, 0.0, 0.5, 0
    generation.n, generation.top_k, generation.presence_penalty, generation.frequency_penalty = (
        2,
        3,
        0.1,
        -0.1,
    )
    generation.top_logprobs, generation.min_p, generation.repetition_penalty = 0, 0.2, 1.1
    generation.truncate_prompt_tokens = 100
    generation.stop_sequences.append("END")
    generation.logit_bias[7] = -1.5
    generation.verbosity = pb.GENERATION_CONFIG_VERBOSITY_LOW
    generation.reasoning.mode = pb.REASONING_CONFIG_MODE_ADAPTIVE
    generation.reasoning.effort = pb.REASONING_CONFIG_EFFORT_XHIGH
    generation.reasoning.summary = pb.REASONING_CONFIG_SUMMARY_CONCISE
    generation.reasoning.budget_tokens, generation.reasoning.include = 1000, False
    request.output_format.json_schema.name = "s"
    request.output_format.json_schema.schema_json = "{}"
    request.output_format.json_schema.strict = True
    request.output_format.json_schema.description = "d"
    routing = request.routing
    routing.policy, routing.session_id, routing.priority, routing.max_attempts = "weighted", "s", -5, 2
    routing.objective, routing.on_interrupt = (
        pb.ROUTING_OPTIONS_OBJECTIVE_COST,
        pb.ROUTING_OPTIONS_ON_INTERRUPT_FAIL,
    )
    routing.fallbacks.add(model="m", backend="b")
    routing.allow_backends.append("a")
    routing.deny_backends.append("d")
    routing.first_token_timeout.nanos, routing.max_queue_time.seconds = 500_000_000, 2
    routing.strict_params = routing.no_fallback = True
    request.stream_options.include_usage_updates = request.stream_options.include_routing_events = True
    request.stream_options.coalesce.SetInParent()
    request.cache.mode = pb.CACHE_CONTROL_MODE_REFRESH
    request.cache.ttl.seconds, request.cache.namespace, request.cache.prefix_cache_salt = 60, "n", "salt"
    fill_conversation(request.conversation)
    return request


def fill_conversation(conversation: pb.Conversation) -> None:
    conversation.messages.add(role=pb.ROLE_SYSTEM).parts.add(text="be kind", cache_breakpoint=True)
    parts = conversation.messages.add(role=pb.ROLE_ASSISTANT, name="bot").parts
    part = parts.add(signature=b"sig", origin="anthropic/x")
    part.reasoning.text, part.reasoning.kind = "hm", pb.REASONING_KIND_SUMMARY
    parts.add(tool_call=pb.ToolCall(id="1", name="f", arguments_json="{}"))
    parts.add(refusal="no").citations.add(start=1, end=2, url="u", title="t", document_id="d")
    parts.add(provider_part=pb.ProviderPart(dialect="x", json="{}"))
    parts.add(signature=b"only")
    parts = conversation.messages.add(role=pb.ROLE_TOOL).parts
    result = parts.add().tool_result
    result.tool_call_id, result.name, result.is_error = "1", "f", True
    result.parts.add(text="out")
    result.parts.add(image=pb.Media(data=b"png", media_type="image/png"))
    parts = conversation.messages.add(role=pb.ROLE_USER).parts
    parts.add(image=pb.Media(url="https://x/y.png", detail=pb.MEDIA_DETAIL_HIGH))
    parts.add(audio=pb.Media(data=b"wav", media_type="audio/wav"))
    parts.add(file=pb.Media(url="https://x/z.pdf", filename="z.pdf"))
    conversation.messages.add(role=pb.ROLE_DEVELOPER)


def _whole_conversation():
    d = domain
    return d.Conversation(
        (
            d.Message(d.Role.SYSTEM, (d.Part(d.Text("be kind"), cache_breakpoint=True),)),
            d.Message(
                d.Role.ASSISTANT,
                (
                    d.Part(d.Reasoning("hm", d.ReasoningKind.SUMMARY), b"sig", "anthropic/x"),
                    d.Part(d.ToolCall("1", "f", "{}")),
                    d.Part(d.Refusal("no"), citations=(d.Citation(1, 2, "u", "t", "d"),)),
                    d.Part(d.ProviderPart("x", "{}")),
                    d.Part(d.Reasoning(""), b"only"),
                ),
                "bot",
            ),
            d.Message(
                d.Role.TOOL,
                (
                    d.Part(
                        d.ToolResult(
                            "1",
                            "f",
                            (
                                d.Part(d.Text("out")),
                                d.Part(d.Media(d.MediaKind.IMAGE, data=b"png", media_type="image/png")),
                            ),
                            is_error=True,
                        )
                    ),
                ),
            ),
            d.Message(
                d.Role.USER,
                (
                    d.Part(d.Media(d.MediaKind.IMAGE, "https://x/y.png", detail=d.MediaDetail.HIGH)),
                    d.Part(d.Media(d.MediaKind.AUDIO, data=b"wav", media_type="audio/wav")),
                    d.Part(d.Media(d.MediaKind.FILE, "https://x/z.pdf", filename="z.pdf")),
                ),
            ),
            d.Message(d.Role.DEVELOPER, ()),
        )
    )


def test_every_field_reaches_the_call():
    """A request with every field set decodes to a call with every field set, value by value."""
    call = decode_call(whole_request())
    d = domain
    assert call == d.Call(
        model="chat",
        input=_whole_conversation(),
        generation=d.Generation(
            9, 0.0, 0.5, ("END",),
            d.ReasoningConfig(
                d.ReasoningMode.ADAPTIVE, d.ReasoningEffort.XHIGH, 1000, False, d.ReasoningSummary.CONCISE
            ),
            0, 2, 3, 0.1, -0.1, 0, d.Verbosity.LOW, 0.2, 1.1, 100, {7: -1.5},
        ),
        tools=(d.Tool("f", "d", "{}", False), d.Tool("g")),
        tool_choice=d.ToolChoice(d.ToolChoiceMode.REQUIRED, ("f",), False),
        output_format=d.JsonSchema("s", "{}", True, "d"),
        routing=d.RoutingOptions(
            "weighted", d.Objective.COST, (d.Fallback("m", "b"),), ("a",), ("d",), "s", -5, 2, 0.5, 2.0, True, True,
            d.OnInterrupt.FAIL,
        ),
        stream_options=d.StreamOptions(True, 0.0, True),
        cache=d.CacheControl(d.CacheMode.REFRESH, 60.0, "n", "salt"),
        end_user_id="u",
        labels={"team": "a"},
        provider_options={"openai": d.ProviderOptions("{}", {"x-a": "b"})},
        idempotency_key="k",
        provider_metadata={"m": "v"},
    )  # fmt: skip


def test_nothing_set_stays_unset():
    """A bare prompt leaves every option at None, which is not zero."""
    assert decode_call(pb.GenerateRequest(prompt="")) == domain.Call("", domain.Prompt(""))
    assert decode_call(pb.GenerateRequest(token_ids=pb.TokenIds(ids=[1, 2]))).input == domain.TokenIds((1, 2))


@pytest.mark.parametrize(
    ("fill", "expected"),
    [
        (lambda output: output.json_object.SetInParent(), domain.JsonObject()),
        (lambda output: setattr(output, "regex", "a+"), domain.Regex("a+")),
        (lambda output: setattr(output, "grammar", "g"), domain.Grammar("g")),
        (lambda output: output.choice.values.extend(["a", "b"]), domain.Choice(("a", "b"))),
        (lambda output: output.SetInParent(), None),
    ],
)
def test_output_formats(fill, expected):
    """Each form has its value; a message without one means free text."""
    request = pb.GenerateRequest(prompt="x")
    fill(request.output_format)
    assert decode_call(request).output_format == expected


def message(request: pb.GenerateRequest, index: int = 0) -> pb.Message:
    while len(request.conversation.messages) <= index:
        request.conversation.messages.add(role=pb.ROLE_USER)
    return request.conversation.messages[index]


BAD = {
    "input": lambda r: r.ClearField("conversation"),
    "conversation.messages[1].role": lambda r: setattr(message(r, 1), "role", 99),
    "conversation.messages[0].role": lambda r: setattr(message(r), "role", 0),
    "conversation.messages[0].parts[1]": lambda r: message(r).parts.extend([pb.Part(text="x"), pb.Part()]),
    "conversation.messages[0].parts[0].image": lambda r: message(r).parts.add().image.SetInParent(),
    "conversation.messages[0].parts[0].image.detail": lambda r: message(r).parts.add(
        image=pb.Media(url="u", detail=77)
    ),
    "conversation.messages[0].parts[0].reasoning.kind": lambda r: message(r).parts.add(
        reasoning=pb.Reasoning(kind=9)
    ),
    "conversation.messages[0].parts[0].tool_result.parts[1].tool_result": lambda r: message(r)
    .parts.add()
    .tool_result.parts.extend([pb.Part(text="x"), pb.Part(tool_result=pb.ToolResult())]),
    "tool_choice.mode": lambda r: setattr(r.tool_choice, "mode", 9),
    "generation.verbosity": lambda r: setattr(r.generation, "verbosity", 9),
    "generation.reasoning.mode": lambda r: setattr(r.generation.reasoning, "mode", 9),
    "generation.reasoning.effort": lambda r: setattr(r.generation.reasoning, "effort", 9),
    "generation.reasoning.summary": lambda r: setattr(r.generation.reasoning, "summary", 9),
    "routing.objective": lambda r: setattr(r.routing, "objective", 9),
    "routing.on_interrupt": lambda r: setattr(r.routing, "on_interrupt", 9),
    "routing.first_token_timeout": lambda r: setattr(r.routing.first_token_timeout, "seconds", 2**62),
    "routing.max_queue_time": lambda r: setattr(r.routing.max_queue_time, "nanos", -2_000_000_000),
    "stream_options.coalesce": lambda r: (
        setattr(r.stream_options.coalesce, "seconds", 1), setattr(r.stream_options.coalesce, "nanos", -1)
    ),
    "cache.mode": lambda r: setattr(r.cache, "mode", 9),
    "cache.ttl": lambda r: setattr(r.cache.ttl, "nanos", 1_000_000_000),
}  # fmt: skip


@pytest.mark.parametrize("path", BAD)
def test_faults_name_their_field(path):
    """What the types cannot say is refused with the contract's own path."""
    request = pb.GenerateRequest()
    request.conversation.messages.add(role=pb.ROLE_USER)
    BAD[path](request)
    with pytest.raises(ServiceError) as caught:
        decode_call(request)
    assert caught.value.reason is Reason.INVALID_REQUEST
    assert [fault.path for fault in caught.value.fields] == [path]


def test_parts_come_back_as_they_went():
    """What decodes from a part encodes to the same part."""
    request = whole_request()
    call = decode_call(request)
    assert isinstance(call.input, domain.Conversation)
    for index, turn in enumerate(call.input.messages):
        answer = domain.Answer("", "", (domain.Candidate(0, turn.parts, None),), None)
        encoded = encode_answer(answer, REPORT, IDENTITY).candidates[0].message
        for ours, theirs in zip(encoded.parts, request.conversation.messages[index].parts, strict=True):
            if theirs.WhichOneof("content") is not None:
                assert ours == theirs


def test_an_answer_with_everything():
    """Logprobs, safety, stop sequence, warnings, usage with cost, and identity where the provider gives none."""
    logprobs = (domain.TokenLogprob("a", -0.5, b"a", (domain.TokenLogprob("b", -1.0),)),)
    safety = (domain.SafetyRating("violence", "low", True, "why"),)
    candidate = domain.Candidate(
        1,
        (domain.Part(domain.Text("x")),),
        domain.FinishReason.CONTENT_FILTER,
        "raw",
        "END",
        logprobs,
        safety,
    )
    answer = domain.Answer("", "", (candidate,), domain.Usage(0, 2**70, source=domain.UsageSource.ESTIMATED))
    report = REPORT.__class__(
        model="chat", policy="p", decision_reason="d", attempts=(), served=None, opened=None, fallback_used=True,
        queue_s=-1.0, first_content_s=None, total_s=1e30, warnings=(domain.Warning("C", "f", "m"),),
        cost=domain.Cost(2**70, "USD"),
    )  # fmt: skip
    response = encode_answer(answer, report, IDENTITY)
    assert response.response_id == "gen-1"
    assert response.create_time.ToMilliseconds() == 1_700_000_000_250
    told = response.candidates[0]
    assert (told.index, told.finish_reason, told.finish_reason_raw, told.stop_sequence) == (
        1,
        4,
        "raw",
        "END",
    )
    assert told.message.role == pb.ROLE_ASSISTANT
    assert told.logprobs.tokens[0].top[0].token == "b"
    assert told.safety[0].blocked
    assert (response.usage.input_tokens, response.usage.output_tokens) == (0, 2**63 - 1)
    assert not response.usage.HasField("total_tokens")
    assert response.usage.cost.nanos == 2**63 - 1
    assert response.warnings[0].code == "C"
    assert response.routing.timings.queue.ToSeconds() == 0
    assert not response.routing.timings.HasField("first_token")


def test_cleaning_reaches_every_string():
    """Half characters anywhere in a value are replaced, and everything else is kept."""
    part = domain.Part(
        domain.ToolCall("\ud800", "f", "{}"), b"x", citations=(domain.Citation(title="\udfff"),)
    )
    assert cleaned((part, 1, None)) == (
        domain.Part(domain.ToolCall("?", "f", "{}"), b"x", citations=(domain.Citation(title="?"),)), 1, None,
    )  # fmt: skip
