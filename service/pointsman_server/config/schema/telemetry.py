"""Traces, metrics and logs."""

from __future__ import annotations

import enum

from pydantic import Field

from pointsman_server.config.schema.values import PositiveSeconds, SecretRef, Section, Share


class Otlp(Section):
    """Export of traces over OTLP/HTTP."""

    endpoint: str = Field(pattern=r"^https?://[^\s@?#]+$")
    """Base URL of the collector, as http://collector:4318; /v1/traces is added unless it ends so."""
    headers: dict[str, SecretRef] = Field(default_factory=dict, max_length=16)
    """Headers to send, values by reference."""
    timeout_s: PositiveSeconds = 2
    """Of one export."""
    queue_size: int = Field(default=8192, ge=1, le=1_000_000)
    """Spans that wait at most; more are dropped and counted."""
    batch_size: int = Field(default=512, ge=1, le=100_000)
    """Spans of one export at most; not above queue_size."""
    delay_s: PositiveSeconds = 1
    """Between exports."""


class LogLevel(enum.StrEnum):
    """The least that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Telemetry(Section):
    """Traces and logs; metrics are always on."""

    otlp: Otlp | None = None
    """Traces go nowhere without it."""
    sample_ratio: Share = 1.0
    """Share of new traces that are recorded; a caller's own decision is followed."""
    service_name: str = Field(default="pointsman", min_length=1, max_length=128)
    """service.name of all spans."""
    log_level: LogLevel = Field(default=LogLevel.INFO, strict=False)
    """The least that is logged."""
    access_log: bool = True
    """One line per call."""
    max_metric_series: int = Field(default=2000, ge=500, le=1_000_000)
    """The most time series that are kept; what comes later is counted under `_other`. A histogram takes 15 to 19 per
    label set."""
