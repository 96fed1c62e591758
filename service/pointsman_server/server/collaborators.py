"""What the gRPC boundary needs from the rest of the service, as protocols that `app` fills in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from pointsman_server.context import CallContext, Principal, RoutingReport
from pointsman_server.domain import Answer, Call, CountCall, EmbedCall, Embeddings, Event, TokenCount
from pointsman_server.routing.view import BackendInfo, ModelInfo

C = TypeVar("C", Call, EmbedCall, CountCall)


class Reporting(Protocol):
    """One call on its way."""

    def report(self) -> RoutingReport:
        """Where it went so far; may be asked at any time, also after a failure."""


class Embedding(Reporting, Protocol):
    """A call for vectors on its way; consumed once, in the caller's task."""

    async def embed(self) -> Embeddings:
        """The vectors. Raises ServiceError."""


class Counting(Reporting, Protocol):
    """A call for a count on its way; consumed once, in the caller's task."""

    async def count(self) -> TokenCount:
        """The count. Raises ServiceError."""


class Dispatched(Reporting, Protocol):
    """A question on its way: consumed once, either whole or as a stream, in the caller's task."""

    async def complete(self) -> Answer:
        """The whole answer. Raises ServiceError."""

    def __aiter__(self) -> AsyncIterator[Sequence[Event]]:
        """Batches of events, from the first content on; each is what one network read yielded. Raises ServiceError."""

    def pause(self) -> None:
        """Let the kernel hold bytes back until the next batch is asked for."""


class Dispatch(Protocol):
    """The way to the backends."""

    def open(self, call: Call, context: CallContext) -> AbstractAsyncContextManager[Dispatched]:
        """Plan the call and get ready to walk the plan. Leaving frees everything, synchronously where it must.

        Raises ServiceError on entry when the call cannot be planned.
        """

    def embed(self, call: EmbedCall, context: CallContext) -> AbstractAsyncContextManager[Embedding]:
        """As `open`, for vectors."""

    def count_tokens(self, call: CountCall, context: CallContext) -> AbstractAsyncContextManager[Counting]:
        """As `open`, for a count."""


class Admission(Protocol):
    """The gate."""

    def enter(self, call: C, context: CallContext) -> AbstractAsyncContextManager[C]:
        """Validate, check access, take a place; yields the call with the model's defaults. Raises ServiceError."""


class Authenticator(Protocol):
    """Who calls."""

    def authenticate(self, metadata: Mapping[str, str], peer_identities: Sequence[str]) -> Principal:
        """The principal of this metadata (lower-case keys) or of the verified client certificate's names.

        Raises ServiceError UNAUTHENTICATED, with one text for every cause.
        """


class Catalog(Protocol):
    """What can be asked for."""

    def models(self, principal: Principal) -> Sequence[ModelInfo]:
        """The models that this principal may use, by name."""

    def model(self, name: str, principal: Principal) -> ModelInfo:
        """One of them, by name or alias. Raises ServiceError MODEL_NOT_FOUND or MODEL_NOT_ALLOWED."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a configuration."""

    path: str
    line: int
    message: str


@dataclass(frozen=True, slots=True)
class ReloadOutcome:
    """What a reload did."""

    applied: bool
    config_hash: str
    faults: tuple[Fault, ...]


class Control(Protocol):
    """What operators may see and do, in all processes of the service."""

    async def backends(self, model: str) -> Sequence[BackendInfo]:
        """All backends by name, or those of one model. Raises ServiceError MODEL_NOT_FOUND."""

    async def drain(self, backend: str, reason: str) -> BackendInfo:
        """Give a backend no further calls; running ones finish. Raises ServiceError as `undrain` does."""

    async def undrain(self, backend: str) -> BackendInfo:
        """Give it calls again. Raises ServiceError INVALID_REQUEST for a name that no backend has."""

    async def reload(self, *, validate_only: bool) -> ReloadOutcome:
        """Read the configuration again; keeps the old one when the new has a fault."""
