"""Starts one worker process and tells of its end. A fresh interpreter each time: gRPC does not survive a fork."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Protocol

from pointsman_server.supervisor.control import Channel, FromWorker, supervisors_end

MODULE = "pointsman_server.supervisor.process"


class Process(Protocol):
    """A worker process, from outside."""

    pid: int
    channel: Channel[FromWorker]

    def kill(self) -> None:
        """End it at once; harmless when it has ended."""

    async def ended(self) -> int:
        """Wait for its end; its exit status, or the negative number of the signal that ended it."""


class Spawn(Protocol):
    """Starts workers."""

    async def __call__(self, number: int) -> Process:
        """Start one. Raises OSError when the system has none to give."""


class SpawnedProcess:
    """A real one."""

    def __init__(self, started: subprocess.Popen[bytes], channel: Channel[FromWorker]) -> None:
        self._started = started
        self.channel = channel
        self.pid = started.pid
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        # A thread of its own: those of the loop's pool are few, and this one waits for hours.
        threading.Thread(
            target=self._wait, args=(asyncio.get_running_loop(),), name=f"worker-{self.pid}", daemon=True
        ).start()

    def kill(self) -> None:
        self._started.kill()

    async def ended(self) -> int:
        return await asyncio.shield(self._ended)

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        status = self._started.wait()
        with contextlib.suppress(RuntimeError):  # The loop has gone: nobody wants to know any more.
            loop.call_soon_threadsafe(self._note, status)

    def _note(self, status: int) -> None:
        if not self._ended.done():
            self._ended.set_result(status)


async def spawn(number: int) -> SpawnedProcess:
    """Start worker `number`."""
    own, theirs = socket.socketpair()
    try:
        started = await asyncio.get_running_loop().run_in_executor(None, _start, number, theirs)
    except OSError:
        own.close()
        raise
    finally:
        theirs.close()
    own.setblocking(False)  # noqa: FBT003 - the library's signature.
    return SpawnedProcess(started, await supervisors_end(own))


def _start(number: int, control: socket.socket) -> subprocess.Popen[bytes]:
    """The process; of what is open here it gets its end of the channel and the places for output, and nothing else."""
    command = [sys.executable, *_path_options(), "-m", MODULE, str(number), str(control.fileno())]
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        command,
        stdin=subprocess.DEVNULL,
        pass_fds=(control.fileno(),),
        # Ctrl-C at a terminal reaches the whole group of the foreground: it is for the supervisor to act on.
        start_new_session=True,
    )


def _path_options() -> tuple[str, ...]:
    """`-m` would look for modules in the current folder first; a worker does so only where its supervisor does."""
    here = {"", str(Path.cwd())}
    return () if here & set(sys.path) else ("-P",)
