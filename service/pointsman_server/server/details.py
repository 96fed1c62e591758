"""A failed call -> google.rpc.Status with all its details, small enough for trailing metadata."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from pointsman import v1 as pb
from pointsman_server.context import AttemptRecord, RoutingReport
from pointsman_server.domain import Finished
from pointsman_server.errors import FieldFault, Reason, ServiceError, UpstreamFault
from pointsman_server.server.codec.answer import encode_usage
from pointsman_server.server.codec.clean import clean_text
from pointsman_server.server.codec.enums import PB_FINISH_REASONS, PB_REASONS
from pointsman_server.server.codec.routing import encode_attempts
from pointsman_server.server.codec.scalars import encode_duration, i32
from pointsman_server.server.reasons import ROWS, Row
from pointsman_server.values import value

DOMAIN = "pointsman"
MAX_STATUS_BYTES = 3072
"""Of the encoded Status. Base64 makes it 4 KiB in the trailer, and the message travels once more beside it,
percent-encoded; metadata above 8 KiB is refused at random."""
MAX_MESSAGE_BYTES = 512
MAX_UPSTREAM_MESSAGE = 256
MAX_FIELDS = 16
_MAX_WORD = 128
_MIN_WAIT_S = 1.0


@value(frozen=True, slots=True)
class Ending:
    """A call that failed, as far as its caller may know."""

    error: ServiceError
    request_id: str
    report: RoutingReport | None = None
    """None when the call failed before it was routed."""
    content_delivered: bool = False
    finished: Finished | None = None
    """The last ending that the provider told, where it told the failure as one."""

    @property
    def interrupted(self) -> bool:
        """Whether a provider failed in the middle of what its caller already sees."""
        return self.content_delivered and ROWS[self.error.reason].upstream

    @property
    def reason(self) -> Reason:
        """What the caller is told."""
        return Reason.STREAM_INTERRUPTED if self.interrupted else self.error.reason

    @property
    def cause(self) -> Reason:
        """The fault itself."""
        told, inner = self.error.reason, self.error.__cause__
        if told is Reason.STREAM_INTERRUPTED and isinstance(inner, ServiceError):
            return inner.reason
        return told

    @property
    def row(self) -> Row:
        """The contract's line for it."""
        return ROWS[self.reason]

    @property
    def wait_s(self) -> float:
        """How long to stay away: what was asked for, and never nothing."""
        asked = self.error.retry_after_s
        return _MIN_WAIT_S if asked is None else max(_MIN_WAIT_S, asked) if self.row.shed else max(0.0, asked)

    @property
    def last(self) -> AttemptRecord | None:
        """The last attempt, if one was made."""
        return self.report.attempts[-1] if self.report is not None and self.report.attempts else None


def encode_status(ending: Ending) -> status_pb2.Status:
    """The whole status, trimmed to its bound: first the oldest attempts go, then the longest texts."""
    failure = _failure(ending)
    extras = list(_extras(ending))
    message = bounded(ending.error.detail, MAX_MESSAGE_BYTES)
    status = _pack(ending, message, failure, extras)
    for shrink in _shrinking(failure, extras):
        if status.ByteSize() <= MAX_STATUS_BYTES:
            break
        shrink()
        status = _pack(ending, message, failure, extras)
    return status


def _shrinking(failure: pb.Failure, extras: list[Message]) -> Iterable[Callable[[], None]]:
    for _ in range(len(failure.attempts)):
        yield lambda: failure.attempts.__delitem__(0)
    yield lambda: failure.upstream.ClearField("message")
    yield extras.clear
    yield lambda: failure.ClearField("upstream")


def _pack(ending: Ending, message: str, failure: pb.Failure, extras: list[Message]) -> status_pb2.Status:
    status = status_pb2.Status(code=ending.row.number, message=message)
    info = error_details_pb2.ErrorInfo(reason=ending.reason.value, domain=DOMAIN, metadata=_metadata(ending))
    request = error_details_pb2.RequestInfo(request_id=ending.request_id)
    for detail in (info, request, failure, *extras):
        status.details.add().Pack(detail)
    return status


