"""One value of a message -> the form that another field takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from pointsman_server.server.compat.paths import is_map

F = FieldDescriptor
_INTEGERS: Mapping[int, tuple[int, int]] = {
    **dict.fromkeys((F.TYPE_INT32, F.TYPE_SINT32, F.TYPE_SFIXED32), (-(2**31), 2**31 - 1)),
    **dict.fromkeys((F.TYPE_INT64, F.TYPE_SINT64, F.TYPE_SFIXED64), (-(2**63), 2**63 - 1)),
    **dict.fromkeys((F.TYPE_UINT32, F.TYPE_FIXED32), (0, 2**32 - 1)),
    **dict.fromkeys((F.TYPE_UINT64, F.TYPE_FIXED64), (0, 2**64 - 1)),
}
_FLOATS = frozenset((F.TYPE_DOUBLE, F.TYPE_FLOAT))
_DURATION = "google.protobuf.Duration"


class Misfit(ValueError):
    """A value that the field cannot take; the text says why, without the value."""


def convertible(source: FieldDescriptor, target: FieldDescriptor) -> bool:
    """Whether values of one field can be put into the other, list or not. Some values may still be misfits."""
    if is_map(source) or is_map(target):
        return is_map(source) and is_map(target) and _entry_types(source) == _entry_types(target)
    if target.message_type is not None:
        return _message_convertible(source, target.message_type)
    if source.message_type is not None:
        # A message as JSON text, and a duration as seconds.
        number = target.type in _INTEGERS or target.type in _FLOATS
        return target.type == F.TYPE_STRING or (number and source.message_type.full_name == _DURATION)
    if F.TYPE_BYTES in (source.type, target.type):
        return source.type == target.type
    if source.enum_type is not None or target.enum_type is not None:
        kinds = (F.TYPE_ENUM, F.TYPE_STRING)
        return source.type in kinds and target.type in kinds
    return True


def _entry_types(field: FieldDescriptor) -> list[int]:
    """Kinds of a map's keys and values; only scalar ones are copied."""
    assert field.message_type is not None
    return [inner.type for inner in field.message_type.fields if inner.message_type is None]


def _message_convertible(source: FieldDescriptor, target: Descriptor) -> bool:
    if source.message_type is not None:
        return source.message_type.full_name == target.full_name or _is_json(target)
    if target.full_name == _DURATION and (source.type in _INTEGERS or source.type in _FLOATS):
        return True
    return source.type == F.TYPE_STRING and _is_json(target)


def _is_json(target: Descriptor) -> bool:
    return target.full_name in ("google.protobuf.Struct", "google.protobuf.Value")


def put(
    owner: Message,
    field: FieldDescriptor,
    value: Any,  # noqa: ANN401 - whatever a field holds
    source: FieldDescriptor | None,
    names: Mapping[str, str],
) -> None:
    """Set a field, or append to it where it is a list; `source` is None for a value that is written in a rule.

    `names` replaces words and values of enums. Raises Misfit.
    """
    word = _word(value, source)
    if names and word is not None:
        if word not in names:
            raise Misfit("is none of the values that can be mapped")
        value, source = names[word], None
    held: Any = getattr(owner, field.name)
    if is_map(field):
        for key, inner in value.items() if isinstance(value, dict) else ():
            held[key] = inner
    elif field.message_type is not None:
        _fill(held.add() if field.is_repeated else held, value)
    elif field.is_repeated:
        held.append(_scalar(value, source, field))
    else:
        setattr(owner, field.name, _scalar(value, source, field))


def _scalar(value: Any, source: FieldDescriptor | None, target: FieldDescriptor) -> Any:  # noqa: ANN401
    if target.enum_type is not None:
        return _enum(value, source, target.enum_type)
    if target.type == F.TYPE_STRING:
        return _text(value, source)
    if target.type in _INTEGERS:
        return _integer(value, *_INTEGERS[target.type])
    if target.type in _FLOATS:
        return _number(value)
    if target.type == F.TYPE_BOOL:
        return _flag(value)
    if target.type == F.TYPE_BYTES and isinstance(value, bytes):
        return value
    raise Misfit("cannot be put there")


def _word(value: object, source: FieldDescriptor | None) -> str | None:
    """How a rule's `names` call it."""
    if source is not None and source.enum_type is not None and isinstance(value, int):
        known = source.enum_type.values_by_number.get(value)
        return known.name if known is not None else str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int) else None


def _enum(value: object, source: FieldDescriptor | None, target: EnumDescriptor) -> int:
    known = target.values_by_name.get(_word(value, source) or "")
    if known is None:
        raise Misfit("is none of the values that can be mapped")
    return int(known.number)


def _text(value: object, source: FieldDescriptor | None) -> str:
    if isinstance(value, Message):
        return json_format.MessageToJson(value, preserving_proto_field_name=True, indent=None)
    word = _word(value, source)
    if word is not None:
        return word
    if isinstance(value, float):
        return repr(value)
    raise Misfit("is no text")


def _integer(value: object, least: int, most: int) -> int:
    number = _number(value)
    if not number.is_integer():
        raise Misfit("is not a whole number")
    whole = value if isinstance(value, int) else int(number)
    if not least <= whole <= most:
        raise Misfit(f"must be from {least} to {most}")
    return int(whole)


def _number(value: Any) -> float:  # noqa: ANN401
    if isinstance(value, Message) and value.DESCRIPTOR.full_name == _DURATION:
        value = value.seconds + value.nanos / 1e9  # type: ignore[attr-defined]
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise Misfit("is not a number") from None
    if not math.isfinite(number):
        raise Misfit("is not a finite number")
    return number


def _flag(value: object) -> bool:
    if isinstance(value, bool | int):
        return bool(value)
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise Misfit("is neither true nor false")


def _fill(inner: Any, value: object) -> None:  # noqa: ANN401
    """Into a message: the same message of another pool, JSON, or seconds."""
    name = inner.DESCRIPTOR.full_name
    try:
        if isinstance(value, Message) and value.DESCRIPTOR.full_name == name:
            inner.ParseFromString(value.SerializeToString())
        elif name == _DURATION:
            seconds = _number(value)
            inner.seconds, inner.nanos = int(seconds), round(math.fmod(seconds, 1) * 1e9)
        elif isinstance(value, Message):
            json_format.Parse(json_format.MessageToJson(value, preserving_proto_field_name=True), inner)
        elif isinstance(value, str):
            json_format.Parse(value, inner)
        else:
            raise Misfit("cannot be put there")
    except (json_format.Error, OverflowError):
        raise Misfit("is not the JSON that belongs there") from None
