"""One worker as its supervisor sees it: a process, what it said last, and what may be asked of it."""

from __future__ import annotations

import asyncio
import contextlib
import enum
from typing import Protocol, TypeVar

import msgspec

from pointsman_server.clock import Clock, within
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.routing.view import BackendInfo
from pointsman_server.supervisor.control import (
    Answer,
    Ask,
    Beat,
    Begin,
    Failed,
    Farewell,
    FromWorker,
    Handed,
    ListBackends,
    Question,
    Ready,
    Refused,
    Scrape,
    SetDrained,
    Signalled,
    Stop,
    TakeOver,
)
from pointsman_server.supervisor.spawn import Process
from pointsman_server.telemetry.registry import Snapshot

LEAVE_S = 10.0
"""For the end of a process that has nothing left to say."""

T = TypeVar("T")


class State(enum.Enum):
    """Where a worker stands; names as in the metric."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    DOWN = "down"


class Listener(Protocol):
    """What is told of a worker while it runs."""

    def came(self, worker: Worker) -> None:
        """It takes calls."""

    def signalled(self, worker: Worker) -> None:
        """Somebody sent it a signal to end."""


class Worker:
    """From its start to its end, which `run` waits for."""

    def __init__(self, number: int, process: Process, clock: Clock, begin: Begin) -> None:
        self.number = number
        self.begin = begin
        self.calls = 0
        """In progress, as it said last."""
        self.last: Snapshot | None = None
        """What it had counted when it was asked last."""
        self.detail = ""
        """Why it cannot start, in its own words."""
        self.state = State.STARTING
        self.started_at = self.heard_at = clock.now()
        self._process = process
        self._clock = clock
        self._ids = 0
        self._asked: dict[int, asyncio.Future[msgspec.Raw]] = {}

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    async def run(self, listener: Listener) -> int:
        """Begin, and listen until it has ended; returns its exit status."""
        channel = self._process.channel
        try:
            channel.send(self.begin)
            while (message := await channel.receive()) is not None:
                self.heard_at = self._clock.now()
                self._hear(message, listener)
            self.state = State.DOWN
            self._forsake()
            return await self._exit_status()
        finally:
            self._process.kill()
            channel.close()

    async def _exit_status(self) -> int:
        with contextlib.suppress(TimeoutError):
            return await within(self._clock, LEAVE_S, self._process.ended())
        self._process.kill()
        return await self._process.ended()

    def _hear(self, message: FromWorker, listener: Listener) -> None:
        match message:
            case Ready():
                self.state = State.READY
                listener.came(self)
            case Signalled():
                listener.signalled(self)
            case Failed(detail):
                self.detail = detail
            case Beat(serving, calls):
                self.calls = calls
                if not serving and self.state is State.READY:
                    self.state = State.DRAINING
            case Farewell(snapshot):
                self.last = snapshot
            case Answer(number, value):
                if (asked := self._asked.pop(number, None)) is not None and not asked.done():
                    asked.set_result(value)
            case Refused(number):
                if (asked := self._asked.pop(number, None)) is not None and not asked.done():
                    asked.set_exception(message.error)

    def _forsake(self) -> None:
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(_gone())
        self._asked.clear()

    def stop(self, *, hurry: bool = False, alone: bool = False) -> None:
        """Have it drain and end; in a hurry, it waits for no call. One that takes no calls yet is ended at once.

        Alone, when the others go on: their callers need not look away from the address.
        """
        if self.state is State.STARTING:
            self.kill()
        else:
            self._process.channel.send(Stop(hurry=hurry, alone=alone))

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    async def scrape(self) -> Snapshot:
        """What it has counted; kept as `last`."""
        self.last = await self._ask(Scrape(), Snapshot)
        return self.last

    async def backends(self, model: str) -> tuple[BackendInfo, ...]:
        """As it sees them. Raises ServiceError MODEL_NOT_FOUND."""
        return await self._ask(ListBackends(model), tuple[BackendInfo, ...])

    async def set_drained(self, backend: str, reason: str | None) -> BackendInfo:
        """Drain or undrain a backend. Raises ServiceError INVALID_REQUEST for a name that no backend has."""
        return await self._ask(SetDrained(backend, reason), BackendInfo)

    async def take_over(self, handed: Handed) -> None:
        """Put this in force."""
        await self._ask(TakeOver(handed), type(None))

    async def _ask(self, question: Question, kind: type[T]) -> T:
        """Raises ServiceError: what the worker raised, or INTERNAL when it has gone."""
        if self.state is State.DOWN:
            raise _gone()
        self._ids += 1
        number = self._ids
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        self._process.channel.send(Ask(number, question))
        try:
            return msgspec.msgpack.decode(await answer, type=kind)
        finally:
            self._asked.pop(number, None)


def _gone() -> ServiceError:
    return ServiceError(Reason.INTERNAL, "a worker has gone")
