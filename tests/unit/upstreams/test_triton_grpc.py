"""The Open Inference Protocol over gRPC, against a real server on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket

import grpc
import pytest
import trustme
from google.protobuf import descriptor_pool
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman_server.clock import SystemClock
from pointsman_server.config import schema
from pointsman_server.config.secrets import Secret
from pointsman_server.domain import Call, Generation, Prompt, ProviderOptions, Usage
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.upstreams.dialects.triton.rpc.reader import MessageReader
from pointsman_server.upstreams.dialects.triton.rpc.request import infer_request
from pointsman_server.upstreams.dialects.triton.styles import setup_of
from pointsman_server.upstreams.registry import backend_findings, build_upstream, profile_of
from pointsman_server.upstreams.translation.support import INELIGIBLE_CODES, unsupported
from tests.conformance.test_properties import CALLS
from tests.fakes.open_inference import (
    Abort,
    Hang,
    OpenInferenceServer,
    Relay,
    Send,
    plain,
    response,
    told,
    wrapped,
)
from tests.fakes.proxy import ForwardProxy
from tests.fakes.running_app import until
from tests.unit.upstreams.calls import asked, folded
from tests.unit.upstreams.triton_parts import attempt

KEY = "zq7/no-known-form"
PATIENCE_S = 20
LAST = wrapped(response(final=True))


def pieces(*texts, **keys):
    return [*(wrapped(response(text, final=False, **keys)) for text in texts), LAST]


@pytest.fixture
async def reach():
    """Builds upstreams, and closes them with the test."""
    built = []

    def do(url, provider="triton_grpc", **keys):
        own = {name: keys.pop(name) for name in [*keys] if name in schema.Backend.model_fields}
        written = {"provider": provider, "url": url, "open_inference": keys, **own}
        backend = schema.Backend.model_validate(written)
        built.append(build_upstream("b", backend, lambda ref: Secret(KEY), SystemClock()))
        return built[-1]

    yield do
    for upstream in built:
        await upstream.close()


async def batches(upstream, call=None, *, stream=True, **keys):
    async with asyncio.timeout(PATIENCE_S), upstream.open(attempt(call, stream=stream, **keys)) as answer:
        return [list(batch) async for batch in answer]


async def answer_of(upstream, call=None, *, stream=True):
    found = await batches(upstream, call, stream=stream)
    return folded(event for batch in found for event in batch)


def text(answer, candidate=0):
    parts = [part for one in answer.candidates if one.index == candidate for part in one.parts]
    return "".join(part.content.text for part in parts)


async def failure(upstream, call=None, *, stream=True, then=lambda: None) -> tuple[ServiceError, str]:
    """The error, and the text that came before it; `then` happens at each batch."""
    events = []
    try:
        async with asyncio.timeout(PATIENCE_S), upstream.open(attempt(call, stream=stream)) as answer:
            async for batch in answer:
                events += batch
                then()
    except ServiceError as error:
        return error, text(folded(events))
    raise AssertionError("it did not fail")


def inputs(request):
    """Tensors by name: datatype, shape, elements."""
    found = {}
    for tensor in request.inputs:
        [(_, contents)] = tensor.contents.ListFields()
        found[tensor.name] = (tensor.datatype, [*tensor.shape], [*contents])
    return found


def parameters(request):
    return {
        name: getattr(value, value.WhichOneof("parameter_choice"))
        for name, value in request.parameters.items()
    }


# --- what is sent ---


async def test_a_stream_is_one_request_and_half_closed(reach):
    """With the call's id, its trace, and what makes Triton tell ends and errors."""
    async with OpenInferenceServer(pieces("He", "i")) as server:
        upstream = reach(server.url, model_version="3")
        answer = await answer_of(upstream, asked("hi", generation=Generation(max_output_tokens=5, seed=7)))
        [call] = server.calls
        await asyncio.wait_for(call.half_closed.wait(), PATIENCE_S)
    assert text(answer) == "Hei"
    request = call.request
    assert (call.method, request.model_name, request.model_version, request.id) == (
        "ModelStreamInfer", "m", "3", "request-1.1"
    )  # fmt: skip
    assert inputs(request) == {
        "text_input": ("BYTES", [1, 1], [b"hi"]), "max_tokens": ("INT32", [1, 1], [5]),
        "random_seed": ("UINT64", [1, 1], [7]), "stream": ("BOOL", [1, 1], [True]),
    }  # fmt: skip
    assert [output.name for output in request.outputs] == ["text_output"]
    assert parameters(request) == {"triton_enable_empty_final_response": True}
    wanted = {"x-request-id": "request-1.1", "traceparent": "00-1-2-01", "triton_grpc_error": "true"}
    assert {name: call.metadata.get(name) for name in wanted} == wanted


