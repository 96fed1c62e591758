"""A Kubernetes API server on loopback that knows EndpointSlices and nothing else, and fails where a test tells it to.

async with ApiServer() as server:
server.put(slice_of("a", endpoint("10.0.0.1")))
...  # follow server.url
server.break_watches()
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, cast

from aiohttp import web

Object = dict[str, Any]
_END = b""
_SILENT = logging.getLogger("tests.fakes.api_server")
"""What breaks here breaks on purpose, and the service's log is looked at for errors."""
_SILENT.disabled = True
_SLICES = "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    namespace: str
    query: Mapping[str, str]
    authorization: str

    @property
    def watch(self) -> bool:
        """Whether it asks for a watch."""
        return self.query.get("watch") == "1"


@dataclass(eq=False)
class Watch:
    """One watch that is open."""

    transport: asyncio.Transport
    lines: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)


class ApiServer:
    """The fake; an async context manager."""

    def __init__(self, *, ssl_context: ssl.SSLContext | None = None) -> None:
        self.slices: dict[str, Object] = {}
        self.version = 100
        self.asked: list[Asked] = []
        self.watches: set[Watch] = set()
        self.token = ""
        """The only one that it takes; empty takes everything."""
        self.refuse: dict[str, int] = {}
        """`list` or `watch` -> the status that it is refused with."""
        self.retry_after_s = 0
        """Told with every refusal, unless it is 0."""
        self.page_size = 500
        """The most of a page, whatever is asked for."""
        self.expired_by_status = False
        """Whether an expired version of a watch is told as HTTP 410, not as an event."""
        self.port = 0
        self._history: list[tuple[int, bytes]] = []
        self._oldest = 0
        self._ssl = ssl_context
        self._runner: web.AppRunner | None = None
        self._open: set[asyncio.Transport] = set()

    @property
    def url(self) -> str:
        """Its address; the name suits certificates for localhost when TLS is on."""
        return f"https://localhost:{self.port}" if self._ssl else f"http://127.0.0.1:{self.port}"

    @property
    def lists(self) -> int:
        """Lists that were asked for so far, page by page."""
        return sum(not asked.watch for asked in self.asked)

    def put(self, about: Object) -> None:
        """Add or change a slice; watches are told."""
        kind = "MODIFIED" if about["metadata"]["name"] in self.slices else "ADDED"
        self.slices[about["metadata"]["name"]] = about
        self._changed(kind, about)

    def remove(self, name: str) -> None:
        """Delete a slice; watches are told."""
        self._changed("DELETED", self.slices.pop(name))

    def bookmark(self) -> None:
        """Tell all watches that nothing changed up to now."""
        about = {"metadata": {"resourceVersion": str(self.version)}, "addressType": "", "endpoints": None}
        self.say(_line("BOOKMARK", about))

    def say(self, line: bytes) -> None:
        """Write any bytes into all watches."""
        for watch in self.watches:
            watch.lines.put_nowait(line)

    def forget(self) -> None:
        """Compact: what was before now can no longer be watched from."""
        self.version += 1
        self._oldest = self.version
        self._history.clear()

    def restore(self, version: int) -> None:
        """Go back in time, as etcd restored from a backup does."""
        self.version, self._oldest = version, 0
        self._history.clear()

    def end_watches(self) -> None:
        """End all watches as a timeout does."""
        self.say(_END)

    def break_watches(self) -> None:
        """Break all watches in the middle."""
        for watch in self.watches:
            watch.transport.abort()

    async def start(self) -> None:
        """Listen; on the port of before when there was one."""
        application = web.Application()
        application.router.add_get(_SLICES, self._answer)
        self._runner = web.AppRunner(
            application, shutdown_timeout=0.1, handler_cancellation=True, logger=_SILENT
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._ssl, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def kill(self) -> None:
        """End at once, as by SIGKILL: everything that is open breaks."""
        for transport in self._open:
            transport.abort()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()

    def _changed(self, kind: str, about: Object) -> None:
        self.version += 1
        about["metadata"]["resourceVersion"] = str(self.version)
        line = _line(kind, about)
        self._history.append((self.version, line))
        self.say(line)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        asked = Asked(
            request.match_info["namespace"], dict(request.query), request.headers.get("authorization", "")
        )
        self.asked.append(asked)
        self._open.add(cast(asyncio.Transport, request.transport))
        if self.token and asked.authorization != f"Bearer {self.token}":
            return self._refusal(401)
        if status := self.refuse.get("watch" if asked.watch else "list"):
            return self._refusal(status)
        return await self._watch(request, asked) if asked.watch else self._list(asked)

    def _refusal(self, code: int) -> web.Response:
        headers = {"Retry-After": str(self.retry_after_s)} if self.retry_after_s else {}
        return web.json_response(_status(code), status=code, headers=headers)

    def _list(self, asked: Asked) -> web.Response:
        """A page; a token holds the version of its list, and expires with it."""
        start, version = 0, self.version
        if token := asked.query.get("continue"):
            start, version = (int(part) for part in token.split("-"))
            if version < self._oldest:
                return self._refusal(410)
        service = asked.query["labelSelector"].removeprefix("kubernetes.io/service-name=")
        found = [one for one in self.slices.values() if _service(one) == service]
        end = start + min(self.page_size, int(asked.query["limit"]))
        metadata = {"resourceVersion": str(version)}
        if end < len(found):
            metadata["continue"] = f"{end}-{version}"
        return web.json_response(
            {"kind": "EndpointSliceList", "metadata": metadata, "items": found[start:end]}
        )

    async def _watch(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        since = int(asked.query["resourceVersion"])
        if since < self._oldest and self.expired_by_status:
            return self._refusal(410)
        response = web.StreamResponse(headers={"content-type": "application/json"})
        await response.prepare(request)
        watch = Watch(cast(asyncio.Transport, request.transport))
        if since < self._oldest:
            await response.write(_line("ERROR", _status(410)))
            return response
        if since <= self.version:
            for version, line in self._history:
                if version > since:
                    watch.lines.put_nowait(line)
            self.watches.add(watch)
        # A version of the future: not a word, until it has come.
        try:
            while (line := await watch.lines.get()) != _END:
                await response.write(line)
        finally:
            self.watches.discard(watch)
        return response


def _service(about: Object) -> str:
    return str(about["metadata"]["labels"]["kubernetes.io/service-name"])


def _line(kind: str, about: Object) -> bytes:
    return json.dumps({"type": kind, "object": about}).encode() + b"\n"


def _status(code: int) -> Object:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "as scripted", "code": code}
