"""Baidu's older scheme: an API key and a secret key are exchanged for a token, which goes into the query.

Source: https://cloud.baidu.com/doc/WENXINWORKSHOP/s/Ilkkrb0i5
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from urllib.parse import parse_qs, urlencode, urlsplit

from pointsman_server.config import schema
from pointsman_server.config.secrets import Secret
from pointsman_server.errors import ServiceError
from pointsman_server.transport.contract import HTTPRequest
from pointsman_server.upstreams.credentials.tokens import FetchedCredentials, Means, Proof

_NAME = "access_token"
_EXPIRED = frozenset({"110", "111"})
"""Codes for a token that is invalid, or no longer valid."""


def _put(request: HTTPRequest, token: str) -> HTTPRequest:
    mark = "&" if "?" in request.url else "?"
    return replace(request, url=f"{request.url}{mark}{urlencode({_NAME: token})}")


def _taken(request: HTTPRequest) -> str:
    return parse_qs(urlsplit(request.url).query).get(_NAME, [""])[-1]


def _refused(error: ServiceError) -> bool:
    return error.upstream is not None and error.upstream.code in _EXPIRED


QUERY_TOKEN = Proof(_put, _taken, _refused)


def exchange_request(url: str, api_key: Secret, secret_key: Secret) -> HTTPRequest:
    """The exchange. The endpoint takes its parameters in the query alone."""
    query = urlencode(
        {
            "grant_type": "client_credentials",
            "client_id": api_key.reveal(),
            "client_secret": secret_key.reveal(),
        }
    )
    return HTTPRequest("POST", f"{url}?{query}", {"content-type": "application/json"}, b"{}")


def baidu(config: schema.BaiduKeys, api_key: Secret, secret_key: Secret, means: Means) -> FetchedCredentials:
    """The strategy."""
    make = partial(exchange_request, config.token_url, api_key, secret_key)
    return FetchedCredentials(make, QUERY_TOKEN, means, secrets=(api_key, secret_key))
