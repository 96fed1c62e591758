"""Text Generation Inference, beyond what is recorded."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pointsman_server.context import ChatTemplate
from pointsman_server.domain import (
    Call,
    Choice,
    FinishReason,
    Generation,
    Grammar,
    JsonObject,
    Prompt,
    ProviderOptions,
    Regex,
    Role,
    Text,
    TokenIds,
    TokenLogprob,
    Tool,
    ToolChoice,
    ToolChoiceMode,
    Usage,
)
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.upstreams.dialects.tgi import PROFILE, TgiAdapter
from pointsman_server.upstreams.translation.support import UNSUPPORTED_CONTENT, unsupported
from tests.conformance.result import decode
from tests.unit.upstreams.calls import asked, attempt, said, settings

ADAPTER = TgiAdapter(PROFILE, settings("http://tgi.example"))


def body(call=None, *, stream=False):
    return json.loads(ADAPTER.request(attempt(call, stream=stream)).body)


def parameters(**generation):
    sent = body(asked(generation=Generation(**generation)))["parameters"]
    assert sent.pop("details") is True
    return sent


def refused(call):
    with pytest.raises(ServiceError) as raised:
        ADAPTER.request(attempt(call))
    assert raised.value.reason is Reason.INVALID_REQUEST
    return raised.value.fields[0].path


def event(text="", *, special=False, **more):
    token = {"id": 1, "text": text, "logprob": -0.5, "special": special}
    return (
        b"data:"
        + json.dumps({"index": 1, "token": token, "generated_text": None, "details": None, **more}).encode()
        + b"\n\n"
    )


def last(text="", *, whole="all", reason="eos_token", special=True, **details):
    told = {"finish_reason": reason, "generated_tokens": 2, "input_length": 3, **details}
    return event(text, special=special, generated_text=whole, details=told)


def outcome(*pieces, call=None, headers=None, end=True):
    decoder = ADAPTER.decoder(attempt(call), 200, headers or {})
    return decode(decoder, pieces, end=end)


def answer(*pieces, call=None, headers=None):
    result = outcome(*pieces, call=call, headers=headers)
    assert result.error is None, result.error
    return result.answer


def text_of(found):
    return "".join(part.content.text for part in found.candidates[0].parts)


def test_where_it_goes():
    """Whole answers and streams have paths of their own; the model is the server's only one."""
    assert ADAPTER.request(attempt(stream=False)).url == "http://tgi.example/generate"
    assert ADAPTER.request(attempt(stream=True)).url == "http://tgi.example/generate_stream"
    assert body() == {"inputs": "hi", "parameters": {"details": True}}
    assert body(Call("m", Prompt("Once"))) == {"inputs": "Once", "parameters": {"details": True}}
    assert refused(Call("m", TokenIds((1,)))) == "token_ids"


def test_a_conversation_is_written_in_the_models_template():
    """The one of the target."""
    template = ChatTemplate("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>")
    one = attempt(asked(said("be brief", role=Role.SYSTEM), "hi"), stream=False)
    one = replace(one, target=replace(one.target, chat_template=template))
    assert json.loads(ADAPTER.request(one).body)["inputs"] == "<system>be brief<user>hi<assistant>"


@pytest.mark.parametrize(
    ("generation", "sent"),
    [
        ({}, {}),
        ({"temperature": 0.0}, {"do_sample": False}),
        ({"temperature": 0.0, "top_p": 0.5, "top_k": 5, "seed": 1}, {"do_sample": False, "seed": 1}),
        ({"temperature": 1.0}, {"temperature": 1.0, "do_sample": True}),
        ({"top_p": 0.5}, {"top_p": 0.5, "do_sample": True}),
        ({"top_p": 1.0}, {}),
        ({"top_p": 0.0}, {"top_p": 1e-6, "do_sample": True}),
        ({"top_k": 5}, {"top_k": 5, "do_sample": True}),
        ({"top_k": -1}, {}),
        ({"top_k": 0}, {}),
        ({"seed": -1}, {"seed": 2**64 - 1}),
        ({"repetition_penalty": 1.1}, {"repetition_penalty": 1.1}),
        ({"frequency_penalty": -1.0}, {"frequency_penalty": -1.0}),
        ({"truncate_prompt_tokens": 9}, {"truncate": 9}),
        ({"truncate_prompt_tokens": -1}, {}),
        ({"top_logprobs": 0}, {}),
        ({"top_logprobs": 3}, {"top_n_tokens": 3}),
        ({"stop_sequences": ("a", "b", "c", "d", "e")}, {"stop": ["a", "b", "c", "d"]}),
    ],
)  # fmt: skip
def test_its_ranges(generation, sent):
    """What means off is left out, since its value is refused."""
    assert parameters(**generation) == sent


