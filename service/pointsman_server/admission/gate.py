"""The gate: a decoded call enters, leaves with its model's own name and defaults, holding a place of the process."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, Protocol, TypeVar, assert_never

from pointsman_server.admission.embedding import check_embed
from pointsman_server.admission.fitting import Summaries, fitted, may_be_too_long
from pointsman_server.admission.validate import Limits, check_call, with_defaults
from pointsman_server.clock import Clock, within
from pointsman_server.config.schema import Config, ContextWindow, Model
from pointsman_server.context import CallContext
from pointsman_server.domain import Call, Conversation, CountCall, EmbedCall, RoutingOptions
from pointsman_server.errors import FieldFault, Reason, ServiceError
from pointsman_server.routing.plan import Tokenizer, Weights

C = TypeVar("C", Call, EmbedCall, CountCall)

SHED_RETRY_AFTER_S = 1.0
"""How long a refused caller is told to stay away; another replica may serve it at once."""
_MAX_NAME = 128


class Models(Protocol):
    """What of one configuration the gate asks for."""

    @property
    def limits(self) -> Limits:
        """Bounds that hold for every model."""

    def resolve(self, name: str) -> tuple[str, Model]:
        """A model's own name and its settings, by name or alias. Raises ServiceError MODEL_NOT_FOUND."""


class ConfiguredModels:
    """The models of one configuration; made anew on reload."""

    def __init__(self, config: Config) -> None:
        self._limits = Limits(max_attempts=config.retry.max_attempts_limit)
        self._models: dict[str, tuple[str, Model]] = {}
        for name, model in config.models.items():
            self._models.update(dict.fromkeys((name, *model.aliases), (name, model)))

    @property
    def limits(self) -> Limits:
        return self._limits

    def resolve(self, name: str) -> tuple[str, Model]:
        found = self._models.get(name)
        if found is None:
            shown = name if len(name) <= _MAX_NAME else name[:_MAX_NAME] + "..."
            raise ServiceError(Reason.MODEL_NOT_FOUND, f"no model {shown!r} is configured", resource=shown)
        return found


class Gate:
    """Admission for all calls of the process. `models` and `max_calls` are asked per call, so a reload takes effect."""

    def __init__(
        self, models: Callable[[], Models], max_calls: Callable[[], int], clock: Clock, summaries: Summaries,
        *, tokenizer: Callable[[str], Tokenizer | None] = lambda _: None,
    ) -> None:  # fmt: skip
        self._models = models
        self._max_calls = max_calls
        self._clock = clock
        self._summaries = summaries
        self._tokenizer = tokenizer
        self._in_flight = 0
        self._draining = False

    @property
    def in_flight(self) -> int:
        """Calls inside."""
        return self._in_flight

    def drain(self) -> None:
        """Refuse every new call with SHUTTING_DOWN from now on; those inside go on."""
        self._draining = True

    def enter(self, call: C, context: CallContext) -> AbstractAsyncContextManager[C]:
        """Check the call, take a place; yields the call as it is to be served. Raises ServiceError on entry."""
        return _Entry(self, call, context)

    def admit(self, call: C, context: CallContext) -> C:
        """The checks alone, the cheapest refusal first."""
        self._check_place()
        if context.deadline.expired(self._clock.now()):
            raise ServiceError(Reason.DEADLINE_EXCEEDED, "the deadline had passed when the call arrived")
        models = self._models()
        name, model = _resolve(models, call.model)
        if not context.principal.may_use(name):
            raise ServiceError(Reason.MODEL_NOT_ALLOWED, f"this caller may not use model {name!r}")
        match call:
            case Call():
                return _admitted(call, name, model, models, context)
            case CountCall(asked):
                try:
                    return CountCall(_admitted(asked, name, model, models, context))
                except ServiceError as error:
                    raise error.under("request") from error.__cause__
            case EmbedCall():
                check_embed(call, models.limits)
                return _resolved(call, name, models, context)
            case _:
                assert_never(call)

    async def fit(self, call: C, context: CallContext) -> C:
        """An admitted question with a conversation that fits its model's window, where it has one."""
        match call:
            case Call(input=Conversation()):
                settings = self._models().resolve(call.model)[1].context
                if settings is None:
                    return call
                weights = await self._weights(call, settings, context)
                return await fitted(call, settings, self._summaries, context, weights=weights)
            case _:
                return call

    async def _weights(self, call: Call, settings: ContextWindow, context: CallContext) -> Weights | None:
        """The tokens of its messages, where its model has a tokenizer and it matters."""
        assert isinstance(call.input, Conversation)
        tokenizer = self._tokenizer(call.model)
        if tokenizer is None or not may_be_too_long(call, settings):
            return None
        left_s = context.deadline.remaining(self._clock.now())
        try:
            return await within(self._clock, left_s, tokenizer.weigh(call.input.messages, call.tools))
        except TimeoutError as error:
            text = "the deadline passed while the tokens of the conversation were counted"
            raise ServiceError(Reason.DEADLINE_EXCEEDED, text) from error

    def _check_place(self) -> None:
        if self._draining:
            raise ServiceError(
                Reason.SHUTTING_DOWN, "this replica is shutting down", retry_after_s=SHED_RETRY_AFTER_S
            )
        if self._in_flight >= self._max_calls():
            raise ServiceError(
                Reason.ROUTER_OVERLOADED, "too many calls are in progress", retry_after_s=SHED_RETRY_AFTER_S
            )

    def take(self) -> None:
        """Count one call in."""
        self._in_flight += 1

    def leave(self) -> None:
        """Count it out."""
        self._in_flight -= 1


