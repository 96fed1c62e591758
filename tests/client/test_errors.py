import pickle

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

import pointsman
from pointsman import v1
from pointsman.errors import BY_REASON, Details, PointsmanError, class_of
from tests.fakes.service import Fail, frames

C = grpc.StatusCode

# Reason -> status, as the contract has it.
CODES = {
    "INVALID_REQUEST": C.INVALID_ARGUMENT,
    "UNSUPPORTED_PARAMETER": C.INVALID_ARGUMENT,
    "REQUEST_TOO_LARGE": C.INVALID_ARGUMENT,
    "UNAUTHENTICATED": C.UNAUTHENTICATED,
    "MODEL_NOT_ALLOWED": C.PERMISSION_DENIED,
    "MODEL_NOT_FOUND": C.NOT_FOUND,
    "QUOTA_EXCEEDED": C.RESOURCE_EXHAUSTED,
    "BUDGET_EXCEEDED": C.RESOURCE_EXHAUSTED,
    "ROUTER_OVERLOADED": C.UNAVAILABLE,
    "QUEUE_TIMEOUT": C.UNAVAILABLE,
    "SHUTTING_DOWN": C.UNAVAILABLE,
    "NOT_IMPLEMENTED": C.UNIMPLEMENTED,
    "NO_HEALTHY_BACKEND": C.UNAVAILABLE,
    "NO_ELIGIBLE_BACKEND": C.FAILED_PRECONDITION,
    "DEADLINE_EXCEEDED": C.DEADLINE_EXCEEDED,
    "CANCELLED": C.CANCELLED,
    "INTERNAL": C.INTERNAL,
    "UPSTREAM_RATE_LIMITED": C.RESOURCE_EXHAUSTED,
    "UPSTREAM_QUOTA_EXHAUSTED": C.RESOURCE_EXHAUSTED,
    "UPSTREAM_OVERLOADED": C.UNAVAILABLE,
    "UPSTREAM_UNAVAILABLE": C.UNAVAILABLE,
    "UPSTREAM_TIMEOUT": C.UNAVAILABLE,
    "UPSTREAM_UNREACHABLE": C.UNAVAILABLE,
    "UPSTREAM_TRUNCATED": C.UNAVAILABLE,
    "UPSTREAM_ERROR": C.INTERNAL,
    "UPSTREAM_BAD_RESPONSE": C.INTERNAL,
    "UPSTREAM_CREDENTIALS_INVALID": C.INTERNAL,
    "UPSTREAM_PERMISSION_DENIED": C.PERMISSION_DENIED,
    "UPSTREAM_MODEL_NOT_FOUND": C.NOT_FOUND,
    "UPSTREAM_REJECTED": C.INVALID_ARGUMENT,
    "UPSTREAM_CONFLICT": C.ABORTED,
    "UPSTREAM_UNIMPLEMENTED": C.UNIMPLEMENTED,
    "CONTEXT_LENGTH_EXCEEDED": C.INVALID_ARGUMENT,
    "CONTENT_BLOCKED": C.INVALID_ARGUMENT,
    "STREAM_INTERRUPTED": C.UNAVAILABLE,
}
STOP = (("grpc-retry-pushback-ms", "-1"),)
"""What the server sends with a failure that nobody should repeat at once."""

EVERYTHING = Fail(
    C.RESOURCE_EXHAUSTED,
    "too many tokens a minute",
    reason="UPSTREAM_RATE_LIMITED",
    failure=v1.Failure(
        cause=v1.ERROR_REASON_UPSTREAM_RATE_LIMITED,
        retryable=True,
        upstream=v1.UpstreamFailure(http_status=429, code="rate_limit_exceeded"),
        attempts=[v1.Attempt(number=1, backend="a", reason=v1.ERROR_REASON_UPSTREAM_RATE_LIMITED)],
        usage=v1.Usage(input_tokens=3),
    ),
    details=(
        error_details_pb2.RetryInfo(retry_delay=Duration(seconds=2, nanos=500_000_000)),
        error_details_pb2.QuotaFailure(
            violations=[error_details_pb2.QuotaFailure.Violation(subject="a", description="tokens a minute")]
        ),
    ),
    metadata={"backend": "a", "attempts": "1"},
)


def fails(ask, *args, **kwargs) -> PointsmanError:
    with pytest.raises(PointsmanError) as caught:
        ask(*args, **kwargs)
    return caught.value


