"""A call -> the plain text that a model continues, for dialects of servers that know no messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, assert_never

import msgspec

from pointsman_server.context import Attempt, ChatTemplate
from pointsman_server.domain import (
    Call,
    Conversation,
    Media,
    Message,
    Part,
    Prompt,
    ProviderPart,
    Reasoning,
    Refusal,
    Text,
    TokenIds,
    Tool,
    ToolCall,
    ToolChoiceMode,
    ToolResult,
)
from pointsman_server.upstreams.translation.chat_fields import parameters_of, role_of
from pointsman_server.upstreams.translation.parts import tool_names
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.templates import render
from pointsman_server.upstreams.translation.verbatim import invalid

DEFAULT = ChatTemplate(Path(__file__).with_name("chat_template.jinja").read_text(encoding="utf-8"))
"""For models whose configuration names none."""

_ERROR = "Error: "


def prompt_text(attempt: Attempt, profile: Profile) -> str:
    """The caller's own prompt as it is, or its conversation in the target's template.

    Raises ServiceError INVALID_REQUEST for tokens, for parts that are no text, and for what the template refuses.
    """
    call = attempt.call
    match call.input:
        case Prompt(text):
            return text
        case TokenIds():
            raise invalid("token_ids", "cannot be sent to a server that takes text")
        case Conversation(messages):
            return conversation_text(
                call,
                messages,
                attempt.target.chat_template or DEFAULT,
                wall_s=attempt.wall_s,
                with_tools="tools" in profile.fields,
                developers=profile.developer_role,
            )
        case _:
            assert_never(call.input)


def conversation_text(
    call: Call,
    messages: Sequence[Message],
    template: ChatTemplate,
    *,
    wall_s: float,
    with_tools: bool,
    developers: bool = False,
) -> str:
    """Messages in a model's template, with the call's tools where they are offered.

    `developers`: the template knows them; else they speak as the system.
    Raises ServiceError INVALID_REQUEST for parts that are no text, and for what the template refuses.
    """
    names = tool_names(messages)
    mapped = [
        turn
        for position, message in enumerate(messages)
        for turn in _map_message(message, f"conversation.messages[{position}]", names, developers=developers)
    ]
    if not mapped:
        raise invalid("conversation.messages", "hold nothing that this provider takes")
    last = mapped[-1]
    return render(
        template,
        mapped,
        tools=_tools(call) if with_tools else None,
        continues=last["role"] == "assistant" and "tool_calls" not in last,
        wall_s=wall_s,
    )


def _map_message(
    message: Message, path: str, names: Mapping[str, str], *, developers: bool
) -> Iterator[dict[str, Any]]:
    """One turn as templates know it; each result of a tool is a turn of its own."""
    for part in message.parts:
        if isinstance(part.content, ToolResult):
            yield _map_result(part.content, names)
    calls = [_map_call(part.content) for part in message.parts if isinstance(part.content, ToolCall)]
    texts = [*_texts(message.parts, path)]
    if not (texts or calls):
        return
    role = role_of(message.role, developer="developer" if developers else "system")
    mapped: dict[str, Any] = {"role": role, "content": "\n".join(texts)}
    if message.name:
        mapped["name"] = message.name
    if calls:
        mapped["tool_calls"] = calls
    yield mapped


def _texts(parts: Iterable[Part], path: str) -> Iterator[str]:
    for position, part in enumerate(parts):
        match part.content:
            case Text(text) | Refusal(text):
                yield text
            case Media(kind):
                raise invalid(f"{path}.parts[{position}].{kind.value}", "cannot be said in plain text")
            case ProviderPart() | Reasoning() | ToolCall() | ToolResult():
                pass
            case _:
                assert_never(part.content)


def _map_call(call: ToolCall) -> dict[str, Any]:
    """Templates expect the arguments as an object."""
    try:
        arguments = msgspec.json.decode(call.arguments_json or "{}")
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        arguments = call.arguments_json
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _map_result(result: ToolResult, names: Mapping[str, str]) -> dict[str, Any]:
    """A failure is said in the text, unless it says so already."""
    text = "\n".join(part.content.text for part in result.parts if isinstance(part.content, Text))
    if result.is_error and not text.lstrip().lower().startswith("error"):
        text = _ERROR + (text or "the tool failed")
    name = result.name or names.get(result.tool_call_id, "")
    return {"role": "tool", "tool_call_id": result.tool_call_id, "name": name, "content": text}


def _tools(call: Call) -> list[dict[str, Any]] | None:
    """As templates know them; None where there are none to offer."""
    choice = call.tool_choice
    if choice is not None and choice.mode is ToolChoiceMode.NONE:
        return None
    allowed = choice.allowed_tools if choice is not None else ()
    offered = [
        _map_tool(tool, f"tools[{position}]")
        for position, tool in enumerate(call.tools)
        if not allowed or tool.name in allowed
    ]
    return offered or None


def _map_tool(tool: Tool, path: str) -> dict[str, Any]:
    schema = msgspec.json.decode(parameters_of(tool, path))
    function = {"name": tool.name, "description": tool.description, "parameters": schema}
    return {"type": "function", "function": function}