@pytest.mark.parametrize(
    ("form", "grammar"),
    [
        (JsonObject(), {"type": "json", "value": {"type": "object"}}),
        (Regex("a+"), {"type": "regex", "value": "a+"}),
        (Choice(("yes.", "no (not)", "c:\\")), {"type": "regex", "value": r"(yes\.|no \(not\)|c:\\)"}),
    ],
)
def test_formats(form, grammar):
    """A choice is a regular expression of its texts; a prompt has the same formats as a conversation."""
    assert body(asked(output_format=form))["parameters"]["grammar"] == grammar
    assert body(Call("m", Prompt("x"), output_format=form))["parameters"]["grammar"] == grammar


def test_what_it_cannot_do():
    """Is reported and not sent: its best_of is no number of candidates, and nobody would read a tool call."""
    call = asked(
        tools=(Tool("a"),), output_format=Grammar("g"),
        generation=Generation(n=2, min_p=0.1, presence_penalty=1.0, logit_bias={1: 1.0}),
    )  # fmt: skip
    assert {warning.field for warning in unsupported(call, PROFILE)} == {
        "tools", "output_format.grammar", "generation.n", "generation.min_p", "generation.presence_penalty",
        "generation.logit_bias",
    }  # fmt: skip
    assert body(call) == {"inputs": "hi", "parameters": {"details": True}}
    forced = asked(tools=(Tool("a"),), tool_choice=ToolChoice(ToolChoiceMode.REQUIRED))
    assert [warning.code for warning in unsupported(forced, PROFILE)] == [UNSUPPORTED_CONTENT]


def test_what_a_caller_adds():
    """Further parameters, but none that we write, that costs more, or that changes how the answer is read."""

    def with_options(text):
        return asked(provider_options={"tgi": ProviderOptions(text)})

    assert body(with_options('{"parameters": {"typical_p": 0.9}}'))["parameters"] == {
        "details": True,
        "typical_p": 0.9,
    }
    for text in (
        '{"parameters": {"best_of": 2}}', '{"parameters": {"details": false}}', '{"inputs": "x"}', '{"stream": false}',
        '{"parameters": {"return_full_text": true}}', '{"parameters": {"max_new_tokens": 9}}', '{"parameters": []}',
    ):  # fmt: skip
        assert refused(with_options(text)).startswith("provider_options[tgi].body_json")


def test_a_stream():
    """Special tokens say nothing; the whole text at the end is no news; one token may be both text and end."""
    found = answer(event("<s>", special=True), event("He"), event("j"), last("!", special=False))
    assert text_of(found) == "Hej!"
    assert found.usage == Usage(3, 2, 5)
    assert found.candidates[0].finish_reason is FinishReason.STOP
    assert text_of(answer(last(whole="all at once"))) == "all at once"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [("eos_token", FinishReason.STOP), ("stop_sequence", FinishReason.STOP), ("length", FinishReason.MAX_TOKENS),
     ("", FinishReason.OTHER), ("new", FinishReason.OTHER)],
)  # fmt: skip
def test_finish(raw, reason):
    """Its words."""
    (candidate,) = answer(event("a"), last(reason=raw)).candidates
    assert (candidate.finish_reason, candidate.finish_reason_raw) == (reason, raw)


def test_the_stop_sequence_that_was_hit():
    """Ends the text, which is how it is known."""
    call = asked(generation=Generation(stop_sequences=("END", "\n")))
    (candidate,) = answer(event("a E"), event("ND"), last(reason="stop_sequence"), call=call).candidates
    assert candidate.stop_sequence == "END"
    (candidate,) = answer(event("a"), last(reason="eos_token"), call=call).candidates
    assert candidate.stop_sequence == ""


def test_whole_answers():
    """Alone or in a list, with the prompt's tokens in a header; without details there is little to tell."""
    document = {"generated_text": "Hej", "details": {"finish_reason": "length", "generated_tokens": 2}}
    for form in (document, [document]):
        found = answer(json.dumps(form).encode(), headers={"x-prompt-tokens": "7"})
        assert text_of(found) == "Hej"
        assert found.usage == Usage(7, 2, 9)
    bare = answer(b'{"generated_text": "Hej"}', headers={"x-prompt-tokens": "many"})
    assert bare.usage is None
    assert bare.candidates[0].finish_reason is FinishReason.OTHER


