"""Who may call."""

from __future__ import annotations

import enum

from pydantic import Field, model_validator

from pointsman_server.config.schema.values import Name, SecretRef, Section


class AuthMode(enum.StrEnum):
    """How callers prove who they are."""

    NONE = "none"
    API_KEY = "api_key"
    MTLS = "mtls"


class ApiKey(Section):
    """One key of a principal. Keys look like `id.secret`; only a hash of the secret is kept."""

    id: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")
    """The part before the dot; unique over all principals."""
    hash: str | None = Field(default=None, pattern=r"^sha256:[0-9a-f]{64}$")
    """`sha256:` and the hex digest of the secret after the dot, as `pointsman-server new-key` prints it."""
    hash_from: SecretRef | None = None
    """The same text, by reference."""

    @model_validator(mode="after")
    def _check_one(self) -> ApiKey:
        if (self.hash is None) == (self.hash_from is None):
            raise ValueError("name exactly one of hash and hash_from")
        return self


class Principal(Section):
    """A caller."""

    name: Name
    """How logs and metrics call it."""
    api_keys: tuple[ApiKey, ...] = Field(default=(), max_length=16, strict=False)
    """Several, so that they can be rotated."""
    mtls_identities: tuple[str, ...] = Field(default=(), max_length=64, strict=False)
    """Subject alternative names (DNS or URI, as spiffe://...) or the common name of its certificate; exact match."""
    models: tuple[Name, ...] | None = Field(default=None, strict=False)
    """The models it may use, by their own names; all without it."""


class Auth(Section):
    """Who may call."""

    mode: AuthMode | None = Field(default=None, strict=False)
    """Left out it is none on loopback; on any other address it must be written down."""
    principals: tuple[Principal, ...] = Field(default=(), max_length=10_000, strict=False)
    """The callers that api_key and mtls know."""

    @property
    def effective_mode(self) -> AuthMode:
        """The mode in force."""
        return self.mode or AuthMode.NONE
