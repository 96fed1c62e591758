"""A Telemetry that remembers what it was told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pointsman_server.context import Attempt, AttemptRecord, Span
from pointsman_server.telemetry.facade import CallRecord


@dataclass
class FakeSpan:
    """A span that only keeps what is put on it."""

    trace_id: str = ""
    attributes: dict[str, str | int | float | bool | tuple[str, ...]] = field(default_factory=dict)
    ends: list[str] = field(default_factory=list)

    def set(self, key: str, value: str | float | bool | tuple[str, ...]) -> None:
        """Keep it."""
        self.attributes[key] = value

    def headers(self) -> Mapping[str, str]:
        """No trace."""
        return {}

    def end(self, *, error_type: str = "", code: str = "") -> None:
        """Remember it."""
        self.ends.append(code)


@dataclass
class FakeTelemetry:
    """Everything it was told, in order."""

    calls: list[CallRecord] = field(default_factory=list)
    attempts: list[AttemptRecord] = field(default_factory=list)
    inner: list[tuple[dict[str, str | int], CallRecord]] = field(default_factory=list)
    events: list[tuple[str, dict[str, str | float | bool | None]]] = field(default_factory=list)
    started: int = 0

    def start_call(self, method: str, metadata: Mapping[str, str], request_id: str) -> Span:
        """A span of no trace."""
        self.started += 1
        return FakeSpan()

    def call_ended(self, record: CallRecord) -> None:
        """Remember it."""
        self.calls.append(record)

    def inner_ended(self, record: CallRecord, **fields: str | int) -> None:
        """Remember it."""
        self.inner.append((fields, record))

    def start_attempt(self, parent: Span, attempt: Attempt) -> Span:
        """A span of no trace."""
        return FakeSpan()

    def attempt_ended(self, span: Span, attempt: Attempt, record: AttemptRecord) -> None:
        """Remember it."""
        self.attempts.append(record)

    def event(self, name: str, **fields: str | float | bool | None) -> None:
        """Remember it."""
        self.events.append((name, fields))