async def test_a_unary_call_uses_the_call_that_all_models_answer(reach):
    """Triton's models may be decoupled; nobody asks for pieces then. `unary_upstream: unary` says that they are not."""
    async with OpenInferenceServer(pieces("whole"), [plain(response("plain"))]) as server:
        assert text(await answer_of(reach(server.url), stream=False)) == "whole"
        assert text(await answer_of(reach(server.url, unary_upstream="unary"), stream=False)) == "plain"
    first, second = server.calls
    assert (first.method, second.method) == ("ModelStreamInfer", "ModelInfer")
    assert "stream" not in inputs(first.request)
    assert parameters(second.request) == {}
    assert "triton_grpc_error" not in second.metadata


async def test_the_protocol_itself_knows_one_answer(reach):
    """Also for a streaming caller, unless the backend is configured to stream."""
    script = [plain(response("whole", raw=False))]
    async with OpenInferenceServer(script, pieces("a", "b")) as server:
        upstream = reach(server.url, "kserve_grpc")
        assert not upstream.streams(stream=True)
        assert text(await answer_of(upstream)) == "whole"
        streaming = reach(server.url, "kserve_grpc", streaming=True)
        assert streaming.streams(stream=True)
        assert not streaming.streams(stream=False)
        assert text(await answer_of(streaming)) == "ab"
    assert [call.method for call in server.calls] == ["ModelInfer", "ModelStreamInfer"]
    assert inputs(server.calls[0].request) == {"text_input": ("BYTES", [1], [b"hi"])}


async def test_every_kind_of_value_has_its_place(reach):
    """Tensors of all datatypes, and parameters of all types, those of callers among them."""
    constants = {"flag": True, "count": 3, "share": 0.5, "mode": "chat"}
    datatypes = {"min_p": "FP64", "max_tokens": "INT64", "top_k": "UINT8", "count": "INT16"}
    more = [{"name": "own", "datatype": "INT8", "shape": [2], "data": [-1, 2]}]
    body = {"inputs": more, "parameters": {"a": 1, "b": 2**63, "c": 0.5, "d": "x", "e": False}}
    call = asked(
        "hi", generation=Generation(max_output_tokens=5, top_k=4, min_p=0.25, stop_sequences=("x", "y")),
        provider_options={"triton": ProviderOptions(json.dumps(body), {"X-Request-Id": "mine"})},
    )  # fmt: skip
    async with OpenInferenceServer(pieces("a")) as server:
        upstream = reach(
            server.url, batched=False, constants=constants, datatypes=datatypes,
            names={"generation.min_p": "min_p"},
        )  # fmt: skip
        await answer_of(upstream, call)
    [request] = [call.request for call in server.calls]
    assert inputs(request) == {
        "text_input": ("BYTES", [1], [b"hi"]), "max_tokens": ("INT64", [1], [5]), "top_k": ("UINT8", [1], [4]),
        "min_p": ("FP64", [1], [0.25]), "stop_words": ("BYTES", [2], [b"x", b"y"]), "flag": ("BOOL", [1], [True]),
        "count": ("INT16", [1], [3]), "share": ("FP32", [1], [0.5]), "mode": ("BYTES", [1], [b"chat"]),
        "stream": ("BOOL", [1], [True]), "own": ("INT8", [2], [-1, 2]),
    }  # fmt: skip
    assert parameters(request) == {
        "a": 1, "b": 2**63, "c": 0.5, "d": "x", "e": False, "triton_enable_empty_final_response": True
    }  # fmt: skip
    assert request.id == "mine"


