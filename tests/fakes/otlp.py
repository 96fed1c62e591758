"""A collector on loopback that speaks real OTLP/HTTP: keeps the spans that come, or takes connections in silence."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

Value = str | int | float | bool | list[str]


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """One span as it came over the wire."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: str
    """SERVER, CLIENT, ..."""
    error: bool
    status_message: str
    attributes: dict[str, Value]
    events: int
    trace_state: str
    resource: dict[str, Value] = field(default_factory=dict)


class OtlpReceiver:
    """`with OtlpReceiver() as collector: ... collector.wait_for(2)`. With `silent` no request is ever answered."""

    def __init__(self, *, silent: bool = False) -> None:
        self.silent = silent
        self.requests = 0
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self._spans: list[ReceivedSpan] = []
        self._arrived = threading.Condition()
        self._released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        """Base URL, as a configuration names it."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def spans(self) -> list[ReceivedSpan]:
        """All spans so far."""
        with self._arrived:
            return list(self._spans)

    def wait_for(self, count: int, timeout_s: float = 10) -> list[ReceivedSpan]:
        """The spans, once there are so many. Raises TimeoutError."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self._spans) >= count, timeout_s):
                raise TimeoutError(f"{len(self._spans)} of {count} spans came")
            return list(self._spans)

    def take(self, headers: dict[str, str], body: bytes) -> None:
        """One export."""
        request = ExportTraceServiceRequest.FromString(body)
        spans = [
            _received(span, _values(list(scoped.resource.attributes)))
            for scoped in request.resource_spans
            for scope in scoped.scope_spans
            for span in scope.spans
        ]
        with self._arrived:
            self.requests += 1
            self.headers.append(headers)
            self.bodies.append(body)
            self._spans += spans
            self._arrived.notify_all()

    def hold(self) -> None:
        """Block a request's thread until the collector closes."""
        self._released.wait()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                if receiver.silent:
                    receiver.hold()
                    return
                receiver.take({name.lower(): value for name, value in self.headers.items()}, body)
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200 if self.path == "/v1/traces" else 404)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name.
                """Nothing: tests read what came, not a log of it."""

        return Handler

    def __enter__(self) -> OtlpReceiver:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _received(span: WireSpan, resource: dict[str, Value]) -> ReceivedSpan:
    return ReceivedSpan(
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        kind=WireSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        error=span.status.code == 2,
        status_message=span.status.message,
        attributes=_values(list(span.attributes)),
        events=len(span.events),
        trace_state=span.trace_state,
        resource=resource,
    )


def _values(pairs: list[KeyValue]) -> dict[str, Value]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Value:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [item.string_value for item in value.array_value.values]
    found: Value = getattr(value, kind) if kind else ""
    return found
