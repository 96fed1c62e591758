"""A loopback HTTP provider that does what a test tells it, breaks where told, and remembers what it saw.

    async with Provider() as provider:
        provider.script(json_reply({"ok": True}))
        ...  # call provider.url
        assert provider.requests[0].json() == {...}
        await provider.connections[0].wait_closed()

The replies are values of `tests.fakes.replies`.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, cast

from tests.fakes.replies import (
    BodyFraming,
    Close,
    Gate,
    Hang,
    Lazy,
    Pause,
    Repeat,
    Reply,
    Reset,
    Step,
    json_reply,
)

PATIENCE_S = 10.0
"""How long a wait_* method lasts before it fails the test."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came."""

    method: str
    path: str
    """With the query."""
    headers: Mapping[str, str]
    """Lower-case names; the last of a repeated header."""
    body: bytes
    raw_head: bytes
    connection: Connection
    at: float
    """Monotonic seconds."""

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


@dataclass(eq=False, slots=True)
class Connection:
    """One connection that a client made."""

    number: int
    opened_at: float
    transport: asyncio.Transport = field(repr=False)
    requests: list[Request] = field(default_factory=list, repr=False)
    closed: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    """Set as soon as the peer's end (or ours) was seen."""
    closed_at: float | None = None
    """Monotonic seconds."""
    by_peer: bool = False
    """Whether the peer ended it."""

    async def wait_closed(self) -> None:
        """Wait for its end, PATIENCE_S at most."""
        await asyncio.wait_for(self.closed.wait(), PATIENCE_S)

    def reset(self) -> None:
        """Break it with RST."""
        if self.transport.is_closing():
            return
        # A duplicate of the descriptor, since uvloop's own socket object takes no options.
        with socket.socket(fileno=os.dup(self.transport.get_extra_info("socket").fileno())) as twin:
            twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


Handler = Callable[[Request], Reply]


