from __future__ import annotations

import pytest

from pointsman_server.dispatch.rules import FREE, RULES, Rule
from pointsman_server.errors import Reason

EXPECTED = {
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
    Reason.UPSTREAM_UNIMPLEMENTED: Rule.OTHER,
    Reason.CONTEXT_LENGTH_EXCEEDED: Rule.LARGER,
}


def test_complete():
    """Every reason has its row."""
    assert set(RULES) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_rows(reason):
    """The rows say what the contract's attempt column says; what is not listed there is never tried again."""
    assert RULES[reason] is EXPECTED.get(reason, Rule.NEVER)


def test_free():
    """Only a lost backend leaves the retry budget alone."""
    assert {Reason.UPSTREAM_UNREACHABLE, Reason.UPSTREAM_TRUNCATED} == FREE
