"""The whole service behind real changes: a scripted API server and a DNS server over loopback, calls all the while."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pointsman import AsyncClient
from tests.fakes import chat
from tests.fakes.api_server import ApiServer
from tests.fakes.dns_server import DnsServer, Records
from tests.fakes.load import Load
from tests.fakes.provider import Provider
from tests.fakes.running_app import backend_at, model_over, until
from tests.fakes.service_process import ServiceProcess
from tests.system.asking import ask, failure
from tests.system.test_reload import begun, held
from tests.unit.discovery.slices import endpoint, slice_of

URL = "http://vllm.models.svc/v1"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
async def stack():
    async with contextlib.AsyncExitStack() as entered:
        yield entered


@pytest.fixture
async def cluster():
    async with ApiServer() as server:
        yield server


async def served_by(stack, count):
    """Providers that answer."""
    providers = [await stack.enter_async_context(Provider()) for _ in range(count)]
    for provider in providers:
        provider.handler = chat.as_asked
    return providers


def pod(provider, name=None, **conditions):
    """A slice with the one endpoint that a provider is; each pod has a port number of its own."""
    ports = [{"name": "http", "port": provider.port, "protocol": "TCP"}]
    return slice_of(name or f"vllm-{provider.port}", endpoint("127.0.0.1", **conditions), ports=ports)


def kubernetes(cluster, **discovery):
    """A configuration with one model, `chat`, at a Service."""
    section = {"type": "kubernetes", "service": "vllm", "namespace": "models", "port": "http", **discovery}
    return {
        "kubernetes": {"api_server": cluster.url, "token_file": "", "ca_file": ""},
        "backends": {"gpu": {"provider": "openai_compatible", "url": URL, "discovery": section}},
        "models": {"chat": model_over("gpu", policy="round_robin")},
    }


def in_force(app, *ready, draining=()):
    """Whether calls go by just these endpoints of `gpu`: what discovery knows comes into force a moment later."""
    known = {info.name: info.state.name for info in app.app.catalog.places() if "@" in info.name}
    names = [(f"gpu@127.0.0.1:{provider.port}", provider in draining) for provider in (*ready, *draining)]
    return known == {name: "DRAINING" if drains else "HEALTHY" for name, drains in names}


async def test_calls_follow_a_service(start, stack, cluster):
    """Through add, drain, remove, a lost watch, an expired version and a restart of the API server: none is lost."""
    first, second, third = await served_by(stack, 3)
    cluster.put(pod(first))
    app = await start(kubernetes(cluster))
    client = await app.client()
    async with Load(client) as load:
        await load.more()
        cluster.put(pod(second))
        await until("the second gets calls", lambda: second.requests)
        cluster.put(pod(first, ready=False, serving=True, terminating=True))
        await until("the first drains", lambda: in_force(app, second, draining=[first]))
        seen = len(first.requests) + load.callers
        await load.more()
        assert len(first.requests) <= seen
        cluster.remove(f"vllm-{first.port}")
        await until("the first is gone", lambda: in_force(app, second))
        await first.wait_idle()

        cluster.break_watches()
        cluster.put(pod(third))
        await until("the third gets calls", lambda: third.requests)
        cluster.forget()
        cluster.slices.pop(f"vllm-{second.port}")
        cluster.break_watches()
        await until("the second is gone", lambda: in_force(app, third))
        await cluster.kill()
        await load.more()
        cluster.forget()
        await cluster.start()
        cluster.put(pod(second))
        await until("the second is back", lambda: in_force(app, second, third))
        await load.more()
    assert app.metric("pointsman_discovery_failures_total", backend="gpu", reason="UPSTREAM_TRUNCATED") >= 1
    assert {answer.text for answer in load.answers} == {"Hello there"}
    assert [line for line in app.lines if line["level"] == "error"] == []
    await app.settled_calls()


async def test_a_stream_outlives_its_pod_in_the_list(start, stack, cluster):
    """A pod that is taken out at once, as by force: its stream goes on to its end, new calls go elsewhere."""
    first, second = await served_by(stack, 2)
    gate = asyncio.Event()
    first.handler = held(gate)
    cluster.put(pod(first))
    app = await start(kubernetes(cluster))
    client = await app.client()
    async with begun(client) as stream:
        cluster.put(pod(second))
        cluster.remove(f"vllm-{first.port}")
        await until("the first is gone", lambda: in_force(app, second))
        await ask(client, stream=False)
        assert len(second.requests) == 1
        gate.set()
        assert (await stream.collect()).text == "Hello there"
    await first.wait_idle()
    await app.settled_calls()


async def test_an_empty_service(start, stack, cluster):
    """Scaled to nothing: calls are refused as ones to try again, health says so, and the first pod ends it."""
    (first,) = await served_by(stack, 1)
    app = await start(kubernetes(cluster))
    client = await app.client()
    stub = health_pb2_grpc.HealthStub(await app.channel())
    watch = stub.Watch(health_pb2.HealthCheckRequest(service="chat"))
    assert (await watch.read()).status == NOT_SERVING
    refused = await failure(client, stream=False)
    assert (refused.reason, refused.error.retryable) == ("NO_HEALTHY_BACKEND", True)
    (model,) = await client.models()
    assert model.state == "unavailable"
    cluster.put(pod(first))
    assert (await watch.read()).status == SERVING
    await ask(client, stream=True)
    cluster.remove(f"vllm-{first.port}")
    assert (await watch.read()).status == NOT_SERVING
    watch.cancel()


async def test_a_start_waits_for_the_endpoints(start, stack, cluster):
    """The first call after the start is served, although the API server refuses for a moment."""
    (first,) = await served_by(stack, 1)
    cluster.put(pod(first))
    cluster.refuse["list"] = 503
    starting = asyncio.create_task(start(kubernetes(cluster)))
    await until("it was refused", lambda: cluster.lists >= 1)
    assert not starting.done()
    cluster.refuse.clear()
    app = await starting
    await ask(await app.client(), stream=False)


async def test_a_reload_to_another_service_loses_no_call(start, stack, cluster):
    """The new Service's endpoints are known before the old ones are let go; then nobody watches the old one."""
    first, second = await served_by(stack, 2)
    cluster.put(pod(first))
    other = pod(second, "triton-a")
    other["metadata"]["labels"]["kubernetes.io/service-name"] = "triton"
    cluster.put(other)
    app = await start(kubernetes(cluster))
    async with Load(await app.client()) as load:
        await load.more()
        app.rewrite(backends=kubernetes(cluster, service="triton")["backends"])
        await app.app.reload()
        seen = len(first.requests) + load.callers
        await load.more()
        assert len(first.requests) <= seen
        assert second.requests
    await until("only the new one is watched", lambda: len(cluster.watches) == 1)
    await app.settled_calls()


