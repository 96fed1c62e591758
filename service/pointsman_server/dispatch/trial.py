"""One attempt while it runs: what came of it, closed exactly once with one record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic

from typing_extensions import TypeVar

from pointsman_server.context import Attempt, AttemptRecord, Span
from pointsman_server.dispatch.commit import commits
from pointsman_server.dispatch.counting import settled
from pointsman_server.dispatch.patience import Patience
from pointsman_server.dispatch.pricing import cost_of
from pointsman_server.domain import AnyCall, Call, Delta, Event, Finished, Opened, Usage, UsageReport
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.routing.breaker import UNSEEN
from pointsman_server.routing.plan import Candidate
from pointsman_server.upstreams.contract import Reply, Upstream, UpstreamAnswer

C = TypeVar("C", bound=AnyCall, default=Call)


class Trial(Generic[C]):
    """Collects the facts of one attempt; no decisions."""

    __slots__ = (
        "answer", "attempt", "candidate", "characters", "connect_s", "finish_reasons", "first_content_at",
        "http_status", "opened", "patience", "span", "started_at", "ticket", "upstream", "usage",
    )  # fmt: skip

    def __init__(
        self, candidate: Candidate, attempt: Attempt[C], upstream: Upstream, patience: Patience, span: Span, *,
        started_at: float,
    ) -> None:  # fmt: skip
        self.candidate = candidate
        self.attempt = attempt
        self.upstream = upstream
        self.patience = patience
        self.span = span
        self.started_at = started_at
        self.ticket = UNSEEN
        self.answer: UpstreamAnswer | None = None
        self.opened: Opened | None = None
        self.usage: Usage | None = None
        """The last that was told; once the attempt has ended, settled."""
        self.characters = 0
        """Of content that came."""
        self.first_content_at: float | None = None
        self.finish_reasons: tuple[str, ...] = ()
        self.http_status = 0
        self.connect_s: float | None = None

    def heard(self, reply: Reply[object]) -> None:
        """Note what an answer in one document tells beside its value."""
        self.opened, self.usage = reply.opened, reply.usage
        self.http_status, self.connect_s = reply.http_status, reply.connect_s

    def saw(self, batch: Sequence[Event], now: float) -> None:
        """Note what a batch tells beside its content."""
        if self.first_content_at is None and commits(batch):
            self.first_content_at = now
        for event in batch:
            if type(event) is Delta:
                self.characters += len(event.text)
                continue
            if type(event) is UsageReport:
                self.usage = event.usage
            elif type(event) is Opened:
                self.opened = event
            elif type(event) is Finished:
                self.finish_reasons = (*self.finish_reasons, event.raw or event.reason.value.lower())

    def patient_until(self, now: float) -> float:
        """When it has been waited for long enough."""
        patience = self.patience
        return patience.before_content if self.first_content_at is None else patience.after_content(now)

    def timed_out(self, now: float) -> ServiceError:
        """What to say when it was not."""
        return self.patience.verdict(now, content=self.first_content_at is not None)

    def lesson(self, reason: Reason | None, now: float) -> Reason | None:
        """What the backend's book learns from an end for this reason."""
        if reason is not Reason.UPSTREAM_TIMEOUT:
            return reason
        hasty = self.patience.hasty(now, content=self.first_content_at is not None)
        return Reason.CANCELLED if hasty else reason

    def record(self, error: ServiceError | None, reason: Reason | None, now: float) -> AttemptRecord:
        """The attempt as it ended; its usage is settled by this."""
        self.usage = settled(self.usage, self.attempt.call, self.characters, complete=reason is None)
        upstream = error.upstream if error is not None else None
        status, connect_s = self.http_status, self.connect_s
        if self.answer is not None:
            status, connect_s = self.answer.http_status, self.answer.connect_s
        first = self.first_content_at
        return AttemptRecord(
            number=self.attempt.number,
            target=self.attempt.target,
            reason=reason,
            latency_s=now - self.started_at,
            http_status=upstream.http_status if upstream is not None and upstream.http_status else status,
            retry_delay_s=error.retry_after_s if error is not None else None,
            connect_s=connect_s,
            first_content_s=None if first is None else first - self.started_at,
            usage=self.usage,
            cost=cost_of(self.usage, self.candidate.view.prices),
            detail=error.detail if error is not None else "",
            opened=self.opened,
            finish_reasons=self.finish_reasons,
            upstream=upstream,
        )
