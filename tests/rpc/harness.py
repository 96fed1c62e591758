"""A real server on loopback with fakes behind it, a channel to it, and failures as callers see them."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from pointsman import v1 as pb
from pointsman.v1 import inference_service_pb2_grpc, model_service_pb2_grpc
from pointsman_server.clock import SystemClock
from pointsman_server.config.schema import Config
from pointsman_server.server.build import Collaborators, RpcServer, build_public, listen_public
from pointsman_server.server.pacing import LoopLoad
from tests.fakes.admission import FakeAdmission, FakeAuthenticator
from tests.fakes.catalog import FakeCatalog, model
from tests.fakes.channels import OWN_CONNECTION
from tests.fakes.dispatch import FakeDispatch
from tests.fakes.telemetry import FakeTelemetry

PROMPT = pb.GenerateRequest(model="chat", prompt="hello")
SOON_S = 10.0
"""A bound on liveness, not a promise on speed."""


@dataclass
class Serving:
    """A running server with everything behind it."""

    config: Config = field(default_factory=Config)
    dispatch: FakeDispatch = field(default_factory=FakeDispatch)
    admission: FakeAdmission = field(default_factory=FakeAdmission)
    authenticator: FakeAuthenticator = field(default_factory=FakeAuthenticator)
    catalog: FakeCatalog = field(default_factory=lambda: FakeCatalog([model("chat")]))
    telemetry: FakeTelemetry = field(default_factory=FakeTelemetry)
    clock: Any = field(default_factory=SystemClock)
    server: RpcServer = field(init=False)
    port: int = 0
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start(self) -> None:
        server = self.config.server.model_copy(update={"listen": "127.0.0.1:0"})
        self.config = self.config.model_copy(update={"server": server})
        parts = Collaborators(
            self.admission, self.dispatch, self.catalog, self.authenticator, self.telemetry, self.clock
        )
        self.server = build_public(self.config, parts, LoopLoad(self.clock))
        self.port = listen_public(self.server, self.config, self.telemetry)
        await self.server.start()
        self.server.health.serve()

    async def channel(self, *options: tuple[str, Any]) -> grpc.aio.Channel:
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.port}", options=(*OWN_CONNECTION, *options))
        return await self.stack.enter_async_context(channel)

    async def inference(self) -> Any:
        return inference_service_pb2_grpc.InferenceServiceStub(await self.channel())

    async def models(self) -> Any:
        return model_service_pb2_grpc.ModelServiceStub(await self.channel())

    async def settled(self) -> None:
        """Wait until no call runs and nothing is held for one."""
        async with asyncio.timeout(SOON_S):
            await self.server.calls.drained()
        assert self.dispatch.open_now == 0
        assert self.admission.inside == 0


@dataclass(frozen=True)
class Refusal:
    """A failed call as its caller sees it."""

    code: grpc.StatusCode
    message: str
    trailers: dict[str, Any]
    info: error_details_pb2.ErrorInfo
    request_id: str
    failure: pb.Failure
    extras: dict[str, Any]


async def refusal(call: Any) -> Refusal:
    """The failure of a call, taken apart; a stream is read to its end."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(read_all(call), SOON_S)
    return taken_apart(caught.value)


async def read_all(call: Any) -> None:
    if not hasattr(call, "read"):
        await call
        return
    while await call.read() is not grpc.aio.EOF:
        pass


async def until(condition: Callable[[], object]) -> None:
    """Look again and again: what is waited for happens inside the server, which tells nobody."""
    async with asyncio.timeout(SOON_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def until_blocked(serving: "Serving") -> None:
    """Wait until the only call is stuck in a write."""
    await until(lambda: len(serving.server.calls) == 1)
    (call,) = serving.server.calls._running
    looks: list[int] = []

    def stuck() -> bool:
        looks.append(call.messages_sent if call._writing else -len(looks))
        return len(looks) > 50 and len(set(looks[-50:])) == 1

    await until(stuck)


def taken_apart(error: grpc.aio.AioRpcError) -> Refusal:
    trailers = dict(error.trailing_metadata())
    assert "grpc-status-details-bin" in trailers, error
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    assert status.code == error.code().value[0]
    assert status.message == error.details()
    kinds = (
        error_details_pb2.ErrorInfo, error_details_pb2.RequestInfo, pb.Failure, error_details_pb2.BadRequest,
        error_details_pb2.RetryInfo, error_details_pb2.QuotaFailure, error_details_pb2.ResourceInfo,
    )  # fmt: skip
    found: dict[str, Any] = {}
    for detail in status.details:
        kind = next(kind for kind in kinds if detail.Is(kind.DESCRIPTOR))
        found[kind.DESCRIPTOR.name] = kind.FromString(detail.value)
    info, request, failure = (found.pop(name) for name in ("ErrorInfo", "RequestInfo", "Failure"))
    assert info.domain == "pointsman"
    assert trailers["x-request-id"] == request.request_id
    return Refusal(error.code(), error.details(), trailers, info, request.request_id, failure, found)


def with_limits(**limits: Any) -> Config:
    """A configuration with other numbers for the server and its deadlines."""
    config = Config()
    server = {key: value for key, value in limits.items() if key in type(config.server).model_fields}
    deadlines = {key: value for key, value in limits.items() if key in type(config.deadlines).model_fields}
    assert server | deadlines == limits
    return config.model_copy(
        update={
            "server": config.server.model_copy(update=server),
            "deadlines": config.deadlines.model_copy(update=deadlines),
        }
    )
