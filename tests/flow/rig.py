"""A dispatcher on a real Runtime with scripted upstreams and a fake clock: everything but gRPC and HTTP."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import Random

from pointsman_server.config.schema import Backend, Config
from pointsman_server.context import Attempt, AttemptRecord, AuthMethod, CallContext, Principal
from pointsman_server.deadline import Deadline
from pointsman_server.discovery.endpoints import Endpoint, EndpointSet, endpoint_set
from pointsman_server.dispatch.dispatcher import Dispatcher
from pointsman_server.dispatch.places import Places
from pointsman_server.dispatch.run import Run
from pointsman_server.domain import Answer, Call, Delta, Event, Prompt, RoutingOptions
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.routing.fleet import BackendBook, Fleet
from pointsman_server.runtime import Runtime, compile_runtime
from tests.fakes.clock import FakeClock
from tests.fakes.upstream import ScriptedUpstream, served


class NoSpan:
    """A span that keeps nothing."""

    trace_id = ""

    def set(self, key, value):
        pass

    def headers(self):
        return {"traceparent": "00-1-2-01"}

    def end(self, *, error_type="", code=""):
        pass


@dataclass
class Told:
    """Telemetry that remembers."""

    started: int = 0
    records: list[AttemptRecord] = field(default_factory=list)
    events: list[tuple[str, dict]] = field(default_factory=list)

    def start_call(self, method, metadata, request_id):
        return NoSpan()

    def call_ended(self, record):
        pass

    def start_attempt(self, parent, attempt: Attempt):
        self.started += 1
        return NoSpan()

    def attempt_ended(self, span, attempt, record: AttemptRecord):
        self.records.append(record)

    def event(self, name, **fields):
        self.events.append((name, fields))


ANYONE = Principal("anyone", AuthMethod.NONE)


class Rig:
    """`await rig.generate()` and `await rig.stream()` as a servicer would call them."""

    def __init__(
        self,
        upstreams: Mapping[str, object],
        *,
        clock: FakeClock | None = None,
        seed: int = 7,
        places=Places,
        **config,
    ):
        """`upstreams`: backend name -> scripts; `config`: as in the file, by default with one model `m` everywhere."""
        self.clock = clock or FakeClock()
        self.upstreams: dict[str, ScriptedUpstream] = {}
        self.pending = dict(upstreams)
        self.telemetry = Told()
        self.rng = Random(seed)
        self.fleet = Fleet(self.rng)
        self.config = config
        self.found: dict[str, EndpointSet] = {}
        self.scripts: dict[str, object] = {}
        """Of endpoints, by `backend@address`; one without any serves."""
        self.runtime: Runtime = self._compile(None)
        self.places = places(self.clock, config.get("max_queued_calls", 2048))
        self.dispatcher = Dispatcher(
            lambda: self.runtime, clock=self.clock, telemetry=self.telemetry, places=self.places, rng=self.rng,
            turn=self.fleet.turn,
        )  # fmt: skip
        self._numbers = itertools.count(1)

    def _compile(self, previous: Runtime | None) -> Runtime:
        config = dict(self.config)
        own = config.pop("backends", {})
        config["backends"] = {name: {"provider": "simulator"} | own.get(name, {}) for name in self.pending}
        config.setdefault("models", {"m": {}})
        config["models"] = {
            name: {"targets": [{"backend": backend} for backend in self.pending], "policy": "round_robin"}
            | model
            for name, model in config["models"].items()
        }
        return compile_runtime(
            Config.model_validate(config),
            self.fleet,
            build=self._build,
            secret=lambda ref: str(ref.env),
            template_text=lambda template: str(template.text),
            previous=previous,
            found=self.found,
        )

    def _build(self, name: str, backend: Backend, authority: str) -> ScriptedUpstream:
        what = self.pending[name] if name in self.pending else self.scripts.get(name, [served()])
        upstream = what if isinstance(what, ScriptedUpstream) else ScriptedUpstream(self.clock, what)
        self.upstreams[name] = upstream
        return upstream

    def reload(self, upstreams: Mapping[str, object] | None = None, **config) -> None:
        """Put another configuration in force; upstreams by the same names are used again where nothing changed."""
        self.pending = dict(self.pending if upstreams is None else upstreams)
        self.config = self.config | config
        old, self.runtime = self.runtime, self._compile(self.runtime)
        old.give_way()

    def find(self, **found: Iterable[Endpoint]) -> None:
        """Discovery found these endpoints of these backends."""
        self.found = self.found | {name: endpoint_set(endpoints) for name, endpoints in found.items()}
        self.reload()

    def book(self, name: str) -> BackendBook:
        return self.runtime.places[name].book

    def open(self, *, model="m", timeout_s=60.0, stream=False, principal=ANYONE, **routing) -> Run:
        now, number = self.clock.now(), next(self._numbers)
        call = Call(model, Prompt("hi"), routing=RoutingOptions(**routing))
        return self.dispatcher.open(
            call, self.context(now, number, timeout_s, stream=stream, principal=principal)
        )

    def context(self, now, number, timeout_s, *, stream, principal):
        return CallContext(
            request_id=f"call{number}", method="Generate", principal=principal, deadline=Deadline(now + timeout_s),
            started_at=now, nonce="n", span=NoSpan(), stream=stream,
        )  # fmt: skip

    async def generate(self, **options) -> Answer:
        async with self.open(**options) as run:
            return await run.complete()

    async def stream(self, **options) -> list[Event]:
        async with self.open(stream=True, **options) as run:
            return [event async for batch in run for event in batch]

    async def failure(self, **options) -> ServiceError:
        """The error that a unary call ends with."""
        return await failure_of(self.generate(**options))

    @property
    def tried(self) -> list[str]:
        """Backends of all attempts that ended, in order."""
        return [record.target.backend for record in self.telemetry.records]

    @property
    def reasons(self) -> list[Reason | None]:
        return [record.reason for record in self.telemetry.records]

    def assert_idle(self) -> None:
        """Zero of everything that a call may hold."""
        for name, place in self.runtime.places.items():
            book, upstream = place.book, self.upstreams[name]
            assert (book.in_flight, book.in_flight_tokens, len(book._waiters)) == (0, 0, 0), name
            assert upstream.open_now == 0, name
            assert sorted(upstream.ended) == sorted(attempt.number for attempt in upstream.attempts), name
        assert self.places.waiting == 0
        assert self.runtime._calls == 0
        assert self.telemetry.started == len(self.telemetry.records)
        assert all(budget._active == 0 for budget in self.dispatcher._budgets.values())
        assert self.clock.pending == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def failure_of(awaitable) -> ServiceError:
    try:
        await awaitable
    except ServiceError as error:
        return error
    raise AssertionError("it did not fail")


def joined(events: list[Event]) -> str:
    """The text of a stream."""
    return "".join(event.text for event in events if isinstance(event, Delta))


async def broken_off(run: Run) -> tuple[list[Event], ServiceError]:
    """What came of a stream, and the error that it ended with."""
    got: list[Event] = []
    try:
        async for batch in run:
            got.extend(batch)
    except ServiceError as error:
        return got, error
    raise AssertionError("it did not fail")
