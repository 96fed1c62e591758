"""How heavy a call is before anybody has counted its tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pointsman_server.domain import (
    AnyCall,
    Call,
    Conversation,
    CountCall,
    EmbedCall,
    EmbedInput,
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
    ToolResult,
)  # fmt: skip

CHARACTERS_PER_TOKEN = 4
_BYTES_PER_TOKEN = 4
"""Of UTF-8: as for characters of English, two tokens for four letters of Cyrillic, three for four of Chinese."""
_TURN_TOKENS = 4
"""That chat templates put around a turn."""
_TOOL_TOKENS = 8
"""And around a tool."""
_OUTPUT_TOKENS = 256
CountText = Callable[[str], int]
"""How many tokens a text is."""
MEDIA_TOKENS = 512
"""Of one picture, or the like."""


def estimated_tokens(call: AnyCall) -> int:
    """A rough number of input and output tokens, for comparing backends; four characters count as a token."""
    if isinstance(call, EmbedCall):
        return estimated_input_tokens(call)
    if isinstance(call, CountCall):
        return 0
    generation = call.generation
    output = (generation.max_output_tokens or _OUTPUT_TOKENS) * (generation.n or 1)
    return output + estimated_input_tokens(call)


def estimated_input_tokens(call: AnyCall) -> int:
    """A rough number of input tokens."""
    if isinstance(call, EmbedCall):
        return sum(_input_tokens(one) for one in call.inputs)
    if isinstance(call, CountCall):
        return estimated_input_tokens(call.asked)
    match call.input:
        case Conversation(messages):
            return sum(_parts_tokens(message.parts) for message in messages)
        case Prompt(text):
            return len(text) // CHARACTERS_PER_TOKEN
        case TokenIds(ids):
            return len(ids)


def _input_tokens(one: EmbedInput) -> int:
    match one:
        case Text(text):
            return len(text) // CHARACTERS_PER_TOKEN + 1
        case TokenIds(ids):
            return len(ids)
        case Media():
            return MEDIA_TOKENS


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
            return MEDIA_TOKENS


def text_tokens(text: str) -> int:
    """An estimate for a text, from its bytes."""
    return -(-len(text.encode(errors="replace")) // _BYTES_PER_TOKEN)


def estimated_prompt_tokens(call: Call, count: CountText = text_tokens) -> int:
    """An estimate of the whole prompt, with what a chat template and tools add; more careful than the others here."""
    match call.input:
        case Conversation(messages):
            turns = sum(careful_message_tokens(message, count) for message in messages)
            return turns + sum(careful_tool_tokens(tool, count) for tool in call.tools)
        case Prompt(text):
            return count(text)
        case TokenIds(ids):
            return len(ids)


def careful_message_tokens(message: Message, count: CountText) -> int:
    """What a message adds to that."""
    return _TURN_TOKENS + sum(_careful(part, count) for part in message.parts)


def careful_tool_tokens(tool: Tool, count: CountText) -> int:
    """What a tool on offer adds to it."""
    return _TOOL_TOKENS + count(tool.name + tool.description + tool.parameters_json_schema)


def _careful(part: Part, count: CountText) -> int:
    match part.content:
        case Text(text) | Reasoning(text) | Refusal(text) | ProviderPart(json=text):
            return count(text)
        case ToolCall(name=name, arguments_json=arguments):
            return _TOOL_TOKENS + count(name + arguments)
        case ToolResult(parts=parts):
            return _TURN_TOKENS + sum(_careful(inner, count) for inner in parts)
        case Media():
            return MEDIA_TOKENS
