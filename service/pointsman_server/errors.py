"""The closed vocabulary of failures: every room raises ServiceError with a Reason, and nothing else.

What a reason means for the caller, for a retry or for a breaker stands in tables keyed by it, never here.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field


class Reason(enum.StrEnum):
    """Why a call or an attempt failed; pinned to the contract's ErrorReason by a test."""

    INVALID_REQUEST = "INVALID_REQUEST"
    UNSUPPORTED_PARAMETER = "UNSUPPORTED_PARAMETER"
    REQUEST_TOO_LARGE = "REQUEST_TOO_LARGE"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    MODEL_NOT_ALLOWED = "MODEL_NOT_ALLOWED"
    MODEL_NOT_FOUND = "MODEL_NOT_FOUND"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    BUDGET_EXCEEDED = "BUDGET_EXCEEDED"
    ROUTER_OVERLOADED = "ROUTER_OVERLOADED"
    QUEUE_TIMEOUT = "QUEUE_TIMEOUT"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    NOT_IMPLEMENTED = "NOT_IMPLEMENTED"
    NO_HEALTHY_BACKEND = "NO_HEALTHY_BACKEND"
    NO_ELIGIBLE_BACKEND = "NO_ELIGIBLE_BACKEND"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    CANCELLED = "CANCELLED"
    INTERNAL = "INTERNAL"
    UPSTREAM_RATE_LIMITED = "UPSTREAM_RATE_LIMITED"
    UPSTREAM_QUOTA_EXHAUSTED = "UPSTREAM_QUOTA_EXHAUSTED"
    UPSTREAM_OVERLOADED = "UPSTREAM_OVERLOADED"
    UPSTREAM_UNAVAILABLE = "UPSTREAM_UNAVAILABLE"
    UPSTREAM_TIMEOUT = "UPSTREAM_TIMEOUT"
    UPSTREAM_UNREACHABLE = "UPSTREAM_UNREACHABLE"
    UPSTREAM_TRUNCATED = "UPSTREAM_TRUNCATED"
    UPSTREAM_ERROR = "UPSTREAM_ERROR"
    UPSTREAM_BAD_RESPONSE = "UPSTREAM_BAD_RESPONSE"
    UPSTREAM_CREDENTIALS_INVALID = "UPSTREAM_CREDENTIALS_INVALID"
    UPSTREAM_PERMISSION_DENIED = "UPSTREAM_PERMISSION_DENIED"
    UPSTREAM_MODEL_NOT_FOUND = "UPSTREAM_MODEL_NOT_FOUND"
    UPSTREAM_REJECTED = "UPSTREAM_REJECTED"
    UPSTREAM_CONFLICT = "UPSTREAM_CONFLICT"
    UPSTREAM_UNIMPLEMENTED = "UPSTREAM_UNIMPLEMENTED"
    CONTEXT_LENGTH_EXCEEDED = "CONTEXT_LENGTH_EXCEEDED"
    CONTENT_BLOCKED = "CONTENT_BLOCKED"
    STREAM_INTERRUPTED = "STREAM_INTERRUPTED"


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One field of the caller's request that is at fault; `path` is the contract's, as `tools[0].name`."""

    path: str
    description: str


@dataclass(frozen=True, slots=True)
class UpstreamFault:
    """What the provider itself said, as strings of its own; `message` is bounded and redacted by its maker."""

    http_status: int = 0
    stream_status: int = 0
    """A status told inside a stream that had begun with 200; 0 when there was none."""
    code: str = ""
    type: str = ""
    message: str = ""
    request_id: str = ""
    response_id: str = ""
    in_stream: bool = False
    retryable: bool | None = None
    """Whether the provider would take the same call again; None leaves it to the reason."""


@dataclass(eq=False)
class ServiceError(Exception):
    """The one exception of the service.

    `detail` is safe for the caller: no prompt, key, address or foreign exception text.
    A cause is chained with `from` and goes to logs only.
    """

    reason: Reason
    detail: str
    retry_after_s: float | None = field(default=None, kw_only=True)
    """The wait that the provider or a limit asks for."""
    upstream: UpstreamFault | None = field(default=None, kw_only=True)
    fields: tuple[FieldFault, ...] = field(default=(), kw_only=True)
    resource: str = field(default="", kw_only=True)
    """The name that was not found, for ResourceInfo."""

    def under(self, parent: str) -> ServiceError:
        """The same failure of a message that stands inside another, whose field it is."""
        return self.with_fields(lambda path: f"{parent}.{path}" if path else parent)

    def __str__(self) -> str:
        return f"{self.reason.value}: {self.detail}"

    def with_fields(self, rename: Callable[[str], str]) -> ServiceError:
        """The same failure, with its fields by other names; a detail that begins with the first one does so still."""
        told = copy(self)
        told.fields = tuple(FieldFault(rename(field.path), field.description) for field in self.fields)
        first = self.fields[0].path if self.fields else ""
        if first and self.detail.startswith(first):
            told.detail = rename(first) + self.detail.removeprefix(first)
        told.__cause__ = self.__cause__
        return told
