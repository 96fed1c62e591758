from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman_server.dispatch.retry import RetryRules, Walk
from pointsman_server.dispatch.rules import FREE, RULES, Rule
from pointsman_server.errors import Reason, ServiceError
from tests.unit.routing.pieces import book, fail, plan, target

UNAVAILABLE, TIMEOUT = Reason.UPSTREAM_UNAVAILABLE, Reason.UPSTREAM_TIMEOUT
LIMITED = Reason.UPSTREAM_RATE_LIMITED


class Trip:
    """A walk whose failures also reach the books, as the dispatcher does it."""

    def __init__(self, *views, **rules):
        self.plan = plan(*views)
        self.walk = Walk(self.plan, RetryRules(**rules), Random(1))
        self.now = 0.0

    def begin(self, step=None):
        chosen = (step or self.walk.first(self.now)).candidates[0]
        self.walk.began(chosen)
        self.at = chosen.view
        return chosen.view.target.backend

    def fail(self, reason, *, retry_after_s=None, remaining_s=60.0):
        fail(self.at.book, reason, self.now, model=self.at.target.model, retry_after_s=retry_after_s)
        error = ServiceError(reason, "", retry_after_s=retry_after_s)
        return self.walk.after(error, self.now, remaining_s)


def names(step):
    return None if step is None else [candidate.view.target.backend for candidate in step.candidates]


def ab(**rules):
    trip = Trip(target("a"), target("b"), **rules)
    trip.begin()
    return trip


@pytest.mark.parametrize("reason", Reason)
def test_another_backend(reason):
    """Every reason but those that stand goes on to a backend that was not tried, at once."""
    trip = Trip(target("a", limit=10), target("b", limit=20))
    trip.begin()
    step = trip.fail(reason)
    if RULES[reason] is Rule.NEVER:
        assert step is None
    else:
        assert names(step) == ["b"]
        assert step.delay_s == 0
        assert step.free is (reason in FREE)


@pytest.mark.parametrize("reason", Reason)
def test_the_same_backend(reason):
    """With one backend it is asked again only where the rules say so, and never for free."""
    trip = Trip(target("a"))
    trip.begin()
    step = trip.fail(reason)
    if RULES[reason] in {Rule.NEVER, Rule.OTHER, Rule.LARGER}:
        assert step is None
    else:
        assert names(step) == ["a"]
        assert not step.free
        assert step.delay_s > 0


@pytest.mark.parametrize("reason", [Reason.UPSTREAM_ERROR, Reason.UPSTREAM_BAD_RESPONSE])
def test_once(reason):
    """An error that a backend made is tried once more, wherever, and then stands."""
    trip = Trip(target("a"), target("b"), target("c"))
    trip.begin()
    trip.begin(trip.fail(reason))
    assert trip.fail(reason) is None


def test_max_attempts():
    """No more attempts than the rules allow."""
    trip = Trip(*(target(name) for name in "abcde"))
    trip.begin()
    trip.begin(trip.fail(UNAVAILABLE))
    trip.begin(trip.fail(UNAVAILABLE))
    assert trip.fail(UNAVAILABLE) is None
    assert trip.walk.attempts == 3


def test_a_silent_backend_is_not_asked_twice():
    """After a timeout no target of that backend is tried, also not when the next one fails otherwise."""
    one = book("a")
    trip = Trip(target("a", at=one), target("a", model="other", at=one), target("b"))
    trip.begin()
    step = trip.fail(TIMEOUT)
    assert names(step) == ["b"]
    trip.begin(step)
    assert names(trip.fail(UNAVAILABLE)) == ["b"]


def test_other_means_other():
    """What may go only to another backend may go back to one that failed before, but never stays."""
    trip = ab()
    trip.begin(trip.fail(UNAVAILABLE))
    assert names(trip.fail(Reason.UPSTREAM_MODEL_NOT_FOUND)) == ["a"]


def test_another_place_first():
    """After a fault of the place, another backend comes before another model of the same one."""
    one = book("a")
    trip = Trip(target("a", at=one), target("a", model="other", at=one), target("b"))
    trip.begin()
    step = trip.fail(UNAVAILABLE)
    assert names(step) == ["b"]


