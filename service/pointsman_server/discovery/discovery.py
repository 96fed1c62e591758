"""Follows the sources of all backends that are discovered, and keeps what they told: one set of endpoints for each.

Sources of a new configuration are started beside those of the old one, so that no backend is without its endpoints
while one gives way to the other.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from pointsman_server.clock import Clock
from pointsman_server.config import schema
from pointsman_server.discovery.contract import Source
from pointsman_server.discovery.endpoints import Condition, EndpointSet
from pointsman_server.discovery.patience import within
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.telemetry.facade import Telemetry

PATIENCE_S = 5.0
"""For the first word of a new source, before it is left to come when it may."""
_BROKEN_S = 30.0
"""Before a source that fell over is started anew."""


class Key(NamedTuple):
    """What a source is made from; an equal one is kept."""

    backend: str
    discovery: schema.Discovery
    kubernetes: schema.Kubernetes


MakeSource = Callable[[Key], Source]


class Followed:
    """One source, what it told, and the task that listens."""

    def __init__(self, key: Key, clock: Clock, telemetry: Telemetry, changed: asyncio.Event) -> None:
        self.key = key
        self.endpoints: EndpointSet = ()
        self.first = asyncio.Event()
        """Set once it told anything."""
        self.heard_at = clock.now()
        """Monotonic seconds; of its start before it was heard."""
        self.task: asyncio.Task[None] | None = None
        self._clock = clock
        self._telemetry = telemetry
        self._changed = changed
        self._failing = False

    def told(self, endpoints: EndpointSet) -> None:
        """As the protocol says."""
        self.heard_at = self._clock.now()
        if self.first.is_set() and endpoints == self.endpoints:
            return
        self.endpoints = endpoints
        self.first.set()
        self._changed.set()
        counts = {name: float(count) for name, count in self.counts().items()}
        self._telemetry.event("endpoints_changed", backend=self.key.backend, **counts)

    def heard(self) -> None:
        """As the protocol says."""
        self.heard_at = self._clock.now()
        if self._failing:
            self._failing = False
            self._telemetry.event("discovery_recovered", backend=self.key.backend)

    def failed(self, fault: ServiceError) -> None:
        """As the protocol says."""
        self._failing = True
        self._telemetry.event(
            "discovery_failed", backend=self.key.backend, reason=fault.reason.value, detail=fault.detail
        )

    def counts(self) -> Mapping[str, int]:
        """How many endpoints there are of each condition."""
        conditions = [endpoint.condition for endpoint in self.endpoints]
        return {condition.value: conditions.count(condition) for condition in Condition}


class Discovery:
    """The endpoints of all backends; belongs to the running event loop."""

    def __init__(self, make: MakeSource, clock: Clock, telemetry: Telemetry) -> None:
        self._make = make
        self._clock = clock
        self._telemetry = telemetry
        self._followed: dict[Key, Followed] = {}
        self._changed = asyncio.Event()

    async def prepare(self, config: schema.Config, wait_s: float = PATIENCE_S) -> None:
        """Follow what the configuration names, beside all that is followed already.

        Returns when each source has told its first set, or after `wait_s`: one that cannot be asked must not keep the
        others from serving.
        """
        wanted = [self._follow(key) for key in _keys(config)]
        with contextlib.suppress(ServiceError):
            async with within(self._clock, wait_s, "discovery"):
                for followed in wanted:
                    await followed.first.wait()

    def keep(self, config: schema.Config) -> None:
        """Stop following what the configuration does not name."""
        for key in self._followed.keys() - set(_keys(config)):
            followed = self._followed.pop(key)
            if followed.task is not None:
                followed.task.cancel()

    def endpoints(self, config: schema.Config) -> Mapping[str, EndpointSet]:
        """Backend -> its endpoints as they are known now, for each backend that is discovered."""
        return {
            key.backend: self._followed[key].endpoints if key in self._followed else ()
            for key in _keys(config)
        }

    async def changed(self) -> None:
        """Wait for a change since the last time that this returned."""
        await self._changed.wait()
        self._changed.clear()

    def followed(self, config: schema.Config) -> Iterator[Followed]:
        """What is followed for a configuration, for gauges."""
        return (self._followed[key] for key in _keys(config) if key in self._followed)

    async def close(self) -> None:
        """Stop following anything."""
        tasks = [followed.task for followed in self._followed.values() if followed.task is not None]
        self._followed.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _follow(self, key: Key) -> Followed:
        followed = self._followed.get(key)
        if followed is None:
            followed = self._followed[key] = Followed(key, self._clock, self._telemetry, self._changed)
            followed.task = asyncio.get_running_loop().create_task(self._run(followed))
        return followed

    async def _run(self, followed: Followed) -> None:
        """The root of a source's task: whatever goes wrong in it, the others and what it told stay as they are."""
        while True:
            try:
                return await self._make(followed.key).follow(followed)
            except Exception as error:  # noqa: BLE001 - a task's root.
                fault = ServiceError(Reason.INTERNAL, f"the source fell over: {type(error).__name__}")
                followed.failed(fault)
                await self._clock.sleep(_BROKEN_S)


def _keys(config: schema.Config) -> Iterator[Key]:
    for name, backend in config.backends.items():
        if (discovery := backend.discovery) is not None:
            kubernetes = config.kubernetes
            in_cluster = isinstance(discovery, schema.KubernetesDiscovery)
            yield Key(name, discovery, kubernetes if in_cluster else schema.Kubernetes())
