"""Call + view of the fleet -> plan: who may serve it, in which order, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from pointsman_server.context import Principal
from pointsman_server.domain import AnyCall, Fallback, Operation, Warning
from pointsman_server.errors import FieldFault, Reason, ServiceError
from pointsman_server.routing.plan import Candidate, FleetView, ModelView, Plan, TargetView
from pointsman_server.routing.policies import POLICIES

INELIGIBLE = "UNSUPPORTED_CONTENT"
"""Code of a warning about something without which the call makes no sense: such a target is never used."""
_TURNS = 1 << 30
_VACANT_WAIT_S = 1.0
"""Told to a caller; nobody knows when an endpoint comes."""

_UNSERVED: Mapping[Operation, Warning] = {
    Operation.GENERATE: Warning(
        INELIGIBLE, "model", "is not configured to answer questions (operations: generate)"
    ),
    Operation.EMBED: Warning(INELIGIBLE, "model", "is not configured to make embeddings (operations: embed)"),
}

Turn = Callable[[str], int]


@dataclass(slots=True)
class _Sieve:
    """Why targets fell out, so that a refusal can name the caller's own choice."""

    unhonoured: tuple[Warning, ...] | None = None
    """Of the targets that only strictness ruled out, the shortest list."""
    honoured_elsewhere: bool = False
    """Whether a target that something else ruled out would honour everything."""
    barred: Warning | None = None
    """Why the first of the targets that can make no sense of the call was left out."""
    vacant: bool = False
    """Whether a backend could serve the call if it had an endpoint."""

    def bar(self, warning: Warning) -> None:
        """A target that can make no sense of the call."""
        self.barred = self.barred or warning

    def note(self, warnings: tuple[Warning, ...]) -> None:
        """A target that only strictness rules out."""
        if self.unhonoured is None or len(warnings) < len(self.unhonoured):
            self.unhonoured = warnings


def pick(call: AnyCall, view: FleetView, principal: Principal, *, turn: Turn, rng: Random) -> Plan:
    """The plan for a call whose model name is known to exist.

    Raises ServiceError: MODEL_NOT_FOUND, INVALID_REQUEST for a fallback that names nothing, UNSUPPORTED_PARAMETER
    when strict and no target can honour the call, NO_HEALTHY_BACKEND when what could serve it has no endpoint now,
    NO_ELIGIBLE_BACKEND when the caller's choices or the content leave none.
    """
    model = view.model(call.model)
    if model is None:
        raise ServiceError(Reason.MODEL_NOT_FOUND, "no model of that name here", resource=call.model)
    policy = call.routing.policy or model.policy
    sieve = _Sieve()
    candidates = _candidates(call, model, policy, sieve, turn=turn, rng=rng)
    reason = f"{policy}: {len(candidates)} of {len(model.targets)} targets eligible"
    if not call.routing.no_fallback:
        candidates.extend(_fallbacks(call, model, view, principal, sieve, rng=rng))
    if not candidates:
        raise _refusal(sieve)
    return Plan(model=model.name, policy=policy, candidates=tuple(candidates), reason=reason)


def _candidates(
    call: AnyCall, model: ModelView, policy: str, sieve: _Sieve, *, turn: Turn, rng: Random, fallback: int = 0
) -> list[Candidate]:
    """A model's eligible targets, group by group, each group in the policy's order."""
    if call.operation is not Operation.COUNT_TOKENS and call.operation not in model.operations:
        sieve.bar(_UNSERVED[call.operation])
        return []
    groups: dict[tuple[int, int], list[TargetView]] = {}
    warnings: dict[int, tuple[Warning, ...]] = {}
    for target, unhonoured in _eligible(call, model.targets, sieve):
        groups.setdefault((target.group, target.priority), []).append(target)
        warnings[id(target)] = unhonoured
    order, number = POLICIES[policy], turn(model.name)
    return [
        Candidate(target, model.name, target.group, policy, rank, warnings[id(target)], fallback)
        for group in sorted(groups)
        for rank, target in enumerate(order(groups[group], number, rng))
    ]


