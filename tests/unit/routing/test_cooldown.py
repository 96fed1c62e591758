from __future__ import annotations

import pytest

from pointsman_server.errors import Reason
from pointsman_server.routing.cooldown import Cooldown

LIMITED = Reason.UPSTREAM_RATE_LIMITED


def begin(pause, now, reason=LIMITED, asked_s=None):
    pause.begin(now, reason, asked_s, longest_s=300)
    return pause.until - now


def test_named():
    """A pause is as long as the provider asks."""
    pause = Cooldown()
    assert begin(pause, 10, asked_s=2) == 2
    assert pause.active(11.9)
    assert not pause.active(12)


@pytest.mark.parametrize("asked_s", [None, 0, -1, 301, 9999, float("inf"), float("nan")])
def test_not_believed(asked_s):
    """No time, or one over the cap, counts as unnamed: a second, then double, up to half a minute."""
    pause, now, lengths = Cooldown(), 0.0, []
    for _ in range(7):
        lengths.append(begin(pause, now, asked_s=asked_s))
        now = pause.until
    assert lengths == [1, 2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize("reason", [Reason.UPSTREAM_QUOTA_EXHAUSTED, Reason.UPSTREAM_CREDENTIALS_INVALID])
def test_quota_and_credentials(reason):
    """Unnamed, a quota or a credential that is at fault pauses for a minute."""
    assert begin(Cooldown(), 0, reason) == 60
    assert begin(Cooldown(), 0, reason, asked_s=7) == 7


def test_calls_under_way_tell_the_same():
    """A second unnamed refusal within the pause does not double it."""
    pause = Cooldown()
    begin(pause, 0)
    begin(pause, 0.5)
    assert pause.until == 1
    begin(pause, 1)
    assert pause.until == 3


def test_the_longer_wait_stands():
    """A shorter named wait does not cut a longer one."""
    pause = Cooldown()
    begin(pause, 0, asked_s=20)
    begin(pause, 1, asked_s=2)
    assert pause.until == 20


def test_over():
    """After a served call the next unnamed pause is short again."""
    pause = Cooldown()
    begin(pause, 0)
    begin(pause, 1)
    pause.over()
    assert begin(pause, 3) == 1
