from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman_server.dispatch.budget import BudgetRules, RetryBudget


def taken(budget, now, times):
    """How many of so many retries at once are granted."""
    return sum(budget.take(now) for _ in range(times))


def after(calls, rules=None, now=0.0):
    budget = RetryBudget(rules or BudgetRules())
    for _ in range(calls):
        budget.deposit(now)
    return budget


def test_share():
    """Of many calls a tenth may be retried."""
    assert taken(after(1000), 0, 500) == 100


def test_floor():
    """Of few calls three may be retried at once, and another three when those have ended."""
    budget = after(1)
    assert taken(budget, 0, 9) == 3
    budget.end()
    assert taken(budget, 0, 9) == 1


def test_no_floor_under_load():
    """With many calls the share is the bound, also for retries that end at once."""
    budget = after(1000)
    for _ in range(300):
        if budget.take(0):
            budget.end()
    assert not budget.take(0)


def test_window():
    """Calls and retries are forgotten after the window."""
    budget = after(100)
    assert taken(budget, 0, 20) == 10
    for _ in range(10):
        budget.end()
    assert not budget.take(9.5)
    budget.deposit(11)
    assert taken(budget, 11, 20) == 3


def test_none_at_all():
    """A budget of nothing retries nothing."""
    assert taken(after(1000, BudgetRules(ratio=0, floor=0)), 0, 10) == 0


@given(st.lists(st.tuples(st.sampled_from(["call", "retry", "end"]), st.floats(0, 3)), max_size=200))
@settings(deadline=None)
def test_bound(steps):
    """A retry is granted beyond the floor only within the share of the window's calls; none is lost."""
    budget, now, active = RetryBudget(BudgetRules()), 0.0, 0
    calls, grants = [], []
    for step, pause in steps:
        now += pause
        if step == "call":
            budget.deposit(now)
            calls.append(now)
        elif step == "retry":
            # The window slides by a tenth: what is younger than nine seconds surely counts, what is older than ten not.
            retries = sum(at > now - 9 for at in grants)
            share = 0.1 * sum(at > now - 10.001 for at in calls)
            if budget.take(now):
                active += 1
                grants.append(now)
                assert active <= 3 or retries < share
            else:
                assert active >= 3 or share >= 3
        elif active:
            budget.end()
            active -= 1
    assert budget._active == active
