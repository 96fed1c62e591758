"""A call -> the body of a request. Only what the profile takes is written; `support` reports the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, assert_never

from pointsman_server.context import Attempt
from pointsman_server.domain import (
    Call,
    Conversation,
    Generation,
    JsonObject,
    JsonSchema,
    Media,
    Message,
    Part,
    Prompt,
    ProviderPart,
    Reasoning,
    ReasoningConfig,
    Refusal,
    Role,
    Text,
    TokenIds,
    ToolCall,
    ToolChoiceMode,
    ToolResult,
)
from pointsman_server.upstreams.translation.bodies import put_field
from pointsman_server.upstreams.translation.chat_fields import map_tool, role_of
from pointsman_server.upstreams.translation.media import inline_base64
from pointsman_server.upstreams.translation.options import add_fields
from pointsman_server.upstreams.translation.parts import result_texts
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.requests import encoded
from pointsman_server.upstreams.translation.support import (
    SCALARS,
    effort_of,
    format_path,
    is_chat,
    mode_of,
    takes_media,
    wire_fields,
)
from pointsman_server.upstreams.translation.verbatim import invalid, verbatim_object

_OWN = frozenset(
    {"model", "messages", "prompt", "images", "raw", "stream", "logprobs", "options.num_predict"}
)
"""The adapter's, whatever the profile; no caller's option replaces them."""


def encode_body(attempt: Attempt, profile: Profile, *, stream: bool) -> bytes:
    """The body. Raises ServiceError INVALID_REQUEST for what cannot be expressed."""
    call = attempt.call
    fields = wire_fields(call, profile)
    # Streaming is the default there, so that its absence must be said.
    body: dict[str, Any] = {"model": attempt.target.model, "stream": stream}
    _map_input(call, body, profile)
    _map_generation(call.generation, body, fields, profile)
    if call.output_format is not None:
        _map_format(call, body, fields)
    if call.provider_options:
        add_fields(body, call, profile, fields, _OWN)
    return encoded(body)


def _map_input(call: Call, body: dict[str, Any], profile: Profile) -> None:
    match call.input:
        case Conversation(messages):
            body["messages"] = _map_messages(messages, profile)
            body["tools"] = _map_tools(call, profile)
        case Prompt(text) if is_chat(call, profile):
            body["messages"] = [{"role": "user", "content": text}]
        case Prompt(text):
            # Raw: without the model's own template around it.
            body["prompt"], body["raw"] = text, True
        case TokenIds():
            raise invalid("token_ids", "cannot be sent to this provider")
        case _:
            assert_never(call.input)


def _map_messages(messages: Iterable[Message], profile: Profile) -> list[dict[str, Any]]:
    mapped: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    for position, message in enumerate(messages):
        for part in message.parts:
            if isinstance(part.content, ToolCall):
                names[part.content.id] = part.content.name
            elif isinstance(part.content, ToolResult):
                mapped.append(_map_result(part.content, names))
        mapped.extend(_map_message(message, f"conversation.messages[{position}]", profile))
    if not mapped:
        raise invalid("conversation.messages", "hold nothing that this provider takes")
    return mapped


def _map_message(message: Message, path: str, profile: Profile) -> Iterator[dict[str, Any]]:
    mapped: dict[str, Any] = {"role": role_of(message.role)}
    texts = list(_texts(message.parts))
    if texts:
        mapped["content"] = "".join(texts)
    images = list(_map_images(message.parts, path, profile))
    if images:
        mapped["images"] = images
    thoughts = [part.content.text for part in message.parts if isinstance(part.content, Reasoning)]
    if any(thoughts) and message.role is Role.ASSISTANT:
        mapped[profile.reasoning_history] = "".join(thoughts)
    calls = [
        _map_call(part.content, f"{path}.parts[{position}].tool_call")
        for position, part in enumerate(message.parts)
        if isinstance(part.content, ToolCall)
    ]
    if calls:
        mapped["tool_calls"] = calls
    if len(mapped) > 1:
        yield mapped


def _texts(parts: Iterable[Part]) -> Iterator[str]:
    for part in parts:
        match part.content:
            case Text(text) | Refusal(text):
                yield text
            case Media() | Reasoning() | ToolCall() | ToolResult() | ProviderPart():
                pass
            case _:
                assert_never(part.content)


def _map_images(parts: Iterable[Part], path: str, profile: Profile) -> Iterator[str]:
    """Bare base64, without what kind of image it is."""
    for position, part in enumerate(parts):
        if isinstance(part.content, Media):
            here = f"{path}.parts[{position}].{part.content.kind.value}"
            if not takes_media(part.content, profile):
                raise invalid(here, "is not taken by this provider in this form")
            yield inline_base64(part.content, here)[1]


def _map_call(call: ToolCall, path: str) -> dict[str, object]:
    """Arguments are an object there; ids are the caller's own affair: results are told by the tool's name."""
    arguments = verbatim_object(call.arguments_json or "{}", f"{path}.arguments_json")
    return {"function": {"name": call.name, "arguments": arguments}}


def _map_result(result: ToolResult, names: Mapping[str, str]) -> dict[str, object]:
    mapped: dict[str, object] = {"role": "tool", "content": "".join(result_texts(result))}
    if name := result.name or names.get(result.tool_call_id, ""):
        mapped["tool_name"] = name
    return mapped


def _map_generation(
    generation: Generation, body: dict[str, Any], fields: Mapping[str, str], profile: Profile
) -> None:
    for name in SCALARS:
        value = getattr(generation, name)
        if value is not None and (wire := fields.get(f"generation.{name}")):
            put_field(body, wire, value)
    if generation.top_logprobs is not None and "top_logprobs" in body:
        body["logprobs"] = True
    if generation.stop_sequences and (wire := fields.get("generation.stop_sequences")):
        put_field(body, wire, generation.stop_sequences)
    if generation.reasoning is not None:
        _map_reasoning(generation.reasoning, body, fields, profile)


def _map_reasoning(
    config: ReasoningConfig, body: dict[str, Any], fields: Mapping[str, str], profile: Profile
) -> None:
    """One field for both: off is off, and an effort says on by itself."""
    mode, effort = mode_of(config, fields, profile), effort_of(config, fields, profile)
    if effort is not None and mode is not False:
        body[fields["generation.reasoning.effort"]] = effort
    elif mode is not None:
        body[fields["generation.reasoning.mode"]] = mode


def _map_tools(call: Call, profile: Profile) -> list[dict[str, object]]:
    """No choice can be told: none is no tool to choose from, and a subset is what is offered."""
    choice = call.tool_choice
    if "tools" not in profile.fields or (choice is not None and choice.mode is ToolChoiceMode.NONE):
        return []
    allowed = (
        choice.allowed_tools if choice is not None and "tool_choice.allowed_tools" in profile.fields else ()
    )
    return [
        map_tool(tool, f"tools[{position}]", strict=False)
        for position, tool in enumerate(call.tools)
        if not allowed or tool.name in allowed
    ]


def _map_format(call: Call, body: dict[str, Any], fields: Mapping[str, str]) -> None:
    wire = fields.get(format_path(call))
    match call.output_format:
        case JsonObject() if wire:
            body[wire] = "json"
        case JsonSchema(schema_json=schema) if wire:
            body[wire] = verbatim_object(schema, "output_format.json_schema.schema_json")
        case _:
            return
