"""A call -> the body of a request. Only what the profile takes is written; `support` reports the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

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
    ReasoningMode,
    Regex,
    TokenIds,
    ToolChoice,
    ToolChoiceMode,
)
from pointsman_server.upstreams.dialects.cohere.messages import map_messages
from pointsman_server.upstreams.translation.bodies import put_field
from pointsman_server.upstreams.translation.chat_fields import map_tool
from pointsman_server.upstreams.translation.options import add_fields
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.requests import encoded
from pointsman_server.upstreams.translation.support import (
    SCALARS,
    budget_of,
    format_path,
    mode_of,
    wire_fields,
)
from pointsman_server.upstreams.translation.verbatim import invalid, verbatim_object

_OWN = frozenset({"model", "messages", "stream"})
"""The adapter's, whatever the profile; no caller's option replaces them."""


def encode_body(attempt: Attempt, profile: Profile, *, stream: bool) -> bytes:
    """The body. Raises ServiceError INVALID_REQUEST for what cannot be expressed."""
    call = attempt.call
    fields = wire_fields(call, profile)
    body: dict[str, Any] = {"model": attempt.target.model, "stream": stream}
    match call.input:
        case Conversation(messages):
            body["messages"] = map_messages(messages, profile, attempt.target.model)
        case Prompt(text):
            body["messages"] = [{"role": "user", "content": text}]
        case TokenIds():
            raise invalid("token_ids", "cannot be sent to this provider")
        case _:
            assert_never(call.input)
    _map_generation(call.generation, body, fields, profile)
    if call.tools and "tools" in fields:
        _map_tools(call, body, fields)
    if call.output_format is not None:
        _map_format(call, body, fields)
    if call.routing.priority and (wire := fields.get("routing.priority")):
        # Ours is higher for what matters more, the wire's lower for what runs sooner, and 0 is what all others have.
        body[wire] = max(0, -call.routing.priority)
    if call.provider_options:
        add_fields(body, call, profile, fields, _OWN)
    return encoded(body)


def _map_generation(
    generation: Generation, body: dict[str, Any], fields: Mapping[str, str], profile: Profile
) -> None:
    for name in SCALARS:
        value = getattr(generation, name)
        if value is not None and (wire := fields.get(f"generation.{name}")):
            # Probabilities are had or not; of alternatives there are none.
            body[wire] = True if name == "top_logprobs" else value
    if generation.stop_sequences and (wire := fields.get("generation.stop_sequences")):
        body[wire] = generation.stop_sequences[: profile.max_stop_sequences or None]
    if generation.reasoning is not None:
        _map_reasoning(generation.reasoning, body, fields, profile)


def _map_reasoning(
    config: ReasoningConfig, body: dict[str, Any], fields: Mapping[str, str], profile: Profile
) -> None:
    """A budget needs the mode beside it."""
    mode, budget = mode_of(config, fields, profile), budget_of(config, fields, profile)
    if budget is not None:
        put_field(body, fields["generation.reasoning.budget_tokens"], budget)
        mode = profile.modes[ReasoningMode.ENABLED]
    if mode is not None and (wire := fields.get("generation.reasoning.mode")):
        put_field(body, wire, mode)


def _map_tools(call: Call, body: dict[str, Any], fields: Mapping[str, str]) -> None:
    """What may be called is what is offered; a call is forced, forbidden, or left to the model, which has no word."""
    choice = call.tool_choice or ToolChoice()
    wire = fields.get("tool_choice.mode")
    if choice.mode is ToolChoiceMode.NONE and not wire:
        return
    allowed = choice.allowed_tools if "tool_choice.allowed_tools" in fields else ()
    if choice.mode is ToolChoiceMode.NONE:
        allowed = ()
    tools = [
        (tool, f"tools[{position}]")
        for position, tool in enumerate(call.tools)
        if not allowed or tool.name in allowed
    ]
    body["tools"] = [map_tool(tool, path, strict=False) for tool, path in tools]
    if any(tool.strict for tool, _ in tools) and (strict := fields.get("tools.strict")):
        body[strict] = True
    if wire and choice.mode in (ToolChoiceMode.NONE, ToolChoiceMode.REQUIRED):
        body[wire] = choice.mode.value


def _map_format(call: Call, body: dict[str, Any], fields: Mapping[str, str]) -> None:
    wire = fields.get(format_path(call))
    if wire is None:
        return
    value: dict[str, object] = {"type": "json_object"}
    match call.output_format:
        case None | Regex() | Grammar() | Choice():
            return
        case JsonObject():
            pass
        case JsonSchema(schema_json=schema):
            value["json_schema"] = verbatim_object(schema, "output_format.json_schema.schema_json")
        case _:
            assert_never(call.output_format)
    body[wire] = value
