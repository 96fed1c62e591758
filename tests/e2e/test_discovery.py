"""Discovery with several workers, as processes: each follows for itself, and operators see one fleet."""

import contextlib

import grpc
import pytest

from pointsman import AsyncClient, PointsmanError
from pointsman import v1 as pb
from pointsman.v1 import router_admin_service_pb2_grpc
from tests.fakes import chat
from tests.fakes.api_server import ApiServer
from tests.fakes.load import Load
from tests.fakes.provider import Provider
from tests.fakes.running_app import until
from tests.fakes.service_process import ServiceProcess
from tests.system.test_following import kubernetes, pod


@pytest.fixture
async def stack():
    async with contextlib.AsyncExitStack() as entered:
        yield entered


async def test_workers_follow_each_for_itself(stack, tmp_path):
    """One watch a worker; calls follow in all of them; lists, drains and metrics speak of the whole."""
    cluster = await stack.enter_async_context(ApiServer())
    first, second = [await stack.enter_async_context(Provider()) for _ in range(2)]
    first.handler = second.handler = chat.as_asked
    cluster.put(pod(first))
    service = await stack.enter_async_context(ServiceProcess(tmp_path, kubernetes(cluster) | {"workers": 2}))
    assert len(cluster.watches) == 2
    channel = await stack.enter_async_context(
        grpc.aio.insecure_channel(f"127.0.0.1:{service.ports['admin']}")
    )
    admin = router_admin_service_pb2_grpc.RouterAdminServiceStub(channel)

    async def states():
        listed = (await admin.ListBackends(pb.ListBackendsRequest())).backends
        return {
            backend.name: pb.BackendState.Name(backend.state).removeprefix("BACKEND_STATE_")
            for backend in listed
        }

    names = [f"gpu@127.0.0.1:{provider.port}" for provider in (first, second)]
    # A connection each, so that both workers are called.
    clients = [
        await stack.enter_async_context(
            AsyncClient(service.target, retries=0, options=(("grpc.use_local_subchannel_pool", 1),))
        )
        for _ in range(8)
    ]
    async with contextlib.AsyncExitStack() as loads:
        running = [await loads.enter_async_context(Load(client, callers=1)) for client in clients]
        cluster.put(pod(second))
        await until("both are known", lambda: _equals(states, dict.fromkeys(["gpu", *names], "HEALTHY")))
        cluster.put(pod(first, ready=False, serving=True, terminating=True))
        drained = {"gpu": "HEALTHY", names[0]: "DRAINING", names[1]: "HEALTHY"}
        await until("the first drains", lambda: _equals(states, drained))

        async def rests():
            seen = len(first.requests)
            for load in running:
                await load.more(5)
            return len(first.requests) == seen

        # One worker may know a moment before the other.
        await until("the first gets no calls", rests)
        cluster.remove(f"vllm-{first.port}")
        await until("the first is gone", lambda: _equals(states, {"gpu": "HEALTHY", names[1]: "HEALTHY"}))
        for load in running:
            await load.more(5)
    await admin.DrainBackend(pb.DrainBackendRequest(name="gpu", reason="maintenance"))
    for client in clients:
        with pytest.raises(PointsmanError) as caught:
            await client.generate("hello", model="chat")
        assert caught.value.reason == "NO_HEALTHY_BACKEND"
    _, metrics = await service.get("/metrics")
    assert 'pointsman_discovery_endpoints{backend="gpu",condition="ready"} 1.0' in metrics
    assert 'pointsman_backend_state{backend="gpu",state="DRAINING"} 1.0' in metrics


async def _equals(asked, wanted):
    return await asked() == wanted
