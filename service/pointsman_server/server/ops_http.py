"""HTTP for probes and scrapers: /metrics, /livez, /readyz, /config. Answers from callables, knows nothing itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from pointsman_server.errors import Reason, ServiceError

_MAX_BODY_BYTES = 1024
_MAX_HEADER_BYTES = 8190


@dataclass(frozen=True, slots=True)
class Facts:
    """Where the answers come from; each is asked per request and must be quick."""

    metrics: Callable[[], Awaitable[tuple[bytes, str]]]
    """The exposition and its content type."""
    ready: Callable[[], bool]
    """Whether this process takes calls: serving and not draining."""
    config: Callable[[], bytes]
    """The configuration in use, redacted, as JSON."""


class OpsServer:
    """The HTTP server."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._runner = web.AppRunner(
            self._app(), access_log=None, max_line_size=_MAX_HEADER_BYTES, max_field_size=_MAX_HEADER_BYTES
        )

    async def start(self, listen: str) -> int:
        """Listen on `host:port`; returns the port. Raises ServiceError when the address cannot be had."""
        host, _, port = listen.rpartition(":")
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host.strip("[]"), int(port)).start()
        except OSError as error:
            await self._runner.cleanup()
            raise ServiceError(Reason.INTERNAL, f"cannot listen on {listen}") from error
        bound: int = self._runner.addresses[0][1]
        return bound

    async def stop(self) -> None:
        """Close."""
        await self._runner.cleanup()

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/config", self._config)
        return app

    async def _metrics(self, _request: web.Request) -> web.Response:
        body, content_type = await self._facts.metrics()
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _livez(self, _request: web.Request) -> web.Response:
        # That this runs at all is the answer: the loop is alive.
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        ready = self._facts.ready()
        return web.Response(text="ready\n" if ready else "not ready\n", status=200 if ready else 503)

    async def _config(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._facts.config(), content_type="application/json")
