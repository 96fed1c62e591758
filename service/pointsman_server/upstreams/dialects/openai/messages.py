"""Turns of a conversation -> messages of the wire."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, assert_never

from pointsman_server.domain import (
    Media,
    MediaKind,
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
from pointsman_server.upstreams.translation.addresses import verbatim_part
from pointsman_server.upstreams.translation.chat_fields import map_call, role_of
from pointsman_server.upstreams.translation.media import data_url, is_inline
from pointsman_server.upstreams.translation.media_urls import media_url_fault
from pointsman_server.upstreams.translation.parts import fitted_tool_id, result_texts, tool_names
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.support import takes_provider_part, takes_signature
from pointsman_server.upstreams.translation.verbatim import invalid

_AUDIO_FORMATS = {"mpeg": "mp3", "mp3": "mp3", "wav": "wav", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav"}


def map_messages(messages: Sequence[Message], profile: Profile, model: str) -> list[dict[str, Any]]:
    """The wire's messages. Raises ServiceError INVALID_REQUEST when nothing is left to say."""
    names = tool_names(messages) if profile.tool_result_names else {}
    mapped: list[dict[str, Any]] = []
    for position, message in enumerate(messages):
        if message.role is not Role.ASSISTANT and len(message.parts) == 1:
            part = message.parts[0]
            if type(part.content) is Text:
                mapped.append(_said(message, profile, part.content.text))
                continue
        mapped.extend(_map_message(message, f"conversation.messages[{position}]", profile, names, model))
    if not mapped:
        raise invalid("conversation.messages", "hold nothing that this provider takes")
    if profile.answer_prefix and mapped[-1]["role"] == "assistant":
        mapped[-1]["prefix"] = True
    return mapped


def _map_message(
    message: Message, path: str, profile: Profile, names: Mapping[str, str], model: str
) -> Iterator[dict[str, Any]]:
    if message.role is Role.ASSISTANT:
        yield from _map_assistant(message, path, profile, model)
        return
    # Results go ahead of what else the turn says: they must stand right behind the calls that they answer.
    for part in message.parts:
        if isinstance(part.content, ToolResult):
            yield _map_result(part.content, profile, names)
    content = _content(message.parts, path, profile, model)
    if content:
        yield _said(message, profile, content)


def _said(message: Message, profile: Profile, content: object) -> dict[str, Any]:
    developer = "developer" if profile.developer_role else "system"
    mapped = {"role": role_of(message.role, developer=developer), "content": content}
    if message.name and profile.speaker_names:
        mapped["name"] = message.name
    return mapped


def _content(parts: Iterable[Part], path: str, profile: Profile, model: str) -> str | list[object]:
    """One text stays a string, since some servers take nothing else for a system or an assistant."""
    pieces: list[object] = []
    texts: list[str] = []
    for position, part in enumerate(parts):
        here = f"{path}.parts[{position}]"
        match part.content:
            case Text(text):
                texts.append(text)
                pieces.append({"type": "text", "text": text})
            case Refusal(text) if not profile.refusal_history:
                texts.append(text)
                pieces.append({"type": "text", "text": text})
            case Media():
                pieces.append(_map_media(part.content, f"{here}.{part.content.kind.value}", profile))
            case ProviderPart(json=json) if takes_provider_part(part, profile, model):
                pieces.append(verbatim_part(json, f"{here}.provider_part.json"))
            case Reasoning() | ToolCall() | ToolResult() | ProviderPart() | Refusal():
                pass
            case _:
                assert_never(part.content)
    if len(pieces) == len(texts) <= 1:
        return "".join(texts)
    return pieces


