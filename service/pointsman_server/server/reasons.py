"""What each Reason means for a caller: its gRPC code, its details, whether asking again can help. A row for each."""

from __future__ import annotations

from dataclasses import dataclass

import grpc

from pointsman_server.errors import Reason


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the contract's error table."""

    code: grpc.StatusCode
    retryable: bool = False
    """Failure.retryable where the provider did not decide it: the same call may succeed later, unchanged."""
    bad_request: bool = False
    """BadRequest with the fields at fault."""
    may_name_fields: bool = False
    """BadRequest where a field of the request is to blame."""
    retry_info: bool = False
    """RetryInfo with the wait."""
    quota: bool = False
    """QuotaFailure."""
    resource: bool = False
    """ResourceInfo with the name that was not found."""
    shed: bool = False
    """Refused before any work: a client's own retry is welcome, after the wait."""
    upstream: bool = False
    """A provider's fault: after content it becomes STREAM_INTERRUPTED."""

    @property
    def number(self) -> int:
        """The code as gRPC writes it."""
        number: int = self.code.value[0]
        return number


_C = grpc.StatusCode

ROWS: dict[Reason, Row] = {
    Reason.INVALID_REQUEST: Row(_C.INVALID_ARGUMENT, bad_request=True),
    Reason.UNSUPPORTED_PARAMETER: Row(_C.INVALID_ARGUMENT, bad_request=True),
    Reason.REQUEST_TOO_LARGE: Row(_C.INVALID_ARGUMENT, bad_request=True),
    Reason.UNAUTHENTICATED: Row(_C.UNAUTHENTICATED),
    Reason.MODEL_NOT_ALLOWED: Row(_C.PERMISSION_DENIED),
    Reason.MODEL_NOT_FOUND: Row(_C.NOT_FOUND, resource=True),
    Reason.QUOTA_EXCEEDED: Row(_C.RESOURCE_EXHAUSTED, retryable=True, quota=True, retry_info=True, shed=True),
    Reason.BUDGET_EXCEEDED: Row(_C.RESOURCE_EXHAUSTED, quota=True),
    Reason.ROUTER_OVERLOADED: Row(_C.UNAVAILABLE, retryable=True, retry_info=True, shed=True),
    Reason.QUEUE_TIMEOUT: Row(_C.UNAVAILABLE, retryable=True, retry_info=True, shed=True),
    Reason.SHUTTING_DOWN: Row(_C.UNAVAILABLE, retryable=True, retry_info=True, shed=True),
    Reason.NOT_IMPLEMENTED: Row(_C.UNIMPLEMENTED),
    Reason.NO_HEALTHY_BACKEND: Row(_C.UNAVAILABLE, retryable=True, retry_info=True, shed=True),
    Reason.NO_ELIGIBLE_BACKEND: Row(_C.FAILED_PRECONDITION, may_name_fields=True),
    Reason.DEADLINE_EXCEEDED: Row(_C.DEADLINE_EXCEEDED, retryable=True),
    Reason.CANCELLED: Row(_C.CANCELLED),
    Reason.INTERNAL: Row(_C.INTERNAL),
    Reason.UPSTREAM_RATE_LIMITED: Row(
        _C.RESOURCE_EXHAUSTED, retryable=True, retry_info=True, quota=True, upstream=True
    ),
    Reason.UPSTREAM_QUOTA_EXHAUSTED: Row(_C.RESOURCE_EXHAUSTED, quota=True, upstream=True),
    Reason.UPSTREAM_OVERLOADED: Row(_C.UNAVAILABLE, retryable=True, retry_info=True, upstream=True),
    Reason.UPSTREAM_UNAVAILABLE: Row(_C.UNAVAILABLE, retryable=True, retry_info=True, upstream=True),
    Reason.UPSTREAM_TIMEOUT: Row(_C.UNAVAILABLE, retryable=True, retry_info=True, upstream=True),
    Reason.UPSTREAM_UNREACHABLE: Row(_C.UNAVAILABLE, retryable=True, retry_info=True, upstream=True),
    Reason.UPSTREAM_TRUNCATED: Row(_C.UNAVAILABLE, retryable=True, retry_info=True, upstream=True),
    Reason.UPSTREAM_ERROR: Row(_C.INTERNAL, retryable=True, upstream=True),
    Reason.UPSTREAM_BAD_RESPONSE: Row(_C.INTERNAL, retryable=True, upstream=True),
    Reason.UPSTREAM_CREDENTIALS_INVALID: Row(_C.INTERNAL, upstream=True),
    Reason.UPSTREAM_PERMISSION_DENIED: Row(_C.PERMISSION_DENIED, upstream=True),
    Reason.UPSTREAM_MODEL_NOT_FOUND: Row(_C.NOT_FOUND, resource=True, upstream=True),
    Reason.UPSTREAM_REJECTED: Row(_C.INVALID_ARGUMENT, upstream=True),
    Reason.UPSTREAM_CONFLICT: Row(_C.ABORTED, upstream=True),
    Reason.UPSTREAM_UNIMPLEMENTED: Row(_C.UNIMPLEMENTED, upstream=True),
    Reason.CONTEXT_LENGTH_EXCEEDED: Row(_C.INVALID_ARGUMENT, bad_request=True, upstream=True),
    Reason.CONTENT_BLOCKED: Row(_C.INVALID_ARGUMENT, upstream=True),
    Reason.STREAM_INTERRUPTED: Row(_C.UNAVAILABLE, upstream=True),
}
