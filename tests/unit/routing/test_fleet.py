from __future__ import annotations

import math
from random import Random

import pytest

from pointsman_server.errors import Reason
from pointsman_server.routing.availability import blocks
from pointsman_server.routing.breaker import EjectionRules
from pointsman_server.routing.fleet import Block, Fleet, Identity
from pointsman_server.routing.view import BackendState
from tests.unit.routing.pieces import book, candidate, fail, target

UNAVAILABLE = Reason.UPSTREAM_UNAVAILABLE


def ejected(name, now=0.0):
    one = book(name)
    for _ in range(5):
        fail(one, UNAVAILABLE, now)
    return one


def open_of(books, now, share=0.5):
    found = blocks([candidate(target(b.identity.name, at=b)) for b in books], now, max_ejected_share=share)
    return [b.identity.name for b, block in zip(books, found, strict=True) if block is None]


@pytest.mark.parametrize("reason", [Reason.UPSTREAM_RATE_LIMITED, Reason.UPSTREAM_OVERLOADED])
def test_model_pause(reason):
    """A rate limit or an overload pauses the model there, not its neighbours."""
    one = book()
    fail(one, reason, 0, model="big", retry_after_s=5)
    block = one.block("big", 1)
    assert (block.state, block.reason, block.until) == (BackendState.COOLING_DOWN, reason.value, 5)
    assert one.block("small", 1) is None
    assert one.block("big", 5) is None


@pytest.mark.parametrize("reason", [Reason.UPSTREAM_QUOTA_EXHAUSTED, Reason.UPSTREAM_CREDENTIALS_INVALID])
def test_backend_pause(reason):
    """A quota or a credential at fault pauses the whole backend; another credential ends that."""
    one = book()
    fail(one, reason, 0, model="big")
    assert one.block("small", 59).state is BackendState.COOLING_DOWN
    assert one.state(59).state is BackendState.COOLING_DOWN
    one.renew_credentials()
    assert one.block("small", 1) is None


def test_pause_is_no_failure():
    """Rate limits do not eject, however many."""
    one = book()
    for _ in range(20):
        assert not fail(one, Reason.UPSTREAM_RATE_LIMITED, 0, retry_after_s=1)
    assert one.block("m", 2) is None


def test_answers_that_are_the_callers_fault():
    """A rejected request shows that the backend works: it ends a row of failures."""
    one = book()
    for _ in range(4):
        fail(one, UNAVAILABLE, 0)
    fail(one, Reason.UPSTREAM_REJECTED, 0, ticket=one.breaker.begin(0))
    assert not fail(one, UNAVAILABLE, 0)


def test_states():
    """People see healthy, ejected, half-open and cooling down, with what ends it."""
    one = ejected("a")
    assert one.state(1).state is BackendState.EJECTED
    assert one.block("m", 1).until == one.breaker.until
    now = one.breaker.until
    assert one.state(now).state is BackendState.HALF_OPEN
    assert one.block("m", now) is None
    one.breaker.begin(now)
    assert one.block("m", now).state is BackendState.HALF_OPEN
    assert book().state(0).state is BackendState.HEALTHY


def test_never_more_than_half_ejected():
    """With more than the share in trouble, those ejected last are used all the same."""
    books = [ejected("a", 0), ejected("b", 1), ejected("c", 2), book("d")]
    assert open_of(books, 3) == ["c", "d"]
    assert open_of(books[:1], 3) == ["a"]
    assert open_of(books[:2], 3) == ["b"]
    assert open_of(books, 3, share=0) == ["a", "b", "c", "d"]
    assert open_of(books, 3, share=1) == ["d"]


def test_targets_of_one_backend_count_once():
    """The share is of backends, not of targets."""
    one, other = ejected("a"), book("b")
    views = [target("a", model=m, at=one) for m in ("x", "y", "z")] + [target("b", at=other)]
    found = blocks([candidate(view) for view in views], 1, max_ejected_share=0.5)
    assert [block is None for block in found] == [False, False, False, True]


def test_a_pause_is_always_kept():
    """What a provider asked for is kept, even when no other backend is there."""
    one = book("a")
    fail(one, Reason.UPSTREAM_RATE_LIMITED, 0, retry_after_s=5)
    assert open_of([one], 1) == []


def test_places():
    """No more attempts than the limit; a freed place goes to the longest waiter first."""
    one, got = book(limit=1), []
    assert one.take()
    assert not one.take()
    one.wait(lambda: got.append("first") or True)
    gone = lambda: False  # noqa: E731
    one.wait(gone)
    one.wait(lambda: got.append("second") or True)
    one.give_back()
    assert (got, one.in_flight) == (["first"], 1)
    assert not one.take()
    one.give_back()
    assert (got, one.in_flight) == (["first", "second"], 1)
    one.give_back()
    assert one.in_flight == 0


def test_forgotten_waiters_get_nothing():
    """Who has gone is not offered a place; forgetting twice does no harm."""
    one, got = book(limit=1), []
    one.take()
    offer = lambda: got.append(1) or True  # noqa: E731
    one.wait(offer)
    one.forget(offer)
    one.forget(offer)
    one.give_back()
    assert (got, one.in_flight) == ([], 0)


def test_other_limits():
    """A higher limit lets waiters in at once; a lower one lets what runs end and hands nothing on until it fits."""
    one, got = book(limit=1), []
    one.take()
    for name in "abc":
        one.wait(lambda name=name: got.append(name) or True)
    one.resize(3)
    assert (got, one.in_flight) == (["a", "b"], 3)
    one.resize(1)
    one.give_back()
    one.give_back()
    assert (got, one.in_flight) == (["a", "b"], 1)
    one.give_back()
    assert (got, one.in_flight) == (["a", "b", "c"], 1)


def test_adopt():
    """The same backend keeps its book, with new numbers; another address has a book of its own."""
    fleet, rules = Fleet(Random(1)), EjectionRules()
    first = fleet.adopt(Identity("a", "p", "u"), 1, rules)
    assert fleet.adopt(Identity("a", "p", "u"), 9, rules) is first
    assert first.limit == 9
    assert fleet.adopt(Identity("a", "p", "other"), 9, rules) is not first
    fleet.keep_only(set())
    assert fleet.adopt(Identity("a", "p", "other"), 9, rules).limit == 9
    assert [fleet.turn("m"), fleet.turn("m"), fleet.turn("n")] == [0, 1, 0]


def test_first_token_average():
    """The average follows what is measured, and old samples fade."""
    one = book()
    one.saw_first_token(1.0, 0)
    one.saw_first_token(2.0, 1)
    assert 1.0 < one.first_token_ewma_s < 2.0
    one.saw_first_token(3.0, 100)
    assert one.first_token_ewma_s == 3.0


def test_what_is_drained_takes_no_calls():
    """Whatever else is wrong with it or with the others; undrained it is what it was."""
    drained, healthy = book("a"), book("b")
    drained.drained = "new driver"
    assert drained.state(1) == drained.block("m", 1) == Block(BackendState.DRAINING, "new driver", math.inf)
    for share in (0, 0.5, 1):
        assert open_of([drained, healthy], 1, share) == ["b"]
        assert open_of([drained], 1, share) == []
    # Of two one may be ejected; what is drained is not among them.
    assert open_of([ejected("c"), healthy], 1) == ["b"]
    assert open_of([drained, ejected("c")], 1) == ["c"]
    drained.drained = None
    assert drained.state(1).state is BackendState.HEALTHY
    assert open_of([drained, healthy], 1) == ["a", "b"]
