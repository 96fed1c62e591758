"""A failed gRPC call -> its exception, from the details that the server sends, never from message texts."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from pointsman import v1
from pointsman.errors import Details, FieldViolation, PointsmanError, class_of

DOMAIN = "pointsman"
M = TypeVar("M", bound=Message)

# Without the server's word: what the core calls UNAVAILABLE never reached a model or broke on the way, a CANCELLED that
# nobody here asked for is a server that drains or drops calls, and what was late once may be in time again.
_RETRYABLE = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED}
)


class FailedCall(Protocol):
    """What both of gRPC's APIs raise."""

    def code(self) -> grpc.StatusCode:
        """The status."""

    def details(self) -> str | None:
        """Its message."""

    def trailing_metadata(self) -> Any:  # noqa: ANN401 -- the two APIs have nothing in common
        """What came with it: pairs of key and value, or None."""


def restore(call: FailedCall, request_id: str = "", *, content_delivered: bool = False) -> PointsmanError:
    """The exception for a failed call; the id and whether content came are the caller's own knowledge."""
    # Not dict(): the asyncio API's Metadata of grpcio 1.74 looks like a mapping to it, but its keys are pairs.
    trailers = {key: value for key, value in call.trailing_metadata() or ()}  # noqa: C416
    found = _Unpacked(trailers.get("grpc-status-details-bin", b""))
    details = found.details(call.code(), trailers.get("x-request-id") or request_id, content_delivered)
    message = found.status.message or call.details() or "no message"
    return class_of(details.reason, details.code)(message, details)


def restore_status(status: status_pb2.Status, request_id: str = "") -> PointsmanError:
    """The exception for a status that came inside a message, as those of a batch's items do."""
    found = _Unpacked(status.SerializeToString())
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    details = found.details(code, request_id, content_delivered=False)
    return class_of(details.reason, code)(status.message or "no message", details)


_CODES = {code.value[0]: code for code in grpc.StatusCode}


class _Unpacked:
    """The details of one status; what cannot be read counts as not sent."""

    def __init__(self, packed: bytes) -> None:
        self.status = status_pb2.Status()
        try:
            self.status.ParseFromString(packed)
        except DecodeError:
            self.status.Clear()

    def _first(self, kind: type[M]) -> M | None:
        found = kind()
        for packed in self.status.details:
            try:
                if packed.Unpack(found):
                    return found
            except DecodeError:
                return None
        return None

    def _reason(self) -> tuple[str, dict[str, str]]:
        info = self._first(error_details_pb2.ErrorInfo)
        return (info.reason, dict(info.metadata)) if info and info.domain == DOMAIN else ("", {})

    def details(self, code: grpc.StatusCode, request_id: str, content_delivered: bool) -> Details:
        reason, metadata = self._reason()
        request = self._first(error_details_pb2.RequestInfo)
        resource = self._first(error_details_pb2.ResourceInfo)
        failure = self._first(v1.Failure)
        return Details(
            reason=reason,
            code=code,
            request_id=request.request_id if request and request.request_id else request_id,
            retry_delay_s=self._retry_delay_s(),
            retryable=failure.retryable if failure else code in _RETRYABLE and not content_delivered,
            content_delivered=content_delivered or bool(failure and failure.content_delivered),
            cause=_cause(failure),
            field_violations=self._field_violations(),
            quota_violations=self._quota_violations(),
            resource=resource.resource_name if resource else "",
            attempts=tuple(failure.attempts) if failure else (),
            upstream=failure.upstream if failure and failure.HasField("upstream") else None,
            usage=failure.usage if failure and failure.HasField("usage") else None,
            metadata=metadata,
        )

    def _retry_delay_s(self) -> float | None:
        info = self._first(error_details_pb2.RetryInfo)
        return info.retry_delay.ToTimedelta().total_seconds() if info else None

    def _field_violations(self) -> tuple[FieldViolation, ...]:
        bad = self._first(error_details_pb2.BadRequest)
        return tuple(FieldViolation(v.field, v.description) for v in bad.field_violations) if bad else ()

    def _quota_violations(self) -> tuple[str, ...]:
        quota = self._first(error_details_pb2.QuotaFailure)
        return tuple(v.description or v.subject for v in quota.violations) if quota else ()


def _cause(failure: v1.Failure | None) -> str:
    if failure is None or not failure.cause or failure.cause not in v1.ErrorReason.values():
        return ""
    return v1.ErrorReason.Name(failure.cause).removeprefix("ERROR_REASON_")
