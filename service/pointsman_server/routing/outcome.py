"""What an attempt's end says about the backend, as one table keyed by Reason."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from pointsman_server.errors import Reason


class Outcome(enum.Enum):
    """How a breaker reads an attempt."""

    SUCCESS = "success"
    FAILURE = "failure"
    NEUTRAL = "neutral"
    """Says nothing about the backend."""
    COOL_MODEL = "cool_model"
    """The model at this backend takes no calls for a while."""
    COOL_BACKEND = "cool_backend"
    """The whole backend takes no calls for a while: its quota or its credential is at fault."""


OUTCOMES: Mapping[Reason, Outcome] = {
    Reason.INVALID_REQUEST: Outcome.NEUTRAL,
    Reason.UNSUPPORTED_PARAMETER: Outcome.NEUTRAL,
    Reason.REQUEST_TOO_LARGE: Outcome.SUCCESS,
    Reason.UNAUTHENTICATED: Outcome.NEUTRAL,
    Reason.MODEL_NOT_ALLOWED: Outcome.NEUTRAL,
    Reason.MODEL_NOT_FOUND: Outcome.NEUTRAL,
    Reason.QUOTA_EXCEEDED: Outcome.NEUTRAL,
    Reason.BUDGET_EXCEEDED: Outcome.NEUTRAL,
    Reason.ROUTER_OVERLOADED: Outcome.NEUTRAL,
    Reason.QUEUE_TIMEOUT: Outcome.NEUTRAL,
    Reason.SHUTTING_DOWN: Outcome.NEUTRAL,
    Reason.NOT_IMPLEMENTED: Outcome.NEUTRAL,
    Reason.NO_HEALTHY_BACKEND: Outcome.NEUTRAL,
    Reason.NO_ELIGIBLE_BACKEND: Outcome.NEUTRAL,
    Reason.DEADLINE_EXCEEDED: Outcome.NEUTRAL,
    Reason.CANCELLED: Outcome.NEUTRAL,
    Reason.INTERNAL: Outcome.NEUTRAL,
    Reason.UPSTREAM_RATE_LIMITED: Outcome.COOL_MODEL,
    Reason.UPSTREAM_QUOTA_EXHAUSTED: Outcome.COOL_BACKEND,
    Reason.UPSTREAM_OVERLOADED: Outcome.COOL_MODEL,
    Reason.UPSTREAM_UNAVAILABLE: Outcome.FAILURE,
    Reason.UPSTREAM_TIMEOUT: Outcome.FAILURE,
    Reason.UPSTREAM_UNREACHABLE: Outcome.FAILURE,
    Reason.UPSTREAM_TRUNCATED: Outcome.FAILURE,
    Reason.UPSTREAM_ERROR: Outcome.FAILURE,
    Reason.UPSTREAM_BAD_RESPONSE: Outcome.FAILURE,
    Reason.UPSTREAM_CREDENTIALS_INVALID: Outcome.COOL_BACKEND,
    Reason.UPSTREAM_PERMISSION_DENIED: Outcome.NEUTRAL,
    Reason.UPSTREAM_MODEL_NOT_FOUND: Outcome.NEUTRAL,
    Reason.UPSTREAM_REJECTED: Outcome.SUCCESS,
    Reason.UPSTREAM_CONFLICT: Outcome.SUCCESS,
    Reason.UPSTREAM_UNIMPLEMENTED: Outcome.SUCCESS,
    Reason.CONTEXT_LENGTH_EXCEEDED: Outcome.SUCCESS,
    Reason.CONTENT_BLOCKED: Outcome.SUCCESS,
    Reason.STREAM_INTERRUPTED: Outcome.FAILURE,
}


def outcome_of(reason: Reason | None) -> Outcome:
    """How the breaker reads an attempt that ended so; None is a served one."""
    return Outcome.SUCCESS if reason is None else OUTCOMES[reason]
