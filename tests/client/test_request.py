import json
from datetime import timedelta

import pytest

from pointsman import v1
from pointsman.params import GenerateParams
from pointsman.plain import field_names
from pointsman.request import build_request


def build(said=None, **params):
    return build_request(said, model="m", params=params)


def test_a_text_is_what_the_user_says():
    """A plain string becomes a conversation of one user message."""
    expected = v1.Message(role=v1.ROLE_USER, parts=[v1.Part(text="hello")])
    assert build("hello") == v1.GenerateRequest(model="m", conversation=v1.Conversation(messages=[expected]))


def test_every_field_of_the_contract_can_be_set():
    """No field of GenerateRequest or GenerationConfig is out of reach of the keyword arguments."""
    renamed = {"generation": None, "output_format": "json_schema", "conversation": None, "model": None}
    wanted = {renamed.get(name, name) for name in field_names(v1.GenerateRequest)} - {None}
    wanted |= {"stop" if name == "stop_sequences" else name for name in field_names(v1.GenerationConfig)}
    assert wanted <= set(GenerateParams.__annotations__)


def test_sampling_options_arrive_as_given():
    """Numbers keep their precision, and 0 is not the same as nothing."""
    generation = build("x", temperature=0.2, seed=0, stop="END", logit_bias={7: 1.5}, top_p=None).generation
    assert generation.temperature == 0.2
    assert generation.HasField("seed")
    assert not generation.HasField("top_p")
    assert list(generation.stop_sequences) == ["END"]
    assert dict(generation.logit_bias) == {7: 1.5}


def test_options_that_are_not_given_leave_no_trace():
    """Without options the request holds the model and the conversation alone."""
    assert {field.name for field, _ in build("x").ListFields()} == {"model", "conversation"}


def test_routing_is_a_dictionary_in_the_contracts_words():
    """Enum words, seconds and nested fallbacks become the contract's values."""
    routing = build(
        "x",
        routing={
            "on_interrupt": "restart",
            "first_token_timeout_s": 1.5,
            "max_queue_time_s": timedelta(seconds=3),
            "fallbacks": [{"model": "other"}, v1.Fallback(backend="b")],
            "allow_backends": ["a"],
            "max_attempts": 2,
        },
    ).routing
    assert routing.on_interrupt == v1.ROUTING_OPTIONS_ON_INTERRUPT_RESTART
    assert routing.first_token_timeout.ToTimedelta() == timedelta(seconds=1.5)
    assert routing.max_queue_time.ToTimedelta() == timedelta(seconds=3)
    assert [(f.model, f.backend) for f in routing.fallbacks] == [("other", ""), ("", "b")]
    assert (list(routing.allow_backends), routing.max_attempts) == (["a"], 2)


def test_reasoning_cache_and_stream_options_are_dictionaries_too():
    """Each nested message of options takes a mapping."""
    request = build(
        "x",
        reasoning={"effort": "low", "include": False},
        cache={"mode": "read_only", "ttl_s": 60},
        stream_options={"coalesce_s": 0, "include_usage_updates": True},
    )
    assert request.generation.reasoning.effort == v1.REASONING_CONFIG_EFFORT_LOW
    assert request.generation.reasoning.HasField("include")
    assert request.cache.mode == v1.CACHE_CONTROL_MODE_READ_ONLY
    assert request.cache.ttl.seconds == 60
    assert request.stream_options.HasField("coalesce")


def test_a_message_of_the_contract_is_taken_as_it_is():
    """Whoever holds the contract's own messages needs no dictionary."""
    routing = v1.RoutingOptions(no_fallback=True)
    assert build("x", routing=routing).routing == routing


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


