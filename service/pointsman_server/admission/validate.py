"""A decoded call -> nothing, or one ServiceError that names every field at fault. Pure: it knows bounds, no clock."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pointsman_server.admission.content import check_format, check_input, check_tools
from pointsman_server.admission.faults import NAME, Enough, Faults
from pointsman_server.config.schema import Bounds, Defaults, Policy
from pointsman_server.domain import (
    AnyCall,
    CacheControl,
    CacheMode,
    Call,
    Generation,
    Objective,
    OnInterrupt,
    ProviderOptions,
    RoutingOptions,
    Warning,
)

FIELD_NOT_ACTIVE = "FIELD_NOT_ACTIVE"
"""Code of the warning for a hint whose feature is not there yet."""

MAX_LABELS = 16
MAX_LABEL_KEY = 64
MAX_LABEL_VALUE = 512
MAX_BODY_JSON_BYTES = 16 * 1024
MAX_HEADERS = 32
MAX_HEADER_VALUE = 4096
MAX_BUDGET_TOKENS = 1_000_000
MAX_CANDIDATES = 8
MAX_PRIORITY = 100
MAX_COALESCE_S = 1.0
MAX_STOP_SEQUENCE = 1024
MAX_BIASES = 1024
MAX_BACKENDS = 256
MAX_FALLBACKS = 16
MAX_TEXT_ID = 256

_POLICIES = frozenset(policy.value for policy in Policy)
_DIALECT = re.compile(r"[a-z0-9_]{1,64}\Z", re.ASCII)
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}\Z", re.ASCII)
_HEADER_VALUE = re.compile(r"[\t -~]*\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that hold for every model."""

    max_attempts: int = 5
    """The most attempts that a call may ask for."""


def check_call(call: Call, bounds: Bounds, limits: Limits) -> None:
    """Raises ServiceError INVALID_REQUEST or UNSUPPORTED_PARAMETER with all faults, 16 at most."""
    faults = Faults()
    try:
        check_input(call, faults)
        _check_generation(call.generation, bounds, faults)
        if call.tools or call.tool_choice is not None:
            check_tools(call, faults)
        check_format(call, faults)
        check_routing(call.routing, limits, faults)
        _check_rest(call, faults)
    except Enough:
        pass
    faults.raise_any()


def _check_generation(generation: Generation, bounds: Bounds, faults: Faults) -> None:
    g, number = generation, faults.number
    most = math.inf if bounds.max_output_tokens is None else bounds.max_output_tokens
    number("generation.max_output_tokens", g.max_output_tokens, 1, most)
    number("generation.temperature", g.temperature, bounds.temperature_min, bounds.temperature_max)
    number("generation.top_p", g.top_p, 0, 1)
    number("generation.n", g.n, 1, MAX_CANDIDATES)
    number("generation.top_logprobs", g.top_logprobs, 0, 20)
    number("generation.presence_penalty", g.presence_penalty, -2, 2)
    number("generation.frequency_penalty", g.frequency_penalty, -2, 2)
    number("generation.min_p", g.min_p, 0, 1)
    number("generation.top_k", g.top_k, -1, 1_000_000)
    number("generation.truncate_prompt_tokens", g.truncate_prompt_tokens, -1, 100_000_000)
    faults.above_zero("generation.repetition_penalty", g.repetition_penalty)
    if g.reasoning is not None:
        number("generation.reasoning.budget_tokens", g.reasoning.budget_tokens, 1, MAX_BUDGET_TOKENS)
    if g.stop_sequences:
        _check_stop_sequences(g.stop_sequences, bounds, faults)
    if g.logit_bias:
        _check_biases(g.logit_bias, faults)


def _check_stop_sequences(sequences: tuple[str, ...], bounds: Bounds, faults: Faults) -> None:
    faults.count("generation.stop_sequences", len(sequences), bounds.max_stop_sequences)
    for position, sequence in enumerate(sequences):
        path = f"generation.stop_sequences[{position}]"
        if not sequence:
            faults.add(path, "must not be empty")
        faults.length(path, sequence, MAX_STOP_SEQUENCE)


def _check_biases(biases: Mapping[int, float], faults: Faults) -> None:
    faults.count("generation.logit_bias", len(biases), MAX_BIASES)
    for token, bias in biases.items():
        faults.number(f"generation.logit_bias[{token}]", bias, -100, 100)


def check_routing(routing: RoutingOptions, limits: Limits, faults: Faults) -> None:
    """The caller's say in routing."""
    if routing.policy and routing.policy not in _POLICIES:
        faults.add("routing.policy", f"must be one of {', '.join(sorted(_POLICIES))}")
    faults.number("routing.priority", routing.priority, -MAX_PRIORITY, MAX_PRIORITY)
    faults.number("routing.max_attempts", routing.max_attempts, 1, limits.max_attempts)
    faults.above_zero("routing.first_token_timeout", routing.first_token_timeout_s)
    faults.number("routing.max_queue_time", routing.max_queue_time_s, 0, 86_400)
    faults.length("routing.session_id", routing.session_id, MAX_TEXT_ID)
    if routing.on_interrupt not in (None, OnInterrupt.FAIL):
        faults.unsupported("routing.on_interrupt", "only FAIL is there yet")
    if routing.allow_backends:
        _check_names("routing.allow_backends", routing.allow_backends, faults)
    if routing.deny_backends:
        _check_names("routing.deny_backends", routing.deny_backends, faults)
    if routing.fallbacks:
        _check_fallbacks(routing, faults)