async def test_a_fixed_backend_beside_a_service(start, stack, cluster):
    """Both stand in one model; while the Service is empty the other serves alone."""
    first, second = await served_by(stack, 2)
    settings = kubernetes(cluster)
    settings["backends"]["fixed"] = backend_at(second)
    settings["models"]["chat"] = model_over("gpu", "fixed")
    app = await start(settings)
    client = await app.client()
    assert (await ask(client, stream=False)).backend == "fixed"
    cluster.put(pod(first))
    await until("the endpoint is in force", lambda: in_force(app, first))
    answer = await ask(client, stream=True)
    assert answer.backend == "gpu"
    assert not answer.routing.fallback_used


async def test_calls_follow_dns(start, stack):
    """SRV records on a real DNS server: added, removed, a server in trouble, and a name that is gone."""
    first, second = await served_by(stack, 2)
    dns = await stack.enter_async_context(DnsServer())
    name = "_http._tcp.vllm.test."

    def tell(*providers):
        dns.records[name, "SRV"] = Records(
            tuple(f"0 1 {provider.port} pod.vllm.test." for provider in providers), ttl_s=0
        )

    dns.records["pod.vllm.test.", "A"] = Records(("127.0.0.1",), ttl_s=0)
    tell(first)
    section = {
        "type": "dns", "name": name, "kind": "SRV", "nameservers": [dns.address], "min_ttl_s": 0.1, "timeout_s": 1.0,
    }  # fmt: skip
    app = await start(
        {
            "backends": {"gpu": {"provider": "openai_compatible", "url": URL, "discovery": section}},
            "models": {"chat": model_over("gpu", policy="round_robin")},
        }
    )
    client = await app.client()
    async with Load(client) as load:
        await load.more()
        tell(first, second)
        await until("the second gets calls", lambda: second.requests)
        tell(second)
        await until("the first is gone", lambda: in_force(app, second))
        await first.wait_idle()
        dns.failure = "SERVFAIL"
        await app.logged(event="discovery_failed", backend="gpu")
        await load.more()
        dns.failure = ""
        await app.logged(event="discovery_recovered", backend="gpu")
        await load.more()
    del dns.records[name, "SRV"]
    await until("none is left", lambda: in_force(app))
    assert (await failure(client, stream=False)).reason == "NO_HEALTHY_BACKEND"
    assert app.metric("pointsman_discovery_failures_total", backend="gpu", reason="UPSTREAM_UNAVAILABLE") >= 1


async def test_a_process_finds_its_cluster_as_a_pod_does(stack, tmp_path):
    """By the environment of a pod, a mounted token and CA, over TLS; as its own process, to its end."""
    (first,) = await served_by(stack, 1)
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    (tmp_path / "token").write_text("a-token-of-the-pod")
    (tmp_path / "namespace").write_text("models")
    cluster = await stack.enter_async_context(ApiServer(ssl_context=context))
    cluster.token = "a-token-of-the-pod"
    cluster.put(pod(first))
    settings = kubernetes(cluster, namespace=None)
    settings["kubernetes"] = {"token_file": str(tmp_path / "token"), "ca_file": str(tmp_path / "ca.crt")}
    environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(cluster.port)}
    service = await stack.enter_async_context(ServiceProcess(tmp_path, settings, environment=environment))
    async with AsyncClient(service.target, retries=0) as client:
        await ask(client, stream=True)
        _, metrics = await service.get("/metrics")
        assert 'pointsman_discovery_endpoints{backend="gpu",condition="ready"} 1.0' in metrics
        assert 'pointsman_discovery_age_seconds{backend="gpu"}' in metrics
    assert {asked.namespace for asked in cluster.asked} == {"models"}
    assert "a-token-of-the-pod" not in service.output + metrics + (await service.get("/config"))[1]
