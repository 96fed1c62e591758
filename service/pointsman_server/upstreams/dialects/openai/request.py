"""A call -> the body of a request. Only what the profile takes is written; `support` reports the rest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, assert_never

import msgspec

from pointsman_server.context import Attempt
from pointsman_server.domain import (
    Call,
    Choice,
    Conversation,
    Generation,
    Grammar,
    JsonObject,
    JsonSchema,
    Prompt,
    ReasoningConfig,
    Regex,
    TokenIds,
    Tool,
    ToolChoice,
    ToolChoiceMode,
    Verbosity,
)
from pointsman_server.upstreams.dialects.openai.messages import map_messages
from pointsman_server.upstreams.translation.options import add_fields
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.support import (
    SCALARS,
    effort_of,
    format_path,
    is_chat,
    mode_of,
    only_tool,
    wire_fields,
)
from pointsman_server.upstreams.translation.verbatim import invalid, verbatim_object

_ENCODE = msgspec.json.Encoder().encode
_SCHEMA_NAME = "output"
_NO_PARAMETERS = msgspec.Raw(b'{"type":"object","properties":{}}')
_OWN = frozenset(
    {
        "model", "messages", "prompt", "stream", "stream_options", "n", "best_of", "max_tokens",
        "max_completion_tokens", "functions", "function_call",
    }
)  # fmt: skip
"""The adapter's, whatever the profile; no caller's option replaces them."""
_UNSAFE_NAME = re.compile(r"[^A-Za-z0-9_-]", re.ASCII)


def encode_body(attempt: Attempt, profile: Profile, *, stream: bool) -> bytes:
    """The body. Raises ServiceError INVALID_REQUEST for what cannot be expressed."""
    call = attempt.call
    fields = wire_fields(call, profile)
    body: dict[str, Any] = {"model": attempt.target.model}
    match call.input:
        case Conversation(messages):
            body["messages"] = map_messages(messages, profile, attempt.target.model)
        case Prompt(text):
            if is_chat(call, profile):
                body["messages"] = [{"role": "user", "content": text}]
            else:
                body["prompt"] = text
        case TokenIds(ids):
            body["prompt"] = ids
        case _:
            assert_never(call.input)
    if stream:
        body["stream"] = True
        if profile.usage_option:
            body["stream_options"] = {"include_usage": True}
    _map_generation(call, body, fields, profile)
    if call.tools and "tools" in fields:
        _map_tools(call, body, fields, profile)
    if call.output_format is not None:
        _map_format(call, body, fields)
    _map_rest(call, body, fields)
    if call.provider_options:
        add_fields(body, call, profile, fields, _OWN)
    try:
        return _ENCODE(body)
    except (msgspec.MsgspecError, UnicodeError, OverflowError):
        raise invalid("conversation", "holds text that is not Unicode") from None


def _map_generation(call: Call, body: dict[str, Any], fields: Mapping[str, str], profile: Profile) -> None:
    generation = call.generation
    for name in SCALARS:
        value = getattr(generation, name)
        if value is not None and (wire := fields.get(f"generation.{name}")):
            body[wire] = value.value.lower() if isinstance(value, Verbosity) else value
    if generation.top_logprobs is not None:
        _map_logprobs(generation, body, fields)
    if generation.stop_sequences and (wire := fields.get("generation.stop_sequences")):
        body[wire] = generation.stop_sequences[: profile.max_stop_sequences or None]
    if generation.logit_bias and (wire := fields.get("generation.logit_bias")):
        body[wire] = {str(token): bias for token, bias in generation.logit_bias.items()}
    if generation.reasoning is not None:
        _map_reasoning(generation.reasoning, body, fields, profile)


def _map_logprobs(generation: Generation, body: dict[str, Any], fields: Mapping[str, str]) -> None:
    """Chat asks with a flag, and for alternatives by number; completions know the number alone."""
    if fields.get("generation.top_logprobs") != "top_logprobs":
        return
    body["logprobs"] = True
    if not generation.top_logprobs:
        del body["top_logprobs"]


def _map_reasoning(
    config: ReasoningConfig, body: dict[str, Any], fields: Mapping[str, str], profile: Profile
) -> None:
    mode, effort = mode_of(config, fields, profile), effort_of(config, fields, profile)
    if mode is not None and config.mode is not None:
        # A mode may have a field of its own.
        own = fields.get(f"generation.reasoning.mode.{config.mode.value.lower()}")
        _put(body, own or fields["generation.reasoning.mode"], mode)
    if effort is not None and "reasoning_effort" not in body:
        _put(body, fields["generation.reasoning.effort"], effort)
    for name, value in (("budget_tokens", config.budget_tokens), ("include", config.include)):
        if value is not None and (wire := fields.get(f"generation.reasoning.{name}")):
            _put(body, wire, value)


def _map_tools(call: Call, body: dict[str, Any], fields: Mapping[str, str], profile: Profile) -> None:
    choice = call.tool_choice or ToolChoice()
    parallel = fields.get("tool_choice.parallel_calls")
    if parallel and choice.parallel_calls is not None:
        body[parallel] = choice.parallel_calls
    if choice.mode is ToolChoiceMode.NONE and "tool_choice.mode" not in fields:
        return
    tools = call.tools
    allowed = choice.allowed_tools if "tool_choice.allowed_tools" in fields else ()
    wire = fields.get("tool_choice.mode")
    forced = choice.mode is ToolChoiceMode.REQUIRED
    word = (
        profile.required_tool_choice if forced else None if choice.mode is None else choice.mode.value.lower()
    )
    if forced and not word and (name := only_tool(call)):
        allowed = (name,)
    if not allowed or choice.mode is ToolChoiceMode.NONE:
        choice_value: object = word
    elif wire and len(allowed) == 1 and forced and profile.named_tool_choice:
        choice_value = {"type": "function", "function": {"name": allowed[0]}}
    elif wire and profile.allowed_tools_choice:
        offered = [{"type": "function", "function": {"name": name}} for name in allowed]
        choice_value = {"type": "allowed_tools", "allowed_tools": {"mode": word or "auto", "tools": offered}}
    else:
        tools = tuple(tool for tool in tools if tool.name in allowed)
        choice_value = word
    body["tools"] = [
        _map_tool(tool, f"tools[{n}]", strict="tools.strict" in fields) for n, tool in enumerate(tools)
    ]
    if wire and choice_value:
        body[wire] = choice_value


def _map_tool(tool: Tool, path: str, *, strict: bool) -> dict[str, object]:
    function: dict[str, object] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = (
        verbatim_object(tool.parameters_json_schema, f"{path}.parameters_json_schema")
        if tool.parameters_json_schema
        else _NO_PARAMETERS
    )
    if strict and tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _map_format(call: Call, body: dict[str, Any], fields: Mapping[str, str]) -> None:
    wire = fields.get(format_path(call))
    if wire is None:
        return
    match call.output_format:
        case None:
            return
        case JsonObject():
            value: object = {"type": "json_object"}
        case JsonSchema() as wanted:
            value = {"type": "json_schema", "json_schema": _map_schema(wanted)}
        case Regex(text) | Grammar(text):
            value = text
        case Choice(values):
            value = values
        case _:
            assert_never(call.output_format)
    _put(body, wire, value)


def _map_schema(wanted: JsonSchema) -> dict[str, object]:
    schema: dict[str, object] = {"name": _UNSAFE_NAME.sub("_", wanted.name)[:64] or _SCHEMA_NAME}
    if wanted.description:
        schema["description"] = wanted.description
    schema["schema"] = verbatim_object(wanted.schema_json, "output_format.json_schema.schema_json")
    if wanted.strict is not None:
        schema["strict"] = wanted.strict
    return schema


def _map_rest(call: Call, body: dict[str, Any], fields: Mapping[str, str]) -> None:
    if call.end_user_id and (wire := fields.get("end_user_id")):
        body[wire] = call.end_user_id
    if call.provider_metadata and (wire := fields.get("provider_metadata")):
        body[wire] = dict(call.provider_metadata)
    if call.routing.priority and (wire := fields.get("routing.priority")):
        # Ours is higher for what matters more, the wire's lower for what runs sooner.
        body[wire] = -call.routing.priority
    if (
        call.cache is not None
        and call.cache.prefix_cache_salt
        and (wire := fields.get("cache.prefix_cache_salt"))
    ):
        body[wire] = call.cache.prefix_cache_salt


def _put(body: dict[str, Any], wire: str, value: object) -> None:
    """Write a field; a dot leads into an object."""
    outer, dot, inner = wire.partition(".")
    if dot:
        body.setdefault(outer, {})[inner] = value
    else:
        body[wire] = value
