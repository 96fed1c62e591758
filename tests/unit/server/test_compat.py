"""Rules that map one contract onto another: what they do, and what is found wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, json_format
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st

from pointsman import v1 as pb
from pointsman_server.config import schema
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.server.compat import build_services, compatibility_findings
from pointsman_server.server.compat.mapping import compile_mapping
from pointsman_server.server.compat.paths import PathFault, parse_path

ROOT = Path(__file__).resolve().parents[3]
SET = ROOT / "examples/compat/completion.binpb"
NAME = "acme.completion.v1.Completion"
POOL = descriptor_pool.DescriptorPool()
for _file in descriptor_pb2.FileDescriptorSet.FromString(SET.read_bytes()).file:
    POOL.Add(_file)
REQUEST, REPLY = (
    GetMessageClass(POOL.FindMessageTypeByName(f"acme.completion.v1.{name}"))
    for name in ("CompleteRequest", "CompleteReply")
)


def rules(*written):
    return [schema.FieldRule.model_validate(rule) for rule in written]


def mapped(message, *written, to=pb.GenerateRequest):
    mapping = compile_mapping(rules(*written), message.DESCRIPTOR, to, ())
    assert mapping.findings == []
    return mapping(message)


def fault(*written, source=REQUEST, to=pb.GenerateRequest):
    [(path, text)] = compile_mapping(rules(*written), source.DESCRIPTOR, to, ("x",)).findings
    return path[1:], text


def refused(message, *written):
    with pytest.raises(ServiceError) as caught:
        mapped(message, *written)
    assert caught.value.reason is Reason.INVALID_REQUEST
    [field] = caught.value.fields
    return field.path, field.description


@pytest.mark.parametrize(
    ("message", "rule", "wanted"),
    [
        (REQUEST(engine="a"), {"from": "engine", "to": "model"}, {"model": "a"}),
        (
            REQUEST(max_tokens=7),
            {"from": "max_tokens", "to": "generation.max_output_tokens"},
            {"generation": {"maxOutputTokens": 7}},
        ),
        (REQUEST(max_tokens=7), {"from": "max_tokens", "to": "model"}, {"model": "7"}),
        (REQUEST(engine="7"), {"from": "engine", "to": "generation.seed"}, {"generation": {"seed": "7"}}),
        (
            REQUEST(heat=0.5),
            {"from": "heat", "to": "generation.temperature"},
            {"generation": {"temperature": 0.5}},
        ),
        (
            REQUEST(debug=True),
            {"from": "debug", "to": "routing.strict_params"},
            {"routing": {"strictParams": True}},
        ),
        (
            REQUEST(stop=["a", "b"]),
            {"from": "stop", "to": "generation.stop_sequences"},
            {"generation": {"stopSequences": ["a", "b"]}},
        ),
        (REQUEST(stop=["a", "b"]), {"from": "stop[1]", "to": "model"}, {"model": "b"}),
        (REQUEST(stop=["a", "b"]), {"from": "stop", "to": "prompt", "join": "+"}, {"prompt": "a+b"}),
        (
            REQUEST(turns=[{"text": "a"}, {"text": "b"}]),
            {"from": "turns[].text", "to": "prompt", "join": ""},
            {"prompt": "ab"},
        ),
        (REQUEST(turns=[{"speaker": 1}]), {"from": "turns[0].speaker", "to": "model"}, {"model": "HUMAN"}),
        (REQUEST(engine="x"), {"from": "engine", "to": "model", "names": {"x": "y"}}, {"model": "y"}),
        (REQUEST(tags={"k": "v"}), {"from": "tags", "to": "labels"}, {"labels": {"k": "v"}}),
        (
            REQUEST(patience={"seconds": 1, "nanos": 5}),
            {"from": "patience", "to": "routing.max_queue_time"},
            {"routing": {"maxQueueTime": "1.000000005s"}},
        ),
        (
            REQUEST(patience={"seconds": 2}),
            {"from": "patience", "to": "generation.seed"},
            {"generation": {"seed": "2"}},
        ),
        (
            REQUEST(heat=1.5),
            {"from": "heat", "to": "routing.max_queue_time"},
            {"routing": {"maxQueueTime": "1.500s"}},
        ),
        (
            REQUEST(turns=[{"text": "a"}]),
            {"from": "turns", "to": "routing.no_fallback", "present": True},
            {"routing": {"noFallback": True}},
        ),
        (
            REQUEST(skills=[{"arguments": {"a": 1}}]),
            {"from": "skills[0].arguments", "to": "prompt"},
            {"prompt": '{"a": 1.0}'},
        ),
    ],
)
def test_a_field_into_another(message, rule, wanted):
    """Renamed, of another kind, out of a list, put together, replaced."""
    assert json_format.MessageToDict(mapped(message, rule)) == wanted


def test_what_is_not_set_is_not_written():
    """Nothing comes of nothing, but for defaults and written values; zero is unset where the field cannot tell."""
    rule = {"from": "heat", "to": "generation.temperature"}
    assert mapped(REQUEST(), rule) is None
    assert mapped(REQUEST(heat=1), {**rule, "default": 0.5}).generation.temperature == 1
    both = ({**rule, "default": 0.5}, {"value": "m", "to": "model"}, {"from": "engine", "to": "prompt"})
    made = mapped(REQUEST(engine="e"), *both)
    assert (made.generation.temperature, made.model, made.prompt) == (0.5, "m", "e")


def test_lists_of_messages():
    """Element by element, into messages inside of them as well."""
    turns = {
        "from": "turns", "to": "conversation.messages",
        "each": [
            {"from": "speaker", "to": "role", "names": {"HUMAN": "ROLE_USER", "BOT": "ROLE_ASSISTANT"}},
            {"from": "text", "to": "parts[0].text"},
        ],
    }  # fmt: skip
    made = mapped(REQUEST(turns=[{"speaker": 1, "text": "a"}, {"speaker": 2, "text": "b"}]), turns)
    assert [(m.role, m.parts[0].text) for m in made.conversation.messages] == [
        (pb.ROLE_USER, "a"), (pb.ROLE_ASSISTANT, "b"),
    ]  # fmt: skip
    assert refused(REQUEST(turns=[{"speaker": 1}, {"speaker": 3}]), turns) == (
        "turns[1].speaker", "is none of the values that can be mapped",
    )  # fmt: skip


def test_json_into_a_message():
    """And a fault where it is none."""
    rule = {"from": "model", "to": "arguments"}
    skill = GetMessageClass(POOL.FindMessageTypeByName("acme.completion.v1.Skill"))
    made = mapped(pb.GenerateRequest(model='{"a": [1, "b"]}'), rule, to=skill)
    assert json_format.MessageToDict(made.arguments) == {"a": [1.0, "b"]}
    with pytest.raises(ServiceError):
        mapped(pb.GenerateRequest(model="{"), rule, to=skill)


@pytest.mark.parametrize(
    ("message", "rule", "text"),
    [
        (
            REQUEST(max_tokens=2**32 - 1),
            {"from": "max_tokens", "to": "generation.max_output_tokens"},
            "must be from",
        ),
        (REQUEST(heat=0.5), {"from": "heat", "to": "generation.seed"}, "whole number"),
        (REQUEST(heat=float("nan")), {"from": "heat", "to": "generation.seed"}, "finite"),
        (REQUEST(engine="x"), {"from": "engine", "to": "generation.seed"}, "not a number"),
        (REQUEST(engine="x"), {"from": "engine", "to": "model", "names": {"y": "z"}}, "can be mapped"),
        (REQUEST(engine="x"), {"from": "engine", "to": "routing.strict_params"}, "true nor false"),
    ],
)
def test_a_value_that_does_not_fit_is_named(message, rule, text):
    """By the caller's own field, without the value."""
    path, description = refused(message, rule)
    assert path == rule["from"]
    assert text in description