class _Entry(Generic[C]):
    """One passage; a class, since a generator would cost more than the checks."""

    __slots__ = ("_call", "_context", "_gate")

    def __init__(self, gate: Gate, call: C, context: CallContext) -> None:
        self._gate = gate
        self._call: C = call
        self._context = context

    async def __aenter__(self) -> C:
        gate = self._gate
        call = gate.admit(self._call, self._context)
        gate.take()
        try:
            return await gate.fit(call, self._context)
        except BaseException:
            gate.leave()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gate.leave()


def _resolve(models: Models, name: str) -> tuple[str, Model]:
    if not name:
        text = "name a model; rules that choose one are not there yet"
        raise ServiceError(Reason.INVALID_REQUEST, f"model: {text}", fields=(FieldFault("model", text),))
    return models.resolve(name)


def _admitted(call: Call, name: str, model: Model, models: Models, context: CallContext) -> Call:
    check_call(call, model.bounds, models.limits)
    return _resolved(with_defaults(call, model.defaults), name, models, context)


R = TypeVar("R", Call, EmbedCall)


def _resolved(call: R, name: str, models: Models, context: CallContext) -> R:
    """The call with the models' own names."""
    if call.routing.fallbacks:
        call = dataclasses.replace(call, routing=_with_known_fallbacks(call.routing, models, context))
    return call if call.model == name else dataclasses.replace(call, model=name)


def _with_known_fallbacks(routing: RoutingOptions, models: Models, context: CallContext) -> RoutingOptions:
    """The caller's fallbacks by the models' own names; none may lead to what the caller may not ask for."""
    fallbacks = []
    for position, asked in enumerate(routing.fallbacks):
        fallback = asked
        if asked.model:
            name = _fallback_name(models, fallback.model, f"routing.fallbacks[{position}].model")
            if not context.principal.may_use(name):
                raise ServiceError(Reason.MODEL_NOT_ALLOWED, f"this caller may not use model {name!r}")
            fallback = dataclasses.replace(fallback, model=name)
        fallbacks.append(fallback)
    return dataclasses.replace(routing, fallbacks=tuple(fallbacks))


def _fallback_name(models: Models, name: str, path: str) -> str:
    try:
        return models.resolve(name)[0]
    except ServiceError as error:
        fault = FieldFault(path, error.detail)
        raise ServiceError(Reason.INVALID_REQUEST, f"{path}: {error.detail}", fields=(fault,)) from error


__all__ = ["SHED_RETRY_AFTER_S", "ConfiguredModels", "Gate", "Models"]
