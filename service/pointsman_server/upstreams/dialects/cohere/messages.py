"""Turns of a conversation -> messages of the wire."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, assert_never

from pointsman_server.domain import (
    Media,
    Message,
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
from pointsman_server.upstreams.translation.chat_fields import map_call, role_of
from pointsman_server.upstreams.translation.media import data_url
from pointsman_server.upstreams.translation.media_urls import media_url_fault
from pointsman_server.upstreams.translation.parts import result_texts
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.support import takes_media, takes_provider_part
from pointsman_server.upstreams.translation.verbatim import invalid

Piece = Any
"""A piece of a content: an object, or a provider part's own JSON."""


def map_messages(messages: Iterable[Message], profile: Profile, model: str) -> list[dict[str, Any]]:
    """The wire's messages. Raises ServiceError INVALID_REQUEST when nothing is left to say."""
    mapped: list[dict[str, Any]] = []
    for position, message in enumerate(messages):
        path = f"conversation.messages[{position}]"
        # Results go ahead of what else the turn says: they must stand right behind the calls that they answer.
        mapped.extend(
            _map_result(part.content) for part in message.parts if isinstance(part.content, ToolResult)
        )
        mapped.extend(_map_message(message, path, profile, model))
    if not mapped:
        raise invalid("conversation.messages", "hold nothing that this provider takes")
    return mapped


def _map_message(message: Message, path: str, profile: Profile, model: str) -> Iterator[dict[str, Any]]:
    mapped: dict[str, Any] = {"role": role_of(message.role)}
    if content := list(_content(message, path, profile, model)):
        mapped["content"] = _short(content)
    if message.role is Role.ASSISTANT:
        thoughts = [part.content for part in message.parts if isinstance(part.content, Reasoning)]
        plan = "".join(thought.text for thought in thoughts if thought.kind is ReasoningKind.PLAN)
        if plan and profile.reasoning_history:
            mapped["tool_plan"] = plan
        if calls := [map_call(part.content) for part in message.parts if isinstance(part.content, ToolCall)]:
            mapped["tool_calls"] = calls
    # A turn of which nothing is left, such as a tool's whose results went ahead, is left out.
    if len(mapped) > 1:
        yield mapped


def _content(message: Message, path: str, profile: Profile, model: str) -> Iterator[Piece]:
    for number, part in enumerate(message.parts):
        here = f"{path}.parts[{number}]"
        match part.content:
            case Text(text) | Refusal(text):
                if text:
                    yield {"type": "text", "text": text}
            case Reasoning(text, kind):
                if text and kind is not ReasoningKind.PLAN and (word := profile.reasoning_history):
                    yield {"type": word, word: text}
            case Media():
                yield _map_media(part.content, here, profile)
            case ProviderPart(json=json) if takes_provider_part(part, profile, model):
                yield verbatim_part(json, f"{here}.provider_part.json")
            case ToolCall() | ToolResult() | ProviderPart():
                pass
            case _:
                assert_never(part.content)


def _short(content: list[Piece]) -> str | list[Piece]:
    """One text is a string."""
    only = content[0]
    if len(content) == 1 and isinstance(only, dict) and only["type"] == "text":
        text: str = only["text"]
        return text
    return content


def _map_result(result: ToolResult) -> dict[str, object]:
    texts = result_texts(result)
    content: object = "".join(texts)
    if len(texts) > 1:
        content = [{"type": "text", "text": text} for text in texts]
    return {"role": "tool", "tool_call_id": result.tool_call_id, "content": content}


def _map_media(media: Media, path: str, profile: Profile) -> dict[str, object]:
    here = f"{path}.{media.kind.value}"
    if not takes_media(media, profile):
        raise invalid(here, "is not taken by this provider in the way that it is given")
    if media.url and (fault := media_url_fault(media.url, profile.media_schemes)):
        raise invalid(f"{here}.url", fault)
    image = {"url": media.url or data_url(media, here)}
    if media.detail is not None:
        image["detail"] = media.detail.value.lower()
    return {"type": "image_url", "image_url": image}
