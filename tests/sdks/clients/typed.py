"""Checks a body against the typed dictionaries that a client declares for it, which no client does by itself."""

from __future__ import annotations

import collections.abc
import types
import typing
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

_ORIGINS = (collections.abc.Iterable, list)


def checker(declared: Any) -> TypeAdapter[Any]:
    """Of a declared type: names that it does not have are errors, at every depth."""
    return TypeAdapter(_strict(declared, {}))


def _strict(declared: Any, seen: dict[Any, Any]) -> Any:
    """The same, with lists where anything that can be walked is declared (which is checked late), and closed."""
    if typing.is_typeddict(declared):
        return _closed(declared, seen)
    origin, inner = typing.get_origin(declared), typing.get_args(declared)
    if origin is None or origin is typing.Literal:
        return declared
    strict = tuple(_strict(one, seen) for one in inner)
    if origin in _ORIGINS:
        return list[strict[0]]
    if origin in (typing.Union, types.UnionType):
        return typing.Union[strict]  # noqa: UP007 -- of a tuple
    return declared.copy_with(strict) if hasattr(declared, "copy_with") else origin[strict]


def _closed(declared: Any, seen: dict[Any, Any]) -> Any:
    if declared not in seen:
        # Known before its fields are, since some hold themselves.
        seen[declared] = declared
        hints = typing.get_type_hints(declared, include_extras=True)
        declared.__annotations__ = {name: _strict(hint, seen) for name, hint in hints.items()}
        # Where a provider's own client says that more names may come, it is let be.
        if getattr(declared, "__extra_items__", None) is None:
            declared.__pydantic_config__ = ConfigDict(extra="forbid")
    return declared


def check_known(value: Any) -> None:
    """No model in this value was given a name that it does not declare, in clients that let such pass."""
    if isinstance(value, BaseModel):
        more = value.model_extra or {}
        if more:
            raise TypeError(f"{type(value).__name__} has no {sorted(more)}")
        for name in value.model_fields_set:
            check_known(getattr(value, name))
    elif isinstance(value, list):
        for one in value:
            check_known(one)
