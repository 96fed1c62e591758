"""Credentials of backends, one strategy a file."""

from __future__ import annotations

from collections.abc import Callable

from pointsman_server.config import schema
from pointsman_server.config.secrets import Secret
from pointsman_server.upstreams.credentials.contract import Credentials
from pointsman_server.upstreams.credentials.header import HeaderKey, bearer

__all__ = ["Credentials", "build_credentials"]


def build_credentials(
    config: schema.Credentials | None, secret: Callable[[schema.SecretRef], Secret]
) -> Credentials | None:
    """The configured strategy; None for servers without keys."""
    match config:
        case None:
            return None
        case schema.Bearer():
            return bearer(secret(config.secret))
        case schema.HeaderKey():
            return HeaderKey(config.name, secret(config.secret))
