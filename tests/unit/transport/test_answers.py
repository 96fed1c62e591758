import asyncio

import pytest

from pointsman_server.transport.aiohttp_transport import AiohttpTransport
from tests.fakes.provider import Provider
from tests.fakes.replies import (
    BodyFraming,
    Gate,
    Reply,
    endless_comments,
    gzip_reply,
    html_reply,
    json_reply,
    raw_reply,
    redirect_reply,
    sse_reply,
    sse_text,
    stream_reply,
)
from tests.unit.transport.calls import ask, post, read_all


async def test_request_goes_out_as_written(provider: Provider, transport: AiohttpTransport) -> None:
    """Method, path, headers and body are the adapter's; identity is asked for; no cookie is ever sent back."""
    provider.script(json_reply({}, headers={"set-cookie": "a=b; Path=/"}))
    for _ in range(2):
        await ask(transport, post(provider, body=b"{}", **{"x-request-id": "1-a.1"}))
    sent = provider.requests[1]
    assert (sent.method, sent.path, sent.body) == ("POST", "/v1/chat", b"{}")
    assert sent.headers["authorization"] == "Bearer sk-very-secret"
    assert sent.headers["x-request-id"] == "1-a.1"
    assert sent.headers["accept-encoding"] == "identity"
    assert sent.headers["user-agent"].startswith("pointsman")
    assert "cookie" not in sent.headers


async def test_accept_encoding_of_the_request_stands(provider: Provider, transport: AiohttpTransport) -> None:
    """An adapter that asks for compression gets its way, and plain bytes."""
    provider.script(gzip_reply(b'{"ok":1}' * 100_000))
    assert await ask(transport, post(provider, **{"accept-encoding": "gzip"})) == (200, b'{"ok":1}' * 100_000)
    assert provider.requests[0].headers["accept-encoding"] == "gzip"


async def test_large_request_arrives(provider: Provider, transport: AiohttpTransport) -> None:
    """Bodies beyond what goes out in one piece arrive whole."""
    body = bytes(range(256)) * 16_384
    await ask(transport, post(provider, body=body))
    assert provider.requests[0].body == body


async def test_headers_as_the_contract_says(provider: Provider, transport: AiohttpTransport) -> None:
    """Lower-case names, the first of a repeated header, and text that any status can carry."""
    head = b"HTTP/1.1 429 No\r\nRetry-After: 7\r\nX-Many: one\r\nX-MANY: two\r\nX-Odd: \xff\xfe\r\n"
    provider.script(raw_reply(head + b"content-length: 0\r\n\r\n"))
    async with transport.open(post(provider)) as response:
        headers = response.headers
        assert response.status == 429
        assert dict(headers) == {
            "retry-after": "7",
            "x-many": "one",
            "x-odd": "\ufffd\ufffd",
            "content-length": "0",
        }
        assert (headers["retry-after"], headers.get("x-many"), headers.get("none", "-")) == ("7", "one", "-")
        assert "x-odd" in headers
        assert len(headers) == 4


@pytest.mark.parametrize("status", [301, 307, 308])
async def test_redirect_is_an_answer(status: int, provider: Provider, transport: AiohttpTransport) -> None:
    """Keys go to no other place than the one configured."""
    provider.script(redirect_reply(provider.url + "/other", status=status))
    assert (await ask(transport, post(provider)))[0] == status
    assert len(provider.requests) == 1


async def test_html_is_an_answer(provider: Provider, transport: AiohttpTransport) -> None:
    """What a body means is not the transport's business."""
    provider.script(html_reply(status=502))
    assert (await ask(transport, post(provider)))[0] == 502


async def test_connection_is_reused_when_read_to_the_end(
    provider: Provider, transport: AiohttpTransport
) -> None:
    """Ten streams, one connection; only the first says what connecting took."""
    provider.script(sse_reply("one", "two"))
    connecting = []
    for _ in range(10):
        async with transport.open(post(provider)) as response:
            connecting.append(response.connect_s)
            assert await read_all(response) == sse_text("one", "two")
    assert len(provider.connections) == 1
    assert connecting[0] is not None
    assert 0 <= connecting[0] < 2
    assert connecting[1:] == [None] * 9


async def test_connection_is_closed_when_left_early(provider: Provider, transport: AiohttpTransport) -> None:
    """Leaving the block is the upstream's cancellation."""
    provider.script(endless_comments())
    async with transport.open(post(provider)) as response:
        assert await response.read()
    await provider.connections[0].wait_closed()
    assert provider.connections[0].by_peer


async def test_exit_does_not_wait(provider: Provider, transport: AiohttpTransport) -> None:
    """Cleanup works where nothing can be awaited: the exit never suspends."""
    provider.script(endless_comments())
    exchange = transport.open(post(provider))
    await exchange.__aenter__()
    with pytest.raises(StopIteration):
        exchange.__aexit__(None, None, None).send(None)  # type: ignore[attr-defined]
    await provider.connections[0].wait_closed()


@pytest.mark.parametrize("framing", [BodyFraming.CHUNKED, BodyFraming.LENGTH, BodyFraming.EOF])
async def test_every_way_to_end_a_body(
    framing: BodyFraming, provider: Provider, transport: AiohttpTransport
) -> None:
    """A clean end is b"", again and again."""
    provider.script(Reply(steps=(b"abc", b"def"), framing=framing))
    async with transport.open(post(provider)) as response:
        assert await read_all(response) == b"abcdef"
        assert await response.read() == b""


async def test_pause_lets_bytes_wait_and_read_goes_on(
    provider: Provider, transport: AiohttpTransport
) -> None:
    """A paused answer takes nothing in; the next read ends the pause by itself. Twice is once."""
    gate = asyncio.Event()
    provider.script(stream_reply(b"data: 1\n\n", Gate(gate), b"data: 2\n\n", b"data: 3\n\n"))
    async with transport.open(post(provider)) as response:
        assert await response.read() == b"data: 1\n\n"
        response.pause()
        response.pause()
        gate.set()
        assert await read_all(response) == b"data: 2\n\ndata: 3\n\n"
        response.pause()
        response.resume()
    provider.script(json_reply({}))
    assert await ask(transport, post(provider)) == (200, b"{}")
    assert len(provider.connections) == 1


async def test_paused_answer_takes_nothing_in(provider: Provider, transport: AiohttpTransport) -> None:
    """While paused, what an upstream pours out stays with it and the kernel; nothing of it is lost."""
    provider.script(stream_reply(b"x", *[bytes(65_536)] * 400))
    async with transport.open(post(provider)) as response:
        socket = response._response.connection.transport  # type: ignore[attr-defined]
        size = len(await response.read())
        response.pause()
        for _ in range(200):
            await asyncio.sleep(0)
            assert not socket.is_reading()
        size += len(await response.read())
        response.pause()
        response.resume()
        response.resume()
        assert size + len(await read_all(response)) == 1 + 400 * 65_536


async def test_pause_is_safe_when_the_connection_is_gone(
    provider: Provider, transport: AiohttpTransport
) -> None:
    """Neither call fails after the upstream died or the block was left."""
    provider.script(endless_comments())
    async with transport.open(post(provider)) as response:
        assert await response.read()
        await provider.kill()
        for _ in range(100):
            await asyncio.sleep(0)
        response.pause()
        response.resume()
    response.pause()
    response.resume()
