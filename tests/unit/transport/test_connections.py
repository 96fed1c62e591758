import asyncio
import ssl
from pathlib import Path

import pytest
import trustme

from pointsman_server.clock import SystemClock
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.aiohttp_transport import STALE_WITHIN_S, AiohttpTransport
from pointsman_server.transport.contract import HTTPRequest
from tests.fakes.provider import Provider
from tests.fakes.proxy import ForwardProxy
from tests.fakes.replies import (
    BodyFraming,
    Gate,
    Hang,
    Reply,
    Reset,
    hang_after_headers,
    hang_before_headers,
    json_reply,
)
from tests.unit.transport.calls import ask, post
from tests.unit.transport.conftest import Connect


class Authority:
    """A certificate authority, its file, and a server context for localhost."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.file = str(folder / "ca.pem")
        authority.cert_pem.write_to_path(self.file)
        self.server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(self.server)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


async def cancelled(task: asyncio.Task[object]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# --- cancellation ---


@pytest.mark.parametrize("reply", [hang_before_headers(), hang_after_headers()])
@pytest.mark.parametrize("used", [False, True])
async def test_cancel_closes_the_connection(
    reply: Reply, used: bool, provider: Provider, transport: AiohttpTransport
) -> None:
    """The upstream sees the end at once, whether it had answered or not, and a next request works."""
    if used:
        await ask(transport, post(provider))
    provider.script(reply)
    task = asyncio.ensure_future(ask(transport, post(provider)))
    await provider.wait_requests(1 + used)
    for _ in range(20):
        await asyncio.sleep(0)
    await cancelled(task)
    await provider.wait_idle()
    provider.script(json_reply({}))
    assert await ask(transport, post(provider)) == (200, b"{}")


async def test_cancel_while_connecting(provider: Provider, transport: AiohttpTransport) -> None:
    """A handshake that hangs leaves no socket behind."""
    task = asyncio.ensure_future(ask(transport, post(provider.url.replace("http://", "https://"))))
    await provider.wait_connections(1)
    await cancelled(task)
    await provider.wait_idle()


@pytest.mark.parametrize("reply", [hang_before_headers(), hang_after_headers()])
async def test_cancel_over_tls(reply: Reply, authority: Authority, connect: Connect) -> None:
    """No goodbye of TLS is waited for."""
    transport = connect(ca_file=authority.file)
    async with Provider(reply, ssl_context=authority.server) as provider:
        task = asyncio.ensure_future(ask(transport, post(provider)))
        await provider.wait_requests(1)
        for _ in range(20):
            await asyncio.sleep(0)
        await cancelled(task)
        await provider.wait_idle()


# --- stale connections ---


async def test_upstream_that_restarted_is_no_fault(provider: Provider, transport: AiohttpTransport) -> None:
    """Pooled connections that died meanwhile cost nobody a call."""
    await ask(transport, post(provider))
    await provider.restart()
    assert await ask(transport, post(provider)) == (200, b"{}")


async def test_stale_connection_is_made_good_once(provider: Provider, transport: AiohttpTransport) -> None:
    """A used connection that turns out dead: the request goes out once more, on a new one."""
    provider.script(json_reply({}), Reply(before=(Reset(),)), json_reply({"second": 1}))
    await ask(transport, post(provider))
    async with transport.open(post(provider)) as response:
        assert response.connect_s is not None
        assert await response.read() == b'{"second": 1}'
    assert [len(connection.requests) for connection in provider.connections] == [2, 1]
    assert provider.requests[1].body == provider.requests[2].body


async def test_second_failure_stands(provider: Provider, transport: AiohttpTransport) -> None:
    """Once more is once."""
    provider.script(json_reply({}), Reply(before=(Reset(),)))
    await ask(transport, post(provider))
    with pytest.raises(ServiceError) as caught:
        await ask(transport, post(provider))
    assert caught.value.reason is Reason.UPSTREAM_UNREACHABLE
    assert len(provider.requests) == 3


class LateClock(SystemClock):
    """The system's clock, which a test can put forward."""

    ahead_s = 0.0

    def now(self) -> float:
        return super().now() + self.ahead_s


async def test_upstream_that_broke_at_work_is_not_asked_again(provider: Provider, connect: Connect) -> None:
    """A connection that held for a while was not stale: the request may have been the cause."""
    clock, gate = LateClock(), asyncio.Event()
    transport = connect(clock)
    provider.script(json_reply({}), Reply(before=(Gate(gate), Reset())))
    await ask(transport, post(provider))
    task = asyncio.ensure_future(ask(transport, post(provider)))
    await provider.wait_requests(2)
    clock.ahead_s = STALE_WITHIN_S + 1
    gate.set()
    with pytest.raises(ServiceError):
        await task
    assert len(provider.requests) == 2


# --- closing ---

IN_FLIGHT = {
    "waiting": (hang_before_headers(), Reason.UPSTREAM_UNREACHABLE),
    "reading chunks": (hang_after_headers(), Reason.UPSTREAM_TRUNCATED),
    "reading to the end": (Reply(steps=(b"x", Hang()), framing=BodyFraming.EOF), Reason.UPSTREAM_TRUNCATED),
}


