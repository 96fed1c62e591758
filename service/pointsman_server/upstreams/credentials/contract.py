"""How a request proves to a provider who pays: strategies chosen by configuration, never adapter code."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from pointsman_server.errors import ServiceError
from pointsman_server.transport.contract import HTTPRequest


class Credentials(Protocol):
    """One way to authorize requests to one backend. A key that stays inherits all but the first two methods."""

    @property
    def chances(self) -> int:
        """How often one attempt may `renew`."""
        return 1

    async def authorize(self, request: HTTPRequest) -> HTTPRequest:
        """The request with the proof added.

        Raises ServiceError UPSTREAM_CREDENTIALS_INVALID when there is none to be had, and what a backend's own faults
        are where it must be fetched and cannot be now.
        """

    def hide(self, text: str) -> str:
        """A provider's text without any secret of ours in it."""

    def renew(self, used: HTTPRequest, error: ServiceError) -> bool:
        """Whether the provider refused only the proof that `used` carries, and the next `authorize` gives another.

        The request is then sent once more, where nothing was told of an answer yet.
        """
        return False

    async def close(self) -> None:
        """End what runs for it; nothing is authorized any more."""
        return


def scrubbed(error: ServiceError, credentials: Credentials | None) -> ServiceError:
    """The error without any secret of ours: some servers quote the key that they refuse."""
    said = error.upstream
    if credentials is None or said is None:
        return error
    hide = credentials.hide
    error.detail = hide(error.detail)
    error.upstream = replace(said, message=hide(said.message), code=hide(said.code), type=hide(said.type))
    return error
