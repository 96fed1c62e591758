"""What is sent to servers of the Open Inference Protocol over HTTP, for what the recordings do not show."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest

from pointsman_server.context import ChatTemplate
from pointsman_server.domain import (
    Call,
    Choice,
    Generation,
    Grammar,
    JsonObject,
    JsonSchema,
    Media,
    MediaKind,
    Prompt,
    ProviderOptions,
    Regex,
    Role,
    TokenIds,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from pointsman_server.errors import Reason, ServiceError
from tests.unit.upstreams.calls import asked, said
from tests.unit.upstreams.triton_parts import backend, body, inputs, request

EVERYTHING = Generation(
    max_output_tokens=8, temperature=0.5, top_p=0.9, top_k=4, min_p=0.1, seed=7, n=2, presence_penalty=0.1,
    frequency_penalty=0.2, repetition_penalty=1.1, truncate_prompt_tokens=9, stop_sequences=("a", "b"),
)  # fmt: skip


def sampled(**generation) -> Call:
    return asked("hi", generation=Generation(**generation))


def added(dialect: str, **fields) -> Call:
    return asked("hi", provider_options={dialect: ProviderOptions(json.dumps(fields))})


def refused(upstream, call) -> tuple[Reason, str]:
    with pytest.raises(ServiceError) as caught:
        request(upstream, call)
    return caught.value.reason, caught.value.fields[0].path


def fields(upstream, call) -> set[str]:
    return {warning.field for warning in upstream.unsupported(call, "m")}


@pytest.mark.parametrize(
    ("keys", "stream", "path"),
    [
        ({}, False, "/v2/models/m/generate"),
        ({}, True, "/v2/models/m/generate_stream"),
        ({"model_version": "3"}, True, "/v2/models/m/versions/3/generate_stream"),
        ({"api": "infer"}, False, "/v2/models/m/infer"),
        ({"api": "infer"}, True, "/v2/models/m/infer"),
        ({"api": "infer", "streaming": True}, True, "/v2/models/m/infer_stream"),
        ({"streaming": False}, True, "/v2/models/m/generate"),
        ({"unary_upstream": "stream"}, False, "/v2/models/m/generate_stream"),
    ],
)
def test_the_address_tells_the_model_and_what_is_asked_of_it(keys, stream, path):
    """Triton streams in its generate extension alone."""
    assert urlsplit(request(backend(**keys), stream=stream).url).path == path


def test_a_models_name_is_one_step_of_the_path():
    """Whatever it holds, it leads nowhere else."""
    url = request(backend(url="http://triton.example/base/"), model="../a b?c#d/e").url
    assert url == "http://triton.example/base/v2/models/..%2Fa%20b%3Fc%23d%2Fe/generate"


def test_an_attempt_is_known_by_its_id():
    """In a header, and in the body where the protocol has a place; a caller's own takes its place. Traces go along."""
    call = asked("hi", provider_options={"kserve": ProviderOptions(headers={"X-Request-Id": "mine"})})
    assert request(backend()).headers["x-request-id"] == "request-1.1"
    assert request(backend()).headers["traceparent"] == "00-1-2-01"
    assert body(backend("kserve"))["id"] == "request-1.1"
    assert body(backend("kserve"), call)["id"] == "mine"


def test_a_conversation_goes_through_the_targets_template():
    """And a prompt does not."""
    template = ChatTemplate(
        "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}", "<s>"
    )
    call = asked(said("Be brief.", role=Role.SYSTEM), "hi")
    for upstream in (backend(), backend("kserve")):
        sent = body(upstream, call, template=template)
        text = sent.get("text_input") or inputs(sent)["text_input"][2][0]
        assert text == "<s>[system]Be brief.[user]hi"
    assert body(backend(), Call("m", Prompt("raw")), template=template)["text_input"] == "raw"