def _metadata(ending: Ending) -> dict[str, str]:
    report = ending.report
    if report is None:
        return {}
    target = ending.last.target if ending.last is not None else report.served
    known = {
        "backend": target.backend if target is not None else "",
        "provider": target.provider if target is not None else "",
        "model": report.model,
        "upstream_status": str(_upstream_status(ending) or ""),
        "attempts": str(len(report.attempts)),
    }
    return {key: bounded(value, _MAX_WORD) for key, value in known.items() if value}


def _upstream_status(ending: Ending) -> int:
    fault = ending.error.upstream
    if fault is not None and (fault.stream_status or fault.http_status):
        return fault.stream_status or fault.http_status
    return ending.last.http_status if ending.last is not None else 0


def _failure(ending: Ending) -> pb.Failure:
    error, failure = ending.error, pb.Failure()
    failure.cause = PB_REASONS[ending.cause]
    failure.retryable = _retryable(ending)
    failure.content_delivered = ending.content_delivered
    if error.upstream is not None:
        _encode_upstream(failure.upstream, error.upstream, error.retry_after_s)
    if ending.report is not None:
        usage = ending.report.usage or (ending.last.usage if ending.last is not None else None)
        if usage is not None:
            encode_usage(failure.usage, usage, ending.report.cost)
        encode_attempts(failure.attempts, ending.report.attempts)
    if ending.finished is not None:
        failure.finish_reason = PB_FINISH_REASONS[ending.finished.reason]
        failure.finish_reason_raw = bounded(ending.finished.raw, _MAX_WORD)
    return failure


def _retryable(ending: Ending) -> bool:
    if ending.content_delivered:
        return False
    fault = ending.error.upstream
    if fault is not None and fault.retryable is not None:
        return fault.retryable
    return ROWS[ending.cause].retryable


def _encode_upstream(message: pb.UpstreamFailure, fault: UpstreamFault, retry_after_s: float | None) -> None:
    message.http_status = i32(fault.http_status)
    message.stream_status = i32(fault.stream_status)
    message.code = bounded(fault.code, _MAX_WORD)
    message.type = bounded(fault.type, _MAX_WORD)
    message.message = clean_text(fault.message)[:MAX_UPSTREAM_MESSAGE]
    message.request_id = bounded(fault.request_id, _MAX_WORD)
    message.response_id = bounded(fault.response_id, _MAX_WORD)
    message.in_stream = fault.in_stream
    if retry_after_s is not None:
        encode_duration(message.retry_after, retry_after_s)


def _extras(ending: Ending) -> Iterable[Message]:
    row, error = ending.row, ending.error
    if row.bad_request or (row.may_name_fields and error.fields):
        bad = error_details_pb2.BadRequest()
        # A provider that refuses the request as a whole names no field.
        for fault in error.fields[:MAX_FIELDS] or (FieldFault("", error.detail),):
            bad.field_violations.add(
                field=bounded(fault.path, 2 * _MAX_WORD),
                description=bounded(fault.description, 2 * _MAX_WORD),
            )
        yield bad
    if row.retry_info:
        wait = error_details_pb2.RetryInfo()
        encode_duration(wait.retry_delay, ending.wait_s)
        yield wait
    if row.quota:
        subject = error.resource or (ending.last.target.backend if ending.last is not None else "")
        quota = error_details_pb2.QuotaFailure()
        quota.violations.add(
            subject=bounded(subject, _MAX_WORD), description=bounded(error.detail, 2 * _MAX_WORD)
        )
        yield quota
    if row.resource:
        yield error_details_pb2.ResourceInfo(
            resource_type="model",
            resource_name=bounded(
                error.resource or (ending.report.model if ending.report else ""), 2 * _MAX_WORD
            ),
        )


def bounded(text: str, max_bytes: int) -> str:
    """The text, clean and cut to a number of UTF-8 bytes at a character's edge."""
    data = text.encode("utf-8", "replace")
    return data[:max_bytes].decode("utf-8", "ignore")
