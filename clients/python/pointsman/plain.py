"""Plain Python values in, messages of the contract out, by the contract's own descriptors.

It knows no particular message: `{"on_interrupt": "restart", "first_token_timeout_s": 2}` becomes RoutingOptions because
the descriptor says so, and a field added to the contract needs no line here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, TypeVar, cast

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

M = TypeVar("M", bound=Message)

_DURATION = Duration.DESCRIPTOR.full_name


def build(kind: type[M], values: M | Mapping[str, Any], *, at: str) -> M:
    """A message of `kind` from a mapping, or the message itself; `at` names the place in what is raised."""
    if isinstance(values, kind):
        return values
    if not isinstance(values, Mapping):
        raise TypeError(f"{at}: expected a mapping or {kind.__name__}, not {type(values).__name__}")
    message = kind()
    fill(message, values, at=at)
    return message


def fill(message: Message, values: Mapping[str, Any], *, at: str) -> None:
    """Sets the named fields; None leaves a field unset, an unknown name is a TypeError."""
    for name, value in values.items():
        if value is not None:
            _set(message, _field(message, name, at), value, f"{at}.{name}")


def field_names(kind: type[Message]) -> tuple[str, ...]:
    """What `fill` understands for this kind of message; durations carry their unit."""
    return tuple(f"{f.name}_s" if _is_duration(f) else f.name for f in _fields(kind).values())


def enum_number(enum: EnumDescriptor, word: str | int, *, at: str) -> int:
    """The number of `"restart"`, `"RESTART"` or the whole constant's name; a number passes."""
    if isinstance(word, int):
        return word
    prefix = _prefix(enum)
    value = enum.values_by_name.get(prefix + word.upper()) or enum.values_by_name.get(word)
    if value is None:
        known = ", ".join(repr(enum_word(enum, v.number)) for v in enum.values if v.number)
        raise ValueError(f"{at}: {word!r} is none of {known}")
    return value.number


def enum_word(enum: EnumDescriptor, number: int) -> str:
    """`"restart"` for the number of ..._RESTART, "" for the unspecified one, and the number itself for a newer one."""
    if number == 0:
        return ""
    value = enum.values_by_number.get(number)
    return value.name.removeprefix(_prefix(enum)).lower() if value else str(number)


def duration(value: float | timedelta | Duration) -> Duration:
    """Seconds, a timedelta or a Duration as a Duration."""
    if isinstance(value, Duration):
        return value
    result = Duration()
    result.FromTimedelta(value if isinstance(value, timedelta) else timedelta(seconds=value))
    return result


def _fields(kind: type[Message]) -> Mapping[str, FieldDescriptor]:
    return cast("Mapping[str, FieldDescriptor]", kind.DESCRIPTOR.fields_by_name)


def _prefix(enum: EnumDescriptor) -> str:
    return enum.values_by_number[0].name.removesuffix("UNSPECIFIED")


def _is_duration(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.full_name == _DURATION


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _field(message: Message, name: str, at: str) -> FieldDescriptor:
    fields = _fields(type(message))
    plain = fields.get(name)
    if plain is not None:
        return plain
    timed = fields.get(name.removesuffix("_s"))
    if timed is not None and _is_duration(timed):
        return timed
    raise TypeError(f"{at} has no {name!r}; it has {', '.join(field_names(type(message)))}")


def _set(message: Message, field: FieldDescriptor, value: Any, at: str) -> None:  # noqa: ANN401 -- protobuf checks it
    """Puts one value in place; what protobuf has against it is told with its path."""
    try:
        if _is_map(field):
            getattr(message, field.name).update(value)
        elif field.is_repeated:
            _extend(getattr(message, field.name), field, value, at)
        elif field.message_type is not None:
            target = getattr(message, field.name)
            target.SetInParent()
            target.CopyFrom(duration(value) if _is_duration(field) else build(type(target), value, at=at))
        elif field.enum_type is not None:
            setattr(message, field.name, enum_number(field.enum_type, value, at=at))
        else:
            setattr(message, field.name, value)
    except (TypeError, ValueError) as error:
        if str(error).startswith(at):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{at}: {error}") from error


def _extend(target: Any, field: FieldDescriptor, value: object, at: str) -> None:  # noqa: ANN401 -- a container
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise TypeError(f"{at}: expected a list, not {type(value).__name__}")
    for index, item in enumerate(value):
        if field.message_type is None:
            target.append(item)
        else:
            made = target.add()
            made.CopyFrom(build(type(made), item, at=f"{at}[{index}]"))
