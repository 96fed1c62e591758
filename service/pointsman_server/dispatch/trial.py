"""One attempt while it runs: what came of it, closed exactly once with one record."""

from __future__ import annotations

from collections.abc import Sequence

from pointsman_server.context import Attempt, AttemptRecord, Span
from pointsman_server.dispatch.commit import commits
from pointsman_server.dispatch.contract import BackendHandle
from pointsman_server.domain import Event, Finished, Opened, Usage, UsageReport
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.routing.plan import Candidate
from pointsman_server.upstreams.contract import UpstreamAnswer


class Trial:
    """Collects the facts of one attempt; no decisions."""

    __slots__ = (
        "answer", "attempt", "candidate", "closed", "first_content_at", "free", "finish_reasons", "handle", "opened",
        "probe", "span", "started_at", "streams", "tokens", "usage",
    )  # fmt: skip

    def __init__(
        self, candidate: Candidate, attempt: Attempt, handle: BackendHandle, span: Span, *, started_at: float,
        probe: bool, free: bool, tokens: int,
    ) -> None:  # fmt: skip
        self.candidate = candidate
        self.attempt = attempt
        self.handle = handle
        self.span = span
        self.started_at = started_at
        self.probe = probe
        self.free = free
        self.tokens = tokens
        self.streams = handle.upstream.streams(stream=attempt.stream)
        self.answer: UpstreamAnswer | None = None
        self.opened: Opened | None = None
        self.usage: Usage | None = None
        self.first_content_at: float | None = None
        self.finish_reasons: tuple[str, ...] = ()
        self.closed = False

    def saw(self, batch: Sequence[Event], now: float) -> None:
        """Note what a batch tells beside its content."""
        if self.first_content_at is None and commits(batch):
            self.first_content_at = now
        for event in batch:
            if isinstance(event, UsageReport):
                self.usage = event.usage
            elif isinstance(event, Opened):
                self.opened = event
            elif isinstance(event, Finished):
                self.finish_reasons = (*self.finish_reasons, event.raw or event.reason.value.lower())

    def record(self, error: ServiceError | None, reason: Reason | None, now: float) -> AttemptRecord:
        """The attempt as it ended."""
        upstream = error.upstream if error is not None else None
        status = self.answer.http_status if self.answer is not None else 0
        first = self.first_content_at
        return AttemptRecord(
            number=self.attempt.number,
            target=self.attempt.target,
            reason=reason,
            latency_s=now - self.started_at,
            http_status=upstream.http_status if upstream is not None and upstream.http_status else status,
            retry_delay_s=error.retry_after_s if error is not None else None,
            connect_s=self.answer.connect_s if self.answer is not None else None,
            first_content_s=None if first is None else first - self.started_at,
            usage=self.usage,
            detail=error.detail if error is not None else "",
            opened=self.opened,
            finish_reasons=self.finish_reasons,
            upstream=upstream,
        )
