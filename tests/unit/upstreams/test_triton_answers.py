"""What is made of answers of the Open Inference Protocol over HTTP, for what the recordings do not show."""

from __future__ import annotations

import json
import struct

import pytest

from pointsman_server.domain import FinishReason, Usage
from pointsman_server.errors import Reason
from tests.conformance.result import neutral
from tests.unit.upstreams.triton_parts import answered, backend, events


def frame(text: object, **more: object) -> dict[str, object]:
    return {"model_name": "m", "model_version": "1", "text_output": text, **more}


def tensors(*outputs: dict[str, object]) -> bytes:
    return json.dumps({"model_name": "m", "id": "r", "outputs": list(outputs)}).encode()


def output(name: str, *data: object, datatype: str = "BYTES") -> dict[str, object]:
    return {"name": name, "datatype": datatype, "shape": [len(data)], "data": list(data)}


def test_a_stream_of_nothing_is_an_answer_of_nothing():
    """A decoupled model may send no response at all; a unary answer of no bytes is cut off."""
    found = neutral(answered(backend(), b""))
    assert (found["text"], found["finish_reason"], found["error"]) == (None, "stop", None)
    assert answered(backend(), b"", stream=False).error.reason is Reason.UPSTREAM_TRUNCATED
    assert answered(backend(), b"", end=False).error.reason is Reason.UPSTREAM_TRUNCATED


def test_an_error_in_mid_stream_ends_it():
    """Under 200, as a frame like any other; what came before stays."""
    found = answered(backend(), events(frame("a"), {"error": "broke in the middle"}, frame("b")))
    assert neutral(found)["text"] == "a"
    assert found.error.reason is Reason.UPSTREAM_ERROR
    assert (found.error.upstream.in_stream, found.error.upstream.message) == (True, "broke in the middle")


def test_an_error_in_a_document_under_200_is_one():
    """As `generate` answers for a decoupled model that says other than one thing: it cannot be asked so."""
    text = "generate expects model to produce exactly 1 response, use generate stream for model that ..."
    found = answered(backend(), json.dumps({"error": text}).encode(), stream=False)
    assert found.error.reason is Reason.UPSTREAM_UNIMPLEMENTED
    assert not found.error.upstream.in_stream


def test_a_streaming_caller_may_be_answered_by_a_document_and_a_unary_one_by_a_stream():
    """Both are read."""
    document = json.dumps(frame("whole")).encode()
    assert neutral(answered(backend(), document))["text"] == "whole"
    assert neutral(answered(backend(), events(frame("a"), frame("b")), stream=False))["text"] == "ab"


def test_elements_are_candidates():
    """Of lists, of lists of lists, in streams too."""
    found = answered(backend(style="vllm"), events(frame(["a", "x"]), frame(["b", "y"])))
    assert [one["text"] for one in neutral(found)["choices"]] == ["ab", "xy"]
    assert neutral(answered(backend(), events(frame([["a"], ["x"]]))))["text"] == "a"


def test_more_candidates_than_could_be_asked_for_are_none():
    """A tensor of tokens is no answer."""
    found = answered(backend(), events(frame(["a"] * 65)))
    assert found.error.reason is Reason.UPSTREAM_BAD_RESPONSE


@pytest.mark.parametrize("text", [5, True, {"a": 1}, [1], [["a", 2]]])
def test_an_output_that_is_no_text_is_no_answer(text):
    """Its name may be that of another tensor."""
    assert answered(backend(), events(frame(text))).error.reason is Reason.UPSTREAM_BAD_RESPONSE


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_that_never_has_the_configured_output_is_none(stream):
    """A wrong name shows as an error, not as silence."""
    document = frame("a")
    written = events(document) if stream else json.dumps(document).encode()
    found = answered(backend(text_output="other"), written, stream=stream)
    assert found.error.reason is Reason.UPSTREAM_BAD_RESPONSE
    assert "other" in found.error.detail


def test_a_response_without_text_among_others_is_borne():
    """Some models close with what only they can read."""
    assert (
        neutral(answered(backend(), events(frame("a"), {"model_name": "m", "done_flag": 1})))["text"] == "a"
    )


def test_usage_and_reasons_are_read_where_the_model_tells_them():
    """Counts of responses are added up; the reason comes with the last."""
    upstream = backend(
        style="vllm", finish_reason_output="finish_reason", input_tokens_output="num_input_tokens",
        output_tokens_output="num_output_tokens",
    )  # fmt: skip
    told = [
        frame("a", finish_reason="None", num_input_tokens=5, num_output_tokens=1),
        frame("b", finish_reason=["length"], num_input_tokens=5, num_output_tokens=[2]),
    ]
    found = answered(upstream, events(*told)).answer
    assert found.usage == Usage(input_tokens=5, output_tokens=3, total_tokens=8)
    assert (found.candidates[0].finish_reason, found.candidates[0].finish_reason_raw) == (
        FinishReason.MAX_TOKENS, "length"
    )  # fmt: skip
    assert answered(backend(), events(*told)).answer.usage is None


