"""All workers: starts them, starts those again that end, notices those that hang, and drains them together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from random import Random
from typing import Protocol

from pointsman_server.clock import Clock
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.supervisor.backoff import Backoff
from pointsman_server.supervisor.control import Begin
from pointsman_server.supervisor.spawn import Spawn
from pointsman_server.supervisor.worker import State, Worker
from pointsman_server.tasks import Tasks
from pointsman_server.telemetry.facade import Telemetry

LOOK_S = 1.0
"""How often it is looked whether workers hang."""
SAME_MOMENT_S = 0.2
"""Signals to several processes that one act sent have arrived within this time."""


class Owner(Protocol):
    """What is told of workers that come and go, and says what they begin with."""

    def begin(self, number: int) -> Begin:
        """The first word to worker `number`."""

    def came(self, worker: Worker) -> None:
        """It takes calls."""

    def went(self, worker: Worker) -> None:
        """It has ended."""


class Patience:
    """How long a worker may be silent; seconds."""

    def __init__(self, *, start_s: float = 60.0, silent_s: float = 30.0) -> None:
        self.start_s = start_s
        """Until it takes calls."""
        self.silent_s = silent_s
        """After that: its loop says every second that it runs."""


class WorkerPool:
    """`start`, then `stop`; in between a worker that ends is started again."""

    def __init__(
        self,
        count: int,
        spawn: Spawn,
        owner: Owner,
        telemetry: Telemetry,
        clock: Clock,
        *,
        rng: Random,
        patience: Patience | None = None,
    ) -> None:
        self._count = count
        self._spawn = spawn
        self._owner = owner
        self._telemetry = telemetry
        self._clock = clock
        self._rng = rng
        self._patience = patience or Patience()
        self._workers: dict[int, Worker] = {}
        self._slots: dict[int, asyncio.Task[None]] = {}
        self._waiting: set[int] = set()
        """Slots that wait before they start a worker again."""
        self._tasks = Tasks()
        self._came_once: set[int] = set()
        self._all_came = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self.restarts = [0] * count
        """How often each was started again."""
        self.serving = False
        """Whether all have started, and none was told to end."""

    @property
    def all(self) -> Sequence[Worker]:
        """Those whose process runs."""
        return [worker for worker in self._workers.values() if worker.state is not State.DOWN]

    @property
    def ready(self) -> Sequence[Worker]:
        """Those that take calls."""
        return [worker for worker in self._workers.values() if worker.state is State.READY]

    def states(self) -> dict[State, int]:
        """How many are in each state."""
        counts = dict.fromkeys(State, 0)
        for worker in self._workers.values():
            counts[worker.state] += 1
        counts[State.DOWN] += self._count - len(self._workers)
        return counts

    async def start(self) -> None:
        """Start all; returns when all take calls. Raises ServiceError when one cannot, and ends the others."""
        loop = asyncio.get_running_loop()
        self._slots = {number: loop.create_task(self._keep(number)) for number in range(self._count)}
        for number, slot in self._slots.items():
            slot.add_done_callback(partial(self._slot_ended, number))
        self._watching = loop.create_task(self._watch())
        all_came = loop.create_task(self._all_came.wait())
        try:
            # A slot comes to an end only when its worker cannot start.
            await asyncio.wait({all_came, *self._slots.values()}, return_when=asyncio.FIRST_COMPLETED)
            for slot in self._slots.values():
                if slot.done():
                    slot.result()
        except BaseException:
            await self.abandon()
            raise
        finally:
            all_came.cancel()
        self.serving = not self._stopping.is_set()

    def _slot_ended(self, number: int, slot: asyncio.Task[None]) -> None:
        if not slot.cancelled() and (error := slot.exception()) is not None and self.serving:
            self._telemetry.event("task_failed", worker=number, error_type=type(error).__name__)

    async def _keep(self, number: int) -> None:
        """One slot: a worker, and when it has ended the next one."""
        backoff = Backoff(self._rng)
        while not self._stopping.is_set():
            began = self._clock.now()
            how = await self._live(number)
            if self._stopping.is_set():
                return
            if number not in self._came_once:
                raise ServiceError(Reason.INTERNAL, how)
            lived_s = self._clock.now() - began
            delay_s = backoff.after(lived_s)
            self._telemetry.event(
                "worker_ended",
                worker=number,
                for_s=round(lived_s, 1),
                detail=f"{how}; starts again in {delay_s:.1f} s",
            )
            self.restarts[number] += 1
            self._waiting.add(number)
            await self._clock.sleep(delay_s)
            self._waiting.discard(number)

    async def _live(self, number: int) -> str:
        """One life of a worker; returns how it ended, in words."""
        try:
            process = await self._spawn(number)
        except OSError as error:
            return f"worker {number} could not be started: {error.strerror or type(error).__name__}"
        worker = Worker(number, process, self._clock, self._owner.begin(number))
        self._workers[number] = worker
        if self._stopping.is_set():
            worker.kill()
        status = await worker.run(self)
        self._owner.went(worker)
        del self._workers[number]
        return worker.detail or f"worker {number} {_words(status)}"

    def signalled(self, worker: Worker) -> None:
        """It leaves, and alone, unless this process turns out to have been sent the same: then all do.

        (systemd signals every process of a service.)
        """
        self._tasks.begin(self._let_go(worker))

    async def _let_go(self, worker: Worker) -> None:
        await self._clock.sleep(SAME_MOMENT_S)
        if not self._stopping.is_set():
            worker.stop(alone=True)

    def came(self, worker: Worker) -> None:
        """It takes calls."""
        self._telemetry.event("worker_started", worker=worker.number, pid=worker.pid)
        self._came_once.add(worker.number)
        if len(self._came_once) == self._count:
            self._all_came.set()
        self._owner.came(worker)

    async def _watch(self) -> None:
        """Ends workers that hang, for ever; to be run as a task."""
        while True:
            await self._clock.sleep(LOOK_S)
            now = self._clock.now()
            for worker in self.all:
                starting = worker.state is State.STARTING
                silent_s = now - (worker.started_at if starting else worker.heard_at)
                if silent_s > (self._patience.start_s if starting else self._patience.silent_s):
                    worker.detail = worker.detail or f"worker {worker.number} hung and was ended"
                    worker.kill()

    def request_stop(self, *, hurry: bool = False) -> None:
        """Have all drain and end, and start none again; in a hurry, they wait for no call any more."""
        self._stopping.set()
        self.serving = False
        for worker in self.all:
            worker.stop(hurry=hurry)
        for number in self._waiting:
            self._slots[number].cancel()

    async def ended(self) -> None:
        """Wait until all have ended."""
        await asyncio.gather(*self._slots.values(), return_exceptions=True)
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    async def abandon(self) -> None:
        """End all at once, and wait until they have."""
        self._stopping.set()
        self.serving = False
        for worker in self._workers.values():
            worker.kill()
        for number in self._waiting:
            self._slots[number].cancel()
        await self.ended()


def _words(status: int) -> str:
    """How a process ended, by what `waitpid` tells of it."""
    return f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
