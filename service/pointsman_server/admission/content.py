"""Checks of what a call says: turns, parts, tools and the format wanted. Pure; paths are the contract's."""

from __future__ import annotations

import re
from typing import assert_never

from pointsman_server.admission.faults import MEDIA_TYPE, TOOL_NAME, Faults
from pointsman_server.domain import (
    SYSTEM_ROLES,
    Call,
    Choice,
    Conversation,
    Grammar,
    JsonObject,
    JsonSchema,
    Media,
    Message,
    Part,
    Prompt,
    ProviderPart,
    Reasoning,
    Refusal,
    Regex,
    Role,
    Text,
    TokenIds,
    Tool,
    ToolCall,
    ToolChoiceMode,
    ToolResult,
)

MAX_MESSAGES = 10_000
MAX_PARTS = 1_000
MAX_TOOLS = 512
MAX_SIGNATURE_BYTES = 64 * 1024
MAX_CITATIONS = 1_000
MAX_ID = 512
MAX_SCHEMA = 256 * 1024
MAX_PATTERN = 64 * 1024
MAX_CHOICES = 1_000
_SCHEMA_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z", re.ASCII)
_URL = re.compile(r"(?:https?|gs|s3)://[^\s@\x00-\x1f\x7f]+\Z|data:[^\s\x00-\x1f\x7f]+\Z", re.IGNORECASE)
_DIALECT = re.compile(r"[a-z0-9_]{1,64}\Z", re.ASCII)


def check_input(call: Call, faults: Faults) -> None:
    """What the model is to go on with."""
    match call.input:
        case Conversation():
            _check_conversation(call.input, faults)
        case Prompt():
            if not call.input.text:
                faults.add("prompt", "must not be empty")
        case TokenIds():
            if not call.input.ids:
                faults.add("token_ids.ids", "must not be empty")
        case _:
            assert_never(call.input)


def _check_conversation(conversation: Conversation, faults: Faults) -> None:
    messages = conversation.messages
    if not messages:
        faults.add("conversation.messages", "must not be empty")
    faults.count("conversation.messages", len(messages), MAX_MESSAGES)
    for position, message in enumerate(messages):
        if _is_plain(message):
            continue
        _check_message(f"conversation.messages[{position}]", message, faults)


def _is_plain(message: Message) -> bool:
    """The common case, with nothing in it that could be wrong: one bare text."""
    if len(message.parts) != 1 or message.name or message.role is Role.TOOL:
        return False
    part = message.parts[0]
    return type(part.content) is Text and not (part.signature or part.origin or part.citations)


def _check_message(path: str, message: Message, faults: Faults) -> None:
    faults.length(f"{path}.name", message.name, 256)
    if not message.parts:
        faults.add(f"{path}.parts", "must not be empty")
    faults.count(f"{path}.parts", len(message.parts), MAX_PARTS)
    for position, part in enumerate(message.parts):
        here = f"{path}.parts[{position}]"
        _check_role(here, message.role, part, faults)
        check_part(here, part, faults)


def _check_role(path: str, role: Role, part: Part, faults: Faults) -> None:
    """Who may say what; lenient wherever a provider is."""
    content = part.content
    if isinstance(content, ProviderPart):
        return
    if isinstance(content, (ToolCall, Reasoning, Refusal)):
        if role is not Role.ASSISTANT:
            faults.add(path, "tool calls, reasoning and refusals belong to the assistant")
    elif isinstance(content, ToolResult):
        if role not in (Role.TOOL, Role.USER):
            faults.add(path, "tool results belong to the roles tool and user")
    elif role is Role.TOOL:
        faults.add(path, "a message of the role tool holds tool results only")
    elif isinstance(content, Media) and role in SYSTEM_ROLES:
        faults.add(path, "media do not belong to the roles system and developer")


def check_part(path: str, part: Part, faults: Faults) -> None:
    """One part, whoever says it."""
    if len(part.signature) > MAX_SIGNATURE_BYTES:
        faults.add(f"{path}.signature", f"must have at most {MAX_SIGNATURE_BYTES} bytes")
    faults.length(f"{path}.origin", part.origin, 256)
    faults.count(f"{path}.citations", len(part.citations), MAX_CITATIONS)
    match part.content:
        case Text() | Reasoning() | Refusal():
            pass
        case ToolCall():
            _check_tool_call(f"{path}.tool_call", part.content, faults)
        case ToolResult():
            _check_tool_result(f"{path}.tool_result", part.content, faults)
        case Media():
            check_media(f"{path}.{part.content.kind.value}", part.content, faults)
        case ProviderPart():
            if not _DIALECT.match(part.content.dialect):
                faults.add(f"{path}.provider_part.dialect", "must be the name of a dialect, as openai")
            faults.json_value(f"{path}.provider_part.json", part.content.json)
        case _:
            assert_never(part.content)


