"""Statuses of Anthropic with their bodies."""

from __future__ import annotations

import json

import pytest

from pointsman_server.errors import Reason
from pointsman_server.upstreams.dialects.anthropic.adapter import AnthropicAdapter
from pointsman_server.upstreams.dialects.anthropic.profiles import CURRENT
from tests.unit.upstreams.calls import settings


def refusal(status, body=b"", **headers):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return AnthropicAdapter(CURRENT, settings()).refusal(status, named, raw)


def error(kind, message="x", code=None):
    details = {} if code is None else {"details": {"error_code": code}}
    return {"type": "error", "error": {"type": kind, "message": message, **details}, "request_id": "req_b"}


INVALID, LIMIT = "invalid_request_error", "rate_limit_error"
CASES = [
    (400, error(INVALID), Reason.UPSTREAM_REJECTED),
    (
        400,
        error(INVALID, "prompt is too long: 210000 tokens > 200000 maximum"),
        Reason.CONTEXT_LENGTH_EXCEEDED,
    ),
    (
        400,
        error(INVALID, "input length and `max_tokens` exceed context limit: 1 + 2 > 3"),
        Reason.CONTEXT_LENGTH_EXCEEDED,
    ),
    (
        400,
        error(INVALID, "Your credit balance is too low to access the API"),
        Reason.UPSTREAM_QUOTA_EXHAUSTED,
    ),
    (
        400,
        error(INVALID, "You have reached your specified API usage limits."),
        Reason.UPSTREAM_QUOTA_EXHAUSTED,
    ),
    (400, error(INVALID, "Output blocked by content filtering policy"), Reason.CONTENT_BLOCKED),
    (400, error(INVALID, "disabled", "organization_on_hold"), Reason.UPSTREAM_PERMISSION_DENIED),
    (400, error(INVALID, "tools", "tool_name_conflict"), Reason.UPSTREAM_REJECTED),
    (401, error("authentication_error"), Reason.UPSTREAM_CREDENTIALS_INVALID),
    (402, error("billing_error"), Reason.UPSTREAM_QUOTA_EXHAUSTED),
    (402, b"", Reason.UPSTREAM_QUOTA_EXHAUSTED),
    (403, error("permission_error"), Reason.UPSTREAM_PERMISSION_DENIED),
    (404, error("not_found_error"), Reason.UPSTREAM_MODEL_NOT_FOUND),
    (409, error("conflict_error"), Reason.UPSTREAM_CONFLICT),
    (413, error("request_too_large"), Reason.REQUEST_TOO_LARGE),
    (413, b"<html>413 Request Entity Too Large</html>", Reason.REQUEST_TOO_LARGE),
    (429, error(LIMIT), Reason.UPSTREAM_RATE_LIMITED),
    (429, error(LIMIT, code="enforced_spend_limit_reached"), Reason.UPSTREAM_QUOTA_EXHAUSTED),
    (429, error(LIMIT, code="contract_spend_limit_reached"), Reason.UPSTREAM_QUOTA_EXHAUSTED),
    (429, error(LIMIT, code="some_new_limit"), Reason.UPSTREAM_QUOTA_EXHAUSTED),
    (429, error(LIMIT, code="ramp_limit_exceeded"), Reason.UPSTREAM_RATE_LIMITED),
    (429, b"slow down", Reason.UPSTREAM_RATE_LIMITED),
    (500, error("api_error"), Reason.UPSTREAM_ERROR),
    (502, b"<html>bad gateway</html>", Reason.UPSTREAM_UNAVAILABLE),
    (503, error("api_error", code="cmek_key_unreachable"), Reason.UPSTREAM_UNAVAILABLE),
    (503, error("api_error"), Reason.UPSTREAM_UNAVAILABLE),
    (504, error("timeout_error"), Reason.UPSTREAM_TIMEOUT),
    (529, error("overloaded_error"), Reason.UPSTREAM_OVERLOADED),
    (529, b"", Reason.UPSTREAM_OVERLOADED),
    (418, error("new_error"), Reason.UPSTREAM_REJECTED),
    (301, error(INVALID), Reason.UPSTREAM_BAD_RESPONSE),
]


@pytest.mark.parametrize(("status", "body", "reason"), CASES)
def test_reasons(status, body, reason):
    """By code, by what the text admits, by type, by status."""
    assert refusal(status, body).reason is reason


def test_a_limit_with_a_time_is_a_rate():
    """Money has no time at which it comes back: a code that nobody knows yet is told from that."""
    body = error(LIMIT, code="some_new_limit")
    limited = refusal(429, body, retry_after="21")
    assert (limited.reason, limited.retry_after_s) == (Reason.UPSTREAM_RATE_LIMITED, 21)
    assert refusal(429, body, x_should_retry="true").reason is Reason.UPSTREAM_RATE_LIMITED


def test_the_providers_own_words():
    """Code, type, message and id; the id of the header before that of the body, and its word on asking again."""
    told = refusal(
        429, error(LIMIT, "wait", "ramp_limit_exceeded"), request_id="req_h", x_should_retry="false"
    )
    said = told.upstream
    assert (said.code, said.type, said.message) == ("ramp_limit_exceeded", LIMIT, "wait")
    assert (said.request_id, said.retryable, said.http_status) == ("req_h", False, 429)
    assert refusal(429, error(LIMIT)).upstream.request_id == "req_b"
