"""The fields of OpenAI's chat completions that others have taken over: sampling, reasoning, tools, formats.

Each function writes what the profile takes into `body`, which a dialect may nest wherever it likes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, assert_never

import msgspec

from pointsman_server.domain import (
    Call,
    Choice,
    Generation,
    Grammar,
    JsonObject,
    JsonSchema,
    ReasoningConfig,
    Regex,
    Role,
    Tool,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
    Verbosity,
)
from pointsman_server.upstreams.translation.bodies import put_field
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.support import (
    SCALARS,
    effort_of,
    format_path,
    mode_of,
    only_tool,
)
from pointsman_server.upstreams.translation.verbatim import verbatim_object

_SCHEMA_NAME = "output"
NO_PARAMETERS = msgspec.Raw(b'{"type":"object","properties":{}}')
_UNSAFE_NAME = re.compile(r"[^A-Za-z0-9_-]", re.ASCII)


def _whole(number: float) -> float:
    """OpenAI takes whole numbers alone here, written as such; other servers take fractions as well."""
    return int(number) if number.is_integer() else number


def map_generation(
    generation: Generation, body: dict[str, Any], fields: Mapping[str, str], profile: Profile
) -> None:
    """Sampling, length and reasoning."""
    for name in SCALARS:
        value = getattr(generation, name)
        if value is not None and (wire := fields.get(f"generation.{name}")):
            body[wire] = value.value.lower() if isinstance(value, Verbosity) else value
    if generation.top_logprobs is not None:
        _map_logprobs(generation, body, fields)
    if generation.stop_sequences and (wire := fields.get("generation.stop_sequences")):
        body[wire] = generation.stop_sequences[: profile.max_stop_sequences or None]
    if generation.logit_bias and (wire := fields.get("generation.logit_bias")):
        body[wire] = {str(token): _whole(bias) for token, bias in generation.logit_bias.items()}
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
        put_field(body, own or fields["generation.reasoning.mode"], mode)
    if effort is not None and "reasoning_effort" not in body:
        put_field(body, fields["generation.reasoning.effort"], effort)
    for name, value in (("budget_tokens", config.budget_tokens), ("include", config.include)):
        if value is not None and (wire := fields.get(f"generation.reasoning.{name}")):
            put_field(body, wire, value)


def map_tools(call: Call, body: dict[str, Any], fields: Mapping[str, str], profile: Profile) -> None:
    """Tools and how they are chosen. Raises ServiceError INVALID_REQUEST for a schema that is no object."""
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
        map_tool(tool, f"tools[{n}]", strict="tools.strict" in fields) for n, tool in enumerate(tools)
    ]
    if wire and choice_value:
        body[wire] = choice_value


def map_tool(tool: Tool, path: str, *, strict: bool) -> dict[str, object]:
    """One tool. Raises ServiceError INVALID_REQUEST for a schema that is no object."""
    function: dict[str, object] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = parameters_of(tool, path)
    if strict and tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def parameters_of(tool: Tool, path: str) -> msgspec.Raw:
    """Its schema, which all wires want. Raises ServiceError INVALID_REQUEST for one that is no object."""
    schema = tool.parameters_json_schema
    return verbatim_object(schema, f"{path}.parameters_json_schema") if schema else NO_PARAMETERS


def map_call(call: ToolCall) -> dict[str, object]:
    """A call in the history."""
    function = {"name": call.name, "arguments": call.arguments_json or "{}"}
    return {"id": call.id, "type": "function", "function": function}


def role_of(role: Role, *, developer: str = "system") -> str:
    """Who speaks; `developer` is the word for developers where the wire has one."""
    match role:
        case Role.DEVELOPER:
            return developer
        case Role.SYSTEM:
            return "system"
        case Role.USER:
            return "user"
        case Role.ASSISTANT:
            return "assistant"
        case Role.TOOL:
            return "tool"
        case _:
            assert_never(role)


def map_format(call: Call, body: dict[str, Any], fields: Mapping[str, str], profile: Profile) -> None:
    """The form of the output. Raises ServiceError INVALID_REQUEST for a schema that is no object."""
    wire = fields.get(format_path(call))
    if wire is None:
        return
    match call.output_format:
        case None:
            return
        case JsonObject():
            value: object = {"type": "json_object"}
        case JsonSchema() as wanted:
            schema = _map_schema(wanted)
            value = (
                {"type": "json_object", "value": schema["schema"]}
                if profile.schema_as_value
                else {"type": "json_schema", "json_schema": schema}
            )
        case Regex(text) | Grammar(text):
            value = text
        case Choice(values):
            value = values
        case _:
            assert_never(call.output_format)
    put_field(body, wire, value)


def schema_name(wanted: JsonSchema) -> str:
    """The schema's name in the letters that are taken; the wire wants one."""
    return _UNSAFE_NAME.sub("_", wanted.name)[:64] or _SCHEMA_NAME


def _map_schema(wanted: JsonSchema) -> dict[str, object]:
    schema: dict[str, object] = {"name": schema_name(wanted)}
    if wanted.description:
        schema["description"] = wanted.description
    schema["schema"] = verbatim_object(wanted.schema_json, "output_format.json_schema.schema_json")
    if wanted.strict is not None:
        schema["strict"] = wanted.strict
    return schema