def test_another_model_of_the_same_backend():
    """A rate limit of one model leaves another model of the same backend; that is not free."""
    one = book("a")
    trip = Trip(target("a", at=one), target("a", model="other", at=one))
    trip.begin()
    step = trip.fail(LIMITED, retry_after_s=5)
    assert step.candidates[0].view.target.model == "other"
    trip = Trip(target("a", at=one), target("a", model="third", at=one))
    trip.walk.began(trip.plan.candidates[0])
    step = trip.walk.after(ServiceError(Reason.UPSTREAM_UNREACHABLE, ""), 0, 60)
    assert step.candidates[0].view.target.model == "third"
    assert not step.free


def test_overflow_goes_only_to_larger():
    """A call that did not fit goes to larger contexts only, for the rest of its walk."""
    small, same, unknown, large = (
        target("s", limit=10),
        target("t", limit=10),
        target("u"),
        target("l", limit=20),
    )
    trip = Trip(small, same, unknown, large)
    trip.begin()
    step = trip.fail(Reason.CONTEXT_LENGTH_EXCEEDED)
    assert names(step) == ["l"]
    trip.begin(step)
    assert names(trip.fail(UNAVAILABLE)) == ["l"]


def test_overflow_of_the_largest():
    """Where nothing is larger, or nobody knows, the overflow stands."""
    for views in ((target("l", limit=20), target("s", limit=10)), (target("u"), target("l", limit=20))):
        trip = Trip(*views)
        trip.begin()
        assert trip.fail(Reason.CONTEXT_LENGTH_EXCEEDED) is None


def test_retry_after_is_honoured():
    """The same backend is asked when the wait that it named is over, and a little later: not all at once."""
    trip = Trip(target("a"))
    trip.begin()
    step = trip.fail(LIMITED, retry_after_s=2)
    assert 2 < step.delay_s <= 2.102
    assert trip.plan.candidates[0].view.book.block("m", step.delay_s) is None


def test_retry_after_beyond_the_deadline():
    """A wait that does not fit lets the error stand."""
    trip = Trip(target("a"))
    trip.begin()
    assert trip.fail(LIMITED, retry_after_s=20, remaining_s=10) is None


@pytest.mark.parametrize("asked_s", [301, 9999, None, 0, -5])
def test_retry_after_is_not_believed(asked_s):
    """A wait over the cap, or none, counts as unnamed: the pause is then a second."""
    trip = Trip(target("a"))
    trip.begin()
    assert 1 < trip.fail(LIMITED, retry_after_s=asked_s).delay_s <= 1.102


def test_a_named_wait_without_a_pause():
    """A 503 with Retry-After is waited out at its backend; another tried backend need not wait for it."""
    trip = Trip(target("a"))
    trip.begin()
    assert 3 < trip.fail(UNAVAILABLE, retry_after_s=3).delay_s < 3.2
    trip = ab()
    trip.begin(trip.fail(UNAVAILABLE))
    step = trip.fail(UNAVAILABLE, retry_after_s=3)
    assert names(step) == ["a"]
    assert step.delay_s < 0.3


@given(st.integers(0, 2**32))
@settings(deadline=None)
def test_backoff(seed):
    """Between attempts at tried backends there is full jitter, doubling up to the cap."""
    trip = Trip(target("a"), max_attempts=9, max_ejected_share=0)
    trip.walk = Walk(trip.plan, RetryRules(max_attempts=9, max_ejected_share=0), Random(seed))
    trip.begin()
    for top in (0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0):
        step = trip.fail(UNAVAILABLE)
        assert 0 <= step.delay_s <= top
        trip.begin(step)


def test_jitter_is_full():
    """The jitter uses the whole range."""
    delays = []
    for seed in range(200):
        walk = Walk(plan(target("a")), RetryRules(), Random(seed))
        walk.began(walk.first(0).candidates[0])
        delays.append(walk.after(ServiceError(UNAVAILABLE, ""), 0, 60).delay_s)
    assert min(delays) < 0.01
    assert max(delays) > 0.09


