"""The worker's own process: `python -m pointsman_server.supervisor.process NUMBER CONTROL`, started by the supervisor.

The service of one process, but for its configuration and its operators, who are at the other end of the channel.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import sys
import threading

import msgspec
import uvloop

from pointsman_server.app import Application, Seat
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.launch import calm_collector
from pointsman_server.signals import end_on_signals
from pointsman_server.supervisor.control import (
    Answer,
    Ask,
    Beat,
    Begin,
    Channel,
    Failed,
    Farewell,
    ListBackends,
    Question,
    Ready,
    Refused,
    Scrape,
    SetDrained,
    Signalled,
    Stop,
    TakeOver,
    ToWorker,
    encode,
    workers_end,
)
from pointsman_server.supervisor.handover import taken
from pointsman_server.tasks import Tasks

BEAT_S = 1.0
ORPHAN_S = 15.0
"""For a worker to end by itself when its supervisor has gone."""


def main(arguments: list[str]) -> int:
    """Exit status: 0 drained and ended, 1 it could not start."""
    number, control = int(arguments[0]), socket.socket(fileno=int(arguments[1]))
    control.setblocking(False)  # noqa: FBT003 - the library's signature.
    # A terminal that closes is the supervisor's affair.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    threading.Thread(target=_outlive, args=(control.fileno(),), name="supervisor", daemon=True).start()
    return uvloop.run(_work(number, control))


def _outlive(control: int) -> None:
    """Ends a process whose supervisor has gone and whose loop does not act on that."""
    watch = select.poll()
    watch.register(control, 0)  # Asks for nothing but the end.
    watch.poll()
    threading.Event().wait(ORPHAN_S)
    os._exit(1)


async def _work(number: int, control: socket.socket) -> int:
    channel = await workers_end(control)
    begin = await channel.receive()
    if not isinstance(begin, Begin):
        return 1
    application = Application(None, os.environ, first=taken(begin.handed), seat=Seat(number, begin.drained))
    try:
        await application.start()
    except ServiceError as error:
        channel.send(Failed(error.detail))
        await channel.flushed()
        return 1
    calm_collector()
    loop = asyncio.get_running_loop()
    endpoint = Endpoint(application, channel)
    end_on_signals(loop, endpoint)
    tasks = [loop.create_task(endpoint.listen()), loop.create_task(endpoint.beat())]
    channel.send(Ready())
    await application.wait()
    await application.stop()
    channel.send(Farewell(application.telemetry.snapshot()))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await channel.flushed()
    return 0


class Endpoint:
    """Does and answers what the supervisor says."""

    def __init__(self, application: Application, channel: Channel[ToWorker]) -> None:
        self._application = application
        self._channel = channel
        self._tasks = Tasks()
        self._changing = asyncio.Lock()
        """What changes something is done in the order in which it was said."""

    def request_stop(self) -> None:
        """Somebody sent a signal: whether this worker alone is meant its supervisor knows."""
        self._channel.send(Signalled())

    def hurry(self) -> None:
        """Somebody sent another one."""
        self._application.hurry()

    async def listen(self) -> None:
        """Until the supervisor has gone; then the worker ends, and waits for no call."""
        while (message := await self._channel.receive()) is not None:
            match message:
                case Ask():
                    self._tasks.begin(self._reply(message))
                case Stop(hurry=True):
                    self._application.hurry()
                case Stop(alone=alone):
                    self._application.request_stop(alone=alone)
                case Begin():
                    break
        self._application.telemetry.event("supervisor_gone")
        self._application.hurry()

    async def beat(self) -> None:
        """Say that the loop runs, for ever."""
        while True:
            application = self._application
            self._channel.send(Beat(application.serving, len(application.rpc.calls)))
            await self._application.clock.sleep(BEAT_S)

    async def _reply(self, ask: Ask) -> None:
        try:
            self._channel.send(Answer(ask.id, await self._do(ask.question)))
        except ServiceError as error:
            self._channel.send(Refused.by(ask.id, error))
        except Exception as error:  # noqa: BLE001 - the boundary of this process
            self._application.telemetry.failure("task_failed", error)
            failure = ServiceError(Reason.INTERNAL, f"it failed: {type(error).__name__}")
            self._channel.send(Refused.by(ask.id, failure))

    async def _do(self, question: Question) -> msgspec.Raw:
        application = self._application
        match question:
            case Scrape():
                return encode(application.telemetry.snapshot())
            case ListBackends(model):
                return encode(tuple(application.catalog.backends(model)))
            case SetDrained(backend, reason):
                async with self._changing:
                    return encode(application.console.set_drained(backend, reason))
            case TakeOver(handed):
                async with self._changing:
                    await application.take_over(taken(handed))
                return encode(None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
