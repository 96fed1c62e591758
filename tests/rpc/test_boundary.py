"""What the gate does before any message is looked at, and what never leaves it."""

import asyncio

import grpc
import pytest

from pointsman import v1 as pb
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.server.boundary import headers
from tests.fakes.admission import FakeAdmission, FakeAuthenticator
from tests.fakes.dispatch import FakeDispatch, text
from tests.rpc.harness import PROMPT, SOON_S, refusal, taken_apart, with_limits

GENERATE = "/pointsman.v1.InferenceService/Generate"
SECRET = "sk-very-secret"


@pytest.mark.parametrize("given", ["a", "A-b_c.9", "x" * 128, "with space inside", "!~"])
async def test_a_good_request_id_is_kept(serving, given):
    """Printable ASCII up to 128 characters comes back as it was."""
    call = (await serving.inference()).Generate(PROMPT, metadata=(("x-request-id", given),))
    assert (await call).routing.request_id == given
    assert dict(await call.trailing_metadata())["x-request-id"] == given
    assert serving.telemetry.calls[0].context.request_id == given


@pytest.mark.parametrize("given", [None, "", "x" * 129])
async def test_a_bad_request_id_is_replaced(serving, given):
    """Otherwise the call gets an id of its own, and two calls never share one."""
    stub = await serving.inference()
    metadata = () if given is None else (("x-request-id", given),)
    ids = [(await stub.Generate(PROMPT, metadata=metadata)).routing.request_id for _ in range(2)]
    assert ids[0] != ids[1]
    assert all(len(new) == 32 and new.isalnum() for new in ids)


async def test_callers_are_refused_by_their_headers_alone(serve):
    """A call without a good credential ends before it has sent any message."""
    serving = await serve(authenticator=FakeAuthenticator(keys={"Bearer good": "team"}))
    channel = await serving.channel()
    silent = channel.stream_unary(GENERATE)(metadata=(("authorization", "Bearer bad"),))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async with asyncio.timeout(SOON_S):
            await silent
    assert taken_apart(caught.value).info.reason == "UNAUTHENTICATED"
    assert serving.telemetry.calls[0].reason is Reason.UNAUTHENTICATED
    assert not serving.admission.entered


@pytest.mark.parametrize("stream", [False, True])
async def test_refusals_do_not_differ_by_cause(serve, stream):
    """No credential and a wrong one read the same, unary and streaming."""
    serving = await serve(authenticator=FakeAuthenticator(keys={"Bearer good": "team"}))
    stub = await serving.inference()
    method = stub.StreamGenerate if stream else stub.Generate
    missing = await refusal(method(PROMPT))
    wrong = await refusal(method(PROMPT, metadata=(("authorization", "Bearer ' OR 1=1"),)))
    assert missing.code is wrong.code is grpc.StatusCode.UNAUTHENTICATED
    assert missing.message == wrong.message
    assert missing.failure == wrong.failure


async def test_the_principal_reaches_admission(serve):
    """A good credential becomes the call's principal."""
    serving = await serve(authenticator=FakeAuthenticator(keys={"Bearer good": "team"}))
    await (await serving.inference()).Generate(PROMPT, metadata=(("authorization", "Bearer good"),))
    assert serving.admission.entered[0][1].principal.name == "team"


async def test_health_and_reflection_need_no_credential(serve):
    """Probes work without a key and are not recorded as calls."""
    serving = await serve(authenticator=FakeAuthenticator(keys={"Bearer good": "team"}))
    channel = await serving.channel()
    assert await channel.unary_unary("/grpc.health.v1.Health/Check")(b"") == b"\x08\x01"
    assert serving.authenticator.asked == 0
    assert not serving.telemetry.calls


@pytest.mark.parametrize("method", ["Generate", "StreamGenerate"])
@pytest.mark.parametrize("junk", [b"\xff\xff\xff", b"\x0a\x02\xff\xfe", b"\x12\x05abc"])
async def test_undecodable_messages_are_our_refusal(serving, junk, method):
    """Bytes that are no message are INVALID_REQUEST; the decoder's own words stay here."""
    channel = await serving.channel()
    make = channel.unary_stream if method == "StreamGenerate" else channel.unary_unary
    refused = await refusal(make(f"/pointsman.v1.InferenceService/{method}")(junk))
    assert refused.info.reason == "INVALID_REQUEST"
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "BadRequest" in refused.extras
    assert "protobuf" not in refused.message.lower()


async def test_large_requests_are_told_the_limit(serve):
    """Over our own cap, but under the transport's, the refusal has details."""
    serving = await serve(config=with_limits(max_request_bytes=2000))
    refused = await refusal((await serving.inference()).Generate(pb.GenerateRequest(prompt="x" * 3000)))
    assert refused.info.reason == "REQUEST_TOO_LARGE"
    assert "2000" in refused.message
    assert serving.telemetry.calls[0].request_bytes > 3000


async def test_above_the_transport_cap_the_core_refuses(serving):
    """Over 20 MiB nothing reaches the handler."""
    stub = await serving.inference()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Generate(pb.GenerateRequest(prompt="x" * (20 * 1024 * 1024 + 1)))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert not serving.admission.entered


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("where", ["dispatch", "plan", "admission", "authenticator"])
async def test_no_foreign_text_reaches_a_caller(serve, where, stream):
    """Whatever goes wrong inside, the caller gets INTERNAL and a fixed text; the cause is recorded for the log."""
    fault = RuntimeError(f"cannot use {SECRET}")
    parts = {
        "dispatch": {"dispatch": FakeDispatch([[text("a")], fault])},
        "plan": {"dispatch": FakeDispatch(refusal=fault)},
        "admission": {"admission": FakeAdmission(refusal=fault)},
        "authenticator": {"authenticator": FakeAuthenticator(error=fault)},
    }
    serving = await serve(**parts[where])
    stub = await serving.inference()
    refused = await refusal((stub.StreamGenerate if stream else stub.Generate)(PROMPT))
    assert refused.info.reason == "INTERNAL"
    assert SECRET not in repr(refused)
    assert serving.telemetry.calls[0].cause is fault
    await serving.settled()


async def test_a_stray_cancellation_is_a_fault_not_a_silence(serve):
    """A CancelledError that is not the caller's still ends the call with a status."""
    serving = await serve(dispatch=FakeDispatch([asyncio.CancelledError()]))
    refused = await refusal((await serving.inference()).Generate(PROMPT))
    assert refused.info.reason == "INTERNAL"
    await serving.settled()


async def test_unknown_methods_are_left_to_the_core(serving):
    """A method that the contract does not have is UNIMPLEMENTED."""
    channel = await serving.channel()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.unary_unary("/pointsman.v1.InferenceService/Nope")(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_admission_refusals_reach_the_caller(serve):
    """A shed call is told when to come back."""
    serving = await serve(admission=FakeAdmission(ServiceError(Reason.QUEUE_TIMEOUT, "no place was free")))
    refused = await refusal((await serving.inference()).Generate(PROMPT))
    assert refused.code is grpc.StatusCode.UNAVAILABLE
    assert refused.trailers["grpc-retry-pushback-ms"] == "1000"
    assert refused.extras["RetryInfo"].retry_delay.seconds == 1


def test_a_repeated_header_hides_none_of_its_values() -> None:
    """Two credentials are told to the authenticator as two, not as whichever came last."""
    sent = [("authorization", "Bearer a"), ("trace-bin", b"\x01"), ("authorization", "Bearer b"), ("x", "1")]
    assert headers(sent) == {"authorization": "Bearer a,Bearer b", "x": "1"}
