"""Errors of Triton, KServe and MLServer in our words: by their text first, for their statuses say little."""

from __future__ import annotations

import json

import pytest

from pointsman_server.errors import Reason
from tests.unit.upstreams.triton_parts import answered, backend, events

UNKNOWN = "Request for unknown model: 'x' is not found"
DRAINING = "Request for unknown model: 'x' has no available versions"
FULL = "[request id: <id_unknown>] Exceeds maximum queue size"
EXPIRED = "Request timeout expired"
RAISED = (
    "Failed to process the request(s) for model 'x_0_0', message: ValueError: unknown model of trees"
    "\n\nAt:\n  /m.py(3)\n"
)
SHAPE = "[request id: r] unexpected shape for input 'text_input' for model 'x'. Expected [-1,1], got [1]. NOTE: ..."
INPUTS = "[request id: r] expected number of inputs between 1 and 2 but got 0 inputs for model 'x'."
DECOUPLED = "HTTP end point doesn't support models with decoupled transaction policy"
LONG = (
    "Error generating stream: The decoder prompt (length 900) is longer than the maximum model length of 512."
)

CASES = [
    (400, UNKNOWN, Reason.UPSTREAM_MODEL_NOT_FOUND),
    (404, UNKNOWN, Reason.UPSTREAM_MODEL_NOT_FOUND),
    (404, "Request for unknown model: 'x' version 7 is not found", Reason.UPSTREAM_MODEL_NOT_FOUND),
    (400, DRAINING, Reason.UPSTREAM_UNAVAILABLE),
    (404, DRAINING, Reason.UPSTREAM_UNAVAILABLE),
    (400, "Request for unknown model: 'x' version 1 is not at ready state", Reason.UPSTREAM_UNAVAILABLE),
    (503, "Model is unavailable due to unhealthy vLLM engine", Reason.UPSTREAM_UNAVAILABLE),
    (503, FULL, Reason.UPSTREAM_OVERLOADED),
    (400, EXPIRED, Reason.UPSTREAM_TIMEOUT),
    (503, EXPIRED, Reason.UPSTREAM_TIMEOUT),
    (400, RAISED, Reason.UPSTREAM_ERROR),
    (500, RAISED, Reason.UPSTREAM_ERROR),
    (400, "model says no", Reason.UPSTREAM_ERROR),
    (400, SHAPE, Reason.UPSTREAM_REJECTED),
    (400, INPUTS, Reason.UPSTREAM_REJECTED),
    (400, "unexpected inference input 'zz' for model 'x'", Reason.UPSTREAM_REJECTED),
    (400, "Converting keyword: 'parameters': parameter 'a' has invalid type.", Reason.UPSTREAM_REJECTED),
    (500, "Unable to parse 'data': attempt to access JSON non-signed-integer", Reason.UPSTREAM_REJECTED),
    (500, "failed to parse the request JSON buffer: Missing a comma", Reason.UPSTREAM_REJECTED),
    (400, "temperature must be at least 0", Reason.UPSTREAM_REJECTED),
    (501, DECOUPLED, Reason.UPSTREAM_UNIMPLEMENTED),
    (400, LONG, Reason.CONTEXT_LENGTH_EXCEEDED),
    (400, "Prompt length (900) exceeds maximum input length (512).", Reason.CONTEXT_LENGTH_EXCEEDED),
    (400, "CUDA out of memory", Reason.UPSTREAM_ERROR),
    (401, "no", Reason.UPSTREAM_CREDENTIALS_INVALID),
    (403, "This API is restricted, expecting header 'k'", Reason.UPSTREAM_PERMISSION_DENIED),
    (413, "no", Reason.REQUEST_TOO_LARGE),
    (429, "Model is overloaded", Reason.UPSTREAM_RATE_LIMITED),
    (499, "no", Reason.UPSTREAM_ERROR),
    (500, "no", Reason.UPSTREAM_ERROR),
    (502, "no", Reason.UPSTREAM_UNAVAILABLE),
    (503, "no", Reason.UPSTREAM_UNAVAILABLE),
    (504, "no", Reason.UPSTREAM_TIMEOUT),
    (529, "no", Reason.UPSTREAM_OVERLOADED),
    (302, "no", Reason.UPSTREAM_BAD_RESPONSE),
]

PLAIN_TRACEBACK = """\
Traceback (most recent call last):
  File "/srv/starlette/middleware/errors.py", line 165, in __call__
    async with asyncio.timeout(queue_timeout):  # request timeout expired
  File "/srv/models/story.py", line 20, in predict
    raise failure
RuntimeError: the story has no end
"""
GROUP_TRACEBACK = """\
  + Exception Group Traceback (most recent call last):
  |   File "/srv/starlette/_utils.py", line 76, in collapse_excgroups
  |     yield
  | ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "/srv/mlserver/registry.py", line 331, in _get_model_registry
    |     raise ModelNotFound(name, version)
    | mlserver.errors.ModelNotFound: Model nobody not found
    +------------------------------------

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/srv/mlserver/registry.py", line 331, in _get_model_registry
    raise ModelNotFound(name, version)
mlserver.errors.ModelNotFound: Model nobody not found

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/srv/starlette/_exception_handler.py", line 56, in wrapped_app
    raise RuntimeError("Caught handled exception, but response already started.") from exc
RuntimeError: Caught handled exception, but response already started.
"""


def refusal(status, body, provider="triton", headers=None, **keys):
    return backend(provider, **keys).adapter.refusal(status, headers or {}, body)


