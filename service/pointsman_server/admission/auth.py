"""Who calls: API keys, client certificates, or nobody asked. Credentials enter, a Principal leaves; one text refuses.

Keys are looked up by their public id and compared by the SHA-256 of their secret. A slow password hash would add
nothing: the secret is 256 random bits, so there is no dictionary to try, and the check is on every call's path.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets as random_secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, Protocol

from pointsman_server.config.schema import ApiKey, Auth, AuthMode
from pointsman_server.config.secrets import Secrets
from pointsman_server.context import AuthMethod, Principal
from pointsman_server.errors import Reason, ServiceError

ANONYMOUS = Principal("anonymous", AuthMethod.NONE)
"""Everybody, where nobody is asked."""

_KEY = re.compile(r"([A-Za-z0-9_-]{1,64})\.([A-Za-z0-9_-]{16,256})\Z", re.ASCII)
_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +(\S+)\Z", re.ASCII)
_MAX_HEADER = 512
_NOBODY = b"\0" * 32
"""No secret has this digest; an unknown id is compared with it, so that it takes as long as a known one."""


class Authenticator(Protocol):
    """Who calls."""

    def authenticate(self, metadata: Mapping[str, str], peer_identities: Sequence[str]) -> Principal:
        """The principal, from metadata (lower-case keys; values of a repeated key joined by commas, which no
        credential survives) or from the names of the verified client certificate.

        Raises ServiceError UNAUTHENTICATED with one text for every cause.
        """


def build_authenticator(auth: Auth, secrets: Secrets) -> Authenticator:
    """The authenticator that the configuration asks for."""
    match auth.effective_mode:
        case AuthMode.API_KEY:
            return _ApiKeys(auth, secrets)
        case AuthMode.MTLS:
            return _Certificates(auth)
        case AuthMode.NONE:
            return _Nobody()


def _refuse() -> NoReturn:
    raise ServiceError(Reason.UNAUTHENTICATED, "no valid credential was presented") from None


class _Nobody:
    def authenticate(self, metadata: Mapping[str, str], peer_identities: Sequence[str]) -> Principal:
        return ANONYMOUS


class _ApiKeys:
    def __init__(self, auth: Auth, secrets: Secrets) -> None:
        self._keys: dict[str, tuple[bytes, Principal]] = {}
        for entry in auth.principals:
            principal = Principal(entry.name, AuthMethod.API_KEY, _models(entry.models))
            for key in entry.api_keys:
                self._keys[key.id] = (_digest_of(key, secrets), principal)

    def authenticate(self, metadata: Mapping[str, str], peer_identities: Sequence[str]) -> Principal:
        match = _KEY.match(_presented(metadata))
        if match is None:
            _refuse()
        digest, principal = self._keys.get(match[1], (_NOBODY, None))
        same = hmac.compare_digest(hashlib.sha256(match[2].encode()).digest(), digest)
        if principal is None or not same:
            _refuse()
        return principal


def _presented(metadata: Mapping[str, str]) -> str:
    """The one key that was sent; both headers at once are ambiguous, so none counts."""
    authorization, plain = metadata.get("authorization"), metadata.get("x-api-key")
    if (authorization is None) == (plain is None):
        return ""
    if plain is not None:
        return plain[: _MAX_HEADER + 1]
    bearer = _BEARER.match((authorization or "")[: _MAX_HEADER + 1])
    return bearer[1] if bearer else ""


def _digest_of(key: ApiKey, secrets: Secrets) -> bytes:
    text = key.hash if key.hash is not None else secrets.get(key.hash_from).reveal() if key.hash_from else ""
    return bytes.fromhex(text.removeprefix("sha256:"))


def _models(names: tuple[str, ...] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)


class _Certificates:
    def __init__(self, auth: Auth) -> None:
        self._principals = {
            identity: Principal(entry.name, AuthMethod.MTLS, _models(entry.models))
            for entry in auth.principals
            for identity in entry.mtls_identities
        }

    def authenticate(self, metadata: Mapping[str, str], peer_identities: Sequence[str]) -> Principal:
        found = {self._principals[name] for name in peer_identities if name in self._principals}
        if len(found) != 1:
            _refuse()
        return found.pop()


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made; it is shown once and kept nowhere."""

    key: str
    """What the caller sends."""
    snippet: str
    """What goes into the configuration, under a principal's api_keys."""

    def __repr__(self) -> str:
        return "NewKey(***)"


def new_key() -> NewKey:
    """A key with 256 random bits and the configuration that knows it."""
    identifier, secret = f"k{random_secrets.token_hex(6)}", random_secrets.token_urlsafe(32)
    digest = hashlib.sha256(secret.encode()).hexdigest()
    return NewKey(f"{identifier}.{secret}", f"- id: {identifier}\n  hash: sha256:{digest}\n")
