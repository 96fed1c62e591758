"""Statuses with their bodies, as the many servers of this dialect have them."""

from __future__ import annotations

import json

import pytest

from pointsman_server.errors import Reason
from pointsman_server.upstreams.dialects.openai.profiles import OPENAI
from tests.unit.upstreams.calls import adapter


def refusal(status, body=b"", **headers):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return adapter(OPENAI).refusal(
        status, {name.replace("_", "-"): value for name, value in headers.items()}, raw
    )


def error(message="x", **words):
    return {"error": {"message": message, **words}}


CASES = [
    (400, error(code="context_length_exceeded"), Reason.CONTEXT_LENGTH_EXCEEDED),
    (400, error(type="exceed_context_size_error", code=400), Reason.CONTEXT_LENGTH_EXCEEDED),
    (
        400,
        error("too long", type="BadRequestError", param="input_tokens", code=400),
        Reason.CONTEXT_LENGTH_EXCEEDED,
    ),
    (
        400,
        error("This model's maximum context length is 2048 tokens", type="BadRequestError"),
        Reason.CONTEXT_LENGTH_EXCEEDED,
    ),
    (500, error("the request exceeds the available context size"), Reason.CONTEXT_LENGTH_EXCEEDED),
    (400, error(type="invalid_request_error", code="invalid_value"), Reason.UPSTREAM_REJECTED),
    (400, error(code="content_policy_violation"), Reason.CONTENT_BLOCKED),
    (400, error(code="content_filter"), Reason.CONTENT_BLOCKED),
    (400, error(code="model_not_found"), Reason.UPSTREAM_MODEL_NOT_FOUND),
    (400, error(code="invalid_api_key"), Reason.UPSTREAM_CREDENTIALS_INVALID),
    (401, error(type="invalid_request_error"), Reason.UPSTREAM_CREDENTIALS_INVALID),
    (402, error(), Reason.UPSTREAM_QUOTA_EXHAUSTED),
    (403, error(code="unsupported_country_region_territory"), Reason.UPSTREAM_PERMISSION_DENIED),
    (403, error(code="insufficient_quota"), Reason.UPSTREAM_QUOTA_EXHAUSTED),
    (403, b"<html>forbidden</html>", Reason.UPSTREAM_PERMISSION_DENIED),
    (404, {"detail": "Not Found"}, Reason.UPSTREAM_MODEL_NOT_FOUND),
    (404, error(type="NotFoundError", code=404), Reason.UPSTREAM_MODEL_NOT_FOUND),
    (408, b"", Reason.UPSTREAM_TIMEOUT),
    (409, error(), Reason.UPSTREAM_CONFLICT),
    (413, error(), Reason.REQUEST_TOO_LARGE),
    (413, error("prompt is too long"), Reason.CONTEXT_LENGTH_EXCEEDED),
    (422, {"detail": [{"loc": ["body", "x"], "msg": "extra"}]}, Reason.UPSTREAM_REJECTED),
    (429, error(code="rate_limit_exceeded", type="requests"), Reason.UPSTREAM_RATE_LIMITED),
    (429, error(code="insufficient_quota", type="insufficient_quota"), Reason.UPSTREAM_QUOTA_EXHAUSTED),
    (429, error(type="insufficient_quota"), Reason.UPSTREAM_QUOTA_EXHAUSTED),
    (429, b"slow", Reason.UPSTREAM_RATE_LIMITED),
    (429, error(type="invalid_request_error"), Reason.UPSTREAM_RATE_LIMITED),
    (500, error(type="server_error"), Reason.UPSTREAM_ERROR),
    (500, b"<html>oops</html>", Reason.UPSTREAM_ERROR),
    (501, error(type="NotImplementedError", code=501), Reason.UPSTREAM_UNIMPLEMENTED),
    (502, b"bad gateway", Reason.UPSTREAM_UNAVAILABLE),
    (503, error("The engine is currently overloaded"), Reason.UPSTREAM_OVERLOADED),
    (503, error("Slow down", type="server_error"), Reason.UPSTREAM_OVERLOADED),
    (503, error("queue is full", type="Service Unavailable", code=503), Reason.UPSTREAM_OVERLOADED),
    (
        503,
        {"error": "server busy, please try again. maximum pending requests exceeded"},
        Reason.UPSTREAM_OVERLOADED,
    ),
    (503, error("Loading model", type="unavailable_error", code=503), Reason.UPSTREAM_UNAVAILABLE),
    (503, b"", Reason.UPSTREAM_UNAVAILABLE),
    (504, b"", Reason.UPSTREAM_TIMEOUT),
    (529, error(type="overloaded_error"), Reason.UPSTREAM_OVERLOADED),
    (302, b"", Reason.UPSTREAM_BAD_RESPONSE),
    (307, error(code="rate_limit_exceeded"), Reason.UPSTREAM_BAD_RESPONSE),
]


@pytest.mark.parametrize(("status", "body", "reason"), CASES)
def test_reasons(status, body, reason):
    """The provider's words before the status, and the status is kept."""
    found = refusal(status, body)
    assert found.reason is reason
    assert found.upstream.http_status == status
    assert not found.upstream.in_stream


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (error("hi", code=400), "hi", "400"),
        ({"error": "hi"}, "hi", ""),
        ({"detail": "hi"}, "hi", ""),
        ({"detail": [{"loc": ["body", 0], "msg": "bad"}, "x", 7]}, "bad; x", ""),
        ({"message": "hi", "code": "c"}, "hi", "c"),
        ({"object": "error", "message": {"detail": [{"msg": "bad"}]}, "code": "1300"}, "bad", "1300"),
        ([error("hi")], "hi", ""),
        (b"<html>", "", ""),
        (b"\xff\xfe", "", ""),
        (b"null", "", ""),
        ({}, "", ""),
    ],
)
def test_words(body, message, code):
    """Of every form of an error body."""
    said = refusal(400, body).upstream
    assert (said.message, said.code) == (message, code)


def test_the_place_of_a_fault_is_told():
    """Beside the provider's own message, unless that names it."""
    faults = [{"loc": ["body", "temperature"], "msg": "too high"}, {"loc": ["body", "n"], "msg": "too many"}]
    found = refusal(422, {"detail": faults})
    assert found.upstream.message == "too high; too many"
    assert found.detail.endswith("too high; too many (body.temperature, body.n)")
    assert refusal(400, error("bad tools[0]", param="tools[0]")).detail.endswith(": bad tools[0]")
    assert refusal(500, error("oops", param="tools[0]")).detail == "the upstream failed"


def test_waits():
    """Headers before the body, the reset of a limit only for a limit."""
    assert refusal(429, error(), retry_after="2", retry_after_ms="1500").retry_after_s == 1.5
    assert refusal(429, error(), x_ratelimit_reset_tokens="6m0s").retry_after_s == 360.0
    assert refusal(500, error(), x_ratelimit_reset_tokens="6m0s").retry_after_s is None
    assert refusal(503, {"error": "loading", "estimated_time": 20.5}).retry_after_s == 20.5
    assert refusal(429, error(code="insufficient_quota"), retry_after="2").retry_after_s == 2.0


def test_the_providers_word_on_retries():
    """Is kept beside the reason."""
    assert refusal(500, error(), x_should_retry="false").upstream.retryable is False
    assert refusal(400, error(), x_should_retry="true").upstream.retryable is True
    assert refusal(400, error()).upstream.retryable is None
