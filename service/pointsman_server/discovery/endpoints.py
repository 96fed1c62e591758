"""The endpoints of one backend as values, whatever source told them. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import replace

from pointsman_server.config.addresses import join_address
from pointsman_server.values import value

MAX_ENDPOINTS = 1000
"""Of one backend. A call ranks all of them, so a selector that catches too much must not stop the service."""


class Condition(enum.Enum):
    """Whether an endpoint takes calls; the best first."""

    READY = "ready"
    DRAINING = "draining"
    """About to end, but still serving: takes calls only while no other endpoint of its backend is ready."""
    UNREADY = "unready"
    """There, but takes no calls."""


_ORDER = {condition: position for position, condition in enumerate(Condition)}


@value(frozen=True, slots=True)
class Endpoint:
    """One server of a backend."""

    host: str
    """IP address, without brackets; or a host name."""
    port: int
    condition: Condition = Condition.READY
    uid: str = ""
    """Of the process behind it, where the source knows one: another one at the same address is another endpoint."""
    weight: int = 1
    """Share among the endpoints of its priority, at least 1."""
    priority: int = 0
    """A higher number is used only when no lower one can serve."""

    @property
    def address(self) -> str:
        """`host:port`, as 10.244.0.7:8000 or [fd00::7]:8000."""
        return join_address(self.host, self.port)


EndpointSet = tuple[Endpoint, ...]
"""All endpoints of a backend by address, each once; made by `endpoint_set`."""


def endpoint_set(found: Iterable[Endpoint]) -> EndpointSet:
    """In order, so that equal sets are equal, and bounded.

    Sources may tell an endpoint twice (an EndpointSlice on the move to another): the better condition holds.
    Priorities become 0, 1, ... in their order, for they mean something only within their set.
    """
    best: dict[str, Endpoint] = {}
    for endpoint in found:
        known = best.get(endpoint.address)
        if known is None or _rank(endpoint) < _rank(known):
            best[endpoint.address] = endpoint
    chosen = sorted(best.values(), key=_rank)[:MAX_ENDPOINTS]
    levels = {priority: level for level, priority in enumerate(sorted({one.priority for one in chosen}))}
    leveled = (replace(one, priority=levels[one.priority]) for one in chosen)
    return tuple(sorted(leveled, key=lambda endpoint: (endpoint.host, endpoint.port)))


def _rank(endpoint: Endpoint) -> tuple[int, int, str, int, str, int]:
    """What is kept when not all can be; every field decides, so that any order of telling gives the same set."""
    return (
        _ORDER[endpoint.condition], endpoint.priority, endpoint.host, endpoint.port, endpoint.uid, -endpoint.weight
    )  # fmt: skip


def takers(endpoints: EndpointSet) -> EndpointSet:
    """Those that new calls may go to: the ready ones, or the draining ones while none is ready.

    As kube-proxy does it (KEP-1669): a rolling restart that has no ready endpoint for a moment still serves.
    """
    for condition in (Condition.READY, Condition.DRAINING):
        if chosen := tuple(endpoint for endpoint in endpoints if endpoint.condition is condition):
            return chosen
    return ()
