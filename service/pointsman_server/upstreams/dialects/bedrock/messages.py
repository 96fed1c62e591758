"""Turns of a conversation -> messages of the wire, on which user and assistant take turns; and the system's words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, assert_never

import msgspec

from pointsman_server.domain import (
    Media,
    Message,
    Part,
    ProviderPart,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from pointsman_server.errors import ServiceError
from pointsman_server.upstreams.dialects.bedrock.media import map_media
from pointsman_server.upstreams.translation.addresses import verbatim_part
from pointsman_server.upstreams.translation.parts import plain_tool_id
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.support import (
    asks_breakpoint,
    takes_breakpoint,
    takes_provider_part,
    takes_signature,
)
from pointsman_server.upstreams.translation.turns import Turn, system_parts, turns_of
from pointsman_server.upstreams.translation.verbatim import invalid, verbatim_object

Block = Any
"""A content block: an object with one member, or a provider part's own JSON."""
_CACHE = {"cachePoint": {"type": "default"}}
_FOREIGN = re.compile(r"[^A-Za-z0-9_.:-]", re.ASCII)
"""What an id of a call must not hold."""


def map_system(messages: Sequence[Message], profile: Profile) -> list[Block]:
    """The system's words."""
    blocks: list[Block] = []
    for path, part in system_parts(messages):
        if isinstance(part.content, Text) and part.content.text:
            blocks.append({"text": part.content.text})
        elif isinstance(part.content, ProviderPart) and part.content.dialect == profile.dialect:
            blocks.append(verbatim_part(part.content.json, f"{path}.provider_part.json"))
        if blocks and asks_breakpoint(part) and takes_breakpoint(part, profile):
            blocks.append(_CACHE)
    return blocks


def map_messages(messages: Sequence[Message], profile: Profile, model: str) -> list[dict[str, Any]]:
    """The wire's messages. Raises ServiceError INVALID_REQUEST when nothing is left to say."""
    mapped: list[dict[str, Any]] = []
    names: set[str] = set()
    for turn in turns_of(messages, strict=True):
        if not (blocks := _map_turn(turn, profile, model, names)):
            continue
        role = "assistant" if turn.assistant else "user"
        # A turn of which nothing was left may have stood between two of one speaker.
        if mapped and mapped[-1]["role"] == role:
            mapped[-1]["content"] += blocks
        else:
            mapped.append({"role": role, "content": blocks})
    if not mapped:
        raise invalid("conversation.messages", "hold nothing that this provider takes")
    return mapped


def _map_turn(turn: Turn, profile: Profile, model: str, names: set[str]) -> list[Block]:
    blocks = []
    for path, part in turn.parts:
        block = _map_part(part, path, profile, model, names)
        # Empty texts are refused, and say nothing beside others; one that is all there is, is the caller's to mend.
        if block is not None and (block != {"text": ""} or len(turn.parts) == 1):
            blocks.append(block)
        if blocks and asks_breakpoint(part) and takes_breakpoint(part, profile):
            blocks.append(_CACHE)
    return blocks


def _map_part(part: Part, path: str, profile: Profile, model: str, names: set[str]) -> Block | None:
    match content := part.content:
        case Text(text) | Refusal(text):
            return {"text": text}
        case Reasoning(text):
            if not takes_signature(part, profile, model):
                return None
            signed = {"text": text, "signature": _signature(part, path)}
            return {"reasoningContent": {"reasoningText": signed}}
        case ToolCall():
            return {"toolUse": _map_call(content, f"{path}.tool_call")}
        case ToolResult():
            return {"toolResult": _map_result(content, f"{path}.tool_result", profile, model, names)}
        case Media():
            return map_media(content, f"{path}.{content.kind.value}", profile, names)
        case ProviderPart():
            if not takes_provider_part(part, profile, model):
                return None
            return verbatim_part(content.json, f"{path}.provider_part.json")
        case _:
            assert_never(content)


def _signature(part: Part, path: str) -> str:
    try:
        return part.signature.decode()
    except UnicodeDecodeError:
        raise invalid(f"{path}.signature", "is not what this provider signs with") from None


def _map_call(call: ToolCall, path: str) -> dict[str, Any]:
    arguments = verbatim_object(call.arguments_json or "{}", f"{path}.arguments_json")
    return {"toolUseId": plain_tool_id(call.id, _FOREIGN), "name": call.name, "input": arguments}


def _map_result(
    result: ToolResult, path: str, profile: Profile, model: str, names: set[str]
) -> dict[str, Any]:
    """Content is demanded, be it empty."""
    blocks = []
    for position, part in enumerate(result.parts):
        if isinstance(part.content, Text):
            blocks.append(_told(part.content.text))
        elif (block := _map_part(part, f"{path}.parts[{position}]", profile, model, names)) is not None:
            blocks.append(block)
    mapped = {"toolUseId": plain_tool_id(result.tool_call_id, _FOREIGN), "content": blocks or [{"text": ""}]}
    if result.is_error:
        mapped["status"] = "error"
    return mapped


def _told(text: str) -> dict[str, str | msgspec.Raw]:
    """What a tool says; a text that is a JSON object is told as one. Of other JSON the wire takes none."""
    if text.lstrip().startswith("{"):
        try:
            return {"json": verbatim_object(text, "")}
        except ServiceError:
            pass
    return {"text": text}
