"""Numbers of parts: each (candidate, key) gets its index in the order of first appearance, from 0. And ids of calls."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable


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
