"""grpc.health.v1 of our own: a watcher that does not read delays nobody, and watches end when the server drains.

(The stock servicer writes to watchers while it holds its lock: one zero window blocks all of it for good.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, cast

import grpc
from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health_pb2  # type: ignore[import-untyped]

from pointsman_server.server.status import abort_plain

HEALTH = "grpc.health.v1.Health"
SERVING: int = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: int = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN: int = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN

_Request = Any
"""A decoded request; None in place of one that is no message of its type. (The package has no types.)"""
_Context = grpc.aio.ServicerContext[Any, Any]


class Health:
    """What may be asked for, each with a status; the empty name is the whole server."""

    def __init__(self, services: Sequence[str]) -> None:
        self._services = ("", *services)
        self._statuses: dict[str, int] = dict.fromkeys(self._services, NOT_SERVING)
        self._watchers: dict[str, set[asyncio.Event]] = {}
        self._shut = False
        self._ended = False

    @property
    def serving(self) -> bool:
        """Whether the whole server is."""
        return self._statuses[""] == SERVING

    def serve(self) -> None:
        """The server takes calls."""
        for service in self._services:
            self._set(service, SERVING)

    def set_models(self, serving: Mapping[str, bool]) -> None:
        """The models there are, by their own names; one that is left out is unknown from now on."""
        for name in self._statuses.keys() - serving.keys() - set(self._services):
            self._set(name, None)
        for name in serving.keys() - set(self._services):
            self._set(name, SERVING if serving[name] else NOT_SERVING)

    def shut(self) -> None:
        """NOT_SERVING everywhere, for good."""
        for service in list(self._statuses):
            self._set(service, NOT_SERVING)
        self._shut = True

    def end_watches(self) -> None:
        """Let every watch end after its last message, so that the server can stop."""
        self._ended = True
        for watchers in self._watchers.values():
            for changed in watchers:
                changed.set()

    def _set(self, service: str, status: int | None) -> None:
        if self._shut:
            return
        if status is None:
            self._statuses.pop(service, None)
        else:
            self._statuses[service] = status
        for changed in self._watchers.get(service, ()):
            changed.set()

    async def check(self, request: _Request, context: _Context) -> Message:
        """The status now."""
        if request is None:
            await _undecodable(context)
        status = self._statuses.get(request.service)
        if status is None:
            await abort_plain(context, grpc.StatusCode.NOT_FOUND, "unknown service")
        return _message(status)

    async def list(self, request: _Request, context: _Context) -> Message:
        """All statuses."""
        if request is None:
            await _undecodable(context)
        response: Any = health_pb2.HealthListResponse()
        for service, status in self._statuses.items():
            response.statuses[service].status = status
        return cast(Message, response)

    async def watch(self, request: _Request, context: _Context) -> None:
        """The status now and whenever it changes; a slow reader misses what was between."""
        if request is None:
            await _undecodable(context)
        changed = asyncio.Event()
        watchers = self._watchers.setdefault(request.service, set())
        watchers.add(changed)
        try:
            await self._tell(request.service, changed, context)
        except (grpc.aio.InternalError, grpc.aio.UsageError) as error:
            raise asyncio.CancelledError from error
        finally:
            watchers.discard(changed)
            if not watchers:
                self._watchers.pop(request.service, None)

    async def _tell(self, service: str, changed: asyncio.Event, context: _Context) -> None:
        told: int | None = None
        while True:
            changed.clear()
            status = self._statuses.get(service, _UNKNOWN)
            if status != told:
                told = status
                await context.write(_message(status))
            if self._ended:
                return
            if not changed.is_set():
                await changed.wait()

    def handlers(self) -> grpc.GenericRpcHandler:
        """For a server; needs no credential and counts nowhere."""
        check, listing = health_pb2.HealthCheckRequest, health_pb2.HealthListRequest
        return grpc.method_handlers_generic_handler(
            HEALTH,
            {
                "Check": grpc.unary_unary_rpc_method_handler(self.check, _decoder(check), _encode),
                "List": grpc.unary_unary_rpc_method_handler(self.list, _decoder(listing), _encode),
                "Watch": grpc.unary_stream_rpc_method_handler(self.watch, _decoder(check), _encode),
            },
        )


def _message(status: int) -> Message:
    message: Message = health_pb2.HealthCheckResponse(status=status)
    return message


def _encode(message: Message) -> bytes:
    return message.SerializeToString()


def _decoder(kind: type[Message]) -> Callable[[bytes], Message | None]:
    def decode(data: bytes) -> Message | None:
        try:
            return kind.FromString(data)
        except DecodeError:
            return None

    return decode


async def _undecodable(context: _Context) -> NoReturn:
    await abort_plain(
        context, grpc.StatusCode.INVALID_ARGUMENT, "the request is not a valid message of its type"
    )