def _check_names(path: str, names: tuple[str, ...], faults: Faults) -> None:
    faults.count(path, len(names), MAX_BACKENDS)
    for position, name in enumerate(names):
        if not NAME.match(name):
            faults.add(f"{path}[{position}]", "is not the name of a backend")


def _check_fallbacks(routing: RoutingOptions, faults: Faults) -> None:
    faults.count("routing.fallbacks", len(routing.fallbacks), MAX_FALLBACKS)
    if routing.no_fallback:
        faults.add("routing.fallbacks", "must be empty with no_fallback")
    for position, fallback in enumerate(routing.fallbacks):
        path = f"routing.fallbacks[{position}]"
        if not (fallback.model or fallback.backend):
            faults.add(path, "needs a model or a backend")
        if fallback.model and not NAME.match(fallback.model):
            faults.add(f"{path}.model", "is not the name of a model")
        if fallback.backend and not NAME.match(fallback.backend):
            faults.add(f"{path}.backend", "is not the name of a backend")


def _check_rest(call: Call, faults: Faults) -> None:
    faults.number("stream_options.coalesce", call.stream_options.coalesce_s, 0, MAX_COALESCE_S)
    faults.length("end_user_id", call.end_user_id, MAX_TEXT_ID)
    if call.labels:
        check_labels("labels", call.labels, faults)
    if call.provider_metadata:
        check_labels("provider_metadata", call.provider_metadata, faults)
    if call.provider_options:
        check_provider_options(call.provider_options, faults)
    if call.idempotency_key:
        faults.unsupported("idempotency_key", "is not there yet")
    if call.cache is not None:
        check_cache(call.cache, faults)


def check_cache(cache: CacheControl, faults: Faults) -> None:
    """The caller's say in caching."""
    faults.above_zero("cache.ttl", cache.ttl_s)
    faults.length("cache.namespace", cache.namespace, MAX_TEXT_ID)
    if cache.prefix_cache_salt:
        faults.unsupported("cache.prefix_cache_salt", "is not there yet")


def check_labels(path: str, labels: Mapping[str, str], faults: Faults) -> None:
    """The caller's own words about a call."""
    faults.count(path, len(labels), MAX_LABELS)
    for key, value in labels.items():
        if not 0 < len(key) <= MAX_LABEL_KEY or not key.isprintable():
            faults.add(path, f"every key must have 1 to {MAX_LABEL_KEY} printable characters")
        elif len(value) > MAX_LABEL_VALUE:
            faults.add(f"{path}[{key}]", f"must have at most {MAX_LABEL_VALUE} characters")


def check_provider_options(all_options: Mapping[str, ProviderOptions], faults: Faults) -> None:
    """Options in providers' own words."""
    faults.count("provider_options", len(all_options), MAX_LABELS)
    for dialect, options in all_options.items():
        if not _DIALECT.match(dialect):
            faults.add("provider_options", "every key must be the name of a dialect, as openai")
            continue
        path = f"provider_options[{dialect}]"
        if options.body_json:
            _check_body(f"{path}.body_json", options.body_json, faults)
        faults.count(f"{path}.headers", len(options.headers), MAX_HEADERS)
        for name, value in options.headers.items():
            if not _HEADER.match(name):
                faults.add(f"{path}.headers", "every name must be a header's name")
            elif len(value) > MAX_HEADER_VALUE or not _HEADER_VALUE.match(value):
                faults.add(
                    f"{path}.headers[{name}]",
                    f"must be at most {MAX_HEADER_VALUE} printable ASCII characters",
                )


def _check_body(path: str, text: str, faults: Faults) -> None:
    if len(text) > MAX_BODY_JSON_BYTES or len(text.encode(errors="replace")) > MAX_BODY_JSON_BYTES:
        faults.add(path, f"must have at most {MAX_BODY_JSON_BYTES} bytes")
    else:
        faults.json_object(path, text)


def inactive(call: AnyCall) -> tuple[Warning, ...]:
    """The hints of a call whose feature is not there yet; the call is served without them."""
    hints = []
    if call.routing.objective not in (None, Objective.BALANCED):
        hints.append("routing.objective")
    if call.routing.session_id:
        hints.append("routing.session_id")
    if call.cache is not None:
        if call.cache.mode not in (None, CacheMode.BYPASS):
            hints.append("cache.mode")
        if call.cache.ttl_s is not None:
            hints.append("cache.ttl")
        if call.cache.namespace:
            hints.append("cache.namespace")
    return tuple(
        Warning(FIELD_NOT_ACTIVE, hint, "not there yet; the call was served without it") for hint in hints
    )


def with_defaults(call: Call, defaults: Defaults) -> Call:
    """The call with the model's settings where it leaves them unset; the same object when nothing changes."""
    generation = call.generation
    changed: dict[str, Any] = {}
    if generation.max_output_tokens is None and defaults.max_output_tokens is not None:
        changed["max_output_tokens"] = defaults.max_output_tokens
    if generation.temperature is None and defaults.temperature is not None:
        changed["temperature"] = defaults.temperature
    if generation.top_p is None and defaults.top_p is not None:
        changed["top_p"] = defaults.top_p
    if not generation.stop_sequences and defaults.stop_sequences:
        changed["stop_sequences"] = defaults.stop_sequences
    if not changed:
        return call
    return dataclasses.replace(call, generation=dataclasses.replace(generation, **changed))