def _eligible(
    call: AnyCall, targets: Sequence[TargetView], sieve: _Sieve
) -> Iterator[tuple[TargetView, tuple[Warning, ...]]]:
    """The targets that may serve the call, each with what it will not honour."""
    asked: object = None
    warnings: tuple[Warning, ...] = ()
    usable = False
    for target in targets:
        # Endpoints of one backend are judged alike, and share what they are asked with.
        if target.unsupported is not asked:
            asked = target.unsupported
            warnings = tuple(target.unsupported(call))
            usable = _usable(call, target, warnings, sieve)
        if usable and target.vacant:
            sieve.vacant = True
        elif usable:
            yield target, warnings


def _usable(call: AnyCall, target: TargetView, warnings: tuple[Warning, ...], sieve: _Sieve) -> bool:
    """Whether a target may serve the call; what rules it out is noted."""
    options, name = call.routing, target.target.backend
    allowed, denied = options.allow_backends, options.deny_backends
    chosen = (not allowed or name in allowed) and name not in denied
    barred = next((warning for warning in warnings if warning.code == INELIGIBLE), None)
    if chosen and barred is not None:
        sieve.bar(barred)
    possible = chosen and barred is None
    if possible and options.strict_params and warnings:
        sieve.note(warnings)
        return False
    if not possible and not warnings:
        sieve.honoured_elsewhere = True
    return possible


def _fallbacks(
    call: AnyCall, model: ModelView, view: FleetView, principal: Principal, sieve: _Sieve, *, rng: Random
) -> Iterator[Candidate]:
    """What comes after the model's own targets: the caller's fallbacks in place of the configured ones."""
    named = call.routing.fallbacks or tuple(Fallback(model=name) for name in model.fallbacks)
    for position, fallback in enumerate(named):
        other = _fallback_model(fallback, position, model, view)
        if not principal.may_use(other.name):
            continue
        # A plan is no use of the other model: its turns are its own callers'.
        yield from _candidates(
            call,
            other,
            other.policy,
            sieve,
            turn=lambda _: rng.randrange(_TURNS),
            rng=rng,
            fallback=position + 1,
        )


def _fallback_model(fallback: Fallback, position: int, model: ModelView, view: FleetView) -> ModelView:
    """Another model, this model at one backend, or another model at one backend."""
    other = view.model(fallback.model) if fallback.model else model
    if other is not None and (fallback.backend or not fallback.model):
        other = _at_backend(other, fallback.backend, view)
    if other is None:
        path = f"routing.fallbacks[{position}]"
        raise ServiceError(
            Reason.INVALID_REQUEST, "a fallback names nothing that is here",
            fields=(FieldFault(path, "no such model or backend"),),
        )  # fmt: skip
    return other


def _at_backend(model: ModelView, backend: str, view: FleetView) -> ModelView | None:
    """One backend alone: as the model lists it, else under the model's own name."""
    targets = tuple(target for target in model.targets if target.target.backend == backend)
    if not targets:
        targets = view.places_of(backend, model.name)
    return replace(model, targets=targets) if targets else None


def _refusal(sieve: _Sieve) -> ServiceError:
    if sieve.vacant:
        return ServiceError(
            Reason.NO_HEALTHY_BACKEND, "no endpoint of this model's backends is known now",
            retry_after_s=_VACANT_WAIT_S,
        )  # fmt: skip
    if sieve.unhonoured is not None and not sieve.honoured_elsewhere:
        fields = tuple(FieldFault(warning.field, warning.message) for warning in sieve.unhonoured)
        return ServiceError(
            Reason.UNSUPPORTED_PARAMETER,
            "no backend of this model honours every parameter of the call",
            fields=fields,
        )
    text, fields = "the call's own choices or its content leave no backend for it", ()
    if (barred := sieve.barred) is not None:
        text, fields = (
            f"{text} ({barred.field}: {barred.message})",
            (FieldFault(barred.field, barred.message),),
        )
    return ServiceError(Reason.NO_ELIGIBLE_BACKEND, text, fields=fields)
