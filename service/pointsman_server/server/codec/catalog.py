"""ModelInfo and BackendInfo -> the contract's Model and Backend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from pointsman import v1 as pb
from pointsman_server.domain import Prices
from pointsman_server.routing.view import BackendInfo, ModelInfo
from pointsman_server.server.codec.enums import (
    PB_BACKEND_STATES,
    PB_CAPABILITIES,
    PB_MODALITIES,
    PB_MODEL_STATES,
)
from pointsman_server.server.codec.scalars import encode_duration, encode_time, i32, i64

N = TypeVar("N", bound=int)


def _numbers(table: Mapping[str, N], names: Iterable[str]) -> list[N]:
    # A name that this version of the contract does not have is not told.
    return sorted(table[name] for name in names if name in table)


def encode_model(message: pb.Model, info: ModelInfo, *, full: bool) -> None:
    """Write a model, basic or whole."""
    message.name, message.display_name, message.owner = info.name, info.display_name, info.owner
    message.aliases.extend(info.aliases)
    message.state = PB_MODEL_STATES[info.state]
    if not full:
        return
    message.input_token_limit, message.output_token_limit = info.input_token_limit, info.output_token_limit
    message.capabilities.extend(_numbers(PB_CAPABILITIES, info.capabilities))
    message.input_modalities.extend(_numbers(PB_MODALITIES, info.input_modalities))
    message.output_modalities.extend(_numbers(PB_MODALITIES, info.output_modalities))
    message.backend_count, message.healthy_backend_count = info.backend_count, info.healthy_backend_count
    if info.prices is not None:
        _encode_pricing(message.pricing, info.prices)


def _encode_pricing(message: pb.Pricing, prices: Prices) -> None:
    """Nanos per million tokens, of inputs of usual length."""
    message.currency = prices.currency
    rates = prices.rates
    for name in ("input", "output", "cached_input", "cache_write", "reasoning"):
        if (nanos := getattr(rates, name)) is not None:
            setattr(message, f"{name}_nanos", i64(nanos))


def encode_backend(message: pb.Backend, info: BackendInfo) -> None:
    """Write a backend as it is now."""
    message.name, message.provider, message.url = info.name, info.provider, info.url
    message.state, message.state_reason = PB_BACKEND_STATES[info.state], info.state_reason
    if info.state_until_wall_s is not None:
        encode_time(message.state_until, info.state_until_wall_s)
    message.models.extend(info.models)
    message.in_flight_requests = i32(info.in_flight_requests)
    message.in_flight_tokens = i64(info.in_flight_tokens)
    if info.first_token_ewma_s is not None:
        encode_duration(message.first_token_ewma, info.first_token_ewma_s)
    message.error_ratio = info.error_ratio
    message.concurrency_limit = i32(info.concurrency_limit)
