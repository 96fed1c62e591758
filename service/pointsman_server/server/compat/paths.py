"""Paths into messages, as rules write them: `generation.max_output_tokens`, `candidates[0].message.parts[].text`.

`[]` means every element of a list, `[2]` the third. A path is checked once against its message's descriptor and walked
for every call.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

MAX_INDEX = 63
_STEP = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:\[(?P<index>[0-9]{0,2})\])?\Z", re.ASCII)

Index: TypeAlias = "int | None"


class PathFault(ValueError):
    """A path that leads nowhere; its text says where it ends."""


@dataclass(frozen=True, slots=True)
class Step:
    """One field, of a message or of every message in a list."""

    field: FieldDescriptor
    every: bool = False
    index: Index = None

    @property
    def repeated(self) -> bool:
        """Whether the step alone leads to a list."""
        return bool(self.field.is_repeated) and self.index is None and not is_map(self.field)


@dataclass(frozen=True, slots=True)
class FieldPath:
    """A path that fits a message type."""

    text: str
    steps: tuple[Step, ...]

    @property
    def last(self) -> FieldDescriptor:
        """The field at its end."""
        return self.steps[-1].field

    @property
    def many(self) -> bool:
        """Whether it may lead to several values."""
        return any(step.repeated for step in self.steps)

    def read(self, message: Message) -> list[Any]:
        """The values that are set; an unset or empty field has none."""
        found: list[Any] = [message]
        for step in self.steps:
            found = [value for parent in found for value in _values(parent, step)]
        return found

    def owner(self, message: Message) -> Message:
        """The message that holds the last field, made on the way where it is not there. Only of a path without `[]`."""
        here = message
        for step in self.steps[:-1]:
            here = _inner(here, step)
        return here


def parse_path(text: str, descriptor: Descriptor) -> FieldPath:
    """The path in a message of this type. Raises PathFault."""
    if not text:
        raise PathFault("must not be empty")
    steps: list[Step] = []
    here: Descriptor | None = descriptor
    for word in text.split("."):
        if here is None:
            raise PathFault(f"{steps[-1].field.name} is no message, so it has no {word!r}")
        step = _step(word, here)
        steps.append(step)
        here = step.field.message_type
        if is_map(step.field):
            here = None
    return FieldPath(text, tuple(steps))


def _step(word: str, descriptor: Descriptor) -> Step:
    found = _STEP.match(word)
    if found is None:
        raise PathFault(f"{word!r} is not a field's name, with [] or [0] behind it for a list")
    field = descriptor.fields_by_name.get(found["name"])
    if field is None:
        raise PathFault(f"{descriptor.full_name} has no field {found['name']!r}")
    written = found["index"]
    if written is None:
        return Step(field)
    if not field.is_repeated or is_map(field):
        raise PathFault(f"{descriptor.full_name}.{field.name} is no list")
    if written and int(written) > MAX_INDEX:
        raise PathFault(f"an index is at most {MAX_INDEX}")
    return Step(field, every=not written, index=int(written) if written else None)


def is_map(field: FieldDescriptor) -> bool:
    """Whether a field is a map, which counts as one value."""
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _values(message: Message, step: Step) -> Iterator[Any]:
    field, name = step.field, step.field.name
    if is_map(field):
        if entries := getattr(message, name):
            yield dict(entries)
    elif field.is_repeated:
        values = getattr(message, name)
        if step.index is None:
            yield from values
        elif step.index < len(values):
            yield values[step.index]
    elif field.has_presence:
        if message.HasField(name):
            yield getattr(message, name)
    elif (value := getattr(message, name)) != field.default_value:
        yield value


def _inner(message: Message, step: Step) -> Message:
    """The message that a step leads to."""
    inner: Any = getattr(message, step.field.name)
    if step.index is None:
        inner.SetInParent()
        return inner  # type: ignore[no-any-return]
    while len(inner) <= step.index:
        inner.add()
    return inner[step.index]  # type: ignore[no-any-return]
