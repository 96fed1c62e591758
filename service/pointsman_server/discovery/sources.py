"""Discovery section -> source. The one place that knows every kind."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from random import Random

from pointsman_server.clock import Clock
from pointsman_server.config.schema import DnsDiscovery, KubernetesDiscovery, StaticDiscovery
from pointsman_server.discovery.cluster import ClusterAccess, ClusterApi
from pointsman_server.discovery.contract import Source
from pointsman_server.discovery.discovery import Key
from pointsman_server.discovery.kubernetes import KubernetesSource
from pointsman_server.discovery.static import StaticSource
from pointsman_server.transport.aiohttp_transport import AiohttpTransport


def make_source(key: Key, *, environment: Mapping[str, str], clock: Clock, rng: Random) -> Source:
    """A source that asks nobody yet. `environment` says where the API server is, as in every pod."""
    match key.discovery:
        case StaticDiscovery():
            return StaticSource(key.discovery)
        case DnsDiscovery():
            # Its library takes 40 ms and 7 MB, which only those pay who need it.
            from pointsman_server.discovery.dns import DnsSource, Resolver

            return DnsSource(key.discovery, Resolver(key.discovery), clock, rng)
        case KubernetesDiscovery():
            access = ClusterAccess.of(key.kubernetes, environment)
            api = ClusterApi(access, partial(AiohttpTransport, clock=clock), clock)
            return KubernetesSource(key.discovery, api, clock, rng)
