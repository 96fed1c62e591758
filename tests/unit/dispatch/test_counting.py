"""What is counted where the provider told less than all."""

from __future__ import annotations

import pytest

from pointsman_server.dispatch.counting import settled
from pointsman_server.domain import Call, Prompt, Usage, UsageSource

CALL = Call("m", Prompt("x" * 40))
TOLD = Usage(7, 5, 12, cached_input_tokens=3)
ESTIMATED = UsageSource.ESTIMATED


@pytest.mark.parametrize("complete", [True, False])
def test_a_full_report_stands(complete):
    """The provider's numbers are taken as they are."""
    assert settled(TOLD, CALL, 20, complete=complete) is TOLD


def test_an_answer_without_a_report_is_estimated():
    """Four characters are a token, and the source says so."""
    assert settled(None, CALL, 21, complete=True) == Usage(10, 6, 16, source=ESTIMATED)
    assert settled(None, CALL, 0, complete=True) == Usage(10, 0, 10, source=ESTIMATED)


def test_what_broke_off_before_it_produced_anything_is_not_counted():
    """Nothing is known of it."""
    assert settled(None, CALL, 0, complete=False) is None


def test_what_broke_off_is_counted_by_what_came():
    """A report that lags behind the text gives way; one that does not, stands."""
    assert settled(None, CALL, 9, complete=False) == Usage(10, 3, 13, source=ESTIMATED)
    begun = Usage(7, 1, 8, cached_input_tokens=3)
    assert settled(begun, CALL, 40, complete=False) == Usage(7, 10, 17, 3, source=ESTIMATED)
    assert settled(TOLD, CALL, 20, complete=False) is TOLD


def test_half_a_report_is_filled_up():
    """What was told stays."""
    assert settled(Usage(output_tokens=5), CALL, 4, complete=True) == Usage(10, 5, 15, source=ESTIMATED)
    assert settled(Usage(input_tokens=7), CALL, 8, complete=True) == Usage(7, 2, 9, source=ESTIMATED)
