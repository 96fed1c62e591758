"""Call + view of the fleet -> plan: who may serve it, in which order, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from random import Random

from pointsman_server.context import Principal
from pointsman_server.domain import Call, Fallback, Warning
from pointsman_server.errors import FieldFault, Reason, ServiceError
from pointsman_server.routing.plan import Candidate, FleetView, ModelView, Plan, TargetView
from pointsman_server.routing.policies import POLICIES

INELIGIBLE = "UNSUPPORTED_CONTENT"
"""Code of a warning about something without which the call makes no sense: such a target is never used."""


@dataclass(slots=True)
class _Sieve:
    """Why targets fell out, so that a refusal can name the caller's own choice."""

    selected: int = 0
    strict: list[tuple[Warning, ...]] | None = None
    strict_passed_elsewhere: bool = False


def pick(
    call: Call, view: FleetView, principal: Principal, *, turn: Callable[[str], int], rng: Random
) -> Plan:
    """The plan for a call whose model name is known to exist.

    Raises ServiceError: MODEL_NOT_FOUND, UNSUPPORTED_PARAMETER when strict and no target can honour the call,
    NO_ELIGIBLE_BACKEND when the caller's choices or the content leave none.
    """
    model = view.model(call.model)
    if model is None:
        raise ServiceError(Reason.MODEL_NOT_FOUND, f"no model {call.model!r} here", resource=call.model)
    policy = call.routing.policy or model.policy
    sieve = _Sieve()
    candidates = _model_candidates(call, model, policy, sieve, turn=turn, rng=rng)
    reason = f"{policy}: {len(candidates)} of {len(model.targets)} targets eligible"
    if not call.routing.no_fallback:
        candidates.extend(_fallbacks(call, model, view, principal, sieve, turn=turn, rng=rng))
    if not candidates:
        raise _refusal(call, sieve)
    return Plan(model=model.name, policy=policy, candidates=tuple(candidates), reason=reason)


def _model_candidates(
    call: Call, model: ModelView, policy: str, sieve: _Sieve, *, turn: Callable[[str], int], rng: Random
) -> list[Candidate]:
    order = POLICIES[policy]
    eligible = [(target, warnings) for target, warnings in _eligible(call, model.targets, sieve)]
    by_group: dict[int, list[TargetView]] = {}
    found = {id(target): warnings for target, warnings in eligible}
    for target, _ in eligible:
        by_group.setdefault(target.group, []).append(target)
    number = turn(model.name)
    return [
        Candidate(target, model.name, group, f"{policy}, group {group}, rank {rank}", found[id(target)])
        for group in sorted(by_group)
        for rank, target in enumerate(order(by_group[group], number, rng))
    ]


def _eligible(
    call: Call, targets: Iterable[TargetView], sieve: _Sieve
) -> Iterable[tuple[TargetView, tuple[Warning, ...]]]:
    options = call.routing
    for target in targets:
        warnings = tuple(target.unsupported(call))
        usable = not any(warning.code == INELIGIBLE for warning in warnings)
        honoured = not warnings or not options.strict_params
        name = target.target.backend
        chosen = (not options.allow_backends or name in options.allow_backends) and name not in options.deny_backends
        if options.strict_params and not warnings:
            sieve.strict_passed_elsewhere = True
        if usable and chosen and not honoured:
            sieve.strict = [*(sieve.strict or []), warnings]
        if usable and chosen and honoured:
            yield target, warnings


def _fallbacks(
    call: Call, model: ModelView, view: FleetView, principal: Principal, sieve: _Sieve, *,
    turn: Callable[[str], int], rng: Random,
) -> list[Candidate]:
    named = call.routing.fallbacks or tuple(Fallback(model=name) for name in model.fallbacks)
    found: list[Candidate] = []
    for offset, fallback in enumerate(named, start=1):
        other = view.model(fallback.model) if fallback.model else _single(fallback, model, view)
        if other is None:
            path = f"routing.fallbacks[{offset - 1}]"
            raise ServiceError(
                Reason.INVALID_REQUEST, "a fallback names nothing that is here",
                fields=(FieldFault(path, "no such model or backend"),),
            )
        if not principal.may_use(other.name):
            continue
        for candidate in _model_candidates(call, other, other.policy, sieve, turn=turn, rng=rng):
            reason = f"fallback {offset}: {candidate.reason}"
            found.append(replace(candidate, group=candidate.group + 1001 * offset, reason=reason))
    return found


def _single(fallback: Fallback, model: ModelView, view: FleetView) -> ModelView | None:
    """One backend as a fallback: as the model lists it, else under the model's own name."""
    target = next((t for t in model.targets if t.target.backend == fallback.backend), None)
    target = target or view.place(fallback.backend, model.name)
    return None if target is None else replace(model, targets=(target,))


def _refusal(call: Call, sieve: _Sieve) -> ServiceError:
    if sieve.strict and not sieve.strict_passed_elsewhere:
        worst = min(sieve.strict, key=len)
        fields = tuple(FieldFault(warning.field, warning.message) for warning in worst)
        return ServiceError(
            Reason.UNSUPPORTED_PARAMETER, "no backend of this model honours every parameter of the call", fields=fields
        )
    return ServiceError(Reason.NO_ELIGIBLE_BACKEND, "the call's own choices or its content leave no backend to serve it")
