"""Transport over aiohttp: a request goes out, at most twice, its answer is read in bounded pieces, and everything
is freed without an await.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TypeVar

import aiohttp
from aiohttp import hdrs
from multidict import CIMultiDictProxy

from pointsman_server.clock import Clock
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.connections import CLAIM, Line
from pointsman_server.transport.contract import Headers, HTTPRequest, HTTPResponse, TransportOptions
from pointsman_server.transport.faults import BROKEN, LOST, UNANSWERED, broken, truncated, unanswered
from pointsman_server.transport.inflate import Inflater
from pointsman_server.transport.pool import Pool

STALE_WITHIN_S = 1.0
"""A used connection that breaks so soon after a request had gone stale; later, the upstream broke at work."""

_T = TypeVar("_T")


class AiohttpTransport:
    """Transport to one backend. May be made before an event loop runs; belongs to that of its first request.

    Raises OSError or ssl.SSLError when the file of authorities cannot be read.
    """

    def __init__(self, options: TransportOptions, *, clock: Clock) -> None:
        self._pool = Pool(options, clock)
        self._clock = clock
        self._body_bytes = options.limits.body_bytes

    def open(self, request: HTTPRequest) -> AbstractAsyncContextManager[HTTPResponse]:
        """As the protocol says; see Exchange for the one request that is sent twice."""
        return Exchange(self._pool, request, clock=self._clock, body_bytes=self._body_bytes)

    async def close(self) -> None:
        """Close the pool; requests in flight break."""
        await self._pool.close()


class HeaderView(Mapping[str, str]):
    """aiohttp's headers as the contract wants them, made from nothing until someone asks."""

    __slots__ = ("_headers",)

    def __init__(self, headers: CIMultiDictProxy[str]) -> None:
        self._headers = headers

    def __getitem__(self, name: str) -> str:
        return _printable(self._headers[name])

    def get(self, name: str, default: str | _T | None = None) -> str | _T | None:  # type: ignore[override]
        """The first value of the header."""
        value = self._headers.get(name)
        return default if value is None else _printable(value)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.lower() for name in self._headers))

    def __len__(self) -> int:
        return len({name.lower() for name in self._headers})

    def __contains__(self, name: object) -> bool:
        return name in self._headers


def _printable(value: str) -> str:
    # Bytes that are not UTF-8 come as lone surrogates, which no protobuf string and no gRPC status can carry.
    return value if value.isascii() else value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


class Exchange:
    """One request: the context manager, and inside it the answer (HTTPResponse).

    A request is sent once more, on a connection of its own, when the pooled one that it went out on was dead: used
    before, lost within STALE_WITHIN_S, and no answer begun. Nothing else is ever repeated here.
    """

    __slots__ = (
        "_body_bytes", "_clock", "_content", "_inflater", "_line", "_paused", "_pool", "_request", "_response",
        "_taken_bytes", "began_at", "connect_s",
    )  # fmt: skip

    def __init__(self, pool: Pool, request: HTTPRequest, *, clock: Clock, body_bytes: int) -> None:
        self.began_at = 0.0
        self.connect_s: float | None = None
        self._pool = pool
        self._request = request
        self._clock = clock
        self._body_bytes = body_bytes
        self._line: Line | None = None
        self._response: aiohttp.ClientResponse | None = None
        self._content: aiohttp.StreamReader
        self._inflater: Inflater | None = None
        self._paused = False
        self._taken_bytes = 0

    async def __aenter__(self) -> Exchange:
        if self._pool.closed:
            raise ServiceError(Reason.UPSTREAM_UNREACHABLE, "the connections to this upstream are closed")
        self.began_at = self._clock.now()
        token = CLAIM.set(self)
        try:
            try:
                response = await self._pool.send(self._request)
            except LOST as error:
                response = await self._send_again(error)
        except UNANSWERED as error:
            self._abort()
            fault = unanswered(error)
        except BaseException:
            self._abort()
            raise
        else:
            self._take(response)
            return self
        finally:
            CLAIM.reset(token)
        # Outside the handler, so that aiohttp's exception, which knows the headers, is not in the context.
        raise fault

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        line, response = self._line, self._response
        if line is not None:
            line.content = None
        # Without a connection the body was received to its end, and the connection is back in the pool.
        if response is not None and response.connection is not None:
            self._abort()
            response.close()

    def connected(self, line: Line, connect_s: float | None) -> None:
        """The pool's word on which connection the request goes out (see Claim)."""
        self._line = line
        self.connect_s = connect_s

    @property
    def status(self) -> int:
        assert self._response is not None
        return self._response.status

    @property
    def headers(self) -> Headers:
        assert self._response is not None
        return HeaderView(self._response.headers)

    async def read(self) -> bytes:
        """As the protocol says. No more than a few buffers' worth at once."""
        if self._paused:
            self.resume()
        try:
            if self._inflater is None:
                data = await self._content.readany()
            else:
                data = await self._read_inflated(self._inflater)
        except BROKEN as error:
            fault = broken(error)
        else:
            self._taken_bytes += len(data)
            if self._taken_bytes > self._body_bytes:
                raise ServiceError(
                    Reason.UPSTREAM_BAD_RESPONSE, "the upstream sent an answer larger than the limit"
                )
            if not data and self._line is not None and self._line.gone:
                self._check_end(self._line)
            return data
        raise fault

    def pause(self) -> None:
        """As the protocol says; nothing when the connection is done for."""
        connection = self._response.connection if self._response is not None else None
        transport = connection.transport if connection is not None else None
        if transport is None or self._content.is_eof():
            return
        try:
            transport.pause_reading()
        except (RuntimeError, AttributeError):  # uvloop's and asyncio's TLS transports, once closed.
            return
        self._paused = True

    def resume(self) -> None:
        """As the protocol says."""
        self._paused = False
        connection = self._response.connection if self._response is not None else None
        protocol = connection.protocol if connection is not None else None
        if protocol is not None:
            # Through the protocol, which knows whether aiohttp's own flow control still wants the pause.
            protocol.resume_reading()

    async def _send_again(self, error: Exception) -> aiohttp.ClientResponse:
        if not self._went_stale(error):
            raise error
        self._abort()
        return await self._pool.send_fresh(self._request)

    def _went_stale(self, error: Exception) -> bool:
        used = self._line is not None and self.connect_s is None
        # The message is what came of an answer's head, where something came.
        begun = isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(error.message, str)
        in_time = self._clock.now() - self.began_at <= STALE_WITHIN_S
        return used and in_time and not begun and not self._pool.closed

    def _take(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._content = response.content
        if self._line is not None:
            self._line.content = response.content
        encoding = response.headers.get(hdrs.CONTENT_ENCODING)
        if encoding is not None and encoding.lower() not in ("", "identity"):
            self._inflater = Inflater(encoding.strip().lower())

    def _abort(self) -> None:
        if self._line is not None:
            self._line.abort()

    async def _read_inflated(self, inflater: Inflater) -> bytes:
        while True:
            if inflater.waiting:
                # A bomb inflates without ever waiting for bytes: let the others have their turn.
                await self._clock.sleep(0)
                data = inflater.step()
            elif packed := await self._content.readany():
                data = inflater.feed(packed)
            else:
                inflater.close()
                return b""
            if data:
                return data

    def _check_end(self, line: Line) -> None:
        """A body without a length ends where its connection ends; aiohttp takes any end for a good one."""
        assert self._response is not None
        headers = self._response.headers
        if hdrs.CONTENT_LENGTH in headers or hdrs.TRANSFER_ENCODING in headers:
            return
        if isinstance(line.fault, OSError) or self._pool.closed:
            raise truncated()