async def test_sampling_may_be_parameters(reach):
    """By the types that the values have."""
    generation = Generation(max_output_tokens=5, temperature=0.5, stop_sequences=("x", "y"))
    async with OpenInferenceServer([plain(response("a"))]) as server:
        upstream = reach(server.url, "kserve_grpc", parameters_as="parameters")
        await answer_of(upstream, asked("hi", generation=generation))
    assert parameters(server.calls[0].request) == {"max_tokens": 5, "temperature": 0.5, "stop": "x"}


async def test_keys_go_as_metadata_and_are_not_told(reach):
    """In whichever header, as do configured headers; a server that quotes a key is not passed on with it."""
    script = [Abort(grpc.StatusCode.UNAUTHENTICATED, f"no such key: {KEY}")]
    async with OpenInferenceServer(script) as server:
        bearer = reach(server.url, credentials={"secret": {"env": "K"}}, headers={"X-Team": "a"})
        error, _ = await failure(bearer)
        named = reach(server.url, credentials={"type": "header", "name": "X-Key", "secret": {"env": "K"}})
        await failure(named)
    assert server.calls[0].metadata["authorization"] == f"Bearer {KEY}"
    assert server.calls[0].metadata["x-team"] == "a"
    assert server.calls[1].metadata["x-key"] == KEY
    assert error.reason is Reason.UPSTREAM_CREDENTIALS_INVALID
    assert error.upstream.message == "no such key: ***"


# --- what comes back ---


async def test_texts_counts_and_reasons_of_both_forms_of_tensors(reach):
    """Raw, as Triton sends them, and in the fields of their datatypes, as MLServer does."""

    def counted(*texts, raw, n):
        message = response(*texts, raw=raw, final=False)
        for name, datatype, data in (("why", "BYTES", b"length"), ("n", "UINT32", n)):
            output = message.outputs.add(name=name, datatype=datatype, shape=[1])
            if raw:
                size = len(data).to_bytes(4, "little") if datatype == "BYTES" else b""
                message.raw_output_contents.append(
                    size + data if datatype == "BYTES" else n.to_bytes(4, "little")
                )
            elif datatype == "BYTES":
                output.contents.bytes_contents.append(data)
            else:
                output.contents.uint_contents.append(data)
        return wrapped(message)

    script = [counted("a", "x", raw=True, n=2), counted("b", "y", raw=False, n=3), LAST]
    async with OpenInferenceServer(script) as server:
        upstream = reach(server.url, finish_reason_output="why", output_tokens_output="n")
        answer = await answer_of(upstream)
    assert (text(answer, 0), text(answer, 1)) == ("ab", "xy")
    assert [one.finish_reason_raw for one in answer.candidates] == ["length", ""]
    assert answer.usage == Usage(output_tokens=5)
    assert (answer.response_id, answer.model) == ("r", "m")


async def test_a_character_may_be_cut_between_responses(reach):
    """Bytes are joined before they are read; what never becomes whole is marked."""
    async with OpenInferenceServer(pieces("Bir\u00e9".encode()[:-1], b"\xa9!", b"\xff", b"\xc3")) as server:
        assert text(await answer_of(reach(server.url))) == "Biré!\ufffd\ufffd"


async def test_a_stream_of_nothing_is_an_answer_of_nothing(reach):
    """The empty last response says that it is complete."""
    async with OpenInferenceServer([LAST]) as server:
        answer = await answer_of(reach(server.url))
    assert (answer.candidates[0].parts, answer.candidates[0].finish_reason.value) == ((), "STOP")


