from __future__ import annotations

import pytest

from pointsman_server.errors import Reason
from pointsman_server.routing.outcome import OUTCOMES, Outcome, outcome_of

FAILURE = {
    Reason.UPSTREAM_UNAVAILABLE, Reason.UPSTREAM_TIMEOUT, Reason.UPSTREAM_UNREACHABLE, Reason.UPSTREAM_TRUNCATED,
    Reason.UPSTREAM_ERROR, Reason.UPSTREAM_BAD_RESPONSE, Reason.STREAM_INTERRUPTED,
}  # fmt: skip
SUCCESS = {
    Reason.REQUEST_TOO_LARGE, Reason.UPSTREAM_REJECTED, Reason.UPSTREAM_CONFLICT, Reason.UPSTREAM_UNIMPLEMENTED,
    Reason.CONTEXT_LENGTH_EXCEEDED, Reason.CONTENT_BLOCKED,
}  # fmt: skip
COOLING = {
    Reason.UPSTREAM_RATE_LIMITED: Outcome.COOL_MODEL,
    Reason.UPSTREAM_OVERLOADED: Outcome.COOL_MODEL,
    Reason.UPSTREAM_QUOTA_EXHAUSTED: Outcome.COOL_BACKEND,
    Reason.UPSTREAM_CREDENTIALS_INVALID: Outcome.COOL_BACKEND,
}


def test_complete():
    """Every reason has its row."""
    assert set(OUTCOMES) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_rows(reason):
    """The rows say what the contract's breaker column says; all others are neutral."""
    expected = COOLING.get(reason, Outcome.NEUTRAL)
    if reason in FAILURE:
        expected = Outcome.FAILURE
    elif reason in SUCCESS:
        expected = Outcome.SUCCESS
    assert OUTCOMES[reason] is expected


def test_served():
    """An attempt without a reason was served."""
    assert outcome_of(None) is Outcome.SUCCESS