def contract_reasons():
    return {name.removeprefix("ERROR_REASON_") for name, _ in v1.ErrorReason.items()} - {"UNSPECIFIED"}


def test_every_reason_of_the_contract_has_a_class():
    """The table from reason to exception is complete, and knows nothing else."""
    assert set(BY_REASON) == contract_reasons() == set(CODES)


def test_every_class_is_public_and_used():
    """Each exception in the table can be caught by its name in the package."""
    for kind in {*BY_REASON.values()}:
        assert getattr(pointsman, kind.__name__) is kind


def test_reason_and_code_agree_on_the_way_to_react():
    """A reason's class is its code's class or narrower, so that code and reason never pull two ways."""
    apart = {"CONTENT_BLOCKED"}  # INVALID_ARGUMENT, yet no request that could be mended.
    for reason, code in CODES.items():
        if reason not in apart:
            assert issubclass(BY_REASON[reason], class_of("A_NEWER_REASON", code)), reason


@pytest.mark.parametrize("reason", sorted(CODES))
def test_each_reason_comes_back_as_its_exception(fake, asker, reason):
    """Over the wire: the server's reason is the caller's exception, with code, words and request id."""
    fake.script(Fail(CODES[reason], "what happened", reason=reason, trailers=STOP))
    error = fails(asker.generate, "x", request_id="call-7")
    assert type(error) is BY_REASON[reason]
    assert (error.reason, error.code, error.message) == (reason, CODES[reason], "what happened")
    assert error.request_id == "call-7"
    assert error.cause == reason


def test_everything_that_the_server_tells_can_be_read(fake, asker):
    """Delay, retryability, attempts, the provider's words, and where it happened."""
    fake.script(EVERYTHING)
    error = fails(asker.generate, "x")
    assert isinstance(error, pointsman.RateLimited)
    assert (error.retry_delay_s, error.retryable, error.content_delivered) == (2.5, True, False)
    assert error.upstream is not None
    assert (error.upstream.http_status, error.upstream.code) == (429, "rate_limit_exceeded")
    assert [attempt.backend for attempt in error.attempts] == ["a"]
    assert error.metadata == {"backend": "a", "attempts": "1"}
    assert error.details.quota_violations == ("tokens a minute",)
    assert error.details.usage == v1.Usage(input_tokens=3)


def test_a_wrong_field_is_named(fake, asker):
    """`field_violations` tells which field of the request to mend."""
    violation = error_details_pb2.BadRequest.FieldViolation(field="generation.n", description="1 to 8")
    bad = error_details_pb2.BadRequest(field_violations=[violation])
    fake.script(Fail(C.INVALID_ARGUMENT, "n is too large", reason="INVALID_REQUEST", details=(bad,)))
    error = fails(asker.generate, "x", n=9)
    assert error.field_violations == (pointsman.FieldViolation("generation.n", "1 to 8"),)


def test_a_missing_model_is_named(fake, asker):
    """The name that was not found comes with the failure."""
    info = error_details_pb2.ResourceInfo(resource_name="lost")
    fake.script(Fail(C.NOT_FOUND, "no such model", reason="MODEL_NOT_FOUND", details=(info,)))
    assert fails(asker.generate, "x").details.resource == "lost"


def test_an_interrupted_stream_keeps_its_cause_and_what_came(fake, asker):
    """The reason is STREAM_INTERRUPTED, the cause is the fault, and the deltas before it stay valid."""
    failure = v1.Failure(cause=v1.ERROR_REASON_UPSTREAM_TIMEOUT, content_delivered=True)
    fake.script(
        *frames("half", complete=False),
        Fail(C.UNAVAILABLE, "silence", reason="STREAM_INTERRUPTED", failure=failure, trailers=STOP),
    )
    events = []
    error = fails(asker.stream, "x", events=events)
    assert type(error) is pointsman.StreamInterrupted
    assert (error.cause, error.content_delivered, error.retryable) == ("UPSTREAM_TIMEOUT", True, False)
    assert [event.text for event in events] == ["half"]


def test_a_reason_newer_than_this_library_goes_by_its_code(fake, asker):
    """An unknown reason is kept, and the status code chooses the class."""
    failure = v1.Failure(cause=4711, retryable=True)  # type: ignore[arg-type]
    fake.script(Fail(C.ABORTED, "new", reason="NEXT_YEARS_REASON", failure=failure))
    error = fails(asker.generate, "x")
    assert type(error) is pointsman.Conflict
    assert (error.reason, error.cause, error.retryable) == ("NEXT_YEARS_REASON", "NEXT_YEARS_REASON", True)


