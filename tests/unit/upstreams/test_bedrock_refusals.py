"""Statuses of Bedrock with their names."""

from __future__ import annotations

import json

import pytest

from pointsman_server.errors import Reason
from pointsman_server.upstreams.dialects.bedrock.adapter import BedrockAdapter
from pointsman_server.upstreams.dialects.bedrock.profiles import BEDROCK
from tests.unit.upstreams.calls import settings


def refusal(status, name="", message="x", **headers):
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    if name:
        named["x-amzn-errortype"] = f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/"
    body = json.dumps({"message": message}).encode()
    return BedrockAdapter(BEDROCK, settings()).refusal(status, named, body)


CASES = [
    (400, "ValidationException", "x", Reason.UPSTREAM_REJECTED),
    (400, "ValidationException", "Input is too long for requested model.", Reason.CONTEXT_LENGTH_EXCEEDED),
    (400, "ValidationException", "prompt is too long: 9 tokens > 8 maximum", Reason.CONTEXT_LENGTH_EXCEEDED),
    (
        400,
        "ValidationException",
        "Too many input tokens. Max input tokens: 8",
        Reason.CONTEXT_LENGTH_EXCEEDED,
    ),
    (
        400,
        "ValidationException",
        "The provided model identifier is invalid.",
        Reason.UPSTREAM_MODEL_NOT_FOUND,
    ),
    (400, "ValidationException", "Output blocked by content filtering policy", Reason.CONTENT_BLOCKED),
    (400, "ServiceQuotaExceededException", "x", Reason.UPSTREAM_QUOTA_EXHAUSTED),
    (403, "AccessDeniedException", "x", Reason.UPSTREAM_PERMISSION_DENIED),
    (403, "UnrecognizedClientException", "x", Reason.UPSTREAM_CREDENTIALS_INVALID),
    (403, "InvalidSignatureException", "Signature expired", Reason.UPSTREAM_CREDENTIALS_INVALID),
    (403, "ExpiredTokenException", "x", Reason.UPSTREAM_CREDENTIALS_INVALID),
    (403, "MissingAuthenticationTokenException", "x", Reason.UPSTREAM_CREDENTIALS_INVALID),
    (403, "", "x", Reason.UPSTREAM_PERMISSION_DENIED),
    (404, "ResourceNotFoundException", "x", Reason.UPSTREAM_MODEL_NOT_FOUND),
    (408, "ModelTimeoutException", "x", Reason.UPSTREAM_TIMEOUT),
    (409, "ConflictException", "x", Reason.UPSTREAM_CONFLICT),
    (413, "", "x", Reason.REQUEST_TOO_LARGE),
    (424, "ModelErrorException", "x", Reason.UPSTREAM_ERROR),
    (429, "ThrottlingException", "Too many requests", Reason.UPSTREAM_RATE_LIMITED),
    (429, "ThrottlingException", "Too many tokens per day", Reason.UPSTREAM_QUOTA_EXHAUSTED),
    (429, "ModelNotReadyException", "x", Reason.UPSTREAM_UNAVAILABLE),
    (429, "", "x", Reason.UPSTREAM_RATE_LIMITED),
    (500, "InternalServerException", "x", Reason.UPSTREAM_ERROR),
    (500, "InternalServerError", "x", Reason.UPSTREAM_ERROR),
    (503, "ServiceUnavailableException", "x", Reason.UPSTREAM_UNAVAILABLE),
    (503, "ServiceUnavailableException", "Too many connections", Reason.UPSTREAM_OVERLOADED),
    (503, "", "x", Reason.UPSTREAM_UNAVAILABLE),
    (418, "NewException", "x", Reason.UPSTREAM_REJECTED),
    (301, "ValidationException", "x", Reason.UPSTREAM_BAD_RESPONSE),
]


@pytest.mark.parametrize(("status", "name", "message", "reason"), CASES)
def test_reasons(status, name, message, reason):
    """By name, by what the text admits, by status."""
    assert refusal(status, name, message).reason is reason


@pytest.mark.parametrize(
    "body",
    [{"__type": "com.amazon.coral.service#UnrecognizedClientException", "Message": "no"},
     {"code": "UnrecognizedClientException", "message": "no"}],
)  # fmt: skip
def test_names_in_the_body(body):
    """Where no header tells one."""
    told = BedrockAdapter(BEDROCK, settings()).refusal(403, {}, json.dumps(body).encode())
    assert told.reason is Reason.UPSTREAM_CREDENTIALS_INVALID
    assert (told.upstream.code, told.upstream.message) == ("UnrecognizedClientException", "no")


def test_the_providers_own_words():
    """The id of the request, and the wait that a proxy in front may ask for."""
    told = refusal(429, "ThrottlingException", "wait", x_amzn_requestid="rq-1", retry_after="3")
    assert (told.upstream.request_id, told.upstream.type, told.retry_after_s) == ("rq-1", "", 3)
    assert BedrockAdapter(BEDROCK, settings()).refusal(503, {}, b"<html>").upstream.code == ""
