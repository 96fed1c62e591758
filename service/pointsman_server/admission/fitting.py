"""A call -> the same call with a conversation that fits its model's window, and a warning where that left anything out.

Summaries are somebody else's to make. Without one, or where it fails, what is dropped is gone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from pointsman_server.admission.window import Fitted, Window, fit
from pointsman_server.config.schema import ContextWindow, Summary
from pointsman_server.context import CallContext
from pointsman_server.domain import SYSTEM_ROLES, Call, Conversation, Message, Part, Role, Text, Tool, Warning
from pointsman_server.errors import ServiceError
from pointsman_server.routing.load import CHARACTERS_PER_TOKEN, estimated_prompt_tokens, message_tokens
from pointsman_server.routing.plan import Weights

CONTEXT_TRIMMED = "CONTEXT_TRIMMED"
"""Code of the warning: earlier messages were left out, or replaced by a summary."""
_FIELD = "conversation.messages"
_HEADING = "Summary of the earlier conversation:\n"


class Summaries(Protocol):
    """Makes a summary of messages."""

    async def summarise(self, messages: Sequence[Message], settings: Summary, context: CallContext) -> str:
        """The summary's text. Raises ServiceError when there is none to be had."""


async def fitted(
    call: Call,
    settings: ContextWindow,
    summaries: Summaries,
    context: CallContext,
    *,
    weights: Weights | None = None,
) -> Call:
    """The call as it is to be served; its input must be a conversation. Without `weights` tokens are estimated."""
    assert isinstance(call.input, Conversation)
    messages, summary = call.input.messages, settings.summary
    window = Window(settings.keep_turns, settings.max_input_tokens)
    counts, tools = weights or _estimated(messages, call.tools)
    parted = fit(messages, window, counts, reserved_tokens=tools)
    if not parted.dropped:
        return call if parted.fits else _noted(call, "is longer than the window, but nothing may be left out")
    if summary is None:
        kept, told = parted.kept, _told(parted)
    else:
        # Again, since the summary needs room of its own.
        parted = fit(messages, window, counts, reserved_tokens=tools + summary.max_output_tokens)
        kept, told = await _with_summary(parted, summary, summaries, context)
    return _noted(dataclasses.replace(call, input=Conversation(kept)), told)


def _estimated(messages: Sequence[Message], tools: Sequence[Tool]) -> Weights:
    return Weights(
        tuple(message_tokens(message) for message in messages), sum(_tool_tokens(tool) for tool in tools)
    )


def may_be_too_long(call: Call, settings: ContextWindow) -> bool:
    """Whether it is worth counting tokens: not where there are fewer bytes of text than the window has tokens."""
    limit = settings.max_input_tokens
    return limit is not None and estimated_prompt_tokens(call, _bytes) > limit


def _bytes(text: str) -> int:
    return len(text.encode(errors="replace"))


def _noted(call: Call, told: str) -> Call:
    return dataclasses.replace(call, notes=(*call.notes, Warning(CONTEXT_TRIMMED, _FIELD, told)))


async def _with_summary(
    parted: Fitted, settings: Summary, summaries: Summaries, context: CallContext
) -> tuple[tuple[Message, ...], str]:
    try:
        text = await summaries.summarise(parted.dropped, settings, context)
    except ServiceError as error:
        return parted.kept, f"{_told(parted)}; no summary could be made ({error.reason.value})"
    summary = Message(Role.SYSTEM, (Part(Text(_HEADING + text)),))
    head = 0
    while head < len(parted.kept) and parted.kept[head].role in SYSTEM_ROLES:
        head += 1
    count = len(parted.dropped)
    return (
        (*parted.kept[:head], summary, *parted.kept[head:]),
        f"the {count} oldest message(s) were replaced by a summary of {settings.model}",
    )


def _told(parted: Fitted) -> str:
    text = f"the {len(parted.dropped)} oldest message(s) were left out"
    return text if parted.fits else f"{text}, and what is left is still longer than the window"


def _tool_tokens(tool: Tool) -> int:
    letters = len(tool.name) + len(tool.description) + len(tool.parameters_json_schema)
    return letters // CHARACTERS_PER_TOKEN + 1
