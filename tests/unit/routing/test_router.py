from __future__ import annotations

from random import Random

import pytest

from pointsman_server.context import AuthMethod, Principal
from pointsman_server.domain import Fallback, Warning
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.routing.router import INELIGIBLE, pick
from tests.unit.routing.pieces import ANYONE, View, call, model, target

SEED = Warning("UNSUPPORTED_PARAMETER", "generation.seed", "not taken")
TOP_K = Warning("UNSUPPORTED_PARAMETER", "generation.top_k", "not taken")
IMAGE = Warning(INELIGIBLE, "conversation", "no images")


def picked(a_call, view, *, principal=ANYONE, turns=None):
    turns = {} if turns is None else turns

    def turn(name):
        turns[name] = turns.get(name, -1) + 1
        return turns[name]

    return pick(a_call, view, principal, turn=turn, rng=Random(1))


def names(plan):
    return [candidate.view.target.backend for candidate in plan.candidates]


def refused(a_call, view, **more):
    with pytest.raises(ServiceError) as caught:
        picked(a_call, view, **more)
    return caught.value


ABC = model(target("a"), target("b"), target("c"))


def test_plan():
    """A plan lists every target with its reason, in the policy's order."""
    plan = picked(call(), View(ABC))
    assert names(plan) == ["a", "b", "c"]
    assert (plan.model, plan.policy, plan.reason) == (
        "m",
        "round_robin",
        "round_robin: 3 of 3 targets eligible",
    )
    assert plan.candidates[1].reason == "round_robin, group 0, rank 1"


def test_alias():
    """A plan is told by the model's own name."""
    plan = picked(call("alias"), View(ABC, aliases={"alias": "m"}))
    assert plan.model == "m"


def test_unknown_model():
    """What is not here is MODEL_NOT_FOUND."""
    assert refused(call("x"), View(ABC)).reason is Reason.MODEL_NOT_FOUND


def test_callers_policy():
    """The caller's policy stands in for the model's."""
    view = View(model(target("a"), target("b", weight=0)))
    assert names(picked(call(policy="weighted"), view)) == ["a"]


def test_groups():
    """Lower groups come first, whatever the policy; within each its order holds."""
    view = View(model(target("late", group=5), target("a"), target("b"), target("mid", group=2)))
    turns = {}
    assert names(picked(call(), view, turns=turns)) == ["a", "b", "mid", "late"]
    assert names(picked(call(), view, turns=turns)) == ["b", "a", "mid", "late"]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"allow_backends": ("c", "a")}, ["a", "c"]),
        ({"deny_backends": ("a",)}, ["b", "c"]),
        ({"allow_backends": ("a", "b"), "deny_backends": ("a",)}, ["b"]),
        ({"allow_backends": ("a", "unknown")}, ["a"]),
    ],
)
def test_allow_and_deny(choice, expected):
    """The caller narrows the backends; a denied one is never used."""
    assert names(picked(call(**choice), View(ABC))) == expected


@pytest.mark.parametrize("choice", [{"allow_backends": ("x",)}, {"deny_backends": ("a", "b", "c")}])
def test_nothing_left(choice):
    """Choices that leave no backend are NO_ELIGIBLE_BACKEND."""
    assert refused(call(**choice), View(ABC)).reason is Reason.NO_ELIGIBLE_BACKEND


def test_warnings_travel():
    """What a target will not honour is told with it; it is used all the same."""
    plan = picked(call(), View(model(target("a", warnings=(SEED,)), target("b"))))
    assert [candidate.warnings for candidate in plan.candidates] == [(SEED,), ()]


def test_strict():
    """A strict call uses only targets that honour all of it."""
    view = View(model(target("a", warnings=(SEED,)), target("b")))
    assert names(picked(call(strict_params=True), view)) == ["b"]


def test_strict_nobody():
    """Where no target honours all, the caller is told which fields, by the target that comes closest."""
    view = View(model(target("a", warnings=(SEED, TOP_K)), target("b", warnings=(TOP_K,))))
    error = refused(call(strict_params=True), view)
    assert error.reason is Reason.UNSUPPORTED_PARAMETER
    assert [fault.path for fault in error.fields] == ["generation.top_k"]