async def test_an_end_without_the_last_response_is_a_cut(reach):
    """Where others said that they were not the last; a server that says nothing of it ends with its status."""
    async with OpenInferenceServer(pieces("a")[:1], [wrapped(response("a"))]) as server:
        error, before = await failure(reach(server.url))
        assert (error.reason, before) == (Reason.UPSTREAM_TRUNCATED, "a")
        assert text(await answer_of(reach(server.url))) == "a"


@pytest.mark.parametrize("version", ["", "1", "v2", "\u00e9"])
async def test_bare_responses_of_a_stream_are_read(reach, version):
    """As MLServer sends them under Triton's name: there, the model's name stands where Triton has its error."""
    messages = [response(one, raw=False) for one in ("a", "b")]
    for message in messages:
        message.model_version = version
    async with OpenInferenceServer([plain(message) for message in messages]) as server:
        answer = await answer_of(reach(server.url, "kserve_grpc", streaming=True))
    assert (text(answer), answer.model) == ("ab", "m")


async def test_what_came_while_nobody_took_it_comes_at_once(reach):
    """A caller whose deltas are merged gets all that came in its window, not one response for each."""
    async with OpenInferenceServer(pieces(*"abcdefgh")) as server:
        upstream = reach(server.url)
        async with asyncio.timeout(PATIENCE_S), upstream.open(attempt(stream=True)) as answer:
            first = text(folded(await anext(answer)))
            answer.pause()
            await until("all of it is here", answer._inbox._task.done)
            rest = [batch async for batch in answer]
        assert first + text(folded(rest[0])) == "abcdefgh"


async def test_what_nobody_takes_is_held_back(reach):
    """The inbox has a bound, and then flow control has the server wait; taken, all of it comes."""
    large = "x" * 200_000
    async with OpenInferenceServer(pieces(*[large] * 200)) as server:
        upstream = reach(server.url)
        async with asyncio.timeout(PATIENCE_S), upstream.open(attempt(stream=True)) as answer:
            await server.called(1)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(server.calls[0].half_closed.wait(), 0.3)
            whole = folded([event async for batch in answer for event in batch])
    assert len(text(whole)) == 200 * len(large)


@pytest.mark.parametrize(
    "data",
    [b"\xff", plain(response(raw=True)).data[:-1] + b"\xff", b"\x0a\xff\x01"],
)
async def test_noise_is_no_answer(reach, data):
    """Bytes that are no message, in a stream and alone."""
    async with OpenInferenceServer([Send(data)]) as server:
        for keys in ({}, {"unary_upstream": "unary"}):
            error, _ = await failure(reach(server.url, **keys), stream=not keys)
            assert error.reason is Reason.UPSTREAM_BAD_RESPONSE
            assert error.upstream is not None


async def test_an_answer_that_never_has_the_configured_output_is_none(reach):
    """A wrong name shows as an error, not as silence; and numbers are no text."""
    numbers = response(raw=True)
    numbers.outputs.add(name="text_output", datatype="INT32", shape=[1])
    numbers.raw_output_contents.append(b"\1\0\0\0")
    async with OpenInferenceServer(pieces("a"), [wrapped(numbers)]) as server:
        error, _ = await failure(reach(server.url, text_output="other"))
        assert (error.reason, "other" in error.detail) == (Reason.UPSTREAM_BAD_RESPONSE, True)
        error, _ = await failure(reach(server.url))
        assert (error.reason, "no text" in error.detail) == (Reason.UPSTREAM_BAD_RESPONSE, True)


@pytest.mark.parametrize("keys", [{"max_event_bytes": 1024}, {"max_body_bytes": 2048}])
async def test_an_answer_over_its_bounds_is_none(reach, keys):
    """Of one response, and of all of them."""
    async with OpenInferenceServer(pieces("x" * 900, "y" * 2000)) as server:
        error, before = await failure(reach(server.url, **keys))
    assert error.reason is Reason.UPSTREAM_BAD_RESPONSE
    assert before in ("", "x" * 900)


