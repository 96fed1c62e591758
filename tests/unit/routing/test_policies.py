from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman_server.routing.policies import POLICIES, least_outstanding, round_robin, weighted
from tests.unit.routing.pieces import target

seeds = st.integers(0, 2**32)


def names(targets):
    return [view.target.backend for view in targets]


def group(n):
    return [target(f"b{i}") for i in range(n)]


@given(st.integers(1, 8), st.integers(0, 1000), seeds, st.sampled_from(sorted(POLICIES)))
@settings(deadline=None)
def test_every_target_once(n, turn, seed, policy):
    """Each policy orders all targets of a group, each once, and changes nothing."""
    targets = group(n)
    found = POLICIES[policy](targets, turn, Random(seed))
    assert sorted(names(found)) == sorted(names(targets))
    assert names(targets) == [f"b{i}" for i in range(n)]


@given(st.integers(1, 8), st.integers(0, 1000))
@settings(deadline=None)
def test_round_robin_is_exact(n, start):
    """Over any n turns in a row each is first exactly once."""
    targets = group(n)
    firsts = [names(round_robin(targets, turn, Random(0)))[0] for turn in range(start, start + n)]
    assert sorted(firsts) == sorted(names(targets))


@given(st.integers(3, 7), st.integers(0, 6))
@settings(deadline=None)
def test_round_robin_without_one(n, missing):
    """What a target that is out would have taken is shared by all others alike."""
    targets, out = group(n), f"b{missing % n}"
    served = Counter()
    for turn in range(n * (n - 1)):
        served[next(name for name in names(round_robin(targets, turn, Random(0))) if name != out)] += 1
    assert set(served.values()) == {n}


@given(st.lists(st.integers(0, 9), min_size=1, max_size=5), seeds)
@settings(deadline=None)
def test_weighted_proportions(weights, seed):
    """Each is first in proportion to its weight; weight 0 never, not even as the last."""
    targets = [target(f"b{i}", weight=weight) for i, weight in enumerate(weights)]
    rng, draws = Random(seed), 2000
    firsts = Counter()
    for _ in range(draws):
        found = names(weighted(targets, 0, rng))
        assert len(found) == sum(weight > 0 for weight in weights)
        firsts.update(found[:1])
    for i, weight in enumerate(weights):
        share = weight / sum(weights) if sum(weights) else 0
        assert abs(firsts[f"b{i}"] / draws - share) < 0.07  # Six sigma of a fair coin over 2000.


@given(st.lists(st.integers(0, 50), min_size=3, max_size=8, unique=True), seeds)
@settings(deadline=None)
def test_least_outstanding_never_the_most_loaded(loads, seed):
    """Of three or more the most loaded is never first; the others follow by load."""
    targets = group(len(loads))
    for view, load in zip(targets, loads, strict=True):
        view.book.in_flight_tokens = load
    found = least_outstanding(targets, 0, Random(seed))
    assert found[0].book.in_flight_tokens != max(loads)
    rest = [view.book.in_flight_tokens for view in found[1:]]
    assert rest == sorted(rest)


def test_least_outstanding_spreads():
    """With equal loads each is first alike; with unequal ones no herd runs to the least."""
    targets, rng = group(4), Random(5)
    firsts = Counter(names(least_outstanding(targets, 0, rng))[0] for _ in range(4000))
    assert all(abs(count - 1000) < 200 for count in firsts.values())
    for load, view in enumerate(targets):
        view.book.in_flight_tokens = load
    firsts = Counter(names(least_outstanding(targets, 0, rng))[0] for _ in range(4000))
    assert [round(firsts[f"b{i}"] / 4000, 1) for i in range(4)] == [0.5, 0.3, 0.2, 0.0]


def test_tokens_before_calls():
    """One heavy call outweighs several light ones; equal tokens are told apart by calls."""
    heavy, light = group(2)
    heavy.book.in_flight_tokens, heavy.book.in_flight = 9000, 1
    light.book.in_flight_tokens, light.book.in_flight = 900, 9
    assert names(least_outstanding([heavy, light], 0, Random(1)))[0] == "b1"
    heavy.book.in_flight_tokens = 900
    assert names(least_outstanding([heavy, light], 0, Random(1)))[0] == "b0"
