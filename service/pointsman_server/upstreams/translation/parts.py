"""Numbers of parts: each (candidate, key) gets its index in the order of first appearance, from 0. And ids of calls."""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Hashable, Iterable, Mapping

from pointsman_server.domain import Message, Text, ToolCall, ToolResult

_ERROR = "Error: "
_ID_LETTERS = string.ascii_letters + string.digits
_LONGEST_ID = 64


class PartNumbers:
    """The parts of one answer. A key is what the wire tells a part by: a kind, or a kind with a number."""

    __slots__ = ("_by_candidate",)

    def __init__(self) -> None:
        self._by_candidate: dict[int, dict[Hashable, int]] = {}

    def of(self, candidate: int, key: Hashable) -> int:
        """The part's number; a new one when it is seen for the first time."""
        known = self._by_candidate.get(candidate)
        if known is None:
            known = self._by_candidate[candidate] = {}
        number = known.get(key)
        if number is None:
            number = known[key] = len(known)
        return number


def made_tool_id(attempt_id: str, candidate: int, number: int) -> str:
    """An id where the wire has none: the same whenever the same attempt is read again, unlike any other's."""
    seed = f"{attempt_id}/{candidate}/{number}".encode(errors="replace")
    return f"call_{hashlib.blake2s(seed, digest_size=12).hexdigest()}"


def plain_tool_id(tool_id: str, foreign: re.Pattern[str]) -> str:
    """The id of a call for a provider that takes 64 characters and not any: the same one for the same id, always.

    Other providers' ids hold dots, colons, or whatever a model invented.
    """
    if 0 < len(tool_id) <= _LONGEST_ID and not foreign.search(tool_id):
        return tool_id
    return f"call_{hashlib.blake2s(tool_id.encode(errors='replace'), digest_size=12).hexdigest()}"


def tool_names(messages: Iterable[Message]) -> Mapping[str, str]:
    """Id of a call -> the name of its tool, as the history tells it; of equal ids the last one counts."""
    parts = (part.content for message in messages for part in message.parts)
    return {call.id: call.name for call in parts if isinstance(call, ToolCall)}


def result_texts(result: ToolResult) -> list[str]:
    """What a tool said, for wires without a field for its failure: the text tells of it, unless it does so already."""
    texts = [part.content.text for part in result.parts if isinstance(part.content, Text)]
    if result.is_error and not "".join(texts).lstrip().lower().startswith("error"):
        texts = [_ERROR + (texts[0] if any(texts) else "the tool failed"), *texts[1:]]
    return texts


def fitted_tool_id(tool_id: str, length: int) -> str:
    """The id of a call for a provider that wants so many letters and digits: the same one for the same id, always."""
    if len(tool_id) == length and tool_id.isascii() and tool_id.isalnum():
        return tool_id
    number = int.from_bytes(hashlib.blake2s(tool_id.encode(errors="replace")).digest())
    letters = []
    for _ in range(length):
        number, place = divmod(number, len(_ID_LETTERS))
        letters.append(_ID_LETTERS[place])
    return "".join(letters)
