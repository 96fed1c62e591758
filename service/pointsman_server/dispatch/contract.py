"""What dispatch needs of one configuration: who may be called, how patiently, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pointsman_server.context import Target
from pointsman_server.dispatch.budget import BudgetRules
from pointsman_server.dispatch.retry import RetryRules
from pointsman_server.routing.plan import FleetView
from pointsman_server.upstreams.contract import Upstream


@dataclass(frozen=True, slots=True)
class AttemptTimeouts:
    """Bounds on one attempt, in seconds; connecting is bounded by the transport."""

    first_content_s: float
    idle_s: float
    total_s: float


class BackendHandle(Protocol):
    """One backend, ready for attempts."""

    @property
    def upstream(self) -> Upstream:
        """Where attempts go."""

    @property
    def timeouts(self) -> AttemptTimeouts:
        """How patient attempts are."""

    @property
    def propagate_trace(self) -> bool:
        """Whether trace context is sent along."""


class Snapshot(FleetView, Protocol):
    """One configuration's plan; a call takes it once and holds it to its end, so that no backend closes under it."""

    def acquire(self) -> None:
        """A call begins."""

    def release(self) -> None:
        """It ended."""

    @property
    def retry(self) -> RetryRules:
        """How to go on after a failure."""

    @property
    def max_attempts_limit(self) -> int:
        """The most attempts that a call may ask for."""

    @property
    def budget(self) -> BudgetRules:
        """How much may be retried."""

    @property
    def max_queue_time_s(self) -> float:
        """The longest wait for a free place."""

    def handle(self, target: Target) -> BackendHandle:
        """The backend, or the endpoint of a backend, that a candidate names."""
