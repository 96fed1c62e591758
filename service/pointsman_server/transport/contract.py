"""What the rest of the service may ask of HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import field
from typing import Protocol

from pointsman_server.values import value

Headers = Mapping[str, str]
"""Header names are lower-case; of a repeated header the first value stands."""


@value(frozen=True, slots=True)
class HTTPRequest:
    """One request, complete: absolute URL, all headers that matter, the body's bytes."""

    method: str
    url: str
    headers: Headers
    body: bytes = b""


@value(frozen=True, slots=True)
class BodyLimits:
    """Bounds on what an upstream may send."""

    body_bytes: int = 64 * 1024 * 1024
    """Of a whole answer after decompression, streams included."""
    error_body_bytes: int = 64 * 1024
    """Of an error answer; the rest is not read."""
    event_bytes: int = 4 * 1024 * 1024
    """Of one event of a stream, and of one line."""


class HTTPResponse(Protocol):
    """An answer whose headers have come."""

    @property
    def status(self) -> int:
        """The status code."""

    @property
    def headers(self) -> Headers:
        """Lower-case names."""

    @property
    def connect_s(self) -> float | None:
        """Seconds that a new connection took; None on a reused one."""

    async def read(self) -> bytes:
        """All bytes that are there, at least one; b"" at the body's clean end.

        Raises ServiceError: UPSTREAM_TRUNCATED when the body is cut off, UPSTREAM_BAD_RESPONSE when it
        passes a limit or cannot be decompressed.
        """

    def pause(self) -> None:
        """Take no more bytes from the socket until `resume`, so that the kernel batches."""

    def resume(self) -> None:
        """End a pause."""


class Transport(Protocol):
    """Requests to one backend over one pool of connections."""

    def open(self, request: HTTPRequest) -> AbstractAsyncContextManager[HTTPResponse]:
        """Send the request and wait for the answer's headers.

        MUST free the connection synchronously on exit (cleanup may run where nothing can be awaited): reused
        when the body was read to its end, closed otherwise. Redirects are not followed: a 3xx is an answer.
        Raises ServiceError: UPSTREAM_UNREACHABLE before any answer, UPSTREAM_BAD_RESPONSE for bytes that are
        not HTTP or pass a limit. Waiting is bounded by the connect timeout and by whoever cancels. Sent once, and
        once more only where the pooled connection that it went out on turns out to have been dead.
        """

    async def close(self) -> None:
        """Close the pool; requests in flight break."""


@value(frozen=True, slots=True)
class TransportOptions:
    """How one backend is reached."""

    connect_timeout_s: float = 2.0
    idle_connection_s: float = 15.0
    """A pooled connection older than this is not reused; below the upstream's own keep-alive time."""
    authority: str = ""
    """`host[:port]` that requests name, and the name that TLS asks for and verifies, in place of the URL's own: where
    URLs hold the address of one of several servers."""
    proxy_url: str = ""
    ca_file: str = ""
    """PEM file of certificate authorities that replaces the system's."""
    verify_tls: bool = True
    limits: BodyLimits = field(default_factory=BodyLimits)
