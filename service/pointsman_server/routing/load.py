"""How heavy a call is before anybody has counted its tokens."""

from __future__ import annotations

from pointsman_server.domain import Call, Conversation, Prompt, Reasoning, Text, TokenIds

_CHARACTERS_PER_TOKEN = 4
_OUTPUT_TOKENS = 256
_MEDIA_TOKENS = 512


def estimated_tokens(call: Call) -> int:
    """A rough number of input and output tokens, for comparing backends; four characters count as a token."""
    output = call.generation.max_output_tokens or _OUTPUT_TOKENS
    match call.input:
        case Conversation(messages):
            return output + sum(_part_tokens(part.content) for message in messages for part in message.parts)
        case Prompt(text):
            return output + len(text) // _CHARACTERS_PER_TOKEN
        case TokenIds(ids):
            return output + len(ids)


def _part_tokens(content: object) -> int:
    if isinstance(content, Text | Reasoning):
        return len(content.text) // _CHARACTERS_PER_TOKEN + 1
    return _MEDIA_TOKENS