def _map_assistant(message: Message, path: str, profile: Profile, model: str) -> Iterator[dict[str, Any]]:
    calls = [_map_call(part.content, profile) for part in message.parts if isinstance(part.content, ToolCall)]
    thoughts = [part.content.text for part in message.parts if isinstance(part.content, Reasoning)]
    refusals = [part.content.text for part in message.parts if isinstance(part.content, Refusal)]
    content = _content(message.parts, path, profile, model)
    if profile.reasoning_history == "content" and (pieces := _map_thinking(message, profile, model)):
        content = [*pieces, *_as_pieces(content)]
    mapped = _said(message, profile, content or None)
    if not (content or profile.null_content):
        del mapped["content"]
    if any(thoughts) and profile.reasoning_history not in ("", "content"):
        mapped[profile.reasoning_history] = "".join(thoughts)
    if refusals and profile.refusal_history:
        mapped["refusal"] = "".join(refusals)
    if calls:
        mapped["tool_calls"] = calls
    # A turn of which nothing is left, such as reasoning that only its maker could read, is left out.
    if content or calls or refusals or profile.reasoning_history in mapped:
        yield mapped


def _map_thinking(message: Message, profile: Profile, model: str) -> list[dict[str, Any]]:
    """Earlier reasoning as pieces of a content, each with its signature."""
    pieces: list[dict[str, Any]] = []
    for part in message.parts:
        if not isinstance(part.content, Reasoning):
            continue
        signed = takes_signature(part, profile, model)
        if part.content.text or signed:
            thinking = [{"type": "text", "text": part.content.text}] if part.content.text else []
            pieces.append({"type": "thinking", "thinking": thinking})
            if signed:
                pieces[-1]["signature"] = part.signature.decode(errors="replace")
    return pieces


def _as_pieces(content: str | list[object]) -> list[object]:
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if content else []


def _map_call(call: ToolCall, profile: Profile) -> dict[str, object]:
    return {**map_call(call), "id": _tool_id(call.id, profile)}


def _tool_id(tool_id: str, profile: Profile) -> str:
    return fitted_tool_id(tool_id, profile.tool_id_length) if profile.tool_id_length else tool_id


def _map_result(result: ToolResult, profile: Profile, names: Mapping[str, str]) -> dict[str, object]:
    texts = result_texts(result)
    content: object = "".join(texts)
    if len(texts) > 1:
        content = [{"type": "text", "text": text} for text in texts]
    mapped: dict[str, object] = {
        "role": "tool",
        "tool_call_id": _tool_id(result.tool_call_id, profile),
        "content": content,
    }
    if profile.tool_result_names and (name := result.name or names.get(result.tool_call_id, "")):
        mapped["name"] = name
    return mapped


def _map_media(media: Media, path: str, profile: Profile) -> dict[str, object]:
    if media.url and (fault := media_url_fault(media.url)):
        raise invalid(f"{path}.url", fault)
    inline = is_inline(media)
    # Sound is taken apart, whichever of the spellings of a data URL it came in; all else goes as it is.
    url = data_url(media, path) if inline and (media.kind is MediaKind.AUDIO or not media.url) else media.url
    match media.kind:
        case MediaKind.IMAGE:
            image: object = {"url": url}
            if media.detail is not None:
                image = {"url": url, "detail": media.detail.value.lower()}
            elif not profile.media_objects:
                image = url
            return {"type": "image_url", "image_url": image}
        case MediaKind.AUDIO:
            return _map_audio(url, inline=inline, bare=not profile.media_objects)
        case MediaKind.FILE if not profile.media_objects:
            named = {"document_name": media.filename} if media.filename else {}
            return {"type": "document_url", "document_url": url, **named}
        case MediaKind.FILE:
            return {"type": "file", "file": {"filename": media.filename or "file", "file_data": url}}
        case _:
            assert_never(media.kind)


def _map_audio(url: str, *, inline: bool, bare: bool) -> dict[str, object]:
    """An address, or the base64 alone; where it is no object, its form is not told."""
    head, _, data = url.partition(",")
    if bare:
        return {"type": "input_audio", "input_audio": data if inline else url}
    if not inline:
        return {"type": "audio_url", "audio_url": {"url": url}}
    subtype = head.removeprefix("data:").partition(";")[0].partition("/")[2].lower()
    sound = {"data": data, "format": _AUDIO_FORMATS.get(subtype, subtype)}
    return {"type": "input_audio", "input_audio": sound}
