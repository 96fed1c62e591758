"""A fixed key in the query of the URL: for servers that look nowhere else, since URLs end up in logs."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

from pointsman_server.config.secrets import Secret
from pointsman_server.transport.contract import HTTPRequest
from pointsman_server.upstreams.credentials.contract import Credentials
from pointsman_server.upstreams.credentials.hiding import hide


class QueryKey(Credentials):
    """Puts a secret into a named parameter of the query."""

    def __init__(self, name: str, secret: Secret) -> None:
        self._name = name
        self._secret = secret

    async def authorize(self, request: HTTPRequest) -> HTTPRequest:
        """The request with the parameter behind those that it has."""
        mark = "&" if "?" in request.url else "?"
        return replace(
            request, url=f"{request.url}{mark}{self._name}={quote(self._secret.reveal(), safe='')}"
        )

    def hide(self, text: str) -> str:
        """As the protocol says; also in the form in which URLs hold it."""
        return hide(hide(text, self._secret), Secret(quote(self._secret.reveal(), safe="")))