class Provider:
    """The fake; an async context manager. `url` is its base address, without a trailing slash."""

    def __init__(
        self,
        *replies: Reply,
        ssl_context: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.requests: list[Request] = []
        self.connections: list[Connection] = []
        """Every connection ever made, in order."""
        self.handler: Handler | None = None
        """Decides each reply when set, in place of the script."""
        self.host = host
        self.port = port
        self._ssl = ssl_context
        self._script: list[Reply] = list(replies)
        self._server: asyncio.Server | None = None
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Base address; the host name suits certificates for localhost when TLS is on."""
        return f"https://localhost:{self.port}" if self._ssl else f"http://{self.host}:{self.port}"

    @property
    def open_connections(self) -> int:
        """Connections whose end has not been seen."""
        return sum(not connection.closed.is_set() for connection in self.connections)

    def script(self, *replies: Reply) -> None:
        """Answer the next requests with these, in order; the last one stays."""
        self._script = list(replies)

    async def wait_requests(self, count: int) -> None:
        """Wait until so many requests have come in all."""
        await self._wait(lambda: len(self.requests) >= count)

    async def wait_connections(self, count: int) -> None:
        """Wait until so many connections have been made in all."""
        await self._wait(lambda: len(self.connections) >= count)

    async def wait_idle(self) -> None:
        """Wait until no connection is open."""
        await self._wait(lambda: self.open_connections == 0)

    async def start(self) -> None:
        """Listen; on the port of before when there was one."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Wire(self), self.host, self.port, ssl=self._ssl, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def kill(self, *, reset: bool = True) -> None:
        """Die at once: stop listening and break every connection (RST, or FIN)."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in self.connections:
            if not connection.closed.is_set():
                connection.reset() if reset else connection.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.wait_idle()

    async def restart(self) -> None:
        """Die and come back on the same port."""
        await self.kill()
        await self.start()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill(reset=False)

    async def _wait(self, happened: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not happened():
                self._changed.clear()
                await self._changed.wait()

    def _next_reply(self, request: Request) -> Reply:
        if self.handler is not None:
            return self.handler(request)
        if len(self._script) > 1:
            return self._script.pop(0)
        return self._script[0] if self._script else json_reply({})

    def notify(self) -> None:
        """Something that a waiter may wait for has happened."""
        self._changed.set()

    def answer(self, wire: _Wire, request: Request) -> None:
        """Record the request and answer it in a task of the provider's."""
        self.requests.append(request)
        request.connection.requests.append(request)
        self.notify()
        task = asyncio.get_running_loop().create_task(wire.play(self._next_reply(request)))
        wire.task = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Wire(asyncio.Protocol):
    """HTTP/1.1 on one connection: one request at a time, pipelined ones wait."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._buffer = bytearray()
        self._writable = asyncio.Event()
        self._writable.set()
        self._connection: Connection | None = None
        self.task: asyncio.Task[None] | None = None

    @property
    def connection(self) -> Connection:
        assert self._connection is not None
        return self._connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        number = len(self._provider.connections)
        # A cast, since uvloop's transports do not inherit from asyncio's.
        self._connection = Connection(number, time.monotonic(), cast(asyncio.Transport, transport))
        self._provider.connections.append(self._connection)
        self._provider.notify()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._take_request()

    def eof_received(self) -> bool:
        self._mark_closed(by_peer=True)
        self.connection.transport.abort()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._mark_closed(by_peer=exc is not None)
        self._writable.set()
        if self.task is not None:
            self.task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _mark_closed(self, *, by_peer: bool) -> None:
        connection = self.connection
        if not connection.closed.is_set():
            connection.closed_at = time.monotonic()
            connection.by_peer = by_peer
            connection.closed.set()
            self._provider.notify()

    def _take_request(self) -> None:
        if self.task is not None and not self.task.done():
            return
        head, found, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        if not found:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        pairs = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        body = _dechunk(rest) if "chunked" in headers.get("transfer-encoding", "") else _sized(rest, headers)
        if body is None:
            return
        content, used = body
        del self._buffer[: len(head) + 4 + used]
        request = Request(method, path, headers, content, head, self.connection, time.monotonic())
        self._provider.answer(self, request)

    async def play(self, reply: Reply) -> None:
        """Send one reply, then look for the next request."""
        if await self._play_steps(reply.before, BodyFraming.RAW):
            return
        if head := reply.head():
            await self._send(head)
        if await self._play_steps(reply.steps, reply.framing):
            return
        if reply.framing is BodyFraming.CHUNKED:
            await self._send(b"0\r\n\r\n")
        if reply.close or reply.framing in (BodyFraming.EOF, BodyFraming.RAW):
            self.connection.transport.close()
            return
        self.task = None
        self._take_request()

    async def _play_steps(self, steps: Sequence[Step], framing: BodyFraming) -> bool:
        """Whether the connection is done for."""
        for step in steps:
            match step:
                case Pause(seconds):
                    await asyncio.sleep(seconds)
                case Gate(event):
                    await event.wait()
                case Hang():
                    await self.connection.closed.wait()
                    return True
                case Reset():
                    self.connection.reset()
                    return True
                case Close():
                    self.connection.transport.close()
                    return True
                case bytes():
                    await self._send_piece(step, framing)
                case Repeat():
                    await self._repeat(step, framing)
                case Lazy(pieces):
                    await self._send_all(pieces(), framing)
        return self.connection.closed.is_set()

    async def _repeat(self, step: Repeat, framing: BodyFraming) -> None:
        sent = 0
        while (step.times is None or sent < step.times) and not self.connection.closed.is_set():
            await self._send_piece(step.data, framing)
            # Also without a pace, so that one reply cannot keep the loop to itself.
            await asyncio.sleep(step.every_s)
            sent += 1

    async def _send_all(self, pieces: Iterable[bytes], framing: BodyFraming) -> None:
        for piece in pieces:
            if self.connection.closed.is_set():
                return
            await self._send_piece(piece, framing)
            await asyncio.sleep(0)

    async def _send_piece(self, data: bytes, framing: BodyFraming) -> None:
        if framing is BodyFraming.CHUNKED:
            data = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        await self._send(data)

    async def _send(self, data: bytes) -> None:
        if data and not self.connection.transport.is_closing():
            self.connection.transport.write(data)
            await self._writable.wait()


def _sized(rest: bytes, headers: Mapping[str, str]) -> tuple[bytes, int] | None:
    length = int(headers.get("content-length", "0"))
    return (rest[:length], length) if len(rest) >= length else None


def _dechunk(rest: bytes) -> tuple[bytes, int] | None:
    body, at = bytearray(), 0
    while True:
        line_end = rest.find(b"\r\n", at)
        if line_end < 0:
            return None
        size = int(rest[at:line_end].split(b";")[0], 16)
        start = line_end + 2
        if len(rest) < start + size + 2:
            return None
        body += rest[start : start + size]
        at = start + size + 2
        if size == 0:
            return bytes(body), at
