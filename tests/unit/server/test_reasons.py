"""The table of reasons, and the statuses made from it."""

import grpc
import pytest
from google.rpc import status_pb2

from pointsman import v1 as pb
from pointsman_server.errors import Reason, ServiceError, UpstreamFault
from pointsman_server.server.details import MAX_STATUS_BYTES, Ending, bounded, encode_status
from pointsman_server.server.reasons import ROWS
from pointsman_server.server.status import failure_trailers


def test_every_reason_has_its_row():
    """No reason is without a code, and none has OK or UNKNOWN."""
    assert ROWS.keys() == set(Reason)
    assert not {row.code for row in ROWS.values()} & {grpc.StatusCode.OK, grpc.StatusCode.UNKNOWN}


def test_reasons_are_those_of_the_contract():
    """The vocabulary and the contract's enum name the same things."""
    told = {name.removeprefix("ERROR_REASON_") for name, number in pb.ErrorReason.items() if number}
    assert told == {reason.value for reason in Reason}


@pytest.mark.parametrize("reason", list(Reason))
def test_upstream_rows_are_the_providers(reason):
    """What is named after the upstream counts as its fault, and nothing that we refuse ourselves does."""
    if reason.value.startswith("UPSTREAM_"):
        assert ROWS[reason].upstream
    assert not (ROWS[reason].upstream and ROWS[reason].shed)


def ending(reason=Reason.UPSTREAM_OVERLOADED, **options) -> Ending:
    delivered = options.pop("content_delivered", False)
    return Ending(ServiceError(reason, "detail", **options), "r-1", content_delivered=delivered)


def failure_of(status: status_pb2.Status) -> pb.Failure:
    (detail,) = [detail for detail in status.details if detail.Is(pb.Failure.DESCRIPTOR)]
    return pb.Failure.FromString(detail.value)


@pytest.mark.parametrize(
    ("reason", "said", "delivered", "retryable"),
    [
        (Reason.UPSTREAM_OVERLOADED, None, False, True),
        (Reason.UPSTREAM_OVERLOADED, False, False, False),
        (Reason.UPSTREAM_CREDENTIALS_INVALID, None, False, False),
        (Reason.UPSTREAM_CREDENTIALS_INVALID, True, False, True),
        (Reason.UPSTREAM_OVERLOADED, True, True, False),
        (Reason.INVALID_REQUEST, None, False, False),
        (Reason.ROUTER_OVERLOADED, None, False, True),
    ],
)
def test_retryable_is_what_the_provider_said_or_the_reason(reason, said, delivered, retryable):
    """The provider's word wins over the reason's; once content was delivered the answer is no."""
    upstream = UpstreamFault(retryable=said) if said is not None else None
    assert (
        failure_of(encode_status(ending(reason, upstream=upstream, content_delivered=delivered))).retryable
        is retryable
    )


def test_an_interruption_keeps_the_inner_cause():
    """STREAM_INTERRUPTED that dispatch raised itself still tells which fault it was."""
    error = ServiceError(Reason.STREAM_INTERRUPTED, "broke off")
    error.__cause__ = ServiceError(Reason.UPSTREAM_TIMEOUT, "silence")
    status = encode_status(Ending(error, "r", content_delivered=True))
    assert failure_of(status).cause == pb.ERROR_REASON_UPSTREAM_TIMEOUT


@pytest.mark.parametrize(
    ("reason", "asked_s", "pushback"),
    [
        (Reason.ROUTER_OVERLOADED, None, "1000"),
        (Reason.QUEUE_TIMEOUT, 0.1, "1000"),
        (Reason.SHUTTING_DOWN, 3.0, "3000"),
        (Reason.NO_HEALTHY_BACKEND, 30.0, "30000"),
        (Reason.UPSTREAM_OVERLOADED, 3.0, "-1"),
        (Reason.INVALID_REQUEST, None, None),
        (Reason.UNAUTHENTICATED, None, None),
    ],
)
def test_pushback(reason, asked_s, pushback):
    """Refusals ask for at least a second; failures that were retried here forbid more; the rest say nothing."""
    trailers = dict(failure_trailers(ending(reason, retry_after_s=asked_s)))
    assert trailers.get("grpc-retry-pushback-ms") == pushback


def test_a_wait_that_the_provider_named_is_told_as_it_is():
    """RetryInfo of an upstream fault is the provider's own number, also a short one."""
    assert ending(Reason.UPSTREAM_RATE_LIMITED, retry_after_s=0.25).wait_s == 0.25
    assert ending(Reason.UPSTREAM_RATE_LIMITED).wait_s == 1.0


@pytest.mark.parametrize("text", ["", "plain", "\u20ac" * 300, "\ud800" * 300, "a\x00b"])
def test_bounded_text_is_clean_and_short(text):
    """No half characters, never over the bound, no character cut in two."""
    cut = bounded(text, 100)
    assert len(cut.encode()) <= 100
    assert "\ufffd" not in cut


def test_long_messages_stay_within_the_bound():
    """The whole status is small however long its message is."""
    error = ServiceError(Reason.INTERNAL, "\u20ac" * 10_000)
    assert encode_status(Ending(error, "r" * 128)).ByteSize() <= MAX_STATUS_BYTES