def test_logprobs():
    """Of the tokens that are text, where they were asked for."""
    call = asked(generation=Generation(top_logprobs=1))
    tokens = [
        {"text": "H", "logprob": -0.5, "special": False},
        {"text": "</s>", "logprob": -1, "special": True},
        {"text": "i", "logprob": None, "special": False},
    ]
    document = {
        "generated_text": "Hi",
        "details": {"tokens": tokens, "top_tokens": [[{"text": "J", "logprob": -2.0}]]},
    }
    (candidate,) = answer(json.dumps(document).encode(), call=call).candidates
    assert candidate.logprobs[0] == TokenLogprob("H", -0.5, top=(TokenLogprob("J", -2.0),))
    assert [token.token for token in candidate.logprobs] == ["H", "i"]
    streamed = answer(event("H", top_tokens=[{"text": "J", "logprob": -2.0}]), last(), call=call)
    assert streamed.candidates[0].logprobs == candidate.logprobs[:1]
    assert answer(event("H"), last()).candidates[0].logprobs == ()


def test_an_answer_without_its_end():
    """Is none; a clean end of the body behind the last event is the only signal there is."""
    for pieces, end in (((), True), ((event("a"),), True), ((event("a"), last()), False)):
        error = outcome(*pieces, end=end).error
        assert error is not None
        assert error.reason is Reason.UPSTREAM_TRUNCATED
    assert outcome(event("a"), last()[:-2]).error is None
    assert outcome(b"{}").error.reason is Reason.UPSTREAM_BAD_RESPONSE


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("generation", Reason.UPSTREAM_ERROR), ("overloaded", Reason.UPSTREAM_OVERLOADED),
        ("incomplete_generation", Reason.UPSTREAM_ERROR), ("validation", Reason.UPSTREAM_REJECTED),
        ("", Reason.UPSTREAM_ERROR),
    ],
)  # fmt: skip
def test_an_error_in_the_stream(kind, reason):
    """The same object as that of a refusal, as an event."""
    for name in (b"", b"event:error\n"):
        said_so = (
            name + b"data:" + json.dumps({"error": "Request failed", "error_type": kind}).encode() + b"\n\n"
        )
        result = outcome(event("a"), said_so)
        assert text_of(result.answer) == "a"
        assert result.error is not None
        assert result.error.reason is reason
        assert result.error.upstream is not None
        assert (result.error.upstream.in_stream, result.error.upstream.type) == (True, kind)


@pytest.mark.parametrize(
    ("status", "document", "reason"),
    [
        (422, {"error": "Input validation error: `inputs` must have less than 1024 tokens. Given: 2000",
               "error_type": "validation"}, Reason.CONTEXT_LENGTH_EXCEEDED),
        (422, {"error": "Input validation error: `temperature` must be strictly positive", "error_type": "validation"},
         Reason.UPSTREAM_REJECTED),
        (422, {"error": "Tool error: no tool", "error_type": "tool_error"}, Reason.UPSTREAM_REJECTED),
        (424, {"error": "Request failed during generation: CUDA out of memory", "error_type": "generation"},
         Reason.UPSTREAM_ERROR),
        (429, {"error": "Model is overloaded", "error_type": "overloaded"}, Reason.UPSTREAM_OVERLOADED),
        (429, {"error": "Rate limit reached"}, Reason.UPSTREAM_RATE_LIMITED),
        (500, {"error": "Incomplete generation", "error_type": "incomplete_generation"}, Reason.UPSTREAM_ERROR),
        (503, {"error": "unhealthy", "error_type": "unhealthy"}, Reason.UPSTREAM_UNAVAILABLE),
        (401, {"error": "Authorization header is correct, but the token seems invalid"},
         Reason.UPSTREAM_CREDENTIALS_INVALID),
        (402, {"error": "You have exceeded your monthly included credits"}, Reason.UPSTREAM_QUOTA_EXHAUSTED),
        (404, "not found", Reason.UPSTREAM_MODEL_NOT_FOUND),
        (400, {"error": ["Error in `parameters.top_p`: too large", 5], "warnings": []}, Reason.UPSTREAM_REJECTED),
        (413, None, Reason.REQUEST_TOO_LARGE),
        (502, "<html>", Reason.UPSTREAM_UNAVAILABLE),
        (302, None, Reason.UPSTREAM_BAD_RESPONSE),
    ],
)  # fmt: skip
def test_refusals(status, document, reason):
    """By the error's own type, by what the text admits, else by status."""
    error = ADAPTER.refusal(status, {}, json.dumps(document).encode())
    assert error.reason is reason
    assert error.upstream is not None
    assert error.upstream.http_status == status


def test_a_model_that_is_being_loaded():
    """Says how long that takes."""
    error = ADAPTER.refusal(503, {}, b'{"error": "Model x is currently loading", "estimated_time": 20.5}')
    assert (error.reason, error.retry_after_s) == (Reason.UPSTREAM_UNAVAILABLE, 20.5)


def test_a_speaker_is_text_too():
    """Texts of several parts are one turn."""
    assert body(asked(said("a", Text("b"))))["inputs"] == "a\nb"
