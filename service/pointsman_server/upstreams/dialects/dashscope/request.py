"""A call -> the body of a request: messages under `input`, everything else under `parameters`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar, assert_never

import msgspec

from pointsman_server.context import Attempt
from pointsman_server.domain import (
    Call,
    Conversation,
    EmbedCall,
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
from pointsman_server.upstreams.translation.chat_fields import (
    map_call,
    map_format,
    map_generation,
    map_tools,
    role_of,
)
from pointsman_server.upstreams.translation.media import data_url
from pointsman_server.upstreams.translation.media_urls import media_url_fault
from pointsman_server.upstreams.translation.options import add_fields
from pointsman_server.upstreams.translation.parts import result_texts, tool_names
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.requests import encoded
from pointsman_server.upstreams.translation.support import takes_media, takes_provider_part, wire_fields
from pointsman_server.upstreams.translation.turns import as_messages
from pointsman_server.upstreams.translation.verbatim import invalid, members

C = TypeVar("C", Call, EmbedCall)
_ENCODE = msgspec.json.Encoder().encode
_INCREMENTAL = "incremental_output"
_OWN = frozenset(
    {"model", "input", "messages", "prompt", "history", "stream", "result_format", "n", "max_tokens"}
)
"""The adapter's, whatever the profile; no caller's option replaces them."""


def encode_body(attempt: Attempt, profile: Profile, *, stream: bool, multimodal: bool) -> bytes:
    """The body. Raises ServiceError INVALID_REQUEST for what cannot be expressed."""
    call = attempt.call
    fields = wire_fields(call, profile)
    parameters: dict[str, Any] = {}
    if not multimodal:
        # Multimodal generation knows no other format.
        parameters["result_format"] = "message"
    map_generation(call.generation, parameters, fields, profile)
    if call.tools and "tools" in fields:
        map_tools(call, parameters, fields, profile)
    if call.output_format is not None:
        map_format(call, parameters, fields, profile)
    if call.provider_options:
        add_fields(parameters, with_flat_options(call, profile), profile, fields, _OWN)
    if stream:
        # A caller may want the whole text so far in each event; what is passed on is the same.
        parameters.setdefault(_INCREMENTAL, True)
    model = attempt.target.model
    messages = _map_messages(as_messages(call), profile, model, multimodal=multimodal)
    return encoded({"model": model, "input": {"messages": messages}, "parameters": parameters})


def needs_multimodal(call: Call, profile: Profile, model: str) -> bool:
    """Whether anything but text is said."""
    turns = call.input.messages if isinstance(call.input, Conversation) else ()
    return any(
        isinstance(part.content, Media) or takes_provider_part(part, profile, model)
        for message in turns
        for part in message.parts
    )


def is_incremental(call: Call, profile: Profile) -> bool:
    """Whether the events of a stream are asked for as increments."""
    options = call.provider_options.get(profile.dialect)
    if options is None or not options.body_json:
        return True
    return bytes(_flat(options.body_json, "").get(_INCREMENTAL, b"")).strip() != b"false"


def with_flat_options(call: C, profile: Profile) -> C:
    """The caller's fields in one level: some write them as the body has them, below `parameters`."""
    options = call.provider_options.get(profile.dialect)
    if options is None or not options.body_json:
        return call
    flat = _flat(options.body_json, f"provider_options[{profile.dialect}].body_json")
    return replace(
        call, provider_options={profile.dialect: replace(options, body_json=_ENCODE(flat).decode())}
    )


def _flat(body_json: str, path: str) -> dict[str, msgspec.Raw]:
    found = members(body_json, path)
    inner = found.pop("parameters", None)
    if inner is not None:
        found |= members(bytes(inner), f"{path}.parameters")
    return found


def _map_messages(
    messages: Sequence[Message], profile: Profile, model: str, *, multimodal: bool
) -> list[dict[str, Any]]:
    names = tool_names(messages)
    mapped = [
        one
        for position, message in enumerate(messages)
        for one in _map_message(message, f"conversation.messages[{position}]", profile, names, model)
    ]
    if not mapped:
        raise invalid("conversation.messages", "hold nothing that this provider takes")
    if not multimodal:
        for one in mapped:
            one["content"] = "".join(piece["text"] for piece in one["content"])
    return mapped


def _map_message(
    message: Message, path: str, profile: Profile, names: Mapping[str, str], model: str
) -> Iterator[dict[str, Any]]:
    """The wire's messages, contents as pieces. Results go ahead: they must stand right behind their calls."""
    for part in message.parts:
        if isinstance(part.content, ToolResult):
            yield _map_result(part.content, names)
    pieces = list(_map_pieces(message.parts, path, profile, model))
    calls = [map_call(part.content) for part in message.parts if isinstance(part.content, ToolCall)]
    if not (pieces or calls):
        return
    # Beside calls there must be a content, if an empty one.
    mapped: dict[str, Any] = {"role": role_of(message.role), "content": pieces or [{"text": ""}]}
    thoughts = [part.content.text for part in message.parts if isinstance(part.content, Reasoning)]
    if any(thoughts) and message.role is Role.ASSISTANT:
        mapped[profile.reasoning_history] = "".join(thoughts)
    if calls:
        mapped["tool_calls"] = calls
    yield mapped


def _map_pieces(parts: Iterable[Part], path: str, profile: Profile, model: str) -> Iterator[Any]:
    for position, part in enumerate(parts):
        here = f"{path}.parts[{position}]"
        match part.content:
            case Text(text) | Refusal(text):
                yield {"text": text}
            case Media() as media:
                yield map_media(media, f"{here}.{media.kind.value}", profile)
            case ProviderPart(json=json) if takes_provider_part(part, profile, model):
                yield verbatim_part(json, f"{here}.provider_part.json")
            case Reasoning() | ToolCall() | ToolResult() | ProviderPart():
                pass
            case _:
                assert_never(part.content)


def map_media(media: Media, path: str, profile: Profile) -> dict[str, Any]:
    """A piece that shows it. Raises ServiceError INVALID_REQUEST for what is not taken in the way that it is given."""
    if not takes_media(media, profile):
        raise invalid(path, "is not taken by this provider in this form")
    name = "image" if media.kind is MediaKind.IMAGE else "audio"
    if media.url and media.url[:5].lower() != "data:":
        if fault := media_url_fault(media.url):
            raise invalid(f"{path}.url", fault)
        return {name: media.url}
    return {name: data_url(media, path)}


def _map_result(result: ToolResult, names: Mapping[str, str]) -> dict[str, Any]:
    mapped: dict[str, Any] = {
        "role": "tool",
        "tool_call_id": result.tool_call_id,
        "content": [{"text": "".join(result_texts(result))}],
    }
    if name := result.name or names.get(result.tool_call_id, ""):
        mapped["name"] = name
    return mapped
