"""A call -> the body of a request: the system's words apart, and user and assistant strictly in turns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, assert_never

from pointsman_server.context import Attempt
from pointsman_server.domain import (
    Call,
    JsonObject,
    Media,
    Message,
    Part,
    ProviderPart,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
    ToolResult,
)
from pointsman_server.upstreams.translation.chat_fields import map_generation, map_tool
from pointsman_server.upstreams.translation.options import add_fields
from pointsman_server.upstreams.translation.parts import result_texts, tool_names
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.requests import encoded
from pointsman_server.upstreams.translation.support import only_tool, wire_fields
from pointsman_server.upstreams.translation.turns import Turn, as_messages, system_parts, turns_of
from pointsman_server.upstreams.translation.verbatim import invalid

_OWN = frozenset({"messages", "system", "functions", "stream", "max_output_tokens"})
"""The adapter's, whatever the profile; no caller's option replaces them."""


def encode_body(attempt: Attempt, profile: Profile, *, stream: bool) -> bytes:
    """The body. Raises ServiceError INVALID_REQUEST for what cannot be expressed."""
    call = attempt.call
    fields = wire_fields(call, profile)
    messages = as_messages(call)
    body: dict[str, Any] = {"messages": _map_messages(messages)}
    if system := "\n".join(_texts(system_parts(messages))):
        body["system"] = system
    if stream:
        body["stream"] = True
    map_generation(call.generation, body, fields, profile)
    if call.tools and "tools" in fields:
        _map_tools(call, body, fields)
    _map_format(call, body, fields)
    if call.end_user_id and (wire := fields.get("end_user_id")):
        body[wire] = call.end_user_id
    if call.provider_options:
        add_fields(body, call, profile, fields, _OWN)
    return encoded(body)


def _map_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    names = tool_names(messages)
    mapped: list[dict[str, Any]] = []
    waiting: list[ToolCall] = []
    for turn in turns_of(messages, strict=True):
        if turn.assistant:
            waiting = [part.content for _, part in turn.parts if isinstance(part.content, ToolCall)]
            mapped.extend(_map_assistant(turn, waiting))
        else:
            mapped.extend(_map_user(turn, waiting, names))
            waiting = []
    if waiting or not mapped or mapped[0]["role"] != "user" or mapped[-1]["role"] == "assistant":
        raise invalid(
            "conversation.messages", "must begin with the user, and end with the user or with results"
        )
    return mapped


def _map_assistant(turn: Turn, calls: Sequence[ToolCall]) -> Iterator[dict[str, Any]]:
    """What the assistant said, with the first of its calls: a message holds one."""
    message: dict[str, Any] = {"role": "assistant", "content": "".join(_texts(turn.parts))}
    if calls:
        message["function_call"] = _map_call(calls[0])
    yield message


def _map_user(turn: Turn, calls: Sequence[ToolCall], names: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Results, each behind its call, and then what the user says, which can only stand in the last of them."""
    results: dict[str, list[tuple[str, ToolResult]]] = {}
    for path, part in turn.parts:
        if isinstance(part.content, ToolResult):
            results.setdefault(part.content.tool_call_id, []).append((path, part.content))
    said = "\n".join(_texts(turn.parts))
    answers: list[dict[str, Any]] = []
    for number, call in enumerate(calls):
        if not results.get(call.id):
            raise invalid("conversation.messages", "hold a call without its result")
        _, result = results[call.id].pop(0)
        if number:
            answers.append({"role": "assistant", "content": "", "function_call": _map_call(call)})
        name = result.name or names.get(call.id, "")
        answers.append({"role": "function", "name": name, "content": "".join(result_texts(result))})
    for path, _ in (left for others in results.values() for left in others):
        raise invalid(f"{path}.tool_result", "answers no call of the turn before")
    if not answers:
        yield {"role": "user", "content": said}
        return
    if said:
        answers[-1]["content"] = f"{answers[-1]['content']}\n{said}"
    yield from answers


def _texts(parts: Iterable[tuple[str, Part]]) -> Iterator[str]:
    for path, part in parts:
        match part.content:
            case Text(text) | Refusal(text):
                yield text
            case Media():
                raise invalid(path, "has no place in a content that is text")
            case Reasoning() | ToolCall() | ToolResult() | ProviderPart():
                pass
            case _:
                assert_never(part.content)


def _map_call(call: ToolCall) -> dict[str, object]:
    return {"name": call.name, "arguments": call.arguments_json or "{}"}


def _map_tools(call: Call, body: dict[str, Any], fields: Mapping[str, str]) -> None:
    """Functions; one can be forced by its name, and none is no function to choose."""
    choice = call.tool_choice or ToolChoice()
    if choice.mode is ToolChoiceMode.NONE:
        return
    allowed = choice.allowed_tools if "tool_choice.allowed_tools" in fields else ()
    body[fields["tools"]] = [
        map_tool(tool, f"tools[{position}]", strict=False)["function"]
        for position, tool in enumerate(call.tools)
        if not allowed or tool.name in allowed
    ]
    wire, name = fields.get("tool_choice.mode"), only_tool(call)
    if wire and name and choice.mode is ToolChoiceMode.REQUIRED:
        body[wire] = {"type": "function", "function": {"name": name}}


def _map_format(call: Call, body: dict[str, Any], fields: Mapping[str, str]) -> None:
    if isinstance(call.output_format, JsonObject) and (wire := fields.get("output_format.json_object")):
        body[wire] = "json_object"