def test_trtllm_names_everything_at_the_top():
    """Lists are lists; whether it streams is always said."""
    sent = body(backend(), asked("hi", generation=EVERYTHING), stream=True)
    assert sent == {
        "text_input": "hi", "stream": True, "max_tokens": 8, "temperature": 0.5, "top_p": 0.9, "top_k": 4,
        "random_seed": 7, "presence_penalty": 0.1, "frequency_penalty": 0.2, "repetition_penalty": 1.1,
        "stop_words": ["a", "b"],
    }  # fmt: skip
    assert fields(backend(), asked("hi", generation=EVERYTHING)) == {
        "generation.min_p", "generation.n", "generation.truncate_prompt_tokens"
    }  # fmt: skip


def test_vllm_takes_scalars_as_parameters():
    """A single stop sequence is one; how many there are decides nothing else."""
    sent = body(backend(style="vllm"), sampled(max_output_tokens=8, min_p=0.1, n=2, stop_sequences=("a",)))
    parameters = {
        "stream": False, "exclude_input_in_output": True, "max_tokens": 8, "min_p": 0.1, "n": 2, "stop": "a"
    }  # fmt: skip
    assert sent == {"text_input": "hi", "parameters": parameters}


def test_vllm_takes_lists_in_one_text():
    """Since parameters hold none; then all of sampling stands there, for it reads one of the two."""
    sent = body(backend(style="vllm"), sampled(max_output_tokens=8, stop_sequences=("a", "b")))
    packed = json.loads(sent["parameters"].pop("sampling_parameters"))
    assert packed == {"max_tokens": 8, "stop": ["a", "b"]}
    assert sent["parameters"] == {"stream": False, "exclude_input_in_output": True}


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (JsonObject(), {"json_object": True}),
        (JsonSchema("s", '{"type": "object"}'), {"json": {"type": "object"}}),
        (Regex("a+"), {"regex": "a+"}),
        (Grammar("root ::= x"), {"grammar": "root ::= x"}),
        (Choice(("a", "b")), {"choice": ["a", "b"]}),
    ],
)
def test_vllm_takes_formats_as_structured_outputs(wanted, told):
    """As a text within the parameters; the other styles have no place for them."""
    call = asked("hi", output_format=wanted)
    sent = body(backend(style="vllm"), call)
    assert json.loads(sent["parameters"]["structured_outputs"]) == told
    assert len(fields(backend(), call)) == 1
    assert "structured_outputs" not in body(backend(), call)


def test_vllm_as_tensors_takes_sampling_in_one():
    """Beside the prompt and the constant; nothing is sent for what is not asked."""
    upstream = backend(style="vllm", api="infer")
    sent = inputs(body(upstream, sampled(temperature=0.0, stop_sequences=("a", "b"))))
    packed = sent.pop("sampling_parameters")
    assert (packed[:2], json.loads(packed[2][0])) == (
        ("BYTES", [1]),
        {"temperature": 0.0, "stop": ["a", "b"]},
    )
    assert sent == {
        "text_input": ("BYTES", [1], ["hi"]), "exclude_input_in_output": ("BOOL", [1], [True])
    }  # fmt: skip
    assert set(inputs(body(upstream))) == {"text_input", "exclude_input_in_output"}


def test_tensors_have_the_datatypes_of_their_fields():
    """And the size of the batch ahead where models want it."""
    sent = inputs(body(backend(api="infer"), asked("hi", generation=EVERYTHING)))
    assert sent["max_tokens"] == ("INT32", [1, 1], [8])
    assert sent["temperature"] == ("FP32", [1, 1], [0.5])
    assert sent["random_seed"] == ("UINT64", [1, 1], [7])
    assert sent["stop_words"] == ("BYTES", [1, 2], ["a", "b"])
    assert "stream" not in sent
    oip = inputs(body(backend("kserve"), asked("hi", generation=EVERYTHING)))
    assert (oip["stop"], oip["seed"]) == (("BYTES", [2], ["a", "b"]), ("UINT64", [1], [7]))


def test_the_outputs_that_are_read_are_asked_for_as_json():
    """And no others: some models have large ones."""
    upstream = backend(api="infer", text_output="answer", finish_reason_output="why")
    assert body(upstream)["outputs"] == [
        {"name": "answer", "parameters": {"binary_data": False}},
        {"name": "why", "parameters": {"binary_data": False}},
    ]


