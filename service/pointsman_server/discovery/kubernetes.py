"""The EndpointSlices of one Service as a source: list, then watch, for ever.

A list tells all, a watch what changes after the list's version. Cases:

1. A watch ends (it is asked to, every few minutes) or breaks: it goes on from the last version that was told.
2. That version has expired (410, as an HTTP status or as an event of a watch that began with 200): list anew. The old
   endpoints stay in use until the new list is in.
3. Nothing is heard for SILENT_S, although bookmarks come about every minute: the connection is dead, or the version is
   one of the future (etcd restored from a backup), for which the server waits without a word. List anew.
4. The API server is away or refuses: the old endpoints stay, and it is asked again after a growing wait.

A streaming list (sendInitialEvents) would save nothing here: a Service has few slices.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from urllib.parse import quote, urlencode

from pointsman_server.clock import Clock
from pointsman_server.config.schema import KubernetesDiscovery
from pointsman_server.discovery.backoff import FIRST_S, Backoff
from pointsman_server.discovery.cluster import ClusterApi
from pointsman_server.discovery.contract import Listener
from pointsman_server.discovery.patience import within
from pointsman_server.discovery.slices import GONE, Page, Slice, SliceTable, decode_event, decode_page
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.jsonl import JsonLinesFraming

LIST_S = 30.0
"""For one page of a list."""
WATCH_S = 300.0
"""For one watch; a random part of as much again goes on top, so that not all ask at once."""
SILENT_S = 90.0
"""Without a byte of a watch. Bookmarks come once a minute, a quarter more at the most."""
BOOKMARK_S = 60.0
"""A watch that lasted longer should have brought something."""
_SOON_S = 5.0
"""A watch that ends before counts as a fault: something in between lets no watch live."""
_PAGE_SLICES = 500
_MAX_BYTES = 64 * 1024 * 1024
"""Of one page, and so of one slice."""
_LOST = (Reason.UPSTREAM_UNREACHABLE, Reason.UPSTREAM_TRUNCATED, Reason.UPSTREAM_TIMEOUT)
"""Faults after which the connections are made anew."""


class KubernetesSource:
    """The endpoints of one port of a Service."""

    def __init__(self, config: KubernetesDiscovery, api: ClusterApi, clock: Clock, rng: Random) -> None:
        self._config = config
        self._api = api
        self._clock = clock
        self._rng = rng
        self._table = SliceTable(config.port)
        self._backoff = Backoff(rng)
        self._version = ""
        """Where a watch goes on from; empty: list anew."""
        self._expired = False
        """Whether a version expired since anything was heard."""

    async def follow(self, listener: Listener) -> None:
        """As the protocol says."""
        try:
            while True:
                try:
                    if not self._version:
                        await self._list(listener)
                    await self._watch(listener)
                except ServiceError as fault:
                    await self._recover(fault, listener)
        finally:
            await self._api.close()

    async def _recover(self, fault: ServiceError, listener: Listener) -> None:
        code = fault.upstream.http_status if fault.upstream is not None else 0
        # A refusal that is not for lack of time (429, 5xx) would be repeated; a list may still be allowed.
        if fault.reason is Reason.UPSTREAM_TIMEOUT or (400 <= code < 500 and code != 429):
            self._version = ""
        if code != GONE:
            listener.failed(fault)
        if fault.reason in _LOST:
            await self._api.close()
        if code == GONE and not self._expired:
            # No sign of trouble: a part of a second, so that not all list in the moment after a restart.
            self._expired = True
            await self._clock.sleep(FIRST_S * self._rng.random())
        else:
            await self._clock.sleep(self._backoff.after(fault.retry_after_s))

    async def _list(self, listener: Listener) -> None:
        slices: list[Slice] = []
        rest, path = "", await self._path()
        while True:
            page = await self._page(path, rest)
            slices += page.slices
            if not (rest := page.rest):
                break
        self._table.replace(slices)
        self._version = page.version
        self._tell(listener)

    async def _page(self, path: str, rest: str) -> Page:
        asked = {"limit": str(_PAGE_SLICES), **({"continue": rest} if rest else {})}
        body = bytearray()
        async with (
            within(self._clock, LIST_S, "a list of the API server"),
            self._api.get(f"{path}&{urlencode(asked)}") as response,
        ):
            while data := await response.read():
                body += data
                if len(body) > _MAX_BYTES:
                    raise ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "a list of the API server is too large")
        return decode_page(bytes(body))

    def _tell(self, listener: Listener) -> None:
        listener.told(self._table.endpoints())
        fault = self._table.fault()
        if fault is not None:
            listener.failed(fault)
        else:
            listener.heard()

    async def _watch(self, listener: Listener) -> None:
        """Follow from the version until the watch ends. Raises ServiceError for any but a clean end in good time."""
        began, framing, heard = self._clock.now(), JsonLinesFraming(_MAX_BYTES), False
        path = await self._watch_path()
        async with (
            within(self._clock, SILENT_S, "a word of the API server") as dog,
            self._api.get(path) as response,
        ):
            while data := await response.read():
                dog.at = self._clock.now() + SILENT_S
                heard |= self._take(framing.feed(data), listener)
        heard |= self._take(framing.close(), listener)
        lasted_s = self._clock.now() - began
        if lasted_s < _SOON_S:
            raise ServiceError(Reason.UPSTREAM_UNAVAILABLE, "the API server ended a watch at once")
        self._heard()
        if not heard and lasted_s > BOOKMARK_S:
            self._version = ""

    def _take(self, lines: Sequence[bytes], listener: Listener) -> bool:
        """Take changes in; whether there were any. After what is not understood there is nothing to go on from."""
        try:
            for line in lines:
                change = decode_event(line)
                if change is not None:
                    self._version = change.version
                    self._table.apply(change)
        except ServiceError:
            self._version = ""
            raise
        finally:
            # Also after a bookmark: it says that what was told last still holds.
            if lines:
                self._tell(listener)
        if lines:
            self._heard()
        return bool(lines)

    def _heard(self) -> None:
        self._backoff.reset()
        self._expired = False

    async def _watch_path(self) -> str:
        asked = {
            "watch": "1",
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(int(WATCH_S * (1 + self._rng.random()))),
        }
        return f"{await self._path()}&{urlencode(asked)}"

    async def _path(self) -> str:
        namespace = self._config.namespace or await self._api.namespace()
        selector = quote(f"kubernetes.io/service-name={self._config.service}", safe="")
        where = f"/apis/discovery.k8s.io/v1/namespaces/{quote(namespace, safe='')}/endpointslices"
        return f"{where}?labelSelector={selector}"
