"""The admin server and the HTTP endpoint."""

import aiohttp
import grpc
import pytest
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc

from pointsman import v1 as pb
from pointsman.v1 import router_admin_service_pb2_grpc
from pointsman_server.clock import SystemClock
from pointsman_server.config.schema import Config
from pointsman_server.errors import ServiceError
from pointsman_server.server.build import build_admin
from pointsman_server.server.collaborators import Fault, ReloadOutcome
from pointsman_server.server.ops_http import Facts, OpsServer
from tests.fakes.catalog import FakeControl, backend
from tests.fakes.telemetry import FakeTelemetry
from tests.rpc.harness import refusal


@pytest.fixture
def control():
    return FakeControl([backend("b", "chat"), backend("a", "chat", "code"), backend("c", "code")])


@pytest.fixture
async def channel(control):
    server = build_admin(Config(), control, FakeTelemetry(), SystemClock())
    port = server.listen("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop()


@pytest.fixture
def admin(channel):
    return router_admin_service_pb2_grpc.RouterAdminServiceStub(channel)


async def test_backends_are_listed_in_pages(admin):
    """By name, page by page, with their state."""
    first = await admin.ListBackends(pb.ListBackendsRequest(page_size=2))
    rest = await admin.ListBackends(pb.ListBackendsRequest(page_size=2, page_token=first.next_page_token))
    assert [one.name for one in (*first.backends, *rest.backends)] == ["a", "b", "c"]
    assert first.backends[0].state == pb.BACKEND_STATE_EJECTED
    assert first.backends[0].state_until.ToMilliseconds() == 1_700_000_000_500
    assert first.backends[0].first_token_ewma.ToMilliseconds() == 250


async def test_backends_of_one_model(admin):
    """Only those that serve it; an unknown model is MODEL_NOT_FOUND."""
    response = await admin.ListBackends(pb.ListBackendsRequest(model="code"))
    assert [one.name for one in response.backends] == ["a", "c"]
    assert (
        await refusal(admin.ListBackends(pb.ListBackendsRequest(model="x")))
    ).info.reason == "MODEL_NOT_FOUND"


async def test_reload_tells_faults_as_an_answer(admin, control):
    """A faulty configuration is an OK answer with paths and lines."""
    control.outcome = ReloadOutcome(False, "abc", (Fault("models.chat", 2**40, "is wrong"),))
    response = await admin.ReloadConfig(pb.ReloadConfigRequest(validate_only=True))
    assert control.asked == [True]
    assert (response.applied, response.config_hash) == (False, "abc")
    assert (response.faults[0].path, response.faults[0].line) == ("models.chat", 2**31 - 1)


async def test_a_backend_is_drained_and_undrained(admin, control):
    """The answer is the backend as it is then; a name is required, a reason bounded."""
    drained = await admin.DrainBackend(pb.DrainBackendRequest(name="a", reason="new driver"))
    assert (drained.backend.state, drained.backend.state_reason) == (pb.BACKEND_STATE_DRAINING, "new driver")
    back = await admin.UndrainBackend(pb.UndrainBackendRequest(name="a"))
    assert back.backend.name == "a"
    assert control.drained == [("a", "new driver"), ("a", None)]
    for call, field in (
        (admin.DrainBackend(pb.DrainBackendRequest(reason="x")), "name"),
        (admin.UndrainBackend(pb.UndrainBackendRequest()), "name"),
        (admin.DrainBackend(pb.DrainBackendRequest(name="a", reason="x" * 257)), "reason"),
    ):
        refused = await refusal(call)
        assert refused.info.reason == "INVALID_REQUEST"
        assert [violation.field for violation in refused.extras["BadRequest"].field_violations] == [field]
    assert len(control.drained) == 2


async def test_missing_admin_rpcs_say_so(admin):
    """UNIMPLEMENTED with details."""
    request = pb.ExplainRouteRequest()
    assert (await refusal(admin.ExplainRoute(request))).info.reason == "NOT_IMPLEMENTED"


async def test_channelz_is_there(channel):
    """The core's own statistics can be read."""
    answer = await channelz_pb2_grpc.ChannelzStub(channel).GetServers(channelz_pb2.GetServersRequest())
    assert answer.server


async def up():
    return b"up 1\n", "text/plain; version=0.0.4; charset=utf-8"


@pytest.fixture
async def ops():
    state = {"ready": False}
    server = OpsServer(
        Facts(
            metrics=up,
            ready=lambda: state["ready"],
            config=lambda: b'{"a": 1}',
        )
    )
    port = await server.start("127.0.0.1:0")
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        yield session, state
    await server.stop()


async def test_probes_and_metrics(ops):
    """Metrics pass through, liveness is always, readiness follows, the configuration is JSON."""
    session, state = ops
    async with session.get("/metrics") as answer:
        assert await answer.read() == b"up 1\n"
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert (await session.get("/livez")).status == 200
    assert (await session.get("/readyz")).status == 503
    state["ready"] = True
    assert (await session.get("/readyz")).status == 200
    async with session.get("/config") as answer:
        assert await answer.json() == {"a": 1}
    assert (await session.get("/nope")).status == 404
    assert (await session.post("/metrics", data=b"x")).status == 405


async def test_a_taken_port_is_a_clear_fault(channel):
    """Two servers never share a port silently, over gRPC or HTTP."""
    facts = Facts(metrics=up, ready=bool, config=bytes)
    first, second = OpsServer(facts), OpsServer(facts)
    port = await first.start("127.0.0.1:0")
    with pytest.raises(ServiceError, match=f"cannot listen on 127.0.0.1:{port}"):
        await second.start(f"127.0.0.1:{port}")
    admin = build_admin(Config(), FakeControl(), FakeTelemetry(), SystemClock())
    with pytest.raises(ServiceError, match="cannot listen"):
        admin.listen(f"127.0.0.1:{port}")
    await admin.stop()
    await first.stop()
