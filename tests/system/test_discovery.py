"""Backends with several endpoints, in the whole service, over loopback."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import Counter

import pytest
import trustme

from pointsman import v1 as pb
from tests.fakes import chat
from tests.fakes.provider import Provider
from tests.fakes.running_app import model_over, until
from tests.system.asking import ask, failure
from tests.system.test_reload import begun, held

URL = "http://gpu.internal:9999/v1"
"""Of all endpoints: no request goes there, but each names it."""


def static(*providers, **more):
    endpoints = [f"127.0.0.1:{provider.port}" for provider in providers]
    return {
        "provider": "openai_compatible",
        "url": URL,
        "discovery": {"type": "static", "endpoints": endpoints},
        **more,
    }


@pytest.fixture
async def stack():
    async with contextlib.AsyncExitStack() as entered:
        yield entered


async def test_endpoints_share_the_calls_and_go_by_one_name(start, provider, other):
    """Each gets its part; requests name the host of the URL; the caller is told the backend, and no address."""
    provider.handler = other.handler = chat.as_asked
    app = await start(
        {
            "backends": {"gpu": static(provider, other)},
            "models": {"chat": model_over("gpu", policy="round_robin")},
        }
    )
    client = await app.client()
    answers = [await ask(client, stream=bool(number % 2)) for number in range(6)]
    assert {answer.backend for answer in answers} == {"gpu"}
    assert "127.0.0.1" not in str(answers[0].routing)
    assert [len(one.requests) for one in (provider, other)] == [3, 3]
    assert {request.headers["host"] for request in provider.requests} == {"gpu.internal:9999"}
    for one in (provider, other):
        line = await app.logged(event="call", endpoint=f"127.0.0.1:{one.port}")
        assert line["attempts"][0]["endpoint"] == line["endpoint"]
    assert app.metric("pointsman_attempts_total", backend="gpu", reason="OK") == 6
    assert app.metric("pointsman_backend_state", backend="gpu", state="HEALTHY") == 2
    assert app.metric("pointsman_discovery_endpoints", backend="gpu", condition="ready") == 2


async def test_operators_see_endpoints(start, provider, other):
    """ListBackends tells the backend and each endpoint with its own address; either can be drained."""
    provider.handler = other.handler = chat.as_asked
    app = await start({"backends": {"gpu": static(provider, other)}, "models": {"chat": model_over("gpu")}})
    admin, client = await app.admin(), await app.client()
    listed = (await admin.ListBackends(pb.ListBackendsRequest())).backends
    names = [f"gpu@127.0.0.1:{port}" for port in sorted((provider.port, other.port))]
    assert [backend.name for backend in listed] == ["gpu", *names]
    assert listed[1].url == f"http://{names[0].partition('@')[2]}/v1"
    drained = await admin.DrainBackend(
        pb.DrainBackendRequest(name=f"gpu@127.0.0.1:{provider.port}", reason="fan")
    )
    assert drained.backend.state == pb.BACKEND_STATE_DRAINING
    for _ in range(4):
        await ask(client, stream=False)
    assert [len(one.requests) for one in (provider, other)] == [0, 4]
    whole = await admin.DrainBackend(pb.DrainBackendRequest(name="gpu", reason="all"))
    assert (whole.backend.name, whole.backend.state_reason) == ("gpu", "all")
    assert (await failure(client, stream=False)).reason == "NO_HEALTHY_BACKEND"
    await admin.UndrainBackend(pb.UndrainBackendRequest(name="gpu"))
    await ask(client, stream=False)


async def test_a_changed_list_loses_no_call(start, provider, other):
    """A stream at an endpoint that is taken out finishes there; new calls go to those that are left."""
    gate = asyncio.Event()
    provider.handler = held(gate)
    other.handler = chat.as_asked
    app = await start({"backends": {"gpu": static(provider)}, "models": {"chat": model_over("gpu")}})
    client = await app.client()
    async with begun(client) as stream:
        app.rewrite(backends={"gpu": static(other)})
        await app.app.reload()
        await ask(client, stream=False)
        assert len(other.requests) == 1
        gate.set()
        assert (await stream.collect()).text == "Hello there"
    await provider.wait_idle()
    await app.settled_calls()


async def test_tls_names_the_configured_host(start, stack, tmp_path):
    """Endpoints are reached by address, and their certificate must be the configured host's; another is refused."""
    authority = trustme.CA()
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    providers, names = [], []
    for host in ("gpu.internal", "elsewhere.internal"):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(host).configure_cert(context)
        context.sni_callback = lambda _, name, __: names.append(name)
        providers.append(await stack.enter_async_context(Provider(ssl_context=context)))
        providers[-1].handler = chat.as_asked
    good, bad = providers
    secured = {"url": "https://gpu.internal/v1", "ca_file": str(ca_file)}
    app = await start(
        {
            "backends": {"good": static(good) | secured, "bad": static(bad) | secured},
            "models": {"chat": model_over("good"), "other": model_over("bad")},
        }
    )
    client = await app.client()
    await ask(client, stream=False)
    assert good.requests[0].headers["host"] == "gpu.internal"
    refused = await failure(client, stream=False, model="other")
    assert refused.reason == "UPSTREAM_UNREACHABLE"
    assert "TLS" in refused.error.message
    assert not bad.requests
    assert set(names) == {"gpu.internal"}


async def test_an_endpoint_that_dies_is_ejected_alone(start, provider, other):
    """Its calls go to the others of its backend, and the backend is not ejected with it."""
    provider.handler = other.handler = chat.as_asked
    app = await start(
        {
            "backends": {"gpu": static(provider, other)},
            "models": {"chat": model_over("gpu", policy="round_robin")},
            "ejection": {"consecutive_failures": 2, "base_s": 300},
        }
    )
    client = await app.client()
    await provider.kill()
    answers = [await ask(client, stream=False) for _ in range(12)]
    assert Counter(len(answer.routing.attempts) for answer in answers) == {1: 10, 2: 2}
    assert (await app.logged(event="backend_ejected"))["endpoint"] == f"127.0.0.1:{provider.port}"
    assert app.metric("pointsman_backend_state", backend="gpu", state="EJECTED") == 1
    assert app.metric("pointsman_retries_total", model="chat", kind="failover") == 2
    await until("the books are empty", lambda: not app.held())
