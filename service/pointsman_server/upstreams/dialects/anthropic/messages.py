"""Turns of a conversation -> messages of the wire, and the system's words ahead of them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any, assert_never

from pointsman_server.domain import (
    Media,
    MediaKind,
    Message,
    Part,
    ProviderPart,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from pointsman_server.upstreams.translation.addresses import verbatim_part
from pointsman_server.upstreams.translation.media import inline_base64, is_inline
from pointsman_server.upstreams.translation.media_urls import media_url_fault
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
"""A content block: an object, or a provider part's own JSON."""
_CACHE = {"type": "ephemeral"}
_FOREIGN = re.compile(r"[^A-Za-z0-9_-]", re.ASCII)
"""What an id of a call must not hold."""


def map_system(messages: Sequence[Message], profile: Profile) -> str | list[Block]:
    """The system's words; one text stays a string."""
    blocks: list[Block] = []
    for path, part in system_parts(messages):
        if isinstance(part.content, Text) and part.content.text:
            blocks.append(_marked(part, {"type": "text", "text": part.content.text}, profile))
        elif isinstance(part.content, ProviderPart) and part.content.dialect == profile.dialect:
            blocks.append(verbatim_part(part.content.json, f"{path}.provider_part.json"))
    return _short(blocks)


def map_messages(messages: Sequence[Message], profile: Profile, model: str) -> list[dict[str, Any]]:
    """The wire's messages. Raises ServiceError INVALID_REQUEST when nothing is left to say."""
    mapped = []
    for turn in turns_of(messages, strict=False):
        if blocks := _map_turn(turn, profile, model):
            content = _short(blocks)
            mapped.append({"role": "assistant" if turn.assistant else "user", "content": content})
    if not mapped:
        raise invalid("conversation.messages", "hold nothing that this provider takes")
    return mapped


def _short(blocks: list[Block]) -> str | list[Block]:
    """A text without anything beside it is a string: the wire's own short form of one block."""
    if len(blocks) == 1 and isinstance(blocks[0], dict) and blocks[0].keys() == {"type", "text"}:
        text = blocks[0]["text"]
        return text if isinstance(text, str) else blocks
    return blocks


def _map_turn(turn: Turn, profile: Profile, model: str) -> list[Block]:
    blocks = []
    for path, part in turn.parts:
        block = _map_part(part, path, profile, model)
        # Empty texts are refused, and say nothing beside others; one that is all there is, is the caller's to mend.
        if block is not None and (block != {"type": "text", "text": ""} or len(turn.parts) == 1):
            blocks.append(_marked(part, block, profile))
    return blocks


def _marked(part: Part, block: Block, profile: Profile) -> Block:
    if asks_breakpoint(part) and takes_breakpoint(part, profile):
        return {**block, "cache_control": _CACHE}
    return block


def _map_part(part: Part, path: str, profile: Profile, model: str) -> Block | None:
    match content := part.content:
        case Text(text) | Refusal(text):
            return {"type": "text", "text": text}
        case Reasoning(text):
            # Without its signature it cannot be told from an invented one, and is refused.
            if not takes_signature(part, profile, model):
                return None
            return {"type": "thinking", "thinking": text, "signature": _signature(part, path)}
        case ToolCall():
            return _map_call(content, f"{path}.tool_call")
        case ToolResult():
            return _map_result(content, f"{path}.tool_result", profile, model)
        case Media():
            return _map_media(content, f"{path}.{content.kind.value}")
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


def _map_call(call: ToolCall, path: str) -> Block:
    arguments = verbatim_object(call.arguments_json or "{}", f"{path}.arguments_json")
    return {"type": "tool_use", "id": plain_tool_id(call.id, _FOREIGN), "name": call.name, "input": arguments}


def _map_result(result: ToolResult, path: str, profile: Profile, model: str) -> Block:
    blocks = []
    for position, part in enumerate(result.parts):
        block = _map_part(part, f"{path}.parts[{position}]", profile, model)
        if block is not None and (block != {"type": "text", "text": ""} or len(result.parts) == 1):
            blocks.append(block)
    call_id = plain_tool_id(result.tool_call_id, _FOREIGN)
    mapped: dict[str, Any] = {"type": "tool_result", "tool_use_id": call_id}
    if blocks:
        mapped["content"] = _short(blocks)
    if result.is_error:
        mapped["is_error"] = True
    return mapped


def _map_media(media: Media, path: str) -> Block:
    inline = is_inline(media)
    if not inline and (fault := media_url_fault(media.url)):
        raise invalid(f"{path}.url", fault)
    match media.kind:
        case MediaKind.IMAGE:
            return {"type": "image", "source": _base64(media, path) if inline else _address(media)}
        case MediaKind.FILE:
            block = {"type": "document", "source": _document(media, path) if inline else _address(media)}
            return {**block, "title": media.filename} if media.filename else block
        case MediaKind.AUDIO:
            raise invalid(path, "is not taken by this provider")
        case _:
            assert_never(media.kind)


def _address(media: Media) -> Block:
    return {"type": "url", "url": media.url}


def _base64(media: Media, path: str) -> Block:
    media_type, data = inline_base64(media, path)
    return {"type": "base64", "media_type": media_type.lower().partition(";")[0].strip(), "data": data}


def _document(media: Media, path: str) -> Block:
    """Text documents are told as text, all others (PDF) in base64."""
    source = _base64(media, path)
    if not source["media_type"].startswith("text/"):
        return source
    try:
        text = base64.b64decode(source["data"]).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise invalid(path, "is not text in UTF-8, as its media type says") from None
    return {"type": "text", "media_type": "text/plain", "data": text}