async def test_a_request_over_its_bound_is_told_as_one(reach):
    """The library refuses to send it."""
    async with OpenInferenceServer(pieces("a")) as server:
        upstream = reach(server.url, grpc={"max_request_bytes": 1024})
        error, _ = await failure(upstream, Call("m", Prompt("x" * 4096)))
    assert error.reason is Reason.REQUEST_TOO_LARGE


# --- errors ---

CODES = [
    ("INVALID_ARGUMENT", "expected number of inputs between 1 and 2 but got 0", Reason.UPSTREAM_REJECTED),
    ("INVALID_ARGUMENT", "prompt (length 900) is longer than the maximum model length of 512",
     Reason.CONTEXT_LENGTH_EXCEEDED),
    ("NOT_FOUND", "Request for unknown model: 'x' is not found", Reason.UPSTREAM_MODEL_NOT_FOUND),
    ("NOT_FOUND", "Request for unknown model: 'x' has no available versions", Reason.UPSTREAM_UNAVAILABLE),
    ("UNAVAILABLE", "[request id: r] Exceeds maximum queue size", Reason.UPSTREAM_OVERLOADED),
    ("UNAVAILABLE", "Request timeout expired", Reason.UPSTREAM_TIMEOUT),
    ("UNAVAILABLE", "Server not ready", Reason.UPSTREAM_UNAVAILABLE),
    ("UNAVAILABLE", "no", Reason.UPSTREAM_UNAVAILABLE),
    ("INTERNAL", "model says no", Reason.UPSTREAM_ERROR),
    ("INTERNAL", "invalid value of mine", Reason.UPSTREAM_ERROR),
    ("UNKNOWN", "Unexpected <class 'ValueError'>: boom", Reason.UPSTREAM_ERROR),
    ("UNIMPLEMENTED", "ModelInfer RPC doesn't support models with decoupled transaction policy",
     Reason.UPSTREAM_UNIMPLEMENTED),
    ("CANCELLED", "Request was cancelled", Reason.UPSTREAM_UNAVAILABLE),
    ("DEADLINE_EXCEEDED", "", Reason.UPSTREAM_TIMEOUT),
    ("PERMISSION_DENIED", "no", Reason.UPSTREAM_PERMISSION_DENIED),
    ("UNAUTHENTICATED", "no", Reason.UPSTREAM_CREDENTIALS_INVALID),
    ("RESOURCE_EXHAUSTED", "no", Reason.UPSTREAM_RATE_LIMITED),
    ("FAILED_PRECONDITION", "no", Reason.UPSTREAM_REJECTED),
    ("ABORTED", "no", Reason.UPSTREAM_CONFLICT),
    ("OUT_OF_RANGE", "no", Reason.UPSTREAM_REJECTED),
    ("ALREADY_EXISTS", "no", Reason.UPSTREAM_REJECTED),
    ("DATA_LOSS", "no", Reason.UPSTREAM_ERROR),
]  # fmt: skip


