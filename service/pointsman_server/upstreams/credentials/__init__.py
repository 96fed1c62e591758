"""Credentials of backends, one strategy a file."""

from __future__ import annotations

from collections.abc import Callable

from pointsman_server.config import schema
from pointsman_server.config.secrets import Secret
from pointsman_server.upstreams.credentials.contract import Credentials
from pointsman_server.upstreams.credentials.header import HeaderKey, bearer
from pointsman_server.upstreams.credentials.query import QueryKey
from pointsman_server.upstreams.translation.profile import Profile

__all__ = ["Credentials", "build_credentials"]


def build_credentials(
    config: schema.Credentials | None, secret: Callable[[schema.SecretRef], Secret], profile: Profile
) -> Credentials | None:
    """The configured strategy; None for servers without keys."""
    match config:
        case None:
            return None
        case schema.Key() if profile.key_header == "authorization":
            return bearer(secret(config.secret))
        case schema.Key():
            return HeaderKey(profile.key_header, secret(config.secret))
        case schema.Bearer():
            return bearer(secret(config.secret))
        case schema.HeaderKey():
            return HeaderKey(config.name, secret(config.secret))
        case schema.QueryKey():
            return QueryKey(config.name, secret(config.secret))
