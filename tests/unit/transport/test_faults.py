import asyncio
import gzip
import socket
import tracemalloc
import zlib

import aiohttp
import pytest

from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.aiohttp_transport import AiohttpTransport
from pointsman_server.transport.contract import BodyLimits
from pointsman_server.transport.faults import unanswered
from tests.fakes.provider import Provider
from tests.fakes.replies import (
    BodyFraming,
    Close,
    Hang,
    Pause,
    Repeat,
    Reply,
    Reset,
    body_reply,
    cut,
    gzip_bomb,
    raw_reply,
    stream_reply,
)
from tests.unit.transport.calls import ask, check_discreet, post
from tests.unit.transport.conftest import Connect

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
MIB = 1024 * 1024

BEFORE_THE_ANSWER = {
    "reset": (Reply(before=(Reset(),)), Reason.UPSTREAM_UNREACHABLE),
    "closed": (Reply(before=(Close(),)), Reason.UPSTREAM_UNREACHABLE),
    "closed in the head": (raw_reply(HEAD + b"x: 1\r\n"), Reason.UPSTREAM_UNREACHABLE),
    "not HTTP": (raw_reply(b"SSH-2.0-OpenSSH_9.6\r\n"), Reason.UPSTREAM_BAD_RESPONSE),
    "long header": (raw_reply(HEAD + b"x: " + b"y" * 40_000 + b"\r\n\r\n"), Reason.UPSTREAM_BAD_RESPONSE),
    "10 000 headers": (raw_reply(HEAD, b"x-a: 1\r\n" * 10_000, b"\r\n"), Reason.UPSTREAM_BAD_RESPONSE),
    "endless headers": (raw_reply(HEAD, Repeat(b"x-a: 1\r\n" * 64)), Reason.UPSTREAM_BAD_RESPONSE),
    "endless header": (raw_reply(HEAD + b"x: ", Repeat(b"y" * 4096)), Reason.UPSTREAM_BAD_RESPONSE),
}
IN_THE_BODY = {
    "chunks reset": (stream_reply(b"data: 1\n\n", Reset()), Reason.UPSTREAM_TRUNCATED),
    "chunks closed": (stream_reply(b"data: 1\n\n", Close()), Reason.UPSTREAM_TRUNCATED),
    "length reset": (
        Reply(steps=(b"abc", Reset()), framing=BodyFraming.LENGTH, length=9),
        Reason.UPSTREAM_TRUNCATED,
    ),
    "length closed": (
        Reply(steps=(b"abc", Close()), framing=BodyFraming.LENGTH, length=9),
        Reason.UPSTREAM_TRUNCATED,
    ),
    "until close, reset": (
        Reply(steps=(b"abc", Pause(0.02), Reset()), framing=BodyFraming.EOF),
        Reason.UPSTREAM_TRUNCATED,
    ),
    "chunk without a size": (
        raw_reply(CHUNKED, b"3\r\nabc\r\n", Pause(0.02), b"zz\r\nabc\r\n", Hang()),
        Reason.UPSTREAM_BAD_RESPONSE,
    ),
    "brotli": (
        body_reply(b"\x8b\x02\x80{}\x03", headers={"content-encoding": "br"}),
        Reason.UPSTREAM_BAD_RESPONSE,
    ),
    "zstd": (body_reply(b"(\xb5/\xfd", headers={"content-encoding": "zstd"}), Reason.UPSTREAM_BAD_RESPONSE),
    "two encodings": (
        body_reply(b"x", headers={"content-encoding": "gzip, gzip"}),
        Reason.UPSTREAM_BAD_RESPONSE,
    ),
    "no gzip": (body_reply(b"{}", headers={"content-encoding": "gzip"}), Reason.UPSTREAM_BAD_RESPONSE),
    "half a gzip": (
        body_reply(gzip.compress(b"x" * 9999)[:-9], headers={"content-encoding": "gzip"}),
        Reason.UPSTREAM_TRUNCATED,
    ),
}


async def fault_of(transport: AiohttpTransport, provider: Provider | str) -> ServiceError:
    """The fault of one request; it must come in seconds and say nothing that it should not."""
    with pytest.raises(ServiceError) as caught:
        async with asyncio.timeout(10):
            await ask(transport, post(provider))
    check_discreet(caught.value)
    return caught.value


