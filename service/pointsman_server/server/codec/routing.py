"""RoutingReport -> RoutingInfo, Attempt and Started."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer

from pointsman import v1 as pb
from pointsman_server.context import AttemptRecord, RoutingReport
from pointsman_server.server.codec.enums import PB_REASONS
from pointsman_server.server.codec.scalars import encode_duration, i32
from pointsman_server.server.reasons import ROWS

MAX_ATTEMPTS_TOLD = 5
"""Of a longer list the earliest are left out."""


def encode_routing(message: pb.RoutingInfo, report: RoutingReport, request_id: str) -> None:
    """Write where a call went."""
    message.request_id = request_id
    served = report.served
    if served is not None:
        message.backend, message.provider, message.upstream_model = (
            served.backend,
            served.provider,
            served.model,
        )
    if report.opened is not None:
        message.upstream_request_id = report.opened.upstream_request_id
        message.service_tier = report.opened.service_tier
    encode_attempts(message.attempts, report.attempts)
    message.policy = report.policy
    message.decision_reason = report.decision_reason
    message.fallback_used = report.fallback_used
    _encode_timings(message.timings, report)


def _encode_timings(timings: pb.Timings, report: RoutingReport) -> None:
    encode_duration(timings.queue, report.queue_s)
    if report.attempts and report.attempts[-1].reason is None:
        # A pooled connection took no time to make, which is a fact to tell, not a gap.
        encode_duration(timings.connect, report.attempts[-1].connect_s or 0.0)
    if report.first_content_s is not None:
        encode_duration(timings.first_token, report.first_content_s)
    encode_duration(timings.total, report.total_s)


def encode_attempts(
    messages: RepeatedCompositeFieldContainer[pb.Attempt], attempts: Sequence[AttemptRecord]
) -> None:
    """Add the latest attempts in order."""
    for attempt in attempts[-MAX_ATTEMPTS_TOLD:]:
        _encode_attempt(messages.add(), attempt)


def _encode_attempt(message: pb.Attempt, attempt: AttemptRecord) -> None:
    message.number = attempt.number
    message.backend = attempt.target.backend
    message.model = attempt.target.model
    if attempt.reason is not None:
        message.code = ROWS[attempt.reason].number
        message.reason = PB_REASONS[attempt.reason]
    encode_duration(message.latency, attempt.latency_s)
    if attempt.retry_delay_s is not None:
        encode_duration(message.retry_delay, attempt.retry_delay_s)
    if attempt.http_status:
        message.http_status = i32(attempt.http_status)
    if attempt.hedge:
        message.hedge = True


def encode_started(message: pb.Started, report: RoutingReport, *, include_attempts: bool) -> None:
    """Write which backend answers, as known at the first content."""
    message.model = report.model
    if report.served is not None:
        message.backend, message.provider = report.served.backend, report.served.provider
    failed = [attempt for attempt in report.attempts if attempt.reason is not None]
    message.attempt = failed[-1].number + 1 if failed else 1
    if include_attempts:
        encode_attempts(message.attempts, failed)
