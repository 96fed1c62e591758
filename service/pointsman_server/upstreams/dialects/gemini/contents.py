"""Turns of a conversation -> contents of the wire, whose two speakers are user and model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, assert_never

import msgspec

from pointsman_server.domain import (
    SYSTEM_ROLES,
    Media,
    Message,
    Part,
    ProviderPart,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from pointsman_server.errors import ServiceError
from pointsman_server.upstreams.translation.addresses import verbatim_part
from pointsman_server.upstreams.translation.media import inline_base64, is_inline, media_type_of
from pointsman_server.upstreams.translation.media_urls import media_url_fault
from pointsman_server.upstreams.translation.parts import tool_names
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.support import takes_media, takes_provider_part, takes_signature
from pointsman_server.upstreams.translation.verbatim import invalid, members, verbatim_object

_NO_ARGUMENTS = msgspec.Raw(b"{}")
_NO_NAME = "tool"
"""The wire wants a name even where neither the result nor the history has one."""

Wire = dict[str, Any]


def map_system(messages: Iterable[Message], profile: Profile, model: str) -> list[Wire | msgspec.Raw]:
    """What system and developer say, wherever they say it: the wire has one place for it."""
    return [
        mapped
        for position, message in enumerate(messages)
        if message.role in SYSTEM_ROLES
        for mapped in _map_said(message, f"conversation.messages[{position}]", profile, model)
    ]


def map_contents(messages: Sequence[Message], profile: Profile, model: str) -> list[Wire]:
    """The contents. Raises ServiceError INVALID_REQUEST when nothing is left to say.

    Results of tools follow their calls in one turn, however many messages told them.
    """
    contents: list[Wire] = []
    results: list[Wire] | None = None
    names = tool_names(messages)
    for position, message in enumerate(messages):
        path = f"conversation.messages[{position}]"
        if message.role in SYSTEM_ROLES:
            continue
        if message.role is Role.ASSISTANT:
            results = None
            _add(contents, "model", list(_map_spoken(message, path, profile, model)))
            continue
        told = [_map_result(result, names, here, profile, model) for here, result in _results(message, path)]
        if results is None and told:
            results = []
            contents.append({"role": "user", "parts": results})
        if results is not None:
            results += told
        if said := list(_map_said(message, path, profile, model)):
            results = None
            _add(contents, "user", said)
    if not contents:
        raise invalid("conversation.messages", "hold nothing that this provider takes")
    return contents


def _add(contents: list[Wire], role: str, parts: list[Wire | msgspec.Raw]) -> None:
    if parts:
        contents.append({"role": role, "parts": parts})


def _results(message: Message, path: str) -> Iterator[tuple[str, ToolResult]]:
    for number, part in enumerate(message.parts):
        if isinstance(part.content, ToolResult):
            yield f"{path}.parts[{number}].tool_result", part.content


def _map_said(message: Message, path: str, profile: Profile, model: str) -> Iterator[Wire | msgspec.Raw]:
    """What anybody but the model says, results of tools apart. A text without any would be refused."""
    for number, part in enumerate(message.parts):
        here = f"{path}.parts[{number}]"
        match part.content:
            case Text(text):
                if text:
                    yield {"text": text}
            case Media():
                yield map_media(part.content, f"{here}.{part.content.kind.value}", profile)
            case ProviderPart(json=json) if takes_provider_part(part, profile, model):
                yield verbatim_part(json, f"{here}.provider_part.json")
            case Reasoning() | Refusal() | ToolCall() | ToolResult() | ProviderPart():
                pass
            case _:
                assert_never(part.content)


def _map_spoken(message: Message, path: str, profile: Profile, model: str) -> Iterator[Wire | msgspec.Raw]:
    """What the model said. A signature goes back on the very part that it came with."""
    for number, part in enumerate(message.parts):
        here = f"{path}.parts[{number}]"
        if isinstance(part.content, ProviderPart):
            if takes_provider_part(part, profile, model):
                yield verbatim_part(part.content.json, f"{here}.provider_part.json")
            continue
        signed = takes_signature(part, profile, model)
        mapped = _map_spoken_part(part, here, profile, signed=signed)
        if mapped is None:
            continue
        if signed:
            mapped["thoughtSignature"] = part.signature.decode(errors="replace")
        yield mapped


def _map_spoken_part(part: Part, path: str, profile: Profile, *, signed: bool) -> Wire | None:
    match part.content:
        case Text(text) | Refusal(text):
            return {"text": text} if text or signed else None
        case Reasoning(text):
            if text and profile.reasoning_history:
                return {"text": text, profile.reasoning_history: True}
            # A signature whose text was empty: it closes a text that came before.
            return {"text": text} if signed else None
        case ToolCall():
            return {"functionCall": _map_call(part.content, f"{path}.tool_call")}
        case Media():
            return map_media(part.content, f"{path}.{part.content.kind.value}", profile)
        case ToolResult() | ProviderPart():
            return None
        case _:
            assert_never(part.content)


def _map_call(call: ToolCall, path: str) -> Wire:
    mapped: Wire = {"id": call.id} if call.id else {}
    mapped["name"] = call.name
    arguments = call.arguments_json
    mapped["args"] = verbatim_object(arguments, f"{path}.arguments_json") if arguments else _NO_ARGUMENTS
    return mapped


def _map_result(
    result: ToolResult, names: Mapping[str, str], path: str, profile: Profile, model: str
) -> Wire:
    mapped: Wire = {"id": result.tool_call_id} if result.tool_call_id else {}
    mapped["name"] = result.name or names.get(result.tool_call_id, "") or result.tool_call_id or _NO_NAME
    mapped["response"] = _map_response(result)
    media = list(_map_shown(result, path, profile, model))
    if media:
        mapped["parts"] = media
    return {"functionResponse": mapped}


def _map_shown(result: ToolResult, path: str, profile: Profile, model: str) -> Iterator[Wire | msgspec.Raw]:
    for number, part in enumerate(result.parts):
        here = f"{path}.parts[{number}]"
        if isinstance(part.content, Media):
            yield map_media(part.content, f"{here}.{part.content.kind.value}", profile)
        elif isinstance(part.content, ProviderPart) and takes_provider_part(part, profile, model):
            yield verbatim_part(part.content.json, f"{here}.provider_part.json")


def _map_response(result: ToolResult) -> Wire | msgspec.Raw:
    """An object as it is; any other text, and every error, under the key that says what it is."""
    text = "".join(part.content.text for part in result.parts if isinstance(part.content, Text))
    known = _members(text)
    told = text if known is None else msgspec.Raw(text.encode())
    if result.is_error and "error" not in (known or ()):
        return {"error": told or "the tool failed"}
    return {"output": told} if isinstance(told, str) else told


def _members(text: str) -> dict[str, msgspec.Raw] | None:
    """Of an object; None for any other text."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        return members(text, "")
    except ServiceError:
        return None


def map_media(media: Media, path: str, profile: Profile) -> Wire:
    """A part that shows it. Raises ServiceError INVALID_REQUEST for what is not taken in the way that it is given."""
    if not takes_media(media, profile):
        raise invalid(path, "is not taken by this provider in the way that it is given")
    if is_inline(media):
        media_type, data = inline_base64(media, path)
        return {"inlineData": {"mimeType": media_type, "data": data}}
    if fault := media_url_fault(media.url, profile.media_schemes):
        raise invalid(f"{path}.url", fault)
    file = {"fileUri": media.url}
    if kind := media.media_type or media_type_of(media.url):
        file["mimeType"] = kind
    return {"fileData": file}
