"""Every row of the contract's error table with a cause for it, and what its callers must be told."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from grpc import StatusCode

from tests.fakes import chat
from tests.fakes.replies import (
    Close,
    Reply,
    Reset,
    hang_before_headers,
    html_reply,
    stream_reply,
)

RETRY_AFTER = {"retry-after": "60"}
HIDDEN = "-1"
"""The pushback of what was retried here."""
SECRET = "s" * 32
"""Of the one key, `k1`."""
LIMITED: Mapping[str, Any] = {
    "mode": "api_key",
    "principals": [
        {
            "name": "limited",
            "api_keys": [{"id": "k1", "hash": f"sha256:{hashlib.sha256(SECRET.encode()).hexdigest()}"}],
            "models": [],
        }
    ],
}
"""A caller who may use nothing."""


@dataclass(frozen=True)
class Row:
    """One reason."""

    code: StatusCode
    reply: Reply | Callable[[Any], Reply] | None = None
    """Of the provider; None where it must not be asked."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Of the call."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of the service."""
    backend: Mapping[str, Any] = field(default_factory=dict)
    """Of the one backend."""
    extras: frozenset[str] = frozenset()
    """Further details."""
    retryable: bool = False
    pushback: str | None = None
    """The trailer; "wait" is a wait in ms."""
    attempts: int = 0
    """How many are made and told."""
    fields: tuple[str, ...] = ()
    """At fault."""
    status: int = 0
    """The upstream's, as told."""
    text: str = "hello"
    situation: str = ""
    """What must be arranged besides; see the test."""
    stream_only: bool = False
    unary_only: bool = False


def extras(*names: str) -> frozenset[str]:
    """Names of details."""
    return frozenset(names)


WAIT = extras("RetryInfo")
BAD = extras("BadRequest")
QUOTA = extras("QuotaFailure")
RESOURCE = extras("ResourceInfo")


def upstream(code: StatusCode, reply: Reply | Callable[[Any], Reply], **more: Any) -> Row:
    """A provider's fault, told after one attempt unless said otherwise."""
    return Row(code, reply, **{"attempts": 1, "pushback": HIDDEN, **more})


def broken_stream(_: object) -> Reply:
    """Content, then a reset."""
    return stream_reply(chat.BEGIN, chat.said("Hel"), Reset())


C = StatusCode

