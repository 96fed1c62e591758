"""Messages of a conversation -> the turns that wires with two speakers tell: the system's words apart, and what tools
gave back in one turn of the user. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from pointsman_server.domain import (
    SYSTEM_ROLES,
    Call,
    Conversation,
    Message,
    Part,
    Prompt,
    Role,
    Text,
    TokenIds,
    ToolResult,
)
from pointsman_server.upstreams.translation.verbatim import invalid


@dataclass(slots=True)
class Turn:
    """What one of the two says, in one or several messages."""

    assistant: bool
    parts: list[tuple[str, Part]] = field(default_factory=list)
    """Each with its path in the request."""
    results: bool = False
    """Whether one of the parts is the result of a tool."""


def as_messages(call: Call) -> Sequence[Message]:
    """The conversation; a prompt is what one user says. Raises ServiceError INVALID_REQUEST for tokens."""
    match call.input:
        case Conversation(messages):
            return messages
        case Prompt(text):
            return (Message(Role.USER, (Part(Text(text)),)),)
        case TokenIds():
            raise invalid("token_ids", "cannot be sent to this provider")
        case _:
            assert_never(call.input)


def system_parts(messages: Sequence[Message]) -> Iterator[tuple[str, Part]]:
    """What system and developer say, wherever they say it: these wires have one place for it, ahead of all turns."""
    for position, message in enumerate(messages):
        if message.role in SYSTEM_ROLES:
            yield from _parts(position, message)


def turns_of(messages: Sequence[Message], *, strict: bool) -> list[Turn]:
    """The turns of user and assistant.

    Results of tools, and what the user says with them, are one turn with the results first: they must stand right
    behind the calls that they answer. `strict` joins all messages of one speaker that follow each other.
    """
    turns: list[Turn] = []
    for position, message in enumerate(messages):
        if message.role in SYSTEM_ROLES:
            continue
        assistant, parts = message.role is Role.ASSISTANT, list(_parts(position, message))
        results = any(isinstance(part.content, ToolResult) for _, part in parts)
        last = turns[-1] if turns else None
        if last is not None and last.assistant == assistant and (strict or last.results or results):
            last.parts += parts
            last.results = last.results or results
        else:
            turns.append(Turn(assistant, parts, results))
    for turn in turns:
        if turn.results:
            turn.parts.sort(key=lambda entry: not isinstance(entry[1].content, ToolResult))
    return turns


def _parts(position: int, message: Message) -> Iterable[tuple[str, Part]]:
    path = f"conversation.messages[{position}].parts"
    return ((f"{path}[{number}]", part) for number, part in enumerate(message.parts))
