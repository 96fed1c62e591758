"""A call -> the body of a request. Only what the profile takes is written; `support` reports the rest."""

from __future__ import annotations

import re
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
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from pointsman_server.upstreams.dialects.gemini.contents import map_contents, map_system
from pointsman_server.upstreams.translation.bodies import put_field
from pointsman_server.upstreams.translation.options import add_fields
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.requests import encoded
from pointsman_server.upstreams.translation.support import (
    SCALARS,
    budget_of,
    effort_of,
    format_path,
    mode_of,
    wire_fields,
)
from pointsman_server.upstreams.translation.verbatim import invalid, verbatim_object

_OWN = frozenset({"model", "contents", "systemInstruction", "toolConfig.functionCallingConfig"})
"""The adapter's, whatever the profile; no caller's option replaces them."""
_SNAKE = re.compile(r"_([a-z0-9])", re.ASCII)


def encode_body(attempt: Attempt, profile: Profile) -> bytes:
    """The body. Raises ServiceError INVALID_REQUEST for what cannot be expressed."""
    call = attempt.call
    fields = wire_fields(call, profile)
    body: dict[str, Any] = {}
    match call.input:
        case Conversation(messages):
            body["contents"] = map_contents(messages, profile, attempt.target.model)
            if system := map_system(messages, profile, attempt.target.model):
                body["systemInstruction"] = {"role": "user", "parts": system}
        case Prompt(text):
            body["contents"] = [{"role": "user", "parts": [{"text": text}]}]
        case TokenIds():
            raise invalid("token_ids", "cannot be sent to this provider")
        case _:
            assert_never(call.input)
    _map_generation(call.generation, body, fields, profile)
    if call.tools and "tools" in fields:
        _map_tools(call, body, fields)
    if call.output_format is not None:
        _map_format(call, body, fields)
    if call.provider_options:
        own = {*_OWN, *(wire for wire in fields.values() if wire.startswith("generationConfig."))}
        add_fields(body, call, profile, fields, own, canonical=camel)
    return encoded(body)


def camel(name: str) -> str:
    """The one spelling of a field's name; the server takes snake case as well, and would take both at once."""
    return _SNAKE.sub(lambda found: found[1].upper(), name)


def _map_generation(
    generation: Generation, body: dict[str, Any], fields: Mapping[str, str], profile: Profile
) -> None:
    for name in SCALARS:
        value = getattr(generation, name)
        if value is not None and (wire := fields.get(f"generation.{name}")):
            put_field(body, wire, value)
    if generation.top_logprobs is not None and fields.get("generation.top_logprobs"):
        put_field(body, "generationConfig.responseLogprobs", value=True)
        if not generation.top_logprobs:
            del body["generationConfig"]["logprobs"]
    if generation.stop_sequences and (wire := fields.get("generation.stop_sequences")):
        put_field(body, wire, generation.stop_sequences[: profile.max_stop_sequences or None])
    if generation.reasoning is not None:
        _map_reasoning(generation.reasoning, body, fields, profile)


def _map_reasoning(
    config: ReasoningConfig, body: dict[str, Any], fields: Mapping[str, str], profile: Profile
) -> None:
    """Off, else a budget, else a level, else the model's own choice: one of them is all that may be said."""
    mode, effort = mode_of(config, fields, profile), effort_of(config, fields, profile)
    budget = budget_of(config, fields, profile)
    if mode is not None and config.mode is ReasoningMode.DISABLED:
        put_field(body, fields["generation.reasoning.mode"], mode)
    elif budget is not None:
        put_field(body, fields["generation.reasoning.budget_tokens"], budget)
    elif effort is not None:
        put_field(body, fields["generation.reasoning.effort"], effort)
    elif mode is not None:
        put_field(body, fields["generation.reasoning.mode"], mode)
    if config.include is not None and (wire := fields.get("generation.reasoning.include")):
        put_field(body, wire, config.include)


def _map_tools(call: Call, body: dict[str, Any], fields: Mapping[str, str]) -> None:
    choice = call.tool_choice or ToolChoice()
    allowed = choice.allowed_tools if "tool_choice.allowed_tools" in fields else ()
    tools = call.tools
    if "tool_choice.mode" in fields:
        config = _map_choice(choice, allowed, strict=any(tool.strict for tool in tools))
        if config:
            put_field(body, fields["tool_choice.mode"], config)
    elif choice.mode is ToolChoiceMode.NONE:
        return
    elif allowed:
        tools = tuple(tool for tool in tools if tool.name in allowed)
    declared = [_map_tool(tool, f"tools[{position}]") for position, tool in enumerate(tools)]
    body["tools"] = [{"functionDeclarations": declared}]


def _map_choice(choice: ToolChoice, allowed: tuple[str, ...], *, strict: bool) -> dict[str, object]:
    """Some tools alone, and calls that keep to their schemas, are only had from a mode that constrains the model."""
    match choice.mode:
        case ToolChoiceMode.NONE:
            return {"mode": "NONE"}
        case ToolChoiceMode.REQUIRED:
            config: dict[str, object] = {"mode": "ANY"}
        case ToolChoiceMode.AUTO | None:
            if not (allowed or strict):
                return {} if choice.mode is None else {"mode": "AUTO"}
            config = {"mode": "VALIDATED"}
        case _:
            assert_never(choice.mode)
    if allowed:
        config["allowedFunctionNames"] = allowed
    return config


def _map_tool(tool: Tool, path: str) -> dict[str, object]:
    declared: dict[str, object] = {"name": tool.name}
    if tool.description:
        declared["description"] = tool.description
    if tool.parameters_json_schema:
        declared["parametersJsonSchema"] = verbatim_object(
            tool.parameters_json_schema, f"{path}.parameters_json_schema"
        )
    return declared


def _map_format(call: Call, body: dict[str, Any], fields: Mapping[str, str]) -> None:
    wire = fields.get(format_path(call))
    if wire is None:
        return
    media_type = "application/json"
    match call.output_format:
        case None | JsonObject() | Regex() | Grammar():
            pass
        case JsonSchema(schema_json=schema):
            put_field(body, wire, verbatim_object(schema, "output_format.json_schema.schema_json"))
        case Choice(values):
            media_type = "text/x.enum"
            put_field(body, wire, {"type": "STRING", "enum": values})
        case _:
            assert_never(call.output_format)
    put_field(body, "generationConfig.responseMimeType", media_type)
