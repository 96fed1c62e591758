"""What travels with a call beside its request: who, until when, under which ids. Frozen values, passed explicitly."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import field
from typing import Generic, Protocol

from typing_extensions import TypeVar

from pointsman_server.deadline import Deadline
from pointsman_server.domain import AnyCall, Call, Cost, Opened, Usage, Warning
from pointsman_server.errors import Reason, UpstreamFault
from pointsman_server.values import value


class AuthMethod(enum.StrEnum):
    """How a caller proved who it is."""

    NONE = "none"
    API_KEY = "api_key"
    MTLS = "mtls"


@value(frozen=True, slots=True)
class Principal:
    """An authenticated caller."""

    name: str
    method: AuthMethod
    models: frozenset[str] | None = None
    """The models it may use; None is all."""

    def may_use(self, model: str) -> bool:
        """Whether the access list allows the model (by its own name, aliases resolved)."""
        return self.models is None or model in self.models


class Span(Protocol):
    """One span of a trace, as the rooms that do not know tracing see it."""

    @property
    def trace_id(self) -> str:
        """32 hex digits, or empty without a trace."""

    def set(self, key: str, value: str | float | bool | tuple[str, ...]) -> None:
        """Put an attribute on it; a name from telemetry's tables, never content."""

    def headers(self) -> Mapping[str, str]:
        """W3C trace context for a backend that is ours."""

    def end(self, *, error_type: str = "", code: str = "") -> None:
        """Close it; a second close does nothing."""


@value(frozen=True, slots=True)
class CallContext:
    """One RPC."""

    request_id: str
    method: str
    """Full gRPC method, as `pointsman.v1.InferenceService/Generate`."""
    principal: Principal
    deadline: Deadline
    """The caller's deadline less the answer margin."""
    started_at: float
    """Monotonic seconds."""
    nonce: str
    """Makes attempt ids unique where callers reuse request ids."""
    span: Span
    stream: bool = False
    peer: str = ""


@value(frozen=True, slots=True)
class ChatTemplate:
    """How a model wants a conversation written as plain text: Jinja, as `upstreams.translation.templates` takes it."""

    source: str = field(repr=False)
    bos_token: str = ""
    eos_token: str = ""
    variables: tuple[tuple[str, str | int | float | bool], ...] = ()
    """What the template is given beside its usual words."""


@value(frozen=True, slots=True)
class Target:
    """One backend with the model's name there."""

    backend: str
    """As configured."""
    provider: str
    model: str
    """The upstream's own name of the model."""
    chat_template: ChatTemplate | None = None
    """For servers that take text and no messages; None: the default one."""
    endpoint: str = ""
    """`host:port` of the server, where discovery found several for the backend; for operators, never for callers."""
    output_token_limit: int = 0
    """The model's longest answer; 0 is unknown."""

    @property
    def place(self) -> str:
        """What tells it from the backend's other endpoints."""
        return f"{self.backend}@{self.endpoint}" if self.endpoint else self.backend


C_co = TypeVar("C_co", bound=AnyCall, default=Call, covariant=True)


@value(frozen=True, slots=True)
class Attempt(Generic[C_co]):
    """One try of a call at one target; the same call may be encoded again for the next."""

    call: C_co
    target: Target
    number: int
    """From 1."""
    stream: bool
    """Whether the caller streams; the profile decides whether the upstream does."""
    upstream_id: str
    """`<request id>-<nonce>.<number>`: unique, for the upstream's own logs."""
    trace_headers: Mapping[str, str] = field(default_factory=dict)
    """Empty unless the backend is marked as ours."""
    wall_s: float = 0.0
    """When it began, in seconds since the epoch: for prompts that tell the day."""

    @property
    def request_id(self) -> str:
        """The call's own id, the same on every span and line; the nonce behind it holds no hyphen."""
        return self.upstream_id.rpartition("-")[0]


@value(frozen=True, slots=True)
class AttemptRecord:
    """How one attempt ended; the final event, metrics, log, breaker and limiter all read this."""

    number: int
    target: Target
    reason: Reason | None
    """None: served."""
    latency_s: float
    http_status: int = 0
    retry_delay_s: float | None = None
    hedge: bool = False
    connect_s: float | None = None
    first_content_s: float | None = None
    """From the attempt's start to its first content."""
    usage: Usage | None = None
    cost: Cost | None = None
    """What it costs, whether it served or not."""
    detail: str = ""
    """For the log; already safe."""
    opened: Opened | None = None
    """What the upstream said of its answer; None when it came to none."""
    finish_reasons: tuple[str, ...] = ()
    """In the provider's words, one per candidate that ended."""
    upstream: UpstreamFault | None = None
    """What the provider said when it failed."""


@value(frozen=True, slots=True)
class RoutingReport:
    """Where a call went and why, as known when it is asked for."""

    model: str
    """The caller-facing model, aliases resolved."""
    policy: str
    decision_reason: str
    attempts: tuple[AttemptRecord, ...]
    served: Target | None
    opened: Opened | None
    fallback_used: bool
    queue_s: float
    first_content_s: float | None
    """From the call's start."""
    total_s: float
    warnings: tuple[Warning, ...] = ()
    usage: Usage | None = None
    cost: Cost | None = None
