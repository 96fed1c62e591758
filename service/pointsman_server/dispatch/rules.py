"""What each reason allows before the commit point, as tables keyed by Reason: whether to try again, and where. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from pointsman_server.errors import Reason


class Rule(enum.Enum):
    """What a failure allows, before the commit point."""

    NEVER = "not again"
    OTHER = "only another backend"
    OTHER_THEN_SAME = "another backend first, then any when the wait fits"
    ANY = "another or the same"
    ANY_ONCE = "another or the same, once"
    LARGER = "only a target with a larger context"


RULES: Mapping[Reason, Rule] = {
    Reason.INVALID_REQUEST: Rule.NEVER,
    Reason.UNSUPPORTED_PARAMETER: Rule.NEVER,
    Reason.REQUEST_TOO_LARGE: Rule.NEVER,
    Reason.UNAUTHENTICATED: Rule.NEVER,
    Reason.MODEL_NOT_ALLOWED: Rule.NEVER,
    Reason.MODEL_NOT_FOUND: Rule.NEVER,
    Reason.QUOTA_EXCEEDED: Rule.NEVER,
    Reason.BUDGET_EXCEEDED: Rule.NEVER,
    Reason.ROUTER_OVERLOADED: Rule.NEVER,
    Reason.QUEUE_TIMEOUT: Rule.NEVER,
    Reason.SHUTTING_DOWN: Rule.NEVER,
    Reason.NOT_IMPLEMENTED: Rule.NEVER,
    Reason.NO_HEALTHY_BACKEND: Rule.NEVER,
    Reason.NO_ELIGIBLE_BACKEND: Rule.NEVER,
    Reason.DEADLINE_EXCEEDED: Rule.NEVER,
    Reason.CANCELLED: Rule.NEVER,
    Reason.INTERNAL: Rule.NEVER,
    Reason.UPSTREAM_RATE_LIMITED: Rule.OTHER_THEN_SAME,
    Reason.UPSTREAM_QUOTA_EXHAUSTED: Rule.OTHER,
    Reason.UPSTREAM_OVERLOADED: Rule.OTHER_THEN_SAME,
    Reason.UPSTREAM_UNAVAILABLE: Rule.ANY,
    Reason.UPSTREAM_TIMEOUT: Rule.OTHER,
    Reason.UPSTREAM_UNREACHABLE: Rule.OTHER_THEN_SAME,
    Reason.UPSTREAM_TRUNCATED: Rule.OTHER_THEN_SAME,
    Reason.UPSTREAM_ERROR: Rule.ANY_ONCE,
    Reason.UPSTREAM_BAD_RESPONSE: Rule.ANY_ONCE,
    Reason.UPSTREAM_CREDENTIALS_INVALID: Rule.OTHER,
    Reason.UPSTREAM_PERMISSION_DENIED: Rule.OTHER,
    Reason.UPSTREAM_MODEL_NOT_FOUND: Rule.OTHER,
    Reason.UPSTREAM_REJECTED: Rule.NEVER,
    Reason.UPSTREAM_CONFLICT: Rule.NEVER,
    Reason.UPSTREAM_UNIMPLEMENTED: Rule.OTHER,
    Reason.CONTEXT_LENGTH_EXCEEDED: Rule.LARGER,
    Reason.CONTENT_BLOCKED: Rule.NEVER,
    Reason.STREAM_INTERRUPTED: Rule.NEVER,
}

FREE = frozenset({Reason.UPSTREAM_UNREACHABLE, Reason.UPSTREAM_TRUNCATED})
"""The backend was lost: going on to an untried one does not count against the retry budget."""
