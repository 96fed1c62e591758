"""Gauges that are asked at each scrape: the fleet, what discovery found, and the configuration in force.

Labels name backends as they are configured, however many endpoints discovery finds for one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from pointsman_server.catalog import RuntimeCatalog
from pointsman_server.clock import Clock
from pointsman_server.config.schema import StaticDiscovery
from pointsman_server.discovery.discovery import Discovery, Followed
from pointsman_server.reload import InForce
from pointsman_server.routing.view import BackendState
from pointsman_server.telemetry import instruments
from pointsman_server.telemetry.otel import OtelTelemetry

_Cells = list[tuple[tuple[str, ...], float]]


def read_gauges(
    telemetry: OtelTelemetry,
    catalog: RuntimeCatalog,
    discovery: Discovery,
    current: Callable[[], InForce],
    clock: Clock,
) -> None:
    """Have them asked of these."""

    def followed() -> Iterator[Followed]:
        return discovery.followed(current().loaded.config)

    telemetry.read(instruments.BACKEND_STATE, lambda: _states(catalog))
    telemetry.read(instruments.BACKEND_TOKENS, lambda: _tokens(catalog))
    telemetry.read(instruments.DISCOVERY_ENDPOINTS, lambda: _endpoints(followed()))
    telemetry.read(instruments.DISCOVERY_AGE, lambda: _ages(followed(), clock.now()))
    telemetry.read(instruments.CONFIG_INFO, lambda: [((current().loaded.hash,), 1.0)])


def _states(catalog: RuntimeCatalog) -> _Cells:
    counts = Counter[tuple[str, ...]]()
    for info in catalog.places():
        for state in BackendState:
            counts[info.backend, state.name] += info.state is state
    return [(labels, float(count)) for labels, count in counts.items()]


def _tokens(catalog: RuntimeCatalog) -> _Cells:
    counts = Counter[tuple[str, ...]]()
    for info in catalog.places():
        counts[info.backend,] += info.in_flight_tokens
    return [(labels, float(count)) for labels, count in counts.items()]


def _endpoints(followed: Iterator[Followed]) -> _Cells:
    return [
        ((one.key.backend, condition), float(count))
        for one in followed
        for condition, count in one.counts().items()
    ]


def _ages(followed: Iterator[Followed], now: float) -> _Cells:
    return [
        ((one.key.backend,), now - one.heard_at)
        for one in followed
        if not isinstance(one.key.discovery, StaticDiscovery)
    ]
