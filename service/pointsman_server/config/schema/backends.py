"""Places that run models."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pointsman_server.config.schema.credentials import Credentials
from pointsman_server.config.schema.discovery import Discovery
from pointsman_server.config.schema.providers import DashScope, Grpc, OpenInference, Simulator
from pointsman_server.config.schema.values import HeaderName, HeaderValue, PositiveSeconds, Section


class Timeouts(Section):
    """Bounds on one attempt at a backend."""

    connect_s: PositiveSeconds = 2
    """For a new connection, TLS included."""
    first_content_s: PositiveSeconds = 30
    """From the request to the first content of a stream; headers, roles and comments are not content."""
    idle_s: PositiveSeconds = 20
    """Between two events of a stream."""
    total_s: PositiveSeconds = 600
    """For the whole attempt; the call's own deadline may be earlier."""


class Embedding(Section):
    """How inputs of an Embed are sent to a backend."""

    max_inputs: int | None = Field(default=None, ge=1, le=10_000)
    """The most inputs of one request, where the server takes fewer or more than its provider usually does. An Embed
    with more is sent in several requests."""
    requests_at_once: int = Field(default=4, ge=1, le=64)
    """Requests of one Embed under way at once; together they take one place of max_concurrency."""


class Backend(Section):
    """A place that runs models."""

    provider: str = Field(min_length=1, max_length=64)
    """Who or what serves there, as openai or vllm: a name from docs/providers.md."""
    url: str = Field(default="", pattern=r"^(https?://[^\s@?#]+)?$")
    """Base URL, as https://api.openai.com/v1; the profile's own default without it. With discovery it must be written:
    scheme, path, and the host that requests and TLS name, while each endpoint has an address of its own."""
    discovery: Discovery | None = None
    """Where the endpoints of this backend are found; without it the backend is one place, the one at its URL."""
    api_version: str = Field(default="", max_length=64, pattern=r"^[A-Za-z0-9._-]*$")
    """Version of the provider's API, where it has several (anthropic: 2026-10-21 or 2023-06-01); the provider's default
    without it."""
    default_max_output_tokens: int | None = Field(default=None, ge=1, le=100_000_000)
    """Sent for calls that name no max_output_tokens and models without a default, where the provider demands a number
    (anthropic); without it the model's output_token_limit, and 4096 where that is unknown."""
    credentials: Credentials | None = None
    """None for servers without keys."""
    more_credentials: tuple[Credentials, ...] = Field(default=(), max_length=64, strict=False)
    """Further ones of any kind, used in turn with the first. One that is refused (401, 402, 403, 429) rests for as long
    as the provider asks, else for a minute, after a rate limit for 1 to 30 s; the call goes on with the next."""
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict, max_length=16)
    """Further headers of every request, as OpenAI-Organization or X-DashScope-WorkSpace; they stand above those of
    callers. No secrets: those are credentials."""
    timeouts: Timeouts = Timeouts()
    """Bounds on one attempt."""
    max_concurrency: int = Field(default=1024, ge=1, le=1_000_000)
    """Attempts at once, at each endpoint; more wait a little, or go elsewhere. Divided among workers."""
    proxy_url: str = Field(default="", pattern=r"^(http://[^\s@?#]+)?$")
    """HTTP proxy for egress."""
    ca_file: str = ""
    """PEM file of authorities, in place of the system's."""
    propagate_trace: bool = False
    """Whether it is ours: trace context is sent along."""
    unary_upstream: Literal["unary", "stream"] | None = None
    """How a Generate asks it; the profile's choice without it."""
    max_event_bytes: int = Field(default=4 * 1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    """Of one event of its streams."""
    max_body_bytes: int = Field(default=64 * 1024 * 1024, ge=1024, le=1024 * 1024 * 1024)
    """Of one answer, decompressed."""
    drop_params: tuple[str, ...] = Field(default=(), max_length=64, strict=False)
    """Contract fields (as generation.seed) that this server does not take, beyond what its profile says; callers are
    warned."""
    dashscope: DashScope = DashScope()
    """Only for the provider dashscope."""
    embedding: Embedding = Embedding()
    """How inputs of an Embed are sent."""
    simulator: Simulator = Simulator()
    """Only for the provider simulator."""
    open_inference: OpenInference = OpenInference()
    """Only for triton, triton_grpc, kserve and kserve_grpc."""
    grpc: Grpc = Grpc()
    """Only for providers that are reached over gRPC."""
