"""A call -> the body of a request. Only what the profile takes is written; `support` reports the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, assert_never

import msgspec

from pointsman_server.context import Attempt
from pointsman_server.domain import (
    Call,
    Conversation,
    Generation,
    JsonSchema,
    Message,
    Prompt,
    ReasoningConfig,
    TokenIds,
    Tool,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
    ToolResult,
)
from pointsman_server.upstreams.dialects.bedrock.messages import map_messages, map_system
from pointsman_server.upstreams.translation.bodies import put_field
from pointsman_server.upstreams.translation.chat_fields import NO_PARAMETERS, parameters_of
from pointsman_server.upstreams.translation.options import add_fields
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.requests import encoded
from pointsman_server.upstreams.translation.support import SCALARS, effort_of, format_path, wire_fields
from pointsman_server.upstreams.translation.thinking import SMALLEST_BUDGET, thinking_of
from pointsman_server.upstreams.translation.verbatim import invalid, verbatim_object

_OWN = frozenset(
    {
        "messages", "system", "toolConfig", "promptVariables", "modelId", "inferenceConfig.maxTokens",
        "additionalModelRequestFields.max_tokens",
    }
)  # fmt: skip
"""The adapter's, whatever the call; no caller's option replaces them. A prompt kept at AWS brings its own model."""


def encode_body(attempt: Attempt, profile: Profile) -> bytes:
    """The body. Raises ServiceError INVALID_REQUEST for what cannot be expressed.

    Spaced as Python's json module does it, as AWS's own client for Python does: so its signatures can be compared.
    """
    call, model = attempt.call, attempt.target.model
    fields = wire_fields(call, profile)
    body: dict[str, Any] = {}
    messages: Sequence[Message] = ()
    match call.input:
        case Conversation(messages):
            body["messages"] = map_messages(messages, profile, model)
            if system := map_system(messages, profile):
                body["system"] = system
        case Prompt(text):
            body["messages"] = [{"role": "user", "content": [{"text": text}]}]
        case TokenIds():
            raise invalid("token_ids", "are not taken by this provider")
        case _:
            assert_never(call.input)
    _map_generation(call.generation, body, fields, profile)
    if tools := _map_tools(call, messages, fields):
        body["toolConfig"] = tools
    _map_format(call, body, fields)
    _map_rest(call, body, fields)
    if call.provider_options:
        add_fields(body, call, profile, fields, _OWN)
        if more := body.pop("tools", None):
            body.setdefault("toolConfig", {"tools": []})["tools"] += more
    return msgspec.json.format(encoded(body), indent=0)


def _map_generation(
    generation: Generation, body: dict[str, Any], fields: Mapping[str, str], profile: Profile
) -> None:
    for name in SCALARS:
        value = getattr(generation, name)
        if value is not None and (wire := fields.get(f"generation.{name}")):
            put_field(body, wire, value)
    if generation.stop_sequences and (wire := fields.get("generation.stop_sequences")):
        put_field(body, wire, generation.stop_sequences)
    if generation.reasoning is not None:
        limit = generation.max_output_tokens or 4 * SMALLEST_BUDGET
        _map_reasoning(generation.reasoning, body, fields, profile, limit)


def _map_reasoning(
    config: ReasoningConfig, body: dict[str, Any], fields: Mapping[str, str], profile: Profile, limit: int
) -> None:
    if thinking := thinking_of(config, fields, profile, limit):
        put_field(body, "additionalModelRequestFields.thinking", thinking)
    if (effort := effort_of(config, fields, profile)) is not None:
        put_field(body, fields["generation.reasoning.effort"], effort)


def _map_tools(call: Call, messages: Sequence[Message], fields: Mapping[str, str]) -> dict[str, Any]:
    """The tools that are offered. Where none are but the history has some, they must be named all the same."""
    choice = call.tool_choice or ToolChoice()
    used = _used(messages)
    offered = call.tools if "tools" in fields else ()
    none = choice.mode is ToolChoiceMode.NONE
    if (none or not offered) and not used:
        return {}
    strict = "tools.strict" in fields
    wanted = {} if none else _map_choice(choice) if "tool_choice.mode" in fields else {}
    allowed = choice.allowed_tools if "tool_choice.allowed_tools" in fields and not none else ()
    if len(allowed) == 1 and "any" in wanted:
        wanted = {"tool": {"name": allowed[0]}}
    elif allowed:
        offered = tuple(tool for tool in offered if tool.name in allowed)
    tools = [_map_tool(tool, f"tools[{n}]", strict=strict) for n, tool in enumerate(offered)]
    if not tools:
        tools = [{"toolSpec": {"name": name, "inputSchema": {"json": NO_PARAMETERS}}} for name in used]
    if not tools:
        return {}
    return {"tools": tools, "toolChoice": wanted} if wanted and offered else {"tools": tools}


def _used(messages: Sequence[Message]) -> list[str]:
    """The names of the tools in the history, as the history tells them."""
    contents = [part.content for message in messages for part in message.parts]
    names = [content.name for content in contents if isinstance(content, ToolCall)]
    if not names:
        names = [content.name or "tool" for content in contents if isinstance(content, ToolResult)]
    return list(dict.fromkeys(names))


def _map_choice(choice: ToolChoice) -> dict[str, Any]:
    """The wire has no word for none."""
    match choice.mode:
        case None | ToolChoiceMode.NONE:
            return {}
        case ToolChoiceMode.AUTO:
            return {"auto": {}}
        case ToolChoiceMode.REQUIRED:
            return {"any": {}}
        case _:
            assert_never(choice.mode)


def _map_tool(tool: Tool, path: str, *, strict: bool) -> dict[str, object]:
    mapped: dict[str, object] = {"name": tool.name}
    if tool.description:
        mapped["description"] = tool.description
    mapped["inputSchema"] = {"json": parameters_of(tool, path)}
    if strict and tool.strict is not None:
        mapped["strict"] = tool.strict
    return {"toolSpec": mapped}


def _map_format(call: Call, body: dict[str, Any], fields: Mapping[str, str]) -> None:
    """The schema goes as a text inside of the text."""
    wanted = call.output_format
    if not isinstance(wanted, JsonSchema) or (wire := fields.get(format_path(call))) is None:
        return
    verbatim_object(wanted.schema_json, "output_format.json_schema.schema_json")
    schema = {"schema": wanted.schema_json}
    if wanted.name:
        schema["name"] = wanted.name
    if wanted.description:
        schema["description"] = wanted.description
    put_field(body, wire, {"type": "json_schema", "structure": {"jsonSchema": schema}})


def _map_rest(call: Call, body: dict[str, Any], fields: Mapping[str, str]) -> None:
    """Both are kept in the log of invocations, where they can be looked for."""
    if call.provider_metadata and (wire := fields.get("provider_metadata")):
        body[wire] = dict(call.provider_metadata)
    if call.end_user_id and (wire := fields.get("end_user_id")):
        put_field(body, wire, call.end_user_id)
