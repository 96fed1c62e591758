"""Checks a body against the typed dictionaries that a client declares for it, which no client does by itself."""

from __future__ import annotations

import collections.abc
import os
import types
import typing
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from pydantic import BaseModel, ConfigDict, InstanceOf, TypeAdapter
from typing_extensions import NoExtraItems, get_type_hints, is_typeddict

from tests.sdks.clients.heard import split

_LISTS = (collections.abc.Iterable, list)
_FILES = (typing.IO, os.PathLike)


def checker(declared: Any) -> TypeAdapter[Any]:
    """Of a declared type: names that it does not have are errors, at every depth."""
    return TypeAdapter(_strict(declared, {}))


def _strict(declared: Any, seen: dict[Any, Any]) -> Any:
    """The same, with lists where anything that can be walked is declared (which is checked late), and closed."""
    if is_typeddict(declared):
        return _closed(declared, seen)
    if isinstance(declared, type) and issubclass(declared, BaseModel):
        # Of an answer, which may be handed back as it came, and takes any name.
        return InstanceOf[declared]
    origin, inner = typing.get_origin(declared), typing.get_args(declared)
    if origin is None or origin is typing.Literal:
        return declared
    if origin in _FILES:
        return bytes
    if origin is typing.Annotated:
        return typing.Annotated[_strict(inner[0], seen), *inner[1:]]
    strict = tuple(_strict(one, seen) for one in inner)
    if origin in _LISTS:
        return list[strict[0]]
    if origin in (typing.Union, types.UnionType):
        return typing.Union[strict]  # noqa: UP007 -- of a tuple
    return declared.copy_with(strict) if hasattr(declared, "copy_with") else origin[strict]


def _closed(declared: Any, seen: dict[Any, Any]) -> Any:
    if declared not in seen:
        # Known before its fields are, since some hold themselves.
        seen[declared] = declared
        hints = get_type_hints(declared, include_extras=True)
        declared.__annotations__ = {name: _strict(hint, seen) for name, hint in hints.items()}
        # Where a provider's own client says that more names may come, it is let be.
        if getattr(declared, "__extra_items__", None) in (None, NoExtraItems):
            declared.__pydantic_config__ = ConfigDict(extra="forbid")
    return declared


def check_declared(declared: TypeAdapter[Any], job: Mapping[str, Any], known: AbstractSet[str]) -> None:
    """A job's body is what is declared; `extra` of the job are the fields beyond that, in the body or in a message."""
    extra = job["extra"]
    body, more = split(job["body"], known)
    if unknown := more.keys() - extra:
        raise TypeError(f"no {sorted(unknown)}")
    if messages := body.get("messages"):
        body["messages"] = [
            {name: value for name, value in message.items() if name not in extra} for message in messages
        ]
    declared.validate_python(body, strict=True)


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
