"""The supervising process: builds what operators ask, starts the workers, and owns their end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from random import Random

from pointsman_server.clock import Clock, SystemClock, within
from pointsman_server.config import schema
from pointsman_server.config.load import Loaded
from pointsman_server.config.watch import Watch
from pointsman_server.launch import ABANDON_S, load_config, telemetry_of
from pointsman_server.server.build import LAST_WORDS_S, QUIET_S, RpcServer, build_admin
from pointsman_server.server.ops_http import Facts, OpsServer
from pointsman_server.signals import end_on_signals
from pointsman_server.supervisor.pod import Pod
from pointsman_server.supervisor.pool import Patience
from pointsman_server.supervisor.port import HeldPort
from pointsman_server.supervisor.spawn import Spawn, spawn
from pointsman_server.supervisor.worker import LEAVE_S
from pointsman_server.tasks import Tasks


class Supervisor:
    """`start`, then `wait`, then `stop`."""

    def __init__(
        self,
        path: str | None,
        environment: Mapping[str, str],
        first: Loaded,
        *,
        spawn: Spawn = spawn,
        clock: Clock | None = None,
        rng: Random | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._path = path
        self._environment = environment
        self._first = first
        self._spawn = spawn
        self.clock = clock or SystemClock()
        self._rng = rng or Random()
        self._patience = patience
        self._tasks = Tasks(lambda error: self.telemetry.failure("task_failed", error))
        self._stopping = asyncio.Event()
        self._hurried = False
        self.held: HeldPort | None = None
        self.admin: RpcServer | None = None
        self.ops: OpsServer | None = None
        self.ports: dict[str, int] = {}
        """What was bound: `rpc` by the workers, `admin` and `ops` here."""

    @property
    def config(self) -> schema.Config:
        """The configuration that it was started with."""
        return self._first.config

    @property
    def source(self) -> str:
        """Where that came from, for people."""
        return self._first.source

    async def start(self) -> None:
        """Take the ports and start the workers. Raises ServiceError when an address cannot be had or a worker fails."""
        self.telemetry = telemetry_of(self._first, self.clock, shared=True)
        self.telemetry.capture_logging()
        try:
            await self._start(self._first)
        except BaseException:
            await self._close_ports()
            self.telemetry.shutdown(ABANDON_S)
            raise

    async def _start(self, first: Loaded) -> None:
        loop, config = asyncio.get_running_loop(), first.config
        held = self.held = await loop.run_in_executor(None, HeldPort, config.server.listen)
        self.ports["rpc"] = held.port
        self.pod = Pod(
            first, held.address, load=self._load, spawn=self._spawn, telemetry=self.telemetry,
            clock=self.clock, rng=self._rng, patience=self._patience,
        )  # fmt: skip
        self.pod.measure()
        # Made before the workers start: a file that changes meanwhile is a change, too.
        watch = Watch(self.clock, lambda: self.pod.loaded.files, self._reload)
        if config.admin.enabled:
            self.admin = build_admin(config, self.pod, self.telemetry, self.clock)
            self.ports["admin"] = self.admin.listen(config.admin.listen)
            await self.admin.start()
            self.admin.health.serve()
        if config.ops.enabled:
            self.ops = OpsServer(Facts(self.pod.metrics, lambda: self.pod.ready, self.pod.config))
            self.ports["ops"] = await self.ops.start(config.ops.listen)
        await self.pod.pool.start()
        self._tasks.begin(watch.run())
        self.telemetry.event(
            "started",
            source=first.source,
            address=config.server.listen,
            port=self.ports["rpc"],
            workers=config.workers,
        )

    async def wait(self) -> None:
        """Until `request_stop`."""
        await self._stopping.wait()

    def request_stop(self) -> None:
        """Ask it to end."""
        self._stopping.set()

    def hurry(self) -> None:
        """Ask it to end and to wait for no call any more."""
        self._stopping.set()
        self._hurried = True
        self.pod.pool.request_stop(hurry=True)

    def request_reload(self) -> None:
        """Ask it to read its configuration again; for signal handlers."""
        self._tasks.begin(self._reload())

    async def stop(self) -> None:
        """All workers drain at once; then the ports of operators close, and telemetry is flushed within its bound."""
        drain, pool = self.pod.loaded.config.server.drain, self.pod.pool
        self.telemetry.event("draining", workers=len(pool.all))
        pool.request_stop(hurry=self._hurried)
        longest_s = drain.delay_s + drain.grace_s + drain.flush_s + 2 * LAST_WORDS_S + QUIET_S + LEAVE_S
        try:
            await within(self.clock, longest_s, pool.ended())
        except TimeoutError:
            await pool.abandon()
        await self._tasks.end()
        await self._close_ports()
        self.telemetry.event("stopped")
        flush_s = min(drain.flush_s, ABANDON_S) if self._hurried else drain.flush_s
        await asyncio.get_running_loop().run_in_executor(None, self.telemetry.shutdown, flush_s)

    async def _close_ports(self) -> None:
        if self.admin is not None:
            await self.admin.stop()
        if self.ops is not None:
            await self.ops.stop()
        if self.held is not None:
            self.held.close()

    def _load(self) -> Loaded:
        return load_config(self._path, self._environment)

    async def _reload(self) -> None:
        await self.pod.reload(validate_only=False)


async def supervise(
    path: str | None, environment: Mapping[str, str], first: Loaded, *, ready: Callable[[Supervisor], None]
) -> None:
    """Run until SIGTERM or SIGINT, reload on SIGHUP. A second one ends the wait for calls in flight."""
    supervisor = Supervisor(path, environment, first)
    await supervisor.start()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, supervisor.request_reload)
    end_on_signals(loop, supervisor)
    ready(supervisor)
    await supervisor.wait()
    await supervisor.stop()
