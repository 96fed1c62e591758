"""The narrow seam between dispatch and providers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from pointsman_server.context import Attempt
from pointsman_server.domain import Call, Event, Warning
from pointsman_server.errors import ServiceError
from pointsman_server.transport.contract import Headers, HTTPRequest

Batch = Sequence[Event]
"""The events that one network read yielded; may be empty (a keep-alive: progress, but nothing to tell)."""


class Decoder(Protocol):
    """One answer's bytes -> events. Made per attempt; keeps that attempt's state."""

    def feed(self, data: bytes) -> list[Event]:
        """Events that these bytes complete.

        Raises ServiceError for an error told inside the body and for bytes that cannot be an answer, and never
        anything else, whatever the bytes. Events decoded before the fault in the same read must not be lost:
        they are returned, and the fault is raised by the next `feed` or `close`.
        """

    def close(self) -> list[Event]:
        """The last events, after the body's clean end. Raises UPSTREAM_TRUNCATED when the answer ended short."""

    @property
    def ended(self) -> bool:
        """Whether the provider's end signal came: what follows is read to free the connection, and ignored."""


class Adapter(Protocol):
    """A dialect: a pure translator, no await, no clock, no randomness."""

    def request(self, attempt: Attempt) -> HTTPRequest:
        """The HTTP request, without credentials. MUST NOT mutate the call; encoding twice gives equal bytes.

        Raises ServiceError INVALID_REQUEST when the call cannot be expressed at all.
        """

    def decoder(self, attempt: Attempt, status: int, headers: Headers) -> Decoder:
        """A new decoder for a 2xx answer; it picks the framing from what came, not from what was asked."""

    def refusal(self, status: int, headers: Headers, body: bytes) -> ServiceError:
        """The provider's error in our vocabulary, with its retry-after."""


class Upstream(Protocol):
    """One backend, ready to be called."""

    def open(self, attempt: Attempt) -> AbstractAsyncContextManager[UpstreamAnswer]:
        """Send the attempt; yields when the upstream has accepted it (headers of a 2xx).

        Raises ServiceError for every fault of the upstream. MUST free everything synchronously on exit.
        """

    def unsupported(self, call: Call, model: str) -> Sequence[Warning]:
        """What of this call the backend cannot honour with this model of its own; pure, asked before an attempt."""

    def streams(self, *, stream: bool) -> bool:
        """Whether an attempt for a streaming (or unary) caller streams upstream.

        Where not, only connect and total timeouts apply.
        """

    async def close(self) -> None:
        """Free pools; leases have ended by then."""


class UpstreamAnswer(Protocol):
    """An accepted attempt: an iterator of batches, in the caller's task."""

    @property
    def http_status(self) -> int:
        """For the attempt's record; 0 where there is no HTTP."""

    @property
    def connect_s(self) -> float | None:
        """Seconds that connecting took; None where a connection was reused."""

    def __aiter__(self) -> AsyncIterator[Batch]:
        """Batches until the answer is complete. Raises ServiceError for a fault, also one told after 200.

        MUST be an object that leaving `open` finishes off, not a generator that only its collection would end.
        """

    def pause(self) -> None:
        """Let the kernel hold bytes back until the next batch is asked for."""
