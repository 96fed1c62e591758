"""The service as a person starts it: a file, a process of its own, signals."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from tests.fakes.lines import logged
from tests.fakes.ports import free_port
from tests.fakes.running_app import PATIENCE_S, PLACES, Settings, merged, until, write_settings

_LOOK_S = 0.05
"""Seldom enough to leave the starting process its core."""
_ROOT = Path(__file__).resolve().parent.parent.parent


class ServiceProcess:
    """`python -m pointsman_server serve --config`; an async context manager, entered once it is ready."""

    def __init__(
        self, folder: Path, settings: Settings, *, environment: Mapping[str, str] | None = None
    ) -> None:
        self.file = folder / "pointsman.yaml"
        self.ports = {name: free_port() for name in ("server", "admin", "ops")}
        places = {name: {"listen": f"127.0.0.1:{port}"} for name, port in self.ports.items()}
        self.settings = merged(merged(PLACES, places), settings)
        write_settings(self.file, self.settings)
        self._environment = {**os.environ, **(environment or {})}
        self._output = folder / "output.log"
        self._running: asyncio.subprocess.Process | None = None

    @property
    def target(self) -> str:
        """Where the public server listens."""
        return f"127.0.0.1:{self.ports['server']}"

    @property
    def output(self) -> str:
        """What it wrote so far, to either stream."""
        return self._output.read_text(errors="replace")

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What it logged."""
        return logged(self.output)

    async def __aenter__(self) -> Self:
        await self.launch()
        await until("the service is ready", self._ready, every_s=_LOOK_S)
        return self

    async def launch(self) -> None:
        """Start it, whatever comes of it."""
        command = (sys.executable, "-m", "pointsman_server", "serve", "--config", str(self.file))
        with self._output.open("ab") as output:
            self._running = await asyncio.create_subprocess_exec(
                *command, cwd=_ROOT, env=self._environment, stdin=asyncio.subprocess.DEVNULL,
                stdout=output, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        running = self._process()
        if running.returncode is None:
            running.kill()
        await running.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process().send_signal(number)

    async def ended(self, within_s: float = PATIENCE_S) -> int:
        """Its exit status."""
        async with asyncio.timeout(within_s):
            return await self._process().wait()

    async def get(self, path: str) -> tuple[int, str]:
        """Status and body of an ops page."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.ports['ops']}{path}") as answer,
        ):
            return answer.status, await answer.text()

    async def _ready(self) -> bool:
        if self._process().returncode is not None:
            raise AssertionError(f"the service ended:\n{self.output[-4000:]}")
        try:
            return (await self.get("/readyz"))[0] == 200
        except aiohttp.ClientError:
            return False

    def _process(self) -> asyncio.subprocess.Process:
        assert self._running is not None
        return self._running