@pytest.mark.parametrize(
    ("word", "reason"),
    [("stop", "STOP"), ("EOS", "STOP"), ("max_tokens", "MAX_TOKENS"), ("abort", "OTHER"), ("", "STOP")],
)
def test_reasons_in_a_models_words(word, reason):
    """An unknown one is kept."""
    upstream = backend(finish_reason_output="why")
    found = answered(upstream, events(frame("a", why=word))).answer.candidates[0]
    assert (found.finish_reason, found.finish_reason_raw) == (FinishReason[reason], word)


def test_a_text_that_is_told_whole_each_time_is_passed_on_once():
    """And a character that is not whole yet waits until it is."""
    upstream = backend(cumulative=True)
    told = ["H", "He", "He\ufffd", "Heé", "Heé!"]
    decoder = answered(upstream, events(*(frame(text) for text in told)))
    assert neutral(decoder)["text"] == "Heé!"


def test_a_cumulative_text_that_is_taken_back_is_no_answer():
    """What was passed on cannot be."""
    found = answered(backend(cumulative=True), events(frame("Hello"), frame("Help")))
    assert found.error.reason is Reason.UPSTREAM_BAD_RESPONSE


def test_an_end_that_is_told_counts():
    """`done` of the Open Inference Protocol's text generation: its absence in the last response is a cut."""
    upstream = backend("kserve", api="generate", streaming=True)
    told = events(frame("a", done=False), frame("b", done=True))
    assert neutral(answered(upstream, told, end=False))["text"] == "ab"
    assert answered(upstream, events(frame("a", done=False))).error.reason is Reason.UPSTREAM_TRUNCATED


def test_tensors_of_json_are_read_by_name():
    """Whatever stands beside them; ids and models are told."""
    upstream = backend("kserve", finish_reason_output="why", output_tokens_output="n")
    written = tensors(output("logits", 0.5, datatype="FP32"), output("text_output", "é"), output("why", "length"),
                      output("n", 4, datatype="INT32"))  # fmt: skip
    found = answered(upstream, written, stream=False).answer
    assert (found.response_id, found.model) == ("r", "m")
    assert found.candidates[0].finish_reason is FinishReason.MAX_TOKENS
    assert found.usage == Usage(output_tokens=4)


def test_tensors_may_come_as_a_stream():
    """As MLServer sends them."""
    upstream = backend("kserve", streaming=True)
    written = b"".join(
        b"data: " + tensors(output("text_output", text)) + b"\n\n" for text in ("a", "b")
    )  # fmt: skip
    assert neutral(answered(upstream, written))["text"] == "ab"


def binary(*, size: int, data: bytes) -> tuple[bytes, dict[str, str]]:
    described = {**output("text_output"), "shape": [1], "parameters": {"binary_data_size": size}}
    document = tensors({"name": "n", "datatype": "INT32", "data": [3]}, described)
    return document + data, {"inference-header-content-length": str(len(document))}


def test_tensors_may_stand_behind_the_document():
    """As servers send them that were asked for nothing else, also where the document itself has text of its own."""
    text = "Birch é".encode()
    written, headers = binary(size=len(text) + 4, data=struct.pack("<I", len(text)) + text)
    upstream = backend(api="infer", output_tokens_output="n")
    found = answered(upstream, written, stream=False, headers=headers)
    assert neutral(found)["text"] == "Birch é"
    assert found.answer.usage == Usage(output_tokens=3)
    halves = answered(upstream, [written[:-3], written[-3:]], stream=False, headers=headers)
    assert neutral(halves)["text"] == "Birch é"


@pytest.mark.parametrize(
    ("size", "data"), [(8, b"\x01\x00\x00\x00"), (4, b"\x09\x00\x00\x00"), (3, b"\x00\x00\x00"), (1, b"")]
)
def test_tensors_that_end_early_are_no_answer(size, data):
    """Shorter than told, or than an element's own length."""
    written, headers = binary(size=size, data=data)
    found = answered(backend(api="infer"), written, stream=False, headers=headers)
    assert found.error.reason is Reason.UPSTREAM_BAD_RESPONSE


@pytest.mark.parametrize("length", ["", "x", "-1", "99999", "1e3", "9" * 30])
def test_a_length_that_makes_no_sense_is_ignored(length):
    """Then the document is all there is."""
    found = answered(
        backend(api="infer"), tensors(output("text_output", "a")), stream=False,
        headers={"inference-header-content-length": length},
    )  # fmt: skip
    assert neutral(found)["text"] == "a"
