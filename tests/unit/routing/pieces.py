"""Targets, calls and candidates for tests of routing."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from pointsman_server.context import AuthMethod, Principal, Target
from pointsman_server.domain import Call, Prompt, RoutingOptions
from pointsman_server.routing.breaker import UNSEEN, EjectionRules
from pointsman_server.routing.fleet import BackendBook, Identity
from pointsman_server.routing.plan import Candidate, ModelView, Plan, TargetView

ANYONE = Principal("anyone", AuthMethod.NONE)


def book(name="b", *, limit=4, rules=None, seed=1):
    return BackendBook(Identity(name, "p", "u"), limit, rules or EjectionRules(), Random(seed))


def target(name="b", *, model="m", weight=1, group=0, limit=0, warnings=(), at=None):
    return TargetView(Target(name, "p", model), at or book(name), weight, group, limit, lambda call: warnings)


def call(model="m", **routing):
    return Call(model, Prompt("hi"), routing=RoutingOptions(**routing))


def candidate(view, *, fallback=0):
    return Candidate(view, "m", view.group, "round_robin", 0, (), fallback)


def plan(*views):
    return Plan("m", "round_robin", tuple(candidate(view) for view in views), "")


def fail(at: BackendBook, reason, now, *, model="m", retry_after_s=None, ticket=UNSEEN):
    return at.record(model, reason, now, ticket=ticket, retry_after_s=retry_after_s, longest_s=300)


class View:
    """Models by name; a backend that no model lists may be named as a place."""

    def __init__(self, *models: ModelView, aliases=None, places=()):
        self._models = {model.name: model for model in models}
        self._aliases = aliases or {}
        self._places = {view.target.backend: view for view in places}

    def model(self, name):
        return self._models.get(self._aliases.get(name, name))

    def places_of(self, backend, model):
        view = self._places.get(backend)
        return () if view is None else (replace(view, target=replace(view.target, model=model)),)


def model(*targets, name="m", policy="round_robin", fallbacks=()):
    return ModelView(name, policy, targets, fallbacks)
