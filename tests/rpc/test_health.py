"""Health: what is asked, what is pushed, and watchers that do not read."""

import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.rpc.harness import SOON_S, until

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


def about(service: str) -> health_pb2.HealthCheckRequest:
    return health_pb2.HealthCheckRequest(service=service)


@pytest.fixture
async def health(serving):
    return health_pb2_grpc.HealthStub(await serving.channel())


@pytest.mark.parametrize(
    "service", ["", "pointsman.v1.InferenceService", "pointsman.v1.ModelService", "chat"]
)
async def test_services_and_models_have_a_status(serving, health, service):
    """The whole server, its services and each model can be asked for."""
    serving.server.health.set_models({"chat": True, "sick": False})
    assert (await health.Check(about(service))).status == SERVING
    assert (await health.Check(about("sick"))).status == NOT_SERVING


async def test_list_tells_all(serving, health):
    """List names everything with a status."""
    serving.server.health.set_models({"chat": False})
    statuses = (await health.List(health_pb2.HealthListRequest())).statuses
    assert statuses[""].status == SERVING
    assert statuses["chat"].status == NOT_SERVING


async def test_unknown_services(health):
    """Check says NOT_FOUND, Watch says SERVICE_UNKNOWN and stays."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await health.Check(about("nope"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    watch = health.Watch(about("nope"))
    assert (await watch.read()).status == UNKNOWN


async def test_a_watch_follows_its_model(serving, health):
    """Coming, failing and going are pushed."""
    watch = health.Watch(about("chat"))
    seen = [(await watch.read()).status]
    for models in ({"chat": True}, {"chat": False}, {}):
        serving.server.health.set_models(models)
        seen.append((await watch.read()).status)
    assert seen == [UNKNOWN, SERVING, NOT_SERVING, UNKNOWN]


async def test_a_model_cannot_take_a_services_name(serving, health):
    """A model that is called like a service does not change that service's status."""
    serving.server.health.set_models({"": False, "pointsman.v1.ModelService": False})
    assert (await health.Check(about("pointsman.v1.ModelService"))).status == SERVING


async def test_draining_is_pushed_and_watches_end(serving, health):
    """Watchers hear NOT_SERVING, later changes are ignored, and the watch ends when the server is about to stop."""
    watch = health.Watch(about(""))
    assert (await watch.read()).status == SERVING
    serving.server.health.shut()
    assert (await watch.read()).status == NOT_SERVING
    serving.server.health.serve()
    assert (await health.Check(about(""))).status == NOT_SERVING
    serving.server.health.end_watches()
    assert await watch.read() is grpc.aio.EOF


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


async def stuck_watch(port: int):
    """A Watch over a connection whose window is and stays zero."""
    headers = {
        ":method": "POST", ":scheme": "http", ":path": "/grpc.health.v1.Health/Watch", ":authority": "localhost",
        "te": "trailers", "content-type": "application/grpc",
    }  # fmt: skip
    block = b"".join(
        b"\0" + bytes((len(name),)) + name.encode() + bytes((len(value),)) + value.encode()
        for name, value in headers.items()
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        + frame(4, 0, 0, (4).to_bytes(2) + bytes(4))
        + frame(4, 1, 0, b"")
        + frame(1, 4, 1, block)
        + frame(0, 1, 1, bytes(5))
    )
    return reader, writer


async def test_a_stuck_watcher_blocks_nobody(serving, health):
    """A watcher with a window of zero delays neither changes nor other watchers nor the drain."""
    stuck = [await stuck_watch(serving.port) for _ in range(5)]
    async with asyncio.timeout(SOON_S):
        await until(lambda: len(serving.server.health._watchers.get("", ())) == len(stuck))
        watch = health.Watch(about("chat"))
        await watch.read()
        for serves in (True, False) * 20:
            serving.server.health.set_models({"chat": serves})
            assert (await watch.read()).status == (SERVING if serves else NOT_SERVING)
        whole = health.Watch(about(""))
        assert (await whole.read()).status == SERVING
        drain = asyncio.create_task(serving.server.drain(delay_s=0, grace_s=600))
        assert (await whole.read()).status == NOT_SERVING
        await drain
    for _, writer in stuck:
        writer.close()


async def test_a_watcher_that_leaves_is_forgotten(serving, health):
    """Nothing is kept for a watch that was cancelled."""
    watch = health.Watch(about("chat"))
    await watch.read()
    watch.cancel()
    await until(lambda: not serving.server.health._watchers)


@pytest.mark.parametrize("method", ["Check", "List"])
async def test_undecodable_health_requests_are_refused_quietly(serving, method):
    """No decoder's text leaves."""
    channel = await serving.channel()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.unary_unary(f"/grpc.health.v1.Health/{method}")(b"\xff\xff")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
