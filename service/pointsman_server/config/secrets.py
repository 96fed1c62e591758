"""Secrets by reference: every SecretRef of a configuration is read once, at load; a missing one is a fault."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from pointsman_server.config.faults import Path
from pointsman_server.config.files import FileFault, read_text
from pointsman_server.config.schema import SecretRef

MAX_SECRET_BYTES = 64 * 1024


class Secret:
    """A value that never shows itself; `reveal` is the one way to it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value; for the moment of use only."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not serialized")


class Secrets:
    """The secrets of one configuration."""

    def __init__(self, values: Mapping[SecretRef, Secret]) -> None:
        self._values = dict(values)

    def get(self, ref: SecretRef) -> Secret:
        """The secret that the reference names; every reference of the loaded configuration is there."""
        return self._values[ref]

    def values(self) -> tuple[Secret, ...]:
        """All of them; for redaction of foreign text."""
        return tuple(self._values.values())

    def __repr__(self) -> str:
        return f"Secrets({len(self._values)})"


class SecretMissing(Exception):
    """A reference that leads nowhere; its text names the place, never the content."""


def read(ref: SecretRef, environment: Mapping[str, str]) -> Secret:
    """Follow one reference. Raises SecretMissing."""
    if ref.env is not None:
        value, place = environment.get(ref.env), f"environment variable {ref.env}"
        if value is None:
            raise SecretMissing(f"{place} is not set")
    else:
        try:
            value, place = read_text(str(ref.file), MAX_SECRET_BYTES), f"file {ref.file}"
        except FileFault as fault:
            raise SecretMissing(str(fault)) from None
    value = value.strip()
    if not value:
        raise SecretMissing(f"{place} is empty")
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise SecretMissing(f"{place} holds more than one line, or control characters")
    return Secret(value)


def references(node: object, path: Path = ()) -> Iterator[tuple[Path, SecretRef]]:
    """Every SecretRef of a configuration with its path."""
    if isinstance(node, SecretRef):
        yield path, node
    elif isinstance(node, BaseModel):
        for name in type(node).model_fields:
            yield from references(getattr(node, name), (*path, name))
    elif isinstance(node, Mapping):
        for key, value in node.items():
            yield from references(value, (*path, str(key)))
    elif isinstance(node, tuple):
        for position, value in enumerate(node):
            yield from references(value, (*path, position))