def _check_tool_call(path: str, call: ToolCall, faults: Faults) -> None:
    faults.length(f"{path}.id", call.id, MAX_ID)
    if not TOOL_NAME.match(call.name):
        faults.add(f"{path}.name", "must have 1 to 128 of letters, digits and _ . : -")
    if call.arguments_json:
        faults.json_object(f"{path}.arguments_json", call.arguments_json)


def _check_tool_result(path: str, result: ToolResult, faults: Faults) -> None:
    """Whether the id is one of an earlier call is the provider's to say: some take results without one."""
    faults.length(f"{path}.tool_call_id", result.tool_call_id, MAX_ID)
    faults.length(f"{path}.name", result.name, 128)
    faults.count(f"{path}.parts", len(result.parts), MAX_PARTS)
    for position, part in enumerate(result.parts):
        here = f"{path}.parts[{position}]"
        if isinstance(part.content, (Text, Media, ProviderPart)):
            check_part(here, part, faults)
        else:
            faults.add(here, "a tool result holds text and media only")


def check_media(path: str, media: Media, faults: Faults) -> None:
    """An image, sound or file."""
    if bool(media.url) == bool(media.data):
        faults.add(path, "needs exactly one of url and data, not empty")
    elif media.url and not _URL.match(media.url):
        faults.add(f"{path}.url", "must be an http, https, gs, s3 or data URL without user information")
    if media.media_type:
        if not MEDIA_TYPE.match(media.media_type):
            faults.add(f"{path}.media_type", "must look like image/png")
    elif media.data:
        faults.add(f"{path}.media_type", "is required with data")
    faults.length(f"{path}.filename", media.filename, 256)


def check_tools(call: Call, faults: Faults) -> None:
    """The tools and how they may be used."""
    faults.count("tools", len(call.tools), MAX_TOOLS)
    names: set[str] = set()
    for position, tool in enumerate(call.tools):
        _check_tool(f"tools[{position}]", tool, faults)
        if tool.name in names:
            faults.add(f"tools[{position}].name", "is used twice")
        names.add(tool.name)
    choice = call.tool_choice
    if choice is None:
        return
    if choice.mode is ToolChoiceMode.REQUIRED and not call.tools:
        faults.add("tool_choice.mode", "requires a call, but there are no tools")
    faults.count("tool_choice.allowed_tools", len(choice.allowed_tools), MAX_TOOLS)
    for position, name in enumerate(choice.allowed_tools):
        if name not in names:
            faults.add(f"tool_choice.allowed_tools[{position}]", "is not one of the tools")


def _check_tool(path: str, tool: Tool, faults: Faults) -> None:
    if not TOOL_NAME.match(tool.name):
        faults.add(f"{path}.name", "must have 1 to 128 of letters, digits and _ . : -")
    if tool.parameters_json_schema:
        faults.length(f"{path}.parameters_json_schema", tool.parameters_json_schema, MAX_SCHEMA)
        faults.json_object(f"{path}.parameters_json_schema", tool.parameters_json_schema)


def check_format(call: Call, faults: Faults) -> None:
    """The format of the answer."""
    match call.output_format:
        case None | JsonObject():
            pass
        case JsonSchema() as wanted:
            path = "output_format.json_schema"
            if wanted.name and not _SCHEMA_NAME.match(wanted.name):
                faults.add(f"{path}.name", "must have 1 to 64 of letters, digits, _ and -")
            faults.length(f"{path}.schema_json", wanted.schema_json, MAX_SCHEMA)
            faults.json_object(f"{path}.schema_json", wanted.schema_json)
        case Regex(text) | Grammar(text):
            path = "output_format.regex" if isinstance(call.output_format, Regex) else "output_format.grammar"
            if not text:
                faults.add(path, "must not be empty")
            faults.length(path, text, MAX_PATTERN)
        case Choice(values):
            if not values or "" in values or len(set(values)) < len(values):
                faults.add(
                    "output_format.choice.values", "must be one or more different texts, none of them empty"
                )
            faults.count("output_format.choice.values", len(values), MAX_CHOICES)
        case _:
            assert_never(call.output_format)
