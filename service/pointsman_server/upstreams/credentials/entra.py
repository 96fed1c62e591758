"""Microsoft Entra: client credentials of an application, by its secret or by a token of the workload it runs as.

Source: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
"""

from __future__ import annotations

from functools import partial

from pointsman_server.config import schema
from pointsman_server.config.secrets import Secret, SecretMissing, read
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.contract import HTTPRequest
from pointsman_server.upstreams.credentials.oauth2 import BEARER_TOKEN, token_request
from pointsman_server.upstreams.credentials.tokens import FetchedCredentials, Means

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def entra_request(config: schema.Entra, secret: Secret | None) -> HTTPRequest:
    """The request for a token. Raises ServiceError UPSTREAM_CREDENTIALS_INVALID where the workload's is not there."""
    fields = {
        "grant_type": "client_credentials",
        "client_id": config.client_id,
        "scope": config.scope,
    }
    if secret is not None:
        fields["client_secret"] = secret.reveal()
    else:
        fields |= {"client_assertion_type": _ASSERTION_TYPE, "client_assertion": _workload_token(config)}
    url = f"{config.authority.rstrip('/')}/{config.tenant}/oauth2/v2.0/token"
    return token_request(url, fields, {})


def _workload_token(config: schema.Entra) -> str:
    """Read anew each time: whoever mounts it renews it."""
    try:
        return read(schema.SecretRef(file=config.workload_token_file), {}).reveal()
    except SecretMissing:
        fault = ServiceError(Reason.UPSTREAM_CREDENTIALS_INVALID, "the workload's own token cannot be read")
    raise fault


def entra(config: schema.Entra, secret: Secret | None, means: Means) -> FetchedCredentials:
    """The strategy; without a secret it is the workload's token that proves."""
    make = partial(entra_request, config, secret)
    return FetchedCredentials(make, BEARER_TOKEN, means, secrets=() if secret is None else (secret,))