def test_a_configuration_names_a_models_own_tensors():
    """Names, datatypes, constants, shapes, and fields that the model lacks."""
    upstream = backend(
        api="infer", text_input="PROMPT", batched=False, stream_input="STREAMING", streaming=True,
        names={"generation.max_output_tokens": "MAX_NEW", "generation.min_p": "min_p", "generation.top_k": ""},
        datatypes={"MAX_NEW": "UINT32", "beam": "INT64"},
        constants={"beam": 1, "exclude": True, "penalty": 0.5, "mode": "chat"},
    )  # fmt: skip
    call = sampled(max_output_tokens=8, min_p=0.1, top_k=3)
    assert inputs(body(upstream, call, stream=True)) == {
        "PROMPT": ("BYTES", [1], ["hi"]), "MAX_NEW": ("UINT32", [1], [8]), "min_p": ("FP32", [1], [0.1]),
        "beam": ("INT64", [1], [1]), "exclude": ("BOOL", [1], [True]), "penalty": ("FP32", [1], [0.5]),
        "mode": ("BYTES", [1], ["chat"]), "STREAMING": ("BOOL", [1], [True]),
    }  # fmt: skip
    assert fields(upstream, call) == {"generation.top_k"}


def test_sampling_may_go_into_the_requests_parameters():
    """Which hold no lists: one stop sequence is sent, the others are reported."""
    upstream = backend("kserve", parameters_as="parameters", constants={"echo": False})
    call = sampled(max_output_tokens=8, temperature=0.5, stop_sequences=("a", "b"))
    sent = body(upstream, call)
    assert sent["parameters"] == {"echo": False, "max_tokens": 8, "temperature": 0.5, "stop": "a"}
    assert set(inputs(sent)) == {"text_input"}
    assert fields(upstream, call) == {"generation.stop_sequences"}


def test_oips_generate_takes_lists_as_parameters():
    """As its description of text generation has it; nothing is sent for nothing."""
    upstream = backend("kserve", api="generate", streaming=True)
    sent = body(upstream, sampled(max_output_tokens=8, stop_sequences=("a", "b")), stream=True)
    assert sent == {"text_input": "hi", "parameters": {"max_tokens": 8, "stop": ["a", "b"]}}
    assert body(upstream) == {"text_input": "hi"}


def test_triton_takes_parameters_too():
    """A configuration may put the ensemble's inputs there."""
    sent = body(backend(parameters_as="parameters"), sampled(max_output_tokens=8))
    assert sent == {"text_input": "hi", "parameters": {"stream": False, "max_tokens": 8}}


@pytest.mark.parametrize(
    ("seed", "keys"),
    [(-1, {}), (2**31, {"datatypes": {"random_seed": "INT32"}})],
)
def test_a_number_that_does_not_fit_its_tensor_is_refused_with_its_field(seed, keys):
    """Before the server fails over it."""
    found = refused(backend(api="infer", **keys), sampled(seed=seed))
    assert found == (Reason.INVALID_REQUEST, "generation.seed")


def test_what_is_no_text_is_refused():
    """Tokens and images; tools are left out, unless a call must come of them."""
    image = Media(MediaKind.IMAGE, url="https://a.example/x")
    assert fields(backend(), asked(said("hi", image))) == {"conversation.messages[0].parts[1].image"}
    assert fields(backend(), Call("m", TokenIds((1,)))) == {"token_ids"}
    tools = asked("hi", tools=(Tool("t"),))
    assert fields(backend(), tools) == {"tools"}
    assert "tools" not in body(backend(), tools)
    forced = asked("hi", tools=(Tool("t"),), tool_choice=ToolChoice(ToolChoiceMode.REQUIRED))
    assert {warning.code for warning in backend().unsupported(forced, "m")} == {"UNSUPPORTED_CONTENT"}


