"""Credentials of backends, one strategy a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from pointsman_server.config import schema
from pointsman_server.config.secrets import Secret
from pointsman_server.upstreams.credentials.baidu import baidu
from pointsman_server.upstreams.credentials.contract import Credentials
from pointsman_server.upstreams.credentials.entra import entra
from pointsman_server.upstreams.credentials.header import HeaderKey, bearer
from pointsman_server.upstreams.credentials.oauth2 import oauth2
from pointsman_server.upstreams.credentials.query import QueryKey
from pointsman_server.upstreams.credentials.sigv4 import Keys, Scope, Signing, SigV4
from pointsman_server.upstreams.credentials.tokens import Means
from pointsman_server.upstreams.translation.profile import Profile

__all__ = ["Credentials", "build_credentials"]


_Fetched = schema.OAuth2 | schema.Entra | schema.BaiduKeys
_Kept = schema.Key | schema.Bearer | schema.HeaderKey | schema.QueryKey
_Resolve = Callable[[schema.SecretRef], Secret]


def build_credentials(
    config: schema.Credentials | None,
    secret: _Resolve,
    profile: Profile,
    means: Callable[[], Means],
    signing: Signing,
) -> Credentials | None:
    """The configured strategy; None for servers without keys. `means` is asked only for what must be fetched."""
    if config is None:
        return None
    if isinstance(config, _Fetched):
        return _fetched(config, secret, means())
    if isinstance(config, schema.SigV4):
        return _signer(config, secret, signing)
    return _kept(config, secret, profile)


def _kept(config: _Kept, secret: _Resolve, profile: Profile) -> Credentials:
    match config:
        case schema.Key() if profile.key_header != "authorization":
            return HeaderKey(profile.key_header, secret(config.secret))
        case schema.Key() | schema.Bearer():
            return bearer(secret(config.secret))
        case schema.HeaderKey():
            return HeaderKey(config.name, secret(config.secret))
        case schema.QueryKey():
            return QueryKey(config.name, secret(config.secret))
        case _:
            assert_never(config)


def _signer(config: schema.SigV4, secret: _Resolve, signing: Signing) -> Credentials:
    token = None if config.session_token is None else secret(config.session_token)
    keys = Keys(secret(config.access_key_id), secret(config.secret_access_key), token)
    return SigV4(keys, Scope(config.region, config.service), signing)


def _fetched(config: _Fetched, secret: _Resolve, means: Means) -> Credentials:
    match config:
        case schema.OAuth2():
            return oauth2(config, secret(config.client_secret), means)
        case schema.Entra():
            own = None if config.client_secret is None else secret(config.client_secret)
            return entra(config, own, means)
        case schema.BaiduKeys():
            return baidu(config, secret(config.api_key), secret(config.secret_key), means)
        case _:
            assert_never(config)
