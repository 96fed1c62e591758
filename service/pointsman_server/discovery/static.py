"""A fixed list as a source of endpoints."""

from __future__ import annotations

from pointsman_server.config.addresses import split_address
from pointsman_server.config.schema import StaticDiscovery
from pointsman_server.discovery.contract import Listener
from pointsman_server.discovery.endpoints import Endpoint, endpoint_set


class StaticSource:
    """Tells what is written in the configuration, once."""

    def __init__(self, config: StaticDiscovery) -> None:
        self._endpoints = endpoint_set(Endpoint(*split_address(text)) for text in config.endpoints)

    async def follow(self, listener: Listener) -> None:
        """As the protocol says; the list never changes."""
        listener.told(self._endpoints)
