"""The composition root: builds every object in order, and owns start, reload and shutdown of one process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from pointsman_server.admission.gate import ConfiguredModels, Gate
from pointsman_server.admission.validate import inactive
from pointsman_server.catalog import RuntimeCatalog
from pointsman_server.clock import Clock, SystemClock
from pointsman_server.config import schema
from pointsman_server.config.load import Loaded, redacted
from pointsman_server.config.watch import Watch
from pointsman_server.console import Console
from pointsman_server.context import ChatTemplate, Principal
from pointsman_server.discovery.discovery import Discovery
from pointsman_server.discovery.sources import make_source
from pointsman_server.dispatch.dispatcher import Dispatcher
from pointsman_server.dispatch.places import Places
from pointsman_server.errors import Reason
from pointsman_server.gauges import read_gauges
from pointsman_server.launch import ABANDON_S, calm_collector, load_config, telemetry_of
from pointsman_server.reload import InForce, Reloader, put_in_force
from pointsman_server.routing.fleet import Fleet
from pointsman_server.routing.plan import TargetView, Tokenizer
from pointsman_server.routing.view import ModelState
from pointsman_server.runtime import Place, Runtime, compile_runtime
from pointsman_server.server.boundary import Nonces
from pointsman_server.server.build import Collaborators, RpcServer, build_admin, build_public, listen_public
from pointsman_server.server.collaborators import Fault, ReloadOutcome
from pointsman_server.server.ops_http import Facts, OpsServer
from pointsman_server.server.pacing import LoopLoad
from pointsman_server.signals import end_on_signals
from pointsman_server.summaries import ModelSummaries
from pointsman_server.tasks import Tasks
from pointsman_server.tokens import CountingThreads, FileTokenizer
from pointsman_server.upstreams.contract import Upstream
from pointsman_server.upstreams.registry import build_upstream, offers
from pointsman_server.upstreams.translation.vocabulary import Vocabulary, vocabulary

_ENDPOINTS_S = 0.1
"""The least between two changes of endpoints: a rolling update makes many, and each makes a new Runtime."""
_REST = 20
"""Times as long as the last change took, too: with thousands of endpoints it is the calls' time that it takes."""
_HEALTH_S = 0.5
"""How often the models' health is looked at."""


@dataclass(frozen=True, slots=True)
class Seat:
    """What makes a process one of several workers: their supervisor reads files and answers operators for it."""

    number: int
    """From 0."""
    drained: Mapping[str, str]
    """Backends that an operator has drained, with his reason."""