@pytest.mark.parametrize(
    "tool",
    [
        {"name": "weather", "description": "Tells it.", "parameters": SCHEMA},
        {
            "type": "function",
            "function": {"name": "weather", "description": "Tells it.", "parameters": SCHEMA},
        },
        {"name": "weather", "description": "Tells it.", "parameters_json_schema": json.dumps(SCHEMA)},
        v1.Tool(name="weather", description="Tells it.", parameters_json_schema=json.dumps(SCHEMA)),
    ],
)
def test_tools_come_in_the_forms_that_callers_hold(tool):
    """Flat, nested below `function`, with the schema as text, or as the contract's message: the same tool."""
    [made] = build("x", tools=[tool]).tools
    assert (made.name, made.description) == ("weather", "Tells it.")
    assert json.loads(made.parameters_json_schema) == SCHEMA


def test_a_tool_choice_is_a_word_or_a_dictionary():
    """`required` alone, or with the tool that it forces."""
    assert build("x", tool_choice="required").tool_choice.mode == v1.TOOL_CHOICE_MODE_REQUIRED
    forced = build("x", tool_choice={"mode": "required", "allowed_tools": ["weather"]}).tool_choice
    assert list(forced.allowed_tools) == ["weather"]


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (
            {"json_schema": SCHEMA},
            v1.OutputFormat(json_schema=v1.JsonSchemaFormat(schema_json=json.dumps(SCHEMA))),
        ),
        ({"json_object": True}, v1.OutputFormat(json_object=v1.JsonObjectFormat())),
        ({"regex": "a+"}, v1.OutputFormat(regex="a+")),
        ({"grammar": "root"}, v1.OutputFormat(grammar="root")),
        ({"choice": ["yes", "no"]}, v1.OutputFormat(choice=v1.ChoiceFormat(values=["yes", "no"]))),
        ({"json_object": False}, v1.OutputFormat()),
    ],
)
def test_each_form_of_an_answer_can_be_asked_for(option, expected):
    """Every form of the contract has its option."""
    assert build("x", **option).output_format == expected


def test_provider_options_take_a_dictionary_as_body():
    """The body is a dictionary, keyed by dialect."""
    made = build("x", provider_options={"openai": {"body": {"user": "a"}, "headers": {"X-A": "b"}}})
    options = made.provider_options["openai"]
    assert json.loads(options.body_json) == {"user": "a"}
    assert dict(options.headers) == {"X-A": "b"}


def test_prompts_and_tokens_stand_in_place_of_a_conversation():
    """A text or tokens to be completed without a chat template."""
    assert build(prompt="once").prompt == "once"
    assert list(build(token_ids=[1, 2]).token_ids.ids) == [1, 2]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"temprature": 1}, "unknown option 'temprature'"),
        ({"routing": {"polcy": "x"}}, "request.routing has no 'polcy'; it has policy, "),
        ({"temperature": "hot"}, "request.generation.temperature"),
        ({"labels": [1]}, "request.labels"),
        ({"routing": {"allow_backends": "a"}}, "request.routing.allow_backends: expected a list"),
        ({"routing": {"fallbacks": ["other"]}}, r"request.routing.fallbacks\[0\]: expected a mapping"),
        ({"tools": ["weather"]}, r"tools\[0\]"),
        ({"regex": "a", "json_object": True}, "only one form"),
        ({"prompt": "x"}, "exactly one of input, prompt= and token_ids="),
    ],
)
def test_what_cannot_be_meant_is_a_type_error_with_its_place(params, words):
    """A misspelt or mistyped option fails before anything is sent, and names the place."""
    with pytest.raises(TypeError, match=words):
        build("x", **params)


def test_an_unknown_word_names_the_known_ones():
    """A wrong enum word is a ValueError that lists the right ones."""
    with pytest.raises(ValueError, match="'later' is none of 'fail', 'restart', 'continue'"):
        build("x", routing={"on_interrupt": "later"})


def test_a_ready_request_is_sent_as_it_is():
    """`request=` is passed on untouched, and stands alone."""
    ready = v1.GenerateRequest(model="m", prompt="x")
    assert build_request(None, request=ready, params={}) is ready
    with pytest.raises(TypeError, match="request= stands alone"):
        build_request(None, request=ready, params={"seed": 1})


def test_nothing_to_ask_is_a_type_error():
    """A call without input, prompt or tokens is refused."""
    with pytest.raises(TypeError, match="exactly one of input"):
        build()
