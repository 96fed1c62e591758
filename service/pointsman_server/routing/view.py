"""What of models and backends may be shown: values for ModelService and RouterAdminService."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from pointsman_server.domain import Prices


class BackendState(enum.Enum):
    """Whether a backend takes calls; names as in the contract."""

    HEALTHY = "HEALTHY"
    EJECTED = "EJECTED"
    HALF_OPEN = "HALF_OPEN"
    COOLING_DOWN = "COOLING_DOWN"
    DRAINING = "DRAINING"
    UNREACHABLE = "UNREACHABLE"


class ModelState(enum.Enum):
    """Whether a model can be served; names as in the contract."""

    AVAILABLE = "AVAILABLE"
    DEGRADED = "DEGRADED"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """One backend as it is now."""

    name: str
    """As configured, with `@host:port` behind it for an endpoint that discovery found."""
    provider: str
    url: str
    """Without user information or query."""
    state: BackendState
    state_reason: str
    state_until_wall_s: float | None
    """Seconds since the epoch; None when the state has no end of its own."""
    models: tuple[str, ...]
    in_flight_requests: int
    in_flight_tokens: int
    first_token_ewma_s: float | None
    error_ratio: float
    """Failures among the recent calls, 0 to 1."""
    concurrency_limit: int
    backend: str = ""
    """Its name in the configuration."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One model as callers may see it."""

    name: str
    display_name: str
    aliases: tuple[str, ...]
    owner: str
    input_token_limit: int
    output_token_limit: int
    capabilities: frozenset[str]
    """Names of the contract's ModelCapability without prefix; what at least one target can do."""
    input_modalities: frozenset[str]
    """Names of the contract's Modality without prefix."""
    output_modalities: frozenset[str]
    backend_count: int
    healthy_backend_count: int
    prices: Prices | None
    """Of its first target that has any."""
    state: ModelState
