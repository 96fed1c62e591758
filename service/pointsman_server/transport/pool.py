"""The aiohttp sessions of one backend: every default that would hurt a router is set here."""

from __future__ import annotations

import importlib.metadata
import io
import ssl
from collections.abc import Awaitable
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from pointsman_server.clock import Clock
from pointsman_server.transport.connections import LineConnector
from pointsman_server.transport.contract import HTTPRequest, TransportOptions

READ_BUFFER_BYTES = 64 * 1024
"""aiohttp stops reading at twice this and a socket read, so it bounds what an unread answer holds in memory."""
_PLAIN_BODY_BYTES = 1024 * 1024
"""aiohttp warns of larger bodies in one piece; they go out in pieces."""
HEADER_BYTES = 16 * 1024
HEADER_COUNT = 128


def _user_agent() -> str:
    try:
        return f"pointsman/{importlib.metadata.version('pointsman-server')}"
    except importlib.metadata.PackageNotFoundError:
        return "pointsman"


USER_AGENT = _user_agent()


class Pool:
    """Connections to one backend. Belongs to the event loop of the first request.

    Raises OSError or ssl.SSLError when the file of authorities cannot be read.
    """

    def __init__(self, options: TransportOptions, clock: Clock) -> None:
        self.closed = False
        """Whether no more can be sent."""
        self._options = options
        self._clock = clock
        self._tls = _tls(options)
        self._server_name = urlsplit(f"//{options.authority}").hostname if options.authority else None
        self._connectors: list[LineConnector] = []
        self._session: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None

    def send(self, request: HTTPRequest) -> Awaitable[aiohttp.ClientResponse]:
        """Send over the pool, wait for headers; raises what aiohttp raises."""
        if self._session is None:
            self._session = self._make_session(self._options.idle_connection_s)
        return _send(self._session, request, self._server_name)

    def send_fresh(self, request: HTTPRequest) -> Awaitable[aiohttp.ClientResponse]:
        """The same on a connection of its own, which is not kept."""
        if self._fresh is None:
            self._fresh = self._make_session(None)
        return _send(self._fresh, request, self._server_name)

    async def close(self) -> None:
        """Break every request and free everything."""
        self.closed = True
        # First, since closing a session waits for what a connection still has to write.
        for connector in self._connectors:
            connector.abort()
        for session in (self._session, self._fresh):
            if session is not None:
                await session.close()

    def _make_session(self, idle_s: float | None) -> aiohttp.ClientSession:
        connector = LineConnector(self._clock, tls=self._tls, idle_s=idle_s)
        self._connectors.append(connector)
        named = {"Host": self._options.authority} if self._options.authority else {}
        return aiohttp.ClientSession(
            connector=connector,
            headers={"Accept-Encoding": "identity", "User-Agent": USER_AGENT, **named},
            # Name, TCP, proxy and TLS together. The rest of a request is bounded by who waits for it.
            timeout=aiohttp.ClientTimeout(total=None, connect=self._options.connect_timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            proxy=self._options.proxy_url or None,
            auto_decompress=False,
            read_bufsize=READ_BUFFER_BYTES,
            max_line_size=HEADER_BYTES,
            max_field_size=HEADER_BYTES,
            max_headers=HEADER_COUNT,
        )


def _send(
    session: aiohttp.ClientSession, request: HTTPRequest, server_name: str | None
) -> Awaitable[aiohttp.ClientResponse]:
    body = request.body
    return session.request(
        request.method,
        URL(request.url, encoded=True),
        headers=request.headers,
        data=body if len(body) <= _PLAIN_BODY_BYTES else io.BytesIO(body),
        allow_redirects=False,
        server_hostname=server_name,
    )


def _tls(options: TransportOptions) -> ssl.SSLContext | bool:
    if not options.verify_tls:
        return False
    # Made here, once: reading authorities takes milliseconds.
    return ssl.create_default_context(cafile=options.ca_file) if options.ca_file else True
