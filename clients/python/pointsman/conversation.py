"""What a caller says -> the contract's Conversation: plain texts, dictionaries, or the functions below.

Only local files that `image`, `audio` and `file` are given are read; the provider fetches addresses.
"""

from __future__ import annotations

import base64
import binascii
import json
import mimetypes
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import unquote_to_bytes

from pointsman import v1
from pointsman.plain import enum_number, fill

Content: TypeAlias = "str | v1.Part | Mapping[str, Any]"
"""A text, a part, or a part as a dictionary with a `type`."""
MessageLike: TypeAlias = "v1.Message | Mapping[str, Any]"
"""A message, or a dictionary with `role` and `content`."""
Input: TypeAlias = "str | v1.Conversation | Sequence[MessageLike]"
"""What may be asked: one text of the user, messages, or a ready conversation."""
Detail: TypeAlias = Literal["", "low", "high", "auto"]


def to_conversation(said: Input) -> v1.Conversation:
    """The conversation that a caller means."""
    if isinstance(said, v1.Conversation):
        return said
    if isinstance(said, str):
        return v1.Conversation(messages=[user(said)])
    if isinstance(said, (Mapping, v1.Message)) or not isinstance(said, Iterable):
        raise TypeError("input: expected a text, a list of messages or a Conversation")
    return v1.Conversation(messages=[_message(message, f"input[{i}]") for i, message in enumerate(said)])


def user(*content: Content, name: str = "") -> v1.Message:
    """What the person or program says that asks."""
    return _spoken(v1.ROLE_USER, content, name)


def system(*content: Content) -> v1.Message:
    """Instructions that stand above the whole conversation."""
    return _spoken(v1.ROLE_SYSTEM, content)


def developer(*content: Content) -> v1.Message:
    """Instructions of the application."""
    return _spoken(v1.ROLE_DEVELOPER, content)


def assistant(*content: Content, name: str = "") -> v1.Message:
    """What the model said; an answer's own `message` keeps more of it."""
    return _spoken(v1.ROLE_ASSISTANT, content, name)


def tool_result(tool_call_id: str, content: object, *, name: str = "", is_error: bool = False) -> v1.Message:
    """What a tool returned: a text, parts, or any other value as JSON."""
    result = v1.ToolResult(tool_call_id=tool_call_id, name=name, is_error=is_error)
    result.parts.extend(_result_parts(content))
    return v1.Message(role=v1.ROLE_TOOL, parts=[v1.Part(tool_result=result)])


def image(source: str | bytes | Path, *, media_type: str = "", detail: Detail = "") -> v1.Part:
    """A picture: an address, a `data:` address, the bytes, or a local file."""
    media = _media(source, media_type)
    if detail:
        fill(media, {"detail": detail}, at="image")
    return v1.Part(image=media)


def audio(source: str | bytes | Path, *, media_type: str = "") -> v1.Part:
    """A sound recording: an address, the bytes, or a local file."""
    return v1.Part(audio=_media(source, media_type))


def file(source: str | bytes | Path, *, media_type: str = "", filename: str = "") -> v1.Part:
    """A document: an address, the bytes, or a local file."""
    media = _media(source, media_type)
    media.filename = filename or media.filename
    return v1.Part(file=media)


def _spoken(role: v1.Role, content: Sequence[Content], name: str = "") -> v1.Message:
    return v1.Message(
        role=role, parts=[_part(item, f"content[{i}]") for i, item in enumerate(content)], name=name
    )


def _message(said: MessageLike, at: str) -> v1.Message:
    if isinstance(said, v1.Message):
        return said
    if not isinstance(said, Mapping):
        raise TypeError(f"{at}: expected a Message or a mapping, not {type(said).__name__}")
    fields = dict(said)
    number = enum_number(v1.Role.DESCRIPTOR, fields.pop("role", "user"), at=f"{at}.role")
    role = v1.Role.Name(number)
    content = fields.pop("content", None)
    if role == "ROLE_TOOL" and "tool_call_id" in fields:
        return _tool_message(fields, content, at)
    parts = _parts(content, f"{at}.content")
    parts += [
        _tool_call(call, f"{at}.tool_calls[{i}]")
        for i, call in enumerate(fields.pop("tool_calls", None) or ())
    ]
    message = v1.Message(role=role, parts=parts, name=fields.pop("name", None) or "")
    _check_spent(fields, at)
    return message


def _tool_message(fields: dict[str, Any], content: object, at: str) -> v1.Message:
    message = tool_result(
        fields.pop("tool_call_id"),
        content,
        name=fields.pop("name", ""),
        is_error=fields.pop("is_error", False),
    )
    _check_spent(fields, at)
    return message


def _check_spent(fields: Mapping[str, object], at: str) -> None:
    if fields:
        raise TypeError(f"{at} has no {', '.join(map(repr, fields))}")


def _parts(content: object, at: str) -> list[v1.Part]:
    if content is None:
        return []
    if isinstance(content, (str, v1.Part, Mapping)):
        return [_part(content, at)]
    if isinstance(content, Iterable):
        return [_part(item, f"{at}[{i}]") for i, item in enumerate(content)]
    raise TypeError(f"{at}: expected a text or a list of parts, not {type(content).__name__}")


