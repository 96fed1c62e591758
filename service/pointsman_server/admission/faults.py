"""Collects what is wrong with one call, so that the caller learns all of it at once; and checks that fields share."""

from __future__ import annotations

import math
import re

import msgspec

from pointsman_server.errors import FieldFault, Reason, ServiceError

MAX_FAULTS = 16
"""Told of one call; more are not looked for."""
MAX_JSON_DEPTH = 64

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}\Z", re.ASCII)
"""A name of the configuration: model, backend."""
TOOL_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,128}\Z", re.ASCII)
MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,64}/[A-Za-z0-9!#$&^_.+-]{1,64}(;[ -~]{1,128})?\Z", re.ASCII)

_json = msgspec.json.Decoder()


class Enough(Exception):
    """As many faults as are told were found."""


class Faults:
    """The faults of one call so far."""

    __slots__ = ("_found", "_unsupported")

    def __init__(self) -> None:
        self._found: list[FieldFault] = []
        self._unsupported: list[FieldFault] = []

    def add(self, path: str, description: str) -> None:
        """A field that is wrong."""
        self._found.append(FieldFault(path, description))
        if len(self._found) >= MAX_FAULTS:
            raise Enough

    def unsupported(self, path: str, description: str) -> None:
        """A field whose feature is not there, and which cannot be left out without changing the meaning."""
        self._unsupported.append(FieldFault(path, description))

    def raise_any(self) -> None:
        """Raises ServiceError when there is a fault; what is wrong goes before what is not supported."""
        for reason, faults in (
            (Reason.INVALID_REQUEST, self._found),
            (Reason.UNSUPPORTED_PARAMETER, self._unsupported),
        ):
            if faults:
                more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
                raise ServiceError(
                    reason, f"{faults[0].path}: {faults[0].description}{more}", fields=tuple(faults)
                )

    def number(self, path: str, value: float | None, low: float, high: float) -> None:
        """Unset, or finite and within both bounds."""
        if value is not None and not low <= value <= high:
            self.add(
                path, f"must be from {low:g} to {high:g}" if high < math.inf else f"must be at least {low:g}"
            )

    def above_zero(self, path: str, value: float | None) -> None:
        """Unset, or finite and positive."""
        if value is not None and not 0 < value < math.inf:
            self.add(path, "must be more than 0")

    def length(self, path: str, text: str, most: int) -> None:
        """At most so many characters."""
        if len(text) > most:
            self.add(path, f"must have at most {most} characters")

    def count(self, path: str, count: int, most: int) -> None:
        """At most so many entries."""
        if count > most:
            self.add(path, f"must have at most {most} entries")

    def json_object(self, path: str, text: str) -> None:
        """The text of a JSON object."""
        if not isinstance(self._json(path, text), dict):
            self.add(path, "must be a JSON object")

    def json_value(self, path: str, text: str) -> None:
        """The text of any JSON value."""
        self._json(path, text)

    def _json(self, path: str, text: str) -> object:
        """The value; an empty object where the text is at fault, which is then told."""
        try:
            if text.count("{") + text.count("[") > MAX_JSON_DEPTH and _depth(text) > MAX_JSON_DEPTH:
                self.add(path, f"must not be nested deeper than {MAX_JSON_DEPTH} levels")
                return {}
            return _json.decode(text)
        except (msgspec.DecodeError, ValueError, RecursionError):
            self.add(path, "must be valid JSON")
            return {}


_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def _depth(text: str) -> int:
    """The deepest nesting of brackets outside strings."""
    depth = deepest = 0
    for token in _TOKENS.finditer(text):
        first = token[0][0]
        if first in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif first in "]}":
            depth -= 1
    return deepest
