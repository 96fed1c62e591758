"""The options of a call, as keyword arguments: typed once for the four methods that take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, TypeAlias, TypedDict

from pointsman import v1

Seconds: TypeAlias = "float | timedelta"


class Reasoning(TypedDict, total=False):
    """How the model reasons before it answers."""

    mode: Literal["disabled", "enabled", "adaptive"]
    effort: Literal["minimal", "low", "medium", "high", "xhigh", "max"]
    budget_tokens: int
    include: bool
    summary: Literal["auto", "concise", "detailed"]


class Fallback(TypedDict, total=False):
    """A further place to try."""

    model: str
    backend: str


class Routing(TypedDict, total=False):
    """How the call is routed; the model's configuration fills what is not said."""

    policy: str
    objective: Literal["balanced", "latency", "cost", "quality"]
    fallbacks: Sequence[Fallback | v1.Fallback]
    allow_backends: Sequence[str]
    deny_backends: Sequence[str]
    session_id: str
    priority: int
    max_attempts: int
    first_token_timeout_s: Seconds
    max_queue_time_s: Seconds
    strict_params: bool
    no_fallback: bool
    on_interrupt: Literal["fail", "restart", "continue"]


class Cache(TypedDict, total=False):
    """How caches are used."""

    mode: Literal["bypass", "read_only", "refresh", "read_write"]
    ttl_s: Seconds
    namespace: str
    prefix_cache_salt: str


class StreamOptions(TypedDict, total=False):
    """How a stream is cut into messages."""

    include_usage_updates: bool
    coalesce_s: Seconds
    include_routing_events: bool


class ToolChoice(TypedDict, total=False):
    """How tools are chosen; one allowed tool with `required` forces it."""

    mode: Literal["auto", "none", "required"]
    allowed_tools: Sequence[str]
    parallel_calls: bool


class GenerateParams(TypedDict, total=False):
    """Everything about a call but what is asked and of whom. The contract's comments say what each does."""

    prompt: str
    """A plain text to be completed without a chat template, in place of the input."""
    token_ids: Sequence[int]
    """As `prompt`, in tokens of the target model."""
    max_output_tokens: int
    temperature: float
    top_p: float
    top_k: int
    min_p: float
    stop: str | Sequence[str]
    seed: int
    n: int
    presence_penalty: float
    frequency_penalty: float
    repetition_penalty: float
    top_logprobs: int
    logit_bias: Mapping[int, float]
    verbosity: Literal["low", "medium", "high"]
    truncate_prompt_tokens: int
    reasoning: Reasoning | v1.ReasoningConfig
    tools: Sequence[v1.Tool | Mapping[str, Any]]
    tool_choice: Literal["auto", "none", "required"] | ToolChoice | v1.ToolChoice
    json_schema: Mapping[str, Any] | str | v1.JsonSchemaFormat
    json_object: bool
    regex: str
    grammar: str
    choice: Sequence[str]
    routing: Routing | v1.RoutingOptions
    cache: Cache | v1.CacheControl
    stream_options: StreamOptions | v1.StreamOptions
    end_user_id: str
    labels: Mapping[str, str]
    provider_options: Mapping[str, v1.ProviderOptions | Mapping[str, Any]]
    """By dialect: `{"openai": {"body": {...}, "headers": {...}}}`."""
    provider_metadata: Mapping[str, str]
    idempotency_key: str
