"""The seam between sources of endpoints and who collects them."""

from __future__ import annotations

from typing import Protocol

from pointsman_server.discovery.endpoints import EndpointSet
from pointsman_server.errors import ServiceError


class Listener(Protocol):
    """Takes what a source tells. Every method is cheap and never raises."""

    def told(self, endpoints: EndpointSet) -> None:
        """The whole set as it is now; may be equal to the last one."""

    def heard(self) -> None:
        """The source was heard: what it told last still holds."""

    def failed(self, fault: ServiceError) -> None:
        """It could not be asked, or the thread was lost. What it told last stays in use."""


class Source(Protocol):
    """Where the endpoints of one backend are told."""

    async def follow(self, listener: Listener) -> None:
        """Tell the set, and each change of it, for ever; returns only where it can never change.

        MUST keep to itself what it cannot answer: a fault is told to the listener and tried again, never taken for an
        empty set.
        """
