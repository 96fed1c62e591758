"""A fixed key in a header; `authorization: Bearer` is one of these."""

from __future__ import annotations

from dataclasses import replace

from pointsman_server.config.secrets import Secret
from pointsman_server.transport.contract import HTTPRequest
from pointsman_server.upstreams.credentials.contract import Credentials
from pointsman_server.upstreams.credentials.hiding import hide


class HeaderKey(Credentials):
    """Puts a secret into a named header, behind a prefix."""

    def __init__(self, name: str, secret: Secret, *, prefix: str = "") -> None:
        self._name = name.lower()
        self._secret = secret
        self._prefix = prefix

    async def authorize(self, request: HTTPRequest) -> HTTPRequest:
        """The request with the header; one of the same name is replaced."""
        return replace(request, headers={**request.headers, self._name: self._prefix + self._secret.reveal()})

    def hide(self, text: str) -> str:
        """As the protocol says."""
        return hide(text, self._secret)


def bearer(secret: Secret) -> HeaderKey:
    """A bearer token (RFC 6750)."""
    return HeaderKey("authorization", secret, prefix="Bearer ")
