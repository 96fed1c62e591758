"""OAuth 2.0 client credentials (RFC 6749, 4.4): a token for a client that speaks for itself."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from urllib.parse import quote_plus, urlencode

from pointsman_server.config import schema
from pointsman_server.config.secrets import Secret
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.contract import HTTPRequest
from pointsman_server.upstreams.credentials.tokens import FetchedCredentials, Means, Proof

_BEARER = "Bearer "


def _put(request: HTTPRequest, token: str) -> HTTPRequest:
    return replace(request, headers={**request.headers, "authorization": _BEARER + token})


def _taken(request: HTTPRequest) -> str:
    return request.headers.get("authorization", "").removeprefix(_BEARER)


def _refused(error: ServiceError) -> bool:
    return error.reason is Reason.UPSTREAM_CREDENTIALS_INVALID


BEARER_TOKEN = Proof(_put, _taken, _refused)
"""A token as RFC 6750 sends it."""


def token_request(url: str, fields: Mapping[str, str], headers: Mapping[str, str]) -> HTTPRequest:
    """A request to a token endpoint; fields go into the body, where no proxy logs them."""
    return HTTPRequest(
        method="POST",
        url=url,
        headers={
            "content-type": "application/x-www-form-urlencoded",
            "accept": "application/json",
            **headers,
        },
        body=urlencode(fields).encode(),
    )


def client_request(config: schema.OAuth2, secret: Secret) -> HTTPRequest:
    """The request of RFC 6749, 4.4.2, with the client's own proof where the configuration wants it (2.3.1)."""
    fields = {**config.parameters, "grant_type": "client_credentials"}
    if config.scope:
        fields["scope"] = config.scope
    if config.client_authentication == "body":
        fields |= {"client_id": config.client_id, "client_secret": secret.reveal()}
        return token_request(config.token_url, fields, {})
    pair = f"{quote_plus(config.client_id)}:{quote_plus(secret.reveal())}"
    basic = base64.b64encode(pair.encode()).decode()
    return token_request(config.token_url, fields, {"authorization": f"Basic {basic}"})


def oauth2(config: schema.OAuth2, secret: Secret, means: Means) -> FetchedCredentials:
    """The strategy."""
    make = partial(client_request, config, secret)
    return FetchedCredentials(make, BEARER_TOKEN, means, secrets=(secret,))
