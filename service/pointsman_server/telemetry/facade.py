"""What the other rooms may tell telemetry. Every method is cheap, never blocks and never raises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from pointsman_server.context import Attempt, AttemptRecord, CallContext, RoutingReport, Span
from pointsman_server.domain import AnyCall
from pointsman_server.errors import Reason
from pointsman_server.values import value


@value(frozen=True, slots=True)
class CallRecord:
    """How one RPC ended, for its access line, its metrics and its span; made once per call by the server room."""

    context: CallContext
    code: str
    """gRPC status name, as OK or UNAVAILABLE."""
    reason: Reason | None
    duration_s: float
    report: RoutingReport | None
    """None when the call ended before it was routed."""
    request_bytes: int = 0
    messages_sent: int = 0
    cause: BaseException | None = None
    """What really happened; for the log of unexpected failures (type and place only, never its text)."""
    batch: bool = False
    """Whether its answers are those of items, which are told of one by one."""


class Telemetry(Protocol):
    """The one way out for what is observed."""

    def start_call(self, method: str, metadata: Mapping[str, str], request_id: str) -> Span:
        """The server span; parent from the caller's traceparent and tracestate, if well formed."""

    def call_ended(self, record: CallRecord) -> None:
        """Ends the server span, writes the access line, counts."""

    def inner_ended(self, record: CallRecord, **fields: str | int) -> None:
        """A call within a call has ended (an item of a batch, a summary): its access line, with these fields, and its
        counts; the span is that of the RPC and goes on.
        """

    def start_attempt(self, parent: Span, attempt: Attempt[AnyCall]) -> Span:
        """The client span of one attempt, child of the call's span."""

    def attempt_ended(self, span: Span, attempt: Attempt[AnyCall], record: AttemptRecord) -> None:
        """Ends the attempt's span and counts."""

    def event(self, name: str, **fields: str | float | bool | None) -> None:
        """A rare happening (backend ejected, configuration reloaded) as a log line; `name` from telemetry's table."""
