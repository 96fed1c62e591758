"""aiohttp's pool of connections to one backend, with what it does not tell: whether a connection is new or used,
how long connecting took, and that a connection was lost under a body still being read.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from functools import partial
from ssl import SSLContext
from typing import Protocol

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.helpers import sentinel
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.tracing import Trace

from pointsman_server.clock import Clock

DNS_TTL_S = 10
"""How long a resolved name is used."""


class MalformedBodyError(Exception):
    """The bytes of a body were not HTTP."""


class LostBodyError(Exception):
    """The connection went while the body was unfinished, and aiohttp told its reader nothing."""


class Line:
    """One connection for as long as it lives; requests use it one after the other."""

    __slots__ = ("_protocol", "content", "transport")

    def __init__(self, protocol: ResponseHandler, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.content: aiohttp.StreamReader | None = None
        """The body that is being read from it."""
        self._protocol = protocol

    def abort(self) -> None:
        """Close it at once, whatever is unsent; harmless twice.

        `close` would wait: for a peer that takes no more bytes, or up to 30 s for a mute one's TLS goodbye.
        """
        self.transport.abort()

    @property
    def gone(self) -> bool:
        """Whether it has ended."""
        return self._protocol.transport is None

    @property
    def fault(self) -> BaseException | None:
        """Why it ended, None while it lives."""
        return self._protocol.exception()

    def lost(self) -> None:
        """Wake a reader that aiohttp leaves waiting (bytes that are no chunk, or the pool closed under it)."""
        content = self.content
        if content is None or content.is_eof() or content.exception() is not None:
            return
        malformed = isinstance(self.fault, HttpProcessingError)
        content.set_exception(MalformedBodyError() if malformed else LostBodyError())


class Claim(Protocol):
    """A request that waits for a connection and wants to know what it got."""

    @property
    def began_at(self) -> float:
        """When it began to wait."""

    def connected(self, line: Line, connect_s: float | None) -> None:
        """It got this one; `connect_s` is None for a connection that was used before."""


CLAIM: ContextVar[Claim] = ContextVar("CLAIM")
"""The request that the running task makes.

aiohttp's own way to tell reuse is a trace, which makes each request a fifth dearer; this costs 2 %.
"""


class LineConnector(aiohttp.TCPConnector):
    """TCPConnector that reports to CLAIM. Nothing of its private parts is used: `connect` is its interface."""

    def __init__(self, clock: Clock, *, tls: SSLContext | bool, idle_s: float | None) -> None:
        """`tls` as aiohttp's `ssl`; `idle_s` None: connections are never used twice."""
        super().__init__(
            limit=0,  # The default of 100 queues silently; how many at once is dispatch's business.
            ssl=tls,
            ttl_dns_cache=DNS_TTL_S,
            keepalive_timeout=sentinel if idle_s is None else idle_s,
            force_close=idle_s is None,
        )
        self._clock = clock
        self._lines: dict[ResponseHandler, Line] = {}

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the base class's signature.
    ) -> Connection:
        """As in the base class."""
        connection = await super().connect(req, traces, timeout)
        protocol = connection.protocol
        assert protocol is not None
        claim = CLAIM.get()
        if (line := self._lines.get(protocol)) is not None:
            claim.connected(line, None)
        else:
            claim.connected(self._add(protocol), self._clock.now() - claim.began_at)
        return connection

    def abort(self) -> None:
        """Close every connection at once."""
        for line in list(self._lines.values()):
            line.abort()

    def _add(self, protocol: ResponseHandler) -> Line:
        assert protocol.transport is not None
        line = self._lines[protocol] = Line(protocol, protocol.transport)
        if (closed := protocol.closed) is not None:
            closed.add_done_callback(partial(self._drop, protocol))
        return line

    def _drop(self, protocol: ResponseHandler, closed: asyncio.Future[None]) -> None:
        if not closed.cancelled():
            # Looked at, so that no one complains that it was not.
            closed.exception()
        self._lines.pop(protocol).lost()
