"""Strings that protobuf refuses: half characters (lone surrogates), which some JSON decoders let through."""

from __future__ import annotations

import dataclasses
from typing import TypeVar, cast

T = TypeVar("T")


def clean_text(text: str) -> str:
    """The text with every lone surrogate replaced."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def cleaned(value: T) -> T:
    """The same value with all strings inside it cleaned. Slow: only after an encoding has failed."""
    if isinstance(value, str):
        return cast(T, clean_text(value))
    if isinstance(value, (tuple, list)):
        return cast(T, type(value)(cleaned(item) for item in value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changes = {field.name: cleaned(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return cast(T, dataclasses.replace(value, **changes))
    return value
