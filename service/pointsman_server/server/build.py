"""Both gRPC servers from one builder, and how they start, follow a reload and drain."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_channelz.v1 import channelz_pb2_grpc  # type: ignore[import-untyped]
from grpc_channelz.v1.channelz import aio as channelz  # type: ignore[import-untyped]

from pointsman_server.clock import Clock, Watchdog
from pointsman_server.config.schema import AuthMode, Config
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.server import batch
from pointsman_server.server.admin import ADMIN, AdminServicer, Operators
from pointsman_server.server.boundary import Boundary, Nonces
from pointsman_server.server.calls import Calls
from pointsman_server.server.collaborators import Admission, Authenticator, Catalog, Control, Dispatch
from pointsman_server.server.compat import CompatService, build_services
from pointsman_server.server.health import HEALTH, Health
from pointsman_server.server.models import MODELS, ModelServicer
from pointsman_server.server.options import server_options
from pointsman_server.server.pacing import LoopLoad, Pacing
from pointsman_server.server.reflection import reflection_handlers
from pointsman_server.server.rpc import Limits, Method, Surroundings
from pointsman_server.server.servicer import INFERENCE, InferenceServicer
from pointsman_server.server.tls import CertificateSource
from pointsman_server.telemetry.facade import Telemetry

QUIET_S = 1.0
"""After the last call, for those that were on their way while the clients learned that the connection closes."""
LAST_WORDS_S = 2.0
"""For the status of calls that are ended at the end of the grace."""


@dataclass(frozen=True, slots=True)
class Collaborators:
    """The rest of the service, as the public server needs it."""

    admission: Admission
    dispatch: Dispatch
    catalog: Catalog
    authenticator: Authenticator
    telemetry: Telemetry
    clock: Clock


class RpcServer:
    """One gRPC server with the calls that run on it."""

    def __init__(
        self, server: grpc.aio.Server, around: Surroundings, health: Health, *, pacing: Pacing | None = None
    ) -> None:
        self._server = server
        self._around = around
        self._pacing = pacing
        self._dog = Watchdog(around.clock)
        self._hurried = False
        self.health = health

    @property
    def calls(self) -> Calls:
        """The calls that run now; health and reflection are not among them."""
        return self._around.calls

    def listen(self, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Bind before the start; returns the port. Raises ServiceError when the address cannot be had."""
        try:
            if credentials is None:
                return self._server.add_insecure_port(address)
            return self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise ServiceError(Reason.INTERNAL, f"cannot listen on {address}") from error

    async def start(self) -> None:
        """Take connections; health says NOT_SERVING until `health.serve()`."""
        await self._server.start()

    def apply(self, config: Config) -> None:
        """Follow a reloaded configuration; what the listening port was made with stays as it is."""
        self._around.limits = limits_of(config)
        if self._pacing is not None:
            self._pacing.max_coalesce_s = config.server.max_coalesce_s

    async def drain(self, *, delay_s: float, grace_s: float, announced: bool = True) -> None:
        """Tell balancers, serve on for the delay, let calls finish within the grace, end the rest with SHUTTING_DOWN.

        Returns when all handlers have ended and the port is closed. `hurry` ends delay and grace. Unannounced, health
        says nothing: clients are only asked to connect anew.
        """
        if announced:
            self.health.shut()
        await self._patiently(delay_s, asyncio.Event().wait())
        self.health.end_watches()
        # The core's own grace ends later than ours: its way to end a call tells the caller nothing.
        closing = asyncio.ensure_future(self._server.stop(grace_s + LAST_WORDS_S + QUIET_S))
        try:
            if not await self._patiently(grace_s, self._quiet(closing)):
                self.calls.cancel_rest(ServiceError(Reason.SHUTTING_DOWN, "the server is shutting down"))
                await self._within(LAST_WORDS_S, self.calls.drained())
        finally:
            await self._server.stop(0)
            await closing
        await self._within(LAST_WORDS_S, self.calls.drained())

    def hurry(self) -> None:
        """Have a drain, under way or to come, wait for nobody: calls in flight end with SHUTTING_DOWN now."""
        self._hurried = True
        self._dog.at = self._around.clock.now()

    async def stop(self) -> None:
        """Close at once; what runs is cancelled."""
        self.health.shut()
        self.health.end_watches()
        await self._server.stop(0)
        await self.calls.drained()

    async def _quiet(self, closing: asyncio.Future[None]) -> None:
        """Wait until the server has closed, or until no call ran for a while though a peer holds its connection."""
        while not closing.done():
            await self.calls.drained()
            pause = asyncio.ensure_future(self._around.clock.sleep(QUIET_S))
            try:
                await asyncio.wait((closing, pause), return_when=asyncio.FIRST_COMPLETED)
            finally:
                pause.cancel()
            if not len(self.calls):
                return

    async def _patiently(self, bound_s: float, waiting: Coroutine[Any, Any, object]) -> bool:
        """Whether it ended within the bound, which `hurry` cuts short."""
        return await self._within(0 if self._hurried else bound_s, waiting, self._dog)

    async def _within(
        self, bound_s: float, waiting: Coroutine[Any, Any, object], dog: Watchdog | None = None
    ) -> bool:
        dog = dog or Watchdog(self._around.clock)
        dog.start(self._around.clock.now() + bound_s)
        try:
            await waiting
        except asyncio.CancelledError:
            if dog.claim():
                return False
            raise
        finally:
            dog.stop()
        return True


