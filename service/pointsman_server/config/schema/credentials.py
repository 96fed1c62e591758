"""What a backend is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from pointsman_server.config.schema.values import HeaderName, SecretRef, Section


class Key(Section):
    """A key, put where the provider looks for one: most want `Authorization: Bearer`, others a header of their own."""

    type: Literal["key"] = "key"
    """This kind; the one that is meant where none is written."""
    secret: SecretRef
    """The key."""


class Bearer(Section):
    """Authorization: Bearer ..."""

    type: Literal["bearer"] = "bearer"
    """This kind."""
    secret: SecretRef
    """The token."""


class HeaderKey(Section):
    """A key in a named header."""

    type: Literal["header"]
    """This kind."""
    name: HeaderName
    """The header, as x-api-key."""
    secret: SecretRef
    """Its value."""


class QueryKey(Section):
    """A key in the query of the URL. A header is the better place wherever the provider takes one: proxies write URLs
    into their logs.
    """

    type: Literal["query"]
    """This kind."""
    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    """The parameter, as key."""
    secret: SecretRef
    """Its value."""


class OAuth2(Section):
    """A bearer token from an OAuth 2.0 token endpoint, by client credentials (RFC 6749, 4.4); fetched when it is first
    needed, again ahead of its expiry, and once more when the backend refuses it. The endpoint is reached as the backend
    is: through its proxy_url, with its ca_file.
    """

    type: Literal["oauth2"]
    """This kind."""
    token_url: str = Field(pattern=r"^https?://[^\s@#]+$", max_length=2048)
    """The token endpoint."""
    client_id: str = Field(min_length=1, max_length=256)
    """The client."""
    client_secret: SecretRef
    """Its secret."""
    scope: str = Field(default="", max_length=1024)
    """What the token is for, separated by blanks; the endpoint's default without it."""
    client_authentication: Literal["basic", "body"] = "basic"
    """Where the client's id and secret go: into the header Authorization, or into the form."""
    parameters: dict[str, str] = Field(default_factory=dict, max_length=16)
    """Further fields of the form, as audience or resource; no secrets."""


class Entra(Section):
    """A bearer token of Microsoft Entra, for an application: by its secret, or by the token of the workload that runs
    here. Fetched and renewed as under oauth2.
    """

    type: Literal["entra"]
    """This kind."""
    tenant: str = Field(pattern=r"^[A-Za-z0-9.-]{1,128}$")
    """Id or domain of the directory."""
    client_id: str = Field(min_length=1, max_length=128)
    """Id of the application."""
    client_secret: SecretRef | None = None
    """The application's secret."""
    workload_token_file: str = Field(default="", max_length=4096)
    """In its place: a file with the workload's own token, as AZURE_FEDERATED_TOKEN_FILE names it; always read anew."""
    scope: str = Field(default="https://cognitiveservices.azure.com/.default", min_length=1, max_length=1024)
    """What the token is for."""
    authority: str = Field(default="https://login.microsoftonline.com", pattern=r"^https?://[^\s@?#]+$")
    """Where tokens come from; another one in sovereign clouds."""

    @model_validator(mode="after")
    def _check_one(self) -> Entra:
        if (self.client_secret is None) == (not self.workload_token_file):
            raise ValueError("name exactly one of client_secret and workload_token_file")
        return self


class BaiduKeys(Section):
    """An API key and a secret key of Baidu, exchanged for an access token; fetched and renewed as under oauth2."""

    type: Literal["baidu"]
    """This kind."""
    api_key: SecretRef
    """The API key (AK)."""
    secret_key: SecretRef
    """The secret key (SK)."""
    token_url: str = Field(
        default="https://aip.baidubce.com/oauth/2.0/token", pattern=r"^https?://[^\s@?#]+$", max_length=2048
    )
    """Where they are exchanged."""


class SigV4(Section):
    """Requests signed with AWS Signature Version 4."""

    type: Literal["sigv4"]
    """This kind."""
    access_key_id: SecretRef
    """Who signs."""
    secret_access_key: SecretRef
    """What it is proved with."""
    session_token: SecretRef | None = None
    """For keys that are lent for a time; with the keys it is read again on reload."""
    region: str = Field(pattern=r"^[a-z0-9-]{1,32}$")
    """The region that serves, as us-east-1."""
    service: str = Field(default="bedrock", pattern=r"^[a-z0-9-]{1,64}$")
    """The service's name in signatures."""


def _kind(written: object) -> str | None:
    """The kind of credentials that a section is of; None for what is no section."""
    kind = written.get("type", "key") if isinstance(written, Mapping) else getattr(written, "type", None)
    return kind if kind is None or isinstance(kind, str) else "another"


Credentials = Annotated[
    Annotated[Key, Tag("key")]
    | Annotated[Bearer, Tag("bearer")]
    | Annotated[HeaderKey, Tag("header")]
    | Annotated[QueryKey, Tag("query")]
    | Annotated[OAuth2, Tag("oauth2")]
    | Annotated[Entra, Tag("entra")]
    | Annotated[BaiduKeys, Tag("baidu")]
    | Annotated[SigV4, Tag("sigv4")],
    Discriminator(_kind),
]
