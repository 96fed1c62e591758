"""Hostile requests: whatever arrives, the answer is a normal one or a refusal that says why."""

import os
import random

import grpc
import pytest
from google.protobuf import descriptor

from pointsman import v1 as pb
from tests.rpc.harness import taken_apart, with_limits

GENERATE = "/pointsman.v1.InferenceService/Generate"
MUTATIONS = int(os.environ.get("POINTSMAN_MUTATIONS", "2000"))
"""A night run asks for more."""


def full(kind, depth: int = 0):
    """A message with every field set, as deep as it goes."""
    message = kind()
    for field in message.DESCRIPTOR.fields:
        if field.message_type and (depth > 4 or field.message_type.GetOptions().map_entry):
            continue
        if field.message_type:
            child = full(field.message_type._concrete_class, depth + 1)
            if field.is_repeated:
                getattr(message, field.name).append(child)
            else:
                getattr(message, field.name).CopyFrom(child)
            continue
        value = VALUES[field.cpp_type]
        if field.is_repeated:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, b"x" if field.type == field.TYPE_BYTES else value)
    return message


F = descriptor.FieldDescriptor
VALUES = {
    F.CPPTYPE_INT32: 3, F.CPPTYPE_INT64: 3, F.CPPTYPE_UINT32: 3, F.CPPTYPE_UINT64: 3, F.CPPTYPE_DOUBLE: 0.5,
    F.CPPTYPE_FLOAT: 0.5, F.CPPTYPE_BOOL: True, F.CPPTYPE_ENUM: 1, F.CPPTYPE_STRING: "x",
}  # fmt: skip


def seeds() -> list[bytes]:
    chat = pb.GenerateRequest(model="chat")
    for kind in (
        "text",
        "reasoning",
        "tool_call",
        "tool_result",
        "image",
        "refusal",
        "audio",
        "file",
        "provider_part",
    ):
        part = chat.conversation.messages.add(role=pb.ROLE_USER).parts.add()
        if kind in ("text", "refusal"):
            setattr(part, kind, "x")
        else:
            getattr(part, kind).SetInParent()
    whole = full(pb.GenerateRequest)
    return [
        chat.SerializeToString(),
        whole.SerializeToString(),
        pb.GenerateRequest(prompt="x").SerializeToString(),
    ]


def mutated(rng: random.Random, seed: bytes) -> bytes:
    data = bytearray(seed)
    for _ in range(rng.randint(1, 8)):
        place = rng.randrange(len(data) + 1)
        match rng.randrange(5):
            case 0 if data:
                data[place % len(data)] ^= 1 << rng.randrange(8)
            case 1:
                data[place:place] = rng.randbytes(rng.randint(1, 6))
            case 2:
                del data[place : place + rng.randint(1, 6)]
            case 3:
                data += data[place : place + rng.randint(1, 64)]
            case _ if data:
                data[place % len(data)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
    return bytes(data)


def nested(depth: int) -> bytes:
    """Tool results within tool results: field 4 of part, field 3 of result."""
    data = b""
    for _ in range(depth):
        data = b"\x22" + _varint(len(inner := b"\x1a" + _varint(len(data)) + data)) + inner
    message = b"\x12" + _varint(len(data)) + data
    conversation = b"\x0a" + _varint(len(message)) + message
    return b"\x12" + _varint(len(conversation)) + conversation


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


@pytest.mark.parametrize("seed", range(3))
async def test_mutated_requests(serving, seed):
    """Only INVALID_ARGUMENT with details, or the normal result; never UNKNOWN, INTERNAL or a hang."""
    rng, channel = random.Random(seed), await serving.channel()
    method = channel.unary_unary(GENERATE)
    original = seeds()[seed]
    refused: list[grpc.aio.AioRpcError] = []
    for _ in range(MUTATIONS // 3):
        try:
            await method(mutated(rng, original), timeout=10)
        except grpc.aio.AioRpcError as error:
            refused.append(error)
    assert refused
    for error in refused:
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        told = taken_apart(error)
        assert told.info.reason == "INVALID_REQUEST"
        assert told.extras["BadRequest"].field_violations
    assert len(serving.telemetry.calls) == MUTATIONS // 3


@pytest.mark.parametrize("depth", [2, 40, 200, 5000])
async def test_deep_nesting(serving, depth):
    """Depth is refused, by us or by the decoder, with details."""
    channel = await serving.channel()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.unary_unary(GENERATE)(nested(depth))
    assert taken_apart(caught.value).info.reason == "INVALID_REQUEST"


async def test_a_compression_bomb_is_bounded(serve):
    """150 MiB of zeros in a small message do not get in."""
    serving = await serve(config=with_limits(max_request_bytes=1024 * 1024))
    channel = await serving.channel()
    method = channel.unary_unary(GENERATE)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await method(bytes(150 * 1024 * 1024), compression=grpc.Compression.Gzip)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert not serving.telemetry.calls