@pytest.mark.parametrize("case", BEFORE_THE_ANSWER)
async def test_fault_before_the_answer(case: str, provider: Provider, transport: AiohttpTransport) -> None:
    """No answer, or none that is HTTP: each has its reason, and the connection is gone."""
    reply, reason = BEFORE_THE_ANSWER[case]
    provider.script(reply)
    assert (await fault_of(transport, provider)).reason is reason
    assert len(provider.requests) == 1
    await provider.wait_idle()


@pytest.mark.parametrize("case", IN_THE_BODY)
async def test_fault_in_the_body(case: str, provider: Provider, transport: AiohttpTransport) -> None:
    """A body that breaks off or cannot be read is told from one that ends."""
    reply, reason = IN_THE_BODY[case]
    provider.script(reply)
    assert (await fault_of(transport, provider)).reason is reason


async def test_refused_connection(transport: AiohttpTransport) -> None:
    """Nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = await fault_of(transport, f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert error.reason is Reason.UPSTREAM_UNREACHABLE
    assert error.detail == "no connection to the upstream"


async def test_mute_tls_port_is_given_up(provider: Provider, connect: Connect) -> None:
    """The connect timeout holds for the TLS handshake too, and nothing of the try is left."""
    transport = connect(connect_timeout_s=0.1)
    error = await fault_of(transport, provider.url.replace("http://", "https://"))
    assert (error.reason, error.detail) == (
        Reason.UPSTREAM_UNREACHABLE,
        "connecting to the upstream took too long",
    )
    await provider.wait_idle()


def test_unknown_host_name() -> None:
    """A name that does not resolve is an unreachable upstream."""
    key = aiohttp.client_reqrep.ConnectionKey("secret-host", 80, False, True, None, None, None)
    error = unanswered(aiohttp.ClientConnectorDNSError(key, OSError("unknown")))
    assert error.reason is Reason.UPSTREAM_UNREACHABLE
    assert "secret-host" not in str(error)


async def test_body_cap(provider: Provider, connect: Connect) -> None:
    """A body of exactly the cap passes, one byte more does not."""
    transport = connect(limits=BodyLimits(body_bytes=1000))
    provider.script(body_reply(b"x" * 1000), body_reply(b"x" * 1001))
    assert await ask(transport, post(provider)) == (200, b"x" * 1000)
    assert (await fault_of(transport, provider)).reason is Reason.UPSTREAM_BAD_RESPONSE


@pytest.mark.parametrize("wrapper", ["gzip", "deflate"])
async def test_compression_bomb(wrapper: str, provider: Provider, transport: AiohttpTransport) -> None:
    """256 MiB in 256 KiB cost a typed error and next to no memory, and others get their turn meanwhile."""
    provider.script(gzip_bomb(256 * MIB, wrapper=wrapper))
    turns = 0

    async def neighbour() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.ensure_future(neighbour())
    read_bytes = 0

    async def read() -> None:
        nonlocal read_bytes
        async with transport.open(post(provider)) as response:
            while data := await response.read():
                read_bytes += len(data)

    tracemalloc.start()
    try:
        with pytest.raises(ServiceError) as caught:
            await read()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        beside.cancel()
    assert caught.value.reason is Reason.UPSTREAM_BAD_RESPONSE
    assert read_bytes <= 64 * MIB
    assert peak < 8 * MIB
    assert turns > 100


@pytest.mark.parametrize("packed", [zlib.compress(b"x" * 9999), zlib.compress(b"x" * 9999)[2:-4]])
async def test_both_kinds_of_deflate(packed: bytes, provider: Provider, transport: AiohttpTransport) -> None:
    """With the header of zlib and without."""
    provider.script(body_reply(packed, headers={"content-encoding": "deflate"}))
    assert await ask(transport, post(provider)) == (200, b"x" * 9999)


async def test_gzip_in_members_and_pieces(provider: Provider, transport: AiohttpTransport) -> None:
    """Members follow one another, and cuts fall anywhere."""
    packed = gzip.compress(b"one") + gzip.compress(b"two" * 200_000)
    provider.script(Reply(headers={"content-encoding": "GZIP"}, steps=cut(packed, size=7)))
    assert await ask(transport, post(provider)) == (200, b"one" + b"two" * 200_000)