def test_callers_add_inputs_of_the_generate_extension():
    """What nothing else of the call writes: at the top, and as parameters."""
    sent = body(backend(), added("triton", bad_words=["x"], parameters={"lora_id": 3}))
    assert (sent["bad_words"], sent["parameters"]) == (["x"], {"lora_id": 3})
    vllm = body(backend(style="vllm"), added("triton", parameters={"ignore_eos": True}))
    assert vllm["parameters"] == {"stream": False, "exclude_input_in_output": True, "ignore_eos": True}


def test_callers_add_tensors_and_parameters():
    """As the protocol writes them."""
    tensor = {"name": "bad_words", "datatype": "BYTES", "shape": [1, 2], "data": ["x", "y"]}
    sent = body(
        backend(api="infer"), added("triton", inputs=[tensor], parameters={"priority": 2, "lora": "a"})
    )
    assert inputs(sent)["bad_words"] == ("BYTES", [1, 2], ["x", "y"])
    assert sent["parameters"] == {"priority": 2, "lora": "a"}


@pytest.mark.parametrize(
    ("keys", "given", "path"),
    [
        ({}, {"text_input": "x"}, "text_input"),
        ({}, {"max_tokens": 9}, "max_tokens"),
        ({}, {"stream": True}, "stream"),
        ({}, {"id": "x"}, "id"),
        ({"style": "vllm"}, {"parameters": {"max_tokens": 9}}, "parameters.max_tokens"),
        ({"style": "vllm"}, {"parameters": {"stream": True}}, "parameters.stream"),
        ({"style": "vllm"}, {"parameters": {"sampling_parameters": "{}"}}, "parameters.sampling_parameters"),
        ({"api": "infer"}, {"id": "x"}, "id"),
        ({"api": "infer"}, {"outputs": []}, "outputs"),
        ({"api": "infer"}, {"inputs": {}}, "inputs"),
        ({"api": "infer"}, {"inputs": [{"name": "x"}]}, "inputs"),
        ({"api": "infer"}, {"inputs": [{"name": "max_tokens", "datatype": "INT32", "shape": [1], "data": [1]}]},
         "inputs[0].name"),
        ({"api": "infer"}, {"inputs": [{"name": "x", "datatype": "FP8", "shape": [1], "data": [1]}]},
         "inputs[0].datatype"),
        ({"api": "infer"}, {"inputs": [{"name": "x", "datatype": "INT8", "shape": [2], "data": [1]}]},
         "inputs[0].shape"),
        ({"api": "infer"}, {"inputs": [{"name": "x", "datatype": "INT8", "shape": [1], "data": [200]}]},
         "inputs[0].data"),
        ({"api": "infer"}, {"inputs": [{"name": "x", "datatype": "INT8", "shape": [1], "data": [1],
                                        "parameters": {"shared_memory_region": "r"}}]}, "inputs"),
        ({"api": "infer"}, {"inputs": [{"name": f"x{n}", "datatype": "INT8", "shape": [1], "data": [1]}
                                       for n in range(17)]}, "inputs"),
        ({"api": "infer"}, {"parameters": {"triton_enable_empty_final_response": True}},
         "parameters.triton_enable_empty_final_response"),
        ({"api": "infer"}, {"parameters": {"binary_data_output": True}}, "parameters.binary_data_output"),
        ({"api": "infer"}, {"parameters": {"a": [1]}}, "parameters.a"),
    ],
)  # fmt: skip
def test_callers_replace_nothing_that_the_router_writes(keys, given, path):
    """Nor what decides how the answer is read, nor memory of the server's machine."""
    found = refused(backend(**keys), added("triton", **given))
    assert found == (Reason.INVALID_REQUEST, f"provider_options[triton].body_json.{path}")


@pytest.mark.parametrize("provider", ["triton", "kserve"])
def test_a_streaming_call_is_answered_in_one_piece_where_nothing_streams(provider):
    """Then only the whole answer is waited for, and no first token."""
    one_piece = backend(provider, api="infer")
    assert not one_piece.streams(stream=True)
    assert backend(provider, api="infer", streaming=True).streams(stream=True)
    assert backend(api="generate").streams(stream=True)
    assert not backend(api="generate").streams(stream=False)