def limits_of(config: Config) -> Limits:
    """What of a configuration holds for every call."""
    deadlines = config.deadlines
    return Limits(
        unary_default_s=deadlines.unary_default_s,
        stream_default_s=deadlines.stream_default_s,
        maximum_s=deadlines.maximum_s,
        max_request_bytes=config.server.max_request_bytes,
        max_batch_items=config.server.max_batch_items,
        max_batch_concurrency=config.server.max_batch_concurrency,
    )


def build_public(
    config: Config, parts: Collaborators, load: LoopLoad, *, share_port: bool = False
) -> RpcServer:
    """InferenceService, ModelService, health and, if wanted, reflection; not listening yet."""
    pacing = Pacing(load, config.server.max_coalesce_s)
    around = _surroundings(config, parts.authenticator, parts.telemetry, parts.clock)
    shared = batch.Surroundings(
        parts.admission, parts.dispatch, parts.telemetry, parts.clock, around.next_nonce
    )
    servicer = InferenceServicer(shared, pacing)
    earlier = build_services(config.compatibility)
    methods = (
        *servicer.methods(), *ModelServicer(parts.catalog).methods(), *_earlier_methods(earlier, servicer),
    )  # fmt: skip
    around.by_certificate = config.auth.effective_mode is AuthMode.MTLS
    health = Health((INFERENCE, MODELS, *(service.name for service in earlier)))
    reflected = (INFERENCE, MODELS, HEALTH) if config.server.reflection else ()
    server = _server(config, around, methods, health, reflected, earlier=earlier, share_port=share_port)
    return RpcServer(server, around, health, pacing=pacing)


def _earlier_methods(services: Sequence[CompatService], servicer: InferenceServicer) -> Iterator[Method]:
    """Methods of callers' earlier contracts; what they lead to is ours."""
    for service in services:
        for method in service.methods:
            stream = method.to == "StreamGenerate"
            handle = servicer.stream_generate if stream else servicer.generate
            yield Method(
                method.path, method.request, method.response, handle, stream=stream, adaptation=method
            )


def build_admin(config: Config, control: Control, telemetry: Telemetry, clock: Clock) -> RpcServer:
    """RouterAdminService, channelz, health and reflection; not listening yet."""
    around = _surroundings(config, Operators(), telemetry, clock)
    health = Health((ADMIN,))
    server = _server(config, around, AdminServicer(control).methods(), health, (ADMIN, HEALTH))
    channelz_pb2_grpc.add_ChannelzServicer_to_server(channelz.ChannelzServicer(), server)
    return RpcServer(server, around, health)


def listen_public(server: RpcServer, config: Config, telemetry: Telemetry) -> int:
    """Bind the public server as configured, with TLS where there is some. Raises ServiceError for a bad certificate."""
    tls = config.server.tls
    credentials = CertificateSource(tls, telemetry).credentials() if tls is not None else None
    return server.listen(config.server.listen, credentials)


def _surroundings(
    config: Config, authenticator: Authenticator, telemetry: Telemetry, clock: Clock
) -> Surroundings:
    return Surroundings(limits_of(config), authenticator, telemetry, clock, Calls(), Nonces())


def _server(
    config: Config,
    around: Surroundings,
    methods: Sequence[Method],
    health: Health,
    reflected: Sequence[str],
    *,
    earlier: Sequence[CompatService] = (),
    share_port: bool = False,
) -> grpc.aio.Server:
    server = grpc.aio.server(options=server_options(config.server.http2, share_port=share_port))
    handlers = [Boundary(methods, around), health.handlers()]
    if reflected:
        handlers.extend(reflection_handlers(reflected, {service.name: service.files for service in earlier}))
    server.add_generic_rpc_handlers(tuple(handlers))
    return server
