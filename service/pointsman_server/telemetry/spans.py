"""The two kinds of span that other rooms hold: recorded by the SDK, or only carrying ids. Neither is ever attached."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry.trace import Span as SdkSpan
from opentelemetry.trace import Status, StatusCode

from pointsman_server.telemetry.conventions import ATTRIBUTES, ERROR_TYPE, RPC_STATUS, SERVER_ERRORS
from pointsman_server.telemetry.trace_context import headers_for

MAX_TEXT = 256


class IdSpan:
    """Not recorded: the ids that logs carry and that are sent on. Its attempts share it."""

    __slots__ = ("_sampled", "_span_id", "_tracestate", "trace_id")

    def __init__(self, trace_id: str, span_id: str, *, sampled: bool, tracestate: str) -> None:
        self.trace_id = trace_id
        self._span_id = span_id
        self._sampled = sampled
        self._tracestate = tracestate

    def set(self, key: str, value: str | float | bool | tuple[str, ...]) -> None:
        """Nothing to put it on."""

    def headers(self) -> Mapping[str, str]:
        return headers_for(self.trace_id, self._span_id, sampled=self._sampled, tracestate=self._tracestate)

    def end(self, *, error_type: str = "", code: str = "") -> None:
        """Nothing to close."""


class RecordedSpan:
    """Recorded: leads to the collector once it has ended."""

    __slots__ = ("_ended", "_server", "_tracestate", "sdk", "trace_id")

    def __init__(self, sdk: SdkSpan, *, server: bool, tracestate: str) -> None:
        self.sdk = sdk
        self.trace_id = f"{sdk.get_span_context().trace_id:032x}"
        self._server = server
        self._tracestate = tracestate
        self._ended = False

    @property
    def tracestate(self) -> str:
        """As the caller sent it."""
        return self._tracestate

    def set(self, key: str, value: str | float | bool | tuple[str, ...]) -> None:
        if key in ATTRIBUTES and not self._ended:
            self.sdk.set_attribute(key, _text(value) if isinstance(value, str) else value)

    def headers(self) -> Mapping[str, str]:
        span_id = f"{self.sdk.get_span_context().span_id:016x}"
        return headers_for(self.trace_id, span_id, sampled=True, tracestate=self._tracestate)

    def end(self, *, error_type: str = "", code: str = "") -> None:
        if self._ended:
            return
        self._ended = True
        if code:
            self.sdk.set_attribute(RPC_STATUS, code)
        if error_type:
            self.sdk.set_attribute(ERROR_TYPE, error_type)
        if code in SERVER_ERRORS if self._server else error_type:
            self.sdk.set_status(Status(StatusCode.ERROR))
        self.sdk.end()


def _text(value: str) -> str:
    """Bounded, and such that it can be encoded: one bad attribute would lose the whole batch."""
    value = value[:MAX_TEXT]
    return value if value.isascii() else value.encode(errors="replace").decode()
