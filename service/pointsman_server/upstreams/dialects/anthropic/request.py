"""A call -> the body of a request. Only what the profile takes is written; `support` reports the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

from pointsman_server.context import Attempt
from pointsman_server.domain import (
    Call,
    Conversation,
    JsonSchema,
    Prompt,
    ReasoningConfig,
    TokenIds,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from pointsman_server.upstreams.dialects.anthropic.messages import map_messages, map_system
from pointsman_server.upstreams.translation.chat_fields import parameters_of
from pointsman_server.upstreams.translation.options import add_fields
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.requests import encoded
from pointsman_server.upstreams.translation.support import (
    SCALARS,
    budget_of,
    effort_of,
    format_path,
    wire_fields,
)
from pointsman_server.upstreams.translation.thinking import thinking_of
from pointsman_server.upstreams.translation.verbatim import invalid, verbatim_object

_OWN = frozenset({"model", "messages", "system", "stream", "max_tokens"})
"""The adapter's, whatever the call; no caller's option replaces them."""

DEFAULT_LIMIT = 4096
"""Where neither the call nor the configuration names one, in tokens."""


def output_limit(call: Call, profile: Profile, default: int) -> int:
    """The limit, which the wire demands: the call's own, else the default, with room for an answer above the budget.

    Thinking counts towards the limit, and a budget that is not below it is refused.
    """
    if call.generation.max_output_tokens is not None:
        return call.generation.max_output_tokens
    config = call.generation.reasoning
    budget = None if config is None else budget_of(config, wire_fields(call, profile), profile)
    return default if budget is None or budget < default else default + budget


def encode_body(attempt: Attempt, profile: Profile, limit: int, *, stream: bool) -> bytes:
    """The body. Raises ServiceError INVALID_REQUEST for what cannot be expressed."""
    call, model = attempt.call, attempt.target.model
    fields = wire_fields(call, profile)
    body: dict[str, Any] = {"model": model, "max_tokens": limit}
    match call.input:
        case Conversation(messages):
            if system := map_system(messages, profile):
                body["system"] = system
            body["messages"] = map_messages(messages, profile, model)
        case Prompt(text):
            body["messages"] = [{"role": "user", "content": text}]
        case TokenIds():
            raise invalid("token_ids", "are not taken by this provider")
        case _:
            assert_never(call.input)
    if stream:
        body["stream"] = True
    _map_generation(call, body, fields, profile)
    if call.tools and "tools" in fields:
        _map_tools(call, body, fields)
    _map_format(call, body, fields)
    if call.end_user_id and "end_user_id" in fields:
        body["metadata"] = {"user_id": call.end_user_id}
    if call.provider_options:
        add_fields(body, call, profile, fields, _OWN)
    return encoded(body)


def _map_generation(call: Call, body: dict[str, Any], fields: Mapping[str, str], profile: Profile) -> None:
    generation = call.generation
    for name in SCALARS:
        value = getattr(generation, name)
        if value is not None and name != "max_output_tokens" and (wire := fields.get(f"generation.{name}")):
            body[wire] = value
    if generation.stop_sequences and (wire := fields.get("generation.stop_sequences")):
        body[wire] = generation.stop_sequences
    if generation.reasoning is not None:
        _map_reasoning(generation.reasoning, body, fields, profile)


def _map_reasoning(
    config: ReasoningConfig, body: dict[str, Any], fields: Mapping[str, str], profile: Profile
) -> None:
    if (effort := effort_of(config, fields, profile)) is not None:
        body["output_config"] = {"effort": effort}
    if thinking := thinking_of(config, fields, profile, body["max_tokens"]):
        body["thinking"] = thinking


def _map_tools(call: Call, body: dict[str, Any], fields: Mapping[str, str]) -> None:
    choice = call.tool_choice or ToolChoice()
    chosen = "tool_choice.mode" in fields
    if choice.mode is ToolChoiceMode.NONE and not chosen:
        return
    tools, wanted = call.tools, _map_choice(choice) if chosen else None
    allowed = choice.allowed_tools if "tool_choice.allowed_tools" in fields else ()
    if allowed and choice.mode is not ToolChoiceMode.NONE:
        if len(allowed) == 1 and choice.mode is ToolChoiceMode.REQUIRED and chosen:
            wanted = {"type": "tool", "name": allowed[0]}
        else:
            tools = tuple(tool for tool in tools if tool.name in allowed)
    strict = "tools.strict" in fields
    body["tools"] = [_map_tool(tool, f"tools[{n}]", strict=strict) for n, tool in enumerate(tools)]
    if choice.parallel_calls is False and "tool_choice.parallel_calls" in fields:
        wanted = wanted or {"type": "auto"}
        if wanted["type"] != "none":
            wanted["disable_parallel_tool_use"] = True
    if wanted is not None:
        body["tool_choice"] = wanted


def _map_choice(choice: ToolChoice) -> dict[str, Any] | None:
    match choice.mode:
        case None:
            return None
        case ToolChoiceMode.AUTO:
            return {"type": "auto"}
        case ToolChoiceMode.REQUIRED:
            return {"type": "any"}
        case ToolChoiceMode.NONE:
            return {"type": "none"}
        case _:
            assert_never(choice.mode)


def _map_tool(tool: Tool, path: str, *, strict: bool) -> dict[str, object]:
    mapped: dict[str, object] = {"name": tool.name}
    if tool.description:
        mapped["description"] = tool.description
    mapped["input_schema"] = parameters_of(tool, path)
    if strict and tool.strict is not None:
        mapped["strict"] = tool.strict
    return mapped


def _map_format(call: Call, body: dict[str, Any], fields: Mapping[str, str]) -> None:
    """The wire has no name, description or strictness for a schema: it is always strict."""
    wanted = call.output_format
    if not isinstance(wanted, JsonSchema) or format_path(call) not in fields:
        return
    schema = verbatim_object(wanted.schema_json, "output_format.json_schema.schema_json")
    body.setdefault("output_config", {})["format"] = {"type": "json_schema", "schema": schema}