@pytest.mark.parametrize(
    ("code", "kind", "retryable"),
    [
        (C.UNAVAILABLE, pointsman.ConnectionFailed, True),
        (C.CANCELLED, pointsman.Cancelled, True),
        (C.DEADLINE_EXCEEDED, pointsman.DeadlineExceeded, True),
        (C.RESOURCE_EXHAUSTED, pointsman.ResourceExhausted, False),
        (C.UNIMPLEMENTED, pointsman.Unimplemented, False),
        (C.UNAUTHENTICATED, pointsman.Unauthenticated, False),
        (C.INVALID_ARGUMENT, pointsman.InvalidRequest, False),
        (C.UNKNOWN, pointsman.ServerError, False),
        (C.DATA_LOSS, pointsman.ServerError, False),
    ],
)
def test_failures_of_the_core_and_of_proxies_are_exceptions_too(fake, asker, code, kind, retryable):
    """A status without details, as proxies and the gRPC core give it, has a class and the caller's own id."""
    fake.script(Fail(code, "bare", trailers=STOP))
    error = fails(asker.generate, "x", request_id="mine")
    assert type(error) is kind
    assert (error.reason, error.retryable, error.request_id) == ("", retryable, "mine")


def test_another_services_details_are_not_taken_for_ours(fake, asker):
    """A reason of another domain, as a proxy may send it, is no reason of the contract."""
    fake.script(Fail(C.NOT_FOUND, "not ours", reason="MODEL_NOT_FOUND", domain="example.com"))
    assert fails(asker.generate, "x").reason == ""


@pytest.mark.parametrize("junk", [b"\xff\xff\xff", b"\x1a\x03\x0a\x01\xff"])
def test_details_that_cannot_be_read_count_as_none(fake, asker, junk):
    """Broken details never hide the failure itself."""
    fake.script(Fail(C.NOT_FOUND, "junk", trailers=(("grpc-status-details-bin", junk),)))
    assert fails(asker.generate, "x").message == "junk"


def test_a_detail_whose_inside_is_broken_counts_as_not_sent(fake, asker):
    """One unreadable detail is left out."""
    packed = status_pb2.Status(code=5, message="inside")
    packed.details.add(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff")
    trailers = (("grpc-status-details-bin", packed.SerializeToString()),)
    fake.script(Fail(C.NOT_FOUND, "inside", trailers=trailers))
    error = fails(asker.generate, "x")
    assert type(error) is pointsman.ModelNotFound
    assert error.message == "inside"


@pytest.mark.parametrize(
    "kind", sorted({*BY_REASON.values(), pointsman.StreamTruncated}, key=lambda k: k.__name__)
)
def test_exceptions_survive_pickling(kind):
    """They cross process borders whole, as pools and task queues need it."""
    details = Details(
        reason="X", code=C.INTERNAL, request_id="r", retry_delay_s=1.5, attempts=(v1.Attempt(number=1),)
    )
    error = pickle.loads(pickle.dumps(kind("what", details)))
    assert type(error) is kind
    assert (str(error), error.details) == ("X: what (request id r, retry after 1.5 s)", details)


def test_a_message_is_one_readable_line(fake, asker):
    """Reason, words, request id and delay."""
    fake.script(EVERYTHING)
    expected = "UPSTREAM_RATE_LIMITED: too many tokens a minute (request id r1, retry after 2.5 s)"
    assert str(fails(asker.generate, "x", request_id="r1")) == expected


def test_no_secret_is_in_an_error(fake, asker):
    """Neither the key nor the question is in what an exception says of itself."""
    asker.options = {"api_key": "sk-secret"}
    fake.script(EVERYTHING)
    error = fails(asker.generate, "a private question")
    told = f"{error!s} {error!r} {error.details!r} {error.__cause__!r}"
    assert "sk-secret" not in told
    assert "private" not in told


def test_a_deadline_is_a_timeout_error(fake, asker):
    """`except TimeoutError` catches it, as everywhere in Python."""
    fake.script(Fail(C.DEADLINE_EXCEEDED, "late", reason="DEADLINE_EXCEEDED"))
    assert isinstance(fails(asker.generate, "x"), TimeoutError)