@pytest.mark.parametrize(("code", "details", "reason"), CODES)
async def test_a_status_in_place_of_an_answer(reach, code, details, reason):
    """By its text where that says more than its code."""
    async with OpenInferenceServer([Abort(grpc.StatusCode[code], details)]) as server:
        for keys in ({}, {"unary_upstream": "unary"}):
            error, _ = await failure(reach(server.url, **keys), stream=not keys)
            assert (error.reason, error.upstream.code, error.upstream.message) == (reason, code, details)
            assert (error.upstream.http_status, error.upstream.in_stream) == (0, False)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("Request for unknown model: 'x' is not found", Reason.UPSTREAM_MODEL_NOT_FOUND),
        ("Request for unknown model: 'x' has no available versions", Reason.UPSTREAM_UNAVAILABLE),
        ("[request id: r] Exceeds maximum queue size", Reason.UPSTREAM_OVERLOADED),
        ("Request timeout expired", Reason.UPSTREAM_TIMEOUT),
        ("unexpected inference input 'zz' for model 'x'", Reason.UPSTREAM_REJECTED),
        ("model says no", Reason.UPSTREAM_ERROR),
    ],
)
async def test_an_error_within_a_stream_is_one(reach, said, reason):
    """Told as a text, under a status of OK: first, or after some of the answer."""
    async with OpenInferenceServer([told(said, id="r")], [*pieces("a")[:1], told(said, id="r")]) as server:
        for before in ("", "a"):
            error, came = await failure(reach(server.url))
            assert (error.reason, came) == (reason, before)
            assert (error.upstream.message, error.upstream.response_id) == (said, "r")


async def test_a_status_after_some_of_the_answer(reach):
    """As Triton tells a model's error to who asked for statuses."""
    async with OpenInferenceServer([*pieces("a")[:1], Abort(grpc.StatusCode.INTERNAL, "broke")]) as server:
        error, before = await failure(reach(server.url))
    assert (error.reason, before) == (Reason.UPSTREAM_ERROR, "a")
    assert (error.upstream.in_stream, error.upstream.message) == (True, "broke")


