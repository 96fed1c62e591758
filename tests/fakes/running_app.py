"""The whole service in this process, on loopback and free ports, with a client, stubs and what operators see of it."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import grpc
import yaml

from pointsman import AsyncClient
from pointsman.v1 import inference_service_pb2_grpc, model_service_pb2_grpc, router_admin_service_pb2_grpc
from pointsman_server.app import Application
from pointsman_server.config.schema import Config
from pointsman_server.telemetry.registry import Metrics
from tests.fakes.channels import OWN_CONNECTION
from tests.fakes.provider import Provider

PATIENCE_S = 20.0
"""For what should happen: a bound on a hang, not a figure."""
_LOOK_S = 0.005

Settings = Mapping[str, Any]

PLACES: Settings = {
    "server": {"listen": "127.0.0.1:0", "drain": {"delay_s": 0, "grace_s": 5, "flush_s": 1}},
    "admin": {"listen": "127.0.0.1:0"},
    "ops": {"listen": "127.0.0.1:0"},
    # Short, so that what fails on purpose is soon done with.
    "retry": {"backoff_base_s": 0.01, "backoff_max_s": 0.02},
}


async def until(
    what: str, holds: Callable[[], object], within_s: float = PATIENCE_S, *, every_s: float = _LOOK_S
) -> None:
    """Wait until it holds, which may have to be awaited. Raises AssertionError when it never does."""
    try:
        async with asyncio.timeout(within_s):
            while True:
                held = holds()
                if await held if inspect.isawaitable(held) else held:
                    return
                await asyncio.sleep(every_s)
    except TimeoutError:
        raise AssertionError(f"not within {within_s:g} s: {what}") from None


def merged(base: Settings, over: Settings) -> dict[str, Any]:
    """Both, section by section; what is below `backends` and `models` is taken whole."""
    result = dict(base)
    for name, section in over.items():
        known = result.get(name)
        if name in ("backends", "models") or not isinstance(known, Mapping):
            result[name] = section
        else:
            result[name] = merged(known, section)
    return result


def write_settings(path: Path, settings: Settings | str) -> None:
    """Replace the file in one step, as an editor or a mounted volume does."""
    text = settings if isinstance(settings, str) else yaml.safe_dump(_plain(settings), sort_keys=False)
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


class _Lines(io.BytesIO):
    """What the service writes to standard output; stays readable when its wrapper is gone."""

    def close(self) -> None:
        """Nothing: the lines are still wanted."""


class RunningApp:
    """The service; an async context manager."""

    def __init__(
        self,
        path: Path,
        settings: Settings,
        *,
        environment: Mapping[str, str] | None = None,
        kind: type[Application] = Application,
    ) -> None:
        self.path = path
        self.settings = merged(PLACES, settings)
        write_settings(path, self.settings)
        self.app = kind(str(path), environment or {})
        self._written = _Lines()
        self._stack = contextlib.AsyncExitStack()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopped = False

    @property
    def target(self) -> str:
        """Where the public server listens."""
        return f"127.0.0.1:{self.app.ports['rpc']}"

    async def __aenter__(self) -> Self:
        self._keep_logging()
        with contextlib.redirect_stdout(io.TextIOWrapper(self._written, write_through=True)):
            await self.app.start()
        self._tasks = service_tasks()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        await self._stack.aclose()

    async def stop(self) -> None:
        """Stop the service as SIGTERM would; once."""
        if not self._stopped:
            self._stopped = True
            await self.app.stop()

    def _keep_logging(self) -> None:
        """The service takes the process's logging over; give it back at the end."""
        root = logging.getLogger()
        handlers, level = list(root.handlers), root.level

        def restore() -> None:
            root.handlers[:] = handlers
            root.setLevel(level)
            logging.captureWarnings(False)

        self._stack.callback(restore)

    def rewrite(self, **sections: Any) -> None:
        """Change sections of the file; the service has yet to read it."""
        self.settings = merged(self.settings, sections)
        write_settings(self.path, self.settings)

    async def client(self, **options: Any) -> AsyncClient:
        """A client of the library, closed at the end. It leaves retries to the server unless told otherwise."""
        client = AsyncClient(self.target, **{"retries": 0, "options": OWN_CONNECTION, **options})
        return await self._stack.enter_async_context(client)

    async def channel(self, *options: tuple[str, Any], port: str = "rpc") -> grpc.aio.Channel:
        """A bare channel, closed at the end."""
        target = f"127.0.0.1:{self.app.ports[port]}"
        channel = grpc.aio.insecure_channel(target, options=(*OWN_CONNECTION, *options))
        return await self._stack.enter_async_context(channel)

    async def inference(self) -> Any:
        """A generated stub of its own channel."""
        return inference_service_pb2_grpc.InferenceServiceStub(await self.channel())

    async def models(self) -> Any:
        """The same for models."""
        return model_service_pb2_grpc.ModelServiceStub(await self.channel())

    async def admin(self) -> Any:
        """The same for operators."""
        return router_admin_service_pb2_grpc.RouterAdminServiceStub(await self.channel(port="admin"))

    async def get(self, path: str) -> tuple[int, str]:
        """Status and body of an ops page."""
        url = f"http://127.0.0.1:{self.app.ports['ops']}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status, await answer.text()

    def metric(self, name: str, **labels: str) -> float:
        """One sample of the metrics; 0 where there is none."""
        metrics: Metrics = self.app.telemetry._parts.metrics
        return metrics._registry.get_sample_value(name, labels) or 0.0

    @property
    def output(self) -> str:
        """All that was logged so far."""
        return self._written.getvalue().decode()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The log, decoded."""
        return [json.loads(line) for line in self.output.splitlines()]

    async def logged(self, **fields: Any) -> dict[str, Any]:
        """The first line with these fields, once there is one."""

        def found() -> list[dict[str, Any]]:
            return [line for line in self.lines if fields.items() <= line.items()]

        await until(f"a line with {fields}", lambda: bool(found()))
        return found()[0]

    def troubles(self) -> list[dict[str, Any]]:
        """Lines at error, and what libraries had to say."""
        return [line for line in self.lines if line["level"] == "error" or line["event"] == "library"]

    @property
    def config(self) -> Config:
        """What is in force."""
        return self.app.reloader.current.loaded.config

    def held(self) -> dict[str, int]:
        """What is held for calls now, by whom; nothing when no call runs."""
        app = self.app
        counts = {
            "calls": len(app.rpc.calls),
            "gate": app.gate.in_flight,
            "waiting": app.places.waiting,
            "calls_metric": int(self.metric("pointsman_calls_in_flight")),
        }
        for info in app.catalog.backends(""):
            counts[f"{info.name} requests"] = info.in_flight_requests
            counts[f"{info.name} tokens"] = info.in_flight_tokens
            counts[f"{info.name} metric"] = int(
                self.metric("pointsman_attempts_in_flight", backend=info.name)
            )
        return {name: count for name, count in counts.items() if count}

    def stray_tasks(self) -> set[asyncio.Task[Any]]:
        """Tasks that were not there when the service had started."""
        return service_tasks() - self._tasks - self.app._tasks.running

    async def settled_calls(self) -> None:
        """Wait until nothing is held for calls."""
        await until("nothing is held for calls", lambda: not self.held())

    def remember_tasks(self) -> None:
        """What runs now is there to stay: a client's watch on health, say."""
        self._tasks = service_tasks()

    async def settled(self) -> None:
        """Wait until nothing is held and no task is left over."""
        try:
            await until("nothing is left of calls", lambda: not self.held() and not self.stray_tasks())
        except AssertionError as error:
            raise AssertionError(f"{error}; still {self.held()}, {self.stray_tasks()}") from None


def service_tasks() -> set[asyncio.Task[Any]]:
    """All tasks but the test's own and those that belong to grpc for the life of the loop."""
    current = asyncio.current_task()
    return {task for task in asyncio.all_tasks() if task is not current and not _is_grpcs(task)}


def _is_grpcs(task: asyncio.Task[Any]) -> bool:
    # The server's wait for a next call, and the poller of the loop.
    text = repr(task)
    return any(name in text for name in ("AioServer.", "_server_main_loop", "poll"))


def backend_at(provider: Provider, **more: Any) -> dict[str, Any]:
    """An entry under `backends`: an OpenAI-compatible server."""
    return {"provider": "openai_compatible", "url": f"{provider.url}/v1", **more}


def model_over(*backends: str, **more: Any) -> dict[str, Any]:
    """An entry under `models`: these backends, each only when none before it can serve."""
    return {"targets": [{"backend": name, "group": group} for group, name in enumerate(backends)], **more}


def one_model(provider: Provider, **more: Any) -> dict[str, Any]:
    """A configuration with one model, `chat`, at one backend, `only`."""
    return {"backends": {"only": backend_at(provider, **more)}, "models": {"chat": model_over("only")}}
