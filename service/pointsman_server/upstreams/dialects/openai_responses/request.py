"""A call -> the body of a request. Only what the profile takes is written; `support` reports the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    ReasoningSummary,
    Regex,
    TokenIds,
    Tool,
    ToolChoice,
    ToolChoiceMode,
    Verbosity,
)
from pointsman_server.upstreams.dialects.openai_responses.items import map_items
from pointsman_server.upstreams.translation.bodies import put_field
from pointsman_server.upstreams.translation.chat_fields import parameters_of, schema_name
from pointsman_server.upstreams.translation.options import add_fields
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.requests import encoded
from pointsman_server.upstreams.translation.support import (
    SCALARS,
    effort_of,
    format_path,
    mode_of,
    wire_fields,
)
from pointsman_server.upstreams.translation.verbatim import invalid, verbatim_object

_WORDS = msgspec.json.Decoder(list[str])
_SEALED, _LOGPROBS = "reasoning.encrypted_content", "message.output_text.logprobs"
_OWN = frozenset({"model", "input", "instructions", "stream", "background", "text.format"})
"""The adapter's, whatever the profile; no caller's option replaces them."""


def encode_body(attempt: Attempt, profile: Profile, *, stream: bool) -> bytes:
    """The body. Raises ServiceError INVALID_REQUEST for what cannot be expressed."""
    call = attempt.call
    fields = wire_fields(call, profile)
    body: dict[str, Any] = {"model": attempt.target.model}
    match call.input:
        case Conversation(messages):
            instructions, body["input"] = map_items(messages, profile, attempt.target.model)
            if instructions:
                body["instructions"] = instructions
        case Prompt(text):
            body["input"] = [{"role": "user", "content": text}]
        case TokenIds():
            raise invalid("token_ids", "cannot be sent to this provider")
        case _:
            assert_never(call.input)
    if stream:
        body["stream"] = True
    _map_generation(call.generation, body, fields, profile)
    if call.tools and "tools" in fields:
        _map_tools(call, body, fields)
    if call.output_format is not None:
        _map_format(call, body, fields)
    if call.end_user_id and (wire := fields.get("end_user_id")):
        body[wire] = call.end_user_id
    if call.provider_metadata and (wire := fields.get("provider_metadata")):
        body[wire] = dict(call.provider_metadata)
    if call.provider_options:
        # What else is included is the caller's to choose: the list is joined with ours.
        free = {path: wire for path, wire in fields.items() if wire != "include"}
        add_fields(body, call, profile, free, _OWN)
    body.setdefault("store", False)
    _include(call, body, fields, profile)
    return encoded(body)


def _include(call: Call, body: dict[str, Any], fields: Mapping[str, str], profile: Profile) -> None:
    """Sealed reasoning where the caller wants reasoning told; current servers send it in any case, older ones do not.

    Not always, since models that do not reason refuse the word.
    """
    generation, wanted = call.generation, []
    config = generation.reasoning
    if config is not None and config.include and "generation.reasoning.include" in fields:
        wanted.append(_SEALED)
    if generation.top_logprobs is not None and "generation.top_logprobs" in fields:
        wanted.append(_LOGPROBS)
    if "include" in body:
        wanted.extend(word for word in _words(body["include"], profile) if word not in wanted)
    if wanted:
        body["include"] = wanted


def _words(value: msgspec.Raw, profile: Profile) -> Iterable[str]:
    try:
        return _WORDS.decode(value)
    except msgspec.DecodeError:
        path = f"provider_options[{profile.dialect}].body_json.include"
        raise invalid(path, "must be a list of texts") from None


def _map_generation(
    generation: Generation, body: dict[str, Any], fields: Mapping[str, str], profile: Profile
) -> None:
    for name in SCALARS:
        value = getattr(generation, name)
        if value is not None and (wire := fields.get(f"generation.{name}")):
            put_field(body, wire, value.value.lower() if isinstance(value, Verbosity) else value)
    if not generation.top_logprobs:
        # None but those of the chosen tokens: `include` alone says so.
        body.pop("top_logprobs", None)
    if generation.reasoning is not None:
        _map_reasoning(generation.reasoning, body, fields, profile)


def _map_reasoning(
    config: ReasoningConfig, body: dict[str, Any], fields: Mapping[str, str], profile: Profile
) -> None:
    """No reasoning is an effort too. What can be told of reasoning is its summary."""
    mode, effort = mode_of(config, fields, profile), effort_of(config, fields, profile)
    if mode is not None:
        put_field(body, fields["generation.reasoning.mode"], mode)
    elif effort is not None:
        put_field(body, fields["generation.reasoning.effort"], effort)
    summary = config.summary
    if summary is None and config.include and "generation.reasoning.include" in fields:
        summary = ReasoningSummary.AUTO
    if summary is not None and (wire := fields.get("generation.reasoning.summary")):
        put_field(body, wire, summary.value.lower())


def _map_tools(call: Call, body: dict[str, Any], fields: Mapping[str, str]) -> None:
    choice = call.tool_choice or ToolChoice()
    parallel = fields.get("tool_choice.parallel_calls")
    if parallel and choice.parallel_calls is not None:
        body[parallel] = choice.parallel_calls
    allowed = choice.allowed_tools if "tool_choice.allowed_tools" in fields else ()
    tools, wire = call.tools, fields.get("tool_choice.mode")
    if wire:
        value = _map_choice(choice, allowed)
        if value is not None:
            body[wire] = value
    elif choice.mode is ToolChoiceMode.NONE:
        return
    elif allowed:
        tools = tuple(tool for tool in tools if tool.name in allowed)
    strict = "tools.strict" in fields
    body["tools"] = [_map_tool(tool, f"tools[{n}]", strict=strict) for n, tool in enumerate(tools)]


def _map_choice(choice: ToolChoice, allowed: tuple[str, ...]) -> object:
    word = None if choice.mode is None else choice.mode.value.lower()
    if not allowed or choice.mode is ToolChoiceMode.NONE:
        return word
    offered = [{"type": "function", "name": name} for name in allowed]
    if len(offered) == 1 and choice.mode is ToolChoiceMode.REQUIRED:
        return offered[0]
    return {"type": "allowed_tools", "mode": word or "auto", "tools": offered}


def _map_tool(tool: Tool, path: str, *, strict: bool) -> dict[str, object]:
    """Strict must be denied, since it is the default there, and refuses many a schema that is fine elsewhere."""
    mapped: dict[str, object] = {"type": "function", "name": tool.name}
    if tool.description:
        mapped["description"] = tool.description
    mapped["parameters"] = parameters_of(tool, path)
    mapped["strict"] = bool(strict and tool.strict)
    return mapped


def _map_format(call: Call, body: dict[str, Any], fields: Mapping[str, str]) -> None:
    wire = fields.get(format_path(call))
    if wire is None:
        return
    match call.output_format:
        case None | Regex() | Grammar() | Choice():
            return
        case JsonObject():
            value: dict[str, object] = {"type": "json_object"}
        case JsonSchema() as wanted:
            value = _map_schema(wanted)
        case _:
            assert_never(call.output_format)
    put_field(body, wire, value)


def _map_schema(wanted: JsonSchema) -> dict[str, object]:
    schema: dict[str, object] = {
        "type": "json_schema",
        "name": schema_name(wanted),
        "schema": verbatim_object(wanted.schema_json, "output_format.json_schema.schema_json"),
    }
    if wanted.description:
        schema["description"] = wanted.description
    if wanted.strict is not None:
        schema["strict"] = wanted.strict
    return schema