ROWS: Mapping[str, Row] = {
    "INVALID_REQUEST": Row(
        C.INVALID_ARGUMENT, params={"temperature": 9.0}, extras=BAD, fields=("generation.temperature",)
    ),
    "UNSUPPORTED_PARAMETER": Row(
        C.INVALID_ARGUMENT, params={"idempotency_key": "k"}, extras=BAD, fields=("idempotency_key",)
    ),
    "REQUEST_TOO_LARGE": Row(
        C.INVALID_ARGUMENT, settings={"server": {"max_request_bytes": 2048}}, text="x" * 4096, extras=BAD
    ),
    "UNAUTHENTICATED": Row(C.UNAUTHENTICATED, settings={"auth": LIMITED}),
    "MODEL_NOT_ALLOWED": Row(C.PERMISSION_DENIED, settings={"auth": LIMITED}, situation="with a key"),
    "MODEL_NOT_FOUND": Row(C.NOT_FOUND, params={"model": "nope"}, extras=RESOURCE),
    "ROUTER_OVERLOADED": Row(
        C.UNAVAILABLE, settings={"server": {"max_calls": 1}}, extras=WAIT, retryable=True, pushback="1000",
        situation="a call in progress",
    ),
    "QUEUE_TIMEOUT": Row(
        C.UNAVAILABLE, settings={"max_queue_time_s": 0.05}, backend={"max_concurrency": 1}, extras=WAIT,
        retryable=True, pushback="1000", situation="a call in progress",
    ),
    "SHUTTING_DOWN": Row(
        C.UNAVAILABLE, hang_before_headers(), settings={"server": {"drain": {"grace_s": 0.1}}}, extras=WAIT,
        retryable=True, pushback="1000", situation="stop", attempts=1,
    ),
    "NOT_IMPLEMENTED": Row(C.UNIMPLEMENTED, situation="explain", unary_only=True),
    "NO_HEALTHY_BACKEND": Row(
        C.UNAVAILABLE, chat.error_reply(429, headers=RETRY_AFTER), extras=WAIT, retryable=True, pushback="wait",
        situation="asked before",
    ),
    "NO_ELIGIBLE_BACKEND": Row(C.FAILED_PRECONDITION, params={"routing": {"deny_backends": ["only"]}}),
    "DEADLINE_EXCEEDED": Row(
        C.DEADLINE_EXCEEDED, hang_before_headers(), params={"timeout_s": 0.4}, retryable=True, attempts=1,
        pushback=HIDDEN,
    ),
    "INTERNAL": Row(C.INTERNAL, situation="a fault of ours", attempts=1, pushback=HIDDEN),
    "UPSTREAM_RATE_LIMITED": upstream(
        C.RESOURCE_EXHAUSTED, chat.error_reply(429, headers=RETRY_AFTER, code="rate_limit_exceeded"),
        extras=WAIT | QUOTA, retryable=True, status=429,
    ),
    "UPSTREAM_QUOTA_EXHAUSTED": upstream(
        C.RESOURCE_EXHAUSTED, chat.error_reply(429, headers=RETRY_AFTER, code="insufficient_quota"),
        extras=QUOTA, status=429,
    ),
    "UPSTREAM_OVERLOADED": upstream(
        C.UNAVAILABLE, chat.error_reply(529, headers=RETRY_AFTER), extras=WAIT, retryable=True, status=529
    ),
    "UPSTREAM_UNAVAILABLE": upstream(
        C.UNAVAILABLE, chat.error_reply(503), extras=WAIT, retryable=True, status=503, attempts=3
    ),
    "UPSTREAM_TIMEOUT": upstream(
        C.UNAVAILABLE, hang_before_headers(), backend={"timeouts": {"first_content_s": 0.1, "total_s": 0.2}},
        extras=WAIT, retryable=True,
    ),
    "UPSTREAM_UNREACHABLE": upstream(
        C.UNAVAILABLE, Reply(before=(Close(),)), extras=WAIT, retryable=True, attempts=3
    ),
    "UPSTREAM_TRUNCATED": upstream(
        C.UNAVAILABLE, stream_reply(chat.BEGIN, Close()), extras=WAIT, retryable=True, attempts=3, status=200
    ),
    "UPSTREAM_ERROR": upstream(
        C.INTERNAL, chat.error_reply(500), retryable=True, status=500, attempts=2
    ),
    "UPSTREAM_BAD_RESPONSE": upstream(C.INTERNAL, html_reply(), retryable=True, status=200, attempts=2),
    "UPSTREAM_CREDENTIALS_INVALID": upstream(
        C.INTERNAL, chat.error_reply(401, code="invalid_api_key"), status=401
    ),
    "UPSTREAM_PERMISSION_DENIED": upstream(C.PERMISSION_DENIED, chat.error_reply(403), status=403),
    "UPSTREAM_MODEL_NOT_FOUND": upstream(
        C.NOT_FOUND, chat.error_reply(404, code="model_not_found"), extras=RESOURCE, status=404
    ),
    "UPSTREAM_REJECTED": upstream(
        C.INVALID_ARGUMENT, chat.error_reply(400, type="invalid_request_error"), status=400
    ),
    "UPSTREAM_CONFLICT": upstream(C.ABORTED, chat.error_reply(409), status=409),
    "UPSTREAM_UNIMPLEMENTED": upstream(C.UNIMPLEMENTED, chat.error_reply(501), status=501),
    "CONTEXT_LENGTH_EXCEEDED": upstream(
        C.INVALID_ARGUMENT, chat.error_reply(400, code="context_length_exceeded"), extras=BAD, status=400
    ),
    "CONTENT_BLOCKED": upstream(
        C.INVALID_ARGUMENT, chat.error_reply(400, code="content_filter"), status=400
    ),
    "STREAM_INTERRUPTED": upstream(C.UNAVAILABLE, broken_stream, stream_only=True, status=200),
}  # fmt: skip

NOT_YET: Mapping[str, str] = {
    "QUOTA_EXCEEDED": "callers have no limits of ours yet",
    "BUDGET_EXCEEDED": "callers have no budgets of ours yet",
    "CANCELLED": "only its own core tells the caller: no status of ours reaches who has left",
}
"""Rows without a cause, and why."""
