"""All workers as one service: what operators, scrapers and probes are answered, and what a worker begins with."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from random import Random
from typing import NamedTuple, TypeVar

from pointsman_server.clock import Clock, within
from pointsman_server.config.faults import ConfigError, ConfigFault
from pointsman_server.config.load import Loaded, redacted
from pointsman_server.config.schema import Backend
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.reload import tell_refused, tell_reloaded
from pointsman_server.routing.view import BackendInfo
from pointsman_server.server.collaborators import Fault, ReloadOutcome
from pointsman_server.supervisor.control import Begin, Handed
from pointsman_server.supervisor.handover import hand
from pointsman_server.supervisor.merge import merged, one
from pointsman_server.supervisor.pool import Patience, WorkerPool
from pointsman_server.supervisor.spawn import Spawn
from pointsman_server.supervisor.worker import State, Worker
from pointsman_server.tasks import Tasks
from pointsman_server.telemetry import instruments
from pointsman_server.telemetry.merged import MergedMetrics
from pointsman_server.telemetry.otel import OtelTelemetry
from pointsman_server.telemetry.registry import Labels, Snapshot

ANSWER_S = 5.0
"""How long a worker may take to answer; it is left out then."""
TAKE_OVER_S = 20.0
"""The same for putting a configuration in force, which may wait for discovery."""

T = TypeVar("T")


class Pod:
    """Implements the admin server's Control, and is told by the pool of workers that come and go."""

    def __init__(
        self,
        first: Loaded,
        address: str,
        *,
        load: Callable[[], Loaded],
        spawn: Spawn,
        telemetry: OtelTelemetry,
        clock: Clock,
        rng: Random,
        patience: Patience | None = None,
    ) -> None:
        """`address` is where workers listen; `load` reads the configuration again and raises ConfigError."""
        self.loaded = first
        """What is in force: workers that start now begin with it."""
        self._everywhere = first
        """What all workers have put in force."""
        self._first = first.config
        self._address = address
        self._load = load
        self._telemetry = telemetry
        self._clock = clock
        self.pool = WorkerPool(
            first.config.workers, spawn, self, telemetry, clock, rng=rng, patience=patience or Patience()
        )
        self._drained: dict[str, _Drain] = {}
        """By the name of a backend or of an endpoint."""
        self._version = 0
        """Counts what was put in force and what was drained: a worker that began before is told when it comes."""
        self._begun: dict[int, int] = {}
        self._lock = asyncio.Lock()
        self._tasks = Tasks()
        self._sums = MergedMetrics(max_series=first.config.telemetry.max_metric_series)

    @property
    def ready(self) -> bool:
        """Whether calls are taken: all have started once, one at least takes calls, and none was told to end."""
        return self.pool.serving and bool(self.pool.ready)

    # Workers that come and go.

    def begin(self, number: int) -> Begin:
        """The first word to worker `number`."""
        self._begun[number] = self._version
        reasons = {name: drain.reason for name, drain in self._drained.items()}
        return Begin(number, self._handed(number, self.loaded), reasons)

    def came(self, worker: Worker) -> None:
        """It takes calls."""
        if self._begun[worker.number] != self._version:
            self._tasks.begin(self._catch_up(worker))

    def went(self, worker: Worker) -> None:
        """It has ended."""
        if worker.last is not None:
            self._sums.depart(worker.last)

    def _handed(self, number: int, loaded: Loaded) -> Handed:
        return hand(self._first, loaded, number, address=self._address)

    async def _catch_up(self, worker: Worker) -> None:
        """What happened while it started."""
        async with self._lock:
            await self._take_over(worker)
            for name in worker.begin.drained.keys() | self._drained.keys():
                drain = self._drained.get(name)
                reason = None if drain is None else drain.reason
                # A name that it does not have yet, or not any more, is nothing to it.
                with contextlib.suppress(ServiceError, TimeoutError):
                    await within(self._clock, ANSWER_S, worker.set_drained(name, reason))

    # Operators.

    async def backends(self, model: str) -> Sequence[BackendInfo]:
        return merged(await self._ask(lambda worker: worker.backends(model)))

    async def drain(self, backend: str, reason: str) -> BackendInfo:
        info = await self._set_drained(backend, reason)
        self._telemetry.event("backend_draining", backend=backend, detail=reason or None)
        return info

    async def undrain(self, backend: str) -> BackendInfo:
        info = await self._set_drained(backend, None)
        self._telemetry.event("backend_undrained", backend=backend)
        return info

    async def _set_drained(self, backend: str, reason: str | None) -> BackendInfo:
        async with self._lock:
            # First, so that a worker that comes meanwhile is told as well.
            self._version += 1
            answers = await self._ask(lambda worker: worker.set_drained(backend, reason))
            if reason is None:
                self._drained.pop(backend, None)
            else:
                self._drained[backend] = _Drain(reason, answers[0].backend or backend)
            return one(answers)

    async def reload(self, *, validate_only: bool) -> ReloadOutcome:
        async with self._lock:
            old = self.loaded
            try:
                loaded = await asyncio.get_running_loop().run_in_executor(None, self._load)
                if not validate_only:
                    await self._try_out(loaded)
            except ConfigError as error:
                if not validate_only:
                    tell_refused(error, self._telemetry)
                faults = tuple(Fault(fault.path, fault.line, fault.message) for fault in error.faults)
                return ReloadOutcome(applied=False, config_hash=old.hash, faults=faults)
            if not validate_only:
                self._put_in_force(loaded)
                await asyncio.gather(*(self._take_over(worker) for worker in self._answering()))
                self._everywhere = loaded
                tell_reloaded(old, loaded, self._telemetry)
            return ReloadOutcome(applied=not validate_only, config_hash=loaded.hash, faults=())

    async def _try_out(self, loaded: Loaded) -> None:
        """One worker first: what fails there would fail in all. Raises ConfigError when it refuses.

        A worker that refuses goes on with what it had.
        """
        for worker in self.pool.ready:
            try:
                await within(self._clock, TAKE_OVER_S, worker.take_over(self._handed(worker.number, loaded)))
            except TimeoutError:
                continue
            except ServiceError as error:
                if worker.state is State.DOWN:
                    continue
                fault = ConfigFault("", 0, f"it cannot be put in force: {error.detail}")
                raise ConfigError((fault,)) from error
            return

    def _put_in_force(self, loaded: Loaded) -> None:
        before, after = self.loaded.config.backends, loaded.config.backends
        self._drained = {
            name: drain
            for name, drain in self._drained.items()
            if drain.backend in after and _identity(after[drain.backend]) == _identity(before[drain.backend])
        }
        self.loaded = loaded
        self._version += 1
        self._telemetry.reconfigure(loaded.config.telemetry)

    async def _take_over(self, worker: Worker) -> None:
        """Hand it what is in force. One that fails at it would serve something else: another takes its place."""
        with contextlib.suppress(TimeoutError):  # It is busy; the message waits for it.
            try:
                await within(
                    self._clock, TAKE_OVER_S, worker.take_over(self._handed(worker.number, self.loaded))
                )
            except ServiceError as error:
                if worker.state is State.READY:
                    self._telemetry.event("worker_replaced", worker=worker.number, detail=error.detail)
                    worker.stop(alone=True)

    # Scrapers and probes.

    async def metrics(self) -> tuple[bytes, str]:
        """Those of all processes as of one, with their content type."""
        with contextlib.suppress(ServiceError):
            await self._ask(Worker.scrape)
        # Asked for again: one that has ended meanwhile is among what has gone.
        lasts = [worker.last for worker in self._answering() if worker.last is not None]
        return self._sums.exposition(self._telemetry.snapshot(), lasts)

    def config(self) -> bytes:
        """What is in force in all workers, redacted, as JSON."""
        return json.dumps(redacted(self._everywhere.config), indent=2).encode()

    def measure(self) -> None:
        """Have telemetry read what is known of workers."""
        read = self._telemetry.read
        read(instruments.WORKERS, self._states)
        read(instruments.WORKER_RESTARTS, self._restarts)
        read(instruments.WORKER_CALLS, lambda: self._each(lambda worker: float(worker.calls)))
        read(instruments.WORKER_CPU, lambda: self._each(_process("process_cpu_seconds_total")))
        read(instruments.WORKER_MEMORY, lambda: self._each(_process("process_resident_memory_bytes")))

    def _states(self) -> list[tuple[Labels, float]]:
        return [((state.value,), float(count)) for state, count in self.pool.states().items()]

    def _restarts(self) -> list[tuple[Labels, float]]:
        return [((str(number),), float(count)) for number, count in enumerate(self.pool.restarts)]

    def _each(self, number: Callable[[Worker], float | None]) -> Iterator[tuple[Labels, float]]:
        for worker in self._answering():
            value = number(worker)
            if value is not None:
                yield (str(worker.number),), value

    def _answering(self) -> list[Worker]:
        """Those that can be asked: they take calls, or finish calls."""
        return [worker for worker in self.pool.all if worker.state is not State.STARTING]

    async def _ask(self, question: Callable[[Worker], Awaitable[T]]) -> list[T]:
        """What all answer in time; those that do not are left out.

        Raises ServiceError when none does: what one of them refused with, else ROUTER_OVERLOADED.
        """
        answers = await asyncio.gather(
            *(within(self._clock, ANSWER_S, question(worker)) for worker in self._answering()),
            return_exceptions=True,
        )
        good: list[T] = []
        refusals: list[ServiceError] = []
        for answer in answers:
            match answer:
                case ServiceError():
                    refusals.append(answer)
                case TimeoutError():
                    pass
                case BaseException():
                    raise answer
                case _:
                    good.append(answer)
        if good:
            return good
        silence = ServiceError(Reason.ROUTER_OVERLOADED, "no worker answers now", retry_after_s=1.0)
        raise next((error for error in refusals if error.reason is not Reason.INTERNAL), silence)


class _Drain(NamedTuple):
    """What an operator did."""

    reason: str
    backend: str
    """As configured; of an endpoint the backend that it belongs to."""


def _identity(backend: Backend) -> tuple[str, str]:
    """What makes a backend the same one after a reload."""
    return backend.provider, backend.url


def _process(name: str) -> Callable[[Worker], float | None]:
    """What a worker's process said of itself last."""

    def read(worker: Worker) -> float | None:
        return _samples(worker.last).get(name)

    return read


def _samples(snapshot: Snapshot | None) -> Mapping[str, float]:
    return {} if snapshot is None else snapshot.process
