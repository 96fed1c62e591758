from __future__ import annotations

import pytest

from pointsman_server.dispatch.contract import AttemptTimeouts
from pointsman_server.dispatch.patience import Patience
from pointsman_server.errors import Reason

TIMEOUTS = AttemptTimeouts(first_content_s=30, idle_s=20, total_s=100)


def patience(*, deadline_at=1000.0, streams=True, asked_s=None):
    return Patience(TIMEOUTS, 10, deadline_at=deadline_at, streams=streams, asked_s=asked_s)


def test_bounds():
    """First content counts from the start, silence from the last event, neither beyond the total or the deadline."""
    assert patience().before_content == 40
    assert patience().after_content(50) == 70
    assert patience().after_content(105) == 110
    assert patience(deadline_at=30).before_content == 30
    assert patience(deadline_at=60).after_content(50) == 60


def test_whole_answers():
    """An upstream that answers in one piece has only the total."""
    assert patience(streams=False).before_content == 110
    assert patience(streams=False, asked_s=1).before_content == 110
    assert patience(streams=False).after_content(50) == 110


def test_callers_own_bound():
    """The caller's first-token timeout stands in for the configured one."""
    assert patience(asked_s=2).before_content == 12
    assert patience(asked_s=60).before_content == 70


@pytest.mark.parametrize(
    ("now", "content", "words"),
    [(40, False, "no content within 30 s"), (70, True, "silent for 20 s"), (110, True, "longer than 100 s")],
)
def test_words(now, content, words):
    """What passed is told."""
    error = patience().verdict(now, content=content)
    assert error.reason is Reason.UPSTREAM_TIMEOUT
    assert words in error.detail


def test_the_deadline_is_not_the_backends_fault():
    """When the call's deadline passed, that is what is told, whatever else passed with it."""
    assert patience(deadline_at=40).verdict(39.9995, content=False).reason is Reason.DEADLINE_EXCEEDED


@pytest.mark.parametrize(
    ("asked_s", "now", "content", "hasty"),
    [
        (2, 12, False, True),
        (None, 40, False, False),
        (60, 70, False, False),
        (2, 50, True, False),
        (2, 40, False, False),
    ],
)
def test_hasty(asked_s, now, content, hasty):
    """A timeout that only the caller's own bound made says nothing about the backend."""
    assert patience(asked_s=asked_s).hasty(now, content=content) is hasty
