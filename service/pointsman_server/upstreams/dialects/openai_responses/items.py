"""Turns of a conversation -> the items of an input: messages, calls, their outputs, reasoning that is sealed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, assert_never

from pointsman_server.domain import (
    Media,
    MediaKind,
    Message,
    Part,
    ProviderPart,
    Reasoning,
    ReasoningKind,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from pointsman_server.upstreams.translation.addresses import verbatim_part
from pointsman_server.upstreams.translation.media import data_url, is_inline
from pointsman_server.upstreams.translation.media_urls import media_url_fault
from pointsman_server.upstreams.translation.parts import result_texts
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.support import takes_media, takes_provider_part, takes_signature
from pointsman_server.upstreams.translation.verbatim import invalid, members

Item = Any
"""An object, or a provider part's own JSON."""
_CONTENT = "input_"
"""How kinds of content begin, as opposed to kinds of items."""


def map_items(messages: Sequence[Message], profile: Profile, model: str) -> tuple[str, list[Item]]:
    """The instructions, which the system's first words are, and the items.

    Raises ServiceError INVALID_REQUEST when nothing is left to say.
    """
    leading = _leading(messages)
    items: list[Item] = []
    for position, message in enumerate(messages[leading:], leading):
        items.extend(_map_message(message, f"conversation.messages[{position}]", profile, model))
    if items:
        return "\n\n".join(text for message in messages[:leading] if (text := _text(message))), items
    # Instructions alone are no input.
    items = [
        {"role": "system", "content": text} for message in messages[:leading] if (text := _text(message))
    ]
    if not items:
        raise invalid("conversation.messages", "hold nothing that this provider takes")
    return "", items


def _leading(messages: Sequence[Message]) -> int:
    """How many messages are the system's first words, of nothing but text."""
    for position, message in enumerate(messages):
        if message.role is not Role.SYSTEM or not all(
            isinstance(part.content, Text) for part in message.parts
        ):
            return position
    return len(messages)


def _text(message: Message) -> str:
    return "".join(part.content.text for part in message.parts if isinstance(part.content, Text))


def _map_message(message: Message, path: str, profile: Profile, model: str) -> Iterator[Item]:
    match message.role:
        case Role.ASSISTANT:
            yield from _map_spoken(message, path, profile, model)
        case Role.SYSTEM | Role.DEVELOPER | Role.USER | Role.TOOL:
            yield from _map_said(message, path, profile, model)
        case _:
            assert_never(message.role)


def _map_said(message: Message, path: str, profile: Profile, model: str) -> Iterator[Item]:
    """Outputs of tools are items of their own, ahead of what else the turn says."""
    content: list[Item] = []
    for number, part in enumerate(message.parts):
        here = f"{path}.parts[{number}]"
        match part.content:
            case ToolResult():
                yield _map_result(part.content, f"{here}.tool_result", profile, model)
            case Text(text):
                content.append({"type": "input_text", "text": text})
            case Media():
                content.append(_map_media(part.content, f"{here}.{part.content.kind.value}", profile))
            case ProviderPart(json=json) if takes_provider_part(part, profile, model):
                raw = verbatim_part(json, f"{here}.provider_part.json")
                if not _is_content(json):
                    yield raw
                else:
                    content.append(raw)
            case Reasoning() | Refusal() | ToolCall() | ProviderPart():
                pass
            case _:
                assert_never(part.content)
    if content and message.role is not Role.TOOL:
        yield {"role": message.role.value.lower(), "content": _short(content)}


def _is_content(json: str) -> bool:
    kind = bytes(members(json, "").get("type", b""))
    return kind.strip().startswith(f'"{_CONTENT}'.encode())


def _short(content: list[Item]) -> str | list[Item]:
    """One text is a string."""
    only = content[0]
    if len(content) == 1 and isinstance(only, dict) and only["type"] == "input_text":
        text: str = only["text"]
        return text
    return content


def _map_spoken(message: Message, path: str, profile: Profile, model: str) -> Iterator[Item]:
    """Items in the order in which the model made them; texts that follow each other are one message."""
    said: list[dict[str, str]] = []
    for number, part in enumerate(message.parts):
        here = f"{path}.parts[{number}]"
        item: Item = None
        match part.content:
            case Text(text):
                if text:
                    said.append({"type": "output_text", "text": text})
            case Refusal(text):
                said.append({"type": "refusal", "refusal": text})
            case Reasoning():
                item = _map_reasoning(part, part.content) if takes_signature(part, profile, model) else None
            case ToolCall():
                item = _map_call(part.content)
            case ProviderPart(json=json):
                if takes_provider_part(part, profile, model):
                    item = verbatim_part(json, f"{here}.provider_part.json")
            case Media() | ToolResult():
                pass
            case _:
                assert_never(part.content)
        if item is not None:
            yield from _spoken(said)
            said = []
            yield item
    yield from _spoken(said)


def _spoken(said: list[dict[str, str]]) -> Iterator[Item]:
    if not said:
        return
    if all(piece["type"] == "output_text" for piece in said):
        yield {"role": "assistant", "content": "".join(piece["text"] for piece in said)}
    else:
        yield {"type": "message", "role": "assistant", "content": said}


def _map_reasoning(part: Part, reasoning: Reasoning) -> Item:
    """Without the item's id: it names something that the provider does not keep."""
    text = reasoning.text
    item: dict[str, object] = {"type": "reasoning", "summary": []}
    if text and reasoning.kind is ReasoningKind.THOUGHT:
        item["content"] = [{"type": "reasoning_text", "text": text}]
    elif text:
        item["summary"] = [{"type": "summary_text", "text": text}]
    item["encrypted_content"] = part.signature.decode(errors="replace")
    return item


def _map_call(call: ToolCall) -> Item:
    arguments = call.arguments_json or "{}"
    return {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": arguments}


def _map_result(result: ToolResult, path: str, profile: Profile, model: str) -> Item:
    texts = result_texts(result)
    content: list[Item] = [{"type": "input_text", "text": text} for text in texts]
    for number, part in enumerate(result.parts):
        here = f"{path}.parts[{number}]"
        if isinstance(part.content, Media):
            content.append(_map_media(part.content, f"{here}.{part.content.kind.value}", profile))
        elif isinstance(part.content, ProviderPart) and takes_provider_part(part, profile, model):
            content.append(verbatim_part(part.content.json, f"{here}.provider_part.json"))
    output = content if len(content) > 1 or len(content) > len(texts) else "".join(texts)
    return {"type": "function_call_output", "call_id": result.tool_call_id, "output": output}


def _map_media(media: Media, path: str, profile: Profile) -> dict[str, object]:
    if not takes_media(media, profile):
        raise invalid(path, "is not taken by this provider in the way that it is given")
    if media.url and (fault := media_url_fault(media.url, profile.media_schemes)):
        raise invalid(f"{path}.url", fault)
    detail = "auto" if media.detail is None else media.detail.value.lower()
    inline = is_inline(media)
    url = media.url
    if inline and not url:
        url = data_url(media, path)
    if media.kind is MediaKind.IMAGE:
        return {"type": "input_image", "image_url": url, "detail": detail}
    file: dict[str, object] = {"type": "input_file"}
    if media.detail is not None:
        file["detail"] = detail
    if inline:
        return {**file, "filename": media.filename or "file", "file_data": url}
    return {**file, "file_url": url}
