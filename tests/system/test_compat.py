"""A caller's earlier contract over the wire: it calls as ever, and is answered as ever."""

import subprocess
from pathlib import Path

import grpc
import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message_factory import GetMessageClass

from tests.fakes import chat
from tests.fakes.replies import Reset, json_reply, stream_reply
from tests.fakes.running_app import backend_at, model_over
from tests.rpc.harness import refusal

ROOT = Path(__file__).resolve().parents[2]
SET = ROOT / "examples/compat/completion.binpb"
EXAMPLE = yaml.safe_load((ROOT / "examples/config/earlier-contract.yaml").read_text())
SERVICE = "acme.completion.v1.Completion"
POOL = descriptor_pool.DescriptorPool()
for _file in descriptor_pb2.FileDescriptorSet.FromString(SET.read_bytes()).file:
    POOL.Add(_file)
REQUEST, REPLY, CHUNK = (
    GetMessageClass(POOL.FindMessageTypeByName(f"acme.completion.v1.{name}"))
    for name in ("CompleteRequest", "CompleteReply", "CompleteChunk")
)


@pytest.fixture
async def old(start, provider):
    """The service with the example's mapping before a fake provider."""
    provider.handler = chat.as_asked
    compatibility = {SERVICE: {**EXAMPLE["compatibility"][SERVICE], "descriptor_set": str(SET)}}
    return await start(
        {
            "backends": {"only": backend_at(provider)},
            "models": {"assistant": model_over("only")},
            "compatibility": compatibility,
        }
    )


async def caller(app, name, reply, *, stream=False):
    channel = await app.channel()
    make = channel.unary_stream if stream else channel.unary_unary
    return make(f"/{SERVICE}/{name}", REQUEST.SerializeToString, reply.FromString)


ASKED = REQUEST(
    engine="davinci",
    turns=[{"speaker": "RULES", "text": "be brief"}, {"speaker": "HUMAN", "text": "hello"}],
    max_tokens=9,
    stop=["END"],
    skills=[{"name": "look", "arguments": {"type": "object"}}],
    debug=True,
)


async def test_a_whole_answer(old, provider):
    """Renamed, defaulted and dropped on the way in, and back into its own words."""
    call = (await caller(old, "Complete", REPLY))(ASKED, metadata=(("x-request-id", "r-1"),))
    reply = await call
    assert (reply.text, reply.ended, reply.id) == ("Hello there", "done", "chatcmpl-1")
    assert (reply.spent.tokens_in, reply.spent.tokens_out) == (3, 2)
    body = provider.requests[0].json()
    assert [(m["role"], m["content"]) for m in body["messages"]] == [
        ("system", "be brief"),
        ("user", "hello"),
    ]
    assert (body["max_tokens"], body["temperature"], body["stop"]) == (9, 0.7, ["END"])
    assert body["tools"][0]["function"]["parameters"] == {"type": "object"}
    assert dict(await call.trailing_metadata())["x-request-id"] == "r-1"
    line = await old.logged(event="call")
    assert (line["method"], line["model"]) == (f"{SERVICE}/Complete", "assistant")


async def test_a_streamed_answer(old, provider):
    """Piece by piece, and a last message that says so; what has nothing to tell is not sent."""
    provider.handler = lambda _: chat.streamed("Hel", "lo")
    chunks = [chunk async for chunk in (await caller(old, "StreamComplete", CHUNK, stream=True))(ASKED)]
    assert "".join(chunk.piece for chunk in chunks) == "Hello"
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].spent.tokens_out == 2
    assert [chunk.ended for chunk in chunks if chunk.ended] == ["done"]


async def test_failures_are_ours(old, provider):
    """With code and details; the field at fault is called as the caller called it."""
    complete = await caller(old, "Complete", REPLY)
    unknown = await refusal(complete(REQUEST(engine="gpt-9", turns=ASKED.turns)))
    assert unknown.info.reason == "INVALID_REQUEST"
    assert unknown.extras["BadRequest"].field_violations[0].field == "engine"
    hot = await refusal(complete(REQUEST(engine="davinci", turns=ASKED.turns, heat=50)))
    assert hot.extras["BadRequest"].field_violations[0].field == "heat"
    assert "generation.temperature" not in hot.message
    provider.handler = lambda _: json_reply({"error": {"message": "busy"}}, status=503)
    assert (await refusal(complete(ASKED))).info.reason == "UPSTREAM_UNAVAILABLE"
    provider.handler = lambda _: stream_reply(chat.BEGIN, chat.said("Hel"), Reset())
    broken = await refusal((await caller(old, "StreamComplete", CHUNK, stream=True))(ASKED))
    assert broken.info.reason == "STREAM_INTERRUPTED"


async def test_rubbish_and_other_methods(old):
    """As with our own methods."""
    channel = await old.channel()
    junk = channel.unary_unary(f"/{SERVICE}/Complete", bytes, REPLY.FromString)
    assert (await refusal(junk(b"\xff\xff"))).info.reason == "INVALID_REQUEST"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.unary_unary(f"/{SERVICE}/Complain", bytes, bytes)(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_it_is_reflected_and_healthy(old):
    """Grpcurl and balancers see it like any other service."""
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

    channel = await old.channel()
    health = health_pb2_grpc.HealthStub(channel)
    found = await health.Check(health_pb2.HealthCheckRequest(service=SERVICE))
    assert found.status == health_pb2.HealthCheckResponse.SERVING
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=f"{SERVICE}.Complete"),
    ]
    listed, file = [answer async for answer in stub.ServerReflectionInfo(iter(asked))]
    assert SERVICE in [service.name for service in listed.list_services_response.service]
    assert file.file_descriptor_response.file_descriptor_proto


async def test_without_the_mapping_there_is_no_such_service(start, provider):
    """Nothing is served that is not written."""
    app = await start({"backends": {"only": backend_at(provider)}, "models": {"chat": model_over("only")}})
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await (await caller(app, "Complete", REPLY))(ASKED)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_the_descriptor_set_is_that_of_the_proto(tmp_path):
    """The example's file is up to date."""
    buf = ROOT / ".venv/bin/buf"
    made = tmp_path / "set.binpb"
    source = ROOT / "examples/compat/completion.proto"
    subprocess.run([buf, "build", source, "--exclude-source-info", "-o", made], check=True)
    assert made.read_bytes() == SET.read_bytes()