def test_the_end_of_an_ejection_is_not_waited_for():
    """A retry does not sleep until an ejected backend comes back."""
    trip = ab()
    for _ in range(5):
        fail(trip.at.book, UNAVAILABLE, 0)
    trip.begin(trip.fail(UNAVAILABLE))
    assert names(trip.fail(UNAVAILABLE)) == ["b"]
    alone = Trip(target("a"), max_ejected_share=1)
    for _ in range(5):
        fail(alone.walk.first(0).candidates[0].view.book, UNAVAILABLE, 0)
    alone.walk.began(alone.plan.candidates[0])
    assert alone.walk.after(ServiceError(UNAVAILABLE, ""), 0, 60) is None


class Least(Random):
    """Always the least."""

    def random(self):
        return 0.0


@given(st.floats(0, 1e6), st.floats(0.001, 50))
@settings(deadline=None)
def test_a_pause_is_over_when_it_was_waited_for(now, asked_s):
    """However the numbers round, a wait for the end of a pause ends after it."""
    view = target("a")
    walk = Walk(plan(view), RetryRules(), Least(1))
    walk.began(walk.first(now).candidates[0])
    fail(view.book, LIMITED, now, retry_after_s=asked_s)
    step = walk.after(ServiceError(LIMITED, "", retry_after_s=asked_s), now, 60)
    assert view.book.block("m", now + step.delay_s) is None


def test_the_least_tried():
    """Of tried backends that may be asked as soon, none starves: the wait decides, then the number of tries."""
    trip = Trip(target("a"), target("b"), max_attempts=9)
    trip.begin()
    trip.begin(trip.fail(LIMITED, retry_after_s=5))
    assert names(trip.fail(LIMITED, retry_after_s=2)) == ["b"]
    trip.now = 3
    assert names(trip.fail(LIMITED, retry_after_s=9)) == ["a"]


def test_none_takes_calls():
    """NO_HEALTHY_BACKEND says why, and when the first one may be asked again."""
    a, b = target("a"), target("b")
    fail(a.book, LIMITED, 0, retry_after_s=7)
    fail(b.book, LIMITED, 0, retry_after_s=4)
    with pytest.raises(ServiceError) as caught:
        Trip(a, b).walk.first(1)
    assert caught.value.reason is Reason.NO_HEALTHY_BACKEND
    assert caught.value.retry_after_s == 3
    assert "2 cooling down" in caught.value.detail


def test_an_unknown_wait():
    """While a probe is under way nobody knows how long: a caller is told a second, not nothing."""
    a = target("a")
    for _ in range(5):
        fail(a.book, UNAVAILABLE, 0)
    now = a.book.breaker.until
    a.book.breaker.begin(now)
    with pytest.raises(ServiceError) as caught:
        Walk(plan(a), RetryRules(max_ejected_share=1), Random(1)).first(now)
    assert caught.value.retry_after_s == 1


def test_blocked_ones_are_passed_over():
    """The first attempt goes to the first that takes calls."""
    a, b = target("a"), target("b")
    fail(a.book, LIMITED, 0, retry_after_s=7)
    assert names(Trip(a, b).walk.first(1)) == ["b"]


def test_still_open():
    """After a wait only those that still take calls remain."""
    trip = Trip(target("a"), target("b"))
    step = trip.walk.first(0)
    fail(step.candidates[0].view.book, LIMITED, 0, retry_after_s=7)
    assert [c.view.target.backend for c in trip.walk.still_open(step.candidates, 1)] == ["b"]


@given(st.lists(st.sampled_from(list(Reason)), max_size=12), st.integers(1, 5), st.integers(0, 2**32))
@settings(deadline=None)
def test_any_walk(reasons, max_attempts, seed):
    """Whatever fails how: bounded attempts, nothing after a reason that stands, no wait beyond the deadline."""
    trip = Trip(target("a", limit=5), target("b", limit=9), target("c"), max_attempts=max_attempts)
    trip.walk = Walk(trip.plan, RetryRules(max_attempts=max_attempts), Random(seed))
    trip.begin()
    silent = set()
    for reason in reasons:
        if reason is TIMEOUT:
            silent.add(trip.at.target.backend)
        step = trip.fail(reason, remaining_s=5)
        if step is None:
            return
        assert RULES[reason] is not Rule.NEVER
        assert step.delay_s < 5
        assert not silent & set(names(step))
        trip.now += step.delay_s
        trip.begin(step)
        assert trip.walk.attempts <= max_attempts
