"""GenerateRequest -> Call. Checks only what the types cannot say: required oneofs, enum numbers, durations."""

from __future__ import annotations

from collections.abc import Mapping

from pointsman import v1 as pb
from pointsman_server import domain
from pointsman_server.server.codec.content import decode_message
from pointsman_server.server.codec.enums import (
    CACHE_MODES,
    OBJECTIVES,
    ON_INTERRUPTS,
    TOOL_CHOICE_MODES,
    decode_enum,
)
from pointsman_server.server.codec.faults import Misfit
from pointsman_server.server.codec.generation import decode_generation, decode_output_format
from pointsman_server.server.codec.scalars import decode_duration

_NO_GENERATION = domain.Generation()
_NO_ROUTING = domain.RoutingOptions()
_NO_STREAM_OPTIONS = domain.StreamOptions()


def decode_call(request: pb.GenerateRequest) -> domain.Call:
    """The whole request. Raises ServiceError INVALID_REQUEST with the field's path."""
    try:
        return _decode_call(request)
    except Misfit as misfit:
        raise misfit.refusal() from None


def _decode_call(request: pb.GenerateRequest) -> domain.Call:
    has = request.HasField
    return domain.Call(
        model=request.model,
        input=_decode_input(request),
        generation=decode_generation(request.generation) if has("generation") else _NO_GENERATION,
        tools=_decode_tools(request) if request.tools else (),
        tool_choice=_decode_tool_choice(request.tool_choice) if has("tool_choice") else None,
        output_format=decode_output_format(request.output_format) if has("output_format") else None,
        routing=decode_routing(request.routing) if has("routing") else _NO_ROUTING,
        stream_options=_decode_stream_options(request.stream_options)
        if has("stream_options")
        else _NO_STREAM_OPTIONS,
        cache=decode_cache(request.cache) if has("cache") else None,
        end_user_id=request.end_user_id,
        labels=dict(request.labels),
        provider_options=decode_provider_options(request.provider_options)
        if request.provider_options
        else {},
        idempotency_key=request.idempotency_key,
        provider_metadata=dict(request.provider_metadata),
    )


def _decode_input(request: pb.GenerateRequest) -> domain.Conversation | domain.Prompt | domain.TokenIds:
    match request.WhichOneof("input"):
        case "conversation":
            messages: list[domain.Message] = []
            for message in request.conversation.messages:
                try:
                    messages.append(decode_message(message))
                except Misfit as misfit:
                    raise misfit.under(f"conversation.messages[{len(messages)}]") from None
            return domain.Conversation(tuple(messages))
        case "prompt":
            return domain.Prompt(request.prompt)
        case "token_ids":
            return domain.TokenIds(tuple(request.token_ids.ids))
        case _:
            raise Misfit("input", "conversation, prompt or token_ids is required")


def _decode_tools(request: pb.GenerateRequest) -> tuple[domain.Tool, ...]:
    return tuple(
        domain.Tool(
            tool.name,
            tool.description,
            tool.parameters_json_schema,
            tool.strict if tool.HasField("strict") else None,
        )
        for tool in request.tools
    )


def _decode_tool_choice(choice: pb.ToolChoice) -> domain.ToolChoice:
    return domain.ToolChoice(
        mode=decode_enum(TOOL_CHOICE_MODES, choice.mode, "tool_choice.mode"),
        allowed_tools=tuple(choice.allowed_tools),
        parallel_calls=choice.parallel_calls if choice.HasField("parallel_calls") else None,
    )


def decode_routing(routing: pb.RoutingOptions) -> domain.RoutingOptions:
    """The caller's say in routing."""
    has = routing.HasField
    return domain.RoutingOptions(
        policy=routing.policy,
        objective=decode_enum(OBJECTIVES, routing.objective, "routing.objective"),
        fallbacks=tuple(domain.Fallback(fallback.model, fallback.backend) for fallback in routing.fallbacks),
        allow_backends=tuple(routing.allow_backends),
        deny_backends=tuple(routing.deny_backends),
        session_id=routing.session_id,
        priority=routing.priority,
        max_attempts=routing.max_attempts if has("max_attempts") else None,
        first_token_timeout_s=decode_duration(routing.first_token_timeout, "routing.first_token_timeout")
        if has("first_token_timeout")
        else None,
        max_queue_time_s=decode_duration(routing.max_queue_time, "routing.max_queue_time")
        if has("max_queue_time")
        else None,
        strict_params=routing.strict_params,
        no_fallback=routing.no_fallback,
        on_interrupt=decode_enum(ON_INTERRUPTS, routing.on_interrupt, "routing.on_interrupt"),
    )


def _decode_stream_options(options: pb.StreamOptions) -> domain.StreamOptions:
    coalesce_s = (
        decode_duration(options.coalesce, "stream_options.coalesce") if options.HasField("coalesce") else None
    )
    return domain.StreamOptions(options.include_usage_updates, coalesce_s, options.include_routing_events)


def decode_cache(cache: pb.CacheControl) -> domain.CacheControl:
    """The caller's say in caching."""
    return domain.CacheControl(
        mode=decode_enum(CACHE_MODES, cache.mode, "cache.mode"),
        ttl_s=decode_duration(cache.ttl, "cache.ttl") if cache.HasField("ttl") else None,
        namespace=cache.namespace,
        prefix_cache_salt=cache.prefix_cache_salt,
    )


def decode_provider_options(options: Mapping[str, pb.ProviderOptions]) -> dict[str, domain.ProviderOptions]:
    """Options in providers' own words, by dialect."""
    return {
        dialect: domain.ProviderOptions(own.body_json, dict(own.headers)) for dialect, own in options.items()
    }
