"""What goes wrong, as exceptions that a caller can act on: one class per way to react, one table by reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import grpc

from pointsman import v1


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field of the request that is at fault."""

    field: str
    description: str


@dataclass(frozen=True, slots=True)
class Details:
    """What came with a failure besides its words."""

    reason: str = ""
    """The contract's ErrorReason without its prefix; empty when the gRPC core itself failed the call."""
    code: grpc.StatusCode = grpc.StatusCode.UNKNOWN
    request_id: str = ""
    retry_delay_s: float | None = None
    retryable: bool = False
    content_delivered: bool = False
    cause: str = ""
    """The fault itself; differs from `reason` only for STREAM_INTERRUPTED."""
    field_violations: tuple[FieldViolation, ...] = ()
    quota_violations: tuple[str, ...] = ()
    resource: str = ""
    """The name that was not found."""
    attempts: tuple[v1.Attempt, ...] = ()
    upstream: v1.UpstreamFailure | None = None
    usage: v1.Usage | None = None
    """Tokens that were spent nevertheless, as far as known."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Backend, provider, model and others, as the server tells them for a person."""


class PointsmanError(Exception):
    """A call failed. Every failure of a call is one of these; the subclasses say what to do about it."""

    def __init__(self, message: str, details: Details | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details or Details()

    def __reduce__(self) -> tuple[type[PointsmanError], tuple[str, Details]]:
        return type(self), (self.message, self.details)

    def __str__(self) -> str:
        known = [f"request id {self.request_id}"] if self.request_id else []
        known += [f"retry after {self.retry_delay_s:g} s"] if self.retry_delay_s is not None else []
        tail = f" ({', '.join(known)})" if known else ""
        return f"{self.reason or self.code.name}: {self.message}{tail}"

    @property
    def reason(self) -> str:
        """The contract's ErrorReason without its prefix; empty when the gRPC core itself failed the call."""
        return self.details.reason

    @property
    def cause(self) -> str:
        """The fault behind the reason; differs from it only for STREAM_INTERRUPTED."""
        return self.details.cause or self.details.reason

    @property
    def code(self) -> grpc.StatusCode:
        """The gRPC status code."""
        return self.details.code

    @property
    def request_id(self) -> str:
        """The call's id, for whoever runs the server."""
        return self.details.request_id

    @property
    def retry_delay_s(self) -> float | None:
        """The wait that the server or the provider asks for, in seconds; None when neither does."""
        return self.details.retry_delay_s

    @property
    def retryable(self) -> bool:
        """Whether the same call may be made again as if nothing had happened; never once content was delivered."""
        return self.details.retryable

    @property
    def content_delivered(self) -> bool:
        """Whether content came before the failure; it stays valid, and asking again pays for it again."""
        return self.details.content_delivered

    @property
    def field_violations(self) -> tuple[FieldViolation, ...]:
        """The request's fields that are at fault."""
        return self.details.field_violations

    @property
    def attempts(self) -> tuple[v1.Attempt, ...]:
        """What the server tried, in order."""
        return self.details.attempts

    @property
    def upstream(self) -> v1.UpstreamFailure | None:
        """What the provider said, if it said anything."""
        return self.details.upstream

    @property
    def metadata(self) -> Mapping[str, str]:
        """Backend, provider, model and others, as the server tells them."""
        return self.details.metadata


class InvalidRequest(PointsmanError):
    """The request is wrong: mend it. `field_violations` names the field where one is at fault."""


class ContextLengthExceeded(InvalidRequest):
    """Prompt and answer do not fit the model's context: shorten, or ask a model with a larger one."""


class ContentBlocked(PointsmanError):
    """A content filter refused the request. Asking again gives the same."""


class Unauthenticated(PointsmanError):
    """The API key is missing or wrong."""


class PermissionDenied(PointsmanError):
    """The key is good, but does not allow this."""


class ModelNotFound(PointsmanError):
    """No such model; `Client.models` tells which there are."""


class ResourceExhausted(PointsmanError):
    """A limit is reached; the subclasses say whether waiting helps."""


class RateLimited(ResourceExhausted):
    """Too much in too little time: wait `retry_delay_s`, then ask again."""


class QuotaExhausted(ResourceExhausted):
    """A budget, quota or credit is used up. Waiting does not help: somebody has to raise it."""


class Unavailable(PointsmanError):
    """Not now. The server has tried what it could; ask again after a pause."""


class Overloaded(Unavailable):
    """Load is being shed, by the server or the provider: back off."""


class ConnectionFailed(Unavailable):
    """The server was not reached, or the connection broke. Whether the call was carried out is not known."""


class StreamInterrupted(Unavailable):
    """The answer broke off after content had come. What came stays valid."""


class StreamTruncated(StreamInterrupted):
    """The stream ended as if all were well, but the answer is not whole."""


class NoEligibleBackend(PointsmanError):
    """Allow and deny lists, strictness or capabilities leave no backend for this request."""


class Conflict(PointsmanError):
    """The provider reports a conflict with its state."""


class Unimplemented(PointsmanError):
    """The server or the provider cannot do this."""


class DeadlineExceeded(PointsmanError, TimeoutError):
    """The call's own deadline passed."""


class Cancelled(PointsmanError):
    """The call was cancelled, but not by this program's own leaving of it."""


class ServerError(PointsmanError):
    """A fault of the server. Tell whoever runs it the request id."""


class UpstreamError(ServerError):
    """A fault of the provider, or of the server's account with it."""


BY_REASON: Mapping[str, type[PointsmanError]] = {
    "INVALID_REQUEST": InvalidRequest,
    "UNSUPPORTED_PARAMETER": InvalidRequest,
    "REQUEST_TOO_LARGE": InvalidRequest,
    "UNAUTHENTICATED": Unauthenticated,
    "MODEL_NOT_ALLOWED": PermissionDenied,
    "MODEL_NOT_FOUND": ModelNotFound,
    "QUOTA_EXCEEDED": RateLimited,
    "BUDGET_EXCEEDED": QuotaExhausted,
    "ROUTER_OVERLOADED": Overloaded,
    "QUEUE_TIMEOUT": Overloaded,
    "SHUTTING_DOWN": Unavailable,
    "NOT_IMPLEMENTED": Unimplemented,
    "NO_HEALTHY_BACKEND": Unavailable,
    "NO_ELIGIBLE_BACKEND": NoEligibleBackend,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "CANCELLED": Cancelled,
    "INTERNAL": ServerError,
    "UPSTREAM_RATE_LIMITED": RateLimited,
    "UPSTREAM_QUOTA_EXHAUSTED": QuotaExhausted,
    "UPSTREAM_OVERLOADED": Overloaded,
    "UPSTREAM_UNAVAILABLE": Unavailable,
    "UPSTREAM_TIMEOUT": Unavailable,
    "UPSTREAM_UNREACHABLE": Unavailable,
    "UPSTREAM_TRUNCATED": Unavailable,
    "UPSTREAM_ERROR": UpstreamError,
    "UPSTREAM_BAD_RESPONSE": UpstreamError,
    "UPSTREAM_CREDENTIALS_INVALID": UpstreamError,
    "UPSTREAM_PERMISSION_DENIED": PermissionDenied,
    "UPSTREAM_MODEL_NOT_FOUND": ModelNotFound,
    "UPSTREAM_REJECTED": InvalidRequest,
    "UPSTREAM_CONFLICT": Conflict,
    "UPSTREAM_UNIMPLEMENTED": Unimplemented,
    "CONTEXT_LENGTH_EXCEEDED": ContextLengthExceeded,
    "CONTENT_BLOCKED": ContentBlocked,
    "STREAM_INTERRUPTED": StreamInterrupted,
}
"""Every reason of the contract; a test proves it complete."""

BY_CODE: Mapping[grpc.StatusCode, type[PointsmanError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequest,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.NOT_FOUND: ModelNotFound,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.FAILED_PRECONDITION: NoEligibleBackend,
    grpc.StatusCode.ABORTED: Conflict,
    grpc.StatusCode.UNIMPLEMENTED: Unimplemented,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.CANCELLED: Cancelled,
}
"""For a reason that is newer than this library, and for failures without any; others are ServerError."""


def class_of(reason: str, code: grpc.StatusCode) -> type[PointsmanError]:
    """The exception for a failure. Without a reason, UNAVAILABLE is the connection's own."""
    if not reason and code is grpc.StatusCode.UNAVAILABLE:
        return ConnectionFailed
    return BY_REASON.get(reason) or BY_CODE.get(code, ServerError)


def truncated(message: str, request_id: str, *, content_delivered: bool) -> StreamTruncated:
    """The stream ended OK, yet short."""
    return StreamTruncated(
        message,
        Details(
            code=grpc.StatusCode.UNAVAILABLE,
            request_id=request_id,
            retryable=not content_delivered,
            content_delivered=content_delivered,
        ),
    )