@pytest.mark.parametrize(
    ("rule", "key", "text"),
    [
        ({"from": "nothing", "to": "model"}, "from", "no field 'nothing'"),
        ({"from": "engine.x", "to": "model"}, "from", "no message"),
        ({"from": "engine[]", "to": "model"}, "from", "no list"),
        ({"from": "tags.x", "to": "model"}, "from", "no message"),
        ({"from": "stop[99]", "to": "model"}, "from", "at most"),
        ({"from": "en gine", "to": "model"}, "from", "not a field's name"),
        ({"from": "engine", "to": "modell"}, "to", "no field 'modell'"),
        ({"from": "stop", "to": "model"}, "to", "several values"),
        ({"from": "turns", "to": "model"}, "to", "several values"),
        ({"from": "turns[0]", "to": "conversation.messages"}, "to", "different kinds"),
        ({"from": "engine", "to": "labels"}, "to", "different kinds"),
        ({"from": "engine", "to": "conversation.messages[].name"}, "to", "every element"),
        ({"from": "stop", "to": "generation.stop_sequences[0]"}, "to", "appended"),
        ({"from": "engine", "to": "model", "each": [{"value": "x", "to": "y"}]}, "to", "list of messages"),
        ({"from": "engine", "to": "model", "present": True}, "to", "bool"),
        ({"from": "stop", "to": "generation.seed", "join": ","}, "to", "string"),
        ({"value": "x", "to": "generation.seed"}, "to", "not a number"),
        ({"from": "heat", "to": "generation.temperature", "default": "x"}, "to", "not a number"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_work_is_found(rule, key, text):
    """Before anything is served, with its place."""
    path, found = fault(rule)
    assert path == (0, key)
    assert text in found


def test_rules_inside_of_rules_are_found_too():
    """With the whole path."""
    rule = {"from": "turns", "to": "conversation.messages", "each": [{"from": "txt", "to": "name"}]}
    path, _ = fault(rule)
    assert path == (0, "each", 0, "from")


def test_fields_are_called_as_they_came():
    """What is wrong with our request is told by the field that it was read from."""
    mapping = compile_mapping(
        rules(
            {"from": "heat", "to": "generation.temperature"},
            {"from": "turns", "to": "conversation.messages", "each": [{"from": "text", "to": "parts[0].text"}]},
            {"from": "stop", "to": "generation.stop_sequences"},
        ),
        REQUEST.DESCRIPTOR, pb.GenerateRequest, (),
    )  # fmt: skip
    assert mapping.source_of("generation.temperature") == "heat"
    assert mapping.source_of("conversation.messages[3].parts[0].text") == "turns[3].text"
    assert mapping.source_of("generation.seed") == "generation.seed"
    assert mapping.source_of("generation.stop_sequences[1]").startswith("stop")


def services(text):
    return {NAME: schema.CompatibleService.model_validate(yaml.safe_load(text))}


GOOD = f"""
descriptor_set: {SET}
methods:
  Complete:
    to: Generate
    request: [{{from: engine, to: model}}]
    drop: [turns, max_tokens, heat, stop, skills, tags, patience, debug]
    response: [{{from: response_id, to: id}}]
"""


def test_a_good_service():
    """Is built with its files for reflection, imports first."""
    assert list(compatibility_findings(services(GOOD))) == []
    [built] = build_services(services(GOOD))
    assert built.methods[0].path == f"/{NAME}/Complete"
    names = [descriptor_pb2.FileDescriptorProto.FromString(data).name for data in built.files]
    assert names[-1] == "completion.proto"
    assert set(names) > {"google/protobuf/struct.proto"}


@pytest.mark.parametrize(
    ("before", "after", "path", "text"),
    [
        (f"{SET}", "/nowhere.binpb", "descriptor_set", "cannot be read"),
        (f"{SET}", __file__, "descriptor_set", "no FileDescriptorSet"),
        ("Complete:", "Complain:", "methods.Complain", "no method"),
        ("to: Generate", "to: StreamGenerate", "methods.Complete.to", "must be Generate"),
        ("debug]", "debug, more]", "methods.Complete.drop.8", "no field 'more'"),
        (", debug]", "]", "methods.Complete.request", "debug is neither mapped nor dropped"),
        ("to: id", "to: idd", "methods.Complete.response.0.to", "no field 'idd'"),
    ],
)
def test_a_bad_service_is_found(before, after, path, text):
    """With its place and a reason."""
    written = services(GOOD.replace(before, after))
    [(found, told)] = list(compatibility_findings(written))
    assert ".".join(map(str, found)) == f"compatibility.{NAME}.{path}"
    assert text in told
    with pytest.raises(ValueError, match="compatibility"):
        build_services(written)


def test_a_service_that_is_not_in_the_file():
    """Or is ours anyway."""
    for name, text in (("acme.Other", "has no service"), ("pointsman.v1.InferenceService", "served")):
        written = {name: services(GOOD)[NAME]}
        assert text in next(iter(compatibility_findings(written)))[1] or name.startswith("pointsman")


@given(st.text(max_size=24))
def test_any_path(text):
    """Is parsed or refused."""
    try:
        path = parse_path(text, REQUEST.DESCRIPTOR)
    except PathFault:
        return
    path.read(REQUEST(engine="x"))
