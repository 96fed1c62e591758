"""AWS Signature Version 4: every request is signed with a key that is made of the secret, the day, region and service.

Source: "Create a signed AWS API request", IAM user guide. Two of its rules are easily missed: the path is encoded once
more in what is signed, though it is encoded already where it is sent (%3A becomes %253A), and of the headers only those
are signed that no proxy has a reason to change.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlsplit

from pointsman_server.clock import Clock
from pointsman_server.config.secrets import Secret
from pointsman_server.transport.contract import HTTPRequest
from pointsman_server.upstreams.credentials.contract import Credentials
from pointsman_server.upstreams.credentials.hiding import hide

_ALGORITHM = "AWS4-HMAC-SHA256"
_TERMINATOR = "aws4_request"
_PORTS = {"https": 443, "http": 80}
_SIGNED = frozenset({"content-type", "host"})
"""Beside every header that begins with x-amz-."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Who signs."""

    access_key_id: Secret
    secret_access_key: Secret
    session_token: Secret | None = None
    """With keys that are lent for a time."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a signature is good for, beside its day."""

    region: str
    service: str


@dataclass(frozen=True, slots=True)
class Signing:
    """What signing needs of the backend."""

    clock: Clock
    authority: str = ""
    """What requests name as their host, where that is not the URL's."""


class SigV4(Credentials):
    """Signs requests with the clock's time."""

    def __init__(self, keys: Keys, scope: Scope, signing: Signing) -> None:
        self._keys = keys
        self._scope = scope
        self._signing = signing

    async def authorize(self, request: HTTPRequest) -> HTTPRequest:
        """The request, signed; headers of the signature's names are replaced."""
        signing = self._signing
        host = signing.authority or _host(request.url)
        return sign(request, self._keys, self._scope, host=host, when=signing.clock.wall())

    def hide(self, text: str) -> str:
        """As the protocol says; the id of a key is no secret, but is nobody's business either."""
        keys = self._keys
        for secret in (keys.secret_access_key, keys.session_token, keys.access_key_id):
            if secret is not None:
                text = hide(text, secret)
        return text


def sign(request: HTTPRequest, keys: Keys, scope: Scope, *, host: str, when: float) -> HTTPRequest:
    """The request with host, date, session token and signature; `when` is in seconds since the epoch."""
    moment = datetime.fromtimestamp(when, UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {**request.headers, "host": host, "x-amz-date": moment}
    if keys.session_token is not None:
        headers["x-amz-security-token"] = keys.session_token.reveal()
    signed = {
        name: " ".join(value.split())
        for name, value in sorted(headers.items())
        if name in _SIGNED or name.startswith("x-amz-")
    }
    place = f"{moment[:8]}/{scope.region}/{scope.service}/{_TERMINATOR}"
    digest = hashlib.sha256(_canonical(request, signed).encode()).hexdigest()
    key = _signing_key(keys.secret_access_key.reveal(), moment[:8], scope)
    signature = _hmac(key, f"{_ALGORITHM}\n{moment}\n{place}\n{digest}").hex()
    headers["authorization"] = (
        f"{_ALGORITHM} Credential={keys.access_key_id.reveal()}/{place}, SignedHeaders={';'.join(signed)},"
        f" Signature={signature}"
    )
    return replace(request, headers=headers)


def _canonical(request: HTTPRequest, signed: Mapping[str, str]) -> str:
    """The request in the form that both sides compute."""
    url = urlsplit(request.url)
    pairs = parse_qsl(url.query, keep_blank_values=True)
    query = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in pairs)
    return "\n".join(
        (
            request.method,
            quote(url.path or "/", safe="/~"),
            "&".join(f"{name}={value}" for name, value in query),
            *(f"{name}:{value}" for name, value in signed.items()),
            "",
            ";".join(signed),
            hashlib.sha256(request.body).hexdigest(),
        )
    )


def _signing_key(secret: str, day: str, scope: Scope) -> bytes:
    key = f"AWS4{secret}".encode()
    for step in (day, scope.region, scope.service, _TERMINATOR):
        key = _hmac(key, step)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), hashlib.sha256)


def _host(url: str) -> str:
    """As the transport would write it: a port only where it is not the scheme's own."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host if parts.port in (None, _PORTS.get(parts.scheme)) else f"{host}:{parts.port}"