@pytest.mark.parametrize("case", IN_FLIGHT)
async def test_close_breaks_what_is_in_flight(
    case: str, provider: Provider, transport: AiohttpTransport
) -> None:
    """Nobody is left waiting, no connection is left, and no half body passes for a whole one."""
    reply, reason = IN_FLIGHT[case]
    provider.script(reply)
    task = asyncio.ensure_future(ask(transport, post(provider)))
    await provider.wait_requests(1)
    for _ in range(20):
        await asyncio.sleep(0)
    await transport.close()
    with pytest.raises(ServiceError) as caught:
        await asyncio.wait_for(task, 10)
    assert caught.value.reason is reason
    await provider.wait_idle()


async def test_closed_transport_refuses(provider: Provider, transport: AiohttpTransport) -> None:
    """With a reason, like any upstream that cannot be reached."""
    await transport.close()
    with pytest.raises(ServiceError) as caught:
        await ask(transport, post(provider))
    assert caught.value.reason is Reason.UPSTREAM_UNREACHABLE


# --- TLS and proxies ---


async def test_own_authority(authority: Authority, connect: Connect) -> None:
    """A backend with a private authority works with its file, and only with it."""
    async with Provider(ssl_context=authority.server) as provider:
        assert await ask(connect(ca_file=authority.file), post(provider)) == (200, b"{}")
        assert await ask(connect(verify_tls=False), post(provider)) == (200, b"{}")
        with pytest.raises(ServiceError) as caught:
            await ask(connect(), post(provider))
    assert (caught.value.reason, caught.value.detail) == (
        Reason.UPSTREAM_UNREACHABLE,
        "no TLS connection to the upstream",
    )


async def test_plain_request_through_a_proxy(provider: Provider, connect: Connect) -> None:
    """The proxy is asked for the whole URL, with the credentials of its own URL."""
    async with ForwardProxy() as proxy:
        transport = connect(proxy_url=proxy.url.replace("http://", "http://user:pass@"))
        assert await ask(transport, post(provider)) == (200, b"{}")
        assert proxy.asked == [f"POST {provider.url}/v1/chat"]
        assert "Proxy-Authorization: Basic dXNlcjpwYXNz" in proxy.headers[0]


async def test_tls_through_a_proxy(authority: Authority, connect: Connect) -> None:
    """Only the tunnel is the proxy's; a second request goes through the same one."""
    async with Provider(ssl_context=authority.server) as provider, ForwardProxy() as proxy:
        transport = connect(proxy_url=proxy.url, ca_file=authority.file)
        for _ in range(2):
            assert await ask(transport, post(provider)) == (200, b"{}")
        assert proxy.asked == [f"CONNECT localhost:{provider.port}"]


@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "through a proxy"])
async def test_an_address_goes_by_its_authority(
    authority: Authority, connect: Connect, proxied: bool
) -> None:
    """A server reached by its address is named, and verified, as the name that it goes by: Host, SNI, certificate."""
    async with Provider(ssl_context=authority.server) as provider, ForwardProxy() as proxy:
        url = f"https://127.0.0.1:{provider.port}/v1/chat"
        options = {"ca_file": authority.file, "proxy_url": proxy.url if proxied else ""}
        transport = connect(authority="localhost:8443", **options)
        for _ in range(2):
            assert await ask(transport, HTTPRequest("POST", url, {}, b"{}")) == (200, b"{}")
        assert {request.headers["host"] for request in provider.requests} == {"localhost:8443"}
        assert len(provider.connections) == 1
        assert proxy.asked == ([f"CONNECT 127.0.0.1:{provider.port}"] if proxied else [])
        with pytest.raises(ServiceError) as caught:
            await ask(connect(authority="other.internal", **options), HTTPRequest("POST", url, {}, b"{}"))
    assert caught.value.detail == "no TLS connection to the upstream"


async def test_a_plain_proxy_is_told_the_address(provider: Provider, connect: Connect) -> None:
    """It connects to the endpoint; the server behind it sees the name that the endpoint goes by."""
    async with ForwardProxy() as proxy:
        transport = connect(authority="gpu.internal", proxy_url=proxy.url)
        assert await ask(transport, post(provider)) == (200, b"{}")
        assert proxy.asked == [f"POST {provider.url}/v1/chat"]
        assert provider.requests[0].headers["host"] == "gpu.internal"


async def test_proxy_that_refuses(authority: Authority, connect: Connect) -> None:
    """A proxy's no is not the upstream's answer."""
    async with ForwardProxy(refuse=True) as proxy:
        with pytest.raises(ServiceError) as caught:
            await ask(connect(proxy_url=proxy.url), HTTPRequest("POST", "https://localhost:1/", {}, b"{}"))
    assert caught.value.reason is Reason.UPSTREAM_UNREACHABLE
    assert caught.value.detail == "the proxy refused to connect to the upstream"
