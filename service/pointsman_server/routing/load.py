"""How heavy a call is before anybody has counted its tokens."""

from __future__ import annotations

from collections.abc import Iterable

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
    ToolCall,
    ToolResult,
)  # fmt: skip

CHARACTERS_PER_TOKEN = 4
_OUTPUT_TOKENS = 256
_MEDIA_TOKENS = 512


def estimated_tokens(call: Call) -> int:
    """A rough number of input and output tokens, for comparing backends; four characters count as a token."""
    generation = call.generation
    output = (generation.max_output_tokens or _OUTPUT_TOKENS) * (generation.n or 1)
    return output + estimated_input_tokens(call)


def estimated_input_tokens(call: Call) -> int:
    """A rough number of input tokens."""
    match call.input:
        case Conversation(messages):
            return sum(_parts_tokens(message.parts) for message in messages)
        case Prompt(text):
            return len(text) // CHARACTERS_PER_TOKEN
        case TokenIds(ids):
            return len(ids)


def message_tokens(message: Message) -> int:
    """A rough number of tokens of one message."""
    return _parts_tokens(message.parts) + 1


def _parts_tokens(parts: Iterable[Part]) -> int:
    return sum(_part_tokens(part) for part in parts)


def _part_tokens(part: Part) -> int:
    match part.content:
        case (
            Text(text)
            | Reasoning(text)
            | Refusal(text)
            | ToolCall(arguments_json=text)
            | ProviderPart(json=text)
        ):
            return len(text) // CHARACTERS_PER_TOKEN + 1
        case ToolResult(parts=parts):
            return _parts_tokens(parts) + 1
        case Media():
            return _MEDIA_TOKENS
