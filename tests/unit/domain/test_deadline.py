from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman_server.deadline import Deadline


@pytest.mark.parametrize(
    ("requested_s", "left_s"),
    [
        (None, 59.91),
        (2.0, 1.91),
        (0.1, 0.095),
        (0.01, 0.0095),
        (3600, 599.91),
        (1e300, 599.91),
        (float("inf"), 599.91),
    ],
)
def test_start(requested_s, left_s):
    """An absent deadline gets the default, a long one the maximum; 90 ms or a twentieth is kept back for the answer."""
    assert Deadline.start(100, requested_s, default_s=60, maximum_s=600).remaining(100) == pytest.approx(
        left_s
    )


def test_default_is_bounded():
    """A default beyond the maximum is cut to it as well."""
    assert Deadline.start(0, None, default_s=900, maximum_s=600).at == pytest.approx(599.91)


@given(st.floats(-1e6, 1e6), st.floats(0.001, 1e6))
@settings(deadline=None)
def test_never_later_than_asked(requested_s, maximum_s):
    """Whatever is asked, the call ends in time, and nothing is left of a deadline that has passed."""
    deadline = Deadline.start(1000, requested_s, default_s=60, maximum_s=maximum_s)
    if requested_s <= 0:
        assert deadline.expired(1000)
        assert deadline.remaining(1000) == 0
    else:
        assert 1000 < deadline.at <= 1000 + min(requested_s, maximum_s) or requested_s < 1e-9


def test_within():
    """The earlier of two bounds counts."""
    assert Deadline(10).within(4, 3) == Deadline(7)
    assert Deadline(10).within(8, 3) == Deadline(10)