@pytest.mark.parametrize(("status", "text", "reason"), CASES)
@pytest.mark.parametrize("form", ["document", "event"])
def test_a_refusal_of_triton(status, text, reason, form):
    """A first response that is an error sets the status, but is an event of a stream all the same."""
    document = json.dumps({"error": text}).encode()
    error = refusal(status, document if form == "document" else b"data: " + document + b"\n\n")
    assert error.reason is reason
    assert error.upstream.http_status == status
    assert not error.upstream.in_stream


@pytest.mark.parametrize(
    ("status", "body", "reason", "message"),
    [
        (404, b'{"error":"Model x not found"}', Reason.UPSTREAM_MODEL_NOT_FOUND, "Model x not found"),
        (422, b'{"error":"Input validation error"}', Reason.UPSTREAM_REJECTED, "Input validation error"),
        (400, b'{"error":"no such fish"}', Reason.UPSTREAM_REJECTED, "no such fish"),
        (424, b'{"error":"Request failed during generation"}', Reason.UPSTREAM_ERROR,
         "Request failed during generation"),
        (500, b'{"error":"ValueError : boom"}', Reason.UPSTREAM_ERROR, "ValueError : boom"),
        (503, b'{"error":"Model with name x is not ready."}', Reason.UPSTREAM_UNAVAILABLE,
         "Model with name x is not ready."),
        (503, b"no healthy upstream", Reason.UPSTREAM_UNAVAILABLE, "no healthy upstream"),
        (503, b"upstream connect error or disconnect/reset before headers", Reason.UPSTREAM_UNAVAILABLE,
         "upstream connect error or disconnect/reset before headers"),
        (502, b"<html><body>Bad Gateway</body></html>", Reason.UPSTREAM_UNAVAILABLE, ""),
        (422, b'{"detail":"field required"}', Reason.UPSTREAM_REJECTED, "field required"),
        (400, b'{"error":{"message":"nested"}}', Reason.UPSTREAM_REJECTED, "nested"),
        (404, b"", Reason.UPSTREAM_MODEL_NOT_FOUND, ""),
        (400, b"[1]", Reason.UPSTREAM_REJECTED, ""),
    ],
)  # fmt: skip
def test_a_refusal_of_others(status, body, reason, message):
    """JSON of several forms, and plain text of the gateways before them; here a status is meant as it is told."""
    error = refusal(status, body, provider="kserve")
    assert (error.reason, error.upstream.message) == (reason, message)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (UNKNOWN, Reason.UPSTREAM_MODEL_NOT_FOUND),
        (DRAINING, Reason.UPSTREAM_UNAVAILABLE),
        (FULL, Reason.UPSTREAM_OVERLOADED),
        (EXPIRED, Reason.UPSTREAM_TIMEOUT),
        (RAISED, Reason.UPSTREAM_ERROR),
        (SHAPE, Reason.UPSTREAM_REJECTED),
        (LONG, Reason.CONTEXT_LENGTH_EXCEEDED),
        ("model says no", Reason.UPSTREAM_ERROR),
        ("Request was cancelled", Reason.UPSTREAM_ERROR),
        ("", Reason.UPSTREAM_ERROR),
    ],
)
def test_an_error_within_a_stream(text, reason):
    """There is no status at all; what admits nothing is the server's fault."""
    error = answered(backend(), events({"error": text})).error
    assert error.reason is reason
    assert error.upstream.in_stream


def test_what_a_models_code_printed_of_itself_is_left_out():
    """Paths of the server's machine help no caller."""
    error = refusal(400, json.dumps({"error": RAISED}).encode())
    assert error.upstream.message.endswith("ValueError: unknown model of trees")
    assert "m.py" not in error.detail


@pytest.mark.parametrize(
    ("body", "reason", "message"),
    [
        (PLAIN_TRACEBACK, Reason.UPSTREAM_ERROR, "the story has no end"),
        (GROUP_TRACEBACK, Reason.UPSTREAM_MODEL_NOT_FOUND, "Model nobody not found"),
        (PLAIN_TRACEBACK[: PLAIN_TRACEBACK.index("RuntimeError")], Reason.UPSTREAM_ERROR, ""),
        (
            PLAIN_TRACEBACK.replace("RuntimeError: the story has no end", "KeyError"),
            Reason.UPSTREAM_ERROR,
            "",
        ),
    ],
)
def test_of_a_traceback_only_the_exception_is_read(body, reason, message):
    """MLServer sends one by default; its lines of code decide nothing, and none of them is told."""
    error = refusal(500, body.encode(), provider="kserve")
    assert (error.reason, error.upstream.message) == (reason, message)


def test_what_a_validation_says_is_told_without_what_it_found():
    """MLServer's web framework quotes the request."""
    quoted = [
        {"type": "missing", "loc": ["body", "inputs"], "msg": "Field required", "input": {"id": "a secret"}}
    ]
    error = refusal(422, json.dumps({"detail": quoted}).encode(), provider="kserve")
    assert (error.reason, error.upstream.message) == (Reason.UPSTREAM_REJECTED, "Field required")
    assert "body.inputs" in error.detail
    assert "secret" not in error.detail


def test_waits_are_told():
    """By gateways."""
    error = refusal(429, b"{}", headers={"retry-after": "3", "x-request-id": "r-1"})
    assert (error.retry_after_s, error.upstream.request_id) == (3.0, "r-1")
