"""One CLIENT span around each call, and its context in the metadata, where OpenTelemetry is installed; else nothing.

The span is never made current: a caller's loop over a stream runs in the caller's own context.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pointsman.errors import PointsmanError
from pointsman.version import __version__

if TYPE_CHECKING:
    from opentelemetry.trace import Span


class CallSpan(Protocol):
    """What a call tells about itself."""

    def inject(self, metadata: dict[str, str]) -> None:
        """Puts the trace context into the metadata."""

    def end(self, error: BaseException | None = None) -> None:
        """The call is over; only the first end counts."""


class _NoSpan:
    def inject(self, metadata: dict[str, str]) -> None:
        pass

    def end(self, error: BaseException | None = None) -> None:
        pass


class _OtelSpan:
    def __init__(self, span: Span) -> None:
        self._span = span

    def inject(self, metadata: dict[str, str]) -> None:
        from opentelemetry import propagate, trace

        propagate.inject(metadata, context=trace.set_span_in_context(self._span))

    def end(self, error: BaseException | None = None) -> None:
        if not self._span.is_recording():
            return  # Ended already: whoever leaves a stream comes after its end. (One that is not sampled has no end.)
        from opentelemetry.trace import Status, StatusCode

        if isinstance(error, PointsmanError):
            self._span.set_attribute("rpc.response.status_code", error.code.name)
            self._span.set_attribute("error.type", error.reason or error.code.name)
            # No message: a provider's words may quote the prompt, and traces are kept by others.
            self._span.set_status(Status(StatusCode.ERROR))
        elif error is None:
            self._span.set_attribute("rpc.response.status_code", "OK")
        else:
            self._span.set_attribute("rpc.response.status_code", "CANCELLED")
        self._span.end()


def start_span(service: str, method: str, *, target: str, model: str) -> CallSpan:
    """A span for one call; a span of nothing where OpenTelemetry is not installed."""
    try:
        from opentelemetry import trace
    except ImportError:
        return _NoSpan()
    attributes = {"rpc.system.name": "grpc", "rpc.method": f"{service}/{method}", "server.address": target}
    if model:
        attributes["gen_ai.request.model"] = model
    tracer = trace.get_tracer("pointsman", __version__)
    return _OtelSpan(
        tracer.start_span(f"{service}/{method}", kind=trace.SpanKind.CLIENT, attributes=attributes)
    )
