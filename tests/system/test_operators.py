"""What operators and balancers see."""

import asyncio
import json

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pointsman import PointsmanError
from pointsman import v1 as pb
from pointsman.v1 import router_admin_service_pb2_grpc
from tests.fakes import chat
from tests.fakes.running_app import backend_at, model_over, one_model, until
from tests.rpc.harness import refusal
from tests.system.asking import ask, failure
from tests.system.test_reload import begun, held

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
EJECT_AT_ONCE = {"ejection": {"consecutive_failures": 1, "base_s": 2, "jitter": 0, "max_ejected_share": 1}}


async def status_of(stub, name):
    return (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status


async def serves(stub, name, status):
    return await status_of(stub, name) == status


async def test_a_models_health_follows_its_backends(start, provider, other):
    """A model whose last backend is ejected is NOT_SERVING, the server and other models are not; it comes back."""
    await provider.kill()
    other.handler = provider.handler = chat.as_asked
    settings = {
        "backends": {"down": backend_at(provider), "up": backend_at(other)},
        "models": {"frail": model_over("down"), "firm": model_over("down", "up")},
        **EJECT_AT_ONCE,
    }
    app = await start(settings)
    client = await app.client()
    stub = health_pb2_grpc.HealthStub(await app.channel())
    for name in ("", "pointsman.v1.InferenceService", "frail", "firm"):
        assert await status_of(stub, name) == SERVING
    watch = stub.Watch(health_pb2.HealthCheckRequest(service="frail"))
    assert (await watch.read()).status == SERVING
    assert (await failure(client, stream=False, model="frail")).reason == "UPSTREAM_UNREACHABLE"
    assert (await watch.read()).status == NOT_SERVING
    assert await status_of(stub, "firm") == SERVING
    assert await status_of(stub, "") == SERVING
    states = {model.name: model.state for model in await client.models()}
    assert states == {"frail": "unavailable", "firm": "degraded"}
    await provider.start()
    assert (await watch.read()).status == SERVING

    async def served():
        try:
            return (await ask(client, stream=False, model="frail")).backend == "down"
        except PointsmanError:
            return False

    await until("the backend serves again", served)
    watch.cancel()


async def test_backends_are_listed_as_they_are(start, provider, other):
    """State, reason, until when, models and load, in pages and by model; URLs without secrets."""
    await provider.kill()
    other.handler = chat.as_asked
    settings = {
        "backends": {"b-down": backend_at(provider), "a-up": backend_at(other, max_concurrency=7)},
        "models": {"one": model_over("b-down", "a-up"), "two": model_over("a-up")},
        **EJECT_AT_ONCE,
    }
    app = await start(settings)
    await ask(await app.client(), stream=True, model="one")
    admin = await app.admin()
    first = await admin.ListBackends(pb.ListBackendsRequest(page_size=1))
    rest = await admin.ListBackends(pb.ListBackendsRequest(page_token=first.next_page_token))
    up, down = (*first.backends, *rest.backends)
    assert (up.name, up.state, list(up.models)) == ("a-up", pb.BACKEND_STATE_HEALTHY, ["one", "two"])
    assert (up.concurrency_limit, up.in_flight_requests, up.url) == (7, 0, f"{other.url}/v1")
    assert up.HasField("first_token_ewma")
    assert (down.name, down.state) == ("b-down", pb.BACKEND_STATE_EJECTED)
    assert down.state_reason
    assert down.HasField("state_until")
    assert not rest.next_page_token
    only = await admin.ListBackends(pb.ListBackendsRequest(model="two"))
    assert [backend.name for backend in only.backends] == ["a-up"]
    refused = await refusal(admin.ListBackends(pb.ListBackendsRequest(model="nope")))
    assert refused.info.reason == "MODEL_NOT_FOUND"


async def test_a_backend_is_drained_and_undrained(start, provider, other):
    """New calls go elsewhere, health and lists tell of it, one that runs finishes, and all of it can be taken back."""
    gate = asyncio.Event()
    provider.handler = held(gate)
    other.handler = chat.as_asked
    settings = {
        "backends": {"first": backend_at(provider), "second": backend_at(other)},
        "models": {"chat": model_over("first", "second"), "only": model_over("first")},
    }
    app = await start(settings)
    client, admin = await app.client(), await app.admin()
    async with begun(client) as stream:
        answer = await admin.DrainBackend(pb.DrainBackendRequest(name="first", reason="new driver"))
        assert (answer.backend.state, answer.backend.state_reason) == (
            pb.BACKEND_STATE_DRAINING,
            "new driver",
        )
        assert answer.backend.in_flight_requests == 1
        assert (await ask(client, stream=False)).backend == "second"
        assert (await failure(client, stream=False, model="only")).reason == "NO_HEALTHY_BACKEND"
        gate.set()
        assert (await stream.collect()).text == "Hello there"
    health = health_pb2_grpc.HealthStub(await app.channel())
    await until("health tells", lambda: serves(health, "only", NOT_SERVING))
    assert 'pointsman_backend_state{backend="first",state="DRAINING"} 1.0' in (await app.get("/metrics"))[1]
    assert (await app.logged(event="backend_draining"))["detail"] == "new driver"
    listed = await admin.ListBackends(pb.ListBackendsRequest())
    assert [backend.state for backend in listed.backends] == [
        pb.BACKEND_STATE_DRAINING,
        pb.BACKEND_STATE_HEALTHY,
    ]

    back = await admin.UndrainBackend(pb.UndrainBackendRequest(name="first"))
    assert (back.backend.state, back.backend.state_reason) == (pb.BACKEND_STATE_HEALTHY, "")
    assert (await ask(client, stream=False)).backend == "first"
    await until("health tells", lambda: serves(health, "only", SERVING))
    for call in (
        admin.DrainBackend(pb.DrainBackendRequest(name="nope")),
        admin.UndrainBackend(pb.UndrainBackendRequest(name="nope")),
    ):
        refused = await refusal(call)
        assert refused.info.reason == "INVALID_REQUEST"
        assert [one.field for one in refused.extras["BadRequest"].field_violations] == ["name"]


async def test_what_is_not_there_yet_says_so(start, provider):
    """Every RPC of the contract is answered."""
    app = await start(one_model(provider))
    refused = await refusal((await app.admin()).ExplainRoute(pb.ExplainRouteRequest()))
    assert refused.info.reason == "NOT_IMPLEMENTED"
    assert refused.code is grpc.StatusCode.UNIMPLEMENTED


async def test_operators_rpcs_are_not_on_the_public_port(start, provider):
    """Whoever reaches the public address is no operator."""
    app = await start(one_model(provider))
    stub = router_admin_service_pb2_grpc.RouterAdminServiceStub(await app.channel())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ListBackends(pb.ListBackendsRequest())
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_models_come_in_pages(start, provider):
    """All names once, in order, whatever the page size; FULL tells more."""
    settings = one_model(provider)
    settings["models"] = {
        f"m-{n:02}": model_over("only", input_token_limit=n + 1, aliases=[f"alias-{n}"]) for n in range(23)
    }
    app = await start(settings)
    stub = await app.models()
    for size in (1, 7, 23, 1000, 0):
        names, token = [], ""
        while True:
            page = await stub.ListModels(pb.ListModelsRequest(page_size=size, page_token=token))
            names += [model.name for model in page.models]
            assert len(page.models) <= (size or 50)
            token = page.next_page_token
            if not token:
                break
        assert names == sorted(settings["models"])
    full = (await stub.GetModel(pb.GetModelRequest(name="alias-4", view=pb.MODEL_VIEW_FULL))).model
    assert (full.name, full.input_token_limit, list(full.aliases)) == ("m-04", 5, ["alias-4"])
    assert pb.MODEL_CAPABILITY_STREAMING in full.capabilities
    assert (full.backend_count, full.healthy_backend_count, full.state) == (1, 1, pb.MODEL_STATE_AVAILABLE)
    refused = await refusal(stub.GetModel(pb.GetModelRequest(name="nope")))
    assert refused.info.reason == "MODEL_NOT_FOUND"


async def test_ops_pages(start, provider):
    """Probes, metrics and the redacted configuration over HTTP; anything else is not there."""
    provider.handler = chat.as_asked
    credentials = {"type": "bearer", "secret": {"env": "PROVIDER_KEY"}}
    app = await start(
        one_model(provider, credentials=credentials), environment={"PROVIDER_KEY": "the-providers-key"}
    )
    await ask(await app.client(), stream=True)
    assert await app.get("/livez") == (200, "ok\n")
    assert await app.get("/readyz") == (200, "ready\n")
    status, metrics = await app.get("/metrics")
    assert status == 200
    for sample in (
        'pointsman_calls_total{model="chat",reason="OK"} 1.0',
        'pointsman_attempts_total{backend="only",reason="OK"} 1.0',
        'rpc_server_call_duration_seconds_count{rpc_method="pointsman.v1.InferenceService/StreamGenerate"',
        'pointsman_backend_state{backend="only",state="HEALTHY"} 1.0',
        "pointsman_calls_in_flight 0.0",
        "pointsman_build_info",
    ):
        assert sample in metrics
    status, page = await app.get("/config")
    config = json.loads(page)
    assert status == 200
    assert config["backends"]["only"]["url"] == f"{provider.url}/v1"
    assert config["server"]["max_calls"] == 4096
    assert "the-providers-key" not in page
    assert (await app.get("/nope"))[0] == 404


async def test_unknown_models_make_no_metric_series(start, provider):
    """Names that callers invent are counted together (B48)."""
    app = await start(one_model(provider))
    client = await app.client()
    for n in range(50):
        await failure(client, stream=False, model=f"invented-{n}")
    metrics = (await app.get("/metrics"))[1]
    assert "invented" not in metrics
    assert 'pointsman_calls_total{model="_other",reason="MODEL_NOT_FOUND"} 50.0' in metrics
