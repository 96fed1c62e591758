"""The service's telemetry: spans by OpenTelemetry, metrics for Prometheus, lines by structlog, behind the facade."""

from __future__ import annotations

import logging
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol
from urllib.parse import urlsplit

from pointsman_server.clock import Clock
from pointsman_server.context import Attempt, AttemptRecord, CallContext, RoutingReport, Span
from pointsman_server.domain import AnyCall, Usage, UsageSource
from pointsman_server.errors import Reason
from pointsman_server.telemetry import instruments as table
from pointsman_server.telemetry.facade import CallRecord
from pointsman_server.telemetry.instruments import Instrument
from pointsman_server.telemetry.logs import Log, LoggingBridge
from pointsman_server.telemetry.records import (
    OK,
    access_fields,
    attempt_attributes,
    call_attributes,
    operation,
    outcome,
    provider,
    result_attributes,
)
from pointsman_server.telemetry.redaction import Redactor, failure_fields
from pointsman_server.telemetry.registry import Metrics, Snapshot, Source
from pointsman_server.telemetry.sink import LineSink
from pointsman_server.telemetry.spans import RecordedSpan
from pointsman_server.telemetry.tracing import OtlpSettings, Tracing

LOOK_S = 0.25
"""How often the event loop's lag is looked at."""

EVENTS: Mapping[str, str] = {
    "started": "info",
    "stopped": "info",
    "draining": "info",
    "drained": "info",
    "config_reloaded": "info",
    "config_unchanged": "info",
    "config_refused": "error",
    "backend_ejected": "warning",
    "backend_probing": "info",
    "backend_recovered": "info",
    "backend_cooling_down": "warning",
    "backend_draining": "info",
    "backend_undrained": "info",
    "endpoints_changed": "info",
    "endpoints_refused": "error",
    "discovery_failed": "warning",
    "discovery_recovered": "info",
    "credentials_refused": "error",
    "credential_rests": "warning",
    "certificate_reloaded": "info",
    "certificate_refused": "error",
    "task_failed": "error",
    "worker_started": "info",
    "worker_ended": "warning",
    "worker_replaced": "error",
    "supervisor_gone": "error",
    "traces_lost": "warning",
    "traces_flow": "info",
}
"""Rare happenings and their level; another name is logged as a warning."""

_RELOAD_RESULTS = {
    "config_reloaded": "applied",
    "config_unchanged": "unchanged",
    "config_refused": "refused",
}


class Settings(Protocol):
    """What telemetry is told; the configuration's own section has this form."""

    @property
    def otlp(self) -> OtlpSettings | None:
        """Traces go nowhere without it."""

    @property
    def sample_ratio(self) -> float:
        """Share of new traces that are recorded."""

    @property
    def service_name(self) -> str:
        """Of all spans."""

    @property
    def log_level(self) -> str:
        """The least that is logged."""

    @property
    def access_log(self) -> bool:
        """One line per call."""

    @property
    def max_metric_series(self) -> int:
        """The most time series."""


@dataclass(frozen=True, slots=True)
class _Parts:
    metrics: Metrics
    tracing: Tracing
    log: Log
    bridge: LoggingBridge
    sink: LineSink


def build_telemetry(
    settings: Settings,
    clock: Clock,
    *,
    otlp_headers: Mapping[str, str] | None = None,
    secrets: Sequence[str] = (),
    version: str = "",
    worker: int | None = None,
    shared: bool = False,
    stream: BinaryIO | None = None,
) -> OtelTelemetry:
    """Telemetry as configured. `secrets` are hidden where a library logs them; lines go to `stream` (standard output).

    `worker` numbers the process in its lines; `shared` keeps lines whole where other processes write, too.
    Starts threads: to be called in the process that serves, after any fork.
    """
    sink = LineSink(stream if stream is not None else sys.stdout.buffer, shared=shared)
    common = {} if worker is None else {"worker": worker}
    log = Log(sink.write, clock, Redactor(secrets), level=settings.log_level, common=common)
    resource = {
        "service.name": settings.service_name,
        "service.version": version or "unknown",
        "service.instance.id": str(uuid.uuid4()),
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.language": "python",
    }
    tracing = Tracing(
        settings.otlp,
        sample_ratio=settings.sample_ratio,
        resource=resource,
        headers=otlp_headers or {},
        health_changed=lambda healthy, lost: log.line(
            "info" if healthy else "warning", "traces_flow" if healthy else "traces_lost", {"count": lost}
        ),
    )
    metrics = Metrics(max_series=settings.max_metric_series)
    metrics.read(table.SPANS, tracing.counts)
    metrics.read(table.LINES_DROPPED, lambda: [((), float(sink.dropped))])
    metrics.read(table.BUILD_INFO, lambda: [((version or "unknown",), 1.0)])
    bridge = LoggingBridge(log, clock, mute=("opentelemetry.exporter",))
    return OtelTelemetry(_Parts(metrics, tracing, log, bridge, sink), clock, access_log=settings.access_log)