def _result_parts(content: object) -> list[v1.Part]:
    if isinstance(content, (str, v1.Part)):
        return _parts(content, "content")
    if (
        isinstance(content, list)
        and content
        and all(isinstance(item, v1.Part) or _is_part(item) for item in content)
    ):
        return _parts(content, "content")
    return [v1.Part(text=json.dumps(content, ensure_ascii=False))]


def _is_part(item: object) -> bool:
    return isinstance(item, Mapping) and item.get("type") in ("text", "image", "image_url", "audio", "file")


def _part(item: object, at: str) -> v1.Part:
    """One piece of content; a dictionary's `type` says which."""
    if isinstance(item, str):
        return v1.Part(text=item)
    if isinstance(item, v1.Part):
        return item
    if not isinstance(item, Mapping):
        raise TypeError(f"{at}: expected a text, a Part or a mapping, not {type(item).__name__}")
    fields = dict(item)
    kind = fields.pop("type", None)
    breakpoint_ = bool(fields.pop("cache_breakpoint", False))
    try:
        part = _typed_part(kind, fields, at)
    except KeyError as error:
        raise TypeError(f"{at}: a {kind!r} part needs {error}") from None
    _check_spent(fields, at)
    part.cache_breakpoint = breakpoint_
    return part


def _typed_part(kind: object, fields: dict[str, Any], at: str) -> v1.Part:
    match kind:
        case "text":
            return v1.Part(text=fields.pop("text"))
        case "reasoning":
            return v1.Part(reasoning=v1.Reasoning(text=fields.pop("text")))
        case "refusal":
            return v1.Part(refusal=fields.pop("refusal"))
        case "image_url":
            return _image_url(fields.pop("image_url"), at)
        case "image" | "audio" | "file":
            return _media_part(str(kind), fields, at)
        case "tool_call":
            call = {name: fields.pop(name) for name in ("id", "name", "arguments") if name in fields}
            return _tool_call(call, at)
        case "tool_result":
            return tool_result(
                fields.pop("tool_call_id"),
                fields.pop("content"),
                name=fields.pop("name", ""),
                is_error=fields.pop("is_error", False),
            ).parts[0]
        case _:
            raise TypeError(f"{at}: unknown type {kind!r}")


def _image_url(said: object, at: str) -> v1.Part:
    """The form `{"image_url": {"url": ..., "detail": ...}}` that many callers already hold."""
    if isinstance(said, str):
        return image(said)
    if not isinstance(said, Mapping):
        raise TypeError(f"{at}.image_url: expected a text or a mapping")
    return image(said["url"], detail=said.get("detail", ""))


def _media_part(kind: str, fields: dict[str, Any], at: str) -> v1.Part:
    sources = [name for name in ("url", "data", "path") if name in fields]
    if len(sources) != 1:
        raise TypeError(f"{at}: exactly one of 'url', 'data' and 'path' is needed")
    source = fields.pop(sources[0])
    media_type = fields.pop("media_type", "")
    given = Path(source) if sources[0] == "path" else source
    if kind == "image":
        return image(given, media_type=media_type, detail=fields.pop("detail", ""))
    if kind == "audio":
        return audio(given, media_type=media_type)
    return file(given, media_type=media_type, filename=fields.pop("filename", ""))


def _tool_call(call: object, at: str) -> v1.Part:
    """A call that the model made: `{"id", "name", "arguments"}`, or nested below `function`."""
    if not isinstance(call, Mapping):
        raise TypeError(f"{at}: expected a mapping")
    said = {**call, **call.get("function", {})}
    arguments = said.get("arguments", {})
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    try:
        return v1.Part(tool_call=v1.ToolCall(id=said["id"], name=said["name"], arguments_json=text))
    except KeyError as error:
        raise TypeError(f"{at}: a tool call needs {error}") from None


def _media(source: str | bytes | Path, media_type: str) -> v1.Media:
    if isinstance(source, Path):
        guessed = media_type or mimetypes.guess_type(source.name)[0] or ""
        return v1.Media(data=source.read_bytes(), media_type=_known(guessed), filename=source.name)
    if isinstance(source, bytes):
        return v1.Media(data=source, media_type=_known(media_type))
    if source.startswith("data:"):
        return _data_url(source, media_type)
    return v1.Media(url=source, media_type=media_type)


def _known(media_type: str) -> str:
    if not media_type:
        raise ValueError("media given by value needs a media_type, such as image/png")
    return media_type


def _data_url(url: str, media_type: str) -> v1.Media:
    head, comma, body = url.removeprefix("data:").partition(",")
    if not comma:
        raise ValueError("a data: address without a comma")
    try:
        data = base64.b64decode(body, validate=True) if head.endswith(";base64") else unquote_to_bytes(body)
    except binascii.Error:
        raise ValueError("a data: address whose base64 cannot be read") from None
    said = head.removesuffix(";base64").partition(";")[0]
    return v1.Media(data=data, media_type=_known(media_type or said))
