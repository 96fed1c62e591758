"""The ports: of callers, of operators, of probes and scrapers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pointsman_server.config.schema.values import Listen, PositiveSeconds, Seconds, Section


class TlsServer(Section):
    """Certificates of the public server, PEM files; read again when they change."""

    certificate_file: str = Field(min_length=1)
    """Chain, leaf first."""
    key_file: str = Field(min_length=1)
    """Private key of the leaf."""
    client_ca_file: str | None = None
    """Authorities for client certificates; setting it demands one from every client (mTLS)."""


class Http2(Section):
    """Limits of the gRPC transport."""

    max_concurrent_streams: int = Field(default=1024, ge=1, le=1_000_000)
    """Calls at once on one connection. Near the limit clients see UNAVAILABLE, so set at least twice the real need;
    256 where the port is exposed."""
    max_connections: int = Field(default=1000, ge=1, le=1_000_000)
    """Connections at once. Divided among workers, with some room for an uneven spread."""
    max_connection_idle_s: PositiveSeconds = 300
    """A connection without calls is closed after this."""
    max_connection_age_s: PositiveSeconds = 300
    """A connection is asked to go after this, so that clients spread again; its calls finish."""
    max_connection_age_grace_s: PositiveSeconds = 630
    """How long calls may go on after that; must not be below deadlines.maximum_s."""
    keepalive_s: PositiveSeconds = 60
    """A silent connection is pinged after this."""
    ping_timeout_s: PositiveSeconds = 20
    """A ping unanswered for this long ends the connection."""
    min_ping_interval_s: PositiveSeconds = 10
    """Clients that ping more often without calls are told to go."""
    handshake_timeout_s: PositiveSeconds = 10
    """For TLS and HTTP/2 settings on a new connection."""


class Drain(Section):
    """What happens between SIGTERM and exit."""

    delay_s: Seconds = 5
    """Health says NOT_SERVING, calls are still taken: time for balancers to look away."""
    grace_s: Seconds = 600
    """Calls in flight may finish; what is left then ends with SHUTTING_DOWN."""
    flush_s: Seconds = 5
    """For telemetry, at the very end."""


class Server(Section):
    """The public gRPC server."""

    listen: Listen = "127.0.0.1:50051"
    """Address of InferenceService, ModelService, health and reflection."""
    tls: TlsServer | None = None
    """Plain text without it."""
    http2: Http2 = Http2()
    """Limits of the transport."""
    drain: Drain = Drain()
    """Shutting down."""
    reflection: bool = True
    """Whether grpcurl and ghz can ask for the schema."""
    max_request_bytes: int = Field(default=10 * 1024 * 1024, ge=1024, le=20 * 1024 * 1024)
    """A larger request is REQUEST_TOO_LARGE. The transport itself refuses above 20 MiB."""
    max_calls: int = Field(default=4096, ge=1, le=1_000_000)
    """Calls at once in all; one more is ROUTER_OVERLOADED. Health and reflection are not counted. Divided among
    workers."""
    max_batch_items: int = Field(default=1000, ge=1, le=100_000)
    """Items of one BatchGenerate at most."""
    max_batch_concurrency: int = Field(default=32, ge=1, le=100_000)
    """Items of one BatchGenerate that run at once at most; each counts as a call under max_calls."""
    max_coalesce_s: Annotated[float, Field(ge=0, le=1)] = 0.25
    """The longest window in which a loaded server merges deltas of a stream when the caller leaves it open;
    0 turns that off."""


class Admin(Section):
    """The admin gRPC server: RouterAdminService and channelz. It has no authentication of its own."""

    listen: Listen = "127.0.0.1:50052"
    """Address; keep it on loopback or behind a network policy."""
    enabled: bool = True
    """Whether it is there at all."""


class Ops(Section):
    """HTTP for probes and scrapers: /metrics, /livez, /readyz, /config (redacted)."""

    listen: Listen = "127.0.0.1:9464"
    """Address; without authentication."""
    enabled: bool = True
    """Whether it is there at all."""