class Application:
    """One process of the service; `start`, then `wait`, then `stop`."""

    def __init__(
        self,
        path: str | None,
        environment: Mapping[str, str],
        *,
        first: Loaded | None = None,
        seat: Seat | None = None,
        clock: Clock | None = None,
        rng: Random | None = None,
    ) -> None:
        """Load the configuration, unless it is given. Raises ConfigError with all its faults."""
        self._path = path
        self._environment = environment
        self._seat = seat
        self.clock = clock or SystemClock()
        self._rng = rng or Random()
        self._first = first or self._load()
        self._tasks = Tasks(lambda error: self.telemetry.failure("task_failed", error))
        self._counting = CountingThreads()
        self._stopping = asyncio.Event()
        self._hurried = self._alone = False
        self._opened = contextlib.AsyncExitStack()
        """What a start that fails has to close."""
        self.ports: dict[str, int] = {}
        """What was bound: `rpc`, `admin`, `ops`."""

    @property
    def config(self) -> schema.Config:
        """The configuration that it was started with."""
        return self._first.config

    @property
    def source(self) -> str:
        """Where that came from, for people."""
        return self._first.source

    def _load(self) -> Loaded:
        return load_config(self._path, self._environment)

    async def start(self) -> None:
        """Build all rooms, listen, and serve. Raises ServiceError when an address or a certificate cannot be had."""
        self.telemetry = telemetry_of(
            self._first, self.clock, worker=None if self._seat is None else self._seat.number
        )
        self.telemetry.capture_logging()
        try:
            await self._start(self._first)
        except BaseException:
            await self._opened.aclose()
            self.telemetry.shutdown(ABANDON_S)
            raise

    async def _start(self, first: Loaded) -> None:
        config = first.config
        self.fleet = Fleet(self._rng)
        source = partial(make_source, environment=self._environment, clock=self.clock, rng=self._rng)
        self.discovery = Discovery(source, self.clock, self.telemetry)
        self._opened.push_async_callback(self.discovery.close)
        self.reloader = Reloader(
            put_in_force(first, self._compile, None),
            load=self._load,
            compile_=self._compile,
            prepare=self.discovery.prepare,
            telemetry=self.telemetry,
        )
        summaries = ModelSummaries(lambda: self.dispatcher, self.telemetry, self.clock, Nonces())
        self.gate = Gate(
            self._models, self._max_calls, self.clock, summaries, tokenizer=self._tokenizer_of
        )  # fmt: skip
        self.places = Places(self.clock, config.max_queued_calls)
        self.dispatcher = Dispatcher(
            self._runtime, clock=self.clock, telemetry=self.telemetry, places=self.places, rng=self._rng,
            turn=self.fleet.turn, notes=inactive,
        )  # fmt: skip
        self.catalog = RuntimeCatalog(self._runtime, self.clock, offers)
        self.console = Console(self.catalog.backends, self.fleet, self.reload, self.telemetry)
        load_ = LoopLoad(self.clock)
        # Made before anything is awaited: a file that changes while this starts is a change, too.
        watch = None if self._seat is not None else Watch(self.clock, self._files, self._reload_logged)
        parts = Collaborators(
            self.gate,
            self.dispatcher,
            self.catalog,
            _CurrentAuthenticator(self._current),
            self.telemetry,
            self.clock,
        )
        self.rpc = build_public(config, parts, load_, share_port=self._seat is not None)
        self._opened.push_async_callback(self.rpc.stop)
        self.ports["rpc"] = listen_public(self.rpc, config, self.telemetry)
        await self._start_own_ports(config)
        await self.discovery.prepare(config)
        self._endpoints_changed()
        for backend, reason in self._seat.drained.items() if self._seat is not None else ():
            self.fleet.drain(backend, reason)
        read_gauges(self.telemetry, self.catalog, self.discovery, self._current, self.clock)
        self.telemetry.name_backends(_urls(self._runtime()))
        await self.rpc.start()
        for task in (
            load_.watch(),
            self.telemetry.watch_loop(),
            self._watch_health(),
            self._watch_endpoints(),
            *(() if watch is None else (watch.run(),)),
        ):
            self._tasks.begin(task)
        self._look_at_models()
        self.rpc.health.serve()
        if self._seat is None:
            self.telemetry.event(
                "started", source=first.source, address=config.server.listen, port=self.ports["rpc"]
            )

    async def _start_own_ports(self, config: schema.Config) -> None:
        """Those for operators; of workers their supervisor has them."""
        self.admin: RpcServer | None = None
        self.ops: OpsServer | None = None
        if self._seat is not None:
            return
        if config.admin.enabled:
            self.admin = build_admin(config, self.console, self.telemetry, self.clock)
            self._opened.push_async_callback(self.admin.stop)
            self.ports["admin"] = self.admin.listen(config.admin.listen)
            await self.admin.start()
            self.admin.health.serve()
        if config.ops.enabled:
            facts = Facts(self._metrics, lambda: self.rpc.health.serving, self._redacted)
            self.ops = OpsServer(facts)
            self.ports["ops"] = await self.ops.start(config.ops.listen)

    async def wait(self) -> None:
        """Until `request_stop`."""
        await self._stopping.wait()

    @property
    def serving(self) -> bool:
        """Whether it takes calls and means to go on."""
        return self.rpc.health.serving and not self._stopping.is_set()

    def request_stop(self, *, alone: bool = False) -> None:
        """Ask it to end. When it leaves alone, others go on at its address: then no balancer has to look away."""
        self._alone = alone
        self._stopping.set()

    def hurry(self) -> None:
        """Ask it to end and to wait for no call any more."""
        self._stopping.set()
        self._hurried = True
        self.rpc.hurry()

    def request_reload(self) -> None:
        """Ask it to read its configuration again; for signal handlers."""
        self._tasks.begin(self._reload_logged())

    async def reload(self, *, validate_only: bool = False) -> ReloadOutcome:
        """Read the configuration again and put it in force, unless it has a fault."""
        try:
            outcome = await self.reloader.reload(validate_only=validate_only)
        finally:
            self.discovery.keep(self._current().loaded.config)
        if outcome.applied:
            self._follow(self._current().loaded.config)
        faults = tuple(Fault(fault.path, fault.line, fault.message) for fault in outcome.faults)
        return ReloadOutcome(outcome.applied, outcome.config_hash, faults)

    async def take_over(self, loaded: Loaded) -> None:
        """Put this in force, which a supervisor has checked and tells of."""
        try:
            await self.reloader.apply(loaded)
        finally:
            self.discovery.keep(self._current().loaded.config)
        self._follow(loaded.config)

    def _follow(self, config: schema.Config) -> None:
        self.rpc.apply(config)
        self.places.max_waiting = config.max_queued_calls
        self.telemetry.reconfigure(config.telemetry)
        self.telemetry.name_backends(_urls(self._runtime()))
        self._look_at_models()

    async def stop(self) -> None:
        """Drain: health down, calls finish, servers close, pools close, telemetry is flushed within its bound."""
        drain = self._current().loaded.config.server.drain
        self.telemetry.event("draining", calls=len(self.rpc.calls))
        delay_s = 0 if self._alone else drain.delay_s
        await self.rpc.drain(delay_s=delay_s, grace_s=drain.grace_s, announced=not self._alone)
        if self.admin is not None:
            await self.admin.stop()
        if self.ops is not None:
            await self.ops.stop()
        await self._tasks.end()
        self._counting.close()
        await self.discovery.close()
        await asyncio.gather(*(place.closed() for place in self._runtime().places.values()))
        await Place.retired()
        self.telemetry.event("stopped")
        flush_s = min(drain.flush_s, ABANDON_S) if self._hurried else drain.flush_s
        await asyncio.get_running_loop().run_in_executor(None, self.telemetry.shutdown, flush_s)

    def _compile(self, loaded: Loaded, previous: Runtime | None) -> Runtime:
        def build(name: str, backend: schema.Backend, authority: str) -> Upstream:
            return build_upstream(
                name,
                backend,
                loaded.secrets.get,
                self.clock,
                authority=authority,
                notice=self._credential_rests,
            )

        return compile_runtime(
            loaded.config,
            self.fleet,
            build=build,
            secret=lambda ref: loaded.secrets.get(ref).reveal(),
            template_text=loaded.templates.text,
            previous=previous,
            found=self.discovery.endpoints(loaded.config),
            prices=loaded.prices,
            make_tokenizer=partial(self._tokenizer, loaded),
        )

    def _tokenizer(
        self,
        loaded: Loaded,
        written: schema.TokenizerFile,
        template: ChatTemplate | None,
        targets: Sequence[TargetView],
    ) -> FileTokenizer:
        made = loaded.tokenizers.content(written).parsed(vocabulary)
        assert isinstance(made, Vocabulary)
        return FileTokenizer(
            made,
            template,
            special_tokens=written.special_tokens,
            targets=targets,
            threads=self._counting,
            clock=self.clock,
        )

    def _credential_rests(self, backend: str, number: int, reason: Reason, rest_s: float) -> None:
        self.telemetry.event(
            "credential_rests",
            backend=backend,
            credential=number + 1,
            reason=reason.value,
            rest_s=round(rest_s, 1),
        )

    def _current(self) -> InForce:
        return self.reloader.current

    def _runtime(self) -> Runtime:
        return self.reloader.current.runtime

    def _models(self) -> ConfiguredModels:
        return self.reloader.current.models

    def _tokenizer_of(self, model: str) -> Tokenizer | None:
        view = self._runtime().model(model)
        return None if view is None else view.tokenizer

    def _max_calls(self) -> int:
        return self.reloader.current.loaded.config.server.max_calls

    async def _metrics(self) -> tuple[bytes, str]:
        return self.telemetry.metrics()

    def _redacted(self) -> bytes:
        return json.dumps(redacted(self._current().loaded.config), indent=2).encode()

    def _look_at_models(self) -> None:
        states = self.catalog.states()
        self.rpc.health.set_models(
            {name: state is not ModelState.UNAVAILABLE for name, state in states.items()}
        )

    async def _watch_health(self) -> None:
        while True:
            await self.clock.sleep(_HEALTH_S)
            self._look_at_models()

    async def _watch_endpoints(self) -> None:
        """Puts each change of what discovery found in force: at once, and then not again for a while."""
        while True:
            await self.discovery.changed()
            began = self.clock.now()
            self._endpoints_changed()
            self._look_at_models()
            await self.clock.sleep(max(_ENDPOINTS_S, _REST * (self.clock.now() - began)))

    def _endpoints_changed(self) -> None:
        try:
            self.reloader.refresh()
        except Exception as error:  # noqa: BLE001 - a task's root: what is in force stays, later changes come.
            self.telemetry.failure("endpoints_refused", error)

    def _files(self) -> Sequence[Path]:
        return self._current().loaded.files

    async def _reload_logged(self) -> None:
        await self.reload()


class _CurrentAuthenticator:
    """The authenticator of whatever configuration is in force."""

    def __init__(self, current: Callable[[], InForce]) -> None:
        self._current = current

    def authenticate(self, metadata: Mapping[str, str], peer_identities: Sequence[str]) -> Principal:
        """The caller."""
        return self._current().authenticator.authenticate(metadata, peer_identities)


def _urls(runtime: Runtime) -> dict[str, str]:
    """Of backends that are one place; a span knows an endpoint's address without being told."""
    return {name: backend.url for name, backend in runtime.config.backends.items()}


@asynccontextmanager
async def running(path: str | None, environment: Mapping[str, str]) -> AsyncIterator[Application]:
    """A started application, stopped on exit."""
    application = Application(path, environment)
    await application.start()
    try:
        yield application
    finally:
        await application.stop()


async def serve(
    path: str | None, environment: Mapping[str, str], first: Loaded, *, ready: Callable[[Application], None]
) -> None:
    """Run until SIGTERM or SIGINT, reload on SIGHUP. A second one ends the wait for calls in flight."""
    application = Application(path, environment, first=first)
    await application.start()
    calm_collector()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, application.request_reload)
    end_on_signals(loop, application)
    ready(application)
    await application.wait()
    await application.stop()