@pytest.mark.parametrize(
    ("trailer", "wait_s"),
    [(("retry-after", "3"), 3.0), (("grpc-retry-pushback-ms", "250"), 0.25), (("retry-after", "x"), None)],
)
async def test_a_wait_may_be_told_behind_the_status(reach, trailer, wait_s):
    """By gateways."""
    script = [Abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no", (trailer,))]
    async with OpenInferenceServer(script) as server:
        error, _ = await failure(reach(server.url))
    assert error.retry_after_s == wait_s


# --- connections ---


def silent_port():
    """A port that takes connections and never says a word."""
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


async def test_nobody_there_is_known_at_once(reach):
    """And somebody who comes back is found again, soon."""
    async with OpenInferenceServer(pieces("a")) as server:
        upstream = reach(server.url)
        assert text(await answer_of(upstream)) == "a"
        await server.stop()
        error, _ = await failure(upstream)
        assert (error.reason, error.detail) == (Reason.UPSTREAM_UNREACHABLE, "no connection to the upstream")
        await server.start()

        async def found() -> bool:
            with contextlib.suppress(ServiceError):
                return text(await answer_of(upstream)) == "a"
            return False

        await until("it is found again", found)


async def test_connecting_has_a_bound(reach):
    """A server that takes the connection and says nothing is given up."""
    listener, url = silent_port()
    with listener:
        error, _ = await failure(reach(url, timeouts={"connect_s": 0.1}))
    assert (error.reason, error.detail) == (
        Reason.UPSTREAM_UNREACHABLE, "connecting to the upstream took too long"
    )  # fmt: skip


async def test_how_long_connecting_took_is_told_once(reach):
    """A connection that is used again took none."""
    async with OpenInferenceServer(pieces("a")) as server:
        upstream = reach(server.url)
        took = []
        for _ in range(2):
            async with upstream.open(attempt(stream=True)) as answer:
                took.append(answer.connect_s)
                assert [batch async for batch in answer]
    assert took[0] > 0
    assert took[1] is None


async def test_a_connection_that_is_lost_cuts_the_answer_off(reach):
    """Before any of it, nothing was reached."""
    script = [*pieces("a")[:1], Hang()]
    async with OpenInferenceServer(script, [Hang()]) as server, Relay(server.port) as relay:
        upstream = reach(relay.url)
        error, before = await failure(upstream, then=relay.cut)
        assert (error.reason, before) == (Reason.UPSTREAM_TRUNCATED, "a")
        waiting = asyncio.create_task(failure(upstream))
        await asyncio.wait_for(server.called(2), PATIENCE_S)
        relay.cut()
        error, _ = await waiting
        assert error.reason is Reason.UPSTREAM_UNREACHABLE


async def test_a_server_that_ends_its_calls_is_not_available(reach):
    """As servers in Python do when they have waited long enough."""
    async with OpenInferenceServer([Hang()]) as server:
        waiting = asyncio.create_task(failure(reach(server.url)))
        await asyncio.wait_for(server.called(1), PATIENCE_S)
        await server.stop()
        error, _ = await waiting
    assert error.reason is Reason.UPSTREAM_UNAVAILABLE


async def test_leaving_an_answer_cancels_the_call(reach):
    """In mid-answer, and while waiting for its first word; of a unary call too. The next call works."""
    script = [*pieces("a")[:1], Hang()]
    async with OpenInferenceServer(script, [Hang()], [Hang()], pieces("b")) as server:
        upstream = reach(server.url)
        async with asyncio.timeout(PATIENCE_S):
            async with upstream.open(attempt(stream=True)) as answer:
                assert text(folded(await anext(answer))) == "a"
            await server.calls[0].cancelled.wait()
            unary = reach(server.url, unary_upstream="unary")
            for number, (left, stream) in enumerate(((upstream, True), (unary, False)), start=1):
                waiting = asyncio.create_task(answer_of(left, stream=stream))
                await server.called(number + 1)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
                await server.calls[number].cancelled.wait()
            assert text(await answer_of(upstream)) == "b"


async def test_a_channel_that_is_closed_is_no_cancellation(reach):
    """Whoever waits on it is told of an upstream that went, and is not cancelled itself."""
    async with OpenInferenceServer([Hang()]) as server:
        for number, keys in enumerate(({}, {"unary_upstream": "unary"}), start=1):
            upstream = reach(server.url, **keys)
            waiting = asyncio.create_task(failure(upstream, stream=not keys))
            await asyncio.wait_for(server.called(number), PATIENCE_S)
            await upstream.close()
            error, _ = await asyncio.wait_for(waiting, PATIENCE_S)
            assert error.reason is Reason.UPSTREAM_UNREACHABLE


async def test_tls_with_authorities_of_ones_own(reach, tmp_path):
    """A server that they did not certify is not talked to."""
    ours, other = trustme.CA(), trustme.CA()
    certificate = ours.issue_cert("127.0.0.1", "triton.internal")
    pair = (certificate.private_key_pem.bytes(), b"".join(one.bytes() for one in certificate.cert_chain_pems))
    credentials = grpc.ssl_server_credentials([pair])
    for name, authority in (("ours", ours), ("other", other)):
        authority.cert_pem.write_to_path(tmp_path / name)
    async with OpenInferenceServer(pieces("a"), credentials=credentials) as server:
        assert text(await answer_of(reach(server.url, ca_file=str(tmp_path / "ours")))) == "a"
        error, _ = await failure(reach(server.url, ca_file=str(tmp_path / "other")))
        assert error.reason is Reason.UPSTREAM_UNREACHABLE
        backend = schema.Backend(provider="triton_grpc", url=server.url, ca_file=str(tmp_path / "ours"))
        for authority, fine in (("triton.internal:8001", True), ("elsewhere.internal", False)):
            upstream = build_upstream(
                "b", backend, lambda ref: Secret(KEY), SystemClock(), authority=authority
            )
            if fine:
                assert text(await answer_of(upstream)) == "a"
            else:
                error, _ = await failure(upstream)
                assert error.reason is Reason.UPSTREAM_UNREACHABLE
            await upstream.close()


async def test_a_proxy_is_used_where_it_is_configured(reach, monkeypatch):
    """And none that only the environment knows."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("grpc_proxy", "http://127.0.0.1:1")
    async with OpenInferenceServer(pieces("a")) as server, ForwardProxy() as proxy:
        assert text(await answer_of(reach(server.url))) == "a"
        assert text(await answer_of(reach(server.url, proxy_url=proxy.url))) == "a"
    assert proxy.asked == [f"CONNECT 127.0.0.1:{server.port}"]


async def test_a_backend_without_its_file_of_authorities_is_not_built(tmp_path):
    """The reload that brings it is refused."""
    backend = schema.Backend(provider="triton_grpc", url="https://h:1", ca_file=str(tmp_path / "none"))
    with pytest.raises(OSError, match="none"):
        build_upstream("b", backend, lambda ref: Secret(KEY), SystemClock())


async def test_closing_what_was_never_opened_is_fine(reach):
    """No channel is made before the first call."""
    await reach("http://127.0.0.1:1").close()


# --- configuration and properties ---


@pytest.mark.parametrize(
    ("keys", "faults"),
    [
        ({"url": "http://h:8001"}, set()),
        ({"url": "http://h:8001/"}, set()),
        ({}, {"url"}),
        ({"url": "http://h:8001/v2"}, {"url"}),
        ({"url": "http://h:8001", "open_inference": {"api": "generate"}}, {"open_inference"}),
        ({"url": "http://h:8001", "credentials": {"type": "query", "name": "k", "secret": {"env": "K"}}},
         {"credentials"}),
        ({"url": "http://h:8001", "unary_upstream": "stream", "open_inference": {"streaming": False}},
         {"unary_upstream"}),
    ],
)  # fmt: skip
def test_what_does_not_go_with_grpc_is_told_before_anything_is_built(keys, faults):
    """By check-config, with the key at fault."""
    backend = schema.Backend.model_validate({"provider": "triton_grpc", **keys})
    assert {key for key, _ in backend_findings(backend)} == faults


def test_the_protocols_messages_stay_out_of_the_default_pool():
    """There they would exclude another project's file of the same package."""
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindMessageTypeByName("inference.ModelInferRequest")


BYTES = st.one_of(
    st.binary(max_size=64),
    st.builds(
        lambda data, at, noise: data[:at] + noise + data[at + len(noise) :],
        st.sampled_from(
            [one.data for one in (*pieces("a\u00e9"), told("x"), plain(response("a", raw=False)))]
        ),
        st.integers(0, 60),
        st.binary(min_size=1, max_size=4),
    ),
)


@given(messages=st.lists(BYTES, max_size=4), in_stream=st.booleans())
@settings(max_examples=300, deadline=None)
def test_bytes_of_any_kind(messages, in_stream):
    """Noise is a fault of ours, never another exception; what came can be sent on."""
    reader = MessageReader(setup_of("triton", schema.OpenInference(), http=False), in_stream=in_stream)
    events = []
    try:
        for message in messages:
            reader.feed(message, events)
        reader.close(events)
    except ServiceError:
        pass
    for part in (part for candidate in folded(events).candidates for part in candidate.parts):
        part.content.text.encode()


@pytest.mark.parametrize("provider", ["triton_grpc", "kserve_grpc"])
@pytest.mark.parametrize("style", ["trtllm", "vllm", "oip"])
@given(call=CALLS)
@settings(max_examples=40, deadline=None)
def test_any_call_is_encoded_or_refused(provider, style, call):
    """Twice the same bytes, and no change to the call; what raises names its field, or the call is not eligible."""
    backend = schema.Backend.model_validate(
        {"provider": provider, "url": "http://h:1", "open_inference": {"style": style}}
    )
    profile = profile_of(backend)
    setup = setup_of(profile.dialect, backend.open_inference, http=False)
    before = repr(call)

    def encoded():
        return infer_request(attempt(call), profile, setup, "r", in_stream=True, pieces=True)

    fault = None
    try:
        first = encoded()
    except ServiceError as error:
        fault = error
    if fault is not None:
        codes = {warning.code for warning in unsupported(call, profile)}
        assert fault.fields or codes & INELIGIBLE_CODES
        return
    assert first == encoded()
    assert repr(call) == before
