"""Waiting for what should happen, bounded."""

import threading
from collections.abc import Callable
from typing import TypeVar

PATIENCE_S = 60.0
"""A bound on a hang, not a figure."""
_LOOK_S = 0.05

T = TypeVar("T")


def until(what: str, condition: Callable[[], T], within_s: float = PATIENCE_S) -> T:
    """What the condition gives, once that is true. Raises AssertionError when it never comes to be."""
    pause, looks = threading.Event(), int(within_s / _LOOK_S)
    for _ in range(looks):
        if found := condition():
            return found
        pause.wait(_LOOK_S)
    raise AssertionError(f"not within {within_s:g} s: {what}; last: {found!r}")
