"""One attempt over gRPC: the context manager, and inside it the iterator of batches."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, Any

import grpc

from pointsman_server.clock import Watchdog
from pointsman_server.context import Attempt
from pointsman_server.domain import Event
from pointsman_server.errors import ServiceError
from pointsman_server.upstreams.contract import Batch
from pointsman_server.upstreams.credentials.contract import scrubbed
from pointsman_server.upstreams.dialects.triton.rpc.faults import answer_too_large, closed, rpc_error
from pointsman_server.upstreams.dialects.triton.rpc.inbox import Inbox
from pointsman_server.upstreams.dialects.triton.rpc.messages import SERVICE
from pointsman_server.upstreams.dialects.triton.rpc.reader import MessageReader
from pointsman_server.upstreams.dialects.triton.rpc.request import infer_request

if TYPE_CHECKING:
    from pointsman_server.upstreams.dialects.triton.rpc.upstream import RpcUpstream

STREAM_END_S = 0.1
"""For the status behind a response that said that it was the last."""


class RpcAnswer:
    """One attempt."""

    __slots__ = (
        "_answered", "_attempt", "_bytes", "_call", "_connect_s", "_done", "_fault", "_in_stream", "_inbox", "_reader",
        "_upstream",
    )  # fmt: skip

    def __init__(self, upstream: RpcUpstream, attempt: Attempt) -> None:
        self._upstream = upstream
        self._attempt = attempt
        self._in_stream = upstream.in_stream(attempt)
        self._reader = MessageReader(upstream.setup, in_stream=self._in_stream)
        self._call: Any = None
        self._inbox: Inbox | None = None
        self._connect_s: float | None = None
        self._bytes = 0
        self._answered = False
        self._done = False
        self._fault: ServiceError | None = None
        """Raised once the events ahead of it were handed out."""

    async def __aenter__(self) -> RpcAnswer:
        upstream, attempt, in_stream = self._upstream, self._attempt, self._in_stream
        metadata = await upstream.metadata(attempt, in_stream=in_stream)
        request_id = dict(metadata).get(upstream.profile.request_id_header, attempt.upstream_id)
        message = infer_request(
            attempt, upstream.profile, upstream.setup, request_id, in_stream=in_stream,
            pieces=upstream.streams(stream=attempt.stream),
        )  # fmt: skip
        channel, self._connect_s = await upstream.connected()
        if in_stream:
            # A stream of one request looks the same on the wire, and is half closed from the start.
            streaming: Any = channel.unary_stream(f"/{SERVICE}/ModelStreamInfer")
            self._call = streaming(message, metadata=metadata)
            self._inbox = Inbox(self._read)
        else:
            unary: Any = channel.unary_unary(f"/{SERVICE}/ModelInfer")
            self._call = unary(message, metadata=metadata)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is awaited in here: cancelling sends the reset, and the server tells the model."""
        if self._call is not None:
            self._call.cancel()
        if self._inbox is not None:
            self._inbox.stop()

    @property
    def http_status(self) -> int:
        """There is none of its own."""
        return 0

    @property
    def connect_s(self) -> float | None:
        """Seconds that connecting took; None where a connection was reused."""
        return self._connect_s

    def pause(self) -> None:
        """Messages gather by themselves, up to the inbox's bounds; then gRPC's own flow control holds the server."""

    def __aiter__(self) -> RpcAnswer:
        return self

    async def __anext__(self) -> Batch:
        """The events of all messages that have come."""
        try:
            if self._fault is not None:
                raise self._fault
            return await self._batch()
        except ServiceError as error:
            raise scrubbed(error, self._upstream.credentials) from error.__cause__
        except grpc.aio.AioRpcError as error:
            fault = rpc_error(error, self._reader.place, answered=self._answered)
            raise scrubbed(fault, self._upstream.credentials) from error
        except asyncio.CancelledError as cancelled:
            # The library says so of a call whose channel was closed; nobody cancelled this task then.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise closed(self._reader.place, answered=self._answered) from cancelled

    async def _batch(self) -> Batch:
        if self._done:
            raise StopAsyncIteration
        if self._reader.ended:
            self._done = True
            await self._stream_end()
            raise StopAsyncIteration
        messages = [await self._call] if self._inbox is None else await self._inbox.take()
        events: list[Event] = []
        try:
            for message in messages:
                self._measure(message)
                self._answered = True
                self._reader.feed(message, events)
            if self._inbox is None or not messages:
                self._done = True
                self._reader.close(events)
        except ServiceError as fault:
            if fault.upstream is None:
                fault.upstream = self._reader.place.fault()
            if not events:
                raise
            self._fault = fault
        return events

    def _measure(self, message: bytes) -> None:
        limits = self._upstream.limits
        self._bytes += len(message)
        if self._bytes > limits.body_bytes or (self._in_stream and len(message) > limits.event_bytes):
            raise answer_too_large()

    async def _read(self) -> bytes | None:
        message = await self._call.read()
        return None if message is grpc.aio.EOF else message

    async def _stream_end(self) -> None:
        """Let the call end by itself; the answer is complete, come what may."""
        if self._inbox is None:
            return
        dog = Watchdog(self._upstream.clock)
        dog.start(self._upstream.clock.now() + STREAM_END_S)
        try:
            while await self._inbox.take():
                pass
        except grpc.aio.AioRpcError:
            return
        except asyncio.CancelledError:
            if not dog.claim():
                raise
        finally:
            dog.stop()