class OtelTelemetry:
    """The facade's one implementation."""

    def __init__(self, parts: _Parts, clock: Clock, *, access_log: bool) -> None:
        self._parts = parts
        self._clock = clock
        self._access_log = access_log
        self._tracing = parts.tracing
        self._log = parts.log
        self._calls_in_flight = 0
        self._attempts_in_flight: dict[str, int] = {}
        self._addresses: dict[str, tuple[str, int]] = {}
        metrics = parts.metrics
        metrics.read(table.CALLS_IN_FLIGHT, lambda: [((), float(self._calls_in_flight))])
        metrics.read(table.ATTEMPTS_IN_FLIGHT, self._read_attempts)
        self._rpc_duration = metrics.histogram(table.RPC_DURATION)
        self._operation_duration = metrics.histogram(table.OPERATION_DURATION)
        self._first_chunk = metrics.histogram(table.FIRST_CHUNK)
        self._output_chunk = metrics.histogram(table.OUTPUT_CHUNK)
        self._token_usage = metrics.histogram(table.TOKEN_USAGE)
        self._queue_wait = metrics.histogram(table.QUEUE_WAIT)
        self._loop_lag = metrics.histogram(table.LOOP_LAG)
        self._calls = metrics.counter(table.CALLS)
        self._tokens = metrics.counter(table.TOKENS)
        self._cost = metrics.counter(table.COST)
        self._attempts = metrics.counter(table.ATTEMPTS)
        self._retries = metrics.counter(table.RETRIES)
        self._fallbacks = metrics.counter(table.FALLBACKS)

    def start_call(self, method: str, metadata: Mapping[str, str], request_id: str) -> Span:
        self._calls_in_flight += 1
        return self._tracing.server_span(method, metadata, request_id)

    def call_ended(self, record: CallRecord) -> None:
        self._calls_in_flight -= 1
        self._count_call(record)
        span = record.context.span
        if isinstance(span, RecordedSpan):
            for name, value in call_attributes(record).items():
                span.set(name, value)
        span.end(error_type="" if record.reason is None else record.reason.value, code=record.code)
        if record.reason is Reason.INTERNAL:
            self._log.access("error", access_fields(record))
        elif self._access_log:
            self._log.access("info", access_fields(record))

    def inner_ended(self, record: CallRecord, **fields: str | int) -> None:
        self._count_answer(record)
        line = {**access_fields(record), **fields}
        if record.reason is Reason.INTERNAL:
            self._log.access("error", line)
        elif self._access_log:
            self._log.access("info", line)

    def _count_call(self, record: CallRecord) -> None:
        self._rpc_duration.observe((record.context.method, record.code), record.duration_s)
        if not record.batch:
            self._count_answer(record)

    def _count_answer(self, record: CallRecord) -> None:
        report = record.report
        self._calls.add((table.OTHER if report is None else report.model, outcome(record.reason)))
        if report is None:
            return
        if report.queue_s > 0:
            self._queue_wait.observe((), report.queue_s)
        if report.fallback_used:
            self._fallbacks.add((report.model,))
        if len(report.attempts) > 1:
            self._count_retries(report)
        if report.usage is not None:
            self._count_tokens(record.context, report.model, report.usage)
        for attempt in report.attempts:
            if (cost := attempt.cost) is not None:
                self._cost.add(
                    (record.context.principal.name, report.model, cost.currency), max(0.0, cost.nanos / 1e9)
                )

    def _count_retries(self, report: RoutingReport) -> None:
        before = report.attempts[0]
        for attempt in report.attempts[1:]:
            same = attempt.target.place == before.target.place
            self._retries.add(
                (report.model, "hedge" if attempt.hedge else "same_backend" if same else "failover")
            )
            before = attempt

    def _count_tokens(self, context: CallContext, model: str, usage: Usage) -> None:
        principal = context.principal.name
        if usage.input_tokens:
            self._tokens.add((principal, model, "input"), usage.input_tokens)
        if usage.output_tokens:
            self._tokens.add((principal, model, "output"), usage.output_tokens)
        if usage.cached_input_tokens:
            self._tokens.add((principal, model, "cached_input"), usage.cached_input_tokens)
        if usage.cache_write_tokens:
            self._tokens.add((principal, model, "cache_write"), usage.cache_write_tokens)
        if usage.reasoning_tokens:
            self._tokens.add((principal, model, "reasoning"), usage.reasoning_tokens)

    def start_attempt(self, parent: Span, attempt: Attempt[AnyCall]) -> Span:
        backend = attempt.target.backend
        self._attempts_in_flight[backend] = self._attempts_in_flight.get(backend, 0) + 1
        if not isinstance(parent, RecordedSpan):
            return parent
        target = attempt.target
        address = _endpoint(target.endpoint) if target.endpoint else self._addresses.get(backend)
        attributes = attempt_attributes(attempt, address)
        return self._tracing.client_span(parent, f"{operation(attempt)} {target.model}", attributes)

    def attempt_ended(self, span: Span, attempt: Attempt[AnyCall], record: AttemptRecord) -> None:
        backend = attempt.target.backend
        self._attempts_in_flight[backend] = max(0, self._attempts_in_flight.get(backend, 0) - 1)
        self._count_attempt(attempt, record)
        if isinstance(span, RecordedSpan):
            for name, value in result_attributes(record).items():
                span.set(name, value)
            span.end(error_type="" if record.reason is None else record.reason.value)

    def _count_attempt(self, attempt: Attempt[AnyCall], record: AttemptRecord) -> None:
        target = attempt.target
        reason = outcome(record.reason)
        labels = (operation(attempt), provider(attempt), target.model)
        self._attempts.add((target.backend, reason))
        self._operation_duration.observe((*labels, "" if reason is OK else reason), record.latency_s)
        if attempt.stream and record.first_content_s is not None:
            self._first_chunk.observe(labels, record.first_content_s)
        usage = record.usage
        if usage is None or usage.source is not UsageSource.REPORTED:
            return
        if usage.input_tokens is not None:
            self._token_usage.observe((*labels, "input"), usage.input_tokens)
        if usage.output_tokens is None:
            return
        self._token_usage.observe((*labels, "output"), usage.output_tokens)
        if attempt.stream and record.first_content_s is not None and usage.output_tokens > 1:
            spread_s = max(0.0, record.latency_s - record.first_content_s)
            self._output_chunk.observe(labels, spread_s / (usage.output_tokens - 1))

    def event(self, name: str, **fields: str | float | bool | None) -> None:
        match name:
            case "backend_ejected":
                self._parts.metrics.counter(table.EJECTIONS).add((str(fields.get("backend", table.OTHER)),))
            case "discovery_failed":
                labels = (str(fields.get("backend", table.OTHER)), str(fields.get("reason", table.OTHER)))
                self._parts.metrics.counter(table.DISCOVERY_FAILURES).add(labels)
            case "credential_rests":
                labels = (str(fields.get("backend", table.OTHER)), str(fields.get("reason", table.OTHER)))
                self._parts.metrics.counter(table.CREDENTIAL_RESTS).add(labels)
            case "config_reloaded" | "config_unchanged" | "config_refused":
                self._parts.metrics.counter(table.RELOADS).add((_RELOAD_RESULTS[name],))
            case _:
                pass
        self._log.line(EVENTS.get(name, "warning"), name, fields)

    def failure(self, name: str, error: BaseException, **fields: str | float | bool | None) -> None:
        """An event with what may be told of an exception: its type and place."""
        self._log.line(EVENTS.get(name, "error"), name, {**fields, **failure_fields(error)})

    def metrics(self) -> tuple[bytes, str]:
        """Everything in Prometheus' text form, with its content type."""
        return self._parts.metrics.exposition()

    def snapshot(self) -> Snapshot:
        """Everything that was counted, to be handed to another process."""
        return self._parts.metrics.snapshot()

    def read(self, instrument: Instrument, source: Source) -> None:
        """Have a gauge of the table asked of a source at each scrape."""
        self._parts.metrics.read(instrument, source)

    def name_backends(self, urls: Mapping[str, str]) -> None:
        """Where the backends that are one place are, for spans; to be told again after a reload."""
        self._addresses = {
            name: address for name, url in urls.items() if (address := _address(url)) is not None
        }

    def reconfigure(self, settings: Settings) -> None:
        """Take over what can change while running: the log's level and the access lines."""
        self._access_log = settings.access_log
        self._log.set_level(settings.log_level)

    def capture_logging(self) -> None:
        """Take over what libraries log, until shutdown."""
        root = logging.getLogger()
        root.handlers[:] = [self._parts.bridge]
        root.setLevel(logging.WARNING)
        logging.captureWarnings(True)  # noqa: FBT003 - the library's signature.

    async def watch_loop(self) -> None:
        """Measures how late the event loop runs, for ever; to be run as a task."""
        while True:
            due = self._clock.now() + LOOK_S
            await self._clock.sleep(LOOK_S)
            self._loop_lag.observe((), max(0.0, self._clock.now() - due))

    def shutdown(self, timeout_s: float) -> None:
        """Send and write what waits, for about this long at most. Blocks."""
        self._tracing.shutdown(timeout_s * 0.8)
        root = logging.getLogger()
        if self._parts.bridge in root.handlers:
            root.removeHandler(self._parts.bridge)
        self._parts.sink.close(max(0.1, timeout_s * 0.2))

    def _read_attempts(self) -> list[tuple[tuple[str, ...], float]]:
        return [((backend,), float(count)) for backend, count in self._attempts_in_flight.items()]


def _address(url: str) -> tuple[str, int] | None:
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return None
    return (parts.hostname, port) if parts.hostname else None


def _endpoint(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
