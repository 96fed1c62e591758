from __future__ import annotations

import asyncio

import pytest

from pointsman_server.admission.gate import ConfiguredModels, Gate
from pointsman_server.clock import SystemClock
from pointsman_server.config.schema import Backend, Bounds, Config, Defaults, Model, Target
from pointsman_server.context import AuthMethod, CallContext, Principal
from pointsman_server.deadline import Deadline
from pointsman_server.domain import Call, Fallback, Generation, Prompt, RoutingOptions
from pointsman_server.errors import Reason, ServiceError


class Ids:
    """A span for which nobody looks."""

    trace_id = ""

    def set(self, key: str, value: object) -> None: ...

    def headers(self) -> dict[str, str]:
        return {}

    def end(self, *, error_type: str = "", code: str = "") -> None: ...


class At(SystemClock):
    """One moment."""

    def now(self) -> float:
        return 100.0


def config(**changes: object) -> Config:
    chat = Model(
        targets=(Target(backend="gpu"),), aliases=("default",), bounds=Bounds(max_output_tokens=100),
        defaults=Defaults(max_output_tokens=50, temperature=0.5, stop_sequences=("END",)),
    )  # fmt: skip
    models = {"chat": chat, "other": Model(targets=(Target(backend="gpu"),), aliases=("o",))}
    return Config(backends={"gpu": Backend(provider="vllm")}, models=models)


def context(*, models: frozenset[str] | None = None, deadline: float = 200.0) -> CallContext:
    principal = Principal("team-a", AuthMethod.API_KEY, models)
    return CallContext("r", "m", principal, Deadline(deadline), 100.0, "n", Ids())


def gate(max_calls: int = 10) -> Gate:
    models = ConfiguredModels(config())
    return Gate(lambda: models, lambda: max_calls, At(), None)


async def refusal(door: Gate, call: Call, **who: object) -> ServiceError:
    """What the gate says; nothing may stay taken."""
    before = door.in_flight
    with pytest.raises(ServiceError) as caught:
        async with door.enter(call, context(**who)):  # type: ignore[arg-type]
            pass
    assert door.in_flight == before
    return caught.value


async def test_a_call_leaves_as_it_is_to_be_served() -> None:
    """The alias becomes the model's own name, and unset settings become the model's; set ones stay."""
    async with gate().enter(Call("default", Prompt("x"), Generation(temperature=0.0)), context()) as call:
        assert call.model == "chat"
        assert call.generation == Generation(max_output_tokens=50, temperature=0.0, stop_sequences=("END",))


async def test_a_call_that_needs_nothing_is_not_copied() -> None:
    """Where neither name nor settings change, the very same call goes on."""
    call = Call("other", Prompt("x"))
    async with gate().enter(call, context()) as admitted:
        assert admitted is call


@pytest.mark.parametrize(
    ("call", "who", "reason"),
    [
        (Call("", Prompt("x")), {}, Reason.INVALID_REQUEST),
        (Call("nope", Prompt("x")), {}, Reason.MODEL_NOT_FOUND),
        (Call("default", Prompt("x")), {"models": frozenset({"other"})}, Reason.MODEL_NOT_ALLOWED),
        (Call("chat", Prompt("")), {}, Reason.INVALID_REQUEST),
        (Call("chat", Prompt("x"), Generation(max_output_tokens=101)), {}, Reason.INVALID_REQUEST),
        (Call("chat", Prompt("x")), {"deadline": 100.0}, Reason.DEADLINE_EXCEEDED),
        (Call("chat", Prompt("x"), routing=RoutingOptions(fallbacks=(Fallback(model="nope"),))), {},
         Reason.INVALID_REQUEST),
        (Call("chat", Prompt("x"), routing=RoutingOptions(fallbacks=(Fallback(model="o"),))),
         {"models": frozenset({"chat"})}, Reason.MODEL_NOT_ALLOWED),
    ],
)  # fmt: skip
async def test_refusals(call: Call, who: dict[str, object], reason: Reason) -> None:
    """Each kind of refusal has its reason, and takes no place."""
    assert (await refusal(gate(), call, **who)).reason is reason


async def test_an_unknown_model_is_named_within_bounds() -> None:
    """The resource that was not found is told, shortened where it is endless."""
    error = await refusal(gate(), Call("x" * 10_000, Prompt("x")))
    assert error.resource.startswith("xxx")
    assert len(error.resource) < 200
    assert len(error.detail) < 300


async def test_fallbacks_are_known_by_their_own_names() -> None:
    """An alias among the caller's fallbacks becomes the model's own name."""
    routing = RoutingOptions(fallbacks=(Fallback(model="o"), Fallback(backend="gpu")))
    async with gate().enter(Call("chat", Prompt("x"), routing=routing), context()) as call:
        assert call.routing.fallbacks == (Fallback(model="other"), Fallback(backend="gpu"))


async def test_places() -> None:
    """No more calls than allowed are inside; a place is free again once a call has left, however it left."""
    door = gate(max_calls=2)
    call = Call("chat", Prompt("x"))
    async with door.enter(call, context()), door.enter(call, context()):
        error = await refusal(door, call)
        assert (error.reason, error.retry_after_s) == (Reason.ROUTER_OVERLOADED, 1.0)
        assert door.in_flight == 2
    for kind in (ValueError, asyncio.CancelledError):
        with pytest.raises(kind):
            async with door.enter(call, context()):
                raise kind
    assert door.in_flight == 0


async def test_overload_is_told_before_anything_is_checked() -> None:
    """The cheapest refusal comes first: a full process does not look at what it is asked."""
    assert (await refusal(gate(max_calls=0), Call("nope", Prompt("")))).reason is Reason.ROUTER_OVERLOADED


async def test_draining() -> None:
    """Once draining, calls inside go on and new ones are sent elsewhere."""
    door = gate()
    async with door.enter(Call("chat", Prompt("x")), context()):
        door.drain()
        error = await refusal(door, Call("chat", Prompt("x")))
        assert (error.reason, error.retry_after_s) == (Reason.SHUTTING_DOWN, 1.0)
        assert door.in_flight == 1


async def test_a_reload_takes_effect() -> None:
    """Models and the number of places are asked for each call."""
    models, places = [ConfiguredModels(Config())], [0]
    door = Gate(lambda: models[0], lambda: places[0], At(), None)
    assert (await refusal(door, Call("chat", Prompt("x")))).reason is Reason.ROUTER_OVERLOADED
    places[0] = 1
    assert (await refusal(door, Call("chat", Prompt("x")))).reason is Reason.MODEL_NOT_FOUND
    models[0] = ConfiguredModels(config())
    async with door.enter(Call("chat", Prompt("x")), context()) as call:
        assert call.model == "chat"
