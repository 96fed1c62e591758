"""Spans and their way to the collector. Decides early who is recorded, so that the others cost next to nothing.

A collector that is slow, silent or gone holds nothing up: the queue is bounded, and what does not fit is counted.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from pointsman_server.telemetry import conventions as names
from pointsman_server.telemetry.records import Attributes
from pointsman_server.telemetry.spans import IdSpan, RecordedSpan
from pointsman_server.telemetry.trace_context import Parent, parent_of

_LOW_BITS = 2**64 - 1


class OtlpSettings(Protocol):
    """Where traces go; the configuration's own section has this form."""

    @property
    def endpoint(self) -> str:
        """Base URL of the collector."""

    @property
    def timeout_s(self) -> float:
        """Of one export."""

    @property
    def queue_size(self) -> int:
        """Spans that wait at most."""

    @property
    def batch_size(self) -> int:
        """Spans of one export at most."""

    @property
    def delay_s(self) -> float:
        """Between exports."""


class Tracing:
    """Makes spans. Without `otlp` it only passes ids on."""

    def __init__(
        self,
        otlp: OtlpSettings | None,
        *,
        sample_ratio: float,
        resource: Mapping[str, str],
        headers: Mapping[str, str],
        health_changed: Callable[[bool, int], None],
    ) -> None:
        self._ids = _Ids()
        self._bound = TraceIdRatioBased.get_bound_for_rate(sample_ratio)
        self._exporter: _Exporter | None = None
        self._queue: _Queue | None = None
        self._provider: TracerProvider | None = None
        if otlp is None:
            return
        self._exporter = _Exporter(
            OTLPSpanExporter(_traces_url(otlp.endpoint), timeout=otlp.timeout_s, headers=dict(headers)),
            health_changed,
        )
        self._queue = _Queue(self._exporter, otlp)
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(sample_ratio)),
            resource=Resource(dict(resource)),
            shutdown_on_exit=False,
            id_generator=self._ids,
            span_limits=SpanLimits(
                max_span_attributes=64, max_span_attribute_length=256, max_events=0, max_links=0
            ),
        )
        self._provider.add_span_processor(self._queue)
        self._tracer = self._provider.get_tracer("pointsman")

    def server_span(self, method: str, metadata: Mapping[str, str], request_id: str) -> IdSpan | RecordedSpan:
        """The span of a call; the caller's trace goes on if its headers are well formed."""
        parent = parent_of(metadata)
        trace_id = random.getrandbits(128) if parent is None else 0
        recorded = parent.sampled if parent is not None else (trace_id & _LOW_BITS) < self._bound
        if self._provider is None or not recorded:
            return self._unrecorded(parent, trace_id)
        self._ids.next_trace_id = trace_id
        span = self._tracer.start_span(
            method,
            context=_context(parent),
            kind=SpanKind.SERVER,
            attributes={names.RPC_SYSTEM: "grpc", names.RPC_METHOD: method, names.REQUEST_ID: request_id},
            record_exception=False,
            set_status_on_exception=False,
        )
        return RecordedSpan(span, server=True, tracestate=parent.tracestate if parent else "")

    def _unrecorded(self, parent: Parent | None, trace_id: int) -> IdSpan:
        if parent is None:
            return IdSpan(f"{trace_id:032x}", f"{random.getrandbits(64):016x}", sampled=False, tracestate="")
        # There is no span of ours between the caller's and the backend's, so the caller's stays the parent.
        return IdSpan(parent.trace_id, parent.span_id, sampled=parent.sampled, tracestate=parent.tracestate)

    def client_span(self, parent: RecordedSpan, name: str, attributes: Attributes) -> RecordedSpan:
        """The span of an attempt, child of its call's."""
        span = self._tracer.start_span(
            name,
            context=set_span_in_context(parent.sdk, Context()),
            kind=SpanKind.CLIENT,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        )
        return RecordedSpan(span, server=False, tracestate=parent.tracestate)

    def counts(self) -> list[tuple[tuple[str, ...], float]]:
        """Spans by what became of them."""
        if self._exporter is None or self._queue is None:
            return []
        return [
            (("exported",), self._exporter.exported),
            (("export_failed",), self._exporter.failed),
            (("queue_full",), self._queue.refused),
        ]

    def shutdown(self, timeout_s: float) -> None:
        """Send what waits, for as long as is allowed. The SDK's own shutdown may take 30 s, so it is left behind."""
        if self._provider is None:
            return
        thread = threading.Thread(target=self._provider.shutdown, name="traces-shutdown", daemon=True)
        thread.start()
        thread.join(timeout_s)


def _traces_url(endpoint: str) -> str:
    endpoint = endpoint.rstrip("/")
    return endpoint if endpoint.endswith("/v1/traces") else f"{endpoint}/v1/traces"


def _context(parent: Parent | None) -> Context:
    """An explicit context, so that whatever the task has attached plays no part."""
    if parent is None:
        return Context()
    span_context = SpanContext(
        int(parent.trace_id, 16),
        int(parent.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
        trace_state=TraceState.from_header([parent.tracestate]) if parent.tracestate else None,
    )
    return set_span_in_context(NonRecordingSpan(span_context), Context())


class _Ids(RandomIdGenerator):
    """Gives a new trace the id on which it was decided that it is recorded."""

    next_trace_id = 0

    def generate_trace_id(self) -> int:
        return self.next_trace_id or super().generate_trace_id()


class _Exporter(SpanExporter):
    """Counts what arrives and what is lost; tells when the collector goes or comes back. Runs in the SDK's thread."""

    def __init__(self, inner: SpanExporter, health_changed: Callable[[bool, int], None]) -> None:
        self._inner = inner
        self._health_changed = health_changed
        self._healthy = True
        self.taken = self.exported = self.failed = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.taken += len(spans)
        result = self._inner.export(spans)
        healthy = result is SpanExportResult.SUCCESS
        if healthy:
            self.exported += len(spans)
        else:
            self.failed += len(spans)
        if healthy != self._healthy:
            self._healthy = healthy
            self._health_changed(healthy, self.failed)
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()


class _Queue(BatchSpanProcessor):
    """The SDK's queue, but it refuses when full, quietly and counted, where the SDK would log for every span."""

    def __init__(self, exporter: _Exporter, otlp: OtlpSettings) -> None:
        super().__init__(
            exporter,
            max_queue_size=otlp.queue_size,
            schedule_delay_millis=otlp.delay_s * 1000,
            max_export_batch_size=otlp.batch_size,
        )
        self._counted = exporter
        self._most = otlp.queue_size
        self._entered = 0
        self.refused = 0

    def on_end(self, span: ReadableSpan) -> None:
        if self._entered - self._counted.taken >= self._most:
            self.refused += 1
            return
        self._entered += 1
        super().on_end(span)
