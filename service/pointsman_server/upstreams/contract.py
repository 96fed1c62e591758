"""The narrow seam between dispatch and providers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Generic, Protocol, TypeAlias

from typing_extensions import TypeVar

from pointsman_server.context import Attempt
from pointsman_server.domain import (
    AnyCall,
    Call,
    CountCall,
    EmbedCall,
    Embeddings,
    Event,
    Opened,
    Usage,
    Warning,
)
from pointsman_server.errors import ServiceError
from pointsman_server.transport.contract import Headers, HTTPRequest
from pointsman_server.values import value

C_contra = TypeVar("C_contra", bound=AnyCall, default=Call, contravariant=True)
T_co = TypeVar("T_co", default=Event, covariant=True)
A_contra = TypeVar("A_contra", bound=AnyCall, contravariant=True)
R_co = TypeVar("R_co", covariant=True)

Batch = Sequence[Event]
"""The events that one network read yielded; may be empty (a keep-alive: progress, but nothing to tell)."""


class Decoder(Protocol[T_co]):
    """One answer's bytes -> events. Made per attempt; keeps that attempt's state."""

    def feed(self, data: bytes) -> Sequence[T_co]:
        """Events that these bytes complete.

        Raises ServiceError for an error told inside the body and for bytes that cannot be an answer, and never
        anything else, whatever the bytes. Events decoded before the fault in the same read must not be lost:
        they are returned, and the fault is raised by the next `feed` or `close`.
        """

    def close(self) -> Sequence[T_co]:
        """The last events, after the body's clean end. Raises UPSTREAM_TRUNCATED when the answer ended short."""

    @property
    def ended(self) -> bool:
        """Whether the provider's end signal came: what follows is read to free the connection, and ignored."""


class Adapter(Protocol[C_contra, T_co]):
    """A dialect: a pure translator, no await, no clock, no randomness."""

    def request(self, attempt: Attempt[C_contra]) -> HTTPRequest:
        """The HTTP request, without credentials. MUST NOT mutate the call; encoding twice gives equal bytes.

        Raises ServiceError INVALID_REQUEST when the call cannot be expressed at all.
        """

    def decoder(self, attempt: Attempt[C_contra], status: int, headers: Headers) -> Decoder[T_co]:
        """A new decoder for a 2xx answer; it picks the framing from what came, not from what was asked."""

    def refusal(self, status: int, headers: Headers, body: bytes) -> ServiceError:
        """The provider's error in our vocabulary, with its retry-after."""


@value(frozen=True, slots=True)
class Reply(Generic[R_co]):
    """What was asked for, where it comes in one piece."""

    value: R_co
    usage: Usage | None = None
    opened: Opened | None = None
    """What the upstream said of its answer."""
    http_status: int = 0
    """0 where there is no HTTP."""
    connect_s: float | None = None
    """Seconds that connecting took; None where a connection was reused."""


class Inquiry(Protocol[A_contra, R_co]):
    """A dialect's second interface, for what is answered by one document: vectors, a count. Pure, as an Adapter is."""

    def request(self, attempt: Attempt[A_contra]) -> HTTPRequest:
        """As an Adapter's."""

    def answer(
        self, attempt: Attempt[A_contra], status: int, headers: Headers, body: bytes
    ) -> Reply[R_co] | HTTPRequest:
        """What the whole body of a 2xx answer says; or a further request that must be asked first.

        Raises ServiceError for an error told inside the body and for what cannot be an answer, and never anything
        else, whatever the bytes.
        """

    def refusal(self, status: int, headers: Headers, body: bytes) -> ServiceError:
        """As an Adapter's."""


class Asker(Protocol[A_contra, R_co]):
    """A backend's way to answer such a question."""

    async def ask(self, attempt: Attempt[A_contra]) -> Reply[R_co]:
        """Ask and wait. Raises ServiceError for every fault of the upstream. Nothing is left behind on any exit."""


Embedder: TypeAlias = Asker[EmbedCall, Embeddings]
TokenCounter: TypeAlias = Asker[CountCall, int]


class Upstream(Protocol):
    """One backend, ready to be called."""

    def open(self, attempt: Attempt) -> AbstractAsyncContextManager[UpstreamAnswer]:
        """Send the attempt; yields when the upstream has accepted it (headers of a 2xx).

        Raises ServiceError for every fault of the upstream. MUST free everything synchronously on exit.
        """

    @property
    def embedder(self) -> Embedder | None:
        """Who makes vectors there; None: nobody."""

    @property
    def counter(self) -> TokenCounter | None:
        """Who counts tokens there with the model's own tokenizer; None: nobody."""

    def unsupported(self, call: AnyCall, model: str) -> Sequence[Warning]:
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
