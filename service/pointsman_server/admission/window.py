"""Fits a conversation into a window: so many turns, or so many tokens. Pure.

Words of the system and of developers always stay. The rest is cut where it can be cut: a turn begins with what a user
says; within a turn, an assistant's message with tool calls and the results of these calls belong together. The oldest
goes first; what the user said last, and what came after it last, always stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pointsman_server.domain import SYSTEM_ROLES, Message, Role, ToolCall, ToolResult


@dataclass(frozen=True, slots=True)
class Window:
    """What is kept; None bounds nothing."""

    keep_turns: int | None = None
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Fitted:
    """A conversation, parted."""

    kept: tuple[Message, ...]
    dropped: tuple[Message, ...]
    fits: bool
    """Whether what is kept is within the window's tokens."""


@dataclass(slots=True)
class _Unit:
    """Messages that stay or go together."""

    positions: list[int]
    tokens: int
    begins_turn: bool


def fit(
    messages: Sequence[Message], window: Window, counts: Sequence[int], *, reserved_tokens: int = 0
) -> Fitted:
    """The newest part of a conversation that the window holds. `counts` are the tokens of each message;
    `reserved_tokens` are used by what is no message.
    """
    units = _units(messages, counts)
    first = _first_of_last_turns(units, window.keep_turns)
    fixed = reserved_tokens + sum(
        tokens for tokens, message in zip(counts, messages, strict=True) if _stays(message)
    )
    going = list(range(first))
    fits = True
    if window.max_tokens is not None:
        total = fixed + sum(unit.tokens for unit in units[first:])
        for index in _order(units, first):
            if total <= window.max_tokens:
                break
            going.append(index)
            total -= units[index].tokens
        fits = total <= window.max_tokens
    gone = {position for index in going for position in units[index].positions}
    return Fitted(
        tuple(message for position, message in enumerate(messages) if position not in gone),
        tuple(message for position, message in enumerate(messages) if position in gone),
        fits,
    )


def _stays(message: Message) -> bool:
    return message.role in SYSTEM_ROLES


def _units(messages: Sequence[Message], counts: Sequence[int]) -> list[_Unit]:
    units: list[_Unit] = []
    open_calls = False
    for position, message in enumerate(messages):
        if _stays(message):
            continue
        results = message.role is Role.TOOL or _holds(message, ToolResult)
        if results and open_calls:
            units[-1].positions.append(position)
            units[-1].tokens += counts[position]
            continue
        begins = message.role is Role.USER and not results
        units.append(_Unit([position], counts[position], begins))
        open_calls = message.role is Role.ASSISTANT and _holds(message, ToolCall)
    return units


def _holds(message: Message, kind: type[ToolCall | ToolResult]) -> bool:
    return any(isinstance(part.content, kind) for part in message.parts)


def _first_of_last_turns(units: Sequence[_Unit], turns: int | None) -> int:
    """Where the last so many turns begin."""
    if turns is None:
        return 0
    begins = [index for index, unit in enumerate(units) if unit.begins_turn]
    return begins[-turns] if len(begins) > turns else 0


def _order(units: Sequence[_Unit], first: int) -> Iterable[int]:
    """Which units may go, the first to go first: earlier turns, then what came between in the last."""
    begins = [index for index in range(first, len(units)) if units[index].begins_turn]
    last_turn = begins[-1] if begins else first
    yield from range(first, last_turn)
    yield from range(last_turn + (1 if begins else 0), len(units) - 1)
