"""How a request proves to a provider who pays: strategies chosen by configuration, never adapter code."""

from __future__ import annotations

from typing import Protocol

from pointsman_server.transport.contract import HTTPRequest


class Credentials(Protocol):
    """One way to authorize requests to one backend."""

    async def authorize(self, request: HTTPRequest) -> HTTPRequest:
        """The request with the proof added.

        Raises ServiceError UPSTREAM_CREDENTIALS_INVALID when there is none to be had.
        """

    def hide(self, text: str) -> str:
        """A provider's text without any secret of ours in it."""