def test_strict_but_denied():
    """Where the one that would honour all is denied, the choice is at fault, not the parameter."""
    view = View(model(target("a", warnings=(SEED,)), target("b")))
    error = refused(call(strict_params=True, deny_backends=("b",)), view)
    assert error.reason is Reason.NO_ELIGIBLE_BACKEND


def test_content_that_a_target_cannot_take():
    """A target without which the call makes no sense is never used, strict or not."""
    view = View(model(target("a", warnings=(IMAGE,)), target("b")))
    assert names(picked(call(), view)) == ["b"]
    assert refused(call(deny_backends=("b",)), view).reason is Reason.NO_ELIGIBLE_BACKEND
    assert refused(call(), View(model(target("a", warnings=(IMAGE,))))).reason is Reason.NO_ELIGIBLE_BACKEND


OTHER = model(target("x", group=3), target("y"), name="other")
THIRD = model(target("z"), name="third")
CHAIN = View(model(target("a"), fallbacks=("other",)), OTHER, THIRD, places=(target("p"),))


def test_configured_fallbacks():
    """The configured fallbacks come after the model's own targets, with their own groups."""
    plan = picked(call(), CHAIN)
    assert names(plan) == ["a", "y", "x"]
    assert [candidate.model for candidate in plan.candidates] == ["m", "other", "other"]
    assert [candidate.fallback for candidate in plan.candidates] == [0, 1, 1]
    assert plan.candidates[2].reason == "fallback 1: round_robin, group 3, rank 0"


def test_callers_fallbacks_replace():
    """The caller's fallbacks stand in for the configured ones, in the caller's order."""
    plan = picked(call(fallbacks=(Fallback("third"), Fallback(backend="p"))), CHAIN)
    assert names(plan) == ["a", "z", "p"]
    assert plan.candidates[2].view.target.model == "m"


def test_fallback_of_model_and_backend():
    """A fallback may name a model at one backend."""
    plan = picked(call(fallbacks=(Fallback("other", "x"), Fallback("third", "p"))), CHAIN)
    assert names(plan) == ["a", "x", "p"]
    assert plan.candidates[2].view.target.model == "third"


def test_no_fallback():
    """The caller may forbid fallbacks."""
    assert names(picked(call(no_fallback=True), CHAIN)) == ["a"]
    assert refused(call(no_fallback=True, deny_backends=("a",)), CHAIN).reason is Reason.NO_ELIGIBLE_BACKEND


def test_fallback_alone():
    """When the model's own targets are ruled out, the fallback serves."""
    assert names(picked(call(deny_backends=("a",)), CHAIN)) == ["y", "x"]


@pytest.mark.parametrize(
    "bad", [Fallback("nothing"), Fallback(backend="nothing"), Fallback(), Fallback("other", "nothing")]
)
def test_fallback_to_nothing(bad):
    """A fallback that names nothing here is the caller's mistake, told with its place in the request."""
    error = refused(call(fallbacks=(Fallback("third"), bad)), CHAIN)
    assert error.reason is Reason.INVALID_REQUEST
    assert error.fields[0].path == "routing.fallbacks[1]"


def test_fallback_that_the_principal_may_not_use():
    """An access list holds for fallbacks too: they are skipped."""
    principal = Principal("p", AuthMethod.API_KEY, frozenset({"m", "third"}))
    assert names(picked(call(), CHAIN, principal=principal)) == ["a"]
    plan = picked(call(fallbacks=(Fallback("other"), Fallback("third"))), CHAIN, principal=principal)
    assert names(plan) == ["a", "z"]


def test_fallbacks_take_no_turns():
    """Planning with a fallback does not move the round of that model's own callers."""
    view = View(model(target("a"), fallbacks=("other",)), model(target("x"), target("y"), name="other"))
    turns = {}
    firsts = []
    for _ in range(6):
        picked(call(), view, turns=turns)
        firsts.append(names(picked(call("other"), view, turns=turns))[0])
    assert firsts == ["x", "y"] * 3
