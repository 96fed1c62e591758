"""The Kubernetes API server as a pod reaches it: where it is, who vouches for it, and a token that is renewed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pointsman_server.clock import Clock
from pointsman_server.config.addresses import join_address
from pointsman_server.config.schema import Kubernetes
from pointsman_server.discovery.slices import told
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.contract import (
    BodyLimits,
    HTTPRequest,
    HTTPResponse,
    Transport,
    TransportOptions,
)

CONNECT_S = 5.0
_BODY_BYTES = 1 << 40
"""Of a watch, which goes on for minutes; what is kept of it is bounded line by line."""
_MAX_FILE_BYTES = 64 * 1024

Connect = Callable[[TransportOptions], Transport]


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """Where the API server is and what is shown to it."""

    url: str
    """Empty where nothing says it."""
    token_file: str
    ca_file: str

    @classmethod
    def of(cls, config: Kubernetes, environment: Mapping[str, str]) -> ClusterAccess:
        """As configured, with the environment of a pod where nothing is."""
        host = environment.get("KUBERNETES_SERVICE_HOST", "")
        url = config.api_server.rstrip("/")
        if not url and host:
            port = environment.get("KUBERNETES_SERVICE_PORT", "443")
            url = f"https://{join_address(host, int(port) if port.isdecimal() else 443)}"
        return cls(url, config.token_file, config.ca_file)


class ClusterApi:
    """Requests to the API server."""

    def __init__(self, access: ClusterAccess, connect: Connect, clock: Clock) -> None:
        self._access = access
        self._connect = connect
        self._clock = clock
        self._transport: Transport | None = None

    @asynccontextmanager
    async def get(self, path: str) -> AsyncIterator[HTTPResponse]:
        """An answer with status 200, its body still to be read.

        Raises ServiceError: as the transport does, for a file that cannot be read, and as `told` says for any other
        status. Waits for headers without a bound of its own.
        """
        transport, headers = await self._ready()
        async with transport.open(HTTPRequest("GET", f"{self._access.url}{path}", headers)) as response:
            if response.status != 200:
                raise told(response.status, _retry_after(response))
            yield response

    async def namespace(self) -> str:
        """The pod's own, as the file beside the token says. Raises ServiceError."""
        return await self._read(str(Path(self._access.token_file).with_name("namespace")))

    async def close(self) -> None:
        """Drop all connections; the next request makes new ones, with the authorities that the file holds then."""
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.close()

    async def _ready(self) -> tuple[Transport, Mapping[str, str]]:
        access = self._access
        if not access.url:
            raise ServiceError(
                Reason.UPSTREAM_UNREACHABLE, "not in a cluster, and kubernetes.api_server is not set"
            )
        headers = {"accept": "application/json"}
        secured = access.url.startswith("https:")
        if access.token_file and secured:
            headers["authorization"] = f"Bearer {await self._read(access.token_file)}"
        if self._transport is None:
            options = TransportOptions(
                connect_timeout_s=CONNECT_S,
                ca_file=access.ca_file if secured else "",
                limits=BodyLimits(body_bytes=_BODY_BYTES),
            )
            try:
                self._transport = self._connect(options)
            except (OSError, ssl.SSLError) as error:
                detail = f"the file of authorities {access.ca_file} cannot be used"
                raise ServiceError(Reason.UPSTREAM_UNREACHABLE, detail) from error
        return self._transport, headers

    async def _read(self, name: str) -> str:
        """A small file's one line."""
        try:
            text = await asyncio.get_running_loop().run_in_executor(None, _content, name)
        except (OSError, UnicodeError) as error:
            raise ServiceError(Reason.UPSTREAM_UNREACHABLE, f"the file {name} cannot be read") from error
        if not text or not text.isprintable():
            raise ServiceError(Reason.UPSTREAM_UNREACHABLE, f"the file {name} is empty or not one line")
        return text


def _content(name: str) -> str:
    with Path(name).open("rb") as file:
        return file.read(_MAX_FILE_BYTES).decode().strip()


def _retry_after(response: HTTPResponse) -> float | None:
    """The API server tells seconds."""
    asked = response.headers.get("retry-after", "")
    return float(asked) if asked.isascii() and asked.isdecimal() else None
