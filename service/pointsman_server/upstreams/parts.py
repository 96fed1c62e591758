"""Numbers of parts: each (candidate, key) gets its index in the order of first appearance, from 0."""

from __future__ import annotations

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
